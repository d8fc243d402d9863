"""What a trace tells of how its requests come and how long they are: what look-alikes are made up from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.errors import InputError
from breakeven.quantities import SECONDS_PER_HOUR
from breakeven.traffic.arrivals import arrivals_of
from breakeven.traffic.schema import CACHED_INPUT_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, REQUESTS, TIME, WINDOW_S
from breakeven.traffic.synthesis import Burst, Counted, Resampled, around_means, fit_gaps, fit_swing, synthesise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breakeven.traffic.arrivals import Arrivals
    from breakeven.traffic.synthesis import Floats, Ints, Lengths
    from breakeven.traffic.trace import Trace

SEEN_WINDOW_S: Final = 60.0
"""By which the rate of a trace of requests is kept."""

MOST_GAPS: Final = 1_000_000
MOST_LENGTHS: Final = 200_000
LONG_WINDOW_S: Final = 2 * SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Traffic in windows, with what is needed to make up its requests."""

    counted: Counted
    burst: Burst
    lengths: Lengths
    notes: tuple[str, ...]

    def scaled(self, ratio: float) -> Likeness:
        """Return the same traffic with ``ratio`` times as many requests; whole in sum, to the last one or so."""
        counted = self.counted
        requests = np.diff(np.floor(np.cumsum(counted.requests * ratio) + 0.5), prepend=0).astype(np.int64)
        share = requests / np.maximum(counted.requests, 1)
        tokens = (counted.input_tokens * share, counted.cached_input_tokens * share, counted.output_tokens * share)
        return replace(self, counted=Counted(counted.start_s, counted.window_s, requests, *tokens))

    def with_burst(self, burst: Burst) -> Likeness:
        """Return the same traffic with gaps of that burst; swings stay as they were seen."""
        stated = replace(burst, swing_fraction=self.burst.swing_fraction)
        told = f"gaps between requests are of a {burst.family} process that varies by {burst.gap_cv_ratio:g}, as stated"
        return replace(self, burst=stated, notes=(*self.notes, told))

    def arrivals(self, seed: int) -> Callable[[], Iterator[Arrivals]]:
        """Return what makes up the requests, the same ones at each call."""
        return lambda: synthesise(
            self.counted, self.burst, self.lengths, np.random.Generator(np.random.PCG64([seed, len("likeness")]))
        )


def likeness_of(trace: Trace, *, seed: int = 1) -> Likeness:
    """Return what a trace of requests or of windows shows; ``seed`` chooses which requests lend their lengths.

    Raises ``InputError`` for a bill, for windows that count no requests or differ in length, and for no traffic.
    """
    if trace.kind == "bill":
        raise InputError(
            f"{trace.source} holds monthly totals, which show neither hours nor minutes, and a simulation is about "
            "those. Give a log with one row a request, or usage by the hour."
        )
    if trace.kind == "windows":
        return _of_windows(trace)
    return _of_requests(trace, np.random.Generator(np.random.PCG64(seed)))


def _of_windows(trace: Trace) -> Likeness:
    counted = _counted(trace)
    requests, window_s = counted.requests, float(counted.window_s[0])
    swing = fit_swing(_in_a_row(counted))
    told = (
        f"requests are made up from {len(requests):,} windows of {window_s / 60:,.0f} minutes: within one, rates swing "
        f"by {swing:.1%} from half to half, as neighbouring windows do, gaps are of a Poisson process unless you state "
        "a burst, and lengths scatter around the window's means"
    )
    hours = window_s / SECONDS_PER_HOUR
    hidden = f"windows of {hours:,.0f} hours hide the peaks within them: what is simulated is too even"
    return Likeness(
        counted=counted,
        burst=Burst(swing_fraction=swing),
        lengths=around_means,
        notes=(told, hidden) if window_s > LONG_WINDOW_S else (told,),
    )


