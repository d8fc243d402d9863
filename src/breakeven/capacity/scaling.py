"""How many nodes the load asks for: more while requests wait or nodes are full, fewer once fewer would do.

Compiled by numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.capacity.compiled import compiled
from breakeven.capacity.fleet import LOOK, OVER, SEEN, UNDER, WAITING, WANTED

if TYPE_CHECKING:
    from breakeven.capacity.fleet import Fleet

SPARE_RATIO: Final = 0.8
"""Nodes become fewer only if those left would have so much less to do than what makes them more: else they flap."""


@compiled
def look_at_load(fleet: Fleet, at_s: float) -> None:
    """Change the number of nodes that are wanted, where the time has come to look, by one at most."""
    scaling, nodes = fleet.scaling, fleet.pool.nodes
    counts, seconds = fleet.watch.counts, fleet.watch.seconds
    if not scaling.is_reactive or seconds[LOOK] > at_s:
        return
    seconds[LOOK] = at_s + scaling.check_s
    waiting, decoding, used_s = counts[WAITING], 0, 0.0
    for node in range(len(nodes)):
        waiting += nodes[node].waiting
        decoding += nodes[node].decoding
        used_s += nodes[node].used_s
    load = (used_s - seconds[SEEN]) / scaling.check_s
    seconds[SEEN] = used_s
    wanted = counts[WANTED]
    over = waiting > scaling.waiting * max(1, wanted) or load > scaling.used * max(1, wanted)
    fewer = SPARE_RATIO * (wanted - 1)
    under = waiting <= scaling.waiting * fewer and load <= scaling.used * fewer
    if wanted <= 1:
        under = waiting + decoding == 0
    seconds[OVER] = seconds[OVER] + scaling.check_s if over else 0.0
    seconds[UNDER] = seconds[UNDER] + scaling.check_s if under else 0.0
    if seconds[OVER] >= scaling.up_after_s and over and wanted < scaling.most:
        counts[WANTED] += 1
        seconds[OVER] = seconds[UNDER] = 0.0
    elif under and wanted > scaling.least and seconds[UNDER] >= _patience_s(fleet):
        counts[WANTED] -= 1
        seconds[UNDER] = 0.0


@compiled
def _patience_s(fleet: Fleet) -> float:
    """Return for how long one node fewer must be enough, until it stops."""
    return fleet.scaling.idle_s if fleet.watch.counts[WANTED] <= 1 else fleet.scaling.down_after_s
