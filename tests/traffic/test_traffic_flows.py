"""Flows: whose requests wait in turn with whose, told from a trace's keys and priorities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_traces import requests_of
from small_logs import read

from breakeven.errors import InputError
from breakeven.traffic.flows import MOST_FLOWS, Flow, Flows, flows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from small_logs import Write

    from breakeven.traffic.trace import Trace

Row = tuple[str | None, int | None]
"""Key and own priority of a request."""

ROWS: tuple[Row, ...] = (("chat", None), ("jobs", 3), ("jobs", -4), ("chat", 7), (None, None), ("", 2), ("chat", None))


def trace_of(rows: Sequence[Row]) -> Trace:
    return requests_of([{"at_s": n, "key": key, "priority": priority} for n, (key, priority) in enumerate(rows)])


def columns_of(rows: Sequence[Row]) -> tuple[Any, Any]:
    return pa.array([key for key, _ in rows], pa.string()), pa.array([own for _, own in rows], pa.int64())


def flow_of(row: Row, key_priorities: Mapping[str, int]) -> Flow:
    """Say by hand what the module says."""
    key = row[0] or ""
    said = [priority for priority in (row[1], key_priorities.get(key)) if priority is not None]
    return Flow(min(said, default=0), key)


def test_flows_are_the_keys_of_each_priority_by_rising_priority_and_key() -> None:
    found = flows_of(trace_of(ROWS), {})
    assert found.flows == (
        Flow(-4, "jobs"), Flow(0, ""), Flow(0, "chat"), Flow(2, ""), Flow(3, "jobs"), Flow(7, "chat")
    )  # fmt: skip
    assert found.index_of(*columns_of(ROWS)).tolist() == [2, 4, 0, 5, 1, 3, 2]


def test_a_request_may_only_lower_the_priority_of_its_key() -> None:
    found = flows_of(trace_of(ROWS), {"jobs": -1, "chat": 5, "": 9})
    assert found.flows == (Flow(-4, "jobs"), Flow(-1, "jobs"), Flow(2, ""), Flow(5, "chat"), Flow(9, ""))
    assert found.index_of(*columns_of(ROWS)).tolist() == [3, 1, 0, 3, 4, 2, 3]


def test_requests_without_a_key_are_one_flow() -> None:
    rows: list[Row] = [(None, None), ("", None), (None, 0)]
    found = flows_of(trace_of(rows), {})
    assert found.flows == (Flow(0, ""),)
    assert found.index_of(*columns_of(rows)).tolist() == [0, 0, 0]


def test_flows_are_told_from_a_log(log: Write) -> None:
    rows = "".join(f"{1790848800 + n},1,1,{said}\n" for n, said in enumerate(("b,1", "a,", ",2", "b,-1")))
    trace = read(log("time,input_tokens,output_tokens,key,priority\n" + rows))
    assert flows_of(trace, {"b": 0}).flows == (Flow(-1, "b"), Flow(0, "a"), Flow(0, "b"), Flow(2, ""))


priorities = st.none() | st.integers(-100, 100)
keys = st.none() | st.sampled_from(["", "a", "B", "ä", "a b", "'", "\U0001f600", "z"]) | st.text(max_size=3)


@given(rows=st.lists(st.tuples(keys, priorities), max_size=40), given_to=st.dictionaries(keys, st.integers(-100, 100)))
def test_the_index_of_each_row_is_that_of_its_flow(rows: list[Row], given_to: dict[str | None, int]) -> None:
    key_priorities = {key or "": priority for key, priority in given_to.items()}
    expected = [flow_of(row, key_priorities) for row in rows]
    flows = Flows(expected, key_priorities)
    index = flows.index_of(*columns_of(rows))
    assert index.dtype == np.int64
    assert [flows.flows[place] for place in index] == expected
    assert list(flows.flows) == sorted(set(expected))


@given(
    rows=st.lists(st.tuples(st.sampled_from([None, "", "a", "b"]), priorities), min_size=1, max_size=12),
    first=st.integers(-100, 100),
    second=st.integers(-100, 100),
)
def test_the_database_tells_the_same_flows_apart(rows: list[Row], first: int, second: int) -> None:
    named = {key or "" for key, _ in rows}
    key_priorities = {key: priority for key, priority in (("a", first), ("b", second)) if key in named}
    found = flows_of(trace_of(rows), key_priorities)
    assert set(found.flows) == {flow_of(row, key_priorities) for row in rows}


def test_rows_of_another_trace_have_no_flow() -> None:
    flows = Flows([Flow(0, "a"), Flow(3, "b")], {})
    others: list[Row] = [("c", None), ("a", 1), ("b", 4), ("a", -1), (None, None)]
    for row in others:
        with pytest.raises(ValueError, match="the flows are another trace's"):
            flows.index_of(*columns_of([row]))
    with pytest.raises(ValueError, match="the flows are another trace's"):
        Flows([], {}).index_of(*columns_of([("a", 0)]))
    assert not len(Flows([], {}).index_of(*columns_of([])))


def log_of_keys(log: Write, count: int) -> Trace:
    rows = "".join(f"{1790848800 + n},1,1,k{n}\n" for n in range(count))
    return read(log("time,input_tokens,output_tokens,key\n" + rows))


def test_ten_thousand_flows_are_not_too_many(log: Write) -> None:
    assert len(flows_of(log_of_keys(log, MOST_FLOWS), {}).flows) == MOST_FLOWS


def test_more_flows_are_refused_with_their_number(log: Write) -> None:
    with pytest.raises(InputError) as error:
        flows_of(log_of_keys(log, MOST_FLOWS + 3), {"k1": 5})
    assert str(error.value) == (
        "log: the requests are of 10,003 keys and priorities, and at most 10,000 can wait in turn. Each would wait by "
        "itself, and none would take its turn after another. Name a column that says who asked, and not which "
        "conversation or request it was: --column key=COLUMN"
    )


def test_priorities_that_come_to_the_same_are_one_flow(log: Write) -> None:
    rows = "".join(f"{1790848800 + n},1,1,k{n % 100},{n % 101}\n" for n in range(10_100))
    trace = read(log("time,input_tokens,output_tokens,key,priority\n" + rows))
    assert len(flows_of(trace, {f"k{n}": 0 for n in range(100)}).flows) == 100
    with pytest.raises(InputError, match="are of 10,100 keys and priorities"):
        flows_of(trace, {})


def test_a_mistyped_key_is_told_with_the_nearest_ones() -> None:
    with pytest.raises(InputError) as error:
        flows_of(trace_of(ROWS), {"jbos": 1, "chat": 2, "zzz": 3})
    assert str(error.value) == (
        "memory: a priority is given for 2 keys of no request, and would change nothing.\n"
        "  key jbos: memory has no request of it. The nearest: jobs.\n"
        "  key zzz: memory has no request of it. Found: chat, jobs."
    )


def test_a_key_is_told_to_be_missing_where_the_log_names_none() -> None:
    with pytest.raises(InputError, match=r"The log names no key at all\. Say which column does: --column key=COLUMN"):
        flows_of(trace_of([(None, 1), (None, 2)]), {"jobs": 1})


def test_a_message_shows_few_keys_and_no_secret() -> None:
    rows: list[Row] = [(key, None) for key in (*(f"{n}" * 9 for n in range(9)), "sk-abcdefghijklmnop", "Q", "Z")]
    with pytest.raises(InputError) as error:
        flows_of(trace_of(rows), {"sk-abcdefghijklmnoq": 1, "no": 1})
    assert "abcdef" not in str(error.value)
    assert "Found: 000000000, 111111111" in str(error.value)
    assert "and 2 more." in str(error.value)
