"""Figures of 001, the guide with volume bands and six drains: a year's rent, multiples, savings, failures."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.economics.compute import idle_share_fraction, rented_node_usd_per_month, tco_multiple
from breakeven.economics.outcomes import routed_saving_fraction, saving_fraction, usd_per_success
from breakeven.economics.overheads import engineering_usd_per_month
from breakeven.economics.tokens import blended_usd_per_mtok
from breakeven.quantities import HOURS_PER_MONTH, MONTHS_PER_YEAR, TOKENS_PER_MTOK
from breakeven.studies.claims import seed_002, seed_003
from breakeven.studies.claims.compare import Recomputed, compare, figures, held_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breakeven.catalog.book import Book
    from breakeven.sources.claims import Claim

H100_USD_PER_HOUR: Final = 1.65
ROUTED_FRACTION: Final = 0.8
"""The share of calls that 001 says a small model could answer."""

HYBRID_PRICE_RATIOS: Final = (0.5, 0.25, 0.1, 0.02)
"""What the small model costs over the large one: from half the price to a fiftieth."""

LIGHT_LOAD_DRAW_RATIO: Final = 0.5
"""An H100 draws about 300 W at batch 1 and 600 W at 128 (arXiv 2602.05116, 2601.22076); idle, less."""


def h100_year(claim: Claim, _book: Book) -> Recomputed:
    """Rent all year; utilisation changes what is served, not what is billed."""
    monthly = float(rented_node_usd_per_month(H100_USD_PER_HOUR, gpus=1, hours_per_month=HOURS_PER_MONTH))
    yearly = monthly * MONTHS_PER_YEAR
    return Recomputed(
        text=f"{yearly:.0f}",
        numbers=(("always_on_usd_per_year", yearly), ("released_when_idle_usd_per_year", 0.7 * yearly)),
        verdict=compare(figures(claim.published), (yearly,)),
    )


def per_token(claim: Claim, _book: Book) -> Recomputed:
    """Read the price as one per 1,000 tokens; as published it exceeds any API's bill."""
    low, high = (figure.amount() for figure in figures(claim.published))
    volume_mtok = 10_000
    monthly = (low * TOKENS_PER_MTOK * volume_mtok, high * TOKENS_PER_MTOK * volume_mtok)
    api = blended_usd_per_mtok(*seed_002.GPT_4O, input_output_ratio=3) * volume_mtok
    return Recomputed(
        text=f"{low / 1000:.0e} to {high / 1000:.0e}".replace("e-0", "e-"),
        numbers=(
            ("as_published_low_usd_per_month", monthly[0]),
            ("as_published_high_usd_per_month", monthly[1]),
            ("gpt_4o_usd_per_month", api),
        ),
        verdict="wrong" if monthly[0] > api else "holds",
    )


def tco(claim: Claim, _book: Book) -> Recomputed:
    """Divide the whole bill by the rent: 002's pool, and one H100 with half an engineer."""
    pool = tco_multiple(
        seed_002.LOW_POOL.step_usd_per_month(1), compute_usd_per_month=seed_002.LOW_POOL.node_usd_per_month
    )
    rent = float(rented_node_usd_per_month(H100_USD_PER_HOUR, gpus=1, hours_per_month=HOURS_PER_MONTH))
    half = float(engineering_usd_per_month(0.5, engineer_usd_per_year=150_000))
    small = tco_multiple(rent + half, compute_usd_per_month=rent)
    low, high = (figure.amount() for figure in figures(claim.published))
    return Recomputed(
        text=f"{pool:.2f}x in 002 and {small:.1f}x for 1xH100 with 0.5 FTE",
        numbers=(("pool_of_002_ratio", pool), ("one_h100_ratio", small)),
        verdict=held_in(low <= ratio <= high for ratio in (pool, small)),
    )


def tiers_gap(claim: Claim, _book: Book) -> Recomputed:
    """Look for volumes that no band of the table holds."""
    first, second, third, fourth = (figure.amount() for figure in figures(claim.published))
    bands = ((0.0, first), (first, second), (second, third), (fourth, inf))
    gaps = [(below[1], above[0]) for below, above in pairwise(bands) if above[0] > below[1]]
    text = ", ".join(f"{low / 1e9:g}-{high / 1e9:g}B is in no band" for low, high in gaps)
    numbers = tuple(pair for low, high in gaps for pair in (("gap_from_tokens", low), ("gap_to_tokens", high)))
    return Recomputed(text=text or "no gap", numbers=numbers, verdict="inconsistent" if gaps else "holds")


