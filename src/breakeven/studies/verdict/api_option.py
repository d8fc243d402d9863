"""Options that buy tokens: today's API, the same one used better, a cheaper one, an open model's seller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from breakeven.economics.stack import CostStack, StackLine, line
from breakeven.studies.verdict.lines import engineering_lines, one_off_lines, reliability_lines
from breakeven.studies.verdict.savings import saving_lines
from breakeven.studies.verdict.shadowed import named_ratios
from breakeven.studies.verdict.token_price import TrafficPrice, transfer_ratios
from breakeven.studies.verdict.tuning import UNPRICED, api_tuning_lines, dearer_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.catalog.rate_card import PriceList
    from breakeven.quantities import Number, Values
    from breakeven.sources.scenario import Tuning
    from breakeven.studies.verdict.workload import Workload

ApiKind = Literal["today", "today-optimised", "api", "open-model-api"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOption:
    """Tokens bought from one target.  ``same_model`` keeps today's token counts."""

    id: str
    title: str
    kind: ApiKind
    model: str
    price_list: PriceList
    workload: Workload
    standard: TrafficPrice
    patient: TrafficPrice | None
    """What the traffic costs where it can wait: at batch or flex prices."""

    same_model: bool
    target_is_today: bool
    tuning: Tuning | None = None

    @property
    def migration_key(self) -> str:
        """The assumption that says how many weeks the move takes; empty where there is none."""
        return "" if self.target_is_today else "api_switch_weeks"

    @property
    def committed_usd_per_month(self) -> float:
        """What is paid for tokens at least."""
        return float(self.price_list.committed_usd_per_month)

    def token_lines(self, values: Values) -> tuple[StackLine, ...]:
        """Return the token bill of a month by type."""
        ratio = self.workload.month_ratio(values)
        into, out = transfer_ratios(values, same_model=self.same_model, model=self.model)
        named = {} if self.same_model else named_ratios(values, self.model)
        price = self.standard
        parts: tuple[tuple[str, float, Number, Mapping[str, Number]], ...] = (
            ("input tokens", price.plain_input_usd, into, named),
            ("cached input tokens", price.cached_input_usd, into, named),
            ("cache writes", price.cache_write_usd, into, named),
            ("output tokens", price.output_usd, out, named),
            ("request fees", price.requests_usd, 1.0, {}),
        )
        lines = [_token_line(key, usd, ratio, rescaled, inputs) for key, usd, rescaled, inputs in parts if usd]
        if self.kind == "today-optimised":
            lines += saving_lines(self.standard, self.patient, values, ratio)
        if self.tuning:
            lines.append(dearer_tokens(values, lines))
        return tuple(lines)

    def bill(self, values: Values) -> CostStack:
        """Return the month's bill, fully loaded."""
        tokens = self.token_lines(values)
        return CostStack(
            lines=(
                *tokens,
                *self.commitment_lines(tokens),
                *engineering_lines(values, "api_engineering_fte"),
                *reliability_lines(values, "api"),
                *self.once_lines(values),
            ),
            partial=self.partial,
        )

    @property
    def partial(self) -> tuple[str, ...]:
        """What of its bill could not be priced."""
        unpriced = self.tuning is not None and self.tuning.api_training_usd_per_mtok is None
        return (*self.standard.partial, *((UNPRICED,) if unpriced else ()))

    def commitment_lines(self, tokens: Sequence[StackLine]) -> tuple[StackLine, ...]:
        """Return what a commitment leaves unused beside these lines of tokens; none without one."""
        commitment = self.committed_usd_per_month
        if not commitment:
            return ()
        return (
            line(
                "unused commitment",
                "tokens",
                np.maximum(0.0, commitment - sum(item.usd_per_month for item in tokens)),
                "max(0, committed_usd_per_month - token bill)",
                {"committed_usd_per_month": commitment},
            ),
        )

    def once_lines(self, values: Values) -> tuple[StackLine, ...]:
        """Return what training a model here and moving here cost a month."""
        tuned = api_tuning_lines(self.tuning, values) if self.tuning else ()
        return (*tuned, *(one_off_lines(values, self.migration_key) if self.migration_key else ()))


def _token_line(
    key: str, observed_usd: float, month_ratio: Number, token_ratio: Number, named: Mapping[str, Number]
) -> StackLine:
    formula = "observed_usd x month_over_observed_ratio" + (" x token ratio" if named else "")
    usd = observed_usd * month_ratio * token_ratio
    return line(
        key,
        "tokens",
        usd,
        formula,
        {"observed_usd": observed_usd, "month_over_observed_ratio": month_ratio, **named},
    )
