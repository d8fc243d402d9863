"""Ids of requests and attempts: 63-bit, time-ordered, unique without asking anybody.

From the top: milliseconds since 2025 (41 bits, until 2094), the worker's number (6), a sequence within
the millisecond (12), the attempt's number (4).  It reads no clock: the time is handed in.
"""

from __future__ import annotations

from typing import Final

EPOCH_MS: Final = 1_735_689_600_000
"""2025-01-01T00:00:00Z in Unix milliseconds."""

WORKERS: Final = 64
ATTEMPTS: Final = 16
"""Attempts that one request can have; an attempt's id is the request's, plus its number."""

IMPORTS_WORKER: Final = WORKERS - 1
"""The number under which rows from elsewhere get ids: a gateway has 63 workers at most, 0 to 62."""

_SEQUENCES: Final = 4096
_MS_SHIFT: Final = 22
_WORKER_SHIFT: Final = 16
_ATTEMPT_BITS: Final = 4
_LARGEST_MS: Final = (1 << 41) - 1
_TEXT_LENGTH: Final = 15
_REPLAYED: Final = "r"
_BEFORE_MS: Final = 1 << 40
"""35 years, from which 32 ms in one make the first thirteen months of ids."""

_BEFORE_SHIFT: Final = 5


class RequestIds:
    """Makes the request ids of one worker, each greater than the one before and than ``floor``.

    A clock that stands still or goes back does not matter: the last millisecond is then used on, and
    after 4,096 ids the next one is borrowed from the future.
    """

    __slots__ = ("_last_ms", "_sequence", "_worker")

    def __init__(self, worker: int, floor: int = 0) -> None:
        """Take the worker's number (0 … 63) and an id below which none may be."""
        if not 0 <= worker < WORKERS:
            raise ValueError(f"a worker's number lies between 0 and {WORKERS - 1}, not {worker}")
        self._worker = worker << _WORKER_SHIFT
        # Every id of the millisecond after the floor's is above it, whichever worker made the floor.
        self._last_ms = (floor >> _MS_SHIFT) + 1
        self._sequence = -_ATTEMPT_STEP

    def next(self, now_ms: int) -> int:
        """Return the id of a request that came at that time, in Unix milliseconds."""
        at_ms = now_ms - EPOCH_MS
        if at_ms > self._last_ms:
            if at_ms > _LARGEST_MS:
                raise ValueError(f"ids end in the year 2094, and the clock says {now_ms} ms after 1970")
            self._last_ms = at_ms
            self._sequence = 0
            return at_ms << _MS_SHIFT | self._worker
        self._sequence += _ATTEMPT_STEP
        if self._sequence == _SEQUENCE_END:
            self._last_ms += 1
            self._sequence = 0
        return self._last_ms << _MS_SHIFT | self._worker | self._sequence


_ATTEMPT_STEP: Final = 1 << _ATTEMPT_BITS
_SEQUENCE_END: Final = _SEQUENCES << _ATTEMPT_BITS


def import_slot(received_us: int) -> int:
    """Return the first slot for a row from elsewhere that came at that time; later ones have larger slots.

    There are 4,096 slots a millisecond.  Ids begin with 2025, so times before it share the first year of ids, 32 ms
    in one: there was no gateway yet that could have given them.
    """
    at_ms = received_us // 1000 - EPOCH_MS
    return (at_ms if at_ms >= 0 else max(at_ms + _BEFORE_MS, 0) >> _BEFORE_SHIFT) * _SEQUENCES


def id_of_slot(slot: int) -> int:
    """Return the request id of a slot for rows from elsewhere."""
    at_ms, sequence = divmod(slot, _SEQUENCES)
    return at_ms << _MS_SHIFT | IMPORTS_WORKER << _WORKER_SHIFT | sequence << _ATTEMPT_BITS


def request_text(request_id: int) -> str:
    """Write a request's id as people see it: 15 hexadecimal digits that sort by time.

    The attempt's number is left out, so the text of an attempt's id names its request.
    """
    return f"{request_id >> _ATTEMPT_BITS:015x}"


def request_id(text: str) -> int:
    """Read ``request_text`` back.  Raises ``ValueError`` for anything else."""
    if len(text) != _TEXT_LENGTH or not text.isascii() or not text.isalnum():
        raise ValueError(f"{text!r} is no request id: it has {_TEXT_LENGTH} hexadecimal digits")
    return int(text, 16) << _ATTEMPT_BITS


def pair_name(number: int) -> str:
    """Write the id of a pair of answers as people see it: that of its request, or of a replay, which is below 0."""
    return request_text(number) if number >= 0 else f"{_REPLAYED}{request_text(-number)}"


def pair_number(name: str) -> int:
    """Read ``pair_name`` back.  Raises ``ValueError``."""
    return -request_id(name[1:]) if name.startswith(_REPLAYED) else request_id(name)


def received_ms(attempt_id: int) -> int:
    """Return the Unix milliseconds in an id: when the request came, by the clock of its worker."""
    return (attempt_id >> _MS_SHIFT) + EPOCH_MS


def lowest_id(received_us: int) -> int:
    """Return an id that those of requests which came from then on are not below: ids are never behind the clock.

    That of rows from elsewhere, which may be, is not looked at.
    """
    return max(received_us // 1000 - EPOCH_MS, 0) << _MS_SHIFT
