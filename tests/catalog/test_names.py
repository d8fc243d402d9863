"""Names as published tables write them."""

from __future__ import annotations

import pytest

from breakeven.catalog.names import engine_of, gpu_of, model_index, precision_of, size_of, squashed, typical
from breakeven.sources.catalogue import load_book
from breakeven.sources.roofline import load_roofline

BOOK = load_book()
SHAPES = load_roofline().architectures
MODELS = model_index(BOOK.models.values(), SHAPES)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("LLaMA v3.1 70B", "llama-3.1-70b"),
        ("meta-llama/Llama-3.1-70B-Instruct-FP8", "llama-3.1-70b"),
        ("meta-llama/Meta-Llama-3-8B", "llama-3.1-8b"),
        ("nvidia/Llama-3.3-70B-Instruct-FP4", "llama-3.3-70b"),
        ("MiniMaxAI/MiniMax-M2.5", "minimax-m2.5"),
        ("nvidia/DeepSeek-R1-NVFP4", "deepseek-r1"),
        ("Deepseek R1 0528", "deepseek-r1"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek-v3"),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3-235b-a22b"),
        ("Qwen/Qwen2.5-72B-Instruct-AWQ", "qwen2.5-72b"),
        ("GPT-OSS 120B", "gpt-oss-120b"),
        ("zai-org/GLM-5-FP8", "glm-5"),
        ("Mixtral 8x7B", "mixtral-8x7b"),
        ("nobody/Llama-9-1T", None),
    ],
)
def test_a_model_is_known_by_what_others_call_it(name: str, model: str | None) -> None:
    assert MODELS.get(squashed(name)) == model


@pytest.mark.parametrize(
    ("name", "gpu"),
    [
        ("H200-SXM-141GB", "h200-sxm"),
        ("b300_sxm", "b300-sxm"),
        ("H100 80GB SXM", "h100-sxm"),
        ("H100-HBM3-80GB", "h100-sxm"),
        ("NVIDIA A100 80GB PCIe", "a100-80gb-pcie"),
        ("A100-SXM4-80GB", "a100-80gb-sxm"),
        ("A100-SXM4-40GB", "a100-40gb-sxm"),
        ("L40S", "l40s"),
        ("MI300X", "mi300x"),
        ("RTX6000PRO", "rtx-pro-6000"),
        ("h100_pcie", "h100-pcie"),
        ("H100 NVL", None),
        ("GH200", None),
        ("L40", None),
        ("RTX A6000", None),
        ("abacus", None),
        ("", None),
    ],
)
def test_a_gpu_is_known_by_what_others_call_it_and_its_neighbours_are_not(name: str, gpu: str | None) -> None:
    found = gpu_of(name, BOOK.gpus)
    assert (found.id if found else None) == gpu


def test_precisions_and_engines() -> None:
    for name, precision in (
        ("FP8", "fp8"), ("nvfp4", "fp4"), ("mxfp4", "fp4"), ("w4a16", "int4"), ("int4-awq", "int4"), ("W8A8", "fp8"),
        ("INT8", "int8"), ("bfloat16", "bf16"), ("FP16", "fp16"), ("", None), ("fp32", None),
    ):  # fmt: skip
        assert precision_of(name) == precision, name
    for name, engine in (
        ("trt", "tensorrt-llm"), ("trtllm 1.0.0rc3", "tensorrt-llm 1.0.0rc3"), ("vLLM v0.10.1", "vllm 0.10.1"),
        ("TensorRT-LLM 1.1+ (PyTorch backend)", "tensorrt-llm 1.1+"), ("vllm unstated", "vllm"), ("", "unknown"),
        ("sglang nightly-dev", "sglang nightly-dev"), ("LMDeploy 0.6", "lmdeploy 0.6"),
    ):  # fmt: skip
        assert engine_of(name) == engine, name


def test_a_size_is_read_and_a_typical_shape_has_it() -> None:
    dense, mixture = size_of("70B"), size_of("230B-A10B")
    assert dense is not None
    assert mixture is not None
    assert (dense.total_parameters, dense.active_parameters) == (70e9, 70e9)
    assert (mixture.total_parameters, mixture.active_parameters) == (230e9, 10e9)
    assert size_of("large") is None
    name, shape = typical(dense, SHAPES)
    assert (shape.total_parameters, shape.is_mixture) == (70_000_000_000, False)
    assert SHAPES[name].layers * 0.8 < shape.layers < SHAPES[name].layers * 1.2
    assert typical(mixture, SHAPES)[1].is_mixture
