"""What engines answer about themselves, each with where it is from.

Pages in ``fixtures`` were recorded from the engine and version that their names say.  ``MADE`` ones show what is
documented, with numbers of our own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

FIXTURES: Final = Path(__file__).parent / "fixtures"

VLLM: Final = (FIXTURES / "vllm-0.32.prom").read_bytes()
"""Recorded from vLLM 0.32.0 (CPU) with six requests in progress, no models' paths changed but that of the model."""

VLLM_MODELS: Final = (FIXTURES / "vllm-0.32-models.json").read_bytes()
LLAMA_CPP: Final = (FIXTURES / "llama.cpp-11549.prom").read_bytes()
"""Recorded from llama.cpp 11549 (xllamacpp 2026.10) with two slots and five requests."""

LLAMA_CPP_MODELS: Final = (FIXTURES / "llama.cpp-11549-models.json").read_bytes()

VLLM_V0_MADE: Final = b"""\
# HELP vllm:num_requests_running Number of requests currently running on GPU.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="meta-llama/Llama-3.1-8B-Instruct"} 8.0
vllm:num_requests_swapped{model_name="meta-llama/Llama-3.1-8B-Instruct"} 1.0
vllm:num_requests_waiting{model_name="meta-llama/Llama-3.1-8B-Instruct"} 3.0
vllm:gpu_cache_usage_perc{model_name="meta-llama/Llama-3.1-8B-Instruct"} 0.6543
vllm:cpu_cache_usage_perc{model_name="meta-llama/Llama-3.1-8B-Instruct"} 0.0
vllm:prompt_tokens_total{model_name="meta-llama/Llama-3.1-8B-Instruct"} 5000.0
vllm:generation_tokens_total{model_name="meta-llama/Llama-3.1-8B-Instruct"} 1000.0
"""
"""Names of V0, as in https://docs.vllm.ai/en/v0.6.4/serving/metrics.html ."""

VLLM_TWO_ENGINES_MADE: Final = b"""\
vllm:num_requests_running{engine="0",model_name="a}b \\"c\\" # 1"} 2
vllm:num_requests_running{engine="1",model_name="a}b \\"c\\" # 1"} 3
vllm:num_requests_waiting{engine="0",model_name="m"} 0
vllm:num_requests_waiting{engine="1",model_name="m"} 4 1395066363000
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
"""
"""Data parallelism: a row for each engine, https://github.com/vllm-project/vllm/blob/main/docs/design/metrics.md ."""

SGLANG: Final = b"""\
# HELP sglang:prompt_tokens_total Number of prefill tokens processed.
# TYPE sglang:prompt_tokens_total counter
sglang:prompt_tokens_total{model_name="meta-llama/Llama-3.1-8B-Instruct"} 8.128902e+06
# HELP sglang:generation_tokens_total Number of generation tokens processed.
# TYPE sglang:generation_tokens_total counter
sglang:generation_tokens_total{model_name="meta-llama/Llama-3.1-8B-Instruct"} 7.557572e+06
# HELP sglang:token_usage The token usage
# TYPE sglang:token_usage gauge
sglang:token_usage{model_name="meta-llama/Llama-3.1-8B-Instruct"} 0.28
# HELP sglang:cache_hit_rate The cache hit rate
# TYPE sglang:cache_hit_rate gauge
sglang:cache_hit_rate{model_name="meta-llama/Llama-3.1-8B-Instruct"} 0.007507552643049313
# HELP sglang:num_running_reqs The number of running requests
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{model_name="meta-llama/Llama-3.1-8B-Instruct"} 162.0
# HELP sglang:num_used_tokens The number of used tokens
# TYPE sglang:num_used_tokens gauge
sglang:num_used_tokens{model_name="meta-llama/Llama-3.1-8B-Instruct"} 123859.0
# HELP sglang:num_queue_reqs The number of requests in the waiting queue
# TYPE sglang:num_queue_reqs gauge
sglang:num_queue_reqs{model_name="meta-llama/Llama-3.1-8B-Instruct"} 2826.0
"""
"""https://docs.sglang.io/references/production_metrics.html , its histograms left out."""

