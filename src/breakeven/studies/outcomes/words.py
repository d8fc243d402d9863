"""What has to be told beside the figures: what is unknown, left out, too young, or compared with care."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from breakeven.ledger.costs import Costs
    from breakeven.studies.outcomes.result import OutcomeCost, Rivals
    from breakeven.studies.outcomes.said import Outcomes

FEW_COUNT: Final = 30
"""Fewer known outcomes than this make an interval rough."""

_SHOWN: Final = 5


def notes_of(
    groups: Sequence[OutcomeCost], costs: Costs, outcomes: Outcomes, mature_before: datetime
) -> tuple[str, ...]:
    """Return the notes, most important first."""
    return (*_of_money(groups, costs), *_of_words(groups, outcomes, mature_before))


def rivals_text(rivals: Rivals) -> str:
    """Say at which price of a failure the cheaper of two stops being cheaper."""
    names = f"{rivals.cheaper} beside {rivals.dearer}"
    where = ", ".join(label for label in rivals.labels if label)
    names = f"{where}: {names}" if where else names
    price = rivals.price
    if price is None:
        return f"{names}: cheaper; whether it succeeds as often is not known."
    if price.low_usd is None:
        return f"{names}: cheaper and better; no price of a failure makes it dearer."
    low, high = usd_text(price.low_usd), None if price.high_usd is None else usd_text(price.high_usd)
    if price.low_usd == 0 and price.high_usd is None:
        return f"{names}: cheaper so far, but neither its cost nor its success is told apart from the other's (95 %)."
    if price.likely_usd is None:
        return f"{names}: cheaper and no worse so far; it may still cost more from {low} a failure on (95 %)."
    reach = (
        f"95 %: {low} to {high}" if high else f"95 %: from {low}, without an upper end, for they may be equally good"
    )
    return f"{names}: cheaper while a failure costs less than {usd_text(price.likely_usd)} ({reach})."


def usd_text(value: float) -> str:
    """Write dollars with as many digits as tell small amounts apart."""
    if not value:
        return "0 USD"
    if abs(value) < 0.01:
        return f"{value:.3g} USD" if abs(value) >= 1e-4 else f"{value:.2e} USD"
    return f"{value:,.4f} USD" if abs(value) < 1 else f"{value:,.2f} USD"


def _of_money(groups: Sequence[OutcomeCost], costs: Costs) -> Iterator[str]:
    unbilled = sum(group.unbilled_count for group in costs.groups)
    if unbilled:
        yield (
            f"partial: {unbilled:,} attempts have no known price, or came to a pool in hours that nobody says were "
            "paid; their cost is in no figure."
        )
    minutes = sum(group.human_minutes for group in groups)
    if minutes and any(group.human_usd is None for group in groups):
        yield f"partial: {minutes:,} minutes of people's work have no rate. Give --human-usd-per-hour."


def _of_words(groups: Sequence[OutcomeCost], outcomes: Outcomes, mature_before: datetime) -> Iterator[str]:
    known = sum(group.success_count + group.failure_count for group in groups)
    unknown = sum(group.unknown_count for group in groups)
    young = sum(group.young_count for group in groups)
    if not outcomes.said_count:
        yield (
            "No outcome was ever said here, so only requests that no target answered are known to have failed. Say "
            "them over HTTP (POST /breakeven/v1/outcomes), or import them: breakeven outcomes import."
        )
    elif unknown:
        yield f"unknown: {unknown:,} of {known + unknown:,}; taken to succeed as often as the known, and bounded."
    if 0 < known < FEW_COUNT:
        yield f"few: {known:,} known outcomes; from {FEW_COUNT} a group on intervals can be trusted."
    if young:
        yield (
            f"young: {young:,} ended after {mature_before:%Y-%m-%dT%H:%MZ}, so words on them may still come "
            "(--mature-hours)."
        )
    if outcomes.of_others_count:
        yield f"{outcomes.of_others_count:,} outcomes were said by another key than asked, and do not count."
    if outcomes.unmatched_count:
        yield f"{outcomes.unmatched_count:,} outcomes speak of requests that are not in these hours."
    if outcomes.ignored:
        names = ", ".join(f"{name} ({count:,})" for name, count in outcomes.ignored.most_common(_SHOWN))
        yield f"users' words under other names say nothing of the whole job: {names}. Count them with --names."
