"""Parts of the process of trials that need no gateway: what is told of two answers, what is spent, what is taken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import uvloop

from breakeven.gateway.copies import LENGTH_BYTES, MAX_WAITING_BYTES, SOCKET_NAME, Copy, CopyLine
from breakeven.trials.answered import asked_of, compared, heard, reading_of, with_usage
from breakeven.trials.calls import Answer
from breakeven.trials.intake import MAX_COPY_BYTES, Intake, is_listened_on
from breakeven.trials.judging import judge, question_of
from breakeven.trials.plan import JudgePlan
from breakeven.trials.spending import Spending

if TYPE_CHECKING:
    from pathlib import Path

CHAT = "/v1/chat/completions"
DAY_S = 86_400.0


def completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}).encode()


def copy(**fields: Any) -> Copy:
    known: dict[str, Any] = {
        "request_id": 16, "key": "k", "model": "m", "task": "", "tags": "", "episode": "", "sensitivities": (),
        "path": CHAT, "passed": b"", "target": "t", "received_us": 1, "first_byte_us": 1, "ended_us": 2,
        "input_tokens": 7, "output_tokens": 3, "body": b"{}", "answer": b"{}", "wanted": (), "signals": True,
        "dropped_count": 0,
    }  # fmt: skip
    return Copy(**(known | fields))


@pytest.mark.parametrize(
    ("candidate", "scores"),
    [
        ('{"a": 1, "b": 2}', {"exact": 1.0, "normal": 1.0, "json_equal": 1.0, "fields": 1.0}),
        ('{"b": 2, "a": 1}', {"exact": 0.0, "normal": 0.0, "json_equal": 1.0, "fields": 1.0}),
        ('{"a": 1, "b": 3}', {"exact": 0.0, "normal": 0.0, "json_equal": 0.0, "fields": 0.5}),
        ("nothing", {"exact": 0.0, "normal": 0.0, "json_equal": 0.0}),
    ],
)
def test_answers_are_compared_as_texts_as_json_and_by_fields(candidate: str, scores: dict[str, float]) -> None:
    asked = asked_of(b"{}")
    one, other = (heard(completion(text), asked, None) for text in ('{"a": 1, "b": 2}', candidate))
    assert one is not None
    assert other is not None
    found = compared(asked, one, other)
    assert {score.name: score.candidate_score for score in found if score.name in scores} == scores
    assert all(score.incumbent_score == 1.0 for score in found)


def test_a_stream_is_asked_for_its_usage_and_nothing_else_is_changed() -> None:
    body = b'{"model":"m","stream":true,"stream_options":{"x":1}}'
    assert json.loads(with_usage(CHAT, body))["stream_options"] == {"x": 1, "include_usage": True}
    for same in (b'{"model":"m"}', b"no JSON"):
        assert with_usage(CHAT, same) == same
    assert with_usage("/v1/messages", body) == body
    assert reading_of(CHAT, b"{}", completion("x"))[:2] == (7, 3)


def test_a_judge_sees_who_said_what() -> None:
    parts = [{"type": "text", "text": "and this"}, {"type": "image_url", "image_url": {}}]
    body = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]}
    assert question_of(json.dumps(body).encode()) == "system: Be brief.\n\nuser: and this\n[image_url]"
    assert question_of(b'{"prompt": "once"}') == "once"
    assert question_of(b"no JSON") == ""


class Judges:
    """Says what it is told to, and remembers what it was asked."""

    def __init__(self, *said: Answer) -> None:
        self.said = list(said)
        self.asked: list[dict[str, Any]] = []

    async def ask(self, path: str, key: str, headers: Any, passed: bytes, body: bytes) -> Answer:
        del path, key, headers, passed
        self.asked.append(json.loads(body))
        return self.said.pop(0)


def verdict(text: str, status: int = 200) -> Answer:
    return Answer(status, {"x-breakeven-cost-usd": "0.5"}, completion(text), 1, 2)


def judged(judges: Judges, incumbent: str = "one", candidate: str = "two") -> Any:
    plan = JudgePlan(model="wise", share_fraction=1.0)
    calls: Any = judges
    return asyncio.run(
        judge(plan, calls, "k", [], ("m", "q", incumbent, candidate), cost_usd_of=lambda _: Decimal("0.5"))
    )


@pytest.mark.parametrize(
    ("first", "second", "score"),
    [("A", "B", 0.0), ("B", "A", 1.0), ("tie", "tie", 0.5), ("A", "A", 0.5), ("tie", "A", 0.75)],
)
def test_both_orders_make_one_verdict(first: str, second: str, score: float) -> None:
    found = judged(Judges(*(verdict(f'{{"better": "{said}"}}') for said in (first, second))))
    assert found.score.candidate_score == score
    assert found.cost_usd == Decimal(1)


def test_equal_answers_are_a_tie_without_asking() -> None:
    judges = Judges()
    assert judged(judges, "same", " same\n").score.candidate_score == 0.5
    assert judges.asked == []


def test_a_judge_that_takes_no_temperature_is_asked_without() -> None:
    judges = Judges(verdict("", 400), verdict("", 400), *[verdict('{"better": "tie"}')] * 2)
    assert judged(judges).score.candidate_score == 0.5
    assert ["temperature" in body for body in judges.asked] == [True, True, False, False]


def test_no_verdict_is_no_check() -> None:
    assert judged(Judges(verdict("hm"), verdict('{"better": "A"}'))).score is None
    assert judged(Judges(verdict("", 403), verdict("", 403))).why_not == "status 403"


def test_a_budget_counts_what_is_under_way_and_begins_anew_each_day(tmp_path: Path) -> None:
    spending = Spending(tmp_path / "none.sqlite", Decimal(1), now_s=10 * DAY_S)
    assert spending.fits(Decimal("0.6"), 10 * DAY_S)
    spending.hold(Decimal("0.6"))
    assert not spending.fits(Decimal("0.6"), 10 * DAY_S)
    assert spending.fits(Decimal(0), 10 * DAY_S)
    spending.settle(Decimal("0.6"), Decimal("0.9"))
    assert not spending.fits(Decimal("0.2"), 10 * DAY_S + 100)
    assert spending.fits(Decimal("0.2"), 11 * DAY_S)


def test_copies_arrive_in_order_and_a_line_that_sends_anything_else_is_closed(tmp_path: Path) -> None:
    async def run() -> None:
        intake = Intake(str(tmp_path))
        await intake.listen()
        assert await asyncio.to_thread(is_listened_on, tmp_path)
        line = CopyLine(str(tmp_path), lambda: 0.0)
        for number in (16, 32, 48):
            line.send(copy(request_id=number, body=b"x" * 100_000))
        assert [(await asyncio.wait_for(intake.next(), 10)).request_id for _ in range(3)] == [16, 32, 48]
        for wrong in (b"\xff" * 16, (MAX_COPY_BYTES + 1).to_bytes(LENGTH_BYTES, "big"), b"\x00\x00\x00\x02no"):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_NAME))
            writer.write(wrong)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 10)
            writer.close()
        assert (intake.received_count, intake.dropped_count) == (3, 0)
        line.close()
        intake.close()

    uvloop.run(run())


def test_an_intake_that_closes_leaves_the_socket_of_the_one_that_came_after_it(tmp_path: Path) -> None:
    async def run() -> None:
        old, new = Intake(str(tmp_path)), Intake(str(tmp_path))
        await old.listen()
        await new.listen()
        old.close()
        assert await asyncio.to_thread(is_listened_on, tmp_path)
        new.close()
        assert not (tmp_path / SOCKET_NAME).exists()

    uvloop.run(run())


@pytest.mark.parametrize("turns", range(6))
def test_a_line_that_comes_as_the_intake_closes_is_closed_too(tmp_path: Path, turns: int) -> None:
    """Whether it waits, is taken, or is being made."""

    async def run() -> bytes:
        intake = Intake(str(tmp_path))
        await intake.listen()
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(tmp_path / SOCKET_NAME))
            line.setblocking(False)
            for _ in range(turns):
                await asyncio.sleep(0)
            intake.close()
            with contextlib.suppress(ConnectionResetError):
                return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(line, 1), 10)
            return b""

    assert uvloop.run(run()) == b""


def test_a_line_that_nobody_takes_from_drops_what_exceeds_its_bound(tmp_path: Path) -> None:
    async def run() -> None:
        line = CopyLine(str(tmp_path), lambda: 0.0)
        size_bytes = len(msgspec.msgpack.encode(copy(body=b"x" * 250_000)))
        for _ in range(40):
            line.send(copy(body=b"x" * 250_000))
        kept = MAX_WAITING_BYTES // (size_bytes + LENGTH_BYTES)
        assert line.dropped_count == 40 - kept
        await asyncio.sleep(0.05)  # nobody listens, so those go too
        assert line.dropped_count == 40
        assert (line.untold(), line.untold()) == (40, 0)

    uvloop.run(run())
