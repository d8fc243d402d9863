"""``breakeven.yaml`` as people write it: every key with its type, its bounds and what it is.

What one key alone can show is checked here; what takes two of them, or the world outside, in ``check``.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from breakeven.settings.address import check_proxy_url, check_target_url
from breakeven.settings.control import ControlEntry
from breakeven.settings.fields import Digest, Host, Label, Port, Reference, like
from breakeven.settings.limits import Often, QuotaEntry, QuotasEntry, SharedStateEntry
from breakeven.settings.providers import KeyHeader, PrefillWay, Protocol
from breakeven.settings.semantic import SemanticCacheEntry
from breakeven.settings.telemetry import TelemetryEntry
from breakeven.sources.written import Day, IsNumber, Strict

Policy = Literal["ordered", "weighted", "least_busy", "lowest_latency", "cheapest"]
"""Names in ``routing.policies.POLICIES``; a test keeps the two together."""

_PRICES = r"^[^:\s]{1,100}:\S{1,256}$"
_PLACE = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$"


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False), IsNumber]
Connections = Annotated[int, Field(ge=1, le=65_535), IsNumber]
Weight = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False), IsNumber]
TargetUrl = Annotated[
    str,
    AfterValidator(check_target_url),
    WithJsonSchema({"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$"}),
]
ProxyUrl = Annotated[
    str, AfterValidator(check_proxy_url), WithJsonSchema({"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp]://[!-~]+$"})
]
Prices = Annotated[
    str,
    like(_PRICES, "write provider:model, such as openai:gpt-4o-mini, or provider:* for the model that is asked for"),
    WithJsonSchema({"type": "string", "pattern": _PRICES}),
]
PlaceName = Annotated[
    str,
    like(_PLACE, "this should be one word of letters, digits and . _ -"),
    WithJsonSchema({"type": "string", "pattern": _PLACE}),
]


class Listen(Strict):
    """Where clients reach the gateway."""

    host: Host = Field("127.0.0.1", description="Address or host name to listen on; beyond loopback, keys are needed.")
    port: Port = Field(9400, description="TCP port to listen on.")
    require_key: bool = Field(
        default=False,
        description="Ask for a key on a loopback host too while there is none; with keys, and beyond loopback, always.",
    )


class Timeouts(Strict):
    """How long a target may take; when a time is up, the attempt has failed and the next target is tried."""

    connect_s: Seconds = Field(5, description="To connect, TLS and proxy included.")
    first_token_s: Seconds = Field(120, description="From the request's last byte to the first byte of the answer.")
    between_tokens_s: Seconds = Field(60, description="Longest silence within an answer.")
    total_s: Seconds = Field(
        900, description="From the whole request to the end of its answer, failed attempts included."
    )


class ProxyEntry(Strict):
    """A CONNECT proxy on the way to a target."""

    url: ProxyUrl = Field(description="http://HOST:PORT, without credentials.")
    user: str | None = Field(None, min_length=1, max_length=256, description="User name, or a reference to it.")
    password: Reference | None = Field(None, description="Reference to the password: env:NAME or file:PATH.")


def _as_proxy(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class TargetEntry(Strict):
    """A place that serves models: a provider's API or an engine of your own."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["url"]}, {"required": ["provider"]}]})

    provider: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Whose API or which engine it is, by a name from docs/howto/run-the-gateway.md: tells the URL, how "
        "the key is sent, what it speaks and what it costs. Default: told by the host of the URL.",
    )
    at: dict[str, PlaceName] = Field(
        default_factory=dict,
        description="What the provider's URL leaves open, such as resource, region, project or host.",
    )
    url: TargetUrl | None = Field(
        None,
        description="Base URL, such as https://api.openai.com/v1, to which /chat/completions and the like are added; "
        "default: the provider's.",
    )
    key: Reference | None = Field(None, description="Reference to its API key: env:NAME or file:PATH.")
    key_header: KeyHeader | None = Field(
        None,
        description="Header that carries the key; default: the provider's, else authorization, after 'Bearer '.",
    )
    protocols: Annotated[tuple[Protocol, ...], Field(min_length=1)] | None = Field(
        None,
        description="What it speaks; default: what its provider does, else chat, completions, responses, embeddings.",
    )
    prefill: PrefillWay | None = Field(
        None,
        description="How it is told to go on with a last message of the assistant: not at all, by that message alone, "
        "by its key prefix, or by continue_final_message; default: as its provider is known to, else none.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Further headers of every request to it; a value is plain text, env:NAME or file:PATH.",
    )
    model: str | None = Field(
        None, min_length=1, max_length=256, description="The model's name there; default: as the client says it."
    )
    prices: Prices | None = Field(
        None,
        description="provider:model whose prices hold, in a rate card or in `breakeven catalog prices`; provider:* for "
        "the model that is asked for; default: told by the host of a known provider, else none.",
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="How long it may take.")
    proxy: Annotated[ProxyEntry, BeforeValidator(_as_proxy, json_schema_input_type=ProxyEntry | str)] | None = Field(
        None, description="CONNECT proxy on the way there: its URL, or a mapping with credentials by reference."
    )
    ca_file: Path | None = Field(
        None, description="PEM file of the authorities that vouch for it; default: those of the system."
    )
    stream_usage: bool | None = Field(
        None,
        description="Whether it takes stream_options.include_usage; where not, and it sends no usage unasked, streams "
        "are estimated. Default: true, except for hosts known to refuse it.",
    )
    context_tokens: Annotated[int, Field(ge=1, le=1_000_000_000), IsNumber] | None = Field(
        None, description="Longest prompt and answer it takes: where one was too long, only larger targets are tried."
    )
    max_connections: Connections = Field(1024, description="Most connections to it at a time, per worker.")
    sensitivities: tuple[Label, ...] = Field(
        (), description="Kinds of data that may be sent there (header x-breakeven-sensitivity); empty: every kind."
    )


