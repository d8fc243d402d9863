"""A worker in a process of its own, for the tests: asks many times at once, and prints what it was admitted."""

from __future__ import annotations

import asyncio
import sys

from breakeven.limits import shared
from limits.workers import Clock, admitted, ask, worker


async def _main(url: str, process: str, requests: int) -> None:
    async with worker(url, Clock(), process) as limits:
        print("ready", flush=True)  # noqa: T201 - what the test waits for
        await asyncio.to_thread(sys.stdin.readline)
        answers = await asyncio.gather(*(ask(limits, usd=10) for _ in range(requests)))
        held = admitted(answers)
        for found in held[::2]:
            limits.settle(found, 1, 10)
        print(len(held), flush=True)  # noqa: T201 - what the test reads
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    shared.PATIENCE_S = 10.0  # type: ignore[misc]  # a machine with much to do is not a server that is away
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
