"""The traces that are shipped with the program, so that it runs on real traffic with nothing configured.

Their origin and licences stand beside them, in ``data/README.md``.  It does no reading: ``read.read_trace``
takes the paths like any others.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

TWO_WEEKS_NAMES: Final = ("servegen_m-large_rps_10min.csv.gz", "servegen_m-large_lengths.csv.gz")
SAMPLE_NAME: Final = "azure_chat_2023-11-16.csv.gz"


def sample_path() -> Path:
    """Return the path of one hour of chat traffic: 19,366 requests of 2023-11-16."""
    return Path(str(files("breakeven.traffic"))) / "data" / SAMPLE_NAME


def two_weeks_paths() -> tuple[Path, ...]:
    """Return the paths of two weeks of another service: rates by ten minutes, and mean lengths by six hours."""
    return tuple(Path(str(files("breakeven.traffic"))) / "data" / name for name in TWO_WEEKS_NAMES)
