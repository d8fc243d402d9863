"""Receivers of alerts are told, or it is said why not; nothing goes where nobody configured it to go."""

from __future__ import annotations

import base64
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from alerts.receivers import HttpReceiver, MailReceiver
from breakeven.studies.alerts import Notice
from breakeven.upstreams.mail import MailServer, send_mail
from breakeven.upstreams.post import Place, post
from breakeven.wiring.alert_plan import ReceiverPlan
from breakeven.wiring.alert_send import send

if TYPE_CHECKING:
    from pathlib import Path

NOW_S = 1_793_538_000.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who vouches for servers."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    """Write the authority's certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def certified(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def notice(**said: Any) -> Notice:
    plain: dict[str, Any] = {
        "kind": "utilisation", "subject": "llama", "state": "raised", "since_s": NOW_S, "raised_s": NOW_S,
        "said": "The pool <llama> & co idles.", "todo": "breakeven advise", "figures": {"utilisation_fraction": 0.1},
    }  # fmt: skip
    return Notice(**(plain | said))


def at(receiver: HttpReceiver, way: str, path: str = "/hook", **said: Any) -> ReceiverPlan:
    place = Place("localhost", receiver.port, receiver.url.startswith("https"), path, said.pop("ca_file", ""))
    return ReceiverPlan(name="ops", way=way, shown=receiver.url, place=place, **said)


def tell(plan: ReceiverPlan, *notices: Notice) -> str:
    return send(plan, notices, "gw:9400", NOW_S + 60, 60.0)


def test_a_webhook_gets_everything_as_json_with_its_headers() -> None:
    with HttpReceiver() as receiver:
        plan = at(receiver, "webhook", "/hook?sig=1", headers=(("authorization", "Bearer planted"),))
        assert tell(plan, notice(), notice(subject="b", state="over")) == ""
        (sent,) = receiver.wait_for(1)
    assert (sent.path, sent.headers["authorization"]) == ("/hook?sig=1", "Bearer planted")
    assert sent.body["gateway"] == "gw:9400"
    first, second = sent.body["alerts"]
    assert (first["kind"], first["subject"], first["state"]) == ("utilisation", "llama", "raised")
    assert (first["since"], first["figures"]) == ("2026-11-01T13:00:00Z", {"utilisation_fraction": 0.1})
    assert second["state"] == "over"


def test_slack_gets_a_text_in_which_names_are_no_markup() -> None:
    with HttpReceiver() as receiver:
        assert tell(at(receiver, "slack"), notice(said="<!channel> & more"), notice(state="over")) == ""
        (sent,) = receiver.wait_for(1)
    assert list(sent.body) == ["text"]
    assert "&lt;!channel&gt; &amp; more" in sent.body["text"]
    assert ":white_check_mark: over:" in sent.body["text"]


def test_slack_and_mail_count_what_is_too_much_to_read() -> None:
    many = tuple(notice(subject=f"p{number}") for number in range(25))
    with HttpReceiver() as receiver:
        assert tell(at(receiver, "slack"), *many) == ""
        (sent,) = receiver.wait_for(1)
    assert "… and 5 more" in sent.body["text"]


def test_an_alertmanager_is_told_until_when_each_lasts() -> None:
    event = notice(kind="price_change", subject="p:m", is_event=True)
    with HttpReceiver() as receiver:
        plan = at(receiver, "alertmanager", "/api/v2/alerts")
        assert tell(plan, notice(), notice(state="over", since_s=NOW_S + 30), event) == ""
        (sent,) = receiver.wait_for(1)
    lasting, over, happened = sent.body
    assert sent.path == "/api/v2/alerts"
    assert lasting["labels"] == {
        "alertname": "BreakevenUtilisation", "severity": "warning", "subject": "llama", "gateway": "gw:9400",
    }  # fmt: skip
    assert (lasting["startsAt"], lasting["endsAt"]) == ("2026-11-01T13:00:00Z", "2026-11-01T13:06:00Z")
    assert over["endsAt"] == "2026-11-01T13:00:30Z"
    assert happened["endsAt"] == "2026-11-02T13:00:00Z"


