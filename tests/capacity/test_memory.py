"""Memory: what weights, KV cache and reserve take, and the claims of the seed articles about what fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.capacity.memory import Memory, fits, in_flight_tokens, kv_bytes, stored_bytes
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline

BOOK = load_book()
SHAPES = load_roofline().architectures
GB = 1e9


def _fits(model: str, gpu: str, gpus: int, precision: str, held_tokens: float = 1500) -> Memory:
    return fits(SHAPES[model], BOOK.gpu(gpu), gpus=gpus, precision=precision, held_tokens=held_tokens)


def test_70b_at_16_bits_leaves_a_few_gb_of_two_a100s_for_the_kv_cache() -> None:
    """Seed 002 counts on 800 to 1,200 tokens/s there; five requests of 1,500 tokens are all that have room."""
    memory = _fits("llama-3.1-70b", "a100-80gb-sxm", 2, "fp16")
    assert memory.weights_gb == pytest.approx(141.1, abs=0.1)
    assert memory.usable_gb == pytest.approx(144)
    assert 2.5 < memory.free_gb < 4
    assert memory.concurrent_requests == 5
    assert memory.fits


@pytest.mark.parametrize(
    ("gpu", "gpus", "precision", "is_enough"),
    [
        ("a100-80gb-sxm", 8, "fp16", False),
        ("a100-80gb-sxm", 8, "int8", True),
        ("h100-sxm", 4, "fp8", False),
        ("h100-sxm", 4, "int4", True),
        ("h200-sxm", 8, "fp8", True),
    ],
)
def test_405b_fits_where_the_claims_say_that_it_does(gpu: str, gpus: int, precision: str, is_enough: bool) -> None:
    assert _fits("llama-3.1-405b", gpu, gpus, precision).fits is is_enough


def test_what_does_not_fit_says_why_with_values_and_what_to_do() -> None:
    reasons = _fits("llama-3.1-405b", "a100-80gb-sxm", 8, "fp16").reasons
    assert reasons == (
        "needs 812 GB for weights alone; 8x NVIDIA A100 SXM 80 GB has 640 GB of which 576 usable",
        "take more GPUs or a lower precision",
    )
    long = _fits("llama-3.1-70b", "a100-80gb-sxm", 2, "fp16", held_tokens=100_000)
    assert not long.fits
    assert long.reasons[0].startswith("needs 141 GB for weights + 32.8 GB for the KV cache of one request of 100,000")


def test_the_memory_adds_up() -> None:
    memory = _fits("qwen3-32b", "h100-sxm", 2, "fp8")
    assert memory.usable_gb + memory.reserve_gb == pytest.approx(memory.node_gb)
    assert memory.free_gb + memory.weights_gb == pytest.approx(memory.usable_gb)
    assert memory.kv_gb * memory.concurrent_requests <= memory.free_gb < memory.kv_gb * (memory.concurrent_requests + 1)
    assert memory.reasons == ()


def test_a_small_gpu_keeps_back_what_activations_need_rather_than_a_share() -> None:
    memory = _fits("llama-3.1-70b", "t4", 1, "int4")
    assert memory.reserve_gb > 0.1 * memory.node_gb
    assert memory.reserve_gb == pytest.approx(memory.activations_gb + 1)


def test_the_largest_request_just_fits_and_one_token_more_does_not() -> None:
    for model in ("llama-3.1-70b", "gpt-oss-120b", "deepseek-r1"):
        memory = _fits(model, "h200-sxm", 8, "fp8")
        one = memory.largest_request_tokens
        size = [kv_bytes(SHAPES[model], n, gpus=8, element_bytes=1) / GB for n in (one, one + 1)]
        assert size[0] <= memory.free_gb < size[1]


def test_kv_bytes_of_grouped_queries_are_heads_times_size_times_two() -> None:
    assert kv_bytes(SHAPES["llama-3.1-70b"], 1, gpus=1, element_bytes=2) == 80 * 8 * 128 * 2 * 2


def test_kv_heads_are_copied_when_there_are_more_gpus_than_heads() -> None:
    shape = SHAPES["qwen3-235b-a22b"]
    one, four, eight = (kv_bytes(shape, 1000, gpus=n, element_bytes=2) for n in (1, 4, 8))
    assert one == four
    assert eight == 2 * one


def test_a_latent_is_copied_to_every_gpu_unless_attention_splits_the_requests() -> None:
    shape = SHAPES["deepseek-r1"]
    one = kv_bytes(shape, 1000, gpus=1, element_bytes=1)
    assert one == 61 * 576 * 1000
    assert kv_bytes(shape, 1000, gpus=8, element_bytes=1) == 8 * one
    assert kv_bytes(shape, 1000, gpus=8, element_bytes=1, splits_requests=True) == one


def test_a_sliding_window_layer_holds_its_window_at_most() -> None:
    shape = SHAPES["gpt-oss-120b"]
    grown = kv_bytes(shape, 1129, gpus=1, element_bytes=1) - kv_bytes(shape, 1128, gpus=1, element_bytes=1)
    assert grown == 18 * 2 * 8 * 64
    assert kv_bytes(shape, 100, gpus=1, element_bytes=1) == 100 * 36 * 2 * 8 * 64


def test_the_experts_of_a_mixture_follow_from_its_totals() -> None:
    """R in active = total - R + R k/E, against experts counted from gpt-oss-120b's own shape."""
    assert SHAPES["gpt-oss-120b"].expert_parameters == pytest.approx(36 * 128 * 3 * 2880 * 2880, rel=0.01)
    assert SHAPES["llama-3.1-8b"].expert_parameters == 0


def test_a_mixture_at_4_bits_keeps_all_but_its_routed_experts_at_16() -> None:
    shape = SHAPES["gpt-oss-120b"]
    experts, rest = stored_bytes(shape, "fp4")
    assert rest == pytest.approx(2 * (shape.total_parameters - shape.expert_parameters))
    assert (experts + rest) / GB == pytest.approx(65, rel=0.1), "gpt-oss-120b's checkpoint has 65 GB"


REQUESTS = st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 3000)), min_size=1, max_size=6)


@given(REQUESTS)
def test_the_mean_held_in_flight_is_that_of_all_steps_of_all_requests(requests: list[tuple[int, int]]) -> None:
    steps = [i + k + 0.5 for i, o in requests for k in range(o)]
    mean = in_flight_tokens(
        sum(o for _, o in requests), sum(i * o for i, o in requests), sum(o * o for _, o in requests)
    )
    assert mean == pytest.approx(sum(steps) / len(steps))


@given(st.floats(1, 50_000), st.floats(1, 50_000))
def test_longer_requests_never_leave_room_for_more_of_them(first: float, second: float) -> None:
    short, long = sorted((first, second))
    room = [_fits("llama-3.1-70b", "h100-sxm", 2, "fp8", held).concurrent_requests for held in (short, long)]
    assert room[1] <= room[0]


def test_more_memory_never_holds_less() -> None:
    gpu = BOOK.gpu("h100-sxm")
    shape = SHAPES["llama-3.1-70b"]
    room = [
        fits(shape, replace(gpu, memory_gb=gb), gpus=2, precision="fp8", held_tokens=2000).concurrent_requests
        for gb in (40, 60, 80, 120, 192)
    ]
    assert room == sorted(room)
