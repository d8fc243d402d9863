"""Joins the ledger's days, pools real and virtual, and the catalogue's assumptions to what is ahead."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.economics.ahead import WEEK_DAYS
from breakeven.economics.allocation import usd_of
from breakeven.economics.forecast import MOST_DAYS, DailyPrior
from breakeven.economics.pool_hours import NodePrices, hour_bill, pool_hours
from breakeven.errors import InputError
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.costs import Known
from breakeven.ledger.pools import all_terms, stored_pools
from breakeven.ledger.query import Question
from breakeven.ledger.store import connect, trouble_of
from breakeven.ledger.virtual import seen_hours, stored_virtual_pools
from breakeven.studies.proof.outlook import (
    Chance,
    MonthFacts,
    Outlook,
    Payments,
    PoolDay,
    PoolFacts,
    month_bills,
    pool_outlook,
)
from breakeven.wiring.clock import current_s
from breakeven.wiring.ledger import waiting_note
from breakeven.wiring.pools import closed_hours, declared_entries, declared_pools
from breakeven.wiring.proof_savings import TODAY, SavingsQuestion, savings
from breakeven.wiring.virtual_hours import ask_virtual

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from breakeven.economics.pool_hours import PoolTerms
    from breakeven.ledger.costs import PoolCost
    from breakeven.studies.proof.savings import Counterfactual, Savings
    from breakeven.studies.virtual.report import VirtualAnswer
    from breakeven.wiring.ledger import LedgerPlace

AS_IS: Final = "as-it-is"
ALL_API: Final = "all-at-the-api"
_HOUR_S: Final = 3600
_HOUR_US: Final = 3_600_000_000
_TOKENS_PER_MTOK: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlookQuestion:
    """What to look ahead for."""

    budget_usd: Decimal | None = None
    """For the month, everything counted."""

    today: tuple[tuple[str, str], ...] = ()
    """Model and its price list, where today's is another than what its first requests were paid by."""


def outlook(place: LedgerPlace, config: Path | None, question: OutlookQuestion, now_s: float | None = None) -> Outlook:
    """Return the month's end and each pool's break-even, from whole days before today (UTC).

    Raises ``InputError`` for settings or a ledger that cannot be used, and where no whole day is over;
    ``UnknownNameError`` for a price list that nobody knows, ``MissingExtraError`` for packages that are missing.
    """
    now_s = current_s() if now_s is None else now_s
    today = datetime.fromtimestamp(closed_hours(now_s) * _HOUR_S, UTC).date()
    begins = _begins(place, today)
    month, ends = today.replace(day=1), (today.replace(day=1) + timedelta(days=31)).replace(day=1)
    asked = SavingsQuestion(
        since=_midnight(min(begins, month) if begins > month else begins),
        until=_midnight(today),
        against=(TODAY,),
        today=question.today,
    )
    found = savings(place, config, asked, now_s)
    (api,) = found.counterfactuals
    terms = _terms(place, config, closed_hours(now_s))
    days = [begins + timedelta(days=n) for n in range((today - begins).days)]
    facts = MonthFacts(
        today=today,
        ends=ends,
        payments=tuple(_payments(found, api, days, month, _scheduled_usd(terms, today, ends))),
        budget_usd=None if question.budget_usd is None else float(question.budget_usd),
    )
    chance = _chance()
    known = Known(closed_hours=closed_hours(now_s), declared=declared_pools(config))
    costs = ask_costs(place.store, Question(by=("day",), since=asked.since, until=asked.until), known)
    pools = [
        *(_pool_facts(item, api, costs.pools, days, now_s) for item in terms if _paid_now(item, now_s)),
        *_virtual_facts(place, config, today, now_s),
    ]
    return Outlook(
        today=today,
        month_ends=ends,
        left_days=(ends - today).days,
        known_days=len(days),
        bills=month_bills(facts, chance),
        budget_usd=facts.budget_usd,
        pools=tuple(pool_outlook(item, chance) for item in pools),
        notes=tuple(_notes(found, terms, place, now_s)),
    )


