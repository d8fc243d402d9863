"""A snapshot as a worker uses it: lookups that cost one dictionary access, and texts rendered once.

Built from a ``Snapshot``, at start and when the settings were read again; keys change by themselves and are swapped
whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.gateway.aside import route_aside
from breakeven.gateway.choice import RouteState
from breakeven.gateway.copies import copying_of
from breakeven.gateway.keyring import Keyring
from breakeven.gateway.shifting import guests_of, known_of, names_there, shifting_of, with_guests
from breakeven.gateway.snapshot import StoredKeys
from breakeven.gateway.targets import Offer, TargetState
from breakeven.gateway.task_desk import TaskDesk
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.routing.policies import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.clock import Clock
    from breakeven.gateway.aside import Aside
    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.shift_plan import ShiftPlan
    from breakeven.gateway.shifting import Guest
    from breakeven.gateway.snapshot import Route, Snapshot
    from breakeven.ledger.spool import Spool

ANY_MODEL: Final = "*"
_MAX_NAMED: Final = 1_000


class State:
    """Everything a worker looks up."""

    def __init__(
        self, snapshot: Snapshot, clock: Clock, spool: Spool, kept: Mapping[str, TargetState] | None = None
    ) -> None:
        """Build it; ``kept`` are targets that have not changed since the last one, with their connections."""
        self._snapshot = snapshot
        self._clock = clock
        self._stored = StoredKeys()
        self.spool = spool
        self._schedule = CardSchedule(snapshot.price_lists)
        kept = kept or {}
        self.nodes = tuple(target for target in snapshot.targets if target.node is not None)
        """Of all pools."""

        self.targets = {
            target.name: kept.get(target.name) or TargetState(target, clock, spool, snapshot.breaker)
            for target in snapshot.targets
        }
        self.tasks = None if snapshot.tasks is None else TaskDesk(snapshot.tasks)
        """What tells tasks; None: clients declare them."""

        self._known = known_of(snapshot.targets)
        self._shifts: tuple[ShiftPlan, ...] = ()
        self._guests: dict[str, tuple[Guest, ...]] = {}
        self._asides: dict[Aside, RouteState] = {}
        self.routes = {
            route.model: self._route_state(route, route.model) for route in snapshot.routes if route.model != ANY_MODEL
        }
        self._any = next((route for route in snapshot.routes if route.model == ANY_MODEL), None)
        self._named: dict[str, RouteState] = {}
        self._reasons: dict[str, int] = {}
        self.decisions = tuple((text.encode(), spool.code(rows.REASON, text)) for text in REASONS)
        """Text and ledger code of a policy's reasons, by the policy's code."""

        self.cached = b"cached", spool.code(rows.REASON, "cached")
        """The same of an answer that is given again."""

        self.similar = b"similar", spool.code(rows.REASON, "similar")
        """The same of one that was made for a similar question."""

        self._drained: tuple[str, ...] = ()
        self.keyring = self._keyring(self._stored)

    def route(self, model: str) -> RouteState | None:
        """Return the route of a model, or None when nobody serves it."""
        route = self.routes.get(model)
        return self._any_route(self._any, model) if route is None and self._any is not None else route

    def aside(self, aside: Aside) -> RouteState | None:
        """Return the route of a request that is made beside those of clients, or None when there is none."""
        found = self._asides.get(aside)
        if found is None:
            snapshot = self._snapshot
            names = (*snapshot.copies, *names_there(self._shifts, self._known))
            route = route_aside(aside, snapshot.routes, self.targets, names)
            if route is None:
                return None
            found = self._route_state(route, aside.model)
            found.copy(None)
            found.withdraw(self._drained)
            if len(self._asides) < _MAX_NAMED:
                self._asides[aside] = found
        return found

    def reason(self, text: str) -> int:
        """Return the ledger's code of a reason; reasons come from a small, fixed vocabulary."""
        code = self._reasons.get(text)
        if code is None:
            code = self._reasons[text] = self.spool.code(rows.REASON, text)
        return code

    def models(self, key: KeyState) -> list[str]:
        """Return the names that a key may ask for."""
        listed = self._any.listed if self._any is not None else ()
        return [name for name in dict.fromkeys((*self.routes, *listed)) if key.may_use(name)]

    def swap_keys(self, stored: StoredKeys) -> None:
        """Take the store's keys beside those of the configuration, from the next request on."""
        self._stored = stored
        self.keyring = self._keyring(stored)

    def renewed(self, snapshot: Snapshot) -> State:
        """Return the state of another snapshot, with the store's keys and every target that is the same in both."""
        before = {target.name: target for target in self._snapshot.targets}
        same = [target.name for target in snapshot.targets if before.get(target.name) == target]
        new = State(snapshot, self._clock, self.spool, {name: self.targets[name] for name in same})
        new.swap_keys(self._stored)
        new.drain(self._drained)
        new.shift(self._shifts)
        for name in self.targets.keys() - same:
            self.targets[name].pool.retire()
        return new

    def drain(self, targets: tuple[str, ...]) -> None:
        """Send nothing more to these targets; what is under way there goes on."""
        self._drained = targets
        self._asides.clear()
        for route in (*self.routes.values(), *self._named.values()):
            route.withdraw(targets)

    def shift(self, shifts: tuple[ShiftPlan, ...]) -> None:
        """Carry out these shifts and no others; a route is made anew only where it gets or loses a guest."""
        self._shifts = shifts
        self._asides.clear()
        for route in self._snapshot.routes:
            model = route.model
            if model == ANY_MODEL:
                continue
            plans = [plan for plan in shifts if plan.model == model]
            guests = guests_of(route, plans, self._known)
            if guests != self._guests.get(model, ()):
                self._guests[model] = guests
                self.routes[model] = self._route_state(with_guests(route, guests), model, len(guests))
                self.routes[model].withdraw(self._drained)
            state = self.routes[model]
            if plans or state.shifting is not None:
                state.shift(shifting_of(plans, state.candidates.names, self._known))

    def _route_state(self, route: Route, model: str, guest_count: int = 0) -> RouteState:
        none = ("",) * len(route.targets)
        names = zip(route.own_names or none, (name or model for name in route.names or none), strict=True)
        offers = (
            Offer(self.targets[target], model, both, self.spool, self._schedule)
            for target, both in zip(route.targets, names, strict=True)
        )
        state = RouteState(route, model, tuple(offers), self._clock, self.tasks, guest_count=guest_count)
        if self._snapshot.copies:
            state.copy(copying_of(self._snapshot.copies, model))
        return state

    def _any_route(self, route: Route, model: str) -> RouteState:
        found = self._named.get(model)
        if found is None:
            found = self._route_state(route, model)
            found.withdraw(self._drained)
            if len(self._named) < _MAX_NAMED:
                self._named[model] = found
        return found

    def _keyring(self, stored: StoredKeys) -> Keyring:
        keys = (*stored.keys, *self._snapshot.keys)
        open_to_all = self._snapshot.open_to_all and not stored.ever_made
        of_tags = dict(self._snapshot.sensitivity_of_tags)
        behalf = self._snapshot.behalf
        return Keyring(keys, self.spool, open_to_all=open_to_all, of_tags=of_tags, behalf=behalf)
