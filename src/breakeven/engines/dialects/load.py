"""What an engine says of its load, and what an engine is to whoever asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLoad:
    """How busy an engine is, and what it has done since it started; None is what it does not tell.

    Totals fall back to 0 when the engine is started again.
    """

    running_requests: int | None = None
    """Requests that it is working on."""

    waiting_requests: int | None = None
    """Requests in its queue."""

    kv_use_fraction: float | None = None
    """Share of its KV cache that is in use; the mean, where it is several engines behind one address."""

    prefix_hit_tokens: int | None = None
    """Prompt tokens found in its prefix cache, in all."""

    prefix_query_tokens: int | None = None
    """Prompt tokens looked for in its prefix cache, in all."""

    input_tokens: int | None = None
    """Prompt tokens in all, those found in a cache included."""

    output_tokens: int | None = None
    """Tokens generated in all."""

    @property
    def is_known(self) -> bool:
        """Whether it tells how many requests it has."""
        return self.running_requests is not None


UNKNOWN: Final = EngineLoad()
"""What is known where nothing was told, or nothing that could be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A fine-tuned variant (LoRA) that an engine serves beside its base model, on the same GPUs."""

    name: str
    """As requests name it."""

    base: str | None
    """The model that it changes, where the engine says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Where an engine answers questions about itself, and how its answers are read.

    Paths begin at the root of the server, not at the ``/v1`` of its base URL.  Readers take a body as it came and
    never raise: what they cannot understand is unknown.
    """

    name: str
    title: str
    health_path: str
    models_path: str
    metrics_path: str | None
    """None: it has no metrics, and its load is what we ourselves have in flight there."""

    read_load: Callable[[bytes], EngineLoad]
    read_models: Callable[[bytes], tuple[str, ...]]
    """Every name under which it serves, adapters included."""

    read_adapters: Callable[[bytes], tuple[Adapter, ...]]
    """Takes the same body as ``read_models``."""

    metrics_flag: str = ""
    """What has to be said at its start for it to tell metrics; empty: nothing."""
