"""Targets that a person has taken out of service: a small file beside the ledger, which the gateway follows.

It holds names that an operator gave, and outlives restarts: what was taken out stays out until it is put back.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.console.worker_state import STATE_NAME, write_state

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "drained.json"

_LOCK: Final = threading.Lock()


class _Drained(msgspec.Struct):
    targets: list[str]


def read_drained(ledger_folder: Path, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the targets that are out of service; none where there is no such file, or none that makes sense.

    Where there is one that cannot be read, as when too many files are open, what was ``known`` is returned.
    """
    try:
        return _read(ledger_folder)
    except OSError:
        return known


def set_drained(ledger_folder: Path, target: str, *, out: bool) -> None:
    """Take a target out of service, or put it back.  Raises ``OSError`` where that cannot be kept."""
    with _LOCK:
        known = _read(ledger_folder)
        changed = known | {target} if out else known - {target}
        path = ledger_folder / STATE_NAME / FILE_NAME
        write_state(path, msgspec.json.encode(_Drained(targets=sorted(changed))))


def _read(ledger_folder: Path) -> frozenset[str]:
    """Return the targets in the file.  Raises ``OSError`` where there is one that cannot be read."""
    with suppress(FileNotFoundError, msgspec.MsgspecError):
        content = (ledger_folder / STATE_NAME / FILE_NAME).read_bytes()
        return frozenset(msgspec.json.decode(content, type=_Drained).targets)
    return frozenset()
