"""The terminal report: readable at 100 columns, short unless asked."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console

from breakeven.reports.terminal import verdict_view
from breakeven.reports.words import percent, usd

if TYPE_CHECKING:
    from breakeven.studies.verdict.result import Verdict

COLUMNS = 100


def _printed(result: Verdict, *, full: bool = False) -> str:
    console = Console(width=COLUMNS, file=StringIO(), record=True)
    console.print(verdict_view(result, full=full))
    return console.export_text(styles=False)


def _flat(text: str) -> str:
    return " ".join(text.split())


def test_nothing_is_wider_than_the_terminal_and_no_figure_is_cut(azure: Verdict) -> None:
    text = _printed(azure)
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert "breaks even" in text
    for option in azure.options[:5]:
        assert usd(option.usd_per_month.likely) in text


def test_it_says_how_sure_it_is_and_what_is_to_come(azure: Verdict) -> None:
    text, outlook = _flat(_printed(azure)), azure.outlook
    assert f"Self-hosting wins in {percent(outlook.self_hosting_wins_fraction)} of {outlook.draw_count:,} draws" in text
    for month in (1, 12, 24, 36):
        assert f"month {month} {percent(outlook.months[month - 1].self_hosting_wins_fraction)}" in text
    for item in azure.forecast.bills:
        assert usd(item.bill.high_95_usd) in text
    for path in outlook.projections:
        assert path.saved_npv_usd is None or usd(path.saved_npv_usd.likely) in text


def test_rules_are_summed_up_and_answered_one_by_one_on_request(azure: Verdict) -> None:
    assert azure.rules is not None
    short, full = _flat(_printed(azure)), _flat(_printed(azure, full=True))
    assert azure.rules.summary in short
    titles = [group.title for group in azure.rules.groups if group.beside.stand == "open"]
    assert titles
    for title in titles:
        assert f"{title}: takes no side" not in short
        assert f"{title}: takes no side" in full


def test_where_nothing_may_be_recommended_todays_stack_is_shown(azure: Verdict) -> None:
    shut = tuple(replace(item, excluded_by=("data may not leave",)) for item in azure.options)
    outlook = replace(azure.outlook, win_fractions=())
    result = replace(azure, options=shut, outlook=outlook, answer=replace(azure.answer, recommended=""))
    today = next(item for item in shut if item.kind == "today")
    text = _flat(_printed(result))
    assert f"Cost stack of {today.title}" in text
    assert "Self-hosting wins" not in text
