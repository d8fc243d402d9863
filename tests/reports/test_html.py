"""The HTML report: one page, complete, safe to open, and without charts that have no data."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

import breakeven
from breakeven.records import TrafficTimes
from breakeven.reports.colours import LAYER_COLOURS, PALETTE
from breakeven.reports.html import linked, verdict_page
from breakeven.reports.parts import best_pool
from breakeven.reports.words import percent, usd, usd_range

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.verdict.result import OptionResult, Verdict

ON = date(2026, 11, 21)
HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"&"
SCRIPTS = 2
"""The page's own, and its data."""

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """A page as a reader's program sees it: text, tags, attributes, and whether tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> is out of order at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


@pytest.fixture(scope="module")
def html(azure: Verdict) -> str:
    return verdict_page(azure)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def _changed(result: Verdict, old: OptionResult, new: OptionResult) -> Verdict:
    return replace(result, options=tuple(new if item is old else item for item in result.options))


def _week(days: float) -> TrafficTimes:
    start = datetime(2026, 11, 2, tzinfo=UTC)
    observed = int(min(168, days * 24))
    return TrafficTimes(
        first_at=start,
        last_at=start + timedelta(days=days),
        span_s=days * 86400,
        window_s=60.0,
        window_count=int(days * 1440),
        windows=(),
        hour_of_week_requests_per_s=tuple(1.0 + hour % 24 if hour < observed else None for hour in range(168)),
        peak_to_mean_ratio=2.0,
        burstiness_ratio=1.0,
        gap_cv_ratio=1.0,
    )


def test_the_page_is_well_formed(page: Page) -> None:
    assert not page.open
    assert page.tags["html"] == page.tags["main"] == page.tags["h1"] == 1


def test_the_answer_comes_before_everything_else(azure: Verdict, page: Page) -> None:
    assert azure.answer.paragraph in page.text
    assert page.text.index(azure.answer.paragraph) < page.text.index("The traffic")
    assert azure.answer.next_step in page.text


def test_every_option_is_there_with_its_bill_and_interval(azure: Verdict, page: Page) -> None:
    for option in azure.options:
        assert option.title in page.text
        assert usd(option.usd_per_month.likely) in page.text
        assert usd_range(option.usd_per_month) in page.text


def test_every_assumption_limit_and_warning_is_there(azure: Verdict, page: Page) -> None:
    for row in azure.assumptions:
        assert row.meaning in page.text
    for text in (*azure.limits, *azure.warnings, *azure.answer.would_change):
        assert text in page.text


def test_the_cost_stacks_show_formulas_of_the_recommended_option_and_the_best_pool(azure: Verdict, page: Page) -> None:
    pool = best_pool(azure)
    assert pool is not None
    for line in (*azure.option(azure.answer.recommended).lines, *pool.lines):
        assert f"{line.key} = {line.formula}" in page.text


def test_nothing_is_loaded_from_anywhere(html: str, page: Page) -> None:
    assert page.tags["script"] == SCRIPTS
    assert not {"link", "iframe", "img", "object", "image", "use"} & set(page.tags)
    assert not page.values("src")
    assert not page.values("xlink:href")
    outside = {tag for tag, name, value in page.attributes if re.match(r"(https?:)?//", value) and "xmlns" not in name}
    assert outside <= {"a"}
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]+)\)", html))


def test_the_page_stays_small(html: str) -> None:
    assert len(html.encode()) < 700_000


def test_ids_do_not_clash_between_charts(html: str, page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_every_colour_of_a_chart_has_a_dark_twin(page: Page) -> None:
    used = {value for tag, name, value in page.attributes if name in ("fill", "stroke") and value.startswith("#")}
    assert used <= set(PALETTE)
    assert set(LAYER_COLOURS.values()) <= set(PALETTE)


def test_names_from_outside_are_escaped_everywhere(few: Verdict) -> None:
    result = few
    today = next(item for item in result.options if item.kind == "today")
    pool = best_pool(result)
    assert pool is not None
    facts = tuple(replace(fact, what=HOSTILE, source=HOSTILE) for fact in pool.facts)
    result = _changed(result, today, replace(today, title=HOSTILE, notes=(HOSTILE,)))
    result = _changed(result, pool, replace(pool, title=HOSTILE, model=HOSTILE, facts=facts))
    result = replace(result, profile=replace(result.profile, source=HOSTILE), scenario=HOSTILE, warnings=(HOSTILE,))
    page = Page(verdict_page(result))
    assert page.tags["script"] == SCRIPTS
    assert "img" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert HOSTILE in page.text


def test_only_web_addresses_become_links() -> None:
    assert linked("see https://example.org/a?b=1&c=2.") == (
        'see <a href="https://example.org/a?b=1&amp;c=2" rel="noopener noreferrer">https://example.org/a?b=1&amp;c=2</a>.'
    )
    assert linked("javascript:alert(1)") == "javascript:alert(1)"
    assert linked("<b>") == "&lt;b&gt;"
    assert "<i>" not in linked("https://example.org/<i>\"'x")


def test_only_the_pages_own_script_may_run(html: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert policy is not None
    assert script is not None
    digest = b64encode(sha256(script.group(1).encode()).digest()).decode()
    assert unescape(policy.group(1)) == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert "innerHTML" not in script.group(1)
    assert "eval(" not in script.group(1)


def test_data_for_the_script_cannot_end_its_element(few: Verdict) -> None:
    result = replace(few, options=tuple(replace(item, title=f"</script>{HOSTILE}") for item in few.options))
    page = verdict_page(result)
    found = re.search(r'id="weigh-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    assert not set("<>&") & set(found.group(1))
    assert json.loads(found.group(1))["options"][0]["title"] == f"</script>{HOSTILE}"


def test_the_draws_the_months_and_the_next_bill_are_there(azure: Verdict, page: Page) -> None:
    outlook = azure.outlook
    assert f"{percent(outlook.self_hosting_wins_fraction)} of {outlook.draw_count:,} draws" in page.text
    assert f"{percent(outlook.if_good_enough_fraction)} if every model were good enough" in page.text
    for driver in outlook.drivers:
        assert f"{driver.correlation:+.2f}" in page.text
    for path in outlook.projections:
        assert usd(path.usd_per_month[-1].likely) in page.text
        assert path.saved_npv_usd is None or usd_range(path.saved_npv_usd) in page.text
    for item in azure.forecast.bills:
        assert usd(item.bill.high_95_usd) in page.text
    assert azure.forecast.note in page.text
    assert {"certainty", "months-ahead", "next-bill", "rules"} <= set(page.values("id"))


def test_every_rule_of_thumb_is_there_with_its_answer(azure: Verdict, page: Page) -> None:
    assert azure.rules is not None
    for group in azure.rules.groups:
        assert group.summary in page.text
        for rule in group.rules:
            assert rule.text in page.text


def test_what_todays_api_used_better_saves_is_shown_line_by_line(azure: Verdict, page: Page) -> None:
    optimised = next(item for item in azure.options if item.kind == "today-optimised")
    saved = [line for line in optimised.lines if line.key.startswith("saved by")]
    assert saved
    for line in saved:
        assert f"{line.key} = {line.formula}" in page.text
        assert usd(line.usd_per_month.likely) in page.text


def test_an_hour_of_traffic_has_no_week_to_draw(page: Page) -> None:
    assert "hour-of-week" not in page.values("id")


@pytest.mark.parametrize(("days", "drawn"), [(6.9, False), (7.0, True), (30.0, True)])
def test_hours_of_the_week_are_drawn_from_a_whole_week_on(few: Verdict, days: float, drawn: bool) -> None:
    page = Page(verdict_page(replace(few, profile=replace(few.profile, times=_week(days)))))
    assert ("hour-of-week" in page.values("id")) is drawn


def test_a_plan_without_pools_leaves_the_chart_against_volume_out(azure: Verdict) -> None:
    today = next(item for item in azure.options if item.kind == "today")
    result = replace(azure, options=(today,), answer=replace(azure.answer, recommended=today.id))
    page = Page(verdict_page(result))
    assert "Cost against volume" not in page.text
    assert f"Stay with {today.title}" in page.text


def test_a_plan_in_which_nothing_may_be_recommended_says_so(azure: Verdict) -> None:
    today = next(item for item in azure.options if item.kind == "today")
    shut = replace(today, excluded_by=("data may not leave",))
    result = replace(azure, options=(shut,), answer=replace(azure.answer, recommended=""))
    page = Page(verdict_page(result))
    assert "No option may be recommended" in page.text
    assert "data may not leave" in page.text


@pytest.mark.parametrize("monthly_tokens", [20_000_000, 3_000_000_000_000])
def test_volumes_far_from_the_crossing_are_drawn_too(tmp_path: Path, monthly_tokens: int) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        f"today: gpt-4o\ntraffic: {{input_tokens_per_month: {monthly_tokens * 3 // 4}, "
        f"output_tokens_per_month: {monthly_tokens // 4}}}\n",
        encoding="utf-8",
    )
    page = Page(verdict_page(breakeven.plan(scenario=scenario, as_of=ON)))
    assert "Cost against volume" in page.text
    assert "NaN" not in page.text
    assert not [value for value in page.values("d") if "NaN" in value or "Infinity" in value]
