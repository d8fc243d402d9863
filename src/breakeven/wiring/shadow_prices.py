"""What the two answers of a pair cost: by price, and fully loaded where a pool's idle hours and people are known."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from breakeven.economics.pool_hours import is_pool_price
from breakeven.errors import BreakevenError, InputError, UnknownNameError
from breakeven.ledger import rows
from breakeven.ledger.cards import cost_usd
from breakeven.ledger.labels import pool_of, priced_targets
from breakeven.ledger.query import Cards, Question, usage_of
from breakeven.ledger.store import connect, trouble_of
from breakeven.studies.shadow.records import SideCost
from breakeven.usage import TokenUsage
from breakeven.wiring.ledger_costs import query_costs
from breakeven.wiring.ledger_prices import price_schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet
    from decimal import Decimal
    from pathlib import Path

    from breakeven.ledger.pairs import Pair, Side
    from breakeven.wiring.ledger import LedgerPlace

_ATTEMPTS: Final = 15
"""What the number of an attempt adds to a request's id at most."""

_BATCH: Final = 400
_HOUR_S: Final = 3600

# ruff: noqa: S608 - the names in these statements stand in this module, and values are bound


class TargetPrices:
    """Prices by the name of a target, as ledger or settings have it, by ``provider:model``, or by a model's bare name.

    What the ledger has goes first, since that is what was paid; a target whose first rows are still on their way
    there is priced as the settings say.
    """

    def __init__(self, place: LedgerPlace, config: Path | None, cards: Sequence[Path] = ()) -> None:
        """Take the ledger, which need not be there yet, the settings and further rate cards."""
        self._schedule = price_schedule(place, config, cards)
        declared = _names_in_settings(config) if config is not None else {}
        self._priced_as = declared | (_names_of_targets(place.store) if place.store.is_file() else {})
        self._guessed: dict[str, str] = {}

    def name_of(self, target: str) -> str:
        """Return the ``provider:model`` by which a target is priced; empty where nobody knows."""
        if target in self._priced_as:
            return self._priced_as[target]
        if ":" in target:
            return target
        if target not in self._guessed:
            self._guessed[target] = _by_model(target)
        return self._guessed[target]

    def usd(self, target: str, usage: TokenUsage, at_us: int) -> Decimal | None:
        """Return what a request costs there by price; None where no price is known."""
        window = self._schedule.window(self.name_of(target), 0, at_us)
        known = window.known_for(usage.input_tokens, usage.output_tokens)
        if known is None:
            return None
        over = known.over_tokens(usage.input_tokens)
        return cost_usd(known.card, usage, attempts=1, failed=False, over_tokens=over)

    @property
    def notes(self) -> list[str]:
        """What is to be told of prices: those that are missing, and those that were found by a bare name."""
        told = [f"{name} is priced as {found}." for name, found in self._guessed.items() if found]
        lost = [f"No price is known for {name}: its cost is left out." for name, found in self._guessed.items()
                if not found]  # fmt: skip
        return [*told, *lost, *self._schedule.take_warnings()]


def costs_of(
    pairs: Sequence[Pair], place: LedgerPlace, config: Path | None, prices: TargetPrices
) -> tuple[dict[tuple[int, str], tuple[SideCost, SideCost]], list[str]]:
    """Return what both sides of each pair cost, by request and candidate, and what is to be told beside it.

    By price: that of the request's own attempts where they are in the ledger (cached tokens then count as such), else
    that of the pair's tokens.  Fully loaded: that, times the whole cost of the target over its cost by price in the
    time of the pairs, so that idle hours and people are in it.
    """
    sides = [(pair, side) for pair in pairs for side in (pair.of_incumbent, pair.of_candidate)]
    ledgered = _by_request(place.store, [side.request_id for _, side in sides if side.request_id is not None])
    named = {name for pair in pairs for name in (pair.incumbent, pair.candidate)}
    pools = {pool_of(name) or name for name in named if is_pool_price(prices.name_of(name))}
    ratios, notes = _loaded_ratios(pools, pairs, place, config) if pools else ({}, [])

    def side_cost(target: str, side: Side, at_us: int) -> SideCost:
        price = ledgered.get(side.request_id) if side.request_id is not None else None
        if price is None and side.input_tokens is not None and side.output_tokens is not None:
            usage = TokenUsage(input_tokens=side.input_tokens, output_tokens=side.output_tokens)
            price = prices.usd(target, usage, at_us)
        if price is None:
            return SideCost(None, None)
        ratio = ratios.get(pool_of(target) or target, None if is_pool_price(prices.name_of(target)) else 1.0)
        return SideCost(float(price), None if ratio is None else float(price) * ratio)

    found = {}
    for pair in pairs:
        found[pair.request_id, pair.candidate] = (
            side_cost(pair.incumbent, pair.of_incumbent, pair.at_us),
            side_cost(pair.candidate, pair.of_candidate, pair.at_us),
        )
    return found, [*notes, *prices.notes]


