"""The names that measurements use for models, GPUs, precisions and engines, and what the catalogue calls them.

Published tables write the same thing in many ways: ``LLaMA v3.1 70B``, ``meta-llama/Llama-3.1-70B-Instruct-FP8``;
``H200-SXM-141GB``, ``h200_sxm``; ``nvfp4``, ``w4a16``; ``trtllm 1.0.0rc3``, ``TensorRT-LLM 1.1+ (PyTorch backend)``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import log
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from breakeven.catalog.hardware import Gpu
    from breakeven.catalog.models import Architecture, OpenModel

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([tbm])(?![a-z])(?:[\s_-]*a(\d+(?:\.\d+)?)\s*([bm])(?![a-z]))?")
_UNITS: Final = {"t": 1e12, "b": 1e9, "m": 1e6}

_FINE_TUNE: Final = re.compile(
    r"instruct|chat|thinking|(?<![a-z])(?:hf|it|base|preview|turbo)(?![a-z])|(?<!\d)(?:0324|0528|2501|2507|2512|0905)(?!\d)"
)
_QUANTISED: Final = re.compile(
    r"(?:nv|mx)?fp[48](?:[-_]?(?:dynamic|block|kv))?|bf16|fp16|int[48]|awq|gptq|w\d+a\d+|e4m3|modelopt|quantized"
)
_TWINS: Final = {
    "llama370b": "llama-3.1-70b", "llama38b": "llama-3.1-8b", "llama7b": "llama-2-7b", "llama70b": "llama-2-70b",
    "llama27b": "llama-2-7b", "llama270b": "llama-2-70b", "deepseek31terminus": "deepseek-v3.1",
    "deepseek32": "deepseek-v3.1", "kimik2": "kimi-k2.5", "kimik26": "kimi-k2.5", "glm51": "glm-5",
    "minimaxm2": "minimax-m2.5", "minimaxm21": "minimax-m2.5", "minimaxm27": "minimax-m2.5",
    "mistral7b01": "mistral-7b", "mistral7b02": "mistral-7b",
}  # fmt: skip
"""Names that no catalogue entry has, of models with the shape of one that it has, by their squashed name."""

_PRECISIONS: Final = (
    (re.compile(r"fp4|mxfp4|nvfp4|f4"), "fp4"),
    (re.compile(r"int4|awq|gptq|w4a16|4[-_ ]?bit"), "int4"),
    (re.compile(r"int8|w8a16|w8a8[-_]?int8"), "int8"),
    (re.compile(r"fp8|e4m3|w8a8|8[-_ ]?bit"), "fp8"),
    (re.compile(r"bf16|bfloat16"), "bf16"),
    (re.compile(r"fp16|float16|half|f16"), "fp16"),
)

_ENGINES: Final = (
    (re.compile(r"^(?:tensorrt|trt)[-_ ]?(?:llm)?"), "tensorrt-llm"),
    (re.compile(r"^vllm"), "vllm"),
    (re.compile(r"^sglang|^sgl(?![a-z])"), "sglang"),
)

_GPU_FAMILY: Final = re.compile(
    r"gb200|b300|b200|h200|h100|a100|l40s|a10g|a10|l4|t4|mi300x|mi325x|mi355x|(?:rtx)?(?:pro)?6000(?:pro)?|4090"
)
_OTHER_GPUS: Final = re.compile(
    r"gb300|gh200|h100[-_ ]*nvl|h200[-_ ]*nvl|h20(?!0)|h800|a800|l40(?!s)|l20|a6000|6000[-_ ]*ada"
)
"""Near a known name, but other hardware."""

_BY_FORM: Final = {
    "a100": ("a100-80gb-sxm", "a100-80gb-pcie"), "h100": ("h100-sxm", "h100-pcie"), "h200": ("h200-sxm", None),
    "b200": ("b200-sxm", None), "b300": ("b300-sxm", None), "6000": ("rtx-pro-6000", "rtx-pro-6000"),
    "4090": ("rtx-4090", "rtx-4090"),
}  # fmt: skip
"""The catalogue's entry of a family as a module, and as a PCIe card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A model's parameters as its name or a table states them: of all, and of those that a token passes."""

    total_parameters: float
    active_parameters: float


def squashed(name: str) -> str:
    """Return a model's name without its maker, fine-tuning, quantisation, marks and spaces."""
    text = name.lower().rsplit("/", 1)[-1]
    text = _QUANTISED.sub(" ", _FINE_TUNE.sub(" ", text)).replace("meta-", "").replace("meta ", "")
    text = re.sub(r"(?<![a-z0-9])v(?=\d)", "", text)
    return re.sub(r"[^a-z0-9]", "", text)


