"""``breakeven up`` and ``breakeven config`` as a person meets them, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.wiring import gateway

if TYPE_CHECKING:
    from breakeven.gateway.snapshot import Snapshot

SECRET = "sk-THE5ECRET"  # noqa: S105 - made up
EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "breakeven.yaml"
KEYS = {"OPENAI_API_KEY": SECRET, "BROKER_API_KEY": SECRET}


def _run(*arguments: str, cwd: Path, keys: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "breakeven", *arguments],
        capture_output=True, text=True, check=False, cwd=cwd, env=keys or {}, timeout=60,
    )  # fmt: skip


def test_config_check_shows_what_was_understood_and_no_secret(tmp_path: Path) -> None:
    done = _run("config", "check", str(EXAMPLE), cwd=tmp_path, keys=KEYS)
    assert done.returncode == 0, done.stderr
    for part in (
        "http://127.0.0.1:9400/v1",
        "model fast: pool, broker, openai-mini; ordered, at most 3 attempt(s)",
        "model split: pool (weight 9), broker (weight 1); weighted",
        "target openai: https://api.openai.com/v1, key from env:OPENAI_API_KEY",
        "example-broker:llama-3.3-70b: input $0.6, cached input $0.15, output $0.8 per Mtok",
        "key search: fast, split, until 2030-01-01",
        "secrets found: env:BROKER_API_KEY, env:OPENAI_API_KEY",
        "targets.pool: nothing says what it costs",
    ):
        assert part in done.stdout
    assert SECRET not in done.stdout


def test_config_check_as_json_has_prices_in_force_and_warnings(tmp_path: Path) -> None:
    done = _run("config", "check", str(EXAMPLE), "--json", cwd=tmp_path, keys=KEYS)
    assert SECRET not in done.stdout
    data = json.loads(done.stdout)
    broker = next(target for target in data["targets"] if target["name"] == "broker")
    assert broker["prices"][0]["card_now"]["prices"]["input"]["usd_per_mtok"] == "0.6"
    pool = next(target for target in data["targets"] if target["name"] == "pool")
    assert pool["prices"][0]["card_now"] is None
    assert len(data["warnings"]) == 1
    assert data["open_to_all"] is False
    assert data["references_that_resolve"] == ["env:BROKER_API_KEY", "env:OPENAI_API_KEY"]


def test_config_check_lists_every_problem_and_exits_2(tmp_path: Path) -> None:
    (tmp_path / "breakeven.yaml").write_text(
        f"targets: {{a: {{url: https://h, key: {SECRET}}}}}\nmodles: {{}}\nmodels: {{m: {{targets: [b]}}}}\n",
        encoding="utf-8",
    )
    done = _run("config", "check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    for part in ("breakeven.yaml:1 targets.a.key", "env:NAME", "breakeven.yaml:2 modles", "no target 'b'"):
        assert part in done.stderr
    assert SECRET not in done.stderr
    assert "Traceback" not in done.stderr


def test_config_check_without_a_file_shows_what_the_environment_gives(tmp_path: Path) -> None:
    done = _run("config", "check", cwd=tmp_path, keys={"GROQ_API_KEY": SECRET})
    assert done.returncode == 0, done.stderr
    assert "every model of groq" in done.stdout
    assert "https://api.groq.com/openai/v1" in done.stdout
    assert "no key needed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "keys", "expected"),
    [
        ((), {}, "Set one of OPENAI_API_KEY"),
        ((), {"OPENAI_API_KEY": SECRET, "XAI_API_KEY": SECRET}, "env -u XAI_API_KEY breakeven up"),
        (("--config", "none.yaml"), {}, "none.yaml cannot be read"),
        (("--host", "::"), {"OPENAI_API_KEY": SECRET}, "needs keys"),
        (("--port", "70000"), {"OPENAI_API_KEY": SECRET}, "--port"),
        (("--workers", "0"), {"OPENAI_API_KEY": SECRET}, "--workers"),
    ],
)
def test_up_says_what_is_missing_and_exits_2(
    arguments: tuple[str, ...], keys: dict[str, str], expected: str, tmp_path: Path
) -> None:
    done = _run("up", *arguments, cwd=tmp_path, keys=keys)
    assert done.returncode == 2
    assert expected in done.stderr
    assert SECRET not in done.stderr
    assert "Traceback" not in done.stderr


def test_up_says_where_it_is_and_hands_the_snapshot_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Snapshot] = []
    monkeypatch.setattr(gateway, "hand_over", lambda snapshot, _: taken.append(snapshot))
    monkeypatch.chdir(tmp_path)
    for name in [*KEYS, "GROQ_API_KEY", "MISTRAL_API_KEY"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DEEPSEEK_API_KEY", SECRET)
    done = CliRunner().invoke(app, ["up", "--port", "9555", "--workers", "2"])
    assert done.exit_code == 0, done.output
    assert done.output.count("\n") == 1
    for part in (
        "every model of deepseek",
        "http://127.0.0.1:9555/v1",
        "no key needed",
        str(tmp_path / "breakeven-data"),
    ):
        assert part in done.output
    assert SECRET not in done.output
    assert (taken[0].port, taken[0].workers, taken[0].open_to_all) == (9555, 2, True)
    assert taken[0].targets[0].headers == (("authorization", f"Bearer {SECRET}"),)


def test_the_schema_of_the_settings_is_printed(tmp_path: Path) -> None:
    published = EXAMPLE.parents[1] / "schemas" / "config.schema.json"
    assert _run("schema", "config", cwd=tmp_path).stdout == published.read_text(encoding="utf-8")
