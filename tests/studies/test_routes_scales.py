"""Scales of scores: one too large makes every difference small, so a few scores alone do not choose it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from breakeven.errors import InputError
from breakeven.studies.routes.gather import Labels, gathered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.studies.routes.pairs import Pairs


def pairs_of(weak: list[float], strong: Sequence[float | None]) -> Pairs:
    rows = [Labels(weak=w, strong=s) for w, s in zip(weak, strong, strict=True)]
    return gathered(rows, price_ratio=0.04, priced=False, prompted=False, draw=np.random.default_rng(1))


@pytest.mark.parametrize("best", [1.0, 5.0, 10.0, 100.0])
def test_a_score_a_hair_above_the_best_mark_does_not_change_the_scale(best: float) -> None:
    found = pairs_of([0.0, best] * 2, [best, best * 0.9, best * (1 + 2e-16), best * (1 + 1e-10)])
    assert found.strong.max() == 1.0
    assert found.gain.tolist() == pytest.approx([1, -0.1, 1, 0])


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        (1.5, r"1 score\(s\) are above 1, the highest 1\.5, in row 3 \("),
        (4.0, r"above 1, .* 5 times smaller"),
        (11.0, r"above 1, .* 100 times smaller"),
        (1e6, r"above 1, the highest 1000000, "),
    ],
)
def test_a_stray_score_is_told_with_its_row_and_does_not_choose_the_scale(odd: float, expected: str) -> None:
    strong: list[float | None] = [None, *[1.0] * 200]
    strong[2] = odd
    with pytest.raises(InputError, match=expected):
        pairs_of([0.5] * 201, strong)


def test_many_scores_hardly_above_one_are_refused_and_the_first_rows_told() -> None:
    with pytest.raises(InputError, match=r"20 score\(s\) .* in row 1, 2, 3, 4, 5 and others"):
        pairs_of([1.0] * 20, [1.2] * 20)


@pytest.mark.parametrize(("high", "scale"), [(4.0, 5), (7.0, 10), (60.0, 100), (1200.0, 1200)])
def test_marks_of_other_scales_are_divided_by_the_best(high: float, scale: float) -> None:
    found = pairs_of([0.0] * 100, [high] * 50 + [high / 2] * 50)
    assert found.strong[0] == pytest.approx(high / scale)
    assert found.notes == (f"Scores run up to {high:g}, and are taken as shares of {scale:g}.",)


def test_a_score_below_nothing_is_told_with_its_row() -> None:
    with pytest.raises(InputError, match=r"a score is -1 \(row 2\)"):
        pairs_of([1.0, -1.0, 0.0], [1.0, 1.0, 1.0])
