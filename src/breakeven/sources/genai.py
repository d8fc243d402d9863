"""API prices from the ``genai-prices`` package, offline, turned into our price lists.

A target is resolved once; after that every price is our own exact arithmetic.  Prices of things
other than text tokens (audio, images, searches) are left out: the program prices text traffic.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from importlib.metadata import version
from typing import Final

from genai_prices import data_snapshot, types

from breakeven.catalog.rate_card import PriceEntry, PriceList, Processing, Tier, TokenPrice, TokenPrices
from breakeven.errors import UnknownNameError

_VARIANTS: Final[dict[tuple[tuple[str, str], ...], Processing]] = {
    (("processing", "batch"),): "batch",
    (("service_tier", "flex"),): "flex",
    (("service_tier", "priority"),): "priority",
}
_VERIFIED = re.compile(r"verified on (\d{4}-\d{2}-\d{2})")
_MAKERS: Final = ("openai", "anthropic", "google", "mistral", "deepseek", "x-ai", "cohere", "groq", "together")
"""Where a bare model name is looked for first, and offered first: its makers before those who resell it."""

_LONGEST_NAME: Final = 120
_BORROWED: Final = "genai-prices holds no {provider} price of its own for it and uses that of {seller}."


def price_list(target: str) -> PriceList:
    """Return the price list of ``provider:model``, or of a bare model name at its likeliest seller.

    The model may be named in any form that genai-prices recognises.  Where a provider sells at another's
    prices (Azure at those of OpenAI), the note says so.  Raises ``UnknownNameError`` with the nearest
    names when genai-prices knows no such target.
    """
    provider_id, name = _split(target)
    if len(name) > _LONGEST_NAME:
        raise UnknownNameError(_unknown(target))
    for provider in _providers(provider_id):
        model = _find(provider, name)
        if model is not None:
            return _convert(provider, model)
    if provider_id and (borrowed := _borrow(_providers(provider_id)[0], name)):
        return borrowed
    raise UnknownNameError(_unknown(target))


def exact_price_list(target: str) -> PriceList:
    """Return the price list of a target as ``known_targets`` names it.

    Raises ``UnknownNameError`` with the nearest names when genai-prices has no target of exactly that name.
    """
    provider_id, _, model_id = target.partition(":")
    for provider in data_snapshot.get_snapshot().providers:
        for model in provider.models if provider.id == provider_id else ():
            if model.id == model_id:
                return _convert(provider, model)
    raise UnknownNameError(_unknown(target))


def known_targets() -> tuple[str, ...]:
    """Return every ``provider:model`` that genai-prices knows."""
    return tuple(f"{p.id}:{m.id}" for p in data_snapshot.get_snapshot().providers for m in p.models)


@cache
def snapshot_date() -> date:
    """Return the newest date on which the bundled prices say they were checked."""
    comments = (m.price_comments or "" for p in data_snapshot.get_snapshot().providers for m in p.models)
    return max(date.fromisoformat(found) for text in comments for found in _VERIFIED.findall(text))


def _split(target: str) -> tuple[str, str]:
    """Return the provider's id, empty unless the target names one, and the model's name."""
    for mark in (":", "/"):  # routers write provider/model
        head, found, rest = target.strip().partition(mark)
        if found and any(head.lower() == p.id for p in data_snapshot.get_snapshot().providers):
            return head.lower(), rest.strip()
    return "", target.strip()


def _providers(provider_id: str) -> list[types.Provider]:
    providers = data_snapshot.get_snapshot().providers
    if provider_id:
        return [p for p in providers if p.id == provider_id]
    return sorted(providers, key=lambda p: _rank(p.id))


def _rank(provider_id: str) -> int:
    return _MAKERS.index(provider_id) if provider_id in _MAKERS else len(_MAKERS)


def _find(provider: types.Provider, name: str) -> types.ModelInfo | None:
    """Return the model of exactly that id, else the first that recognises the name.

    Ids come first because 80 of them (most of Fireworks') are not recognised by their own model.
    """
    exact = next((model for model in provider.models if model.id.lower() == name.lower()), None)
    return exact or provider.find_model(name.lower())


def _borrow(provider: types.Provider, name: str) -> PriceList | None:
    """Return the prices that a provider sells at by those of another, under its own name."""
    for seller_id in provider.fallback_model_providers or ():
        for seller in _providers(seller_id):
            if model := seller.find_model(name.lower()):
                note = _BORROWED.format(provider=provider.id, seller=f"{seller.id}:{model.id}")
                # Batch, flex and priority prices are the seller's own offers: they are not carried over.
                entries = tuple(e for e in _convert(seller, model).entries if e.processing == "standard")
                return replace(_convert(provider, model), entries=entries, note=note)
    return None


def _convert(provider: types.Provider, model: types.ModelInfo) -> PriceList:
    first, *later = (
        [types.ConditionalPrice(prices=model.prices)] if isinstance(model.prices, types.ModelPrice) else model.prices
    )
    # genai-prices falls back to the first entry when none holds: the same as one that always holds.
    entries = [_entry(first.prices, None, "standard")]
    entries += [_entry(item.prices, item.constraint, "standard") for item in later]
    # Among variants it takes the *first* that matches, a price list the last entry: hence reversed.
    for variant in reversed(model.price_variants or []):
        processing = _VARIANTS.get(tuple(variant.when.items()))
        if processing:
            entries.append(_entry(variant.prices, variant.constraint, processing))
    verified = _VERIFIED.findall(model.price_comments or "")
    return PriceList(
        provider=provider.id,
        model=model.id,
        entries=tuple(entries),
        source=_source(),
        checked_on=max(map(date.fromisoformat, verified)) if verified else snapshot_date(),
        context_tokens=model.context_window,
        note=model.price_comments or "",
    )


@cache
def _source() -> str:
    return f"genai-prices {version('genai-prices')}"


def _entry(
    prices: types.ModelPrice,
    constraint: types.StartDateConstraint | types.TimeOfDateConstraint | None,
    processing: Processing,
) -> PriceEntry:
    daily = constraint if isinstance(constraint, types.TimeOfDateConstraint) else None
    return PriceEntry(
        prices=TokenPrices(
            input=_price(prices.input_mtok),
            output=_price(prices.output_mtok),
            cached_input=_price(prices.cache_read_mtok),
            cache_write=_price(prices.cache_write_mtok),
            request_usd=_flat(prices.requests_kcount) / 1000,
        ),
        processing=processing,
        starts_on=constraint.start_date if isinstance(constraint, types.StartDateConstraint) else None,
        daily_from=_utc(daily.start_time) if daily else None,
        daily_until=_utc(daily.end_time) if daily else None,
    )


def _utc(moment: time) -> time:
    """Return a time of day as UTC without an offset; one that names no zone is UTC already."""
    if moment.tzinfo is None:
        return moment
    return datetime.combine(date(1970, 1, 1), moment).astimezone(UTC).time()


def _flat(price: Decimal | types.TieredPrices | None) -> Decimal:
    if isinstance(price, types.TieredPrices):  # no target has one; a test says when one does
        return price.base
    return price if price is not None else Decimal(0)


def _price(price: Decimal | types.TieredPrices | None) -> TokenPrice | None:
    if price is None:
        return None
    if isinstance(price, types.TieredPrices):
        tiers = tuple(Tier(over_tokens=tier.start, usd_per_mtok=tier.price) for tier in price.tiers)
        return TokenPrice(usd_per_mtok=price.base, tiers=tiers)
    return TokenPrice(usd_per_mtok=price)


def _unknown(target: str) -> str:
    provider_id, name = _split(target)
    wanted = (name if provider_id else name.rpartition(":")[2]).lower()[:_LONGEST_NAME]
    names: dict[str, tuple[int, str]] = {}
    for known in known_targets():
        seller, _, model = known.partition(":")
        rank = -1 if seller == provider_id else _rank(seller)
        names[model.lower()] = min(names.get(model.lower(), (rank, known)), (rank, known))
    near = [names[found] for found in get_close_matches(wanted, names, n=3, cutoff=0.5)]
    near.sort(key=lambda found: found[0])  # makers before resellers, else the nearest first
    hint = f" Did you mean {', '.join(known for _, known in near)}?" if near else ""
    return (
        f"No price is known for {target[:_LONGEST_NAME]!r}, so what it costs cannot be said.{hint} "
        "`breakeven catalog prices --search NAME` lists what is known; a rate card in YAML adds what is not."
    )
