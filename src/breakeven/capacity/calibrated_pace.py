"""The pace of a node from measured levels, for hardware that no catalogue knows and for that which it does.

The terms are those of ``capacity.pool.Pace``, with the messages between GPUs counted in the token's and one byte of
cache like any other; what they predict in a closed loop is compared with what was measured, in relative terms.

C requests that are always under way write a token each in every iteration and compute one prompt each in the time that
a request takes, so this time is known whether prompts come together or one by one:

    o * decode(C) + C * prompt(i)

What of it is TTFT and what TPOT does depend on that, so these are only held between the two extremes; with one
request at a time there is nothing to depend on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from breakeven.capacity.calibration import LEAST_GAIN_FRACTION, by_lengths
from breakeven.capacity.pace import CHUNK_TOKENS
from breakeven.capacity.pool import Pace
from breakeven.quantities import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.calibration import Level
    from breakeven.capacity.compiled import Floats

MIN_LEVELS: Final = 3
LEAST_RISE_RATIO: Final = 1.5
"""Of a load over the one before, for its throughput to tell whether the engine took more requests in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceFit:
    """A pace, and how well it says what was measured."""

    pace: Pace
    throughput_ratio: Interval
    """Measured over predicted: 10th, 50th and 90th percentile of the levels."""

    throughput_error_fraction: float
    """Median of the levels; the next two likewise, where a level lies outside of what prompts together or apart say."""

    ttft_error_fraction: float
    tpot_error_fraction: float
    levels_count: int
    """That it was fitted to: those where requests waited for a place are left out."""


class _Loads(NamedTuple):
    """Levels as arrays of shape (n,)."""

    running: Floats
    input_tokens: Floats
    output_tokens: Floats
    held_tokens: Floats
    """Mean in the cache of a running request."""

    requests_per_s: Floats
    ttft_s: Floats
    tpot_s: Floats


class _Terms(NamedTuple):
    base_s: float
    sequence_s: float
    weights_s: float
    token_s: float
    kv_token_s: float
    pair_s: float


def fit_pace(levels: Sequence[Level], *, max_requests: int | None = None, kv_tokens: int | None = None) -> PaceFit:
    """Return the pace that fits closed levels best; no term is negative.

    ``max_requests`` and ``kv_tokens``: what the engine runs at once and its cache holds, if that is known.  Else it is
    what the levels have shown, and not more.  Raises ``ValueError`` without ``MIN_LEVELS`` levels of several loads.
    """
    closed = [level for level in levels if level.is_closed and level.requests and level.osl_tokens > 1]
    free, shown = _not_limited(closed)
    loads = _loads(free)
    if len(free) < MIN_LEVELS or len(set(loads.running)) < 2:
        raise ValueError(
            f"a pace needs {MIN_LEVELS} levels or more of several concurrencies at which requests do not wait for a "
            f"place, and there are {len(free)}"
        )
    found = _search(loads)
    most = max_requests or shown
    longest = max(level.isl_tokens + level.osl_tokens for level in free)
    pace = Pace(
        base_s=found.base_s,
        sequence_s=found.sequence_s,
        token_s=found.token_s,
        link_token_s=0.0,
        kv_token_s=found.kv_token_s,
        pair_s=found.pair_s,
        prompt_ratio=1.0,
        weights_s=np.full(2, found.weights_s),
        kv_tokens=kv_tokens or int(most * longest) + 1,
        max_requests=most,
        chunk_tokens=CHUNK_TOKENS,
        reserves_output=False,
    )
    return _judged(pace, found, loads)


def faster(pace: Pace, speed_ratio: float) -> Pace:
    """Return the pace of a node that is so many times as fast and holds as much."""
    slower = 1 / speed_ratio
    return pace._replace(
        base_s=pace.base_s * slower,
        sequence_s=pace.sequence_s * slower,
        token_s=pace.token_s * slower,
        link_token_s=pace.link_token_s * slower,
        kv_token_s=pace.kv_token_s * slower,
        pair_s=pace.pair_s * slower,
        weights_s=pace.weights_s * slower,
    )


def _not_limited(levels: Sequence[Level]) -> tuple[list[Level], int]:
    """Return the levels at which all requests ran at once, and the most that were seen to.

    An engine that has no place left does the same as before: its throughput and its time a token stand still.
    """
    free: list[Level] = []
    shown = 1
    for group in by_lengths(levels):
        before: Level | None = None
        for level in sorted(group, key=lambda level: level.concurrency_count):
            if before is not None and _stands_still(before, level):
                shown = max(shown, round(before.requests_per_s * (before.tpot.mean_ms / 1e3) * before.osl_tokens))
                break
            free.append(level)
            shown = max(shown, round(level.concurrency_count))
            before = level
    return free, shown


def _stands_still(before: Level, level: Level) -> bool:
    risen = level.concurrency_count >= LEAST_RISE_RATIO * before.concurrency_count
    as_much = level.output_tokens_per_s < (1 + LEAST_GAIN_FRACTION) * before.output_tokens_per_s
    as_fast = level.tpot.mean_ms < (1 + LEAST_GAIN_FRACTION) * before.tpot.mean_ms
    return risen and as_much and as_fast


