"""The policies: plain functions from what is known to the index of a target and the code of a reason, one a file.

They are written in the subset of Python that numba compiles (so each stands by itself), and are called again after
each failed attempt.  Chance comes in as ``uniform``, a number in [0, 1); nothing is remembered between calls, and who
may be chosen at all is decided before, by ``eligible``.  A new one is one new file and its lines in ``registry``.
"""

from __future__ import annotations

from breakeven.routing.policies.budget_downgrade import AMPLE_FRACTION, budget_downgrade
from breakeven.routing.policies.cheapest import cheapest
from breakeven.routing.policies.cost_threshold import cost_threshold
from breakeven.routing.policies.least_busy import least_busy
from breakeven.routing.policies.lowest_latency import EXPLORED_SHARE, LATENCY_BAND, lowest_latency
from breakeven.routing.policies.marginal_cost import marginal_cost
from breakeven.routing.policies.ordered import ordered
from breakeven.routing.policies.overflow import overflow
from breakeven.routing.policies.prefix_affinity import MOST_RATIO, prefix_affinity
from breakeven.routing.policies.reasons import FULL_ANYWAY, REASONS
from breakeven.routing.policies.registry import POLICIES, READS
from breakeven.routing.policies.schedule import schedule
from breakeven.routing.policies.two_choices import two_choices
from breakeven.routing.policies.weighted import weighted

__all__ = [
    "AMPLE_FRACTION",
    "EXPLORED_SHARE",
    "FULL_ANYWAY",
    "LATENCY_BAND",
    "MOST_RATIO",
    "POLICIES",
    "READS",
    "REASONS",
    "budget_downgrade",
    "cheapest",
    "cost_threshold",
    "least_busy",
    "lowest_latency",
    "marginal_cost",
    "ordered",
    "overflow",
    "prefix_affinity",
    "schedule",
    "two_choices",
    "weighted",
]
