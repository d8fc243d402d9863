"""Every route there is, with the role that it needs: the web application is built from this table alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from breakeven.console import keys, moved, service
from breakeven.console.call import Answer, Call, Console
from breakeven.console.exposition import MEDIA_TYPE
from breakeven.console.page import page
from breakeven.console.plan import Role
from breakeven.console.pressed import press
from breakeven.console.usage import usage

PREFIX: Final = "/control/v1"

Handler = Callable[[Console, Call], Answer]
"""Runs in a thread of its own; raises ``RefusedError`` or ``BreakevenError``."""


class Route(NamedTuple):
    """One thing that can be asked for; nothing in it has a default, its role least of all."""

    path: str
    method: str
    role: Role
    handler: Handler


def _metrics(console: Console, call: Call) -> Answer:
    del call
    return Answer(console.metrics.text(), media_type=MEDIA_TYPE)


ROUTES: Final = (
    Route("/", "GET", Role.VIEWER, page),
    Route("/metrics", "GET", Role.VIEWER, _metrics),
    Route(f"{PREFIX}/health", "GET", Role.ANYONE, service.health),
    Route(f"{PREFIX}/config", "GET", Role.VIEWER, service.config),
    Route(f"{PREFIX}/targets", "GET", Role.VIEWER, service.all_targets),
    Route(f"{PREFIX}/targets/{{name:path}}/drain", "POST", Role.OPERATOR, service.drain),
    Route(f"{PREFIX}/targets/{{name:path}}/drain", "DELETE", Role.OPERATOR, service.undrain),
    Route(f"{PREFIX}/usage", "GET", Role.VIEWER, usage),
    Route(f"{PREFIX}/reload", "POST", Role.OPERATOR, service.reload),
    Route("/shifts/{number}", "POST", Role.OPERATOR, press),
    Route(f"{PREFIX}/shifts", "GET", Role.VIEWER, moved.all_shifts),
    Route(f"{PREFIX}/shifts/{{number}}/pause", "POST", Role.OPERATOR, moved.pause),
    Route(f"{PREFIX}/shifts/{{number}}/resume", "POST", Role.OPERATOR, moved.resume),
    Route(f"{PREFIX}/shifts/{{number}}/rollback", "POST", Role.OPERATOR, moved.roll_back),
    Route(f"{PREFIX}/outcomes", "GET", Role.VIEWER, moved.outcomes),
    Route(f"{PREFIX}/savings", "GET", Role.VIEWER, moved.saved),
    Route(f"{PREFIX}/outlook", "GET", Role.VIEWER, moved.ahead),
    Route(f"{PREFIX}/alerts", "GET", Role.VIEWER, moved.alerts),
    Route(f"{PREFIX}/keys", "GET", Role.ADMIN, keys.all_keys),
    Route(f"{PREFIX}/keys", "POST", Role.ADMIN, keys.make_key),
    Route(f"{PREFIX}/keys/{{name:path}}/rotate", "POST", Role.ADMIN, keys.renew_key),
    Route(f"{PREFIX}/keys/{{name:path}}", "DELETE", Role.ADMIN, keys.end_key),
)

FORM_PATHS: Final = frozenset({"/shifts/{number}"})
"""What forms of the page are sent to: each proves that it is of our page (``forms``)."""

BROWSER_PATHS: Final = frozenset({"/"}) | FORM_PATHS
"""Where a browser may send a token as a password: nothing is changed there but by such a form."""
