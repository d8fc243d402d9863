"""Ids of traces and spans: they follow from those of requests and attempts, so they can be found again from these."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from breakeven.ledger.ids import ATTEMPTS

TRACE_BYTES: Final = 16
SPAN_BYTES: Final = 8


def trace_id(instance: bytes, attempt_id: int) -> bytes:
    """Return the trace of a request that named none itself; ``instance`` tells this gateway's ids from others'."""
    return _id(instance, b"request", attempt_id - attempt_id % ATTEMPTS, TRACE_BYTES)


def span_id(instance: bytes, attempt_id: int) -> bytes:
    """Return the span of an attempt."""
    return _id(instance, b"attempt", attempt_id, SPAN_BYTES)


def _id(instance: bytes, kind: bytes, number: int, size_bytes: int) -> bytes:
    """Return an id that follows from a number of ours, evenly spread, as samplers expect."""
    return blake2b(number.to_bytes(8, "big"), digest_size=size_bytes, key=instance, person=kind).digest()
