"""Asks the engines of pools how busy they are, beside the requests that go there.

Each worker asks for itself: a page of metrics costs well under a millisecond, and every worker then routes by what is
so, whoever sent it there.  An engine that does not answer is not closed for that; requests tell how it is.
"""

from __future__ import annotations

import asyncio
from math import nan
from typing import TYPE_CHECKING, Final

from breakeven.engines.dialects import ENGINES, UNKNOWN
from breakeven.gateway.targets import address_of
from breakeven.upstreams.ask import ask, question

if TYPE_CHECKING:
    from breakeven.clock import Clock
    from breakeven.gateway.snapshot import Target
    from breakeven.gateway.state import State

WITHIN_S: Final = 2.0
"""An engine that takes longer to say how busy it is has said nothing."""

FORGET: Final = 3
"""After so many questions in a row without an answer what it said last counts no more."""

IDLE_SHARE: Final = 0.1
"""Quantile of the times to first byte that stands for a node without a queue."""

_ROOT: Final = "/v1"
"""Where a base path ends at which models are served; its engine tells about itself beside that."""


class Watch:
    """The questions to all nodes of a worker's state, until it is stopped."""

    def __init__(self, state: State, clock: Clock) -> None:
        """Begin to ask; of a node whose engine tells nothing only its own latency is looked at."""
        self._state = state
        self._clock = clock
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow(target)) for target in state.nodes]

    def stop(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()

    async def _follow(self, target: Target) -> None:
        node = target.node
        assert node is not None, "only nodes are asked"
        engine, seen = ENGINES[node.engine], self._state.targets[target.name]
        load = seen.load
        assert load is not None, "a node has a load"
        address = address_of(target)
        asked = b""
        if engine.metrics_path is not None:
            path = target.base_path.removesuffix(_ROOT) + engine.metrics_path
            asked = question(path, target.host_header, target.headers)
        silent = 0
        while True:
            page = await ask(address, asked, within_s=WITHIN_S) if asked else None
            told = engine.read_load(page) if page is not None else UNKNOWN
            silent = 0 if told.is_known else silent + 1
            if told.is_known or silent >= FORGET:
                latency, now_s = seen.latency, self._clock.monotonic()
                base_s = latency.quantile_s(IDLE_SHARE, now_s) if latency is not None else nan
                load.take(told, seen.in_flight, base_s)
            await asyncio.sleep(node.observe_s)
