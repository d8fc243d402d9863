"""A verdict's options and draws, laid open for tests that recompute them one world at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline
from breakeven.sources.scenario import own_assumptions, parse_scenario
from breakeven.studies.verdict.context import Context
from breakeven.studies.verdict.select import api_options, pool_options
from breakeven.studies.verdict.token_price import PricingDay
from breakeven.studies.verdict.workload import Workload
from breakeven.studies.verdict.worlds import Chance, Worlds
from breakeven.traffic.profile import profile
from breakeven.traffic.read import read_trace
from breakeven.traffic.sample import sample_path
from breakeven.wiring.plan import resolve_targets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.catalog.assumptions import Assumption
    from breakeven.studies.verdict.evaluate import Case

ON = date(2026, 11, 21)


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """The cases of a plan of the bundled hour, today's API first, and the assumptions each answers to."""

    context: Context
    cases: tuple[Case, ...]
    assumptions: tuple[Mapping[str, Assumption], ...]


def opened(text: str = "today: gpt-4o\nconsider: [llama-3.3-70b]\n", *, draws: int = 200, seed: int = 1) -> Open:
    """Plan the bundled hour as far as the draws."""
    scenario, document = parse_scenario(text, "test")
    book = load_book()
    book = book.with_assumptions(own_assumptions(scenario, document, book, ON))
    targets, book = resolve_targets(scenario, book, "gpt-4o")
    workload = Workload(profile=profile(read_trace([sample_path()])))
    context = Context(
        book=book,
        roofline=load_roofline(),
        workload=workload,
        scenario=scenario,
        targets=targets,
        day=PricingDay(on=ON, boundaries_s=(), timed=True),
    )
    apis, _ = api_options(context)
    pools, _ = pool_options(context)
    worlds = Worlds.draw(context, pools, Chance(draw_count=draws, seed=seed))
    shared = dict(book.assumptions)
    return Open(
        context=context,
        cases=(*(worlds.case(api) for api in apis), *(worlds.case(item.option, item) for item in pools)),
        assumptions=(*(shared for _ in apis), *(shared | {own.key: own for own in item.own} for item in pools)),
    )
