"""The exact cache: nobody gets another's answer, nothing grows past its bound, nothing outlives its time."""

from __future__ import annotations

import gc
import tracemalloc
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from breakeven.gateway.cache import (
    ENTRY_BYTES,
    OFF,
    ON,
    REFRESH,
    Cache,
    CollectingMeter,
    Collector,
    Stored,
    cache_key,
    content_type_of,
    is_answer,
    may_be_kept,
    use_of,
)
from breakeven.metering.stream import StreamMeter
from gateway import payloads

if TYPE_CHECKING:
    from collections.abc import Callable

CHAT = b"/v1/chat/completions"
RESPONSES = b"/v1/responses"
BODY = b'{"model": "fast", "messages": [{"role": "user", "content": "Due when?"}], "temperature": 0.7, "n": 2}'
Parts = tuple[bytes, bytes, bytes, bytes, str]


def stored(body: bytes = b"{}", *, at_s: float = 0.0, streamed: bool = False) -> Stored:
    return Stored(b"application/json", body, streamed, 157, 52, 100, 0, 0, 3, at_s)


def key(number: int) -> bytes:
    return sha256(b"%d" % number).digest()


# Keys


def test_equal_requests_of_one_tenant_share_a_key() -> None:
    assert cache_key(b"search", CHAT, BODY, b"", "") == cache_key(b"search", CHAT, bytes(bytearray(BODY)), b"", "")
    assert len(cache_key(b"", b"", b"", b"", "")) == 32


@pytest.mark.parametrize(
    "other",
    [
        (b"sales", CHAT, BODY, b"", ""),
        (b"search", RESPONSES, BODY, b"", ""),
        (b"search", CHAT, BODY.replace(b"Due", b"due"), b"", ""),
        (b"search", CHAT, BODY.replace(b": ", b":"), b"", ""),
        (b"search", CHAT, b'{"stream": true, ' + BODY[1:], b"", ""),
        (b"search", CHAT, BODY, b"openai-beta: x\r\n", ""),
        (b"search", CHAT, BODY, b"", "secret"),
    ],
    ids=["tenant", "path", "letter", "blanks", "stream", "headers", "sensitivity"],
)
def test_requests_that_differ_in_anything_do_not_share(other: Parts) -> None:
    assert cache_key(*other) != cache_key(b"search", CHAT, BODY, b"", "")


def test_keys_of_schemas_are_not_sorted_because_models_write_in_their_order() -> None:
    one, other = b'{"a": {"x": 1, "y": 2}}', b'{"a": {"y": 2, "x": 1}}'
    assert cache_key(b"", CHAT, one, b"", "") != cache_key(b"", CHAT, other, b"", "")


def test_no_byte_of_a_request_can_change_unnoticed() -> None:
    keys = {cache_key(b"search", CHAT, BODY, b"", "")}
    for place in range(len(BODY)):
        changed = bytearray(BODY)
        changed[place] ^= 1
        keys.add(cache_key(b"search", CHAT, bytes(changed), b"", ""))
        keys.add(cache_key(b"search", CHAT, BODY[:place] + BODY[place + 1 :], b"", ""))
    runs = sum(a == b for a, b in pairwise(BODY))  # without either of two alike the rest is the same
    assert len(keys) == 1 + 2 * len(BODY) - runs


PIECES = st.lists(st.sampled_from([b"", b"a", b"/", b"\x00", b"aa", b"\x00" * 8]), max_size=3).map(b"".join)
PARTS = st.tuples(PIECES, PIECES, PIECES, PIECES, st.sampled_from(["", "a", "é", "\udcff", "\x00", "/"]))


@given(PARTS, PARTS)
@example((b"ab", b"", b"", b"", ""), (b"a", b"b", b"", b"", ""))
@example((b"", b"", b"", b"a", ""), (b"", b"", b"a", b"", ""))
@example((b"", b"", b"", b"a", ""), (b"", b"", b"", b"", "a"))
def test_a_key_is_shared_by_equal_parts_alone(one: Parts, other: Parts) -> None:
    assert (cache_key(*one) == cache_key(*other)) == (one == other)


