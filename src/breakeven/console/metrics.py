"""What ``/metrics`` shows: counters from the ledger's roll-ups, and how the workers are.

Counters of the ledger go on over restarts, since the roll-ups do; a correction of past rows may lower one, which
Prometheus takes for a restart.  What only workers count (rows dropped, times to the first byte) is added up here, over
the workers that come and go, and begins with those that live when the control plane starts.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

from breakeven.console.canaries import degraded_targets
from breakeven.console.drained import read_drained
from breakeven.console.exposition import Family
from breakeven.console.totals import OTHER, all_totals
from breakeven.console.worker_state import WorkerState, read_states
from breakeven.errors import InputError
from breakeven.routing.latency import BOUNDS_S, FirstBytes
from breakeven.similar.evidence import Hits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from breakeven.clock import Clock
    from breakeven.console.plan import ControlPlan
    from breakeven.console.totals import Labels, Sums, Totals

TOTALS_S: Final = 5.0
"""How long sums over the ledger are shown again before they are taken anew."""

ATTEMPTS: Final = Family("breakeven_attempts_total", "counter", ("model", "target", "outcome"), "Calls to targets.")
ESTIMATED: Final = Family(
    "breakeven_estimated_attempts_total", "counter", ("model", "target"), "Calls whose tokens are estimated."
)
UNPRICED: Final = Family(
    "breakeven_unpriced_attempts_total", "counter", ("model", "target"), "Calls without a known price, in no cost."
)
TOKENS: Final = Family("breakeven_tokens_total", "counter", ("model", "target", "type"), "Tokens; types add up.")
COST: Final = Family("breakeven_cost_usd_total", "counter", ("model", "target"), "US dollars, where prices are known.")
REQUESTS: Final = Family("breakeven_requests_total", "counter", ("key", "model"), "Requests of clients.")
KEY_TOKENS: Final = Family("breakeven_key_tokens_total", "counter", ("key", "model", "type"), "Tokens; types add up.")
KEY_COST: Final = Family("breakeven_key_cost_usd_total", "counter", ("key", "model"), "US dollars.")
TASK_REQUESTS: Final = Family("breakeven_task_requests_total", "counter", ("task",), "Requests of clients.")
TASK_COST: Final = Family("breakeven_task_cost_usd_total", "counter", ("task",), "US dollars.")
IN_FLIGHT: Final = Family("breakeven_in_flight_requests", "gauge", ("target",), "Requests under way.")
OPEN: Final = Family("breakeven_target_open", "gauge", ("target",), "1 where some worker leaves the target alone.")
RETRY: Final = Family("breakeven_target_retry_seconds", "gauge", ("target",), "Until the target is tried again.")
DRAINED: Final = Family("breakeven_target_drained", "gauge", ("target",), "1 where a person took it out of service.")
DEGRADED: Final = Family(
    "breakeven_target_degraded",
    "gauge",
    ("target",),
    "1 where bad answers to its golden prompt took it out of service.",
)
WORKERS: Final = Family("breakeven_workers", "gauge", (), "Workers that said lately how they are.")
CONNECTIONS: Final = Family("breakeven_connections", "gauge", (), "Connections of clients.")
WAITING: Final = Family("breakeven_waiting_rows", "gauge", (), "Rows in memory that could not be written yet.")
DROPPED: Final = Family("breakeven_dropped_rows_total", "counter", (), "Rows that were given up.")
SKIPPED: Final = Family("breakeven_skipped_events_total", "counter", (), "Events of streams that were no JSON.")
FIRST_BYTE: Final = Family(
    "breakeven_first_byte_seconds", "histogram", ("target",), "From a request to the first byte of its answer."
)
SIMILAR: Final = Family(
    "breakeven_similar_hits_total",
    "counter",
    ("task", "outcome"),
    "Answers to similar questions: given again, or checked and found right or false.",
)
SIMILAR_NEEDED: Final = Family(
    "breakeven_similar_checks_needed", "gauge", ("task",), "Right checks before every worker gives answers again."
)
LEDGER_UP: Final = Family("breakeven_ledger_up", "gauge", (), "1 where the ledger's store can be read.")


class _Counted:
    """Counts of workers that come and go, added up."""

    def __init__(self) -> None:
        self.dropped_rows = 0
        self.skipped_events = 0
        self.first_byte: dict[str, FirstBytes] = {}
        self.similar: Counter[tuple[str, str]] = Counter()
        """By task and what became of them."""

        self._before: dict[tuple[int, float], WorkerState] = {}

    def take(self, states: Mapping[int, WorkerState], names: frozenset[str]) -> None:
        """Add what came since the same workers were last looked at; targets beside ``names`` are ``other``."""
        before, self._before = self._before, {}
        for number, state in states.items():
            last = before.get((number, state.started_s), WorkerState(at_s=0))
            self._before[number, state.started_s] = state
            self.dropped_rows += max(state.dropped_rows - last.dropped_rows, 0)
            self.skipped_events += max(state.skipped_events - last.skipped_events, 0)
            for target, tally in state.first_byte.items():
                known = self.first_byte.setdefault(target if target in names else OTHER, FirstBytes())
                _add_difference(known, tally, last.first_byte.get(target) or FirstBytes())
            for task, hits in state.similar.items():
                before_it = dict(_results(last.similar.get(task) or Hits()))
                for outcome, count in _results(hits):
                    self.similar[task, outcome] += max(count - before_it[outcome], 0)
        # One that did not write in time may go on later: its counts so far must not be added once more.
        missing = {key: state for key, state in before.items() if key[0] not in states}
        self._before.update(missing)


class Metrics:
    """Makes the text; one call at a time does the work, and the others wait for it."""

    def __init__(self, plan: ControlPlan, store: Path, folder: Path, clock: Clock) -> None:
        self._targets = frozenset(target.name for target in plan.targets)
        self._reserved = {
            "model": [model.name for model in plan.models],
            "target": sorted(self._targets),
            "key": list(plan.keys),
        }
        self._store = store
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._counted = _Counted()
        self._totals: Totals | None = None
        self._taken_s = -TOTALS_S

    def text(self) -> str:
        """Return everything in Prometheus' text format.  A ledger that cannot be read is said, and left out."""
        with self._lock:
            states = read_states(self._folder, self._clock.now())
            self._counted.take(states, self._targets)
            lines = [*self._of_workers(states), *self._of_ledger()]
        return "\n".join(lines) + "\n"

    def _of_ledger(self) -> Iterator[str]:
        now_s = self._clock.monotonic()
        if self._totals is None or now_s - self._taken_s >= TOTALS_S:
            try:
                self._totals = all_totals(self._store, self._reserved)
            except InputError:
                yield from LEDGER_UP.write([((), 0)])
                return
            self._taken_s = now_s
        yield from LEDGER_UP.write([((), 1)])
        yield from _ledger_lines(self._totals)

    def _of_workers(self, states: Mapping[int, WorkerState]) -> Iterator[str]:
        counted, drained = self._counted, read_drained(self._folder)
        in_flight, retry = flight_and_retry(states)
        targets = sorted(self._targets)
        yield from WORKERS.write([((), len(states))])
        yield from CONNECTIONS.write([((), sum(state.connections for state in states.values()))])
        yield from WAITING.write([((), sum(state.waiting_rows for state in states.values()))])
        yield from DROPPED.write([((), counted.dropped_rows)])
        yield from SKIPPED.write([((), counted.skipped_events)])
        yield from IN_FLIGHT.write(((target,), in_flight.get(target, 0)) for target in targets)
        yield from OPEN.write(((target,), int(target in retry)) for target in targets)
        yield from RETRY.write(((target,), retry.get(target, 0.0)) for target in targets)
        yield from DRAINED.write(((target,), int(target in drained)) for target in targets)
        degraded = degraded_targets(self._folder, self._clock.now())
        yield from DEGRADED.write(((target,), int(target in degraded)) for target in targets)
        yield from SIMILAR.write(sorted(counted.similar.items()))
        needed: dict[str, int] = {}
        for state in states.values():
            for task, hits in state.similar.items():
                needed[task] = max(needed.get(task, 0), hits.checks_needed)
        yield from SIMILAR_NEEDED.write(((task,), count) for task, count in sorted(needed.items()))
        tallies = sorted(counted.first_byte.items())
        yield from FIRST_BYTE.write_histogram(BOUNDS_S, (((name,), item.counts, item.sum_s) for name, item in tallies))


