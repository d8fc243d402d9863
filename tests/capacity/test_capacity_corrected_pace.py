"""A corrected pace takes the times that are predicted, at the loads it is corrected at and between, seen or not."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pytest

from breakeven.capacity.corrected_pace import LOADS, as_measured, corrected_pace
from breakeven.capacity.estimate import MIDDLING_REQUESTS, Deployment, estimate
from breakeven.capacity.likeness import case_of, shape_of
from breakeven.capacity.pace import pace_of
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline

if TYPE_CHECKING:
    from breakeven.catalog.roofline import Anchor, Roofline

BOOK = load_book()
ROOFLINE = load_roofline()
SERVED = Deployment(model=BOOK.model("llama-3.1-70b"), gpu=BOOK.gpu("b200-sxm"), gpus=1, precision="fp4", engine="vllm")
MEASURED = (
    ("llama-3.1-70b", "b200-sxm", "vllm", 8192),
    ("deepseek-r1", "h200-sxm", "tensorrt-llm", 1024),
    ("gpt-oss-120b", "h100-sxm", "vllm 0.18.0", 1024),
    ("deepseek-r1", "b200-sxm", "tensorrt-llm 1.2.0rc6.post2", 8192),
)
"""Deployments of four kinds, with the input of the rows to judge by."""


def _times(deployment: Deployment, isl: int, osl: int, clients: int) -> tuple[float, float, float]:
    rates = estimate(deployment, ROOFLINE, isl_tokens=isl, osl_tokens=osl, concurrency_count=clients).rates
    assert rates is not None
    assert rates.ttft_ms
    assert rates.tpot_ms
    return rates.ttft_ms.likely / 1e3, rates.tpot_ms.likely / 1e3, rates.output_tokens_per_s.likely


@pytest.mark.parametrize(("isl", "osl"), [(1024, 1024), (8192, 1024), (300, 2000)])
def test_loops_of_a_corrected_pace_take_the_times_that_are_predicted(isl: int, osl: int) -> None:
    pace = corrected_pace(SERVED, ROOFLINE, isl_tokens=isl, osl_tokens=osl)
    for clients in (*LOADS, 32):
        ttft_s, tpot_s, _ = _times(SERVED, isl, osl, clients)
        loop = as_measured(pace, isl, osl, clients)
        assert loop.ttft_s == pytest.approx(ttft_s, rel=0.25)
        assert loop.tpot_s == pytest.approx(tpot_s, rel=0.1)


def test_the_throughput_of_a_full_node_is_the_one_that_is_predicted() -> None:
    pace = corrected_pace(SERVED, ROOFLINE, isl_tokens=1024, osl_tokens=1024)
    clients = int(MIDDLING_REQUESTS)
    loop = as_measured(pace, 1024, 1024, clients)
    written = clients * 0.9 * 1024 / (loop.ttft_s + 0.9 * 1024 * loop.tpot_s)
    assert written == pytest.approx(_times(SERVED, 1024, 1024, clients)[2], rel=0.1)


def _anchors(name: tuple[str, str, str, int]) -> list[Anchor]:
    model, gpu, engine, isl = name
    rows = [anchor for anchor in ROOFLINE.anchors if anchor.measurement.source == "inferencex"]
    rows = [anchor for anchor in rows if (anchor.measurement.model, anchor.measurement.gpu) == (model, gpu)]
    rows = [anchor for anchor in rows if anchor.measurement.engine == engine and anchor.measurement.isl_tokens == isl]
    first = rows[0].measurement
    return [
        anchor
        for anchor in rows
        if (anchor.measurement.gpus, anchor.measurement.osl_tokens) == (first.gpus, first.osl_tokens)
        and anchor.measurement.precision == first.precision
        and (anchor.measurement.concurrency_count or 0) in LOADS
    ]


def _without_group(anchor: Anchor) -> Roofline:
    def group(item: Anchor) -> tuple[object, ...]:
        return shape_of(item.architecture), item.gpu.id, case_of(item).precision

    return replace(ROOFLINE, anchors=tuple(item for item in ROOFLINE.anchors if group(item) != group(anchor)))


def test_measured_loops_are_met_better_even_where_their_group_is_unknown() -> None:
    """Median error of TTFT over four kinds of deployment: uncorrected, unseen, as used."""
    errors: list[list[float]] = [[], [], []]
    for name in MEASURED:
        rows = _anchors(name)
        first = rows[0].measurement
        deployment = Deployment(
            model=BOOK.model(first.model),
            gpu=rows[0].gpu,
            gpus=first.gpus,
            precision=case_of(rows[0]).precision,
            engine=first.engine,
        )
        isl, osl = first.isl_tokens, first.osl_tokens
        unseen = _without_group(rows[0])
        paces = (
            pace_of(deployment, ROOFLINE),
            corrected_pace(deployment, unseen, isl_tokens=isl, osl_tokens=osl),
            corrected_pace(deployment, ROOFLINE, isl_tokens=isl, osl_tokens=osl),
        )
        for anchor in rows:
            assert anchor.measurement.ttft_ms
            clients = int(anchor.measurement.concurrency_count or 1)
            for found, pace in zip(errors, paces, strict=True):
                found.append(abs(1000 * as_measured(pace, isl, osl, clients).ttft_s / anchor.measurement.ttft_ms - 1))
    plain, unseen_error, used = (median(found) for found in errors)
    assert used < unseen_error < plain
    assert unseen_error < 0.25


def test_a_slower_first_token_is_a_slower_prompt_and_not_a_slower_iteration() -> None:
    def twice(anchor: Anchor) -> Anchor:
        row = anchor.measurement
        return replace(anchor, measurement=replace(row, ttft_ms=row.ttft_ms and 2 * row.ttft_ms))

    late = replace(ROOFLINE, anchors=tuple(twice(anchor) for anchor in ROOFLINE.anchors))
    usual, slower = (corrected_pace(SERVED, known, isl_tokens=1024, osl_tokens=1024) for known in (ROOFLINE, late))
    assert slower.prompt_ratio * slower.token_s > 1.4 * usual.prompt_ratio * usual.token_s
    assert slower.base_s == pytest.approx(usual.base_s, rel=0.15)


def test_what_a_node_holds_is_not_corrected() -> None:
    plain, pace = pace_of(SERVED, ROOFLINE), corrected_pace(SERVED, ROOFLINE, isl_tokens=1024, osl_tokens=128)
    assert (pace.kv_tokens, pace.max_requests, pace.chunk_tokens) == (
        plain.kv_tokens,
        plain.max_requests,
        plain.chunk_tokens,
    )
    assert all(np.asarray(term).min() > 0 for term in (pace.base_s, pace.token_s, pace.weights_s[1:], pace.request_s))


def test_requests_longer_than_the_cache_leave_the_pace_as_it_is() -> None:
    plain = pace_of(SERVED, ROOFLINE)
    assert corrected_pace(SERVED, ROOFLINE, isl_tokens=plain.kv_tokens, osl_tokens=1).base_s == plain.base_s


def test_a_single_token_in_and_out_has_a_pace_too() -> None:
    pace = corrected_pace(SERVED, ROOFLINE, isl_tokens=1.0, osl_tokens=1.0)
    assert 0 < pace.request_s < 1


def test_a_model_that_does_not_fit_is_refused() -> None:
    small = replace(SERVED, gpu=BOOK.gpu("A10G"), precision="bf16")
    with pytest.raises(ValueError, match="does not fit"):
        corrected_pace(small, ROOFLINE, isl_tokens=1024, osl_tokens=1024)
