"""Whether figures of the ledger are something to be told of, each with the words and numbers that say why.

A condition has a side: bad, good, or between, where it stays what it was.  The two edges lie apart, so that a figure
that hovers at one of them does not come and go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import hypot
from typing import TYPE_CHECKING, Final, Literal, get_args

from breakeven.economics.outcome_costs import wilson_ends

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from decimal import Decimal

Kind = Literal["budget", "utilisation", "break_even", "price_change", "errors", "quality", "unknown_price", "spooling"]
Severity = Literal["info", "warning", "critical"]
Side = Literal["bad", "between", "good"]
Figures = dict[str, str | float | int | None]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

FAST_BURN_RATIO: Final = 14.4
"""Of an error budget: two hours of it use up 4 % of what 30 days allow; as in Google's SRE workbook, chapter 5."""

SLOW_BURN_RATIO: Final = 6.0
"""Six hours of it use up 5 % of what 30 days allow."""

_Z: Final = 2.326
"""Of a normal distribution, one-sided 1 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that was looked at."""

    kind: Kind
    subject: str
    side: Side
    said: str
    """A sentence with figures: what is so."""

    todo: str = ""
    """What to do about it."""

    severity: Severity = "warning"
    figures: Figures = field(default_factory=dict)
    is_event: bool = False
    """It happened, and is not told as over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUsed:
    """A budget and what is used of it."""

    whose: str
    """``key search``, ``team ml``, ``everything``."""

    window: Literal["day", "month"]
    budget_usd: Decimal
    used_usd: Decimal


def of_budgets(budgets: Iterable[BudgetUsed], share_fraction: float) -> Iterator[Condition]:
    """Yield, of each budget, whether that share of it is used, and whether all of it is.

    It is good again below nine tenths of either edge; a new day or month brings it there.
    """
    for item in budgets:
        used = float(item.used_usd / item.budget_usd)
        figures: Figures = {
            "used_usd": f"{item.used_usd:f}", "budget_usd": f"{item.budget_usd:f}", "used_fraction": used,
        }  # fmt: skip
        said = f"{used:.0%} of the {item.window}'s budget of {item.whose} is used"
        said += f": {item.used_usd:,.2f} of {item.budget_usd:,.2f} USD."
        subject = f"{item.whose} a {item.window}"
        if share_fraction < 1:
            yield Condition(
                kind="budget", subject=f"{subject}: {share_fraction:.0%}", said=said, figures=figures,
                side=_side(used, share_fraction, 0.9 * share_fraction),
                todo="See what takes it: breakeven ledger query --by key,model,target.",
            )  # fmt: skip
        yield Condition(
            kind="budget", subject=f"{subject}: used", side=_side(used, 1.0, 0.9), said=said, figures=figures,
            todo="Raise the budget, or let its requests go where they cost less (policy: budget_downgrade).",
            severity="critical",
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """How much of a pool's paid time served somebody."""

    pool: str
    hours: int
    utilisation_fraction: float | None
    """None: nothing was paid, or GPU time is not known."""

    idle_usd: Decimal


