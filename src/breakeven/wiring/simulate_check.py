"""A question about a pool, what can be wrong with it, told all at once, and lists that are given as text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from breakeven.capacity.fleet import POLICY_NAMES
from breakeven.errors import InputError, Problem
from breakeven.routing.queueing import MOST_PRIORITY
from breakeven.routing.timetable import Timetable, read_timetable
from breakeven.traffic.synthesis import FAMILIES, Burst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import date
    from pathlib import Path

MOST_NODES: Final = 1000
MOST_COUNTS: Final = 100
MOST_IN_LINE: Final = 100_000
LONGEST_IN_LINE_S: Final = 86_400.0
LINE_POLICIES: Final = ("overflow", "marginal_cost", "prefix_affinity")
"""Which tell full nodes from others, so that requests may wait for room."""

DAYS: Final = {name: (day,) for day, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))} | {
    "": tuple(range(7)),
    "weekday": tuple(range(5)),
    "weekend": (5, 6),
}
_STRETCH: Final = re.compile(r"(?:(?P<days>[a-z]+)/)?(?P<start>\d{1,2})-(?P<end>\d{1,2}):(?P<nodes>\d{1,4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateRequest:
    """What a person asks."""

    files: tuple[Path, ...]
    pool: str | None = None
    """A node's GPUs, model, precision and engine: ``2xH100:llama-3.3-70b:fp8:vllm``; the last two may be left out."""

    calibration: Path | None = None
    """What ``breakeven bench --save`` measured of such a node; without ``pool`` it says what the node is."""

    cache_tokens: int | None = None
    """Room of the cache of a node known by calibration alone; None: what the measured loads used at most."""

    scale_ratio: float = 1.0
    """So many times the requests of the trace, made up to look like them; so are those of windows."""

    burst: str | None = None
    """How gaps between made-up requests vary: ``poisson``, ``gamma:2``, ``weibull:3``; None: as fitted."""

    nodes: int = 1
    """At most, where they change."""

    counts: tuple[int, ...] = ()
    """Numbers of nodes to compare, for ``run_sweep``."""

    overflow: tuple[str, ...] = ()
    """Whose APIs take what the nodes do not, in the order in which they are asked."""

    policy: str = "least_busy"
    most_waiting_requests: int = 100
    most_ttft_s: float = float("inf")
    most_kv_fraction: float = 1.0
    most_usd: float | None = None
    """What a request may cost at most; None: no limit."""

    budget_day_usd: float | None = None
    """Of all requests together; None: no limit."""

    hours: str = ""
    """Of the nodes under ``schedule``, such as ``Mon-Fri 08-20``; empty: always."""

    overflow_hours: tuple[str, ...] = ()
    """Likewise, of each API; those that are not given are always open."""

    hours_zone: str = "UTC"
    """In which hours are told."""

    line_requests: int | None = None
    """Most that wait in the gateway's line while all nodes are full; None: full nodes take them."""

    line_longest_s: float | None = None
    """How long they wait there at most; None: as the gateway has it where nothing is said."""

    key_priorities: tuple[str, ...] = ()
    """``KEY=PRIORITY``: of keys of the trace, in the line."""

    back_ratio: float | None = None
    """Of these limits, within which a full node has room again; None: as the policy has it in the gateway."""

    overflow_ttft_s: tuple[float, ...] = (0.6,)
    """By API, as are the next two; a single one holds for all."""

    overflow_tpot_s: tuple[float, ...] = (0.015,)
    overflow_requests_per_s: tuple[float, ...] = (float("inf"),)
    usd_per_gpu_hour: float | None = None
    prefix_hit_fraction: float | None = None
    cold_start_s: float = 180.0
    mtbf_hours: float | None = None
    repair_s: float = 1800.0
    schedule: str | None = None
    """Nodes by hour, UTC: ``0-8:2,8-20:6,20-24:3``, or with days ``weekday/8-20:6``."""

    min_nodes: int | None = None
    """The pool follows its load from so many nodes up."""

    scale_waiting_requests: float = 4.0
    scale_used_fraction: float = 0.8
    scale_up_after_s: float = 60.0
    scale_down_after_s: float = 600.0
    idle_s: float = 900.0
    slo_ttft_s: float | None = None
    slo_tpot_s: float | None = None
    slo_quantile_fraction: float = 0.99
    seed: int = 1
    as_of: date | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    zone: str | None = None
    tolerate_fraction: float = 0.05
    progress: Callable[[float], None] | None = None


