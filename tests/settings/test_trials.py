"""The section ``trials`` of the settings: what is wrong is said, with what to do."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest

from breakeven.errors import InputError
from breakeven.trials.plan import TrialsPlan
from breakeven.wiring.settings import load_settings
from breakeven.wiring.snapshot import build_snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.settings import Settings

BEGINNING = (
    "targets: {sold: {url: 'http://127.0.0.1:1/v1'}, other: {url: 'http://127.0.0.1:2/v1'}}\n"
    "models: {m: {targets: [sold]}, n: {targets: [sold, other]}}\n"
)
SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of these tests


def loaded(folder: Path, section: str) -> Settings:
    path = folder / "breakeven.yaml"
    path.write_text(BEGINNING + section)
    return load_settings(path)


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ("trials: {shadows: [{model: m, candidate: othr, share: 1}]}", "Did you mean 'other'"),
        ("trials: {shadows: [{model: k, candidate: other, share: 1}]}", "there is no model 'k'"),
        ("trials: {shadows: [{model: m, candidate: sold, share: 1}]}", "not compared with itself"),
        ("trials: {shadows: [{model: m, candidate: other, share: 0}]}", "share"),
        ("trials: {shadows: [{model: m, candidate: other, share: 2}]}", "share"),
        ("trials: {shadows: [{model: m, candidate: other}]}", "share"),
        (
            "trials: {shadows: [{model: m, candidate: other, share: 1}, {model: m, candidate: other, share: 0.5}]}",
            "there twice",
        ),
        ("trials: {judge: {model: wise}}", "nobody to judge"),
        ("trials: {budget_day_usd: -1}", "budget_day_usd"),
        ("trials: {check: {url: 'http://127.0.0.1:9400/check'}}", "the gateway's own address"),
        ("trials: {signals: {models: [k]}}", "there is no model 'k'"),
        ("trials: {keep_text: {days: 0, key: 'env:TEXTS_KEY'}}", "days"),
        ("trials: {keep_text: {days: 3, key: 'env:SHORT_KEY'}}", "fewer than 32 characters"),
        ("trials: {keep_text: {days: 3, key: sesame}}", "env:NAME"),
        ("trials: {shadow: []}", "shadows"),
    ],
)
def test_what_is_wrong_is_an_input_error_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str, what: str
) -> None:
    monkeypatch.setenv("TEXTS_KEY", SECRET)
    monkeypatch.setenv("SHORT_KEY", "sesame")
    with pytest.raises(InputError) as refused:
        loaded(tmp_path, section)
    assert what in str(refused.value)
    assert "trials" in str(refused.value)
    assert "sesame" not in str(refused.value) or "key: sesame" in section


def test_a_candidate_counts_as_used_and_one_without_a_price_is_warned_of(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "trials: {shadows: [{model: m, candidate: other, share: 0.1}]}")
    said = [str(warning) for warning in settings.warnings]
    assert not any("no model is served there" in line for line in said)
    assert any("has no price, so asking it counts nothing" in line for line in said)


def test_without_the_section_nothing_is_copied_and_nobody_compares(tmp_path: Path) -> None:
    snapshot = build_snapshot(loaded(tmp_path, ""))
    assert (snapshot.trials, snapshot.copies) == (b"", ())
    empty = build_snapshot(loaded(tmp_path, "trials: {}"))
    assert empty.trials != b""
    assert empty.copies == ()


def test_a_budget_is_exact(tmp_path: Path) -> None:
    for written in ("0.1", "'0.1'"):
        entry = loaded(tmp_path, f"trials: {{budget_day_usd: {written}}}").file.trials
        assert entry is not None
        assert entry.budget_day_usd == Decimal("0.1")


def test_pairs_of_a_shift_to_a_pool_are_judged_as_the_first_shadow_of_its_nodes_says(tmp_path: Path) -> None:
    pools = "pools: {own: {nodes: [{url: 'http://127.0.0.1:3/v1'}, {url: 'http://127.0.0.1:4/v1'}]}}\n"
    said = [
        "{model: m, candidate: other, share: 1}",
        "{model: m, candidate: own/n2, share: 1, judge: {model: n, criteria: brief}}",
        "{model: m, candidate: own/n1, share: 1, judge: {model: n, criteria: polite}}",
        "{model: n, candidate: own/n1, share: 1}",
    ]
    snapshot = build_snapshot(loaded(tmp_path, pools + f"trials: {{shadows: [{', '.join(said)}]}}"))
    plan = msgspec.msgpack.decode(snapshot.trials, type=TrialsPlan)
    assert {(item.model, item.candidate): item.judge and item.judge.criteria for item in plan.shadows} == {
        ("m", "other"): None,
        ("m", "own/n2"): "brief",
        ("m", "own"): "brief",
        ("m", "own/n1"): "polite",
        ("n", "own/n1"): None,
        ("n", "own"): None,
    }
