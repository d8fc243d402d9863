"""Reads lists of models: OpenAI's form, which every engine here answers in, with what engines add to it."""

from __future__ import annotations

from typing import Any

import msgspec

from breakeven.engines.dialects.load import Adapter


def openai_models(body: bytes) -> tuple[str, ...]:
    """Return the names in an answer to ``GET /v1/models``."""
    return tuple(item["id"] for item in _items(body))


def openai_adapters(body: bytes) -> tuple[Adapter, ...]:
    """Return the models of the list that name a parent: vLLM and SGLang list adapters so."""
    found = []
    for item in _items(body):
        parent = item.get("parent")
        if isinstance(parent, str) and parent:
            found.append(Adapter(name=item["id"], base=parent))
    return tuple(found)


def no_adapters(_: bytes) -> tuple[Adapter, ...]:
    """Return none: the engine's list does not tell adapters from other models."""
    return ()


def decoded(body: bytes) -> Any:
    """Return what the JSON says; None where it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _items(body: bytes) -> list[dict[str, Any]]:
    said = decoded(body)
    data = said.get("data") if isinstance(said, dict) else None
    if not isinstance(data, list):
        return []
    return [item for item in data if isinstance(item, dict) and isinstance(item.get("id"), str) and item["id"]]
