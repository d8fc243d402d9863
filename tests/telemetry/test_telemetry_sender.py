"""From the outbox to the receiver: everything once, in order, whatever the receiver does."""

from __future__ import annotations

import socket
import sqlite3
import ssl
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from breakeven.ledger.close import close_days
from breakeven.ledger.days import day_number
from breakeven.ledger.outbox import ENTRY_IDS
from breakeven.ledger.prune import prune
from breakeven.telemetry.sender import IDLE_S, MAX_RETRY_S
from telemetry.otlp import OtlpReceiver, Reply
from telemetry.rows import START_US, move, request_id, send_all, sender_of, waiting

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.telemetry.sender import Sender

TOMORROW = day_number(START_US / 1e6) + 1
SECRET = "planted-token-of-the-receiver"  # noqa: S105 - planted


def numbers(receiver: OtlpReceiver) -> list[int]:
    """The numbers of requests of whose attempts the receiver has spans."""
    return [(int(span.values["breakeven.request_id"], 16) << 4) // request_id(0) - 1 for span in receiver.seen]


def test_without_a_store_there_is_nothing_to_do(tmp_path: Path, receiver: OtlpReceiver) -> None:
    sender = sender_of(tmp_path, receiver)
    assert sender.step() == IDLE_S
    assert not sender.trouble
    assert receiver.requests == []


def test_what_was_sent_is_not_sent_again_whoever_goes_on(tmp_path: Path, receiver: OtlpReceiver) -> None:
    move(tmp_path, {"number": 1}, {"number": 2})
    send_all(sender_of(tmp_path, receiver))
    send_all(sender_of(tmp_path, receiver))
    move(tmp_path, {"number": 3})
    send_all(sender_of(tmp_path, receiver))
    assert numbers(receiver) == [1, 2, 3]
    assert len(receiver.requests) == 2
    assert waiting(tmp_path) == 0


def test_an_attempt_that_ended_late_is_sent_though_its_request_is_an_old_one(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    move(tmp_path, {"number": 500})
    send_all(sender_of(tmp_path, receiver))
    move(tmp_path, {"number": 3})
    send_all(sender_of(tmp_path, receiver))
    assert numbers(receiver) == [500, 3]


def test_many_attempts_go_in_many_requests_of_bounded_size(tmp_path: Path, receiver: OtlpReceiver) -> None:
    count = 3 * ENTRY_IDS + 7
    move(tmp_path, *({} for _ in range(count)))
    sender = sender_of(tmp_path, receiver)
    assert sender.step() == 0.0
    assert len(receiver.seen) == ENTRY_IDS
    send_all(sender)
    assert sorted(numbers(receiver)) == list(range(count))
    assert len(receiver.requests) == 4


def test_few_attempts_of_many_steps_go_together(tmp_path: Path, receiver: OtlpReceiver) -> None:
    for number in range(20):
        move(tmp_path, {"number": number})
    send_all(sender_of(tmp_path, receiver))
    assert len(receiver.requests) == 1
    assert numbers(receiver) == list(range(20))


def test_while_the_receiver_is_away_everything_waits_and_then_goes_out_once(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    move(tmp_path, {"number": 1})
    receiver.stop()
    sender = sender_of(tmp_path, receiver)
    waits = [sender.step() for _ in range(8)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, MAX_RETRY_S, MAX_RETRY_S]
    assert "refused" in sender.trouble
    assert receiver.url in sender.trouble
    move(tmp_path, {"number": 2})
    receiver.start()
    send_all(sender)
    assert numbers(receiver) == [1, 2]
    assert sender.take_warnings() == []


@pytest.mark.parametrize("status", [301, 401, 404, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_is_waited_out(tmp_path: Path, receiver: OtlpReceiver, status: int) -> None:
    move(tmp_path, {"number": 1})
    receiver.script.append(Reply(status, headers=(("location", "http://169.254.169.254/"), ("retry-after", "9"))))
    sender = sender_of(tmp_path, receiver)
    assert sender.step() == 9.0
    assert str(status) in sender.trouble
    send_all(sender)
    assert numbers(receiver) == [1]


def test_a_retry_after_is_bounded_and_a_strange_one_is_no_matter(tmp_path: Path, receiver: OtlpReceiver) -> None:
    move(tmp_path, {})
    asked = ("Fri, 31 Dec 2027 23:59:59 GMT", "999999999", "-5", "²")
    receiver.script += [Reply(503, headers=(("retry-after", text),)) for text in asked]
    sender = sender_of(tmp_path, receiver)
    assert [sender.step() for _ in asked] == [1.0, 300.0, 4.0, 8.0]
    sender.close()


@pytest.mark.parametrize("status", [400, 413])
def test_spans_that_will_never_be_taken_are_left_out_and_told_once(
    tmp_path: Path, receiver: OtlpReceiver, status: int
) -> None:
    move(tmp_path, {"number": 1}, {"number": 2})
    receiver.script += [Reply(status), Reply(status)]
    sender = sender_of(tmp_path, receiver)
    assert sender.step() == 0.0
    move(tmp_path, {"number": 3})
    send_all(sender)
    (warning,) = sender.take_warnings()
    assert f"refused 2 of 2 spans (status {status})" in warning
    move(tmp_path, {"number": 4})
    send_all(sender)
    assert numbers(receiver) == [4]


def test_spans_that_a_receiver_rejects_in_part_are_told(tmp_path: Path, receiver: OtlpReceiver) -> None:
    move(tmp_path, {}, {}, {})
    receiver.script.append(Reply(rejected=2))
    sender = sender_of(tmp_path, receiver)
    send_all(sender)
    (warning,) = sender.take_warnings()
    assert "refused 2 of 3 spans" in warning
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("body", [b"{}", b"ok", b"\xff" * 200_000])
def test_what_else_stands_in_a_good_answer_is_no_matter(tmp_path: Path, receiver: OtlpReceiver, body: bytes) -> None:
    receiver.script.append(Reply(body=body))
    move(tmp_path, {"number": 1})
    sender = sender_of(tmp_path, receiver)
    assert sender.step() == 0.0
    move(tmp_path, {"number": 2})
    send_all(sender)
    assert numbers(receiver) == [1, 2]


def test_a_kept_connection_that_was_closed_at_the_other_end_is_no_trouble(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    move(tmp_path, {"number": 1})
    receiver.script.append(Reply(hang_up=True))
    sender = sender_of(tmp_path, receiver)
    assert sender.step() == 0.0
    move(tmp_path, {"number": 2})
    send_all(sender)
    assert numbers(receiver) == [1, 2]


def test_a_store_that_cannot_be_written_sends_nothing_twice(
    tmp_path: Path, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(tmp_path, {"number": 1})
    sender = sender_of(tmp_path, receiver)
    monkeypatch.setattr("breakeven.telemetry.sender.BUSY_S", 0.01)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert sender.step() == 1.0
        assert sender.step() == 2.0
        assert "is locked" in sender.trouble
        other.execute("ROLLBACK")
    send_all(sender)
    move(tmp_path, {"number": 2})
    send_all(sender)
    assert numbers(receiver) == [1, 2]


def test_days_that_were_closed_meanwhile_are_sent_from_their_files(tmp_path: Path, receiver: OtlpReceiver) -> None:
    move(tmp_path, {"number": 1, "key": "k"}, {"number": 2, "episode": "e"})
    (closed,) = close_days(tmp_path / "ledger.sqlite", TOMORROW)
    assert closed.rows == 2
    move(tmp_path, {"number": 3})
    send_all(sender_of(tmp_path, receiver))
    assert numbers(receiver) == [1, 2, 3]
    assert receiver.seen[0].values["breakeven.key"] == "k"
    assert receiver.seen[1].values["breakeven.episode"] == "e"


def test_attempts_that_were_deleted_meanwhile_are_told_and_do_not_hold_up_the_others(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    move(tmp_path, {"number": 1})
    prune(tmp_path / "ledger.sqlite", TOMORROW)
    sender = sender_of(tmp_path, receiver)
    send_all(sender)
    (warning,) = sender.take_warnings()
    assert warning.startswith("1 attempts were deleted")
    assert waiting(tmp_path) == 0
    assert receiver.requests == []


def test_only_what_is_moved_while_somebody_is_to_be_told_is_taken_down(tmp_path: Path, receiver: OtlpReceiver) -> None:
    move(tmp_path, {"number": 1}, tells=None)
    move(tmp_path, {"number": 2}, tells=True)
    move(tmp_path, {"number": 3}, tells=None)  # a command that moves what a stopped gateway left
    sender = sender_of(tmp_path, receiver)
    send_all(sender)
    assert numbers(receiver) == [2, 3]
    move(tmp_path, {"number": 4}, tells=True)
    move(tmp_path, {"number": 5}, tells=False)
    send_all(sender)
    assert numbers(receiver) == [2, 3]


def test_the_team_of_a_stored_key_is_told(tmp_path: Path, receiver: OtlpReceiver) -> None:
    move(tmp_path, {"key": "stored"})
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection, connection:
        connection.execute(
            "INSERT INTO key (name, sha256, shown, models, tags, created_s, team) "
            "VALUES ('stored', 'x', 'x', '', '', 0, 'ops')"
        )
    send_all(sender_of(tmp_path, receiver))
    assert receiver.seen[0].values["breakeven.team"] == "ops"


def test_headers_of_the_settings_go_along_and_are_shown_nowhere(tmp_path: Path, receiver: OtlpReceiver) -> None:
    move(tmp_path, {})
    receiver.script.append(Reply(500))
    sender = sender_of(tmp_path, receiver, headers=(("authorization", SECRET),), path="/otlp")
    sender.step()
    said = [sender.trouble]
    send_all(sender)
    path, headers, body = receiver.requests[1]
    assert path == "/otlp/v1/traces"
    assert headers["authorization"] == SECRET
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["user-agent"] == "breakeven/1.2.3"
    assert SECRET.encode() not in body
    assert SECRET not in str(said)


def test_tls_is_verified(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    secure = OtlpReceiver(tls=context)
    move(tmp_path, {"number": 1})
    tls: dict[str, Any] = {"tls": True, "host": "localhost"}
    assert "certificate is not accepted" in _trouble(sender_of(tmp_path, secure, **tls))
    trusted = {**tls, "ca_file": str(tmp_path / "authority.pem")}
    assert "certificate is not accepted" in _trouble(sender_of(tmp_path, secure, **trusted | {"host": "127.0.0.1"}))
    assert "No such file" in _trouble(sender_of(tmp_path, secure, **trusted | {"ca_file": str(tmp_path / "gone.pem")}))
    send_all(sender_of(tmp_path, secure, **trusted))
    assert numbers(secure) == [1]
    secure.stop()


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254"])
def test_a_name_that_comes_to_mean_a_metadata_service_is_not_connected_to(
    tmp_path: Path, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 80, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    move(tmp_path, {})
    assert f"{address} is no address" in _trouble(sender_of(tmp_path, receiver, host="collector.example"))


def test_proxies_of_the_environment_are_not_asked(
    tmp_path: Path, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    move(tmp_path, {"number": 1})
    send_all(sender_of(tmp_path, receiver))
    assert numbers(receiver) == [1]


def _trouble(sender: Sender) -> str:
    """Why a step fails."""
    assert sender.step() == 1.0
    sender.close()
    return sender.trouble
