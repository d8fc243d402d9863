"""Shifts of traffic as a worker carries them out: which requests go to the target first, before the route's policy.

A shift that is under way makes its target, or each node of its pool, an offer of the route, if it is none, as a
*guest*: asked for the requests of the shift alone.  Which requests those are, and to which node they go, follows from
what is told of the shift and from the request, so all workers say the same.  Where a node may not have a request, is
away or is full, the next one is asked; where none is left, the request goes as if there were no shift.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.gateway.copy_plan import CopyRule
from breakeven.gateway.shift_plan import ANY_TASK
from breakeven.routing.spreading import Spread
from breakeven.routing.sticking import Told, place_of, takes, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.labels import Labels
    from breakeven.gateway.shift_plan import ShiftPlan
    from breakeven.gateway.snapshot import Route, Target

USER: Final = b"x-breakeven-user"
"""The header in which a client says on whose behalf it asks."""

_MOST_BYTES: Final = 1024
_MIRRORED: Final = 1 << 62
"""Added to a shift's number where pairs are drawn: independently of whom it shifts."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a shift does with the requests of one task."""

    shift_id: int
    target: str
    """As the shift names it: a target, or a pool."""

    names: frozenset[str]
    """That target's alone, or those of the pool's nodes."""

    spread: Spread
    """The order in which they are asked, as indexes among the offers of the route."""

    stick: str
    share_fraction: float
    mirror_fraction: float
    """0: no more pairs are wanted."""

    def order(self, asking: Asking) -> tuple[int, ...]:
        """Return the indexes of the offers of its targets, in the order in which a request goes to them."""
        return self.spread.order(_unit(self, asking))


class Known(NamedTuple):
    """What the settings have that shifts may go to."""

    targets: frozenset[str]
    pools: Mapping[str, tuple[str, ...]]
    """By name, the targets that their nodes are."""

    def places_of(self, plan: ShiftPlan) -> tuple[str, ...]:
        """Return the targets that a shift goes to: its own, or the nodes of its pool; none: they are gone."""
        if plan.to_pool:
            return self.pools.get(plan.target, ())
        return (plan.target,) if plan.target in self.targets else ()


class Guest(NamedTuple):
    """A target that a route is lent."""

    target: str
    asked_as: str
    """The model's name there; empty: the target's own, or the client's."""


class Asking(NamedTuple):
    """A request, as far as shifts look at it."""

    key: KeyState
    headers: Mapping[bytes, bytes]
    """Of the client's, those that are for the gateway, by lower-case name."""

    labels: Labels | None
    request_id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Shifting:
    """The shifts of one route, by task."""

    courses: Mapping[str, Course]
    names: tuple[str, ...]
    """Of the route's targets, guests included."""

    def course_of(self, labels: Labels | None) -> Course | None:
        """Return what becomes of requests with those labels; None: nothing, no shift speaks of their task."""
        task = labels.task_text if labels is not None else ""
        return self.courses.get(task) or self.courses.get(ANY_TASK)

    def taken(self, asking: Asking) -> tuple[int, ...]:
        """Return the indexes of the offers that a request goes to first, in turn; none: whichever the policy says."""
        course = self.course_of(asking.labels)
        if course is None or not course.share_fraction:
            return ()
        unit = _unit(course, asking)
        return course.spread.order(unit) if takes(course.share_fraction, place_of(course.shift_id, unit)) else ()

    def paired(self, labels: Labels | None, request_id: int) -> Course | None:
        """Return the course of a request of which both targets are asked; None: of this one they are not."""
        course = self.course_of(labels)
        if course is None or not takes(course.mirror_fraction, place_of(course.shift_id | _MIRRORED, str(request_id))):
            return None
        return course

    def incumbent_for(self, course: Course) -> str:
        """Return the target that is also asked what the shift's own has served: the route's first other; empty: none.

        Whatever node of a pool has served, it is no other one of the pool.
        """
        return next((name for name in self.names if name not in course.names), "")


def known_of(targets: Iterable[Target]) -> Known:
    """Return what shifts may go to, of these settings."""
    names, pools = [], dict[str, tuple[str, ...]]()
    for target in targets:
        names.append(target.name)
        if target.node is not None:
            pools[target.node.pool] = (*pools.get(target.node.pool, ()), target.name)
    return Known(frozenset(names), pools)


def shifting_of(plans: Iterable[ShiftPlan], names: Sequence[str], known: Known) -> Shifting | None:
    """Return what shifts do with a model whose route has these targets, guests included; None: nothing.

    Where two shifts speak of one task, which none should begin, the earlier one has it.
    """
    courses: dict[str, Course] = {}
    for plan in sorted(plans, key=lambda plan: plan.shift_id):
        indexes = {name: names.index(name) for name in known.places_of(plan) if name in names}
        if not indexes:
            continue
        there, spread = frozenset(indexes), Spread(indexes)
        for task in plan.tasks:
            mirrored = plan.mirror_fraction if task.is_tested else 0.0
            course = Course(plan.shift_id, plan.target, there, spread, plan.stick, task.share_fraction, mirrored)
            courses.setdefault(task.task, course)
    return Shifting(courses, tuple(names)) if courses else None


def with_guests(route: Route, guests: Sequence[Guest]) -> Route:
    """Return a route with these targets behind its own: no policy sees them as long as they are kept from it."""
    if not guests:
        return route
    own_names = route.own_names or ("",) * len(route.targets)
    none = (None,) * len(guests)
    return replace(
        route,
        targets=(*route.targets, *(guest.target for guest in guests)),
        weights=(*route.weights, *(0.0 for _ in guests)),
        names=(*route.names, *("" for _ in guests)) if route.names else (),
        own_names=(*own_names, *(guest.asked_as for guest in guests)),
        guards=(*route.guards, *none) if route.guards else (),
        hours=(*route.hours, *none) if route.hours else (),
    )


def guests_of(route: Route, plans: Iterable[ShiftPlan], known: Known) -> tuple[Guest, ...]:
    """Return the targets of shifts that a route has to be lent, of those that the settings know."""
    wanted = {
        name: Guest(name, plan.asked_as)
        for plan in plans
        if plan.model == route.model
        for name in known.places_of(plan)
    }
    return tuple(guest for name, guest in wanted.items() if name not in route.targets)


def names_there(plans: Iterable[ShiftPlan], known: Known) -> tuple[CopyRule, ...]:
    """Return how models are called at the targets of shifts, as rules by which nothing is copied."""
    return tuple(
        CopyRule(model=plan.model, candidate=name, asked_as=plan.asked_as, share_fraction=0.0)
        for plan in plans
        if plan.asked_as
        for name in known.places_of(plan)
    )


def _unit(course: Course, asking: Asking) -> str:
    user = asking.headers.get(USER, b"")[:_MOST_BYTES].decode("utf-8", "replace")
    episode = asking.labels.episode if asking.labels is not None else ""
    return unit_of(course.stick, Told(asking.key.name, user, episode, asking.request_id, asking.payload))
