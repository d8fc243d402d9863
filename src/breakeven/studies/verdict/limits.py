"""What the data cannot show, and the assumptions that stand in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.quantities import SECONDS_PER_HOUR
from breakeven.studies.verdict.result import AssumptionUsed
from breakeven.studies.verdict.workload import LONG_DAYS, SHORT_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from breakeven.catalog.book import Book
    from breakeven.studies.verdict.result import OptionResult
    from breakeven.studies.verdict.workload import Workload

STABLE_DAYS = 90
"""001: a total-cost analysis wants three months of stable data."""


def limits_of(workload: Workload, book: Book) -> tuple[str, ...]:
    """Return, in sentences, what this data leaves open and what was assumed instead."""
    found: list[str] = []
    days = workload.observed_days
    if days is None:
        found.append(
            "A bill has no times: no peaks, no nights. Nodes are sized by a target utilisation of "
            f"{_span(book, 'target_utilisation_fraction')} instead of by your peaks."
        )
        months = workload.profile.months
        many = f"The {months:g} months are planned for at their mean: a trend among them is not read."
        found.append(f"{'One month shows no growth.' if months <= 1 else many} {_growth(workload, book)}")
        if not workload.profile.moments.requests:
            found.append(
                f"The bill counts no requests: {_span(book, 'request_tokens')} tokens a request are assumed, "
                "and no cost per request is given."
            )
    elif days < SHORT_DAYS:
        found.append(
            f"The trace covers {days * 24:.2f} hours: it shows no night, no week and no growth. Assumed instead: "
            f"a month's average hour is {_span(book, 'mean_to_observed_hour_ratio')} the one observed, "
            f"and its peak hours {_span(book, 'hourly_peak_to_mean_ratio')} its average."
        )
    elif days < LONG_DAYS:
        found.append(
            f"The trace covers {days:.1f} days: it shows no month and no growth. Assumed instead: the average day "
            f"is {_span(book, 'mean_to_observed_days_ratio')} those observed, and the peak "
            f"{_span(book, 'weekly_peak_ratio')}."
        )
    else:
        found.append(
            f"The month to come is taken as {_span(book, 'mean_to_observed_days_ratio')} one of the days observed, as "
            "their own ups and downs allow."
        )
    if days is not None and days < STABLE_DAYS:
        found.append(f"A stable verdict wants three months of data; this is {days:.2g} days. {_growth(workload, book)}")
    if workload.profile.times and workload.profile.times.window_s > SECONDS_PER_HOUR:
        found.append(
            "The totals are of whole days: their hours are not seen. Assumed instead: the peak hours are "
            f"{_span(book, 'hourly_peak_to_mean_ratio')} the average one."
        )
    if workload.profile.rows_lost:
        lost, read = workload.profile.rows_lost, workload.profile.rows_read
        found.append(f"{lost:,} of {read:,} rows could not be read ({lost / read:.2%}); their tokens are in no figure.")
    return tuple(found)


def _growth(workload: Workload, book: Book) -> str:
    """Say what is taken for growth, and where from."""
    item = book.assumptions["traffic_growth_per_month"]
    known = workload.profile.growth is not None and item.basis == "measured"
    source = "Its trend and the assumption together:" if known else "It shows no growth; assumed instead:"
    return f"{source} {item.low:+.0%} to {item.high:+.0%} a month, likely {item.likely:+.0%}."


def shown_assumptions(
    book: Book, options: Iterable[OptionResult], on: date, *, stale_days: int
) -> tuple[AssumptionUsed, ...]:
    """Return every assumption that some option's bill uses, in the catalogue's order."""
    used = {item.name for option in options for row in option.lines for item in row.inputs}
    used |= {swing.key for option in options for swing in option.swings}
    return tuple(
        AssumptionUsed(
            key=item.key,
            meaning=item.meaning,
            unit=item.unit,
            low=item.low,
            likely=item.likely,
            high=item.high,
            basis=item.basis,
            source=item.source,
            as_of=item.as_of,
            age_days=(on - item.as_of).days,
            stale=(on - item.as_of).days > stale_days,
        )
        for item in book.assumptions.values()
        if item.key in used
    )


def _span(book: Book, key: str) -> str:
    item = book.assumptions[key]
    ends = f"{item.low:.3g} to {item.high:.3g}"
    return f"{ends} times" if item.unit == "ratio" else ends
