"""The command that starts an engine, and the lines of ``breakeven.yaml`` that lead to it; nothing is started here."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_ADAPTED_DTYPE: Final = {"bf16": "bfloat16", "fp16": "float16"}
"""Precisions that an engine is told as the type of its numbers; of int8 and below, the weights' own files tell."""

_WORDS_OF_YAML: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """An engine to be started: what it loads, under which name it serves it, where, and how much of it."""

    engine: str
    """By its name in ``ENGINES``."""

    model: str
    """What it loads: a file, a folder, or a repository's name; Ollama's own name of a model."""

    name: str
    """Under which it serves it."""

    host: str = "127.0.0.1"
    port: int = 8000
    context_tokens: int | None = None
    """Prompt and answer of one request together; None: as the model says."""

    slot_count: int | None = None
    """Requests worked on at once; None: as the engine thinks."""

    gpus: int = 1
    """Those that share the weights."""

    precision: str | None = None
    extra: tuple[str, ...] = ()
    """Further arguments, as the engine writes them."""

    @property
    def url(self) -> str:
        """Return the root of its server, as this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - what a person may say
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What starts an engine: its arguments, and what its environment says beside them."""

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How an engine's own server is started, installed and given its key."""

    command: Callable[[Launch], Command]
    install: str
    """What to do where the program is missing."""

    image: str
    """A container image that holds it."""

    key_variable: str | None = None
    """Environment variable in which it looks for the key that clients must send; None: its command alone takes one."""

    weights_variable: str = "HF_HOME"
    """Where it keeps what it downloads."""


def command_of(launch: Launch) -> Command:
    """Return the command of the engine's own server.  Raises ``KeyError`` for an engine that is not in ``PROGRAMS``."""
    return PROGRAMS[launch.engine].command(launch)


def pool_entry(launch: Launch) -> str:
    """Return the lines for ``breakeven.yaml`` under which the gateway finds the engine."""
    lines = [
        "pools:",
        f"  {_key(pool_name(launch.name))}:",
        f"    engine: {launch.engine}",
        f"    model: {json.dumps(launch.name, ensure_ascii=False)}",
        "    nodes:",
        f'      - {{url: "{launch.url}/v1", purchase: owned}}  # with usd_per_hour: and since:, its cost is known',
    ]
    if launch.context_tokens is not None:
        lines.insert(4, f"    context_tokens: {launch.context_tokens}")
    return "\n".join(lines) + "\n"


def pool_name(name: str) -> str:
    """Return a model's name as that of a pool: one word, without what does not belong into one."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name.rpartition("/")[2]).strip("._-")[:128] or "pool"


def _key(name: str) -> str:
    """Return a pool's name as YAML needs it: quoted where it would be taken for a number or a word of YAML's."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) and name.lower() not in _WORDS_OF_YAML
    return name if plain else f'"{name}"'


def _options(**values: str | int | None) -> tuple[str, ...]:
    """Return ``--name value`` for what is given; ``_`` is written ``-``."""
    found: list[str] = []
    for name, value in values.items():
        if value is not None:
            found += [f"--{name.replace('_', '-')}", str(value)]
    return tuple(found)


def _several(count: int) -> int | None:
    return count if count > 1 else None


def _vllm(launch: Launch) -> Command:
    """https://docs.vllm.ai/en/stable/cli/serve.html ."""
    return Command(
        arguments=(
            *("vllm", "serve", launch.model),
            *_options(
                served_model_name=launch.name,
                host=launch.host,
                port=launch.port,
                max_model_len=launch.context_tokens,
                max_num_seqs=launch.slot_count,
                tensor_parallel_size=_several(launch.gpus),
                quantization="fp8" if launch.precision == "fp8" else None,
                dtype=_ADAPTED_DTYPE.get(launch.precision or ""),
            ),
            *launch.extra,
        )
    )


def _sglang(launch: Launch) -> Command:
    """https://docs.sglang.io/advanced_features/server_arguments.html ."""
    return Command(
        arguments=(
            *("python3", "-m", "sglang.launch_server", "--enable-metrics"),
            *_options(
                model_path=launch.model,
                served_model_name=launch.name,
                host=launch.host,
                port=launch.port,
                context_length=launch.context_tokens,
                max_running_requests=launch.slot_count,
                tp=_several(launch.gpus),
                quantization="fp8" if launch.precision == "fp8" else None,
                dtype=_ADAPTED_DTYPE.get(launch.precision or ""),
            ),
            *launch.extra,
        )
    )


