"""What the process of canaries says of the nodes that it asks: a small file beside the ledger, replaced whole.

The nodes in it that are out of service are so only while the file is fresh: where that process has ended, because the
settings name no canary any more or the whole gateway was killed, they serve again.  What people take out of service is
in a file of its own (``console.drained``), so neither undoes what the other has done.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.console.worker_state import STATE_NAME, write_state
from breakeven.engines.degraded import Watched  # noqa: TC001 - msgspec reads these annotations at run time

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "canary.json"

LIVE_S: Final = 15.0
"""An older file is of a process that has ended, or hangs: one that was killed is back sooner, on a busy machine too."""


class CanaryState(msgspec.Struct, frozen=True, kw_only=True):
    """Every node that is asked, at one moment."""

    at_s: float
    """Unix seconds."""

    marks: dict[str, str] = {}
    """By pool: what was asked, as ``Golden.mark`` has it."""

    nodes: dict[str, Watched] = {}
    """By target."""


_NOTHING: Final = CanaryState(at_s=0.0)
_DECODER: Final = msgspec.json.Decoder(CanaryState)


def kept_canaries(ledger_folder: Path) -> CanaryState:
    """Return what was written last, however long ago; nothing where there is no such file, or none that can be read."""
    with suppress(OSError, msgspec.MsgspecError):
        return _DECODER.decode((ledger_folder / STATE_NAME / FILE_NAME).read_bytes())
    return _NOTHING


def live_canaries(ledger_folder: Path, now_s: float) -> dict[str, Watched]:
    """Return the nodes that are asked now, by target."""
    found = kept_canaries(ledger_folder)
    return found.nodes if abs(now_s - found.at_s) <= LIVE_S else {}


def degraded_targets(ledger_folder: Path, now_s: float) -> frozenset[str]:
    """Return the targets that are out of service for their answers."""
    return frozenset(name for name, node in live_canaries(ledger_folder, now_s).items() if node.is_out)


def write_canaries(ledger_folder: Path, state: CanaryState) -> None:
    """Say how the nodes are.  Raises ``OSError`` where that cannot be kept."""
    write_state(ledger_folder / STATE_NAME / FILE_NAME, msgspec.json.encode(state))