@pytest.mark.parametrize(("status", "answer", "why"), [
    (500, b"no\ngood", "it answers 500 (nogood)"),
    (302, b"", "it answers 302"),  # never followed: what is sent may carry credentials
    (403, b"x" * 100_000, "it answers 403 (" + "x" * 120 + ")"),
])  # fmt: skip
def test_what_a_receiver_does_not_take_is_said(status: int, answer: bytes, why: str) -> None:
    with HttpReceiver() as receiver:
        receiver.status, receiver.answer = status, answer
        assert tell(at(receiver, "webhook"), notice()) == why
        assert len(receiver.sent) == 1


def test_a_receiver_that_is_away_or_silent_is_said() -> None:
    with HttpReceiver() as receiver:
        receiver.delay_s = 1.0
        place = Place("localhost", receiver.port, tls=False, path="/")
        assert post(place, b"{}", (), timeout_s=0.05) == "no answer within 0.05 s"
    assert "refused" in post(place, b"{}", ()).lower()


def test_an_address_where_machines_get_their_credentials_is_never_asked() -> None:
    place = Place("169.254.169.254", 80, tls=False, path="/")
    assert "machines get their credentials there" in post(place, b"{}", (), timeout_s=0.2)


def test_tls_holds_a_receiver_to_its_certificate(authority: trustme.CA, ca_file: str) -> None:
    with HttpReceiver(certified(authority)) as receiver:
        assert tell(at(receiver, "webhook", ca_file=ca_file), notice()) == ""
        assert "certificate is not accepted" in tell(at(receiver, "webhook"), notice())
    with HttpReceiver(certified(authority, "other.example")) as receiver:
        assert "certificate is not accepted" in tell(at(receiver, "webhook", ca_file=ca_file), notice())
        assert not receiver.sent


def mail_plan(receiver: MailReceiver, security: Any, *, ca_file: str = "", user: str = "") -> ReceiverPlan:
    password = "planted" if user else ""
    server = MailServer("localhost", receiver.port, security, user, password, ca_file)
    to = ("ops@example.com", "boss@example.com")
    return ReceiverPlan(name="mail", way="email", shown="mail", server=server, sender="be@example.com", to=to)


def test_mail_says_what_is_so_and_what_to_do() -> None:
    with MailReceiver() as receiver:
        assert tell(mail_plan(receiver, "none"), notice()) == ""
        (mail,) = receiver.mails
    assert (mail.sender, mail.to) == ("be@example.com", ("ops@example.com", "boss@example.com"))
    assert mail.message["subject"] == "[breakeven] utilisation, llama"
    text = mail.message.get_content()
    assert "WARNING  utilisation: llama" in text
    assert "The pool <llama> & co idles." in text
    assert "breakeven advise" in text
    assert not mail.login


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_is_encrypted_before_a_password_is_said(authority: trustme.CA, ca_file: str, security: str) -> None:
    with MailReceiver(certified(authority), from_the_start=security == "tls") as receiver:
        assert tell(mail_plan(receiver, security, ca_file=ca_file, user="be"), notice()) == ""
        (mail,) = receiver.mails
        assert mail.is_encrypted
        assert base64.b64decode(mail.login) == b"\0be\0planted"
        assert "certificate is not accepted" in tell(mail_plan(receiver, security, user="be"), notice())
        assert len(receiver.mails) == 1


def test_mail_that_should_be_encrypted_is_not_sent_in_the_clear() -> None:
    with MailReceiver() as receiver:
        assert tell(mail_plan(receiver, "starttls"), notice()) == "it does not offer STARTTLS"
        assert not receiver.mails


def test_a_mail_server_that_refuses_is_said_without_what_it_was_told() -> None:
    with MailReceiver(refuses=("ops@example.com",)) as receiver:
        assert "took no mail for ops@example.com" in tell(mail_plan(receiver, "none"), notice())
        receiver.password_status = b"535 planted is wrong"
        assert tell(mail_plan(receiver, "none", user="be"), notice()) == "it answers 535"


def test_a_subject_cannot_bring_headers_of_its_own() -> None:
    with MailReceiver() as receiver:
        server = MailServer("localhost", receiver.port, "none")
        assert send_mail(server, "a@b.c", ["x@y.z"], ("one\r\nBcc: everybody@b.c", "text")) == ""
        (mail,) = receiver.mails
    assert mail.message["subject"] == "one Bcc: everybody@b.c"
    assert mail.message["bcc"] is None
