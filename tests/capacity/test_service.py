"""The service model: exact where it must be, and close to the measurements it was fitted to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.capacity.service import Service, fit_service, stated_service
from breakeven.catalog.hardware import Measurement
from breakeven.sources.catalogue import load_book

positive = st.floats(1e-7, 1e-3)
LENGTHS = [(128, 128), (128, 2048), (2048, 128), (2048, 2048), (1000, 1000), (5000, 500)]


def _measured(isl: float, osl: float, output_tokens_per_s: float) -> Measurement:
    return Measurement(
        model="m",
        gpu="g",
        gpus=1,
        precision="fp8",
        engine="e",
        isl_tokens=int(isl),
        osl_tokens=int(osl),
        output_tokens_per_s=output_tokens_per_s,
        basis="measured-max-throughput",
        source="s",
    )


@settings(max_examples=50, deadline=None)
@given(a=positive, b=positive, c=st.floats(1e-10, 1e-7))
def test_a_fit_finds_the_coefficients_that_made_the_measurements(a: float, b: float, c: float) -> None:
    truth = Service(input_node_seconds=a, output_node_seconds=b, kv_node_seconds=c, basis="made up")
    fitted = fit_service([_measured(i, o, truth.output_tokens_per_s(i, o)) for i, o in LENGTHS], basis="made up")
    for isl, osl in [(700, 300), (3000, 1500)]:
        assert fitted.output_tokens_per_s(isl, osl) == pytest.approx(truth.output_tokens_per_s(isl, osl), rel=1e-4)


def test_the_work_of_many_requests_is_the_sum_of_the_work_of_each() -> None:
    service = Service(input_node_seconds=1e-5, output_node_seconds=2e-5, kv_node_seconds=3e-8, basis="made up")
    requests = [(100, 10), (4000, 20), (30, 900)]
    one_by_one = sum(osl / service.output_tokens_per_s(isl, osl) for isl, osl in requests)
    together = service.node_seconds(
        input_tokens=sum(i for i, _ in requests),
        output_tokens=sum(o for _, o in requests),
        input_output_tokens2=sum(i * o for i, o in requests),
        output_output_tokens2=sum(o * o for _, o in requests),
    )
    assert together == pytest.approx(one_by_one, rel=1e-12)


def test_two_copies_in_a_node_halve_the_work() -> None:
    service = stated_service(output_tokens_per_s=1000, basis="stated")
    assert service.replicated(2).output_tokens_per_s(10, 10) == pytest.approx(2000)


def test_output_and_total_throughput_differ_by_the_ratio() -> None:
    """At 3:1 a thousand total tokens/s are 250 output tokens/s: the factor of four of 002."""
    total = stated_service(total_tokens_per_s=1000, basis="stated")
    assert total.output_tokens_per_s(300, 100) == pytest.approx(250)
    with pytest.raises(ValueError, match="either in output"):
        stated_service(basis="both missing")


def test_fewer_lengths_than_coefficients_are_refused() -> None:
    with pytest.raises(ValueError, match="got 3"):
        fit_service([_measured(i, o, 100) for i, o in LENGTHS[:3]], basis="too few")


def test_the_fits_of_the_catalogue_are_within_a_fifth_of_their_own_points_at_the_median() -> None:
    """In sample; what an unseen length costs is measured by ``make bench-service``."""
    groups: dict[tuple[str, str, int, str, str], list[Measurement]] = {}
    for item in load_book().measurements:
        if item.basis == "measured-max-throughput" and item.concurrency_count is None:
            groups.setdefault((item.model, item.gpu, item.gpus, item.precision, item.engine), []).append(item)
    fits = [fit_service(points, basis="table") for points in groups.values() if len(points) >= 4]
    assert len(fits) > 40
    assert all(fit.fit_error_fraction is not None and fit.fit_error_fraction < 0.2 for fit in fits)
