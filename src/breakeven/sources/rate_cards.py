"""Local rate cards: prices that a team negotiated, or of a provider that no price source covers."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from breakeven.catalog.rate_card import PriceEntry, PriceList, Processing, Provisioned, Tier, TokenPrice, TokenPrices
from breakeven.sources.yaml_file import check, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

Price = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Prices(_Strict):
    input_usd_per_mtok: Price | None = None
    output_usd_per_mtok: Price | None = None
    cached_input_usd_per_mtok: Price | None = None
    cache_write_usd_per_mtok: Price | None = None


class _TierRow(_Prices):
    over_tokens: int = Field(gt=0)


class _Entry(_Prices):
    """Prices from one day (inclusive) to another (exclusive), or for a part of each day, UTC."""

    processing: Processing = "standard"
    starts_on: date | None = None
    ends_on: date | None = None
    daily_from: time | None = None
    daily_until: time | None = None
    request_usd: Price = Decimal(0)
    tiers: tuple[_TierRow, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.starts_on and self.ends_on and self.ends_on <= self.starts_on:
            raise ValueError(f"ends_on {self.ends_on} is not after starts_on {self.starts_on}")
        if (self.daily_from is None) != (self.daily_until is None):
            raise ValueError("daily_from and daily_until go together")
        return self


class _Provisioned(_Strict):
    usd_per_unit_hour: Price
    unit_output_tokens_per_s: float = Field(gt=0)
    min_units: int = Field(1, ge=1)


class _Card(_Strict):
    """What one target charges."""

    provider: str = Field(min_length=1)
    model: str = Field(min_length=1)
    source: str = Field(min_length=1, description="Where the prices stand: a URL, a contract, an invoice.")
    checked_on: date
    prices: tuple[_Entry, ...] = Field(min_length=1)
    open_model: str | None = Field(None, description="Catalogue id of the open model that is sold here.")
    context_tokens: int | None = Field(None, gt=0)
    regions: tuple[str, ...] = ()
    compliance: tuple[str, ...] = ()
    committed_usd_per_month: Price = Decimal(0)
    provisioned: _Provisioned | None = None
    note: str = ""


class RateCardFile(_Strict):
    """A file of local rate cards."""

    rate_cards: tuple[_Card, ...] = Field(min_length=1)


def read_rate_cards(path: Path) -> tuple[PriceList, ...]:
    """Read a YAML file of rate cards.  Raises ``InputError`` with every problem in it."""
    file = check(read_yaml(path), RateCardFile)
    return tuple(
        PriceList(
            entries=tuple(_entry(entry) for entry in card.prices),
            provisioned=Provisioned(**card.provisioned.model_dump()) if card.provisioned else None,
            **card.model_dump(exclude={"prices", "source", "provisioned"}),
            source=f"{path.name}: {card.source}",
        )
        for card in file.rate_cards
    )


def _entry(entry: _Entry) -> PriceEntry:
    return PriceEntry(
        prices=TokenPrices(
            input=_price(entry, "input_usd_per_mtok"),
            output=_price(entry, "output_usd_per_mtok"),
            cached_input=_price(entry, "cached_input_usd_per_mtok"),
            cache_write=_price(entry, "cache_write_usd_per_mtok"),
            request_usd=entry.request_usd,
        ),
        processing=entry.processing,
        starts_on=entry.starts_on,
        ends_on=entry.ends_on,
        daily_from=entry.daily_from,
        daily_until=entry.daily_until,
    )


def _price(entry: _Entry, name: str) -> TokenPrice | None:
    base = getattr(entry, name)
    if base is None:
        return None
    rows = sorted((row for row in entry.tiers if getattr(row, name) is not None), key=lambda row: row.over_tokens)
    tiers = tuple(Tier(over_tokens=row.over_tokens, usd_per_mtok=getattr(row, name)) for row in rows)
    return TokenPrice(usd_per_mtok=base, tiers=tiers)
