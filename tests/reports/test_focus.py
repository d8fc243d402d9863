"""Rows of FOCUS: what the specification asks of each column, as it stands in version 1.2."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from breakeven.ledger.charges import Charge, Used
from breakeven.reports.focus import COLUMNS, MANDATORY, SavedCredit, focus_rows, kind_of, write_csv

BEGINS, ENDS = datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
MAY_BE_NULL = {"BillingAccountName", "ChargeClass", "ChargeDescription", "PricingQuantity", "PricingUnit"}
"""Mandatory columns that allow nulls, by the specification."""

ALLOWED = {"ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"}}


def charge(**said: object) -> Charge:
    """Make a charge of 2,500,000 input tokens at 0.15."""
    plain = {
        "begins": BEGINS,
        "ends": ENDS,
        "used": Used(key="search", task="sum", tags="team=x,beta", model="fast", target="api", priced_as="openai:m"),
        "meter": "input",
        "used_count": Decimal(2_500_000),
        "unit_price_usd": Decimal("0.15"),
        "cost_usd": Decimal("0.375"),
        "loaded_usd": Decimal("0.375"),
        "price_id": "abc>1000",
    }
    return Charge(**(plain | said))  # type: ignore[arg-type]


IDLE = charge(
    used=Used(target="llama", priced_as="pool:llama", line="idle"),
    meter="node_time", used_count=Decimal(3), unit_price_usd=Decimal("4.5"), cost_usd=Decimal("13.5"),
    loaded_usd=Decimal(20), price_id="",
)  # fmt: skip
SAVED = SavedCredit(begins=BEGINS, ends=ENDS, counterfactual="today", saved_usd=Decimal("1.25"))


def rows(*charges: Charge, credits_: tuple[SavedCredit, ...] = ()) -> list[dict[str, str]]:
    """Write rows as CSV and read them back."""
    text = io.StringIO(newline="")
    write_csv(focus_rows(charges, credits_, "acme", {"openai": "OpenAI"}), text)
    text.seek(0)
    return list(csv.DictReader(text))


def test_there_are_21_mandatory_columns_and_every_file_has_them() -> None:
    assert len(MANDATORY) == len(set(MANDATORY)) == 21
    assert set(MANDATORY) <= set(COLUMNS)
    assert list(rows(charge())[0]) == list(COLUMNS)
    assert all(name.startswith("x_") or name[0].isupper() for name in COLUMNS)


@pytest.mark.parametrize("row", rows(charge(), IDLE, credits_=(SAVED,)), ids=["usage", "idle", "credit"])
def test_every_mandatory_column_is_filled_as_the_specification_says(row: dict[str, str]) -> None:
    for name in MANDATORY:
        assert row[name] or name in MAY_BE_NULL, name
    for name in COLUMNS:
        if row[name] and kind_of(name) == "number":
            Decimal(row[name])
            assert "." in row[name]
        elif row[name] and kind_of(name) == "time":
            assert datetime.strptime(row[name], "%Y-%m-%dT%H:%M:%S%z").tzname() == "UTC"
    assert row["ChargeCategory"] in ALLOWED["ChargeCategory"]
    assert row["BillingCurrency"] == "USD"
    assert bool(row["PricingQuantity"]) == bool(row["PricingUnit"])
    assert bool(row["ConsumedQuantity"]) == bool(row["ConsumedUnit"]) == (row["ChargeCategory"] == "Usage")
    assert not row["ChargeClass"], "no row corrects a former bill"
    assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]
    assert isinstance(json.loads(row["Tags"]), dict)


def test_a_price_times_a_quantity_is_the_cost() -> None:
    for row in rows(charge(), IDLE):
        for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
            assert Decimal(row[price]) * Decimal(row["PricingQuantity"]) == Decimal(row[cost])


def test_a_month_ends_with_the_year() -> None:
    (row,) = rows(charge())
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")


def test_usage_says_who_used_what_of_whom() -> None:
    (row,) = rows(charge())
    assert row["ProviderName"] == row["PublisherName"] == row["InvoiceIssuerName"] == "OpenAI"
    assert (row["SkuId"], row["SkuPriceId"]) == ("openai:m/input", "abc>1000/input")
    assert (row["PricingQuantity"], row["PricingUnit"]) == ("2.5", "1000000 Tokens")
    assert (row["ConsumedQuantity"], row["ConsumedUnit"]) == ("2500000.0", "Tokens")
    assert (row["SubAccountId"], row["x_Task"], row["x_Model"]) == ("search", "sum", "fast")
    assert json.loads(row["Tags"]) == {"team": "x", "beta": True}


def test_idle_time_of_a_pool_is_told_as_such() -> None:
    (row,) = rows(IDLE)
    assert (row["x_Line"], row["ResourceType"], row["ResourceId"]) == ("idle", "Pool", "llama")
    assert (row["BilledCost"], row["x_LoadedCost"]) == ("13.5", "20.0")
    assert "served nobody" in row["ChargeDescription"]


def test_a_saving_is_a_credit_of_its_own_with_all_costs_alike() -> None:
    (row,) = rows(credits_=(SAVED,))
    assert {row[name] for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")} == {"-1.25"}
    assert (row["ChargeCategory"], row["x_Line"], row["x_Counterfactual"]) == ("Credit", "saving", "today")
    assert not row["ConsumedQuantity"]


def test_a_loss_is_told_as_one() -> None:
    loss = SavedCredit(begins=BEGINS, ends=ENDS, counterfactual="today", saved_usd=Decimal(-2))
    (row,) = rows(credits_=(loss,))
    assert row["BilledCost"] == "2.0"
    assert "was paid more" in row["ChargeDescription"]
