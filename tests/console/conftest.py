"""One control plane for the tests that do not change what others look at."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from console.control import Control, fill, plan_of, put_clock, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = (
    {"key": "search", "model": "fast", "target": "near", "priced_as": "p:m", "task": "sum", "tags": "team=a"},
    {"key": "search", "model": "fast", "target": "near", "priced_as": "p:m", "task": "sum", "tags": "team=b"},
    {"key": "chat", "model": "fast", "target": "far/1", "outcome": 1, "status": 500, "output_tokens": 0},
)
"""Two requests with a price, and one that failed at a target without one."""

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
"""When they came, and when they are looked at: however late it is here, they are of that day."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ledger with three requests."""
    folder = tmp_path_factory.mktemp("ledger")
    fill(folder, [dict(row) for row in ROWS], NOON)
    return folder


@pytest.fixture(scope="session")
def control(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    """A control plane over that ledger, at noon of its day, with a token of each role."""
    clock = tmp_path_factory.mktemp("clock") / "clock"
    put_clock(clock, NOON)
    with running(plan_of(folder), clock=clock) as started:
        yield started
