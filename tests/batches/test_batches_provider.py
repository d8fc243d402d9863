"""What is left at a deadline goes to a provider's batch API where that is cheaper, and comes back exactly once."""

from __future__ import annotations

import threading
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from openai import OpenAI

from batches.fake_provider import FakeProvider, answered, expired
from batches.served import BATCHES, echo, ended, jsonl, kill, line, process, ready, results, submit, twice, two_keys
from gateway.gateway import KEY, Gateway, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.gateway import Settings
    from gateway.scripted import Call, ScriptedUpstream

AT_ONCE = {"hours": 0.0001, "provider": {"target": "sold", "hours": 1}}
"""Nothing waits for idle capacity: what is left at the deadline is everything."""


def cards(batch_usd: str | None) -> Settings:
    """Prices of a model, with a batch price where one is given."""
    prices: list[dict[str, Any]] = [{"input_usd_per_mtok": "1", "output_usd_per_mtok": "4"}]
    if batch_usd is not None:
        prices.append({"processing": "batch", "input_usd_per_mtok": batch_usd, "output_usd_per_mtok": batch_usd})
    card = {"provider": "tests", "model": "priced", "source": "made up", "checked_on": "2026-01-01", "prices": prices}
    return {"rate_cards": [card]}


@pytest.fixture
def start(tmp_path: Path, upstream: ScriptedUpstream) -> Iterator[Any]:
    """Start a gateway whose only target sells batches too."""
    started: list[Gateway] = []

    def begin(batch_usd: str | None = "0.5", **fields: Any) -> Gateway:
        upstream.script("p", echo)
        sold = target(upstream.url("p"), model="its-name", key="file:there.key", **fields)
        (tmp_path / "there.key").write_text("sk-there")
        configured = two_keys({"sold": sold}, {"m": {"targets": ["sold"]}}, batches=BATCHES | AT_ONCE)
        gateway = Gateway(tmp_path, configured, cards(batch_usd))
        started.append(gateway)
        gateway.start()
        return ready(gateway)

    yield begin
    for gateway in started:
        gateway.kill()


def serving(provider: FakeProvider, calls: Any = echo) -> Any:
    """An upstream that takes batches and calls."""
    return lambda call: (calls if call.path.endswith("/chat/completions") else provider)(call)


def client_of(gateway: Gateway) -> OpenAI:
    return OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=5)


def run(gateway: Gateway, count: int, **fields: Any) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]]]:
    """Run a batch; returns it with its results, good and bad."""
    with client_of(gateway) as client:
        batch = ended(
            client, submit(client, jsonl(line(str(number), "m") for number in range(count)), **fields), gateway
        )
        well = results(client, batch.output_file_id) if batch.output_file_id else []
        ill = results(client, batch.error_file_id) if batch.error_file_id else []
    assert twice(well + ill) == []
    assert {item["custom_id"] for item in well + ill} == {str(number) for number in range(count)}
    return batch, well, ill


def booked(gateway: Gateway) -> list[dict[str, Any]]:
    """What the ledger knows of lines that a provider's batches answered."""
    return [row for row in gateway.all_rows() if row["decision"] == "provider_batch"]


def test_where_batches_are_cheaper_they_go_there_under_the_providers_name(
    start: Any, upstream: ScriptedUpstream
) -> None:
    gateway, provider = start(), FakeProvider(answered)
    upstream.script("p", serving(provider))
    batch, well, _ = run(gateway, 30)
    assert (batch.status, len(well)) == ("completed", 30)
    assert {item["response"]["body"]["model"] for item in well} == {"its-name"}
    assert all(item["response"]["body"]["text"] == item["custom_id"] for item in well)
    assert {call.headers["authorization"] for call in upstream.calls("p")} == {"Bearer sk-there"}
    assert not [call for call in upstream.calls("p") if call.path.endswith("/chat/completions")]
    found = booked(gateway)
    assert {(row["model"], row["target"], row["episode"], row["key"]) for row in found} == {
        ("m", "sold", batch.id, "tests")
    }
    assert [(row["input_tokens"], row["output_tokens"], row["processing"]) for row in found] == [(8, 4, "batch")] * 30
    assert sum(row["cost_usd"] for row in found) == 30 * 12 * Decimal("0.5") / 1_000_000


