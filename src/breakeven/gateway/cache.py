"""Answers kept for requests that come again, byte for byte the same: in the memory of one worker, off unless asked for.

What is decided, and why:

- The key is a digest of everything that makes an answer: who asks, the path, the body, the headers that a target sees,
  and the kinds of data, which bound the targets.  No tenant ever gets an answer that was made for another.
- Bodies are compared byte for byte.  Sorting keys would not be harmless: models write the fields of structured outputs
  in the order of the schema's keys (https://platform.openai.com/docs/guides/structured-outputs#key-ordering), and a
  number written otherwise can be another one to the next reader.  A client's library writes equal requests equally.
- ``stream`` and ``stream_options`` are in the body and so in the key: a stream is replayed as a stream, a whole answer
  whole, and neither is made into the other.
- Whoever asks for the cache gets the same words again even where a model would draw others (a temperature above 0,
  ``n``), and its tools are not run again by the provider: that is what is asked for.
- A request whose provider is to remember it is never answered from here: see ``may_be_kept``.
- Only whole, successful answers are kept, and nothing of their head but the type of the content: ids of requests and
  what is left of rate limits were true once.

Requests that come while the first of their kind is under way are sent as well.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.metering.meter import EventMeter
    from breakeven.metering.reading import Reading

OFF, ON, REFRESH = range(3)
"""Neither asked nor filled; both; filled without being asked."""

HEADER: Final = b"x-breakeven-cache"
"""With ``on``, ``off`` or ``refresh``, before what the model's route says."""

ENTRY_BYTES: Final = 640
"""What an entry takes beside its body and the name of its type, the digest and its place in the tables included.

Measured with CPython 3.11: 500 to 620, the tables being up to twice as large as they need be.
"""

_USES: Final = {b"on": ON, b"refresh": REFRESH}
_RESPONSES: Final = b"/v1/responses"
_LENGTHS: Final = Struct(">5Q")


class Stored(NamedTuple):
    """An answer as it is replayed, and what it used when it was made: what each replay avoids."""

    content_type: bytes
    body: bytes
    """Without the framing of HTTP: of a stream, all events as the client got them, with the terminator."""

    streamed: bool
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    processing: int
    """Index into ``catalog.rate_card.PROCESSINGS``."""

    target_code: int
    """The ledger's code of the target that answered."""

    stored_s: float
    """When it was whole, on the stopwatch."""

    status: int = 200

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, with its entry."""
        return len(self.body) + len(self.content_type) + ENTRY_BYTES


class Cache:
    """Answers by key, the one used longest ago leaving first; each step takes the same time, however many there are."""

    __slots__ = ("_entries", "_max_bytes", "_max_entry_bytes", "_ttl_s", "size_bytes")

    def __init__(self, max_bytes: int, max_entry_bytes: int, ttl_s: float) -> None:
        """Bound everything together, each entry, and the age of answers for which nothing else is said."""
        self._max_bytes = max_bytes
        self._max_entry_bytes = min(max_entry_bytes, max_bytes)
        self._ttl_s = ttl_s
        self._entries: OrderedDict[bytes, Stored] = OrderedDict()
        self.size_bytes = 0
        """What all entries take in memory; at most ``max_bytes`` after every call."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def max_body_bytes(self) -> int:
        """Longest body that is kept, for a ``Collector``."""
        return self._max_entry_bytes - ENTRY_BYTES

    def get(self, key: bytes, now_s: float, ttl_s: float | None = None) -> Stored | None:
        """Return the answer of a key unless it is as old as ``ttl_s`` (None: as the cache allows); then it leaves."""
        found = self._entries.get(key)
        if found is None:
            return None
        if now_s - found.stored_s >= (self._ttl_s if ttl_s is None else ttl_s):
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return found

    def put(self, key: bytes, stored: Stored) -> None:
        """Keep an answer in place of the one that the key had; nothing is kept that is larger than an entry may be."""
        if key in self._entries:
            self._drop(key)
        size_bytes = stored.size_bytes
        if size_bytes > self._max_entry_bytes:
            return
        while self.size_bytes + size_bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.size_bytes -= oldest.size_bytes
        self._entries[key] = stored
        self.size_bytes += size_bytes

    def clear(self) -> None:
        """Forget everything: after a change of settings other targets might answer."""
        self._entries.clear()
        self.size_bytes = 0

    def _drop(self, key: bytes) -> None:
        self.size_bytes -= self._entries.pop(key).size_bytes


class Collector:
    """Collects an answer as it passes; one that grows too long is let go without a word."""

    __slots__ = ("_left_bytes", "_pieces")

    def __init__(self, max_body_bytes: int) -> None:
        self._left_bytes = max_body_bytes
        self._pieces: list[bytes] = []

    def add(self, data: bytes) -> None:
        """Take the next bytes that go to the client, without the framing of HTTP."""
        self._left_bytes -= len(data)
        if self._left_bytes >= 0:
            self._pieces.append(data)
        elif self._pieces:
            self._pieces = []

    def body(self) -> bytes | None:
        """Return everything that was taken; None where that is too much, or nothing."""
        return b"".join(self._pieces) if self._left_bytes >= 0 and self._pieces else None


