"""Batches of marked data stay inside, beside a provider that sells batches outside and records any contact."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import pytest
from openai import AuthenticationError, OpenAI

from batches.fake_provider import FakeProvider, answered
from batches.served import (
    BATCHES,
    COLLEAGUE_KEY,
    OTHER_KEY,
    echo,
    ended,
    jsonl,
    line,
    process,
    ready,
    results,
    submit,
    two_keys,
)
from breakeven.batches.records import StoredFile
from breakeven.batches.standing import LOOK_S
from breakeven.batches.store import Store
from breakeven.ledger.keys import create_key, revoke_key
from breakeven.wiring.clock import current_s
from gateway import answers
from gateway.gateway import KEY, Gateway, target, wait_for
from gateway.scripted import scripted_upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateway.scripted import ScriptedUpstream

MARKED_KEY, TAGGED_KEY = "sk-be-marked", "sk-be-tagged"
HEADER = {"x-breakeven-sensitivity": "local-only"}
MARKS: dict[str, tuple[str, dict[str, str]]] = {
    "header": (KEY, HEADER),
    "key": (MARKED_KEY, {}),
    "tag": (KEY, {"x-breakeven-tags": "team=ward, data=patient"}),
    "key's tag": (TAGGED_KEY, {}),
}
AT_ONCE = {"hours": 0.0001, "provider": {"target": "sold", "hours": 1}}
"""Nothing waits for idle nodes: at once whatever may is given to the provider."""

COUNT = 4


@pytest.fixture
def outside() -> Iterator[tuple[ScriptedUpstream, FakeProvider]]:
    """A provider with calls and a batch API, both cheaper than what is inside."""
    provider = FakeProvider(answered)
    with scripted_upstream() as started:
        started.script("p", lambda call: (echo if call.path.endswith("/chat/completions") else provider)(call))
        yield started, provider


@pytest.fixture
def gateway(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: ScriptedUpstream,
    outside: tuple[ScriptedUpstream, FakeProvider],
) -> Iterator[Gateway]:
    """The provider first, and a target inside; keys with and without marks, two of them of one team."""
    upstream.script("inside", echo)
    targets = {
        "sold": target(outside[0].url("p")),
        "inside": target(upstream.url("inside"), sensitivities=["local-only"]),
    }
    configured = two_keys(targets, {"m": {"targets": ["sold", "inside"]}}, batches=BATCHES | AT_ONCE)
    configured["sensitivity_of_tags"] = {"data=patient": "local-only"}
    digests = {key: hashlib.sha256(key.encode()).hexdigest() for key in (MARKED_KEY, TAGGED_KEY)}
    configured["keys"] += [
        {"name": "marked", "sha256": digests[MARKED_KEY], "sensitivity": "local-only", "team": "search"},
        {"name": "tagged", "sha256": digests[TAGGED_KEY], "tags": "data=patient"},
    ]
    prices = [
        {"input_usd_per_mtok": "1", "output_usd_per_mtok": "4"},
        {"processing": "batch", "input_usd_per_mtok": "0.5", "output_usd_per_mtok": "0.5"},
    ]
    card = {"provider": "tests", "model": "priced", "source": "made up", "checked_on": "2026-01-01", "prices": prices}
    started = Gateway(tmp_path_factory.mktemp("boundary"), configured, {"rate_cards": [card]})
    try:
        started.start()
        yield ready(started)
    finally:
        started.kill()


def opened(gateway: Gateway, key: str) -> OpenAI:
    return OpenAI(base_url=gateway.base_url, api_key=key, max_retries=5)


def content() -> bytes:
    return jsonl(line(str(number), "m") for number in range(COUNT))


def statuses(client: OpenAI, batch: Any) -> list[int]:
    files = [file for file in (batch.output_file_id, batch.error_file_id) if file]
    return sorted(item["response"]["status_code"] for file in files for item in results(client, file))


@pytest.mark.parametrize("mark", MARKS)
def test_a_marked_batch_is_answered_inside_and_nothing_of_it_is_seen_outside(
    gateway: Gateway, upstream: ScriptedUpstream, outside: tuple[ScriptedUpstream, FakeProvider], mark: str
) -> None:
    key, headers = MARKS[mark]
    with opened(gateway, key) as client:
        batch = ended(client, submit(client, content(), extra_headers=headers), gateway)
        assert statuses(client, batch) == [200] * COUNT
    assert len(upstream.calls("inside")) == COUNT
    assert (outside[0].connection_count, outside[1].files) == (0, {})


def test_a_marked_batch_whose_nodes_fail_fails_and_does_not_go_outside(
    gateway: Gateway, upstream: ScriptedUpstream, outside: tuple[ScriptedUpstream, FakeProvider]
) -> None:
    upstream.script(
        "inside", answers.whole({"error": {"message": "no", "code": "context_length_exceeded"}}, status=400)
    )
    with opened(gateway, KEY) as client:
        batch = ended(client, submit(client, content(), extra_headers=HEADER), gateway)
        assert statuses(client, batch) == [400] * COUNT
    assert (outside[0].connection_count, outside[1].files) == (0, {})


def test_the_same_batch_without_a_mark_does_go_outside(
    gateway: Gateway, outside: tuple[ScriptedUpstream, FakeProvider]
) -> None:
    """Otherwise the tests above would show nothing."""
    with opened(gateway, KEY) as client:
        batch = ended(client, submit(client, content()), gateway)
        assert statuses(client, batch) == [200] * COUNT
    assert len(outside[1].lines) == COUNT


@pytest.mark.parametrize("who", ["the same key", "a colleague"])
def test_a_file_that_came_marked_marks_every_batch_of_it(
    gateway: Gateway, outside: tuple[ScriptedUpstream, FakeProvider], who: str
) -> None:
    """Who makes a batch of it need not know what is in the file."""
    by, headers, then = (KEY, HEADER, KEY) if who == "the same key" else (MARKED_KEY, {}, COLLEAGUE_KEY)
    with opened(gateway, by) as client:
        file = client.files.create(file=("f.jsonl", io.BytesIO(content())), purpose="batch", extra_headers=headers)
    with opened(gateway, then) as client:
        made = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        assert statuses(client, ended(client, made, gateway)) == [200] * COUNT
    assert (outside[0].connection_count, outside[1].files) == (0, {})


def test_marks_of_a_file_and_of_its_batch_add_up(
    gateway: Gateway, outside: tuple[ScriptedUpstream, FakeProvider]
) -> None:
    with opened(gateway, OTHER_KEY) as client:
        file = client.files.create(file=("f.jsonl", io.BytesIO(content())), purpose="batch", extra_headers=HEADER)
        made = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h",
            extra_headers={"x-breakeven-sensitivity": "eu"},
        )  # fmt: skip
        batch = ended(client, made, gateway)
        assert statuses(client, batch) == [403] * COUNT
        assert "not marked for" in json.dumps(results(client, batch.error_file_id))
    assert (outside[0].connection_count, outside[1].files) == (0, {})


def reconfigure(gateway: Gateway, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the settings, and wait until batches go by them."""
    configured, before = json.loads((gateway.folder / "breakeven.yaml").read_text()), process(gateway)
    change(configured)
    gateway.configure(configured)
    os.kill(gateway.pid, signal.SIGHUP)
    wait_for(lambda: process(gateway) != before, "the process of batches is the same", gateway.said)


