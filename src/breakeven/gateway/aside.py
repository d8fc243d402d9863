"""Requests that the process of trials makes beside those of clients: of one target alone, or of a judge.

They come in the name of the key whose request they belong to, on the same port, and go through the same filter.  What
says where they go is a header that counts for nothing without the secret of this gateway.  They hold nothing of the
key's limits, are given no stored answer, are copied nowhere, and have a reason of their own in the ledger.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.gateway.snapshot import Route
from breakeven.routing.policies.reasons import JUDGE, SHADOW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.gateway.copy_plan import CopyRule

HEADER: Final = b"x-breakeven-aside"
"""``shadow TARGET`` or ``judge MODEL``."""

REASONS: Final = {"shadow": SHADOW, "judge": JUDGE}


class Aside(NamedTuple):
    """Where such a request goes, and for which model the ledger counts it."""

    kind: str
    """``shadow`` or ``judge``."""

    name: str
    """Of the target, or of the judge's model."""

    model: str
    """The client's own."""


def read_aside(value: bytes, model: str) -> Aside | None:
    """Return what a header asks for; None where that is nothing."""
    kind, _, name = value.decode("utf-8", "replace").partition(" ")
    return Aside(kind, name.strip(), model) if kind in REASONS and name else None


def route_aside(
    aside: Aside, routes: Iterable[Route], targets: Iterable[str], rules: Iterable[CopyRule]
) -> Route | None:
    """Return the route of such a request; None where there is no such target or judge."""
    by_model = {route.model: route for route in routes}
    if aside.kind == "judge":
        judge = by_model.get(aside.name) or by_model.get("*")
        if judge is None:
            return None
        none = ("",) * len(judge.targets)
        return replace(
            judge,
            model=aside.model,
            listed=(),
            names=tuple(name or aside.name for name in judge.names or none),
            cache_s=0.0,
            guards=(),
            hedging=None,
            verify=None,
        )
    if aside.name not in targets:
        return None
    own = by_model.get(aside.model)
    named = next((rule.asked_as for rule in rules if rule.candidate == aside.name and rule.model == aside.model), "")
    if not named and own is not None and own.own_names and aside.name in own.targets:
        named = own.own_names[own.targets.index(aside.name)]
    return Route(
        model=aside.model,
        targets=(aside.name,),
        weights=(1.0,),
        policy="ordered",
        max_attempts=1,
        own_names=(named,),
        continues_streams=False,
    )