def _by_request(store: Path, request_ids: Sequence[int]) -> dict[int, Decimal]:
    """Return what all attempts of each request cost; those without a price, or no longer there, are left out."""
    if not request_ids or not store.is_file():
        return {}
    found: dict[int, Decimal] = {}
    lost: set[int] = set()
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            cards = Cards(connection)
            priced = [(request, _attempt_usd(row, cards)) for request, row in _attempts(connection, request_ids)]
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
    for request, cost in priced:
        if cost is None:
            lost.add(request)
        else:
            found[request] = found.get(request, 0) + cost
    return {request: cost for request, cost in found.items() if request not in lost}


def _attempt_usd(row: Sequence[int | str], cards: Cards) -> Decimal | None:
    """Return what an attempt cost; None without a price, and for what was no attempt."""
    card, outcome, over, *counts = row
    known = cards.get(str(card))
    if known is None or outcome == rows.CACHED:
        return None
    usage = usage_of(*(int(count) for count in counts))
    return cost_usd(known, usage, attempts=1, failed=outcome == rows.FAILED, over_tokens=int(over))


def _attempts(
    connection: sqlite3.Connection, request_ids: Sequence[int]
) -> Iterable[tuple[int, tuple[int | str, ...]]]:
    for at in range(0, len(request_ids), _BATCH):
        part = request_ids[at : at + _BATCH]
        found = connection.execute(
            f"WITH asked(id) AS (VALUES {','.join(['(?)'] * len(part))}) "
            "SELECT asked.id, s.rate_card, s.outcome, s.over_tokens, a.input_tokens, a.cached_input_tokens, "
            "a.cache_write_tokens, a.output_tokens FROM asked CROSS JOIN attempt a "
            f"ON a.attempt_id BETWEEN asked.id AND asked.id + {_ATTEMPTS} JOIN series s ON s.id = a.series",
            part,
        )
        for request, *row in found:
            yield request, tuple(row)


def _names_of_targets(store: Path) -> dict[str, str]:
    """Return what each target of the ledger was last priced as, pools by their own name too."""
    try:
        with closing(connect(store, read_only=True, busy_s=10)) as connection:
            found = priced_targets(connection)
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error
    return {name: priced for target, priced in found.items() for name in (target, pool_of(target) or target)}


def _names_in_settings(config: Path) -> dict[str, str]:
    """Return what each target of the settings is priced as, where that is one name whatever model is asked for."""
    from breakeven.settings.parts import parts_of
    from breakeven.settings.prices import ANY, priced_as
    from breakeven.sources.yaml_file import need_mapping, read_yaml

    document = read_yaml(config)
    need_mapping(document, "settings are a mapping of keys to values")
    named = {name: priced_as(entry)[0] for name, entry in parts_of(document.data).targets.items()}
    return {name: priced for name, priced in named.items() if priced and not priced.endswith(f":{ANY}")}


def _by_model(name: str) -> str:
    """Return the ``provider:model`` that a model's bare name is taken for; empty where there is none."""
    from breakeven.sources import genai

    try:
        return genai.price_list(name).target
    except UnknownNameError:
        return ""


def _loaded_ratios(
    pools: AbstractSet[str], pairs: Sequence[Pair], place: LedgerPlace, config: Path | None
) -> tuple[dict[str, float], list[str]]:
    """Return by pool all it cost, idle hours too, over its cost by price, in the hours of the pairs that are over."""
    times = [pair.at_us / 1e6 for pair in pairs if pair.at_us]
    if not times or not place.store.is_file():
        return {}, []
    since = datetime.fromtimestamp(min(times) // _HOUR_S * _HOUR_S, UTC)
    try:
        found = query_costs(place, config, Question(by=("target",), since=since), ())
    except BreakevenError as error:  # no hour is over yet, say: then there is no whole cost, and that is told
        return {}, [f"No fully loaded cost: {error}"]
    served: dict[str, float] = defaultdict(float)
    for group in found.costs.groups:
        if group.labels[0] is not None and group.total.cost_usd is not None:
            served[pool_of(group.labels[0]) or ""] += float(group.total.cost_usd)
    ratios, notes = {}, []
    for pool in found.costs.pools:
        if pool.pool not in pools or not served[pool.pool]:
            continue
        ratios[pool.pool] = float(pool.bill_usd + pool.fixed_usd) / served[pool.pool]
        used = pool.utilisation_fraction
        busy = "" if used is None else f", which was {used:.0%} used"
        notes.append(f"Fully loaded, {pool.pool} bears its idle hours{busy}, and its people and infrastructure.")
    return ratios, notes
