"""What can be seen of a meter, and a stream cut into packets, for comparing the ways that it may come."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from recorded_streams import REQUEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.metering.meter import EventMeter
    from breakeven.metering.reading import Reading


class Outcome(NamedTuple):
    """All that can be seen of a meter at its end."""

    passed: bytes
    held: bytes
    readings: tuple[Reading, Reading]
    facts: tuple[bool, bool, bool, int, int]
    skipped_events: int
    kept: tuple[str, bool]


def outcome(make: Callable[[], EventMeter], packets: list[bytes]) -> Outcome:
    """Feed a new meter and look at it."""
    meter = make()
    passed = b"".join([meter.feed(packet) for packet in packets])
    passed += meter.close()
    readings = (meter.reading(REQUEST_BYTES, complete=True), meter.reading(REQUEST_BYTES, complete=False))
    for reading in readings:
        reading.usage()
    facts = (meter.malformed, meter.error, meter.done, meter.events, meter.content_events)
    kept = (meter.text(), meter.continuable)
    return Outcome(passed, meter.held, readings, facts, meter.skipped_events, kept)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut a stream at some places."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[start:end] for start, end in itertools.pairwise(edges)]


def single_bytes(body: bytes) -> list[bytes]:
    """Cut a stream into its bytes."""
    return [body[at : at + 1] for at in range(len(body))]


def by_events(body: bytes) -> list[bytes]:
    """Cut a stream into events, where they end in two line feeds."""
    return re.findall(rb".*?\n\n|.+", body, re.DOTALL)


def is_what_is_left(part: bytes, whole: bytes) -> bool:
    """Whether some bytes were left out, and nothing else happened."""
    rest = iter(whole)
    return all(byte in rest for byte in part)
