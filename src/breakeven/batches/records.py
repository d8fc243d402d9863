"""What the store has of files and batches."""

from __future__ import annotations

from typing import Final

import msgspec

VALIDATING: Final = "validating"
FAILED: Final = "failed"
IN_PROGRESS: Final = "in_progress"
FINALIZING: Final = "finalizing"
COMPLETED: Final = "completed"
EXPIRED: Final = "expired"
CANCELLING: Final = "cancelling"
CANCELLED: Final = "cancelled"

ENDED: Final = frozenset({FAILED, COMPLETED, EXPIRED, CANCELLED})
"""Statuses after which nothing happens to a batch any more."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whose request it is: the key that was checked, and who sees what it makes."""

    key: str
    team: str
    models: tuple[str, ...] = ()
    sensitivities: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """Return who sees its files and batches: its team, where it has one."""
        return f"team:{self.team}" if self.team else f"key:{self.key}"


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose content is on disk."""

    id: str
    owner: str
    filename: str
    purpose: str
    size_bytes: int
    created_s: int
    expires_s: int
    sensitivities: tuple[str, ...] = ()
    """Kinds of data that it was marked with when it came; every batch of it is marked with them too."""


class Line(msgspec.Struct, frozen=True):
    """Where a line of an input file is."""

    number: int
    """From 1."""

    offset: int
    size_bytes: int
    tries: int = 0
    """Times that it was asked without an answer that counts."""

    as_call: bool = False
    """It goes to no provider's batch API (any more)."""


class Batch(msgspec.Struct, kw_only=True):
    """A batch as it is now; whoever changes it writes it to the store."""

    number: int
    id: str
    owner: str
    key: str
    models: tuple[str, ...]
    sensitivities: tuple[str, ...]
    """Kinds of data that it, or its file, was marked with when it was made."""

    labels: tuple[tuple[str, str], ...]
    """Headers that its client sent, for every line of it."""

    endpoint: str
    input_file: str
    window: str
    """As its client wrote it."""

    status: str
    created_s: int
    expires_s: int
    deadline_s: float
    """Until when its lines wait for idle capacity."""

    keep_s: int
    """How long the files of its results are kept."""

    metadata: dict[str, str] | None = None
    at: dict[str, int] = {}
    """When it got which status."""

    errors: list[dict[str, str | int | None]] = []
    output_file: str = ""
    error_file: str = ""
    total: int = 0
    completed: int = 0
    failed: int = 0
    next_offset: int = 0
    """From where lines have not been taken yet."""

    next_line: int = 1
    output_bytes: int = 0
    """Of its results, so much counts: what stands behind was written by a process that died."""

    error_bytes: int = 0
