"""How fast a model is served, from its shape and the GPU's data sheet: step times, TTFT, TPOT, throughput.

A step reads weights, and the KV cache of every request; or it is bound by arithmetic; on top come overheads
for each layer, request and collective.  What share of the data sheet is reached is fitted to measurements
(``catalog/data/roofline.yaml``).  Formulas and errors: docs/model.md, Capacity.  Everything is computed for
many cases at once, as arrays of shape (n,).  It knows nothing of quality or speculation, and one node only.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.memory import DEFAULT_HIDDEN_SIZE, KV_BYTES, kv_bytes, stored_bytes
from breakeven.catalog.roofline import engine_name
from breakeven.quantities import BYTES_PER_GB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.catalog.hardware import Gpu
    from breakeven.catalog.models import Architecture
    from breakeven.catalog.roofline import EngineRates, Rates, Roofline

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

DEFAULT_ACTIVE_EXPERTS: Final = 8
"""Of a mixture whose experts are not known: what most of them have."""

_TERA: Final = 1e12
_MICRO: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to serve one pair of lengths.  ``concurrency_count`` None: a queue that never empties.

    The GPUs are ``pipeline_stage_count`` x ``attention_group_count`` x tensor parallel: a stage holds its share of the
    layers; a group attends to its share of the requests with weights of its own, but for the experts, which all GPUs
    of the stage share (data-parallel attention).  ``expert_group_count`` > 1: whole experts on each GPU.
    ``cached_tokens`` of the input are found in the prefix cache.
    """

    architecture: Architecture
    gpu: Gpu
    gpus: int
    precision: str
    engine: str
    isl_tokens: float
    osl_tokens: float
    concurrency_count: float | None = None
    pipeline_stage_count: int = 1
    attention_group_count: int = 1
    expert_group_count: int = 1
    cached_tokens: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the cases ask of a GPU, in seconds at data-sheet rates or in counts; arrays of shape (n,).

    Of a step: ``rest_s`` and ``expert_s`` read all weights; of a token: ``compute_s``; of a request in a step:
    ``kv_s`` and ``attend_s`` at its mean length; of a whole prompt: ``prompt_attend_s``.  ``hidden_s`` moves a
    token's hidden vector once in each layer, ``link_s`` over the link.  ``prompt_tokens`` are those to compute.
    """

    rest_s: Array
    expert_s: Array
    expert_share: Array
    active_experts: Array
    compute_s: Array
    bits: Array
    kv_s: Array
    attend_s: Array
    prompt_attend_s: Array
    hidden_s: Array
    link_s: Array
    collectives: Array
    layers: Array
    is_mixture: Array
    is_latent: Array
    is_pcie: Array
    stages: Array
    prompt_tokens: Array
    osl_tokens: Array
    asked: Array
    running: Array
    is_offline: Array
    engines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What the roofline says of the cases, arrays of shape (n,): seconds, and output tokens/s of the node.

    ``running`` is how many requests are served at once; the others of the concurrency wait.
    """

    step_s: Array
    prefill_s: Array
    ttft_s: Array
    tpot_s: Array
    output_tokens_per_s: Array
    running: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one iteration of one case costs, in seconds: ``weights_s`` by its tokens, the others by one of each.

    ``kv_s`` is of a request at the case's mean length, ``prompt_attend_s`` of a whole prompt.
    """

    base_s: float
    sequence_s: float
    token_s: float
    link_token_s: float
    kv_s: float
    prompt_attend_s: float
    prompt_ratio: float
    weights_s: Array


def requests_that_fit(case: Case, roofline: Roofline, *, unbounded: bool = False) -> float:
    """Return how many requests of these lengths the node runs at once (a mean; below 1: it does not fit).

    By the engine's share of the memory; an engine that reserves the output counts a request at its full
    length; ``unbounded``: whatever the engine runs at most.  A KV cache that tensor parallel would copy is split by
    requests in a queue that never empties.
    """
    limits = roofline.engine_limits(case.engine)
    node_bytes = case.gpu.memory_gb * case.gpus * BYTES_PER_GB
    free = node_bytes * limits.memory_fraction - _held_bytes(case)
    reserves = limits.reserves_output and case.concurrency_count is None
    length = case.isl_tokens + case.osl_tokens * (1.0 if reserves else 0.5)
    fit = free / _kv_node_bytes(case, length)
    return fit if unbounded else min(fit, float(limits.max_requests * case.attention_group_count))


def work_of(cases: Sequence[Case], roofline: Roofline) -> Work:
    """Return what the cases ask of their GPUs, before any efficiency: nothing here is fitted."""
    rows = [_work(case, roofline) for case in cases]
    columns = {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}
    flags = ("is_mixture", "is_latent", "is_pcie", "is_offline")
    columns.update({name: columns[name] > 0 for name in flags})
    return Work(engines=tuple(engine_name(case.engine) for case in cases), **columns)


def speed(work: Work, rates: Rates, engines: Sequence[EngineRates]) -> Speed:
    """Return step times, TTFT, TPOT and throughput of the cases; ``engines`` has one entry for each.

    Under a concurrency C of which B run: TPOT = step(B) + (B - 1) x prefill / osl, since in the osl steps of a
    request the B - 1 others are each replaced once, and a prefill delays everyone.  TTFT = what a request costs
    by itself + a step + prefill x (own + queue sqrt(B - 1) + wave (B - 1)), plus the time for places to come
    free.  Offline: B requests take B prefills and osl steps.  Of a pipeline a lone prompt takes all stages' time.
    """
    offline = np.where(work.is_offline, rates.offline_ratio, 1.0)
    overhead = offline * np.array([engine.step_ratio for engine in engines])
    prompt = offline * np.array([engine.prefill_ratio for engine in engines])
    fixed = _fixed_s(work, rates)
    running = work.running
    step = overhead * (rates.step_us * _MICRO + fixed + running * rates.sequence_us * _MICRO) + _bound_s(
        work, rates, running
    )
    tokens, rest = _prompt_s(work, rates)
    prefill = prompt * (tokens + rest)
    tpot = step + (running - 1) * prefill / work.osl_tokens
    alone = prompt * (np.hypot(tokens * work.stages, _weights_s(work, rates, work.prompt_tokens)) + rest * work.stages)
    alone = alone + overhead * fixed
    others = running - 1
    waits = rates.own_prefill_ratio + rates.queue_ratio * np.sqrt(others) + rates.wave_ratio * others
    places = np.maximum(work.asked - running, 0) / running * work.osl_tokens * tpot
    ttft = rates.first_token_us * _MICRO + step + alone * waits + places
    queued = running * work.osl_tokens / (running * prefill + work.osl_tokens * step)
    steady = work.asked * work.osl_tokens / (ttft + (work.osl_tokens - 1) * tpot)
    return Speed(
        step_s=step,
        prefill_s=prefill,
        ttft_s=ttft,
        tpot_s=tpot,
        output_tokens_per_s=np.where(work.is_offline, queued, steady),
        running=running,
    )


def iteration_terms(work: Work, rates: Rates, engines: Sequence[EngineRates], tokens: Array) -> Terms:
    """Return the terms of ``speed`` for the one case of ``work``, with the weights read for each number of tokens."""
    overhead, prompt = engines[0].step_ratio, engines[0].prefill_ratio
    attention = np.hypot(work.kv_s / rates.kv_read_ratio, work.attend_s / rates.attention_compute_ratio)
    return Terms(
        base_s=overhead * (rates.step_us * _MICRO + float(_fixed_s(work, rates)[0])),
        sequence_s=overhead * rates.sequence_us * _MICRO,
        token_s=float(_token_s(work, rates)[0]),
        link_token_s=float(_link_token_s(work, rates)[0]),
        kv_s=float(attention[0]),
        prompt_attend_s=float(work.prompt_attend_s[0]) / rates.attention_compute_ratio,
        prompt_ratio=prompt,
        weights_s=np.where(tokens > 0, _weights_s(work, rates, tokens), 0.0),
    )


def touched_fraction(expert_share: Array, tokens: Array) -> Array:
    """Return the expected share of routed experts that some of the tokens visit: 1 - (1 - k/E)^B.

    For tokens that choose independently and evenly; real routing is more alike, so fewer are read.
    """
    return 1 - (1 - expert_share) ** np.maximum(tokens, 1.0)


def _work(case: Case, roofline: Roofline) -> dict[str, float]:
    """Return one case's row of ``Work``."""
    model, gpu, gpus = case.architecture, case.gpu, case.gpus
    bandwidth = gpu.memory_gb_per_s * BYTES_PER_GB
    peak16 = gpu.bf16_tflops * _TERA
    experts, rest = stored_bytes(model, case.precision)
    mean_length = case.isl_tokens + case.osl_tokens / 2
    hidden = 2 * model.layers * (model.hidden_size or DEFAULT_HIDDEN_SIZE)
    ranks = gpus / case.pipeline_stage_count
    crossing = 2 * hidden * 2 * (ranks - 1) / ranks
    prompt_attention = _attention_operations(model, case.isl_tokens, decode=False)
    prompt_attention -= _attention_operations(model, case.cached_tokens, decode=False)
    fit = max(1.0, requests_that_fit(case, roofline))
    asked = fit if case.concurrency_count is None else case.concurrency_count
    bits, peak = _arithmetic(case.precision, gpu)
    return {
        "rest_s": rest * case.attention_group_count / gpus / bandwidth,
        "expert_s": experts / gpus / bandwidth,
        "expert_share": model.expert_share_fraction,
        "active_experts": (model.active_experts or DEFAULT_ACTIVE_EXPERTS) if model.is_mixture else 0,
        "compute_s": 2 * model.active_parameters / gpus / peak,
        "bits": bits,
        "kv_s": _kv_node_bytes(case, mean_length) / gpus / bandwidth,
        "attend_s": _attention_operations(model, mean_length, decode=True) / gpus / peak16,
        "prompt_attend_s": prompt_attention / gpus / peak16,
        "hidden_s": hidden / bandwidth,
        "link_s": crossing / (roofline.link_gb_per_s(gpu) * BYTES_PER_GB),
        "collectives": 2 * model.layers * log2(ranks),
        "layers": model.layers,
        "is_mixture": model.is_mixture,
        "is_latent": model.kv_latent_size is not None,
        "is_pcie": gpu.link == "pcie",
        "stages": case.pipeline_stage_count,
        "prompt_tokens": max(1.0, case.isl_tokens - case.cached_tokens),
        "osl_tokens": case.osl_tokens,
        "asked": asked,
        "running": min(asked, fit),
        "is_offline": case.concurrency_count is None,
    }