def model_index(models: Iterable[OpenModel], shapes: Iterable[str]) -> dict[str, str]:
    """Return the id of a model or of a measured shape, by squashed name."""
    index = {squashed(shape): shape for shape in shapes}
    for model in models:
        index |= {squashed(name): model.id for name in (model.id, model.name, *model.aliases)}
    return {**index, **{name: twin for name, twin in _TWINS.items() if name not in index}}


def size_of(text: str) -> Size | None:
    """Return the size that ``70B`` or ``230B-A10B`` states; None where nothing does."""
    found = _SIZE.search(text.lower().replace("_", "-"))
    if found is None:
        return None
    total = float(found[1]) * _UNITS[found[2]]
    active = float(found[3]) * _UNITS[found[4]] if found[3] else total
    return Size(total_parameters=total, active_parameters=min(active, total)) if total > 0 and active > 0 else None


def typical(size: Size, known: Mapping[str, Architecture]) -> tuple[str, Architecture]:
    """Return the catalogued architecture nearest in size and of the same class, stretched to the size, and its name.

    Layers and width change by the cube root of the ratio, as they do within families.
    """
    mixture = size.active_parameters < size.total_parameters
    alike = {name: item for name, item in known.items() if item.is_mixture == mixture and item.hidden_size}

    def distance(name: str) -> tuple[float, str]:
        item = alike[name]
        total = abs(log(item.total_parameters / size.total_parameters))
        return total + abs(log(item.active_parameters / size.active_parameters)), name

    name = min(alike, key=distance)
    near = alike[name]
    stretch = (size.active_parameters / near.active_parameters) ** (1 / 3)
    layers = max(1, round(near.layers * stretch))
    windowed = near.sliding_window_layers
    return name, replace(
        near,
        total_parameters=round(size.total_parameters),
        active_parameters=round(size.active_parameters),
        layers=layers,
        hidden_size=max(1, round((near.hidden_size or 1) * stretch)),
        sliding_window_layers=None if windowed is None else round(layers * windowed / near.layers),
    )


def precision_of(text: str) -> str | None:
    """Return the catalogue's precision for ``nvfp4``, ``w4a16``, ``FP8 (E4M3)``; None where none is named."""
    folded = text.lower()
    return next((precision for pattern, precision in _PRECISIONS if pattern.search(folded)), None)


def engine_of(text: str) -> str:
    """Return an engine's name and version as the catalogue writes them: ``tensorrt-llm 1.1+``."""
    folded = re.sub(r"\(.*?\)", " ", text.strip().lower())
    for pattern, name in _ENGINES:
        found = pattern.match(folded)
        if found:
            rest = folded[found.end() :].strip(" -_:")
            version = "" if rest in {"", "unstated", "unknown", "latest"} else rest.removeprefix("v").split()[0]
            return f"{name} {version}".strip()
    return " ".join(folded.split()) or "unknown"


def gpu_of(text: str, gpus: Mapping[str, Gpu]) -> Gpu | None:
    """Return the GPU of a name such as ``H200-SXM-141GB``; None where the catalogue has no such GPU."""
    folded = text.strip().lower()
    plain = re.sub(r"[^a-z0-9]", "", folded)
    for gpu in gpus.values():
        if plain in {re.sub(r"[^a-z0-9]", "", name.lower()) for name in (gpu.id, gpu.name, *gpu.aliases)}:
            return gpu
    if _OTHER_GPUS.search(folded):
        return None
    found = _GPU_FAMILY.search(plain)
    if found is None:
        return None
    family = "6000" if "6000" in found[0] else found[0]
    if family == "6000" and "pro" not in plain:
        return None
    if family == "a100" and "40gb" in plain:
        return None if "pcie" in plain else gpus.get("a100-40gb-sxm")
    module, card = _BY_FORM.get(family, (family, family))
    name = card if "pcie" in plain else module
    return gpus.get(name) if name else None
