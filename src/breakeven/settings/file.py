"""``breakeven.yaml`` as people write it: every key with its type, its bounds and what it is.

What one key alone can show is checked here; what takes two of them, or the world outside, in ``check``.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from breakeven.routing.queueing import MOST_PRIORITY
from breakeven.routing.timetable import read_timetable
from breakeven.settings.alerts import AlertsEntry
from breakeven.settings.batches import BatchesEntry
from breakeven.settings.control import ControlEntry
from breakeven.settings.fields import Digest, Host, Label, Port
from breakeven.settings.limits import Often, QuotaEntry, QuotasEntry, SharedStateEntry
from breakeven.settings.pools import PoolEntry
from breakeven.settings.semantic import SemanticCacheEntry
from breakeven.settings.targets import Seconds, TargetEntry
from breakeven.settings.tasks import TasksEntry
from breakeven.settings.telemetry import TelemetryEntry
from breakeven.settings.trials import TrialsEntry
from breakeven.settings.verify import VerifyEntry
from breakeven.sources.written import Day, IsNumber, Strict

Policy = Literal[
    "ordered", "weighted", "least_busy", "lowest_latency", "cheapest", "two_choices", "overflow", "marginal_cost",
    "prefix_affinity", "cost_threshold", "budget_downgrade", "schedule",
]  # fmt: skip
"""Names in ``routing.policies.POLICIES``; a test keeps the two together."""

Weight = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False), IsNumber]


class Listen(Strict):
    """Where clients reach the gateway."""

    host: Host = Field("127.0.0.1", description="Address or host name to listen on; beyond loopback, keys are needed.")
    port: Port = Field(9400, description="TCP port to listen on.")
    require_key: bool = Field(
        default=False,
        description="Ask for a key on a loopback host too while there is none; with keys, and beyond loopback, always.",
    )


class RouteTarget(Strict):
    """A target of a model, with its share of the traffic."""

    target: str = Field(description="Name of a target or of a pool above.")
    weight: Weight = Field(1, description="Its share, relative to the others'; counts under policy: weighted.")
    model: str | None = Field(
        None,
        min_length=1,
        max_length=256,
        description="The model's name there for this model alone: an adapter or a tuned variant; default: its own.",
    )
    hours: str | None = Field(
        None,
        min_length=1,
        max_length=1024,
        description="Days and hours in which it is the one to ask, under policy: schedule, such as Mon-Fri 08-20; left "
        "out: always.",
    )
    time_zone: str = Field("UTC", max_length=64, description="Time zone of the hours, such as Europe/Berlin.")

    @model_validator(mode="after")
    def _is_timetable(self) -> Self:
        if self.hours is not None:
            read_timetable(self.hours, self.time_zone)
        return self


def _as_route_target(value: Any) -> Any:
    return {"target": value} if isinstance(value, str) else value


class ModelCache(Strict):
    """Answers of a model that are given again to equal requests of the same key."""

    ttl_s: Seconds = Field(3600, description="How long an answer may be given again.")


class CacheEntry(Strict):
    """Bounds on the answers that are kept in memory, for each worker."""

    max_bytes: Annotated[int, Field(ge=65_536, le=1 << 36), IsNumber] = Field(67_108_864, description="Of all of them.")
    max_entry_bytes: Annotated[int, Field(ge=1024, le=1 << 30), IsNumber] = Field(
        262_144, description="Of each; a longer one is not kept."
    )


class HedgingEntry(Strict):
    """How often and how late a second target is asked beside a slow one."""

    after: Annotated[float, Field(ge=0.5, le=0.999), IsNumber] = Field(
        0.95, description="Share of the target's answers that begin sooner than a request is hedged."
    )
    share: Annotated[float, Field(gt=0, le=1), IsNumber] = Field(
        0.05, description="Most hedges, as a share of requests; ten may be saved up."
    )
    least_s: Seconds = Field(0.05, description="Never sooner than after so long.")


class WaitingEntry(Strict):
    """How requests wait for a node while all of them are full and no API may take them: fairly, key by key."""

    most_requests: Annotated[int, Field(ge=1, le=1_000_000), IsNumber] = Field(
        1000, description="Most requests that wait, per worker; beyond, one is refused: the least urgent."
    )
    longest_s: Seconds = Field(30, description="Longest wait; then a request is refused.")


class ModelEntry(Strict):
    """A model as clients name it, and the targets that may serve it."""

    targets: tuple[
        Annotated[RouteTarget, BeforeValidator(_as_route_target, json_schema_input_type=RouteTarget | str)], ...
    ] = Field(min_length=1, max_length=32, description="Names of targets, or mappings of target and weight.")
    policy: Policy | None = Field(
        None,
        description="ordered: the first that can, the others when it fails; weighted: by weight; least_busy: the one "
        "with the fewest requests; lowest_latency: among those that begin soonest; cheapest: the one at which the "
        "request costs least; two_choices: the less busy of two that are drawn; overflow: a pool's nodes until all are "
        "full, then the others in order; marginal_cost: where it adds least to the bill, nodes that answer in time "
        "being free; prefix_affinity: the node that has the prompt's beginning cached, unless it is too busy; "
        "cost_threshold: the first at which it costs at most most_usd; budget_downgrade: cheaper ones as the key's "
        "budget runs out; schedule: the first whose hours it is. Default: weighted where weights are given, else "
        "ordered.",
    )
    first_token_s: Seconds | None = Field(
        None, description="Within which the first token should come, under marginal_cost; left out: whenever."
    )
    most_usd: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False), IsNumber] | None = Field(
        None, description="What a request may be expected to cost, under cost_threshold and marginal_cost."
    )
    fallbacks: tuple[str, ...] = Field(
        (), description="Models whose targets are tried when its own cannot serve; their own fallbacks follow."
    )
    max_attempts: Annotated[int, Field(ge=1, le=15), IsNumber] | None = Field(
        None,
        description="Most attempts for a request, whatever they are for; default: as many as there are targets, those "
        "of fallbacks included. With more, targets that failed are asked again after a pause.",
    )
    cache: ModelCache | None = Field(
        None,
        description="Give answers again to requests that are equal byte for byte; left out: where a request says so "
        "(header x-breakeven-cache: on, off or refresh).",
    )
    continue_streams: bool = Field(
        default=True, description="Let another target go on where a stream broke off, if it is known to be able to."
    )
    hedging: HedgingEntry | None = Field(
        None,
        description="Ask a second target too where the first is slow to begin; the first that begins serves. "
        "Both are paid for. Left out: never.",
    )
    verify: VerifyEntry | None = Field(
        None,
        description="Check answers before a client gets any of them, and ask the next target where one fails; the "
        "targets stand in their order, cheap ones first. Left out: answers are passed on as they come.",
    )
    waiting: WaitingEntry | None = Field(
        None,
        description="Let requests wait while all nodes are full and no API may take them, by priority and fairly among "
        "keys (headers x-breakeven-priority and x-breakeven-deadline-s). Left out: a full node takes them.",
    )
    unknown_price: Literal["warn", "refuse"] = Field(
        "warn",
        description="What happens to a request whose target has no known price: recorded without one, or refused.",
    )


class BreakerEntry(Strict):
    """When a target counts as down and is left alone, until one request, as a probe, finds it well again."""

    failed_requests: Often = Field(
        5, description="Failures in a row, or among half of the answers of a window, after which it is left alone."
    )
    window_s: Seconds = Field(30, description="Length of the window.")
    open_s: Seconds = Field(5, description="How long it is left alone at first; twice as long after each failed probe.")
    max_open_s: Seconds = Field(120, description="Longest time.")
    refused_requests: Often = Field(
        3, description="Refusals in a row of the gateway's own key, quota or model after which it is left alone."
    )
    refused_open_s: Seconds = Field(300, description="How long it then is: until somebody has put that right.")
    max_held_s: Seconds = Field(60, description="Longest Retry-After of a target that is heeded.")


class KeyEntry(Strict):
    """A virtual key, known by its hash; `breakeven keys create` makes keys without touching this file."""

    name: Label = Field(description="What the ledger calls it.")
    sha256: Digest = Field(description="SHA-256 of the whole key, in hex; never the key itself.")
    models: tuple[str, ...] = Field((), description="Models that it may ask for; empty: all.")
    tags: str = Field(
        "", max_length=256, description="Tags of its requests that bring none, such as team=search,env=prod."
    )
    sensitivity: Label | None = Field(
        None,
        description="Kinds of data that all of its requests are marked with, parted by commas, such as local-only; "
        "nothing that a request says takes one away.",
    )
    expires: Day | None = Field(None, description="Day from whose start (UTC) it is refused.")
    team: Label | None = Field(None, description="Team whose quotas it shares.")
    priority: Annotated[int, Field(ge=-MOST_PRIORITY, le=MOST_PRIORITY), IsNumber] = Field(
        0, description="Of its requests where they wait: higher ones go first; a request may only lower it."
    )
    quota: QuotaEntry = Field(default_factory=QuotaEntry, description="What it may use.")


class LimitsEntry(Strict):
    """Bounds on what a client may send, hold and keep waiting."""

    header_bytes: Annotated[int, Field(ge=1024, le=1_048_576), IsNumber] = Field(
        32_768, description="Largest head of a request."
    )
    body_bytes: Annotated[int, Field(ge=1024, le=1_073_741_824), IsNumber] = Field(
        33_554_432, description="Largest body of a request."
    )
    header_s: Seconds = Field(10, description="From the first byte of a request to the end of its head.")
    body_s: Seconds = Field(30, description="Longest pause within a body.")
    idle_s: Seconds = Field(75, description="How long a connection without a request is kept.")
    connections: Annotated[int, Field(ge=1, le=1_000_000), IsNumber] = Field(
        4096, description="Most client connections at a time, per worker."
    )
    drain_s: Seconds = Field(30, description="How long answers under way may run on after a stop was asked for.")


class LedgerEntry(Strict):
    """Where the ledger is and what happens when it cannot be written."""

    folder: Path = Field(Path("breakeven-data"), description="Folder of the spool and, by default, of the store.")
    store: Path | None = Field(None, description="SQLite file of the store; default: ledger.sqlite in the folder.")
    on_full: Literal["refuse", "drop"] = Field(
        "refuse", description="Once too many rows wait: refuse new requests (503), or drop rows and count them."
    )
    waiting_rows: Annotated[int, Field(ge=1000, le=10_000_000), IsNumber] = Field(
        100_000, description="Rows kept in memory, per worker, while the spool cannot be written."
    )
    keep_days: Annotated[int, Field(ge=1, le=36_500), IsNumber] | None = Field(
        None, description="Days of which rows are kept; older ones are deleted, their sums stay. Default: all."
    )
    fresh: bool = Field(
        default=False, description="Empty the ledger at every start: for benchmarks and demonstrations only."
    )


def _targets_or_pools(schema: dict[str, Any]) -> None:
    """Say in the schema what pools make of targets: with pools there need be none."""
    schema["required"] = [key for key in schema["required"] if key != "targets"]
    schema["anyOf"] = [{"required": ["targets"]}, {"required": ["pools"]}]


class ConfigFile(Strict):
    """The gateway's settings: where it listens, what it can reach, what clients may ask for, what it keeps."""

    model_config = ConfigDict(json_schema_extra=_targets_or_pools)

    listen: Listen = Field(default_factory=Listen, description="Where clients reach the gateway.")
    workers: Annotated[int, Field(ge=1, le=63), IsNumber] = Field(
        1, description="Processes that serve; one serves one core."
    )
    targets: dict[str, TargetEntry] = Field(
        description="Places that serve models, by a name of your choice; left out where there are pools alone.",
        json_schema_extra={"minProperties": 1},
    )
    pools: dict[str, PoolEntry] = Field(
        default_factory=dict, description="Nodes of your own, by a name of your choice that no target has."
    )
    models: dict[str, ModelEntry] = Field(
        description="Models by the name that clients use; '*' stands for every name without an entry of its own.",
        json_schema_extra={"minProperties": 1},
    )
    keys: tuple[KeyEntry, ...] = Field((), description="Virtual keys that clients may bring.")
    sensitivity_of_tags: dict[str, Label] = Field(
        default_factory=dict,
        max_length=1000,
        description="Kinds of data that tags mark a request with, such as data=patient: local-only; they add to what "
        "its key and its header x-breakeven-sensitivity say.",
    )
    tasks: TasksEntry | None = Field(
        None,
        description="How tasks are told of requests that name none, and which targets they are allowed; left "
        "out: tasks are what clients declare.",
    )
    cache: CacheEntry = Field(
        default_factory=CacheEntry, description="How much is kept of answers that may be given again."
    )
    semantic_cache: SemanticCacheEntry | None = Field(
        None,
        description="Tasks whose answers may be given again to questions that mean the same, once checks have shown "
        "how often that is wrong; left out: none.",
    )
    breaker: BreakerEntry = Field(
        default_factory=BreakerEntry, description="When a target that fails is left alone, and for how long."
    )
    rate_cards: tuple[Path, ...] = Field((), description="YAML files of your own prices, beside this file.")
    limits: LimitsEntry = Field(default_factory=LimitsEntry, description="Bounds on clients.")
    quotas: QuotasEntry = Field(
        default_factory=QuotasEntry,
        description="What teams, tags, models, targets and providers may use; keys have their own.",
    )
    shared_state: SharedStateEntry | None = Field(
        None, description="Server through which limits are shared; default: each worker keeps its part of every limit."
    )
    control: ControlEntry | None = Field(
        None, description="The control plane: page, metrics, usage and keys on an address of its own; left out: none."
    )
    telemetry: TelemetryEntry | None = Field(
        None,
        description="OpenTelemetry spans of every attempt and events of outcomes, and where they are sent; "
        "left out: none.",
    )
    batches: BatchesEntry | None = Field(
        None, description="OpenAI's files and batches, drained into idle capacity; left out: they are not served."
    )
    trials: TrialsEntry | None = Field(
        None,
        description="Candidates compared on live requests, signals of answers, and what shifts of traffic need; left "
        "out: none of it.",
    )
    alerts: AlertsEntry | None = Field(
        None, description="What somebody is told of by webhook, Slack, e-mail or Alertmanager; left out: nobody is."
    )
    ledger: LedgerEntry = Field(default_factory=LedgerEntry, description="What is kept, and where.")
