"""The command as a person meets it: answers, messages and exit codes, some in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from breakeven.wiring.plan import sample_trace
from commands import run_apart, run_here

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = str(sample_trace())
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def test_plan_prints_the_answer_of_the_bundled_trace() -> None:
    done = run_apart("plan", SAMPLE, "--today", "gpt-4o", "--as-of", "2026-11-21")
    assert done.returncode == 0, done.stderr
    for part in ("19,366 requests", "5.47 : 1", "Cost stack of", "What would change it", "Next:"):
        assert part in done.stdout


def test_plan_writes_json_to_standard_output_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "verdict.html"
    done = run_apart("plan", SAMPLE, "--today", "gpt-4o", "--json", "--html", str(page))
    data = json.loads(done.stdout)
    assert data["profile"]["moments"]["requests"] == 19_366
    assert data["answer"]["recommended"] in {option["id"] for option in data["options"]}
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_explain_shows_formula_inputs_and_sources() -> None:
    done = run_here("plan", SAMPLE, "--today", "gpt-4o", "--explain", "engineering labour")
    assert done.returncode == 0
    for part in ("api_engineering_fte x engineer_usd_per_year / 12", "seed 002", "published"):
        assert part in done.stdout


@pytest.mark.parametrize("section", ["models", "gpus", "rentals", "assumptions"])
def test_the_catalogue_shows_date_age_and_source_of_every_row(section: str) -> None:
    done = run_here("catalog", section)
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("as of", "age", "source"))


def test_the_catalogue_can_be_searched_and_read_as_json() -> None:
    rows = json.loads(run_here("catalog", "gpus", "--search", "h100", "--json").stdout)
    assert {row["id"] for row in rows} == {"h100-sxm", "h100-pcie"}
    assert "2.5" in run_here("catalog", "prices", "--search", "openai:gpt-4o").stdout


BAD: dict[str, tuple[str, list[str], str]] = {
    "empty file": ("", ["--today", "gpt-4o"], "is empty"),
    "header only": (HEADER, ["--today", "gpt-4o"], "no rows"),
    "wrong columns": ("when,prompt,answer\n1,2,3\n", ["--today", "gpt-4o"], "--column input_tokens=COLUMN"),
    "negative tokens": (f"{HEADER}2026-01-01 00:00:00,5,-7\n2026-01-01 00:00:09,5,7\n", ["--today", "gpt-4o"], "-7"),
    "unsorted times": (
        f"{HEADER}2026-01-01 00:00:05,5,7\n2026-01-01 00:00:01,5,7\n",
        ["--today", "gpt-4o"],
        "out of order",
    ),
    "one time only": (f"{HEADER}2026-01-01 00:00:05,5,7\n2026-01-01 00:00:05,6,8\n", ["--today", "gpt-4o"], "00:00:05"),
    "duplicate rows": (
        f"{HEADER}2026-01-01 00:00:05,5,7\n2026-01-01 00:00:05,5,7\n2026-01-01 00:00:06,5,7\n",
        ["--today", "gpt-4o"],
        "repeated rows",
    ),
    "mixed zones": (
        "time,input_tokens,output_tokens\n2026-01-01T00:00:05Z,5,7\n2026-01-01T00:00:09,5,7\n",
        ["--today", "gpt-4o"],
        "--zone UTC",
    ),
    "zero volume": (f"{HEADER}2026-01-01 00:00:05,0,0\n2026-01-01 00:00:09,0,0\n", ["--today", "gpt-4o"], "no tokens"),
    "unknown model": (f"{HEADER}2026-01-01 00:00:05,5,7\n2026-01-01 00:00:09,5,7\n", ["--today", "gpt-4oo"], "gpt-4o"),
    "nothing to compare with": (f"{HEADER}2026-01-01 00:00:05,5,7\n2026-01-01 00:00:09,5,7\n", [], "--today"),
    "a day that is none": (
        f"{HEADER}2026-01-01 00:00:05,5,7\n2026-01-01 00:00:09,5,7\n",
        ["--today", "gpt-4o", "--as-of", "yesterday"],
        "YYYY-MM-DD",
    ),
    "a line that no bill has": (
        f"{HEADER}2026-01-01 00:00:05,5,7\n2026-01-01 00:00:09,5,7\n",
        ["--today", "gpt-4o", "--explain", "magic"],
        "engineering labour",
    ),
}


def test_bad_input_ends_a_process_as_it_ends_the_command(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(HEADER, encoding="utf-8")
    words = ("plan", "trace.csv", "--today", "gpt-4o")
    here, apart = run_here(*words, cwd=tmp_path), run_apart(*words, cwd=tmp_path)
    assert (apart.returncode, apart.stdout, apart.stderr) == (here.returncode, here.stdout, here.stderr)
    assert apart.returncode == 2


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_message_with_values_and_exit_code_2(name: str, tmp_path: Path) -> None:
    text, arguments, expected = BAD[name]
    (tmp_path / "trace.csv").write_text(text, encoding="utf-8")
    done = run_here("plan", "trace.csv", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_a_few_bad_rows_are_listed_and_the_rest_is_used(tmp_path: Path) -> None:
    rows = [f"2026-01-01 00:{i // 60:02}:{i % 60:02},100,{20 + i}" for i in range(300)]
    rows[40] = "2026-01-01 00:00:40,100,-3"
    rows[80] = "2026-01-01 00:01:20,100,many"
    (tmp_path / "trace.csv").write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    done = run_here("plan", "trace.csv", "--today", "gpt-4o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "trace.csv:42" in done.stdout
    assert "trace.csv:82" in done.stdout
    assert "2 of 300 rows could not be read" in done.stdout


def test_a_scenario_with_typos_lists_them_all_with_line_and_key(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("toady: gpt-4o\nasumptions: {}\n", encoding="utf-8")
    done = run_here("plan", SAMPLE, "--scenario", "s.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "s.yaml:1 toady" in done.stderr
    assert "Did you mean 'assumptions'?" in done.stderr


def test_a_bill_of_monthly_totals_is_enough_for_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "bill.csv").write_text(
        "month,input_tokens,output_tokens\n2026-09,900000000,300000000\n2026-10,1100000000,300000000\n",
        encoding="utf-8",
    )
    done = run_here("plan", "bill.csv", "--today", "gpt-4o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a bill of 2 months" in done.stdout
    assert "A bill has no times" in done.stdout


def test_claims_are_shown_with_published_and_recomputed_figures() -> None:
    done = run_here("claims", "--markdown")
    assert done.returncode == 0
    assert "capacity-60" in done.stdout


@pytest.mark.parametrize("kind", ["scenario", "rate-cards"])
def test_the_schemas_are_json(kind: str) -> None:
    assert "properties" in json.loads(run_here("schema", kind).stdout)


def test_a_tolerance_is_a_share(tmp_path: Path) -> None:
    done = run_here("plan", SAMPLE, "--today", "gpt-4o", "--tolerate", "20", cwd=tmp_path)
    assert done.returncode == 2
    assert "between 0 and 1" in done.stderr


@pytest.mark.parametrize("value", ["spot_interruption_fraction: 1", "pue_ratio: 0.5"])
def test_assumptions_that_cannot_be_are_refused(value: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(f"today: gpt-4o\nassumptions: {{{value}}}\n", encoding="utf-8")
    done = run_here("plan", SAMPLE, "--scenario", "s.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert value.split(":", maxsplit=1)[0] in done.stderr


def test_a_bill_of_bad_rows_only_gets_the_message_of_its_rows(tmp_path: Path) -> None:
    (tmp_path / "bill.csv").write_text(
        "month,input_tokens,output_tokens,cached_input_tokens\n2026-01,1000,200,5000\n", encoding="utf-8"
    )
    done = run_here("plan", "bill.csv", "--today", "gpt-4o", cwd=tmp_path)
    assert done.returncode == 2
    assert "5000" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["advise", "outlook"])
def test_without_the_packages_for_planning_it_says_what_to_install(command: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules['numpy'] = None; sys.argv[1:] = [{command!r}]\nfrom breakeven.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("breakeven: This command needs numpy")
    assert "pip install 'breakeven[plan]'" in done.stderr
