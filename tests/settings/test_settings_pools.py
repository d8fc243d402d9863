"""``pools:`` of ``breakeven.yaml`` as people get it wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from settings.files import MINIMAL, refused

if TYPE_CHECKING:
    from pathlib import Path

NODE = 'name: a, url: "http://a/v1", usd_per_hour: "5"'


def pool(node: str) -> str:
    return f"{MINIMAL}pools: {{llama: {{nodes: [{{{node}}}]}}}}\n"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00+01:00", "9999-12-31T23:00-05:00"])
@pytest.mark.parametrize("which", ["since", "until"])
def test_a_moment_beyond_the_calendar_is_a_problem_at_its_place(tmp_path: Path, which: str, moment: str) -> None:
    said = refused(pool(f"{NODE}, {which}: {moment}"), tmp_path)
    assert f"pools.llama.nodes.0.{which}: this lies beyond the calendar" in said


@pytest.mark.parametrize("year", ["0206", "1969", "1999"])
def test_a_node_is_not_paid_since_centuries(tmp_path: Path, year: str) -> None:
    said = refused(pool(f"{NODE}, since: {year}-11-01"), tmp_path)
    assert f"pools.llama.nodes.0: it is paid since {year}-11-01, before 2000" in said


@pytest.mark.parametrize(
    ("pools", "count"),
    [
        ('llama: {nodes: [{url: "http://a/v1", usd_per_hour: "-5"}]}', 1),
        ("llama: {nodes: [{name: a}]}", 1),
        ('llama: {nodes: [{url: "http://a/v1"}], slots: 0}', 1),
        ("llama: {virtual: true, runs: llama-3.3-70b, hardware: 2xH100, nodes: [{usd_per_hour: 5}]}", 2),
    ],
)
def test_a_pool_without_nodes_is_not_said_to_be_missing(tmp_path: Path, pools: str, count: int) -> None:
    said = refused(f"targets: {{}}\nmodels: {{m: {{targets: [llama]}}}}\npools: {{{pools}}}\n", tmp_path)
    assert f"has {count} problem(s)" in said
    assert "there is no target" not in said


def test_a_name_that_is_no_pools_is_no_target(tmp_path: Path) -> None:
    written = f"{MINIMAL.replace('[openai]', '[openai, lama]')}pools: {{llama: {{nodes: [{{{NODE}}}]}}}}\n"
    assert "there is no target 'lama'" in refused(written, tmp_path)
