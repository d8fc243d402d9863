"""``breakeven plan`` writes its reports: a page, a text for a pull request, charts as images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = "today: gpt-4o\ntraffic: {input_tokens_per_month: 9000000000, output_tokens_per_month: 2000000000}\n"


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


def _run(scenario: Path, *options: object) -> tuple[int, str, str]:
    arguments = ["plan", "--scenario", str(scenario), "--as-of", "2026-11-21", *map(str, options)]
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.stdout, done.stderr


def test_markdown_goes_to_a_file_beside_the_terminal_or_to_the_output_instead(scenario: Path, tmp_path: Path) -> None:
    path = tmp_path / "verdict.md"
    code, terminal, said = _run(scenario, "--markdown", path)
    assert code == 0
    assert "Options, priced on" in terminal
    assert str(path) in said.replace("\n", "")
    code, printed, _ = _run(scenario, "--markdown", "-")
    assert code == 0
    assert printed == path.read_text(encoding="utf-8")


def test_charts_are_written_as_svg_and_png(scenario: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "charts"
    code, _, _ = _run(scenario, "--charts", folder)
    assert code == 0
    names = {item.stem for item in folder.iterdir()}
    assert {"cost-against-volume", "projection", "next-bill", "tornado-recommended"} <= names
    assert {item.name for item in folder.iterdir()} == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
    assert (folder / "projection.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", ["--html", "--markdown", "--charts"])
def test_a_place_that_cannot_be_written_is_said_with_what_to_do(scenario: Path, option: str) -> None:
    arguments = ["plan", "--scenario", str(scenario), "--as-of", "2026-11-21", option, str(scenario / "below-a-file")]
    with pytest.raises(InputError, match=f"Choose another.*{option}"):
        app(arguments, standalone_mode=False)
