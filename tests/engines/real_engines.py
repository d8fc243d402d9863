"""What engines that are really run serve, and how they are asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from breakeven.engines.random_gguf import write_random_llama
from breakeven.wiring.engine_ask import Door, ask

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 60.0


def random_model(folder: Path) -> Path:
    """Return a small model of weights made at random."""
    path = folder / "tiny.gguf"
    write_random_llama(path)
    return path


def chat(url: str, *, tokens: int = 4, key: str = "") -> bytes:
    """Ask a real engine for an answer of so many tokens."""
    body: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": tokens}
    body["ignore_eos"] = True
    door = Door(url, {"authorization": f"Bearer {key}"} if key else {})
    return ask(door, "/v1/chat/completions", timeout_s=WAIT_S, body=json.dumps(body).encode())
