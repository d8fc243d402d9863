"""The one page: targets, today's tokens and cost, what moved and was proven, the last requests.  Plain HTML, no script.

Names come from clients: every text goes through ``shown``, which leaves nothing that a browser would act on.
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from breakeven.console.call import Answer
from breakeven.console.markup import sentence, shown, table
from breakeven.console.moved_page import alerts_word, moved_section
from breakeven.console.service import target_records
from breakeven.console.worker_state import read_states
from breakeven.errors import InputError
from breakeven.ledger.ids import request_text
from breakeven.ledger.query import Question, ask, ranked, sum_of
from breakeven.ledger.store import StoreMissingError, connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from breakeven.console.call import Call, Console
    from breakeven.console.markup import Cell
    from breakeven.ledger.query import Total

HTML: Final = "text/html; charset=utf-8"
LAST_REQUESTS: Final = 20
MOST_ROWS: Final = 50
_MOST_ATTEMPTS: Final = 16

STYLE: Final = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:1.5rem 0 .25rem}h4{font-size:.95rem;font-weight:500;margin:.75rem 0 .25rem}
div{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8886;white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums}
td{vertical-align:top}td.w{white-space:normal;min-width:11rem}
form{display:flex;gap:.25rem;margin:0}button{font:inherit;font-size:.85rem;padding:0 .5rem;cursor:pointer}
.open,.failed,.drained,.degraded{font-weight:600;color:#b3261e}
@media (prefers-color-scheme:dark){.open,.failed,.drained,.degraded{color:#ff8a80}}
p{color:GrayText;margin:.25rem 0}p.said{color:CanvasText}.age{font-size:.85rem}
"""
STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""By which the page's policy lets this style in, and no other."""

_LAST: Final = """
    SELECT attempt_id, request_id, received_us, key, task, model, target, outcome, status, first_byte_us, ended_us,
        input_tokens, output_tokens
    FROM attempt_said ORDER BY attempt_id DESC LIMIT ?"""


def page(console: Console, call: Call, *, above: str = "", is_asked: bool = False) -> Answer:
    """Render the page; ``above``: HTML that comes first.  Where something ``is_asked``, it waits for the answer."""
    now_s = console.clock.now()
    states = read_states(console.folder, now_s)
    parts = [
        table(
            "Targets", ("target", "state", "in flight", "tried again in"), map(_target, target_records(console, states))
        ),
        *_today(console.store, now_s),
        moved_section(console, call),
        _last(console.store),
    ]
    workers = f"{len(states)} of {console.plan.workers} workers"
    moment = f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    again = "" if is_asked else '<meta http-equiv=refresh content="15;url=/">'
    return Answer(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Breakeven</title>"
        f'<meta name=viewport content="width=device-width">{again}'
        f"<style>{STYLE}</style></head><body><h1>Breakeven {shown(console.plan.version)}</h1>"
        f"<p>{moment} · {workers} · serves at {shown(console.plan.listen)}{alerts_word(console)}</p>"
        f"{above}{''.join(parts)}</body></html>",
        media_type=HTML,
    )


def _target(record: dict[str, object]) -> list[Cell]:
    state, retry = str(record["state"]), record["retry_s"]
    return [
        (str(record["name"]), ""),
        (state, state),
        (str(record["in_flight"]), "n"),
        ("" if retry is None else f"{retry:.0f} s", "n"),
    ]


def _today(store: Path, now_s: float) -> Iterable[str]:
    """Yield today's tables; a ledger that cannot be read says so in their place."""
    since = datetime.fromtimestamp(now_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for label in ("model", "key"):
        title = f"Today (UTC) by {label}"
        try:
            totals = ranked(ask(store, Question(by=(label,), since=since)), "cost")
        except StoreMissingError:
            totals = ()
        except InputError as error:
            yield f"<h2>{title}</h2>{sentence(str(error))}"
            continue
        shown = [_total(total.labels[0] or "–", total) for total in totals[:MOST_ROWS]]
        if len(totals) > 1:
            shown.append(_total(f"all {len(totals)}", sum_of(totals)))
        yield table(title, (label, "requests", "input tokens", "output tokens", "cost USD"), shown)


def _total(name: str, total: Total) -> list[Cell]:
    cost = "unknown" if total.cost_usd is None else f"{total.cost_usd:,.4f}{' (partial)' if total.is_partial else ''}"
    figures = (f"{total.requests:,}", f"{total.usage.input_tokens:,}", f"{total.usage.output_tokens:,}", cost)
    return [(name, ""), *((figure, "n") for figure in figures)]


def _last(store: Path) -> str:
    title = "Last requests"
    try:
        with closing(connect(store, read_only=True)) as connection:
            found = connection.execute(_LAST, (LAST_REQUESTS * _MOST_ATTEMPTS,)).fetchall()
    except StoreMissingError:
        found = []
    except (InputError, sqlite3.Error) as error:
        said = trouble_of(store, error) if isinstance(error, sqlite3.Error) else str(error)
        return f"<h2>{title}</h2>{sentence(said)}"
    latest: dict[int, Sequence[object]] = {}
    for row in found:
        latest.setdefault(row[1], row[2:])  # its last attempt comes first
    heads = (
        "request", "received", "key", "task", "model", "target", "outcome", "status", "first byte", "whole", "input",
        "output",
    )  # fmt: skip
    return table(title, heads, (_request(number, row) for number, row in [*latest.items()][:LAST_REQUESTS]))


def _request(number: int, row: Sequence[object]) -> list[Cell]:
    received_us, *names, outcome, status, first_us, ended_us, given, output = row
    return [
        (request_text(number), ""),
        (f"{datetime.fromtimestamp(int(str(received_us)) / 1e6, UTC):%H:%M:%S}", ""),
        *((str(name or "–"), "") for name in names),
        (str(outcome), str(outcome)),
        (str(status or "–"), "n"),
        (_seconds(first_us), "n"),
        (_seconds(ended_us), "n"),
        (f"{given:,}", "n"),
        (f"{output:,}", "n"),
    ]


def _seconds(duration_us: object) -> str:
    return "–" if duration_us is None else f"{int(str(duration_us)) / 1e6:.2f} s"
