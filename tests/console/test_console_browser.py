"""The page in a real browser: buttons do what they say, and another site cannot press them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from breakeven.ledger.shifts import PAUSED, ROLLED_BACK, RUNNING, shift_events, shift_of
from console.browser import browsing, found_browser
from console.control import TOKENS, plan_of, running
from console.moving import begin, judge

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = found_browser()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (make test installs it where apt-get can)")


def test_an_operator_presses_buttons_and_another_site_cannot(tmp_path: Path) -> None:
    assert CHROMIUM is not None
    store = tmp_path / "ledger" / "ledger.sqlite"
    store.parent.mkdir()
    begin(store, "sort")
    judge(store, "sort", [0, 1, 0, -1] * 10)
    with running(plan_of(store.parent)) as control, browsing(CHROMIUM, tmp_path / "profile") as browser:
        ours = f"http://me:{TOKENS['operator']}@127.0.0.1:{control.plan.port}"
        browser.open(f"{ours}/", "Shift 1: chat to new")
        code = browser.run("document.querySelector('input[name=code]').value")

        elsewhere = tmp_path / "elsewhere.html"
        elsewhere.write_text(
            f'<form method=post action="{ours}/shifts/1"><input name=code value="{code}"><input name=task value=sort>'
            "<button name=do value=roll_back_now id=it>Win a prize</button></form>"
        )
        browser.open(elsewhere.as_uri(), "Win a prize")
        browser.run("document.getElementById('it').click()")
        browser.wait_for("another site had your browser send this")
        assert shift_of(store, 1).tasks[0].state == RUNNING

        browser.open(f"{ours}/", "Shift 1: chat to new")
        browser.run("document.querySelector('button[value=pause]').click()")
        browser.wait_for("A person paused it at 1 %.")
        assert shift_of(store, 1).tasks[0].state == PAUSED
        browser.run("document.querySelector('button[value=roll_back]').click()")
        browser.wait_for("To move it again takes a new shift.")
        browser.run("document.querySelector('button[value=roll_back_now]').click()")
        browser.wait_for("A person took it from 1 % to 0 %.")
        assert shift_of(store, 1).tasks[0].state == ROLLED_BACK
        events = [(event.kind, event.said_by) for event in shift_events(store, 1)]
        assert events[1:] == [("pause", "operator (control plane)"), ("roll_back", "operator (control plane)")]
