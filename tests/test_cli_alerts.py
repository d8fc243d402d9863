"""``breakeven alerts`` where there is nothing to tell of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.testing import CliRunner

from breakeven.cli import app

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_ledger_nobody_is_told_that_all_is_well(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["alerts", "list", "--ledger", str(tmp_path)])
    assert done.exit_code != 0
    assert "Nothing is raised" not in done.output
    assert "There is no ledger at" in done.output + str(done.exception)
