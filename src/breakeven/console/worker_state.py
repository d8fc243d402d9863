"""How a worker says, once a second, how it is: a small JSON file of its own, replaced whole.

``worker_state`` makes the content and ``write_state`` the file, for the gateway; ``read_states`` is the other side.
A file that is older than ``FRESH_S`` is of a worker that has ended or hangs, and counts for nothing.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from breakeven.routing.latency import BOUNDS_S, FirstBytes
from breakeven.similar.evidence import Hits  # noqa: TC001 - msgspec reads these annotations at run time

STATE_NAME: Final = "state"
"""Folder of these files, in the ledger's."""

FRESH_S: Final = 10.0
_MAX_FILES: Final = 64
_MAX_FILE_BYTES: Final = 1 << 20
_FILE: Final = re.compile(r"worker-(\d{1,2})\.json")


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """One worker at one moment."""

    at_s: float
    """Unix seconds."""

    started_s: float = 0.0
    """Unix seconds when it began: tells it from an earlier one of its number, whose counts do not go on."""

    in_flight: dict[str, int] = {}
    """By target."""

    open: dict[str, float] = {}
    """By target that is left alone: seconds until it is tried again."""

    waiting_rows: int = 0
    """Rows that are in memory only."""

    dropped_rows: int = 0
    """Since it began."""

    skipped_events: int = 0
    """Since it began."""

    connections: int = 0
    first_byte: dict[str, FirstBytes] = {}
    """By target, since it began."""

    similar: dict[str, Hits] = {}
    """Answers to similar questions by task, since it began or its settings changed."""


_DECODER: Final = msgspec.json.Decoder(WorkerState)


def state_path(ledger_folder: Path, number: int) -> Path:
    """Return the path of a worker's file."""
    return ledger_folder / STATE_NAME / f"worker-{number}.json"


def write_state(path: Path, content: bytes) -> None:
    """Replace a file whole, so that no reader sees half of it.  Raises ``OSError``."""
    beside = path.with_name(f".{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside.write_bytes(content)
    beside.replace(path)


def read_states(ledger_folder: Path, now_s: float) -> dict[int, WorkerState]:
    """Return the state of each living worker by its number; what cannot be read, or is old, is left out."""
    found: dict[int, WorkerState] = {}
    with suppress(OSError), os.scandir(ledger_folder / STATE_NAME) as entries:
        for entry in entries:
            name = _FILE.fullmatch(entry.name)
            state = _read(Path(entry.path)) if name and len(found) < _MAX_FILES else None
            if name and state is not None and abs(now_s - state.at_s) <= FRESH_S:
                found[int(name[1])] = state
    return dict(sorted(found.items()))


def _read(path: Path) -> WorkerState | None:
    with suppress(OSError, msgspec.MsgspecError), path.open("rb") as file:
        state = _DECODER.decode(file.read(_MAX_FILE_BYTES))
        if all(len(item.counts) == len(BOUNDS_S) + 1 for item in state.first_byte.values()):
            return state
    return None
