"""What moves and what it brought: told over HTTP, shown on the page, and held or taken back by who may."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import threading
import time
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
import pytest

from breakeven.console.forms import form_code
from breakeven.console.looks import LASTS_S, Found, Looks
from breakeven.ledger.shifts import PAUSED, ROLLED_BACK, RUNNING, shift_events, shift_of
from breakeven.wiring.clock import current_s
from console.control import PATIENCE_S, TOKENS, Control, Reply, plan_of, running
from console.moving import SETTINGS, alert, answer, begin, judge, take_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from breakeven.clock import Timer
    from breakeven.console.looks import Look

OPERATOR, VIEWER = TOKENS["operator"], TOKENS["viewer"]
SHIFTS = "/control/v1/shifts"
HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=y>\u202e"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A ledger with a shift of two tasks, one of them judged."""
    answer(tmp_path, [True] * 30 + [False] * 10 + [None] * 5)
    store = tmp_path / "ledger.sqlite"
    begin(store, "sort", "prove")
    judge(store, "sort", [0, 0, 0, 1, 0, -1, 0, 0, 0, 0] * 20)
    return store


@pytest.fixture
def own(tmp_path: Path, store: Path) -> Iterator[Control]:
    """A control plane over that ledger."""
    del store
    (tmp_path / "breakeven.yaml").write_text(SETTINGS)
    with running(plan_of(tmp_path), origin=f'["{tmp_path}/breakeven.yaml",null,null,null]') as started:
        yield started


def known(control: Control, what: str) -> Any:
    """Ask until it is worked out."""
    until = time.monotonic() + PATIENCE_S
    while (reply := control.ask("GET", f"/control/v1/{what}", VIEWER).json)["state"] == "working":
        assert time.monotonic() < until, control.said()
        time.sleep(0.05)
    return reply


def basic(token: str) -> str:
    return "Basic " + base64.b64encode(f"me:{token}".encode()).decode()


def press(control: Control, token: str, **fields: str) -> Reply:
    """Press a button as a browser does; ``number`` is the shift's."""
    return control.ask(
        "POST", f"/shifts/{fields.pop('number', '1')}", body=urlencode(fields).encode(), Authorization=basic(token),
        Content_Type="application/x-www-form-urlencoded", Sec_Fetch_Site="same-origin",
    )  # fmt: skip


def code_of(control: Control, task: str, token: str = OPERATOR) -> str:
    """The code of a task's form on the page."""
    shown = control.ask("GET", "/", Authorization=basic(token)).text
    found = re.search(rf'name=code value="(\w+)"><input type=hidden name=task value="{task}"', shown)
    assert found is not None
    return found[1]


def test_shifts_are_told_with_what_is_known_and_how_many_pairs_it_takes_still(own: Control, store: Path) -> None:
    take_back(store, begin(store, "*", model="docs"))
    take_back(store, begin(store, "*", model="old"), ago_s=9 * 86_400)
    first, second = known(own, "shifts")["shifts"]
    assert (first["shift"], first["model"], first["target"], first["ended"]) == (1, "chat", "new", None)
    sort, prove = first["tasks"]
    assert (sort["state"], sort["share_fraction"], sort["next_share_fraction"]) == (RUNNING, 0.01, 0.05)
    assert (sort["pairs"], sort["would"]) == (200, "hold")
    assert "over 200 pairs (20 % differ)" in sort["words"]
    assert 100 < sort["pairs_needed"] <= sort["pairs_needed_high"]
    assert "no pair was judged yet" in prove["words"]
    (ended,) = second["tasks"]
    assert (second["model"], ended["state"], ended["share_fraction"]) == ("docs", ROLLED_BACK, 0)
    assert (ended["words"], ended["last"]["by"]) == ("Rolled back from 1 %: it was worse.", "test")


