"""Estimates: what is measured wins, what does not fit has no speed, and the verdict's service follows the roofline."""

from __future__ import annotations

from dataclasses import replace

import pytest

from breakeven.capacity.estimate import (
    MIDDLING_REQUESTS,
    Deployment,
    calibrated,
    estimate,
    roofline_service,
    speed_interval,
    with_measurements,
)
from breakeven.capacity.service import MIN_POINTS
from breakeven.catalog.hardware import Measurement
from breakeven.quantities import Interval
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline

BOOK = load_book()
ROOFLINE = load_roofline()
SERVED = Deployment(
    model=BOOK.model("llama-3.1-70b"), gpu=BOOK.gpu("h100-sxm"), gpus=2, precision="fp8", engine="vllm 0.19"
)
TOO_LARGE = replace(SERVED, model=BOOK.model("llama-3.1-405b"))
MEASURED_RATIO = Interval(low=0.9, likely=1.0, high=1.1)


def _measured(isl: int, osl: int, output_tokens_per_s: float) -> Measurement:
    return Measurement(
        model="llama-3.1-70b",
        gpu="h100-sxm",
        gpus=2,
        precision="fp8",
        engine="vllm 0.19",
        isl_tokens=isl,
        osl_tokens=osl,
        output_tokens_per_s=output_tokens_per_s,
        basis="measured-max-throughput",
        source="your own",
        ttft_ms=123.0,
        tpot_ms=11.0,
    )


def test_an_estimate_has_intervals_around_the_roofline() -> None:
    rates = estimate(SERVED, ROOFLINE, isl_tokens=1024, osl_tokens=512, concurrency_count=16).rates
    assert rates is not None
    for value in (rates.ttft_ms, rates.tpot_ms, rates.output_tokens_per_s):
        assert value is not None
        assert value.low < value.likely < value.high
    assert rates.requests_per_s.likely == pytest.approx(rates.output_tokens_per_s.likely / 512)
    assert rates.running_requests == 16


def test_what_does_not_fit_has_reasons_and_no_speed() -> None:
    found = estimate(TOO_LARGE, ROOFLINE, isl_tokens=1024, osl_tokens=512)
    assert found.rates is None
    assert "needs 406 GB for weights alone" in found.memory.reasons[0]
    assert roofline_service(TOO_LARGE, ROOFLINE) is None


def test_a_queue_that_never_empties_has_a_throughput_and_no_latency() -> None:
    rates = estimate(SERVED, ROOFLINE, isl_tokens=1024, osl_tokens=512).rates
    assert rates is not None
    assert (rates.ttft_ms, rates.tpot_ms) == (None, None)


def test_measurements_win_over_the_roofline() -> None:
    rows = [_measured(1024, 512, rate) for rate in (900.0, 1000.0, 1300.0)]
    rates = estimate(SERVED, ROOFLINE, isl_tokens=1024, osl_tokens=512, concurrency_count=16, measured=rows).rates
    assert rates is not None
    assert (rates.output_tokens_per_s.likely, rates.rung) == (1000, "measured")
    assert rates.output_tokens_per_s.low < 900
    assert rates.output_tokens_per_s.high > 1300
    assert rates.tpot_ms is not None
    assert rates.tpot_ms.likely == 11
    assert rates.tpot_ms.low < 11 < rates.tpot_ms.high
    assert rates.basis == "3 measurement(s): your own, vllm 0.19"


def test_measurements_of_the_deployment_elsewhere_correct_what_is_estimated() -> None:
    """Four throughputs, half of what the catalogue expects: the estimate between them falls, and is surer."""
    new = replace(SERVED, gpu=BOOK.gpu("mi300x"))
    known = estimate(new, ROOFLINE, isl_tokens=1024, osl_tokens=512).rates
    assert known is not None
    assert known.rung == "estimated"
    rows = []
    for isl, osl in ((512, 512), (1024, 256), (2048, 512), (1024, 1024)):
        rates = estimate(new, ROOFLINE, isl_tokens=isl, osl_tokens=osl).rates
        assert rates is not None
        half = rates.output_tokens_per_s.likely * 0.6
        rows.append(replace(_measured(isl, osl, half), gpu="mi300x", ttft_ms=None, tpot_ms=None))
    found = estimate(new, with_measurements(ROOFLINE, new, rows), isl_tokens=1024, osl_tokens=512).rates
    assert found is not None
    assert found.rung == "nearby"
    assert "corrected by 4 of this deployment at other lengths or loads (your own)" in found.basis
    assert found.output_tokens_per_s.likely < 0.8 * known.output_tokens_per_s.likely
    assert _width(found.output_tokens_per_s) < _width(known.output_tokens_per_s)


