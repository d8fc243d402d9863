"""A hybrid in every report: nodes held, the share of work that overflows, and where to."""

from __future__ import annotations

import json
from datetime import date
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

import breakeven
from breakeven.reports.as_json import to_json
from breakeven.reports.charts.gallery import gallery, hybrid_week_chart
from breakeven.reports.frames import frame
from breakeven.reports.html import verdict_page
from breakeven.reports.markdown import verdict_markdown
from breakeven.reports.parts import best_pool, nodes_text, overflow_text
from breakeven.reports.terminal import verdict_view
from breakeven.reports.weigh import weighing
from breakeven.reports.words import percent
from breakeven.traffic.sample import two_weeks_paths
from breakeven.wiring.plan import sample_trace

if TYPE_CHECKING:
    from breakeven.studies.verdict.result import OptionResult, Verdict

ON = date(2026, 11, 21)
SCENARIO = "today: gpt-4o\nconsider: [qwen3-235b-a22b]\ntraffic: {total_tokens_per_month: 1000000000000}\n"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """The bundled hour at a trillion tokens a month: a hybrid is recommended."""
    path = tmp_path_factory.mktemp("mixed") / "scenario.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return breakeven.plan(sample_trace(), scenario=path, as_of=ON)


@pytest.fixture(scope="module")
def best(mixed: Verdict) -> OptionResult:
    found = mixed.option(mixed.answer.recommended)
    assert found.kind == "hybrid"
    return found


def _flat(text: str) -> str:
    return " ".join(text.split())


def _printed(result: Verdict) -> str:
    console = Console(width=100, file=StringIO(), record=True)
    console.print(verdict_view(result))
    return console.export_text(styles=False)


def test_the_terminal_says_what_is_held_and_what_overflows(mixed: Verdict, best: OptionResult) -> None:
    text = _printed(mixed)
    assert max(map(len, text.splitlines())) <= 100
    assert overflow_text(best) in _flat(text)
    assert nodes_text(best) in text
    assert "+API, " in nodes_text(best)


def test_markdown_and_the_page_say_it_too(mixed: Verdict, best: OptionResult) -> None:
    assert best.overflow is not None
    share = percent(best.overflow.overflow_fraction.likely)
    assert f"{share} (" in verdict_markdown(mixed)
    page = verdict_page(mixed)
    assert f"of the work overflows to {best.overflow.target}" in page
    assert "+ API</b>" in page


def test_the_answer_says_what_to_hold_and_where_the_rest_goes(mixed: Verdict, best: OptionResult) -> None:
    assert best.overflow is not None
    assert best.nodes is not None
    assert f"It holds {best.nodes.serving_nodes} nodes" in mixed.answer.paragraph
    assert f"from {best.overflow.target}" in mixed.answer.paragraph
    assert best.overflow.target in mixed.answer.next_step


def test_json_and_frames_hold_it(mixed: Verdict, best: OptionResult) -> None:
    assert best.overflow is not None
    row = next(item for item in json.loads(to_json(mixed))["options"] if item["id"] == best.id)
    assert row["overflow"]["target"] == best.overflow.target
    assert row["overflow"]["held_nodes"]["likely"] == best.overflow.held_nodes.likely
    options = frame(mixed, "options").set_index("option")
    assert options.loc[best.id, "overflow_target"] == best.overflow.target
    assert options.loc[best.id, "overflow_fraction"] == best.overflow.overflow_fraction.likely
    assert options["overflow_target"].notna().sum() == sum(item.kind == "hybrid" for item in mixed.options)


def test_the_best_pool_stays_a_pool_and_its_charts_are_drawn(mixed: Verdict, best: OptionResult) -> None:
    pool = best_pool(mixed)
    assert pool is not None
    assert pool.kind in ("self-hosted", "owned")
    assert mixed.outlook.leading_pool == pool.id
    names = {item.name for item in gallery(mixed)}
    assert names >= {"cost-against-volume", "tornado-recommended", "tornado-best-pool", "projection"}
    assert best.break_even[0].pool is None


def test_the_sliders_leave_hybrids_out_and_the_page_says_so(mixed: Verdict, best: OptionResult) -> None:
    found = weighing(mixed)
    assert best.title in found.left_out
    assert "or are held (hybrid)" in verdict_page(mixed)


def test_rules_of_thumb_see_a_mix(mixed: Verdict) -> None:
    assert mixed.rules is not None
    assert any(group.beside.stand != "open" for group in mixed.rules.groups)


def test_the_week_of_a_hybrid_is_drawn_where_one_was_observed(mixed: Verdict) -> None:
    assert hybrid_week_chart(mixed) is None
    longer = breakeven.plan(*two_weeks_paths(), today="gpt-4o", as_of=ON)
    chart = hybrid_week_chart(longer)
    assert chart is not None
    assert chart.name in {item.name for item in gallery(longer)}
    assert 'id="hybrid-week"' in verdict_page(longer)
    shown = longer.option(longer.answer.recommended)
    assert shown.kind == "hybrid"
    assert shown.overflow is not None
    week = shown.overflow.week
    over, carried = (sum(getattr(hour, name) or 0 for hour in week) for name in ("overflow_nodes", "carried_nodes"))
    assert f"{over / (over + carried):.1%} overflowed" in chart.label
