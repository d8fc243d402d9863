"""A snapshot as a worker uses it: lookups that cost one dictionary access, and texts rendered once.

Built from a ``Snapshot`` at start; only the keys change later, and they are swapped whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.gateway.choice import RouteState
from breakeven.gateway.keyring import Keyring
from breakeven.gateway.snapshot import StoredKeys
from breakeven.gateway.targets import Offer, TargetState
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.routing.policies import REASONS

if TYPE_CHECKING:
    from breakeven.clock import Clock
    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.snapshot import Route, Snapshot
    from breakeven.ledger.spool import Spool

ANY_MODEL: Final = "*"
_MAX_NAMED: Final = 1_000


class State:
    """Everything a worker looks up."""

    def __init__(self, snapshot: Snapshot, clock: Clock, spool: Spool) -> None:
        self._snapshot = snapshot
        self.spool = spool
        self._schedule = CardSchedule(snapshot.price_lists)
        self.targets = {target.name: TargetState(target, clock, spool) for target in snapshot.targets}
        self.routes = {
            route.model: self._route_state(route, route.model) for route in snapshot.routes if route.model != ANY_MODEL
        }
        self._any = next((route for route in snapshot.routes if route.model == ANY_MODEL), None)
        self._named: dict[str, RouteState] = {}
        self._reasons: dict[str, int] = {}
        self.decisions = tuple((text.encode(), spool.code(rows.REASON, text)) for text in REASONS)
        """Text and ledger code of a policy's reasons, by the policy's code."""

        self.keyring = self._keyring(StoredKeys())

    def route(self, model: str) -> RouteState | None:
        """Return the route of a model, or None when nobody serves it."""
        route = self.routes.get(model)
        return self._any_route(self._any, model) if route is None and self._any is not None else route

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
        self.keyring = self._keyring(stored)

    def _route_state(self, route: Route, model: str) -> RouteState:
        offers = (Offer(self.targets[name], model, self.spool, self._schedule) for name in route.targets)
        return RouteState(route, model, tuple(offers))

    def _any_route(self, route: Route, model: str) -> RouteState:
        found = self._named.get(model)
        if found is None:
            found = self._route_state(route, model)
            if len(self._named) < _MAX_NAMED:
                self._named[model] = found
        return found

    def _keyring(self, stored: StoredKeys) -> Keyring:
        keys = (*stored.keys, *self._snapshot.keys)
        return Keyring(keys, self.spool, open_to_all=self._snapshot.open_to_all and not stored.ever_made)
