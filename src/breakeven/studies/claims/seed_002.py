"""Figures of 002, the cost stack in four layers: blends, compute, people, and break-even on whole nodes."""

from __future__ import annotations

from functools import partial
from itertools import product
from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.capacity.memory import weights_fit, weights_gb
from breakeven.economics.breakeven import BreakEven, FlatCost, StairCost, break_even, break_even_utilisation
from breakeven.economics.compute import compute_usd_per_mtok
from breakeven.economics.overheads import engineering_floor_mtok_per_month, engineering_usd_per_month
from breakeven.economics.stack import CostStack, line
from breakeven.economics.tokens import blended_usd_per_mtok, capacity_mtok, total_tokens_per_s
from breakeven.errors import UnknownNameError
from breakeven.studies.claims.compare import Recomputed, figures, interval, single

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breakeven.catalog.book import Book
    from breakeven.sources.claims import Claim

Pair = tuple[float, float]

SEED_HOURS: Final = 720.0
"""Hours in the seeds' month; the program itself uses 730."""

GPT_4O: Final[Pair] = (2.50, 10.00)
GPT_4O_MINI: Final[Pair] = (0.15, 0.60)
CLAUDE_SONNET: Final[Pair] = (3.00, 15.00)
CLAUDE_HAIKU: Final[Pair] = (0.25, 1.25)
"""Input and output prices in USD per Mtok, as the seed prints them."""

SEED_BLEND_USD_PER_MTOK: Final = 4.40
BLEND_USD_PER_MTOK: Final = blended_usd_per_mtok(*GPT_4O, input_output_ratio=3)
MINI_USD_PER_MTOK: Final = blended_usd_per_mtok(*GPT_4O_MINI, input_output_ratio=3)

A10G_USD_PER_HOUR: Final[Pair] = (1.10, 1.50)
A10G_TOKENS_PER_S: Final = 2000.0
A100_USD_PER_HOUR: Final[Pair] = (5.0, 7.0)
A100_TOKENS_PER_S: Final[Pair] = (800.0, 1200.0)
UTILISATION: Final = 0.6

LOW_ENGINEERING_USD: Final = float(engineering_usd_per_month(0.75, engineer_usd_per_year=150_000))
HIGH_ENGINEERING_USD: Final = float(engineering_usd_per_month(0.75, engineer_usd_per_year=200_000))
LOW_INFRASTRUCTURE_USD: Final = 250.0
HIGH_INFRASTRUCTURE_USD: Final = 1000.0
"""The seed's own totals, which its five lines miss by a little (claim ``infra-sum``)."""

INFRASTRUCTURE_USD: Final[Mapping[str, Pair]] = {
    "load balancer": (50, 200),
    "storage": (15, 30),
    "monitoring": (50, 200),
    "cache": (30, 100),
    "logging": (100, 500),
}


def _pool(
    fixed_usd: float, node_usd_per_hour: float, tokens_per_s: float, utilisation: float = UTILISATION
) -> StairCost:
    return StairCost(
        fixed_usd_per_month=fixed_usd,
        node_usd_per_month=node_usd_per_hour * SEED_HOURS,
        node_mtok_per_month=capacity_mtok(tokens_per_s, hours=SEED_HOURS, utilisation_fraction=utilisation),
    )


LOW_POOL: Final = _pool(LOW_ENGINEERING_USD + LOW_INFRASTRUCTURE_USD, A100_USD_PER_HOUR[0], A100_TOKENS_PER_S[1])
HIGH_POOL: Final = _pool(HIGH_ENGINEERING_USD + HIGH_INFRASTRUCTURE_USD, A100_USD_PER_HOUR[1], A100_TOKENS_PER_S[0])
"""2xA100 at the cheap end (low cost, high throughput) and at the dear end."""


def blend(claim: Claim, _book: Book, *, prices: Pair, spec: str) -> Recomputed:
    """Blend a model's two prices at three input tokens for each output token."""
    return single(claim, "blended_usd_per_mtok", blended_usd_per_mtok(*prices, input_output_ratio=3), spec)


def envelope(usd_per_hour: Pair, tokens_per_s: Pair) -> Pair:
    """Return the cheapest and dearest Mtok: low rent on fast nodes, and high rent on slow ones."""
    return (
        compute_usd_per_mtok(usd_per_hour[0], tokens_per_s[1]),
        compute_usd_per_mtok(usd_per_hour[1], tokens_per_s[0]),
    )


