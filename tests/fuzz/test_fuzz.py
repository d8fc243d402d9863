"""A few cases of each target on every run, of which ``make fuzz`` makes as many as wanted; and the harness itself."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cases import make_case, run_case
from mutations import MOST_BYTES, MUTATIONS, SECRET, spoil
from targets import Violation, check_message, one_database, reader_names, targets

from breakeven.traffic.readers import READERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from targets import Files, Target

CASES = 100
SEED = 20_261_121
TARGETS = targets()


def _parquet(text: bytes, instead: bytes) -> bytes:
    out = io.BytesIO()
    rows = {"time": ["2026-10-01T10:00:00Z"], "input_tokens": [1], "output_tokens": [2], "model": [text.decode()]}
    pq.write_table(pa.table(rows), out, compression="none", use_dictionary=False)
    return out.getvalue().replace(text, instead)


@pytest.fixture(scope="module", autouse=True)
def database() -> Iterator[None]:
    with one_database():
        yield


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "scenario"])
def test_every_reader_has_fixtures_that_it_reads(name: str) -> None:
    seeds = TARGETS[name].seeds
    assert seeds, f"no file in tests/traffic/fixtures/{name}"
    outcomes = [run_case(TARGETS[name], files, strict=False) for files in seeds]
    assert ("read", "") in outcomes, outcomes


def test_every_reader_of_the_registry_is_a_target() -> None:
    assert len(reader_names()) == len(READERS)
    assert reader_names().keys() <= TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_a_file_holds_it_is_read_or_refused_with_a_message(name: str) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(CASES):
        files, strict = make_case(TARGETS[name], SEED, number)
        outcome, seen = run_case(TARGETS[name], files, strict=strict)
        assert not seen, f"seed {SEED}, case {number}: {seen}"
        outcomes[outcome] += 1
    # Cases that are all refused, or all read, would look into nothing.
    assert outcomes["read"] >= CASES / 10
    assert outcomes["refused"] >= CASES / 10


FOUND = {
    "a carriage return behind a quote": b'time,input_tokens,output_tokens\n2026-10-01,1,2\n2026-10-02,"1"\r2",2,3,4\n',
    "half a character in a name": b'{"time": "2026-10-01", "\\ud800": {"input_tokens": 1, "output_tokens": 2}}\n' * 2,
    "deep nesting": b'{"time": "2026-10-01", "a": ' + b"[" * 40_000 + b"]" * 40_000 + b"}\n",
    "Parquet whose text is no text": _parquet(b"PLACE", b"\xaa\xbb\xcc\xdd\xee"),
}
"""What once ended in another exception than a refusal."""


@pytest.mark.parametrize("content", FOUND.values(), ids=FOUND)
def test_what_was_found_before_stays_mended(content: bytes) -> None:
    for strict in (False, True):
        assert run_case(TARGETS["mapped"], (("log", content),), strict=strict)[1] == ""


def test_equal_seeds_make_equal_cases_and_others_do_not() -> None:
    target = TARGETS["mapped"]
    cases = [make_case(target, SEED, number) for number in range(50)]
    assert cases == [make_case(target, SEED, number) for number in range(50)]
    assert len({files for files, _ in cases}) > 40
    assert len({files for files, _ in cases} & {make_case(target, SEED + 1, number)[0] for number in range(50)}) < 10


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}", b"a,b\n1,2\n", b'{"a": [1, 2]}\n{"a": []}\n', bytes(range(256))]
)
def test_a_mutation_takes_any_bytes(mutation: object, content: bytes) -> None:
    assert callable(mutation)
    for seed in range(40):
        assert isinstance(mutation(content, np.random.default_rng(seed)), bytes)


def test_spoiled_files_stay_small() -> None:
    content = b'{"a": 1}\n' * 20_000
    assert max(len(spoil(content, np.random.default_rng(seed))) for seed in range(60)) <= MOST_BYTES


def test_a_shared_database_changes_no_outcome() -> None:
    """Cases run one after the other must end as each would alone."""
    target = TARGETS["mapped"]
    cases = [make_case(target, SEED, number) for number in range(40)]
    shared = [run_case(target, files, strict=strict) for files, strict in cases]
    for (files, strict), before in zip(cases, shared, strict=True):
        with one_database():
            assert run_case(target, files, strict=strict) == before


@pytest.mark.parametrize(
    "message", ["", " \n", "x" * 2_000, "long\n" * 5_000, "half a \ud800", f"the key {SECRET} is no number"]
)
def test_messages_that_no_person_should_see_are_found(message: str) -> None:
    with pytest.raises(Violation):
        check_message(message)


def test_any_other_exception_is_a_violation_with_its_place() -> None:
    outcome, seen = run_case(_Broken(), (("log", b"a"),), strict=False)
    assert outcome == "violation"
    assert "ZeroDivisionError" in seen
    assert "test_fuzz.py" in seen


class _Broken:
    name = "broken"
    seeds: tuple[Files, ...] = ((("log", b"a"),),)

    def run(self, files: Files, *, strict: bool) -> str:
        return str(len(files) / int(strict))


def _is_target(target: Target) -> Target:
    return target


_is_target(_Broken())