def check(request: SimulateRequest) -> None:
    """Raise ``InputError`` with all that is wrong."""
    problems = [*_wrong_numbers(request), *_wrong_together(request), *_wrong_terms(request), *_wrong_line(request)]
    problems += [
        Problem(where="--nodes", what=f"{count} is not between 1 and {MOST_NODES:,}.")
        for count in request.counts or (request.nodes,)
        if not 1 <= count <= MOST_NODES
    ]
    if request.pool is None and request.calibration is None:
        problems.append(
            Problem(
                where="--pool",
                what="nobody says what a node is.",
                fix="Write --pool 2xH100:llama-3.3-70b:fp8:vllm, or --calibration FILE of what you measured.",
            )
        )
    if request.cache_tokens is not None and (request.calibration is None or request.pool is not None):
        what = "the room of a pool's cache follows from its memory."
        problems.append(Problem(where="--cache-tokens", what=what, fix="Give it with --calibration and no --pool."))
    if request.burst is not None:
        try:
            burst_of(request.burst)
        except ValueError as error:
            fix = "Write poisson, gamma:2 or weibull:3, where the number is the variation of gaps."
            problems.append(Problem(where="--burst", what=f"{error}.", fix=fix))
    if request.policy not in POLICY_NAMES:
        what = f"{request.policy!r} cannot be simulated: there is no such policy."
        problems.append(Problem(where="--policy", what=what, fix=f"Give one of {', '.join(POLICY_NAMES)}."))
    if request.schedule is not None:
        try:
            week_of(request.schedule)
        except InputError as error:
            problems.append(Problem(where="--schedule", what=str(error)))
    if problems:
        raise InputError("This cannot be simulated.", tuple(problems))


def burst_of(text: str) -> Burst:
    """Return the burst in ``poisson``, ``gamma:2`` or ``weibull:3``.  Raises ``ValueError``."""
    family, colon, ratio = text.strip().lower().partition(":")
    if family not in FAMILIES:
        raise ValueError(f"a burst's family is one of {', '.join(FAMILIES)}, got {family[:40]!r}")
    try:
        varies = float(ratio) if colon else 1.0
    except ValueError:
        raise ValueError(f"{ratio[:40]!r} is no number") from None
    return Burst(family=family, gap_cv_ratio=varies)


def counts_of(text: str) -> tuple[int, ...]:
    """Return the numbers in ``4``, ``1..12`` or ``1,2,4..6``, each once, rising.  Raises ``InputError``."""
    counts: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,4})(?:\.\.(\d{1,4}))?\s*", part)
        if found is None:
            raise InputError(
                f"--nodes {text[:60]!r} is no number of nodes. Write one, as 4, a range, as 1..12, or a list, as 1,2,4."
            )
        low, high = int(found[1]), int(found[2] or found[1])
        if high < low:
            raise InputError(f"--nodes {part.strip()!r} ends before it begins. Write {high}..{low}.")
        counts |= set(range(low, high + 1))
    if len(counts) > MOST_COUNTS:
        raise InputError(f"--nodes names {len(counts):,} numbers of nodes; {MOST_COUNTS} at a time are enough.")
    return tuple(sorted(counts))


def week_of(text: str) -> tuple[int, ...]:
    """Return the nodes by hour of the week, Monday's first first; later parts go before earlier ones.

    Raises ``InputError`` for another form and for hours that no part names.
    """
    week: list[int | None] = [None] * 168
    for part in text.split(","):
        found = _STRETCH.fullmatch(part.strip().lower())
        if found is None or (found["days"] or "") not in DAYS:
            raise InputError(
                f"{part[:60]!r} is not of the form HOUR-HOUR:NODES. "
                "Write 0-8:2,8-20:6,20-24:3; before hours may stand weekday/, weekend/, or a day, as in mon/8-20:6."
            )
        start, end, nodes = int(found["start"]), int(found["end"]), int(found["nodes"])
        if not start < end <= 24:
            raise InputError(f"{part.strip()!r}: hours rise and end at 24. Split what goes over midnight in two.")
        if nodes > MOST_NODES:
            raise InputError(f"{part.strip()!r}: {nodes:,} nodes are more than {MOST_NODES:,}.")
        for day in DAYS[found["days"] or ""]:
            week[day * 24 + start : day * 24 + end] = [nodes] * (end - start)
    open_hours = [place for place, nodes in enumerate(week) if nodes is None]
    if open_hours:
        names = [name for name in DAYS if name][:7]
        day, hour = divmod(open_hours[0], 24)
        raise InputError(
            f"{len(open_hours)} hours of the week have no number of nodes, the first on {names[day]} at {hour}:00 UTC. "
            "Name every hour; 0 nodes are a number too."
        )
    if not any(week):
        raise InputError("no hour has a node. Give at least one hour a node.")
    return tuple(nodes or 0 for nodes in week)


