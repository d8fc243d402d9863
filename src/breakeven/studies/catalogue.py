"""What the catalogue holds, as rows to show: the record, what to print of it, and its age."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from breakeven.catalog.book import Book
    from breakeven.catalog.rate_card import PriceList, TokenPrice

Section = Literal["models", "gpus", "rentals", "assumptions", "prices"]
STALE_DAYS: Final = 90

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "models": ("id", "parameters", "active", "layers", "KV heads", "head", "context", "precisions", "scores"),
    "gpus": ("id", "memory GB", "GB/s", "BF16 TFLOPS", "FP8 TFLOPS", "FP4 TFLOPS", "W", "link"),
    "rentals": ("gpu", "provider", "purchase", "USD/GPU-hour", "GPUs/node", "regions", "compliance"),
    "assumptions": ("key", "low", "likely", "high", "unit", "basis", "meaning"),
    "prices": ("target", "input", "cached", "output", "batch input", "batch output", "context"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueRow:
    """One figure or set of figures of one date and source."""

    record: object
    cells: tuple[str, ...]
    source: str
    as_of: date | None
    age_days: int | None

    @property
    def stale(self) -> bool:
        """Whether the figures are older than 90 days, or of no known date."""
        return self.age_days is None or self.age_days > STALE_DAYS


def rows(section: Section, book: Book, on: date, search: str | None) -> tuple[CatalogueRow, ...]:
    """Return the rows of one section (prices: ``priced_rows``) that contain the search text."""
    make = {"models": _models, "gpus": _gpus, "rentals": _rentals, "assumptions": _assumptions}[section]
    found = (
        CatalogueRow(record=record, cells=cells, source=source, as_of=as_of, age_days=(on - as_of).days)
        for record, cells, source, as_of in make(book)
    )
    return tuple(row for row in found if _contains(row, search))


def priced_rows(lists: Iterable[PriceList], at: datetime, search: str | None) -> tuple[CatalogueRow, ...]:
    """Return the price lists that contain the search text, at the prices in force at that moment."""
    found: list[CatalogueRow] = []
    for item in lists:
        age = (at.date() - item.checked_on).days if item.checked_on else None
        row = CatalogueRow(
            record=item, cells=_price_cells(item, at), source=item.source, as_of=item.checked_on, age_days=age
        )
        if _contains(row, search):
            found.append(row)
    return tuple(found)


def _models(book: Book) -> Iterable[tuple[object, tuple[str, ...], str, date]]:
    for item in book.models.values():
        cells = (
            item.id,
            f"{item.total_parameters / 1e9:,.1f}B",
            f"{item.active_parameters / 1e9:,.1f}B",
            str(item.layers),
            str(item.kv_heads),
            str(item.head_size),
            f"{item.context_tokens:,}",
            " ".join(item.precisions),
            str(len(item.quality)),
        )
        yield item, cells, item.source, item.as_of


def _gpus(book: Book) -> Iterable[tuple[object, tuple[str, ...], str, date]]:
    for item in book.gpus.values():
        rates = (item.bf16_tflops, item.fp8_tflops, item.fp4_tflops)
        cells = (
            item.id,
            f"{item.memory_gb:g}",
            f"{item.memory_gb_per_s:,g}",
            *("–" if rate is None else f"{rate:,g}" for rate in rates),
            f"{item.tdp_w:,g}",
            item.link,
        )
        yield item, cells, item.source, item.as_of


def _rentals(book: Book) -> Iterable[tuple[object, tuple[str, ...], str, date]]:
    for item in book.rentals:
        cells = (
            item.gpu,
            item.provider,
            item.purchase,
            str(item.usd_per_gpu_hour),
            str(item.gpus_per_node),
            " ".join(item.regions) or "not known",
            ", ".join(item.compliance) or "not known",
        )
        yield item, cells, item.source, item.as_of
    for node in book.owned:
        price = f"{node.usd_per_gpu_hour} (modelled)" if node.usd_per_gpu_hour else f"node {node.node_usd} USD"
        yield (
            node,
            (node.gpu, "your own", "owned", price, str(node.gpus_per_node), "", ""),
            node.source,
            node.as_of,
        )


def _assumptions(book: Book) -> Iterable[tuple[object, tuple[str, ...], str, date]]:
    for item in book.assumptions.values():
        cells = (
            item.key,
            f"{item.low:g}",
            f"{item.likely:g}",
            f"{item.high:g}",
            item.unit,
            item.basis,
            item.meaning,
        )
        yield item, cells, item.source, item.as_of


def _price_cells(item: PriceList, at: datetime) -> tuple[str, ...]:
    standard = item.card_at(at).prices if item.sells("standard", at) else None
    batch = item.card_at(at, "batch").prices if standard and item.sells("batch", at) else None
    return (
        item.target,
        _quoted(standard.input if standard else None),
        _quoted(standard.cached_input if standard else None),
        _quoted(standard.output if standard else None),
        _quoted(batch.input if batch else None),
        _quoted(batch.output if batch else None),
        f"{item.context_tokens:,}" if item.context_tokens else "–",
    )


def _quoted(price: TokenPrice | None) -> str:
    if price is None:
        return "–"
    tiers = "".join(f"; {tier.usd_per_mtok} over {tier.over_tokens:,}" for tier in price.tiers)
    return f"{price.usd_per_mtok}{tiers}"


def _contains(row: CatalogueRow, search: str | None) -> bool:
    return search is None or search.lower() in " ".join((*row.cells, row.source)).lower()
