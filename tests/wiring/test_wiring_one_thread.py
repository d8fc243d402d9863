"""Commands that compute models keep linear algebra to one thread; what starts other programs tells them nothing."""

from __future__ import annotations

import os

import pytest
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.wiring.one_thread import VARIABLE, one_thread


@pytest.mark.parametrize(
    ("command", "told"), [("plan", "1"), ("outlook", "1"), ("route", "1"), ("up", None), ("engine", None)]
)
def test_commands_that_compute_keep_to_one_thread_and_no_other(
    command: str, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    CliRunner().invoke(app, [command, "--no-such-option"])
    assert os.environ.get(VARIABLE) == told  # noqa: TID251 - the variable is what is tested


def test_who_said_how_many_threads_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "4")
    one_thread()
    assert os.environ[VARIABLE] == "4"  # noqa: TID251 - the variable is what is tested
