"""What happened to the cases of one process: counted, and written down where they failed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MOST_ALIKE: Final = 20
"""So many cases are written down that fail in the same way."""


class Tally:
    """Counts by status or by what else became of a case, and the folder of what failed."""

    def __init__(self, seed: int, failures: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._seed = seed
        self._failures = failures
        self._kinds: Counter[str] = Counter()

    def fail(self, number: int, why: str, pieces: tuple[bytes, ...], received: bytes) -> None:
        """Write down a case that failed."""
        self.counts["failed"] += 1
        self._kinds[why] += 1
        if self._kinds[why] > MOST_ALIKE:
            return
        self._failures.mkdir(parents=True, exist_ok=True)
        (self._failures / f"case-{self._seed}-{number}.bin").write_bytes(b"".join(pieces))
        about = {"why": why, "pieces": [len(piece) for piece in pieces], "received": repr(received[:2000])}
        (self._failures / f"case-{self._seed}-{number}.json").write_text(json.dumps(about, indent=1))
        print(f"case {number}: {why}", file=sys.stderr, flush=True)
