"""Files of labelled rows: every cell in its own column, or a message that says why not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from breakeven.errors import InputError
from breakeven.sources.labelled import labelled_rows, score_of, text_of


def read(folder: Path, content: str, *columns: str) -> list[tuple[Any, ...]]:
    path = folder / "f"
    path.write_text(content, encoding="utf-8", newline="")
    return [row.values for row in labelled_rows(path, columns or ("w", "s"))]


@pytest.mark.parametrize(
    "content",
    [
        "\tw\ts\n0\t1\t2\n1\t3\t4\n",  # pandas: to_csv(sep="\t")
        "\n  \n\tw\ts\n0\t1\t2\n1\t3\t4\n",
        ",w,s\n0,1,2\n1,3,4\n",
        "\ufeff  w , s \r\n1,2\r\n\r\n3,4\r\n",
        "w,s\r1,2\r3,4\r",
        "sep=;\r\nw;s\r\n1;2\r\n3;4\r\n",
        '"SEP=|"\nw|s\n1|2\n3|4\n',
        '"question, long, with, commas";w;s\n"a, b";1;2\nb;3;4\n',
        '"question; on\ntwo; lines",w,s\na,1,2\nb,3,4\n',
        '5" pipe,w,s\na;b;c;d,1,2\n"a;b;c;d",3,4\n',
        "w,s\n1,2,,\n3,4, \n",
    ],
)
def test_every_cell_is_read_in_its_own_column(content: str, tmp_path: Path) -> None:
    assert read(tmp_path, content) == [("1", "2"), ("3", "4")]


def test_quotes_are_read_as_they_are_written(tmp_path: Path) -> None:
    content = 'p,w\n"so ""quoted"", here\non two lines",1\na 5" pipe,2\n"",3\n"""",4\n'
    expected = [('so "quoted", here\non two lines', "1"), ('a 5" pipe', "2"), ("", "3"), ('"', "4")]
    assert read(tmp_path, content, "p", "w") == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("p,w,s\na,1,2\nWhat is 1,2,1,1\n", "row 2 has 4 cells and the header 3"),
        ("w,s\nfirst,1,2\n", "row 1 has 3 cells and the header 2"),
        ('w,s\n1,2\n"3,4\n5,6\n', "not closed, in row 2"),
        ('p,w,s\n"a,1,2\nb,3,4\n"c, d",5,6\n', "in row 1"),
        ('"w,s\n1,2\n', "in the header"),
        ("w,s,w\n1,2,3\n", "2 columns 'w'"),
        ('{\n "data": [{"w": 1, "s": 1}]\n}', "each row as one object on one line"),
        ('[{"w": NaN, "s": nan}]', "is not JSON"),
    ],
)
def test_rows_that_may_be_of_other_columns_are_refused(content: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=expected):
        read(tmp_path, content)


def test_a_duplicate_column_that_is_not_asked_for_is_no_matter(tmp_path: Path) -> None:
    assert read(tmp_path, "w,x,x,s\n1,8,9,2\n") == [("1", "2")]


@pytest.mark.parametrize(
    "content", ['{"w": NaN, "s": 1}\n{"w": 2, "s": 3}\n', '\t[{"w": NaN, "s": 1}, {"w": 2, "s": 3}]']
)
def test_a_nan_of_python_is_missing(content: str, tmp_path: Path) -> None:
    assert read(tmp_path, content) == [(None, 1), (2, 3)]


def test_two_columns_of_a_name_in_parquet_are_refused_if_asked_for(tmp_path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415 - only this test makes a file of it
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise

    table = pa.table({"w": [1], "s": [2], "t": [3]})
    pq.write_table(table.append_column("w", table.column("w")), tmp_path / "f")
    assert [row.values for row in labelled_rows(tmp_path / "f", ["s", "t"])] == [(2, 3)]
    with pytest.raises(InputError, match="2 columns 'w'"):
        list(labelled_rows(tmp_path / "f", ["w", "s"]))


def test_a_pipe_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(InputError, match="is a pipe or a device"):
            list(labelled_rows(path, ["w"]))
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        list(labelled_rows(tmp_path, ["w"]))


@pytest.mark.parametrize(
    "value", ["1_0", 10**400, "9" * 400, "Infinity"], ids=["underscore", "int", "text", "infinite"]
)
def test_numbers_that_no_score_is_written_as_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"underscore|beyond|infinite"):
        score_of(value)


def test_a_nan_is_no_name_of_a_task() -> None:
    assert (text_of(float("nan")), text_of(None), text_of(1.5)) == ("", "", "1.5")