def _held_bytes(case: Case) -> float:
    """Return the weights on all GPUs: each attention group has those outside experts for itself."""
    experts, rest = stored_bytes(case.architecture, case.precision)
    return experts + rest * case.attention_group_count


def _kv_node_bytes(case: Case, held_tokens: float) -> float:
    """Return a request's KV cache; in a queue that never empties, no engine set up for throughput copies it."""
    model, ranks = case.architecture, case.gpus // case.pipeline_stage_count
    copied = model.kv_latent_size is not None or ranks > model.kv_heads
    return kv_bytes(
        model,
        held_tokens,
        gpus=ranks,
        element_bytes=KV_BYTES[case.precision],
        splits_requests=case.attention_group_count > 1 or (copied and case.concurrency_count is None),
    )


def _arithmetic(precision: str, gpu: Gpu) -> tuple[float, float]:
    """Return the bits that products are computed in, and their data-sheet rate in operations a second.

    A GPU without arithmetic of the precision widens weights to 16 bits; integer 4-bit weights always are.
    """
    if precision == "fp4" and gpu.fp4_tflops:
        return 4.0, gpu.fp4_tflops * _TERA
    if precision in {"fp8", "int8"} and gpu.fp8_tflops:
        return 8.0, gpu.fp8_tflops * _TERA
    return (4.0 if precision in {"fp4", "int4"} else 16.0), gpu.bf16_tflops * _TERA