@pytest.mark.parametrize("batch_usd", ["9", None], ids=["dearer", "unknown"])
def test_where_batches_are_not_known_to_be_cheaper_lines_are_asked_as_calls(
    start: Any, upstream: ScriptedUpstream, batch_usd: str | None
) -> None:
    gateway, provider = start(batch_usd), FakeProvider(answered)
    upstream.script("p", serving(provider))
    batch, well, _ = run(gateway, 10)
    assert (batch.status, len(well), provider.batches) == ("completed", 10, {})


def test_data_that_may_not_go_there_does_not(start: Any, upstream: ScriptedUpstream) -> None:
    gateway, provider = start(sensitivities=["public"]), FakeProvider(answered)
    upstream.script("p", serving(provider))
    _, well, ill = run(gateway, 3, extra_headers={"x-breakeven-sensitivity": "health"})
    assert (well, provider.files) == ([], {})
    assert {item["response"]["status_code"] for item in ill} == {403}
    assert upstream.calls("p") == []
    _, well, _ = run(gateway, 3, extra_headers={"x-breakeven-sensitivity": "public"})
    assert len(provider.lines) == len(well) == 3


def test_data_of_a_marked_key_or_tag_does_not_go_there_either(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    provider = FakeProvider(answered)
    upstream.script("p", serving(provider))
    configured = two_keys({"sold": target(upstream.url("p"))}, {"m": {"targets": ["sold"]}}, batches=BATCHES | AT_ONCE)
    configured["sensitivity_of_tags"] = {"data=patient": "health"}
    gateway = Gateway(tmp_path, configured, cards("0.5"))
    try:
        gateway.start()
        _, _, ill = run(ready(gateway), 2, extra_headers={"x-breakeven-tags": "data=patient"})
        assert {item["response"]["status_code"] for item in ill} == {403}
        configured["keys"][0]["sensitivity"] = "health"
        assert gateway.stop() == 0
        gateway.configure(configured)
        gateway.start()
        _, _, ill = run(ready(gateway), 2)
        assert {item["response"]["status_code"] for item in ill} == {403}
    finally:
        gateway.kill()
    assert (provider.files, upstream.calls("p")) == ({}, [])


def test_a_batch_with_too_little_time_left_does_not_go_there(start: Any, upstream: ScriptedUpstream) -> None:
    gateway, provider = start(), FakeProvider(answered)
    upstream.script("p", serving(provider))
    _, well, _ = run(gateway, 3, window="30m")
    assert (len(well), provider.batches) == (3, {})


def test_what_the_provider_leaves_out_or_could_not_do_is_asked_as_calls_and_its_errors_count(
    start: Any, upstream: ScriptedUpstream
) -> None:
    def result(item: dict[str, Any]) -> dict[str, Any] | None:
        kinds = (answered(item), expired(item), answered(item, 400), None, answered(item, 429))
        return kinds[int(item["custom_id"]) % 5]

    gateway, provider = start(), FakeProvider(result)
    upstream.script("p", serving(provider))
    _, well, ill = run(gateway, 50)
    assert (len(well), len(ill), len(provider.batches)) == (40, 10, 1)
    assert {item["response"]["status_code"] for item in ill} == {400}
    assert len([call for call in upstream.calls("p") if call.path.endswith("/chat/completions")]) == 30
    assert Counter(row["status"] for row in booked(gateway)) == {200: 10, 400: 10}


def test_a_file_larger_than_the_provider_takes_becomes_several_batches(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    provider = FakeProvider(answered)
    upstream.script("p", serving(provider))
    batches = BATCHES | AT_ONCE | {"provider": {"target": "sold", "hours": 1, "max_requests": 7}}
    configured = two_keys({"sold": target(upstream.url("p"))}, {"m": {"targets": ["sold"]}}, batches=batches)
    gateway = Gateway(tmp_path, configured, cards("0.5"))
    try:
        gateway.start()
        _, well, _ = run(ready(gateway), 30)
    finally:
        gateway.kill()
    assert (len(well), len(provider.batches)) == (30, 5)


def test_a_cancelled_batch_is_cancelled_there_too(start: Any, upstream: ScriptedUpstream) -> None:
    def only_even(item: dict[str, Any]) -> dict[str, Any] | None:
        return answered(item) if int(item["custom_id"]) % 2 == 0 else None

    gateway, provider = start(), FakeProvider(only_even)
    provider.status = "in_progress"
    upstream.script("p", serving(provider))
    with client_of(gateway) as client:
        batch = submit(client, jsonl(line(str(number), "m") for number in range(20)))
        wait_for(lambda: bool(provider.batches), "nothing was given to the provider", gateway.said)
        client.batches.cancel(batch.id)
        batch = ended(client, batch, gateway)
        well, ill = results(client, batch.output_file_id), results(client, batch.error_file_id)
    assert (batch.status, provider.status) == ("cancelled", "cancelled")
    assert (len(well), len(ill)) == (10, 10)
    assert {item["error"]["code"] for item in ill} == {"batch_cancelled"}


@pytest.mark.parametrize("moment", ["POST /p/v1/files", "POST /p/v1/batches", "GET /p/v1/batches/", "GET /p/v1/files/"])
def test_killed_at_any_step_it_neither_pays_twice_nor_loses_a_line(
    start: Any, upstream: ScriptedUpstream, moment: str
) -> None:
    gateway, provider = start(), FakeProvider(answered)
    killed = threading.Event()

    def answer(call: Call) -> None:
        first = f"{call.method} {call.path}".startswith(moment) and not killed.is_set()
        if first:
            killed.set()
            victim = process(gateway)
            serving(provider)(call)  # it is done, and nobody is there to note so
            kill(victim)
            return
        serving(provider)(call)

    upstream.script("p", answer)
    batch, well, _ = run(gateway, 40)
    assert killed.is_set()
    assert (batch.status, len(well)) == ("completed", 40)
    assert len(provider.batches) == 1, "the batch that was made is found by its mark"
    assert len(booked(gateway)) == 40


def test_a_provider_that_fails_for_a_while_is_asked_again(start: Any, upstream: ScriptedUpstream) -> None:
    gateway, provider = start(), FakeProvider(answered)
    failures = threading.Semaphore(3)
    provider.refuses = lambda _: failures.acquire(blocking=False)
    upstream.script("p", serving(provider))
    _, well, _ = run(gateway, 5)
    assert (len(well), len(provider.batches)) == (5, 1)


def test_another_gateway_is_a_provider(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.script("far", echo)
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    far = Gateway(there, two_keys({"far": target(upstream.url("far"))}, {"m": {"targets": ["far"]}}, batches=BATCHES))
    try:
        far.start()
        ready(far)
        sold = target(far.base_url, key="file:there.key")
        (here / "there.key").write_text(KEY)
        near = Gateway(
            here, two_keys({"sold": sold}, {"m": {"targets": ["sold"]}}, batches=BATCHES | AT_ONCE), cards("0.5")
        )
        try:
            near.start()
            batch, well, _ = run(ready(near), 60)
        finally:
            near.kill()
        with client_of(far) as client:
            (theirs,) = client.batches.list().data
    finally:
        far.kill()
    assert (batch.status, len(well)) == ("completed", 60)
    assert theirs.request_counts is not None
    assert (theirs.status, theirs.request_counts.completed) == ("completed", 60)
    assert {item["response"]["body"]["choices"][0]["message"]["content"] for item in well} == {
        str(number) for number in range(60)
    }
