"""Models: open weights with what it takes to hold them, and the dated public scores of all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

Attention = Literal["mha", "gqa", "mla"]
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
class Architecture:
    """The shape of a model, without its weights: two models of one architecture are served equally fast.

    ``hidden_size`` and the fields below it are what a roofline needs beyond memory; None where not
    known.  A dense model has no ``routed_experts``; ``active_experts`` of them serve a token.
    """

    total_parameters: int
    active_parameters: int
    layers: int
    kv_heads: int
    head_size: int
    attention: Attention
    kv_latent_size: int | None
    sliding_window_tokens: int | None
    sliding_window_layers: int | None
    hidden_size: int | None = None
    query_heads: int | None = None
    routed_experts: int | None = None
    active_experts: int | None = None

    @property
    def is_mixture(self) -> bool:
        """Whether a token passes through a part of the weights only."""
        return self.active_parameters < self.total_parameters

    @property
    def expert_share_fraction(self) -> float:
        """Return the share of the routed experts that one token passes through; 1 for a dense model.

        Where the experts are not known, their share is taken as that of the parameters.
        """
        if not self.is_mixture:
            return 1.0
        if self.routed_experts and self.active_experts:
            return self.active_experts / self.routed_experts
        return self.active_parameters / self.total_parameters / 2

    @property
    def expert_parameters(self) -> float:
        """Return the parameters of all routed experts, R in active = total - R + R x share; 0 for a dense model."""
        if not self.is_mixture:
            return 0.0
        return (self.total_parameters - self.active_parameters) / (1 - self.expert_share_fraction)


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
    attention: Attention
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

    @property
    def architecture(self) -> Architecture:
        """Return what decides how fast the model is served, whatever its weights hold."""
        return Architecture(
            total_parameters=self.total_parameters,
            active_parameters=self.active_parameters,
            layers=self.layers,
            kv_heads=self.kv_heads,
            head_size=self.head_size,
            attention=self.attention,
            kv_latent_size=self.kv_latent_size,
            sliding_window_tokens=self.sliding_window_tokens,
            sliding_window_layers=self.sliding_window_layers,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiModel:
    """A model that only its maker serves: its scores, and the maker's next cheaper one."""

    id: str
    name: str
    cheaper: str | None = None
    quality: tuple[Score, ...] = ()
