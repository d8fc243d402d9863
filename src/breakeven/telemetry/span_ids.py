"""Ids of traces, spans and events: they follow from those of requests, attempts, outcomes, and can be found again."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

from breakeven.ledger.ids import ATTEMPTS

TRACE_BYTES: Final = 16
SPAN_BYTES: Final = 8
EVENT_BYTES: Final = 16

_TRACE: Final = re.compile(r"(?!0{32})[0-9a-fA-F]{32}")


def trace_of(instance: bytes, attempt_id: int, episode: str | None) -> bytes:
    """Return the trace of an attempt: the one that a client named, which its episode then is, else its request's."""
    return named_trace(episode) or trace_id(instance, attempt_id)


def named_trace(episode: str | None) -> bytes:
    """Return the trace whose id an episode is; nothing for any other one."""
    return bytes.fromhex(episode) if episode and _TRACE.fullmatch(episode) else b""


def trace_id(instance: bytes, attempt_id: int) -> bytes:
    """Return the trace of a request that named none itself; ``instance`` tells this gateway's ids from others'."""
    return _id(instance, b"request", _bytes(attempt_id - attempt_id % ATTEMPTS), TRACE_BYTES)


def span_id(instance: bytes, attempt_id: int) -> bytes:
    """Return the span of an attempt."""
    return _id(instance, b"attempt", _bytes(attempt_id), SPAN_BYTES)


def event_uid(instance: bytes, outcome_id: str, received_us: int) -> str:
    """Return the id of the event of an outcome, which is another one when the outcome is said again."""
    return _id(instance, b"outcome", f"{outcome_id}\0{received_us}".encode(), EVENT_BYTES).hex()


def _bytes(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _id(instance: bytes, kind: bytes, of: bytes, size_bytes: int) -> bytes:
    """Return an id that follows from one of ours, evenly spread, as samplers expect."""
    return blake2b(of, digest_size=size_bytes, key=instance, person=kind).digest()
