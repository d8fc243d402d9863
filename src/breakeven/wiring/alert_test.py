"""Tries receivers of alerts: an alert that says that it is a test, and then that it is over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from breakeven.errors import InputError, UnknownNameError
from breakeven.studies.alerts import Notice
from breakeven.wiring.alert_plan import receivers_of
from breakeven.wiring.alert_send import send
from breakeven.wiring.clock import current_s

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from breakeven.wiring.alert_plan import ReceiverPlan


def try_receivers(config: Path | None, names: Sequence[str] = ()) -> tuple[tuple[ReceiverPlan, str], ...]:
    """Send a test to every receiver, or those named; return each with why it did not take it, or nothing.

    Raises ``InputError`` for settings that cannot be used or have no alerts, ``UnknownNameError`` for a receiver.
    """
    from breakeven.wiring.settings import load_settings

    settings = load_settings(config)
    entry = settings.file.alerts
    if entry is None:
        raise InputError(
            f"{settings.source} has no alerts:, so nobody is told of anything. Write alerts: to: with a receiver "
            "(docs/howto/be-alerted.md)."
        )
    for name in names:
        if name not in entry.to:
            raise UnknownNameError(f"--to {name[:80]}: alerts: to: has {', '.join(entry.to)}.")
    now_s = current_s()
    listen = settings.file.listen
    test = Notice(
        kind="spooling", subject="test", state="raised", since_s=now_s, raised_s=now_s, severity="info",
        said="This is a test of breakeven alerts: nothing is wrong.", todo="Nothing needs to be done.",
    )  # fmt: skip
    found = []
    for receiver in receivers_of(settings, entry):
        if names and receiver.name not in names:
            continue
        gateway = f"{listen.host}:{listen.port}"
        why = send(receiver, (test,), gateway, now_s, entry.every_s)
        if not why:
            why = send(receiver, (replace(test, state="over"),), gateway, now_s, entry.every_s)
        found.append((receiver, why))
    return tuple(found)
