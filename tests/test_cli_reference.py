"""The reference pages are what the code makes of them now, and name every command, option, key and assumption."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main

from breakeven.cli import app
from breakeven.sources.catalogue import load_book
from breakeven.sources.rate_cards import Card, Entry, ProvisionedUnits, TierRow
from breakeven.sources.scenario import AssumptionRange, Constraints, Pool, Quality, Scenario, Throughput, Traffic

if TYPE_CHECKING:
    from types import ModuleType

    from pydantic import BaseModel

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = _script("generate")


@pytest.mark.parametrize("name", list(GENERATE.GENERATED))
def test_a_generated_file_is_what_the_code_makes_of_it_now(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == GENERATE.GENERATED[name]()


def test_a_check_names_what_is_stale_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(GENERATE, "ROOT", tmp_path)
    monkeypatch.setattr(GENERATE, "GENERATED", {"docs/new.md": lambda: "new\n", "docs/old.md": lambda: "old\n"})
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "old.md").write_text("old\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert GENERATE.main() == 1
    assert capsys.readouterr().err == "docs/new.md is stale: run make generate\n"
    assert not (tmp_path / "docs" / "new.md").exists()
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert GENERATE.main() == 0
    assert (tmp_path / "docs" / "new.md").read_text(encoding="utf-8") == "new\n"
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert GENERATE.main() == 0


def _commands(command: Any, name: str = "breakeven") -> dict[str, Any]:
    found = {name: command}
    for child, inner in getattr(command, "commands", {}).items():
        found |= _commands(inner, f"{name} {child}")
    return found


COMMANDS = _commands(typer.main.get_command(app))


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_stands_in_the_reference_with_every_option_and_its_help(name: str) -> None:
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    assert text.count(f"## `{name}`\n") == 1
    section = text.split(f"## `{name}`\n")[1].split("\n## ")[0]
    words = " ".join(section.split())
    for option in COMMANDS[name].params:
        assert all(flag in section for flag in option.opts), option.opts
        assert " ".join(option.help.split()) in words, option.opts
    for child in getattr(COMMANDS[name], "commands", {}):
        assert f"\n  {child} " in section


def test_the_reference_is_plain_text_of_at_most_100_columns() -> None:
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_every_assumption_stands_in_the_reference_with_its_figures() -> None:
    rows = (REFERENCE / "assumptions.md").read_text(encoding="utf-8").splitlines()
    for key, item in load_book().assumptions.items():
        row = next(line for line in rows if line.startswith(f"| `{key}` |"))
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert [float(cell) for cell in cells[3:6]] == pytest.approx([item.low, item.likely, item.high])
        assert str(item.as_of) in row
        assert item.source in row


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        (Scenario, ""),
        (Traffic, "traffic."),
        (Pool, "pools[]."),
        (Throughput, "pools[].throughput."),
        (Constraints, "constraints."),
        (Quality, "quality[]."),
        (AssumptionRange, "assumptions.KEY."),
        (Card, "rate_cards[]."),
        (Entry, "rate_cards[].prices[]."),
        (TierRow, "rate_cards[].prices[].tiers[]."),
        (ProvisionedUnits, "rate_cards[].provisioned."),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_every_key_that_a_file_may_hold_stands_in_the_reference(kind: type[BaseModel], prefix: str) -> None:
    text = (REFERENCE / "scenario.md").read_text(encoding="utf-8")
    for name in kind.model_fields:
        assert f"\n| `{prefix}{name}` |" in text
