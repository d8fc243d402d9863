"""Looks for what somebody should be told of, follows it, and tells: the rounds of the process that alerts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from breakeven.errors import InputError
from breakeven.studies.alerts import Notice, follow, tellings, told
from breakeven.wiring.alert_looks import Looks
from breakeven.wiring.alert_send import MOST_NOTICES, send, stored_notices, write_notices

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.wiring.alert_plan import AlertsPlan, ReceiverPlan

_log = logging.getLogger("breakeven.alerts")


class Alerting:
    """Looks, follows and tells, one round at a time."""

    def __init__(self, plan: AlertsPlan) -> None:
        self._plan = plan
        self._store = Path(plan.store)
        self._looks = Looks(plan)
        self._stored: tuple[Notice, ...] = ()
        self._has_read = False
        self._troubles: dict[str, str] = {}
        self.notices: tuple[Notice, ...] = ()
        """What is known, in the store or, where that cannot be written, here alone."""

    def round(self, now_s: float) -> None:
        """Look once, tell whoever has not been told, and write it down."""
        self._read()
        self.notices = follow(self.notices, self._looks.look(now_s), now_s)
        for kind, why in self._looks.trouble.items():
            self._say(f"look at {kind}", why)
        self._write(now_s)  # before it is told, so that what follows from the last look is not lost with this process
        for receiver in self._plan.receivers:
            self._tell(receiver, now_s)
        self._write(now_s)

    def _tell(self, receiver: ReceiverPlan, now_s: float) -> None:
        due = tellings(self.notices, {receiver.name: receiver.only})
        news = due[0].notices[:MOST_NOTICES] if due else ()
        sent = news
        if receiver.way == "alertmanager":
            sent = (*news, *_lasting(self.notices, receiver, news))[:MOST_NOTICES]
        if not sent:
            return
        why = send(receiver, sent, self._plan.gateway, now_s, self._plan.every_s)
        self._say(f"tell {receiver.name}, {receiver.shown}", why)
        if not why and due:
            self.notices = told(self.notices, due[0]._replace(notices=news))

    def _read(self) -> None:
        if self._has_read or not self._store.is_file():
            return
        try:
            self._stored = stored_notices(self._store)
        except (InputError, msgspec.MsgspecError) as error:
            self._say("read what was told before", str(error))
            return
        known = {notice.name for notice in self.notices}
        self.notices = (*self.notices, *(notice for notice in self._stored if notice.name not in known))
        self._has_read = True

    def _write(self, now_s: float) -> None:
        if not self._store.is_file():
            return
        try:
            self.notices = self._stored = write_notices(self._store, self._stored, self.notices, now_s)
        except InputError as error:
            self._say("write down what was told", str(error))
        else:
            self._say("write down what was told", "")

    def _say(self, what: str, why: str) -> None:
        """Tell the log what is new: that something cannot be done, once, and that it can again."""
        before = self._troubles.get(what, "")
        self._troubles[what] = why
        if why and why != before:
            _log.error("Alerts cannot %s: %s. It is tried again, and told when it works.", what, why.rstrip("."))
        elif before and not why:
            _log.warning("Alerts can %s again.", what)


def _lasting(notices: Iterable[Notice], receiver: ReceiverPlan, news: tuple[Notice, ...]) -> tuple[Notice, ...]:
    """Return what lasts and was told: an Alertmanager forgets what is not said again."""
    new = {notice.name for notice in news}
    return tuple(
        notice
        for notice in notices
        if notice.state == "raised" and notice.name not in new and (not receiver.only or notice.kind in receiver.only)
    )