SGLANG_RANKS_MADE: Final = b"""\
sglang:num_running_reqs{dp_rank="0",priority="",tp_rank="0"} 14.0
sglang:num_running_reqs{dp_rank="0",priority="-1",tp_rank="0"} 9.0
sglang:num_running_reqs{dp_rank="0",priority="5",tp_rank="0"} 5.0
sglang:num_running_reqs{dp_rank="0",priority="",tp_rank="1"} 14.0
sglang:num_running_reqs{dp_rank="1",priority="",tp_rank="4"} 2.0
sglang:num_queue_reqs{dp_rank="0",tp_rank="0"} 3.0
sglang:num_queue_reqs{dp_rank="1",tp_rank="4"} 1.0
sglang:token_usage{dp_rank="0",tp_rank="0"} 0.5
sglang:token_usage{dp_rank="1",tp_rank="4"} 0.1
sglang:prompt_tokens_total{is_streaming="true"} 50000.0
sglang:prompt_tokens_total{is_streaming="false"} 5000.0
sglang:cached_tokens_total{cache_source="device"} 900.0
sglang:cached_tokens_total{cache_source="host"} 100.0
"""
"""Labels that versions of 2026 add: ranks, priorities with a row for all, sources of cached tokens."""

TRTLLM_ITERATIONS: Final = b"""\
[
    {
        "gpuMemUsage": 76665782272,
        "iter": 154,
        "iterLatencyMS": 7.00688362121582,
        "kvCacheStats": {
            "allocNewBlocks": 3126,
            "allocTotalBlocks": 3126,
            "cacheHitRate": 0.00128,
            "freeNumBlocks": 101253,
            "maxNumBlocks": 101256,
            "missedBlocks": 3121,
            "reusedBlocks": 4,
            "tokensPerBlock": 32,
            "usedNumBlocks": 3
        },
        "numActiveRequests": 1
    }
]
"""
"""https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/trtllm-serve.html , the ellipsis taken out."""

TRTLLM_MADE: Final = b"""\
# TYPE trtllm_num_requests_running gauge
trtllm_num_requests_running{engine_type="trtllm",model_name="m"} 5.0
trtllm_num_requests_waiting{engine_type="trtllm",model_name="m"} 2.0
trtllm_kv_cache_utilization{engine_type="trtllm",model_name="m"} 0.62
trtllm_prompt_tokens_total{engine_type="trtllm",model_name="m"} 1800.0
trtllm_prompt_cached_tokens_total{engine_type="trtllm",model_name="m"} 450.0
trtllm_generation_tokens_total{engine_type="trtllm",model_name="m"} 30.0
"""
"""Names that https://nvidia.github.io/TensorRT-LLM/latest/examples/prometheus_metrics.html asks for, and those of
``tensorrt_llm/metrics/collector.py`` in https://github.com/NVIDIA/TensorRT-LLM ."""

TGI_MADE: Final = b"""\
# TYPE tgi_request_generated_tokens histogram
tgi_request_generated_tokens_bucket{le="1"} 0
tgi_request_generated_tokens_bucket{le="+Inf"} 44
tgi_request_generated_tokens_sum 8123
tgi_request_generated_tokens_count 44
tgi_request_input_length_sum 10400
tgi_request_input_length_count 44
# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 4
# TYPE tgi_queue_size gauge
tgi_queue_size 7
"""
"""Names and kinds of https://huggingface.co/docs/text-generation-inference/reference/metrics ."""

LLAMA_CPP_OLD_MADE: Final = b"""\
# HELP llamacpp:kv_cache_usage_ratio KV-cache usage. 1 means 100 percent usage.
# TYPE llamacpp:kv_cache_usage_ratio gauge
llamacpp:kv_cache_usage_ratio 0.5
llamacpp:prompt_tokens_total 120
llamacpp:tokens_predicted_total 11
llamacpp:requests_processing 1
llamacpp:requests_deferred 0
"""
"""Before prompt_tokens_cached_total came and kv_cache_usage_ratio went, as the server's README of 2024 lists them."""

ADAPTERS: Final = b"""\
{"object": "list", "data": [
  {"id": "meta-llama/Llama-3.2-3B-Instruct", "object": "model",
   "root": "meta-llama/Llama-3.2-3B-Instruct", "parent": null},
  {"id": "sql-lora", "object": "model", "root": "/adapters/sql-lora",
   "parent": "meta-llama/Llama-3.2-3B-Instruct"}
]}
"""
"""https://docs.vllm.ai/en/stable/features/lora.html , shortened."""

OLLAMA_MODELS_MADE: Final = (
    b'{"object":"list","data":[{"id":"llama3.2:latest","object":"model","created":1731540987,"owned_by":"library"}]}\n'
)
"""The form of https://github.com/ollama/ollama/blob/main/docs/openai.md ."""
