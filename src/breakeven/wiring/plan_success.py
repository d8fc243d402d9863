"""What a ledger's outcomes say of models, as a plan names them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.errors import BreakevenError
from breakeven.ledger.query import Question
from breakeven.ledger.store import connect
from breakeven.studies.outcomes import Asked
from breakeven.studies.verdict.succeeded import Succeeded
from breakeven.wiring.ledger import find_ledger
from breakeven.wiring.ledger_trace import SCHEME
from breakeven.wiring.outcome_costs import query_outcome_costs
from breakeven.wiring.pools import declared_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.catalog.book import Book
    from breakeven.studies.outcomes import OutcomeCost
    from breakeven.studies.verdict.context import Targets
    from breakeven.wiring.ledger import LedgerPlace

_BY: Final = ("priced_as", "pool")


def ledger_success(name: object, targets: Targets, book: Book) -> tuple[Succeeded, ...]:
    """Return how many subjects each model served, and what is known of them; nothing where nobody said anything.

    ``name`` is as ``breakeven plan`` takes it, ``ledger:FOLDER``.  A pool's model is what settings say it ``runs``: of
    the settings here, if they keep this ledger.  Raises ``InputError`` where the ledger cannot be read.
    """
    folder = str(name).removeprefix(SCHEME)
    place = find_ledger(Path(folder) if folder else None)
    if not _has_outcomes(place):
        return ()
    config = settings_of(place)
    runs = pool_models(config) if config is not None else {}
    found = query_outcome_costs(place, config, Question(), Asked(by=_BY))
    sums: dict[str, list[int]] = {}
    for group in found.groups:
        model = _model_of(group, runs, targets, book)
        if model is None:
            continue
        known = group.success_count + group.failure_count
        counts = (group.subject_count, group.request_count, known, group.success_count)
        for place_in, count in enumerate(counts):
            sums.setdefault(model, [0, 0, 0, 0])[place_in] += count
    return tuple(
        Succeeded(model=model, subject_count=every, request_count=requests, known_count=known, success_count=good)
        for model, (every, requests, known, good) in sorted(sums.items())
        if every
    )


def _has_outcomes(place: LedgerPlace) -> bool:
    with closing(connect(place.store, read_only=True, busy_s=10)) as connection:
        return connection.execute("SELECT 1 FROM outcome LIMIT 1").fetchone() is not None


def settings_of(place: LedgerPlace) -> Path | None:
    """Return the settings here, where they keep their ledger in that place."""
    from breakeven.settings import CONFIG_NAME

    path = Path(CONFIG_NAME)
    try:
        own = find_ledger(None, path) if path.is_file() else None
    except BreakevenError:
        return None
    return path if own is not None and own.store.resolve() == place.store.resolve() else None


def pool_models(config: Path) -> dict[str, str]:
    """Return by pool the model that it runs."""
    return {name: entry.runs for name, entry in declared_entries(config).items() if entry.runs}


def _model_of(group: OutcomeCost, runs: Mapping[str, str], targets: Targets, book: Book) -> str | None:
    """Return the model that gave the final answers of a group, as the verdict names it; None where nobody knows."""
    priced_as, pool = group.labels
    name = runs.get(pool) if pool else priced_as
    if name is None:
        return None
    if name == targets.today:
        return targets.today_model
    if book.has_model(name):
        return book.model(name).id
    sold = {item.target: model.id for model in book.models.values() for item in model.sold_as}
    return sold.get(name, name)
