"""What measurements teach of alike deployments: known results of conditioning, and nothing where nothing is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from breakeven.capacity.likeness import NOISE_RATIO, case_of, expected_errors, shape_of, teaches
from breakeven.capacity.roofline import speed, work_of
from breakeven.catalog.roofline import Anchor, Likeness
from breakeven.sources.roofline import load_roofline

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
    """With one likeness of deviation 0.3 and noise 0.05: error x 0.09 / (0.09 + 0.0025)."""
    likeness = Likeness(regime="tpot", alike=("shape",), share_ratio=0, constant_ratio=0.3, smooth_ratio=0)
    anchor = STEADY[0]
    roofline = replace(ROOFLINE, likenesses=(likeness,), anchors=(anchor,))
    case = case_of(anchor)
    plain = speed(work_of([case], roofline), roofline.rates, [roofline.engine_rates(case.engine)])
    error = np.log((anchor.measurement.tpot_ms or 0) / 1e3 / plain.tpot_s[0])
    share = 0.09 / (0.09 + NOISE_RATIO["tpot"] ** 2)
    found = expected_errors([case], roofline)
    assert found.tpot[0] == pytest.approx(error * share)
    assert found.tpot_deviation[0] == pytest.approx(np.sqrt(0.09 * (1 - share) + NOISE_RATIO["tpot"] ** 2))
    other = next(a for a in STEADY if shape_of(a.architecture) != shape_of(anchor.architecture))
    assert expected_errors([case_of(other)], roofline).tpot[0] == 0


@pytest.mark.parametrize("anchors", [STEADY, OFFLINE], ids=["steady", "offline"])
def test_unseen_is_what_is_expected_without_the_groups_own_measurements(anchors: list[Anchor]) -> None:
    """Blocks of an inverse against learning anew from what is left."""
    anchor = anchors[len(anchors) // 2]
    group = _group(anchor)
    rest = replace(ROOFLINE, anchors=tuple(a for a in ROOFLINE.anchors if _group(a) != group))
    assert 0 < len(rest.anchors) < len(ROOFLINE.anchors)
    cases = [case_of(a) for a in ROOFLINE.anchors if _group(a) == group and a in anchors][:6]
    direct, blocks = expected_errors(cases, rest), expected_errors(cases, ROOFLINE, unseen=True)
    for name in ("offline", "tpot", "ttft"):
        assert getattr(blocks, name) == pytest.approx(getattr(direct, name), abs=1e-6)
        width = f"{name}_deviation"
        assert getattr(blocks, width) == pytest.approx(getattr(direct, width), abs=1e-6)


def _group(anchor: Anchor) -> tuple[object, ...]:
    case = case_of(anchor)
    return (shape_of(case.architecture), case.gpu.id, case.precision)


def test_a_row_with_a_fault_teaches_nothing() -> None:
    assert all(not anchor.measurement.fault for anchor in ROOFLINE.anchors)
