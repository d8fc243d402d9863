"""Cost reports: what a provider charged by day and line item, in money and without tokens.

They are no traffic, and ``read`` sets them beside it: the sum of a report that covers the traffic's time is what
was paid for it.  Read are OpenAI's ``GET /v1/organization/costs`` (and the dashboard's export of it as CSV) and
Anthropic's ``GET /v1/organizations/cost_report``, whose amounts are in cents and leave out the priority tier.
Sources: https://platform.openai.com/docs/api-reference/usage/costs_object and
https://platform.claude.com/docs/en/api/admin/cost_report.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError, Problem
from breakeven.traffic.faults import many
from breakeven.traffic.readers.buckets import Result, Shape, bounds, first_results, instant_s, is_flat, read_results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.traffic.head import Head

LISTED_ITEMS: Final = 5
LISTED_ENTRIES: Final = 20

OPENAI: Final = Shape(start="start_time", end="end_time", result_fields=frozenset({"amount_value", "line_item"}))
ANTHROPIC: Final = Shape(start="starting_at", end="ending_at", result_fields=frozenset({"amount", "currency"}))
_WANTED: Final = {
    "OpenAI": "GET /v1/organization/usage/completions, grouped by model",
    "Anthropic": "GET /v1/organizations/usage_report/messages, grouped by model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Money charged for one line item in one bucket; ``amount_usd`` is 0 for a bucket without charges."""

    start: datetime
    end: datetime
    item: str
    amount_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """A provider's account of what was paid."""

    file: str
    provider: str
    costs: tuple[Cost, ...]

    @property
    def start(self) -> datetime:
        """Where the first bucket begins."""
        return min(cost.start for cost in self.costs)

    @property
    def end(self) -> datetime:
        """Where the last bucket ends."""
        return max(cost.end for cost in self.costs)

    def paid_usd(self, start: datetime, end: datetime) -> Decimal:
        """Return what was charged in the buckets that touch the time from ``start`` to ``end``."""
        return sum((cost.amount_usd for cost in self.costs if cost.start < end and cost.end > start), Decimal(0))

    def told(self) -> str:
        """Say in a sentence what it holds."""
        by_item: dict[str, Decimal] = defaultdict(Decimal)
        for cost in self.costs:
            by_item[cost.item] += cost.amount_usd
        dearest = sorted(by_item.items(), key=lambda entry: -entry[1])[:LISTED_ITEMS]
        items = ", ".join(f"{item} {amount:,.2f}" for item, amount in dearest if amount)
        days = {cost.start for cost in self.costs}
        return (
            f"{self.file} is a cost report of {self.provider}: {sum(by_item.values()):,.2f} USD in "
            f"{many(len(days), 'bucket')} from {self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"
            + (f" ({items})" if items else "")
        )

    def alone(self) -> InputError:
        """Return the error to raise where no traffic was given beside the report."""
        return InputError(
            f"{self.told()}. It holds money and no tokens, so no other price can be worked out from it. Give the usage "
            f"of the same time beside it ({_WANTED[self.provider]}); what was paid then stands beside what is "
            "computed."
        )


def read_costs(head: Head) -> CostReport | None:
    """Return the cost report in a file, or None where it is something else.

    Raises ``InputError`` with every entry that cannot be read: a sum that lacks some would pass for the whole.
    """
    provider, shape = _format(head)
    if shape is None:
        return None
    costs, problems = [], []
    for result in read_results(head, shape):
        if result.more is not None:
            continue  # pages that are missing show as time that the report does not cover
        cost, wrong = _cost(result, provider)
        if cost:
            costs.append(cost)
        else:
            problems.append(Problem(where=f"{head.file}:{result.place}", what=f"{wrong}."))
    if problems or not costs:
        raise InputError(
            f"{head.file}: {len(problems):,} of the {len(costs) + len(problems):,} entries of this cost report of "
            f"{provider} cannot be read; a sum without them would pass for all that was paid. Export it again.",
            tuple(problems[:LISTED_ENTRIES]),
        )
    return CostReport(file=head.file, provider=provider, costs=tuple(costs))


def check_distinct(reports: Sequence[CostReport]) -> None:
    """Raise where two files of one provider hold the same bucket: its money would count twice."""
    seen: dict[tuple[str, datetime], str] = {}
    for report in reports:
        for start in {cost.start for cost in report.costs}:
            other = seen.setdefault((report.provider, start), report.file)
            if other != report.file:
                raise InputError(
                    f"{other} and {report.file} both hold what {report.provider} charged from {start:%Y-%m-%d %H:%M} "
                    "on, which would count twice. Give each day once."
                )


def _format(head: Head) -> tuple[str, Shape | None]:
    if is_flat(head, OPENAI):
        return "OpenAI", OPENAI
    for provider, shape in (("OpenAI", OPENAI), ("Anthropic", ANTHROPIC)):
        found = [result for result in first_results(head, shape) if result.content and result.start is not None]
        if any(_amount(result.content or {})[0] is not None for result in found):
            return provider, shape
    return "", None


def _amount(content: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return value and currency: nested, side by side, or flattened by the CSV export."""
    amount = content.get("amount", content.get("amount_value"))
    if isinstance(amount, dict):
        return amount.get("value"), amount.get("currency")
    return amount, content.get("currency", content.get("amount_currency"))


def _cost(result: Result, provider: str) -> tuple[Cost | None, str]:
    """Return the cost of a result, or what is wrong with it."""
    wrong = result.wrong or bounds(result)[1]
    if wrong:
        return None, wrong
    value, currency = _amount(result.content) if result.content else (0, "USD")
    if str(currency).upper() != "USD":
        return None, f"its amount is in {currency!r}, and only US dollars are understood"
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        return None, f"its amount is {value!r}, which is no number"
    content = result.content or {}
    item = content.get("line_item") or content.get("description") or content.get("model") or "not itemised"
    cents = provider == "Anthropic"
    return Cost(
        start=_time(result.start),
        end=_time(result.end),
        item=str(item),
        amount_usd=amount / 100 if cents else amount,
    ), ""


def _time(value: Any) -> datetime:
    return datetime.fromtimestamp(instant_s(value) or 0.0, UTC)
