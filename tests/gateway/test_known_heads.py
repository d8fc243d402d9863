"""A head that repeats is recognised instead of parsed: nobody may notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.gateway import connection as module
from breakeven.gateway.connection import ClientConnection
from breakeven.upstreams.heads import MAX_LESSONS

if TYPE_CHECKING:
    import asyncio

    from breakeven.gateway.replies import Reply
    from breakeven.gateway.shared import Carried, Shared

HEADS = st.tuples(
    st.sampled_from(["authorization", "Authorization"]),
    st.sampled_from(["one", "two"]),
    st.sampled_from(["", "x-breakeven-task: a\r\n", "X-Breakeven-Task: b\r\n", "x-breakeven-tags: t=1\r\n"]),
    st.sampled_from(["/v1/chat/completions", "/v1/chat/completions?a=1"]),
    st.sampled_from(["content-length", "Content-Length"]),
    st.sampled_from(["", "", "", "", "connection: close\r\n"]),
)


class FakeTransport:
    def set_write_buffer_limits(self, high: int) -> None: ...
    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def can_write_eof(self) -> bool:
        return False


class FakeClock:
    def now(self) -> float:
        return 1.0


class FakeLimits:
    header_bytes = 10_000
    body_bytes = 10_000


class FakeShared:
    clock = FakeClock()
    limits = FakeLimits()
    now_s = 0.0
    draining = False


class Listening:
    """A desk that notes what it is told and answers at once."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def admit(self, _: ClientConnection) -> bool:
        return True

    def gone(self, connection: ClientConnection) -> None: ...

    def check_head(self, connection: ClientConnection, _method: bytes, _path: bytes) -> Reply | None:
        return self.check_now(connection)

    def check_now(self, _: ClientConnection) -> Reply | None:
        return None

    def act(self, connection: ClientConnection, path: bytes, body: bytes) -> None:
        assert path == b"/v1/chat/completions"
        self.carry(connection, body)

    def carry(self, connection: ClientConnection, body: bytes) -> Reply | None:
        self.heard.append((connection.authorization, dict(connection.labels), body, connection.keeps_alive))
        connection.exchange = cast("Carried", self)
        return None

    def client_left(self) -> None: ...

    def head_too_large(self) -> Reply:
        raise AssertionError

    body_too_large = head_too_large

    def hand_over(self, connection: ClientConnection, read: bytes) -> Reply | None:
        raise NotImplementedError


def request(parts: tuple[str, ...], body: bytes) -> bytes:
    authorization, key, label, path, length, close = parts
    lines = f"host: x\r\n{authorization}: Bearer {key}\r\n{label}{close}{length}: {len(body)}\r\n"
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def heard(packets: list[bytes], lessons: int) -> list[tuple[object, ...]]:
    desk = Listening()
    connection = ClientConnection(desk, cast("Shared", FakeShared()))
    connection._lessons = lessons
    connection.connection_made(cast("asyncio.BaseTransport", FakeTransport()))
    for packet in packets:
        if connection.phase == module.CLOSING:
            break
        connection.data_received(packet)
        if connection.exchange is not None:
            connection.done()
    return desk.heard


@settings(max_examples=500)
@given(
    st.lists(HEADS, min_size=2, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=60), st.integers(0, 5)), min_size=3, max_size=12),
    st.integers(1, MAX_LESSONS),
)
def test_requests_mean_the_same_whether_their_heads_are_recognised_or_parsed(
    heads: list[tuple[str, ...]], sent: list[tuple[int, bytes, int]], lessons: int
) -> None:
    packets: list[bytes] = []
    for number, body, cut in sent:
        data = request(heads[number % len(heads)], body)
        packets += [data[:40], data[40:]] if cut == 1 else [data]
    assert heard(packets, lessons=lessons) == heard(packets, lessons=0)


def test_a_repeated_head_is_not_parsed_again() -> None:
    desk = Listening()
    connection = ClientConnection(desk, cast("Shared", FakeShared()))
    connection.connection_made(cast("asyncio.BaseTransport", FakeTransport()))
    parts = ("authorization", "one", "", "/v1/chat/completions", "content-length", "")
    for body in (b"{}", b"[1, 2]", b"{}" * 20):
        connection.data_received(request(parts, body))
        connection._parser = None  # type: ignore[assignment]  # from the second on it is not needed
        connection.done()
    assert [item[2] for item in desk.heard] == [b"{}", b"[1, 2]", b"{}" * 20]
