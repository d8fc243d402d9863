"""The verdict in a notebook: the result itself, its frames, its charts, and how it shows itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from breakeven.errors import UnknownNameError
from breakeven.reports.as_json import to_json
from breakeven.reports.frames import TABLES
from breakeven.reports.view import VerdictView
from breakeven.studies.verdict.result import Verdict

NOTEBOOK = Path(__file__).parents[2] / "docs" / "examples" / "plan.ipynb"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def view(azure: Verdict) -> VerdictView:
    return VerdictView.of(azure)


def test_it_is_the_verdict(azure: Verdict, view: VerdictView) -> None:
    assert isinstance(view, Verdict)
    assert to_json(view) == to_json(azure)
    assert view.option(view.answer.recommended) == azure.option(azure.answer.recommended)
    assert isinstance(replace(view, scenario="other"), VerdictView)


def test_frames_hold_the_figures_of_the_result(azure: Verdict, view: VerdictView) -> None:
    options = view.to_frame().set_index("option")
    assert len(options) == len(azure.options)
    assert options["win_fraction"].sum() == pytest.approx(1)
    lines = view.to_frame("lines").groupby("option")["usd_per_month"].sum()
    for item in azure.options:
        assert options.loc[item.id, "usd_per_month"] == item.usd_per_month.likely
        assert options.loc[item.id, "low_usd_per_month"] == item.usd_per_month.low
        assert lines[item.id] == pytest.approx(item.usd_per_month.likely, rel=1e-9)


@pytest.mark.parametrize("table", [name for name in TABLES if name != "hours"])
def test_every_table_has_rows_and_a_name_for_every_column(view: VerdictView, table: str) -> None:
    frame = view.to_frame(table)
    assert len(frame) > 0
    assert frame.columns.is_unique


def test_a_chart_is_an_altair_object(view: VerdictView) -> None:
    assert view.chart_names()[0] == "cost-against-volume"
    assert "vconcat" in view.chart("projection").to_dict()


def test_unknown_names_say_what_there_is(view: VerdictView) -> None:
    with pytest.raises(UnknownNameError, match="projections"):
        view.to_frame("nonsense")
    with pytest.raises(UnknownNameError, match="tornado-best-pool"):
        view.chart("nonsense")


def test_it_shows_itself_safely(few: Verdict) -> None:
    answer = replace(few.answer, paragraph=HOSTILE)
    options = tuple(replace(item, title=HOSTILE) for item in few.options)
    html = VerdictView.of(replace(few, answer=answer, options=options))._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<svg" in html


def test_it_writes_every_other_form(view: VerdictView) -> None:
    assert view.to_html().startswith("<!doctype html>")
    assert view.to_markdown().startswith("## ")
    assert json.loads(view.to_json())["answer"]["recommended"] == view.answer.recommended


def test_the_example_notebook_runs() -> None:
    """Run its cells in order and show each one's last value, as a notebook would."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    shown = []
    for source in sources:
        *before, last = source.rstrip().splitlines()
        if last.startswith((" ", "import ", "from ")) or " = " in last.partition("(")[0]:
            exec(source, names)  # noqa: S102 - our own example
            continue
        exec("\n".join(before), names)  # noqa: S102
        shown.append(eval(last, names))  # noqa: S307
    kinds = {type(value).__name__ for value in shown}
    assert {"VerdictView", "DataFrame", "VConcatChart"} <= kinds
    for value in shown:
        if hasattr(value, "_repr_html_"):
            assert len(value._repr_html_()) > 100
