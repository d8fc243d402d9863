"""What the routes do: keys, usage, targets, reload, the page, and that no secret comes out."""

from __future__ import annotations

import base64
import errno
import hashlib
import re
import signal
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from breakeven.console.drained import read_drained, set_drained
from breakeven.console.worker_state import WorkerState, state_path, write_state
from breakeven.ledger.keys import list_keys
from breakeven.ledger.query import Question, ask
from console.control import PATIENCE_S, TOKENS, WRONG, Control, digest, fill, plan_of, put_clock, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADMIN, OPERATOR, VIEWER = TOKENS["admin"], TOKENS["operator"], TOKENS["viewer"]
KEYS = "/control/v1/keys"
USAGE = "/control/v1/usage"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Control]:
    """A control plane of a test's own, without a ledger at first."""
    with running(plan_of(tmp_path)) as started:
        yield started


def test_a_key_is_made_and_its_secret_told_once(own: Control, tmp_path: Path) -> None:
    made = own.ask(
        "POST", KEYS, ADMIN,
        {"name": "search", "models": ["fast"], "tags": "team=a", "team": "a", "expires": "2999-01-01",
         "limits": {"requests_per_minute": 5, "day_usd": "1.50"}},
    )  # fmt: skip
    assert made.status == 201
    secret = made.json["key"]
    (stored,) = list_keys(tmp_path / "ledger.sqlite")
    assert stored.sha256 == digest(secret)
    (shown,) = own.ask("GET", KEYS, ADMIN).json["keys"]
    assert (shown["name"], shown["state"], shown["models"]) == ("search", "valid", ["fast"])
    assert shown["expires"] == "2999-01-01T00:00:00Z"
    assert (shown["limits"]["requests_per_minute"], shown["limits"]["day_usd"]) == (5, "1.50")
    told = [answer for answer in own.answered if secret.encode() in answer]
    assert len(told) == 1
    assert stored.sha256.encode() not in b"".join(own.answered)
    own.until_said("admin made the key 'search'")
    assert secret not in own.said()


def test_a_key_is_rotated_and_revoked(own: Control, tmp_path: Path) -> None:
    first = own.ask("POST", KEYS, ADMIN, {"name": "search"}).json["key"]
    second = own.ask("POST", f"{KEYS}/search/rotate", ADMIN, {"overlap_s": 60}).json["key"]
    (stored,) = list_keys(tmp_path / "ledger.sqlite")
    assert (stored.sha256, stored.former_sha256) == (digest(second), digest(first))
    third = own.ask("POST", f"{KEYS}/search/rotate", ADMIN)
    assert third.json["key"] not in (first, second)
    assert own.ask("DELETE", f"{KEYS}/search", ADMIN).json == {"name": "search", "state": "revoked"}
    (shown,) = own.ask("GET", KEYS, ADMIN).json["keys"]
    assert shown["state"] == "revoked"
    assert own.ask("DELETE", f"{KEYS}/search", ADMIN).status == 400


@pytest.mark.parametrize(
    "body",
    [{"name": ""}, {"name": "a b"}, {"name": "in use"}, {"name": "x", "expires": "2001-01-01"},
     {"name": "x", "limits": {"day_usd": "-1"}}, {"name": "x", "models": [" "]}, {"name": "x", "tags": "\n"}],
)  # fmt: skip
def test_a_key_that_cannot_be_is_refused_in_words(own: Control, body: dict[str, Any]) -> None:
    reply = own.ask("POST", KEYS, ADMIN, body)
    assert (reply.status, reply.json["error"]["code"]) == (400, "invalid_request")


def test_a_key_put_in_place_of_its_name_is_repeated_nowhere(own: Control) -> None:
    own.ask("POST", KEYS, ADMIN, {"name": "search"})
    pasted = "sk-be-pasted-by-mistake"
    assert own.ask("DELETE", f"{KEYS}/{pasted}", ADMIN).status == 404
    assert own.ask("POST", f"{KEYS}/{pasted}/rotate", ADMIN).status == 404
    assert pasted not in b"".join(own.answered).decode() + own.said()