def _attention_operations(model: Architecture, tokens: float, *, decode: bool) -> float:
    """Return operations of attention: of one new token over ``tokens`` (decode), or of a causal prompt.

    2 for the product with keys and 2 with values, for each query head and element; half of the pairs in a
    prompt.  A latent cache is attended in its own width when decoding (576 + 512 elements for DeepSeek).
    """
    heads = model.query_heads or model.kv_heads
    windowed = model.sliding_window_layers or 0
    window = min(tokens, model.sliding_window_tokens or 0)
    full = model.layers - windowed
    if not decode:
        return 4 * heads * model.head_size * (full * tokens**2 / 2 + windowed * window * tokens)
    width = model.head_size if model.kv_latent_size is None else model.kv_latent_size - 32
    return 4 * heads * width * (full * tokens + windowed * window)


def _compute_ratio(work: Work, rates: Rates) -> Array:
    by_bits = np.where(work.bits == 8, rates.compute_8bit_ratio, rates.compute_16bit_ratio)
    by_bits = np.where(work.bits == 4, rates.compute_4bit_ratio, by_bits)
    return np.where(work.is_mixture, by_bits * rates.expert_compute_ratio, by_bits)


def _token_s(work: Work, rates: Rates) -> Array:
    """Return the seconds of a token's products and of moving its hidden vectors."""
    moved = work.hidden_s * 2 * (rates.activation_ratio + rates.dispatch_ratio * work.active_experts)
    return work.compute_s / _compute_ratio(work, rates) + moved


