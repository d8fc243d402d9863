"""Who serves models, and how each is spoken to: read from ``data/providers.yaml``, which has an entry for each.

Providers are recognised by their host, so that a target that says no more than its URL is priced, asked for and
sent its key as its provider wants.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Final, Literal

from pydantic import Field

from breakeven.sources.written import Day, Strict
from breakeven.sources.yaml_file import check, read_yaml

Protocol = Literal["chat", "completions", "responses", "embeddings", "messages"]
"""Names in ``routing.eligible.PROTOCOLS``; a test keeps the two together."""

KeyHeader = Literal["authorization", "api-key", "x-api-key", "x-goog-api-key"]
"""The header that carries the key; in ``authorization``, after ``Bearer``."""

PrefillWay = Literal["none", "plain", "prefix", "continue_final_message"]
"""How a target is told to go on with a last message of the assistant.

none: it cannot; plain: by that message alone; prefix: by ``"prefix": true`` in the message;
continue_final_message: by that key of the request, with ``"add_generation_prompt": false``.
"""

DATA: Final = Path(str(files("breakeven.settings") / "data" / "providers.yaml"))


class Prefill(Strict):
    """Whether a provider continues what the assistant began, and where."""

    how: PrefillWay = Field(description="The way to ask for it.")
    models: tuple[str, ...] = Field((), description="Patterns of the models that do; empty: all.")
    path: str = Field("", description="Base path at which it does; empty: any.")


class Source(Strict):
    """Where facts of an entry were read."""

    facts: tuple[str, ...] = Field(min_length=1, description="Keys of the entry.")
    url: str = Field(pattern=r"^https://\S+$", description="The page.")
    read_on: Day = Field(description="Day on which it was read.")


class Provider(Strict):
    """Someone who sells tokens, or an engine that makes them; what is not known is left out."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", description="The price catalogue's, where that knows it.")
    title: str = Field(description="Its name for people.")
    kind: Literal["api", "engine"] = Field(description="Sold by the token, or run by oneself.")
    url: str = Field(pattern=r"^https?://\S+$", description="Base URL, with {placeholders} for what differs.")
    hosts: tuple[str, ...] = Field((), description="Hosts by which it is recognised; * stands for any text.")
    prices: str = Field("", description="Provider in the price catalogue whose prices hold.")
    variable: str = Field("", description="Environment variable in which its key usually is.")
    key_header: KeyHeader = Field("authorization", description="The header that carries the key.")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers that every request needs.")
    protocols: tuple[Protocol, ...] = Field(min_length=1, description="What it speaks below its URL.")
    regions: tuple[str, ...] = Field((), description="Published values of {region}.")
    stream_usage: bool | None = Field(None, description="Whether it takes stream_options.include_usage.")
    bound: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        None, description="The one key of a chat request that bounds the answer's tokens, where it knows no other."
    )
    cached: Literal["part", "addition"] | None = Field(
        None, description="Whether tokens read from a cache are part of the input tokens it tells, or beside them."
    )
    prefill: Prefill | None = Field(None, description="Whether it continues what the assistant began.")
    sources: tuple[Source, ...] = Field(description="Where these facts were read.")
    unconfirmed: dict[str, str] = Field(
        default_factory=dict,
        description="Facts above that stand without a page, and why.",
    )

    @property
    def places(self) -> tuple[str, ...]:
        """Return the names of the placeholders in its URL, each once, in order."""
        return tuple(dict.fromkeys(name for _, name, _, _ in Formatter().parse(self.url) if name))

    def url_at(self, at: Mapping[str, str]) -> str:
        """Return its URL with the placeholders filled in.  Raises ``KeyError`` where one is not given."""
        return self.url.format_map(at)


@cache
def load_providers() -> Mapping[str, Provider]:
    """Return every provider by its id, in the order of the file."""
    entries = check(read_yaml(DATA), tuple[Provider, ...])
    return {entry.id: entry for entry in entries}


@cache
def provider_at(host: str) -> Provider | None:
    """Return who serves at that host; None when that is not known."""
    known = load_providers().values()
    return next((item for item in known if any(fnmatchcase(host, pattern) for pattern in item.hosts)), None)


def needs_no_file() -> tuple[Provider, ...]:
    """Return the providers that a key alone is enough to reach and to price."""
    return tuple(item for item in load_providers().values() if item.variable and item.prices and not item.places)


def with_key(environment: Mapping[str, str]) -> tuple[Provider, ...]:
    """Return those of them whose key is in the environment."""
    return tuple(item for item in needs_no_file() if environment.get(item.variable, "").strip())