class RouteTarget(Strict):
    """A target of a model, with its share of the traffic."""

    target: str = Field(description="Name of a target above.")
    weight: Weight = Field(1, description="Its share, relative to the others'; counts under policy: weighted.")


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


class ModelEntry(Strict):
    """A model as clients name it, and the targets that may serve it."""

    targets: tuple[
        Annotated[RouteTarget, BeforeValidator(_as_route_target, json_schema_input_type=RouteTarget | str)], ...
    ] = Field(min_length=1, max_length=32, description="Names of targets, or mappings of target and weight.")
    policy: Policy | None = Field(
        None,
        description="ordered: the first that can, the others when it fails; weighted: by weight; least_busy: the one "
        "with the fewest requests; lowest_latency: among those that begin soonest; cheapest: the one at which the "
        "request costs least. Default: weighted where weights are given, else ordered.",
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
    expires: Day | None = Field(None, description="Day from whose start (UTC) it is refused.")
    team: Label | None = Field(None, description="Team whose quotas it shares.")
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


class ConfigFile(Strict):
    """The gateway's settings: where it listens, what it can reach, what clients may ask for, what it keeps."""

    listen: Listen = Field(default_factory=Listen, description="Where clients reach the gateway.")
    workers: Annotated[int, Field(ge=1, le=63), IsNumber] = Field(
        1, description="Processes that serve; one serves one core."
    )
    targets: dict[str, TargetEntry] = Field(
        description="Places that serve models, by a name of your choice.", json_schema_extra={"minProperties": 1}
    )
    models: dict[str, ModelEntry] = Field(
        description="Models by the name that clients use; '*' stands for every name without an entry of its own.",
        json_schema_extra={"minProperties": 1},
    )
    keys: tuple[KeyEntry, ...] = Field((), description="Virtual keys that clients may bring.")
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
        None, description="OpenTelemetry spans of every attempt, and where they are sent; left out: none."
    )
    ledger: LedgerEntry = Field(default_factory=LedgerEntry, description="What is kept, and where.")