def flight_and_retry(states: Mapping[int, WorkerState]) -> tuple[dict[str, int], dict[str, float]]:
    """Return, by target, the requests under way at all workers, and the longest time until one tries it again."""
    in_flight: dict[str, int] = {}
    retry: dict[str, float] = {}
    for state in states.values():
        for target, count in state.in_flight.items():
            in_flight[target] = in_flight.get(target, 0) + count
        for target, seconds in state.open.items():
            retry[target] = max(retry.get(target, 0.0), seconds)
    return in_flight, retry


def _ledger_lines(totals: Totals) -> Iterator[str]:
    by_outcome, by_target, by_key, by_task = totals.values()
    yield from ATTEMPTS.write((labels, sums.attempts) for labels, sums in by_outcome.items())
    yield from ESTIMATED.write((labels, sums.estimated) for labels, sums in by_target.items())
    yield from UNPRICED.write((labels, sums.unpriced) for labels, sums in by_target.items())
    yield from COST.write((labels, sums.cost_usd) for labels, sums in by_target.items())
    yield from TOKENS.write(_by_type(by_target))
    yield from REQUESTS.write((labels, sums.requests) for labels, sums in by_key.items())
    yield from KEY_TOKENS.write(_by_type(by_key))
    yield from KEY_COST.write((labels, sums.cost_usd) for labels, sums in by_key.items())
    yield from TASK_REQUESTS.write((labels, sums.requests) for labels, sums in by_task.items())
    yield from TASK_COST.write((labels, sums.cost_usd) for labels, sums in by_task.items())


def _by_type(groups: Mapping[Labels, Sums]) -> Iterator[tuple[Labels, int]]:
    for labels, sums in groups.items():
        for kind, count in sums.tokens.items():
            yield (*labels, kind), count


def _results(hits: Hits) -> Iterator[tuple[str, int]]:
    yield "given", hits.given
    yield "right", hits.checks - hits.false_hits
    yield "false", hits.false_hits


def _add_difference(known: FirstBytes, now: FirstBytes, before: FirstBytes) -> None:
    for place, (count, counted) in enumerate(zip(now.counts, before.counts, strict=True)):
        known.counts[place] += max(count - counted, 0)
    known.sum_s += max(now.sum_s - before.sum_s, 0.0)