def overflow_values(request: SimulateRequest) -> Iterator[tuple[str, float, float, float]]:
    """Yield each API of the overflow with its TTFT, its seconds a token and its rate limit."""
    for place, name in enumerate(request.overflow):
        ttft_s, tpot_s, rate = (
            values[min(place, len(values) - 1)]
            for values in (request.overflow_ttft_s, request.overflow_tpot_s, request.overflow_requests_per_s)
        )
        yield name, ttft_s, tpot_s, rate


def timetables(request: SimulateRequest) -> tuple[Timetable | None, ...]:
    """Return the hours of the nodes and of each API; none where nobody has any.

    Raises ``ValueError`` in words for hours and zones that are none.
    """
    given = (request.hours, *request.overflow_hours)
    if not any(given):
        return ()
    missing = ("",) * (1 + len(request.overflow) - len(given))
    return tuple(read_timetable(text, request.hours_zone) if text else None for text in (*given, *missing))


def priorities_of(texts: Iterable[str]) -> dict[str, int]:
    """Return the priority of each key in ``KEY=PRIORITY``.  Raises ``ValueError`` in words."""
    found: dict[str, int] = {}
    for text in texts:
        key, equals, priority = text.rpartition("=")
        if not equals or re.fullmatch(r"[+-]?\d{1,3}", priority.strip()) is None or abs(int(priority)) > MOST_PRIORITY:
            raise ValueError(
                f"{text[:60]!r} is not KEY=PRIORITY with a whole number from {-MOST_PRIORITY} to {MOST_PRIORITY}"
            )
        if key in found:
            raise ValueError(f"{key[:60]!r} is given twice")
        found[key] = int(priority)
    return found


def _wrong_line(request: SimulateRequest) -> Iterator[Problem]:
    """Yield what is wrong with how requests wait in the gateway."""
    for where, given in (
        ("--line-longest-s", request.line_longest_s),
        ("--key-priority", request.key_priorities or None),
    ):
        if given is not None and request.line_requests is None:
            what = "nobody waits in the gateway's line."
            yield Problem(where=where, what=what, fix="Say how many may: --line-requests 1000.")
    if request.line_requests is not None and not 1 <= request.line_requests <= MOST_IN_LINE:
        yield Problem(where="--line-requests", what=f"{request.line_requests:,} is not between 1 and {MOST_IN_LINE:,}.")
    if request.line_requests is not None and request.policy not in LINE_POLICIES:
        what = f"under the policy {request.policy[:40]!r} nobody waits in it: it sends to full nodes too."
        yield Problem(where="--line-requests", what=what, fix=f"Say --policy {' or '.join(LINE_POLICIES)}.")
    if request.line_requests is not None and request.most_waiting_requests < 1:
        what = "a node would always be full, and all would wait in vain."
        yield Problem(where="--most-waiting", what=what, fix="Give 1 or more; a pool of the gateway has 4.")
    if request.line_longest_s is not None and not 0 < request.line_longest_s <= LONGEST_IN_LINE_S:
        what = f"{request.line_longest_s:g} s is not above 0 and at most a day."
        yield Problem(where="--line-longest-s", what=what)
    try:
        priorities_of(request.key_priorities)
    except ValueError as error:
        yield Problem(where="--key-priority", what=f"{error}.", fix="Write --key-priority nightly-report=-10, say.")


def _wrong_terms(request: SimulateRequest) -> Iterator[Problem]:
    """Yield what is wrong with what only some policies ask for."""
    for where, given, names in (
        ("--most-usd", request.most_usd, ("cost_threshold", "marginal_cost")),
        ("--budget-day-usd", request.budget_day_usd, ("budget_downgrade",)),
        ("--hours", request.hours or None, ("schedule",)),
        ("--overflow-hours", request.overflow_hours or None, ("schedule",)),
    ):
        if given is not None and request.policy not in names:
            what = f"the policy {request.policy[:40]!r} does not look at it."
            yield Problem(where=where, what=what, fix=f"Leave it out, or say --policy {' or '.join(names)}.")
    if len(request.overflow_hours) > len(request.overflow):
        what = f"{len(request.overflow_hours)} are given, and --overflow names {len(request.overflow)}."
        yield Problem(where="--overflow-hours", what=what, fix="Give one for each in the same order; '' is always.")
    try:
        timetables(request)
    except ValueError as error:
        yield Problem(where="--hours", what=f"{error}.")


