"""What messages repeat of a file: never a key, never a value without end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from breakeven.errors import InputError
from breakeven.traffic.read import read_trace
from breakeven.traffic.told import LONGEST_MESSAGE, told

if TYPE_CHECKING:
    from small_logs import Write

KEY = "sk-invented-4f9a1c7e2b8d"


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        "gsk_4f9a1c7e2b8d6035",
        "ghp_4f9a1c7e2b8d6035",
        "AKIA4F9A1C7E2B8D6035",
        "Bearer 4f9a1c7e2b8d6035",
        "eyJhbGciOiJIUzI1NiJ9.e30.abc",
    ],
)
def test_a_key_is_told_by_its_beginning_alone(secret: str) -> None:
    said = told(f"the value is '{secret}', which is no number.")
    assert secret[-12:] not in said
    assert said.startswith("the value is '")
    assert said.endswith("…', which is no number.")


@pytest.mark.parametrize(
    "text", ["task-completion-tokens", "requests.csv:17", "sk-", "the key-value store", "2026-10-01"]
)
def test_what_is_no_key_is_told_as_it_is(text: str) -> None:
    assert told(text) == text


def test_a_long_value_is_cut_and_so_is_a_long_message_in_its_middle() -> None:
    assert told(f"found: {'A' * 5000}. Name it.") == f"found: {'A' * 80}… Name it."
    said = told("a column, " * 1000 + "Name the right one.")
    assert len(said) == LONGEST_MESSAGE + 3
    assert said.endswith("Name the right one.")


def test_errors_problems_and_notes_of_a_file_repeat_no_key(log: Write) -> None:
    with pytest.raises(InputError) as caught:
        read_trace([log(f"{KEY},prompt_tokens\n1,2\n")])
    assert "sk-…" in str(caught.value)
    assert KEY not in str(caught.value)
    good = "2026-10-01T10:00:00Z,1,2\n2026-10-01T10:00:01Z,1,3\n"
    trace = read_trace([log(f"time,input_tokens,output_tokens\n{good}{KEY},1,2\n")], tolerate_fraction=1)
    assert [str(problem) for problem in trace.problems if "sk-…" in str(problem)]
    assert not [problem for problem in trace.problems if KEY in str(problem)]


def test_what_steers_a_terminal_or_has_no_encoding_is_shown_as_an_escape() -> None:
    assert told("model \x1b[2Jgpt\r\x9b and \ud800.") == r"model \x1b[2Jgpt\r\x9b and \ud800."
    assert told("line one\nand\ttwo: é, 漢, 😀") == "line one\nand\ttwo: é, 漢, 😀"