def _begins(place: LedgerPlace, today: date) -> date:
    """Return the first whole day that counts.  Raises ``InputError`` where there is none."""
    first, last = seen_hours(place.store)
    begins = (datetime.fromtimestamp(first * _HOUR_S + 86_399, UTC)).date() if last else today
    begins = max(begins, today - timedelta(days=MOST_DAYS))
    if begins >= today:
        raise InputError(
            "The ledger has no whole day (UTC) before today yet, and an outlook rests on days. Ask again tomorrow; "
            "breakeven ledger query says what is there so far."
        )
    return begins


def _payments(
    found: Savings, api: Counterfactual, days: Sequence[date], month: date, scheduled_usd: Decimal
) -> Iterator[Payments]:
    """Yield the ways to pay: as it is now, and everything at today's API."""
    traffic: dict[date, Decimal] = defaultdict(Decimal)
    for line in found.paid:
        if line.kind in ("api", "evaluation"):
            traffic[line.day] += line.amount_usd
    would: dict[date, Decimal] = defaultdict(Decimal)
    for item in api.lines:
        would[item.day] += item.amount_usd or Decimal(0)
    paid_usd = sum((line.amount_usd for line in found.paid if line.day >= month), Decimal(0))
    has_pools = bool(scheduled_usd) or any(line.kind in ("pool", "idle", "fixed") for line in found.paid)
    yield Payments(
        id=AS_IS,
        title="as it is now: API, pools and what goes with them" if has_pools else "as it is now",
        daily_usd=tuple(_as_now([float(traffic[day]) for day in days], [float(would[day]) for day in days])),
        so_far_usd=float(paid_usd),
        scheduled_usd=float(scheduled_usd),
    )
    if has_pools and api.would_usd is not None:
        yield Payments(
            id=ALL_API,
            title="everything at today's API",
            daily_usd=tuple(float(would[day]) for day in days),
            so_far_usd=float(sum((usd for day, usd in would.items() if day >= month), Decimal(0))),
            scheduled_usd=0.0,
        )


def _as_now(traffic_usd: Sequence[float], would_usd: Sequence[float]) -> Sequence[float]:
    """Return the days' API dollars as if requests had always gone where they went in the last week.

    Days that were served otherwise say how much traffic comes, and not what it costs now: so the whole traffic at
    today's API x the share of it that was paid to APIs lately.  Where nothing of that is known, the days as they were.
    """
    lately = sum(would_usd[-WEEK_DAYS:])
    if not lately:
        return traffic_usd
    share = sum(traffic_usd[-WEEK_DAYS:]) / lately
    return [share * usd for usd in would_usd]


