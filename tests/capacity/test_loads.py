"""A deployment against its load: nothing gets faster in company, and a looser SLO never serves less."""

from __future__ import annotations

from dataclasses import replace

import pytest

from breakeven.capacity.estimate import Deployment
from breakeven.capacity.loads import Slo, doublings, largest_batch, loads_of, within
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline

BOOK = load_book()
ROOFLINE = load_roofline()
SERVED = Deployment(
    model=BOOK.model("llama-3.1-70b"), gpu=BOOK.gpu("h100-sxm"), gpus=2, precision="fp8", engine="vllm 0.19"
)
CASE = SERVED.case(ROOFLINE, isl_tokens=1024, osl_tokens=512)


def test_the_loads_are_doublings_up_to_all_that_fit() -> None:
    counts = doublings(CASE, ROOFLINE)
    assert counts[:4] == (1, 2, 4, 8)
    assert counts[-1] == largest_batch(CASE, ROOFLINE)
    assert list(counts) == sorted(set(counts))


@pytest.mark.parametrize("name", ["llama-3.1-8b", "qwen3-235b-a22b", "deepseek-r1"])
def test_times_never_fall_with_company(name: str) -> None:
    served = replace(SERVED, model=BOOK.model(name), gpus=8, gpu=BOOK.gpu("h200-sxm"))
    case = served.case(ROOFLINE, isl_tokens=2000, osl_tokens=300)
    loads = loads_of(case, ROOFLINE, doublings(case, ROOFLINE))
    for figure in ("ttft_ms", "tpot_ms"):
        likely = [getattr(load, figure).likely for load in loads]
        assert likely == pytest.approx(sorted(likely), rel=0.02)
    for load in loads:
        assert load.output_tokens_per_s.low < load.output_tokens_per_s.likely < load.output_tokens_per_s.high


def test_a_looser_slo_never_serves_less() -> None:
    found = [within(CASE, ROOFLINE, Slo(tpot_ms=limit)) for limit in (5, 20, 30, 50, 80, 1000)]
    assert found[0] is None
    served = [load.concurrency_count for load in found if load]
    assert served == sorted(served)
    assert served[-1] == largest_batch(CASE, ROOFLINE)


def test_both_limits_count() -> None:
    by_tpot = within(CASE, ROOFLINE, Slo(tpot_ms=40))
    both = within(CASE, ROOFLINE, Slo(tpot_ms=40, ttft_ms=250))
    assert by_tpot is not None
    assert both is not None
    assert both.concurrency_count < by_tpot.concurrency_count
    assert both.ttft_ms.likely <= 250
    assert within(CASE, ROOFLINE, Slo(ttft_ms=0.001)) is None


def test_what_does_not_fit_has_no_loads() -> None:
    case = replace(SERVED, model=BOOK.model("llama-3.1-405b")).case(ROOFLINE, isl_tokens=1024, osl_tokens=512)
    assert largest_batch(case, ROOFLINE) == 0
    assert loads_of(case, ROOFLINE, doublings(case, ROOFLINE)) == ()
    assert within(case, ROOFLINE, Slo()) is None
