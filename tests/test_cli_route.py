"""``breakeven route`` and ``breakeven audit``: from files to tables, JSON, charts and messages."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from breakeven.cli import app, main
from breakeven.errors import InputError
from breakeven.routing.task_classifier import classified
from breakeven.sources.task_files import read_classifier, read_table, write_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def test_tasks_are_judged_at_a_margin_that_was_asked_and_is_told() -> None:
    for margins, expected in ([], 0.02), ([0.3], 0.3), ([0.3, 0.5], 0.3), ([0.3, 0.02], 0.02):
        words = ["route", "eval", str(MMLU), *PAIRS, *(word for m in margins for word in ("--margin", str(m)))]
        assert f"weak may have it, margin {expected:g}" in run(*words).stdout
        found = json.loads(run(*words, "--json").stdout)
        assert found["tasks_margin"] == expected
        assert [row["allowed"] for row in found["tasks"]] == [
            row["pairs"] >= 100 and row["lower_bound"] >= -expected for row in found["tasks"]
        ]


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


def labels(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_table_says_which_rows_it_was_not_made_from_and_by_what_scores_were_divided(tmp_path: Path) -> None:
    rows = [{"task": "a", "weak": 8 if number % 4 else "", "strong": 9} for number in range(200)]
    words = ["route", "table", str(labels(tmp_path / "f.csv", rows)), *PAIRS]
    text = run(*words).stdout
    assert "Note: 50 of 200 rows lack a score or a cost" in text
    assert "Note: Scores run up to 9, and are taken as shares of 10." in text
    found = json.loads(run(*words, "--json").stdout)
    assert (found["rows_read"], found["rows_used"], len(found["notes"])) == (200, 150, 2)


def test_a_table_does_not_allow_more_for_a_score_a_hair_above_one(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"task": "a", "weak": int(number % 20 > 0), "strong": 1} for number in range(4000)]
    rows[7]["strong"] = "1.0000000000000002"
    words = ["route", "table", str(labels(tmp_path / "f.csv", rows)), *PAIRS, "--margin", "0.02", "--json"]
    found = json.loads(run(*words).stdout)
    assert (found["allowed"], found["tasks"][0]["difference"]) == ([], pytest.approx(-0.05))


def test_a_table_by_fewer_pairs_says_no_where_they_are_enough(tmp_path: Path) -> None:
    file = labels(tmp_path / "f.csv", [{"task": "a", "weak": 0, "strong": 1}] * 50)
    words = ["route", "table", str(file), *PAIRS, "--least-pairs"]
    assert "no: it scored worse by more than the margin" in run(*words, "20").stdout
    assert "not yet: 50 of 60 pairs" in run(*words, "60").stdout


def test_what_could_not_be_read_back_or_would_be_lost_is_not_written(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"task": "a", "weak": 0, "strong": 1, "prompt": "add"}] * 3
    file = labels(tmp_path / "f.csv", rows)
    before = file.read_bytes()
    (tmp_path / "g.csv").symlink_to(file)
    words = ["route", "table", str(file), *PAIRS, "--out"]
    assert "is the file with the labels" in refused(*words, str(tmp_path / "g.csv"))
    assert "is the file with the labels" in refused("route", "train", str(file), "--out", str(file))
    for option in ("--weak-target", "--strong-target"):
        said = refused(*words, str(tmp_path / "t.yaml"), option, "x" * 257)
        assert f"257 characters, and a target in a task table at most 256: name it with {option}" in said
    assert file.read_bytes() == before
    assert not (tmp_path / "t.yaml").exists()


def test_names_are_printed_as_they_are_though_they_look_like_markup(tmp_path: Path) -> None:
    columns = {"[/x]": 1, "[red]": 1}
    rows = [{"task": name, **columns} for name in ("[/b]", "a[red]", ":bug:")] * 40
    file = str(labels(tmp_path / "[red].csv", rows))
    asked = ["--weak", "[/x]", "--strong", "[red]", "--task", "task"]
    for text in (run("route", "eval", file, *asked).stdout, run("route", "table", file, *asked).stdout):
        assert all(name in text for name in ("[/b]", "a[red]", ":bug:", "[/x]", "[red]"))
    prompts = [{"task": f"[/{name}]", "prompt": f"please {name} this"} for name in ("add", "rhyme") for _ in range(40)]
    assert "[/rhyme]" in run("route", "train", str(labels(tmp_path / "p.csv", prompts))).stdout
    calls = [
        {"timestamp": f"2026-11-01T00:00:{number:02d}Z", "model": "gpt-4o", "purpose": f"{name}{number % 2}",
         "input_tokens": 9, "output_tokens": 9}
        for number, name in enumerate(["[/b]", ":bug:"] * 20)
    ]  # fmt: skip
    log = str(labels(tmp_path / "log.csv", calls))
    text = run("audit", log, "--column", "task=purpose").stdout
    assert all(name in text for name in ("[/b]0", ":bug:1"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["eval", "--seed", "-1"], "--seed -1"),
        (["train", "--seed", "-1"], "--seed -1"),
        (["eval", "--price-ratio", "1e308"], "--price-ratio 1e+308"),
        (["eval", "--weak-cost", "dear", "--strong-cost", "strong"], "dear is 1e+308, and a cost is 0 or from"),
        (["eval", "--weak-cost", "cheap", "--strong-cost", "strong"], "cheap is 1e-300, and a cost is 0 or from"),
    ],
)
def test_numbers_beyond_what_can_be_reckoned_with_are_told(words: list[str], expected: str, tmp_path: Path) -> None:
    rows = [{"task": "a", "prompt": "b", "weak": 0, "strong": 1, "dear": 1e308, "cheap": 1e-300}] * 3
    file = str(labels(tmp_path / "f.csv", rows))
    command, *options = words
    asked = PAIRS[:4] if command == "eval" else []
    said = refused("route", command, file, *asked, *options)
    assert expected in said
    assert "no scores" not in said


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
    (tmp_path / "c.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.json").read_bytes())
    files = [str(tmp_path / name) for name in ("a.json", "b.json", "c.json")]
    lines = run("route", "fingerprint", *files).stdout.split()
    assert len(lines[0]) == 16
    assert lines[2] == "none"
    assert lines[4] == lines[0]
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