@given(PARTS, st.binary(min_size=1, max_size=8))
def test_nothing_that_another_tenant_sends_has_the_key_of_this_one(parts: Parts, more: bytes) -> None:
    cache = Cache(1 << 20, 1 << 20, 60)
    cache.put(cache_key(*parts), stored())
    tenant, path, body, passed, sensitivity = parts
    assert cache.get(cache_key(tenant + more, path, body, passed, sensitivity), 0) is None
    assert cache.get(cache_key(tenant + more, path, body.removeprefix(more), passed, sensitivity), 0) is None


# Time and space


def test_an_answer_comes_back_as_it_was_until_its_time_is_over() -> None:
    cache, answer = Cache(1 << 20, 1 << 20, ttl_s=60), stored(b'{"id": "x"}', at_s=1000.0)
    cache.put(key(1), answer)
    assert cache.get(key(1), 1000.0) is answer
    assert cache.get(key(1), 1059.9) is answer
    assert cache.get(key(2), 1000.0) is None
    assert cache.get(key(1), 1060.0) is None
    assert (len(cache), cache.size_bytes) == (0, 0), "an answer that is too old takes no room"


def test_a_route_may_say_how_old_its_answers_get() -> None:
    cache = Cache(1 << 20, 1 << 20, ttl_s=60)
    cache.put(key(1), stored())
    assert cache.get(key(1), 500, ttl_s=3600) is not None
    assert cache.get(key(1), 20, ttl_s=10) is None


def test_a_replay_does_not_make_an_answer_younger() -> None:
    cache = Cache(1 << 20, 1 << 20, ttl_s=60)
    cache.put(key(1), stored())
    assert all(cache.get(key(1), moment) for moment in range(60))
    assert cache.get(key(1), 60) is None


def test_what_was_used_longest_ago_leaves_first() -> None:
    room_for_three = 3 * stored().size_bytes
    cache = Cache(room_for_three, room_for_three, 60)
    for number in (1, 2, 3):
        cache.put(key(number), stored())
    cache.get(key(1), 0)
    cache.put(key(2), stored())
    cache.put(key(4), stored())
    assert [number for number in (1, 2, 3, 4) if cache.get(key(number), 0)] == [1, 2, 4]


def test_an_answer_that_is_too_large_is_not_kept_and_does_not_stay_in_its_older_form() -> None:
    cache = Cache(100_000, 10_000, 60)
    largest = b"x" * (cache.max_body_bytes - len(b"application/json"))
    cache.put(key(1), stored(largest))
    assert cache.size_bytes == 10_000
    cache.put(key(1), stored(largest + b"x"))
    assert cache.get(key(1), 0) is None
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_a_cache_without_room_keeps_nothing() -> None:
    cache = Cache(0, 1000, 60)
    cache.put(key(1), stored())
    assert (cache.get(key(1), 0), len(cache), cache.size_bytes) == (None, 0, 0)


def test_a_cleared_cache_is_empty_and_works_on() -> None:
    cache = Cache(1 << 20, 1 << 20, 60)
    cache.put(key(1), stored())
    cache.clear()
    assert (cache.get(key(1), 0), cache.size_bytes) == (None, 0)
    cache.put(key(1), stored())
    assert cache.size_bytes == stored().size_bytes


def test_a_million_random_answers_take_no_more_than_their_bound() -> None:
    most_bytes, rng = 4 << 20, np.random.default_rng(7)
    sizes = (rng.pareto(1.2, 1000) * 300).astype(int).clip(0, 200_000)
    answers = [stored(bytes(int(size))) for size in sizes]
    cache = Cache(most_bytes, 64 << 10, 60)
    fullest = 0
    for number, place in enumerate(rng.integers(1000, size=1_000_000).tolist()):
        cache.put(number.to_bytes(32, "big"), answers[place])
        fullest = max(fullest, cache.size_bytes)
    assert most_bytes * 0.9 < cache.size_bytes <= fullest <= most_bytes


