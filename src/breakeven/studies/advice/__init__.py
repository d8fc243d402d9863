"""What to do about the mix of APIs and pools: each piece of advice with its figures, and given only when it holds.

``nodes`` works out how many nodes pay and what nights are worth, from the hours of a pool; ``rules`` turns what is
known into advice; ``course`` keeps advice from coming and going.
"""

from breakeven.studies.advice.advice import KINDS, Advice, Edges, Gain, Given, Kind
from breakeven.studies.advice.course import follow
from breakeven.studies.advice.nodes import Nodes, PoolHours, node_gain, with_nodes

__all__ = [
    "KINDS", "Advice", "Edges", "Gain", "Given", "Kind", "Nodes", "PoolHours", "follow", "node_gain", "with_nodes",
]  # fmt: skip
