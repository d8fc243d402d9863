"""What every report picks from a verdict: the options that matter, the groups, the warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.reports.words import percent, usd

if TYPE_CHECKING:
    from breakeven.studies.verdict.result import CrossingResult, OptionResult, Standing, Verdict

GROUPS: Final[dict[Standing, str]] = {
    "same model": "Today's model",
    "evidence": "Other models, with evidence that they are good enough",
    "no evidence": "Cheaper only if good enough: no evidence yet",
}
"""How quality evidence groups the options, and the heading of each group."""

RIVALS: Final = {
    "today": "today",
    "today-optimised": "today, used better",
    "open-api": "the same model by the token",
}
"""What a pool is compared with, by the first part of its id."""


def today_of(result: Verdict) -> OptionResult:
    """Return today's option."""
    return next(item for item in result.options if item.kind == "today")


def recommended(result: Verdict) -> OptionResult | None:
    """Return the recommended option, or None where nothing may be recommended."""
    return next((item for item in result.options if item.id == result.answer.recommended), None)


def best_pool(result: Verdict) -> OptionResult | None:
    """Return the cheapest pool with a break-even, those with evidence of quality first; or None.  No hybrid is one."""
    pools = (item for item in result.options if item.break_even and item.overflow is None)
    return next((item for item in pools if not item.excluded_by), None)


def behind(result: Verdict) -> tuple[OptionResult, ...]:
    """Return the options that the answer rests on: the recommended one and the best pool."""
    found = (recommended(result), best_pool(result))
    return tuple({item.id: item for item in found if item is not None}.values())


def members(result: Verdict, standing: Standing) -> tuple[OptionResult, ...]:
    """Return the options of one standing that nothing excludes, the cheapest first."""
    return tuple(item for item in result.options if item.quality.standing == standing and not item.excluded_by)


def nodes_text(option: OptionResult) -> str:
    """Return how many nodes serve, what stands by, and the share of their time that is used; empty without nodes."""
    nodes = option.nodes
    if nodes is None:
        return ""
    standby = "API" if option.overflow else f"{nodes.standby_nodes}"
    return f"{nodes.serving_nodes}+{standby}, {percent(nodes.utilisation_fraction.likely)}"


def success_text(option: OptionResult) -> str:
    """Return what a success costs and how often there is one; empty where options rank on cost."""
    found = option.success
    if found is None:
        return ""
    assumed = "" if found.basis == "your outcomes" else f", {found.basis}"
    likely_usd = found.usd_per_success.likely
    price = usd(likely_usd) if likely_usd >= 1 else f"{likely_usd:.3g}"
    return f"{price} ({percent(found.fraction.likely)}{assumed})"


def overflow_text(option: OptionResult) -> str:
    """Return what a hybrid holds and what it leaves to whom, in a sentence; empty for others."""
    parts, nodes = option.overflow, option.nodes
    if parts is None or nodes is None:
        return ""
    held, left = parts.held_nodes, parts.overflow_fraction
    count = f"{nodes.serving_nodes} node{'' if nodes.serving_nodes == 1 else 's'}"
    text = (
        f"{count} ({held.low:.0f} – {held.high:.0f}) of {nodes.gpus_per_node}x {nodes.gpu} held for {option.model}; "
        f"{percent(left.likely)} ({percent(left.low)} – {percent(left.high)}) of the work overflows to {parts.target}; "
        f"a node pays from {percent(parts.paying_fraction.likely)} used"
    )
    return text if parts.held_fraction == 1 else f"{text}; in {percent(1 - parts.held_fraction)} of the draws none does"


def who(crossing: CrossingResult) -> str:
    """Return the kind of alternative: today, today-optimised or open-api."""
    return crossing.against.partition(":")[0]


def rival_of(crossing: CrossingResult) -> str:
    """Return what a pool is compared with, and who sells it."""
    return f"{RIVALS[who(crossing)]}: {crossing.against.partition(':')[2]}"


def stale_warnings(result: Verdict) -> list[str]:
    """Return the prices and measurements behind the answer that are old, with their age and source."""
    stale = dict.fromkeys(fact for option in behind(result) for fact in option.facts if fact.stale)
    return [
        f"{fact.what}: {'no date' if fact.age_days is None else f'{fact.age_days} days old'} ({fact.source})"
        for fact in stale
    ]


def stale_assumptions(result: Verdict) -> list[str]:
    """Return the keys of old assumptions that are not the reader's own."""
    return [item.key for item in result.assumptions if item.stale and item.basis != "user"]
