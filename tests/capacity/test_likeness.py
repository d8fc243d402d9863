"""What measurements teach of alike deployments: known results of conditioning, and nothing where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from breakeven.capacity import likeness
from breakeven.capacity.likeness import (
    LARGEST_ERROR,
    NOISE_RATIO,
    SECOND_LOOKS,
    case_of,
    expected_errors,
    shape_of,
    teaches,
)
from breakeven.capacity.roofline import speed, work_of
from breakeven.catalog.roofline import Anchor, Likeness
from breakeven.sources.roofline import load_roofline

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOFLINE = load_roofline()
STEADY = [a for a in ROOFLINE.anchors if a.measurement.concurrency_count is not None and teaches(a, ROOFLINE)]
OFFLINE = [a for a in ROOFLINE.anchors if a.measurement.concurrency_count is None and teaches(a, ROOFLINE)]


def test_without_measurements_no_error_is_expected_and_the_doubt_is_what_is_believed() -> None:
    cases = [case_of(anchor) for anchor in STEADY[:5]]
    found = expected_errors(cases, replace(ROOFLINE, anchors=()))
    assert not found.tpot.any()
    assert (found.tpot_deviation > NOISE_RATIO["tpot"]).all()
    known = expected_errors(cases, ROOFLINE)
    assert (known.tpot_deviation < found.tpot_deviation).all()


def test_one_measurement_teaches_its_own_case_by_the_ratio_of_variances() -> None:
    """With one likeness of deviation 0.3: error x 0.09 / (0.09 + noise), its noise that of how far it lies off."""
    alike = Likeness(regime="tpot", alike=("shape",), share_ratio=0, constant_ratio=0.3, smooth_ratio=0)
    anchor = STEADY[0]
    roofline = replace(ROOFLINE, likenesses=(alike,), anchors=(anchor,))
    case = case_of(anchor)
    plain = speed(work_of([case], roofline), roofline.rates, [roofline.engine_rates(case.engine)])
    error = np.log((anchor.measurement.tpot_ms or 0) / 1e3 / plain.tpot_s[0])
    noise = usual = NOISE_RATIO["tpot"] ** 2
    for _ in range(SECOND_LOOKS):
        off = error * noise / (0.09 + noise)
        noise = usual * (1 + off**2 / usual) / 2
    share = 0.09 / (0.09 + noise)
    found = expected_errors([case], roofline)
    assert found.tpot[0] == pytest.approx(error * share)
    assert found.tpot_deviation[0] == pytest.approx(np.sqrt(0.09 * (1 - share) + NOISE_RATIO["tpot"] ** 2))
    other = next(a for a in STEADY if shape_of(a.architecture) != shape_of(anchor.architecture))
    assert expected_errors([case_of(other)], roofline).tpot[0] == 0


@pytest.mark.parametrize("anchors", [STEADY, OFFLINE], ids=["steady", "offline"])
@pytest.mark.parametrize(("looks", "apart"), [(0, 1e-6), (SECOND_LOOKS, 0.05)], ids=["exact", "weighed"])
@pytest.mark.usefixtures("learned_anew")
def test_unseen_is_what_is_expected_without_the_groups_own_measurements(
    anchors: list[Anchor], looks: int, apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of an inverse against learning anew from what is left: the same, but for how much each row counts."""
    monkeypatch.setattr(likeness, "SECOND_LOOKS", looks)
    anchor = anchors[len(anchors) // 2]
    group = _group(anchor)
    rest = replace(ROOFLINE, anchors=tuple(a for a in ROOFLINE.anchors if _group(a) != group))
    assert 0 < len(rest.anchors) < len(ROOFLINE.anchors)
    cases = [case_of(a) for a in ROOFLINE.anchors if _group(a) == group and a in anchors][:6]
    direct, blocks = expected_errors(cases, rest), expected_errors(cases, ROOFLINE, unseen=True)
    for name in ("offline", "tpot", "ttft"):
        assert getattr(blocks, name) == pytest.approx(getattr(direct, name), abs=apart)
        width = f"{name}_deviation"
        assert getattr(blocks, width) == pytest.approx(getattr(direct, width), abs=apart)


@pytest.fixture
def learned_anew() -> Iterator[None]:
    """Forget what was learned with other second looks, before and after."""
    likeness._learned.cache_clear()
    yield
    likeness._learned.cache_clear()


def _group(anchor: Anchor) -> tuple[object, ...]:
    case = case_of(anchor)
    return (shape_of(case.architecture), case.gpu.id, case.precision)


def test_a_row_with_a_fault_teaches_nothing() -> None:
    assert all(not anchor.measurement.fault for anchor in ROOFLINE.anchors)


def test_a_measurement_far_from_its_likes_teaches_next_to_nothing() -> None:
    """Of twelve alike rows one comes three times as late: what is expected of a like hardly moves."""
    alike = Likeness(regime="tpot", alike=("shape",), share_ratio=0, constant_ratio=0.3, smooth_ratio=0)
    shape = shape_of(STEADY[0].architecture)
    rows = [anchor for anchor in STEADY if shape_of(anchor.architecture) == shape][:12]
    plain = replace(ROOFLINE, likenesses=(alike,), anchors=())
    found = speed(
        work := work_of([case_of(row) for row in rows], plain),
        plain.rates,
        [plain.engine_rates(name) for name in work.engines],
    )
    exact = [_timed(row, float(tpot_s)) for row, tpot_s in zip(rows, found.tpot_s, strict=True)]
    late = [*exact[:-1], _timed(rows[-1], 3 * float(found.tpot_s[-1]))]
    case = [case_of(rows[0])]
    expected = [expected_errors(case, replace(plain, anchors=tuple(some))).tpot[0] for some in (exact, late)]
    assert expected[0] == pytest.approx(0, abs=1e-9)
    assert 0 <= expected[1] < LARGEST_ERROR["tpot"] / 12 / 5


def _timed(anchor: Anchor, tpot_s: float) -> Anchor:
    return replace(anchor, measurement=replace(anchor.measurement, tpot_ms=tpot_s * 1e3))
