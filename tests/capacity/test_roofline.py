"""The roofline: limits that follow from its formulas, and what must never be the other way round."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.capacity.roofline import Case, Speed, requests_that_fit, speed, touched_fraction, work_of
from breakeven.catalog.roofline import EngineRates, Rates
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline

if TYPE_CHECKING:
    from breakeven.catalog.hardware import Gpu

BOOK = load_book()
ROOFLINE = load_roofline()
H100 = BOOK.gpu("h100-sxm")
MODELS = ("llama-3.1-8b", "llama-3.1-70b", "qwen3-235b-a22b", "gpt-oss-120b", "deepseek-r1")
IDEAL = EngineRates(engine="ideal", step_ratio=1.0, prefill_ratio=1.0)
NEGLIGIBLE = 1e-12


def _case(model: str = "llama-3.1-70b", gpu: Gpu = H100, gpus: int = 4, **more: float | None) -> Case:
    stated = {"isl_tokens": 1024.0, "osl_tokens": 512.0, "concurrency_count": 16.0, **more}
    return Case(
        architecture=ROOFLINE.architectures[model],
        gpu=gpu,
        gpus=gpus,
        precision="fp4" if model.startswith("gpt-oss") else "fp8",
        engine="vllm",
        **stated,  # type: ignore[arg-type]
    )


def _speed(*cases: Case, rates: Rates = ROOFLINE.rates, engine: EngineRates | None = None) -> Speed:
    engines = [engine or ROOFLINE.engine_rates(case.engine) for case in cases]
    return speed(work_of(cases, ROOFLINE), rates, engines)


def _without(*names: str) -> Rates:
    """Return rates whose overheads are gone, and whose other bounds lie infinitely high but for these."""
    gone = {item.name: NEGLIGIBLE if item.name.endswith("_us") else 1 / NEGLIGIBLE for item in fields(Rates)}
    gone |= {"activation_ratio": NEGLIGIBLE, "dispatch_ratio": NEGLIGIBLE}
    return Rates(**(gone | {name: getattr(ROOFLINE.rates, name) for name in names}))


def test_a_lone_step_takes_the_time_to_read_the_weights() -> None:
    """weights / (bandwidth x share reached), on each of the GPUs that split them."""
    found = _speed(_case(gpus=4, concurrency_count=1), rates=_without("weight_read_ratio"), engine=IDEAL)
    ideal = 70.553706496e9 / 4 / (3350e9 * ROOFLINE.rates.weight_read_ratio)
    assert found.step_s[0] == pytest.approx(ideal, rel=1e-6)
    assert found.tpot_s[0] == found.step_s[0]


def test_a_prompt_takes_two_operations_a_parameter_and_token_and_its_attention() -> None:
    rates = _without("compute_8bit_ratio", "attention_compute_ratio")
    found = _speed(_case(gpus=1, isl_tokens=4096), rates=rates, engine=IDEAL)
    products = 2 * 70.553706496e9 * 4096 / (1979e12 * rates.compute_8bit_ratio)
    attention = 4 * 64 * 128 * 80 * 4096**2 / 2 / (989e12 * rates.attention_compute_ratio)
    assert found.prefill_s[0] == pytest.approx(products + attention, rel=1e-6)


def test_a_step_reads_the_kv_cache_of_every_request() -> None:
    found = _speed(
        _case(gpus=1, concurrency_count=1),
        _case(gpus=1, concurrency_count=5),
        rates=_without("kv_read_ratio"),
        engine=IDEAL,
    )
    one = 80 * 8 * 128 * 2 * (1024 + 256) / (3350e9 * ROOFLINE.rates.kv_read_ratio)
    assert found.step_s == pytest.approx([one, 5 * one], rel=1e-6)


def test_steady_throughput_is_concurrency_over_the_time_of_a_request() -> None:
    found = _speed(_case(concurrency_count=8))
    request_s = found.ttft_s[0] + 511 * found.tpot_s[0]
    assert found.output_tokens_per_s[0] == pytest.approx(8 * 512 / request_s)


def test_the_experts_touched_are_those_of_independent_choices() -> None:
    """Against throwing: 8 of 128 experts a token, 32 tokens."""
    rng = np.random.default_rng(3)
    thrown = [len({e for _ in range(32) for e in rng.choice(128, 8, replace=False)}) for _ in range(300)]
    assert touched_fraction(np.array([8 / 128]), np.array([32.0]))[0] == pytest.approx(np.mean(thrown) / 128, rel=0.01)
    assert touched_fraction(np.array([1.0, 0.25]), np.array([1.0, 1.0])) == pytest.approx([1.0, 0.25])


def test_a_mixture_reads_more_of_its_weights_as_more_requests_run() -> None:
    rates = _without("weight_read_ratio", "expert_read_ratio")
    steps = _speed(
        *(_case("qwen3-235b-a22b", gpus=8, concurrency_count=c) for c in (1, 8, 64)), rates=rates, engine=IDEAL
    ).step_s
    assert steps[0] < steps[1] < steps[2]
    whole = 235.09363456e9 / 8 / 3350e9
    assert steps[2] < whole / min(rates.weight_read_ratio, rates.expert_read_ratio)


def test_a_node_that_cannot_run_all_at_once_makes_them_wait() -> None:
    case = _case("llama-3.1-70b", gpus=1, concurrency_count=200)
    fit = requests_that_fit(case, ROOFLINE)
    assert 1 < fit < 200
    found = _speed(case, _case("llama-3.1-70b", gpus=1, concurrency_count=fit))
    assert found.running[0] == pytest.approx(fit)
    assert found.tpot_s[0] == pytest.approx(found.tpot_s[1])
    assert found.ttft_s[0] > found.ttft_s[1] + 512 * found.tpot_s[1]


@pytest.mark.parametrize("name", ["memory_gb_per_s", "bf16_tflops", "fp8_tflops", "memory_gb"])
@given(model=st.sampled_from(MODELS), better=st.floats(1.01, 5), isl=st.integers(16, 20_000), osl=st.integers(2, 8000))
def test_a_better_gpu_is_never_slower(name: str, model: str, better: float, isl: int, osl: int) -> None:
    gpu = BOOK.gpu("h200-sxm")
    raised = replace(gpu, **{name: getattr(gpu, name) * better})
    for concurrency in (None, 32.0):
        case = _case(model, gpu, 8, isl_tokens=isl, osl_tokens=osl, concurrency_count=concurrency)
        found = _speed(case, replace(case, gpu=raised))
        assert found.output_tokens_per_s[1] >= found.output_tokens_per_s[0] * (1 - 1e-9)
        if name != "memory_gb":
            assert found.ttft_s[1] <= found.ttft_s[0] * (1 + 1e-9)
            assert found.tpot_s[1] <= found.tpot_s[0] * (1 + 1e-9)


@given(
    model=st.sampled_from(MODELS), isl=st.integers(16, 10_000), osl=st.integers(2, 4000), longer=st.integers(1, 9000)
)
def test_a_longer_request_never_takes_less_time(model: str, isl: int, osl: int, longer: int) -> None:
    gpu = BOOK.gpu("h200-sxm")
    base, more_in, more_out = (
        _case(model, gpu, 8, isl_tokens=i, osl_tokens=o)
        for i, o in ((isl, osl), (isl + longer, osl), (isl, osl + longer))
    )
    found = _speed(base, more_in, more_out)
    taken = found.ttft_s + (np.array([osl, osl, osl + longer]) - 1) * found.tpot_s
    assert (taken[1:] >= taken[0] * (1 - 1e-9)).all()


@given(model=st.sampled_from(MODELS), few=st.integers(1, 200), more=st.integers(1, 200))
def test_company_never_makes_a_request_faster(model: str, few: int, more: int) -> None:
    gpu = BOOK.gpu("h200-sxm")
    found = _speed(*(_case(model, gpu, 8, concurrency_count=c) for c in (few, few + more)))
    assert found.tpot_s[1] >= found.tpot_s[0]
    assert found.ttft_s[1] >= found.ttft_s[0]


@given(model=st.sampled_from(MODELS), isl=st.integers(16, 20_000), osl=st.integers(1, 8000), count=st.integers(1, 500))
def test_times_are_finite_and_above_zero(model: str, isl: int, osl: int, count: int) -> None:
    for concurrency in (None, float(count)):
        found = _speed(
            _case(model, BOOK.gpu("h200-sxm"), 8, isl_tokens=isl, osl_tokens=osl, concurrency_count=concurrency)
        )
        for item in fields(Speed):
            value = getattr(found, item.name)[0]
            assert np.isfinite(value), item.name
            assert value > 0, item.name


def test_cases_do_not_influence_each_other() -> None:
    cases = [_case(model, concurrency_count=c) for model in MODELS[:3] for c in (None, 4.0)]
    together = _speed(*cases)
    alone = [_speed(case) for case in cases]
    assert together.output_tokens_per_s == pytest.approx([one.output_tokens_per_s[0] for one in alone])
    assert together.ttft_s == pytest.approx([one.ttft_s[0] for one in alone])


def test_pcie_costs_more_than_nvlink_between_the_same_gpus() -> None:
    pcie = replace(H100, id="h100-over-pcie", link="pcie")
    found = _speed(_case(gpus=1), _case(gpu=pcie, gpus=1), _case(gpus=4), _case(gpu=pcie, gpus=4))
    assert found.step_s[0] == found.step_s[1]
    assert found.step_s[3] > found.step_s[2]


def test_a_gpu_without_the_arithmetic_computes_at_16_bits() -> None:
    a100 = BOOK.gpu("a100-80gb-sxm")
    found = _speed(_case(gpu=a100, isl_tokens=8192), _case(isl_tokens=8192))
    assert found.prefill_s[0] > found.prefill_s[1] * 989 / 312


@given(model=st.sampled_from(MODELS), count=st.integers(1, 200))
def test_twice_the_gpus_are_never_more_than_twice_as_fast(model: str, count: int) -> None:
    cases = [_case(model, BOOK.gpu("h200-sxm"), gpus, concurrency_count=count) for gpus in (4, 8)]
    if min(requests_that_fit(case, ROOFLINE) for case in cases) < count:
        return  # more memory lets more run at once, which may well gain more
    found = _speed(*cases)
    assert found.output_tokens_per_s[1] <= 2 * found.output_tokens_per_s[0] * (1 + 1e-9)


@given(model=st.sampled_from(MODELS), share=st.floats(0, 0.99), more=st.floats(0, 1), count=st.integers(1, 100))
def test_a_fuller_prefix_cache_never_slows_anything(model: str, share: float, more: float, count: int) -> None:
    cached = [4000 * share, 4000 * (share + (0.999 - share) * more)]
    cases = [
        _case(model, BOOK.gpu("h200-sxm"), 8, isl_tokens=4000, concurrency_count=count, cached_tokens=tokens)
        for tokens in cached
    ]
    found = _speed(*cases)
    assert found.ttft_s[1] <= found.ttft_s[0] * (1 + 1e-9)
    assert found.tpot_s[1] <= found.tpot_s[0] * (1 + 1e-9)
    assert found.ttft_s[1] > found.step_s[1]


def test_a_pipeline_reads_its_weights_stage_after_stage_and_sends_fewer_messages() -> None:
    rates = _without("weight_read_ratio")
    plain, staged = (
        _speed(_case(gpus=4, concurrency_count=1, pipeline_stage_count=stages), rates=rates, engine=IDEAL)
        for stages in (1, 4)
    )
    assert staged.step_s[0] == pytest.approx(4 * plain.step_s[0], rel=1e-6)
    links = _without("link_ratio")
    assert _speed(_case(gpus=4, pipeline_stage_count=4), rates=links, engine=IDEAL).step_s[0] < 1e-9
    assert _speed(_case(gpus=4), rates=links, engine=IDEAL).step_s[0] > 1e-6


def test_data_parallel_attention_holds_more_latent_cache_and_reads_more_weights() -> None:
    plain, apart = (_case("deepseek-r1", BOOK.gpu("b200-sxm"), 8, attention_group_count=groups) for groups in (1, 8))
    assert requests_that_fit(apart, ROOFLINE) > 4 * requests_that_fit(plain, ROOFLINE)
    work = work_of([plain, apart], ROOFLINE)
    assert work.rest_s[1] == pytest.approx(8 * work.rest_s[0])
    assert work.expert_s[1] == pytest.approx(work.expert_s[0])
    assert work.kv_s[1] == pytest.approx(work.kv_s[0] / 8)