def _width(value: Interval) -> float:
    return (value.high - value.low) / value.likely


def test_what_the_prefix_cache_holds_is_not_computed_again() -> None:
    shares = (0.0, 0.3, 0.6, 0.9)
    found = [
        estimate(SERVED, ROOFLINE, isl_tokens=4000, osl_tokens=200, concurrency_count=8, cached_tokens=4000 * share)
        for share in shares
    ]
    first = [item.rates.ttft_ms.likely for item in found if item.rates and item.rates.ttft_ms]
    output = [item.rates.output_tokens_per_s.likely for item in found if item.rates]
    assert first == sorted(first, reverse=True)
    assert output == sorted(output)
    assert first[-1] > 0


def test_the_basis_names_what_was_never_measured() -> None:
    new = replace(SERVED, gpu=BOOK.gpu("mi300x"), engine="tgi")
    rates = estimate(new, ROOFLINE, isl_tokens=1024, osl_tokens=512).rates
    assert rates is not None
    assert rates.basis.endswith("none of mi300x or tgi")


def test_the_service_follows_the_roofline_over_lengths() -> None:
    found = roofline_service(SERVED, ROOFLINE)
    assert found is not None
    assert found.service.fit_error_fraction is not None
    assert found.service.fit_error_fraction < 0.1
    for isl, osl in ((300, 200), (1500, 400), (6000, 1000)):
        rates = estimate(SERVED, ROOFLINE, isl_tokens=isl, osl_tokens=osl).rates
        assert rates is not None
        predicted = rates.output_tokens_per_s.likely / found.throughput_ratio.likely
        assert found.service.output_tokens_per_s(isl, osl) == pytest.approx(predicted, rel=0.2)


def test_the_less_was_measured_of_a_deployment_the_wider_its_interval() -> None:
    def interval(deployment: Deployment) -> Interval:
        found = roofline_service(deployment, ROOFLINE)
        assert found is not None
        return found.throughput_ratio

    steps = [replace(SERVED, engine="ollama"), replace(SERVED, engine="ollama", gpu=BOOK.gpu("mi300x"))]
    known, engine_new, both_new = map(interval, [SERVED, *steps])
    assert _width(known) < _width(engine_new) < _width(both_new)


def test_a_simulated_node_is_scaled_within_what_is_estimated() -> None:
    """Likely as estimated; slow and fast lie within the 90 % interval of the throughput at a middling load."""
    band = speed_interval(SERVED, ROOFLINE, isl_tokens=1024, osl_tokens=512)
    assert band.low < band.likely == 1 < band.high
    rates = estimate(SERVED, ROOFLINE, isl_tokens=1024, osl_tokens=512, concurrency_count=MIDDLING_REQUESTS).rates
    assert rates is not None
    output = rates.output_tokens_per_s
    assert output.likely * band.low > output.low
    assert output.likely * band.high < output.high


def test_one_measurement_scales_the_roofline_and_keeps_its_shape() -> None:
    shape = roofline_service(SERVED, ROOFLINE)
    assert shape is not None
    twice = 2 * shape.service.output_tokens_per_s(1024, 512)
    found = calibrated(shape, [_measured(1024, 512, twice)], MEASURED_RATIO)
    for isl, osl in ((1024, 512), (100, 3000)):
        expected = 2 * shape.service.output_tokens_per_s(isl, osl)
        assert found.service.output_tokens_per_s(isl, osl) == pytest.approx(expected)
    assert found.throughput_ratio == MEASURED_RATIO
    assert "scaled by 2.00 to 1 measured length(s) of your own" in found.service.basis


def test_enough_measurements_replace_the_roofline_altogether() -> None:
    shape = roofline_service(SERVED, ROOFLINE)
    assert shape is not None
    points = [_measured(isl, osl, 100.0) for isl, osl in ((128, 128), (500, 500), (1000, 100), (2000, 300))]
    assert len(points) == MIN_POINTS
    found = calibrated(shape, points, MEASURED_RATIO)
    assert found.service.output_tokens_per_s(700, 200) == pytest.approx(100, rel=0.01)
    assert found.service.basis == "4 measured lengths of your own"
    assert calibrated(shape, [], MEASURED_RATIO) == shape
