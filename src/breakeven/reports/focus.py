"""Charges of the ledger as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification, and as CSV.

A row is a charge: a token type at its unit price, node time of a pool, what a pool had idle.  What was saved is in
rows of its own, category Credit, so that usage reconciles with invoices when those are left out.  All 21 columns that
FOCUS 1.2 makes mandatory are there, and those of FOCUS 1.0, which many readers still expect; columns of our own begin
with ``x_``.  Specification: https://focus.finops.org/focus-specification/v1-2/.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from breakeven.economics.pool_hours import POOL
from breakeven.quantities import TOKENS_PER_MTOK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from io import TextIOBase

    from breakeven.ledger.charges import Charge, Meter

Kind = Literal["text", "number", "time"]
Cell = str | Decimal | datetime | None
Row = dict[str, Cell]

VERSION: Final = "1.2"
MANDATORY: Final = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity",
    "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
)  # fmt: skip
"""What FOCUS 1.2 asks of every file."""

_FURTHER: Final = (
    "AvailabilityZone", "ChargeFrequency", "CommitmentDiscountCategory", "CommitmentDiscountId",
    "CommitmentDiscountName", "CommitmentDiscountStatus", "CommitmentDiscountType", "ConsumedQuantity",
    "ConsumedUnit", "ContractedUnitPrice", "ListUnitPrice", "PricingCategory", "RegionId", "RegionName",
    "ResourceId", "ResourceName", "ResourceType", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceId",
    "SubAccountId", "SubAccountName", "Tags",
)  # fmt: skip
_OWN: Final = ("x_Counterfactual", "x_Line", "x_LoadedCost", "x_Model", "x_Processing", "x_Task")

COLUMNS: Final = (*sorted((*MANDATORY, *_FURTHER)), *_OWN)
"""In the order of the file."""

_NUMBERS: Final = frozenset(
    {
        "BilledCost", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "ListCost",
        "ListUnitPrice", "PricingQuantity", "x_LoadedCost",
    }
)  # fmt: skip
_TIMES: Final = frozenset({"BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"})

_METERS: Final[Mapping[Meter, str]] = {
    "input": "Input Tokens",
    "cached_input": "Cached Input Tokens",
    "cache_write": "Cache Write Tokens",
    "output": "Output Tokens",
    "requests": "Requests",
    "node_time": "Node Time",
}
_SELF: Final = "Self-hosted"
_SELLS: Final = {
    "ServiceCategory": "AI and Machine Learning",
    "ServiceSubcategory": "Generative AI",
    "BillingCurrency": "USD",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCredit:
    """What was saved in a stretch of time against what would have been paid elsewhere."""

    begins: datetime
    ends: datetime
    counterfactual: str
    saved_usd: Decimal
    """Below 0: it cost more."""


def kind_of(column: str) -> Kind:
    """Return what the cells of a column are."""
    if column in _NUMBERS:
        return "number"
    return "time" if column in _TIMES else "text"


def focus_rows(
    charges: Iterable[Charge], credits_: Iterable[SavedCredit], account: str, titles: Mapping[str, str]
) -> Iterator[Row]:
    """Yield a row a charge, then a row a saving.

    ``account`` names whose costs these are; ``titles`` names providers for people, by the id before the colon of a
    price's name.
    """
    for charge in charges:
        yield _of_charge(charge, account, titles)
    for credit in credits_:
        yield _of_credit(credit, account)


def write_csv(found: Iterable[Row], file: TextIOBase) -> int:
    """Write rows with a header line; return how many."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for row in found:
        writer.writerow([_written(row[name]) for name in COLUMNS])
        count += 1
    return count


