"""What is read off engines' own answers, of several versions; and that nothing which comes instead can do harm."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import engine_pages as pages
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.engines import ENGINES, Adapter, EngineLoad
from breakeven.engines.dialects.exposition import MAX_PAGE_BYTES, rows
from breakeven.engines.dialects.load import UNKNOWN
from breakeven.settings.pools import EngineName

LOADS = [
    ("vllm", pages.VLLM, EngineLoad(
        running_requests=6, waiting_requests=0, kv_use_fraction=0.3905325443786982, prefix_hit_tokens=256,
        prefix_query_tokens=2444, input_tokens=2444, output_tokens=23)),
    ("vllm", pages.VLLM_V0_MADE, EngineLoad(
        running_requests=8, waiting_requests=3, kv_use_fraction=0.6543, input_tokens=5000, output_tokens=1000)),
    ("vllm", pages.VLLM_TWO_ENGINES_MADE, EngineLoad(running_requests=5, waiting_requests=4, kv_use_fraction=0.5)),
    ("sglang", pages.SGLANG, EngineLoad(
        running_requests=162, waiting_requests=2826, kv_use_fraction=0.28, input_tokens=8_128_902,
        output_tokens=7_557_572)),
    ("sglang", pages.SGLANG_RANKS_MADE, EngineLoad(
        running_requests=16, waiting_requests=4, kv_use_fraction=0.3, prefix_hit_tokens=1000,
        prefix_query_tokens=55_000, input_tokens=55_000)),
    ("trtllm", pages.TRTLLM_ITERATIONS, EngineLoad(running_requests=1, kv_use_fraction=3 / 101_256)),
    ("trtllm", pages.TRTLLM_MADE, EngineLoad(
        running_requests=5, waiting_requests=2, kv_use_fraction=0.62, prefix_hit_tokens=450, prefix_query_tokens=1800,
        input_tokens=1800, output_tokens=30)),
    ("tgi", pages.TGI_MADE, EngineLoad(
        running_requests=4, waiting_requests=7, input_tokens=10_400, output_tokens=8123)),
    ("llama.cpp", pages.LLAMA_CPP, EngineLoad(
        running_requests=2, waiting_requests=3, prefix_hit_tokens=224, prefix_query_tokens=511, input_tokens=511,
        output_tokens=16)),
    ("llama.cpp", pages.LLAMA_CPP_OLD_MADE, EngineLoad(
        running_requests=1, waiting_requests=0, kv_use_fraction=0.5, input_tokens=120, output_tokens=11)),
    ("ollama", b"Ollama is running", UNKNOWN),
    ("other", pages.VLLM, UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("engine", "page", "load"), LOADS)
def test_load_is_what_the_page_says(engine: str, page: bytes, load: EngineLoad) -> None:
    assert ENGINES[engine].read_load(page) == load
    assert ENGINES[engine].read_load(page.replace(b"\n", b"\r\n")) == load


def test_the_later_name_of_a_metric_comes_before_its_former_one() -> None:
    page = b"vllm:gpu_cache_usage_perc 0.9\nvllm:kv_cache_usage_perc 0.1\n"
    assert ENGINES["vllm"].read_load(page).kv_use_fraction == 0.1


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", "many", "0x10", ""])
def test_a_value_that_is_no_count_is_unknown(value: str) -> None:
    page = f"vllm:num_requests_running {value}\nvllm:num_requests_waiting 2\n".encode()
    assert ENGINES["vllm"].read_load(page) == EngineLoad(waiting_requests=2)


def test_a_share_beyond_one_is_unknown() -> None:
    assert ENGINES["vllm"].read_load(b"vllm:kv_cache_usage_perc 39.5\n").kv_use_fraction is None


def test_a_row_that_was_cut_short_does_not_count() -> None:
    assert rows(b"tgi_queue_size 12\n", b"tgi_queue_size")[0].value == 12
    assert rows(b"tgi_queue_size 1", b"tgi_queue_size") == []


def test_comments_and_longer_names_are_other_lines() -> None:
    page = b"# TYPE a gauge\n# HELP a 7\na_total 1\nba 2\na 3\n\ta 4\n"
    assert [row.value for row in rows(page, b"a")] == [3]


def test_a_page_beyond_all_bounds_is_not_read() -> None:
    page = b"tgi_queue_size 1\n" + b"#" * MAX_PAGE_BYTES
    assert ENGINES["tgi"].read_load(page) == UNKNOWN


RUBBISH = [
    b"", b"\n", b"<html><body>502 Bad Gateway</body></html>", b"\xff\xfe\x00", b"[", b"[]", b"[1]", b"[null]",
    b'[{"kvCacheStats": 3, "numActiveRequests": true}]', b'[{"kvCacheStats": {"usedNumBlocks": 9, "maxNumBlocks": 0}}]',
    b"{}", b'{"data": 1}', b'{"data": [1, {"id": 2}, {"id": ""}]}', b"[" * 100_000, b'{"data":' * 50_000,
    b"vllm:num_requests_running{" * 10_000, b'vllm:num_requests_running{a="' + b'\\"' * 50_000,
]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("body", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_is_unknown_load_and_no_models(engine: str, body: bytes) -> None:
    assert ENGINES[engine].read_load(body) == UNKNOWN
    assert ENGINES[engine].read_models(body) == ()
    assert ENGINES[engine].read_adapters(body) == ()


@given(st.binary(max_size=200), st.integers(min_value=0, max_value=5000), st.sampled_from(sorted(ENGINES)))
def test_no_damage_to_a_page_raises(damage: bytes, at: int, engine: str) -> None:
    for page in (pages.SGLANG_RANKS_MADE, pages.TRTLLM_ITERATIONS, pages.VLLM_TWO_ENGINES_MADE, pages.LLAMA_CPP):
        torn = page[:at] + damage + page[at + len(damage) :]
        load = ENGINES[engine].read_load(torn)
        assert load.kv_use_fraction is None or 0 <= load.kv_use_fraction <= 1
        ENGINES[engine].read_models(torn)
        ENGINES[engine].read_adapters(torn)


@pytest.mark.parametrize(
    ("engine", "body", "names"),
    [
        ("vllm", pages.VLLM_MODELS, ("tiny",)),
        ("llama.cpp", pages.LLAMA_CPP_MODELS, ("tiny",)),
        ("ollama", pages.OLLAMA_MODELS_MADE, ("llama3.2:latest",)),
        ("vllm", pages.ADAPTERS, ("meta-llama/Llama-3.2-3B-Instruct", "sql-lora")),
    ],
)
def test_models_are_listed_with_their_adapters(engine: str, body: bytes, names: tuple[str, ...]) -> None:
    assert ENGINES[engine].read_models(body) == names


def test_adapters_name_the_model_that_they_change() -> None:
    assert ENGINES["vllm"].read_adapters(pages.ADAPTERS) == (
        Adapter(name="sql-lora", base="meta-llama/Llama-3.2-3B-Instruct"),
    )
    assert ENGINES["vllm"].read_adapters(pages.VLLM_MODELS) == ()


def test_engines_are_those_that_settings_can_name() -> None:
    assert tuple(ENGINES) == get_args(EngineName)
    assert all(name == engine.name for name, engine in ENGINES.items())


def test_reading_engines_loads_nothing_that_the_gateways_worker_lacks() -> None:
    check = (
        "import sys, breakeven.engines; print([m for m in ('numpy', 'pydantic', 'numba', 'yaml') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
