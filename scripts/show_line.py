"""A recorded run: more chat traffic than a pool of real engines can take, so that it waits in the gateway's line.

show_line.py [--speed 7] [--minutes 8.5]
    Two llama.cpp servers with a model of random weights, each on one thread, are all that there is: no API takes what
    they cannot.  Three keys ask in two classes: one goes first, and two share what is left.  Some of the requests
    have deadlines.  The Azure chat trace is sent through `breakeven up`, faster than it happened and with shorter
    prompts and answers, in two halves with a pause between them.  The first calibrates the simulator's pace, which
    then is told the arrivals, lengths, keys and deadlines of the second.  Printed of that, by class and by key: who
    was turned away, and TTFT, which counts the time in line, beside what the simulator says.  And again with nodes as
    fast as the second half itself shows: what then still differs is not their speed.  It reports; nothing is asserted.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import uvloop
from recorded_pool import (
    BACK_RATIO,
    MOST_WAITING,
    NODES,
    Call,
    Sent,
    engines,
    gateway,
    key_entry,
    replay,
    say,
    served_calls,
    speed_at_which,
    template_tokens,
    trace_calls,
)

from breakeven.capacity.calibrated_pace import faster
from breakeven.capacity.fleet import POLICY_NAMES, TURNED_AWAY, Demand, Rules
from breakeven.capacity.simulate import Details, Simulation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.pool import Pace
    from breakeven.capacity.simulate import Outcome, Times

MOST_REQUESTS: Final = 150
LONGEST_S: Final = 8.0
NO_ROOM: Final = "queue_full"
TOO_LATE: Final = "no_room_in_time"
PAUSE_S: Final = 2.0
WAITED_S: Final = 0.001
"""Who was sent on later has waited in line."""


class Key(NamedTuple):
    """Who asks."""

    name: str
    priority: int
    share: float
    """Of all requests."""

    deadline_s: float
    deadline_share: float
    """Of its requests, those that have a deadline."""


KEYS: Final = (
    Key("reports", -10, 0.35, 3.0, 0.2),
    Key("tests", -10, 0.15, math.inf, 0.0),
    Key("chat", 0, 0.50, 1.0, 0.3),
)
"""By priority and then by name, as the simulator has its flows."""

NUMBERS: Final = {key.name: number for number, key in enumerate(KEYS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request of one half, and what came of it."""

    at_s: float
    call: Call
    refused: str
    ttft_s: float
    """From its arrival at the gateway to the first byte of the answer; NaN where there was none."""

    queued_s: float


