"""Which prices hold for rows that were not priced by a running gateway: imported ones, and those that are repriced."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from breakeven.economics.pool_hours import is_pool_price
from breakeven.ledger.cards import CardSchedule
from breakeven.wiring.ledger import stored_lists

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.catalog.rate_card import PriceList
    from breakeven.wiring.ledger import LedgerPlace


def settings_path(folder: Path | None, config: Path | None) -> Path | None:
    """Return the settings that go with a ledger as a command names it; None where a folder is named, or none are."""
    from breakeven.settings import CONFIG_NAME

    default = Path(CONFIG_NAME)
    return config or (default if folder is None and default.is_file() else None)


def price_schedule(place: LedgerPlace, config: Path | None, cards: Sequence[Path]) -> CardSchedule:
    """Return prices by name: of these rate cards, else of the settings', else of the catalogue.

    What the gateway last knew, as the store has it, stands in for settings that are not named, and before the
    catalogue then.  A pool's own prices are always those: no rate card of the settings says them, and budgets were
    charged them.  Raises ``InputError`` for a file that cannot be used.
    """
    from breakeven.settings.prices import named_price_list
    from breakeven.sources.rate_cards import read_rate_cards

    stored = {item.target: item for item in stored_lists(place.store)} if place.store.is_file() else {}
    known = {name: item for name, item in stored.items() if config is None or is_pool_price(name)}
    known |= cards_of(config) if config is not None else {}
    known |= {item.target: item for path in cards for item in read_rate_cards(path)}

    def resolve(name: str) -> PriceList | None:
        return named_price_list(name, {}) or stored.get(name)

    return CardSchedule(known.values(), resolve)


def cards_of(config: Path) -> dict[str, PriceList]:
    """Read the rate cards that settings name; nothing else in them matters here, least of all a missing secret."""
    from breakeven.sources.rate_cards import read_rate_cards
    from breakeven.sources.yaml_file import need_mapping, read_yaml

    document = read_yaml(config)
    need_mapping(document, "settings are a mapping of keys to values")
    named = document.data.get("rate_cards")
    paths = [config.parent / str(name) for name in named] if isinstance(named, list) else []
    return {item.target: item for path in paths for item in read_rate_cards(path)}
