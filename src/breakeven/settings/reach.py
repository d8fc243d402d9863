"""How a target is reached and spoken to: what its entry says, else what its provider is known for."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.settings.address import read_address
from breakeven.settings.providers import load_providers, provider_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.settings.address import Address
    from breakeven.settings.providers import KeyHeader, PrefillWay, Protocol, Provider
    from breakeven.settings.targets import TargetEntry

UNKNOWN_URL: Final = "https://unknown.invalid"
"""In place of an address that cannot be told, so that a target's other keys are looked at too."""

SPOKEN: Final[tuple[Protocol, ...]] = ("chat", "completions", "responses", "embeddings")
"""What a target is taken to speak when neither it nor a known provider says: all of OpenAI's protocols."""


class Reach(NamedTuple):
    """Everything about the way to a target."""

    url: str
    address: Address
    provider: Provider | None
    """Named by the entry, or told by the host."""

    protocols: tuple[Protocol, ...]
    key_header: KeyHeader
    headers: Mapping[str, str]
    """Those that the provider wants in every request; the entry's own go before them."""

    stream_usage: bool
    bound: str
    """Key of a chat request that bounds the answer."""

    prefill: PrefillWay
    """``none`` also where it is not known."""


def reach(entry: TargetEntry) -> Reach:
    """Return the way to a target; its URL is ``UNKNOWN_URL`` where the entry does not lead to one."""
    named = load_providers().get(entry.provider) if entry.provider is not None else None
    url, address = _where(entry, named)
    provider = named or provider_at(address.host)
    return Reach(
        url=url,
        address=address,
        provider=provider,
        protocols=entry.protocols or (provider.protocols if provider else SPOKEN),
        key_header=entry.key_header or (provider.key_header if provider else "authorization"),
        headers=provider.headers if provider else {},
        stream_usage=_stream_usage(entry, provider),
        bound=(provider.bound if provider else None) or "max_completion_tokens",
        prefill=entry.prefill or _prefill(entry, provider, address.path),
    )


def _where(entry: TargetEntry, provider: Provider | None) -> tuple[str, Address]:
    try:
        url = entry.url or (provider.url_at(entry.at) if provider else UNKNOWN_URL)
        return url, read_address(url)
    except (KeyError, ValueError):  # a placeholder that is missing, or is no part of a host
        return UNKNOWN_URL, read_address(UNKNOWN_URL)


def _stream_usage(entry: TargetEntry, provider: Provider | None) -> bool:
    """Whether a stream is asked for its usage: wherever it is not known to be refused."""
    if entry.stream_usage is not None:
        return entry.stream_usage
    return provider is None or provider.stream_usage is not False


def _prefill(entry: TargetEntry, provider: Provider | None, path: str) -> PrefillWay:
    known = provider.prefill if provider else None
    if known is None or (known.path and known.path != path):
        return "none"
    fits = not known.models or any(fnmatchcase(entry.model or "", pattern) for pattern in known.models)
    return known.how if fits else "none"
