"""A request that the process of trials makes beside those of clients, on its way: what is different of an exchange."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from breakeven.gateway.exchange import Exchange

if TYPE_CHECKING:
    from breakeven.gateway.choice import RouteState
    from breakeven.gateway.client import Client
    from breakeven.gateway.requests import ClientRequest
    from breakeven.gateway.shared import Shared
    from breakeven.limits.reserve import Refused


class AsideExchange(Exchange):
    """Such a request."""

    __slots__ = ("reason",)

    reason: int

    def __init__(self, shared: Shared, client: Client, route: RouteState, request: ClientRequest, body: bytes) -> None:
        super().__init__(shared, client, route, request, body)
        self.key = copy(self.key)
        self.key.limited = False

    def recalls(self) -> bool:
        """Look for no stored answer: what is wanted is what the target says."""
        return False

    def _attempt(self, index: int, reason: int, refused: Refused | None = None, *, told: bool = False) -> None:
        del reason  # the policy's is not why it is asked
        super()._attempt(index, self.reason, refused, told=told)