def test_a_shift_is_paused_resumed_and_taken_back_in_the_name_of_who_asked(own: Control, store: Path) -> None:
    done = own.ask("POST", f"{SHIFTS}/1/pause", OPERATOR, {"task": "sort"})
    assert (done.status, done.json) == (200, {"shift": 1, "done": ["sort: A person paused it at 1 %."]})
    assert [step.state for step in shift_of(store, 1).tasks] == [PAUSED, RUNNING]
    assert own.ask("POST", f"{SHIFTS}/1/resume", OPERATOR).json["done"][0] == "sort: A person resumed it at 1 %."
    assert own.ask("POST", f"{SHIFTS}/1/rollback", TOKENS["admin"]).status == 200
    assert shift_of(store, 1).ended_s is not None
    events = [(event.task, event.kind, event.said_by) for event in shift_events(store, 1)][2:]
    assert events == [
        ("sort", "pause", "operator (control plane)"),
        ("sort", "resume", "operator (control plane)"),
        ("sort", "roll_back", "admin (control plane)"),
        ("prove", "roll_back", "admin (control plane)"),
    ]
    own.until_said("operator told shift 1, task 'sort': pause")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("2/pause", None, (404, "unknown_shift")),
        ("x/pause", None, (404, "unknown_shift")),
        ("9999999999/pause", None, (404, "unknown_shift")),
        ("1/pause", {"task": "nothing"}, (404, "unknown_shift")),
        ("1/resume", None, (409, "not_changed")),
        ("1/pause", {"what": "sort"}, (400, "invalid_body")),
    ],
)
def test_what_cannot_be_done_to_a_shift_is_refused_in_words(
    own: Control, path: str, body: Any, expected: tuple[int, str]
) -> None:
    reply = own.ask("POST", f"{SHIFTS}/{path}", OPERATOR, body)
    assert (reply.status, reply.json["error"]["code"]) == expected


def test_outcomes_savings_break_even_and_alerts_are_told(own: Control, store: Path) -> None:
    alert(store)
    alert(store, subject="key chat", state="over")
    (row,) = known(own, "outcomes")["rows"]
    assert {name: row[name] for name in ("task", "target", "good", "bad", "unknown")} == {
        "task": "sort", "target": "new", "good": 30, "bad": 10, "unknown": 5,
    }  # fmt: skip
    assert row["usd_per_success"] == pytest.approx(0.0002 * 40 / 30)  # each costs 100 tokens at 1 and 10 at 10 USD/Mtok
    saved = known(own, "savings")
    if saved["trouble"] is None:  # in the first hours of a month there is nothing to tell
        (against,) = saved["savings"]["against"]
        assert against["against"] == "today"
        assert against["said"].startswith("Against today:")
    else:
        assert "is over yet" in saved["trouble"]
    (found,) = [item["subject"] for item in own.ask("GET", "/control/v1/alerts", VIEWER).json["alerts"]]
    assert found == "key search"
    assert "no whole day" in known(own, "outlook")["trouble"]


def test_break_even_is_told_of_each_pool_once_there_is_a_whole_day(tmp_path: Path) -> None:
    answer(tmp_path, [True] * 3, received_us=int((current_s() - 3 * 86_400) * 1e6))
    (tmp_path / "breakeven.yaml").write_text(SETTINGS)
    with running(plan_of(tmp_path), origin=f'["{tmp_path}/breakeven.yaml",null,null,null]') as control:
        (pool,) = known(control, "outlook")["pools"]
        assert (pool["pool"], pool["virtual"], pool["needed_mtok_per_month"]) == ("llama", False, None)
        assert pool["said"] in unescape(control.ask("GET", "/", VIEWER).text)


def test_the_page_shows_it_and_buttons_to_those_who_may_press_them(own: Control, store: Path) -> None:
    alert(store)
    for what in ("shifts", "outcomes", "savings"):
        known(own, what)
    shown = own.ask("GET", "/", VIEWER).text
    text = unescape(re.sub(r"<[^>]+>", " ", shown))
    for words in (
        "1 alert open", "has used 83 %", "Shift 1: chat to new", "over 200 pairs", "no pair was judged yet", "0.00027",
        "Worked out",
    ):  # fmt: skip
        assert words in text
    assert "<form" not in shown
    assert own.ask("GET", "/", OPERATOR).text.count("<form") == 2
    assert "form-action 'self'" in own.ask("GET", "/", VIEWER).headers["content-security-policy"]


