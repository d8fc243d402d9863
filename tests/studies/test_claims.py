"""The published claims against the reference file, and files of claims that users bring."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from breakeven.errors import InputError, UnknownNameError
from breakeven.reports.claims import claims_json, claims_markdown, claims_table
from breakeven.sources.catalogue import load_book
from breakeven.sources.claims import VERDICTS, Claim, read_claims
from breakeven.studies.claims import NOT_RECOMPUTABLE, RECOMPUTE, ClaimResult, check_claims
from breakeven.studies.claims.compare import Figure, compare, figures
from breakeven.studies.claims.expression import MAX_CHARACTERS, evaluate

GOLDEN = Path(__file__).parents[1] / "golden" / "claims.md"
HEADER = "id,seed,claim,published,recomputed,verdict,why,expression\n"

DIFFERING = {"paragraph-tokens": "50 takes a tokeniser; the seed's own rules give 53-58, and 35 is wrong by all three"}
"""Rows whose figure is not the file's, with the reason."""

REVIEWED = {
    "token-type": "what the seed does not say has no figure",
    "conversations": "which trace is a fair yardstick is a judgement",
    "storage": "no second price stands beside it",
    "breakeven-util": "whether 'about 25 %' says 22 %",
    "paragraph-tokens": "rules of thumb are no tokeniser",
    "out-multiple": "true of its day's models and not of newer ones",
    "threshold-conflict": "the scopes differ, so no threshold refutes another",
    "throughput-70b": "which lengths are usual is a judgement",
    "broker-saves": "nothing to compute from",
}
"""Rows whose verdict a reviewer gave, with the reason."""


def results() -> dict[str, ClaimResult]:
    return {result.id: result for result in check_claims(read_claims(), load_book())}


def own(tmp_path: Path, rows: str, header: str = HEADER) -> tuple[ClaimResult, ...]:
    file = tmp_path / "mine.csv"
    file.write_text(header + rows, encoding="utf-8")
    return check_claims(read_claims(file), load_book())


def problems(tmp_path: Path, rows: str, header: str = HEADER) -> list[str]:
    with pytest.raises(InputError) as caught:
        own(tmp_path, rows, header)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("claim", read_claims(), ids=lambda claim: claim.id)
def test_the_recomputed_figure_and_verdict_are_the_reference(claim: Claim) -> None:
    result = results()[claim.id]
    assert result.verdict == claim.verdict
    assert (result.recomputed == claim.recomputed) is (claim.id not in DIFFERING)
    assert result.agrees_with_file is (claim.id not in DIFFERING)


def test_every_row_but_one_is_computed_by_a_function_of_its_own() -> None:
    ids = [claim.id for claim in read_claims()]
    assert len(ids) == 45
    assert set(ids) - set(RECOMPUTE) == {"broker-saves"}
    assert set(RECOMPUTE) <= set(ids)
    assert results()["broker-saves"].recomputed == NOT_RECOMPUTABLE
    assert "no prices" in results()["broker-saves"].why


def test_arithmetic_decides_every_verdict_but_those_listed() -> None:
    assert {result.id for result in results().values() if result.decided_by == "reviewer"} == set(REVIEWED)


def test_computed_verdicts_ignore_the_file() -> None:
    blank = tuple(replace(claim, recomputed="", verdict=None) for claim in read_claims())
    for result in check_claims(blank, load_book()):
        expected = results()[result.id]
        assert result.recomputed == expected.recomputed
        assert result.verdict == ("unchecked" if result.id in REVIEWED else expected.verdict)


def test_another_published_figure_gets_another_verdict() -> None:
    claim = next(claim for claim in read_claims() if claim.id == "blend-sonnet")
    fixed = replace(claim, published="6.00")
    assert check_claims((fixed,), load_book())[0].verdict == "holds"


@pytest.mark.parametrize(
    ("claim_id", "name", "expected"),
    [
        ("conversations", "requests", 2.2e6),
        ("util-60-erases", "low_utilisation_fraction", 0.26455),
        ("mini-farther", "60_percent_low_first_mtok_per_month", 1.225e6),
        ("mini-farther", "60_percent_low_first_nodes", 394),
        ("mini-farther", "60_percent_low_stable_mtok_per_month", 1.32e6),
        ("breakeven-util", "with_standby_fraction", 0.4444),
        ("breakeven-util", "loaded_gpus", 4),
        ("breakeven-util", "loaded_first_requests", 12.31e6),
        ("breakeven-util", "loaded_island_end_requests", 12.44e6),
        ("breakeven-util", "loaded_stable_requests", 13.46e6),
        ("h100-year", "released_when_idle_usd_per_year", 10118),
        ("per-token-10b", "as_published_low_usd_per_month", 10e6),
        ("seventy-vs-seven", "least_correction_low_ratio", 4),
        ("seventy-vs-seven", "least_correction_high_ratio", 5),
    ],
)
def test_the_figures_in_the_reviewers_reasons_are_computed_too(claim_id: str, name: str, expected: float) -> None:
    assert dict(results()[claim_id].numbers)[name] == pytest.approx(expected, rel=0.002)


