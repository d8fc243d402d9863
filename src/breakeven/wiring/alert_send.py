"""Tells receivers, each in its way, and keeps who was told what in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.ledger.notices import StoredNotice, keep_notices, read_notices
from breakeven.reports.alerts import alertmanager_body, email_of, slack_body, webhook_body
from breakeven.studies.alerts import KINDS, Notice
from breakeven.upstreams.mail import send_mail
from breakeven.upstreams.post import post

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from breakeven.wiring.alert_plan import ReceiverPlan

KEPT_S: Final = 30 * 86_400.0
"""How long what is over is remembered."""

MOST_NOTICES: Final = 1_000
"""In one message for a program; the others go with the next look."""


def send(receiver: ReceiverPlan, notices: Sequence[Notice], gateway: str, now_s: float, every_s: float) -> str:
    """Tell a receiver; return why it did not take it, or nothing where it did."""
    if receiver.server is not None:
        return send_mail(receiver.server, receiver.sender, receiver.to, email_of(notices, gateway))
    assert receiver.place is not None, "what is no mail server has an address"
    if receiver.way == "alertmanager":
        body = alertmanager_body(notices, gateway, now_s, every_s)
    else:
        body = (slack_body if receiver.way == "slack" else webhook_body)(notices, gateway)
    return post(receiver.place, body, receiver.headers)


def stored_notices(store: Path) -> tuple[Notice, ...]:
    """Return the alerts that the store knows.  Raises ``InputError`` for one that cannot be read."""
    return tuple(msgspec.json.decode(row.detail, type=Notice) for row in read_notices(store, KINDS))


def write_notices(store: Path, before: Iterable[Notice], notices: Iterable[Notice], now_s: float) -> tuple[Notice, ...]:
    """Write down what has changed, and forget what has been over for long; return what is left.

    Raises ``InputError`` for a store that cannot be written.
    """
    known = {notice.name: notice for notice in before}
    kept, gone = list[Notice](), list[Notice]()
    for notice in notices:
        is_old = notice.state == "over" and notice.since_s < now_s - KEPT_S
        (gone if is_old else kept).append(notice)
    changed = [notice for notice in kept if known.get(notice.name) != notice]
    if changed or gone:
        keep_notices(store, map(_row, changed), gone=[notice.name for notice in gone])
    return tuple(kept)


def _row(notice: Notice) -> StoredNotice:
    told_s = notice.since_s if notice.told else None
    detail = msgspec.json.encode(notice).decode()
    return StoredNotice(notice.kind, notice.subject, notice.state, notice.since_s, told_s, detail)
