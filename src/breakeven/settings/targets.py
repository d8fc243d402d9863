"""``targets:`` of ``breakeven.yaml``: places that serve models, and how each is reached."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from breakeven.settings.address import check_proxy_url, check_target_url
from breakeven.settings.fields import Label, Reference, like
from breakeven.settings.providers import KeyHeader, PrefillWay, Protocol
from breakeven.sources.written import IsNumber, Strict

_PRICES = r"^[^:\s]{1,100}:\S{1,256}$"
_PLACE = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$"


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False), IsNumber]
Connections = Annotated[int, Field(ge=1, le=65_535), IsNumber]
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


def as_proxy(value: Any) -> Any:
    """Return a proxy's URL that stands alone as the mapping that it stands for."""
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
    proxy: Annotated[ProxyEntry, BeforeValidator(as_proxy, json_schema_input_type=ProxyEntry | str)] | None = Field(
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
        (), description="Kinds of data that may be sent there; empty: only requests that are not marked with any."
    )
