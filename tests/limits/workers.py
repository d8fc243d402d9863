"""Workers of a gateway that share limits, with a clock that a test moves."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from breakeven.limits.reserve import Refused, Reservation
from breakeven.limits.rules import Rule
from breakeven.limits.shared import SharedLimits, Sharing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping

    from breakeven.clock import Timer
    from breakeven.limits.rules import Identity

NOW_S = datetime(2026, 11, 2, 9, 30, tzinfo=UTC).timestamp()
BUDGET = Rule("key", "search", "usd", 100, "day")
PARALLEL = Rule("key", "search", "parallel", 10, "none")
OFTEN = Rule("key", "search", "requests", 20, "minute")
COUNTER = "key:search:usd:day:" + str(int(datetime(2026, 11, 2, tzinfo=UTC).timestamp()))
"""Of the budget, on the server."""


class Clock:
    """Shows the time that it was set to."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def now(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        raise NotImplementedError


@asynccontextmanager
async def worker(
    url: str, clock: Clock, process: str = "1", rules: Iterable[Rule] = (BUDGET,), **sharing: Any
) -> AsyncIterator[SharedLimits]:
    """Return a worker that has looked for the server once, and takes part in rounds when the test says so."""
    limits = new_worker(url, clock, process, rules, **sharing)
    await limits.round()
    yield limits
    await limits.stop()


def new_worker(
    url: str,
    clock: Clock,
    process: str,
    rules: Iterable[Rule],
    used: Mapping[Identity, int] | None = None,
    **sharing: Any,
) -> SharedLimits:
    plan = {"slack": 0.1, "gateway": "here", "workers": 1, **sharing}
    return SharedLimits(rules, Sharing(url=url, process=process, **plan), clock, used)


async def ask(limits: SharedLimits, *, tokens: int = 1, usd: int = 0) -> Reservation | Refused:
    """Reserve as the gateway does: wait only where the lease does not cover."""
    subject = limits.subject("search", "", "", "fast")
    assert subject is not None
    found = limits.reserve(subject, tokens, usd, limits._clock.now())
    if isinstance(found, Reservation) or not found.unsure:
        return found
    answer: asyncio.Future[Reservation | Refused] = asyncio.get_running_loop().create_future()
    limits.ask(subject, tokens, usd, limits._clock.now(), answer.set_result)
    return await answer


def admitted(answers: Iterable[Reservation | Refused]) -> list[Reservation]:
    return [answer for answer in answers if isinstance(answer, Reservation)]


def refused(answer: Reservation | Refused) -> Refused:
    assert isinstance(answer, Refused)
    return answer


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test that waits, but not for ever."""

    async def patiently() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(patiently())


async def until_back(limits: SharedLimits, *, look: bool = True) -> None:
    """Wait until the server is there again for a worker, which looks for it by itself or is made to."""
    while limits.away:
        await asyncio.sleep(0.01)
        if look:
            await limits.round()
