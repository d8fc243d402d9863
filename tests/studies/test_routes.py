"""Routing policies judged on labelled pairs: against arithmetic by hand, on made-up truths, and on real answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from breakeven.errors import InputError
from breakeven.sources.labelled import labelled_rows, score_of
from breakeven.studies.routes.curve import curve, spread, steps_of
from breakeven.studies.routes.gather import Labels, gathered
from breakeven.studies.routes.linear import fitted, sigmoid
from breakeven.studies.routes.pairs import Pairs, folds, task_folds
from breakeven.studies.routes.scores import UNSEEN, by_task, gains_by_task
from breakeven.studies.routes.study import Asked, evaluate
from breakeven.studies.routes.sure import sure_saving, sure_threshold
from breakeven.studies.routes.tables import held_out, task_rows
from breakeven.studies.routes.train import train
from breakeven.wiring.route import PairsRequest, read_pairs, run_route_eval

MMLU = Path(__file__).parent / "fixtures" / "routing" / "routellm_mmlu_500.csv.gz"


def pairs_of(weak: list[float], strong: list[float], tasks: list[str] | None = None, ratio: float = 0.1) -> Pairs:
    labels = tasks or ["all"] * len(weak)
    rows = [Labels(weak=w, strong=s, task=t) for w, s, t in zip(weak, strong, labels, strict=True)]
    return gathered(rows, price_ratio=ratio, priced=False, prompted=False, draw=np.random.default_rng(1))


def two_tasks(count: int = 2000) -> Pairs:
    """Pairs of a task that both do alike, and of one at which the weak target fails."""
    draw = np.random.default_rng(5)
    easy, hard = (draw.random(count) < 0.9).astype(float), (draw.random(count) < 0.8).astype(float)
    weak = [*easy, *np.zeros(count)]
    return pairs_of(list(weak), [*easy, *hard], ["easy"] * count + ["hard"] * count)


def asked(**more: Any) -> Asked:
    return Asked(source="made", weak="small", strong="large", **more)


def test_a_curve_by_hand() -> None:
    pairs = pairs_of([0, 0, 1, 1], [1, 1, 1, 0])
    found = curve(np.array([4.0, 3.0, 2.0, 1.0]), pairs)
    assert found.strong_fraction.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.quality.tolist() == [0.5, 0.75, 1, 1, 0.75]
    assert found.cost == pytest.approx([0.1, 0.325, 0.55, 0.775, 1.0])
    assert found.apgr() == pytest.approx((0.5 * 0 + 1 + 2 + 2 + 0.5 * 1) / 4)
    assert found.saving(1.0) == pytest.approx(1 - 0.325)
    assert found.saving(0.5) == pytest.approx(0.9)


def test_between_points_a_level_is_reached_by_sending_a_part() -> None:
    found = curve(np.array([1.0, 1.0]), pairs_of([0, 0], [1, 1], ratio=0.0))
    assert found.saving(0.75) == pytest.approx(0.25)


def test_equal_scores_are_sent_together_and_random_is_a_half() -> None:
    pairs = pairs_of([0, 1, 0, 1], [1, 1, 0, 1])
    assert curve(np.zeros(4), pairs).apgr() == pytest.approx(0.5)
    assert steps_of(np.array([1.0, 2.0, 2.0, 0.0])).tolist() == [1, 0, 0, 2]


def test_a_million_different_scores_become_a_few_hundred_steps_in_their_order() -> None:
    scores = np.random.default_rng(1).random(20_000)
    steps = steps_of(scores)
    assert steps.max() + 1 == 500
    assert (np.diff(steps[np.argsort(-scores)]) >= 0).all()


def test_where_strong_is_no_better_there_is_no_gap_to_recover() -> None:
    assert curve(np.arange(2.0), pairs_of([1, 1], [1, 1])).apgr() is None
    assert curve(np.arange(2.0), pairs_of([1, 1], [0, 1])).apgr() is None


def test_a_task_table_finds_the_task_that_may_move() -> None:
    pairs = two_tasks()
    part = folds(4000, 5, np.random.default_rng(1))
    scores = by_task(pairs, part)
    assert scores[:2000].max() < 0.5 < scores[2000:].min()
    table = held_out(pairs, part, 0.02)
    assert table.moved_fraction == pytest.approx(0.5)
    assert table.quality_fraction == pytest.approx(1.0)
    assert table.saving_fraction == pytest.approx(0.45)
    assert [(row.task, row.allowed) for row in task_rows(pairs, 0.02)] == [("easy", True), ("hard", False)]


def test_a_task_without_rows_is_unseen_and_small_ones_are_drawn_to_the_mean() -> None:
    pairs = pairs_of([0, 0, 1, 1] * 10, [1, 1, 1, 1] * 10, ["a", "a", "b", "b"] * 10)
    gains = gains_by_task(pairs, np.array([0, 1, 4, 5]))
    assert gains.tolist() == [1.0, UNSEEN]
    draw = np.random.default_rng(3)
    noise = pairs_of([0.0] * 300, list((draw.random(300) < 0.5).astype(float)), [f"t{i % 30}" for i in range(300)])
    raw = [noise.gain[noise.task == task].mean() for task in range(30)]
    assert np.ptp(gains_by_task(noise, np.arange(300))) < 0.5 * np.ptp(raw)


def test_whole_tasks_are_left_out_together() -> None:
    pairs = pairs_of([0.0] * 60, [1.0] * 60, [f"t{i % 6}" for i in range(60)])
    part = task_folds(pairs, 5, np.random.default_rng(1))
    assert all(len(set(part[pairs.task == task])) == 1 for task in range(6))
    assert len(set(part)) == 5


def test_a_sure_threshold_keeps_its_level_in_nineteen_of_twenty() -> None:
    misses = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        chance = draw.random(1200)
        weak, strong = (draw.random(1200) < chance).astype(float), (draw.random(1200) < 0.9).astype(float)
        pairs = pairs_of(list(weak), list(strong))
        half = np.arange(600)
        threshold = sure_threshold(-chance[:600], pairs.kept(half), 0.95)
        goes_strong = -chance >= threshold
        kept = np.where(goes_strong, 0.9, chance).mean()
        misses += kept < 0.95 * 0.9 - 0.005
        assert goes_strong.mean() < 1
    assert misses <= 20


def test_nothing_is_sure_of_two_rows() -> None:
    pairs = pairs_of([1, 0], [1, 1])
    found = sure_saving(np.array([0.0, 1.0]), pairs, np.array([0, 1]), 0.95)
    assert found.saving_fraction == 0
    assert found.quality_fraction == 1


def test_an_interval_covers_the_figure_and_shrinks_with_rows() -> None:
    draw = np.random.default_rng(2)
    few, many = two_tasks(100), two_tasks(4000)
    wide, narrow = (spread(by_task(p, folds(len(p.weak), 5, draw)), p, (0.95,), draw) for p in (few, many))
    assert wide.apgr is not None
    assert narrow.apgr is not None
    assert narrow.apgr[1] - narrow.apgr[0] < wide.apgr[1] - wide.apgr[0]
    assert narrow.apgr[0] < 0.75 < narrow.apgr[1] + 0.02


def test_a_regression_with_shares_for_labels_finds_the_log_odds() -> None:
    rows = np.array([[1.0], [-1.0]] * 500)
    model = fitted(rows, sigmoid(np.array([[2.0], [0.0]] * 500)), strength=1e6)
    assert model.coefficients[0, 0] == pytest.approx(1.0, abs=1e-3)
    assert model.offsets[0] == pytest.approx(1.0, abs=1e-3)


def test_on_real_answers_the_table_beats_chance_and_the_same_seed_says_the_same() -> None:
    request = PairsRequest(file=MMLU, weak="weak", strong="strong", task="task", prompt="prompt")
    found = run_route_eval(request)
    by_name = {item.policy: item for item in found.policies}
    assert list(by_name) == ["random", "length", "task table", "prompt", "task and prompt", "oracle"]
    apgr = {name: item.apgr_fraction or 0.0 for name, item in by_name.items()}
    assert 0.4 < apgr["random"] < 0.6 < apgr["task table"] < apgr["oracle"]
    assert by_name["prompt"].unseen_apgr_fraction is not None
    for item in found.policies:
        assert [saving.level_fraction for saving in item.savings] == [0.95, 0.98, 0.99]
        assert item.points[0].strong_fraction == 0
        assert item.points[-1].cost_fraction == pytest.approx(1.0)
    assert run_route_eval(request) == found


@pytest.mark.parametrize(
    ("weak", "strong", "expected"),
    [
        ([1, 1, 0, 1], [1, 1, 0, 1], "score the same"),
        (
            [1, 1, 1, 1],
            [1, 0, 0, 1],
            "small scores 0.500 higher than large here, so there is no gap to recover and no APGR: send everything",
        ),
    ],
)
def test_without_a_gap_it_says_so_in_words(weak: list[float], strong: list[float], expected: str) -> None:
    found = evaluate(pairs_of(weak, strong), asked(), np.random.default_rng(1), lambda _: None)
    assert expected in found.pgr_undefined
    assert {item.apgr_fraction for item in found.policies} == {None}
    assert found.best_single == "small"


def test_a_weak_target_that_is_better_by_chance_alone_is_not_recommended() -> None:
    found = evaluate(pairs_of([1, 1, 0, 1], [1, 0, 0, 1]), asked(), np.random.default_rng(1), lambda _: None)
    assert found.gain_high_fraction > 0
    assert "small scores 0.250 higher" in found.pgr_undefined
    assert found.pgr_undefined.endswith("which of the two is better is not sure.")
    assert "send everything" not in found.pgr_undefined


def test_copies_of_a_prompt_do_not_narrow_the_interval_of_the_gain() -> None:
    def interval(copies: int) -> tuple[float, float]:
        rows = [
            Labels(weak=float(n % 3 == 0), strong=float(n % 4 > 0), prompt=f"prompt {n}")
            for _ in range(copies)
            for n in range(60)
        ]
        draw = np.random.default_rng(1)
        held = gathered(rows, price_ratio=0.1, priced=False, prompted=True, draw=draw)
        found = evaluate(held, asked(policies=("random",)), draw, lambda _: None)
        return found.gain_low_fraction, found.gain_high_fraction

    assert interval(5) == pytest.approx(interval(1))


def test_two_rows_are_judged_and_called_too_few() -> None:
    pairs = pairs_of([0, 1], [1, 1], ["a", "b"])
    found = evaluate(pairs, asked(), np.random.default_rng(1), lambda _: None)
    assert any("2 rows are too few" in note for note in found.notes)
    assert not any(row.allowed for row in found.tasks)


def test_missing_scores_are_left_out_and_scales_are_told() -> None:
    rows = [Labels(weak=8.0, strong=9.0), Labels(weak=None, strong=9.0), Labels(weak=7.5, strong=10.0)]
    found = gathered(rows, price_ratio=0.04, priced=False, prompted=False, draw=np.random.default_rng(1))
    assert found.weak.tolist() == [0.8, 0.75]
    assert found.rows_read == 3
    assert any("shares of 10" in note for note in found.notes)
    assert any("1 of 3 rows lack" in note for note in found.notes)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([Labels(weak=1.0, strong=None)] * 3, "0 of 3 rows"),
        ([Labels(weak=-1.0, strong=1.0)] * 3, "a score is -1"),
    ],
)
def test_rows_that_say_nothing_are_refused(rows: list[Labels], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        gathered(rows, price_ratio=0.04, priced=False, prompted=False, draw=np.random.default_rng(1))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", 1), (" 0.25 ", 0.25), ("True", 1), ("false", 0), ("PASS", 1), ("wrong", 0), (True, 1), (3, 3), ("", None),
        (None, None), ("NaN", None), (float("nan"), None), ("n/a", None),
    ],
)  # fmt: skip
def test_scores_are_read_as_people_write_them(value: object, expected: float | None) -> None:
    assert score_of(value) == expected


@pytest.mark.parametrize("value", ["good", "1,5", [1], {}, "inf", b"1"])
def test_what_is_no_score_is_none(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        score_of(value)


FORMS = {
    "a.csv": "id,w,s\n1,0,1\n2,1,1\n",
    "semicolons.csv": "\ufeffid;w;s\n1;0;1\n2;1;1\n",
    "a.jsonl": '{"w": 0, "s": 1}\n\n{"w": true, "s": 1.0}\n',
    "a.json": '[{"w": 0, "s": 1}, {"w": 1, "s": "yes"}]',
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_file_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FORMS[name], encoding="utf-8")
    found = read_pairs(PairsRequest(file=tmp_path / name, weak="w", strong="S"), np.random.default_rng(1))
    assert (found.weak.tolist(), found.strong.tolist()) == ([0, 1], [1, 1])


def test_parquet_is_read(tmp_path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415 - only this test makes a file of it
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise

    pq.write_table(pa.table({"w": [False, True, None], "s": [0.5, 1.0, 1.0]}), tmp_path / "a.parquet")
    found = read_pairs(PairsRequest(file=tmp_path / "a.parquet", weak="w", strong="s"), np.random.default_rng(1))
    assert (found.weak.tolist(), found.strong.tolist(), found.rows_read) == ([0, 1], [0.5, 1], 3)


@pytest.mark.parametrize(
    ("content", "more", "expected"),
    [
        ("a,b\n1,2\n", {}, "no column 'w'. Those there: 'a', 'b'"),
        ("w,s\n1,x\n0,1\n", {}, "row 1: s is 'x'"),
        ("w,s\n1,1\n\n", {}, "1 of 1 rows"),
        ("", {}, "is empty"),
        ('{"w": 1}\n{"w"', {}, "no column 's'|no JSON object"),
        ("w,s\n1,1\n0,1\n", {"price_ratio": float("nan")}, "--price-ratio"),
        ("w,s\n1,1\n0,1\n", {"weak_cost": "w"}, "both --weak-cost and --strong-cost"),
        ("w,s,c\n1,1,-2\n0,1,1\n", {"weak_cost": "c", "strong_cost": "s"}, "row 1: c is -2"),
        ("w,s\n1,1\n0,1\n", {"seed": -1}, "--seed"),
    ],
)
def test_what_cannot_be_used_is_told(content: str, more: dict[str, Any], expected: str, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=expected):
        read_pairs(PairsRequest(file=tmp_path / "f.csv", weak="w", strong="s", **more), np.random.default_rng(1))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00w", b"\x1f\x8b damaged", b"PAR1 damaged", b"w,s\n\xff,1\n"])
def test_damaged_files_are_told_and_not_crashed_on(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(InputError):
        list(labelled_rows(tmp_path / "f", ["w"]))
    with pytest.raises(InputError, match="cannot be read"):
        list(labelled_rows(tmp_path / "missing", ["w"]))


def test_costs_of_their_own_make_the_saving() -> None:
    rows = [
        Labels(weak=1.0, strong=1.0, weak_usd=1.0, strong_usd=4.0),
        Labels(weak=1.0, strong=1.0, weak_usd=3.0, strong_usd=4.0),
    ]
    pairs = gathered(rows, price_ratio=0.04, priced=True, prompted=False, draw=np.random.default_rng(1))
    assert curve(np.zeros(2), pairs).saving(1.0) == pytest.approx(0.5)


def _labelled(count: int) -> tuple[list[str], list[str]]:
    draw = np.random.default_rng(4)
    words = {
        "sums": ("add", "minus", "total"),
        "poems": ("rhyme", "verse", "moon"),
        "code": ("function", "loop", "bug"),
    }
    prompts, labels = [], []
    for task, own in words.items():
        for number in range(count):
            prompts.append(f"please {draw.choice(own)} the {draw.choice(own)} now {number}")
            labels.append(task)
    return prompts, labels


def test_a_classifier_learns_tasks_that_differ_and_says_how_well() -> None:
    prompts, labels = _labelled(80)
    found = train(prompts, labels, error=0.05, draw=np.random.default_rng(1), progress=lambda _: None)
    assert found.accuracy_fraction > 0.98
    assert found.kept_fraction > 0.9
    assert found.kept_right_fraction is not None
    assert found.kept_right_fraction > 0.95
    assert [item.task for item in found.tasks] == ["code", "poems", "sums"]
    assert all(item.unseen_kept_fraction is not None for item in found.tasks)


def test_labels_that_say_nothing_make_a_classifier_that_abstains_always() -> None:
    prompts, labels = _labelled(60)
    shuffled = list(np.random.default_rng(2).permutation(labels))
    found = train(prompts, shuffled, error=0.05, draw=np.random.default_rng(1), progress=lambda _: None)
    assert found.kept_fraction == 0
    assert found.kept_right_fraction is None
    assert "abstains always" in found.notes[0]


@pytest.mark.parametrize(
    ("labels", "expected"), [(["a"] * 90, "1 task"), (["a"] * 60 + ["b"] * 29, "1 of 2 tasks have too few")]
)
def test_too_few_prompts_teach_nothing(labels: list[str], expected: str) -> None:
    prompts = [f"prompt {n}" for n in range(len(labels))]
    with pytest.raises(InputError, match=expected):
        train(prompts, labels, error=0.05, draw=np.random.default_rng(1), progress=lambda _: None)
