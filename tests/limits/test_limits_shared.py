"""Limits that workers share through a real server: exact as long as it is there."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded, for what the tests make up
import subprocess
import sys
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from breakeven.limits.reserve import Refused, Reservation
from breakeven.limits.rules import Rule
from breakeven.limits.shared import DENIED_S, ROUND_S
from limits.workers import (
    BUDGET,
    COUNTER,
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


@pytest.mark.parametrize("seed", range(5))
def test_two_hundred_requests_at_two_workers_never_reserve_more_than_the_budget(server: Server, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - costs of requests
    costs = [draw.randint(1, 12) for _ in range(200)]

    async def test() -> None:
        clock = Clock()
        async with worker(server.url, clock, "1") as one, worker(server.url, clock, "2") as two:
            answers = await asyncio.gather(*(ask((one, two)[n % 2], usd=cost) for n, cost in enumerate(costs)))
            held = [(found, cost) for found, cost in zip(answers, costs, strict=True) if isinstance(found, Reservation)]
            reserved = sum(cost for _, cost in held)
            assert reserved <= BUDGET.amount
            await one.round()
            await two.round()
            await one.round()
            await two.round()
            assert sum(server.counters()[COUNTER].values()) == reserved, "what is free comes back after two rounds"
            clock.now_s += 2 * DENIED_S
            left = BUDGET.amount - reserved
            assert isinstance(await ask(one, usd=left), Reservation)
            assert refused(await ask(two, usd=1)).used == BUDGET.amount

    run(test())


def test_two_processes_keep_a_budget_together(server: Server) -> None:
    command = [sys.executable, "-m", "limits.spender", server.url]
    processes = [
        subprocess.Popen(
            [*command, name, "100"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        for name in "12"
    ]
    numbers = []
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout is not None
        numbers.append(int(process.stdout.readline()))
    for process in processes:
        process.communicate("end\n")
        assert process.returncode == 0
    assert 0.8 * BUDGET.amount <= sum(numbers) * 10 <= BUDGET.amount, "a little may lie in the other's lease"
    assert sum(server.counters()[COUNTER].values()) == sum(numbers) * 10


def test_what_errors_release_is_there_for_the_other_worker(server: Server) -> None:
    async def test() -> None:
        clock = Clock()
        async with worker(server.url, clock, "1") as one, worker(server.url, clock, "2") as two:
            found = await ask(one, usd=100)
            assert isinstance(found, Reservation)
            assert refused(await ask(two, usd=1)).rule == BUDGET
            one.release(found)
            one.release(found)
            await one.round()
            await one.round()
            clock.now_s += 2 * DENIED_S
            assert isinstance(await ask(two, usd=100), Reservation)

    run(test())


def test_all_limits_of_a_request_are_granted_or_none(server: Server) -> None:
    async def test() -> None:
        rules = (BUDGET, PARALLEL, OFTEN)
        async with worker(server.url, Clock(), rules=rules) as one:
            assert refused(await ask(one, usd=101)).retry_after_s == inf
            held = admitted([await ask(one, usd=5) for _ in range(30)])
            assert len(held) == 10
            await one.round()
            await one.round()
            by_kind = {name.split(":")[2]: sum(fields.values()) for name, fields in server.counters().items()}
            assert by_kind == {"usd": 50, "parallel": 10, "requests": 10}
            for found in held:
                one.settle(found, 1, 2)
            await one.round()
            by_kind = {name.split(":")[2]: sum(fields.values()) for name, fields in server.counters().items()}
            assert by_kind == {"usd": 20, "parallel": 0, "requests": 10}

    run(test())


def test_what_exceeds_its_reservation_is_told_to_the_others(server: Server) -> None:
    async def test() -> None:
        clock = Clock()
        async with worker(server.url, clock, "1") as one, worker(server.url, clock, "2") as two:
            found = await ask(one, usd=10)
            assert isinstance(found, Reservation)
            one.settle(found, 1, 95)
            await one.round()
            assert refused(await ask(two, usd=6)).used == 95
            assert isinstance(await ask(two, usd=5), Reservation)

    run(test())


def test_no_sixty_seconds_see_more_than_a_limit_by_the_minute_at_two_workers(server: Server) -> None:
    async def test() -> None:
        clock, taken = Clock(), []
        draw = random.Random(7)  # noqa: S311 - pauses between requests
        rules = (OFTEN,)
        async with worker(server.url, clock, "1", rules) as one, worker(server.url, clock, "2", rules) as two:
            for _ in range(400):
                clock.now_s += draw.choice((0.0, 0.1, 0.4, 1.0, 3.0))
                if isinstance(await ask(draw.choice((one, two))), Reservation):
                    taken.append(clock.now_s)
                if draw.random() < 0.3:
                    await one.round()
                    await two.round()
        most = max(sum(begins_s <= moment_s < begins_s + 60 for moment_s in taken) for begins_s in taken)
        assert OFTEN.amount / 2 < most <= OFTEN.amount

    run(test())


def test_a_budget_begins_anew_at_midnight_for_all_workers_and_late_ends_count_where_they_began(server: Server) -> None:
    async def test() -> None:
        clock = Clock()
        clock.now_s = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp()
        async with (
            worker(server.url, clock, "1", [Rule("key", "search", "usd", 100, "month")]) as one,
            worker(server.url, clock, "2", [Rule("key", "search", "usd", 100, "month")]) as two,
        ):
            found = await ask(one, usd=100)
            assert isinstance(found, Reservation)
            assert 0 < refused(await ask(two, usd=1)).retry_after_s <= 1
            clock.now_s += 1
            assert isinstance(await ask(two, usd=60), Reservation)
            one.settle(found, 1, 400)
            assert isinstance(await ask(one, usd=40), Reservation)
            assert refused(await ask(one, usd=1)).used == 100

    run(test())


def test_refused_requests_do_not_queue_up_for_the_server(server: Server) -> None:
    async def test() -> None:
        clock = Clock()
        async with worker(server.url, clock) as one:
            assert isinstance(await ask(one, usd=95), Reservation)
            assert refused(await ask(one, usd=6)).used == 95
            subject = one.subject("search", "", "", "fast")
            assert subject is not None
            assert not refused(one.reserve(subject, 1, 6, clock.now())).unsure
            assert refused(one.reserve(subject, 1, 5, clock.now())).unsure, "less may still fit"
            clock.now_s += 2 * DENIED_S
            assert refused(one.reserve(subject, 1, 6, clock.now())).unsure

    run(test())


def test_a_steady_worker_seldom_asks(server: Server) -> None:
    async def test() -> None:
        clock, large = Clock(), Rule("key", "search", "usd", 1_000_000, "day")
        async with worker(server.url, clock, rules=[large]) as one:
            subject = one.subject("search", "", "", "fast")
            assert subject is not None
            waited = 0
            for _ in range(10):
                for _ in range(20):
                    found = one.reserve(subject, 1, 10, clock.now())
                    waited += isinstance(found, Refused)
                    found = found if isinstance(found, Reservation) else await ask(one, usd=10)
                    assert isinstance(found, Reservation)
                    one.settle(found, 1, 10)
                clock.now_s += ROUND_S
                await one.round()
            assert waited <= 20, "only in the first round, before its pace was known"
            assert sum(server.counters().popitem()[1].values()) <= 2_000 + 200

    run(test())


def test_new_rules_keep_the_leases(server: Server) -> None:
    async def test() -> None:
        clock = Clock()
        async with worker(server.url, clock) as one:
            assert isinstance(await ask(one, usd=90), Reservation)
            assert refused(await ask(one, usd=20)).used == 90
            tokens = Rule("key", "search", "tokens", 10, "day")
            one.put_rules([BUDGET._replace(amount=150), tokens], clock.now(), {tokens.counts: 7, BUDGET.counts: 99})
            await one.round()
            assert refused(await ask(one, tokens=4)).used == 7
            assert isinstance(await ask(one, usd=60), Reservation)
            assert refused(await ask(one, usd=1)).used == 150

    run(test())


def test_rounds_go_on_by_themselves_until_the_end(server: Server) -> None:
    async def test() -> None:
        server.kill()
        limits = new_worker(server.url, Clock(), "1", [BUDGET])
        await limits.start()
        assert [limits.away] == [True]
        server.start()
        await until_back(limits, look=False)
        assert isinstance(await ask(limits, usd=50), Reservation)
        await limits.stop()
        assert server.counters()[COUNTER] == {"here/1": 50}, "what was free was given back at the end"

    run(test())
