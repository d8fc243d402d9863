"""The trace that is shipped with the program, so that it runs on real traffic with nothing configured.

Its origin and licence stand beside it, in ``data/README.md``.  It does no reading: ``read.read_trace``
takes the path like any other.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

SAMPLE_NAME: Final = "azure_chat_2023-11-16.csv.gz"


def sample_path() -> Path:
    """Return the path of one hour of chat traffic: 19,366 requests of 2023-11-16."""
    return Path(str(files("breakeven.traffic"))) / "data" / SAMPLE_NAME