def test_usage_is_what_the_ledger_answers(control: Control, folder: Path) -> None:
    for by in ("hour", "day", "key", "model", "target", "task", "tag:team", "key,model", ""):
        reply = control.ask("GET", f"{USAGE}?by={by}", VIEWER).json
        question = Question(by=tuple(filter(None, by.split(","))))
        expected = ask(folder / "ledger.sqlite", question)
        assert [tuple(row[label] for label in reply["by"]) for row in reply["rows"]] == [
            total.labels for total in expected
        ]
        assert [row["requests"] for row in reply["rows"]] == [total.requests for total in expected]
        assert reply["total"]["requests"] == 3
        assert reply["total"]["partial"] is True


def test_usage_can_be_chosen_ranked_and_cut(control: Control) -> None:
    chosen = control.ask("GET", f"{USAGE}?by=key&where=model=fast&where=key=search", VIEWER).json
    assert [row["key"] for row in chosen["rows"]] == ["search"]
    assert chosen["rows"][0]["cost_usd"].rstrip("0") == "0.0004"
    ranked = control.ask("GET", f"{USAGE}?by=key&order=requests&limit=1", VIEWER).json
    assert ([row["key"] for row in ranked["rows"]], ranked["left_out"]) == (["search"], 1)
    assert ranked["total"]["requests"] == 3
    past = control.ask("GET", f"{USAGE}?until=2020-01-01", VIEWER).json
    assert (past["rows"], past["total"]["requests"]) == ([], 0)


@pytest.mark.parametrize(
    "query",
    ["by=user", "by=key&by=model", "user=x", "since=yesterday", "since=2026-11-21T10:30", "where=key",
     "limit=0", "limit=100000", "limit=x", "limit=%C2%B2", "order=size", "since=2026-11-22&until=2026-11-21",
     "since=0001-01-01T00:00%2B23:59", "where=key=nobody", "by=key,model,target,task,tags,outcome,hour"],
)  # fmt: skip
def test_a_question_that_cannot_be_asked_is_refused_in_words(control: Control, query: str) -> None:
    reply = control.ask("GET", f"{USAGE}?{query}", VIEWER)
    assert reply.status == 400
    assert "--" not in reply.json["error"]["message"]


def test_before_the_first_request_there_is_nothing_and_no_error(own: Control) -> None:
    assert own.ask("GET", USAGE, VIEWER).json["rows"] == []
    assert own.ask("GET", KEYS, ADMIN).json == {"keys": [], "in_settings": ["in-file"]}
    assert own.ask("GET", "/", VIEWER).text.count("Nothing yet.") == 3


def test_a_damaged_row_is_said_and_is_nobodys_bad_request(own: Control, tmp_path: Path) -> None:
    own.ask("POST", KEYS, ADMIN, {"name": "search"})
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection, connection:
        connection.execute("UPDATE key SET models = '5'")
    reply = own.ask("GET", KEYS, ADMIN)
    assert (reply.status, reply.json["error"]["code"]) == (503, "ledger_unusable")
    assert "cannot be read as a key" in reply.json["error"]["message"]


