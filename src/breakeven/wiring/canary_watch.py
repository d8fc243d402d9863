"""Asks the nodes of pools their golden prompts, carries out what follows from the answers, and says how nodes are.

What follows is decided in ``engines.degraded``; what people took out of service is read where they keep it.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor, wait
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.console.canaries import CanaryState, kept_canaries, write_canaries
from breakeven.console.drained import read_drained
from breakeven.engines import degraded
from breakeven.engines.canary import BAD_ANSWERS
from breakeven.engines.degraded import Watched
from breakeven.routing.timetable import read_timetable
from breakeven.wiring.engine_ask import NoAnswerError, door_of
from breakeven.wiring.engine_canary import golden_answer
from breakeven.wiring.node_command import run_for_node

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Executor, Future

    from breakeven.clock import Clock
    from breakeven.wiring.canary_plan import CanariesPlan, NodePlan, PoolPlan

SAY_S: Final = 1.0
"""How often it says how the nodes are where nothing has changed: what is old counts for nothing."""

_log = logging.getLogger("breakeven.canary")


class CanaryWatch:
    """The pools that have a canary, as they are now."""

    def __init__(self, plan: CanariesPlan, clock: Clock, asking: Executor) -> None:
        """Take over what an earlier process has said of nodes that are asked the same; ``asking`` is who asks."""
        self._folder, self._clock = Path(plan.folder), clock
        kept = kept_canaries(self._folder)
        restarting = ThreadPoolExecutor(max_workers=len(plan.pools), thread_name_prefix="restart")
        self._pools = [PoolWatch(pool, asking, restarting, kept) for pool in plan.pools]
        self._drained: frozenset[str] = frozenset()
        self._said: CanaryState | None = None
        self._trouble = ""

    def step(self) -> None:
        """Note what has come, begin what is due, and say how the nodes are."""
        now_s, at_s = self._clock.now(), self._clock.monotonic()
        self._drained = read_drained(self._folder, self._drained)
        for pool in self._pools:
            pool.look(now_s, at_s, self._drained)
        self._say(now_s)
        for pool in self._pools:
            pool.begin(at_s)

    def end(self) -> None:
        """Note what has come of commands, begin nothing, and go on saying how the nodes are."""
        for pool in self._pools:
            pool.note_restart(self._clock.monotonic())
        self._say(self._clock.now())

    def is_restarting(self) -> bool:
        """Whether a command is under way."""
        return any(pool.restart is not None for pool in self._pools)

    def wait(self, longest_s: float) -> None:
        """Wait until a command under way has ended, or for so long."""
        wait([pool.restart[1] for pool in self._pools if pool.restart is not None], longest_s)

    def _say(self, now_s: float) -> None:
        state = CanaryState(
            at_s=now_s,
            marks={pool.plan.name: pool.plan.mark for pool in self._pools},
            nodes={name: node for pool in self._pools for name, node in pool.nodes.items()},
        )
        if self._said and state.nodes == self._said.nodes and 0 <= now_s - self._said.at_s < SAY_S:
            return
        try:
            write_canaries(self._folder, state)
            self._said, trouble = state, ""
        except OSError as error:
            trouble = f"what is known of nodes cannot be kept in {self._folder}: {error.strerror}"
        if trouble and trouble != self._trouble:
            _log.error("Degraded nodes are in service, because %s", trouble)
        self._trouble = trouble


class PoolWatch:
    """One pool: its nodes, the questions and the command under way."""

    def __init__(self, plan: PoolPlan, asking: Executor, restarting: Executor, kept: CanaryState) -> None:
        self.plan = plan
        self._hours = read_timetable(plan.hours, plan.time_zone) if plan.hours else None
        self._asking, self._restarting = asking, restarting
        self._plans = {node.target.name: node for node in plan.nodes}
        known = kept.nodes if kept.marks.get(plan.name) == plan.mark else {}
        self.nodes = {name: degraded.taken_over(known.get(name, Watched())) for name in self._plans}
        self._serving: frozenset[str] = frozenset(self._plans)
        self._out: set[str] = set()
        self._staying: set[str] = set()
        """Those that are degraded and in service."""

        self._asked: dict[str, Future[str | None]] = {}
        self._asked_s = dict.fromkeys(self._plans, -inf)
        self.restart: tuple[str, Future[bool]] | None = None
        """The node that is being started afresh, and whether that succeeded."""

    def look(self, now_s: float, at_s: float, drained: Iterable[str]) -> None:
        """Note what has come, and who may serve; ``now_s`` in Unix seconds, ``at_s`` on a stopwatch."""
        is_up = self._hours is None or self._hours.is_open(now_s)
        self._serving = frozenset(self._plans).difference(drained) if is_up else frozenset()
        for name in [name for name, future in self._asked.items() if future.done()]:
            self._note_answer(name, self._asked.pop(name).result(), at_s)
        self.note_restart(at_s)
        if not is_up:
            self._asked.clear()
            self.nodes = {name: degraded.rested(node) for name, node in self.nodes.items()}
        self.nodes = degraded.settled(self.nodes, self._serving, at_s)
        self._tell_changes()

    def begin(self, at_s: float) -> None:
        """Ask who is to be asked, and start afresh who is to be."""
        due = degraded.next_restart(self.nodes, self._serving, at_s)
        if due is not None and self._plans[due].restart:
            self._asked.pop(due, None)  # what comes of it is of the life before
            self.nodes[due] = degraded.restarting(self.nodes[due])
            self.restart = due, self._restarting.submit(_restart, self._plans[due], self.plan.timeout_s)
        for name in self._serving:
            waits = name in self._asked or self.nodes[name].is_restarting
            if not waits and at_s - self._asked_s[name] >= self.plan.every_s:
                self._asked_s[name] = at_s
                self._asked[name] = self._asking.submit(_ask, self._plans[name], self.plan)

    def note_restart(self, at_s: float) -> None:
        """Note what has come of the command under way, if it has ended."""
        if self.restart is None or not self.restart[1].done():
            return
        name, ended = self.restart
        self.restart = None
        self._asked_s[name] = -inf
        self.nodes[name] = degraded.restarted(self.nodes[name], succeeded=ended.result(), at_s=at_s)

    def _tell_changes(self) -> None:
        out = {name for name, node in self.nodes.items() if node.is_out}
        staying = {name for name, node in self.nodes.items() if node.is_degraded} - out
        for name in out - self._out:
            _log.warning("%s is taken out of service.", name)
        for name in self._out - out:
            _log.warning("%s is in service again.", name)
        for name in staying - self._staying:
            _log.warning("%s is degraded and stays in service: nothing else in its pool is.", name)
        self._out, self._staying = out, staying

    def _note_answer(self, name: str, answer: str | None, at_s: float) -> None:
        before = self.nodes[name]
        self.nodes[name] = node = degraded.answered(before, self.plan.golden, answer, at_s)
        if answer is None:
            return
        if before.begins is None:
            _log.info("%s answers the golden prompt with %.40r.", name, answer)
        if 0 < node.bad_count <= BAD_ANSWERS:
            expected = self.plan.golden.expected or node.begins
            what = "%s answered the golden prompt with %.40r, expected was %.40r (bad answers: %d of %d)."
            _log.warning(what, name, answer, expected, node.bad_count, BAD_ANSWERS)
        if node.is_degraded != before.is_degraded:
            _log.warning("%s is %s.", name, "degraded" if node.is_degraded else "well again")


def _ask(node: NodePlan, pool: PoolPlan) -> str | None:
    path = "/v1/chat/completions" if node.target.base_path.endswith("/v1") else "/chat/completions"
    try:
        return golden_answer(door_of(node.target), pool.golden.body(node.model), path)
    except NoAnswerError as error:
        _log.info("the golden prompt: %s %s.", node.target.name, error)
        return None


def _restart(node: NodePlan, timeout_s: float) -> bool:
    return run_for_node(node.target.name, "restart", node.restart, timeout_s=timeout_s)
