"""Notices as receivers take them: a webhook's JSON, a Slack message, an e-mail, alerts of an Alertmanager.

Nothing of a request's content is in them: names of keys, models and pools, and figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.reports.words import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.studies.alerts import Notice

MOST_SHOWN: Final = 20
"""In one message for people; the others are counted."""

_SLACK_MARKS: Final = {"critical": ":rotating_light:", "warning": ":warning:", "info": ":information_source:"}
_OVER: Final = "over"
_EVENT_S: Final = 86_400.0


def record_of(notice: Notice) -> dict[str, object]:
    """Return a notice as JSON has it."""
    return {
        "kind": notice.kind,
        "subject": notice.subject,
        "state": notice.state,
        "severity": notice.severity,
        "said": notice.said,
        "do": notice.todo,
        "since": moment(notice.since_s),
        "raised": moment(notice.raised_s),
        "figures": notice.figures,
    }


def webhook_body(notices: Sequence[Notice], gateway: str) -> bytes:
    """Return what a webhook is sent: ``{"source": "breakeven", "gateway": …, "alerts": [{"kind": …}, …]}``."""
    said = {"source": "breakeven", "gateway": gateway, "alerts": [record_of(notice) for notice in notices]}
    return msgspec.json.encode(said)


def slack_body(notices: Sequence[Notice], gateway: str) -> bytes:
    """Return a message for a Slack incoming webhook; names cannot mention people or open links in it."""
    lines = [f"*Breakeven* on {_quiet(gateway)}"]
    for notice in notices[:MOST_SHOWN]:
        mark = ":white_check_mark: over:" if notice.state == _OVER else _SLACK_MARKS[notice.severity]
        todo = f"\n    {notice.todo}" if notice.todo and notice.state != _OVER else ""
        lines.append(f"{mark} {_quiet(notice.said)}{_quiet(todo)}")
    return msgspec.json.encode({"text": "\n".join([*lines, *_rest(notices)])})


def email_of(notices: Sequence[Notice], gateway: str) -> tuple[str, str]:
    """Return subject and text of a mail."""
    raised = [notice for notice in notices if notice.state != _OVER]
    first = (raised or notices)[0]
    what = f"{first.kind.replace('_', ' ')}, {first.subject}" if len(notices) == 1 else f"{len(notices)} alerts"
    subject = f"[breakeven] {what}{'' if raised else ' (over)'}"
    lines = [f"Gateway: {gateway}", ""]
    for notice in notices[:MOST_SHOWN]:
        word = "OVER" if notice.state == _OVER else notice.severity.upper()
        lines += [f"{word}  {notice.kind.replace('_', ' ')}: {notice.subject}", f"  {notice.said}"]
        if notice.todo and notice.state != _OVER:
            lines.append(f"  {notice.todo}")
        lines += [f"  Since {moment(notice.since_s)}.", ""]
    return subject[:200], "\n".join([*lines, *_rest(notices)])


def alertmanager_body(notices: Sequence[Notice], gateway: str, now_s: float, every_s: float) -> bytes:
    """Return alerts for ``POST /api/v2/alerts``.

    One that lasts is sent again at every look, and ends by itself when it is not for four of them, as when the gateway
    has stopped; what merely happened lasts a day.
    """
    return msgspec.json.encode([_alert(notice, gateway, now_s, every_s) for notice in notices])


def _alert(notice: Notice, gateway: str, now_s: float, every_s: float) -> dict[str, object]:
    ends_s = now_s + max(4 * every_s, 300.0)
    if notice.state == _OVER:
        ends_s = notice.since_s
    elif notice.is_event:
        ends_s = notice.raised_s + _EVENT_S
    return {
        "labels": {
            "alertname": "Breakeven" + notice.kind.title().replace("_", ""),
            "severity": notice.severity,
            "subject": notice.subject,
            "gateway": gateway,
        },
        "annotations": {"summary": notice.said, "description": notice.todo},
        "startsAt": moment(notice.raised_s),
        "endsAt": moment(ends_s),
    }


def _quiet(text: str) -> str:
    """Return a text in which nothing is markup: Slack wants these three escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _rest(notices: Sequence[Notice]) -> list[str]:
    more = len(notices) - MOST_SHOWN
    return [f"… and {more:,} more: breakeven alerts list"] if more > 0 else []
