"""Frozen types that cross layers: what traffic was, in the shape that the models need.

A profile holds sums that are *sufficient* for the models (token sums by price tier, first and
second moments of lengths by time window), so that a study never goes back to the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from breakeven.quantities import SECONDS_PER_DAY, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from datetime import datetime

    from breakeven.quantities import Interval
    from breakeven.usage import TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthQuantiles:
    """The distribution of one token count over requests, in tokens."""

    mean_tokens: float
    p10_tokens: float
    p50_tokens: float
    p90_tokens: float
    p99_tokens: float
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Sums over requests from which the work of any linear service model follows exactly.

    With *i* input and *o* output tokens of a request: counts, Σi, Σo, Σi·o and Σo².  They keep
    the joint distribution of lengths where mean lengths lose it.
    """

    requests: int
    input_tokens: int
    output_tokens: int
    input_output_tokens2: float
    output_output_tokens2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceCell:
    """Token sums of the requests that fall into one price tier, one part of the day and one processing.

    ``input_over_tokens`` is the largest price threshold that these requests exceed (0: none);
    ``day_segment`` counts the intervals between the price changes of the day, UTC, from 00:00;
    ``processing`` is standard (also where the log does not say), batch, flex or priority.
    Prices are linear inside a cell, so pricing a cell equals pricing its requests one by one.
    """

    input_over_tokens: int
    day_segment: int
    requests: int
    usage: TokenUsage
    processing: str = "standard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One non-empty time window of a trace; ``index`` counts windows from the first request."""

    index: int
    moments: Moments


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShare:
    """What one logical model received."""

    model: str
    requests: int
    usage: TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficTimes:
    """How traffic is spread over time; absent for a bill.

    ``span_s`` is the observed time extended by one mean gap, so that rate = requests / span.
    ``windows`` holds the non-empty windows of ``window_s`` seconds; ``window_count`` counts all.
    ``hour_of_week_requests_per_s`` has 168 means from Monday 00:00 UTC, None where nothing was
    observed.  ``burstiness_ratio`` is the variance of requests per window over their mean (1 for
    a Poisson stream), ``gap_cv_ratio`` the standard deviation of gaps over their mean (likewise 1).

    A log of totals has the windows it was logged in, no gaps, and hours of the week only where its
    windows are not longer than an hour (else empty).  Where it does not count requests, there is no
    burstiness, and the peak is that of tokens.
    """

    first_at: datetime
    last_at: datetime
    span_s: float
    window_s: float
    window_count: int
    windows: tuple[Window, ...]
    hour_of_week_requests_per_s: tuple[float | None, ...]
    peak_to_mean_ratio: float
    burstiness_ratio: float | None
    gap_cv_ratio: float | None

    @property
    def span_days(self) -> float:
        """Observed days."""
        return self.span_s / SECONDS_PER_DAY

    @property
    def span_hours(self) -> float:
        """Observed hours."""
        return self.span_s / SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The trend of daily tokens over whole days, as a share of the volume a month: 0.05 is 5 % more each month.

    ``per_month_fraction`` holds the estimate and the ends of its 80 % interval (10th and 90th percentile), which
    allows for days that resemble the day before.  ``fitted_days`` is the number of whole days it rests on.
    """

    per_month_fraction: Interval
    fitted_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """How much of the traffic repeats what came before; None where the log cannot show it.

    ``duplicate_fraction`` is the share of the requests with a ``prompt_id`` whose prompt came before, of all such
    requests.  The others are shares of the input tokens of requests with known prefix blocks that an earlier
    request had sent at the beginning of its prompt: ever before, or with the last use of every block at
    most five minutes or one hour ago, as caches with such lifetimes (renewed by each use) would hold it.
    """

    duplicate_fraction: float | None
    prefix_fraction: float | None
    prefix_5min_fraction: float | None
    prefix_1h_fraction: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """What tokens were spent on; None where the log is silent.

    ``system_tokens`` and ``history_tokens`` are parts of the input and what is neither is ``fresh_tokens``; they are
    summed over requests that state them (``parted_input_tokens`` is the input of these).  ``failed_usage`` is spent
    on attempts without a usable answer, ``retry_usage`` on repetitions; an attempt may be in both.
    """

    system_tokens: int | None
    history_tokens: int | None
    fresh_tokens: int | None
    parted_input_tokens: int | None
    output_tokens: int
    failed_usage: TokenUsage | None
    retry_usage: TokenUsage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficProfile:
    """What traffic was observed, from a trace or from a bill of monthly totals.

    ``moments.requests`` is 0 when a bill does not say how many requests there were; then the
    second moments are 0 too and only totals are known.  ``rows_lost`` of ``rows_read`` rows could
    not be used; their tokens are in no figure.
    """

    source: str
    kind: Literal["trace", "windows", "bill"]
    rows_read: int
    rows_lost: int
    usage: TokenUsage
    moments: Moments
    months: float
    """Months covered by a bill; 0 for a trace, whose times say it."""

    input_lengths: LengthQuantiles | None
    output_lengths: LengthQuantiles | None
    cells: tuple[PriceCell, ...]
    models: tuple[ModelShare, ...]
    times: TrafficTimes | None
    growth: Growth | None = None
    """None below two weeks of whole days."""

    reuse: Reuse | None = None
    destinations: Destinations | None = None
    batch_fraction: float | None = None
    """Share of tokens already processed as batch or flex; None where no row says how it was processed."""

    batchable_fraction: float | None = None
    """Share of tokens sent by programs that nobody waits for, as the profile defines it; None where unknown."""

    notes: tuple[str, ...] = ()
    """What the figures cannot show or only estimate, for the reader of a report."""

    @property
    def input_output_ratio(self) -> float | None:
        """Input tokens for each output token; None without output."""
        return self.usage.input_tokens / self.usage.output_tokens if self.usage.output_tokens else None
