"""What a person should know beside the figures of a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.bench.probe import Learned
    from breakeven.capacity.calibration import Level
    from breakeven.wiring.bench_question import BenchRequest

MOST_LAG_MS: Final = 5.0
MOST_BUSY_FRACTION: Final = 0.8
_NOTABLE_FRACTION: Final = 0.05
_WIDE_FRACTION: Final = 0.1


def notes_of(request: BenchRequest, levels: Sequence[Level], learned: Learned | None, example: str) -> tuple[str, ...]:
    """Return what was not as one would like it, in the order of its weight."""
    notes = [*_of_the_client(levels), *_of_the_endpoint(levels, learned), *_of_the_lengths(request, levels)]
    if example:
        notes.append(f"The first failure: {example}")
    return tuple(notes)


def _of_the_client(levels: Sequence[Level]) -> list[str]:
    late = [level for level in levels if level.lag_p99_ms > MOST_LAG_MS]
    busy = max(level.client_busy_fraction for level in levels)
    notes = []
    if late:
        worst = max(level.lag_p99_ms for level in late)
        notes.append(
            f"This client itself was up to {worst:.0f} ms late (p99) at {len(late)} of {len(levels)} levels: times "
            "there have that in them. Run it on a machine, or a core, of its own."
        )
    if busy > MOST_BUSY_FRACTION:
        notes.append(f"This client used {busy:.0%} of a core: near 100 % it is the client that was measured.")
    return notes


def _of_the_endpoint(levels: Sequence[Level], learned: Learned | None) -> list[str]:
    notes = []
    if any(level.told_fraction < 1 for level in levels):
        notes.append(
            "The endpoint did not tell its usage: pieces of text are counted as output tokens, and prompts are taken "
            "to be as long as was meant."
        )
    if learned is not None and not learned.dialect.ignores_end:
        notes.append(
            "It takes no ignore_eos: answers end when the model ends them, at the length that was asked at most."
        )
    early = max(level.early_fraction for level in levels)
    if early > _NOTABLE_FRACTION:
        notes.append(f"Up to {early:.0%} of the answers ended before the length that was asked for.")
    wide = [level for level in levels if (level.throughput_error_fraction or 1.0) > _WIDE_FRACTION]
    if wide:
        notes.append(
            f"At {len(wide)} of {len(levels)} levels throughput is known to no better than ± {_WIDE_FRACTION:.0%}: "
            "measure them for longer (--seconds)."
        )
    return notes


def _of_the_lengths(request: BenchRequest, levels: Sequence[Level]) -> list[str]:
    notes = []
    cached = max(level.cached_fraction for level in levels)
    if cached > _NOTABLE_FRACTION and not request.shared_tokens:
        notes.append(
            f"Up to {cached:.0%} of the input came from the endpoint's cache, though no two prompts begin alike."
        )
    meant = request.isl_tokens if request.trace is None else ()
    off = [
        level for level in levels if meant and min(abs(level.isl_tokens / isl - 1) for isl in meant) > _WIDE_FRACTION
    ]
    if off:
        shown = ", ".join(f"{level.isl_tokens:,.0f}" for level in off[:3])
        notes.append(f"Prompts had {shown} tokens, not as many as was asked for: a chat template alone may be longer.")
    return notes
