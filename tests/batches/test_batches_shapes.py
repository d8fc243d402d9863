"""Lines of results: one answer a line, however a reader finds the ends of lines."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from breakeven.batches.shapes import result_line, unanswered_line


@given(st.text(), st.text())
def test_a_line_of_results_is_one_line_to_readers_that_know_more_line_ends_than_json(name: str, said: str) -> None:
    body = json.dumps({"said": said + "\x85\u2028\u2029"}, ensure_ascii=False).encode("utf-8", "replace")
    (line,) = result_line("r", name.encode("utf-8", "replace").decode(), 200, "q", body).decode().splitlines()
    assert json.loads(line)["response"]["body"] == json.loads(body)
    (line,) = unanswered_line("r", "a\u2028b", ("code", "why")).decode().splitlines()
    assert json.loads(line)["custom_id"] == "a\u2028b"