def of_utilisation(pools: Iterable[PoolUse], *, below_fraction: float, back_fraction: float) -> Iterator[Condition]:
    """Yield whether each pool idles; one of which nothing is known stays what it was."""
    for item in pools:
        used = item.utilisation_fraction
        if used is None:
            yield Condition(kind="utilisation", subject=item.pool, side="between", said="Its use is not known.")
            continue
        side: Side = "bad" if used < below_fraction else "good" if used >= back_fraction else "between"
        yield Condition(
            kind="utilisation",
            subject=item.pool,
            side=side,
            said=f"The pool {item.pool} served somebody in {used:.0%} of the time that was paid in the last "
            f"{item.hours} h; {item.idle_usd:,.2f} USD were paid for nothing.",
            todo="Give it more traffic or batches, fewer nodes, or hours in which it is down: breakeven advise.",
            figures={"utilisation_fraction": used, "idle_usd": f"{item.idle_usd:f}", "hours": item.hours},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolBalance:
    """What a pool costs, and what the same requests cost at an API, over some days."""

    pool: str
    is_virtual: bool
    days: float
    api_usd: Decimal
    pool_usd: Decimal
    """Everything, idle time and fixed lines included."""

    against: str = "the API"


def of_break_even(pools: Iterable[PoolBalance], margin_fraction: float) -> Iterator[Condition]:
    """Yield whether a virtual pool would have paid, and whether a real one does not.

    A pool is on one side when it is there by that share of its cost; between, it stays what it was.
    """
    for item in pools:
        if not item.pool_usd:
            continue
        ahead = float((item.api_usd - item.pool_usd) / item.pool_usd)
        figures: Figures = {
            "api_usd": f"{item.api_usd:f}", "pool_usd": f"{item.pool_usd:f}", "ahead_ratio": ahead, "days": item.days,
        }  # fmt: skip
        both = f"{item.pool_usd:,.2f} USD with everything, {item.against} {item.api_usd:,.2f} USD"
        if item.is_virtual:
            yield Condition(
                kind="break_even", subject=item.pool, severity="info", figures=figures,
                side=_side(ahead, margin_fraction, -margin_fraction),
                said=f"Over {item.days:.0f} days the virtual pool {item.pool} would have paid: {both}.",
                todo="Look at it by day, then rent: breakeven ledger virtual --by day.",
            )  # fmt: skip
        else:
            yield Condition(
                kind="break_even", subject=item.pool, figures=figures,
                side=_side(-ahead, margin_fraction, -margin_fraction),
                said=f"Over {item.days:.0f} days the pool {item.pool} did not pay: {both}.",
                todo="See why, and what else would do: breakeven advise, breakeven savings.",
            )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """Prices of one name that are others than a day ago, and what the same tokens cost by both."""

    priced_as: str
    processing: str
    before_usd: Decimal
    after_usd: Decimal


def of_prices(changes: Iterable[PriceChange], least_fraction: float) -> Iterator[Condition]:
    """Yield the changes that make a difference of so much; each happened, and is over by itself."""
    for item in changes:
        if not item.before_usd:
            continue
        more = float(item.after_usd / item.before_usd) - 1
        if abs(more) < least_fraction:
            continue
        how = "more" if more > 0 else "less"
        name = item.priced_as if item.processing == "standard" else f"{item.priced_as} ({item.processing})"
        yield Condition(
            kind="price_change", subject=name, side="bad", is_event=True, severity="info" if more < 0 else "warning",
            said=f"{name} costs {abs(more):.1%} {how} than a day ago, for the tokens of the last day.",
            todo="Plan again with the new price: breakeven plan, breakeven advise.",
            figures={"more_ratio": more, "before_usd": f"{item.before_usd:f}", "after_usd": f"{item.after_usd:f}"},
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCounts:
    """Requests of a model, and those of them that nobody answered, lately and over a longer while."""

    model: str
    lately: tuple[int, int]
    """In this hour and the one before: requests, and failed ones."""

    longer: tuple[int, int]
    """In this hour and the five before."""


def of_errors(counts: Iterable[ErrorCounts], *, objective_fraction: float, least_requests: int) -> Iterator[Condition]:
    """Yield how fast each model burns its error budget; good again where both rates are half of the edges."""
    for item in counts:
        allowed = 1 - objective_fraction
        burns = [failed / requests / allowed if requests else 0.0 for requests, failed in (item.lately, item.longer)]
        enough = [requests >= least_requests for requests, _ in (item.lately, item.longer)]
        edges = (FAST_BURN_RATIO, SLOW_BURN_RATIO)
        bad = any(many and burn >= edge for many, burn, edge in zip(enough, burns, edges, strict=True))
        good = all(burn < edge / 2 for burn, edge in zip(burns, edges, strict=True))
        requests, failed = item.longer
        yield Condition(
            kind="errors",
            subject=item.model,
            side="bad" if bad else "good" if good else "between",
            said=f"{failed:,} of {requests:,} requests for {item.model} in the last hours were answered by nobody "
            f"({failed / requests if requests else 0:.1%}, where {allowed:.1%} are allowed).",
            todo="See why: breakeven ledger query --by target,failure --where outcome=failed.",
            severity="critical" if enough[0] and burns[0] >= FAST_BURN_RATIO else "warning",
            figures={"burn_ratio": burns[0], "longer_burn_ratio": burns[1], "requests": requests, "failed": failed},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Requests of which it is known whether they did their job, and those that did: now, and before."""

    subject: str
    now: tuple[int, int]
    before: tuple[int, int]


def of_quality(found: Iterable[Quality], *, drop_fraction: float, least_outcomes: int) -> Iterator[Condition]:
    """Yield whether the share of successes has fallen by so much, and by more than chance explains (1 %, one-sided).

    Chance: Newcombe's interval of a difference of proportions, from Wilson's of each.  Good again at half the drop.
    """
    for item in found:
        if min(item.now[0], item.before[0]) < least_outcomes:
            yield Condition(kind="quality", subject=item.subject, side="between", said="Too few outcomes are known.")
            continue
        now, before = (good / count for count, good in (item.now, item.before))
        low, high = wilson_ends(item.before[1], item.before[0], _Z)[0], wilson_ends(item.now[1], item.now[0], _Z)[1]
        least_drop = (before - now) - hypot(before - low, high - now)
        drop = before - now
        bad = drop >= drop_fraction and least_drop > 0
        yield Condition(
            kind="quality",
            subject=item.subject,
            side="bad" if bad else "good" if drop < drop_fraction / 2 else "between",
            said=f"{now:.1%} of {item.now[0]:,} requests of {item.subject} did their job, where {before:.1%} of "
            f"{item.before[0]:,} did before.",
            todo="Compare targets: breakeven outcomes cost --by task,target, breakeven shadow report.",
            figures={"now_fraction": now, "before_fraction": before, "least_drop_fraction": least_drop},
        )


def of_unknown_prices(counts: Mapping[str, int], hours: int) -> Iterator[Condition]:
    """Yield the names of prices, or targets, whose attempts have no known price, with how many they are."""
    for subject, attempts in counts.items():
        yield Condition(
            kind="unknown_price", subject=subject, side="bad" if attempts else "good",
            said=f"{attempts:,} attempts at {subject} in the last {hours} h have no known price: they are in no cost "
            "and count for no budget.",
            todo="Add a rate card, or models: unknown_price: refuse; then breakeven ledger reprice.",
            figures={"attempts": attempts, "hours": hours},
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooling:
    """Rows that are not in the store."""

    looks_bytes: tuple[int, ...]
    """What waited in the spool at the last looks, the newest last."""

    memory_count: int
    dropped_count: int
    """Since the look before."""


def of_spooling(item: Spooling, waiting_bytes: int) -> Iterator[Condition]:
    """Yield whether rows pile up: in the spool at two looks in a row, in memory, or not at all any more."""
    last = item.looks_bytes[-2:]
    piled = len(last) == 2 and min(last) >= waiting_bytes
    bad = piled or item.memory_count > 0 or item.dropped_count > 0
    good = not bad and last[-1] < waiting_bytes / 2
    dropped = f", {item.dropped_count:,} were given up" if item.dropped_count else ""
    yield Condition(
        kind="spooling",
        subject="ledger",
        side="bad" if bad else "good" if good else "between",
        said=f"Rows do not come into the ledger's store: {last[-1]:,} bytes wait in the spool, "
        f"{item.memory_count:,} rows in memory{dropped}.",
        todo="Look at the gateway's log, and whether the disk is full.",
        severity="critical",
        figures={"spool_bytes": last[-1], "memory_rows": item.memory_count, "dropped_rows": item.dropped_count},
    )


def _side(value: float, bad_from: float, good_below: float) -> Side:
    """Return bad from one edge on, good below the other one."""
    if value >= bad_from:
        return "bad"
    return "good" if value < good_below else "between"
