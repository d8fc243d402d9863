"""CPU time of the simulation, and of all that draws add to a verdict, on one core.

The simulation solves nodes, ranking and break-even anew for every draw and month.  What else draws add are the
intervals of every line and option, three break-evens a pool, and next month's bills: a whole verdict with 10,000
draws, less the same verdict with ten.  Run by ``make bench-draws``.  It reports; nothing is asserted.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import date
from typing import TYPE_CHECKING, Any

from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline
from breakeven.sources.scenario import parse_scenario
from breakeven.studies.verdict import study
from breakeven.studies.verdict.context import Catalogue
from breakeven.studies.verdict.worlds import Chance
from breakeven.traffic.profile import profile
from breakeven.traffic.read import read_trace
from breakeven.traffic.sample import sample_path
from breakeven.wiring.plan import resolve_targets

if TYPE_CHECKING:
    from breakeven.studies.verdict.result import Outlook, Verdict

RUNS = 5
FEW_DRAWS, DRAWS = 10, 10_000
ON = date(2026, 11, 21)


def main() -> int:
    """Print the CPU time with few draws, with many, and what the draws took."""
    few_s, _ = _median_s(FEW_DRAWS)
    many_s, found = _median_s(DRAWS)
    months = len(found.outlook.months)
    print(f"{len(found.options)} options, {DRAWS:,} draws x {months} months, median of {RUNS}, CPU time of one process")
    print(f"verdict with {FEW_DRAWS} draws      {few_s:6.2f} s")
    print(f"verdict with {DRAWS:,} draws  {many_s:6.2f} s")
    print(f"what the draws add      {many_s - few_s:6.2f} s")
    print(f"of that the simulation  {_median_simulation_s():6.2f} s   (aim: 1.0)")
    return 0


def _median_simulation_s() -> float:
    """Time the simulation inside whole verdicts."""
    times: list[float] = []
    module: Any = study
    simulate = module.outlook

    def timed(*given: Any, **named: Any) -> Outlook:
        start = time.process_time()
        found: Outlook = simulate(*given, **named)
        times.append(time.process_time() - start)
        return found

    module.outlook = timed
    try:
        _median_s(DRAWS)
    finally:
        module.outlook = simulate
    return statistics.median(times)


def _median_s(draw_count: int) -> tuple[float, Verdict]:
    scenario, _ = parse_scenario("today: gpt-4o", "bench")
    targets, book = resolve_targets(scenario, load_book(), "gpt-4o")
    known = Catalogue(book=book, roofline=load_roofline())
    seen = profile(read_trace([sample_path()]))
    chance = Chance(draw_count=draw_count)
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        found = study.verdict(seen, known, scenario, targets, day_boundaries_s=(), on=ON, chance=chance)
        times.append(time.process_time() - start)
    return statistics.median(times), found


if __name__ == "__main__":
    sys.exit(main())