def mark_key(configured: dict[str, Any]) -> None:
    next(key for key in configured["keys"] if key["name"] == "other")["sensitivity"] = "local-only"


def mark_tag(configured: dict[str, Any]) -> None:
    configured["sensitivity_of_tags"]["data=staff"] = "local-only"


@pytest.mark.parametrize("mark", [mark_key, mark_tag], ids=["key", "tag"])
def test_a_batch_whose_key_or_tag_is_marked_later_is_not_sent_outside_from_then_on(
    gateway: Gateway, outside: tuple[ScriptedUpstream, FakeProvider], mark: Callable[[dict[str, Any]], None]
) -> None:
    provider = outside[1]
    provider.refuses = lambda _: True
    with opened(gateway, OTHER_KEY) as client:
        made = submit(client, content(), extra_headers={"x-breakeven-tags": "data=staff"})
        wait_for(lambda: bool(outside[0].calls("p")), "the provider is not asked")
        reconfigure(gateway, mark)
        provider.refuses = lambda _: False
        assert statuses(client, ended(client, made, gateway)) == [200] * COUNT
    assert provider.files == {}


def stored_key(gateway: Gateway, **terms: Any) -> str:
    """Make a key in the store, and wait until it is let in."""
    secret = create_key(gateway.store, "stored", now_s=current_s(), **terms)
    with opened(gateway, secret) as client:
        wait_for(lambda: is_let_in(client), "the key is not known", gateway.said)
    return secret


