"""Small logs for the tests of reading and profiling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from breakeven.traffic.profile import profile
from breakeven.traffic.read import read_trace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from breakeven.records import TrafficProfile
    from breakeven.traffic.trace import Trace

HEADER = "time,input_tokens,output_tokens\n"
GOOD = "".join(f"2026-10-01T10:00:{second:02}Z,{100 + second},{second}\n" for second in range(40))
"""Forty good rows: one bad row among them stays below the tolerated share."""


class Write(Protocol):
    """Writes a file and returns its path."""

    def __call__(self, content: str | bytes, name: str = "log") -> Path: ...


def read(path: Path, mapping: Mapping[str, str] | None = None, *, tolerate_fraction: float = 1.0) -> Trace:
    """Read one file, however bad."""
    return read_trace([path], mapping=mapping, tolerate_fraction=tolerate_fraction)


def profiled(path: Path, *, input_thresholds_tokens: tuple[int, ...] = ()) -> TrafficProfile:
    """Read and profile one file, however bad."""
    return profile(read(path), input_thresholds_tokens=input_thresholds_tokens)
