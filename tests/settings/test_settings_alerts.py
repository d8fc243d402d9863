"""``alerts:`` of the settings: who is told, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from breakeven.errors import InputError
from breakeven.settings import read_settings
from breakeven.wiring.alert_plan import AlertsPlan
from breakeven.wiring.snapshot import build_snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.settings import Settings

SECRET = "THE5ECRET"  # noqa: S105 - made up
ENVIRONMENT = {"K": "sk-x", "SLACK": f"https://hooks.slack.com/services/T0/{SECRET}", "TOKEN": SECRET}
MAIL = {"to": ["a@b.c"], "sender": "d@e.f", "host": "mail.example"}


def read(folder: Path, to: Any, **alerts: Any) -> Settings:
    path = folder / "breakeven.yaml"
    targets = {"openai": {"provider": "openai", "key": "env:K"}}
    written = {"targets": targets, "models": {"m": {"targets": ["openai"]}}, "alerts": {"to": to, **alerts}}
    path.write_text(json.dumps(written))
    return read_settings(path, environment=ENVIRONMENT)


def plan_of(settings: Settings) -> AlertsPlan:
    return msgspec.msgpack.decode(build_snapshot(settings).alerts, type=AlertsPlan)


def test_each_way_is_planned_with_its_secrets_and_shown_without(tmp_path: Path) -> None:
    to = {
        "team": {"slack": "env:SLACK"},
        "hook": {"webhook": "https://hook.example/a/", "headers": {"Authorization": "env:TOKEN"}},
        "am": {"alertmanager": "http://127.0.0.1:9093/prefix", "only": ["budget"]},
        "mail": {"email": {**MAIL, "user": "be", "password": "env:TOKEN", "security": "tls", "port": 465}},
    }
    plan = plan_of(read(tmp_path, to))
    team, hook, manager, mail = plan.receivers
    assert team.place is not None
    assert (team.place.host, team.place.path) == ("hooks.slack.com", f"/services/T0/{SECRET}")
    assert hook.place is not None
    assert (hook.place.path, hook.headers) == ("/a/", (("authorization", SECRET),))
    assert manager.place is not None
    assert (manager.place.path, manager.only) == ("/prefix/api/v2/alerts", ("budget",))
    assert mail.server is not None
    assert (mail.server.port, mail.server.security, mail.server.password) == (465, "tls", SECRET)
    assert SECRET not in repr(plan)


def test_without_the_section_nobody_is_told(tmp_path: Path) -> None:
    path = tmp_path / "breakeven.yaml"
    path.write_text('{targets: {o: {provider: openai, key: "env:K"}}, models: {m: {targets: [o]}}}')
    assert build_snapshot(read_settings(path, environment=ENVIRONMENT)).alerts == b""


@pytest.mark.parametrize(
    ("to", "alerts", "told"),
    [
        ({}, {}, "alerts.to"),
        ({"x": {}}, {}, "nothing says how it is reached"),
        ({"x": {"slack": "env:SLACK", "webhook": "http://h/x"}}, {}, "webhook and slack are given"),
        ({"x": {"slack": "https://hooks.slack.com/services/T0/THE5ECRET"}}, {}, "does not stand in this file"),
        ({"x": {"slack": "env:MISSING"}}, {}, "MISSING is not set"),
        ({"x": {"webhook": "http://169.254.169.254/x"}}, {}, "get their own credentials there"),
        ({"x": {"webhook": "http://127.0.0.1:9400/x"}}, {}, "gateway's own address"),
        ({"x": {"webhook": "http://h/x", "headers": {"x-token": "THE5ECRET"}}}, {}, "looks like a secret"),
        ({"x": {"email": {**MAIL, "user": "be"}}}, {}, "go together"),
        ({"x": {"email": {**MAIL, "to": ["nobody"]}}}, {}, "should be an e-mail address"),
        ({"x": {"email": MAIL, "headers": {"a": "b"}}}, {}, "an e-mail takes none"),
        ({"x": {"slack": "env:SLACK"}}, {"utilisation": {"below": 0.5}}, "back (0.3) is less than below (0.5)"),
        ({"x": {"slack": "env:SLACK"}}, {"off": ["weather"]}, "alerts.off"),
        ({"x": {"slack": "env:SLACK"}}, {"budget": {"share": "80%"}}, "write 80 % as 0.8"),
    ],
)
def test_what_cannot_be_used_is_refused_without_showing_a_secret(
    tmp_path: Path, to: Any, alerts: Any, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, to, **alerts)
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)


def test_what_goes_unencrypted_is_warned_of(tmp_path: Path) -> None:
    to = {
        "a": {"webhook": "http://far.example/x", "headers": {"authorization": "env:TOKEN"}},
        "b": {"email": {**MAIL, "security": "none"}},
    }
    said = [warning.what for warning in read(tmp_path, to).warnings]
    assert any("a secret goes there unencrypted" in what for what in said)
    assert any("mail goes to mail.example unencrypted" in what for what in said)
