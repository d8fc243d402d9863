"""Whether a store has stood still, by what the file system says of it: so that nobody opens it in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.clock import Clock

STAMP_S: Final = 2.0
"""Changes that lie closer together may bear the same time: some file systems tell it in steps of one second or two."""

Mark = tuple[int, int, int]


class Stillness:
    """Asked before each reading of a store, it tells when the reading would find what the one before it did."""

    def __init__(self, store: Path, clock: Clock) -> None:
        """Watch over a store, which may not exist yet."""
        self._files = (store, store.with_name(f"{store.name}-wal"))
        self._clock = clock
        self._marks: tuple[Mark | None, ...] = (None, None)
        self._since_s = 0.0
        self._is_settled = False

    def __call__(self) -> bool:
        """Return whether the store may be left alone this time.

        A store that was changed is read each time until no other change can bear the time of that one.
        """
        marks, now_s = tuple(map(_mark, self._files)), self._clock.monotonic()
        if marks != self._marks or marks[0] is None:
            self._marks, self._since_s, self._is_settled = marks, now_s, False
            return False
        if self._is_settled:
            return True
        self._is_settled = now_s - self._since_s > STAMP_S
        return False


def _mark(path: Path) -> Mark | None:
    """Return what differs once a file has been written, replaced, or opened to others; None: there is nothing in it.

    The WAL comes and goes, empty, with everyone who opens the store.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_ctime_ns) if found.st_size else None
