"""A pool that nobody rents, beside a running gateway: it is shown what the API served, and nobody waits for it."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from breakeven.economics.pool_hours import HOUR_US
from breakeven.ledger.virtual import stored_hours
from breakeven.studies.virtual.plan import VirtualPlan
from breakeven.wiring.kept_code import keep_compiled
from breakeven.wiring.virtual_hours import declared_virtual_pools, derive
from gateway import answers, payloads
from gateway.gateway import command_of, settings, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from breakeven.ledger.virtual import VirtualHour
    from gateway.gateway import Gateway, Settings
    from gateway.scripted import ScriptedUpstream

    Start = Callable[..., Gateway]

keep_compiled()

MARKED = "wiring.virtual"
COMPILING = 20
"""So many times the usual patience: where nothing is compiled yet, that takes a minute."""


def configured(upstream: ScriptedUpstream, *names: str) -> Settings:
    """An API that serves two models, and pools that are simulated beside the first."""
    node = {"usd_per_hour": "0.8"}
    one = {"virtual": True, "runs": "llama-3.1-8b", "hardware": "1xL4", "quantisation": "fp8", "watches": ["one"]}
    return settings(
        {"api": target(upstream.url("virtual"))},
        {"one": {"targets": ["api"]}, "two": {"targets": ["api"]}},
        pools={name: {**one, "nodes": [node]} for name in names},
    )


def ask(gateway: Gateway, model: str, count: int) -> None:
    """Send requests that are answered, and wait until they are in the store."""
    with gateway.line() as line:
        ids = [line.chat(payloads.request(model)).request_id for _ in range(count)]
    for request_id in ids:
        gateway.row(request_id)


def hours_of(gateway: Gateway, pool: str) -> list[VirtualHour]:
    with closing(sqlite3.connect(gateway.store)) as connection:
        return list(stored_hours(connection, pool, (0, 1 << 40)))


def shown(gateway: Gateway, pool: str) -> int:
    """How many requests a pool was shown."""
    return sum(part.requests for hour in hours_of(gateway, pool) for part in hour.parts)


def let_hours_pass(store: Path, hours: int) -> None:
    """Move all that came into the past, as if so many hours had passed since; ids stay, as with a clock set back."""
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE attempt SET received_us = received_us - ?", (hours * HOUR_US,))
        connection.execute("UPDATE rollup_hour SET hour = hour - ?", (hours,))


def processes(gateway: Gateway) -> list[int]:
    """The processes that simulate."""
    return [pid for pid in gateway.alive() if MARKED in command_of(pid)]


def wait_long(condition: Callable[[], bool], what: str, gateway: Gateway) -> None:
    for _ in range(COMPILING):
        try:
            wait_for(condition, what, gateway.said)
        except AssertionError:
            continue
        return
    wait_for(condition, what, gateway.said)


@pytest.fixture
def served(start_gateway: Start, upstream: ScriptedUpstream) -> Gateway:
    """A stopped gateway that has served three hours ago, without any virtual pool."""
    upstream.script("virtual", answers.whole())
    gateway = start_gateway(configured(upstream))
    ask(gateway, "one", 5)
    ask(gateway, "two", 3)
    assert processes(gateway) == []
    assert gateway.stop() == 0
    let_hours_pass(gateway.store, 3)
    return gateway


def test_the_store_gets_the_hours_of_every_virtual_pool(served: Gateway, upstream: ScriptedUpstream) -> None:
    served.configure(configured(upstream, "small", "other"))
    served.start()
    wait_long(lambda: shown(served, "small") == shown(served, "other") == 5, "there are no hours", served)
    (pid,) = processes(served)
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, served.pid) + 10
    for name in ("small", "other"):
        hours = hours_of(served, name)
        assert {part.went_over for hour in hours for part in hour.parts} == {0}
        assert {hour.paid_us for hour in hours} == {HOUR_US}
        assert sum(count for hour in hours for count in hour.ttft_counts.values()) == 5
    ask(served, "one", 1)  # and it serves all the while
    assert served.stop() == 0


def test_killed_it_is_started_again_and_what_is_missing_comes_back(served: Gateway, upstream: ScriptedUpstream) -> None:
    served.configure(configured(upstream, "small"))
    served.start()
    wait_long(lambda: shown(served, "small") == 5, "there are no hours", served)
    before = hours_of(served, "small")
    (pid,) = processes(served)
    with closing(sqlite3.connect(served.store)) as connection, connection:
        connection.execute("DELETE FROM virtual_hour")
    os.kill(pid, signal.SIGKILL)
    wait_long(lambda: hours_of(served, "small") == before, "its hours do not come back", served)
    assert pid not in processes(served)
    ask(served, "one", 1)
    assert served.stop() == 0


def test_what_was_served_beside_it_is_in_its_hour_once_that_closes(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    upstream.script("virtual", answers.either(answers.whole(), answers.stream(payloads.stream())))
    gateway = start_gateway(configured(upstream, "small"))
    ask(gateway, "one", 4)
    ask(gateway, "two", 2)
    rows = [row for row in gateway.all_rows() if row["model"] == "one"]
    assert hours_of(gateway, "small") == []
    assert gateway.stop() == 0
    pools = declared_virtual_pools(gateway.folder / "breakeven.yaml")
    derive(VirtualPlan(store=str(gateway.store), pools=pools), rows[-1]["received_us"] / 1e6 + 2 * 3600)
    parts = [part for hour in hours_of(gateway, "small") for part in hour.parts]
    assert sum(part.requests for part in parts) == 4
    assert sum(part.output_tokens for part in parts) == sum(row["output_tokens"] for row in rows)


def test_a_virtual_pool_that_cannot_be_simulated_stops_the_start(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    wrong = configured(upstream, "small")
    wrong["pools"]["small"]["runs"] = "no-such-model"
    with pytest.raises(AssertionError, match="no-such-model"):
        start_gateway(wrong)
