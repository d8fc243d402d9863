"""What else a pool's model could run on, and what its nodes cost elsewhere: from the catalogue's rentals."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from breakeven.errors import BreakevenError
from breakeven.studies.advice.rules import Hardware, Offer
from breakeven.wiring.pools import TYPICAL_INPUT_TOKENS, TYPICAL_OUTPUT_TOKENS, gpu_time_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.catalog.book import Book
    from breakeven.catalog.hardware import Rental
    from breakeven.settings.pools import PoolEntry

MOST_DEARER_RATIO: Final = 1.1
"""A node is too dear where it costs so many times what others ask in the median."""

LEAST_OFFERS: Final = 3


def hardware_offers(entry: PoolEntry) -> Iterator[Hardware]:
    """Yield other hardware with as many GPUs on which the pool's model fits, at the median of what is asked for it.

    How much node time tokens take is estimated for both, so that errors the two share cancel.  Raises ``InputError``
    where the pool itself cannot be estimated.
    """
    from breakeven.sources.catalogue import load_book

    book = load_book()
    gpus, _, own = (entry.hardware or "").partition("x")
    bare = entry.model_copy(update={"gpu_time": None})
    weight_now = _seconds(bare)
    for gpu in sorted({rental.gpu for rental in book.rentals}):
        offers = _on_demand(book, gpu)
        if gpu == book.gpu(own).id or len(offers) < LEAST_OFFERS:
            continue
        name = f"{gpus}x{gpu}"
        try:
            there = _seconds(bare.model_copy(update={"hardware": name}))
        except (BreakevenError, ValueError):
            continue  # it does not fit, or no estimate is known
        yield Hardware(
            name=name,
            usd_per_hour=median(float(item.usd_per_gpu_hour) for item in offers) * int(gpus),
            time_ratio=there / weight_now,
            source=f"median of {len(offers)} offers on demand in the catalogue",
        )


def same_nodes_elsewhere(pool: str, entry: PoolEntry, nodes_count: int, usd_per_hour: float) -> Iterator[Offer]:
    """Yield what others ask for the same nodes on demand, where that is clearly less than is paid."""
    from breakeven.sources.catalogue import load_book

    if any(node.purchase == "owned" for node in entry.nodes):
        return
    book = load_book()
    gpus, _, gpu = (entry.hardware or "").partition("x")
    offers = _on_demand(book, book.gpu(gpu).id)
    if len(offers) < LEAST_OFFERS:
        return
    asked = median(float(item.usd_per_gpu_hour) for item in offers) * int(gpus)
    newest = max(item.as_of for item in offers)
    if usd_per_hour >= MOST_DEARER_RATIO * asked:
        yield Offer(
            pool=pool,
            hardware=entry.hardware or "",
            nodes_count=nodes_count,
            usd_per_hour=usd_per_hour,
            offered_usd_per_hour=asked,
            source=f"median of {len(offers)} offers on demand in the catalogue, the newest of {newest}",
        )


def _on_demand(book: Book, gpu: str) -> list[Rental]:
    return [item for item in book.rentals_of(gpu) if item.purchase == "on-demand" and not item.is_modelled]


def _seconds(entry: PoolEntry) -> float:
    """Return the node time that a typical request takes, by the estimate."""
    weights, _ = gpu_time_of(entry)
    assert weights is not None, "runs and hardware are there"
    return weights.prefill_us * TYPICAL_INPUT_TOKENS + weights.decode_us * TYPICAL_OUTPUT_TOKENS
