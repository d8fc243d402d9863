"""One control plane for the tests that do not change what others look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from console.control import Control, fill, plan_of, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = (
    {"key": "search", "model": "fast", "target": "near", "priced_as": "p:m", "task": "sum", "tags": "team=a"},
    {"key": "search", "model": "fast", "target": "near", "priced_as": "p:m", "task": "sum", "tags": "team=b"},
    {"key": "chat", "model": "fast", "target": "far/1", "outcome": 1, "status": 500, "output_tokens": 0},
)
"""Two requests with a price, and one that failed at a target without one."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ledger with three requests."""
    folder = tmp_path_factory.mktemp("ledger")
    fill(folder, [dict(row) for row in ROWS])
    return folder


@pytest.fixture(scope="session")
def control(folder: Path) -> Iterator[Control]:
    """A control plane over that ledger, with a token of each role."""
    with running(plan_of(folder)) as started:
        yield started
