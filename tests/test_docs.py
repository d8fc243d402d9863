"""The docs tell the truth: generated pages are current, formulas are all there, links lead somewhere, commands run."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

import breakeven
from breakeven.wiring import sample_trace

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HOWTO = sorted((ROOT / "docs" / "howto").glob("*.md"))
MODEL = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")


def test_generated_files_are_current() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "scripts" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.stale() == []


def test_the_model_chapter_holds_every_formula_that_a_bill_prints() -> None:
    on = date(2026, 11, 21)
    plans = [
        breakeven.plan(sample_trace(), today="gpt-4o", as_of=on),
        breakeven.plan(scenario=ROOT / "docs" / "examples" / "scenario.yaml", as_of=on),
    ]
    formulas = {row.formula for plan in plans for option in plan.options for row in option.lines}
    assert len(formulas) > 20
    assert sorted(formula for formula in formulas if formula not in MODEL) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_every_command_is_in_the_reference() -> None:
    shown = subprocess.run([sys.executable, "-m", "breakeven", "--help"], capture_output=True, text=True, check=True)
    names = re.findall(r"^  ([a-z]+)  ", shown.stdout.split("Commands:")[1], flags=re.MULTILINE)
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert len(names) >= 5
    assert all(f"## `breakeven {name}`" in reference for name in names)


@pytest.mark.parametrize("page", HOWTO, ids=lambda page: page.name)
def test_marked_commands_run(page: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"<!-- run -->\n```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for command in (line for block in blocks for line in block.strip().splitlines()):
        words = [word.replace("docs/", f"{ROOT}/docs/") for word in shlex.split(command)]
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