def compute(claim: Claim, _book: Book, *, usd_per_hour: Pair, tokens_per_s: Pair, spec: str) -> Recomputed:
    """Return the whole envelope of a row of the compute layer."""
    return interval(claim, "usd_per_mtok", envelope(usd_per_hour, tokens_per_s), spec)


def fit_405b(_claim: Claim, book: Book) -> Recomputed:
    """Set the weights at 16 and 8 bits against the memory of both nodes."""
    nodes = ((book.gpu("a100-80gb-sxm"), 8), (book.gpu("h100-sxm"), 4))
    full, half = weights_gb(405e9, "fp16"), weights_gb(405e9, "fp8")
    memory = [gpu.memory_gb * gpus for gpu, gpus in nodes]
    fits = [weights_fit(405e9, precision, gpu, gpus=gpus) for precision in ("fp16", "fp8") for gpu, gpus in nodes]
    text = f"{full:.0f} GB at FP16 and {half:.0f} GB at FP8 against {memory[0]:.0f} and {memory[1]:.0f} GB"
    return Recomputed(
        text=text,
        numbers=(
            ("fp16_gb", full),
            ("fp8_gb", half),
            ("a100_node_gb", memory[0]),
            ("h100_node_gb", memory[1]),
        ),
        verdict="holds" if all(fits) else "inconsistent",
    )


def at_40_percent(claim: Claim, _book: Book) -> Recomputed:
    """Divide a token's price at 40 % utilisation by its price at 100 %; "nearly doubles" says 2."""
    ratio = compute_usd_per_mtok(1.0, 1.0, utilisation_fraction=0.4) / compute_usd_per_mtok(1.0, 1.0)
    return single(claim, "cost_ratio", ratio, "{:g}x", published="2x")


def fte_month(claim: Claim, _book: Book) -> Recomputed:
    """Return half an engineer at the low salary, and a whole one at the high."""
    low = float(engineering_usd_per_month(0.5, engineer_usd_per_year=150_000))
    high = float(engineering_usd_per_month(1.0, engineer_usd_per_year=200_000))
    return interval(claim, "usd_per_month", (low, high), ".0f")


def infrastructure_sum(claim: Claim, _book: Book) -> Recomputed:
    """Add the five lines up."""
    low, high = (
        float(
            CostStack(
                lines=tuple(
                    line(name, "infrastructure", ends[end], "as published") for name, ends in INFRASTRUCTURE_USD.items()
                )
            ).usd_per_month
        )
        for end in (0, 1)
    )
    return interval(claim, "usd_per_month", (low, high), ".0f")


def fixed_total(claim: Claim, _book: Book) -> Recomputed:
    """Return the bill of one node with its people and infrastructure."""
    return interval(claim, "usd_per_month", (LOW_POOL.step_usd_per_month(1), HIGH_POOL.step_usd_per_month(1)), ".0f")


def capacity_60(claim: Claim, _book: Book) -> Recomputed:
    """Return what one node serves in a month at 60 %."""
    return interval(claim, "mtok_per_month", (HIGH_POOL.node_mtok_per_month, LOW_POOL.node_mtok_per_month), ".0f")


def cost_at_capacity(claim: Claim, _book: Book) -> Recomputed:
    """Spread one node's bill over what it does serve at 60 %."""
    low, high = (pool.step_usd_per_month(1) / pool.node_mtok_per_month for pool in (LOW_POOL, HIGH_POOL))
    return interval(claim, "usd_per_mtok", (low, high), ".2f")


def division_mtok() -> Pair:
    """Return the seed's two break-evens, as it computes them: one bill, and a node without limits."""
    low, high = (
        engineering_floor_mtok_per_month(pool.step_usd_per_month(1), api_usd_per_mtok=SEED_BLEND_USD_PER_MTOK)
        for pool in (LOW_POOL, HIGH_POOL)
    )
    return low, high


def break_even_division(claim: Claim, _book: Book) -> Recomputed:
    """Divide the two bills by the API's price."""
    low, high = division_mtok()
    return interval(claim, "billion_tokens_per_month", (low / 1000, high / 1000), ".2f")


def node_break_evens() -> tuple[BreakEven, ...]:
    """Solve the seed's example on whole nodes at 60 %: both costs, three throughputs, the correct blend."""
    api = FlatCost(fixed_usd_per_month=0, usd_per_mtok=BLEND_USD_PER_MTOK)
    costs = (
        (LOW_POOL.fixed_usd_per_month, A100_USD_PER_HOUR[0]),
        (HIGH_POOL.fixed_usd_per_month, A100_USD_PER_HOUR[1]),
    )
    speeds = (A100_TOKENS_PER_S[0], sum(A100_TOKENS_PER_S) / 2, A100_TOKENS_PER_S[1])
    return tuple(break_even(_pool(*cost, speed), api) for cost, speed in product(costs, speeds))