def fintech(claim: Claim, _book: Book) -> Recomputed:
    """Compare one firm's saving with the seed's own range."""
    saved = saving_fraction(47_000, after_usd=8_000)
    verdict = compare(figures(claim.published), (saved,), otherwise="outlier")
    return Recomputed(text=f"{saved:.0%} saved", numbers=(("saved_fraction", saved),), verdict=verdict)


def hybrid_range(claim: Claim, _book: Book) -> Recomputed:
    """Route 80 % of tokens to cheaper and cheaper models; the range holds for some of them."""
    savings = {ratio: routed_saving_fraction(ROUTED_FRACTION, price_ratio=ratio) for ratio in HYBRID_PRICE_RATIOS}
    low, high = (figure.amount() for figure in figures(claim.published))
    least, most = HYBRID_PRICE_RATIOS[0], HYBRID_PRICE_RATIOS[-1]
    span = f"{100 * savings[least]:.0f}-{savings[most]:.0%}"
    return Recomputed(
        text=f"{span} for 80% of tokens at a price ratio of {least} to {most}",
        numbers=tuple((f"saved_at_price_ratio_{ratio:g}_fraction", saved) for ratio, saved in savings.items()),
        verdict=held_in(low - 1e-9 <= saved <= high + 1e-9 for saved in savings.values()),
    )


def fail_half(_claim: Claim, _book: Book) -> Recomputed:
    """Retry until it works, and compare with a premium API a little dearer, and much dearer."""
    cost = usd_per_success(1.0, success_fraction=0.5)
    dearer = [cost > premium for premium in (1.5, 10.0)]
    text = f"{cost:g}c plus the handling of failures"
    return Recomputed(text=text, numbers=(("cost_per_success_ratio", cost),), verdict=held_in(dearer))


def idle_power(claim: Claim, _book: Book) -> Recomputed:
    """Share of rent, and of electricity at a light-load draw of half, that 10 % utilisation wastes."""
    published = figures(claim.published)
    wasted = {
        "rent": idle_share_fraction(0.1),
        "power": idle_share_fraction(0.1, idle_draw_ratio=LIGHT_LOAD_DRAW_RATIO),
    }
    holds = {name: compare(published, (share,)) == "holds" for name, share in wasted.items()}
    return Recomputed(
        text=" and ".join(f"{name} {'yes' if held else 'no'}" for name, held in holds.items()),
        numbers=tuple((f"wasted_{name}_fraction", share) for name, share in wasted.items()),
        verdict=held_in(holds.values(), mixed="partly"),
    )


def threshold_conflict(_claim: Claim, _book: Book) -> Recomputed:
    """Set the other seeds' thresholds beside 001's; their scopes differ, so a reviewer judges."""
    low, high = seed_002.division_mtok()
    gpu_only = seed_003.gpu_only_break_even_mtok()
    return Recomputed(
        text=f"{low / 1000:.2g}-{high / 1000:.2g}B (002) and {gpu_only / 1000:.2f}B GPU-only (003)",
        numbers=(("low_002_mtok", low), ("high_002_mtok", high), ("gpu_only_003_mtok", gpu_only)),
        verdict=None,
    )


def seventy_versus_seven(_claim: Claim, _book: Book) -> Recomputed:
    """Count five failures, or five and the one that works, against one answer at ten times the price."""
    five, six = (usd_per_success(1.0, success_fraction=1 / attempts) for attempts in (5, 6))
    large = 10.0
    corrections = [large - attempts for attempts in (six, five)]
    dearer = [attempts + correction > large for attempts in (five, six) for correction in (0.0, large)]
    return Recomputed(
        text=f"{five:g} to {six:g}c against {large:g}c on compute",
        numbers=(
            ("least_correction_low_ratio", corrections[0]),
            ("least_correction_high_ratio", corrections[1]),
        ),
        verdict=held_in(dearer),
    )


RECOMPUTE: Final[Mapping[str, Callable[[Claim, Book], Recomputed]]] = {
    "h100-year": h100_year,
    "per-token-10b": per_token,
    "tco-multiple": tco,
    "tiers-gap": tiers_gap,
    "fintech": fintech,
    "hybrid-range": hybrid_range,
    "fail-half": fail_half,
    "idle-power": idle_power,
    "threshold-conflict": threshold_conflict,
    "seventy-vs-seven": seventy_versus_seven,
}
