"""``breakeven capacity estimate --rows``: every row of a table gets a prediction, or why it has none."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from breakeven.cli.capacity import app
from breakeven.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = (
    "source", "model", "params", "gpu", "n_gpus", "precision", "engine+version", "isl", "osl",
    "concurrency_or_batch", "output_tok_s_total", "output_tok_s_per_gpu", "ttft_ms", "tpot_ms", "notes", "mine",
)  # fmt: skip
GOOD = {
    "source": "someone", "model": "meta-llama/Llama-3.1-70B-Instruct-FP8", "params": "70B", "gpu": "H100 80GB SXM",
    "n_gpus": "4", "precision": "fp8", "engine+version": "vllm 0.19.0", "isl": "1500", "osl": "700",
    "concurrency_or_batch": "24", "output_tok_s_total": "1500", "ttft_ms": "150", "tpot_ms": "15", "mine": 'x, "y"',
}  # fmt: skip


def _write(path: Path, *rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _run(table: Path, out: Path, *more: str) -> list[dict[str, str]]:
    asked = ["estimate", "--rows", str(table), "--out", str(out), *more]
    done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _refused(table: Path, out: Path) -> str:
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(app, ["estimate", "--rows", str(table), "--out", str(out)], catch_exceptions=False)
    return str(caught.value)


def test_a_row_gets_predictions_with_intervals_and_keeps_its_cells(tmp_path: Path) -> None:
    table = _write(tmp_path / "in.csv", GOOD, GOOD | {"concurrency_or_batch": "max load"})
    steady, offline = _run(table, tmp_path / "out.csv")
    assert {name: steady[name] for name in COLUMNS} == {name: GOOD.get(name, "") for name in COLUMNS}
    for name in ("predicted_output_tok_s_total", "predicted_ttft_ms", "predicted_tpot_ms"):
        assert 0 < float(steady[f"{name}_low"]) < float(steady[name]) < float(steady[f"{name}_high"])
    assert float(steady["predicted_tpot_ms"]) == pytest.approx(17, rel=0.4)
    assert steady["prediction_problem"] == ""
    assert float(offline["predicted_output_tok_s_total"]) > float(steady["predicted_output_tok_s_total"])
    assert offline["predicted_ttft_ms"] == ""


def test_what_was_measured_is_never_looked_at(tmp_path: Path) -> None:
    wild = {"output_tok_s_total": "1", "output_tok_s_per_gpu": "9e9", "ttft_ms": "nonsense", "tpot_ms": "-1"}
    one, other = _run(_write(tmp_path / "in.csv", GOOD, GOOD | wild), tmp_path / "out.csv")
    for name, value in one.items():
        if name.startswith("predict"):
            assert other[name] == value


def test_no_row_is_lost_and_each_says_why_it_cannot_be_estimated(tmp_path: Path) -> None:
    broken = {
        "no GPU 'H99'": {"gpu": "H99"},
        "no model 'mystery'": {"model": "mystery", "params": ""},
        "are not both a number of tokens": {"isl": ""},
        "neither a number from 1 nor max load": {"concurrency_or_batch": "many"},
        "more than one node": {"n_gpus": "72"},
        "is not a number of GPUs": {"n_gpus": "four"},
        "for weights alone": {"model": "LLaMA v3.1 405B", "n_gpus": "1"},
    }
    rows = [GOOD | change | {"mine": str(i)} for i, change in enumerate(broken.values())]
    found = _run(_write(tmp_path / "in.csv", *rows, GOOD), tmp_path / "out.csv")
    assert [row["mine"] for row in found] == [*map(str, range(len(broken))), GOOD["mine"]]
    for row, why in zip(found, broken, strict=False):
        assert why in row["prediction_problem"]
        assert row["predicted_output_tok_s_total"] == ""
    assert found[-1]["predicted_output_tok_s_total"]


def test_the_basis_says_where_a_prediction_comes_from(tmp_path: Path) -> None:
    measured = GOOD | {"isl": "1024", "osl": "1024", "concurrency_or_batch": "16", "gpu": "h200_sxm"}
    measured |= {"engine+version": "vllm unstated"}
    unknown = GOOD | {"model": "acme/Colossus", "params": "100B-A8B", "n_gpus": "8"}
    silent = GOOD | {"precision": "", "model": "Qwen/Qwen3-32B"}
    newer = measured | {"engine+version": "vllm 0.19.0"}
    rows = (measured, GOOD, unknown, silent, newer)
    table = _write(tmp_path / "in.csv", *rows)
    found = _run(table, tmp_path / "out.csv")
    for row, start in zip(found[:3], ("measured: ", "nearby: corrected by ", "typical: "), strict=True):
        assert row["prediction_basis"].startswith(start)
    assert found[4]["prediction_basis"].startswith("nearby: "), "another version is not just so"
    assert "shape of " in found[2]["prediction_basis"]
    assert "precision not stated, taken as bf16" in found[3]["prediction_basis"]
    without = _run(table, tmp_path / "other.csv", "--without-catalogue")
    assert all(row["prediction_basis"].startswith(("estimated: ", "typical: ")) for row in without)
    assert without[0]["predicted_tpot_ms"] != found[0]["predicted_tpot_ms"]


def test_multiplied_parallelism_is_read_as_a_node(tmp_path: Path) -> None:
    notes = "ttft/tpot measured; tp=64 pp=1 adp=1 moe_ep=8; source_file=x.csv"
    row = GOOD | {"model": "deepseek-ai/DeepSeek-R1", "gpu": "h200_sxm", "n_gpus": "64", "notes": notes}
    plain = row | {"n_gpus": "8", "notes": notes.replace("64", "8")}
    first, second = _run(_write(tmp_path / "in.csv", row, plain), tmp_path / "out.csv")
    assert first["predicted_tpot_ms"] == second["predicted_tpot_ms"]
    assert "64 GPUs read as 8" in first["prediction_basis"]


def test_json_sums_up_with_errors_where_measured(tmp_path: Path) -> None:
    table = _write(tmp_path / "in.csv", GOOD, GOOD | {"gpu": "H99"})
    asked = ["estimate", "--rows", str(table), "--out", str(tmp_path / "out.csv"), "--json"]
    data = json.loads(CliRunner().invoke(app, asked, catch_exceptions=False).output)
    assert (data["rows_count"], data["estimated_count"]) == (2, 1)
    assert sum(data["not_estimated"].values()) == 1
    assert set(data["errors"]) == {"throughput", "ttft", "tpot"}
    told = CliRunner().invoke(app, asked[:-1], catch_exceptions=False).output
    assert "1 of 2 rows estimated" in told
    assert "median error" in told


def test_files_that_are_no_tables_are_told_in_words(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert "No such file" in _refused(tmp_path / "none.csv", out)
    short = _write(tmp_path / "short.csv", GOOD, columns=COLUMNS[:4])
    assert "lacks the column(s) n_gpus, precision" in _refused(short, out)
    for name, content, why in (
        ("empty.csv", b"", "is empty"),
        ("latin.csv", ",".join(COLUMNS).encode() + b"\n\xe9,\xff\n", "no UTF-8"),
        ("huge.csv", ",".join(COLUMNS).encode() + b"\n" + b"x" * 200_000 + b"\n", "not a table in CSV"),
        ("quote.csv", ",".join(COLUMNS).encode() + b'\n"open,1\n', "not a table in CSV"),
        ("wide.csv", ",".join(COLUMNS).encode() + b"\n" + b"," * 40 + b"\n", "row 1: 41 cells"),
        ("twice.csv", (",".join(COLUMNS) + ",gpu\n").encode(), "gpu twice"),
        ("done.csv", (",".join(COLUMNS) + ",predicted_ttft_ms\n").encode(), "already"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert why in _refused(path, out), name
    assert not out.exists()


def test_the_table_itself_is_never_overwritten(tmp_path: Path) -> None:
    table = _write(tmp_path / "in.csv", GOOD)
    before = table.read_bytes()
    assert "is the table itself" in _refused(table, table)
    assert "it is a folder" in _refused(table, tmp_path)
    assert "there is no folder" in _refused(table, tmp_path / "no" / "out.csv")
    assert table.read_bytes() == before


def test_a_table_without_rows_stays_one(tmp_path: Path) -> None:
    assert _run(_write(tmp_path / "in.csv"), tmp_path / "out.csv") == []


def test_the_two_ways_to_ask_do_not_mix(tmp_path: Path) -> None:
    for asked in (
        ["estimate"],
        ["estimate", "llama-3.1-70b"],
        ["estimate", "--rows", "x.csv"],
        ["estimate", "--out", "x.csv"],
        ["estimate", "llama-3.1-70b", "--gpu", "h100", "--without-catalogue"],
        ["estimate", "llama-3.1-70b", "--rows", str(tmp_path), "--out", "x.csv"],
    ):
        with pytest.raises(InputError):
            CliRunner().invoke(app, asked, catch_exceptions=False)
