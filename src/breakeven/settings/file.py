"""``breakeven.yaml`` as people write it: every key with its type, its bounds and what it is.

What one key alone can show is checked here; what takes two of them, or the world outside, in ``check``.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from breakeven.settings.address import check_proxy_url, check_target_url, checked_host
from breakeven.settings.secret import REFERENCE_PATTERN, check_reference
from breakeven.sources.written import Day, IsNumber, Strict

Policy = Literal["ordered", "weighted"]
"""Names in ``routing.policies.POLICIES``; a test keeps the two together."""

_PRICES = r"^[^:\s]{1,100}:\S{1,256}$"
_DIGEST = r"^[0-9a-fA-F]{64}$"
_LABEL = r"^[!-~]{1,128}$"


def _like(pattern: str, message: str) -> AfterValidator:
    """Return the check of a text against a pattern that says in words what is expected."""
    compiled = re.compile(pattern.removesuffix("$"))

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(message)
        return text

    return AfterValidator(check)


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False), IsNumber]
Port = Annotated[int, Field(ge=1, le=65_535), IsNumber]
Connections = Annotated[int, Field(ge=1, le=65_535), IsNumber]
Weight = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False), IsNumber]
Host = Annotated[str, AfterValidator(checked_host)]
TargetUrl = Annotated[
    str,
    AfterValidator(check_target_url),
    WithJsonSchema({"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$"}),
]
ProxyUrl = Annotated[
    str, AfterValidator(check_proxy_url), WithJsonSchema({"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp]://[!-~]+$"})
]
Reference = Annotated[
    str, AfterValidator(check_reference), WithJsonSchema({"type": "string", "pattern": REFERENCE_PATTERN})
]
Prices = Annotated[
    str,
    _like(_PRICES, "write provider:model, such as openai:gpt-4o-mini, or provider:* for the model that is asked for"),
    WithJsonSchema({"type": "string", "pattern": _PRICES}),
]
Digest = Annotated[
    str,
    _like(_DIGEST, "this should be the 64 hex digits that `printf %s KEY | sha256sum` prints, not the key itself"),
    WithJsonSchema({"type": "string", "pattern": _DIGEST}),
]
Label = Annotated[
    str,
    _like(_LABEL, "this should be one word of up to 128 ASCII characters"),
    WithJsonSchema({"type": "string", "pattern": _LABEL}),
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

    url: TargetUrl = Field(description="Base URL, such as https://api.openai.com/v1; /chat/completions is added to it.")
    key: Reference | None = Field(
        None, description="Reference to its API key, sent as 'Authorization: Bearer …': env:NAME or file:PATH."
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


class ModelEntry(Strict):
    """A model as clients name it, and the targets that may serve it."""

    targets: tuple[
        Annotated[RouteTarget, BeforeValidator(_as_route_target, json_schema_input_type=RouteTarget | str)], ...
    ] = Field(min_length=1, max_length=32, description="Names of targets, or mappings of target and weight.")
    policy: Policy | None = Field(
        None,
        description="ordered: the first that can, the others when it fails; weighted: by weight. Default: weighted "
        "where weights are given, else ordered.",
    )
    max_attempts: Annotated[int, Field(ge=1, le=15), IsNumber] | None = Field(
        None, description="Most targets tried for a request; default: as many as it has."
    )
    unknown_price: Literal["warn", "refuse"] = Field(
        "warn",
        description="What happens to a request whose target has no known price: recorded without one, or refused.",
    )


class KeyEntry(Strict):
    """A virtual key, known by its hash; `breakeven keys create` makes keys without touching this file."""

    name: Label = Field(description="What the ledger calls it.")
    sha256: Digest = Field(description="SHA-256 of the whole key, in hex; never the key itself.")
    models: tuple[str, ...] = Field((), description="Models that it may ask for; empty: all.")
    tags: str = Field(
        "", max_length=256, description="Tags of its requests that bring none, such as team=search,env=prod."
    )
    expires: Day | None = Field(None, description="Day from whose start (UTC) it is refused.")


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
    rate_cards: tuple[Path, ...] = Field((), description="YAML files of your own prices, beside this file.")
    limits: LimitsEntry = Field(default_factory=LimitsEntry, description="Bounds on clients.")
    ledger: LedgerEntry = Field(default_factory=LedgerEntry, description="What is kept, and where.")
