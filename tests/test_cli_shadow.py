"""``breakeven shadow``: recorded requests asked again of real servers, compared, labelled by people, planned with."""

from __future__ import annotations

import json
import signal
import sqlite3
import ssl
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from openai import OpenAI
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.ledger.pairs import HUMAN, JUDGE, Which, stored_checks, stored_pairs
from gateway import answers, payloads
from gateway.gateway import KEY, running_gateway, settings, target
from gateway.replayed import answering, judging, replay, requests, run
from gateway.scripted import scripted_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.scripted import Call, ScriptedUpstream

SECRET = "sk-very-secret-of-the-tests"  # noqa: S105 - of servers that live for these tests
SEALING = "a secret of more than thirty-two characters"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as opened:
        yield opened


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAY_KEY", SECRET)
    monkeypatch.setenv("SEALING_KEY", SEALING)


def test_both_are_asked_once_and_compared(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", answering())
    upstream.script("next", answering(wrong_every=4, output_tokens=12))
    path = requests(tmp_path, 40, response=payloads.completion("an old answer"))
    found = replay(upstream, path, "--key", "env:REPLAY_KEY", "--json")
    (report,) = json.loads(found.stdout)["comparisons"]
    assert (report["pairs_count"], report["incumbent"], report["candidate"]) == (40, "gpt-4o", "gpt-4o-mini")
    assert report["task"] == "triage"
    exact = next(item for item in report["checks"] if item["name"] == "exact")
    assert exact["candidate_score"] == pytest.approx(0.75)
    output = next(item for item in report["measured"] if item["name"] == "output")
    assert output["ratio"]["value"] == pytest.approx(1.5)
    calls = upstream.calls("today")
    assert len(calls) == len(upstream.calls("next")) == 40
    assert {call.json["model"] for call in upstream.calls("next")} == {"gpt-4o-mini"}
    assert calls[0].json["stream_options"] == {"include_usage": True}


def test_a_task_may_be_called_anything(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", answering())
    upstream.script("next", answering())
    path = requests(tmp_path, 4)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], *(line.replace("triage", "[/red] odd [bold]") for line in lines[2:])]))
    assert "[/red] odd [bold]" in replay(upstream, path).stdout


