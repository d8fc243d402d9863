"""Chunks that skip the parser: however an answer is cut into packets, the same bytes come out, and the end is seen."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.gateway.answer import StreamedAnswer
from breakeven.gateway.dialects import CHAT_COMPLETIONS
from breakeven.upstreams.connection import UpstreamConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    abort = close


class Pool:
    known = None
    kept = 0

    def remember(self, *_: object) -> None: ...

    def made(self, _: object) -> None: ...

    def gone(self, _: object) -> None: ...

    def keep(self, _: object) -> None:
        self.kept += 1


class Taker:
    """An ``Answering`` that notes the body, and which chunks came with their framing."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self.connection = connection
        self.body = b""
        self.chunks: list[bytes] = []
        self.ended: list[str] = []
        self.over = False

    def head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        assert (status, b"transfer-encoding" in headers) == (200, True)
        self.connection.pass_to(self.take, self)

    def take(self, data: bytes) -> None:
        assert not self.over
        self.body += data

    def chunk(self, data: bytes, chunk: bytes) -> None:
        self.chunks.append(chunk)
        assert chunk == b"%x\r\n%b\r\n" % (len(data), data)
        self.take(data)

    def last(self, data: bytes) -> None:
        self.take(data)
        self.over = True

    def whole(self, _status: int, _headers: object, body: bytes) -> None:
        self.body += body
        self.ended.append("whole")

    def complete(self) -> None:
        self.ended.append("complete")

    def lost(self, reason: str, *, stale: bool) -> None:
        self.ended.append(f"{reason} {stale}")


def open_connection() -> tuple[UpstreamConnection, Pool]:
    pool = Pool()
    connection = UpstreamConnection(pool)  # type: ignore[arg-type]
    connection.connection_made(Wire())  # type: ignore[arg-type]
    return connection, pool


def asked(connection: UpstreamConnection) -> Taker:
    taker = Taker(connection)
    connection.send(taker, b"POST")  # type: ignore[arg-type]
    return taker


pieces = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.sampled_from([b"\r\n", b"5\r\n", b"0\r\n\r\n", b"1\r\nx\r\n", b"a" * 300, EVENT % b"word"]),
)
framings = st.sampled_from([b"%x\r\n%b\r\n", b"%X\r\n%b\r\n", b"00%x\r\n%b\r\n", b"%x;name=value\r\n%b\r\n"])
chunks = st.lists(st.tuples(framings, pieces), max_size=12)


@given(chunks, st.lists(st.integers(0, 2000), max_size=30), st.booleans())
def test_whatever_the_packets_the_body_and_its_end_are_the_same(
    said: list[tuple[bytes, bytes]], cuts: list[int], one_chunk_a_packet: bool
) -> None:
    framed = [framing % (len(piece), piece) for framing, piece in said]
    body = b"".join(piece for _, piece in said)
    answer = HEAD + b"".join(framed) + b"0\r\n\r\n"
    if one_chunk_a_packet:
        packets = [HEAD, *framed, b"0\r\n\r\n"]
    else:
        places = sorted({0, len(answer), *(cut % len(answer) for cut in cuts)})
        packets = [answer[begin:end] for begin, end in pairwise(places)]
    connection, pool = open_connection()
    for turn in range(2):  # the parser, which has not seen every chunk, reads the next answer too
        taker = asked(connection)
        for packet in packets:
            connection.data_received(packet)
        assert taker.body == body
        assert taker.ended in (["complete"], ["whole"])
        assert pool.kept == turn + 1


WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
IN_CHUNKS = HEAD + b"2\r\nok\r\n0\r\n\r\n"


@pytest.mark.parametrize("answer", [WHOLE, IN_CHUNKS], ids=["whole", "in chunks"])
@pytest.mark.parametrize(
    "more", [b"x", WHOLE, b"HTTP/1.1 200 OK\r\ncontent-le", b"\0"], ids=["byte", "answer", "head", "zero"]
)
@pytest.mark.parametrize("cut", [0, 3])
def test_what_comes_behind_an_answer_is_no_part_of_it_nor_of_the_next(answer: bytes, more: bytes, cut: int) -> None:
    connection, pool = open_connection()
    taker = asked(connection)
    said = answer + more
    for packet in (said[: len(answer) - cut], said[len(answer) - cut :]):
        connection.data_received(packet)
    assert taker.body == b"ok"
    assert taker.ended in (["complete"], ["whole"])
    assert pool.kept == 0 or not cut, "the next request goes over another connection"


def test_a_chunk_to_a_packet_skips_the_parser_from_the_second_on() -> None:
    connection, _ = open_connection()
    taker = asked(connection)
    framed = [b"%x\r\n%b\r\n" % (len(data), data) for data in (EVENT % b"a", EVENT % b"b", EVENT % b"c")]
    for packet in (HEAD, *framed, b"0\r\n\r\n"):
        connection.data_received(packet)
    assert taker.chunks == framed[1:]
    assert taker.ended == ["complete"]


