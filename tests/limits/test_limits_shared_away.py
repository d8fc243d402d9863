"""Limits that workers share while their server is killed, hangs or is new, and when a worker is: within the slack."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from breakeven.limits import shared
from breakeven.limits.meter import RETRY_S
from breakeven.limits.reserve import Refused, Reservation
from breakeven.limits.scripts import DEAD_S
from limits.workers import (
    BUDGET,
    COUNTER,
    NOW_S,
    OFTEN,
    PARALLEL,
    Clock,
    admitted,
    ask,
    new_worker,
    refused,
    run,
    until_back,
    worker,
)

if TYPE_CHECKING:
    from limits.server import Server

pytestmark = pytest.mark.usefixtures("patience")


def test_a_killed_server_leaves_the_lease_and_the_slack_and_learns_all_when_it_is_back(server: Server) -> None:
    async def test() -> None:
        clock = Clock()
        async with worker(server.url, clock, "1", workers=2) as one, worker(server.url, clock, "2", workers=2) as two:
            assert isinstance(await ask(one, usd=40), Reservation)
            assert isinstance(await ask(two, usd=40), Reservation)
            server.kill()
            for limits in (one, two):
                await limits.round()
            assert (one.away, two.away) == (True, True)
            answers = [await ask(limits, usd=1) for limits in (one, two) for _ in range(20)]
            assert len(admitted(answers)) == 10, "each worker has its half of the slack of 10 % beyond what it holds"
            assert not any(answer.unsure for answer in answers if isinstance(answer, Refused))
            server.start()
            for limits in (one, two):
                await limits.round()
            assert (one.away, two.away) == (True, True), "nothing is granted before every worker has told what it has"
            for limits in (one, two):
                await limits.round()
            assert (one.away, two.away) == (False, False)
            assert sorted(server.counters()[COUNTER].values()) == [45, 45], "it came back empty and was told everything"
            one.settle(admitted(answers)[0], 1, 3)
            await one.round()
            assert sum(server.counters()[COUNTER].values()) == 92
            assert isinstance(await ask(two, usd=8), Reservation)
            assert refused(await ask(one, usd=1)).used == 100
            server.kill()
            await one.round()
            assert isinstance(await ask(one, usd=1), Refused), "a server that comes and goes gives no slack twice"
            server.start()

    run(test())


@pytest.mark.parametrize("delta", [-15, 15], ids=["it came to less", "it came to more"])
def test_what_is_made_good_after_more_was_used_than_reserved_is_no_slack(server: Server, delta: int) -> None:
    async def test() -> None:
        async with worker(server.url, Clock(), "1", workers=2) as one:
            held = await ask(one, usd=20)
            assert isinstance(held, Reservation)
            one.settle(held, 1, 40)
            one.make_good({BUDGET.counts: delta}, NOW_S)
            server.kill()
            await one.round()
            assert len(admitted([await ask(one, usd=1) for _ in range(30)])) == 5, "its half of the slack of 10 %"
            server.start()
            for _ in range(2):
                await one.round()
            assert sum(server.counters()[COUNTER].values()) == 40 + delta + 5

    run(test())


def test_slack_by_the_minute_and_at_once_is_bounded_too(server: Server) -> None:
    async def test() -> None:
        clock, rules = Clock(), (OFTEN, PARALLEL)
        async with worker(server.url, clock, rules=rules, slack=0.2) as one:
            server.kill()
            await one.round()
            held = admitted([await ask(one) for _ in range(10)])
            assert len(held) == 2, "a fifth of ten at once"
            for found in held:
                one.settle(found, 1, 0)
            clock.now_s += 20
            held = admitted([await ask(one) for _ in range(10)])
            assert len(held) == 2
            for found in held:
                one.settle(found, 1, 0)
            assert refused(await ask(one)).rule == OFTEN, "a fifth of twenty in a minute"
            server.start()

    run(test())


def test_a_server_that_hangs_is_waited_for_once_and_what_it_granted_late_is_put_right(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        clock = Clock()
        async with worker(server.url, clock) as one:
            assert isinstance(await ask(one, usd=30), Reservation)
            server.hang()
            monkeypatch.setattr(shared, "PATIENCE_S", 0.2)
            began_s = asyncio.get_running_loop().time()
            answers = await asyncio.gather(*(ask(one, usd=1) for _ in range(50)))
            waited_s = asyncio.get_running_loop().time() - began_s
            assert len(admitted(answers)) == 10
            assert waited_s >= 0.18
            assert [one.away] == [True]
            assert isinstance(await ask(one, usd=1), Refused)
            monkeypatch.setattr(shared, "PATIENCE_S", 10.0)
            server.go_on()
            await until_back(one)
            await one.round()
            assert server.counters()[COUNTER] == {"here/1": 40}

    run(test())


def test_a_grant_that_comes_too_late_for_its_slot_is_declined(server: Server) -> None:
    async def test() -> None:
        clock = Clock()
        async with worker(server.url, clock, rules=[OFTEN]) as one:
            waiting = asyncio.create_task(ask(one))
            await asyncio.sleep(0)
            clock.now_s += 30
            assert isinstance(await waiting, Reservation)
            await one.round()
            await one.round()
            assert sum(server.counters()["key:search:requests:minute"].values()) == 1

    run(test())


def test_a_new_process_finds_what_the_last_one_used_and_the_ledger_fills_what_the_server_lost(server: Server) -> None:
    async def test() -> None:
        clock = Clock()
        async with worker(server.url, clock, "before") as one:
            for _ in range(6):
                assert isinstance(await ask(one, usd=10), Reservation)
        for process, lost in (("after", False), ("later", True)):
            if lost:
                server.forget()
            limits = new_worker(server.url, clock, process, [BUDGET], {BUDGET.counts: 60})
            await limits.round()
            assert sum(server.counters()[COUNTER].values()) == 60
            assert refused(await ask(limits, usd=41)).used == 60
            await limits.stop()
        server.forget()
        async with worker(server.url, clock, "elsewhere", gateway="there") as other:
            assert isinstance(await ask(other, usd=30), Reservation)
            limits = new_worker(server.url, clock, "last", [BUDGET], {BUDGET.counts: 60})
            await limits.round()
            assert refused(await ask(other, usd=11)).used == 90, "each gateway has a ledger of its own"
            server.kill()
            await limits.round()
            server.start()
            await limits.round()
            await other.round()
            await until_back(other)
            await other.round()
            assert sum(server.counters()[COUNTER].values()) == 90
            await limits.stop()

    run(test())


def test_what_a_dead_worker_had_under_way_is_free_after_a_while_and_its_money_is_not(server: Server) -> None:
    async def test() -> None:
        clock, rules = Clock(), (BUDGET, PARALLEL)
        dead = new_worker(server.url, clock, "dead", rules)
        await dead.round()
        held = [await ask(dead, usd=4) for _ in range(10)]
        assert len(admitted(held)) == 10
        await dead._client.aclose()
        async with worker(server.url, clock, "alive", rules) as alive:
            assert refused(await ask(alive, usd=1)).rule == PARALLEL
            clock.now_s = NOW_S + DEAD_S + 1
            assert len(admitted([await ask(alive, usd=5) for _ in range(10)])) == 10
            assert refused(await ask(alive, usd=1)) == Refused(PARALLEL, 10, 1, RETRY_S)
            await alive.round()
            await alive.round()
            assert sum(server.counters()[COUNTER].values()) == 90, "nobody knows what became of its requests"

    run(test())
