"""``breakeven route`` and ``breakeven audit``: from files to tables, JSON, charts and messages."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from breakeven.cli import app, main
from breakeven.errors import InputError
from breakeven.routing.task_classifier import classified
from breakeven.sources.task_files import read_classifier, read_table, write_table

MMLU = Path(__file__).parent / "studies" / "fixtures" / "routing" / "routellm_mmlu_500.csv.gz"
PAIRS = ["--weak", "weak", "--strong", "strong", "--task", "task"]


def run(*words: str) -> Any:
    found = CliRunner().invoke(app, list(words))
    assert found.exit_code == 0, found.output
    return found


def refused(*words: str) -> str:
    found = CliRunner().invoke(app, list(words))
    assert isinstance(found.exception, InputError), found.output
    return str(found.exception)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of requests of three tasks, with prompts."""
    path = tmp_path_factory.mktemp("logs") / "log.csv"
    words = {"labels": ("label", 5), "poems": ("rhyme", 400), "sums": ("add", 30)}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "model", "purpose", "input_tokens", "output_tokens", "prompt"])
        for number in range(300):
            task = ("labels", "labels", "poems", "sums", "labels")[number % 5]
            word, made = words[task]
            text = f"please {word} the {('blue', 'green')[number % 2]} one number {number}"
            writer.writerow([f"2026-11-01T00:{number // 60:02d}:{number % 60:02d}Z", "gpt-4o", task, 1000, made, text])
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that allows labels and denies poems."""
    path = tmp_path_factory.mktemp("tables") / "table.yaml"
    entries = {
        "labels": {"allowed": True, "pairs": 200, "difference": 0.01, "lower_bound": -0.01},
        "poems": {"allowed": False, "pairs": 200, "difference": -0.2, "lower_bound": -0.25},
    }
    data = {"version": 1, "weak": "gpt-4o-mini", "strong": "gpt-4o", "margin": 0.02, "tasks": entries}
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_an_evaluation_is_told_in_a_table_as_json_and_as_a_chart(tmp_path: Path) -> None:
    text = run("route", "eval", str(MMLU), *PAIRS).stdout
    assert "task table" in text
    assert "sure" in text
    found = json.loads(run("route", "eval", str(MMLU), *PAIRS, "--json", "--charts", str(tmp_path)).stdout)
    assert [item["policy"] for item in found["policies"]] == ["random", "task table", "oracle"]
    assert {item["quality"] for item in found["policies"][1]["savings"]} == {0.95, 0.98, 0.99}
    assert found["rows_used"] == 500
    assert found["price_ratio"] == pytest.approx(0.04)
    assert (tmp_path / "quality-against-cost.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_policy_may_be_asked_alone(tmp_path: Path) -> None:
    found = json.loads(run("route", "eval", str(MMLU), *PAIRS, "--policy", "oracle", "--json").stdout)
    assert [item["policy"] for item in found["policies"]] == ["oracle"]
    assert "--policy 'best' is none of" in refused("route", "eval", str(MMLU), *PAIRS, "--policy", "best")
    assert "name their column" in refused("route", "eval", str(MMLU), *PAIRS, "--policy", "prompt")
    assert "--margin 2" in refused("route", "eval", str(MMLU), *PAIRS, "--margin", "2")
    assert "cannot be read" in refused("route", "eval", str(tmp_path / "none.csv"), *PAIRS)


def test_a_table_is_written_read_back_and_says_what_it_would_take(tmp_path: Path) -> None:
    out = tmp_path / "table.yaml"
    words = ["route", "table", str(MMLU), *PAIRS, "--margin", "0.05", "--out", str(out), "--weak-target", "llama"]
    assert "weak may have it" in run(*words).stdout
    found = json.loads(run(*words, "--json").stdout)
    back = read_table(out)
    assert (back.weak, back.strong, back.margin_fraction) == ("llama", "strong", 0.05)
    assert sorted(back.allowed) == found["allowed"]
    assert {row.task for row in back.rows} == {item["task"] for item in found["tasks"]}
    assert "no column 'topic'" in refused("route", "table", str(MMLU), *PAIRS[:4], "--task", "topic")
    assert "--least-pairs 1" in refused("route", "table", str(MMLU), *PAIRS, "--least-pairs", "1")


@pytest.mark.parametrize(
    ("content", "expected"),
    [("", "is empty"), ("weak: a\n", "problem"), ("version: 1\nweak: a\nstrong: b\nmargin: 2\ntasks: {}\n", "margin")],
)
def test_a_table_that_is_none_is_refused(content: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=expected):
        read_table(tmp_path / "t.yaml")


def test_a_table_that_cannot_be_written_says_so(table: Path, tmp_path: Path) -> None:
    from datetime import date  # noqa: PLC0415 - only this test needs a day

    with pytest.raises(InputError, match="cannot be written"):
        write_table(tmp_path / "no" / "t.yaml", read_table(table), source="x", on=date(2026, 11, 1))


def test_a_classifier_is_trained_written_and_tells_the_tasks_of_a_log(log: Path, table: Path, tmp_path: Path) -> None:
    model = tmp_path / "tasks.model"
    words = ["route", "train", str(log), "--task", "purpose", "--out", str(model)]
    assert "cross-validation" in run(*words).stdout
    found = json.loads(run(*words, "--json").stdout)
    assert found["accuracy"] == 1.0
    assert found["told"] == 1.0
    assert classified(read_classifier(model), "please rhyme the blue one")[0] == "poems"
    told = json.loads(
        run("audit", str(log), "--prompt", "prompt", "--classifier", str(model), "--table", str(table), "--json").stdout
    )
    assert told["grouped_by"] == "classifier"
    assert {item["task"]: item["requests"] for item in told["tasks"]} == {"labels": 180, "poems": 60, "sums": 60}
    assert told["movable"]["requests_share"] == pytest.approx(0.6)


def test_a_file_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"\x80")
    with pytest.raises(InputError, match="no classifier"):
        read_classifier(tmp_path / "m")
    assert "--error 0" in refused("route", "train", str(MMLU), "--error", "0")


def test_an_audit_says_what_is_movable_at_what_risk_and_what_it_saves(log: Path, table: Path) -> None:
    words = ["audit", str(log), "--column", "task=purpose", "--smaller", "gpt-4o-mini", "--as-of", "2026-11-01"]
    found = json.loads(run(*words, "--table", str(table), "--json").stdout)
    by_task = {item["task"]: item for item in found["tasks"]}
    labels = by_task["labels"]
    # 180 requests of 1000 + 5 tokens at 2.50 and 10 USD a million, against 0.15 and 0.60.
    assert labels["spend_usd"] == pytest.approx(180 * (1000 * 2.5 + 5 * 10) / 1e6)
    assert labels["smaller_usd"] == pytest.approx(180 * (1000 * 0.15 + 5 * 0.6) / 1e6, rel=0.25)
    assert found["movable"]["requests_share"] == pytest.approx(0.6)
    assert found["movable"]["saving_usd"] == pytest.approx(labels["spend_usd"] - labels["smaller_usd"])
    assert found["movable"]["quality_change"] == pytest.approx(0.006)
    assert found["movable"]["quality_change_low"] == pytest.approx(-0.006)
    assert by_task["sums"]["allowed"] is False
    assert by_task["sums"]["pairs"] is None
    assert (found["undecided_tasks"], found["pairs_needed"]) == (1, 100)
    text = run(*words, "--table", str(table)).stdout
    assert "60.0% of the requests" in text
    assert "80% of all calls" in text


def test_an_audit_without_a_table_names_the_pairs_that_are_needed(log: Path) -> None:
    text = " ".join(run("audit", str(log), "--column", "task=purpose").stdout.split())
    assert "No quality was measured" in text
    assert "about 300 in all" in text
    assert "60.0% of the answers have 20 tokens or fewer" in text


def test_an_audit_of_a_log_without_tasks_goes_by_shape_and_says_that_these_are_no_tasks(log: Path) -> None:
    found = json.loads(run("audit", str(log), "--json").stdout)
    assert found["grouped_by"] == "shape"
    assert {item["task"] for item in found["tasks"]} == {
        "short input, short answer", "short input, medium answer", "short input, long answer",
    }  # fmt: skip
    assert found["undecided_tasks"] == 0
    assert "which are no tasks" in " ".join(run("audit", str(log)).stdout.split())


def test_an_audit_that_cannot_be_made_says_why(log: Path, tmp_path: Path) -> None:
    bill = tmp_path / "bill.csv"
    bill.write_text("month,model,input_tokens,output_tokens\n2026-10,gpt-4o,1000000,1000\n", encoding="utf-8")
    assert "holds totals" in refused("audit", str(bill))
    assert "There is no log" in refused("audit")
    assert "both --classifier FILE and --prompt COLUMN" in refused("audit", str(log), "--prompt", "prompt")
    assert "holds no prompts" in refused("audit", "ledger:x", "--prompt", "p", "--classifier", "m")


def test_the_fingerprint_of_a_request_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"messages": [{"role": "system", "content": "Be brief."}]}', encoding="utf-8")
    (tmp_path / "b.json").write_text('{"messages": [{"role": "user", "content": "Hello"}]}', encoding="utf-8")
    lines = run("route", "fingerprint", str(tmp_path / "a.json"), str(tmp_path / "b.json")).stdout.split()
    assert len(lines[0]) == 16
    assert lines[2] == "none"
    assert "no request that can be read" in refused("route", "fingerprint", str(MMLU))
    assert "cannot be read" in refused("route", "fingerprint", str(tmp_path / "none"))


def test_a_message_for_people_ends_with_exit_code_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["breakeven", "route", "eval", str(MMLU), "--weak", "w", "--strong", "strong"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "Those there: 'task', 'prompt', 'weak', 'strong'" in capsys.readouterr().err
