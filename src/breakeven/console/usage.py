"""Usage over HTTP: the questions of ``breakeven ledger query``, asked in a query string and answered as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.console.call import Answer, RefusedError
from breakeven.ledger.asked import moment_of, pair_of, record_of
from breakeven.ledger.query import Question, ask, ranked, sum_of
from breakeven.ledger.store import StoreMissingError

if TYPE_CHECKING:
    from datetime import datetime

    from breakeven.console.call import Call, Console
    from breakeven.ledger.query import Total

MAX_ROWS: Final = 10_000
DEFAULT_ROWS: Final = 1_000
MAX_LABELS: Final = 6
_ONCE: Final = ("by", "since", "until", "order", "limit")


def usage(console: Console, call: Call) -> Answer:
    """Answer ``?by=model,target&since=2026-11-01&until=…&where=key=search&order=cost&limit=100``."""
    given = _given(call)
    question = _question(given, [value for name, value in call.query if name == "where"])
    limit = _limit(given.get("limit", ""))
    try:
        totals = ask(console.store, question)
    except StoreMissingError:
        totals = ()  # nothing has been asked for yet
    chosen = ranked(totals, given["order"]) if "order" in given else totals
    return Answer(
        {
            "by": question.by,
            "rows": [
                {**dict(zip(question.by, total.labels, strict=True)), **record(total)} for total in chosen[:limit]
            ],
            "left_out": max(len(totals) - limit, 0),
            "total": record(sum_of(totals)),
        }
    )


def record(total: Total) -> dict[str, object]:
    """Return the figures of a total; dollars are text, exact to the last digit."""
    tokens = total.usage
    return record_of(total) | {
        "input_tokens": tokens.input_tokens,
        "cached_input_tokens": tokens.cached_input_tokens,
        "cache_write_tokens": tokens.cache_write_tokens,
        "output_tokens": tokens.output_tokens,
    }


def _given(call: Call) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in call.query:
        if name == "where":
            continue
        if name not in _ONCE or name in given:
            raise RefusedError(
                400, "invalid_query", f"A query has each of {', '.join(_ONCE)} once, and where= as often as wanted."
            )
        given[name] = value
    return given


def _question(given: dict[str, str], where: list[str]) -> Question:
    by = tuple(item.strip() for item in given.get("by", "model").split(",") if item.strip())
    if len(by) > MAX_LABELS:
        raise RefusedError(400, "invalid_query", f"by= takes {MAX_LABELS} labels at most.")
    return Question(
        by=by,
        since=_moment("since", given["since"]) if "since" in given else None,
        until=_moment("until", given["until"]) if "until" in given else None,
        where=tuple(_pair(item) for item in where),
    )


def _pair(item: str) -> tuple[str, str]:
    try:
        return pair_of(item)
    except ValueError as error:
        message = "where= takes LABEL=VALUE, such as where=key=search."
        raise RefusedError(400, "invalid_query", message) from error


def _moment(name: str, text: str) -> datetime:
    try:
        return moment_of(text)
    except ValueError as error:
        message = f"{name}= takes a day or a full hour in UTC: 2026-11-21 or 2026-11-21T14:00."
        raise RefusedError(400, "invalid_query", message) from error


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_ROWS
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) <= MAX_ROWS or len(text) > 9:
        raise RefusedError(400, "invalid_query", f"limit= takes a number from 1 to {MAX_ROWS:,}.")
    return int(text)
