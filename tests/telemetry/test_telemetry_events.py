"""What the event of an outcome says, whose span it belongs to, and that a receiver gets each, whatever it does."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from breakeven.ledger import rows
from breakeven.ledger.close import close_days
from breakeven.ledger.days import day_number
from breakeven.ledger.ids import request_text
from breakeven.ledger.outbox import ENTRY_IDS
from breakeven.ledger.outcomes import Outcome, outcomes
from breakeven.ledger.prune import prune
from breakeven.telemetry.sender import IDLE_S
from breakeven.wiring.ledger import LedgerPlace
from breakeven.wiring.outcome_import import ImportPlan, import_outcomes
from telemetry.otlp import Reply, SeenEvent
from telemetry.rows import (
    INSTANCE,
    START_US,
    move,
    outcome_sender_of,
    request_id,
    say,
    send_all,
    sender_of,
    waiting,
)

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.otlp import OtlpReceiver

TOMORROW = day_number(START_US / 1e6) + 1
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
COMMENT = "planted words of a comment 7f2c"
DEMONSTRATION = "planted words of a better answer 4d19"


def of(number: int, **said: Any) -> dict[str, Any]:
    """An outcome of the ``number``-th request."""
    return {"request_id": request_id(number), "success": True, "id": f"k/{number}", **said}


def events(folder: Path, receiver: OtlpReceiver, *many: dict[str, Any]) -> list[SeenEvent]:
    """What the receiver has once these outcomes were sent."""
    say(folder, *many)
    send_all(outcome_sender_of(folder, receiver))
    return receiver.events


def subjects(receiver: OtlpReceiver) -> list[str]:
    """The outcomes of which the receiver has events."""
    return [event.values["breakeven.outcome_id"] for event in receiver.events]


def test_an_event_says_what_was_said_in_the_words_of_the_conventions_and_belongs_to_the_answer_s_span(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    move(tmp_path, {"key": "k"})
    said = of(0, success=False, score=0.25, name="tone", source="human", comment=COMMENT, demonstration=DEMONSTRATION)
    (event,) = events(tmp_path, receiver, said)
    send_all(sender_of(tmp_path, receiver))
    (span,) = receiver.seen
    assert (event.trace, event.span) == (span.trace, span.span)
    assert (event.name, event.at_ns, event.observed_ns) == (
        "gen_ai.evaluation.result", (START_US + 1) * 1000, (START_US + 2) * 1000,
    )  # fmt: skip
    uid = event.values.pop("log.record.uid")
    assert len(uid) == 32
    assert event.values == {
        "gen_ai.evaluation.name": "tone",
        "gen_ai.evaluation.score.value": 0.25,
        "gen_ai.evaluation.score.label": "fail",
        "gen_ai.response.id": "000000000001000",
        "breakeven.request_id": "000000000001000",
        "breakeven.outcome_id": "k/0",
        "breakeven.key": "k",
        "breakeven.source": "human",
    }
    assert event.resource == span.resource
    path, headers, body = receiver.requests[0]
    assert (path, headers["content-type"]) == ("/v1/logs", "application/x-protobuf")
    for text in (COMMENT, DEMONSTRATION):
        assert text.encode() not in body


def test_what_was_not_said_is_left_out(tmp_path: Path, receiver: OtlpReceiver) -> None:
    passed, scored = events(tmp_path, receiver, of(0, key=""), of(1, success=None, score=0.0))
    assert passed.values["gen_ai.evaluation.score.label"] == "pass"
    assert "gen_ai.evaluation.score.value" not in passed.values
    assert "breakeven.key" not in passed.values
    assert scored.values["gen_ai.evaluation.score.value"] == 0.0
    assert "gen_ai.evaluation.score.label" not in scored.values


def test_of_the_attempts_of_a_request_the_one_that_answered_is_meant(tmp_path: Path, receiver: OtlpReceiver) -> None:
    failed = {"number": 7, "outcome": rows.FAILED, "failure": "status_500", "key": "k"}
    hedged = {"number": 7, "attempt": 2, "outcome": rows.FAILED, "failure": "hedge", "key": "k"}
    move(tmp_path, failed, {"number": 7, "attempt": 1, "key": "k"}, hedged)
    (event,) = events(tmp_path, receiver, of(7))
    send_all(sender_of(tmp_path, receiver))
    assert event.span == receiver.seen[1].span
    assert receiver.seen[1].values["breakeven.attempt"] == 1


def test_a_trace_that_the_client_named_is_the_event_s_too(tmp_path: Path, receiver: OtlpReceiver) -> None:
    move(tmp_path, {"episode": TRACE, "key": "k"})
    of_request, of_trace, of_episode = events(
        tmp_path, receiver, of(0), {"episode": TRACE, "score": 1.0}, {"episode": "e-1", "score": 1.0}
    )
    assert (of_request.trace, len(of_request.span)) == (TRACE, 16)
    assert (of_trace.trace, of_trace.span) == (TRACE, "")
    assert (of_episode.trace, of_episode.span) == ("", "")
    assert of_episode.values["gen_ai.conversation.id"] == of_episode.values["breakeven.episode"] == "e-1"
    assert "gen_ai.response.id" not in of_episode.values
    assert "gen_ai.conversation.id" not in of_request.values


def test_an_outcome_of_a_request_that_the_ledger_does_not_have_is_sent_without_a_span(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    (event,) = events(tmp_path, receiver, of(3))
    assert (event.trace, event.span) == ("", "")
    assert event.values["gen_ai.response.id"] == request_text(request_id(3))


def test_rows_of_closed_days_are_found_in_their_files(tmp_path: Path, receiver: OtlpReceiver) -> None:
    move(tmp_path, {"key": "k"}, {"number": 1, "key": "k"})
    assert len(close_days(tmp_path / "ledger.sqlite", TOMORROW)) == 1
    found = events(tmp_path, receiver, of(0), of(1))
    send_all(sender_of(tmp_path, receiver))
    assert [event.span for event in found] == [span.span for span in receiver.seen]


def test_what_brings_no_verdict_and_what_is_said_of_others_requests_is_not_sent(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    move(tmp_path, {"key": "another"}, {"number": 1, "key": "k"})
    remark = of(1, success=None, comment=COMMENT, name="comment", id="k/remark")
    found = events(tmp_path, receiver, of(0), remark, of(1))
    assert [event.values["breakeven.outcome_id"] for event in found] == ["k/1"]
    assert waiting(tmp_path, "outcome_outbox") == 0
    events(tmp_path, receiver, of(0))
    assert len(receiver.requests) == 1, "nothing is sent where nothing is to be said"


def test_what_is_said_again_is_sent_again_and_its_event_is_another_one(tmp_path: Path, receiver: OtlpReceiver) -> None:
    events(tmp_path, receiver, of(0))
    events(tmp_path, receiver, of(0, success=False, received_us=START_US + 9))
    events(tmp_path, receiver, of(0, success=False, received_us=START_US + 9))  # the same word, moved twice
    labels = [event.values["gen_ai.evaluation.score.label"] for event in receiver.events]
    first, second, repeated = (event.values["log.record.uid"] for event in receiver.events)
    assert labels == ["pass", "fail", "fail"]
    assert first != second == repeated


def test_of_two_words_that_wait_together_the_newer_one_is_sent(tmp_path: Path, receiver: OtlpReceiver) -> None:
    say(tmp_path, of(0))
    (event,) = events(tmp_path, receiver, of(0, success=False, received_us=START_US + 9))
    assert event.values["gen_ai.evaluation.score.label"] == "fail"


def test_without_a_store_or_outcomes_there_is_nothing_to_do(tmp_path: Path, receiver: OtlpReceiver) -> None:
    sender = outcome_sender_of(tmp_path, receiver)
    assert sender.step() == IDLE_S
    move(tmp_path, {})
    assert sender.step() == IDLE_S
    assert (sender.trouble, receiver.requests) == ("", [])


def test_while_the_receiver_is_away_outcomes_wait_and_then_go_out_once(tmp_path: Path, receiver: OtlpReceiver) -> None:
    say(tmp_path, of(0))
    receiver.stop()
    sender = outcome_sender_of(tmp_path, receiver)
    assert [sender.step() for _ in range(4)] == [1.0, 2.0, 4.0, 8.0]
    assert sender.trouble.startswith(f"Outcomes cannot be sent to {receiver.url}/v1/logs: ")
    say(tmp_path, of(1))
    receiver.start()
    send_all(sender)
    send_all(outcome_sender_of(tmp_path, receiver))
    assert subjects(receiver) == ["k/0", "k/1"]


def test_a_receiver_that_takes_spans_alone_gets_them_all_the_same(tmp_path: Path, receiver: OtlpReceiver) -> None:
    receiver.script_of_logs.append(Reply(404))
    move(tmp_path, {"key": "k"})
    say(tmp_path, of(0))
    sender = outcome_sender_of(tmp_path, receiver)
    assert sender.step() == 1.0
    assert "it answers 404" in sender.trouble
    send_all(sender_of(tmp_path, receiver))
    assert len(receiver.seen) == 1
    send_all(sender)
    assert subjects(receiver) == ["k/0"]


@pytest.mark.parametrize(("reply", "why"), [(Reply(rejected=2), "its answer says so"), (Reply(400), "status 400")])
def test_outcomes_that_a_receiver_refuses_are_told_and_not_sent_again(
    tmp_path: Path, receiver: OtlpReceiver, reply: Reply, why: str
) -> None:
    say(tmp_path, of(0), of(1), of(2))
    receiver.script_of_logs.append(reply)
    sender = outcome_sender_of(tmp_path, receiver)
    send_all(sender)
    (warning,) = sender.take_warnings()
    assert f"/v1/logs refused {reply.rejected or 3} of 3 outcomes ({why})" in warning
    assert len(receiver.requests) == 1
    assert waiting(tmp_path, "outcome_outbox") == 0


def test_many_outcomes_go_in_many_requests_of_bounded_size(tmp_path: Path, receiver: OtlpReceiver) -> None:
    count = 2 * ENTRY_IDS + 7
    say(tmp_path, *(of(number) for number in range(count)))
    sender = outcome_sender_of(tmp_path, receiver)
    assert sender.step() == 0.0
    assert len(receiver.events) == ENTRY_IDS
    send_all(sender)
    assert subjects(receiver) == [f"k/{number}" for number in range(count)]
    assert len(receiver.requests) == 3


def test_outcomes_that_were_deleted_meanwhile_are_told_once_and_do_not_hold_up_the_others(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    say(tmp_path, of(0), of(1, at_us=START_US + 10**12))
    prune(tmp_path / "ledger.sqlite", TOMORROW)
    receiver.script_of_logs.append(Reply(503))
    sender = outcome_sender_of(tmp_path, receiver)
    sender.step()
    send_all(sender)
    (warning,) = sender.take_warnings()
    assert warning.startswith("1 outcomes were deleted")
    assert subjects(receiver) == ["k/1"]


def test_only_what_is_moved_while_somebody_is_to_be_told_is_taken_down(tmp_path: Path, receiver: OtlpReceiver) -> None:
    say(tmp_path, of(1), tells=None)
    say(tmp_path, of(2), tells=True)
    say(tmp_path, of(3), tells=None)
    events(tmp_path, receiver)
    assert subjects(receiver) == ["k/2", "k/3"]
    say(tmp_path, of(4), tells=True)
    say(tmp_path, of(5), tells=False)
    send_all(outcome_sender_of(tmp_path, receiver))
    assert subjects(receiver) == ["k/2", "k/3"]


def test_our_own_import_reads_what_we_send(tmp_path: Path, receiver: OtlpReceiver) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
        move(folder, {"key": "k"}, {"key": "k", "episode": "e-1"})
    (there / "gateway.id").write_text(INSTANCE)
    said = [
        of(0),
        of(1, success=None, score=-3.5, name="tone", source="code", id="k/mine"),
        of(9, success=False, score=1.0, source="judge"),
        {"episode": "e-1", "success": False, "name": "solved", "source": "human", "id": "k/episode"},
    ]
    events(here, receiver, *said)
    file = there / "otlp.jsonl"
    file.write_text("".join(json.dumps(as_json(body)) + "\n" for _, _, body in receiver.requests))
    place = LedgerPlace(store=there / "ledger.sqlite", spool=there / "spool")
    for added_count in (4, 0):
        done = import_outcomes(place, file, ImportPlan(format="otel"), START_US / 1e6 + 100)
        assert (done.read_count, done.added_count, done.problem_count) == (4, added_count, 0)
    assert (done.of_request_count, done.of_episode_count, done.unmatched_count) == (2, 1, 1)
    assert told(there) == told(here)


def told(folder: Path) -> list[tuple[Any, ...]]:
    """What the outcomes of a ledger say, whoever brought them."""

    def of_one(outcome: Outcome) -> tuple[Any, ...]:
        subject = (outcome.request_id, outcome.episode, outcome.name, outcome.source)
        return (*subject, outcome.success, outcome.score, outcome.at_us)

    return sorted(map(of_one, outcomes(folder / "ledger.sqlite")), key=repr)


def as_json(body: bytes) -> dict[str, Any]:
    """A message as a collector's exporter to files writes it: ids in hexadecimal, unlike the rest of OTLP's bytes."""
    message: dict[str, Any] = MessageToDict(ExportLogsServiceRequest.FromString(body))
    for of_resource in message["resourceLogs"]:
        for of_scope in of_resource["scopeLogs"]:
            for record in of_scope["logRecords"]:
                ids = {name: base64.b64decode(record[name]).hex() for name in ("traceId", "spanId") if name in record}
                record.update(ids)
    return message
