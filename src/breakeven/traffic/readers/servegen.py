"""ServeGen: two weeks of production models in windows of ten minutes, without single requests.

A model is two CSV files, given together: rates (``t`` in seconds from the start, ``rps``) and mean lengths (``t``,
``mean_input_tokens``, ``mean_output_tokens``) over longer blocks of time.  A window's requests are its rate times
its length, its tokens those requests times the mean lengths of the block it lies in: estimates, whole in sum.

What ServeGen itself publishes is one pair of files a client (``chunk-1-trace.csv``, ``chunk-1-dataset.json``), a
thousand and more a model; these are refused, with what to sum up.  Source: https://github.com/alibaba/ServeGen
(Apache-2.0).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError, Problem
from breakeven.traffic.entries import Entry, made_columns, read_records
from breakeven.traffic.layout import Layout
from breakeven.traffic.schema import INPUT_TOKENS, MODEL, OUTPUT_TOKENS, REQUESTS, TIME, WINDOW_S
from breakeven.traffic.staging import Rows, stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Options

START: Final = "t"
RATE: Final = "rps"
LENGTHS: Final = ("mean_input_tokens", "mean_output_tokens")
RATES_END: Final = ("_rps_10min", "_rps", "_rates", "rps_10min", "rps", "rates")
LENGTHS_END: Final = ("_lengths", "lengths")
WINDOW_LENGTH_S: Final = 600
BLOCK_LENGTH_S: Final = 21_600
"""What ServeGen counts by; longer or shorter where the file's own times are further apart or closer."""