def is_let_in(client: OpenAI) -> bool:
    try:
        client.batches.list()
    except AuthenticationError:
        return False
    return True


def test_a_batch_whose_stored_key_has_a_tag_that_is_marked_later_is_not_sent_outside_from_then_on(
    gateway: Gateway, outside: tuple[ScriptedUpstream, FakeProvider]
) -> None:
    provider = outside[1]
    provider.refuses = lambda _: True
    with opened(gateway, stored_key(gateway, tags="data=staff")) as client:
        made = submit(client, content())
        wait_for(lambda: bool(outside[0].calls("p")), "the provider is not asked")
        reconfigure(gateway, mark_tag)
        provider.refuses = lambda _: False
        assert statuses(client, ended(client, made, gateway)) == [200] * COUNT
    assert provider.files == {}


def test_the_provider_is_given_nothing_in_the_name_of_a_key_that_was_revoked(
    gateway: Gateway, outside: tuple[ScriptedUpstream, FakeProvider]
) -> None:
    provider = outside[1]
    provider.refuses = lambda _: True
    with opened(gateway, stored_key(gateway, team="t")) as client:
        made = submit(client, content())
        wait_for(lambda: bool(outside[0].calls("p")), "the provider is not asked")
        revoke_key(gateway.store, "stored", now_s=current_s())
        wait_for(lambda: not is_let_in(client), "the key is let in", gateway.said)
        time.sleep(2 * LOOK_S)
        provider.refuses = lambda _: False
    with opened(gateway, create_key(gateway.store, "colleague", now_s=current_s(), team="t")) as client:
        wait_for(lambda: is_let_in(client), "the key is not known", gateway.said)
        assert statuses(client, ended(client, made, gateway)) == [401] * COUNT
    assert provider.files == {}


def test_a_store_from_before_files_kept_their_marks_is_read_on(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "batches.sqlite", isolation_level=None)
    connection.execute(
        "CREATE TABLE file (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, "
        "filename TEXT NOT NULL, purpose TEXT NOT NULL, size_bytes INTEGER NOT NULL, created_s INTEGER NOT NULL, "
        "expires_s INTEGER NOT NULL)"
    )
    connection.execute("INSERT INTO file VALUES (1, 'file-old', 'key:a', 'f', 'batch', 3, 1, 9)")
    connection.close()
    new = StoredFile(
        id="file-new", owner="key:a", filename="f", purpose="batch", size_bytes=3, created_s=1, expires_s=9,
        sensitivities=("eu", "local-only"),
    )  # fmt: skip
    for _ in range(2):
        store = Store(tmp_path)
        store.add_file(new)
        assert store.file("file-new", "key:a") == new
        old = store.file("file-old", "key:a")
        assert old is not None
        assert old.sensitivities == ()
        store.close()
