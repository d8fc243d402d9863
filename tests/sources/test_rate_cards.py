"""Local rate cards: the published example, priced by hand, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from breakeven.errors import InputError
from breakeven.sources.catalogue import load_book
from breakeven.sources.rate_cards import read_rate_cards
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from breakeven.catalog.rate_card import PriceList

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "rate-cards.yaml"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def cards() -> dict[str, PriceList]:
    return {card.target: card for card in read_rate_cards(EXAMPLE)}


def _usage(input_tokens: int, output_tokens: int, cached: int = 0, written: int = 0) -> TokenUsage:
    return TokenUsage(
        input_tokens=input_tokens, output_tokens=output_tokens, cached_input_tokens=cached, cache_write_tokens=written
    )


def test_every_price_of_the_example_is_marked_as_one(cards: dict[str, PriceList]) -> None:
    assert len(cards) == 3
    assert all("EXAMPLE, not an offer" in card.source for card in cards.values())


def test_a_broker_sells_an_open_model_that_the_catalogue_knows(cards: dict[str, PriceList]) -> None:
    card = cards["example-broker:llama-3.3-70b"]
    assert card.open_model in load_book().models
    assert card.checked_on == date(2026, 11, 20)
    assert (card.regions, card.compliance, card.context_tokens) == (("eu", "us"), ("SOC 2 Type 2",), 131_072)
    # 500,000 plain at 0.60, 500,000 cached at 0.15, 1,000,000 out at 0.80; batch keeps the cached price.
    usage = _usage(1_000_000, 1_000_000, cached=500_000)
    assert card.card_at(NOON).price_usd(usage) == Decimal("1.175")
    assert card.card_at(NOON, "batch").price_usd(usage) == Decimal("0.625")


@pytest.mark.parametrize(
    ("at", "usage", "usd"),
    [
        (NOON, _usage(100_000, 1_000), "0.208"),
        (NOON, _usage(200_000, 0), "0.4"),
        (NOON, _usage(200_001, 0), "0.800004"),
        (NOON, _usage(100_000, 0, written=100_000), "0.25"),
        (datetime(2026, 11, 20, 21, 59, tzinfo=UTC), _usage(100_000, 0), "0.2"),
        (datetime(2026, 11, 20, 22, 0, tzinfo=UTC), _usage(100_000, 0), "0.1"),
        (datetime(2026, 11, 21, 5, 59, tzinfo=UTC), _usage(100_000, 0), "0.1"),
        (datetime(2026, 11, 21, 6, 0, tzinfo=UTC), _usage(100_000, 0), "0.2"),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), _usage(100_000, 0), "0.1"),
        (datetime(2027, 1, 1, 23, 0, tzinfo=UTC), _usage(100_000, 0), "0.251"),
    ],
)
def test_a_negotiated_price_has_dates_tiers_and_nights(
    cards: dict[str, PriceList], at: datetime, usage: TokenUsage, usd: str
) -> None:
    card = cards["example-maker:large-2026"]
    assert card.committed_usd_per_month == 5_000
    assert card.card_at(at).price_usd(usage) == Decimal(usd)


def test_provisioned_throughput_has_its_units_and_the_price_of_the_overflow(cards: dict[str, PriceList]) -> None:
    card = cards["example-cloud:large-2026-provisioned"]
    assert card.provisioned is not None
    assert card.provisioned.usd_per_unit_hour == Decimal("21.5")
    assert (card.provisioned.unit_output_tokens_per_s, card.provisioned.min_units) == (450, 2)
    assert card.card_at(NOON).price_usd(_usage(1_000, 1_000)) == Decimal("0.0125")


CARD = "provider: p, model: m, source: s, checked_on: 2026-11-20"
PRICE = "input_usd_per_mtok: 1, output_usd_per_mtok: 2"


def _refused(text: str, folder: Path) -> list[str]:
    path = folder / "r.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_rate_cards(path)
    return str(caught.value).splitlines()[1:] or [str(caught.value)]


@pytest.mark.parametrize("text", ["", "[]", "- provider: p", "7"])
def test_a_file_that_is_no_mapping_is_told_what_rate_cards_are(tmp_path: Path, text: str) -> None:
    (line,) = _refused(text, tmp_path)
    assert line.startswith("r.yaml")
    assert line.endswith(": rate cards are a mapping with one key, 'rate_cards:', and a list below it.")


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("rate_cards: []", "r.yaml:1 rate_cards: ", "this list is empty."),
        ("rate_card: []", "r.yaml:1 rate_card: ", "unknown key 'rate_card'. Did you mean 'rate_cards'?"),
        (f"rate_cards: [{{{CARD}}}]", "rate_cards.0.prices: ", "the key 'prices' is missing."),
        (f"rate_cards: [{{{CARD}, prices: []}}]", "rate_cards.0.prices: ", "this list is empty."),
        (
            f"rate_cards: [{{{CARD}, prices: [{{}}]}}]",
            "rate_cards.0.prices.0: ",
            "an entry quotes at least one of input",
        ),
        (
            f"rate_cards: [{{{CARD}, prices: [{{processing: batch, {PRICE}}}]}}]",
            "rate_cards.0: ",
            "no standard prices: batch, flex and priority prices are departures from them.",
        ),
        (
            f"rate_cards: [{{{CARD}, prices: [{{{PRICE}}}]}}, {{{CARD}, prices: [{{{PRICE}}}]}}]",
            "r.yaml:1: ",
            "two cards for p:m: put the prices of one target into one card.",
        ),
        (
            f"rate_cards: [{{{CARD.replace('provider: p', 'provider: p:q')}, prices: [{{{PRICE}}}]}}]",
            "rate_cards.0.provider: ",
            "String should match pattern",
        ),
    ],
)
def test_a_card_that_cannot_price_is_refused(tmp_path: Path, text: str, where: str, message: str) -> None:
    lines = _refused(text, tmp_path)
    assert any(where in line and message in line for line in lines), lines


@pytest.mark.parametrize(
    ("entry", "key", "message"),
    [
        ("input_usd_per_mtok: -1", ".input_usd_per_mtok", "greater than or equal to 0 (given: -1)"),
        ("input_usd_per_mtok: free", ".input_usd_per_mtok", "Input should be a valid decimal (given: 'free')"),
        ("input_usd_per_mtok: .nan", ".input_usd_per_mtok", "this should be a finite number (given: nan)"),
        ("input_usd_per_mtok: .inf", ".input_usd_per_mtok", "this should be a finite number (given: inf)"),
        ("input_usd_per_mtok: true", ".input_usd_per_mtok", "this should be a number (given: True)"),
        ("input_usd_per_mtok: 1e9", ".input_usd_per_mtok", "less than or equal to 1000000"),
        ("input_usd_per_mtk: 1", ".input_usd_per_mtk", "Did you mean 'input_usd_per_mtok'?"),
        (f"{PRICE}, processing: overnight", ".processing", "Input should be 'standard', 'batch', 'flex' or 'priority'"),
        (f"{PRICE}, starts_on: 2026-01-01, ends_on: 2026-01-01", "", "ends_on 2026-01-01 is not after starts_on"),
        (f"{PRICE}, starts_on: 1767225600", ".starts_on", "write a date as 2026-11-21 (given: 1767225600)"),
        (f"{PRICE}, daily_from: 22:00", "", "daily_from and daily_until go together"),
        (f"{PRICE}, daily_from: 06:00, daily_until: 06:00", "", "are both 06:00:00: these prices never hold"),
        (f"{PRICE}, daily_from: 6, daily_until: 22", ".daily_from", "write a time of day as 16:30; it is read as UTC"),
        (f"{PRICE}, daily_from: 22:00+01:00, daily_until: 06:00", ".daily_from", "write a time of day as 16:30"),
        (f"{PRICE}, daily_from: 24:00, daily_until: 06:00", ".daily_from", "write a time of day as 16:30"),
        (
            f"{PRICE}, tiers: [{{over_tokens: 0, input_usd_per_mtok: 2}}]",
            ".tiers.0.over_tokens",
            "equal to 1 (given: 0)",
        ),
        (f"{PRICE}, tiers: [{{over_tokens: 9}}]", ".tiers.0", "a tier quotes at least one of"),
        (
            "input_usd_per_mtok: 1, tiers: [{over_tokens: 9, output_usd_per_mtok: 2}]",
            "",
            "tiers quote output_usd_per_mtok, and the entry itself does not",
        ),
        (
            f"{PRICE}, tiers: [{{over_tokens: 9, input_usd_per_mtok: 2}}, {{over_tokens: 9, output_usd_per_mtok: 3}}]",
            "",
            "two tiers begin at the same over_tokens (9, 9)",
        ),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused_with_its_key(
    tmp_path: Path, entry: str, key: str, message: str
) -> None:
    lines = _refused(f"rate_cards:\n  - {{{CARD}, prices: [{{{entry}}}]}}", tmp_path)
    where = f"  r.yaml:2 rate_cards.0.prices.0{key}: "
    assert any(line.startswith(where) and message in line for line in lines), lines


def test_a_commitment_and_units_are_checked_too(tmp_path: Path) -> None:
    text = f"""\
