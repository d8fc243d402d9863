"""What answers were worth, said to a real gateway: written before it is thanked for, whatever is killed then."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import threading
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.client import NotKeptError, Outcomes, Said
from breakeven.errors import InputError
from breakeven.gateway.outcome_desk import BYTES_PER_MINUTE, OutcomeDesk
from breakeven.ledger.ids import request_id
from breakeven.ledger.outcome_spool import OutcomeSpool
from breakeven.ledger.outcomes import Outcome, outcomes
from gateway import answers, payloads
from gateway.gateway import KEY, Gateway, free_port, settings, target, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.scripted import ScriptedUpstream

PATH = "/breakeven/v1/outcomes"
REQUEST = "00b1a2c3d4e5f60"
ANYTHING = {"request_id": REQUEST, "success": True}


def kept(gateway: Gateway, count: int = 1) -> list[Outcome]:
    """What is in the store, once it is so much."""
    found: list[Outcome] = []

    def settled() -> bool:
        with suppress(InputError):  # before the first word there may be no store
            found[:] = outcomes(gateway.store)
        return len(found) >= count

    wait_for(settled, f"{count} outcomes are not in the store", gateway.said)
    return found


def say(gateway: Gateway, said: object, **headers: str) -> tuple[int, dict[str, Any]]:
    with gateway.line() as line:
        reply = line.ask("POST", PATH, said, **headers)
        return reply.status, reply.json


@pytest.fixture
def fresh(start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> Gateway:
    """A gateway whose store has no outcomes yet."""
    upstream.script("load", answers.whole())
    return start_gateway(settings({"load": target(upstream.url("load"))}, {"load": {"targets": ["load"]}}))


def test_an_outcome_of_a_request_is_in_the_store_with_all_that_was_said(fresh: Gateway) -> None:
    with fresh.line() as line:
        number = line.chat(payloads.request("load")).request_id
        said = {
            "request_id": number, "success": False, "score": 0.25, "comment": "wrong city", "demonstration": "Bern",
            "human_minutes": 1.5, "source": "human", "at": "2026-01-20T10:00:00+01:00",
        }  # fmt: skip
        reply = line.ask("POST", PATH, said)
        assert line.chat(payloads.request("load")).status == 200, "the connection serves on"
    assert reply.status == 200
    (found,) = kept(fresh)
    assert found == Outcome(
        id=f"tests/{reply.json['ids'][0]}",
        key="tests",
        request_id=request_id(number),
        source="human",
        success=False,
        score=0.25,
        human_minutes=Decimal("1.5"),
        comment="wrong city",
        demonstration="Bern",
        at_us=int(datetime(2026, 1, 20, 9, tzinfo=UTC).timestamp()) * 1_000_000,
        received_us=found.received_us,
    )


def test_what_is_said_again_of_the_same_takes_the_place_of_what_was_said_before(fresh: Gateway) -> None:
    first = say(fresh, ANYTHING)
    again = say(fresh, {**ANYTHING, "success": False})
    assert first == again, "it is the same outcome"
    say(fresh, {**ANYTHING, "source": "code"})
    say(fresh, {**ANYTHING, "name": "tone"})
    say(fresh, {"request_id": REQUEST, "comment": "too long"})
    say(fresh, {**ANYTHING, "id": "mine", "score": 1})
    say(fresh, {"episode": "e1", "id": "mine", "score": 2})
    found = {(o.name, o.source, o.episode): (o.success, o.score, o.comment) for o in kept(fresh, 5)}
    assert found == {
        ("outcome", "user", ""): (False, None, ""),
        ("outcome", "code", ""): (True, None, ""),
        ("tone", "user", ""): (True, None, ""),
        ("comment", "user", ""): (None, None, "too long"),
        ("outcome", "user", "e1"): (None, 2.0, ""),
    }


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"success": True}, "request_id or episode"),
        ({**ANYTHING, "episode": "e"}, "request_id or episode"),
        ({"request_id": REQUEST}, "says nothing"),
        ({"request_id": "chatcmpl-1", "success": True}, "15 hexadecimal digits"),
        ({"request_id": "f" * 15, "success": True}, "lies ahead"),
        ({**ANYTHING, "sucess": True}, "unknown field `sucess`"),
        ({**ANYTHING, "success": 1}, "Expected `bool | null`, got `int`"),
        ({**ANYTHING, "source": "me"}, "Invalid enum value 'me'"),
        ({**ANYTHING, "human_minutes": -1}, "from 0 to 1,000,000"),
        ({**ANYTHING, "human_minutes": "NaN"}, "from 0 to 1,000,000"),
        ({**ANYTHING, "human_minutes": "1e-999999"}, "digits after the point"),
        ({**ANYTHING, "comment": "x" * 4097}, "length <= 4096"),
        ({**ANYTHING, "name": "a\nb"}, "do not print"),
        ({**ANYTHING, "at": "2126-01-01T00:00:00Z"}, "before 2000 or ahead"),
        ({**ANYTHING, "at": "0001-01-01T00:00:00+23:59"}, "beyond the calendar"),
        ([ANYTHING, {"success": True}], "Outcome 1 of 2"),
        ([ANYTHING] * 1001, "length <= 1000"),
        ("success", "Expected `object | array`"),
        (b"{", "no JSON"),
        (b'{"score": 1e999}', "out of range"),
    ],
    ids=str,
)
def test_an_outcome_that_cannot_be_kept_is_refused_in_words_and_openais_shape(
    gateway: Gateway, said: object, why: str
) -> None:
    status, body = say(gateway, said)
    error = body["error"]
    assert (status, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_outcome")
    assert why in error["message"]


def test_strangers_other_methods_and_too_much_are_refused_before_anything_is_read(gateway: Gateway) -> None:
    assert say(gateway, ANYTHING, authorization="Bearer sk-be-unknown")[0] == 401
    with gateway.line() as line:
        reply = line.ask("GET", PATH)
        assert (reply.status, reply.headers["allow"]) == (405, "POST")
    with gateway.line() as line:
        line.send(f"POST {PATH} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\n".encode())
        line.send(b"content-length: 1048577\r\n\r\n")
        assert line.reply().status == 413
    with gateway.line() as line:
        line.send(f"POST {PATH} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\n".encode())
        line.send(b"transfer-encoding: chunked\r\n\r\n" + b"100001\r\n" + b" " * 0x100001 + b"\r\n0\r\n\r\n")
        assert line.reply().status == 413


def test_an_episode_is_cut_where_its_requests_have_it_cut(fresh: Gateway) -> None:
    episode = "e" * 127 + "é and more"
    with fresh.line() as line:
        number = line.chat(payloads.request("load"), x_breakeven_episode=episode.encode().decode("latin-1")).request_id
    assert say(fresh, {"episode": episode, "success": True})[0] == 200
    assert kept(fresh)[0].episode == fresh.row(number)["episode"]


def test_a_message_of_outcomes_is_kept_whole_or_not_at_all(fresh: Gateway) -> None:
    many = [{"episode": f"e{number}", "success": number % 2 == 0} for number in range(1000)]
    assert say(fresh, [*many[:500], {"episode": "bad"}])[0] == 400
    status, body = say(fresh, many)
    assert status == 200
    assert len(set(body["ids"])) == 1000
    assert {(o.episode, o.success) for o in kept(fresh, 1000)} == {(o["episode"], o["success"]) for o in many}
    assert say(fresh, []) == (200, {"object": "breakeven.outcomes", "ids": []})


def test_outcomes_that_cannot_be_written_are_refused_and_taken_once_they_can(fresh: Gateway) -> None:
    assert say(fresh, ANYTHING)[0] == 200
    (worker,) = fresh.workers()

    def writable(size_bytes: int) -> None:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))

    writable(1)
    status, body = say(fresh, {**ANYTHING, "success": False})
    assert (status, body["error"]["code"]) == (503, "outcomes_not_kept")
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        writable(resource.RLIM_INFINITY)

    with Outcomes(fresh.base_url, KEY, wait=wait) as client:
        client.say(episode="later", success=True)
    assert waits == [2.0], "as the gateway asks"
    assert {o.success for o in kept(fresh, 2)} == {True}
    assert fresh.stop() == 0
    assert not list((fresh.ledger_folder / "spool").glob("*.outcomes"))


def test_the_client_says_outcomes_one_by_one_and_many(fresh: Gateway) -> None:
    many: list[Said] = [{"episode": f"e{number}", "score": number / 2} for number in range(2500)]
    with Outcomes(fresh.base_url, KEY) as client:
        name = client.say(request_id=REQUEST, success=True, human_minutes=Decimal("0.1"), at=datetime(2026, 2, 1))  # noqa: DTZ001 - taken as UTC
        assert client.say(request_id=REQUEST, success=False) == name
        long: list[Said] = [{"episode": f"long{number}", "demonstration": "d" * 30_000} for number in range(70)]
        assert len(set(client.say_all([*many, *long]))) == 2570
        with pytest.raises(InputError, match="15 hexadecimal digits"):
            client.say(request_id="chatcmpl-1", success=True)
    found = kept(fresh, 2571)
    assert {o.score for o in found if o.episode.startswith("e")} == {number / 2 for number in range(2500)}


def test_the_client_says_what_is_wrong_when_nobody_takes_outcomes(gateway: Gateway) -> None:
    waits: list[float] = []
    with (
        Outcomes(f"http://127.0.0.1:{free_port()}", attempts=4, wait=waits.append) as client,
        pytest.raises(NotKeptError, match="Connection refused"),
    ):
        client.say(episode="e", success=True)
    assert waits == [0.2, 0.4, 0.8]
    with Outcomes(gateway.base_url, "sk-be-unknown", wait=waits.append) as client:
        with pytest.raises(NotKeptError, match="key is not known") as refused:
            client.say(episode="e", success=True)
        assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")
    assert len(waits) == 3, "a key that is unknown is unknown a second later too"
    with pytest.raises(InputError, match="is no gateway's address"):
        Outcomes("localhost:8080")


def _victim(gateway: Gateway, number: int) -> int:
    return (gateway.mover(), gateway.workers()[0])[number % 2]


def test_no_outcome_that_was_thanked_for_is_lost_when_workers_and_movers_are_killed(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    configured = settings({"load": target(upstream.url("load"))}, {"load": {"targets": ["load"]}}, workers=2)
    gateway = start_gateway(configured)
    thanked: dict[str, int] = {}
    stop = threading.Event()

    def wait(seconds: float) -> None:
        stop.wait(min(seconds, 0.01))

    def speak(speaker: int) -> None:
        """Say ever higher scores of the same twenty episodes; a client tries again what was cut off."""
        number = 0
        with Outcomes(gateway.base_url, KEY, attempts=50, wait=wait) as client:
            while not stop.is_set():
                number += 1
                episode = f"{speaker}-{number % 20}"
                with suppress(NotKeptError):
                    client.say(episode=episode, score=number)
                    thanked[episode] = number

    speakers = [threading.Thread(target=speak, args=(number,)) for number in range(3)]
    for speaker in speakers:
        speaker.start()
    for number in range(8):
        before = sum(thanked.values())
        wait_for(lambda before=before: sum(thanked.values()) > before + 300, "nobody is thanked")  # type: ignore[misc]
        with suppress(ProcessLookupError):
            os.kill(_victim(gateway, number), signal.SIGKILL)
    stop.set()
    for speaker in speakers:
        speaker.join()
    gateway.kill()
    gateway.start()
    assert gateway.stop() == 0
    found = {o.episode: int(o.score or 0) for o in kept(gateway)}
    assert found.keys() >= thanked.keys()
    late = {episode: (found[episode], said) for episode, said in thanked.items() if found[episode] < said}
    assert not late, "an older word stands in the place of a newer one"
    assert not list((gateway.ledger_folder / "spool").glob("*.outcomes*"))


def test_a_torn_last_write_costs_no_outcome_before_it(fresh: Gateway) -> None:
    os.kill(fresh.mover(), signal.SIGSTOP)  # so that they are in the file alone
    for number in range(5):
        assert say(fresh, {"episode": f"e{number}", "success": True})[0] == 200
    fresh.kill()
    (file,) = (fresh.ledger_folder / "spool").glob("*.outcomes")
    os.truncate(file, file.stat().st_size - 3)
    fresh.start()
    assert say(fresh, {"episode": "new", "success": True})[0] == 200
    assert fresh.stop() == 0
    assert {o.episode for o in kept(fresh, 5)} == {"e0", "e1", "e2", "e3", "new"}


def test_a_key_never_speaks_over_another_one(start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> None:
    configured = settings({"load": target(upstream.url("load"))}, {"load": {"targets": ["load"]}})
    configured["keys"].append({"name": "other", "sha256": hashlib.sha256(b"sk-be-other").hexdigest()})
    gateway = start_gateway(configured)
    assert say(gateway, {**ANYTHING, "id": "one"})[0] == 200
    assert say(gateway, {**ANYTHING, "id": "one", "success": False}, authorization="Bearer sk-be-other")[0] == 200
    assert {(o.key, o.success) for o in kept(gateway, 2)} == {("tests", True), ("other", False)}


def test_a_key_that_sends_too_much_waits_and_holds_up_no_other(tmp_path: Path) -> None:
    desk = OutcomeDesk(OutcomeSpool(tmp_path, worker=0))
    many = json.dumps([{"episode": f"e{n}", "comment": "c" * 4000} for n in range(250)]).encode()
    now_s = 1_790_000_000.0
    count = BYTES_PER_MINUTE // len(many)
    assert [desk.take("k", many, now_s).status for _ in range(count)] == [200] * count
    late = desk.take("k", many, now_s)
    assert (late.status, late.code) == (429, "too_many_outcomes")
    wait_s = int(late.extra.removeprefix(b"retry-after: "))
    assert 0 < wait_s <= 4
    assert desk.take("other", many, now_s).status == 200
    assert desk.take("k", many, now_s - 3600).status == 429, "a clock that was set back gives nothing"
    assert desk.take("k", many, now_s - 3600 + wait_s).status == 200
