"""Joins the ledger with the pools that settings declare, and with price lists that what was served is set against."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from breakeven.economics.pool_hours import is_pool_price, pool_price_list
from breakeven.errors import UnknownNameError
from breakeven.ledger.against import Against
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.costs import Costs, Known
from breakeven.ledger.labels import POOL
from breakeven.ledger.pools import rented_pools
from breakeven.wiring.clock import current_s
from breakeven.wiring.ledger import waiting_note
from breakeven.wiring.ledger_prices import cards_of
from breakeven.wiring.pools import closed_hours, declared_pools

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from breakeven.catalog.rate_card import PriceList
    from breakeven.economics.pool_hours import PaidNode, PoolTerms
    from breakeven.ledger.query import Question
    from breakeven.wiring.ledger import LedgerPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class CostsFound:
    """An answer, and what has to be told beside it."""

    costs: Costs
    has_idle: bool
    """Whether what pools had idle belongs to what was asked for: to all attempts of these pools, not to some."""

    notes: tuple[str, ...]


def query_costs(
    place: LedgerPlace,
    config: Path | None,
    question: Question,
    against: Sequence[str],
    now_s: float | None = None,
    *,
    so_far: bool = False,
) -> CostsFound:
    """Answer a question with all costs; pools are as settings declare them, else as the ledger last knew them.

    ``against`` are names of price lists, ``provider:model``.  ``so_far``: the hour that is not over counts as well, as
    if it ended now, without what was not moved from the spool yet.  Raises ``InputError`` for a wrong question,
    settings or ledger, ``UnknownNameError`` for a list that nobody knows, ``MissingExtraError`` where packages are
    missing.
    """
    now_s = current_s() if now_s is None else now_s
    declared = declared_pools(config)
    lists = _lists(against, config, declared)
    schedule = CardSchedule(lists.values())
    closed = closed_hours(now_s)
    if so_far:
        closed, declared = as_if_over(place, declared if config is not None else None, now_s)
    known = Known(closed_hours=closed, declared=declared, against=Against(lists, schedule) if lists else None)
    found = ask_costs(place.store, question, known)
    has_idle = all(label == POOL for label, _ in question.where)
    notes = (*_notes(found), *_whole(found, has_idle=has_idle), *schedule.take_warnings(), *_waiting(place))
    return CostsFound(costs=found, has_idle=has_idle, notes=notes)


def as_if_over(
    place: LedgerPlace, declared: Iterable[PoolTerms] | None, now_s: float
) -> tuple[int, tuple[PoolTerms, ...]]:
    """Return how many hours are over if this one is, and pools as if they were given up now.

    ``declared``: by the settings; None: there are none, and the ledger knows which pools are still rented.
    """
    there = rented_pools(place.store, closed_hours(now_s)) if declared is None else declared
    return int(now_s // 3600) + 1, tuple(given_up(terms, int(now_s * 1e6)) for terms in there)


def given_up(terms: PoolTerms, now_us: int) -> PoolTerms:
    """Return the terms of a pool as if all its nodes were given up at a moment.

    A node that begins later is still declared, for no time at all: it is none that was there before.
    """

    def until_us(node: PaidNode) -> int:
        ends_us = now_us if node.until_us is None else min(node.until_us, now_us)
        return max(ends_us, node.since_us)

    return replace(terms, nodes=tuple(replace(node, until_us=until_us(node)) for node in terms.nodes))


def _lists(names: Iterable[str], config: Path | None, declared: Iterable[PoolTerms]) -> dict[str, PriceList]:
    """Return price lists by the names under which they are asked for: rate cards before the catalogue."""
    from breakeven.settings.prices import named_price_list, nearest_names

    names = tuple(names)
    if not names:
        return {}
    cards = cards_of(config) if config is not None else {}
    own = (pool_price_list(terms) for terms in declared)
    cards |= {prices.target: prices for prices in own if prices is not None}
    found: dict[str, PriceList] = {}
    for name in names:
        prices = named_price_list(name, cards) if ":" in name else None
        if prices is None:
            what = "no price is known for it" if ":" in name else "it should read provider:model"
            fix = "A pool's own needs gpu_time." if is_pool_price(name) else nearest_names(name, cards)
            raise UnknownNameError(f"--against {name[:80]}: {what}. {fix}")
        found[prices.target] = prices
    return found


def _notes(found: Costs) -> Iterable[str]:
    unbilled = sum(group.unbilled_count for group in found.groups)
    if unbilled:
        yield (
            f"partial: {unbilled:,} attempts have no known price, or came to a pool in hours that nobody says were "
            "paid; their cost is in no figure."
        )
    for pool in {item.pool: None for item in found.pools if item.unpriced_s}:
        hours = sum(item.unpriced_s for item in found.pools if item.pool == pool) / 3600
        yield f"partial: {hours:,.2f} node-hours of {pool} have no price; its bill leaves them out."
    for pool, basis in {item.pool: item.basis for item in found.pools}.items():
        yield f"GPU time of {pool}: {basis}."


def _whole(found: Costs, *, has_idle: bool) -> Iterable[str]:
    if found.pools and not has_idle:
        yield "Pools are shown whole, whoever was served: what they had idle is no part of the attempts chosen here."


def _waiting(place: LedgerPlace) -> Iterable[str]:
    note = waiting_note(place)
    return (note,) if note else ()