def _of_charge(charge: Charge, account: str, titles: Mapping[str, str]) -> Row:
    used = charge.used
    seller, _, sold = (used.priced_as or "").partition(":")
    own = seller == POOL
    provider = _SELF if own else titles.get(seller, seller or "Unknown")
    meter, unit, price_unit, divisor = _units(charge.meter)
    pricing = charge.used_count / divisor
    costs = dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), charge.cost_usd)
    prices = dict.fromkeys(("ContractedUnitPrice", "ListUnitPrice"), charge.unit_price_usd)
    sku = f"{used.priced_as}/{charge.meter}" if used.priced_as else charge.meter
    return {
        **dict.fromkeys(COLUMNS),
        **_SELLS,
        **_period(charge.begins, charge.ends, account),
        **costs,
        **prices,
        "ChargeCategory": "Usage",
        "ChargeDescription": _described(charge, meter, sold or used.target or "an unnamed target"),
        "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": charge.used_count,
        "ConsumedUnit": unit,
        "PricingCategory": "Standard",
        "PricingQuantity": pricing,
        "PricingUnit": price_unit,
        **dict.fromkeys(("ProviderName", "PublisherName", "InvoiceIssuerName"), provider),
        "ServiceName": f"Pool {sold}" if own else f"{provider} API",
        "ResourceId": used.target,
        "ResourceName": used.target,
        "ResourceType": "Pool" if own else "Model API",
        "SkuId": sku,
        "SkuMeter": meter,
        "SkuPriceId": f"{charge.price_id}/{charge.meter}" if charge.price_id else sku,
        "SubAccountId": used.key,
        "SubAccountName": used.key,
        "Tags": _tags(used.tags),
        "x_Line": charge.used.line,
        "x_LoadedCost": charge.loaded_usd,
        "x_Model": used.model,
        "x_Processing": used.processing,
        "x_Task": used.task,
    }


def _of_credit(credit: SavedCredit, account: str) -> Row:
    saved = "was saved" if credit.saved_usd >= 0 else "was paid more"
    costs = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "x_LoadedCost")
    return {
        **dict.fromkeys(COLUMNS),
        **_SELLS,
        **_period(credit.begins, credit.ends, account),
        **dict.fromkeys(costs, -credit.saved_usd),
        "ChargeCategory": "Credit",
        "ChargeDescription": f"What {saved} against {credit.counterfactual}; on no invoice",
        "ChargeFrequency": "Usage-Based",
        **dict.fromkeys(("ProviderName", "PublisherName", "InvoiceIssuerName"), "Breakeven"),
        "ServiceName": "Savings",
        "Tags": "{}",
        "x_Counterfactual": credit.counterfactual,
        "x_Line": "saving",
    }


def _units(meter: Meter) -> tuple[str, str, str, int]:
    """Return what is metered, its unit, the unit of its price, and how many of the one make one of the other."""
    if meter == "node_time":
        return _METERS[meter], "Hours", "Hours", 1
    if meter == "requests":
        return _METERS[meter], "Requests", "Requests", 1
    return _METERS[meter], "Tokens", f"{TOKENS_PER_MTOK} Tokens", TOKENS_PER_MTOK


def _described(charge: Charge, meter: str, what: str) -> str:
    if charge.used.line == "idle":
        return f"Time of the pool {what} that was paid and served nobody"
    told = f"{meter} of {what}"
    return f"{told}, to compare targets" if charge.used.line == "evaluation" else told


def _period(begins: datetime, ends: datetime, account: str) -> Row:
    month = datetime(begins.year, begins.month, 1, tzinfo=UTC)
    following = datetime(begins.year + begins.month // 12, begins.month % 12 + 1, 1, tzinfo=UTC)
    return {
        "BillingAccountId": account,
        "BillingAccountName": account,
        "BillingPeriodStart": month,
        "BillingPeriodEnd": following,
        "ChargePeriodStart": begins,
        "ChargePeriodEnd": ends,
    }


def _tags(text: str | None) -> str:
    """Return ``team=search,env=prod`` as a JSON object; a tag without a value is true, as FOCUS wants it."""
    found: dict[str, str | bool] = {}
    for part in (text or "").split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if name:
            found[name] = value if sign else True
    return json.dumps(found, ensure_ascii=False)


def _written(cell: Cell) -> str:
    """Return a cell as text; a number has a decimal point, by which readers tell it from an integer."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(cell, Decimal):
        text = f"{cell:f}"
        return text if "." in text else f"{text}.0"
    return cell
