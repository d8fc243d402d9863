"""How often forecast intervals held on three public 14-day traces, and the widening that each of them asks for.

Rolling origins every six hours from day 3 to day 11; from all days before, the total of the next one to three days is
forecast, of input tokens, output tokens and a bill at 2.50 and 10 USD for a million of them.  Neighbouring
origins share most of their days, so a trace holds few independent outcomes.  The method was chosen looking at m-large
and m-small, and the widening fitted on m-large; m-mid was read only afterwards.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from breakeven.economics.forecast import WIDENING_RATIO, DailyPrior
from breakeven.sources.catalogue import load_book
from breakeven.studies.forecast import backtest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.quantities import Array
    from breakeven.studies.forecast import Trial

FIXTURES = Path(__file__).parent.parent / "tests" / "studies" / "fixtures"
TRACES = ("m-large", "m-small", "m-mid")
WINDOWS_PER_DAY = 4
HORIZONS_DAYS = (1, 2, 3)
WEEK_DAYS = 7
"""Judged apart: from day 7 on no whole week is left, so its forecasts rest on 3 to 7 days."""


def volumes_of(trace: str) -> dict[str, Array]:
    """Return a trace's volumes in windows of six hours."""
    with (FIXTURES / f"servegen_{trace}_6h.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    read = {name: np.array([float(row[name]) for row in rows]) for name in ("input_tokens", "output_tokens")}
    return read | {"bill": read["input_tokens"] * 2.5e-6 + read["output_tokens"] * 10e-6}


def trials_of(trace: str, horizons_days: Sequence[int] = HORIZONS_DAYS) -> dict[str, tuple[Trial, ...]]:
    """Forecast and judge every volume of a trace."""
    known = load_book().assumptions
    prior = DailyPrior.of(known["mean_to_observed_days_ratio"].interval, known["traffic_growth_per_month"].interval)
    return {
        name: backtest(
            volumes,
            windows_per_day=WINDOWS_PER_DAY,
            horizons_days=horizons_days,
            prior=prior,
            generator=np.random.default_rng(1),
        )
        for name, volumes in volumes_of(trace).items()
    }


def row(label: str, trials: Sequence[Trial], widening: float) -> str:
    """Return a line of the table: how often intervals held, and how wide they were."""
    held_80 = np.mean([item.stretch_80_ratio <= widening for item in trials])
    held_95 = np.mean([item.stretch_95_ratio <= widening for item in trials])
    wide_80 = np.mean([item.spread_80_ratio(widening) for item in trials])
    wide_95 = np.mean([item.spread_95_ratio(widening) for item in trials])
    shares = f"{held_80:.0%} | ±{wide_80:.0%} | {held_95:.0%} | ±{wide_95:.0%}"
    return f"| {label} | {widening:.2f} | {len(trials)} | {shares} |"


def main() -> None:
    """Print coverage and width as a Markdown table, then the factor that each trace asks for, judged on the other."""
    found = {trace: trials_of(trace) for trace in TRACES}
    pooled = {trace: [item for trials in found[trace].values() for item in trials] for trace in TRACES}
    print("| forecast | widened by | n | 80 % held | width | 95 % held | width |\n|---|---|---|---|---|---|---|")
    for widening in (1.0, WIDENING_RATIO):
        for trace in TRACES:
            for name, trials in found[trace].items():
                print(row(f"{trace} {name}", trials, widening))
            for days in HORIZONS_DAYS:
                chosen = [item for item in pooled[trace] if item.horizon_days == days]
                print(row(f"{trace}, {days} days ahead", chosen, widening))
            week = [item for trials in trials_of(trace, (WEEK_DAYS,)).values() for item in trials]
            print(row(f"{trace}, {WEEK_DAYS} days ahead", week, widening))
    print()
    for fitted in TRACES:
        factor = float(np.quantile([item.stretch_80_ratio for item in pooled[fitted]], 0.8))
        print(f"80 % of {fitted}'s outcomes lie within its 80 % intervals widened by {factor:.2f}; with that factor:")
        for judged in TRACES:
            print(row(judged, pooled[judged], factor))


if __name__ == "__main__":
    main()
