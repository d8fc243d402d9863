"""The workload to plan for: what was observed, carried to a month, with what the data cannot show.

A short trace shows no night, no week and no growth: the step from what was seen to a month is then
an assumption with an interval, named, and it widens every result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from breakeven.capacity.load import windows_of
from breakeven.capacity.overflow import OverflowTables
from breakeven.capacity.tables import LoadTables
from breakeven.errors import InputError
from breakeven.quantities import SECONDS_PER_HOUR, TOKENS_PER_MTOK

if TYPE_CHECKING:
    from breakeven.capacity.load import Windows
    from breakeven.quantities import Number, Values
    from breakeven.records import TrafficProfile, TrafficTimes

SHORT_DAYS = 1.0
LONG_DAYS = 13.9
"""Two weeks, less a quiet end: from here on a trace speaks for its week; below, assumptions do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month's sums of the traffic, in today's model's tokens (see ``records.Moments``)."""

    requests: Number
    input_tokens: Number
    output_tokens: Number
    input_output_tokens2: Number
    output_output_tokens2: Number

    @property
    def volume_mtok(self) -> Number:
        """Input and output together, in millions."""
        return (self.input_tokens + self.output_tokens) / TOKENS_PER_MTOK


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A profile with the volume to plan for; every figure is a function of the assumptions' values."""

    profile: TrafficProfile
    total_tokens_per_month: int | None = None
    _last_growth: list[Number] = field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.profile.usage.total_tokens == 0:
            raise InputError(
                f"{self.profile.source} holds no tokens at all, so there is no volume to plan for. "
                "Check that the token columns are the right ones (--column input_tokens=NAME)."
            )

    @cached_property
    def _windows(self) -> Windows | None:
        return windows_of(self.profile.times) if self.profile.times else None

    @cached_property
    def tables(self) -> LoadTables | None:
        """The trace's peaks and up-times; None for a bill."""
        return LoadTables(self._windows) if self._windows else None

    @cached_property
    def overflow(self) -> OverflowTables | None:
        """What nodes carry of the trace's windows, and what overflows; None for a bill."""
        return OverflowTables(self._windows) if self._windows else None

    @property
    def observed_days(self) -> float | None:
        """Days that the trace covers; None for a bill."""
        return self.profile.times.span_days if self.profile.times else None

    def month_ratio(self, values: Values) -> Number:
        """Return a month's tokens over the observed tokens."""
        observed = self.profile.usage.total_tokens
        if self.total_tokens_per_month is not None:
            return self.total_tokens_per_month / observed
        times = self.profile.times
        if times is None:
            # From the middle of the months that were billed to the middle of the month that follows.
            return self._grown(values["traffic_growth_per_month"], (self.profile.months + 1) / 2) / self.profile.months
        return values["hours_per_month"] * SECONDS_PER_HOUR / times.span_s * values[mean_ratio_key(times)]

    def peak_ratio(self, values: Values) -> Number:
        """Return the month's peak load over the observed peak load."""
        times = self.profile.times
        assert times is not None, "a bill has no peak"
        return self._mean_ratio(values, times) * self.spread_ratio(values)

    def spread_ratio(self, values: Values) -> Number:
        """Return how far the month's peak load lies further above its mean than the observed one above its own.

        What the trace is too short to show: 1 where it speaks for its week.
        """
        times = self.profile.times
        assert times is not None, "a bill has no peak"
        scale: Number = 1.0
        if times.window_s > SECONDS_PER_HOUR:
            # Buckets of a day show the mean of its hours, not the hour that sizes the nodes.
            scale = scale * values["hourly_peak_to_mean_ratio"]
        if times.span_days < SHORT_DAYS:
            return scale * values["hourly_peak_to_mean_ratio"]
        if times.span_days < LONG_DAYS:
            return scale / values[mean_ratio_key(times)] * values["weekly_peak_ratio"]
        return scale

    def _mean_ratio(self, values: Values, times: TrafficTimes) -> Number:
        """Return the month's mean load over the observed mean load."""
        return self.month_ratio(values) * times.span_s / (values["hours_per_month"] * SECONDS_PER_HOUR)

    def month(self, values: Values, *, input_ratio: Number = 1.0, output_ratio: Number = 1.0) -> Month:
        """Return the month's sums, with token counts rescaled to another model's."""
        ratio = self.month_ratio(values)
        usage, seen = self.profile.usage, self.profile.moments
        requests = seen.requests or usage.total_tokens / values["request_tokens"]
        # Without joint lengths, as in a bill, every request is taken at the mean.
        joint = bool(seen.input_output_tokens2)
        input_output = seen.input_output_tokens2 if joint else usage.input_tokens * usage.output_tokens / requests
        output_output = seen.output_output_tokens2 if joint else usage.output_tokens**2 / requests
        return Month(
            requests=requests * ratio,
            input_tokens=usage.input_tokens * ratio * input_ratio,
            output_tokens=usage.output_tokens * ratio * output_ratio,
            input_output_tokens2=input_output * ratio * input_ratio * output_ratio,
            output_output_tokens2=output_output * ratio * output_ratio**2,
        )

    def _grown(self, growth_per_month: Number, months: float) -> Number:
        """Return (1 + growth)^months; all options ask with the same draws, so the last answer is kept."""
        if not self._last_growth or self._last_growth[0] is not growth_per_month:
            self._last_growth[:] = growth_per_month, (1 + growth_per_month) ** months
        return self._last_growth[1]


def mean_ratio_key(times: TrafficTimes) -> str:
    """Return the assumption that says how the month to come compares with the time that was observed."""
    return "mean_to_observed_hour_ratio" if times.span_days < SHORT_DAYS else "mean_to_observed_days_ratio"
