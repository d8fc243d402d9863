"""Turns what is known of pools, tasks and prices into advice, one function a question."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Final

from breakeven.studies.advice.advice import Advice, Gain
from breakeven.studies.advice.nodes import (
    NIGHT_HOURS,
    best_count,
    gain_of,
    night_batches_gain,
    nights_off_gain,
    node_gain,
    quiet_hours,
    with_nodes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from breakeven.studies.advice.advice import Kind
    from breakeven.studies.advice.nodes import Nodes, PoolHours
    from breakeven.studies.outcomes.result import OutcomeCost
    from breakeven.studies.proof.outlook import PoolOutlook

_LEAST_DAYS: Final = 3
"""Fewer whole days of a pool say too little for advice on its nodes."""

_CERTAIN: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSeen:
    """A pool that is rented, as far as it is known."""

    name: str
    hours: PoolHours
    nodes: Nodes
    batchable_fraction: float
    """Share of what the API answers by day that can wait, assumed."""

    serves_batches: bool
    """Whether batches are configured."""

    has_schedule: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """Nodes of other hardware on which a pool's model would fit."""

    name: str
    """``2xH200``."""

    usd_per_hour: float
    time_ratio: float
    """Of the node time that the same tokens take there over what they take now, both estimated."""

    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the same nodes cost elsewhere."""

    pool: str
    hardware: str
    nodes_count: int
    usd_per_hour: float
    """That is paid for a node now."""

    offered_usd_per_hour: float
    source: str


def of_outlook(pools: Iterable[PoolOutlook]) -> Iterator[Advice]:
    """Yield, for each virtual pool, what it would save to rent it."""
    for item in pools:
        if not item.is_virtual or item.saved_usd_per_month is None or item.days_count < _LEAST_DAYS:
            continue
        saved = item.saved_usd_per_month
        needed = item.needed_mtok_per_month
        volume = f"{item.seen_mtok_per_month:,.0f} Mtok a month are seen"
        volume += f", {needed.likely:,.0f} ({needed.low:,.0f} to {needed.high:,.0f}) are needed" if needed else ""
        yield Advice(
            kind="rent_pool",
            subject=item.name,
            gain=Gain(saved, saved, saved, item.reached_fraction),
            said=f"Rent the pool {item.name}: it would save about {_usd(saved)} a month with people and "
            f"infrastructure counted.",
            todo=f"breakeven ledger virtual --by day, then breakeven engine manifest for {item.name}",
            evidence=(
                f"{item.days_count} whole days of your own requests, simulated on its nodes; {volume}",
                f"the chance that the volume seen is enough is {item.reached_fraction:.0%}",
            ),
            figures={
                "seen_mtok_per_month": item.seen_mtok_per_month,
                "needed_mtok_per_month": needed.likely if needed else None,
                "reached_fraction": item.reached_fraction,
            },
        )


def of_nodes(pool: PoolSeen) -> Iterator[Advice]:
    """Yield whether one node more, fewer, or none at all would cost least, and what its nights are worth."""
    hours, nodes = pool.hours, pool.nodes
    days = len(hours.served_s)
    if days < _LEAST_DAYS or not nodes.count:
        return
    best = best_count(hours, nodes)
    rests = _rests_on(pool)
    ways: tuple[tuple[int, Kind, str], ...] = (
        (nodes.count + 1, "add_node", "Add a node to"),
        (best if 0 < best < nodes.count else nodes.count - 1, "drop_node", "Drop nodes of"),
        (0, "back_to_api", "Give up"),
    )
    for count, kind, what in ways:
        if kind == "drop_node" and not count:
            continue
        gain = node_gain(hours, nodes, count)
        if count != best and gain.likely_usd > 0:  # another number is better still
            gain = gain._replace(sure_fraction=0.0)
        now_usd, then_usd = (float(with_nodes(hours, nodes, n).mean()) for n in (nodes.count, count))
        to = "and go back to the API" if not count else f"({nodes.count} to {count})"
        yield Advice(
            kind=kind,
            subject=pool.name,
            gain=gain,
            said=f"{what} the pool {pool.name} {to}: a day costs {_usd(now_usd)} now and would cost {_usd(then_usd)}, "
            "with the API for what does not fit.",
            todo=_todo(kind, pool.name),
            evidence=(*rests, *_fixed(nodes, count)),
            figures={"nodes": nodes.count, "advised_nodes": count, "day_usd": now_usd, "advised_day_usd": then_usd},
        )
    yield from _of_nights(pool, rests, pays=best > 0)


def _of_nights(pool: PoolSeen, rests: tuple[str, ...], *, pays: bool) -> Iterator[Advice]:
    """Yield what nights are worth: the better of two uses, and neither where the pool had better be given up."""
    hours, nodes, night = pool.hours, pool.nodes, quiet_hours(pool.hours)
    shown = f"{night[0]:02d} to {(night[-1] + 1) % 24:02d} h UTC"
    off = nights_off_gain(hours, nodes, night)
    filled = night_batches_gain(hours, nodes, night, pool.batchable_fraction)
    better = off.likely_usd > filled.likely_usd
    if not pool.serves_batches:
        yield Advice(
            kind="night_batches",
            subject=pool.name,
            gain=filled if pays and not better else filled._replace(sure_fraction=0.0),
            said=f"Start batches on the pool {pool.name}: from {shown} it has room for what the API answers by day and "
            f"what can wait ({pool.batchable_fraction:.0%} of it, assumed).",
            todo="batches: {} in breakeven.yaml, and send what can wait to /v1/batches",
            evidence=rests,
            figures={"night_begins_hour": night[0], "batchable_fraction": pool.batchable_fraction},
        )
    if not pool.has_schedule:
        yield Advice(
            kind="nights_off",
            subject=pool.name,
            gain=off if pays and better else off._replace(sure_fraction=0.0),
            said=f"Give the nodes of {pool.name} back from {shown}: {NIGHT_HOURS} hours a day cost more than the API "
            "would for what is asked then.",
            todo=f"pools: {pool.name}: schedule: in breakeven.yaml, then breakeven engine schedule",
            evidence=(*rests, "starting the nodes again takes time, which is not counted"),
            figures={"night_begins_hour": night[0]},
        )


def of_hardware(pool: PoolSeen, offers: Sequence[Hardware]) -> Iterator[Advice]:
    """Yield the hardware on which the pool would cost least, with as many nodes as pay there.

    It is set against as many nodes of what there is as would cost least: what dropping one of them saves is no merit of
    other hardware.  Where the API is cheaper than either, it is not worth saying.
    """
    if len(pool.hours.served_s) < _LEAST_DAYS or not pool.nodes.count:
        return
    own = min(range(1, pool.nodes.count + 2), key=lambda n: float(with_nodes(pool.hours, pool.nodes, n).sum()))
    now = with_nodes(pool.hours, pool.nodes, own)
    best: tuple[float, Hardware, int, Gain] | None = None
    for item in offers:
        hours = pool.hours._replace(
            served_s=pool.hours.served_s * item.time_ratio, overflow_s=pool.hours.overflow_s * item.time_ratio
        )
        nodes = replace(
            pool.nodes, usd_per_hour=item.usd_per_hour, api_usd_per_s=pool.nodes.api_usd_per_s / item.time_ratio
        )
        for count in range(1, pool.nodes.count + 2):
            then = with_nodes(hours, nodes, count)
            if best is None or float(then.sum()) < best[0]:
                best = float(then.sum()), item, count, gain_of(now - then)
    if best is None:
        return
    usd, item, count, gain = best
    beside = () if own == pool.nodes.count else (f"beside {own} of the nodes that there are, which would do",)
    api_is_cheaper = float(with_nodes(pool.hours, pool.nodes, 0).sum()) <= usd
    yield Advice(
        kind="change_gpu",
        subject=pool.name,
        gain=gain._replace(sure_fraction=0.0) if api_is_cheaper else gain,
        said=f"Move the pool {pool.name} to {count} x {item.name} at {item.usd_per_hour:,.2f} USD an hour each: "
        f"the same tokens take {item.time_ratio:.0%} of the node time there, by the estimate.",
        todo=f"Measure first: breakeven bench, or a virtual pool with hardware: {item.name}",
        evidence=(*_rests_on(pool), *beside, f"price: {item.source}; speed: estimated on both, not measured"),
        figures={"hardware": item.name, "advised_nodes": count, "time_ratio": item.time_ratio},
    )


def of_offers(offers: Iterable[Offer]) -> Iterator[Advice]:
    """Yield what it would save to pay for the same nodes what others ask."""
    for item in offers:
        saved = (item.usd_per_hour - item.offered_usd_per_hour) * item.nodes_count * 730
        yield Advice(
            kind="renegotiate",
            subject=item.pool,
            gain=Gain(saved, saved, saved, _CERTAIN if saved > 0 else 0.0),
            said=f"Renegotiate the nodes of {item.pool}: {item.usd_per_hour:,.2f} USD an hour are paid for "
            f"{item.hardware}, and {item.offered_usd_per_hour:,.2f} are asked elsewhere.",
            todo="Ask for that price, or for a term: breakeven catalog rentals",
            evidence=(f"{item.source}; support, region and network may differ",),
            figures={"usd_per_hour": item.usd_per_hour, "offered_usd_per_hour": item.offered_usd_per_hour},
        )


def of_tasks(groups: Iterable[OutcomeCost], days: float) -> Iterator[Advice]:
    """Yield the tasks whose success is surely cheaper elsewhere; groups are by task and target.

    Surely: the intervals of both at 95 % lie apart.
    """
    by_task: dict[str, list[OutcomeCost]] = {}
    for group in groups:
        task, target = group.labels
        if task and target and group.whole_usd_per_success is not None:
            by_task.setdefault(task, []).append(group)
    for task, found in sorted(by_task.items()):
        now = max(found, key=lambda group: group.subject_count)
        cost = now.whole_usd_per_success
        for other in found:
            there = other.whole_usd_per_success
            if other is now or there is None or cost is None:
                continue
            a_month = now.success_count * 30.4 / days
            gains = (cost.low - (there.high if there.high is not None else inf), cost.likely - there.likely)
            sure = _CERTAIN if gains[0] > 0 else 0.0
            yield Advice(
                kind="move_task",
                subject=f"{task}: {now.labels[1]} to {other.labels[1]}",
                gain=Gain(gains[0] * a_month if sure else 0.0, gains[1] * a_month, gains[1] * a_month, sure),
                said=f"Move the task {task} from {now.labels[1]} to {other.labels[1]}: a success costs "
                f"{there.likely:,.4f} USD there and {cost.likely:,.4f} here, everything counted.",
                todo=f"breakeven shift start MODEL --to {other.labels[1]} --tasks {task}",
                evidence=(
                    f"{now.success_count:,} successes here and {other.success_count:,} there in {days:.0f} days",
                    "intervals at 95 % lie apart" if sure else "intervals at 95 % overlap",
                    "the two were not sent the same requests: the shift tests that before it moves them",
                ),
                figures={"here_usd_per_success": cost.likely, "there_usd_per_success": there.likely},
            )


def _rests_on(pool: PoolSeen) -> tuple[str, ...]:
    hours, nodes = pool.hours, pool.nodes
    busy = float(hours.served_s.sum()) / (hours.served_s.size * nodes.count * 3600)
    hour_usd, full = nodes.api_usd_per_s * nodes.hourly_most_s, nodes.hourly_most_s / 3600
    served = f"{nodes.count} nodes at {nodes.usd_per_hour:,.2f} USD an hour served somebody in {busy:.0%} of their time"
    replaces = f"a node hour replaces {hour_usd:,.2f} USD at today's API when it is as full as it may be ({full:.0%})"
    return f"{len(hours.served_s)} whole days; {served}", replaces


def _fixed(nodes: Nodes, count: int) -> tuple[str, ...]:
    """Return what of the saving is people, infrastructure and reliability, where the pool is given up."""
    if count:
        return ()
    hourly = nodes.fixed_usd_per_hour + nodes.further_usd_per_hour * (nodes.count - 1)
    return (f"{_usd(hourly * 730)} a month of it are people, infrastructure and reliability: saved only if they are",)


def _todo(kind: str, pool: str) -> str:
    if kind == "back_to_api":
        return f"Take {pool} out of its models, and end its nodes (until:); breakeven outlook shows when it would pay"
    return f"pools: {pool}: nodes: in breakeven.yaml; breakeven size checks it on the ledger first"


def _usd(amount: float) -> str:
    return f"{amount:,.0f} USD" if abs(amount) >= 100 else f"{amount:,.2f} USD"