def test_a_button_pauses_and_resumes_and_rolling_back_is_asked_for_twice(own: Control, store: Path) -> None:
    code = code_of(own, "sort")
    paused = press(own, OPERATOR, code=code, task="sort", do="pause")
    assert (paused.status, "Shift 1, sort: A person paused it at 1 %." in paused.text) == (200, True)
    assert 'content="15;url=/"' in paused.text
    assert "<button name=do value=resume>Resume</button>" in paused.text
    assert press(own, OPERATOR, code=code, task="sort", do="resume").status == 200
    asked = press(own, OPERATOR, code=code, task="sort", do="roll_back")
    assert "value=roll_back_now" in asked.text
    assert "http-equiv=refresh" not in asked.text
    assert shift_of(store, 1).tasks[0].state == RUNNING
    assert "Nothing is changed." in press(own, OPERATOR, code=code, task="sort", do="nothing").text
    assert press(own, OPERATOR, code=code, task="sort", do="roll_back_now").status == 200
    assert [step.state for step in shift_of(store, 1).tasks] == [ROLLED_BACK, RUNNING]
    again = press(own, OPERATOR, code=code, task="sort", do="pause")
    assert (again.status, "Nothing is changed." in again.text) == (409, True)
    assert {event.said_by for event in shift_events(store, 1)} == {"ann", "operator (control plane)"}


def test_a_form_that_is_not_of_the_page_changes_nothing(own: Control, store: Path) -> None:
    code = code_of(own, "sort")
    before = shift_of(store, 1)
    fields = {"code": code, "task": "sort", "do": "pause"}
    form = {"Content_Type": "application/x-www-form-urlencoded", "Authorization": basic(OPERATOR)}
    assert press(own, OPERATOR, **fields | {"code": ""}).status == 403
    assert press(own, OPERATOR, **fields | {"code": "\u20ac"}).status == 403
    assert press(own, OPERATOR, **fields | {"task": "prove"}).status == 403
    assert press(own, OPERATOR, **fields | {"number": "2"}).status == 403
    assert press(own, TOKENS["admin"], **fields).status == 403
    assert press(own, VIEWER, **fields).status == 403
    assert press(own, OPERATOR, **fields | {"do": "promote"}).status == 400
    for site in ("cross-site", "same-site", "none"):
        reply = own.ask("POST", "/shifts/1", body=urlencode(fields).encode(), Sec_Fetch_Site=site, **form)
        assert (reply.status, reply.json["error"]["code"]) == (403, "other_site")
    assert own.ask("POST", "/shifts/1", OPERATOR, fields).status == 415
    assert own.ask("POST", "/shifts/1", body=b"no form", **form).status == 400
    assert shift_of(store, 1) == before


def test_a_code_is_of_one_caller_and_one_thing() -> None:
    codes = {
        form_code(secret, *what)
        for secret in (b"a" * 32, b"b" * 32)
        for what in (("ann", "1", "sort"), ("ann", "1s", "ort"), ("an", "n1", "sort"), ("ann", "1sort"))
    }
    assert len(codes) == 8


def test_hostile_names_are_only_ever_text(tmp_path: Path) -> None:
    answer(tmp_path, [True, False], key="k", model=HOSTILE, task=HOSTILE, target=HOSTILE)
    store = tmp_path / "ledger.sqlite"
    begin(store, HOSTILE, model=HOSTILE)
    alert(store, subject=HOSTILE, said=HOSTILE, todo=HOSTILE)
    with running(plan_of(tmp_path)) as control:
        assert known(control, "outcomes")["rows"][0]["task"] == HOSTILE
        assert known(control, "shifts")["shifts"][0]["model"] == HOSTILE
        shown = control.ask("GET", "/", OPERATOR).text
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;" in shown


