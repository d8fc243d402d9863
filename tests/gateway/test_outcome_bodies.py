"""Whatever a client sends as an outcome is refused in words, or can be stored: nothing may stop the mover."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.gateway.outcome_desk import BadOutcomeError, SaidOutcome, read_outcomes
from breakeven.ledger import outcomes as ledger
from breakeven.ledger.schema import make_tables

NOW_S = 1_795_000_000.5

texts = st.text(max_size=20) | st.sampled_from(
    ["user", "human", "00b1a2c3d4e5f60", "f" * 15, "x" * 40_000, "\0", "\u202e"]
)
numbers = (
    st.integers() | st.floats() | st.sampled_from([1e308, -0.0, 10**30, 1_000_000, "1e5", "0.000001", "-1", "1e-7"])
)
times = st.sampled_from(
    ["2026-11-01T00:00:00Z", "2026-11-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
values = st.none() | st.booleans() | texts | numbers | times
said = st.dictionaries(st.sampled_from([*SaidOutcome.__struct_fields__, "other"]), values, max_size=8)
likely = st.fixed_dictionaries(
    {"episode": texts},
    optional={
        "success": st.booleans(), "score": numbers, "human_minutes": numbers, "comment": texts, "demonstration": texts,
        "at": times, "name": texts, "id": texts,
    },
)  # fmt: skip
bodies = (said | likely | st.lists(likely, max_size=3)).map(lambda body: json.dumps(body).encode()) | st.binary()


@settings(max_examples=600, deadline=None)
@given(bodies)
def test_every_body_is_refused_in_words_or_is_stored_and_read_back(body: bytes) -> None:
    try:
        found = read_outcomes("key", body, NOW_S)
    except BadOutcomeError:
        return
    spooled = msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=list[ledger.Outcome])
    assert spooled == found
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        make_tables(connection)
        ledger.put_outcomes(connection, spooled)
        stored = {outcome.id: outcome for outcome in ledger.read_outcomes(connection)}
    assert stored == {outcome.id: outcome for outcome in found}


@pytest.mark.parametrize("field", ["comment", "demonstration"])
def test_texts_are_stored_as_they_were_said(field: str) -> None:
    text = "é\n\t\u202e\0 end"
    body: dict[str, Any] = {"episode": "e", field: text}
    (found,) = read_outcomes("key", json.dumps(body).encode(), NOW_S)
    assert getattr(found, field) == text
