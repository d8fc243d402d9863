"""Figures of 003, the worked example of one GPU at 2 USD an hour against a small API bill per request."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.economics.breakeven import FlatCost, StairCost, break_even, break_even_utilisation
from breakeven.economics.compute import compute_usd_per_mtok, rented_node_usd_per_month
from breakeven.economics.tokens import capacity_mtok, capacity_requests, request_usd
from breakeven.quantities import TOKENS_PER_MTOK
from breakeven.studies.claims.compare import Recomputed, compare, figures, single
from breakeven.studies.claims.seed_002 import LOW_ENGINEERING_USD, LOW_INFRASTRUCTURE_USD, SEED_HOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breakeven.catalog.book import Book
    from breakeven.sources.claims import Claim

INPUT_TOKENS: Final = 1000
OUTPUT_TOKENS: Final = 500
REQUEST_TOKENS: Final = INPUT_TOKENS + OUTPUT_TOKENS
REQUESTS_PER_S: Final = 2.0
REQUEST_USD: Final = request_usd(INPUT_TOKENS, OUTPUT_TOKENS, input_usd_per_mtok=0.50, output_usd_per_mtok=1.50)
GPU_USD: Final = float(rented_node_usd_per_month(2.00, gpus=1, hours_per_month=SEED_HOURS))
API_USD_PER_MTOK: Final = REQUEST_USD / REQUEST_TOKENS * TOKENS_PER_MTOK
FULL_CAPACITY_MTOK: Final = capacity_mtok(REQUESTS_PER_S * REQUEST_TOKENS, hours=SEED_HOURS)


def request_api(claim: Claim, _book: Book) -> Recomputed:
    """Price one request of 1,000 and 500 tokens."""
    return single(claim, "request_usd", REQUEST_USD, "{:.5f}")


def gpu_month(claim: Claim, _book: Book) -> Recomputed:
    """Rent one GPU around the clock for 720 hours."""
    return single(claim, "gpu_usd_per_month", GPU_USD, "{:.0f}")


def at_utilisation(claim: Claim, _book: Book, *, utilisation_fraction: float) -> Recomputed:
    """Count what the GPU serves at a utilisation, and what each request then costs."""
    served = capacity_requests(REQUESTS_PER_S, hours=SEED_HOURS, utilisation_fraction=utilisation_fraction)
    each = GPU_USD / served
    return Recomputed(
        text=f"{served:.0f} at {each:.6f}",
        numbers=(
            ("served_requests", served),
            ("gpu_usd_per_request", each),
            ("api_usd_per_request", REQUEST_USD),
        ),
        verdict=compare(figures(claim.published), (served, each)),
    )


def break_even_share(_claim: Claim, _book: Book) -> Recomputed:
    """Solve for the utilisation: the GPU alone, with a standby GPU, and with people on whole nodes.

    Whether "about 25 %" says 22 % is a reviewer's judgement.
    """
    alone, with_standby = (_share(gpus) for gpus in (1, 2))
    overheads = LOW_ENGINEERING_USD + LOW_INFRASTRUCTURE_USD
    loaded = break_even(
        _pool(overheads, utilisation_fraction=0.6),
        FlatCost(fixed_usd_per_month=0, usd_per_mtok=API_USD_PER_MTOK),
    )
    assert loaded.first_mtok is not None
    assert loaded.first_nodes is not None
    assert loaded.stable_mtok is not None
    per_mtok = TOKENS_PER_MTOK / REQUEST_TOKENS
    return Recomputed(
        text=f"{alone:.2%}",
        numbers=(
            ("gpu_only_fraction", alone),
            ("with_standby_fraction", with_standby),
            ("loaded_gpus", float(loaded.first_nodes)),
            ("loaded_first_requests", loaded.first_mtok * per_mtok),
            *(("loaded_island_end_requests", (i.to_mtok or inf) * per_mtok) for i in loaded.islands[:1]),
            ("loaded_stable_requests", loaded.stable_mtok * per_mtok),
        ),
        verdict=None,
    )


def busy_share(claim: Claim, _book: Book) -> Recomputed:
    """Divide the price of a token at 20 % utilisation by its price at 100 %."""
    ratio = compute_usd_per_mtok(2.00, 1.0, utilisation_fraction=0.2) / compute_usd_per_mtok(2.00, 1.0)
    return single(claim, "cost_ratio", ratio, "{:g}x")


def gpu_only_break_even_mtok() -> float:
    """Return the volume at which the rent alone equals the API's bill."""
    return _share(1) * FULL_CAPACITY_MTOK


def _share(gpus: int) -> float:
    return break_even_utilisation(
        pool_usd_per_month=GPU_USD * gpus,
        full_capacity_mtok_per_month=FULL_CAPACITY_MTOK,
        api_usd_per_mtok=API_USD_PER_MTOK,
    )


def _pool(fixed_usd: float, *, utilisation_fraction: float) -> StairCost:
    return StairCost(
        fixed_usd_per_month=fixed_usd,
        node_usd_per_month=GPU_USD,
        node_mtok_per_month=FULL_CAPACITY_MTOK * utilisation_fraction,
    )


RECOMPUTE: Final[Mapping[str, Callable[[Claim, Book], Recomputed]]] = {
    "request-api": request_api,
    "gpu-month": gpu_month,
    **{f"util-{share}": partial(at_utilisation, utilisation_fraction=share / 100) for share in (5, 25, 60, 90)},
    "breakeven-util": break_even_share,
    "busy-20": busy_share,
}
