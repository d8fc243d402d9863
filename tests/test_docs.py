"""The docs tell the truth: formulas and figures are those of the code, links lead somewhere, commands run."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import sys
from datetime import date
from pathlib import Path

import pytest
import typer.main

from breakeven.cli import app
from breakeven.wiring.plan import PlanRequest, run_plan, sample_trace
from commands import run_here

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HOWTO = sorted((ROOT / "docs" / "howto").glob("*.md"))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
MODEL = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
ON = date(2026, 11, 21)

SCENARIO = """
today: gpt-4o
consider: [llama-3.3-70b, "acme:committed"]
pools:
  - {model: llama-3.3-70b, gpu: h100-sxm, gpus_per_node: 4, purchase: owned, node_usd: 150000}
  - {model: llama-3.3-70b, gpu: h100-sxm, gpus_per_node: 4, purchase: spot, usd_per_gpu_hour: 1.5}
  - {model: llama-3.3-70b, gpu: h200-sxm, gpus_per_node: 2, usd_per_gpu_hour: 3.5,
     throughput: {output_tokens_per_s: 1500}}
rate_cards: [cards.yaml]
"""
RATE_CARDS = """
rate_cards:
  - {provider: acme, model: reserved, open_model: llama-3.3-70b, source: contract, checked_on: 2026-11-01,
     provisioned: {usd_per_unit_hour: 20, unit_output_tokens_per_s: 400},
     prices: [{input_usd_per_mtok: 1, output_usd_per_mtok: 2}]}
  - {provider: acme, model: committed, open_model: llama-3.3-70b, source: contract, checked_on: 2026-11-01,
     committed_usd_per_month: 900000, prices: [{input_usd_per_mtok: 0.01, output_usd_per_mtok: 0.02}]}
"""


def test_the_model_chapter_holds_every_formula_that_a_bill_prints(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "cards.yaml").write_text(RATE_CARDS, encoding="utf-8")
    requests = (
        PlanRequest(files=(sample_trace(),), today="gpt-4o", as_of=ON),
        PlanRequest(files=(sample_trace(),), scenario=tmp_path / "scenario.yaml", as_of=ON),
    )
    options = [option for request in requests for option in run_plan(request).options]
    assert {option.kind for option in options} == {
        *("today", "today-optimised", "api", "open-model-api", "serverless", "self-hosted", "owned", "provisioned")
    }
    formulas = {row.formula for option in options for row in option.lines}
    assert "max(0, committed_usd_per_month - token bill)" in formulas
    assert sorted(formula for formula in formulas if f"`{formula}`" not in MODEL) == []


@pytest.mark.parametrize("layer", ["economics", "capacity", "evidence"])
def test_the_model_chapter_names_every_function_of_the_models(layer: str) -> None:
    folder = ROOT / "src" / "breakeven" / layer
    names = [
        node.name
        for path in sorted(folder.glob("*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    assert len(names) > 5
    assert [name for name in names if f"`{name}`" not in MODEL] == []


def test_the_model_chapter_shows_the_errors_that_the_bench_measures() -> None:
    spec = importlib.util.spec_from_file_location("bench_service", ROOT / "scripts" / "bench_service.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = bench  # dataclasses look their module up
    spec.loader.exec_module(bench)
    assert bench.table(bench.left_out()) in MODEL


def test_tests_that_the_model_chapter_names_are_there() -> None:
    named = set(re.findall(r"`(tests/[a-z_/]+(?:\.py)?)`", MODEL))
    assert len(named) > 5
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_a_decision_is_numbered_and_says_context_decision_and_consequences(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(page.name[:4])}. ")
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, flags=re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.split()) < 350


def test_links_lead_to_files() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists()
    ]
    assert dead == []


def _blocks(page: Path) -> list[tuple[bool, str]]:
    """Return the shell blocks of a page, each with whether it is marked to be run."""
    found = re.findall(
        r"(<!-- run -->\n+)?^```(?:sh|console)\n(.*?)^```$",
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )
    return [(bool(mark), block) for mark, block in found]


def _command_lines(block: str) -> list[list[str]]:
    lines = block.replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [line for line in words if line and line[0] == "breakeven"]


@pytest.mark.parametrize("page", HOWTO, ids=lambda page: page.name)
def test_commands_on_the_pages_are_commands(page: Path) -> None:
    root = typer.main.get_command(app)
    found = [words for _, block in _blocks(page) for words in _command_lines(block)]
    assert found
    for words in found:
        command, rest = root, words[1:]
        while children := getattr(command, "commands", None):
            assert rest[0] in children, words
            command, rest = children[rest[0]], rest[1:]
        context = command.make_context(words[1], rest, resilient_parsing=False)
        assert context.params.keys() == {option.name for option in command.params if option.name != "help"}


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=f"{page.name}: {' '.join(words)[:60]}")
        for page in HOWTO
        for marked, block in _blocks(page)
        for words in _command_lines(block)
        if marked
    ],
)
def test_marked_commands_run(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / "src").symlink_to(ROOT / "src")
    assert words[0] == "breakeven"
    done = run_here(*words[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
