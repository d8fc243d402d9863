"""How many nodes the load asks for: more while requests wait or nodes are full, fewer once fewer would do.

Compiled by numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.capacity.compiled import compiled

if TYPE_CHECKING:
    from breakeven.capacity.fleet import Fleet

SPARE_RATIO: Final = 0.8
"""Nodes become fewer only if those left would have so much less to do than what makes them more: else they flap."""


@compiled
def look_at_load(fleet: Fleet, at_s: float) -> None:
    """Change the number of nodes that are wanted, where the time has come to look, by one at most."""
    scaling, nodes, watch = fleet.scaling, fleet.pool.nodes, fleet.watch[0]
    if not scaling.is_reactive or watch.look_s > at_s:
        return
    watch.look_s = at_s + scaling.check_s
    waiting, decoding, used_s = watch.waiting + watch.in_line, 0, 0.0
    for node in range(len(nodes)):
        waiting += nodes[node].waiting
        decoding += nodes[node].decoding
        used_s += nodes[node].used_s
    load = (used_s - watch.seen_used_s) / scaling.check_s
    watch.seen_used_s = used_s
    wanted = watch.wanted
    over = waiting > scaling.waiting * max(1, wanted) or load > scaling.used * max(1, wanted)
    fewer = SPARE_RATIO * (wanted - 1)
    under = waiting <= scaling.waiting * fewer and load <= scaling.used * fewer
    if wanted <= 1:
        under = waiting + decoding == 0
    watch.over_s = watch.over_s + scaling.check_s if over else 0.0
    watch.under_s = watch.under_s + scaling.check_s if under else 0.0
    if watch.over_s >= scaling.up_after_s and over and wanted < scaling.most:
        watch.wanted += 1
        watch.over_s = watch.under_s = 0.0
    elif under and wanted > scaling.least and watch.under_s >= _patience_s(fleet):
        watch.wanted -= 1
        watch.under_s = 0.0


@compiled
def _patience_s(fleet: Fleet) -> float:
    """Return for how long one node fewer must be enough, until it stops."""
    return fleet.scaling.idle_s if fleet.watch[0].wanted <= 1 else fleet.scaling.down_after_s
