"""The verdict as Markdown fit for a comment on a pull request: what to do, what it costs, how sure, what it rests on.

It is short on purpose; the page holds everything.  Names come from outside, so every one is escaped: none can
close a table's cell, become a link or an image, or mention somebody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.reports.parts import (
    RIVALS,
    best_pool,
    members,
    overflow_text,
    recommended,
    stale_assumptions,
    stale_warnings,
    success_text,
    today_of,
    who,
)
from breakeven.reports.words import counted, months_range, percent, usd, usd_ends, usd_range, volume, volume_range

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from breakeven.studies.verdict.result import CrossingResult, OptionResult, Standing, Verdict

SHOWN_OPTIONS: Final[dict[Standing, int]] = {"same model": 2, "evidence": 4, "no evidence": 2}
_OTHERS: Final[tuple[Standing, ...]] = ("evidence", "no evidence")
SHOWN_DRIVERS: Final = 3
_SIGNS: Final = {sign: f"\\{sign}" for sign in "\\`*_[]|~#!"}
_ESCAPES: Final = str.maketrans(_SIGNS | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", "\n": " ", "\r": " "})


def verdict_markdown(result: Verdict) -> str:
    """Return the verdict as GitHub-flavoured Markdown."""
    parts = (
        _headline(result),
        _options(result),
        _break_even(result),
        _certainty(result),
        _ahead(result),
        _listed("What would change it", result.answer.would_change),
        _listed("What the data cannot show", result.limits),
        _folded(result),
    )
    return "\n".join(line for part in parts for line in part).rstrip() + "\n"


def _headline(result: Verdict) -> Iterator[str]:
    best, today = recommended(result), today_of(result)
    if best is None:
        title = "No option may be recommended"
    elif best is today:
        title = f"Stay with {best.title}"
    else:
        title = f"Recommended: {best.title}"
    yield f"## {_said(title)}"
    yield ""
    yield (
        f"{_said(result.profile.source)}: {counted(result.profile)}, "
        f"{volume(result.volume_mtok_per_month.likely)} tokens a month"
        + ("" if result.volume_mtok_per_month.is_exact else f" ({volume_range(result.volume_mtok_per_month)})")
        + f"; priced on {result.as_of}, USD, fully loaded; ranges hold 80 % of {result.outlook.draw_count:,} draws."
    )
    yield ""
    if best is not None and best is not today:
        saved = today.usd_per_month.likely - best.usd_per_month.likely
        yield (
            f"**{usd(best.usd_per_month.likely)} USD a month** ({usd_range(best.usd_per_month)}) instead of "
            f"{usd(today.usd_per_month.likely)} ({usd_range(today.usd_per_month)}): "
            + (f"{usd(saved)} less." if saved > 0 else f"{usd(-saved)} more, which the constraints cost.")
        )
        yield ""
    yield f"**Next:** {_said(result.answer.next_step)}"
    yield ""


def _options(result: Verdict) -> Iterator[str]:
    succeeds = any(option.success for option in result.options)
    yield f"| | option | USD a month | range | per Mtok |{' a success |' if succeeds else ''} breaks even with today |"
    yield f"|---|---|---:|---:|---:|{'---:|' if succeeds else ''}---|"
    best, left = recommended(result), 0
    for standing, count in SHOWN_OPTIONS.items():
        group = members(result, standing)
        left += max(0, len(group) - count)
        for option in _worth_showing(group, count, best):
            yield f"| {_mark(option, best, today_of(result))} | {_row(option)} |"
    excluded = sum(bool(item.excluded_by) for item in result.options)
    yield ""
    yield "✓ recommended · ? cheaper only if good enough: no evidence yet. "
    yield f"{left} dearer left out, {excluded} excluded."
    yield ""
    if best is not None and (text := overflow_text(best)):
        yield _said(f"{text}.")
        yield ""


def _worth_showing(group: tuple[OptionResult, ...], count: int, best: OptionResult | None) -> list[OptionResult]:
    """Return the cheapest of a group, and the cheapest pool in it, wherever that ranks."""
    first_pool = next((item for item in group if item.break_even and item.overflow is None), None)
    return [item for rank, item in enumerate(group) if rank < count or item is best or item is first_pool]


def _mark(option: OptionResult, best: OptionResult | None, today: OptionResult) -> str:
    if option is best:
        return "✓"
    if option is today:
        return "today"
    return "?" if option.quality.standing == "no evidence" else ""


def _row(option: OptionResult) -> str:
    even = _volumes(option.break_even[0]) if option.break_even else ""
    cells = [usd(option.usd_per_month.likely), usd_range(option.usd_per_month), usd(option.usd_per_mtok.likely)]
    cells += [success_text(option), even] if option.success else [even]
    return " | ".join((_said(option.title), *cells))


def _volumes(crossing: CrossingResult) -> str:
    if crossing.likely.never:
        return "never"
    return f"{volume(crossing.likely.first_mtok)} ({volume(crossing.low_mtok)} – {volume(crossing.high_mtok)})"


def _break_even(result: Verdict) -> Iterator[str]:
    pool = best_pool(result)
    if pool is None:
        return
    yield f"**Break-even** of {_said(pool.title)}, tokens a month:"
    yield ""
    for item in pool.break_even:
        rival = RIVALS[who(item)]
        found = item.likely
        text = "never" if found.never else f"first at **{volume(found.first_mtok)}**"
        if not found.never:
            text += f" ({volume(item.low_mtok)} to {volume(item.high_mtok)})"
            stays = found.stable_mtok
            text += ", not for good" if stays is None else (f", for good from {volume(stays)}" if found.islands else "")
        if item.never_fraction:
            text += f"; in {percent(item.never_fraction)} of the draws never"
        yield f"- against {rival}: {text}"
    yield ""


def _certainty(result: Verdict) -> Iterator[str]:
    outlook = result.outlook
    if not outlook.win_fractions:
        return
    meanings = {item.key: item.meaning for item in result.assumptions}
    text = (
        f"**Self-hosting wins in {percent(outlook.self_hosting_wins_fraction)} of the draws**, "
        f"in {percent(outlook.if_good_enough_fraction)} if every model were good enough."
    )
    decisive = [_said(meanings.get(item.key, item.key)) for item in outlook.drivers[:SHOWN_DRIVERS]]
    if decisive:
        text += f" Most decisive: {'; '.join(decisive)}."
    yield text
    yield ""


def _ahead(result: Verdict) -> Iterator[str]:
    chosen = next((item for item in result.outlook.projections if item.option == result.answer.recommended), None)
    if chosen is not None and chosen.saved_npv_usd is not None:
        months = len(chosen.usd_per_month)
        text = (
            f"Over {months} months the recommended option saves {usd(chosen.saved_npv_usd.likely)} USD "
            f"({usd_range(chosen.saved_npv_usd)}), present value, migration paid"
        )
        if chosen.payback_months is not None:
            text += f"; it pays back {_after(months_range(chosen.payback_months))}"
        yield f"{text}."
        yield ""
    shown = {result.answer.recommended, today_of(result).id}
    for item in result.forecast.bills:
        if item.id in shown:
            bill = item.bill
            yield (
                f"- next month's bill, {_said(item.title)}: {usd_ends(bill.low_80_usd, bill.high_80_usd)} "
                f"USD with 80 %, {usd_ends(bill.low_95_usd, bill.high_95_usd)} with 95 %"
            )
    yield ""


def _after(text: str) -> str:
    return text if text.startswith("at once") else f"after {text}"


def _listed(title: str, items: Iterable[str]) -> Iterator[str]:
    lines = [f"- {_said(item)}" for item in items]
    if lines:
        yield from (f"**{title}**", "", *lines, "")


def _folded(result: Verdict) -> Iterator[str]:
    """Yield what is needed to doubt the rest, folded away: evidence, rules of thumb, warnings."""
    lines = [f"- {_said(model)}: {_said(reason)}" for model, reason in _evidence(result).items()]
    if result.rules is not None:
        lines.append(f"- Rules of thumb: {_said(result.rules.summary)}")
    lines += [f"- {_said(text)}" for text in (*result.warnings, *stale_warnings(result))]
    if old := stale_assumptions(result):
        lines.append(f"- {len(old)} of {len(result.assumptions)} assumptions are older than 90 days.")
    if lines:
        yield from ("<details><summary>Evidence and warnings</summary>", "", *lines, "", "</details>")


def _evidence(result: Verdict) -> dict[str, str]:
    shown = [item for standing in _OTHERS for item in members(result, standing)]
    return {item.model: item.quality.reason for item in shown}


def _said(text: str) -> str:
    return text.translate(_ESCAPES)
