"""Local rate cards: prices that a team negotiated, or of a provider that no price source covers."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from breakeven.catalog.rate_card import PriceEntry, PriceList, Processing, Provisioned, Tier, TokenPrice, TokenPrices
from breakeven.sources.written import AtLeastOne, Day, Positive, Price, Strict, TimeOfDay
from breakeven.sources.yaml_file import check, need_mapping, read_yaml

_TOKEN_PRICES = ("input_usd_per_mtok", "output_usd_per_mtok", "cached_input_usd_per_mtok", "cache_write_usd_per_mtok")


class _Prices(Strict):
    input_usd_per_mtok: Price | None = None
    output_usd_per_mtok: Price | None = None
    cached_input_usd_per_mtok: Price | None = None
    cache_write_usd_per_mtok: Price | None = None

    @property
    def quoted(self) -> frozenset[str]:
        """Return the names of the prices that are given."""
        return frozenset(name for name in _TOKEN_PRICES if getattr(self, name) is not None)


class TierRow(_Prices):
    """Prices for all tokens of a request whose input exceeds ``over_tokens``."""

    over_tokens: AtLeastOne

    @model_validator(mode="after")
    def _quotes_something(self) -> Self:
        if not self.quoted:
            raise ValueError(f"a tier quotes at least one of {', '.join(_TOKEN_PRICES)}")
        return self


class Entry(_Prices):
    """Prices from one day (inclusive) to another (exclusive), or for a part of each day, UTC."""

    processing: Processing = "standard"
    starts_on: Day | None = None
    ends_on: Day | None = None
    daily_from: TimeOfDay | None = None
    daily_until: TimeOfDay | None = None
    request_usd: Price = Decimal(0)
    tiers: tuple[TierRow, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.starts_on and self.ends_on and self.ends_on <= self.starts_on:
            raise ValueError(f"ends_on {self.ends_on} is not after starts_on {self.starts_on}")
        if (self.daily_from is None) != (self.daily_until is None):
            raise ValueError("daily_from and daily_until go together")
        if self.daily_from is not None and self.daily_from == self.daily_until:
            raise ValueError(f"daily_from and daily_until are both {self.daily_from}: these prices never hold")
        if not self.quoted and not self.request_usd:
            raise ValueError(f"an entry quotes at least one of {', '.join(_TOKEN_PRICES)}, request_usd")
        return self

    @model_validator(mode="after")
    def _tiers_on_prices(self) -> Self:
        sizes = [row.over_tokens for row in self.tiers]
        if len(set(sizes)) < len(sizes):
            raise ValueError(f"two tiers begin at the same over_tokens ({', '.join(map(str, sorted(sizes)))})")
        without = sorted({name for row in self.tiers for name in row.quoted} - self.quoted)
        if without:
            raise ValueError(f"tiers quote {', '.join(without)}, and the entry itself does not")
        return self


class ProvisionedUnits(Strict):
    """Throughput sold by the unit and hour."""

    usd_per_unit_hour: Price
    unit_output_tokens_per_s: Positive
    min_units: AtLeastOne = 1


class Card(Strict):
    """What one target charges."""

    provider: str = Field(min_length=1, pattern="^[^:]+$")
    model: str = Field(min_length=1)
    source: str = Field(min_length=1, description="Where the prices stand: a URL, a contract, an invoice.")
    checked_on: Day
    prices: tuple[Entry, ...] = Field(min_length=1)
    open_model: str | None = Field(None, description="Catalogue id of the open model that is sold here.")
    context_tokens: AtLeastOne | None = None
    regions: tuple[str, ...] = ()
    compliance: tuple[str, ...] = ()
    committed_usd_per_month: Price = Decimal(0)
    provisioned: ProvisionedUnits | None = None
    note: str = ""

    @model_validator(mode="after")
    def _has_standard_prices(self) -> Self:
        if all(entry.processing != "standard" for entry in self.prices):
            raise ValueError("no standard prices: batch, flex and priority prices are departures from them")
        return self


class RateCardFile(Strict):
    """A file of local rate cards."""

    rate_cards: Annotated[tuple[Card, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        targets = [f"{card.provider}:{card.model}" for card in self.rate_cards]
        twice = sorted({target for target in targets if targets.count(target) > 1})
        if twice:
            raise ValueError(f"two cards for {', '.join(twice)}: put the prices of one target into one card")
        return self


def read_rate_cards(path: Path) -> tuple[PriceList, ...]:
    """Read a YAML file of rate cards.  Raises ``InputError`` with every problem in it."""
    document = read_yaml(path)
    need_mapping(document, "rate cards are a mapping with one key, 'rate_cards:', and a list below it")
    file = check(document, RateCardFile)
    return tuple(
        PriceList(
            entries=tuple(_entry(entry) for entry in card.prices),
            provisioned=Provisioned(**card.provisioned.model_dump()) if card.provisioned else None,
            **card.model_dump(exclude={"prices", "source", "provisioned"}),
            source=f"{path.name}: {card.source}",
        )
        for card in file.rate_cards
    )


def _entry(entry: Entry) -> PriceEntry:
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


def _price(entry: Entry, name: str) -> TokenPrice | None:
    base = getattr(entry, name)
    if base is None:
        return None
    rows = sorted((row for row in entry.tiers if getattr(row, name) is not None), key=lambda row: row.over_tokens)
    tiers = tuple(Tier(over_tokens=row.over_tokens, usd_per_mtok=getattr(row, name)) for row in rows)
    return TokenPrice(usd_per_mtok=base, tiers=tiers)