def test_a_book_without_the_measurement_says_so() -> None:
    claims = tuple(claim for claim in read_claims() if claim.id == "throughput-70b")
    with pytest.raises(UnknownNameError, match=r"llama-3\.1-70b"):
        check_claims(claims, replace(load_book(), measurements=()))


def test_the_study_needs_no_numpy() -> None:
    code = "import sys, breakeven.studies.claims, breakeven.reports.claims; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- comparing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4.40", [4.4]),
        ("1.40-2.10", [1.4, 2.1]),
        ("40-70%", [0.4, 0.7]),
        ("within 40–70% saved", [0.4, 0.7]),
        ("60M 500M 5B 10B", [60e6, 500e6, 5e9, 10e9]),
        ("260000 at 0.0055", [260000, 0.0055]),
        ("13,225 USD", [13225]),
        ("1e-6 to 2e-6", [1e-6, 2e-6]),
        ("-5", [-5]),
        ("5x", [5]),
        ("8xA100-80", [8, 80]),
        ("10 Mtok", [10]),
        ("nearly doubles", []),
    ],
)
def test_figures_are_read_as_people_write_them(text: str, expected: list[float]) -> None:
    assert [figure.amount() for figure in figures(text)] == pytest.approx(expected)


@pytest.mark.parametrize(("digits", "expected"), [("4.40", 0.1), ("346", 1), ("16700", 100), ("0.00031", 0.00001)])
def test_the_last_digit_is_the_last_that_is_not_a_trailing_zero(digits: str, expected: float) -> None:
    assert Figure(digits=digits).last_digit() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("published", "amounts", "expected"),
    [
        ("4.40", (4.40,), "holds"),
        ("4.40", (4.375,), "rounded"),
        ("4.40", (4.51,), "wrong"),
        ("10000", (14454,), "wrong"),  # one unit of its only digit, but 31 % off
        ("1.40-2.10", (1.16, 2.43), "narrowed"),
        ("1.40-2.10", (1.5, 2.43), "wrong"),
        ("1.40-2.10", (1.7,), "holds"),
        ("1.40-2.10", (2.2,), "wrong"),
        ("60%", (0.5, 0.7), "holds"),
        ("60%", (0.26, 0.56), "wrong"),
        ("0", (0.0,), "holds"),
        ("always", (1.0,), "unchecked"),
    ],
)
def test_a_published_figure_is_judged_by_its_own_digits(
    published: str, amounts: tuple[float, ...], expected: str
) -> None:
    assert compare(figures(published), amounts) == expected


# --- a user's file


def test_a_users_expression_is_computed_and_compared(tmp_path: Path) -> None:
    rows = (
        "blend,deck,our blend,4.40,4.375,rounded,,(3*2.50+10)/4\n"
        "month,deck,a GPU for a month,1500,,,,2 * hours_per_month\n"
        "share,deck,break-even,25%,,,,1440/6480\n"
        "volume,deck,tokens,10B,,,,2.5e6*4000\n"
    )
    blend, month, share, volume = own(tmp_path, rows)
    assert (blend.recomputed, blend.verdict, blend.decided_by) == ("4.375", "rounded", "computed")
    assert blend.agrees_with_file
    assert (month.recomputed, month.verdict) == ("1460", "rounded")
    assert (share.recomputed, share.verdict) == ("22.222%", "wrong")
    assert (volume.recomputed, volume.verdict) == ("10B", "holds")


def test_a_file_that_calls_a_wrong_figure_right_is_contradicted(tmp_path: Path) -> None:
    (result,) = own(tmp_path, "sonnet,,blend,5.25,5.25,holds,,(3*3+15)/4\n")
    assert (result.recomputed, result.verdict, result.agrees_with_file) == ("6", "wrong", False)


def test_a_reviewers_judgement_stands_beside_the_computed_figure(tmp_path: Path) -> None:
    (result,) = own(tmp_path, "floor,,volume,0.5B,,conservative,,6250/4.375*tokens_per_mtok\n")
    assert (result.recomputed, result.verdict, result.decided_by) == ("1.4286B", "conservative", "reviewer")


def test_a_claim_without_expression_keeps_the_files_verdict(tmp_path: Path) -> None:
    judged, bare = own(tmp_path, "a,,x,5,,stale,old,\nb,,y,6,,,,\n")
    assert (judged.recomputed, judged.verdict, judged.decided_by) == (NOT_RECOMPUTABLE, "stale", "reviewer")
    assert judged.why == "the file gives no expression; old"
    assert bare.verdict == "unchecked"


def test_an_id_of_the_catalogue_in_a_users_file_is_the_users_claim(tmp_path: Path) -> None:
    (result,) = own(tmp_path, "blend-gpt4o,,another blend,7,,,,7\n")
    assert (result.recomputed, result.verdict) == ("7", "holds")


def test_the_expression_column_may_be_left_out(tmp_path: Path) -> None:
    (result,) = own(tmp_path, "a,,x,5,5,holds,\n", HEADER.replace(",expression", ""))
    assert result.recomputed == NOT_RECOMPUTABLE


