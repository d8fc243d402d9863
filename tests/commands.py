"""Runs the ``breakeven`` command as a test asks: here, or in a process of its own where that is the point."""

from __future__ import annotations

import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from breakeven.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def run_here(*words: str, cwd: Path | str = ".") -> subprocess.CompletedProcess[str]:
    """Run what ``python -m breakeven`` runs with nothing to read, without the imports that a process begins with.

    What ``main`` does not turn into an exit code comes out as it is.
    """
    out, err, code = StringIO(), StringIO(), 0
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["breakeven", *words])
        patch.setattr(sys, "stdin", StringIO())
        try:
            main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def run_apart(*words: str, cwd: Path | str = ".") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "breakeven", *words], capture_output=True, text=True, check=False, cwd=cwd, timeout=120
    )
