"""All policies by the names under which routes ask for them, and what each of them reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.routing.policies.budget_downgrade import budget_downgrade
from breakeven.routing.policies.cheapest import cheapest
from breakeven.routing.policies.cost_threshold import cost_threshold
from breakeven.routing.policies.least_busy import least_busy
from breakeven.routing.policies.lowest_latency import lowest_latency
from breakeven.routing.policies.marginal_cost import marginal_cost
from breakeven.routing.policies.ordered import ordered
from breakeven.routing.policies.overflow import overflow
from breakeven.routing.policies.prefix_affinity import prefix_affinity
from breakeven.routing.policies.schedule import schedule
from breakeven.routing.policies.two_choices import two_choices
from breakeven.routing.policies.weighted import weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from breakeven.routing.view import Request, Targets

    Policy = Callable[[Targets, Request, Sequence[int], float], tuple[int, int]]

POLICIES: Final[dict[str, Policy]] = {
    "ordered": ordered,
    "weighted": weighted,
    "least_busy": least_busy,
    "lowest_latency": lowest_latency,
    "cheapest": cheapest,
    "two_choices": two_choices,
    "overflow": overflow,
    "marginal_cost": marginal_cost,
    "prefix_affinity": prefix_affinity,
    "cost_threshold": cost_threshold,
    "budget_downgrade": budget_downgrade,
    "schedule": schedule,
}
"""By the name under which a route asks for them."""

_LOAD: Final = frozenset({"in_flight", "queue_length"})
READS: Final[Mapping[str, frozenset[str]]] = {
    "ordered": frozenset(),
    "weighted": frozenset({"weight"}),
    "least_busy": _LOAD | {"weight"},
    "lowest_latency": frozenset({"predicted_ttft_s"}),
    "cheapest": frozenset({"price_usd"}),
    "two_choices": _LOAD,
    "overflow": _LOAD | {"paid", "full"},
    "marginal_cost": _LOAD | {"paid", "full", "predicted_ttft_s", "price_usd", "deadline_s", "most_usd"},
    "prefix_affinity": _LOAD | {"paid", "full", "prefix_hash"},
    "cost_threshold": frozenset({"price_usd", "most_usd"}),
    "budget_downgrade": frozenset({"price_usd", "budget_usd"}),
    "schedule": frozenset({"in_hours"}),
}
"""The columns of ``Targets`` beside ``serves``, and the fields of ``Request``, that a policy looks at: what whoever
calls it need find out."""
