"""Starts and stops nodes at the hours of their pools' timetables, by the commands that the settings name.

What a command gets and how long it may take is in ``wiring.node_command``.
"""

from __future__ import annotations

import signal
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from breakeven.engines.following import Follower, Progress, after, is_due, wanted_up
from breakeven.errors import InputError
from breakeven.wiring.clock import SystemClock
from breakeven.wiring.node_command import run_for_node
from breakeven.wiring.stopping import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.settings import Settings

_LOOK_S: Final = 1.0


def followers_of(settings: Settings) -> tuple[Follower, ...]:
    """Return the nodes that follow a timetable.  Raises ``InputError`` where none does."""
    from breakeven.routing.timetable import read_timetable

    found = [
        Follower(
            pool=name,
            node=node,
            timetable=read_timetable(pool.schedule.hours, pool.schedule.time_zone),
            start=pool.schedule.start,
            stop=pool.schedule.stop,
            timeout_s=pool.schedule.timeout_s,
        )
        for name, pool in settings.file.pools.items()
        if pool.schedule is not None and not pool.virtual
        for node in pool.node_names()
    ]
    if not found:
        raise InputError("No pool in the settings has a schedule: write hours, start and stop under its `schedule:`.")
    return tuple(found)


class Schedule:
    """Nodes that follow their timetables, and what has been done about them."""

    def __init__(self, followers: tuple[Follower, ...], run: Callable[[Follower, bool], bool]) -> None:
        self._followers = {item.name: item for item in followers}
        self._all, self._run = followers, run
        self._threads = ThreadPoolExecutor(max_workers=len(followers), thread_name_prefix="schedule")
        self._under_way: dict[str, tuple[bool, Future[bool]]] = {}
        self.progress = dict.fromkeys(self._followers, Progress())

    def step(self, now_s: float) -> None:
        """Note what has ended, and begin what is due."""
        for name, (up, future) in list(self._under_way.items()):
            if future.done():
                del self._under_way[name]
                self.progress[name] = after(self.progress[name], up=up, succeeded=future.result(), at_s=now_s)
        for name, up in wanted_up(self._all, now_s).items():
            if name not in self._under_way and is_due(self.progress[name], up=up, at_s=now_s):
                self._under_way[name] = (up, self._threads.submit(self._run, self._followers[name], up))

    def wait(self) -> None:
        """Wait until every command under way has ended; what it left is noted by the next step."""
        for _, future in self._under_way.values():
            future.result()

    def close(self) -> None:
        """Wait for the commands under way and end the threads."""
        self._threads.shutdown()


def follow(settings: Settings, *, once: bool) -> bool:
    """Follow the timetables until SIGINT or SIGTERM, or for one round; return whether every command succeeded.

    A command that is under way at the end is waited for: half a start helps nobody.
    """
    schedule, clock, stop = Schedule(followers_of(settings), run_command), SystemClock(), Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        while not stop.is_set():
            schedule.step(clock.now())
            if once:
                schedule.wait()
                schedule.step(clock.now())
                break
            stop.wait(_LOOK_S)
    finally:
        schedule.close()
    return all(item.is_up is not None for item in schedule.progress.values())


def run_command(node: Follower, up: bool) -> bool:  # noqa: FBT001 - the one thing that a command is told
    """Run what brings a node up or down; return whether it ended in time and with code 0."""
    what = "start" if up else "stop"
    return run_for_node(node.name, what, node.command(up=up), timeout_s=node.timeout_s)