def _scheduled_usd(terms: Sequence[PoolTerms], today: date, ends: date) -> Decimal:
    """Return what pools cost from today to the month's end, as they are declared now."""
    total = 0
    for item in terms:
        prices = NodePrices(item.prices)
        for hour in range(*(int(_midnight(day).timestamp()) // _HOUR_S for day in (today, ends))):
            bill = hour_bill(item, prices, pool_hours(item, hour + 1, hour))
            total += bill.bill + bill.fixed
    return usd_of(total)


def _pool_facts(
    terms: PoolTerms, api: Counterfactual, costs: Sequence[PoolCost], days: Sequence[date], now_s: float
) -> PoolFacts:
    """Return a rented pool's days: what it served, of which models, and what that would have cost."""
    models = {line.model for line in api.lines if line.served_by == terms.name}
    served: dict[date, float] = defaultdict(float)
    watched: dict[date, float] = defaultdict(float)
    would: dict[date, float] = defaultdict(float)
    for line in api.lines:
        mtok = (line.input_tokens + line.output_tokens) / _TOKENS_PER_MTOK
        if line.model in models and not line.from_memory:
            watched[line.day] += mtok
        if line.served_by == terms.name and not line.from_memory and line.amount_usd is not None:
            served[line.day] += mtok
            would[line.day] += float(line.amount_usd)
    own = {date.fromisoformat(item.time): item for item in costs if item.pool == terms.name}
    since = min((node.since_us for node in terms.nodes), default=0) / 1e6
    whole = [day for day in days if _midnight(day).timestamp() >= since]
    return _facts(
        terms,
        now_s,
        is_virtual=False,
        days=[
            PoolDay(
                day=day,
                served_mtok=served[day],
                watched_mtok=watched[day],
                would_usd=would[day],
                node_seconds=own[day].gpu_s if day in own and not own[day].unmeasured_hours else None,
            )
            for day in whole
        ],
    )


def _virtual_facts(place: LedgerPlace, config: Path | None, today: date, now_s: float) -> Iterator[PoolFacts]:
    """Yield virtual pools as the ledger has their hours, whole days alone; none that settings have no longer."""
    if not stored_virtual_pools(place.store) and config is None:
        return
    declared = None if config is None else {name for name, pool in declared_entries(config).items() if pool.virtual}
    for answer, _ in ask_virtual(place, config, (None, None), "day", now_s).answers:
        if declared is not None and answer.terms.name not in declared:
            continue
        yield _facts(answer.terms, now_s, is_virtual=True, days=list(_virtual_days(answer, today)))


def _virtual_days(answer: VirtualAnswer, today: date) -> Iterator[PoolDay]:
    for cost in answer.groups:
        day = date.fromisoformat(cost.time)
        if cost.hours < 24 or day >= today:
            continue
        served_mtok = cost.served.total_tokens / _TOKENS_PER_MTOK
        # What it left to the API is known by requests and dollars; its tokens are taken for those of what it served.
        share = cost.served_fraction or 1.0
        yield PoolDay(
            day=day,
            served_mtok=served_mtok,
            watched_mtok=served_mtok / share,
            would_usd=float(cost.avoided_usd),
            node_seconds=float(cost.used_s),
        )


def _facts(terms: PoolTerms, now_s: float, *, is_virtual: bool, days: Sequence[PoolDay]) -> PoolFacts:
    now_us = int(now_s * 1e6)
    paid = [node for node in terms.nodes if node.since_us <= now_us < (node.until_us or now_us + 1)]
    prices = NodePrices(terms.prices)
    each = [price for node in paid for _, price in prices.between(node.name, now_us, now_us + 1)]
    known = [price for price in each if price is not None]
    return PoolFacts(
        name=terms.name,
        is_virtual=is_virtual,
        nodes_count=len(paid),
        node_usd_per_hour=float(sum(known, Decimal(0)) / len(known)) if known else 0.0,
        fixed_usd_per_hour=float(terms.fixed_usd_per_hour),
        further_node_usd_per_hour=float(terms.further_node_usd_per_hour),
        days=tuple(days),
    )


def _paid_now(terms: PoolTerms, now_s: float) -> bool:
    now_us = now_s * 1e6
    return any(node.since_us <= now_us < (node.until_us or now_us + 1) for node in terms.nodes)


def _terms(place: LedgerPlace, config: Path | None, closed: int) -> tuple[PoolTerms, ...]:
    """Return the pools that are rented: as settings declare them, else as the ledger last knew them."""
    try:
        with closing(connect(place.store, read_only=True, busy_s=10)) as connection:
            stored = stored_pools(connection)
    except sqlite3.Error as error:
        raise InputError(trouble_of(place.store, error)) from error
    return tuple(item for _, item in sorted(all_terms(stored, declared_pools(config), closed).items()))


def _chance() -> Chance:
    from breakeven.sources.catalogue import load_book

    known = load_book().assumptions
    prior = DailyPrior.of(known["mean_to_observed_days_ratio"].interval, known["traffic_growth_per_month"].interval)
    return Chance(prior=prior, utilisation_fraction=known["target_utilisation_fraction"].interval.likely)


def _notes(found: Savings, terms: Sequence[PoolTerms], place: LedgerPlace, now_s: float) -> Iterator[str]:
    if found.is_partial:
        yield (
            f"partial: {found.unbilled_count:,} attempts have no known price, or came to a pool in hours that nobody "
            "says were paid; what they cost is in no figure."
        )
    yield from (note for note in found.notes if note.startswith(f"{TODAY}:"))
    now_us = int(now_s * 1e6)
    for item in terms:
        prices = NodePrices(item.prices)
        unpriced = [
            node.name
            for node in item.nodes
            if node.since_us <= now_us < (node.until_us or now_us + 1)
            and any(price is None for _, price in prices.between(node.name, now_us, now_us + 1))
        ]
        if unpriced:
            yield f"partial: {', '.join(unpriced)} of {item.name} have no price now (usd_per_hour)."
    note = waiting_note(place)
    if note:
        yield note


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