def test_chunks_of_every_size_skip_it() -> None:
    sizes = [*range(1, 300), *range(4080, 4110), 65_535, 65_536, 1 << 20]
    connection, _ = open_connection()
    taker = asked(connection)
    for packet in (HEAD, b"1\r\na\r\n", *(b"%x\r\n%b\r\n" % (size, b"z" * size) for size in sizes), b"0\r\n\r\n"):
        connection.data_received(packet)
    assert len(taker.chunks) == len(sizes)
    assert len(taker.body) == 1 + sum(sizes)
    assert taker.ended == ["complete"]


@pytest.mark.parametrize(
    "packet",
    [
        b"5\r\nhell\r\n",  # shorter than it says: the rest is still to come
        b"4\r\nhello\r\n",  # longer
        b"-5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"\n" + b"a" * 18 + b"\r\n",  # 21 bytes are no chunk of any size
        b"5\r\nhello\n\n",
    ],
)
def test_what_is_not_exactly_a_chunk_is_left_to_the_parser(packet: bytes) -> None:
    connection, _ = open_connection()
    taker = asked(connection)
    for before in (HEAD, b"1\r\na\r\n", b"1\r\nb\r\n", packet):
        connection.data_received(before)
    assert taker.chunks == [b"1\r\nb\r\n"]


class Reader:
    """A client that takes chunks."""

    dialect = CHAT_COMPLETIONS
    takes_chunks = True

    def __init__(self) -> None:
        self.transport: Any = Wire()

    def write(self, data: bytes) -> None:
        self.transport.write(data)


def test_who_takes_the_body_anew_takes_its_chunks_too() -> None:
    connection, _ = open_connection()
    taker = asked(connection)
    later: list[bytes] = []
    for packet in (HEAD, b"1\r\na\r\n", b"1\r\nb\r\n"):
        connection.data_received(packet)
    connection.pass_to(later.append)
    connection.data_received(b"1\r\nc\r\n")
    assert (taker.body, later) == (b"ab", [b"c"])


@pytest.mark.parametrize("takes_chunks", [True, False])
@pytest.mark.parametrize("hide_usage", [True, False])
def test_a_client_gets_the_same_bytes_by_either_way(takes_chunks: bool, hide_usage: bool) -> None:
    events = [
        EVENT % b"a", EVENT % b"b", EVENT[:20], EVENT[20:] % b"c", EVENT % b"d",
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":4}}\n\n', b"data: [DONE]\n\n",
    ]  # fmt: skip
    written = []
    for whole_chunks in (True, False):
        client = Reader()
        client.takes_chunks = takes_chunks
        meter = CHAT_COMPLETIONS.meter(hide_usage=hide_usage, keeps_text=False)
        answer = StreamedAnswer(client, b"", meter)
        for data in events:
            if whole_chunks:
                answer.chunk(data, b"%x\r\n%b\r\n" % (len(data), data))
            else:
                answer.body(data)
        assert answer.end() == ""
        written.append(
            (b"".join(client.transport.written) + answer.finish(close=False), answer.reading(0, complete=True))
        )
    assert written[0] == written[1]
    assert (b'"usage"' in written[0][0]) != hide_usage


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":4}}\n\n'
DONE = b"data: [DONE]\n\n"
FAULT = b'data: {"error":{"message":"out of memory"}}\n\n'


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def streamed() -> tuple[StreamedAnswer, list[bytes]]:
    """Return an answer of which one event has gone on, and what is written of it."""
    client = Reader()
    answer = StreamedAnswer(client, b"", CHAT_COMPLETIONS.meter(hide_usage=False, keeps_text=False))
    answer.body(EVENT % b"a")
    client.transport.written.clear()
    return answer, client.transport.written


def test_what_comes_with_the_end_of_a_stream_goes_on_with_its_terminator() -> None:
    answer, written = streamed()
    answer.last(USAGE + DONE)
    assert (written, answer.end()) == ([], "")
    assert answer.finish(close=False) == framed(USAGE + DONE) + b"0\r\n\r\n"


def test_if_it_is_cut_after_all_nothing_of_that_is_lost() -> None:
    answer, written = streamed()
    answer.last(USAGE + DONE)
    assert not written
    assert USAGE in answer.cut("too slow", "timeout")


@pytest.mark.parametrize("data", [EVENT % b"b", FAULT, FAULT + DONE])
def test_the_last_bytes_of_a_stream_that_has_no_good_end_do_not_wait(data: bytes) -> None:
    answer, written = streamed()
    answer.last(data)
    assert written == [framed(data.removesuffix(DONE))]
    assert answer.end()
