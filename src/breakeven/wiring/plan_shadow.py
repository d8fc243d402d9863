"""What a ledger's pairs of answers say of models, as a plan names them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.ledger.pairs import stored_checks, stored_pairs
from breakeven.studies.shadow.records import Compared
from breakeven.studies.shadow.shadowed import shadowed
from breakeven.wiring.ledger import find_ledger
from breakeven.wiring.ledger_trace import SCHEME
from breakeven.wiring.plan_success import pool_models, settings_of
from breakeven.wiring.shadow_prices import TargetPrices

if TYPE_CHECKING:
    from breakeven.catalog.book import Book
    from breakeven.ledger.pairs import PairCheck
    from breakeven.studies.verdict.context import Targets
    from breakeven.studies.verdict.shadowed import Shadowed


def ledger_shadowed(name: object, targets: Targets, book: Book) -> tuple[Shadowed, ...]:
    """Return what pairs say of each model beside today's; nothing where there are none of today's model.

    ``name`` is as ``breakeven plan`` takes a ledger, ``ledger:FOLDER``.  A pool's model is what settings say it
    ``runs``, of the settings here, if they keep this ledger.  Raises ``InputError`` where the ledger cannot be read.
    """
    folder = str(name).removeprefix(SCHEME)
    place = find_ledger(Path(folder) if folder else None)
    pairs = stored_pairs(place.store)
    if not pairs:
        return ()
    config = settings_of(place)
    known = _Models(targets, book, pool_models(config) if config is not None else {}, TargetPrices(place, config))
    checks: dict[tuple[int, str], list[PairCheck]] = defaultdict(list)
    for scored in stored_checks(place.store):
        checks[scored.check.request_id, scored.check.candidate].append(scored.check)
    members: dict[str, list[Compared]] = defaultdict(list)
    for pair in pairs:
        model = known.of(pair.candidate)
        if known.of(pair.incumbent) == targets.today_model and model != targets.today_model:
            members[model].append(Compared(pair=pair, checks=tuple(checks[pair.request_id, pair.candidate])))
    return tuple(found for model, items in sorted(members.items()) if (found := shadowed(model, items)) is not None)


class _Models:
    """The models of targets, as the verdict names them."""

    def __init__(self, targets: Targets, book: Book, runs: dict[str, str], prices: TargetPrices) -> None:
        self._targets = targets
        self._book = book
        self._runs = runs
        self._prices = prices
        self._sold = {item.target: model.id for model in book.models.values() for item in model.sold_as}
        self._known: dict[str, str] = {}

    def of(self, target: str) -> str:
        """Return an open model's id, ``provider:model``, or the target's own name where nobody knows."""
        if target not in self._known:
            self._known[target] = self._found(target)
        return self._known[target]

    def _found(self, target: str) -> str:
        for name in (self._runs.get(target.partition("/")[0], ""), target, self._prices.name_of(target)):
            if name and name == self._targets.today:
                return self._targets.today_model
            if name and self._book.has_model(name):
                return self._book.model(name).id
            if name in self._sold:
                return self._sold[name]
        return self._prices.name_of(target) or target
