"""``breakeven shadow replay`` as live shadowing does it: the user's own check of both answers, and streams."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.ledger.ids import pair_name
from breakeven.ledger.pairs import CHECK, EXACT, Which, stored_checks, stored_pairs
from gateway import answers, payloads
from gateway.replayed import answering, number_of, replay, requests, run
from gateway.scripted import scripted_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from breakeven.ledger.pairs import PairCheck
    from gateway.answers import Answer
    from gateway.scripted import Call, ScriptedUpstream

SECRET = "sk-of-the-check-of-these-tests"  # noqa: S105 - of servers that live for these tests
LABELS = '{"label": "%s"}'
GAP_S = 0.04


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as opened:
        yield opened


@pytest.fixture(autouse=True)
def scripts(upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECK_KEY", SECRET)
    upstream.script("today", answering())
    upstream.script("next", answering(wrong_every=4))
    upstream.script("check", sure)
    upstream.script("other", answers.whole({"ok": True}))


def sure(call: Call) -> None:
    """Say how sure an answer is of itself; an empty one is none."""
    answer = call.json["answer"]
    said: dict[str, Any] = {"ok": bool(answer)}
    if "unsure" in answer:
        said["score"] = 0.25
    answers.whole(said)(call)


def found_checks(path: Path, name: str = CHECK) -> dict[int, PairCheck]:
    store = path.parent / "ledger" / "ledger.sqlite"
    return {scored.check.request_id: scored.check for scored in stored_checks(store, Which(), name)}


def questions(upstream: ScriptedUpstream, place: str = "check") -> list[dict[str, Any]]:
    """What a check was asked of answers, without what it was asked before anybody answered."""
    return [call.json for call in upstream.calls(place) if call.json["answer"]]


def report_of(found: Any) -> dict[str, Any]:
    (report,) = json.loads(found.stdout)["comparisons"]
    return dict(report)


def measured(report: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((item for item in report["measured"] if item["name"] == name), None)


# The check


def test_a_check_says_of_both_answers_what_they_are_worth_and_decides(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    path = requests(tmp_path, 20)
    found = replay(upstream, path, "--check-url", upstream.url("check"), "--check", "check", "--json")
    report = report_of(found)
    check = next(item for item in report["checks"] if item["name"] == "check")
    assert (check["pairs_count"], check["incumbent_score"]) == (20, 1.0)
    assert check["candidate_score"] == pytest.approx((15 + 5 * 0.25) / 20)
    assert report["tested"]["check"] == "check"
    assert report["tested"]["mean_score"] == pytest.approx(-5 * 0.75 / 20)
    scores = sorted((item.incumbent_score, item.candidate_score) for item in found_checks(path).values())
    assert scores == [(1.0, 0.25)] * 5 + [(1.0, 1.0)] * 15


def test_a_check_is_asked_as_live_with_the_request_and_the_name_of_the_pair(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    path = requests(tmp_path, 1)
    replay(upstream, path, "--check-url", upstream.url("check"), "--check-key", "env:CHECK_KEY")
    trial, *asked = (call.json for call in upstream.calls("check"))
    (pair,) = stored_pairs(tmp_path / "ledger" / "ledger.sqlite")
    assert trial["answer"] == ""
    assert [item["answer"] for item in asked] == [LABELS % "spam"] * 2
    for item in asked:
        assert set(item) == {"request_id", "model", "task", "answer", "request"}
        assert (item["request_id"], item["model"], item["task"]) == (pair_name(pair.request_id), "gpt-4o", "triage")
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Is this spam? 1"}]}
        assert json.loads(item["request"]) == body
    assert {call.headers["authorization"] for call in upstream.calls("check")} == {f"Bearer {SECRET}"}
    assert {call.headers.get("authorization") for call in upstream.calls("next")} == {None}


def test_what_is_compared_is_not_shown_to_the_check_again(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    path = requests(tmp_path, 12)
    words = ["--check-url", upstream.url("check")]
    replay(upstream, path, *words, "--max-pairs", 5)
    assert len(questions(upstream)) == 10
    replay(upstream, path, *words)
    assert len(questions(upstream)) == 24
    before = len(upstream.calls("check"))
    assert "0 pairs compared, 12 were known" in replay(upstream, path, *words).stderr
    assert len(upstream.calls("check")) == before  # there was nothing to try it with


def test_a_check_that_goes_away_leaves_its_word_out_and_the_pair_as_it_is(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    def now_and_then(call: Call) -> None:
        request = json.loads(call.json["request"])
        is_away = int(request["messages"][0]["content"].split()[-1]) > 6
        (answers.failure(503) if is_away and "unsure" in call.json["answer"] else sure)(call)

    upstream.script("check", now_and_then)
    path = requests(tmp_path, 12)
    found = replay(upstream, path, "--check-url", upstream.url("check"))
    assert "Your own check said nothing of 2 pairs (status 503)" in found.stderr
    assert (len(found_checks(path)), len(found_checks(path, EXACT))) == (10, 12)
    assert "12 pairs compared" in found.stderr


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (answers.failure(404), "status 404"),
        (answers.whole({"good": True}), 'is not {"ok": true} or {"ok": false}'),
        (answers.silent, "no answer within 0.2 s"),
        (answers.close, "closed before the answer was whole"),
        (answers.raw(b"220 mail.example ESMTP\r\n\r\n"), "speaks no HTTP"),
    ],
)
def test_a_check_that_is_none_is_told_before_a_model_is_asked(
    upstream: ScriptedUpstream, tmp_path: Path, check: Answer, said: str
) -> None:
    upstream.script("check", check)
    words = ["--check-url", upstream.url("check"), "--check-timeout", "0.2"]
    told = replay(upstream, requests(tmp_path, 3), *words, refused=True)
    assert said in told
    assert "No model was asked" in told
    assert (upstream.calls("today"), upstream.calls("next")) == ([], [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--check-url", "http://127.0.0.1:1/check"], "your check at 127.0.0.1:1 was asked"),
        (["--check-url", "127.0.0.1:8000"], "--check-url: the check could not be asked: a URL begins with http"),
        (["--check-url", "http://u:p@127.0.0.1/"], "credentials do not stand in a URL"),
        (["--check-url", "http://h/", "--check-timeout", "900"], "--check-timeout: the check could not be asked"),
        (["--check-url", "http://h/", "--check-key", SECRET], "takes the name of a secret"),
        (["--check-url", "env:NOT_THERE_AT_ALL"], "NOT_THERE_AT_ALL is not set"),
        (["--check-url", "https://h/", "--ca-file", "nowhere.pem"], "--check-url: the check could not be asked"),
        (["--check-key", "env:CHECK_KEY"], "goes to the check that --check-url names"),
    ],
)
def test_a_check_that_cannot_be_asked_is_refused_in_words(
    upstream: ScriptedUpstream, tmp_path: Path, words: list[str], said: str
) -> None:
    told = replay(upstream, requests(tmp_path, 2), *words, refused=True)
    assert said in told
    assert SECRET not in told
    assert upstream.calls("today") == []


def test_data_that_is_marked_goes_to_no_check_elsewhere_unasked(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    path = requests(tmp_path, 2, sensitivity="local-only")
    found = replay(upstream, path, "--check-url", "http://192.0.2.1:9/check", "--check-timeout", "0.2")
    assert "2 are marked with a sensitivity and were not sent" in found.stderr
    assert upstream.calls("today") == []
    replay(upstream, path, "--check-url", upstream.url("check"))  # all are on this machine
    assert len(questions(upstream)) == 4


# The check of the settings


def configured(folder: Path, upstream: ScriptedUpstream, **trials: Any) -> list[object]:
    """Write settings, whose target lacks its key, and return the words that name them."""
    config = folder / "breakeven.yaml"
    targets = {
        "big": {"url": upstream.url("today"), "key": "env:NOT_THERE_AT_ALL"},
        "small": {"url": upstream.url("x")},
    }
    models = {"gpt-4o": {"targets": ["big"]}}
    written = {"targets": targets, "models": models, "ledger": {"folder": "ledger"}, "trials": trials}
    config.write_text(json.dumps(written))
    return ["--config", config, "--candidate-as", "small"]


def test_the_check_of_the_settings_is_asked_as_for_live_pairs(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    of_all = {"url": upstream.url("other")}
    of_one = {"url": upstream.url("check"), "key": "env:CHECK_KEY"}
    shadow = {"model": "gpt-4o", "candidate": "small", "share": 0.1, "check": of_one}
    words = configured(tmp_path, upstream, check=of_all, shadows=[shadow])
    path = requests(tmp_path, 3)
    found = replay(upstream, path, *words)
    assert "Your own check is asked as breakeven.yaml:1 trials.shadows.0.check says" in found.stderr
    assert len(questions(upstream)) == 6
    assert upstream.calls("check")[0].headers["authorization"] == f"Bearer {SECRET}"
    replay(upstream, path, *words[:2], "--candidate-as", "another")
    assert len(questions(upstream, "other")) == 6
    replay(upstream, path, *words[:2], "--candidate-as", "a third", "--without-check")
    replay(upstream, path, *words[:2], "--candidate-as", "a fourth", "--check-url", upstream.url("check"))
    assert (len(questions(upstream)), len(questions(upstream, "other"))) == (12, 6)


def test_the_check_of_the_settings_sees_what_they_let_it_see(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    words = configured(tmp_path, upstream, check={"url": upstream.url("check"), "sensitivities": ["internal"]})
    path = requests(tmp_path, 3)
    marks = ["", "internal", "secret"]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    marked = [json.dumps(line | {"sensitivity": mark}) for line, mark in zip(lines, marks, strict=True)]
    path.write_text("\n".join(marked))
    found = replay(upstream, path, *words)
    assert "may not see 1 pairs, by their sensitivity" in found.stderr
    assert sorted(json.loads(item["request"])["messages"][0]["content"] for item in questions(upstream)) == [
        "Is this spam? 1", "Is this spam? 1", "Is this spam? 2", "Is this spam? 2",
    ]  # fmt: skip
    assert len(stored_pairs(tmp_path / "ledger" / "ledger.sqlite")) == 3


def test_a_check_of_the_settings_whose_key_is_missing_is_told_at_once(
    upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHECK_KEY")
    words = configured(tmp_path, upstream, check={"url": upstream.url("check"), "key": "env:CHECK_KEY"})
    said = replay(upstream, requests(tmp_path, 2), *words, refused=True)
    assert "breakeven.yaml:1 trials.check.key" in said
    assert "CHECK_KEY is not set" in said
    assert upstream.calls("today") == []
    replay(upstream, requests(tmp_path, 2), *words, "--without-check")


# Streams


def streaming(*, gap_s: float = 0.0, told: bool = True, done: bool = True) -> Answer:
    """Answer as events where that is asked for, a word at a time."""

    def answer(call: Call) -> None:
        usage = payloads.usage(100, 8) if told else None
        text = LABELS % ("spam" if number_of(call) % 2 else "ham")
        first, *last = payloads.stream(0, usage, done=done)
        events = [first, *(payloads.event(payloads.chunk({"content": piece})) for piece in text.split(" ")), *last]
        whole = answers.whole(payloads.completion(text, usage=payloads.usage(100, 8)))
        answers.either(whole, answers.stream(events, gap_s=gap_s))(call)

    return answer


def test_times_to_the_first_byte_are_compared_where_both_stream(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", streaming())
    upstream.script("next", streaming(gap_s=GAP_S))
    path = requests(tmp_path, 6)
    report = report_of(replay(upstream, path, "--json"))
    first, whole = measured(report, "first byte"), measured(report, "whole answer")
    assert first is not None
    assert whole is not None
    assert first["pairs_count"] == whole["pairs_count"] == 6
    assert whole["candidate_value"] > 4 * GAP_S > GAP_S > first["candidate_value"]
    assert whole["candidate_value"] > whole["incumbent_value"] + 3 * GAP_S
    exact = next(item for item in report["checks"] if item["name"] == "exact")
    assert exact["candidate_score"] == 1.0  # what came in pieces is one text again
    output = measured(report, "output")
    assert output is not None
    assert (output["incumbent_value"], output["candidate_value"]) == (8, 8)
    assert {call.json["stream_options"]["include_usage"] for call in upstream.calls("next")} == {True}
    again = tmp_path / "again"
    again.mkdir()
    report = report_of(replay(upstream, requests(again, 2), "--whole", "--json"))
    assert measured(report, "first byte") is None
    assert measured(report, "whole answer") is not None


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (answers.failure(400), "gpt-4o-mini: HTTP 400: scripted failure 400"),
        (streaming(told=False), "gpt-4o-mini: its streams tell no usage"),
        (streaming(done=False), "gpt-4o-mini: ended_without_done"),
    ],
)
def test_who_has_no_stream_to_give_is_asked_for_the_whole(
    upstream: ScriptedUpstream, tmp_path: Path, refusal: Answer, said: str
) -> None:
    upstream.script("today", streaming())
    upstream.script("next", answers.either(streaming(), refusal))
    found = replay(upstream, requests(tmp_path, 5), "--json")
    report = report_of(found)
    assert (report["pairs_count"], report["candidate_failures_count"]) == (5, 0)
    assert measured(report, "first byte") is None
    output = measured(report, "output")
    assert output is not None
    assert (output["pairs_count"], output["candidate_value"]) == (5, 8)
    assert f"Asked for whole answers, so that times to the first byte are not compared: {said}" in found.stderr
    assert [call.json["stream"] for call in upstream.calls("next")] == [True] + [False] * 5


def test_a_stream_that_breaks_off_is_a_failure_of_one_that_streams(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", streaming())
    upstream.script("next", streaming(), streaming(done=False), streaming())
    report = report_of(replay(upstream, requests(tmp_path, 3), "--concurrency", 1, "--json"))
    assert report["failures"] == [["ended_without_done", 1]]
    assert len(upstream.calls("next")) == 3
    first = measured(report, "first byte")
    assert first is not None
    assert first["pairs_count"] == 2


def test_a_request_that_nobody_answers_is_a_failure_and_no_matter_of_streams(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    upstream.script("today", streaming())
    upstream.script("next", answers.failure(400), answers.failure(400), streaming())
    found = replay(upstream, requests(tmp_path, 3), "--concurrency", 1, "--json")
    report = report_of(found)
    assert report["failures"] == [["http_400", 1]]
    first = measured(report, "first byte")
    assert first is not None
    assert first["pairs_count"] == 2
    assert "Asked for whole answers" not in found.stderr


def test_recorded_answers_have_no_first_byte_to_compare_with(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("next", streaming())
    path = requests(tmp_path, 2, response=payloads.completion(LABELS % "ham"), ttft_s=0.1)
    ledger = tmp_path / "ledger"
    words = ["--candidate", "small", "--base-url", upstream.url("next"), "--ledger", ledger, "--json"]
    report = report_of(run("replay", path, *words))
    assert [call.json["stream"] for call in upstream.calls("next")] == [False, False]
    assert measured(report, "first byte") is None
    with closing(sqlite3.connect(ledger / "ledger.sqlite")) as store:
        assert store.execute("SELECT count(*) FROM pair").fetchone() == (2,)
