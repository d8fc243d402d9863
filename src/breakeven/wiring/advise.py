"""Joins the ledger, settings and catalogue into advice, and keeps in the store what was advised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from breakeven.economics.pool_hours import NodePrices
from breakeven.errors import BreakevenError, InputError
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.costs import Known
from breakeven.ledger.counterfactual import EVALUATION
from breakeven.ledger.notices import StoredNotice, keep_notices, read_notices
from breakeven.ledger.query import Question
from breakeven.studies.advice import KINDS, Advice, Edges, Given, Nodes, PoolHours, follow
from breakeven.studies.advice.nodes import most_seconds
from breakeven.studies.advice.rules import Offer, PoolSeen, of_hardware, of_nodes, of_offers, of_outlook, of_tasks
from breakeven.wiring.advise_hardware import hardware_offers, same_nodes_elsewhere
from breakeven.wiring.clock import current_s
from breakeven.wiring.ledger import waiting_note
from breakeven.wiring.pools import closed_hours, declared_entries, declared_pools

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from breakeven.economics.pool_hours import PoolTerms
    from breakeven.ledger.costs import GroupCost
    from breakeven.quantities import Array
    from breakeven.settings.pools import PoolEntry
    from breakeven.studies.proof.outlook import Outlook
    from breakeven.wiring.ledger import LedgerPlace

_HOUR_S: Final = 3600
_DAY_HOURS: Final = 24
_PS_PER_S: Final = 1e12
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """All advice as it stands, and what has to be told beside it."""

    given: tuple[Given, ...]
    """What is given first, what saves most before what saves less; then what is withdrawn."""

    weighed: tuple[Advice, ...]
    """Everything that was looked at, worth saying or not."""

    paid_usd_per_month: float
    least_usd_per_month: float
    begins: datetime
    ends: datetime
    notes: tuple[str, ...]


def advise(
    place: LedgerPlace,
    config: Path | None,
    *,
    days: int = 28,
    edges: Edges | None = None,
    today: tuple[tuple[str, str], ...] = (),
    keeps: bool = True,
    now_s: float | None = None,
) -> Advised:
    """Return what to do, from the last whole days, and keep it in the store unless ``keeps`` is false.

    ``today``: models with their price lists, where today's are others than what their first requests were paid by.
    Raises ``InputError`` for settings or a ledger that cannot be used and where no whole day is over,
    ``MissingExtraError`` for packages that are missing.
    """
    from breakeven.wiring.proof_outlook import OutlookQuestion, outlook

    now_s, edges = current_s() if now_s is None else now_s, edges or Edges()
    ahead = outlook(place, config, OutlookQuestion(today=today), now_s)
    ends = datetime(ahead.today.year, ahead.today.month, ahead.today.day, tzinfo=UTC)
    begins = ends - timedelta(days=min(days, ahead.known_days))
    known = Known(closed_hours=closed_hours(now_s), declared=declared_pools(config))
    notes: list[str] = []
    asked = Question(by=("hour", "model", "pool", "decision"), since=begins, until=ends)
    costs = ask_costs(place.store, asked, known)
    paid = sum(group.loaded_usd for group in costs.groups) + sum(p.idle_usd + p.idle_fixed_usd for p in costs.pools)
    paid_usd = float(paid) * 30.4 / max((ends - begins).days, 1)
    entries = declared_entries(config) if config is not None else {}
    said = _Said(entries, _batches(config), now_s, notes)
    pools = tuple(_pools(known.declared, costs.groups, (begins, ends), ahead, said))
    found = [*of_outlook(ahead.pools)]
    for pool in pools:
        found += of_nodes(pool)
        found += _of_hardware(pool, entries, notes)
    found += of_offers(_offers(pools, entries))
    found += _of_tasks(place, config, (begins, ends), now_s, notes)
    given = follow(_stored(place.store), found, edges, paid_usd, now_s)
    if keeps:
        keep_notices(place.store, map(_row, given))
    notes += [*ahead.notes, *([note] if (note := waiting_note(place)) and note not in ahead.notes else [])]
    return Advised(
        given=given,
        weighed=tuple(found),
        paid_usd_per_month=paid_usd,
        least_usd_per_month=edges.least_usd(paid_usd),
        begins=begins,
        ends=ends,
        notes=tuple(dict.fromkeys(notes)),
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """What settings say beside pools' terms."""

    entries: Mapping[str, PoolEntry]
    serves_batches: bool
    now_s: float
    notes: list[str]


def _pools(
    terms: Iterable[PoolTerms],
    groups: Iterable[GroupCost],
    bounds: tuple[datetime, datetime],
    ahead: Outlook,
    said: _Said,
) -> Iterator[PoolSeen]:
    """Yield the pools of which it is known what tokens take, and what they cost at the API."""
    groups = list(groups)
    prices = {item.name: item.api_usd_per_mtok for item in ahead.pools if not item.is_virtual}
    utilisation, batchable = _assumed()
    for item in terms:
        usd_per_mtok = prices.get(item.name)
        count, usd_per_hour = _paid_now(item, said.now_s)
        if not count:
            continue
        hours, mtok = _hours(item, groups, bounds)
        seconds = float(hours.served_s.sum())
        if usd_per_mtok is None or item.gpu_time is None or usd_per_hour is None or not seconds:
            lacks = "what its tokens cost at the API (--today MODEL=PROVIDER:MODEL)"
            lacks = "usd_per_hour of its nodes" if usd_per_hour is None else lacks
            lacks = "gpu_time" if item.gpu_time is None else lacks if seconds else "a request that it served"
            said.notes.append(f"{item.name}: nothing is said of its nodes without {lacks}.")
            continue
        nodes = Nodes(
            count=count,
            usd_per_hour=usd_per_hour,
            fixed_usd_per_hour=float(item.fixed_usd_per_hour),
            further_usd_per_hour=float(item.further_node_usd_per_hour),
            api_usd_per_s=usd_per_mtok * mtok / seconds,
            hourly_most_s=most_seconds(hours, count, utilisation),
        )
        entry = said.entries.get(item.name)
        yield PoolSeen(
            name=item.name,
            hours=hours,
            nodes=nodes,
            batchable_fraction=batchable,
            serves_batches=said.serves_batches,
            has_schedule=entry is not None and entry.schedule is not None,
        )


