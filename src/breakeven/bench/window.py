"""The steady state of one load: from when it began until it is known well enough, and the level that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from breakeven.capacity.calibration import Level, Times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.bench.load import Asked, Load
    from breakeven.bench.tally import Ended

_FRACTIONS: Final = (0.5, 0.9, 0.95, 0.99)
_JUST_NOW_S: Final = 0.1
_LEAST_BATCHES: Final = 4
"""With two or three, equal ones are too often chance."""

_MOST_BATCHES: Final = 8
_STUDENT: Final = {4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}
"""97.5 % points of Student's t for the mean of that many batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """Limits of a request; infinite where there is none."""

    ttft_s: float = float("inf")
    tpot_s: float = float("inf")

    @property
    def is_set(self) -> bool:
        """Whether there is a limit at all."""
        return self.ttft_s < float("inf") or self.tpot_s < float("inf")

    def kept_by(self, ended: Ended) -> bool:
        """Whether a request kept both limits."""
        return ended.first_s - ended.sent_s <= self.ttft_s and tpot_s(ended) <= self.tpot_s


class LoadAsked(NamedTuple):
    """A load as it was asked for: streams at once or a rate, and lengths where they are not a trace's."""

    lengths: Asked | None = None
    streams: int | None = None
    requests_per_s: float | None = None

    def __str__(self) -> str:
        """Say it in words."""
        lengths = (
            f"{self.lengths.input_tokens:,}/{self.lengths.output_tokens:,} tokens" if self.lengths else "the trace"
        )
        if self.streams is not None:
            return f"{lengths}, {self.streams:,} streams"
        return f"{lengths}, {self.requests_per_s:g} requests/s" if self.requests_per_s else f"{lengths}'s own times"


class Known(NamedTuple):
    """What a window shows so far."""

    output_tokens_per_s: float
    error_fraction: float
    """Half of the 95 % interval, over the mean; infinite while there are too few batches."""


class Window:
    """What has been seen of a load since it was steady."""

    def __init__(self, load: Load, cpu_s: Callable[[], float]) -> None:
        """Begin now, forgetting what came before."""
        self._load = load
        self._cpu_s = cpu_s
        self._cpu_began_s = cpu_s()
        self._area_began_s = load.stream_seconds()
        self._began_s = load.clock.monotonic()
        last = load.tally.last_end
        self._samples = [last if self._began_s - last[0] < _JUST_NOW_S else (self._began_s, load.tally.pieces)]
        load.tally.clear()
        load.forget_lateness()

    @property
    def lasts_s(self) -> float:
        """How long it has lasted."""
        return self._load.clock.monotonic() - self._began_s

    @property
    def ended(self) -> list[Ended]:
        """Requests that ended well within it."""
        return self._load.tally.ended

    def look(self) -> Known:
        """Take a sample, and return what is known by now.

        Throughput swings with the length of requests where these come in waves, so no batch is shorter than one, and
        what is counted begins and ends as a request does.
        """
        tally = self._load.tally
        self._samples.append((self._load.clock.monotonic(), tally.pieces))
        if not tally.ended:
            return Known(0.0, float("inf"))
        last = tally.last_end
        at_s, pieces = np.array([*(sample for sample in self._samples if sample[0] < last[0]), last]).T
        lasts_s = float(at_s[-1] - at_s[0])
        if not lasts_s:
            return Known(0.0, float("inf"))
        request_s = float(np.mean([item.last_s - item.sent_s for item in self.ended]))
        batches = min(_MOST_BATCHES, int(lasts_s / max(request_s, 1e-9)))
        rate = float(pieces[-1] - pieces[0]) / lasts_s
        tokens_per_s = rate * _tokens_a_piece(self.ended)
        if batches < _LEAST_BATCHES or not rate:
            return Known(tokens_per_s, float("inf"))
        ends = np.interp(np.linspace(at_s[0], at_s[-1], batches + 1), at_s, pieces)
        rates = np.diff(ends) * batches / lasts_s
        error = _STUDENT[batches] * float(np.std(rates, ddof=1)) / batches**0.5 / rate
        return Known(tokens_per_s, error)

    def level(self, slo: Slo, asked: LoadAsked) -> Level | None:
        """Return what the window came to under the load that was asked for; None if no request ended well."""
        known, ended = self.look(), self.ended
        if not known.output_tokens_per_s:
            return None
        load, lasts_s = self._load, max(self.lasts_s, 1e-9)
        busy_s = self._cpu_s() - self._cpu_began_s
        level = Level(
            asked_count=asked.streams,
            asked_requests_per_s=asked.requests_per_s,
            asked_isl_tokens=asked.lengths.input_tokens if asked.lengths else None,
            asked_osl_tokens=asked.lengths.output_tokens if asked.lengths else None,
            concurrency_count=(load.stream_seconds() - self._area_began_s) / lasts_s,
            window_s=lasts_s,
            throughput_error_fraction=known.error_fraction if isfinite(known.error_fraction) else None,
            output_tokens_per_s=known.output_tokens_per_s,
            itl=_times(load.tally.gap_quantiles_s(_FRACTIONS)),
            lag_p99_ms=1e3 * load.lateness_s(0.99),
            client_busy_fraction=busy_s / lasts_s,
            failures=dict(load.tally.failures),
            **_lengths(ended, known.output_tokens_per_s),
            **_spent(ended),
        )
        if not slo.is_set:
            return level
        all_of_them = len(ended) + sum(load.tally.failures.values())
        return replace(level, slo_fraction=sum(slo.kept_by(item) for item in ended) / all_of_them)


