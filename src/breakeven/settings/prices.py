"""Under which name a target's prices are looked up, and the price lists known under those names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from breakeven.economics.pool_hours import is_pool_price
from breakeven.errors import UnknownNameError
from breakeven.settings.reach import reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from breakeven.catalog.rate_card import PriceList
    from breakeven.settings.file import ModelEntry
    from breakeven.settings.targets import TargetEntry

ANY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceFound:
    """What is known of the price of one model at one target."""

    target: str
    model: str
    """The model's name there; ``*`` where clients may name any."""

    priced_as: str
    """``provider:model``; ``provider:*`` where it is looked up per request; empty where nobody said."""

    prices: PriceList | None
    guessed: bool
    """Told by the target's host, not by the file."""


def priced_as(entry: TargetEntry) -> tuple[str, bool]:
    """Return the name under which a target's prices are looked up, and whether its host alone told it."""
    name, guessed = entry.prices or "", False
    if not name:
        provider = reach(entry).provider
        name, guessed = (
            (f"{provider.prices}:{ANY}", entry.provider is None) if provider and provider.prices else ("", False)
        )
    if name.endswith(f":{ANY}") and entry.model:
        name = name[:-1] + entry.model
    return name, guessed


def prices_of(
    targets: Mapping[str, TargetEntry], models: Mapping[str, ModelEntry], cards: Mapping[str, PriceList]
) -> tuple[PriceFound, ...]:
    """Look up every price that can be known before a request comes."""
    found: list[PriceFound] = []
    for target, entry in targets.items():
        pattern, guessed = priced_as(entry)
        for model in _names(target, entry, models):
            name = pattern[:-1] + model if pattern.endswith(f":{ANY}") else pattern
            prices = named_price_list(name, cards) if name and not name.endswith(f":{ANY}") else None
            found.append(PriceFound(target=target, model=model, priced_as=name, prices=prices, guessed=guessed))
    return tuple(found)


def named_price_list(name: str, cards: Mapping[str, PriceList]) -> PriceList | None:
    """Return the price list of exactly that ``provider:model``, under that name; None when there is none.

    A rate card goes before the catalogue.  The catalogue may know the model by another name (a dated one,
    say); the list then carries the name that was asked for, and its note says whose prices they are.
    """
    if name in cards:
        return cards[name]
    if is_pool_price(name):
        return None
    from breakeven.sources.genai import price_list  # noqa: PLC0415 - 55 MB, needed only where a name is looked up

    provider, _, model = name.partition(":")
    try:
        found = price_list(name)
    except UnknownNameError:
        return None
    if found.provider != provider.lower():  # the name was taken for a bare model's, sold by somebody else
        return None
    if found.target == name:
        return found
    note = f"{found.note} Prices of {found.target}.".strip()
    return replace(found, provider=provider, model=model, note=note)


def nearest_names(name: str, cards: Mapping[str, PriceList]) -> str:
    """Return the advice for a name that has no price."""
    from difflib import get_close_matches  # noqa: PLC0415 - for a message only

    from breakeven.sources.genai import known_targets  # noqa: PLC0415 - as above

    seller = name.partition(":")[0] + ":"
    near = get_close_matches(name, [*cards, *(t for t in known_targets() if t.startswith(seller))], n=3, cutoff=0.6)
    hint = f"Did you mean {', '.join(near)}? " if near else ""
    return f"{hint}`breakeven catalog prices --search NAME` lists what is known; a rate card adds what is not."


def _names(target: str, entry: TargetEntry, models: Mapping[str, ModelEntry]) -> Iterator[str]:
    """Yield the names, there, of the models that a target serves, each once."""
    if entry.model:
        yield entry.model
        return
    routed = [name for name, model in models.items() if any(item.target == target for item in model.targets)]
    yield from dict.fromkeys(routed)
