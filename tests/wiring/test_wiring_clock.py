"""A month in minutes: every process of the program is ahead by what a file says, and its stopwatches are not."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ASKED = """
import struct, sys, time
from breakeven.wiring.clock import SystemClock, current_date, current_s
clock = SystemClock()
print(round(clock.now() - time.time()), round(clock.monotonic() - time.monotonic()), current_date())
with open(sys.argv[1], "r+b") as file:
    file.write(struct.pack("d", -time.time()))
print(round(current_s()), current_date())
"""


def test_the_date_follows_the_file_and_the_stopwatch_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "ahead"
    path.write_bytes(struct.pack("d", 86_400.0 * 36_525))
    said = subprocess.run(
        [sys.executable, "-c", ASKED, str(path)],
        env={**os.environ, "BREAKEVEN_CLOCK": str(path)},  # noqa: TID251 - the variable is what is tested
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert said[:2] == [str(86_400 * 36_525), "0"]
    assert int(said[2][:4]) > 2100
    assert said[3:] == ["0", "1970-01-01"]
