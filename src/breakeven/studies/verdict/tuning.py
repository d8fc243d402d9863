"""The lines of a fine-tuned model: training runs, the people who run them, and a tuned API's dearer tokens.

Adapters share a pool: several fine-tuned variants of one model are served by the same nodes, a little slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.economics.overheads import engineering_usd_per_month
from breakeven.economics.stack import StackLine, line
from breakeven.economics.tuning import training_gpu_hours
from breakeven.quantities import MONTHS_PER_YEAR, TOKENS_PER_MTOK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.quantities import Number, Values
    from breakeven.sources.scenario import Tuning

UNPRICED: Final = "fine-tuning price"
"""What an API's bill lacks when nobody said what its provider asks for training."""


def runs_per_month(tuning: Tuning) -> float:
    """Return the training runs of all variants together."""
    return tuning.runs_per_year * tuning.variants / MONTHS_PER_YEAR


def pool_tuning_lines(
    tuning: Tuning, values: Values, *, gpu_usd_per_hour: Number, active_parameters: int, gpu_tflops: float
) -> tuple[StackLine, ...]:
    """Return what training on one's own kind of GPU costs a month, and who does it."""
    hours = training_gpu_hours(
        tuning.training_mtok * TOKENS_PER_MTOK,
        active_parameters=active_parameters,
        gpu_tflops=gpu_tflops,
        utilisation_fraction=values["training_mfu_fraction"],
    )
    training = line(
        "fine-tuning runs",
        "tuning",
        hours * gpu_usd_per_hour * runs_per_month(tuning),
        "6 x active parameters x training tokens / (gpu_tflops x 10^12 x training_mfu_fraction) / 3600"
        " x gpu_usd_per_hour x runs_per_month",
        {
            "training_mtok": tuning.training_mtok,
            "gpu_tflops": gpu_tflops,
            "training_mfu_fraction": values["training_mfu_fraction"],
            "gpu_usd_per_hour": gpu_usd_per_hour,
            "runs_per_month": runs_per_month(tuning),
        },
    )
    return training, _people(tuning, values)


def dearer_tokens(values: Values, token_lines: Sequence[StackLine]) -> StackLine:
    """Return what the tokens of a tuned model cost above the standard's."""
    return line(
        "dearer tokens of a tuned model",
        "tokens",
        sum(item.usd_per_month for item in token_lines) * (values["tuned_api_price_ratio"] - 1),
        "token bill x (tuned_api_price_ratio - 1)",
        {"tuned_api_price_ratio": values["tuned_api_price_ratio"]},
    )


def api_tuning_lines(tuning: Tuning, values: Values) -> tuple[StackLine, ...]:
    """Return what a provider asks for training, and who does it."""
    training_usd = tuning.api_training_usd_per_mtok or 0
    return (
        line(
            "fine-tuning runs",
            "tuning",
            float(training_usd) * tuning.training_mtok * runs_per_month(tuning),
            "api_training_usd_per_mtok x training_mtok x runs_per_month",
            {
                "api_training_usd_per_mtok": float(training_usd),
                "training_mtok": tuning.training_mtok,
                "runs_per_month": runs_per_month(tuning),
            },
        ),
        _people(tuning, values),
    )


def _people(tuning: Tuning, values: Values) -> StackLine:
    fte = values["tuning_weeks_per_run"] / 52 * tuning.runs_per_year * tuning.variants
    return line(
        "fine-tuning labour",
        "tuning",
        engineering_usd_per_month(fte, engineer_usd_per_year=values["engineer_usd_per_year"]),
        "tuning_weeks_per_run / 52 x runs_per_month x engineer_usd_per_year",
        {
            "tuning_weeks_per_run": values["tuning_weeks_per_run"],
            "runs_per_month": runs_per_month(tuning),
            "engineer_usd_per_year": values["engineer_usd_per_year"],
        },
    )