def test_what_is_known_is_never_asked_again(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", answering())
    upstream.script("next", answering())
    path = requests(tmp_path, 30)
    first = replay(upstream, path, "--max-pairs", 12)
    assert "Stopped: the 12 pairs of --max-pairs are compared" in first.stderr
    second = replay(upstream, path)
    assert "18 pairs compared, 12 were known from before" in second.stderr
    assert "0 pairs compared, 30 were known" in replay(upstream, path).stderr
    assert len(upstream.calls("today")) == len(upstream.calls("next")) == 30


def test_a_replay_that_is_killed_goes_on_where_it_was(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    def slow(call: Call) -> None:
        call.wait(0.03)
        answering()(call)

    upstream.script("today", slow)
    upstream.script("next", slow)
    path = requests(tmp_path, 60)
    words = [sys.executable, "-m", "breakeven", "shadow", "replay", str(path), "--base-url", upstream.url("next")]
    words += ["--incumbent", "gpt-4o", "--incumbent-url", upstream.url("today"), "--candidate", "gpt-4o-mini"]
    words += ["--ledger", str(tmp_path / "ledger")]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        upstream.calls("next", at_least=30)
        process.send_signal(signal.SIGKILL)
    kept = len(stored_pairs(tmp_path / "ledger" / "ledger.sqlite"))
    assert 10 <= kept < 60
    found = replay(upstream, path)
    assert f"{60 - kept} pairs compared, {kept} were known from before" in found.stderr


def test_recorded_answers_stand_for_the_incumbent(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("next", answering())
    path = requests(tmp_path, 20, response=payloads.completion('{"label": "ham"}', usage=payloads.usage(90, 10)))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"messages": [{"role": "user", "content": "unanswered 1"}]}\nnonsense\n')
    found = run(
        "replay", path, "--candidate", "small", "--base-url", upstream.url("next"), "--ledger", tmp_path / "ledger"
    )
    assert "1 have no recorded answer" in found.stderr
    assert "1 lines hold no chat request" in found.stderr
    pairs = stored_pairs(tmp_path / "ledger" / "ledger.sqlite")
    assert {pair.incumbent for pair in pairs} == {"gpt-4o"}
    assert {pair.of_incumbent.input_tokens for pair in pairs} == {90}
    assert len(pairs) == 20


def test_a_budget_ends_it_before_it_is_spent(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", answering())
    upstream.script("next", answering())
    # gpt-4o: 100 x 2.50 + 8 x 10 per Mtok = 0.00033 USD, gpt-4o-mini 0.0000198 USD.
    found = replay(upstream, requests(tmp_path, 100), "--budget-usd", "0.0036", "--concurrency", 3)
    assert "--budget-usd leave no room" in found.stderr
    asked = len(upstream.calls("today"))
    assert asked == 10
    assert "0.0035 USD at known prices" in found.stderr


def test_a_budget_needs_prices(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    path = requests(tmp_path, 3)
    upstream.script("next", answering())
    said = replay(upstream, path, "--candidate-as", "our-own", "--budget-usd", "1", refused=True)
    assert "No price is known for our-own" in said
    assert upstream.calls("next") == []


def test_a_wrong_key_ends_it_at_the_first_and_is_not_repeated(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", answering())
    upstream.script("next", answers.whole(payloads.error("no such key"), status=401))
    said = replay(upstream, requests(tmp_path, 50), "--key", "env:REPLAY_KEY", refused=True)
    assert "HTTP 401: no such key" in said
    assert SECRET not in said
    assert len(upstream.calls("next")) == 1


def test_a_key_on_the_command_line_is_refused_unseen(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    said = replay(upstream, requests(tmp_path, 3), "--candidate-key", SECRET, refused=True)
    assert "takes the name of a secret" in said
    assert SECRET not in said


def test_the_key_of_both_does_not_go_to_an_address_of_its_own(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", answering())
    upstream.script("next", answering())
    path = requests(tmp_path, 2)
    words = ["--base-url", upstream.url("today"), "--key", "env:REPLAY_KEY", "--ledger", tmp_path / "ledger"]
    run("replay", path, "--incumbent", "a", "--candidate", "b", "--candidate-url", upstream.url("next"), *words)
    assert {call.headers.get("authorization") for call in upstream.calls("today")} == {f"Bearer {SECRET}"}
    assert {call.headers.get("authorization") for call in upstream.calls("next")} == {None}


def test_failures_count_and_what_may_pass_is_asked_again(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", answering())
    upstream.script(
        "next", answering(), answers.failure(429, "retry-after: 0"), answering(), answers.failure(400), answering()
    )
    found = replay(upstream, requests(tmp_path, 4), "--concurrency", 1, "--json")
    (report,) = json.loads(found.stdout)["comparisons"]
    assert (report["pairs_count"], report["candidate_failures_count"]) == (4, 1)
    assert report["failures"] == [["http_400", 1]]


def test_data_that_is_marked_does_not_leave_this_machine_unasked(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", answering())
    upstream.script("next", answering())
    path = requests(tmp_path, 2, sensitivity="local-only")
    away = ["--judge", "j", "--judge-url", "http://192.0.2.1:9/v1"]
    found = replay(upstream, path, *away)
    assert "2 are marked with a sensitivity and were not sent" in found.stderr
    assert upstream.calls("today") == []
    replay(upstream, path)  # both are on this machine
    assert {call.headers["x-breakeven-sensitivity"] for call in upstream.calls("next", at_least=2)} == {"local-only"}


def test_a_judge_is_waited_for_and_asked_again_where_it_could_not_answer(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    upstream.script("today", answering())
    upstream.script("next", answering(wrong_every=1))
    full = answers.failure(503, "retry-after: 0")
    upstream.script("judge", full, full, *[answers.slow(0.05, judging)] * 41)
    judge = ["--judge", "strong", "--judge-url", upstream.url("judge"), "--concurrency", 8]
    found = replay(upstream, requests(tmp_path, 20), *judge, "--json")
    (report,) = json.loads(found.stdout)["comparisons"]
    assert next(item["pairs_count"] for item in report["checks"] if item["name"] == "judge") == 20
    assert len(upstream.calls("judge")) == 2 + 2 * 20


def test_a_judge_decides_and_people_say_how_far_to_believe_it(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", answering())
    upstream.script("next", answering(wrong_every=5))
    upstream.script("judge", judging)
    path, ledger = requests(tmp_path, 60), tmp_path / "ledger"
    judge = ["--judge", "strong", "--judge-url", upstream.url("judge")]
    found = replay(upstream, path, *judge, "--keep-text", 30, "--text-key", "env:SEALING_KEY")
    assert "by judge" in found.stdout
    assert len(upstream.calls("judge")) == 24  # both orders of the 12 pairs that differ
    store = ledger / "ledger.sqlite"
    assert b"spam" not in store.read_bytes()

    lines = tmp_path / "labels.jsonl"
    run("label", "--out", lines, "--text-key", "env:SEALING_KEY", "--count", 30, "--ledger", ledger)
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(rows) == 30
    assert lines.stat().st_mode & 0o077 == 0
    assert {row["a"] == row["b"] for row in rows} == {True, False}
    for row in rows:
        row["better"] = "tie" if row["a"] == row["b"] else "B" if "unsure" in row["a"] else "a"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "30 labels" in run("label", lines, "--ledger", ledger).stdout

    people = {scored.check.request_id: scored.check.difference for scored in stored_checks(store, Which(), HUMAN)}
    judged = {scored.check.request_id: scored.check.difference for scored in stored_checks(store, Which(), JUDGE)}
    assert people == {number: judged[number] for number in people}  # whichever side was A
    assert "agrees with people on 100 % of 30 labels" in run("report", "--ledger", ledger).stdout
    other = run(
        "label", "--out", tmp_path / "b.jsonl", "--text-key", "env:REPLAY_KEY", "--ledger", ledger, refused=True
    )
    assert "sealed with another secret" in other


def test_labels_that_cannot_be_are_refused_together(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.script("today", answering())
    upstream.script("next", answering())
    replay(upstream, requests(tmp_path, 2))
    lines = tmp_path / "labels.jsonl"
    lines.write_text('{"pair": "r000000000000001", "candidate": "x", "better": "A"}\n{"pair": 3}\nnonsense\n')
    said = run("label", lines, "--ledger", tmp_path / "ledger", refused=True)
    assert [said.count(f"labels.jsonl:{number}") for number in (1, 2, 3)] == [1, 1, 1]


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with scripted_upstream(context) as secure:
        secure.script("x", answering())
        path = requests(tmp_path, 2)
        words = ["--incumbent", "a", "--candidate", "b", "--base-url", secure.url("x", "localhost")]
        words += ["--ledger", str(tmp_path / "ledger")]
        assert "certificate" in run("replay", path, *words, refused=True)
        run("replay", path, *words, "--ca-file", tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--concurrency", "0"], "between 1 and 256"),
        (["--max-pairs", "0"], "nothing would be compared"),
        (["--budget-usd", "much"], "is no amount"),
        (["--budget-usd", "-1"], "nothing could be asked"),
        (["--margin", "0"], "above 0 and below 100"),
        (["--judge", "gpt-4o", "--judge-url", "http://127.0.0.1:1/v1"], "judge its own answers"),
        (["--judge", "x"], "nobody said where it is"),
        (["--candidate-url", "http://u:p@h/v1"], "credentials do not stand in a URL"),
        (["--candidate-url", "http://127.0.0.1:1/v1/chat/completions"], "leave /chat/completions out"),
        (["--candidate-as", "gpt-4o"], "Both would be kept under the name"),
        (["--keep-text", "3"], "give both"),
        (["--candidate-url", "http://127.0.0.1:1/v1"], "cannot go on: gpt-4o-mini: connect_failed"),
    ],
)
def test_wrong_questions_are_refused_in_words(
    upstream: ScriptedUpstream, tmp_path: Path, words: list[str], said: str
) -> None:
    upstream.script("today", answering())
    assert said in replay(upstream, requests(tmp_path, 2), *words, refused=True)


def test_a_ledger_without_pairs_says_how_to_get_some(tmp_path: Path) -> None:
    path = requests(tmp_path, 1)
    path.write_text("{}\n")
    assert "no line holds a chat request" in run(
        "replay", path, "--candidate", "b", "--base-url", "http://127.0.0.1:1/v1", "--ledger", tmp_path, refused=True
    )
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")):
        pass
    assert "Start the gateway" in run("report", "--ledger", tmp_path, refused=True)


def test_a_gateway_replays_its_own_requests_and_a_plan_takes_what_they_show(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    upstream.script("today", answering())
    upstream.script("next", answering(output_tokens=12))
    targets = {
        "big": target(upstream.url("today"), prices="openai:gpt-4o"),
        "small": target(upstream.url("next"), prices="groq:openai/gpt-oss-120b", model="gpt-oss-120b"),
    }
    models = {"chat": {"targets": ["big"]}, "trial": {"targets": ["small"]}}
    with running_gateway(tmp_path, settings(targets, models)) as gateway:
        lines = []
        with OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client:
            for number in range(1, 61):
                messages: Any = [{"role": "user", "content": f"Is this spam? {number}"}]
                raw = client.chat.completions.with_raw_response.create(
                    model="chat", messages=messages, extra_headers={"x-breakeven-task": "triage"}
                )
                answer = json.loads(raw.text)
                lines.append({"id": raw.headers["x-breakeven-request-id"], "messages": messages, "response": answer})
        path = tmp_path / "recorded.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        gateway.stop()
        gateway.start()
        config = tmp_path / "breakeven.yaml"
        words = ["--incumbent", "chat", "--incumbent-as", "big", "--candidate", "trial", "--candidate-as", "small"]
        words += [
            "--base-url",
            gateway.base_url,
            "--key",
            "env:GATEWAY_KEY",
            "--labels",
            "--json",
            "--config",
            str(config),
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GATEWAY_KEY", KEY)
            found = run("replay", path, *words)
        gateway.stop()
    (report,) = json.loads(found.stdout)["comparisons"]
    assert (report["task"], report["model"]) == ("triage", "chat")  # as the ledger knows them by their ids
    price = next(item for item in report["measured"] if item["name"] == "price")
    assert price["incumbent_value"] == pytest.approx(100 * 2.5e-6 + 8 * 10e-6)

    planned = CliRunner().invoke(app, ["plan", f"ledger:{gateway.ledger_folder}", "--json"])
    assert planned.exit_code == 0, planned.output + repr(planned.exception)
    verdict = json.loads(planned.stdout)
    by_key = {item["key"]: item for item in verdict["assumptions"]}
    assert by_key["verbosity_ratio:gpt-oss-120b"]["likely"] == pytest.approx(1.5)
    option = next(item for item in verdict["options"] if item["model"] == "gpt-oss-120b")
    assert "your shadow comparison" in option["quality"]["reason"]
