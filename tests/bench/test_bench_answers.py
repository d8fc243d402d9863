"""Endpoints that answer in every way but the usual one: each is measured for what it is, or refused in words."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from breakeven.errors import InputError
from breakeven.wiring.bench import BenchResult, run_bench
from breakeven.wiring.bench_question import BenchRequest
from gateway import answers, payloads
from gateway.scripted import Call, ScriptedUpstream, scripted_upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Answer = Callable[[Call], None]


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as opened:
        yield opened


GAP_S = 0.005


def usage_of(call: Call) -> dict[str, Any]:
    words = len(call.json["messages"][0]["content"].split()) - 1
    bound = call.json.get("max_tokens") or call.json["max_completion_tokens"]
    return payloads.usage(input_tokens=9 + 2 * words, output_tokens=bound)


def good(call: Call) -> None:
    """Answer as an engine does: a piece a token, and the usage."""
    told = usage_of(call)
    answers.stream(payloads.stream(told["completion_tokens"], told), gap_s=GAP_S)(call)


def after_probes(answer: Answer) -> list[Answer]:
    """Answer the two probes well, and everything after them so."""
    return [good, good, answer]


def measured(upstream: ScriptedUpstream, place: str, *script: Answer, **fields: Any) -> BenchResult:
    upstream.script(place, *(script or (good,)))
    plain: dict[str, Any] = {
        "concurrencies": (2,), "isl_tokens": (100,), "osl_tokens": (6,), "level_s": 5.0, "narrow_fraction": 0.9,
        "most_requests": 40,
    }  # fmt: skip
    return run_bench(BenchRequest(url=upstream.url(place), model="m", **{**plain, **fields}))


def refused(upstream: ScriptedUpstream, place: str, *script: Answer, **fields: Any) -> str:
    with pytest.raises(InputError) as caught:
        measured(upstream, place, *script, **fields)
    return str(caught.value)


def test_tokens_are_those_that_the_endpoint_tells(upstream: ScriptedUpstream) -> None:
    found = measured(upstream, "plain")
    level = found.calibration.levels[0]
    assert level.isl_tokens == pytest.approx(100, abs=1)
    assert level.osl_tokens == 6
    assert level.asked_count == 2
    assert level.told_fraction == 1
    assert 1 < level.concurrency_count <= 2
    assert level.ttft.p50_ms <= level.total.p50_ms
    assert not level.failures


def test_a_request_asks_for_a_stream_of_a_length_with_its_usage(upstream: ScriptedUpstream) -> None:
    measured(upstream, "asked")
    call = upstream.calls("asked")[-1]
    assert call.json["max_tokens"] == 6
    assert call.json["ignore_eos"] is True
    assert call.json["stream"] is True
    assert call.json["stream_options"] == {"include_usage": True}
    assert "authorization" not in call.headers


def test_the_key_is_sent_by_reference(upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_KEY", "sk-secret")
    measured(upstream, "key", key="env:BENCH_KEY")
    assert {call.headers["authorization"] for call in upstream.calls("key")} == {"Bearer sk-secret"}


def test_a_key_that_is_not_a_reference_is_refused_and_not_repeated(upstream: ScriptedUpstream) -> None:
    said = refused(upstream, "bare-key", key="sk-secret")
    assert "env:NAME" in said
    assert "sk-secret" not in said
    assert "NO_SUCH_KEY is not set" in refused(upstream, "bare-key", key="env:NO_SUCH_KEY")


def test_more_than_the_bound_is_never_sent(upstream: ScriptedUpstream) -> None:
    found = measured(upstream, "bounded", most_requests=7, narrow_fraction=0.0)
    assert len(upstream.calls("bounded")) == 2 + 7
    assert found.sent_requests == 7
    assert found.why == "the 7 requests of --max-requests are sent"


def test_an_endpoint_that_knows_no_ignore_eos_is_asked_without_it(upstream: ScriptedUpstream) -> None:
    def strict(call: Call) -> None:
        (answers.failure(400) if "ignore_eos" in call.json else good)(call)

    found = measured(upstream, "strict", strict)
    assert "ignore_eos" not in upstream.calls("strict")[-1].json
    assert "It takes no ignore_eos" in "".join(found.notes)


def test_an_endpoint_of_newer_names_is_asked_by_them(upstream: ScriptedUpstream) -> None:
    def newer(call: Call) -> None:
        (answers.failure(400) if "max_tokens" in call.json else good)(call)

    measured(upstream, "newer", newer)
    assert upstream.calls("newer")[-1].json["max_completion_tokens"] == 6


def test_without_usage_pieces_are_counted_and_that_is_said(upstream: ScriptedUpstream) -> None:
    found = measured(upstream, "untold", answers.stream(payloads.stream(6), gap_s=GAP_S))
    level = found.calibration.levels[0]
    assert (level.isl_tokens, level.osl_tokens, level.told_fraction) == (100, 6, 0)
    assert "did not tell its usage" in "".join(found.notes)


def test_answers_that_end_early_are_counted_as_such(upstream: ScriptedUpstream) -> None:
    early = answers.stream(payloads.stream(3, payloads.usage(100, 3)), gap_s=GAP_S)
    found = measured(upstream, "early", *after_probes(early))
    assert found.calibration.levels[0].early_fraction == 1
    assert "Up to 100% of the answers ended before" in "".join(found.notes)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answers.whole(), "It answered without streaming"),
        (answers.failure(401), "http 401 (scripted failure 401). It wants a key"),
        (answers.failure(404), "http 404 (scripted failure 404). It has no such model"),
        (answers.failure(400), "http 400 (scripted failure 400)."),
        (answers.failure(503), "http 503 (scripted failure 503)."),
        (answers.stream([payloads.event("[DONE]")]), "Its stream had no text"),
        (answers.silent, "It was silent for too long"),
        (answers.close, "connection lost"),
        (answers.raw(b"SSH-2.0-x\r\n"), "malformed answer"),
        (answers.large_head(100_000), "answer head too large"),
    ],
    ids=["not streamed", "401", "404", "400", "503", "no text", "silent", "closed", "no http", "huge head"],
)
def test_an_endpoint_that_cannot_be_measured_is_refused_in_words(
    upstream: ScriptedUpstream, answer: Answer, said: str
) -> None:
    assert said in refused(upstream, "odd", answer, silent_s=0.5)


def test_what_an_endpoint_says_is_shown_short_and_on_one_line(upstream: ScriptedUpstream) -> None:
    said = refused(upstream, "long", answers.whole(b"\x1b[31m" + b"x\n" * 100_000, status=500))
    assert len(said) < 600
    assert "\n" not in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answers.stream([*payloads.words(2)], then=answers.reset), "stream_cut"),
        (answers.stream([*payloads.words(2), payloads.event(payloads.error("out of memory"))]), "error_in_stream"),
        (answers.failure(429), "http_429"),
        (answers.stream(payloads.words(2), then=answers.silent), "timed_out"),
        (answers.stream(payloads.words(1000)), "went_on_past_its_bound"),
    ],
    ids=["cut", "error event", "429", "silent", "endless"],
)
def test_a_load_under_which_requests_fail_is_ended_and_says_why(
    upstream: ScriptedUpstream, answer: Answer, kind: str
) -> None:
    said = refused(upstream, "failing", *after_probes(answer), concurrencies=(8,), silent_s=0.5)
    assert "5 of 5 requests failed" in said or "requests failed" in said
    assert f"The first failure: {kind}" in said
    assert len(upstream.calls("failing")) < 2 + 40


def test_failures_among_others_are_counted_by_kind(upstream: ScriptedUpstream) -> None:
    found = measured(
        upstream, "some", *after_probes(good), *[good] * 8, answers.failure(500), good, narrow_fraction=0.0
    )
    assert "The first failure: http_500: " in found.notes[-1]
    assert found.calibration.levels[0].failures == {"http_500": 1}
    assert found.calibration.levels[0].requests > 10


def test_a_kept_connection_that_was_closed_is_no_failure(upstream: ScriptedUpstream) -> None:
    def last(call: Call) -> None:
        good(call)
        call.connection.ends_when_asked_again = True

    found = measured(upstream, "stale", last)
    assert not found.calibration.levels[0].failures


def test_nobody_at_the_address_is_said_in_words() -> None:
    with pytest.raises(InputError, match="Is the server running"):
        run_bench(BenchRequest(url="http://127.0.0.1:1/v1", model="m"))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure_upstream(authority: trustme.CA) -> Iterator[ScriptedUpstream]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    with scripted_upstream(context) as opened:
        yield opened


def test_an_endpoint_behind_tls_is_measured(
    secure_upstream: ScriptedUpstream, authority: trustme.CA, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    found = measured(secure_upstream, "tls", ca_file=ca_file)
    assert found.calibration.levels[0].requests > 0


def test_a_certificate_that_nobody_vouches_for_is_refused(secure_upstream: ScriptedUpstream) -> None:
    assert "Name the authority that signed its certificate with --ca-file" in refused(secure_upstream, "untrusted")
