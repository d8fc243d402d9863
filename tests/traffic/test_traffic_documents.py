"""Files that are one JSON array, or objects over several lines: read as any other, in whatever pieces they come."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_logs import read

from breakeven.errors import InputError
from breakeven.traffic import documents
from breakeven.traffic.documents import read_values
from breakeven.traffic.head import read_head
from breakeven.traffic.layout import Options
from breakeven.traffic.read import read_trace
from breakeven.traffic.readers import READERS
from breakeven.traffic.readers.costs import read_costs
from breakeven.traffic.schema import AT_US, REQUEST_COLUMNS

if TYPE_CHECKING:
    from small_logs import Write

FIXTURES = Path(__file__).parent / "fixtures"
FILES = sorted(path for path in FIXTURES.rglob("*") if path.is_file() and path.suffix != ".md")
NAMES = {
    "openai_usage": "openai usage",
    "anthropic_usage": "anthropic usage",
    "otel": "opentelemetry",
    "mapped": None,
    "openai_cost": None,
    "anthropic_cost": None,
}
"""Readers that are not called as the folder of their fixtures; None where no reader but the last may claim them."""

RECORDS = [
    {"time": 1790848800 + 60 * n, "model": "m", "usage": {"prompt_tokens": 100 + n, "completion_tokens": n}, "x": [n]}
    for n in range(40)
]
BROKEN = [*RECORDS[:30], 7, {"time": 1790850600, "usage": {"prompt_tokens": -1, "completion_tokens": 1}}, *RECORDS[30:]]


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read(path).table.order_by("time").to_pyarrow().to_pylist()
    return rows


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(RECORDS),
        json.dumps(RECORDS, indent=2),
        "\ufeff\n" + json.dumps(RECORDS),
        "".join(json.dumps(record, indent=1) + "\n" for record in RECORDS),
        gzip.compress(json.dumps(RECORDS, indent=4).encode()),
    ],
    ids=["one line", "indented", "bom", "objects over lines", "gz"],
)
def test_an_array_is_read_like_its_elements_one_a_line(log: Write, content: str | bytes) -> None:
    lines = log("".join(json.dumps(record) + "\n" for record in RECORDS), "lines")
    found = rows_of(log(content, "array"))
    assert found == rows_of(lines)
    assert len(found) == 40


def test_every_reader_takes_an_array(log: Write) -> None:
    azure = [{"TIMESTAMP": f"2023-11-16 18:15:4{n}", "ContextTokens": n, "GeneratedTokens": 1} for n in range(5)]
    bill = [{"month": f"2026-0{n}", "input_tokens": n, "output_tokens": 1} for n in (7, 8)]
    assert [read(log(json.dumps(rows))).kind for rows in (azure, bill)] == ["trace", "bill"]
    assert read(log(json.dumps(azure))).table.columns == (*REQUEST_COLUMNS, AT_US)


def test_what_is_wrong_in_an_array_is_told_with_its_line_and_place(log: Write) -> None:
    text = "[\n" + ",\n".join(json.dumps(record) for record in BROKEN) + "\n]"
    trace = read(log(text))
    assert [str(problem) for problem in trace.problems] == [
        "log:32 [30]: it is not a JSON object with fields. Correct the entry or leave it out.",
        (
            "log:33 [31]: input_tokens (usage.prompt_tokens) is -1, and no count is negative. "
            "Correct the row or leave it out."
        ),
    ]
    assert (trace.rows_read, trace.rows_lost) == (42, 2)


def test_numbers_that_json_has_not_are_told_and_not_read(log: Write) -> None:
    content = json.dumps(
        [*RECORDS, {"time": 1790851300, "usage": {"prompt_tokens": float("nan"), "completion_tokens": 1}}]
    )
    (problem,) = read(log(content)).problems
    assert "usage.prompt_tokens) is 'NaN', which is not a number" in problem.what


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (json.dumps(RECORDS)[:900], "log: the file ends inside entry [8] of line 1; it was cut off"),
        (json.dumps(RECORDS, indent=1)[:-3], "log: the file ends inside entry [39] of line 431; it was cut off"),
        (json.dumps(RECORDS) + json.dumps(RECORDS), "log:1: something follows the end of the JSON array"),
        (
            json.dumps(RECORDS).replace("]},", "]},,", 1),
            "log: entry [1] of line 1 is not JSON (Expecting value), and what follows cannot be told apart.",
        ),
        ("[1, 2x]", "log: entry [2] of line 1 is not JSON (',' is missing before it)"),
        ("[" * 200_000, "log: entry [0] of line 1 is not JSON (maximum recursion depth exceeded"),
    ],
    ids=["cut", "cut at its end", "two arrays", "comma", "scalar", "deep"],
)
def test_a_damaged_array_is_refused_with_its_place(log: Write, content: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read_trace([log(content)])
    assert str(caught.value).startswith(told)


def test_damage_far_behind_the_head_is_refused_as_well(log: Write) -> None:
    text = json.dumps([record | {"text": "x" * 5_000} for record in RECORDS * 10])
    with pytest.raises(InputError, match=r"log: the file ends inside entry \[399\] of line 1; it was cut off"):
        read_trace([log(text[:-500])], tolerate_fraction=1.0)


def test_a_value_too_long_to_hold_is_refused(log: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LONGEST_VALUE", 1_000)
    monkeypatch.setattr(documents, "_CHUNK", 1_000)
    long = [*RECORDS[:2], RECORDS[2] | {"text": "x" * 3_000}]
    with pytest.raises(InputError, match=r"log:1: one JSON value has more than 1,000 characters, and"):
        read_trace([log(json.dumps(long))])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    values=st.lists(JSON, max_size=6),
    chunk=st.integers(1, 40),
    indent=st.sampled_from([None, 0, 2]),
    bare=st.booleans(),
)
def test_values_come_out_as_they_went_in_however_small_the_pieces(
    values: list[Any], chunk: int, indent: int | None, bare: bool
) -> None:
    written = [{"value": value} for value in values] if bare else values
    text = (
        "\n".join(json.dumps(value, indent=indent) for value in written) if bare else json.dumps(values, indent=indent)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_CHUNK", chunk)
        found = list(read_values("file", io.StringIO(text)))
    assert [value.content for value in found] == written
    assert [value.place.partition(" ")[2] for value in found] == ["" if bare else f"[{n}]" for n in range(len(written))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FIXTURES)))
def test_every_fixture_is_claimed_by_its_reader_and_no_other(path: Path) -> None:
    folder = path.relative_to(FIXTURES).parts[0]
    head = read_head(path)
    options = Options(beside=(head,))
    claimed = [reader.name for reader in READERS[:-1] if reader.sniff(head, options)]
    assert claimed == [name for name in [NAMES.get(folder, folder)] if name]
    assert (read_costs(head) is not None) == folder.endswith("_cost")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FIXTURES)))
def test_a_format_is_told_by_content_and_not_by_name(path: Path, tmp_path: Path) -> None:
    head, renamed = read_head(path), tmp_path / "data"
    renamed.write_bytes(path.read_bytes())
    again = read_head(renamed)
    assert [reader.sniff(again, Options(beside=(again,))) for reader in READERS] == [
        reader.sniff(head, Options(beside=(head,))) for reader in READERS
    ]
