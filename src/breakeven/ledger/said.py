"""The row of one attempt with its texts: what the store's view says of it, and a day's file, word for word."""

from __future__ import annotations

from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

BATCH_ROWS = 20_000


class SaidAttempt(NamedTuple):
    """Columns of the view ``attempt_said`` and of a day's file; durations count from ``received_us``."""

    attempt_id: int
    received_us: int
    queued_us: int | None
    first_byte_us: int | None
    ended_us: int
    key: str | None
    task: str | None
    tags: str | None
    episode: str | None
    model: str | None
    target: str | None
    priced_as: str | None
    decision: str | None
    fallback: str | None
    failure: str | None
    status: int | None
    outcome: str
    processing: str
    estimated: int
    streamed: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    rate_card: str | None
    over_tokens: int

    @property
    def facts(self) -> tuple[object, ...]:
        """What happened, without what follows from prices: equal for the same attempt and no other."""
        return self[:24]


SELECT = f"SELECT {', '.join(SaidAttempt._fields)} FROM attempt_said"  # noqa: S608 - names from above


def said_rows(connection: sqlite3.Connection, condition: str = "1") -> Iterator[SaidAttempt]:
    """Yield rows of the store in the order of their ids."""
    found = connection.execute(f"{SELECT} WHERE {condition} ORDER BY attempt_id")
    while batch := found.fetchmany(BATCH_ROWS):
        yield from map(SaidAttempt._make, batch)


class HasId(Protocol):
    """A row of an attempt, whatever else it tells."""

    @property
    def attempt_id(self) -> int:
        """Request id with the attempt's number."""


Row = TypeVar("Row", bound=HasId)


def in_order(parts: Iterable[tuple[int, Callable[[], Iterator[Row]]]]) -> Iterator[Row]:
    """Merge parts, each with its first id and how it is opened, by id; a part is opened when its turn comes."""
    waiting = sorted(enumerate(parts), key=lambda part: (-part[1][0], part[0]))
    heap: list[tuple[int, int, Row, Iterator[Row]]] = []
    while waiting or heap:
        while waiting and (not heap or waiting[-1][1][0] <= heap[0][0]):
            number, (_, opened) = waiting.pop()
            stream = opened()
            for row in stream:
                heap.append((row.attempt_id, number, row, stream))
                break
            heapify(heap)
        if not heap:
            continue
        _, number, row, stream = heap[0]
        yield row
        following = next(stream, None)
        if following is None:
            heappop(heap)
        else:
            heapreplace(heap, (following.attempt_id, number, following, stream))
