"""What using today's API better would save: the lines of 002's advice to optimise it first.

Each saving is taken off what the ones before it leave: trimmed history, cached prefixes of the input that is
left, shorter answers, and batch or flex prices for what can wait.  What the trace shows replaces the assumption
(see ``observed``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from breakeven.economics.stack import StackLine, line

if TYPE_CHECKING:
    from breakeven.quantities import Number, Values
    from breakeven.studies.verdict.token_price import TrafficPrice


def saving_lines(
    price: TrafficPrice, patient: TrafficPrice | None, values: Values, month_ratio: Number
) -> tuple[StackLine, ...]:
    """Return the savings on a month's tokens as negative lines."""
    history, output = values["history_trim_fraction"], values["output_trim_fraction"]
    # Where the log shows cached tokens, the cache is in use already.
    cacheable = 0.0 if price.cached_input_usd else values["cacheable_input_fraction"]
    caching: dict[str, Number] = {
        "read_saving_usd": price.plain_input_usd - price.plain_as_cached_usd,
        "write_surcharge_usd": price.plain_as_write_usd - price.plain_input_usd,
        "cache_reads_per_write_ratio": values["cache_reads_per_write_ratio"],
        "cacheable_input_fraction": cacheable,
        "cached_fraction": cacheable * (1 - history),
    }
    each_usd = caching["read_saving_usd"] - caching["write_surcharge_usd"] / caching["cache_reads_per_write_ratio"]
    cached_usd = np.maximum(0.0, each_usd) * caching["cached_fraction"]
    found = [
        (
            "saved by prompt caching",
            cached_usd,
            "max(0, read_saving_usd - write_surcharge_usd / cache_reads_per_write_ratio) x cached_fraction",
            caching,
        ),
        (
            "saved by trimmed history",
            price.plain_input_usd * history,
            "input tokens x history_trim_fraction",
            {"history_trim_fraction": history},
        ),
        (
            "saved by shorter outputs",
            price.output_usd * output,
            "output tokens x output_trim_fraction",
            {"output_trim_fraction": output},
        ),
    ]
    if patient is not None:
        left_usd = price.plain_input_usd * (1 - history) - cached_usd + price.output_usd * (1 - output)
        waiting_usd = patient.plain_input_usd * (1 - history) + patient.output_usd * (1 - output)
        found.append(
            (
                "saved by batch or flex prices",
                np.maximum(0.0, left_usd - waiting_usd) * values["batchable_fraction"],
                "max(0, what is left of the bill - that at batch or flex prices) x batchable_fraction",
                {"batchable_fraction": values["batchable_fraction"]},
            )
        )
    return tuple(_saved(*item, month_ratio) for item in found if np.any(item[1]))


def _saved(key: str, usd: Number, formula: str, inputs: Values, month_ratio: Number) -> StackLine:
    """Return what the observed traffic saves as a negative line of a month's bill."""
    return line(
        key,
        "tokens",
        -usd * month_ratio,
        f"-({formula}) x month_over_observed_ratio",
        {**inputs, "month_over_observed_ratio": month_ratio},
    )
