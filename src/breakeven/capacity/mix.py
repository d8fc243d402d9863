"""Several GPU types, ways to buy them and models at once: how many nodes of each, as an integer programme.

Windows are put together where they ask for about the same at the same hours; of each such kind the programme divides
the work among the nodes that hold its model and the overflow.  Models meet in what they share: fixed costs that are
paid once, and GPUs of which there are only so many.  HiGHS solves it (Huangfu and Hall 2018), through scipy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.sizing import Ints
    from breakeven.quantities import Array

GAP_FRACTION: Final = 1e-4
TIME_LIMIT_S: Final = 60.0
_TIMED_OUT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Windows of one model that are taken as alike.

    ``index`` is that of the part of the week in which they lie, for nodes bought by the hour; ``weight_fraction`` is
    their share of all time.  ``busy_nodes`` is their work by ``Choice``, in nodes of that choice;
    ``overflow_usd_per_hour`` is what an hour of them costs at the overflow.
    """

    model: str
    index: int
    weight_fraction: float
    busy_nodes: tuple[float, ...]
    overflow_usd_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Nodes that could be held: of one GPU type, bought in one way, for one model."""

    name: str
    model: str
    node_usd_per_hour: float
    by_the_hour: bool = False
    interruption_fraction: float = 0.0
    most_nodes: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """What is paid once as soon as any of these choices, by index, has a node; below 0 where nodes spare something."""

    name: str
    usd_per_hour: float
    choices: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The most that there is of something at any time, such as GPUs of a type, and what a node of each choice takes."""

    name: str
    most_count: int
    each_count: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.most_count < 0 or min(self.each_count, default=0) < 0:
            raise ValueError(f"{self.name}: need counts of 0 or more, got {self.most_count} and {self.each_count}")

    def used_count(self, nodes: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> int:
        """Return the most that is taken in any slot by nodes of shape (choices, slots)."""
        return int((np.array(self.each_count) @ nodes).max())


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """What to hold.  ``nodes`` has shape (choices, slots): equal in all slots for what is always up."""

    nodes: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    served_fraction: Array
    """(kinds, choices): the share of each kind's work that each choice serves."""

    nodes_usd_per_hour: float
    overflow_usd_per_hour: float
    fixed_usd_per_hour: float
    gap_usd_per_hour: float
    """How far the bill may be above the best there is."""

    proven: bool
    """False where time ran out before the gap was closed."""

    @property
    def usd_per_hour(self) -> float:
        """The whole bill."""
        return self.nodes_usd_per_hour + self.overflow_usd_per_hour + self.fixed_usd_per_hour

    @property
    def gap_fraction(self) -> float:
        """How far the bill may be above the best there is, of itself."""
        return self.gap_usd_per_hour / self.usd_per_hour if self.usd_per_hour > 0 else 0.0


class _Columns(NamedTuple):
    """Where each variable of the programme stands: nodes by choice and slot, shares by kind and choice, fixed costs."""

    nodes: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    shares: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    fixed: Ints
    size: int


def best_mix(
    kinds: Sequence[Kind],
    choices: Sequence[Choice],
    *,
    fixed: Sequence[Fixed] = (),
    limits: Sequence[Limit] = (),
    gap_fraction: float = GAP_FRACTION,
    time_limit_s: float = TIME_LIMIT_S,
) -> Mix:
    """Return the cheapest nodes and division of work, with the fixed costs of what is held, within the limits.

    Minimise sum of price x weight x nodes + sum of weight x overflow x (1 - shares) + sum of fixed x any, such that in
    each kind of windows work x share <= (1 - f) x nodes for each choice, the shares of a kind are at most 1, nodes are
    whole, any is 1 iff one of its choices has a node, and in each slot nodes x what each takes <= each limit.
    ``gap_fraction`` is of what nodes save.  Raises ``ValueError`` where nothing is given, or HiGHS finds nothing in
    time.
    """
    if not kinds or any(len(kind.busy_nodes) != len(choices) for kind in kinds):
        raise ValueError("each kind of windows needs its work for every choice, and there is at least one kind")
    slots = 1 + max(kind.index for kind in kinds)
    columns = _columns(kinds, choices, slots, len(fixed))
    cost, upper = _costs(kinds, choices, columns, fixed)
    integral = np.ones(columns.size)
    integral[columns.shares[columns.shares >= 0]] = 0
    found = milp(
        cost,
        integrality=integral,
        bounds=Bounds(0, upper),
        constraints=_constraints(kinds, choices, columns, fixed, limits),
        options={"mip_rel_gap": gap_fraction, "time_limit": time_limit_s},
    )
    if found.x is None:
        raise ValueError(f"the integer programme was not solved within {time_limit_s:g} s: {found.message}")
    everything = sum(kind.weight_fraction * kind.overflow_usd_per_hour for kind in kinds)
    shares = np.where(columns.shares >= 0, found.x[np.maximum(columns.shares, 0)], 0.0)
    nodes = np.rint(found.x[columns.nodes]).astype(np.int64)
    spent = cost * np.where(integral, np.rint(found.x), found.x)
    nodes_usd = float(spent[np.unique(columns.nodes)].sum())
    fixed_usd = float(spent[columns.fixed].sum())
    saved = -float(spent[columns.shares[columns.shares >= 0]].sum())
    return Mix(
        nodes=nodes,
        served_fraction=shares,
        nodes_usd_per_hour=nodes_usd,
        overflow_usd_per_hour=max(0.0, everything - saved),
        fixed_usd_per_hour=fixed_usd,
        gap_usd_per_hour=max(0.0, float(found.fun - found.mip_dual_bound)),
        proven=found.status != _TIMED_OUT,
    )


def kinds_of(
    model: str, busy_nodes: Array, overflow_usd_per_hour: Array, slot_of_window: Ints, *, level_count: int
) -> list[Kind]:
    """Put a model's windows together: by slot, and in each slot by at most so many levels of what they cost elsewhere.

    ``busy_nodes`` (n, choices) is the work of each window in nodes of each choice.  A kind is the mean of its
    windows: peaks within one are lost, so the programme's bill is a little low; more levels lose less.
    """
    count = len(busy_nodes)
    found = []
    for slot in np.unique(slot_of_window):
        here = np.flatnonzero(slot_of_window == slot)
        ordered = here[np.argsort(overflow_usd_per_hour[here], kind="stable")]
        for part in np.split(ordered, _cuts(overflow_usd_per_hour[ordered], level_count)):
            work = busy_nodes[part].mean(axis=0)
            found.append(
                Kind(
                    model=model,
                    index=int(slot),
                    weight_fraction=len(part) / count,
                    busy_nodes=tuple(float(value) for value in work),
                    overflow_usd_per_hour=float(overflow_usd_per_hour[part].mean()),
                )
            )
    return found


def _cuts(ascending: Array, level_count: int) -> Ints:
    """Return where to cut values into levels such that the mean of each loses about the same.

    What is lost where nodes end within a level goes with its weight times its width, which is the same for all where
    each holds an equal share of the sum of the roots of the gaps: few values a level in a tail, equal ones together.
    """
    gaps = np.diff(ascending)
    if np.count_nonzero(gaps) < level_count:
        return np.flatnonzero(gaps) + 1
    places = np.cumsum(np.sqrt(gaps))
    levels = np.minimum(np.floor(places * (level_count / places[-1])), level_count - 1)
    return np.flatnonzero(np.diff(levels, prepend=0.0)) + 1


def _columns(kinds: Sequence[Kind], choices: Sequence[Choice], slots: int, fixed_count: int) -> _Columns:
    nodes = np.zeros((len(choices), slots), dtype=np.int64)
    count = 0
    for index, choice in enumerate(choices):
        width = slots if choice.by_the_hour else 1
        nodes[index] = count + (np.arange(slots) if choice.by_the_hour else 0)
        count += width
    shares = np.full((len(kinds), len(choices)), -1, dtype=np.int64)
    for row, kind in enumerate(kinds):
        for index, choice in enumerate(choices):
            if choice.model == kind.model:
                shares[row, index] = count
                count += 1
    return _Columns(nodes, shares, count + np.arange(fixed_count), count + fixed_count)


def _costs(
    kinds: Sequence[Kind], choices: Sequence[Choice], columns: _Columns, fixed: Sequence[Fixed]
) -> tuple[Array, Array]:
    """Return what each variable costs and the most it can be."""
    cost, upper = np.zeros(columns.size), np.ones(columns.size)
    slots = columns.nodes.shape[1]
    time_fraction = np.zeros((len(choices), slots))
    weights = {
        model: np.bincount(
            [kind.index for kind in kinds if kind.model == model],
            [kind.weight_fraction for kind in kinds if kind.model == model],
            minlength=slots,
        )
        for model in {kind.model for kind in kinds}
    }
    for index, choice in enumerate(choices):
        time_fraction[index] = weights.get(choice.model, np.zeros(slots))
        upper[columns.nodes[index]] = choice.most_nodes
        if choice.by_the_hour:
            cost[columns.nodes[index]] = choice.node_usd_per_hour * time_fraction[index]
            upper[columns.nodes[index][time_fraction[index] == 0]] = 0  # hours that nobody saw get no nodes
        else:
            cost[columns.nodes[index, 0]] = choice.node_usd_per_hour
    for row, kind in enumerate(kinds):
        used = columns.shares[row][columns.shares[row] >= 0]
        cost[used] = -kind.weight_fraction * kind.overflow_usd_per_hour
    cost[columns.fixed] = [item.usd_per_hour for item in fixed]
    return cost, upper


def _constraints(
    kinds: Sequence[Kind],
    choices: Sequence[Choice],
    columns: _Columns,
    fixed: Sequence[Fixed],
    limits: Sequence[Limit],
) -> LinearConstraint:
    """Return work within nodes, shares within 1, fixed costs with nodes, and limits: rows at most their bound."""
    rows: list[tuple[int, int, float]] = []
    bounds: list[float] = []
    for number, kind in enumerate(kinds):
        used = np.flatnonzero(columns.shares[number] >= 0).tolist()
        for index in used:
            yields = 1 - choices[index].interruption_fraction
            rows.append((len(bounds), int(columns.shares[number, index]), kind.busy_nodes[index]))
            rows.append((len(bounds), int(columns.nodes[index, kind.index]), -yields))
            bounds.append(0.0)
        rows += [(len(bounds), int(columns.shares[number, index]), 1.0) for index in used]
        bounds.append(1.0)
    for item, any_column in zip(fixed, columns.fixed.tolist(), strict=True):
        held = [(int(column), index) for index in item.choices for column in np.unique(columns.nodes[index])]
        for column, index in held:
            rows += [(len(bounds), column, 1.0), (len(bounds), any_column, -float(choices[index].most_nodes))]
            bounds.append(0.0)
        rows += [(len(bounds), any_column, 1.0), *((len(bounds), column, -1.0) for column, _ in held)]
        bounds.append(0.0)
    for limit in limits:
        taking = np.flatnonzero(limit.each_count)
        for slot in np.unique(columns.nodes[taking], axis=1).T:
            each = zip(slot.tolist(), taking.tolist(), strict=True)
            rows += [(len(bounds), at, float(limit.each_count[index])) for at, index in each]
            bounds.append(float(limit.most_count))
    lines, places, values = (np.array(items) for items in zip(*rows, strict=True))
    matrix = coo_array((values, (lines, places)), shape=(len(bounds), columns.size))
    return LinearConstraint(matrix.tocsr(), -np.inf, np.array(bounds))
