"""What the errors of real servers are taken for, and what follows from it.

Bodies stand in ``error_bodies.jsonl``, as published at the address beside them, shortened where that does not matter
and with accounts left out; ``made`` marks those that nobody published, or of which only the message was.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.gateway import failures
from breakeven.gateway.failures import Failure, answered
from breakeven.gateway.said_errors import MAX_RETRY_AFTER_S
from breakeven.routing import kinds
from breakeven.routing.kinds import (
    BAD_CREDENTIALS,
    CLIENT_ERROR,
    KINDS,
    MODEL_MISSING,
    OUT_OF_QUOTA,
    OVERLOADED,
    RATE_LIMITED,
    SERVER_ERROR,
    Kind,
)
from breakeven.upstreams import connection


class Seen(msgspec.Struct):
    """One line of the file of bodies."""

    server: str
    status: int
    kind: str
    source: str
    body: str


BODIES = Path(__file__).with_name("error_bodies.jsonl")
SEEN = [msgspec.json.decode(line, type=Seen) for line in BODIES.read_bytes().splitlines()]


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: f"{seen.server}-{seen.status}-{seen.kind}")
def test_the_errors_of_real_servers_are_taken_for_what_they_are(seen: Seen) -> None:
    failure = answered("a", seen.status, {b"Content-Type": b"application/json"}, seen.body.encode())
    assert failure.kind.name == seen.kind
    assert (failure.status, failure.reason) == (seen.status, f"status_{seen.status}")


def test_enough_servers_were_looked_at() -> None:
    published = [seen for seen in SEEN if not seen.source.startswith("made")]
    assert len(published) >= 55
    assert len({seen.server for seen in published}) >= 17
    assert all(seen.source.startswith(("https://", "made")) and msgspec.json.decode(seen.body) for seen in SEEN)


@pytest.mark.parametrize(
    ("status", "kind", "retried", "passed_on"),
    [
        (302, kinds.BROKEN, True, False),
        (400, CLIENT_ERROR, False, True),
        (401, BAD_CREDENTIALS, True, False),
        (402, OUT_OF_QUOTA, True, False),
        (403, BAD_CREDENTIALS, True, False),
        (404, MODEL_MISSING, True, True),
        (408, kinds.TIMED_OUT, True, True),
        (413, CLIENT_ERROR, False, True),
        (422, CLIENT_ERROR, False, True),
        (424, SERVER_ERROR, True, True),
        (429, RATE_LIMITED, True, True),
        (500, SERVER_ERROR, True, True),
        (503, OVERLOADED, True, True),
        (529, OVERLOADED, True, True),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b"null", b"[]", b'{"error":null}', b"[" * 50_000, b'"\xff"']
)
def test_a_body_that_says_nothing_leaves_it_to_the_status(
    status: int, kind: Kind, retried: bool, passed_on: bool, body: bytes
) -> None:
    for failure in (answered("a", status), answered("a", status, {}, body)):
        assert (failure.kind, failure.retried, failure.passed_on) == (kind, retried, passed_on)
        assert not failure.needs_larger


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (connection.CONNECT_FAILED, kinds.UNREACHABLE),
        (connection.CONNECT_TIMEOUT, kinds.UNREACHABLE),
        (connection.TLS_FAILED, kinds.UNREACHABLE),
        (connection.PROXY_REFUSED, kinds.UNREACHABLE),
        (connection.SATURATED, kinds.SATURATED),
        (connection.LOST, kinds.BROKEN),
        (connection.MALFORMED, kinds.BROKEN),
        (connection.HEAD_TOO_LARGE, kinds.BROKEN),
        (failures.ERROR_EVENT, kinds.BROKEN),
        (failures.NO_DONE, kinds.BROKEN),
        (failures.FIRST_TOKEN_TIMEOUT, kinds.TIMED_OUT),
        (failures.BETWEEN_TOKENS_TIMEOUT, kinds.TIMED_OUT),
        (failures.TOTAL_TIMEOUT, kinds.OUT_OF_TIME),
        (failures.UNTRANSLATABLE, kinds.UNTRANSLATABLE),
    ],
)
def test_attempts_without_an_answer_have_a_kind_too(reason: str, kind: Kind) -> None:
    failure = Failure(reason, "why")
    assert failure.kind is kind
    assert failure.retried == (reason != failures.TOTAL_TIMEOUT)
    assert not failure.passed_on


def test_a_prompt_that_is_too_long_goes_only_where_longer_ones_are_taken() -> None:
    failure = answered("a", 400, {}, b'{"error":{"message":"","code":"context_length_exceeded"}}')
    assert (failure.retried, failure.needs_larger, failure.passed_on) == (False, True, True)


def test_a_refusal_by_a_filter_goes_nowhere_else_and_reaches_the_client_as_it_came() -> None:
    for status in (400, 403):
        failure = answered("a", status, {}, b'{"error":{"message":"","code":"content_filter"}}')
        assert (failure.retried, failure.needs_larger, failure.passed_on) == (False, False, True)


def test_what_a_client_writes_cannot_count_against_a_target() -> None:
    quoted = "input: 'insufficient_quota invalid_api_key Your credit balance is too low. API key not valid. overloaded'"
    bodies = (
        {"error": {"message": f"Bad request, {quoted}", "type": "invalid_request_error"}},
        {"detail": [{"type": "missing", "loc": ["body"], "input": {"code": "insufficient_quota"}}]},
        {"object": "error", "message": f"[{{'type': 'missing', {quoted}}}]", "type": "BadRequestError", "code": 400},
    )
    for body in bodies:
        assert answered("a", 400, {}, msgspec.json.encode(body)).kind is CLIENT_ERROR


def test_our_own_account_that_was_blocked_is_no_refusal_of_a_prompt() -> None:
    body = b'{"error":{"message":"Your access was terminated due to violating our usage policy","code":null}}'
    for status in (401, 403):
        assert answered("a", status, {}, body).kind is BAD_CREDENTIALS


def test_bedrock_says_in_a_header_what_went_wrong() -> None:
    headers = {b"x-amzn-ErrorType": b"UnrecognizedClientException:http://internal.amazon.com/coral/"}
    failure = answered("a", 400, headers, b'{"message":"The security token included in the request is invalid."}')
    assert failure.kind is BAD_CREDENTIALS  # made
    missing = answered("a", 400, {}, b'{"message":"The provided model identifier is invalid."}')
    assert missing.kind is MODEL_MISSING


def test_a_client_is_not_told_of_our_credentials_or_money() -> None:
    for body in (b"{}", b'{"error":{"code":"insufficient_quota","message":"You exceeded your current quota"}}'):
        failure = answered("acme", 401 if body == b"{}" else 429, {}, body)
        reply = failure.reply(b"")
        assert (failure.passed_on, reply.status) == (False, 502)
        assert "acme" in reply.message
        assert "exceeded" not in reply.message


DATE = b"Wed, 21 Oct 2015 07:28:00 GMT"
DATE_S = 1_445_412_480.0


@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        ({}, None),
        ({b"Retry-After": b"12"}, 12.0),
        ({b"retry-after": b"1.5"}, 1.5),
        ({b"retry-after": b"-3"}, 0.0),
        ({b"retry-after": DATE}, 30.0),
        ({b"retry-after": b"Wed, 21 Oct 2015 07:28:00 -0000"}, 30.0),
        ({b"retry-after": b"Wed, 21 Oct 2015 07:00:00 GMT"}, 0.0),
        ({b"retry-after": b"99999999"}, MAX_RETRY_AFTER_S),
        ({b"retry-after": b"soon"}, None),
        ({b"retry-after": b"inf"}, None),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b""}, None),
        ({b"retry-after-ms": b"174", b"retry-after": b"1"}, 0.174),
        ({b"x-ratelimit-reset-requests": b"17ms", b"x-ratelimit-remaining-requests": b"0"}, 0.017),
        ({b"x-ratelimit-reset-tokens": b"6m0s", b"x-ratelimit-remaining-tokens": b"0"}, 360.0),
        ({b"X-RateLimit-Reset-Tokens": b"1h2m3.5s"}, 3723.5),
        ({b"x-ratelimit-reset-tokens": b"59", b"x-ratelimit-remaining-tokens": b"0"}, 59.0),
        ({b"x-ratelimit-reset-tokens": b"6m0s", b"x-ratelimit-remaining-tokens": b"1200"}, None),
        ({b"x-ratelimit-reset-tokens": b"later"}, None),
        ({b"x-ratelimit-reset": b"1445412490000"}, 40.0),
        ({b"x-ratelimit-reset": b"1445412490"}, 40.0),
        ({b"x-ratelimit-reset": b"7"}, 7.0),
        ({b"retry-after": b"3", b"x-ratelimit-reset-tokens": b"6m0s"}, 3.0),
    ],
)
def test_a_target_that_says_when_is_understood(headers: dict[bytes, bytes], expected_s: float | None) -> None:
    found = answered("a", 429, headers, b"", DATE_S - 30).retry_after_s
    assert found == (None if expected_s is None else pytest.approx(expected_s))


def test_google_says_when_in_the_body() -> None:
    body = b"""{"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.Help"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"}]}}"""
    assert answered("a", 429, {}, body).retry_after_s == 37.5  # made after https://cloud.google.com/apis/design/errors


_texts = st.text(max_size=30) | st.sampled_from(["message", "error", "code", "type", "details", "retryDelay", "reason"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=5),
    max_leaves=20,
)


@given(st.integers(100, 999), _json, st.binary(max_size=40), st.binary(max_size=40))
def test_nothing_that_a_target_sends_breaks_it(status: int, content: object, value: bytes, junk: bytes) -> None:
    names = (b"retry-after", b"retry-after-ms", b"x-ratelimit-reset", b"x-ratelimit-reset-tokens", b"\xff")
    headers = dict.fromkeys(names, value)
    for body in (msgspec.json.encode(content), junk):
        failure = answered("a", status, headers, body, 1e9)
        assert failure.kind in KINDS
        assert failure.retry_after_s is None or 0 <= failure.retry_after_s <= MAX_RETRY_AFTER_S
        assert not (failure.retried and failure.needs_larger)


def test_kinds_have_names_of_their_own() -> None:
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.islower() for name in names)
    assert {kind for kind in vars(kinds).values() if isinstance(kind, Kind)} == set(KINDS)
