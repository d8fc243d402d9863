"""``verify:`` and marks of data as people get them right and wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from breakeven.gateway.verify_plan import HttpCheck, VerifyPlan
from breakeven.routing.verify import Rule
from breakeven.settings import check_verify as checking
from breakeven.wiring.snapshot import build_snapshot
from settings.files import DIGEST, SECRET, read, refused

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.gateway.snapshot import Snapshot

PLACES = """
targets:
  cheap: {url: "https://api.openai.com/v1", key: "env:OPENAI_API_KEY"}
  strong: {url: "https://api.openai.com/v1", key: "env:OPENAI_API_KEY"}
"""


def _model(verify: str, targets: str = "[cheap, strong]") -> str:
    return f"{PLACES}models: {{small: {{targets: {targets}, verify: {verify}}}}}\n"


def _snapshot(text: str, folder: Path) -> Snapshot:
    return build_snapshot(read(text, folder))


def test_without_the_section_nothing_is_checked(tmp_path: Path) -> None:
    (route,) = _snapshot(f"{PLACES}models: {{small: {{targets: [cheap]}}}}", tmp_path).routes
    assert route.verify is None


def test_a_check_without_more_gets_the_defaults(tmp_path: Path) -> None:
    (route,) = _snapshot(_model("{enum: [spam, ham]}"), tmp_path).routes
    assert route.verify == VerifyPlan(
        rule=Rule(enum=("spam", "ham")),
        http=None,
        tasks=(),
        most_bytes=1_048_576,
        passes_unverifiable=False,
        verifies_last=False,
    )


def test_everything_that_can_be_said_is_taken(tmp_path: Path) -> None:
    (tmp_path / "due.json").write_text('{"type": "object"}', encoding="utf-8")
    (tmp_path / "url").write_text(f"https://checks.example.com/due/{SECRET}\n", encoding="utf-8")
    section = """{json_schema: due.json, regex: '\\{.*\\}', tasks: [extract], most_bytes: 2048, unverifiable: pass,
        verify_last: true, http: {url: "file:url", key: "env:OPENAI_API_KEY", timeout_s: 1, sensitivities: [eu]}}"""
    (route,) = _snapshot(_model(section), tmp_path).routes
    assert route.verify == VerifyPlan(
        rule=Rule(regex=r"\{.*\}", json_schema='{"type":"object"}'),
        http=HttpCheck(
            host="checks.example.com",
            port=443,
            tls=True,
            host_header="checks.example.com",
            path=f"/due/{SECRET}",
            headers=(("authorization", f"Bearer {SECRET}"),),
            timeout_s=1,
            sensitivities=("eu",),
        ),
        tasks=("extract",),
        most_bytes=2048,
        passes_unverifiable=True,
        verifies_last=True,
    )
    assert SECRET not in repr(route.verify)


def test_the_schema_of_each_request_or_one_written_here(tmp_path: Path) -> None:
    (route,) = _snapshot(_model("{json_schema: request}"), tmp_path).routes
    assert route.verify is not None
    assert route.verify.rule == Rule(own_schema=True)
    (route,) = _snapshot(_model("{json_schema: {type: object}}"), tmp_path).routes
    assert route.verify is not None
    assert route.verify.rule == Rule(json_schema='{"type":"object"}')


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{}", "there is nothing to check: give json_schema, enum, regex or http"),
        ("{tasks: [a]}", "there is nothing to check"),
        ("{enum: []}", "enum"),
        ("{regex: '(?=a)b'}", "'(?=a)b' is no pattern that is matched here"),
        ("{regex: 'a('}", "'a(' is no pattern that is matched here"),
        (r"{regex: '(?:a{1000}){1000}'}", "is no pattern that is matched here"),
        ("{json_schema: {type: 5}}", "this is no JSON Schema"),
        ("{json_schema: {$ref: 'https://example.com/schema'}}", "nothing is fetched"),
        ("{json_schema: missing.json}", "missing.json cannot be read: No such file"),
        ("{http: {url: 'not a url'}}", "http"),
        ("{http: {url: 'env:MISSING'}}", "MISSING"),
        ("{http: {url: 'env:BLANK'}}", "BLANK"),
        ("{http: {url: 'env:OPENAI_API_KEY'}}", "this is not the URL of a check"),
        ("{http: {url: 'http://127.0.0.1:9400/v1'}}", "this is the gateway's own address"),
        ("{http: {url: 'http://127.0.0.1:1/', ca_file: ca.pem}}", "ca_file counts for https only"),
        ("{enum: [a], most_bytes: 10}", "most_bytes"),
    ],
)
def test_a_check_that_cannot_be_made_is_refused(tmp_path: Path, section: str, told: str) -> None:
    message = refused(_model(section), tmp_path)
    assert told in message
    assert "models.small.verify" in message


def test_a_schema_that_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "due.json").write_text("{", encoding="utf-8")
    assert "is not JSON" in refused(_model("{json_schema: due.json}"), tmp_path)


def test_without_the_package_a_person_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "find_spec", lambda _: None)
    assert "pip install 'breakeven[verify]'" in refused(_model("{regex: a}"), tmp_path)
    read(_model("{enum: [a]}"), tmp_path)


@pytest.mark.parametrize(
    ("section", "targets", "told"),
    [
        ("{enum: [a]}", "[cheap]", "the last one is not checked: so none is"),
        ("{http: {url: 'http://10.0.0.1/check'}}", "[cheap, strong]", "answers go there unencrypted"),
    ],
)
def test_what_may_not_be_meant_is_said(tmp_path: Path, section: str, targets: str, told: str) -> None:
    warnings = read(_model(section, targets), tmp_path).warnings
    assert any(told in problem.what for problem in warnings)


def test_marks_of_keys_and_tags_reach_the_gateway(tmp_path: Path) -> None:
    text = f"""{PLACES}
models: {{small: {{targets: [cheap]}}}}
keys:
  - {{name: ward, sha256: {DIGEST}, sensitivity: "local-only,eu"}}
sensitivity_of_tags: {{"data=patient": local-only}}
"""
    snapshot = _snapshot(text, tmp_path)
    assert snapshot.keys[0].sensitivity == "local-only,eu"
    assert snapshot.sensitivity_of_tags == (("data=patient", "local-only"),)