def _hours(terms: PoolTerms, groups: Iterable[GroupCost], bounds: tuple[datetime, datetime]) -> tuple[PoolHours, float]:
    """Return a pool's node time hour by hour, with what the API answered beside it, and the Mtok that it served."""
    begins, ends = bounds
    hours = int((ends - begins) / timedelta(hours=1))
    served, overflow, tokens = np.zeros(hours), np.zeros(hours), 0
    groups = list(groups)
    models = {group.labels[1] for group in groups if group.labels[2] == terms.name}
    for group in groups:
        hour, model, pool, decision = group.labels
        if decision in EVALUATION or model not in models:
            continue
        at = int((datetime.fromisoformat(hour or "") - begins) / timedelta(hours=1))
        usage = group.total.usage
        if pool == terms.name:
            served[at] += group.gpu_s
            tokens += usage.total_tokens
        elif pool is None and terms.gpu_time is not None:
            counts = (
                usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens, usage.output_tokens,
            )  # fmt: skip
            overflow[at] += terms.gpu_time.work([counts])[0] / _PS_PER_S
    return PoolHours(_by_day(served), _by_day(overflow)), tokens / 1e6


def _by_day(hours: Array) -> Array:
    return hours.reshape(-1, _DAY_HOURS)


def _paid_now(terms: PoolTerms, now_s: float) -> tuple[int, float | None]:
    """Return how many nodes are paid now, and what one costs an hour; None where a price is missing."""
    now_us = int(now_s * 1e6)
    paid = [node for node in terms.nodes if node.since_us <= now_us < (node.until_us or now_us + 1)]
    prices = NodePrices(terms.prices)
    each = [price for node in paid for _, price in prices.between(node.name, now_us, now_us + 1)]
    known = [float(price) for price in each if price is not None]
    return len(paid), sum(known) / len(known) if known and len(known) == len(each) else None


def _assumed() -> tuple[float, float]:
    """Return the utilisation that nodes may have, and the share of requests that can wait."""
    from breakeven.sources.catalogue import load_book

    known = load_book().assumptions
    return known["target_utilisation_fraction"].interval.likely, known["batchable_fraction"].interval.likely


def _batches(config: Path | None) -> bool:
    """Whether settings serve batches."""
    if config is None:
        return False
    from breakeven.settings.parts import parts_of
    from breakeven.sources.yaml_file import need_mapping, read_yaml

    document = read_yaml(config)
    need_mapping(document, "settings are a mapping of keys to values")
    return parts_of(document.data).batches is not None


def _of_hardware(pool: PoolSeen, entries: Mapping[str, PoolEntry], notes: list[str]) -> Iterator[Advice]:
    entry = entries.get(pool.name)
    if entry is None or entry.runs is None or entry.hardware is None:
        notes.append(f"{pool.name}: other GPUs are compared where settings say runs: and hardware:.")
        return
    try:
        yield from of_hardware(pool, tuple(hardware_offers(entry)))
    except BreakevenError as error:
        notes.append(f"{pool.name}: other GPUs cannot be compared: {error}")


def _offers(pools: Iterable[PoolSeen], entries: Mapping[str, PoolEntry]) -> Iterator[Offer]:
    for pool in pools:
        entry = entries.get(pool.name)
        if entry is not None and entry.hardware is not None:
            yield from same_nodes_elsewhere(pool.name, entry, pool.nodes.count, pool.nodes.usd_per_hour)


def _of_tasks(
    place: LedgerPlace, config: Path | None, bounds: tuple[datetime, datetime], now_s: float, notes: list[str]
) -> Iterator[Advice]:
    from breakeven.studies.outcomes import Asked
    from breakeven.wiring.outcome_costs import query_outcome_costs

    question = Question(since=bounds[0], until=bounds[1])
    try:
        found = query_outcome_costs(place, config, question, Asked(by=("task", "target")), now_s=now_s)
    except InputError as error:
        notes.append(f"Tasks cannot be compared: {error}")
        return
    if not any(group.success_count for group in found.groups):
        notes.append("Tasks are compared by what a success costs, and no outcome is known (breakeven outcomes).")
    yield from of_tasks(found.groups, (bounds[1] - bounds[0]) / timedelta(days=1))


def _stored(store: Path) -> tuple[Given, ...]:
    return tuple(msgspec.json.decode(row.detail, type=Given) for row in read_notices(store, KINDS))


def _row(given: Given) -> StoredNotice:
    detail = msgspec.json.encode(given).decode()
    return StoredNotice(given.advice.kind, given.advice.subject, given.state, given.since_s, given.since_s, detail)
