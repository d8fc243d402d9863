"""Joins the ledger, declared pools and price lists to what was saved against each counterfactual."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.economics.counterfactual import BetterUse, TokenRatios
from breakeven.economics.pool_hours import is_pool_price, pool_price_list
from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.costs import Known
from breakeven.ledger.counterfactual import answered_at, first_prices
from breakeven.ledger.query import Question
from breakeven.ledger.token_ratios import measured_ratios
from breakeven.ledger.virtual import seen_hours
from breakeven.studies.proof.savings import PAID_BY, Savings, paid_lines, would_cost
from breakeven.wiring.clock import current_s
from breakeven.wiring.ledger import stored_lists, waiting_note
from breakeven.wiring.ledger_prices import cards_of
from breakeven.wiring.pools import closed_hours, declared_pools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from breakeven.catalog.rate_card import PriceList
    from breakeven.economics.pool_hours import PoolTerms
    from breakeven.studies.proof.savings import Counterfactual, PaidLine
    from breakeven.wiring.ledger import LedgerPlace

TODAY: Final = "today"
OPTIMISED: Final = "optimised"
_EPOCH_S: Final = 3600
_BETTER: Final = (
    "cacheable_input_fraction",
    "cache_reads_per_write_ratio",
    "history_trim_fraction",
    "output_trim_fraction",
    "batchable_fraction",
)
_TITLES: Final = {
    TODAY: "today's model: what each model's first requests were paid by, or as stated",
    OPTIMISED: "today's model used better: prompt cache and batch, at the catalogue's likely shares",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingsQuestion:
    """What to work out: aware moments on the hour, [since, until), and what is set against."""

    since: datetime | None = None
    until: datetime | None = None
    against: tuple[str, ...] = (TODAY, OPTIMISED)
    """``today``, ``optimised``, or a price list ``provider:model``."""

    today: tuple[tuple[str, str], ...] = ()
    """Model and its price list, where today's is another than what its first requests were paid by."""

    measured_tokens: bool = False
    """Whether counts are rescaled by ratios that shadow pairs measured, where there are enough."""


def savings(place: LedgerPlace, config: Path | None, question: SavingsQuestion, now_s: float | None = None) -> Savings:
    """Return what was saved against each counterfactual, in hours that are over.

    Pools are as settings declare them, else as the ledger last knew them.  Raises ``InputError`` for a wrong question,
    settings or ledger, ``UnknownNameError`` for a price list that nobody knows, ``MissingExtraError``.
    """
    now_s = current_s() if now_s is None else now_s
    declared = declared_pools(config)
    asked = Question(by=PAID_BY, since=question.since, until=question.until)
    closed = closed_hours(now_s)
    costs = ask_costs(place.store, asked, Known(closed_hours=closed, declared=declared))
    paid = paid_lines(costs)
    hours = (
        int(question.since.timestamp()) // _EPOCH_S if question.since else 0,
        int(costs.until.timestamp()) // _EPOCH_S,
    )
    prices = _Prices(place, config, declared)
    today = _today(place, question, prices)
    ratios = measured_ratios(place.store) if question.measured_tokens else {}
    found = tuple(_against(name, hours, today, prices, ratios) for name in dict.fromkeys(question.against))
    result = Savings(
        begins=question.since or _first(place, paid, costs.until),
        ends=costs.until,
        paid=paid,
        counterfactuals=found,
        unbilled_count=sum(group.unbilled_count for group in costs.groups),
    )
    unpriced = {item.pool for item in costs.pools if item.unpriced_s}
    notes = (*_notes(result, today, prices, unpriced), *_idle_words(result, question), *_token_notes(result, ratios))
    waiting = waiting_note(place)
    return replace(result, notes=(*notes, waiting) if waiting else notes)


class _Prices:
    """Price lists by name: rate cards of settings, pools' own, what the gateway knew, then the catalogue."""

    def __init__(self, place: LedgerPlace, config: Path | None, declared: Sequence[PoolTerms]) -> None:
        own = (pool_price_list(terms) for terms in declared)
        self.store = place.store
        self._cards = {item.target: item for item in stored_lists(place.store)}
        self._cards |= cards_of(config) if config is not None else {}
        self._cards |= {prices.target: prices for prices in own if prices is not None}
        self.used: dict[str, PriceList] = {}

    def find(self, name: str) -> PriceList | None:
        """Return a list by its name, and keep it; None for one that nobody knows."""
        from breakeven.settings.prices import named_price_list

        if name not in self.used:
            found = named_price_list(name, self._cards) if ":" in name else None
            if found is None:
                return None
            self.used[name] = found
        return self.used[name]

    def need(self, option: str, name: str) -> str:
        """Return the name of a list that is known.  Raises ``UnknownNameError`` for any other."""
        from breakeven.settings.prices import nearest_names

        if self.find(name) is None:
            if ":" not in name:
                raise UnknownNameError(
                    f"{option} {name[:80]}: it should be {TODAY}, {OPTIMISED} or a price list, PROVIDER:MODEL. "
                    f"{nearest_names(name, self._cards)}"
                )
            fix = "A pool's own needs gpu_time." if is_pool_price(name) else nearest_names(name, self._cards)
            raise UnknownNameError(f"{option} {name[:80]}: no price is known for it. {fix}")
        return name