def tpot_s(ended: Ended) -> float:
    """Return the time from the first text to the last over the tokens after the first; 0 for a single token."""
    return (ended.last_s - ended.first_s) / (ended.output_tokens - 1) if ended.output_tokens > 1 else 0.0


def _lengths(ended: Sequence[Ended], output_tokens_per_s: float) -> dict[str, Any]:
    told, cached, output = np.array(
        [(item.input_tokens, item.cached_tokens, item.output_tokens) for item in ended], dtype=float
    ).T
    osl_tokens = float(output.mean())
    return {
        "isl_tokens": float(told.mean()),
        "osl_tokens": osl_tokens,
        "input_output_tokens2": float((told * output).mean()),
        "output_output_tokens2": float((output**2).mean()),
        "cached_fraction": float(cached.sum() / max(told.sum(), 1.0)),
        "requests_per_s": output_tokens_per_s / osl_tokens,
        "told_fraction": sum(item.told for item in ended) / len(ended),
        "early_fraction": sum(item.told and item.output_tokens < item.asked_tokens for item in ended) / len(ended),
    }


def _spent(ended: Sequence[Ended]) -> dict[str, Any]:
    several = [item for item in ended if item.output_tokens > 1]
    return {
        "requests": len(ended),
        "ttft": _spread([item.first_s - item.sent_s for item in ended]),
        "tpot": _spread([tpot_s(item) for item in several]),
        "total": _spread([item.last_s - item.sent_s for item in ended]),
        "connect": _spread([item.sent_s - item.asked_s for item in ended]),
    }


def _spread(values_s: Sequence[float]) -> Times:
    if not values_s:
        return _times([0.0] * (1 + len(_FRACTIONS)))
    return _times([float(np.mean(values_s)), *np.quantile(values_s, _FRACTIONS).tolist()])


def _times(values_s: Sequence[float]) -> Times:
    mean, p50, p90, p95, p99 = (1e3 * value for value in values_s)
    return Times(mean_ms=mean, p50_ms=p50, p90_ms=p90, p95_ms=p95, p99_ms=p99)


def _tokens_a_piece(ended: Sequence[Ended]) -> float:
    return sum(item.output_tokens for item in ended) / sum(item.pieces for item in ended)
