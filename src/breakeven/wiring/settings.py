"""Joins the settings with the ledger's store, and with the day, for the commands that need both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from breakeven.errors import NoPriceError
from breakeven.wiring.clock import current_moment

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from breakeven.catalog.rate_card import RateCard
    from breakeven.settings import Overrides, PriceFound, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class CardNow:
    """The price of one model at one target, as it is at this moment."""

    found: PriceFound
    card: RateCard | None
    why: str
    """Why there is no card; empty when there is one."""


def load_settings(path: Path | None, overrides: Overrides | None = None) -> Settings:
    """Read the settings, and look whether the store holds keys.  Raises ``InputError`` with every problem."""
    from breakeven.settings import read_settings

    return read_settings(path, overrides, has_stored_keys=_has_stored_keys)


def cards_now(settings: Settings) -> tuple[CardNow, ...]:
    """Return the card in force now for every price that can be known before a request comes."""
    now = current_moment()
    return tuple(_card_now(found, now) for found in settings.prices)


def _card_now(found: PriceFound, now: datetime) -> CardNow:
    from breakeven.economics.pool_hours import is_pool_price

    if found.prices is None:
        why = "no price is known: recorded without cost"
        if found.priced_as.endswith(":*"):
            why = "priced when a model is first asked for"
        elif is_pool_price(found.priced_as):
            why = "paid by the hour of its nodes (`breakeven ledger query --costs`)"
        return CardNow(found=found, card=None, why=why)
    try:
        return CardNow(found=found, card=found.prices.card_at(now), why="")
    except NoPriceError as error:
        return CardNow(found=found, card=None, why=str(error))


def _has_stored_keys(store: Path) -> bool:
    """Whether a key was ever made in the ledger's store: then nobody comes in without one, even if all are revoked."""
    from breakeven.ledger.keys import keys_were_made

    return store.is_file() and keys_were_made(store)