def test_nothing_heavy_is_loaded_into_the_control_plane_even_by_a_change(tmp_path: Path) -> None:
    check = (
        "import sys, breakeven.wiring.console, breakeven.console.app, breakeven.console.server, breakeven.wiring.shift,"
        "breakeven.trials.progress;"
        "print([m for m in ('numpy', 'pandas', 'scipy', 'pyarrow', 'ibis', 'pydantic', 'yaml') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert shown.stdout.strip() == "[]"


def test_without_the_extra_for_planning_it_says_what_to_install(tmp_path: Path, store: Path) -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from breakeven.wiring.console_looks import main\n"
        "from breakeven.console.looks import LOOKS\n"
        f"main('[null,null,null,null]', {str(store)!r}, {str(tmp_path)!r}, LOOKS)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=tmp_path)
    found = [msgspec.json.decode(line, type=Found) for line in done.stdout.splitlines()]
    assert [item.look for item in found] == ["shifts", "outcomes", "savings", "outlook"]
    assert [item.trouble for item in found[:2]] == ["", ""]
    assert "numpy, which the core install leaves out: pip install 'breakeven[plan]'" in found[3].trouble


class _Hands:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.at_s = 1_000.0

    def now(self) -> float:
        return self.at_s

    def monotonic(self) -> float:
        return self.at_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        raise NotImplementedError


class _Slow:
    """Works out looks when it is let."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[list[Look]] = []
        self.goes = threading.Semaphore(0)
        self.done = threading.Semaphore(0)
        self.fails = fails

    def __call__(self, looks: Sequence[Look]) -> Iterable[bytes]:
        self.asked.append(list(looks))
        assert self.goes.acquire(timeout=PATIENCE_S)
        if not self.fails:
            yield from (msgspec.json.encode(Found(look=look, at_s=1.0, took_s=2.0)) for look in looks)
        self.done.release()


def _until(looks: Looks, look: Look) -> Found:
    until = time.monotonic() + PATIENCE_S
    while look not in (found := looks.get(look)):
        assert time.monotonic() < until
        time.sleep(0.005)
    return found[look]


def test_nobody_waits_for_what_takes_long_and_it_is_kept_as_long_as_it_lasts() -> None:
    slow, clock = _Slow(), _Hands()
    looks = Looks(slow, clock)
    assert looks.get("savings") == {}
    assert looks.get("savings", "outlook") == {}
    slow.goes.release(9)
    assert _until(looks, "savings").took_s == 2.0
    assert _until(looks, "outlook").took_s == 2.0
    assert sorted(look for batch in slow.asked for look in batch) == ["outlook", "savings"]
    before = len(slow.asked)
    assert all(slow.done.acquire(timeout=PATIENCE_S) for _ in range(before))
    clock.at_s += LASTS_S["savings"]
    assert set(looks.get("savings", "outlook")) == {"savings", "outlook"}
    assert slow.done.acquire(timeout=PATIENCE_S)
    assert slow.asked[before:] == [["savings"]]
    looks.forget("savings")
    looks.get("savings")
    assert slow.done.acquire(timeout=PATIENCE_S)
    assert slow.asked[before:] == [["savings"], ["savings"]]


def test_what_could_not_be_worked_out_says_so_and_is_not_asked_for_all_the_time() -> None:
    slow = _Slow(fails=True)
    looks = Looks(slow, _Hands())
    slow.goes.release(9)
    assert "the log says why" in _until(looks, "shifts").trouble
    assert looks.get("shifts")["shifts"].trouble
    assert slow.asked == [["shifts"]]


def test_what_ends_before_it_has_found_all_is_in_the_log(tmp_path: Path) -> None:
    answer(tmp_path, [True])
    with running(plan_of(tmp_path), origin="no JSON") as control:
        assert "the log says why" in known(control, "outcomes")["trouble"]
        until = time.monotonic() + PATIENCE_S
        while "could not all be worked out: exit code 1" not in control.said():
            assert time.monotonic() < until, control.said()
            time.sleep(0.02)