rate_cards:
  - {{{CARD}, prices: [{{{PRICE}}}], committed_usd_per_month: -1}}
  - provider: q
    model: m
    source: ''
    checked_on: yesterday
    prices: [{{{PRICE}}}]
    provisioned: {{usd_per_unit_hour: 1, unit_output_tokens_per_s: 0, min_units: true, units: 2}}
"""
    assert _refused(text, tmp_path) == [
        "  r.yaml:2 rate_cards.0.committed_usd_per_month: Input should be greater than or equal to 0 (given: -1).",
        "  r.yaml:5 rate_cards.1.source: this text is empty (given: '').",
        "  r.yaml:6 rate_cards.1.checked_on: write a date as 2026-11-21 (given: 'yesterday').",
        "  r.yaml:8 rate_cards.1.provisioned.unit_output_tokens_per_s: Input should be greater than 0 (given: 0).",
        "  r.yaml:8 rate_cards.1.provisioned.min_units: this should be a number (given: True).",
        "  r.yaml:8 rate_cards.1.provisioned.units: unknown key 'units'. Did you mean 'min_units'?",
    ]


def test_a_price_of_nothing_is_a_price(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"rate_cards: [{{{CARD}, prices: [{{input_usd_per_mtok: 0, output_usd_per_mtok: 0}}]}}]")
    (card,) = read_rate_cards(path)
    assert card.card_at(NOON).price_usd(_usage(1_000, 1_000)) == 0


def test_prices_are_read_to_the_last_digit(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"rate_cards: [{{{CARD}, prices: [{{input_usd_per_mtok: 0.1, output_usd_per_mtok: '0.30'}}]}}]")
    (card,) = read_rate_cards(path)
    assert card.card_at(NOON).price_usd(_usage(3, 1)) == Decimal("0.0000006")