def main() -> None:
    """Run it and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=7.0)
    parser.add_argument(
        "--minutes", type=float, default=8.5, help="of measuring; the trace lasts for 60 divided by SPEED"
    )
    asked = parser.parse_args()
    calls = _with_keys(list(trace_calls(asked.speed, asked.minutes * asked.speed)))
    middle_s = asked.minutes * 60 / 2
    first = [call for call in calls if call.at_s < middle_s]
    second = [replace(call, at_s=call.at_s - middle_s) for call in calls[len(first) :]]
    say(f"{len(calls):,} requests in {calls[-1].at_s / 60:.1f} minutes, at {asked.speed:g} times their speed")
    with tempfile.TemporaryDirectory(prefix="breakeven-line-") as name:
        folder = Path(name)
        with engines(folder) as pace:
            sent = _through_gateway(folder, first, second, pace)
        template, seen = _seen(folder, [*first, *second], sent)
        _report(seen[: len(first)], seen[len(first) :], template, pace)


def _with_keys(calls: Sequence[Call]) -> list[Call]:
    """Return the requests, each of a key and perhaps with a deadline, by chance."""
    rng = np.random.default_rng(7)
    owners = rng.choice(len(KEYS), len(calls), p=[key.share for key in KEYS])
    chances = rng.random(len(calls))
    found = []
    for call, owner, chance in zip(calls, owners.tolist(), chances.tolist(), strict=True):
        key = KEYS[owner]
        deadline_s = key.deadline_s if chance < key.deadline_share else math.inf
        found.append(replace(call, key=key.name, deadline_s=deadline_s))
    return found


def _through_gateway(folder: Path, first: list[Call], second: list[Call], pace: Pace) -> list[Sent]:
    """Send both halves through the gateway, the second once the first is all answered; return what clients know."""
    waiting = {"most_requests": MOST_REQUESTS, "longest_s": LONGEST_S}
    settings = {
        "models": {"chat": {"targets": ["own"], "policy": "overflow", "waiting": waiting}},
        "keys": [key_entry(key.name, key.priority) for key in KEYS],
    }
    with gateway(folder, settings, pace) as port:
        say("sending the first half …")
        sent = uvloop.run(replay(port, first))
        time.sleep(PAUSE_S)
        say("sending the second half …")
        return sent + uvloop.run(replay(port, second, len(first)))


def _seen(folder: Path, calls: list[Call], sent: list[Sent]) -> tuple[int, list[Asked]]:
    """Return the tokens that nodes add to a prompt, and what came of each request."""
    served = list(served_calls(folder, calls))
    by_number = {item.number: item for item in served}
    seen = []
    for number, (call, item) in enumerate(zip(calls, sent, strict=True)):
        found = by_number.get(number)
        ttft_s, queued_s = (found.ttft_s, found.queued_s) if found is not None else (math.nan, math.nan)
        seen.append(Asked(at_s=item.at_s, call=call, refused=item.refused, ttft_s=ttft_s, queued_s=queued_s))
    odd = Counter(item.refused for item in seen if item.refused not in ("", NO_ROOM, TOO_LATE))
    for text, count in odd.items():
        say(f"{count} times: {text}")
    return template_tokens(served), seen


def _report(first: list[Asked], second: list[Asked], template: int, pace: Pace) -> None:
    """Print what happened in the second half, and what the simulator says of it."""
    ratio = _speed(first, template, pace)
    exact = faster(pace, ratio)
    before = _simulated(first, template, exact)
    ttft_s = [item.ttft_s for item in first if not item.refused]
    print(f"\ncalibrated on the first half: nodes at {ratio:.2f} times the speed of one alone; turned away "
          f"{before.rejected_requests / len(first):.1%} / {_share(first):.1%}, mean TTFT {before.mean_ttft_s:.2f} / "
          f"{np.mean(ttft_s):.2f} s")  # fmt: skip
    outcome = _simulated(second, template, exact)
    waited = [item for item in second if item.queued_s > WAITED_S or item.refused]
    print(f"second half: {len(second):,} requests, of which {len(waited) / len(second):.0%} waited in line")
    count = Counter(item.refused for item in second)
    print(f"simulated / measured: turned away {outcome.rejected_requests / len(second):.1%} / {_share(second):.1%}; "
          f"for want of room {outcome.no_room_requests:,} / {count[NO_ROOM]:,}, "
          f"at their deadlines {outcome.too_late_requests:,} / {count[TOO_LATE]:,}\n")  # fmt: skip
    _table(second, outcome)
    own = _speed(second, template, pace)
    print(f"\nthe second half turned away as many as nodes at {own:.2f} times the speed of one alone; at that speed:\n")
    _table(second, _simulated(second, template, faster(pace, own)))


def _speed(seen: list[Asked], template: int, pace: Pace) -> float:
    """Return how fast nodes were, of what one alone was, so that as many are turned away as were."""
    return speed_at_which(
        lambda tried: _simulated(seen, template, tried).rejected_requests / len(seen), _share(seen), pace
    )


def _table(seen: list[Asked], outcome: Outcome) -> None:
    """Print, by class and by key, simulated / measured; the simulator has quantiles by class alone."""
    print(f"{'simulated / measured':<22}{'requests':>9}{'turned away':>18}{'TTFT mean, s':>16}{'p50':>16}{'p95':>16}")
    priorities = sorted({key.priority for key in KEYS}, reverse=True)
    for priority in priorities:
        times = outcome.class_ttft[len(priorities) - 1 - priorities.index(priority)]
        keys = [key for key in KEYS if key.priority == priority]
        _row(f"priority {priority}", keys, seen, outcome, times)
        for key in keys:
            _row(f"  {key.name}", [key], seen, outcome, times if len(keys) == 1 else None)


def _row(name: str, keys: list[Key], seen: list[Asked], outcome: Outcome, times: Times | None) -> None:
    own = [item for item in seen if item.call.key in {key.name for key in keys}]
    ttft_s = np.array([item.ttft_s for item in own if not item.refused] or [math.nan])
    sums = outcome.flow_sums[[NUMBERS[key.name] for key in keys]].sum(axis=0)
    share = f"{sums[TURNED_AWAY] / len(own):.1%} / {_share(own):.1%}"
    cells = f"{sums[3] / sums[0]:.2f} / {ttft_s.mean():.2f}"
    line = f"{name:<22}{len(own):>9,}{share:>18}{cells:>16}"
    for fraction in (0.5, 0.95):
        told = f"{times.quantile_s(fraction):.2f}" if times is not None else "–"
        line += f"{told} / {np.quantile(ttft_s, fraction):.2f}".rjust(16)
    print(line)


def _simulated(seen: list[Asked], template: int, pace: Pace) -> Outcome:
    """Let the requests come to the same line before nodes of that pace."""
    rules = Rules(
        POLICY_NAMES.index("overflow"), MOST_WAITING, math.inf, 1.0, BACK_RATIO,
        line_requests=MOST_REQUESTS, line_longest_s=LONGEST_S,
    )  # fmt: skip
    details = Details(priorities=tuple(key.priority for key in KEYS))
    seen = sorted(seen, key=lambda item: item.at_s)
    simulation = Simulation(pace, NODES, rules, span_s=seen[-1].at_s, details=details)
    count = len(seen)
    simulation.feed(
        Demand(
            arrived_s=np.array([item.at_s for item in seen]),
            prompt=np.array([item.call.prompt_tokens + template for item in seen]),
            output=np.array([item.call.answer_tokens for item in seen]),
            cached=np.zeros(count, dtype=np.int64),
            uniform=np.random.default_rng(1).random(count),
            api_usd=np.zeros((count, 0)),
            flow=np.array([NUMBERS[item.call.key] for item in seen]),
            deadline_s=np.array([item.call.deadline_s for item in seen]),
        )
    )
    return simulation.outcome()


def _share(seen: list[Asked]) -> float:
    return sum(bool(item.refused) for item in seen) / max(1, len(seen))


if __name__ == "__main__":
    main()
