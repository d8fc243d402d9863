"""Shifts of traffic as a worker carries them out: which requests go to the target first, before the route's policy.

A shift that is under way makes its target an offer of the route, if it is none, as a *guest*: asked for the requests of
the shift alone.  Which requests those are follows from what is told of the shift and from the request, so all workers
say the same.  Where the target may not have a request, is away or is full, the request goes as if there were no shift.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.gateway.copy_plan import CopyRule
from breakeven.gateway.shift_plan import ANY_TASK
from breakeven.routing.sticking import Told, place_of, takes, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.labels import Labels
    from breakeven.gateway.shift_plan import ShiftPlan
    from breakeven.gateway.snapshot import Route

USER: Final = b"x-breakeven-user"
"""The header in which a client says on whose behalf it asks."""

_MOST_BYTES: Final = 1024
_MIRRORED: Final = 1 << 62
"""Added to a shift's number where pairs are drawn: independently of whom it shifts."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a shift does with the requests of one task."""

    shift_id: int
    index: int
    """Of its target, among the offers of the route."""

    target: str
    stick: str
    share_fraction: float
    mirror_fraction: float
    """0: no more pairs are wanted."""


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

    def taken(self, asking: Asking) -> int:
        """Return the index of the offer that a request goes to first; -1: whichever the policy says."""
        course = self.course_of(asking.labels)
        if course is None or not course.share_fraction:
            return -1
        return course.index if takes(course.share_fraction, place_of(course.shift_id, _unit(course, asking))) else -1

    def paired_with(self, labels: Labels | None, request_id: int, served_by: str) -> str:
        """Return the target that a request is also to be asked of, which one target has served; empty: none.

        What an incumbent served is asked of the shift's target, and what that served of the route's first other one.
        """
        course = self.course_of(labels)
        if course is None or not takes(course.mirror_fraction, place_of(course.shift_id | _MIRRORED, str(request_id))):
            return ""
        if served_by != course.target:
            return course.target
        return next((name for name in self.names if name != course.target), "")


def shifting_of(plans: Iterable[ShiftPlan], names: Sequence[str]) -> Shifting | None:
    """Return what shifts do with a model whose route has these targets, guests included; None: nothing.

    Where two shifts speak of one task, which none should begin, the earlier one has it.
    """
    courses: dict[str, Course] = {}
    for plan in sorted(plans, key=lambda plan: plan.shift_id):
        if plan.target not in names:
            continue
        index = names.index(plan.target)
        for task in plan.tasks:
            mirrored = plan.mirror_fraction if task.is_tested else 0.0
            course = Course(plan.shift_id, index, plan.target, plan.stick, task.share_fraction, mirrored)
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


def guests_of(route: Route, plans: Iterable[ShiftPlan], known: Iterable[str]) -> tuple[Guest, ...]:
    """Return the targets of shifts that a route has to be lent, of those that the settings know."""
    there = set(known)
    wanted = {plan.target: Guest(plan.target, plan.asked_as) for plan in plans if plan.model == route.model}
    return tuple(guest for name, guest in wanted.items() if name in there and name not in route.targets)


def names_there(plans: Iterable[ShiftPlan]) -> tuple[CopyRule, ...]:
    """Return how models are called at the targets of shifts, as rules by which nothing is copied."""
    return tuple(
        CopyRule(model=plan.model, candidate=plan.target, asked_as=plan.asked_as, share_fraction=0.0)
        for plan in plans
        if plan.asked_as
    )


def _unit(course: Course, asking: Asking) -> str:
    user = asking.headers.get(USER, b"")[:_MOST_BYTES].decode("utf-8", "replace")
    episode = asking.labels.episode if asking.labels is not None else ""
    return unit_of(course.stick, Told(asking.key.name, user, episode, asking.request_id, asking.payload))
