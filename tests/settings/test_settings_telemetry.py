"""``telemetry:`` of the settings: where spans go, with what, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

from breakeven.cli import app, main
from breakeven.errors import InputError
from breakeven.settings import Settings, read_settings
from breakeven.settings.telemetry import has_extra
from breakeven.telemetry.plan import TelemetryPlan
from breakeven.wiring.snapshot import build_snapshot

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-THE5ECRET"  # noqa: S105 - made up
ENVIRONMENT = {"OPENAI_API_KEY": "sk-other", "TRACES_TOKEN": SECRET}


def _written(folder: Path, telemetry: Any) -> Path:
    path = folder / "breakeven.yaml"
    targets = {
        "openai": {"url": "https://api.openai.com/v1", "key": "env:OPENAI_API_KEY"},
        "own": {"url": "http://[::1]:8000/v1"},
    }
    keys = [{"name": "k", "sha256": "0" * 64, "team": "search"}, {"name": "alone", "sha256": "1" * 64}]
    models = {"gpt-4o-mini": {"targets": ["openai", "own"]}}
    path.write_text(json.dumps({"targets": targets, "models": models, "keys": keys, "telemetry": telemetry}))
    return path


def _read(folder: Path, **telemetry: Any) -> Settings:
    return read_settings(_written(folder, telemetry), environment=ENVIRONMENT)


def _plan(settings: Settings) -> TelemetryPlan:
    return msgspec.msgpack.decode(build_snapshot(settings).telemetry, type=TelemetryPlan)


def test_without_the_section_no_spans_are_sent(tmp_path: Path) -> None:
    settings = read_settings(_written(tmp_path, None), environment=ENVIRONMENT)
    assert settings.file.telemetry is None
    assert build_snapshot(settings).telemetry == b""


def test_the_sender_is_told_where_spans_go_and_what_they_are_of(tmp_path: Path) -> None:
    settings = _read(
        tmp_path, endpoint="https://otlp.example/otlp", headers={"X-Token": "env:TRACES_TOKEN", "x-set": "a b "}
    )
    plan = _plan(settings)
    assert (plan.host, plan.port, plan.tls, plan.path) == ("otlp.example", 443, True, "/otlp")
    assert plan.headers == (("x-token", SECRET), ("x-set", "a b"))
    assert plan.service_name == "breakeven"
    assert plan.teams == (("k", "search"),)
    openai, own = plan.places
    assert (openai.name, openai.provider, openai.host, openai.port) == ("openai", "openai", "api.openai.com", 443)
    assert (own.provider, own.host, own.port) == ("", "::1", 8000)
    assert SECRET not in f"{plan!r}{build_snapshot(settings)!r}{settings!r}"


@pytest.mark.parametrize(
    ("endpoint", "path", "shown"),
    [
        ("http://localhost:4318", "", "http://localhost:4318"),
        ("http://localhost:4318/", "", "http://localhost:4318"),
        ("http://localhost:4318/v1/traces", "", "http://localhost:4318"),
        ("https://[::1]/a/v1/traces/", "/a", "https://[::1]/a"),
    ],
)
def test_the_base_url_is_taken_with_the_path_of_traces_and_without(
    tmp_path: Path, endpoint: str, path: str, shown: str
) -> None:
    plan = _plan(_read(tmp_path, endpoint=endpoint))
    assert (plan.path, plan.shown) == (path, shown)


@pytest.mark.parametrize(
    ("telemetry", "message"),
    [
        ({}, "endpoint"),
        ({"endpoint": 3}, "telemetry.endpoint"),
        ({"endpoint": "localhost:4318"}, "begins with http:// or https://"),
        ({"endpoint": "grpc://localhost:4317"}, "begins with http:// or https://"),
        ({"endpoint": f"http://user:{SECRET}@collector:4318"}, "credentials do not stand in a URL"),
        ({"endpoint": "http://169.254.169.254/v1/traces"}, "machines get their own credentials there"),
        ({"endpoint": "http://metadata.google.internal"}, "machines get their own credentials there"),
        ({"endpoint": "http://[fe80::1]:4318"}, "machines get their own credentials there"),
        ({"endpoint": "http://127.0.0.1:9400"}, "the gateway's own address"),
        ({"endpoint": "http://c:4318", "headers": {"x-token": SECRET}}, "looks like a secret"),
        ({"endpoint": "http://c:4318", "headers": {"authorization": f"Bearer {SECRET}"}}, "looks like a secret"),
        ({"endpoint": "http://c:4318", "headers": {"x-token": "env:NOT_THERE"}}, "NOT_THERE is not set"),
        ({"endpoint": "http://c:4318", "headers": {"content-type": "a"}}, "the gateway writes the header"),
        ({"endpoint": "http://c:4318", "headers": {"x-a": "b\r\nx-evil: 1"}}, "one line of ASCII"),
        ({"endpoint": "http://c:4318", "headers": {"X-A": "b", "x-a": "c"}}, "given twice"),
        ({"endpoint": "http://c:4318", "service_name": ""}, "telemetry.service_name"),
        ({"endpoint": "https://c:4318", "ca_file": "gone.pem"}, "cannot be read"),
        ({"endpoint": "http://c:4318", "ca_file": "gone.pem"}, "counts for https only"),
        ({"endpoint": "http://c:4318", "token": SECRET}, "telemetry.token"),
        ([SECRET], "telemetry"),
        (SECRET, "telemetry"),
    ],
)
def test_what_cannot_be_used_is_said_without_repeating_a_secret(tmp_path: Path, telemetry: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_settings(_written(tmp_path, telemetry), environment=ENVIRONMENT)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


def test_secrets_that_go_unencrypted_are_a_warning(tmp_path: Path) -> None:
    headers = {"x-token": "env:TRACES_TOKEN"}
    (warning,) = _own_warnings(_read(tmp_path, endpoint="http://collector:4318", headers=headers))
    assert "unencrypted" in warning
    assert _own_warnings(_read(tmp_path, endpoint="http://127.0.0.1:4318", headers=headers)) == []
    assert _own_warnings(_read(tmp_path, endpoint="https://collector:4318", headers=headers)) == []
    assert _own_warnings(_read(tmp_path, endpoint="http://collector:4318")) == []


def test_without_the_package_the_start_ends_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    path = _written(tmp_path, {"endpoint": "http://127.0.0.1:4318"})
    assert CliRunner().invoke(app, ["config", "check", str(path)]).exit_code == 0
    monkeypatch.setattr("breakeven.settings.telemetry.find_spec", lambda _: None)
    for command in (["config", "check", str(path)], ["up", "--config", str(path)]):
        monkeypatch.setattr("sys.argv", ["breakeven", *command])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert "pip install 'breakeven[otel]'" in capsys.readouterr().err


def test_the_package_is_missing_too_where_nothing_of_opentelemetry_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(_: str) -> object:
        raise ModuleNotFoundError("No module named 'opentelemetry'")

    monkeypatch.setattr("breakeven.settings.telemetry.find_spec", find)
    assert not has_extra()


def _own_warnings(settings: Settings) -> list[str]:
    return [str(warning) for warning in settings.warnings if " telemetry" in str(warning)]
