"""Arrivals: the requests of a trace in order, each with what its row says, from the log and from a file of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pytest
from made_traces import requests_of
from small_logs import read

from breakeven.traffic import arrivals as module
from breakeven.traffic.arrivals import Arrivals, arrivals_of
from breakeven.traffic.flows import Flow, flows_of
from breakeven.traffic.replay import Replay

if TYPE_CHECKING:
    from pathlib import Path

    from small_logs import Write

    from breakeven.traffic.trace import Trace

LOG = (
    "time,input_tokens,output_tokens,key,priority,deadline_s\n"
    "1790848830,30,3,b,,0.5\n"
    "1790848800,10,1,a,2,\n"
    "1790848860,60,6,,-1,9\n"
    "1790848810,11,4,a,,1e3\n"
)
"""Out of order in the file."""


def blocky(count: int = 50) -> Trace:
    """Make a trace with blocks, which says of some requests their key, priority and deadline."""
    chance = np.random.default_rng(3)
    made = requests_of(
        [
            {
                "at_s": float(at_s),
                "input_tokens": 1 + n,
                "cached_input_tokens": n // 2,
                "output_tokens": 2 * n,
                "key": ("a", "b", None)[n % 3],
                "priority": (None, -5, 5)[n % 4 % 3],
                "deadline_s": n + 0.5 if n % 2 else None,
                "prefix_blocks": list(range(n % 4)) if n % 5 else None,
            }
            for n, at_s in enumerate(chance.permutation(count))
        ],
        block_tokens=8,
    )
    backend = ibis.duckdb.connect()
    backend.con.register("requests", made.table.to_pyarrow())
    return replace(made, table=backend.table("requests"))


def whole(batches: Any) -> Arrivals:
    """Join batches without blocks."""
    return Arrivals(*(np.concatenate(column) for column in zip(*batches, strict=True)))


def said(batches: Any, flows: tuple[Flow, ...]) -> list[tuple[Any, ...]]:
    """Return of each request, in order, everything that arrivals say."""
    found = []
    for batch in batches:
        starts = [0, *batch.block_ends.tolist()]
        named = [batch.blocks[first:last].tolist() for first, last in pairwise(starts)]
        blocks = named or [[]] * len(batch.at_s)
        numbers = zip(*(column.tolist() for column in batch[:4]), strict=True)
        lines = [(flows[flow], deadline) for flow, deadline in zip(batch.flow, batch.deadline_s.tolist(), strict=True)]
        found += list(zip(numbers, blocks, lines, strict=True))
    return found


def test_each_request_keeps_its_flow_and_deadline_in_the_order_of_time(log: Write) -> None:
    trace = read(log(LOG))
    flows = flows_of(trace, {})
    assert flows.flows == (Flow(-1, ""), Flow(0, "a"), Flow(0, "b"), Flow(2, "a"))
    found = whole(arrivals_of(trace, flows))
    assert found.at_s.tolist() == [0, 10, 30, 60]
    assert found.input_tokens.tolist() == [10, 11, 30, 60]
    assert found.flow.tolist() == [3, 1, 2, 0]
    assert found.deadline_s.tolist() == [np.inf, 1000, 0.5, 9]
    assert found.flow.dtype == np.int64
    assert found.deadline_s.dtype == np.float64


def test_nobody_who_does_not_ask_is_told_of_flows(log: Write, tmp_path: Path) -> None:
    trace = read(log(LOG))
    found = list(arrivals_of(trace))
    assert [(len(batch.at_s), len(batch.flow), len(batch.deadline_s)) for batch in found] == [(4, 0, 0)]
    assert [(len(batch.at_s), len(batch.flow)) for batch in Replay(found, tmp_path)()] == [(4, 0)]
    assert sum(path.stat().st_size for path in tmp_path.iterdir() if path.name != "log") == 4 * 24


def test_a_log_without_keys_and_deadlines_is_one_flow_that_waits_for_ever(log: Write) -> None:
    trace = read(log("time,input_tokens,output_tokens\n1790848800,1,1\n1790848900,1,1\n"))
    flows = flows_of(trace, {})
    found = whole(arrivals_of(trace, flows))
    assert flows.flows == (Flow(0, ""),)
    assert found.flow.tolist() == [0, 0]
    assert found.deadline_s.tolist() == [np.inf, np.inf]


def test_a_replay_yields_what_it_was_given(log: Write, tmp_path: Path) -> None:
    trace = read(log(LOG))
    flows = flows_of(trace, {"a": 1})
    replay = Replay(arrivals_of(trace, flows), tmp_path)
    for _ in range(2):
        assert said(replay(), flows.flows) == said(arrivals_of(trace, flows), flows.flows)
    assert sum(path.stat().st_size for path in tmp_path.iterdir() if path.name != "log") == 4 * (24 + 12)


@pytest.mark.parametrize("rows", [7, 1000])
def test_flows_and_blocks_stay_with_their_request_however_batches_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    trace = blocky()
    flows = flows_of(trace, {"a": 0})
    monkeypatch.setattr(module, "BLOCKS_BATCH_ROWS", rows)
    monkeypatch.setattr("breakeven.traffic.replay.BLOCKS_BATCH_ROWS", 11)
    given = list(arrivals_of(trace, flows))
    expected = sorted(trace.table.to_pyarrow().to_pylist(), key=lambda row: row["time"])
    assert said(given, flows.flows) == [
        (
            (float(n), row["input_tokens"], row["cached_input_tokens"], row["output_tokens"]),
            row["prefix_blocks"] or [],
            (_flow(row), np.inf if row["deadline_s"] is None else row["deadline_s"]),
        )
        for n, row in enumerate(expected)
    ]
    assert said(Replay(given, tmp_path)(), flows.flows) == said(given, flows.flows)


def _flow(row: dict[str, Any]) -> Flow:
    own = row["priority"]
    lower = min(own or 0, 0) if row["key"] == "a" else own or 0
    return Flow(lower, row["key"] or "")


def test_a_trace_is_read_in_several_batches(log: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 2048)
    rows = "".join(f"{1790848800 + n},{n},1,k{n % 3},{n % 5}\n" for n in range(5000))
    trace = read(log("time,input_tokens,output_tokens,key,priority\n" + rows))
    flows = flows_of(trace, {})
    batches = list(arrivals_of(trace, flows))
    assert len(batches) > 1
    found = whole(batches)
    assert [flows.flows[flow] for flow in found.flow] == [Flow(n % 5, f"k{n % 3}") for n in range(5000)]
