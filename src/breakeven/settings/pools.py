"""``pools:`` of ``breakeven.yaml``: nodes of one's own, the engine on them, and how they are paid for."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from breakeven.settings.canaries import CanaryEntry
from breakeven.settings.fields import Label, Reference
from breakeven.settings.providers import KeyHeader, Protocol
from breakeven.settings.schedules import ScheduleEntry
from breakeven.settings.targets import Connections, PlaceName, ProxyEntry, TargetUrl, Timeouts, as_proxy
from breakeven.sources.written import Dollars, IsNumber, Moment, Strict

EngineName = Literal["vllm", "sglang", "trtllm", "tgi", "llama.cpp", "ollama", "transformers", "mlx-lm", "other"]
"""Names in ``engines.ENGINES``; a test keeps the two together."""

_MEASURED: Final = {"trtllm": "tensorrt-llm", "transformers": "vllm", "mlx-lm": "vllm", "other": "vllm"}

_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""A mistyped year would be billed without a word, hour by hour, each a row of the store."""

Purchase = Literal["on-demand", "reserved", "spot", "owned"]
NodeSeconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False), IsNumber]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), IsNumber]


class NodeEntry(Strict):
    """A node of a pool: where it is reached, and what it costs from when to when."""

    name: PlaceName | None = Field(None, description="Its name within the pool; default: n1, n2, …")
    url: TargetUrl | None = Field(None, description="Base URL of its engine; left out only in a virtual pool.")
    purchase: Purchase = Field("on-demand", description="How it is bought.")
    usd_per_hour: Dollars | None = Field(
        None, description="What the whole node costs an hour, used or not; without it the pool's bill is partial."
    )
    since: Moment | None = Field(
        None, description="From when it is paid: a date (midnight UTC) or a time with its offset."
    )
    until: Moment | None = Field(None, description="Until when it is paid; left out: it still is.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since is not None and self.since < _EARLIEST:
            raise ValueError(f"it is paid since {self.since.date()}, before {_EARLIEST.year}: that year is mistyped")
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError(f"it ends ({self.until:%Y-%m-%d %H:%M}) before it begins ({self.since:%Y-%m-%d %H:%M})")
        return self


class NodePriceEntry(Strict):
    """A price of nodes that holds from a moment on."""

    node: PlaceName | None = Field(None, description="Of this node; left out: of all nodes of the pool.")
    since: Moment = Field(description="From when it holds, until the next one.")
    usd_per_hour: Dollars = Field(description="What a whole node costs an hour.")


class GpuTimeEntry(Strict):
    """How long a whole node works on a million tokens, when it is well filled."""

    prefill_s_per_mtok: NodeSeconds = Field(description="Of input that is not cached.")
    cached_s_per_mtok: NodeSeconds = Field(0, description="Of input found in the prefix cache.")
    decode_s_per_mtok: NodeSeconds = Field(description="Of output.")


class FullEntry(Strict):
    """When a node counts as full, so that requests go elsewhere where the policy allows it."""

    waiting: Annotated[int, Field(ge=1, le=100_000), IsNumber] = Field(
        4, description="Requests that wait inside it, or are under way beyond what it works on at once."
    )
    kv_use: Share = Field(0.95, description="Share of its KV cache in use.")
    ttft_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False), IsNumber] | None = Field(
        None, description="Seconds to the first token that a request is expected to take there; left out: any."
    )
    back: Share = Field(0.7, description="It counts as free again below this share of each limit.")


class PoolEntry(Strict):
    """Nodes that run one model on one engine; models name the pool as they name a target."""

    engine: EngineName = Field("other", description="What serves on its nodes: tells how their load is read.")
    model: str | None = Field(
        None, min_length=1, max_length=256, description="The model's name there; default: as the client says it."
    )
    nodes: tuple[NodeEntry, ...] = Field(min_length=1, max_length=256, description="Its nodes.")
    prices: tuple[NodePriceEntry, ...] = Field((), description="Prices that changed, from when they hold.")
    runs: str | None = Field(None, max_length=256, description="The model's name in the catalogue, for estimates.")
    hardware: str | None = Field(
        None, pattern=r"^[1-9][0-9]{0,3}x\S{1,60}$", description="GPUs of one node, such as 2xH100, for estimates."
    )
    quantisation: str | None = Field(None, max_length=16, description="Precision of the weights, such as fp8.")
    gpu_time: GpuTimeEntry | None = Field(
        None, description="What tokens take of a node; default: estimated from runs, hardware and quantisation."
    )
    full: FullEntry = Field(default_factory=FullEntry, description="When a node counts as full.")
    slots: Annotated[int, Field(ge=1, le=100_000), IsNumber] | None = Field(
        None, description="Requests that a node works on at once; counts where its engine does not tell its load."
    )
    observe_s: Annotated[float, Field(ge=0.05, le=60), IsNumber] = Field(
        0.5, description="How often the load of its nodes is read."
    )
    schedule: ScheduleEntry | None = Field(
        None, description="Hours in which its nodes are up, and the commands of `breakeven engine schedule`."
    )
    canary: CanaryEntry | None = Field(
        None, description="Golden prompt for its nodes: a degraded one is taken out of service, and started afresh."
    )
    virtual: bool = Field(
        default=False, description="It is only simulated, beside the traffic that goes elsewhere; serves nobody."
    )
    watches: tuple[str, ...] = Field(
        (), description="Of a virtual pool: the models whose requests it is shown; empty: all."
    )
    scenario: Path | None = Field(
        None, description="Scenario whose assumptions tell the lines beside compute; default: the catalogue's."
    )
    key: Reference | None = Field(None, description="Reference to its engines' key: env:NAME or file:PATH.")
    key_header: KeyHeader | None = Field(None, description="Header that carries the key.")
    headers: dict[str, str] = Field(default_factory=dict, description="Further headers, as of a target.")
    protocols: Annotated[tuple[Protocol, ...], Field(min_length=1)] | None = Field(
        None, description="What it speaks; default: what its engine does."
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="How long it may take.")
    proxy: Annotated[ProxyEntry, BeforeValidator(as_proxy, json_schema_input_type=ProxyEntry | str)] | None = Field(
        None, description="CONNECT proxy on the way there."
    )
    ca_file: Path | None = Field(None, description="PEM file of the authorities that vouch for its nodes.")
    context_tokens: Annotated[int, Field(ge=1, le=1_000_000_000), IsNumber] | None = Field(
        None, description="Longest prompt and answer it takes."
    )
    max_connections: Connections = Field(1024, description="Most connections to each node at a time, per worker.")
    sensitivities: tuple[Label, ...] = Field(
        (), description="Kinds of data that may be sent there; empty: only requests that are not marked with any."
    )

    @property
    def measured_engine(self) -> str:
        """The engine as the catalogue of throughput knows it; one that nobody measured is taken for vLLM."""
        return _MEASURED.get(self.engine, self.engine)

    def node_names(self) -> tuple[str, ...]:
        """Return the names of its nodes, those that have none of their own by number."""
        return tuple(node.name or f"n{number}" for number, node in enumerate(self.nodes, start=1))


def node_target(pool: str, node: str) -> str:
    """Return the name of the target that a node is."""
    return f"{pool}/{node}"


def pool_of(target: str) -> str:
    """Return the pool of a node's target; the target itself where it is no node."""
    return target.partition("/")[0]
