"""How the process of trials is: what it did since it began, written beside the ledger for people to read."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "trials.json"
"""In the ledger's folder."""

OLD_S: Final = 15.0
"""A state that has not been written for so long is that of a process that has ended."""


class TrialsState(msgspec.Struct, kw_only=True):
    """One moment of it."""

    at_s: float
    started_s: float
    received_count: int
    """Copies since it began; likewise what follows."""

    waiting_count: int
    under_way_count: int = 0
    """Copies that are being treated now."""

    dropped_count: int
    """Copies for which there was no room."""

    pairs_count: int
    outcomes_count: int
    skipped: dict[str, int]
    """Pairs that were not made, by why."""

    spent_usd: str
    """Today."""

    budget_usd: str
    trouble: str


class Counts:
    """What is counted."""

    def __init__(self) -> None:
        self.pairs_count = self.outcomes_count = self.under_way_count = 0
        self.skipped: Counter[str] = Counter()


def write_state(folder: Path, state: TrialsState) -> None:
    """Put a state in the place of the one before.  Raises ``OSError``."""
    new = folder / f".{FILE_NAME}.new"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(state))
    new.replace(folder / FILE_NAME)


def read_state(folder: Path) -> TrialsState | None:
    """Return the last state; None where there is none."""
    try:
        return msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=TrialsState)
    except (OSError, msgspec.DecodeError):
        return None
