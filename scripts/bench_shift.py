"""Simulated shifts: how often a bad candidate is promoted, and how many pairs it takes to promote a good one.

Pairs are drawn with a fixed seed: in a share of them (the discordance) the two answers' scores differ, by 1 either way.
With ``--write`` the page is written anew.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from math import inf, log, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import ville

from breakeven.evidence.betting import begin
from breakeven.evidence.guards import GuardLimits, LiveRequest, begin_watch

if TYPE_CHECKING:
    from breakeven.quantities import Array

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "bench-shift.md"
RUNS: Final = 1000
PAIRS: Final = 6000
FEW_RUNS: Final = 400
GUARD_REQUESTS: Final = 1000
LOOK: Final = 10
ALPHA: Final = 0.05
MARGINS: Final = (0.05, 0.03, 0.02)
DISCORDANCES: Final = (0.1, 0.2, 0.3)
Z_SINGLE: Final = 1.6449
Z_POWER: Final = 0.8416

HEAD: Final = """# Shifts, simulated

Written by `make bench-shift` (`scripts/bench_shift.py --write`); the formulas are in [the model](../model.md#evidence).
Pairs are drawn with a fixed seed: in a share of them, the *discordance*, the candidate's and the incumbent's scores
differ by 1, one way or the other. Margin and difference are in points (of 100). All tests have alpha 5 % and are looked
at every ten pairs, {pairs:,} pairs at most; {runs:,} runs a row.
"""


@dataclass(frozen=True, kw_only=True)
class World:
    """A candidate: what is true of it, and the margin that it is held to."""

    margin: float
    difference: float
    discordance: float

    def draw(self, runs: int, pairs: int = PAIRS) -> Array:
        """Return differences of scores, one run a row."""
        worse = (self.discordance - self.difference) / 2
        better = self.discordance - worse
        uniform = np.random.default_rng(1).random((runs, pairs), dtype=np.float32)
        return np.where(uniform < better, 1.0, 0.0) - np.where(uniform >= 1 - worse, 1.0, 0.0)


def pairs_taken(job: tuple[World, bool]) -> list[float]:
    """Return after how many pairs each run was promoted (or rolled back: ``reverse``); infinity if it never was."""
    world, reverse = job
    fresh, sign = begin(margin_fraction=world.margin), -1 if reverse else 1
    taken = []
    for run in world.draw(RUNS):
        wealth = fresh.reverse if reverse else fresh.promote
        gains, ended = (sign * (run + world.margin)).tolist(), inf
        for place in range(0, PAIRS, LOOK):
            wealth = wealth.after(gains[place : place + LOOK])
            if wealth.peak_nats >= -log(ALPHA):
                ended = place + LOOK
                break
        taken.append(ended)
    return taken


def ville_taken(world: World) -> list[float]:
    """Return the same of an independent implementation."""
    taken = []
    for run in world.draw(FEW_RUNS):
        at = (
            ville.BettingTest(-world.margin, bounds=(-1, 1), alternative="greater", alpha=ALPHA)
            .fit(run)
            .stopping_time()
        )
        taken.append(inf if at is None else at)
    return taken


def peeked_promotions(world: World) -> float:
    """Return the share of runs that a one-sided z-test promotes, looked at every ten pairs from the fiftieth on."""
    values = world.draw(RUNS) + world.margin
    counts = np.arange(1, PAIRS + 1)
    mean = np.cumsum(values, axis=1) / counts
    spread = np.sqrt(np.maximum(np.cumsum(values**2, axis=1) / counts - mean**2, 1e-12) / counts)
    looks = slice(49, None, LOOK)
    return float(np.any(mean[:, looks] > Z_SINGLE * spread[:, looks], axis=1).mean())


def guard_requests(job: tuple[float, float, float]) -> list[float]:
    """Return after how many requests at the candidate the guard on errors broke, of runs at a share of the traffic."""
    share, incumbent, candidate = job
    generator, taken = np.random.default_rng(1), []
    for _ in range(FEW_RUNS):
        watch, ended = begin_watch(GuardLimits(error_fraction=0.02)), inf
        while watch.candidate.requests_count < GUARD_REQUESTS:
            ours = generator.random(int(10 / share)) < share
            failed = generator.random(len(ours)) < np.where(ours, candidate, incumbent)
            watch = watch.after(
                LiveRequest(of_candidate=bool(one), failed=bool(other)) for one, other in zip(ours, failed, strict=True)
            )
            if watch.guards()[0].state == "broken":
                ended = watch.candidate.requests_count
                break
        taken.append(ended)
    return taken


def count_of(value: float) -> str:
    """Return a number of pairs for a table."""
    return "–" if value == inf else f"{value:,.0f}"


def quantile(taken: list[float], share: float) -> float:
    """Return the smallest of them that at least that share does not exceed."""
    return sorted(taken)[max(int(np.ceil(share * len(taken))) - 1, 0)]


def errors_table(pool: ProcessPoolExecutor) -> list[str]:
    """Return the table of false promotions."""
    worlds = [World(margin=m, difference=-m, discordance=d) for m, d in product(MARGINS, DISCORDANCES)]
    lines = [
        "\n## A candidate that is worse by exactly the margin\n",
        "| margin | discordance | promoted falsely | by a z-test looked at as often | rolled back |",
        "|---|---|---|---|---|",
    ]
    promoted = pool.map(pairs_taken, [(world, False) for world in worlds])
    reversed_ = pool.map(pairs_taken, [(world, True) for world in worlds])
    peeked = pool.map(peeked_promotions, worlds)
    for world, one, other, z in zip(worlds, promoted, reversed_, peeked, strict=True):
        held, back = np.mean(np.isfinite(one)), np.mean(np.isfinite(other))
        doubt = 1.96 * sqrt(held * (1 - held) / RUNS)
        lines.append(
            f"| {100 * world.margin:g} | {world.discordance:.0%} | {held:.1%} ± {doubt:.1%} | {z:.0%} | {back:.1%} |"
        )
    return lines


def pairs_table(pool: ProcessPoolExecutor) -> list[str]:
    """Return the table of pairs until a promotion."""
    worlds = [World(margin=m, difference=0.0, discordance=d) for m, d in product(MARGINS, DISCORDANCES)]
    worlds += [
        World(margin=0.03, difference=difference, discordance=0.2) for difference in (0.05, 0.01, -0.01, -0.02, -0.05)
    ]
    lines = [
        "\n## Pairs until the promotion\n",
        "*Fixed*: pairs that a one-sided z-test looked at once needs for a power of 80 %; *ville*: the median of",
        f"{FEW_RUNS} runs of `BettingTest` of PyPI's `ville`, with its own bets.\n",
        "| margin | true difference | discordance | half of runs | 80 % | promoted | fixed, 80 % | ville, half |",
        "|---|---|---|---|---|---|---|---|",
    ]
    found = pool.map(pairs_taken, [(world, False) for world in worlds])
    oracle = pool.map(ville_taken, worlds)
    for world, taken, theirs in zip(worlds, found, oracle, strict=True):
        left = world.margin + world.difference
        variance = world.discordance - world.difference**2
        fixed = inf if left <= 0 else (Z_SINGLE + Z_POWER) ** 2 * variance / left**2
        half, most, other = (
            count_of(quantile(taken, 0.5)),
            count_of(quantile(taken, 0.8)),
            count_of(quantile(theirs, 0.5)),
        )
        lines.append(
            f"| {100 * world.margin:g} | {100 * world.difference:+g} | {world.discordance:.0%} | {half} | {most} "
            f"| {np.mean(np.isfinite(taken)):.1%} | {count_of(fixed)} | {other} |"
        )
    return lines


def reverse_table(pool: ProcessPoolExecutor) -> list[str]:
    """Return the table of pairs until the way back."""
    cases = [(0.0, 0.2), (-0.05, 0.2), (-0.1, 0.2), (-0.2, 0.3), (-0.5, 0.6)]
    worlds = [World(margin=0.03, difference=difference, discordance=discordance) for difference, discordance in cases]
    lines = [
        "\n## Pairs until the roll-back, margin 3\n",
        "| true difference | discordance | half of runs | 80 % | rolled back |\n|---|---|---|---|---|",
    ]
    for world, taken in zip(worlds, pool.map(pairs_taken, [(world, True) for world in worlds]), strict=True):
        lines.append(
            f"| {100 * world.difference:+g} | {world.discordance:.0%} | {count_of(quantile(taken, 0.5))} "
            f"| {count_of(quantile(taken, 0.8))} | {np.mean(np.isfinite(taken)):.1%} |"
        )
    return lines


def guard_table(pool: ProcessPoolExecutor) -> list[str]:
    """Return the table of the guard on errors."""
    jobs = list(product((0.05, 0.5), (0.01, 0.05), (0.0, 0.02, 0.05, 0.1, 0.5)))
    jobs = [(share, incumbent, incumbent + more) for share, incumbent, more in jobs]
    lines = [
        "\n## The guard on errors, 2 points more allowed\n",
        f"Requests at the candidate until it breaks, {GUARD_REQUESTS:,} of them at most, looked at every ten;",
        f"{FEW_RUNS} runs.\n",
        "| share | incumbent fails | candidate fails | half of runs | 80 % | broken |\n|---|---|---|---|---|---|",
    ]
    for (share, incumbent, candidate), taken in zip(jobs, pool.map(guard_requests, jobs), strict=True):
        lines.append(
            f"| {share:.0%} | {incumbent:.0%} | {candidate:.0%} | {count_of(quantile(taken, 0.5))} "
            f"| {count_of(quantile(taken, 0.8))} | {np.mean(np.isfinite(taken)):.1%} |"
        )
    return lines


def main() -> None:
    """Print the page; with ``--write`` write it."""
    with ProcessPoolExecutor() as pool:
        lines = [table(pool) for table in (errors_table, pairs_table, reverse_table, guard_table)]
    page = HEAD.format(pairs=PAIRS, runs=RUNS) + "\n".join(line for table in lines for line in table) + "\n"
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