def _counted(trace: Trace) -> Counted:
    """Return a trace's windows, whatever series they were of added up."""
    table = trace.table
    table = table.filter((table[INPUT_TOKENS] + table[OUTPUT_TOKENS] > 0) | (table[REQUESTS] > 0))
    sums = table.group_by(table[TIME].epoch_seconds().name("at"), table[WINDOW_S].name("length")).aggregate(
        requests=table[REQUESTS].sum(),
        uncounted=table[REQUESTS].isnull().sum(),
        into=table[INPUT_TOKENS].sum(),
        cached=table[CACHED_INPUT_TOKENS].sum(),
        out=table[OUTPUT_TOKENS].sum(),
    )
    found = sums.order_by("at").to_pyarrow().to_pydict()
    if not found["at"]:
        raise InputError(f"{trace.source} holds no usage, so there is nothing to simulate.")
    uncounted = sum(1 for item in found["uncounted"] if item)
    if uncounted:
        raise InputError(
            f"{trace.source} counts tokens and not requests in {uncounted:,} of its windows, and how long requests are "
            "is what a simulation needs. Give a log with one row a request."
        )
    if len(set(found["length"])) > 1:
        raise InputError(
            f"{trace.source} mixes windows of {min(found['length']):,} s and {max(found['length']):,} s. "
            "Give one export with windows of one length."
        )
    return Counted(
        start_s=np.array(found["at"], dtype=float),
        window_s=np.array(found["length"], dtype=float),
        requests=np.array(found["requests"], dtype=np.int64),
        input_tokens=np.array(found["into"], dtype=float),
        cached_input_tokens=np.array(found["cached"], dtype=float),
        output_tokens=np.array(found["out"], dtype=float),
    )


def _in_a_row(counted: Counted) -> Floats:
    """Return counts of windows in a row, 0 where one is missing; as they are where most are."""
    place = np.rint((counted.start_s - counted.start_s[0]) / counted.window_s[0]).astype(np.int64)
    if place[-1] > 2 * len(place):
        return counted.requests.astype(float)
    return np.bincount(place, counted.requests).astype(np.float64)


def _of_requests(trace: Trace, chance: np.random.Generator) -> Likeness:
    keep = min(1.0, MOST_LENGTHS / max(1, trace.rows_read - trace.rows_lost))
    sums: Floats = np.zeros((0, 4))
    times: list[Floats] = []
    lengths: list[Ints] = []
    held = 0
    for batch in arrivals_of(trace):
        place = (batch.at_s / SEEN_WINDOW_S).astype(np.int64)
        sums = _added(sums, place, batch)
        if held < MOST_GAPS:
            times.append(batch.at_s)
            held += len(batch.at_s)
        rows = np.stack([batch.input_tokens, batch.cached_input_tokens, batch.output_tokens], axis=1)
        lengths.append(rows[chance.random(len(rows)) < keep] if keep < 1 else rows)
    if not held:
        raise InputError(f"{trace.source} holds no requests, so there is nothing to simulate.")
    burst = fit_gaps(np.concatenate(times))
    how = (
        "a Poisson process"
        if burst.family == "poisson"
        else f"a {burst.family} process that varies by {burst.gap_cv_ratio:.2f}"
    )
    counted = Counted(
        np.arange(len(sums), dtype=np.float64) * SEEN_WINDOW_S,
        np.full(len(sums), SEEN_WINDOW_S),
        sums[:, 0].astype(np.int64),
        *(sums[:, column] for column in (1, 2, 3)),
    )
    note = f"requests are made up: the rate of each minute as seen, gaps of {how} as fitted, lengths of requests seen"
    return Likeness(counted=counted, burst=burst, lengths=Resampled(np.concatenate(lengths)), notes=(note,))


def _added(sums: Floats, place: Ints, batch: Arrivals) -> Floats:
    """Return sums by window with a batch's requests and tokens added; the table grows as needed."""
    count = max(len(sums), int(place[-1]) + 1)
    grown = np.zeros((count, 4))
    grown[: len(sums)] = sums
    columns = (None, batch.input_tokens, batch.cached_input_tokens, batch.output_tokens)
    first = int(place[0])
    for index, column in enumerate(columns):
        more = np.bincount(place - first, column)
        grown[first : first + len(more), index] += more
    return grown
