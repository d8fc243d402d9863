"""What every part of a verdict needs to know: the book, the workload, the assumptions, the day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from breakeven.economics.sensitivity import likely_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from breakeven.catalog.assumptions import Assumption
    from breakeven.catalog.book import Book
    from breakeven.catalog.roofline import Roofline
    from breakeven.quantities import Interval
    from breakeven.sources.scenario import Scenario
    from breakeven.studies.verdict.shadowed import Shadowed
    from breakeven.studies.verdict.succeeded import Succeeded
    from breakeven.studies.verdict.token_price import PricingDay
    from breakeven.studies.verdict.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What is compared, by name: resolved before the study, so that their prices are in the book."""

    today: str
    others: tuple[str, ...]
    """Further API targets: a cheaper sibling, and those that the user names."""

    open_models: tuple[str, ...]
    today_model: str
    """What today's target serves: an open model's id, or the target itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What is known before any traffic: the book, and the roofline that estimates what nobody measured."""

    book: Book
    roofline: Roofline
    shadowed: tuple[Shadowed, ...] = ()
    """What pairs of answers showed of other models."""

    succeeded: tuple[Succeeded, ...] | None = None
    """What is known of outcomes, by model; None: nobody looked for any."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """The fixed surroundings of one verdict."""

    book: Book
    workload: Workload
    roofline: Roofline
    scenario: Scenario
    targets: Targets
    day: PricingDay
    shadowed: tuple[Shadowed, ...] = ()
    """What pairs of answers showed of other models."""

    succeeded: tuple[Succeeded, ...] | None = None
    """What is known of outcomes, by model; None: nobody looked for any."""

    @property
    def on(self) -> date:
        """The day on which everything is priced."""
        return self.day.on

    @cached_property
    def assumptions(self) -> Mapping[str, Interval]:
        """Every assumption's interval, by key."""
        return {key: item.interval for key, item in self.book.assumptions.items()}

    def with_own(self, own: Iterable[Assumption]) -> Mapping[str, Interval]:
        """Return the assumptions with those that are one option's own, such as the price of its nodes."""
        return {**self.assumptions, **{item.key: item.interval for item in own}}

    def likely(self) -> Mapping[str, float]:
        """Return every assumption at its likely value."""
        return self._likely

    @cached_property
    def _likely(self) -> Mapping[str, float]:
        return likely_values(self.assumptions)

    def same_model(self, model: str) -> bool:
        """Whether a model is the one that serves the traffic today."""
        return model == self.targets.today_model
