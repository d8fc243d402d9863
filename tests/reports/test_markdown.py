"""The Markdown report: short, complete in what decides, and safe to post."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from breakeven.reports.markdown import verdict_markdown
from breakeven.reports.parts import best_pool, today_of
from breakeven.reports.words import percent, usd, volume

if TYPE_CHECKING:
    from breakeven.studies.verdict.result import Verdict

GITHUB_COMMENT_LETTERS = 65_536
HOSTILE = "a|b\n# c [x](javascript:alert(1)) ![i](https://e.org/i.png) <img src=x> @someone `d` **e** ~~f~~"


def test_it_fits_a_comment_and_is_short(azure: Verdict) -> None:
    text = verdict_markdown(azure)
    assert len(text) < GITHUB_COMMENT_LETTERS / 8
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_it_says_what_to_do_what_it_costs_and_how_sure_that_is(azure: Verdict) -> None:
    text = verdict_markdown(azure)
    best, pool = azure.option(azure.answer.recommended), best_pool(azure)
    assert pool is not None
    first = pool.break_even[0].likely.first_mtok
    for wanted in (
        usd(best.usd_per_month.likely),
        usd(today_of(azure).usd_per_month.likely),
        volume(first),
        percent(azure.outlook.self_hosting_wins_fraction),
        "**Next:**",
        "What would change it",
        "What the data cannot show",
    ):
        assert wanted in text
    assert text.startswith("## Recommended: ")


def test_every_row_of_the_table_has_all_its_cells(azure: Verdict) -> None:
    rows = [line for line in verdict_markdown(azure).splitlines() if line.startswith("|")]
    assert len(rows) > 6
    assert {line.count("|") - line.count("\\|") for line in rows} == {7}
    assert sum(line.startswith("| ✓ |") for line in rows) == 1


def test_names_from_outside_stay_text(few: Verdict) -> None:
    options = tuple(replace(item, title=HOSTILE) for item in few.options)
    result = replace(few, options=options, warnings=(HOSTILE,), profile=replace(few.profile, source=HOSTILE))
    text = verdict_markdown(result)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") - line.count("\\|") for line in rows} == {7}
    for raw in ("<img", "@someone", "\n# c", " [x](", " ![i", " `d`", " **e**", "~~f"):
        assert raw not in text


def test_where_nothing_may_be_recommended_it_says_so_and_still_counts(azure: Verdict) -> None:
    shut = tuple(replace(item, excluded_by=("data may not leave",)) for item in azure.options)
    outlook = replace(azure.outlook, win_fractions=())
    text = verdict_markdown(replace(azure, options=shut, outlook=outlook, answer=replace(azure.answer, recommended="")))
    assert text.startswith("## No option may be recommended")
    assert f"{len(shut)} excluded" in text
    assert "Self-hosting wins" not in text


def test_staying_is_said_as_staying(azure: Verdict) -> None:
    today = today_of(azure)
    text = verdict_markdown(replace(azure, answer=replace(azure.answer, recommended=today.id)))
    assert text.startswith("## Stay with ")
    assert "instead of" not in text
