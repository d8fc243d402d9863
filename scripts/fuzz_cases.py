"""HTTP requests that are wrong in as many ways as can be thought of: a case is a number, and always the same bytes.

A request is put together from a body, a framing and a head, each of which may be right or wrong in its own way; then
the bytes as a whole may be damaged, doubled, and cut into the pieces in which they are sent.  About one in six is a
request that nothing is wrong with, so that what comes before and after it is seen to do no harm.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

CANARY: Final = b"x-injected"
"""Name of a header that requests try to smuggle into another head; nobody may ever see it as one."""

PATHS: Final = (
    b"/v1/chat/completions", b"/v1/completions", b"/v1/responses", b"/v1/embeddings", b"/v1/messages",
    b"/v1/messages/count_tokens",
)  # fmt: skip
OTHER_PATHS: Final = (
    b"/v1/models", b"/v1/models/plain", b"/v1/models/%00%0d%0ax-injected:%201", b"/v1/models/%ff%fe", b"/v1/models/",
    b"/health", b"/", b"//v1//chat/completions", b"/v1/../v1/chat/completions", b"/v1/chat/completions/", b"*",
    b"/v1/chat/completions?x=1&y=%00", b"/v1/chat/completions#part", b"http://other/v1/chat/completions", b"/%",
    b"/v1/chat/completions;x", b"/" + b"a" * 3000, b"/" + b"a" * 40_000, b"/\xc3\xa9", b"/\xff", b"", b" /health",
    b"/v1/messages?beta=true", b"/V1/CHAT/COMPLETIONS", b"/v1/chat\t/completions", b"other:443",
)  # fmt: skip
METHODS: Final = (
    b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"CONNECT", b"TRACE", b"PATCH", b"PRI", b"post",
    b"P\x00ST",
    b"", b"X" * 300, b"POST\t", b"SUBSCRIBE", b"QUERY", b"DESCRIBE",
)  # fmt: skip
VERSIONS: Final = (
    b"HTTP/1.0", b"HTTP/1.1", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 x", b"", b"http/1.1", b"HTTP/11",
    b"HTTP/1.999999999999", b"ICE/1.0", b"RTSP/1.0",
)  # fmt: skip
LINES: Final = (
    b"transfer-encoding: chunked", b"transfer-encoding: chunked, identity", b"transfer-encoding: xchunked",
    b"transfer-encoding: identity", b"transfer-encoding:\x0bchunked", b"Transfer-Encoding : chunked",
    b"transfer-encoding: chunked\r\ntransfer-encoding: chunked", b"transfer-encoding:", b"content-length: 0",
    b"content-length: 5\r\ncontent-length: 5", b"content-length: 5, 5", b"content-length:", b"Content-Length : 7",
    b"content-length: 18446744073709551616", b"content-length: -1", b"content-length: +5", b"content-length: 0x10",
    b"content-length: 9" + b"9" * 400, b"content-length: 5 5", b"content-length: \xd9\xa1", b"content-length: 1e3",
    b"expect: 100-continue", b"expect: the-unexpected", b"expect: 100-continue\r\nexpect: 100-continue",
    b"connection: close", b"connection: keep-alive", b"connection: Upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAA",
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==", b"upgrade: h2c", b"connection: upgrade",
    b"connection: close, keep-alive", b"connection: \x00", b"proxy-connection: keep-alive", b"te: trailers",
    b"x-a: b\r\n c", b"x-a: b\r\n\tc", b" x-a: b", b"x-a", b": b", b"x a: b", b"x-a\x00: b", b"x-a: b\x00c",
    b"x-a:b\rc",
    b"x-a: b\nx-injected: 1", b"x-a: \xff\xfe\x80", b"\xff: b", b"x-\xc3\xa9: b", b"x-a:" + b" " * 500 + b"b",
    b"x-a: \x7f",
    b"host: a\r\nhost: b", b"host:", b"host: a b", b"host: \x01", b"cookie: " + b"c" * 9000,
    b"x-long: " + b"y" * 40_000,
    b"authorization: Bearer", b"authorization: Basic eDp5", b"authorization: Bearer \xff\x00", b"authorization:",
    b"x-api-key: nobody", b"x-api-key:", b"x-api-key: \xff", b"Authorization: bearer  sk-wrong ",
    b"x-breakeven-task: summarise", b"x-breakeven-task: \xff\xfe", b"x-breakeven-task: a%0d%0ax-injected: 1",
    b"x-breakeven-tags: team=search,env=", b"x-breakeven-tags: =,=,,", b"x-breakeven-episode: " + b"e" * 600,
    b"x-breakeven-episode: \xe2\x82", b"x-breakeven-sensitivity: secret", b"x-breakeven-sensitivity: \x80",
    b"X-BREAKEVEN-TASK: a\r\nx-breakeven-task: b", b"x-breakeven-: x", b"x-breakeven-nothing: x",
    b"x-breakeven-cache: refresh", b"openai-beta: assistants=v2",
    b"anthropic-beta: a,b\r\nanthropic-version: 2023-06-01",
    b"openai-beta: \xff\x80", b"anthropic-beta: a\tb", b"openai-beta: " + b"b" * 5000, b"content-type: text/plain",
    b"content-encoding: gzip", b"content-type: application/json; charset=utf-16", b"accept: text/event-stream",
    b"accept-encoding: gzip, br", b"content-length: 3\r\ntransfer-encoding: chunked", b"trailer: content-length",
    *(b"\r\n".join(b"x-%d: %d" % (n, n) for n in range(count)) for count in (60, 1000)),
)  # fmt: skip
VALUES: Final = (
    b"null", b"true", b"false", b"0", b"-0", b"1e400", b"-1e-400", b"NaN", b"Infinity", b"9" * 400, b"9" * 9000, b"1.5",
    b"18446744073709551616", b"-9223372036854775809", b"[]", b"{}", b'""', b'"plain"', b'"renamed"', b'"\\u0000"',
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\uD83D\\uDE00"', b'"\\x"', b'"\\u12"', b'"\xff\xfe"', b'"\xed\xa0\x80"',
    b'"\x00"', b'"\n"', b'"a\\r\\nx-injected: 1\\r\\n\\r\\n"', b'"' + b"m" * 257 + b'"', b'"' + b"m" * 70_000 + b'"',
    b'"m\xc3\xa9"', b'"\\"model\\": \\"x\\""', b'["plain"]', b'{"model": "plain"}', b'{"include_usage": true}',
    b'{"include_usage": "yes"}', b'{"include_usage": null, "other": 1}', b'{"include_usage": false}', b"01", b"+1",
    b".5",
    b"1.", b"0x1", b"'plain'", b"plain", b"tru", b'"unclosed', b"[1,]", b'{"a":1,}', b"/* c */ 1", b"1 // c",
    b"\xef\xbb\xbf1",
)  # fmt: skip
KEYS: Final = (
    b"model", b"stream", b"stream_options", b"messages", b"input", b"prompt", b"max_tokens", b"tools", b"n", b"store",
    b"\\u006dodel", b"mode\\u006c", b"\\u0073tream", b"Model", b"", b"\x00", b"\xff", b"user", b"temperature",
    b"system",
    b"background", b"previous_response_id", b"metadata", b"thinking", b"response_format", b"stop", b"logit_bias",
)  # fmt: skip
SCRAPS: Final = (
    b"\x00", b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"\xff\xfe", b'"', b"\\", b"{", b"}", b"[", b":", b",", b" " * 300,
    b"\x80",
    b"0\r\n\r\n", b"\xef\xbb\xbf", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01",
)  # fmt: skip
CHUNK_SIZES: Final = (
    b"ffffffffffffffff", b"10000000000000000", b"-1", b"0x5", b"", b" 5", b"5 ", b"5;name=value", b'5;a="b\r\n"',
    b"g", b"5\t",
    b"00000000000000000000005", b"5;" + b"e" * 20_000, b"7fffffff", b"5\n", b"5;\x00",
)  # fmt: skip
TRAILERS: Final = (
    b"x-after: 1\r\n", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"authorization: Bearer other\r\n",
    b"x-after\r\n", b" folded\r\n", b"x-injected: 1\r\n", b"x-after: \x00\r\n", b"x-after: " + b"t" * 50_000 + b"\r\n",
    b"host: other\r\nhost: another\r\n",
)  # fmt: skip
_TEXT: Final[dict[str, Any]] = {"role": "user", "content": "Due when?"}
_FIELDS: Final[dict[bytes, dict[str, Any]]] = {
    b"/v1/chat/completions": {"messages": [_TEXT]},
    b"/v1/completions": {"prompt": "Due"},
    b"/v1/responses": {"input": "Due?"},
    b"/v1/embeddings": {"input": ["a", "b"]},
    b"/v1/messages": {"max_tokens": 9, "messages": [_TEXT]},
    b"/v1/messages/count_tokens": {"messages": [_TEXT]},
}
_DEPTHS: Final = (3, 40, 200, 0, 1100, 5_000, 60_000)
"""0 stands for one close to what readers written in C for Python take, which is 1,000 less what called them."""


class Dice:
    """Chance that is the same everywhere: a hash of a seed and a number, and on from there.

    Made and thrown in a microsecond, where other generators take ten to be seeded.
    """

    __slots__ = ("_left", "_name", "_round")

    def __init__(self, seed: int, number: int) -> None:
        self._name = b"%d:%d:" % (seed, number)
        self._round = 0
        self._left = 0

    def below(self, count: int) -> int:
        """Return a number from 0 to ``count - 1``."""
        if self._left < 1 << 64:
            digest = hashlib.blake2b(b"%b%d" % (self._name, self._round)).digest()
            self._round += 1
            self._left = int.from_bytes(digest, "big")
        self._left, found = divmod(self._left, count)
        return found

    def pick(self, choices: Sequence[T]) -> T:
        """Choose one of them."""
        return choices[self.below(len(choices))]

    def one_in(self, count: int) -> bool:
        """Return whether something happens that happens so often."""
        return self.below(count) == 0


def case(seed: int, number: int, key: bytes) -> tuple[bytes, ...]:
    """Return the pieces in which the case of that number is sent; ``key`` opens the gateway."""
    dice = Dice(seed, number)
    data = _request(dice, key)
    if dice.one_in(12):
        data += b"".join(_request(dice, key) for _ in range(1 + dice.below(4)))  # before their turn
    if dice.one_in(6):
        data = _damaged(data, dice)
    if not data:
        data = b"\r\n"
    if dice.one_in(6):
        return _cut(data, dice)
    return (data,)


def _request(dice: Dice, key: bytes) -> bytes:
    path = dice.pick(PATHS)
    body = _body(dice, path)
    method, version = b"POST", b"HTTP/1.1"
    lines = [b"host: fuzz", b"authorization: Bearer " + key, b"content-type: application/json"]
    kind = dice.below(8)
    if kind == 0:
        path = dice.pick(OTHER_PATHS)
        method = dice.pick((b"GET", b"POST", b"GET", b"HEAD"))
        body = body if method == b"POST" else b""
    elif kind == 1:
        method, version = dice.pick((method, dice.pick(METHODS))), dice.pick((version, dice.pick(VERSIONS)))
    elif kind <= 3:
        for _ in range(1 + dice.below(3)):
            lines.insert(dice.below(len(lines) + 1), dice.pick(LINES))
        if dice.one_in(8):
            del lines[dice.below(len(lines))]
    framing, framed = _framed(body, dice)
    if framing:
        lines.insert(dice.below(len(lines) + 1), framing)
    end = b"\r\n" if not dice.one_in(60) else dice.pick((b"\n", b"\r", b"\r\n\r\n", b"\n\r"))
    head = end.join([b"%b %b %b" % (method, path, version), *lines, b"", b""])
    return head + framed


def _body(dice: Dice, path: bytes) -> bytes:
    fields: dict[str, Any] = {"model": dice.pick(("plain", "plain", "renamed", "nowhere")), **_FIELDS[path]}
    if dice.one_in(3):
        fields["stream"] = True
    if dice.one_in(8):
        fields["stream_options"] = dice.pick(({"include_usage": True}, {"include_usage": False}, None, {}))
    body = json.dumps(fields).encode()
    if dice.one_in(2):
        return body
    for _ in range(1 + dice.below(2)):
        body = dice.pick(_BODY_CHANGES)(body, dice)
    return body


def _odd_value(body: bytes, dice: Dice) -> bytes:
    """Put one more member into the object, before or behind the others: another key, or one that is there already."""
    member = b'"%b": %b' % (dice.pick(KEYS), dice.pick(VALUES))
    if dice.one_in(2):
        return b"{%b, %b" % (member, body[1:])
    return b"%b, %b}" % (body[:-1], member)


def _other_value(body: bytes, dice: Dice) -> bytes:
    """Put another value behind some colon."""
    at = body.find(b":", dice.below(len(body) + 1)) + 1
    end = min((place for place in (body.find(b",", at), body.find(b"}", at)) if place > 0), default=len(body))
    return body[:at] + dice.pick(VALUES) + body[end:]


def _nested(body: bytes, dice: Dice) -> bytes:
    opening, closing = dice.pick(((b"[", b"]"), (b'{"a":', b"}"), (b'{"model":', b"}")))
    depth = _DEPTHS[min(dice.below(len(_DEPTHS)), dice.below(len(_DEPTHS)))] or 900 + dice.below(110)
    deep = opening * depth + b"1" + closing * (depth - dice.below(2))
    return deep if dice.one_in(6) else b'{"deep": %b, %b' % (deep, body[1:])


def _other_body(body: bytes, dice: Dice) -> bytes:
    some = (b"", b" ", b"[]", b"null", b"\xff" * 40, b"{" * 30)
    return dice.pick((*some, b"[%b]" % body, body + body, body[::-1], body * 300))


def _other_form(body: bytes, dice: Dice) -> bytes:
    text = body.decode("utf-8", "replace")
    other = (
        b"\xef\xbb\xbf" + body,
        body.replace(b" ", b"\x0b"),
        body.replace(b'"', b"'"),
        body.replace(b"}", b"\x00}"),
    )
    return dice.pick((*other, body.replace(b" ", b"\r\n\t "), text.encode("utf-16")))


def _damaged(data: bytes, dice: Dice) -> bytes:
    kind, length = dice.below(5), len(data) + 1
    here, there = sorted((dice.below(length), dice.below(length)))
    if kind == 0:
        return data[:here]
    if kind == 1:
        return data[:here] + dice.pick(SCRAPS) + data[here:]
    if kind == 2:
        return data[:here] + data[min(there, here + 20) :]
    if kind == 3:
        return data[:there] + data[here : here + 200] + data[there:]
    changed = bytearray(data)
    for _ in range(1 + dice.below(4)):
        if changed:
            changed[dice.below(len(changed))] = dice.below(256)
    return bytes(changed)


_BODY_CHANGES: Final[tuple[Callable[[bytes, Dice], bytes], ...]] = (
    _odd_value, _odd_value, _other_value, _other_value, _nested, _other_body, _other_form, _damaged,
)  # fmt: skip


def _framed(body: bytes, dice: Dice) -> tuple[bytes, bytes]:
    """Return the header line that announces a body, and the body as it is sent."""
    kind = dice.below(16)
    if kind < 10:
        return (b"content-length: %d" % len(body) if body or kind else b""), body
    if kind < 12:
        return b"transfer-encoding: chunked", _chunked(body, dice)
    if kind == 12:
        return b"transfer-encoding: chunked", _damaged(_chunked(body, dice), dice)
    if kind == 13:
        data = b"%b\r\n%b\r\n" % (dice.pick(CHUNK_SIZES), body[:5])
        return b"transfer-encoding: chunked", data + _chunked(body[5:], dice)
    if kind == 14:
        return b"content-length: %d" % max(0, len(body) + dice.below(9) - 4), body
    return b"content-length: %d" % dice.pick((0, 1, len(body) * 2 + 1, 5_000_000, 10**12, 10**18)), body


def _chunked(body: bytes, dice: Dice) -> bytes:
    pieces = _cut(body, dice) if body else ()
    last = b"0\r\n%b\r\n" % (dice.pick(TRAILERS) if dice.one_in(4) else b"")
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + last


def _cut(data: bytes, dice: Dice) -> tuple[bytes, ...]:
    """Cut into up to six pieces, none of them empty."""
    places = sorted({dice.below(len(data)) for _ in range(1 + dice.below(5))} - {0})
    return tuple(data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True))