def break_even_nodes(claim: Claim, _book: Book) -> Recomputed:
    """Find where self-hosting first wins, and from where it stays cheaper."""
    solved = node_break_evens()
    first = sorted(_or_never(item.first_mtok) / 1000 for item in solved)
    stable = sorted(_or_never(item.stable_mtok) / 1000 for item in solved)
    span = interval(claim, "first_billion_tokens_per_month", (first[0], first[-1]), ".3g", otherwise="inconsistent")
    numbers = (
        *span.numbers,
        ("low_stable_billion_tokens_per_month", stable[0]),
        ("high_stable_billion_tokens_per_month", stable[-1]),
    )
    return Recomputed(
        text=f"first {span.text}; stable from {stable[0]:.3g}-{stable[-1]:.3g}",
        numbers=numbers,
        verdict=span.verdict,
    )


def token_type(_claim: Claim, _book: Book) -> Recomputed:
    """Return how much more a throughput of output tokens serves than one of all tokens."""
    factor = total_tokens_per_s(1.0, input_output_ratio=3)
    return Recomputed(text=f"factor {factor:g} at 3:1", numbers=(("total_over_output_ratio", factor),), verdict=None)


def conversations(_claim: Claim, book: Book) -> Recomputed:
    """Set 300 tokens a conversation against the mean request of a measured chat trace."""
    measured = book.assumption("request_tokens").likely
    return Recomputed(
        text=f"{measured:.0f} tokens per request in the Azure chat trace",
        numbers=(
            ("published_tokens", 3e9 / 10e6),
            ("measured_tokens", measured),
            ("requests", 3e9 / measured),
        ),
        verdict=None,
    )


def idle_erases(claim: Claim, _book: Book) -> Recomputed:
    """Return the utilisation at which compute alone costs what GPT-4o does."""
    low, high = (
        break_even_utilisation(
            pool_usd_per_month=pool.node_usd_per_month,
            full_capacity_mtok_per_month=pool.node_mtok_per_month / UTILISATION,
            api_usd_per_mtok=BLEND_USD_PER_MTOK,
        )
        for pool in (LOW_POOL, HIGH_POOL)
    )
    found = interval(claim, "utilisation_fraction", (low, high), ".0%", otherwise="inconsistent")
    text = f"{100 * low:.0f}-{100 * high:.0f}% on compute alone"
    return Recomputed(text=text, numbers=found.numbers, verdict=found.verdict)


def engineering_floor(claim: Claim, _book: Book) -> Recomputed:
    """Return the volume whose API bill engineering alone exceeds; a lower published one is conservative."""
    low, high = (
        engineering_floor_mtok_per_month(
            float(engineering_usd_per_month(fte, engineer_usd_per_year=salary)), api_usd_per_mtok=BLEND_USD_PER_MTOK
        )
        / 1000
        for fte, salary in ((0.5, 150_000), (1.0, 200_000))
    )
    published = figures(claim.published)[0].amount() / 1e9
    return Recomputed(
        text=f"{low:.2f}-{high:.2f}B",
        numbers=(("low_billion_tokens_per_month", low), ("high_billion_tokens_per_month", high)),
        verdict="conservative" if published < low else "holds" if published <= high else "wrong",
    )


def engineering_per_mtok(claim: Claim, _book: Book) -> Recomputed:
    """Spread a fifth of an engineer over a billion tokens."""
    monthly = float(engineering_usd_per_month(0.2, engineer_usd_per_year=150_000))
    return single(claim, "usd_per_mtok", monthly / 1000, "{:.2f}")


def storage(claim: Claim, _book: Book) -> Recomputed:
    """Return the price of a gigabyte that the seed implies; whether it is fair is a reviewer's to say."""
    size_gb = weights_gb(70e9, "fp16")
    low, high = (figure.amount() / size_gb for figure in figures(claim.published))
    return Recomputed(
        text=f"{low:.3f}-{high:.3f} USD per GB-month",
        numbers=(("weights_gb", size_gb), ("low_usd_per_gb_month", low), ("high_usd_per_gb_month", high)),
        verdict=None,
    )


