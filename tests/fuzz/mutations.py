"""Ways to spoil a file: each takes bytes and a random generator, and returns other bytes.

They know text, CSV, JSON, gzip and Parquet, not what a column means.  ``spoil`` applies one to four of
them; equal seeds give equal bytes.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator

    Mutation = Callable[[bytes, Generator], bytes]

T = TypeVar("T")
MOST_BYTES: Final = 200_000
SECRET: Final = "sk-planted-4f9a1c7e2b8d6035aa71"  # noqa: S105 - made up, to be looked for
"""Whatever a reader says of a file, this may not be in it."""

NUMBERS: Final = (
    "0", "-0", "-1", "1.5", "1e3", "1e18", "1e400", "-1e400", "1e-400", "NaN", "nan", "Infinity", "-Infinity", "inf",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" * 400,
    "10000001", "0x10", "1_000", "1,000", "00012", "+5", " 7 ", "12%", "$3", "١٢٣", "１２", "1.0000000000000002",
)  # fmt: skip
TIMES: Final = (
    "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0000-00-00", "2024-02-30T00:00:00Z", "2026-10-25T02:30:00",
    "2026-10-01T10:00:00+99:99", "2026-10-01 10:00:00 Europe/Berlin", "2026-10", "2026-10-01", "infinity", "-infinity",
    "epoch", "294247-01-10 04:00:54.775807", "290309-12-22 (BC) 00:00:00", "1e300", "1727776800", "1727776800000",
    "1727776800000000", "1727776800000000000", "5/10/2024",
)  # fmt: skip
TEXTS: Final = (
    "", " ", "null", "None", "true", "false", "[]", "{}", "[null]", '"', "'", "\\", '\\"', "a\nb", "a\r\nb", "\t", ";",
    "'; DROP TABLE rows_0; --", "{column}", "{0}", "%s", "$.a", "..", "*", "\u202e\u0000", "\ufeff", "\x7f", "𝕏",
    "e\u0301" * 40, "\\ud800", "A" * 5000, "standard", "batch", "failure", "success", SECRET,
)  # fmt: skip
VALUES: Final = (*NUMBERS, *TIMES, *TEXTS)
DEPTHS: Final = (5, 50, 600, 3_000, 40_000)
JSON_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1.5, 10**18, 2**63, 2**64, 10**400, 1e308, float("nan"), float("inf"), [], {}, [None],
    [[1]], {"a": 1}, [1, "2"], [-1], [2**63], [1.5], "", "1", "NaN",
)  # fmt: skip
_QUOTING: Final = (csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
_TOKEN: Final = re.compile(rb"[A-Za-z0-9_.+:-]+")


def spoil(content: bytes, rng: Generator) -> bytes:
    """Apply one to four mutations, more often few; the result stays below ``MOST_BYTES``."""
    for _ in range(min(4, int(rng.geometric(0.55)))):
        content = pick(MUTATIONS, rng)(content, rng)[:MOST_BYTES]
    return content


def pick(choices: Sequence[T], rng: Generator) -> T:
    """Choose one of them."""
    return choices[int(rng.integers(len(choices)))]


def flip_bytes(content: bytes, rng: Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        if changed:
            changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
    return bytes(changed)


def insert_bytes(content: bytes, rng: Generator) -> bytes:
    at = int(rng.integers(len(content) + 1))
    return (
        content[:at] + pick((rng.bytes(4), b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b'"', b"\r"), rng) + content[at:]
    )


def truncate(content: bytes, rng: Generator) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def cut_span(content: bytes, rng: Generator) -> bytes:
    start, end = sorted(int(place) for place in rng.integers(len(content) + 1, size=2))
    return content[:start] + content[end:]


def repeat_span(content: bytes, rng: Generator) -> bytes:
    start, end = sorted(int(place) for place in rng.integers(len(content) + 1, size=2))
    return content[:end] + content[start:end] * int(rng.integers(1, 4)) + content[end:]


def replace_token(content: bytes, rng: Generator) -> bytes:
    """Put an awkward value where a word or number stands."""
    tokens = list(_TOKEN.finditer(content[:20_000]))
    if not tokens:
        return content
    token = pick(tokens, rng)
    return content[: token.start()] + pick(VALUES, rng).encode() + content[token.end() :]


def swap_tokens(content: bytes, rng: Generator) -> bytes:
    tokens = list(_TOKEN.finditer(content[:20_000]))
    if len(tokens) < 2:
        return content
    first, second = sorted((pick(tokens, rng), pick(tokens, rng)), key=lambda token: token.start())
    if first.end() > second.start():
        return content
    middle = content[first.end() : second.start()]
    return content[: first.start()] + second[0] + middle + first[0] + content[second.end() :]


def change_lines(content: bytes, rng: Generator) -> bytes:
    """Drop, double, swap or join lines."""
    lines = content.split(b"\n")
    here, there = (int(place) for place in rng.integers(len(lines), size=2))
    what = int(rng.integers(4))
    if what == 0:
        del lines[here]
    elif what == 1:
        lines.insert(there, lines[here])
    elif what == 2:
        lines[here], lines[there] = lines[there], lines[here]
    else:
        lines[here : here + 2] = [b"".join(lines[here : here + 2])]
    return b"\n".join(lines)


def change_form(content: bytes, rng: Generator) -> bytes:
    """Write the same text otherwise: line ends, encodings, delimiters."""
    old, new = pick(
        ((b"\n", b"\r\n"), (b"\n", b"\r"), (b"\n", b"\n\n"), (b",", b";"), (b",", b"\t"), (b",", b"|"), (b'"', b"'"),
         (b'"', b""), (b".", b","), (b":", b"="), (b"\n", b"")),
        rng,
    )  # fmt: skip
    text = content.replace(old, new)
    return pick((text, text, text, b"\xef\xbb\xbf" + text, text.decode("utf-8", "replace").encode("utf-16")), rng)


def compress(content: bytes, rng: Generator) -> bytes:
    """Compress with gzip, and seldom leave it whole."""
    packed = gzip.compress(content, 1, mtime=0)
    return pick((_as_it_is, flip_bytes, truncate, cut_span, insert_bytes), rng)(packed, rng)


def change_json(content: bytes, rng: Generator) -> bytes:
    """Change one place of one JSON value: a line, or the whole."""
    lines = content.split(b"\n")
    for number in (int(rng.integers(len(lines))), None):
        text = content if number is None else lines[number]
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        changed = _dumped(_changed(value, rng), rng)
        if number is None:
            return changed
        lines[number] = changed
        return b"\n".join(lines)
    return replace_token(content, rng)


def nest_json(content: bytes, rng: Generator) -> bytes:
    """Put deep nesting where a value stands."""
    colons = [place.end() for place in re.finditer(rb":", content[:20_000])]
    at = pick(colons, rng) if colons else 0
    depth = pick(DEPTHS, rng)
    opening, closing = pick(((b"[", b"]"), (b'{"a":', b"}")), rng)
    return content[:at] + opening * depth + b"1" + closing * depth + b"," + content[at:]


def change_csv(content: bytes, rng: Generator) -> bytes:
    """Change cells, columns or the header of a CSV; quote it anew."""
    text = content.decode("utf-8", "replace").replace("\0", "")
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error:
        return replace_token(content, rng)
    if not rows:
        return content
    column = int(rng.integers(len(rows[0])))
    for row in rows if rng.integers(4) == 0 else [pick(rows, rng)]:
        _change_row(row, column, rng)
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n", quoting=pick(_QUOTING, rng)).writerows(rows)
    return out.getvalue().encode("utf-8", "replace")


def as_parquet(content: bytes, rng: Generator) -> bytes:
    """Write JSON lines or CSV as Parquet, the types as they come, and now and then damaged."""
    records = _records(content)
    try:
        table = pa.Table.from_pylist(records)
        out = io.BytesIO()
        pq.write_table(table, out)
    except (pa.ArrowException, OverflowError, ValueError, TypeError, RecursionError):
        return replace_token(content, rng)
    return pick((_as_it_is, _as_it_is, flip_bytes, truncate), rng)(out.getvalue(), rng)


def plant_secret(content: bytes, rng: Generator) -> bytes:
    """Put a secret where logs are known to keep one: in a field that no reader asks for."""
    name = pick((b"api_key", b"prompt", b"messages", b"authorization", b"token"), rng)
    lines = content.split(b"\n")
    for number, line in enumerate(lines):
        if line.lstrip().startswith(b"{"):
            lines[number] = line.replace(b"{", b'{"%s": "%s", ' % (name, SECRET.encode()), 1)
        elif line and not line.lstrip().startswith((b"[", b"]", b"}", b'"')):
            lines[number] = (name if number == 0 else SECRET.encode()) + b"," + line
    return b"\n".join(lines)


def _as_it_is(content: bytes, _rng: Generator) -> bytes:
    return content


def _change_row(row: list[str], column: int, rng: Generator) -> None:
    column = min(column, len(row) - 1)
    what = int(rng.integers(6)) if row else 4
    if what <= 2:
        row[column] = pick(VALUES, rng)
    elif what == 3:
        del row[column]
    elif what == 4:
        row.append(pick(VALUES, rng))
    else:
        row[column], row[0] = row[0], row[column]


def _changed(value: Any, rng: Generator) -> Any:
    """Return the value with one place of it changed, deep places as likely as shallow ones."""
    if not isinstance(value, dict | list) or not value or rng.integers(8) == 0:
        return pick((*JSON_VALUES, *VALUES, [value], {"value": value}, str(value)), rng)
    place: Any = pick(list(value), rng) if isinstance(value, dict) else int(rng.integers(len(value)))
    what = int(rng.integers(6))
    if what == 0:
        del value[place]
    elif what == 1 and isinstance(value, dict):
        value[pick(('a"b', "a.b", "", "é", "$", "a'b", "a\\b", "time", "model", SECRET), rng)] = value.pop(place)
    else:
        value[place] = _changed(value[place], rng)
    return value


def _dumped(value: Any, rng: Generator) -> bytes:
    text = json.dumps(value, ensure_ascii=bool(rng.integers(2)))
    if isinstance(value, dict) and value and rng.integers(10) == 0:  # the same key twice
        text = text.replace(
            "{", "{" + f"{json.dumps(pick(list(value), rng))}: {json.dumps(pick(JSON_VALUES, rng))}, ", 1
        )
    return text.encode("utf-8", "surrogatepass")


def _records(content: bytes) -> list[dict[str, Any]]:
    found = []
    for line in content.split(b"\n")[:200]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            found.append(record)
    if found:
        return found
    try:
        return list(csv.DictReader(io.StringIO(content.decode("utf-8", "replace").replace("\0", ""), newline="")))
    except csv.Error:
        return []


MUTATIONS: Final[tuple[Mutation, ...]] = (
    flip_bytes, insert_bytes, truncate, cut_span, repeat_span, swap_tokens, change_lines, change_form, compress,
    replace_token, replace_token, replace_token, change_json, change_json, change_json, nest_json, change_csv,
    change_csv, change_csv, as_parquet, plant_secret,
)  # fmt: skip
"""What changes values stands more often than what breaks the file: a broken file is refused by its first bytes."""