def test_a_damaged_store_is_said_and_is_nobodys_bad_request(own: Control, tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database" * 100)
    reply = own.ask("GET", USAGE, VIEWER)
    assert (reply.status, reply.json["error"]["code"]) == (503, "ledger_unusable")
    assert own.ask("GET", KEYS, ADMIN).status == 503
    assert "no SQLite database" in own.ask("GET", "/", VIEWER).text


def test_the_settings_are_summed_up_without_secrets(control: Control) -> None:
    found = control.ask("GET", "/control/v1/config", VIEWER).json
    assert found["version"] == "9.9.9"
    assert found["targets"][0]["key"] == "env:NEAR_KEY"
    assert found["targets"][0]["headers"] == ["x-a"]
    assert found["tokens"] == [{"name": name, "role": name} for name in TOKENS]
    for token in TOKENS.values():
        assert digest(token) not in str(found)


def test_targets_are_as_their_workers_say(own: Control, tmp_path: Path) -> None:
    def states() -> list[tuple[str, int]]:
        found = own.ask("GET", "/control/v1/targets", VIEWER).json["targets"]
        return [(target["state"], target["in_flight"]) for target in found]

    assert states() == [("unknown", 0), ("unknown", 0)]
    now_s = datetime.now(UTC).timestamp()
    content = WorkerState(at_s=now_s, in_flight={"near": 3}, open={"far/1": 9.0})
    write_state(state_path(tmp_path, 0), msgspec.json.encode(content))
    assert states() == [("well", 3), ("left alone", 0)]
    assert own.ask("POST", "/control/v1/targets/far/1/drain", OPERATOR).json["state"] == "out of service"
    assert states() == [("well", 3), ("out of service", 0)]
    assert read_drained(tmp_path) == {"far/1"}
    assert own.ask("DELETE", "/control/v1/targets/far/1/drain", OPERATOR).json["state"] == "in service"
    assert read_drained(tmp_path) == frozenset()
    assert own.ask("POST", "/control/v1/targets/nowhere/drain", OPERATOR).status == 404
    own.until_said("operator took out the target far/1")


def test_a_drained_target_stays_so_over_restarts_and_a_damaged_file_drains_none(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    with running(plan) as control:
        control.ask("POST", "/control/v1/targets/near/drain", OPERATOR)
    with running(plan) as control:
        assert control.ask("GET", "/control/v1/targets", VIEWER).json["targets"][0]["state"] == "out of service"
        (tmp_path / "state" / "drained.json").write_bytes(b"{")
        assert control.ask("GET", "/control/v1/targets", VIEWER).json["targets"][0]["state"] == "unknown"


def test_a_list_that_cannot_be_read_is_not_taken_for_empty_and_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_drained(tmp_path, "near", out=True)

    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as broken:
        broken.setattr("pathlib.Path.read_bytes", fail)
        assert read_drained(tmp_path, frozenset({"near"})) == {"near"}
        with pytest.raises(OSError, match="Input/output error"):
            set_drained(tmp_path, "far/1", out=True)
    assert read_drained(tmp_path) == {"near"}
    assert read_drained(tmp_path / "nowhere", frozenset({"near"})) == frozenset()


def test_reload_checks_the_settings_and_tells_the_gateway(tmp_path: Path) -> None:
    config = tmp_path / "breakeven.yaml"
    told = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda *_: told.set())
    try:
        with running(plan_of(tmp_path), origin=f'["{config}",null,null,null]') as control:
            config.write_text("targets: {}\n")
            refused = control.ask("POST", "/control/v1/reload", OPERATOR)
            assert (refused.status, refused.json["error"]["code"]) == (422, "unusable_settings")
            assert "there are no targets" in refused.json["error"]["message"]
            assert not told.is_set()
            config.write_text("targets: {a: {url: 'http://127.0.0.1:1/v1'}}\nmodels: {m: {targets: [a]}}\n")
            assert control.ask("POST", "/control/v1/reload", OPERATOR).status == 202
            assert told.wait(PATIENCE_S)
    finally:
        signal.signal(signal.SIGHUP, before)


HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=y>\u202e"


def beside_moved(page: str) -> str:
    """Return the page without the section that comes when it is worked out."""
    rest, count = re.subn(r"<h2>Moved and proven</h2>.*?(?=<h2>)", "", page, flags=re.DOTALL)
    assert count == 1
    return rest


def test_the_page_shows_what_happened(control: Control) -> None:
    shown = control.ask("GET", "/", VIEWER)
    assert shown.headers["content-type"] == "text/html; charset=utf-8"
    text = re.sub(r"<[^>]+>", " ", shown.text)
    for word in ("near", "far/1", "search", "chat", "failed", "0.0004", "fast", "sum"):
        assert word in text
    assert beside_moved(shown.text).count("<tr>") == (1 + 2) + (1 + 1) + (1 + 2 + 1) + (1 + 3)
    assert not re.search(r"https?://(?!127)|<script|<link|<img|\bsrc=|\bhref=|\bon\w+=", shown.text)


def test_the_page_counts_the_day_that_it_is_in_utc(tmp_path: Path) -> None:
    before = datetime(2026, 11, 30, 23, 59, 30, tzinfo=UTC)
    fill(tmp_path, [{"key": "search", "target": "near", "priced_as": "p:m"}], before)
    put_clock(clock := tmp_path / "clock", before)
    with running(plan_of(tmp_path), clock=clock) as control:
        of_today = control.ask("GET", "/", VIEWER).text
        put_clock(clock, before + timedelta(minutes=1))
        of_tomorrow = control.ask("GET", "/", VIEWER).text
    assert ("2026-11-30 23:59" in of_today, "2026-12-01 00:00" in of_tomorrow) == (True, True)
    assert ("0.0002" in of_today, "0.0002" in of_tomorrow) == (True, False)
    assert "search" in of_tomorrow, "it stays among the last requests"


def test_the_style_of_the_page_is_the_one_that_its_policy_lets_in(control: Control) -> None:
    shown = control.ask("GET", "/", VIEWER)
    (style,) = re.findall(r"<style>(.*?)</style>", shown.text, re.DOTALL)
    expected = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{expected}'" in shown.headers["content-security-policy"]
    assert "default-src 'none'" in shown.headers["content-security-policy"]


def test_hostile_names_are_only_ever_text(tmp_path: Path) -> None:
    fill(tmp_path, [dict.fromkeys(("key", "task", "model", "target", "tags"), HOSTILE) for _ in range(30)])
    with running(plan_of(tmp_path, version=HOSTILE, listen=HOSTILE)) as control:
        shown = control.ask("GET", "/", VIEWER).text
        assert "<script" not in shown
        assert "<img" not in shown
        assert "\u202e" not in shown
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;" in shown
        assert beside_moved(shown).count("<tr>") == (1 + 2) + (1 + 1) + (1 + 1) + (1 + 20)
        assert HOSTILE in [row["model"] for row in control.ask("GET", USAGE, VIEWER).json["rows"]]


def test_no_secret_is_in_any_answer_or_in_the_log(own: Control, tmp_path: Path) -> None:
    secret = own.ask("POST", KEYS, ADMIN, {"name": "search"}).json["key"]
    own.answered.clear()
    fill(tmp_path, [{"key": "search", "model": "fast", "target": "near"}])
    planted = [*TOKENS.values(), WRONG, secret, "cookie-of-the-tests", "query-of-the-tests"]
    paths = ("/", "/metrics", "/control/v1/config", "/control/v1/targets", USAGE, KEYS, "/nothing", KEYS + "/x/rotate")
    for path in paths:
        for token in (*TOKENS.values(), WRONG, secret):
            for method in ("GET", "POST", "DELETE"):
                own.ask(method, path, token, Cookie="cookie-of-the-tests", X_Api_Key=secret)
        own.ask("GET", f"{path}?token=query-of-the-tests", ADMIN)
    own.send(b"GET / HTTP/1.1\r\nauthorization: Bearer %b\r\nbroken\r\n\r\n" % secret.encode())
    everything = b"".join(own.answered).decode() + own.said()
    for text in planted:
        assert text not in everything
        assert digest(text) not in everything


def test_what_fails_inside_is_said_to_the_log_alone(own: Control, tmp_path: Path) -> None:
    own.ask("POST", KEYS, ADMIN, {"name": "search"})
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection, connection:
        connection.execute("UPDATE key SET created_s = 1e12")  # a moment that no calendar has
    reply = own.ask("GET", KEYS, ADMIN)
    assert (reply.status, reply.json["error"]["code"]) == (500, "internal_error")
    assert "Traceback" not in reply.text
    own.until_said("ValueError: year")
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_it_stops_when_asked_with_success(own: Control) -> None:
    assert own.stop() == 0


def test_it_stops_when_its_parent_has_ended(tmp_path: Path) -> None:
    control = Control(plan_of(tmp_path), parent=1)
    try:
        assert control.process.wait(PATIENCE_S) == 0
    finally:
        control.end()


def test_it_waits_for_a_port_that_is_taken_and_says_so(own: Control) -> None:
    second = Control(own.plan)
    try:
        second.until_said("cannot listen on")
        second.until_said("control: port")
    finally:
        second.end()
