"""Copies of answered requests, and the line on which they go to the process of trials.

A copy leaves after the last bytes of its answer, and never waits: what the line does not take at once is held within a
bound, and what exceeds it is dropped and counted.  Where nothing is to be copied, none of this is there.
"""

from __future__ import annotations

import asyncio
import logging
from math import inf
from typing import TYPE_CHECKING, Final, cast
from zlib import crc32

import msgspec

from breakeven.gateway.handover import short_path
from breakeven.routing.sticking import place_of, takes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breakeven.gateway.copy_plan import CopyRule
    from breakeven.gateway.labels import Labels

SOCKET_NAME: Final = "trials.sock"
"""In the ledger's folder."""

MAX_BODY_BYTES: Final = 256 * 1024
"""Of a request, and of an answer: of longer ones there is no copy."""

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""Of copies that the line has not taken yet, per worker."""

RETRY_S: Final = 1.0
"""How long after a line that could not be had the next one is tried."""

LENGTH_BYTES: Final = 4
"""Before each copy stands its length, the highest byte first."""

SHADOW, SHIFT = "shadow", "shift"
"""What a pair is wanted for."""

_log = logging.getLogger("breakeven.gateway")


class Wanted(msgspec.Struct, frozen=True, array_like=True):
    """A pair that a copy is to make: who is asked too, and which of the two is the candidate."""

    asked: str
    candidate: str
    """Under this name the pair is kept: of a shift to a pool, the pool's, whichever node is asked."""

    incumbent: str
    origin: str


class Copy(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A request that was answered well, its answer, and what the ledger says of both."""

    request_id: int
    key: str
    model: str
    """As the client asked for it."""

    task: str
    tags: str
    episode: str
    sensitivities: tuple[str, ...]
    path: str
    """At which it came."""

    passed: bytes
    """Header lines that its target saw."""

    target: str
    """That answered."""

    received_us: int
    first_byte_us: int
    """From the end of the request; likewise the next."""

    ended_us: int
    input_tokens: int
    output_tokens: int
    body: bytes
    answer: bytes
    """As the target gave it, in its own protocol."""

    wanted: tuple[Wanted, ...]
    """Pairs; none: its signals are looked at, and nobody is asked."""

    signals: bool
    """Whether its signals are written down."""

    dropped_count: int
    """Copies that this worker has dropped since the one before."""


class Copying:
    """What is copied of one route, by the settings."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Iterable[CopyRule]) -> None:
        self._rules = tuple(
            (
                rule,
                crc32(f"{rule.model}\0{rule.candidate}".encode()),
                frozenset(rule.tasks),
                frozenset(rule.keys),
                frozenset(rule.tags),
            )
            for rule in rules
        )

    def rules_for(self, request_id: int, key: str, task: str, tags: str) -> tuple[CopyRule, ...]:
        """Return the rules by which a request is copied."""
        return tuple(
            rule
            for rule, number, tasks, keys, of_tags in self._rules
            if (not tasks or task in tasks)
            and (not keys or key in keys)
            and (not of_tags or not of_tags.isdisjoint(tag.strip() for tag in tags.split(",")))
            and takes(rule.share_fraction, place_of(number, str(request_id)))
        )


def copying_of(rules: Iterable[CopyRule], model: str) -> Copying | None:
    """Return what is copied of a model's requests; None: nothing."""
    found = [rule for rule in rules if rule.model in (model, "*")]
    return Copying(found) if found else None


def wanted_of(rules: Iterable[CopyRule], served_by: str) -> tuple[Wanted, ...]:
    """Return the pairs that rules want of a request which one target has served; none with the candidate itself."""
    candidates = dict.fromkeys(rule.candidate for rule in rules)
    return tuple(Wanted(name, name, served_by, SHADOW) for name in candidates if name not in ("", served_by))


def marks_of(labels: Labels | None, of_key: frozenset[str]) -> tuple[str, ...]:
    """Return the kinds of data that a request is marked with."""
    return tuple(sorted(labels.sensitivities if labels is not None else of_key))


class CopyLine:
    """A worker's end of the line; it is opened when there is something to send, and again when it broke."""

    def __init__(self, folder: str, now_s: Callable[[], float]) -> None:
        """Take the ledger's folder, in which the other end listens, and a stopwatch."""
        self.folder = folder
        self._now_s = now_s
        self._transport: asyncio.WriteTransport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._not_before_s = -inf
        self._untold_count = 0
        self.dropped_count = 0
        """Copies that went nowhere."""

    def untold(self) -> int:
        """Return how many copies were dropped since this was last asked."""
        count, self._untold_count = self._untold_count, 0
        return count

    def send(self, copy: Copy) -> None:
        """Send a copy, or drop it."""
        data = msgspec.msgpack.encode(copy)
        data = len(data).to_bytes(LENGTH_BYTES, "big") + data
        transport = self._transport
        if transport is not None and not transport.is_closing():
            if transport.get_write_buffer_size() + len(data) <= MAX_WAITING_BYTES:
                transport.write(data)
            else:
                self._drop(1)
            return
        if self._waiting_bytes + len(data) > MAX_WAITING_BYTES or self._now_s() < self._not_before_s:
            self._drop(1)
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())

    def close(self) -> None:
        """Let go of the line; what it has taken still goes."""
        if self._opening is not None:
            self._opening.cancel()
        if self._transport is not None:
            self._transport.close()

    def _drop(self, count: int) -> None:
        self.dropped_count += count
        self._untold_count += count

    async def _open(self) -> None:
        try:
            with short_path(self.folder, SOCKET_NAME) as path:
                made, _ = await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, path)
        except OSError as error:
            _log.debug("copies are dropped: %s", error)
            self._drop(len(self._waiting))
            self._not_before_s = self._now_s() + RETRY_S
        else:
            self._transport = cast("asyncio.WriteTransport", made)
            self._transport.write(b"".join(self._waiting))
        self._waiting, self._waiting_bytes = [], 0
        self._opening = None