ARRIVALS: Final = ("Weibull", "Gamma", "Exponential", "Lognormal", "Pareto")
_COLUMNS: Final = made_columns(
    {
        TIME: START,
        WINDOW_S: WINDOW_S,
        MODEL: MODEL,
        REQUESTS: RATE,
        INPUT_TOKENS: LENGTHS[0],
        OUTPUT_TOKENS: LENGTHS[1],
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeGenReader:
    """Reads a model's rates together with its mean lengths."""

    name: str = "servegen"

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether these are rates, lengths, or one client's part, and the user names no columns."""
        return not options.mapping and (_is_rates(head) or _is_lengths(head) or _is_client(head))

    def read(self, backend: Any, head: Head, options: Options) -> Rows:
        """Stage the windows of a file of rates; a file of lengths has none of its own."""
        if _is_client(head):
            raise _one_client(head)
        files = options.beside or (head,)
        if _is_lengths(head):
            _partner(head, [file for file in files if _is_rates(file)], files)
            return stage(backend, head, Layout(kind="windows", columns=_COLUMNS, time_unit_s=1.0), ())
        lengths = _partner(head, [file for file in files if _is_lengths(file)], files)
        model = _stem(head) or "model"
        note = (
            f"{head.file}: requests are the rate times the window, and tokens those times the mean lengths in "
            f"{lengths.file}: estimates; the model is called {model}, after the file"
        )
        layout = Layout(kind="windows", columns=_COLUMNS, time_unit_s=1.0, notes=(note,))
        return stage(backend, head, layout, _windows(head, model, _blocks(lengths)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blocks:
    """Mean lengths (input, output) by the start of their block, in order."""

    starts_s: Sequence[float]
    mean_tokens: Sequence[tuple[float, float]]
    length_s: float

    def at(self, time_s: float) -> tuple[float, float] | None:
        """Return the mean lengths at a time, None where no block holds it."""
        place = bisect_right(self.starts_s, time_s) - 1
        return self.mean_tokens[place] if place >= 0 and time_s < self.starts_s[place] + self.length_s else None


def _is_rates(head: Head) -> bool:
    return head.column(START) is not None and head.column(RATE) is not None


def _is_lengths(head: Head) -> bool:
    return all(head.column(name) is not None for name in (START, *LENGTHS))


def _is_client(head: Head) -> bool:
    """Whether it is a part of what ServeGen publishes: arrivals without a header, or distributions of lengths."""
    if head.form == "csv":
        names = [column.name for column in head.columns]
        first = [values[0] for values in head.sample.values() if values]
        return len(names) == 6 and names[0] == "0" and any(word in (*names, *first) for word in ARRIVALS)
    return any(
        len(column.keys) == 2
        and column.keys[0].isdecimal()
        and column.keys[1] == INPUT_TOKENS
        and head.sample[column.name][0].startswith("{")
        for column in head.columns
    )


def _one_client(head: Head) -> InputError:
    return InputError(
        f"{head.file} is one client of a ServeGen model, and a model is the sum of all its clients. Sum the rates of "
        f"all chunk-*-trace.csv by time as {START},{RATE}, average the lengths of all chunk-*-dataset.json, weighted "
        f"by rate, as {START},{','.join(LENGTHS)}, and give both files together."
    )


def _stem(head: Head) -> str:
    """Return what names the model in a file's name: ``language_m-large`` of ``language_m-large_rps_10min.csv``."""
    name = PurePath(head.file).name.removesuffix(".gz").removesuffix(".csv")
    for end in RATES_END if _is_rates(head) else LENGTHS_END:
        if name.endswith(end):
            return name.removesuffix(end)
    return name


def _partner(head: Head, others: Sequence[Head], files: Sequence[Head]) -> Head:
    """Return the file that completes this one: the only one there is, or the one named like it."""
    mine, theirs = ("rates", "lengths") if _is_rates(head) else ("lengths", "rates")
    wanted = f"{START},{','.join(LENGTHS)}" if theirs == "lengths" else f"{START},{RATE}"
    if not others:
        raise InputError(
            f"{head.file} holds only the {mine} of a ServeGen model, from which no tokens follow. Give the file of its "
            f"{theirs} (with the columns {wanted}) together with it: breakeven plan {head.file} "
            f"{_stem(head)}{'_lengths' if theirs == 'lengths' else '_rps_10min'}.csv"
        )
    kind = _is_rates if _is_rates(head) else _is_lengths
    like = [other for other in others if _stem(other) == _stem(head)]
    if len(others) == 1 and sum(kind(file) for file in files) == 1:
        like = [*others]
    if len(like) != 1:
        raise InputError(
            f"{head.file}: {len(like)} files of {theirs} are named like these {mine}, of those given: "
            f"{', '.join(other.file for other in others)[:300]}. Name both files of a model alike: "
            "m-large_rps_10min.csv and m-large_lengths.csv."
        )
    return like[0]


def _blocks(head: Head) -> _Blocks:
    """Read all mean lengths; raises ``InputError`` with every line that has none."""
    found: dict[float, tuple[float, float]] = {}
    problems: list[Problem] = []
    for place, record in read_records(head):
        start_s, *means = (_number(record, name) for name in (START, *LENGTHS))
        if start_s is None or None in means:
            what = f"{START}, {' and '.join(LENGTHS)} are not all numbers of 0 or more."
            problems.append(Problem(where=f"{head.file}:{place}", what=what, fix="Correct the line."))
        else:
            found[start_s] = (means[0] or 0.0, means[1] or 0.0)
    if problems:
        raise InputError(
            f"{head.file}: the lengths cannot be read, and windows need all of them.", tuple(problems[:20])
        )
    starts_s = sorted(found)
    return _Blocks(
        starts_s=starts_s,
        mean_tokens=[found[start_s] for start_s in starts_s],
        length_s=_usual_step_s(starts_s, BLOCK_LENGTH_S),
    )


def _windows(head: Head, model: str, blocks: _Blocks) -> Iterator[Entry]:
    sample = head.sample.get(START, ())
    starts_s = [start for text in sample if (start := _number({START: text}, START)) is not None]
    window_s = round(_usual_step_s(starts_s, WINDOW_LENGTH_S))
    for place, record in read_records(head):
        start_s, rate = _number(record, START), _number(record, RATE)
        means = None if start_s is None else blocks.at(start_s)
        if start_s is None or rate is None:
            yield Entry(place=place, wrong=f"{START} and {RATE} are not both numbers of 0 or more")
        elif means is None:
            yield Entry(place=place, wrong=f"no mean lengths are given for {START} = {start_s:g}")
        else:
            requests = round(rate * window_s)
            yield Entry(
                place=place,
                values={
                    TIME: start_s,
                    WINDOW_S: window_s,
                    MODEL: model,
                    REQUESTS: requests,
                    INPUT_TOKENS: round(requests * means[0]),
                    OUTPUT_TOKENS: round(requests * means[1]),
                },
            )


def _usual_step_s(starts_s: Sequence[float], default_s: float) -> float:
    """Return the distance at which most starts follow one another."""
    steps = Counter(later - earlier for earlier, later in pairwise(starts_s) if later > earlier)
    return steps.most_common(1)[0][0] if steps else default_s


def _number(record: Any, name: str) -> float | None:
    """Return a value as a number of 0 or more; None where it is none."""
    try:
        number = float(record[name])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number < 1e15 else None
