"""How often the month-end intervals of ``breakeven outlook`` held on three public 14-day traces, taken for months.

From each whole day on, what the days so far cost is known and the rest of the fourteen is forecast, of a bill at 2.50
and 10 USD for a million input and output tokens, from four starts six hours apart.  Forecasts of one trace share most
of their days: a trace holds few independent outcomes.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
from bench_forecast import TRACES, WINDOWS_PER_DAY, volumes_of

from breakeven.economics.forecast import DailyPrior
from breakeven.sources.catalogue import load_book
from breakeven.studies.proof.outlook import Chance, MonthFacts, Payments, month_bills

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.economics.forecast import PredictedBill

FEWEST_DAYS = 3
FIRST = date(2026, 11, 1)
PARTS = {"first half": (3, 7), "second half": (7, 14)}


def forecasts(trace: str, chance: Chance) -> Iterator[tuple[int, PredictedBill, float]]:
    """Yield days known, the month-end forecast from them, and what the month came to."""
    windows = volumes_of(trace)["bill"]
    for start in range(WINDOWS_PER_DAY):
        whole = (len(windows) - start) // WINDOWS_PER_DAY
        days = windows[start : start + whole * WINDOWS_PER_DAY].reshape(whole, -1).sum(axis=1)
        for known in range(FEWEST_DAYS, whole):
            seen = tuple(days[:known].tolist())
            way = Payments(id="api", title="api", daily_usd=seen, so_far_usd=sum(seen), scheduled_usd=0.0)
            facts = MonthFacts(today=FIRST + timedelta(days=known), ends=FIRST + timedelta(days=whole), payments=(way,))
            (found,) = month_bills(facts, chance)
            yield known, found.bill, float(days.sum())


def main() -> None:
    """Print coverage and width as a Markdown table."""
    known = load_book().assumptions
    prior = DailyPrior.of(known["mean_to_observed_days_ratio"].interval, known["traffic_growth_per_month"].interval)
    chance = Chance(prior=prior, utilisation_fraction=0.6)
    print("| trace | days known | n | 80 % held | width | 95 % held | width |\n|---|---|---|---|---|---|---|")
    for trace in TRACES:
        found = list(forecasts(trace, chance))
        for first, last in PARTS.values():
            own = [(bill, came) for days, bill, came in found if first <= days < last]
            held_80 = np.mean([bill.low_80_usd <= came <= bill.high_80_usd for bill, came in own])
            held_95 = np.mean([bill.low_95_usd <= came <= bill.high_95_usd for bill, came in own])
            wide_80 = np.mean([bill.spread_80_ratio for bill, _ in own])
            wide_95 = np.mean([bill.spread_95_ratio for bill, _ in own])
            shares = f"{held_80:.0%} | ±{wide_80:.0%} | {held_95:.0%} | ±{wide_95:.0%}"
            print(f"| {trace} | {first} to {last - 1} | {len(own)} | {shares} |")


if __name__ == "__main__":
    main()