@pytest.mark.parametrize("body_bytes", [0, 300, 20_000])
def test_what_is_counted_is_what_is_taken_and_no_more_comes_to_it(body_bytes: int) -> None:
    """Every part of an entry is an object of its own, as the gateway makes them."""
    rng = np.random.default_rng(7)
    cache = Cache(2 << 20, 1 << 20, 60)
    taken: list[int] = []
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1000, 17_000):
            kind, n = bytes(bytearray(b"application/json")), number
            answer = Stored(kind, bytes(body_bytes), False, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n / 7)
            cache.put(rng.bytes(32), answer)
            if number % 4_000 == 0:
                gc.collect()
                taken.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert 0.8 * cache.size_bytes < taken[-1] <= cache.size_bytes * 1.02
    assert taken[-1] <= taken[0] * 1.2


class AsAList(RuleBasedStateMachine):
    """The cache beside a plain list, newest last, that does everything the slow way."""

    MOST_BYTES = 5 * (ENTRY_BYTES + 50)

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache(self.MOST_BYTES, 3 * (ENTRY_BYTES + 50), 10)
        self.list: list[tuple[int, Stored]] = []
        self.now_s = 0.0

    @rule(number=st.integers(0, 8), size=st.integers(0, 2500))
    def put(self, number: int, size: int) -> None:
        answer = stored(bytes(size), at_s=self.now_s)
        self.cache.put(key(number), answer)
        self.list = [item for item in self.list if item[0] != number]
        if answer.size_bytes <= 3 * (ENTRY_BYTES + 50):
            self.list.append((number, answer))
        while sum(item.size_bytes for _, item in self.list) > self.MOST_BYTES:
            del self.list[0]

    @rule(number=st.integers(0, 8))
    def get(self, number: int) -> None:
        found = [item for item in self.list if item[0] == number]
        self.list = [item for item in self.list if item[0] != number]
        if found and self.now_s - found[0][1].stored_s < 10:
            self.list += found
            assert self.cache.get(key(number), self.now_s) is found[0][1]
        else:
            assert self.cache.get(key(number), self.now_s) is None

    @rule(seconds=st.floats(0, 6))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def both_hold_as_much(self) -> None:
        assert len(self.cache) == len(self.list)
        assert self.cache.size_bytes == sum(item.size_bytes for _, item in self.list) <= self.MOST_BYTES


TestAsAList = AsAList.TestCase


# Collecting


def test_a_stream_is_collected_as_it_passed() -> None:
    collector = Collector(100)
    for event in (b"data: {}\n\n", b"", b"data: [DONE]\n\n"):
        collector.add(event)
    assert collector.body() == b"data: {}\n\ndata: [DONE]\n\n"


def test_a_stream_that_grows_too_long_is_let_go() -> None:
    collector = Collector(25)
    for _ in range(3):
        collector.add(b"x" * 10)
    assert collector.body() is None
    collector.add(b"")
    assert collector.body() is None, "once let go it is not taken up again"
    assert collector._pieces == []


def test_a_stream_of_exactly_the_bound_is_kept_and_an_empty_one_is_not() -> None:
    collector = Collector(10)
    assert collector.body() is None
    collector.add(b"x" * 10)
    assert collector.body() == b"x" * 10
    collector.add(b"x")
    assert collector.body() is None


def pass_through(events: list[bytes], max_body_bytes: int, *, hide_usage: bool) -> tuple[CollectingMeter, bytes]:
    """What the client gets of a stream, as ``StreamedAnswer`` sends it."""
    meter = CollectingMeter(StreamMeter(hide_usage=hide_usage), max_body_bytes)
    passed = b"".join(meter.feed(event) for event in events) + meter.close()
    return meter, passed + meter.held


@pytest.mark.parametrize("cut_bytes", [1, 7, 100_000])
@pytest.mark.parametrize("hide_usage", [False, True])
def test_what_is_kept_of_a_stream_is_what_its_client_got(hide_usage: bool, cut_bytes: int) -> None:
    data = b"".join(payloads.stream(5, payloads.usage(40, 5)))
    packets = [data[at : at + cut_bytes] for at in range(0, len(data), cut_bytes)]
    meter, got = pass_through(packets, 1 << 20, hide_usage=hide_usage)
    assert meter.body() == got
    assert (b"prompt_tokens" in got) is not hide_usage
    assert meter.reading(100, complete=True)[:2] == (40, 5)