def _wrong_numbers(request: SimulateRequest) -> Iterator[Problem]:
    if request.most_waiting_requests < 0:
        yield Problem(where="--most-waiting", what=f"{request.most_waiting_requests} is below 0.")
    above_zero: list[tuple[str, str, float | None]] = [
        ("--scale", "times the requests", request.scale_ratio),
        ("--most-ttft-s", "s", request.most_ttft_s),
        ("--most-usd", "USD", request.most_usd),
        ("--budget-day-usd", "USD", request.budget_day_usd),
        ("--back", "of the limits", request.back_ratio),
        *(("--overflow-ttft-s", "s", value) for value in request.overflow_ttft_s),
        *(("--overflow-tpot-s", "s", value) for value in request.overflow_tpot_s),
        *(("--overflow-rps", "requests a second", value) for value in request.overflow_requests_per_s),
        ("--cache-tokens", "tokens", request.cache_tokens),
        ("--mtbf-hours", "hours", request.mtbf_hours),
        ("--repair-minutes", "s", request.repair_s),
        ("--scale-up-after-s", "s", request.scale_up_after_s),
        ("--scale-down-after-s", "s", request.scale_down_after_s),
        ("--idle-s", "s", request.idle_s),
        ("--slo-ttft-s", "s", request.slo_ttft_s),
        ("--slo-tpot-s", "s", request.slo_tpot_s),
    ]
    for where, unit, value in above_zero:
        if value is not None and not value > 0:
            yield Problem(where=where, what=f"{value:g} {unit} is not above 0.")
    shares: list[tuple[str, float | None, float]] = [
        ("--prefix-hits", request.prefix_hit_fraction, 1.0),
        ("--scale-used", request.scale_used_fraction, 1.0),
        ("--slo-quantile", request.slo_quantile_fraction, 1.0),
        ("--most-kv", request.most_kv_fraction, 1.0),
        ("--back", request.back_ratio, 1.0),
    ]
    for where, value, most in shares:
        if value is not None and not 0 <= value <= most:
            yield Problem(where=where, what=f"{value:g} is no share.", fix="Give a number from 0 to 1, such as 0.6.")
    if not request.slo_quantile_fraction > 0:
        yield Problem(where="--slo-quantile", what="0 of the requests are always in time.", fix="Give 0.99, say.")
    if not 0 <= request.cold_start_s < float("inf"):
        yield Problem(where="--cold-start-s", what=f"{request.cold_start_s:g} s is no time to start in.")
    if not request.scale_waiting_requests >= 0:
        yield Problem(where="--scale-waiting", what=f"{request.scale_waiting_requests:g} requests are below 0.")
    if request.usd_per_gpu_hour is not None and not 0 < request.usd_per_gpu_hour < float("inf"):
        yield Problem(where="--usd-per-gpu-hour", what=f"{request.usd_per_gpu_hour:g} is no price.")


def _wrong_together(request: SimulateRequest) -> Iterator[Problem]:
    most = min(request.counts or (request.nodes,))
    if request.min_nodes is not None and not 0 <= request.min_nodes <= most:
        yield Problem(
            where="--min-nodes",
            what=f"{request.min_nodes} is not between 0 and the {most} of --nodes.",
            fix="The pool follows its load between the two.",
        )
    if request.schedule is not None and request.min_nodes is not None:
        yield Problem(
            where="--schedule",
            what="with --min-nodes too, hours and load would both say how many nodes there are.",
            fix="Give one of the two.",
        )
    if request.schedule is not None and request.counts:
        yield Problem(
            where="--schedule", what="it says how many nodes there are, and so does --nodes.", fix="Leave --nodes out."
        )
    for where, values in (
        ("--overflow-ttft-s", request.overflow_ttft_s),
        ("--overflow-tpot-s", request.overflow_tpot_s),
        ("--overflow-rps", request.overflow_requests_per_s),
    ):
        if len(values) > max(1, len(request.overflow)):
            what = f"{len(values)} are given, and --overflow names {len(request.overflow)}."
            yield Problem(where=where, what=what, fix="Give one for all, or one for each in the same order.")
