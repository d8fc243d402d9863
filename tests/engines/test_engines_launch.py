"""The commands that start engines say what was asked, in each engine's own words; and so does the pool's entry."""

from __future__ import annotations

import shlex

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from breakeven.engines.canary import Golden, is_good, text_of
from breakeven.engines.launch import PROGRAMS, Launch, command_of, pool_entry, pool_name
from breakeven.engines.upkeep import pause_s
from breakeven.settings.pools import PoolEntry

FULL = {
    "vllm": "vllm serve org/m --served-model-name m --host h --port 9 --max-model-len 100 --max-num-seqs 3 "
    "--tensor-parallel-size 2 --quantization fp8 --more",
    "sglang": "python3 -m sglang.launch_server --enable-metrics --model-path org/m --served-model-name m --host h "
    "--port 9 --context-length 100 --max-running-requests 3 --tp 2 --quantization fp8 --more",
    "trtllm": "trtllm-serve org/m --host h --port 9 --max_seq_len 100 --max_batch_size 3 --tp_size 2 --more",
    "tgi": "text-generation-launcher --model-id org/m --hostname h --port 9 --max-total-tokens 100 "
    "--max-concurrent-requests 3 --num-shard 2 --quantize fp8 --more",
    "llama.cpp": "llama-server --metrics --hf-repo org/m --alias m --host h --port 9 --ctx-size 300 --parallel 3 "
    "--more",
    "ollama": "ollama serve --more",
}


@pytest.mark.parametrize("engine", PROGRAMS)
def test_a_command_says_everything_that_was_asked(engine: str) -> None:
    launch = Launch(
        engine=engine, model="org/m", name="m", host="h", port=9, context_tokens=100, slot_count=3, gpus=2,
        precision="fp8", extra=("--more",),
    )  # fmt: skip
    assert shlex.join(command_of(launch).arguments) == FULL[engine]


@pytest.mark.parametrize("engine", PROGRAMS)
def test_a_command_leaves_to_the_engine_what_was_not_asked(engine: str) -> None:
    told = shlex.join(command_of(Launch(engine=engine, model="org/m", name="m")).arguments)
    for word in ("None", "quant", "dtype", "parallel", "context", "max", "tp"):
        assert f"-{word}" not in told
    assert "--gpus" not in told


def test_precisions_of_whole_numbers_are_those_of_the_weights_files() -> None:
    told = [
        command_of(Launch(engine="vllm", model="m", name="m", precision=precision)).arguments
        for precision in ("bf16", "fp16", "int4", "fp4", None)
    ]
    assert [("--dtype" in item, "--quantization" in item) for item in told] == [
        (True, False), (True, False), (False, False), (False, False), (False, False),
    ]  # fmt: skip


def test_ollama_is_told_by_its_environment() -> None:
    launch = Launch(engine="ollama", model="llama3.2", name="llama3.2", port=11434, context_tokens=4096, slot_count=2)
    assert dict(command_of(launch).environment) == {
        "OLLAMA_HOST": "127.0.0.1:11434", "OLLAMA_CONTEXT_LENGTH": "4096", "OLLAMA_NUM_PARALLEL": "2",
    }  # fmt: skip


@given(
    st.text(min_size=1, max_size=60).filter(str.isprintable),
    st.sampled_from(["127.0.0.1", "0.0.0.0", "::", "::1", "gpu.example"]),  # noqa: S104 - hosts to listen on
)
def test_a_pools_entry_is_one_that_settings_take(name: str, host: str) -> None:
    launch = Launch(engine="vllm", model="m", name=name, host=host, port=8000, context_tokens=2048)
    read = yaml.safe_load(pool_entry(launch))
    ((pool, entry),) = read["pools"].items()
    found = PoolEntry.model_validate(entry)
    assert found.model == name
    assert str(pool) == pool_name(name)
    assert found.context_tokens == 2048
    assert found.nodes[0].url is not None
    assert "0.0.0.0" not in found.nodes[0].url  # noqa: S104 - where it listens is not where it is reached


def test_pauses_between_starts_double_up_to_a_minute() -> None:
    assert [pause_s(ends) for ends in (1, 2, 3, 7, 8, 9, 10_000)] == [0.5, 1, 2, 32, 60, 60, 60]


def test_a_golden_answer_holds_what_is_expected_or_begins_as_the_first() -> None:
    expects, begins = Golden(prompt="2+2=", expected="4"), Golden(prompt="Say A", expected=None)
    assert is_good(expects, "", "it is 4.")
    assert not is_good(expects, "4", "five")
    assert is_good(begins, "The capital is Rome, of course", "The capital is Rome.")
    assert not is_good(begins, "The capital is Rome", "!!!!!!!!!!!!")


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}', b"["]
)
def test_what_is_no_answer_has_no_text(body: bytes) -> None:
    assert text_of(body) is None
    assert text_of(b'{"choices": [{"message": {"content": "x"}}]}') == "x"