def _trtllm(launch: Launch) -> Command:
    """https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/trtllm-serve.html ."""
    told = {
        "--max_seq_len": launch.context_tokens,
        "--max_batch_size": launch.slot_count,
        "--tp_size": _several(launch.gpus),
    }
    further = tuple(part for name, value in told.items() if value is not None for part in (name, str(value)))
    where = _options(host=launch.host, port=launch.port)
    return Command(arguments=("trtllm-serve", launch.model, *where, *further, *launch.extra))


def _tgi(launch: Launch) -> Command:
    """https://huggingface.co/docs/text-generation-inference/reference/launcher ."""
    return Command(
        arguments=(
            "text-generation-launcher",
            *_options(
                model_id=launch.model,
                hostname=launch.host,
                port=launch.port,
                max_total_tokens=launch.context_tokens,
                max_concurrent_requests=launch.slot_count,
                num_shard=_several(launch.gpus),
                quantize="fp8" if launch.precision == "fp8" else None,
                dtype=_ADAPTED_DTYPE.get(launch.precision or ""),
            ),
            *launch.extra,
        )
    )


def _llama_cpp(launch: Launch) -> Command:
    """https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md : the context is that of all slots."""
    slots = launch.slot_count or 1
    is_file = launch.model.endswith(".gguf")
    return Command(
        arguments=(
            *("llama-server", "--metrics", "--model" if is_file else "--hf-repo", launch.model),
            *_options(
                alias=launch.name,
                host=launch.host,
                port=launch.port,
                ctx_size=launch.context_tokens * slots if launch.context_tokens is not None else None,
                parallel=launch.slot_count,
            ),
            *launch.extra,
        )
    )


def _ollama(launch: Launch) -> Command:
    """https://github.com/ollama/ollama/blob/main/docs/faq.md : it is told by its environment."""
    told = {
        "OLLAMA_HOST": f"{launch.host}:{launch.port}",
        "OLLAMA_CONTEXT_LENGTH": launch.context_tokens,
        "OLLAMA_NUM_PARALLEL": launch.slot_count,
    }
    environment = tuple((name, str(value)) for name, value in told.items() if value is not None)
    return Command(arguments=("ollama", "serve", *launch.extra), environment=environment)


PROGRAMS: Final[dict[str, Program]] = {
    "vllm": Program(
        command=_vllm,
        install="pip install vllm (https://docs.vllm.ai/en/stable/getting_started/installation/)",
        image="vllm/vllm-openai:latest",
        key_variable="VLLM_API_KEY",
    ),
    "sglang": Program(
        command=_sglang,
        install="pip install sglang (https://docs.sglang.io/get_started/install.html)",
        image="lmsysorg/sglang:latest",
    ),
    "trtllm": Program(
        command=_trtllm,
        install="pip install tensorrt_llm (https://nvidia.github.io/TensorRT-LLM/installation/linux.html)",
        image="nvcr.io/nvidia/tensorrt-llm/release:latest",
    ),
    "tgi": Program(
        command=_tgi,
        install="use its image (https://huggingface.co/docs/text-generation-inference/installation)",
        image="ghcr.io/huggingface/text-generation-inference:latest",
        key_variable="API_KEY",
        weights_variable="HUGGINGFACE_HUB_CACHE",
    ),
    "llama.cpp": Program(
        command=_llama_cpp,
        install="install llama.cpp (https://github.com/ggml-org/llama.cpp/blob/master/docs/install.md)",
        image="ghcr.io/ggml-org/llama.cpp:server-cuda",
        key_variable="LLAMA_API_KEY",
        weights_variable="LLAMA_CACHE",
    ),
    "ollama": Program(
        command=_ollama,
        install="install Ollama (https://ollama.com/download)",
        image="ollama/ollama:latest",
        weights_variable="OLLAMA_MODELS",
    ),
}
"""By the engine's name; ``transformers``, ``mlx-lm`` and ``other`` are not started by us."""