def _today(place: LedgerPlace, question: SavingsQuestion, prices: _Prices) -> dict[str, str]:
    """Return by model the list that stands for today's; models without one are left out."""
    found = {model: name for model, name in first_prices(place.store).items() if prices.find(name) is not None}
    for model, name in question.today:
        found[model] = prices.need("--today", name)
    return found


def _against(
    name: str,
    hours: tuple[int, int],
    today: Mapping[str, str],
    prices: _Prices,
    ratios: Mapping[tuple[str, str], TokenRatios],
) -> Counterfactual:
    is_today = name in (TODAY, OPTIMISED)
    if not is_today:
        prices.need("--against", name)

    def lists_of(model: str) -> Sequence[str]:
        return (today.get(model, ""),) if is_today else (name,)

    answered = answered_at(prices.store, hours, lists_of, prices.used, CardSchedule(prices.used.values()))
    title = _TITLES.get(name, f"everything at {name}")
    as_they_are = TokenRatios()
    return would_cost(
        name,
        title,
        answered,
        ratios=lambda served_by, at: ratios.get((served_by, at), as_they_are),
        better=_better() if name == OPTIMISED else None,
    )


def _better() -> BetterUse:
    """Return how much better today's API could be used: the likely values of the catalogue."""
    from breakeven.sources.catalogue import load_book

    book = load_book()
    return BetterUse(**{key: Decimal(repr(float(book.assumptions[key].interval.likely))) for key in _BETTER})


def _first(place: LedgerPlace, paid: Sequence[PaidLine], until: datetime) -> datetime:
    """Return when the ledger begins: its first request, or the day on which a node was paid before it."""
    first, last = seen_hours(place.store)
    seen = datetime.fromtimestamp(first * _EPOCH_S, UTC) if last else until
    day = min((item.day for item in paid), default=seen.date())
    return min(seen, until) if day >= seen.date() else datetime(day.year, day.month, day.day, tzinfo=UTC)


def _notes(found: Savings, today: Mapping[str, str], prices: _Prices, unpriced: set[str]) -> Iterator[str]:
    if found.unbilled_count:
        yield (
            f"partial: {found.unbilled_count:,} attempts have no known price, or came to a pool in hours that nobody "
            "says were paid; what they cost is in no figure, so less was saved than is said."
        )
    for pool in sorted(unpriced):
        yield f"partial: some paid hours of {pool} have no price; its bill leaves them out."
    for item in found.counterfactuals:
        if item.unpriced_count:
            models = sorted({line.model or "(no model)" for line in item.lines if line.amount_usd is None})
            yield (
                f"{item.name}: {item.unpriced_count:,} requests have no price there, so nothing can be said of it as "
                f"a whole: {', '.join(models)}. {_fix(item.name, models, today)}"
            )
    committed = sorted(name for name, prices_ in prices.used.items() if prices_.committed_usd_per_month)
    if committed:
        yield f"What a commitment leaves unused is in no figure: {', '.join(committed)}."


def _idle_words(found: Savings, question: SavingsQuestion) -> Iterator[str]:
    """Yield what of the question came to nothing."""
    lines = [line for item in found.counterfactuals for line in item.lines]
    if not lines and not found.paid:
        yield f"Nothing was asked or paid in hours that are over, before {found.ends:%Y-%m-%dT%H:00Z}."
        return
    for model in sorted({model for model, _ in question.today} - {line.model for line in lines}):
        yield f"--today {model}: no request in these hours asked for that model."


def _token_notes(found: Savings, ratios: Mapping[tuple[str, str], TokenRatios]) -> Iterator[str]:
    served = {(line.served_by, line.prices) for item in found.counterfactuals for line in item.lines}
    elsewhere = {pair for pair in served if pair[0] != pair[1]}
    for by, at in sorted(elsewhere & ratios.keys()):
        known = ratios[by, at]
        yield (
            f"Measured on shadow pairs: {at} counts {known.input_ratio:f} times the input and answers with "
            f"{known.output_ratio:f} times the output of {by}."
        )
    if elsewhere - ratios.keys():
        yield (
            "Token counts are as they were counted where requests were answered; another model counts and answers "
            "otherwise."
        )


def _fix(name: str, models: Sequence[str], today: Mapping[str, str]) -> str:
    missing = [model for model in models if model not in today]
    if name in (TODAY, OPTIMISED) and missing:
        return f"Say what today's is: --today {missing[0]}=PROVIDER:MODEL."
    return "Add a rate card that covers those days."


def today_of(text: str) -> tuple[str, str]:
    """Return model and list of ``MODEL=PROVIDER:MODEL``.  Raises ``InputError``."""
    model, sign, name = text.partition("=")
    if not sign or not model or ":" not in name:
        raise InputError(f"--today {text!r} should read MODEL=PROVIDER:MODEL, such as --today fast=openai:gpt-4o.")
    return model, name
