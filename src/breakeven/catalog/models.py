"""Models: open weights with what it takes to hold them, and the dated public scores of all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

Precision = Literal["bf16", "fp16", "fp8", "int8", "fp4", "int4"]
BITS_PER_WEIGHT: Final[dict[str, int]] = {"bf16": 16, "fp16": 16, "fp8": 8, "int8": 8, "fp4": 4, "int4": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A public benchmark score.  Scores compare only within one benchmark, setting and source."""

    benchmark: str
    setting: str
    score_fraction: float
    as_of: date
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldAs:
    """A provider that sells an open model's answers by the token."""

    provider: str
    model: str

    @property
    def target(self) -> str:
        """Return ``provider:model``."""
        return f"{self.provider}:{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenModel:
    """An open-weight model's architecture, as published."""

    id: str
    name: str
    family: str
    license: str
    total_parameters: int
    active_parameters: int
    layers: int
    kv_heads: int
    head_size: int
    attention: Literal["mha", "gqa", "mla"]
    context_tokens: int
    precisions: tuple[str, ...]
    as_of: date
    source: str
    released: date | None = None
    kv_latent_size: int | None = None
    sliding_window_tokens: int | None = None
    sliding_window_layers: int | None = None
    aliases: tuple[str, ...] = ()
    quality: tuple[Score, ...] = ()
    sold_as: tuple[SoldAs, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiModel:
    """A model that only its maker serves: its scores, and the maker's next cheaper one."""

    id: str
    name: str
    cheaper: str | None = None
    quality: tuple[Score, ...] = ()
