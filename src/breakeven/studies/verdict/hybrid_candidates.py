"""Which hybrids are compared: for each model the pools that cost least beside an API, and where the overflow goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from breakeven.studies.verdict.gate import exclusions
from breakeven.studies.verdict.hybrid_option import HybridOption
from breakeven.studies.verdict.pool_option import PoolOption

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.studies.verdict.api_option import ApiOption
    from breakeven.studies.verdict.candidates import Candidate
    from breakeven.studies.verdict.context import Context

RENTED: Final = ("on-demand", "reserved")
OWNED: Final = ("owned",)
"""Ways to have nodes for the base of a load: one hybrid on rented and one on owned nodes is shown of each model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridCandidate:
    """A hybrid, and the candidate that its nodes are: it has the same price and speed in every world."""

    option: HybridOption
    nodes: Candidate


def hybrid_candidates(
    context: Context, pools: Sequence[Candidate], sellers: Mapping[str, Sequence[ApiOption]], today: ApiOption
) -> tuple[list[HybridCandidate], list[str]]:
    """Return the hybrids worth comparing, and in sentences why there is no more of them.

    ``sellers`` are those of each open model that can be priced, by model.  Of each model the cheapest hybrid on rented
    nodes and the cheapest on owned ones come back, at likely values, and each one on a pool that the scenario states;
    those that hold no node then are an API with a longer name, and are left out.
    """
    able = [item for item in pools if type(item.option) is PoolOption and item.option.purchase in (*RENTED, *OWNED)]
    if not able:
        return [], []
    if context.workload.overflow is None:
        return [], [
            "no hybrid is compared: a bill has no times, so neither a base to hold nodes for nor peaks are seen"
        ]
    found: list[HybridCandidate] = []
    idle: list[str] = []
    for model in dict.fromkeys(item.option.model for item in able):
        same = [today] if today.model == model else []
        api = overflow_target(context, [*sellers.get(model, ()), *same], today)
        best = _best(context, [item for item in able if item.option.model == model], api)
        found += best
        idle += [] if best else [model]
    return found, [_told(idle)] if idle else []


def overflow_target(context: Context, sellers: Sequence[ApiOption], today: ApiOption) -> ApiOption:
    """Return where what overflows goes: the cheapest seller of the same model that no constraint excludes.

    Where there is none, today's API; where that is excluded too, the cheapest of all, and the hybrid with it.
    """
    whole = [item for item in sellers if not item.partial and not item.committed_usd_per_month]
    allowed = [item for item in whole if not api_exclusions(context, item)]
    if allowed or not whole:
        return min(allowed, key=lambda item: _tokens_usd(item, context)) if allowed else today
    return today if not api_exclusions(context, today) else min(whole, key=lambda item: _tokens_usd(item, context))


def api_exclusions(context: Context, api: ApiOption) -> tuple[str, ...]:
    """Return why an API may not be chosen, whatever it costs."""
    return exclusions(
        context.scenario.constraints,
        runs_on_own_nodes=False,
        weights_open=api.model in context.book.models,
        model=api.model,
        regions=api.price_list.regions,
        compliance=api.price_list.compliance,
    )


def pool_exclusions(context: Context, pool: PoolOption, *, runs_on_own_nodes: bool = True) -> tuple[str, ...]:
    """Return why a pool may not be chosen, whatever it costs."""
    return exclusions(
        context.scenario.constraints,
        runs_on_own_nodes=runs_on_own_nodes,
        weights_open=pool.model in context.book.models,
        model=pool.model,
        regions=pool.regions,
        compliance=pool.compliance,
    )


def hybrid_exclusions(context: Context, option: HybridOption) -> tuple[str, ...]:
    """Return why a hybrid may not be chosen: both of its parts must meet every constraint."""
    nodes, tokens = pool_exclusions(context, option.pool), api_exclusions(context, option.api)
    return (
        *(f"its nodes: {reason}" for reason in nodes if reason not in tokens),
        *(f"what overflows: {reason}" for reason in tokens if reason not in nodes),
        *(reason for reason in nodes if reason in tokens),
    )


def _best(context: Context, candidates: Sequence[Candidate], api: ApiOption) -> list[HybridCandidate]:
    """Return the cheapest hybrid of each way to have nodes, those that may be chosen first, and every stated one."""
    hybrids = [HybridCandidate(option=HybridOption(pool=item.option, api=api), nodes=item) for item in candidates]
    priced = [(item, _likely_usd(item, context)) for item in hybrids]
    held = [(item, usd) for item, usd in priced if usd is not None]
    found = [item for item, _ in held if item.option.pool.id.endswith(":stated")]
    for ways in (RENTED, OWNED):
        group = [pair for pair in held if pair[0].option.pool.purchase in ways and pair[0] not in found]
        group.sort(key=lambda pair: (bool(hybrid_exclusions(context, pair[0].option)), pair[1]))
        found += [item for item, _ in group[:1]]
    return found


def _likely_usd(item: HybridCandidate, context: Context) -> float | None:
    """Return a hybrid's bill at likely values; None where it holds no node."""
    values = {**context.likely(), **{own.key: own.likely for own in item.nodes.own}}
    split = item.option.split(values)
    return float(split.usd_per_month) if split.pays else None


def _tokens_usd(api: ApiOption, context: Context) -> float:
    return float(api.bill(context.likely()).usd_per_month)


def _told(idle: Sequence[str]) -> str:
    return (
        f"no hybrid of {', '.join(idle)} is compared: at likely values nodes would not earn their fixed costs beside "
        "the API that takes the overflow"
    )
