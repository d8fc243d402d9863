"""What a request costs at a target, by the prices that the gateway knows; nodes, and others without one: nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from breakeven.gateway.price_tag import PriceTag
from breakeven.ledger.cards import CardSchedule
from breakeven.limits.rules import NANO

if TYPE_CHECKING:
    from breakeven.metering.reading import Reading
    from breakeven.trials.calls import Answer
    from breakeven.trials.plan import TrialsPlan


class Prices:
    """The prices of all targets."""

    def __init__(self, plan: TrialsPlan) -> None:
        self._schedule = CardSchedule(plan.price_lists)
        self._targets = {target.name: target for target in plan.targets}
        self._own = {(model, target): name for model, target, name in plan.own_names}
        self._routes = dict(plan.routes)
        self._tags: dict[str, PriceTag] = {}

    def judge_usd(self, model: str, reading: Reading, at_us: int) -> Decimal:
        """Return what a request for a model costs at the dearest of its targets."""
        targets = self._routes.get(model) or self._routes.get("*") or ()
        return max((self.usd(model, target, reading, at_us) for target in targets), default=Decimal(0))

    def told_usd(self, answer: Answer) -> Decimal:
        """Return what the gateway says that a whole answer cost."""
        known = self._targets.get(answer.headers.get("x-breakeven-target", ""))
        is_free = known is None or not known.priced_as
        return Decimal(0) if is_free else Decimal(answer.headers.get("x-breakeven-cost-usd", "0"))

    def usd(self, model: str, target: str, reading: Reading, at_us: int) -> Decimal:
        """Return what a request for a model costs at a target."""
        known = self._targets.get(target)
        if known is None or not known.priced_as:
            return Decimal(0)
        there = self._own.get((model, target)) or known.model or model
        name = known.priced_as[:-1] + there if known.priced_as.endswith(":*") else known.priced_as
        tag = self._tags.get(name)
        if tag is None:
            tag = self._tags[name] = PriceTag(name, self._schedule)
        return Decimal(tag.nano_usd(reading, at_us)) / NANO
