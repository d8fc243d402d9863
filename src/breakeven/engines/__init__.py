"""Engines: software that serves a model, started and described here; nothing of routes or money."""

from __future__ import annotations

from breakeven.engines.dialects import ENGINES, Adapter, Engine, EngineLoad

__all__ = ["ENGINES", "Adapter", "Engine", "EngineLoad"]
