"""Writes the small logs that the tests read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from small_logs import Write


@pytest.fixture
def log(tmp_path: Path) -> Write:
    """Write a file whose name says nothing about its form."""

    def write(content: str | bytes, name: str = "log") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