def _loads(levels: Sequence[Level]) -> _Loads:
    rows = [
        (
            level.concurrency_count,
            level.isl_tokens * (1 - level.cached_fraction),
            level.osl_tokens,
            (level.input_output_tokens2 + level.output_output_tokens2 / 2) / level.osl_tokens,
            level.requests_per_s,
            level.ttft.mean_ms / 1e3,
            level.tpot.mean_ms / 1e3,
        )
        for level in levels
    ]
    return _Loads(*np.array(rows, dtype=float).reshape(-1, 7).T)


def _decode_s(terms: _Terms, loads: _Loads) -> Floats:
    running = loads.running
    products = np.hypot(terms.weights_s, terms.token_s * running)
    each = terms.sequence_s + loads.held_tokens * terms.kv_token_s
    return np.asarray(terms.base_s + running * each + products)


def _prompt_s(terms: _Terms, loads: _Loads) -> Floats:
    return np.asarray(terms.token_s * loads.input_tokens + terms.pair_s * loads.input_tokens**2 / 2)


class _Said(NamedTuple):
    """What terms say of levels, by level: the least and the most."""

    requests_per_s: tuple[Floats, Floats]
    ttft_s: tuple[Floats, Floats]
    tpot_s: tuple[Floats, Floats]


def _say(terms: _Terms, loads: _Loads) -> _Said:
    decode_s, prompt_s = _decode_s(terms, loads), _prompt_s(terms, loads)
    others = np.maximum(loads.running - 1, 0)
    # A prompt that is alone reads the weights for itself; more so the fewer requests there are to share it with.
    reading_s = np.hypot(terms.weights_s, terms.token_s * loads.input_tokens) - terms.token_s * loads.input_tokens
    alone_s = terms.base_s + prompt_s + reading_s
    mixed = np.minimum(others, 1)
    together_s = alone_s + others * prompt_s + (loads.output_tokens - 1) * decode_s
    apart_s = together_s + mixed * np.maximum(decode_s - alone_s + prompt_s, 0)
    return _Said(
        (loads.running / apart_s, loads.running / together_s),
        (alone_s, alone_s + others * prompt_s + 1.5 * mixed * decode_s),
        (decode_s, decode_s + others * prompt_s / np.maximum(loads.output_tokens - 1, 1)),
    )


def _misses(terms: _Terms, loads: _Loads) -> tuple[Floats, Floats, Floats]:
    """Return the logarithms of measured over predicted: of throughput, TTFT and TPOT; 0 between least and most."""
    said = _say(terms, loads)

    def outside(measured: Floats, ends: tuple[Floats, Floats]) -> Floats:
        low, high = (np.log(np.maximum(measured, 1e-9) / np.maximum(end, 1e-12)) for end in ends)
        return np.asarray(np.minimum(low, 0) + np.maximum(high, 0))

    throughput = outside(loads.requests_per_s, said.requests_per_s)
    return throughput, outside(loads.ttft_s, said.ttft_s), outside(loads.tpot_s, said.tpot_s)


def _search(loads: _Loads) -> _Terms:
    """Return the terms with the least squares of misses, from several beginnings."""
    step_s = float(loads.tpot_s.min())
    token_s = float(np.median(loads.ttft_s / np.maximum(loads.input_tokens, 1) / np.maximum(loads.running, 1)))
    scale = np.array(
        [step_s, step_s / 10, step_s, token_s, step_s / float(loads.held_tokens.max() * loads.running.max()),
         token_s / float(max(loads.input_tokens.max(), 1.0))]
    )  # fmt: skip

    def residuals(scaled: Floats) -> Floats:
        return np.concatenate(_misses(_Terms(*(scaled * scale)), loads))

    begins = product((0.02, 0.7), (0.02, 0.3), (0.01, 0.5))
    starts = [np.array([base, share, 1 - base, 1.0, 0.1, pair]) for base, share, pair in begins]
    found = [least_squares(residuals, start, bounds=(0, np.inf), x_scale=np.maximum(start, 0.1)) for start in starts]
    best = min(found, key=lambda item: float(item.cost))
    return _Terms(*(best.x * scale).tolist())


def _judged(pace: Pace, terms: _Terms, loads: _Loads) -> PaceFit:
    throughput, ttft, tpot = _misses(terms, loads)
    low, likely, high = np.exp(np.quantile(throughput, (0.1, 0.5, 0.9))).tolist()
    return PaceFit(
        pace=pace,
        throughput_ratio=Interval(low=low, likely=likely, high=high),
        throughput_error_fraction=_error(throughput),
        ttft_error_fraction=_error(ttft),
        tpot_error_fraction=_error(tpot),
        levels_count=len(loads.running),
    )


def _error(logs: Floats) -> float:
    return float(np.median(np.abs(np.expm1(logs))))