class CollectingMeter:
    """The meter of a stream that is to be kept: as the meter in it, with a copy of what the client gets."""

    __slots__ = ("_collector", "_meter")

    def __init__(self, meter: EventMeter, max_body_bytes: int) -> None:
        self._meter = meter
        self._collector = Collector(max_body_bytes)

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes and return those to forward now."""
        data = self._meter.feed(data)
        self._collector.add(data)
        return data

    def close(self) -> bytes:
        """Take the end and return what is left to forward."""
        rest = self._meter.close()
        self._collector.add(rest)
        return rest

    def body(self) -> bytes | None:
        """Return the whole stream after ``close``; None where it is not whole, tells of an error, or is too long."""
        meter = self._meter
        if not meter.done or meter.error or meter.malformed:
            return None
        self._collector.add(meter.held)
        return self._collector.body()

    def reading(self, request_body_bytes: int, *, complete: bool) -> Reading:
        """Return the tokens so far."""
        return self._meter.reading(request_body_bytes, complete=complete)

    def text(self) -> str:
        """Return the text that the client has read."""
        return self._meter.text()

    @property
    def done(self) -> bool:
        """Whether the terminator has come."""
        return self._meter.done

    @property
    def error(self) -> bool:
        """Whether some event tells of an error."""
        return self._meter.error

    @property
    def error_event(self) -> bytes:
        """What the first event that tells of an error carried."""
        return self._meter.error_event

    @property
    def held(self) -> bytes:
        """The terminator and what comes after it."""
        return self._meter.held

    @property
    def skipped_events(self) -> int:
        """Events that did not go on, being no JSON."""
        return self._meter.skipped_events

    @property
    def unsaid(self) -> bool:
        """Whether no event has gone on."""
        return self._meter.unsaid

    @property
    def continuable(self) -> bool:
        """Whether what the client has read is text that another answer can begin with."""
        return self._meter.continuable


def cache_key(tenant: bytes, path: bytes, body: bytes, passed: bytes, sensitivity: str) -> bytes:
    """Return the SHA-256 digest of what makes an answer: equal where all parts are, and only there.

    ``tenant``: whose answers are shared, the digest of a key, say; ``passed``: the header lines that the target sees;
    ``sensitivity``: the kinds of data.  The lengths of all parts come first, so that no two lists of parts make the
    same bytes.
    """
    kind = sensitivity.encode("utf-8", "surrogatepass")
    lengths = _LENGTHS.pack(len(tenant), len(path), len(body), len(passed), len(kind))
    digest = hashlib.sha256(b"%b%b%b%b%b" % (lengths, tenant, path, passed, kind))
    digest.update(body)
    return digest.digest()


def use_of(labels: Mapping[bytes, bytes], *, route_on: bool) -> int:
    """Return ``ON``, ``OFF`` or ``REFRESH``: what a request's header says, else its route.

    A word that is not known means off, since a replay that nobody wants is worse than a request that is sent.
    """
    said = labels.get(HEADER)
    if said is None:
        return ON if route_on else OFF
    return _USES.get(said.strip().lower(), OFF)


def may_be_kept(path: bytes, body: bytes) -> bool:
    """Whether an answer to this request may be replayed: not where the provider is to remember it.

    That is so with ``store: true``, which is what the Responses API takes where nothing is said
    (https://platform.openai.com/docs/api-reference/responses/create#responses-create-store), so that there only
    ``store: false`` is cached; in the background, whose answer is a promise; and where a request goes on from an
    earlier one.
    """
    try:
        asked = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    stored = path == _RESPONSES if asked.store is None else asked.store
    return not (stored or asked.background or asked.previous_response_id is not None or asked.conversation is not None)


def content_type_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return the type of a target's answer; None where it is told none, or the body is written in some coding."""
    known = {name.lower(): value for name, value in headers.items()}
    if known.get(b"content-encoding", b"identity").lower() != b"identity":
        return None
    return known.get(b"content-type")


def is_answer(body: bytes) -> bool:
    """Whether a whole body is a JSON object that tells of no error: some providers tell of errors with status 200."""
    try:
        return _OUTCOME.decode(body).error is None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


class _Asked(msgspec.Struct):
    store: bool | None = None
    background: bool | None = None
    previous_response_id: Any = None
    conversation: Any = None


class _Outcome(msgspec.Struct):
    error: Any = None


_DECODER: Final = msgspec.json.Decoder(_Asked)
_OUTCOME: Final = msgspec.json.Decoder(_Outcome)
