"""What a traffic is, in words: its size, its spread, what its tokens went to, and what of it repeats or could wait.

What a log does not show is not named: a share that is unknown is no zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.reports.words import counted, percent, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.records import Destinations, Growth, Reuse, TrafficProfile, TrafficTimes

SHOWN_MODELS = 8


def size_line(profile: TrafficProfile) -> str:
    """Say how much was observed."""
    usage, ratio = profile.usage, profile.input_output_ratio
    cached = f", {tokens(usage.cached_input_tokens)} of them read from a cache" if usage.cached_input_tokens else ""
    return (
        f"{profile.source}: {counted(profile)}; {tokens(usage.input_tokens)} input and {tokens(usage.output_tokens)} "
        f"output tokens {f'({ratio:.2f} : 1)' if ratio is not None else '(no output)'}{cached}"
    )


def shape_lines(profile: TrafficProfile) -> Iterator[str]:
    """Say how long requests are, and how they spread over time."""
    if profile.input_lengths and profile.output_lengths:
        i, o = profile.input_lengths, profile.output_lengths
        yield (
            f"lengths: input p50 {i.p50_tokens:,.0f}, p99 {i.p99_tokens:,.0f} tokens; "
            f"output p50 {o.p50_tokens:,.0f}, p99 {o.p99_tokens:,.0f}"
        )
    if profile.times:
        yield _times_line(profile.times)


def _times_line(times: TrafficTimes) -> str:
    burst = f", burstiness {times.burstiness_ratio:.1f} (Poisson: 1)" if times.burstiness_ratio is not None else ""
    return (
        f"{times.span_hours:,.1f} hours from {times.first_at:%Y-%m-%d %H:%M} UTC; "
        f"peak/mean {times.peak_to_mean_ratio:.2f} by {times.window_s:.0f} s{burst}"
    )


def habit_lines(profile: TrafficProfile) -> Iterator[str]:
    """Say how the traffic grows, what its tokens went to, what of it repeats, and what could wait."""
    if profile.growth:
        yield _growth_line(profile.growth)
    if profile.destinations:
        yield from _destination_lines(profile.destinations, profile.usage.total_tokens)
    if profile.reuse:
        yield from _reuse_lines(profile.reuse)
    if profile.batch_fraction is not None:
        yield f"batch or flex: {percent(profile.batch_fraction)} of all tokens already"
    if profile.batchable_fraction is not None:
        yield f"fit for a batch: {percent(profile.batchable_fraction)} of all tokens, from streams that run like jobs"


def _growth_line(growth: Growth) -> str:
    found = growth.per_month_fraction
    return (
        f"growth: {found.likely:+.0%} a month (80 % interval {found.low:+.0%} to {found.high:+.0%}), "
        f"from {growth.fitted_days} whole days"
    )


def _destination_lines(spent: Destinations, total_tokens: int) -> Iterator[str]:
    parts = {"system prompt": spent.system_tokens, "history": spent.history_tokens, "fresh": spent.fresh_tokens}
    if spent.parted_input_tokens:
        told = ", ".join(
            f"{name} {percent(count / spent.parted_input_tokens)}" for name, count in parts.items() if count is not None
        )
        yield f"input tokens went to: {told} (of {tokens(spent.parted_input_tokens)} whose parts are stated)"
    lost = {"attempts that failed": spent.failed_usage, "retries": spent.retry_usage}
    for name, usage in lost.items():
        if usage is not None and total_tokens:
            yield f"{name}: {tokens(usage.total_tokens)} tokens, {percent(usage.total_tokens / total_tokens)} of all"


def _reuse_lines(reuse: Reuse) -> Iterator[str]:
    if reuse.duplicate_fraction is not None:
        yield f"repeated prompts: {percent(reuse.duplicate_fraction)} of the requests came before, word for word"
    lives = {
        "ever": reuse.prefix_fraction,
        "within an hour": reuse.prefix_1h_fraction,
        "within five minutes": reuse.prefix_5min_fraction,
    }
    told = ", ".join(f"{percent(share)} {life}" for life, share in lives.items() if share is not None)
    if told:
        yield f"repeated prefixes: of the input tokens, these began an earlier prompt too: {told}"


def model_lines(profile: TrafficProfile) -> Iterator[str]:
    """Say what each model received, the most used first."""
    for share in profile.models[:SHOWN_MODELS]:
        requests = f"{share.requests:,} request{'' if share.requests == 1 else 's'}, " if share.requests else ""
        yield (
            f"{share.model or 'no model named'}: {requests}{tokens(share.usage.input_tokens)} input "
            f"and {tokens(share.usage.output_tokens)} output tokens"
        )
    if len(profile.models) > SHOWN_MODELS:
        yield f"and {len(profile.models) - SHOWN_MODELS:,} more"
