"""Candidates shown live requests: what becomes of a copy, and what no client notices of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from breakeven.errors import InputError
from breakeven.gateway.copies import SOCKET_NAME, Copying
from breakeven.gateway.copy_plan import CopyRule
from breakeven.ledger.ids import request_text
from breakeven.ledger.pairs import Pair, Which, forget_texts, sealed_texts, stored_pairs
from breakeven.ledger.sealing import Sealer
from breakeven.ledger.shifts import ShiftTerms, start_shift
from breakeven.wiring.clock import SystemClock
from gateway import answers
from gateway.gateway import command_of, target, wait_for
from gateway.shadowed import ask, checks, pairs, prefers, ready, says, shadowing, skipped, state, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

    Start = Callable[..., Gateway]


@pytest.fixture
def shadow(start_gateway: Start) -> Start:
    """Start a gateway with settings of its own, and wait until copies are taken."""
    return lambda configured: ready(start_gateway(configured))


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_shown_to_the_candidate_and_both_answers_are_compared(
    shadow: Start, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.script("incumbent", says("Due on the third of May."))
    upstream.script("candidate", says("Due on the fourth of May."))
    gateway = shadow(shadowing(upstream))
    reply = ask(gateway, "when?", stream=stream, x_breakeven_task="dates", x_breakeven_tags="env=prod")
    assert reply.headers["x-breakeven-target"] == "incumbent"
    (pair,) = pairs(gateway)
    assert (pair.model, pair.candidate, pair.incumbent, pair.key) == ("m", "candidate", "incumbent", "tests")
    assert (pair.task, pair.tags, pair.origin) == ("dates", "env=prod", "shadow")
    assert request_text(pair.request_id) == reply.headers["x-breakeven-request-id"]
    assert (pair.of_incumbent.input_tokens, pair.of_candidate.input_tokens) == (157, 157)
    assert (pair.of_incumbent.output_tokens, pair.of_candidate.output_tokens) == (52, 52)
    assert (pair.of_incumbent.characters, pair.of_candidate.characters) == (24, 25)
    assert pair.of_incumbent.request_id == pair.request_id
    (call,) = upstream.calls("candidate")
    assert call.json["model"] == "small"
    assert call.json["messages"] == [{"role": "user", "content": "when?"}]
    found = checks(gateway)
    assert (found["served"].difference, found["exact"].difference) == (0.0, -1.0)
    row = gateway.row(request_text(pair.of_candidate.request_id or 0))
    assert (row["decision"], row["model"], row["task"], row["key"]) == ("shadow", "m", "dates", "tests")
    assert row["target"] == "candidate"


def test_a_judge_is_asked_in_both_orders_and_its_requests_are_judges(shadow: Start, upstream: ScriptedUpstream) -> None:
    upstream.script("incumbent", says("bad words"))
    upstream.script("candidate", says("good words"))
    upstream.script("oracle", prefers("good"))
    entry = {"model": "m", "candidate": "candidate", "share": 1, "judge": {"model": "judge", "criteria": "brevity"}}
    gateway = shadow(shadowing(upstream, {"shadows": [entry]}))
    ask(gateway, "a question")
    found = checks(gateway)["judge"]
    assert (found.incumbent_score, found.candidate_score) == (0.0, 1.0)
    assert found.version.startswith("judge ")
    one, other = upstream.calls("oracle")
    assert "brevity" in one.json["messages"][0]["content"]
    assert one.json["messages"][1] != other.json["messages"][1]
    assert "a question" in one.json["messages"][1]["content"]
    judged = [row for row in gateway.all_rows() if row["decision"] == "judge"]
    assert [(row["model"], row["target"]) for row in judged] == [("m", "oracle")] * 2


def test_a_check_is_asked_about_both_answers_and_its_silence_leaves_the_pair(
    shadow: Start, upstream: ScriptedUpstream
) -> None:
    upstream.script("incumbent", says("the third"))
    upstream.script("candidate", says("the fourth"))
    told = answers.whole({"ok": True}), answers.whole({"ok": True, "score": 0.25})
    upstream.script("check", lambda call: told["fourth" in call.json["answer"]](call))
    entry = {"model": "m", "candidate": "candidate", "share": 1, "check": {"url": upstream.url("check")}}
    gateway = shadow(shadowing(upstream, {"shadows": [entry]}))
    ask(gateway, "when?", x_breakeven_task="dates")
    (pair,) = pairs(gateway)
    assert (checks(gateway)["check"].incumbent_score, checks(gateway)["check"].candidate_score) == (1.0, 0.25)
    for call in upstream.calls("check", at_least=2):
        assert set(call.json) == {"request_id", "model", "task", "answer", "request"}
        assert (call.json["request_id"], call.json["task"]) == (request_text(pair.request_id), "dates")
        assert json.loads(call.json["request"])["messages"] == [{"role": "user", "content": "when?"}]
    upstream.script("check", answers.failure(503))
    ask(gateway, "when?")
    skipped(gateway, "the check did not answer")
    assert len(pairs(gateway, 2)) == 2
    assert sum(row["name"] == "check" for row in table(gateway, "pair_check")) == 1


def test_clients_get_what_they_would_without_a_candidate(shadow: Start, upstream: ScriptedUpstream) -> None:
    upstream.script("incumbent", says("from the incumbent"))
    upstream.script("candidate", answers.silent)
    gateway = shadow(shadowing(upstream))
    for _ in range(20):
        reply = ask(gateway)
        assert reply.json["choices"][0]["message"]["content"] == "from the incumbent"
    upstream.calls("candidate", at_least=8)
    assert ask(gateway, stream=True).status == 200  # all slots of the process wait for the candidate


def test_a_candidate_that_fails_makes_a_pair_that_says_so(shadow: Start, upstream: ScriptedUpstream) -> None:
    upstream.script("incumbent", says("yes"))
    upstream.script("candidate", answers.failure(500))
    gateway = shadow(shadowing(upstream))
    ask(gateway)
    (pair,) = pairs(gateway)
    assert pair.of_candidate.failure == "http_500"
    assert pair.of_candidate.output_tokens is None
    assert {name: check.difference for name, check in checks(gateway).items()} == {"served": -1.0}


def test_a_candidate_without_room_makes_no_pair(shadow: Start, upstream: ScriptedUpstream) -> None:
    upstream.script("incumbent", says("yes"))
    upstream.script("candidate", answers.failure(429), says("yes"))
    gateway = shadow(shadowing(upstream))
    ask(gateway)
    skipped(gateway, "no room at the target")
    ask(gateway)
    assert [pair.of_candidate.failure for pair in pairs(gateway)] == [""]


def test_nothing_is_asked_beyond_the_budget_of_the_day_not_even_after_a_restart(
    shadow: Start, upstream: ScriptedUpstream
) -> None:
    """An answer costs 157 × 0.15 + 52 × 0.6 millionths of a dollar: 54.75; two fit into 120."""
    upstream.script("incumbent", says("yes"))
    upstream.script("candidate", says("no"))
    entry = {"model": "m", "candidate": "candidate", "share": 1}
    gateway = shadow(shadowing(upstream, {"shadows": [entry], "budget_day_usd": "0.000120", "slots": 1}))
    for _ in range(3):
        ask(gateway)
    skipped(gateway, "the day's budget is spent")
    assert len(pairs(gateway, 2)) == 2
    wait_for(lambda: len(gateway.all_rows()) == 5, "rows are missing", gateway.said)
    assert gateway.stop() == 0
    gateway.start()
    ready(gateway)
    ask(gateway)
    skipped(gateway, "the day's budget is spent")
    found = state(gateway)
    assert found is not None
    assert (Decimal(found.spent_usd), found.pairs_count) == (Decimal("0.0001095"), 0)
    assert len(upstream.calls("candidate")) == 2


def test_a_keys_budget_is_for_its_own_requests_alone_after_a_restart_too(
    shadow: Start, upstream: ScriptedUpstream
) -> None:
    """An answer costs 54.75 millionths of a dollar, and up to 60 tokens are expected to cost 39: three fit."""
    upstream.script("incumbent", says("yes"))
    upstream.script("candidate", says("no"))
    configured = shadowing(upstream)
    configured["keys"][0]["quota"] = {"budget_day_usd": "0.00015"}
    gateway = shadow(configured)
    assert ask(gateway, max_tokens=60).status == 200
    pairs(gateway)
    wait_for(lambda: len(gateway.all_rows()) == 2, "rows are missing", gateway.said)
    assert gateway.stop() == 0
    gateway.start()
    ready(gateway)
    assert [ask(gateway, max_tokens=60).status for _ in range(3)] == [200, 200, 429]
    assert len(pairs(gateway, 3)) == 3


@pytest.mark.parametrize(
    ("asked", "is_copied"),
    [
        ({"x_breakeven_task": "dates"}, True),
        ({"x_breakeven_task": "names"}, False),
        ({}, False),
        ({"x_breakeven_task": "dates", "x_breakeven_tags": "team=a"}, False),
    ],
)
def test_only_what_the_settings_name_is_copied(
    shadow: Start, upstream: ScriptedUpstream, asked: dict[str, str], is_copied: bool
) -> None:
    upstream.script("incumbent", says("yes"))
    upstream.script("candidate", says("no"))
    configured = shadowing(
        upstream,
        {
            "shadows": [
                {"model": "m", "candidate": "candidate", "share": 1, "tasks": ["dates"], "tags": ["env=prod"]},
                {"model": "m", "candidate": "oracle", "share": 1},
            ]
        },
    )
    configured["keys"][0]["tags"] = "team=b, env=prod"
    upstream.script("oracle", says("maybe"))
    gateway = shadow(configured)
    ask(gateway, **asked)
    found = {pair.candidate for pair in pairs(gateway, 2 if is_copied else 1)}
    assert found == ({"candidate", "oracle"} if is_copied else {"oracle"})


def test_a_share_of_requests_is_drawn_by_their_ids(shadow: Start, upstream: ScriptedUpstream) -> None:
    upstream.script("incumbent", says("yes"))
    upstream.script("candidate", says("no"))
    rule = CopyRule(model="m", candidate="candidate", share_fraction=0.5)
    gateway = shadow(shadowing(upstream, {"shadows": [{"model": "m", "candidate": "candidate", "share": 0.5}]}))
    ids = [int(ask(gateway).headers["x-breakeven-request-id"], 16) << 4 for _ in range(30)]
    drawn = [number for number in ids if Copying([rule]).rules_for(number, "tests", "", "")]
    assert 5 <= len(drawn) <= 25
    assert [pair.request_id for pair in pairs(gateway, len(drawn))] == drawn


def test_signals_of_live_answers_are_outcomes_and_none_is_a_success(shadow: Start, upstream: ScriptedUpstream) -> None:
    schema = {"type": "object", "required": ["due"]}
    form = {"type": "json_schema", "json_schema": {"name": "due", "schema": schema}}
    upstream.script("incumbent", says("I'm sorry, but I can't help with that."), says('{"due": 3}'))
    upstream.script("candidate", says("never asked"))
    upstream.script("check", answers.whole({"ok": True, "score": 0.25}))
    check = {"url": upstream.url("check")}
    gateway = shadow(shadowing(upstream, {"signals": {"http_check": check}}))
    first = ask(gateway, "when is it due?", response_format=form)
    second = ask(gateway, "when is it due?", response_format=form)
    wait_for(
        lambda: len(table(gateway, "outcome")) == 9, "outcomes are missing", lambda: str(table(gateway, "outcome"))
    )
    found = {
        (request_text(row["request_id"]), row["name"]): (row["success"], row["source"], row["origin"], row["score"])
        for row in table(gateway, "outcome")
    }
    one, two = (reply.headers["x-breakeven-request-id"] for reply in (first, second))
    told = "code", "signal"
    assert found == {
        (one, "refusal"): (0, *told, None),
        (one, "truncated"): (1, *told, None),
        (one, "schema_valid"): (0, *told, None),
        (one, "http_check"): (1, *told, 0.25),
        (one, "retried"): (0, *told, None),
        (two, "refusal"): (1, *told, None),
        (two, "truncated"): (1, *told, None),
        (two, "schema_valid"): (1, *told, None),
        (two, "http_check"): (1, *told, 0.25),
    }
    asked = {(call.json["request_id"], call.json["model"], call.json["answer"]) for call in upstream.calls("check")}
    assert asked == {(one, "m", "I'm sorry, but I can't help with that."), (two, "m", '{"due": 3}')}
    assert not upstream.calls("candidate")


def test_texts_are_kept_sealed_and_go_when_their_time_is_over(
    shadow: Start, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of this test
    monkeypatch.setenv("TEXTS_KEY", secret)
    upstream.script("incumbent", says("Bath"))
    upstream.script("candidate", says("Wells"))
    entry = {"model": "m", "candidate": "candidate", "share": 1}
    gateway = shadow(shadowing(upstream, {"shadows": [entry], "keep_text": {"days": 1, "key": "env:TEXTS_KEY"}}))
    ask(gateway, "which town?")
    ask(gateway, "a patient's town?", x_breakeven_sensitivity="")
    pairs(gateway, 2)
    first, _ = sealed_texts(gateway.store, Which(), 0.0)
    assert b"Bath" not in first.sealed
    words = Sealer(secret).open(first)
    assert (words.incumbent, words.candidate) == ("Bath", "Wells")
    assert "which town?" in words.request
    with pytest.raises(InputError, match="another secret"):
        Sealer(secret[::-1]).open(first)
    assert forget_texts(gateway.store, first.expires_s - 60) == 0
    assert forget_texts(gateway.store, first.expires_s + 60) == 2
    assert sealed_texts(gateway.store, Which(), 0.0) == []


def test_without_trials_nothing_is_there(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    configured = shadowing(upstream)
    del configured["trials"]
    upstream.script("incumbent", says("yes"))
    gateway = start_gateway(configured)
    assert ask(gateway).status == 200
    assert not (gateway.ledger_folder / SOCKET_NAME).exists()
    assert state(gateway) is None


def test_a_process_that_is_killed_comes_back_and_clients_notice_nothing(
    shadow: Start, upstream: ScriptedUpstream
) -> None:
    upstream.script("incumbent", says("yes"))
    upstream.script("candidate", says("no"))
    gateway = shadow(shadowing(upstream))
    ask(gateway)
    pairs(gateway)
    before = process(gateway)
    os.kill(before, signal.SIGKILL)
    assert [ask(gateway).status for _ in range(5)] == [200] * 5
    wait_for(lambda: process(gateway) != before, "nobody compares any more", gateway.said)
    wait_for(lambda: ask(gateway).status == 200 and len(pairs(gateway)) > 1, "no more pairs", gateway.said)
    assert gateway.stop() == 0
    assert "Traceback" not in gateway.said()


def test_nobody_else_can_ask_a_target_by_name(shadow: Start, upstream: ScriptedUpstream) -> None:
    upstream.script("incumbent", says("yes"))
    upstream.script("candidate", says("no"))
    gateway = shadow(shadowing(upstream, {}))
    reply = ask(gateway, x_breakeven_aside="shadow candidate")
    assert reply.headers["x-breakeven-target"] == "incumbent"
    for token in ("be-aside-", "be-aside-:tests", "be-aside-00:tests"):
        assert ask(gateway, key=token, x_breakeven_aside="shadow candidate").status == 401
    assert not upstream.calls("candidate")


def test_status_says_how_it_goes(shadow: Start, upstream: ScriptedUpstream) -> None:
    upstream.script("incumbent", says("yes"))
    upstream.script("candidate", says("no"))
    gateway = shadow(shadowing(upstream))
    ask(gateway, x_breakeven_task="dates")
    pairs(gateway)
    wait_for(lambda: getattr(state(gateway), "pairs_count", 0) == 1, "the state is old")
    where = ["--ledger", str(gateway.ledger_folder)]
    shown = _status(where)
    assert "m → candidate, task dates: 1 pairs (0 judged)" in shown
    assert "of $10.00" in shown
    found = json.loads(_status([*where, "--json"]))
    assert found["runs"] is True
    assert found["candidates"][0]["pairs_count"] == 1
    gateway.stop()
    assert "Nothing is compared now" in _status(where)


def _status(more: list[str]) -> str:
    command = [sys.executable, "-m", "breakeven", "shadow", "status", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def process(gateway: Gateway) -> int:
    """The process of trials, once it is there."""
    found: list[int] = []

    def there() -> bool:
        found[:] = [pid for pid in gateway.alive() if "wiring.trials" in command_of(pid)]
        return len(found) == 1

    wait_for(there, "nobody compares", gateway.said)
    return found[0]


def test_pairs_of_a_shift_come_from_both_directions(shadow: Start, upstream: ScriptedUpstream) -> None:
    upstream.script("incumbent", says("old"))
    upstream.script("candidate", says("new words"))
    gateway = shadow(shadowing(upstream, {}))
    terms = ShiftTerms(tasks=("*",), steps=(0.5, 1.0), check="exact")
    start_shift(gateway.store, "m", "candidate", terms, now_s=SystemClock().now(), said_by="tests")
    served: dict[str, str] = {}
    by: dict[str, Pair] = {}

    def both() -> bool:
        reply = ask(gateway, x_breakeven_user=f"user-{len(served)}")
        served[reply.request_id] = reply.headers["x-breakeven-target"]
        by.update({served[request_text(pair.request_id)]: pair for pair in stored_pairs(gateway.store)})
        return len(by) == 2

    wait_for(both, "pairs come one way alone", lambda: f"{served} {gateway.said()[-2000:]}")
    assert {(p.candidate, p.incumbent, p.origin) for p in by.values()} == {("candidate", "incumbent", "shift")}
    for target_name, pair in by.items():
        assert (pair.of_incumbent.characters, pair.of_candidate.characters) == (len("old"), len("new words"))
        first = pair.of_incumbent if target_name == "incumbent" else pair.of_candidate
        other = pair.of_candidate if target_name == "incumbent" else pair.of_incumbent
        assert first.request_id == pair.request_id != other.request_id


def test_what_is_marked_is_shown_and_kept_only_where_its_mark_is_named(
    shadow: Start, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXTS_KEY", "0123456789abcdef0123456789abcdef")
    local = {"sensitivities": ["local-only"]}
    targets = {
        "incumbent": target(upstream.url("incumbent"), **local),
        "candidate": target(upstream.url("candidate"), **local),
    }
    upstream.script("incumbent", says("inside"))
    upstream.script("candidate", says("inside too"))
    upstream.script("oracle", prefers("too"))
    entry = {"model": "m", "candidate": "candidate", "share": 1, "judge": {"model": "judge"}}
    kept = {"days": 1, "key": "env:TEXTS_KEY"}
    gateway = shadow(shadowing(upstream, {"shadows": [entry], "keep_text": kept}, targets=targets))
    ask(gateway, x_breakeven_sensitivity="local-only")
    found = checks(gateway)
    assert "judge" not in found
    assert found["served"].difference == 0
    assert not upstream.calls("oracle")
    assert sealed_texts(gateway.store, Which(), 0.0) == []
    (pair,) = pairs(gateway)
    row = gateway.row(request_text(pair.of_candidate.request_id or 0))
    assert row["target"] == "candidate"
