"""What a manifest is written from: an engine to be launched, the GPUs of its node, and how many nodes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from breakeven.engines.dialects import ENGINES
from breakeven.engines.launch import PROGRAMS, command_of, pool_name

if TYPE_CHECKING:
    from breakeven.engines.launch import Launch

WEIGHTS_PATH: Final = "/weights"
"""Where downloaded weights are kept inside a container."""

HUB_TOKEN: Final = "HF_TOKEN"  # noqa: S105 - a variable's name
"""Variable with which engines fetch weights that are not open to all."""

START_S: Final = 1800
"""How long a start may take, weights downloaded, before it counts as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A pool to be."""

    pool: str
    launch: Launch
    gpu: str | None
    """Catalogue name of its GPUs; None: of whatever kind there is."""

    gpus: int
    """Of one node; 0: it needs none."""

    nodes: int = 1
    """Those always up."""

    most_nodes: int = 1
    image: str = ""
    """Container image; empty: the engine's own."""

    is_spot: bool = False
    needs_key: bool = False
    """Clients must send a key, which a secret holds."""

    full_waiting_requests: int = 4
    """Requests waiting at a node from which another is wanted."""

    memory_gb: float = 64.0
    """Of the node's main memory."""

    cpu_count: int = 8

    @property
    def name(self) -> str:
        """Return the pool's name as that of a service: small letters, digits and ``-``, as DNS has it.

        Short enough that Kubernetes names its pods ``NAME-HASH-HASH`` without cutting any of it.
        """
        plain = pool_name(self.pool).lower().replace(".", "-").replace("_", "-")
        return plain.strip("-")[:46].rstrip("-") or "pool"

    @property
    def container_image(self) -> str:
        """Return the image to run."""
        return self.image or PROGRAMS[self.launch.engine].image

    @property
    def health_path(self) -> str:
        """Return where it says that it is well."""
        return ENGINES[self.launch.engine].health_path

    @property
    def key_variable(self) -> str | None:
        """Return the variable that gives the engine its key, where it has one and a key is wanted."""
        return PROGRAMS[self.launch.engine].key_variable if self.needs_key else None

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Return the variables whose values are secrets."""
        return (HUB_TOKEN, self.key_variable) if self.key_variable else (HUB_TOKEN,)

    @property
    def plain_environment(self) -> dict[str, str]:
        """Return the variables that may be seen."""
        told = dict(command_of(self.launch).environment)
        return {PROGRAMS[self.launch.engine].weights_variable: WEIGHTS_PATH, **told}

    def arguments(self) -> list[str]:
        """Return what a container runs."""
        command = list(command_of(self.launch).arguments)
        if self.launch.engine != "ollama":
            return command
        model = shlex.quote(self.launch.model)  # Ollama serves what was pulled, and pulls only while it serves
        line = f"ollama serve & until ollama list >/dev/null 2>&1; do sleep 1; done; ollama pull {model}; wait"
        return ["sh", "-c", line]
