"""Shares and spend by task, what a table allows a smaller target, and what that saves: from sums alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from breakeven.routing.task_table import LEAST_PAIRS
from breakeven.studies.audit.result import Audit, AuditRow
from breakeven.studies.verdict.token_price import price_traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.catalog.rate_card import PriceList
    from breakeven.records import PriceCell
    from breakeven.routing.task_table import TaskRow, TaskTable
    from breakeven.studies.verdict.token_price import PricingDay

EXPECTED_FRACTION: Final = 0.8
"""Seed 001: "80% of your API calls are for tasks a small 7B model could handle"."""

_LARGEST_SHARE: Final = 0.01
"""Tasks with a smaller share of requests are not worth pairs yet, unless they are all there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The requests of one task, or of one shape."""

    name: str
    cells: tuple[PriceCell, ...]

    @property
    def requests(self) -> int:
        """How many there are."""
        return sum(cell.requests for cell in self.cells)

    @property
    def tokens(self) -> int:
        """Their tokens, input and output."""
        return sum(cell.usage.total_tokens for cell in self.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What today's target and the smaller one charge, on which day, and how counts change between them."""

    today: PriceList
    smaller: PriceList | None
    day: PricingDay
    input_ratio: float
    """Input tokens of the smaller target for one of today's; likewise for output."""

    output_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What else is known of the log."""

    source: str
    grouped_by: str
    rows_lost: int
    span_days: float | None
    short_requests: int
    notes: tuple[str, ...] = ()


def audit(groups: Sequence[Group], observed: Observed, prices: Prices, table: TaskTable | None) -> Audit:
    """Return the shares, the spend, and what the table allows to the smaller target."""
    requests = sum(group.requests for group in groups)
    tokens = sum(group.tokens for group in groups)
    spent = [_usd(group.cells, prices.today, prices.day) for group in groups]
    total_usd = sum(usd for usd, _ in spent)
    known = {row.task: row for row in table.rows} if table else {}
    rows = [
        _row(group, usd, known.get(group.name), prices, (requests, tokens, total_usd), measured=table is not None)
        for group, (usd, _) in zip(groups, spent, strict=True)
    ]
    rows.sort(key=lambda row: (-row.spend_usd, -row.requests, row.task))
    movable = [row for row in rows if row.allowed]
    priced = prices.smaller is not None
    saving = sum(row.spend_usd - (row.smaller_usd or 0.0) for row in movable) if table and priced else None
    if_all = sum(row.spend_usd - (row.smaller_usd or 0.0) for row in rows) if priced else None
    undecided = [row for row in rows if _is_undecided(row)] if observed.grouped_by != "shape" else []
    return Audit(
        source=observed.source,
        grouped_by=observed.grouped_by,
        requests=requests,
        rows_lost=observed.rows_lost,
        total_tokens=tokens,
        span_days=observed.span_days,
        today=prices.today.target,
        smaller=prices.smaller.target if prices.smaller else "",
        spend_usd=total_usd,
        partial=tuple(sorted({what for _, partial in spent for what in partial})),
        rows=tuple(rows),
        measured=table is not None,
        movable_requests_fraction=sum(row.requests for row in movable) / max(requests, 1) if table else None,
        movable_tokens_fraction=sum(row.tokens_fraction for row in movable) if table else None,
        saving_usd=saving,
        saving_fraction=saving / total_usd if saving is not None and total_usd else None,
        quality_fraction=_risk(movable, "difference_fraction") if table else None,
        quality_low_fraction=_risk(movable, "low_fraction") if table else None,
        expected_requests_fraction=EXPECTED_FRACTION,
        expected_saving_usd=None if if_all is None else EXPECTED_FRACTION * if_all,
        short_requests_fraction=observed.short_requests / max(requests, 1),
        undecided_tasks_count=len(undecided),
        needed_pairs_count=sum(max(LEAST_PAIRS - (row.pairs_count or 0), 1) for row in undecided),
        notes=observed.notes,
    )


def _usd(cells: Sequence[PriceCell], prices: PriceList, day: PricingDay) -> tuple[float, tuple[str, ...]]:
    """Return what cells cost, and what of it has no price."""
    found = price_traffic(cells, prices, day)
    usd = found.plain_input_usd + found.cached_input_usd + found.cache_write_usd + found.output_usd + found.requests_usd
    return usd, found.partial


def _smaller_usd(cells: Sequence[PriceCell], prices: Prices) -> float | None:
    if prices.smaller is None:
        return None
    found = price_traffic(cells, prices.smaller, prices.day)
    given = found.plain_input_usd + found.cached_input_usd + found.cache_write_usd
    return given * prices.input_ratio + found.output_usd * prices.output_ratio + found.requests_usd


def _row(
    group: Group,
    usd: float,
    found: TaskRow | None,
    prices: Prices,
    totals: tuple[int, int, float],
    *,
    measured: bool,
) -> AuditRow:
    requests, tokens, total_usd = totals
    return AuditRow(
        task=group.name,
        requests=group.requests,
        requests_fraction=group.requests / max(requests, 1),
        tokens_fraction=group.tokens / max(tokens, 1),
        spend_usd=usd,
        spend_fraction=usd / total_usd if total_usd else 0.0,
        smaller_usd=_smaller_usd(group.cells, prices),
        allowed=found.allowed if found else False if measured else None,
        difference_fraction=found.difference_fraction if found else None,
        low_fraction=found.low_fraction if found else None,
        pairs_count=found.pairs_count if found else None,
    )


def _is_undecided(row: AuditRow) -> bool:
    """Whether a task is worth pairs: it has a name, requests enough, and fewer pairs than decide anything."""
    return bool(row.task) and row.requests_fraction >= _LARGEST_SHARE and (row.pairs_count or 0) < LEAST_PAIRS


def _risk(movable: Sequence[AuditRow], name: str) -> float:
    return sum(row.requests_fraction * (getattr(row, name) or 0.0) for row in movable)
