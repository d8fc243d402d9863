"""What the control plane is told: the settings without any secret, and a process that becomes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from breakeven.console.plan import ControlPlan, Role
from breakeven.settings import read_settings
from breakeven.settings.control import ControlEntry
from breakeven.wiring.console import control_plan
from console.control import TOKENS, Control, digest, plan_of

SETTINGS = """
listen: {port: 9444}
targets:
  near:
    url: http://127.0.0.1:1/v1
    key: env:NEAR_KEY
    headers: {x-plain: plain-header-value, x-other: "file:other.txt"}
    proxy: {url: "http://127.0.0.1:2", user: proxy-user-value, password: env:PROXY}
models:
  fast: {targets: [near]}
keys:
  - {name: mine, sha256: "KEY_DIGEST"}
"""
PLANTED = {"NEAR_KEY": "secret-of-the-target", "PROXY": "secret-of-the-proxy"}


def test_a_plan_has_references_and_names_in_place_of_secrets_and_values(tmp_path: Path) -> None:
    path = tmp_path / "breakeven.yaml"
    path.write_text(SETTINGS.replace("KEY_DIGEST", digest("key-of-a-client")))
    (tmp_path / "other.txt").write_text("secret-of-a-file")
    settings = read_settings(path, environment=PLANTED)
    token = {"name": "ops", "role": "operator", "sha256": digest(TOKENS["operator"]).upper()}
    plan = control_plan(settings, ControlEntry.model_validate({"tokens": [token], "names": ["Control.Internal"]}))
    content = msgspec.msgpack.encode(plan)
    hidden = (
        *PLANTED.values(),
        "secret-of-a-file",
        "plain-header-value",
        "proxy-user-value",
        digest("key-of-a-client"),
    )
    assert not [text for text in hidden if text.encode() in content]
    assert msgspec.msgpack.decode(content, type=ControlPlan) == plan
    assert (plan.targets[0].key, plan.targets[0].headers) == ("env:NEAR_KEY", ("x-plain", "x-other"))
    assert (plan.listen, plan.keys, plan.names) == ("127.0.0.1:9444", ("mine",), ("control.internal",))
    assert (plan.tokens[0].sha256, plan.tokens[0].role) == (digest(TOKENS["operator"]), Role.OPERATOR)
    assert plan.store == str(tmp_path / "breakeven-data" / "ledger.sqlite")


BECOME = """
import os, sys
from breakeven.wiring.console import become_control
become_control("[null,null,null,null]", sys.stdin.buffer.read(), os.getppid())
"""


def test_a_process_becomes_the_control_plane_with_nothing_in_its_arguments(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    control = Control.__new__(Control)  # its questions, of a process that was started otherwise
    control.plan, control.answered, control._said = plan, [], []
    with subprocess.Popen([sys.executable, "-c", BECOME], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(msgspec.msgpack.encode(plan))
        process.stdin.close()
        try:
            control.wait_for_health(lambda: process.poll() is None)
            arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            assert b"breakeven.wiring.console" in arguments
            assert not [token for token in plan.tokens if token.sha256.encode() in arguments]
        finally:
            process.terminate()
    assert process.returncode == 0
