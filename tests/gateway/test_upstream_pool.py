"""How many connections a pool counts, and what becomes of one that does not last."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from breakeven.upstreams import pool as pools
from breakeven.upstreams.connection import CONNECT_FAILED, SATURATED
from breakeven.upstreams.dial import Address
from breakeven.upstreams.pool import Pool
from breakeven.wiring.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from breakeven.upstreams.connection import UpstreamConnection

PATIENCE_S = 10.0
Made = TypeVar("Made", bound=asyncio.Protocol)


class Waiter:
    """Waits for a connection, and notes what it is told."""

    def __init__(self) -> None:
        self.connection: UpstreamConnection | None = None
        self.reason = ""
        self.told = asyncio.Event()

    def connected(self, connection: UpstreamConnection) -> None:
        self.connection = connection
        self.told.set()

    def not_connected(self, reason: str, _detail: str) -> None:
        self.reason = reason
        self.told.set()


def pool_of(port: int, max_connections: int) -> Pool:
    address = Address(host="127.0.0.1", port=port, tls=None, connect_s=PATIENCE_S)
    return Pool(address, max_connections=max_connections, clock=SystemClock())


def wait_for(pool: Pool) -> Waiter:
    """Let somebody wait for a connection of the pool."""
    waiter = Waiter()
    pool.connect(waiter)  # type: ignore[arg-type]
    return waiter


async def listening() -> tuple[asyncio.Server, int]:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def counted_until_told() -> set[int]:
    """Return each count of a pool's connections, from turn to turn of the loop, while one is made."""
    server, port = await listening()
    async with server:
        pool = pool_of(port, 2)
        waiter, counts = wait_for(pool), set()
        while not waiter.told.is_set():
            counts.add(pool.open_connections)
            await asyncio.sleep(0)
        counts.add(pool.open_connections)
        assert waiter.connection is not None
        waiter.connection.drop()
    return counts


def test_a_connection_counts_once_from_its_first_moment_on() -> None:
    assert asyncio.run(counted_until_told()) == {1}


async def told_at_the_limit() -> list[str]:
    server, port = await listening()
    async with server:
        pool = pool_of(port, 2)
        waiters = [wait_for(pool) for _ in range(3)]
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(waiter.told.wait() for waiter in waiters))
        for waiter in waiters:
            if waiter.connection is not None:
                waiter.connection.drop()
    return [waiter.reason for waiter in waiters]


def test_as_many_as_the_limit_are_made_and_no_more() -> None:
    assert asyncio.run(told_at_the_limit()) == ["", "", SATURATED]


async def _lost_at_once(_address: Address, make: Callable[[], Made]) -> Made:
    return make()  # its transport has come and gone


async def told_of_one_lost_at_once() -> tuple[str, int]:
    pool = pool_of(1, 2)
    waiter = wait_for(pool)
    async with asyncio.timeout(PATIENCE_S):
        await waiter.told.wait()
    return waiter.reason, pool.open_connections


def test_a_connection_that_is_lost_before_it_is_told_of_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "dial", _lost_at_once)
    assert asyncio.run(told_of_one_lost_at_once()) == (CONNECT_FAILED, 0)