@pytest.mark.parametrize(
    "events",
    [
        payloads.stream(5, done=False),
        [*payloads.words(3), payloads.event(payloads.error("the engine fell over")), payloads.event("[DONE]")],
        [*payloads.words(3), payloads.event("not json"), payloads.event("[DONE]")],
        [],
    ],
    ids=["cut", "error", "malformed", "nothing"],
)
def test_a_stream_that_is_not_whole_is_not_kept(events: list[bytes]) -> None:
    meter, _ = pass_through(events, 1 << 20, hide_usage=False)
    assert meter.body() is None


def test_a_stream_longer_than_the_bound_passes_and_is_not_kept() -> None:
    events = payloads.stream(50)
    meter, got = pass_through(events, 1000, hide_usage=False)
    assert got == b"".join(events)
    assert meter.body() is None


# Who is served from it


@pytest.mark.parametrize(
    ("said", "route_on", "use"),
    [
        (None, False, OFF), (None, True, ON), (b"on", False, ON), (b"ON ", True, ON), (b"off", True, OFF),
        (b"refresh", True, REFRESH), (b"refresh", False, REFRESH), (b"maybe", True, OFF), (b"", True, OFF),
    ],
)  # fmt: skip
def test_a_header_goes_before_the_route(said: bytes | None, route_on: bool, use: int) -> None:
    labels = {} if said is None else {b"x-breakeven-cache": said}
    assert use_of(labels, route_on=route_on) == use


@pytest.mark.parametrize(
    ("path", "fields", "kept"),
    [
        (CHAT, b"", True),
        (CHAT, b'"store": false, "temperature": 1, "n": 4,', True),
        (CHAT, b'"tools": [{"type": "web_search"}],', True),
        (CHAT, b'"store": true,', False),
        (CHAT, b'"\\u0073tore": true,', False),
        (CHAT, b'"store": false, "store": true,', False),
        (CHAT, b'"store": null,', True),
        (RESPONSES, b"", False),
        (RESPONSES, b'"store": null,', False),
        (RESPONSES, b'"store": true,', False),
        (RESPONSES, b'"store": false,', True),
        (RESPONSES, b'"store": false, "background": true,', False),
        (RESPONSES, b'"store": false, "background": false,', True),
        (RESPONSES, b'"store": false, "previous_response_id": "resp_1",', False),
        (RESPONSES, b'"store": false, "previous_response_id": null,', True),
        (RESPONSES, b'"store": false, "conversation": {"id": "conv_1"},', False),
        (CHAT, b'"store": "yes",', False),
        (CHAT, b'"store": 0,', False),
    ],
)
def test_what_a_provider_is_to_remember_is_not_replayed(path: bytes, fields: bytes, kept: bool) -> None:
    assert may_be_kept(path, b'{%b "model": "fast"}' % fields) is kept


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": ' * 3000, b'{"store": \xff}', b"null"])
@pytest.mark.parametrize("judge", [lambda body: may_be_kept(CHAT, body), is_answer], ids=["request", "answer"])
def test_what_cannot_be_read_is_not_kept(judge: Callable[[bytes], bool], body: bytes) -> None:
    assert judge(body) is False


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (b'{"id": "x", "choices": []}', True),
        (b'{"id": "resp_1", "error": null}', True),
        (b'{"error": {"message": "overloaded"}}', False),
        (b'{"type": "error", "error": {"type": "overloaded_error"}}', False),
    ],
)
def test_an_error_with_a_good_status_is_no_answer(body: bytes, whole: bool) -> None:
    assert is_answer(body) is whole


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({b"Content-Type": b"application/json"}, b"application/json"),
        ({b"content-type": b"text/event-stream", b"Content-Encoding": b"identity"}, b"text/event-stream"),
        ({b"content-type": b"application/json", b"Content-Encoding": b"gzip"}, None),
        ({b"x-request-id": b"1"}, None),
    ],
)
def test_a_body_in_a_coding_is_not_kept(headers: dict[bytes, bytes], kind: bytes | None) -> None:
    assert content_type_of(headers) == kind
