"""When a node counts as full, as one worker knows its load."""

from __future__ import annotations

from math import nan

from breakeven.engines.dialects import EngineLoad
from breakeven.gateway.node_load import NodeLoad
from breakeven.routing.fullness import Limits


def test_a_node_without_anything_to_do_is_judged_anew() -> None:
    """Else one that takes longer than the way back, and less than the limit, would never be asked again."""
    load = NodeLoad(Limits(most_waiting=4, most_ttft_s=1.0, back_ratio=0.7), 2)
    load.take(EngineLoad(running_requests=2, waiting_requests=6), 8, 0.8)
    assert load.look(8)
    load.take(EngineLoad(running_requests=2, waiting_requests=0), 2, 0.8)
    assert load.look(2)  # 0.8 s is above 0.7 of the limit
    load.take(EngineLoad(running_requests=0, waiting_requests=0), 0, 0.8)
    assert not load.look(0)
    assert not load.look(1)


def test_a_node_that_others_keep_busy_is_not() -> None:
    load = NodeLoad(Limits(most_waiting=4, most_ttft_s=1.0, back_ratio=0.7), 2)
    load.take(EngineLoad(running_requests=2, waiting_requests=6), 0, 0.8)
    assert load.look(0)
    load.take(EngineLoad(running_requests=2, waiting_requests=0), 0, 0.8)
    assert load.look(0)


def test_a_node_that_takes_too_long_by_itself_stays_full() -> None:
    load = NodeLoad(Limits(most_waiting=4, most_ttft_s=1.0, back_ratio=0.7), 2)
    load.take(EngineLoad(running_requests=0, waiting_requests=0), 0, 1.2)
    assert load.look(0)
    load.take(EngineLoad(running_requests=0, waiting_requests=0), 0, nan)
    assert not load.look(0)