def mini_farther(_claim: Claim, _book: Book) -> Recomputed:
    """Solve for GPT-4o mini against whole A10G nodes, at 60 % and at 100 % utilisation."""
    api = FlatCost(fixed_usd_per_month=0, usd_per_mtok=MINI_USD_PER_MTOK)
    usual, full = (
        [
            break_even(_pool(LOW_POOL.fixed_usd_per_month, rent, A10G_TOKENS_PER_S, share), api)
            for rent in A10G_USD_PER_HOUR
        ]
        for share in (UTILISATION, 1.0)
    )
    first = [_or_never(item.first_mtok) for item in (*usual, *full)]
    stable = [_or_never(item.stable_mtok) for item in (*usual, *full)]
    against_gpt_4o = max(_or_never(item.first_mtok) for item in node_break_evens())
    names = ("60_percent_low", "60_percent_high", "100_percent_low", "100_percent_high")
    return Recomputed(
        text=(
            f"60%: from {_trillions(first[0])} to {_trillions(first[1])}; 100%: first {first[2] / 1000:.0f}-"
            f"{first[3] / 1000:.0f}B and stable {stable[2] / 1000:.0f}-{stable[3] / 1000:.0f}B"
        ),
        numbers=(
            *((f"{name}_first_mtok_per_month", volume) for name, volume in zip(names, first, strict=True)),
            *((f"{name}_stable_mtok_per_month", volume) for name, volume in zip(names, stable, strict=True)),
            ("60_percent_low_first_nodes", float(usual[0].first_nodes or 0)),
        ),
        verdict="holds" if min(first) > against_gpt_4o else "wrong",
    )


def throughput_70b(_claim: Claim, book: Book) -> Recomputed:
    """Look up what 2xA100 were measured to serve at two lengths; which of them is usual, a reviewer says."""
    long, short = (_measured(book, lengths) for lengths in (1000, 128))
    return Recomputed(
        text=f"{long:g} output tok/s measured at 1000/1000 FP16 TP2 and {short:g} at 128/128",
        numbers=(("at_1000_output_tokens_per_s", long), ("at_128_output_tokens_per_s", short)),
        verdict=None,
    )


def _measured(book: Book, lengths: int) -> float:
    wanted = ("a100-80gb-sxm", 2, "fp16", "tensorrt-llm 0.14.0", lengths, lengths)
    for item in book.measurements_of("llama-3.1-70b"):
        if (item.gpu, item.gpus, item.precision, item.engine, item.isl_tokens, item.osl_tokens) == wanted:
            return item.output_tokens_per_s
    raise UnknownNameError(f"The catalogue holds no measurement of llama-3.1-70b with {wanted}.")


def _or_never(volume_mtok: float | None) -> float:
    return inf if volume_mtok is None else volume_mtok


def _trillions(volume_mtok: float) -> str:
    return "never" if volume_mtok == inf else f"{volume_mtok / 1e6:.3g}T"


RECOMPUTE: Final[Mapping[str, Callable[[Claim, Book], Recomputed]]] = {
    "blend-gpt4o": partial(blend, prices=GPT_4O, spec="{:.3f}"),
    "blend-gpt4o-mini": partial(blend, prices=GPT_4O_MINI, spec="{:.4f}"),
    "blend-sonnet": partial(blend, prices=CLAUDE_SONNET, spec="{:.2f}"),
    "blend-haiku": partial(blend, prices=CLAUDE_HAIKU, spec="{:.2f}"),
    "compute-8b": partial(
        compute,
        usd_per_hour=A10G_USD_PER_HOUR,
        tokens_per_s=(A10G_TOKENS_PER_S, A10G_TOKENS_PER_S),
        spec=".3f",
    ),
    "compute-70b": partial(compute, usd_per_hour=A100_USD_PER_HOUR, tokens_per_s=A100_TOKENS_PER_S, spec=".3f"),
    "compute-405b": partial(compute, usd_per_hour=(20, 32), tokens_per_s=(200, 400), spec=".2f"),
    "fit-405b": fit_405b,
    "util-40": at_40_percent,
    "fte-month": fte_month,
    "infra-sum": infrastructure_sum,
    "fixed-total": fixed_total,
    "capacity-60": capacity_60,
    "cost-at-346": cost_at_capacity,
    "breakeven-division": break_even_division,
    "breakeven-nodes": break_even_nodes,
    "token-type": token_type,
    "conversations": conversations,
    "util-60-erases": idle_erases,
    "eng-floor": engineering_floor,
    "eng-per-mtok": engineering_per_mtok,
    "storage": storage,
    "mini-farther": mini_farther,
    "throughput-70b": throughput_70b,
}
