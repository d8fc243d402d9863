"""Routing policies are judged without favour: nothing known gives a half, and what is known is not lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from breakeven.studies.routes.curve import curve, spread
from breakeven.studies.routes.pairs import Pairs, folds, task_folds
from breakeven.studies.routes.scores import UNSEEN, by_prompt, by_task, gains_by_task, text_rows
from breakeven.studies.routes.study import Asked, evaluate
from breakeven.studies.routes.sure import sure_saving
from breakeven.studies.routes.train import train

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.quantities import Array
    from breakeven.studies.routes.pairs import Places
    from breakeven.studies.routes.result import Evaluation, PolicyResult

LETTERS = list("abcdefghiklmnoprstuvz")
DRAWN_WORDS = np.random.default_rng(0)


def words(count: int) -> list[str]:
    return ["".join(DRAWN_WORDS.choice(LETTERS, 6)) for _ in range(count)]


COMMON, HARD, EASY = words(12), words(8), words(8)
OWN = [words(8) for _ in range(10)]


def pairs_of(
    weak: Any, strong: Any, *, task: Any = None, names: Any = None, prompts: list[str] | None = None, costs: Any = None
) -> Pairs:
    count = len(weak)
    places = np.zeros(count, dtype=np.int64) if task is None else np.asarray(task)
    weak_cost, strong_cost = costs or (np.full(count, 0.04), np.ones(count))
    return Pairs(
        weak=np.asarray(weak, dtype=float),
        strong=np.asarray(strong, dtype=float),
        weak_cost=np.asarray(weak_cost, dtype=float),
        strong_cost=np.asarray(strong_cost, dtype=float),
        task=places,
        tasks=tuple(names or (f"t{n}" for n in range(int(places.max()) + 1))),
        characters=np.array([len(text) for text in prompts], dtype=float) if prompts else None,
        prompted=np.arange(count) if prompts else None,
        prompts=tuple(prompts or ()),
        rows_read=count,
    )


def found_of(pairs: Pairs, seed: int = 1, **more: Any) -> Evaluation:
    asked = Asked(source="made", weak="small", strong="large", **more)
    return evaluate(pairs, asked, np.random.default_rng(seed), lambda _: None)


def policy(found: Evaluation, name: str) -> PolicyResult:
    return next(item for item in found.policies if item.policy == name)


def drawn(seed: int, gains: tuple[float, ...], count: int, text: Callable[[Any, int], str] | None = None) -> Pairs:
    """Pairs of tasks with these gains; the strong target is right for 85 %."""
    draw = np.random.default_rng(seed)
    task = draw.integers(len(gains), size=count)
    weak = draw.random(count) < 0.85 - np.array(gains)[task]
    strong = draw.random(count) < 0.85
    return pairs_of(weak, strong, task=task, prompts=[text(draw, int(at)) for at in task] if text else None)


def common(draw: Any, _: int) -> str:
    return " ".join(draw.choice(COMMON, draw.integers(4, 12)))


def own(draw: Any, task: int) -> str:
    return " ".join(draw.choice(OWN[task], draw.integers(4, 12)))


def apgr(scores: Array, pairs: Pairs) -> float:
    found = curve(scores, pairs).apgr()
    assert found is not None
    return found


def unseen_apgr(pairs: Pairs, seed: int) -> float:
    rows = text_rows(pairs.prompts, pairs.characters if pairs.characters is not None else np.zeros(0))
    return apgr(by_prompt(pairs, rows, task_folds(pairs, 5, np.random.default_rng(seed))), pairs)


@pytest.mark.parametrize(("count", "tasks"), [(200, 2), (400, 4)])
def test_a_table_of_tasks_that_do_not_differ_comes_out_at_a_half(count: int, tasks: int) -> None:
    made = [drawn(seed, (0.15,) * tasks, count) for seed in range(80)]
    found = [apgr(by_task(p, folds(count, 5, np.random.default_rng(seed))), p) for seed, p in enumerate(made)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)
    assert np.median(found) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("text", [common, own], ids=["the same words", "words of their own"])
@pytest.mark.parametrize("gains", [(0.0, 0.4), (0.0, 0.1, 0.2, 0.3, 0.4), (0.0, 0.0, 0.0, 0.0, 0.5)])
def test_of_tasks_that_prompts_do_not_tell_apart_unseen_ones_come_out_at_a_half(
    gains: tuple[float, ...], text: Callable[[Any, int], str]
) -> None:
    found = [unseen_apgr(drawn(seed, gains, 400, text), seed) for seed in range(12)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("shares", [np.linspace(0.1, 0.9, 5), np.array([0.2, 0.2, 0.2, 0.2, 0.8])])
def test_where_prompts_tell_tasks_apart_unseen_ones_are_ranked_as_if_known(shares: Array) -> None:
    found, best = [], []
    for seed in range(6):
        draw = np.random.default_rng(seed)
        task = draw.integers(5, size=800)
        hard = draw.binomial(10, shares[task])
        prompts = [" ".join([*draw.choice(HARD, n), *draw.choice(EASY, 10 - n)]) for n in hard]
        pairs = pairs_of(draw.random(800) < 0.85 - 0.05 * hard, draw.random(800) < 0.85, task=task, prompts=prompts)
        found.append(unseen_apgr(pairs, seed))
        best.append(apgr(hard.astype(float), pairs))
    assert np.mean(found) > np.mean(best) - 0.05


def test_figures_of_unseen_tasks_come_with_their_range_over_tasks() -> None:
    pairs = drawn(1, tuple(np.linspace(0.1, 0.4, 10)), 600, common)
    found = found_of(pairs, policies=("length", "prompt"))
    notes = [note for note in found.notes if "learned nothing of" in note]
    assert [f"the APGR of {name} is " in note for name, note in zip(("length", "prompt"), notes, strict=True)] == [
        True,
        True,
    ]
    assert all("95 % of draws of other such tasks give 0." in note for note in notes)
    few = found_of(drawn(1, (0.0, 0.2), 400, common), policies=("prompt",))
    assert any("too few, or too unlike" in note for note in few.notes)


def _said(seed: int, count: int, times: int) -> Pairs:
    """Prompts of words by chance with answers by chance, so often each."""
    draw = np.random.default_rng(seed)
    prompts = [" ".join(words(1) + list(draw.choice(COMMON, 6))) + f" {n}x" for n in range(count)]
    prompts = [f"{''.join(draw.choice(LETTERS, 8))} {text}" for text in prompts]
    weak, strong = draw.random(count) < 0.6, draw.random(count) < 0.8
    return pairs_of(np.tile(weak, times), np.tile(strong, times), prompts=prompts * times)


def test_copies_of_a_prompt_do_not_vouch_for_one_another() -> None:
    found = policy(found_of(_said(3, 300, 3)), "prompt")
    assert found.apgr_fraction is not None
    assert found.apgr_fraction < 0.65
    assert max(item.sure_saving_fraction for item in found.savings) < 0.3


def test_copies_do_not_narrow_an_interval() -> None:
    once, thrice = (policy(found_of(_said(3, 300, times)), "oracle") for times in (1, 3))
    width = [(item.apgr_high_fraction or 0) - (item.apgr_low_fraction or 0) for item in (once, thrice)]
    assert width[1] == pytest.approx(width[0], rel=0.25)


def test_rows_without_a_prompt_are_nobodys_copies() -> None:
    draw = np.random.default_rng(1)
    prompts = ["" if n % 2 else f"prompt {n}" for n in range(200)]
    found = found_of(pairs_of(draw.random(200) < 0.5, draw.random(200) < 0.9, prompts=prompts))
    width = [(item.apgr_high_fraction or 0) - (item.apgr_low_fraction or 0) for item in found.policies]
    alone = found_of(pairs_of(draw.random(200) < 0.5, draw.random(200) < 0.9))
    assert width[0] < 1.5 * ((alone.policies[0].apgr_high_fraction or 0) - (alone.policies[0].apgr_low_fraction or 0))


def test_rows_without_a_task_go_to_the_strong_target_first() -> None:
    task = np.arange(400) % 2
    strong = np.ones(400)
    pairs = pairs_of(np.where(task == 0, 1.0, 0.0), strong, task=task, names=["", "a"])
    assert gains_by_task(pairs, np.arange(400)).tolist() == [UNSEEN, 1.0]
    scores = by_task(pairs, folds(400, 5, np.random.default_rng(1)))
    assert scores[task == 0].min() > scores[task == 1].max()
    nameless = pairs_of(strong, strong, names=[""])
    assert set(by_task(nameless, folds(400, 5, np.random.default_rng(1)))) == {UNSEEN}


def test_a_classifier_keeps_its_promise_where_chances_tie() -> None:
    prompts = ["hello", "hallo", "salut", "ahoy"] * 125  # which say nothing, and come in no order of their tasks
    labels = ["a"] * 300 + ["b"] * 200
    found = train(prompts, labels, error=0.05, draw=np.random.default_rng(1), progress=lambda _: None)
    assert found.accuracy_fraction < 0.7
    assert found.kept_fraction == 0


def test_the_oracle_saves_most_where_costs_differ_by_row() -> None:
    task = np.arange(1000) % 2
    strong = np.where(task == 0, 0.5, 1.0)
    costs = (np.full(1000, 0.01), np.where(task == 0, 1.0, 100.0))
    found = found_of(pairs_of(np.zeros(1000), strong, task=task, costs=costs))
    saved = {item.policy: [level.saving_fraction for level in item.savings] for item in found.policies}
    for at in range(3):
        assert saved["oracle"][at] == max(values[at] for values in saved.values())
    assert saved["oracle"][0] > saved["random"][0] + 0.01


def test_the_oracle_first_takes_what_is_cheaper_and_no_worse() -> None:
    draw = np.random.default_rng(2)
    weak, strong = draw.random(500) < 0.6, draw.random(500) < 0.8
    costs = (np.ones(500), np.where(draw.random(500) < 0.5, 0.2, 3.0))
    found = found_of(pairs_of(weak, strong, costs=costs))
    oracle, by_chance = policy(found, "oracle"), policy(found, "random")
    assert (oracle.apgr_fraction or 0) > (by_chance.apgr_fraction or 0)
    for mine, other in zip(oracle.savings, by_chance.savings, strict=True):
        assert mine.saving_fraction > other.saving_fraction


def _dear_weak() -> tuple[Pairs, Places]:
    draw = np.random.default_rng(4)
    chance = draw.random(1000)
    pairs = pairs_of(draw.random(1000) < chance, draw.random(1000) < 0.9, costs=(np.full(1000, 2.0), np.ones(1000)))
    return pairs, np.argsort(chance).argsort()


def test_sure_thresholds_never_cost_more_than_all_strong() -> None:
    pairs, rank = _dear_weak()
    found = sure_saving(-rank.astype(float), pairs, folds(1000, 5, np.random.default_rng(1)), 0.9)
    assert found.saving_fraction == 0
    assert found.quality_fraction == 1


@pytest.mark.parametrize(("weak_cost", "expected"), [(0.1, "small"), (3.0, "large")])
def test_of_two_that_score_the_same_the_cheaper_is_best(weak_cost: float, expected: str) -> None:
    costs = (np.full(4, weak_cost), np.ones(4))
    assert found_of(pairs_of([1, 0, 1, 0], [0, 1, 0, 1], costs=costs)).best_single == expected


def test_a_policys_figures_do_not_depend_on_which_others_are_asked() -> None:
    pairs = drawn(1, (0.1, 0.3), 300, common)
    found = found_of(pairs)
    for name in ("random", "task table", "prompt", "oracle"):
        assert found_of(pairs, policies=(name,)).policies == (policy(found, name),)


def test_a_saving_is_exact_although_qualities_are_compared_with_a_tolerance() -> None:
    found = curve(np.zeros(100), pairs_of(np.zeros(100), np.ones(100)))
    assert found.saving(0.95) == pytest.approx(0.048, abs=1e-14)
    assert found.saving(1.0) == pytest.approx(0.0, abs=1e-14)


def test_an_interval_of_copies_is_that_of_the_rows_alone() -> None:
    pairs = drawn(2, (0.2,), 200)
    twice = pairs.kept(np.tile(np.arange(200), 2))
    scores = pairs.gain + 0.1 * np.random.default_rng(1).random(200)
    alone = spread(scores, pairs, (), np.random.default_rng(1)).apgr
    copied = spread(np.tile(scores, 2), twice, (), np.random.default_rng(1), np.tile(np.arange(200), 2)).apgr
    assert alone == pytest.approx(copied)