def test_all_problems_of_a_file_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    rows = 'a,,x,5,,,,1\na,,x,5,,,,1\nb,,,5,,,,1\n\nc,,x,5,,great,,1\nd,,x,5\n"e",,"two\nlines",5,,,,1\n'
    assert problems(tmp_path, rows) == [
        "mine.csv:7: this row has 4 cells where the header has 8. A cell with a comma in it needs quotes.",
        "mine.csv:3: the id 'a' stands already at mine.csv:2.",
        "mine.csv:4 claim: this cell is empty, and a claim needs it.",
        f"mine.csv:6 verdict: unknown verdict 'great'. Known: {', '.join(VERDICTS)}.",
        "mine.csv:8 claim: this cell holds control characters. Use plain text.",
    ]


def test_columns_that_lack_or_are_unknown_or_stand_twice_are_named(tmp_path: Path) -> None:
    found = problems(tmp_path, "a\n", "id,seed,claim,published,recomputed,verdict,reason,expresion,id\n")
    assert found[0].startswith("mine.csv:1: the column 'why' is missing.")
    assert "mine.csv:1: unknown column 'expresion'. Did you mean 'expression'?" in found
    assert found[-1] == "mine.csv:1: the column 'id' stands twice; only one can hold."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as claims"),
        (b"\xff\xfe", "not UTF-8"),
        (HEADER.encode() + b'a,,x,5,,,,"1\n', "not valid CSV"),
        (b"x" * 1_000_001, "larger than"),
    ],
)
def test_what_is_no_file_of_claims_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_claims(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv cannot be read"):
        read_claims(tmp_path / "none.csv")


def test_a_spreadsheets_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert own(tmp_path, "a,,x,5,,,,5\n", "\ufeff" + HEADER)[0].verdict == "holds"


def test_bad_expressions_are_told_together_with_their_lines(tmp_path: Path) -> None:
    found = problems(tmp_path, "a,,x,5,,,,1/0\nb,,x,5,,,,2+2\nc,,x,5,,,,hours*2\n")
    assert [text.split(":")[1] for text in found] == ["2 expression", "4 expression"]
    assert "divides by zero" in found[0]
    assert "unknown name 'hours'" in found[1]


# --- the calculator


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(3*2.50+10)/4", 4.375),
        (" -2 ** 2 + +1 ", -3.0),
        ("2 ** -1", 0.5),
        ("1_000 * 1e3", 1e6),
        ("800*0.6*720*seconds_per_hour/tokens_per_mtok", 1244.16),
        ("(" * 99 + "1" + ")" * 99, 1.0),
        ("hours_per_year/months_per_year - hours_per_month", 0.0),
    ],
)
def test_arithmetic_is_evaluated(expression: str, expected: float) -> None:
    assert evaluate(expression) == pytest.approx(expected)


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__",
        "(lambda: 1)()",
        "[1 for _ in (1,)]",
        "hours_per_month.real",
        "hours_per_month[0]",
        "open('/etc/passwd')",
        "'1' * 9",
        "f'{1}'",
        "True + 1",
        "2j",
        "1 if 1 else 2",
        "1 < 2",
        "7 // 2",
        "7 % 2",
        "1 << 40",
        "~1",
        "(x := 5)",
        "1; 2",
        "1or 2",
        "1()",
        "import os",
        "9 ** 9 ** 9",
        "10 ** 65",
        "1e300 * 1e300",
        "1e400",
        "1e400 - 1e400",
        "(-8) ** 0.5",
        "0 ** -1",
        "1 / 0",
        "-" * 100 + "1",
        "9" * (MAX_CHARACTERS + 1),
        "",
        "#",
        "1 +",
        "\x00",
        "1\n+ 2",
    ],
)
def test_what_is_not_bounded_arithmetic_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"expression|exponent"):
        evaluate(expression)


# --- reports


def test_the_markdown_is_the_golden_file() -> None:
    assert claims_markdown(tuple(results().values())) == GOLDEN.read_text(encoding="utf-8")


def test_the_terminal_table_keeps_ids_and_verdicts_whole_at_100_columns() -> None:
    console = Console(width=100, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(claims_table(tuple(results().values())))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    for result in results().values():
        assert result.id in text
        assert result.verdict in text
    assert "9 judged by a reviewer" in text


def test_marks_in_a_users_text_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    found = own(tmp_path, "a,,[red]x[/] | <b>,5,,,[bold]why[/],5\n")
    assert r"\[red\]x\[/\] \| \<b\>" in claims_markdown(found)
    console = Console(width=100)
    with console.capture() as captured:
        console.print(claims_table(found))
    assert "[bold]why[/]" in captured.get()


def test_the_json_is_strict_and_says_never_with_null() -> None:
    data = {row["id"]: row for row in claims_json(tuple(results().values()))}
    json.dumps(data, allow_nan=False)
    assert data["mini-farther"]["numbers"]["60_percent_high_first_mtok_per_month"] is None
    assert data["blend-gpt4o"]["numbers"] == {"blended_usd_per_mtok": 4.375}
    assert data["blend-gpt4o"]["decided_by"] == "computed"


def test_no_claims_make_an_empty_report() -> None:
    assert "No claims." in claims_markdown(())
