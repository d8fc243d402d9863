"""API prices from the ``genai-prices`` package, offline, turned into our price lists.

A target is resolved once; after that every price is our own exact arithmetic.  Prices of things
other than text tokens (audio, images, searches) are left out: the program prices text traffic.
"""

from __future__ import annotations

import re
from datetime import date
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
"""Where a bare model name is looked for first: its makers before those who resell it."""


def price_list(target: str) -> PriceList:
    """Return the price list of ``provider:model``, or of a bare model name at its likeliest seller.

    Raises ``UnknownNameError`` with the nearest names when genai-prices knows no such target.
    """
    provider_id, _, model_ref = target.partition(":") if _names_provider(target) else ("", "", target)
    for provider in _providers(provider_id):
        model = provider.find_model(model_ref.lower())
        if model is not None:
            return _convert(provider, model)
    raise UnknownNameError(_unknown(target))


def exact_price_list(target: str) -> PriceList:
    """Return the price list of a target as ``known_targets`` names it."""
    provider_id, _, model_id = target.partition(":")
    provider = next(p for p in data_snapshot.get_snapshot().providers if p.id == provider_id)
    return _convert(provider, next(m for m in provider.models if m.id == model_id))


def known_targets() -> tuple[str, ...]:
    """Return every ``provider:model`` that genai-prices knows."""
    return tuple(f"{p.id}:{m.id}" for p in data_snapshot.get_snapshot().providers for m in p.models)


@cache
def snapshot_date() -> date:
    """Return the newest date on which the bundled prices say they were checked."""
    comments = (m.price_comments or "" for p in data_snapshot.get_snapshot().providers for m in p.models)
    return max(date.fromisoformat(found) for text in comments for found in _VERIFIED.findall(text))


def _names_provider(target: str) -> bool:
    head = target.split(":", 1)[0].lower()
    return ":" in target and any(head == p.id for p in data_snapshot.get_snapshot().providers)


def _providers(provider_id: str) -> list[types.Provider]:
    providers = data_snapshot.get_snapshot().providers
    if provider_id:
        return [p for p in providers if p.id == provider_id.lower()]
    rank = {name: index for index, name in enumerate(_MAKERS)}
    return sorted(providers, key=lambda p: rank.get(p.id, len(rank)))


def _convert(provider: types.Provider, model: types.ModelInfo) -> PriceList:
    standard = (
        [types.ConditionalPrice(prices=model.prices)] if isinstance(model.prices, types.ModelPrice) else model.prices
    )
    entries = [_entry(item.prices, item.constraint, "standard") for item in standard]
    # genai-prices takes the *first* matching variant, a price list the last entry: hence reversed.
    for variant in reversed(model.price_variants or []):
        processing = _VARIANTS.get(tuple(variant.when.items()))
        if processing:
            entries.append(_entry(variant.prices, variant.constraint, processing))
    verified = _VERIFIED.findall(model.price_comments or "")
    return PriceList(
        provider=provider.id,
        model=model.id,
        entries=tuple(entries),
        source=f"genai-prices {version('genai-prices')}",
        checked_on=max(map(date.fromisoformat, verified)) if verified else snapshot_date(),
        context_tokens=model.context_window,
        note=model.price_comments or "",
    )


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
        daily_from=daily.start_time.replace(tzinfo=None) if daily else None,
        daily_until=daily.end_time.replace(tzinfo=None) if daily else None,
    )


def _flat(price: Decimal | types.TieredPrices | None) -> Decimal:
    if isinstance(price, types.TieredPrices):
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
    names = {name.split(":", 1)[1]: name for name in reversed(known_targets())}
    near = get_close_matches(target.split(":")[-1], names, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(names[n] for n in near)}?" if near else ""
    return (
        f"No price is known for {target!r}, so what it costs cannot be said.{hint} "
        "`breakeven catalog prices --search NAME` lists what is known; a rate card in YAML adds what is not."
    )