def _link_token_s(work: Work, rates: Rates) -> Array:
    return work.link_s / np.where(work.is_pcie, rates.pcie_link_ratio, rates.link_ratio)


def _weights_s(work: Work, rates: Rates, tokens: Array) -> Array:
    """Return the seconds to read the weights that so many tokens touch, spread over the stages of a pipeline."""
    touched = np.where(work.is_mixture, touched_fraction(work.expert_share, tokens / work.stages), 0.0)
    return work.stages * (work.rest_s / rates.weight_read_ratio + work.expert_s * touched / rates.expert_read_ratio)


def _bound_s(work: Work, rates: Rates, running: Array) -> Array:
    """Return the part of a decode step that memory or arithmetic bounds, with its messages.

    The smooth maximum sqrt(a^2 + b^2) stands for the roof: near the ridge neither hides the other.
    """
    products = np.hypot(_weights_s(work, rates, running), _token_s(work, rates) * running)
    attention = np.hypot(work.kv_s / rates.kv_read_ratio, work.attend_s / rates.attention_compute_ratio)
    return products + running * (attention + _link_token_s(work, rates))


def _fixed_s(work: Work, rates: Rates) -> Array:
    """Return what layers and collectives cost however little they compute."""
    layer = rates.layer_us + rates.expert_us * work.active_experts
    layer = np.where(work.is_latent, layer * rates.latent_layer_ratio, layer)
    collective = np.where(work.is_pcie, rates.pcie_collective_us, rates.collective_us)
    return (work.layers * layer + work.collectives * collective) * _MICRO


def _prompt_s(work: Work, rates: Rates) -> tuple[Array, Array]:
    """Return the seconds of a prompt's products, and of its attention and messages."""
    attention = work.prompt_attend_s / rates.attention_compute_ratio
    return _token_s(work, rates) * work.prompt_tokens, attention + _link_token_s(work, rates) * work.prompt_tokens
