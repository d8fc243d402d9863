"""``breakeven init`` as a person meets it: questions on a terminal, options without one, and files kept or whole."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from breakeven.errors import InputError
from breakeven.sources.presets import presets
from breakeven.sources.scenario import read_scenario
from breakeven.sources.schemas import schema_text
from breakeven.wiring.init import write_files
from commands import run_here

TERMINAL = (
    "import fcntl, runpy, signal, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('breakeven', run_name='__main__', alter_sys=True)"
)
"""Runs the command with its standard input as the terminal that Ctrl-C comes from, also where tests run without one."""

PATIENCE_S = 60.0
INTERRUPT, END = "\x03", "\x04"


class Terminal:
    """The command on a real pseudo-terminal: what it says is awaited, what a person types is sent."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", TERMINAL, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            start_new_session=True,
        )
        os.close(theirs)
        self.said = ""
        self._answered = 0

    def answer(self, question: str, text: str) -> None:
        """Wait until the question stands at the end of what was said, then type an answer."""
        self.hear(question)
        self._type(text + "\n")

    def break_off(self, question: str, key: str) -> None:
        """Press a key at a question, again where it came too early: a read that just begins can miss a signal."""
        self.hear(question)
        while "Aborted" not in self.said:
            self._type(key)
            while "Aborted" not in self.said and self._read(1.0):
                pass

    def hear(self, question: str) -> str:
        """Wait until the question stands at the end of what was said; return what was said since the last answer."""
        while question not in self.said[self._answered :] or not self.said.endswith(("? ", "] ", ": ")):
            assert self._read(), f"{question!r} was not asked:\n{self.said}"
        return self.said[self._answered :]

    def leave(self) -> int:
        """Read to the end; return the exit code."""
        while self._read():
            pass
        code = self._process.wait(PATIENCE_S)
        os.close(self._ours)
        return code

    def _type(self, text: str) -> None:
        self._answered = len(self.said)
        os.write(self._ours, text.encode())

    def _read(self, patience_s: float = PATIENCE_S) -> bool:
        ready, _, _ = select.select([self._ours], [], [], patience_s)
        try:
            found = os.read(self._ours, 4096) if ready else b""
        except OSError:  # the other end is closed
            found = b""
        self.said += found.decode().replace("\r\n", "\n")
        return bool(found)


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_here("init", *arguments, cwd=folder)


def _scenario(folder: Path, name: str = "scenario.yaml") -> dict[str, Any]:
    """Read a scenario that was written; it is whole, and valid against the published schema."""
    read_scenario(folder / name)
    data: dict[str, Any] = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(json.dumps(data, default=str)), json.loads(schema_text("scenario")))
    return data


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_blank_answers_make_a_scenario_for_a_log(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "init")
    for question in (
        "What serves the traffic today? [openai:gpt-4o]",
        "a log, a trace or a usage export? [yes]",
        "May the data leave your own machines? [yes]",
        "Regions",
        "Attestations",
        "fine-tune? [no]",
        "Which open models",
        "Which GPUs",
        "Is there a team already",
    ):
        terminal.answer(question, "")
    assert terminal.leave() == 0, terminal.said
    assert "Next: breakeven plan LOG --scenario scenario.yaml" in terminal.said
    assert _scenario(tmp_path) == {
        "name": "scenario",
        "today": "openai:gpt-4o",
        "constraints": {"data_may_leave": True, "fine_tuning": False},
        "team_exists": False,
    }


def test_answers_without_a_log_are_all_written_and_can_be_planned(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "init", "--output", "my plan.yaml")
    for question, text in {
        "today?": "gpt-4o",
        "usage export?": "n",
        "Input tokens": "3.6B",
        "Output tokens": "600M",
        "Requests": "2.4M",
        "leave": "Y",
        "Regions": "eu, us",
        "Attestations": "SOC 2",
        "fine-tune?": "y",
        "Which open models": "meta-llama/Llama-3.3-70B-Instruct, openai:gpt-4o-mini",
        "Which GPUs": "4x H100",
        "cost?": "2.10/h",
        "Where are they?": "eu-west",
        "does their owner show": "SOC 2 Type 2",
        "output tokens a second": "2600",
        "team": "y",
        "How good": "0.97",
    }.items():
        terminal.answer(question, text)
    assert terminal.leave() == 0, terminal.said
    assert "Next: breakeven plan --scenario 'my plan.yaml'\n" in terminal.said
    assert _scenario(tmp_path, "my plan.yaml") == {
        "name": "my plan",
        "today": "gpt-4o",
        "consider": ["llama-3.3-70b", "openai:gpt-4o-mini"],
        "traffic": {
            "input_tokens_per_month": 3_600_000_000,
            "output_tokens_per_month": 600_000_000,
            "requests_per_month": 2_400_000,
        },
        "pools": [
            {
                "model": "llama-3.3-70b",
                "gpu": "h100-sxm",
                "gpus_per_node": 4,
                "precision": "fp8",
                "usd_per_gpu_hour": 2.1,
                "regions": ["eu-west"],
                "compliance": ["SOC 2 Type 2"],
                "throughput": {"output_tokens_per_s": 2600},
            }
        ],
        "constraints": {
            "data_may_leave": True,
            "regions": ["eu", "us"],
            "compliance": ["SOC 2"],
            "fine_tuning": True,
        },
        "quality": [{"model": "llama-3.3-70b", "evidence": "word", "accuracy_ratio": 0.97}],
        "team_exists": True,
    }
    planned = run_here("plan", "--scenario", "my plan.yaml", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "(your" in planned.stdout.split("Answer")[0], "the pool meets its own constraints"


def test_a_wrong_answer_is_asked_again_with_what_was_wrong(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "init")
    for question, text, complaint in (
        ("today?", "openai:gpt-4oo", "Did you mean"),
        ("today?", "gpt-4o", ""),
        ("usage export?", "perhaps", "neither yes nor no"),
        ("usage export?", "no", ""),
        ("Input tokens", "3,6B", "'3,6B' is no count"),
        ("Input tokens", "", "This needs an answer"),
        ("Input tokens", "3.6B", ""),
        ("Output tokens", "0", "0 is no traffic to plan for"),
        ("Output tokens", "1B", ""),
        ("Requests", "", ""),
        ("leave", "no", ""),
        ("fine-tune?", "", ""),
        ("Which open models", "llama-3.3-70", "Did you mean llama-3.3-70b"),
        ("Which open models", "llama-3.1-405b", ""),
        ("Which GPUs", "2x h1000", "Did you mean h100-sxm"),
        ("Which GPUs", "2x h100-sxm", "does not fit 2x h100-sxm"),
        ("Which GPUs", "8x h100-sxm", ""),
        ("cost?", "a lot", "write 2.10/h"),
        ("cost?", "250,000", ""),
        ("output tokens a second", "-3", "no number above 0"),
        ("output tokens a second", "", ""),
        ("team", "", ""),
        ("How good", "97%", "if it is percent, write 0.97"),
        ("How good", "", ""),
    ):
        terminal.answer(question, text)
        if complaint:
            assert complaint in terminal.hear(question)
    assert terminal.leave() == 0, terminal.said
    data = _scenario(tmp_path)
    assert data["constraints"]["data_may_leave"] is False
    assert data["traffic"] == {"input_tokens_per_month": 3_600_000_000, "output_tokens_per_month": 1_000_000_000}
    (pool,) = data["pools"]
    assert (pool["model"], pool["precision"], pool["purchase"]) == ("llama-3.1-405b", "fp8", "owned")
    assert (pool["node_usd"], pool["already_owned"]) == (250_000, True)
    assert "quality" not in data


@pytest.mark.parametrize("key", [INTERRUPT, END], ids=["ctrl-c", "ctrl-d"])
def test_breaking_off_writes_nothing(tmp_path: Path, key: str) -> None:
    terminal = Terminal(tmp_path, "init")
    terminal.answer("today?", "gpt-4o")
    terminal.break_off("usage export?", key)
    assert terminal.leave() == 1
    assert "Traceback" not in terminal.said
    assert _names(tmp_path) == []


@pytest.mark.parametrize("arguments", [[], ["--preset", "seed-002", "--output", "scenario.yaml"]])
def test_a_file_that_is_there_is_kept_unless_the_person_says_so(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "scenario.yaml").write_text("mine\n", encoding="utf-8")
    terminal = Terminal(tmp_path, "init", *arguments)
    terminal.answer("scenario.yaml would be overwritten", "")
    assert terminal.leave() == 1
    assert "Nothing was written." in terminal.said
    assert (tmp_path / "scenario.yaml").read_text(encoding="utf-8") == "mine\n"
    terminal = Terminal(tmp_path, "init", "--preset", "seed-002", "--output", "scenario.yaml")
    terminal.answer("scenario.yaml would be overwritten", "y")
    assert terminal.leave() == 0
    assert _scenario(tmp_path)["name"] == "seed-002"


def test_without_a_terminal_nothing_is_asked_and_what_to_do_is_said(tmp_path: Path) -> None:
    done = _run(tmp_path)
    assert done.returncode == 2
    assert all(word in done.stderr for word in ("no terminal", "--today", "--preset"))
    assert _names(tmp_path) == []


def test_options_answer_the_questions(tmp_path: Path) -> None:
    done = _run(
        tmp_path, "--today", "openai:gpt-4o", "--input-tokens-per-month", "3.6B", "--output-tokens-per-month", "600M",
        "--data-stays", "--region", "eu", "--region", "us", "--no-fine-tuning", "--open-model", "llama-3.1-8b",
        "--gpus", "l40s", "--gpu-price", "14000", "--team-exists",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Next: breakeven plan --scenario scenario.yaml\n"
    data = _scenario(tmp_path)
    assert data["constraints"] == {"data_may_leave": False, "regions": ["eu", "us"], "fine_tuning": False}
    assert data["pools"][0]["gpu"] == "l40s"
    assert data["pools"][0]["node_usd"] == 14_000
    assert data["team_exists"] is True


def test_every_wrong_option_is_named_at_once(tmp_path: Path) -> None:
    done = _run(
        tmp_path, "--today", "", "--input-tokens-per-month", "3,6B", "--requests-per-month", "many",
        "--open-model", "lama", "--gpu-price", "3", "--gpu-region", "eu", "--accuracy-ratio", "97",
    )  # fmt: skip
    assert done.returncode == 2
    for expected in (
        "--today: ",
        "--input-tokens-per-month: '3,6B'",
        "--requests-per-month: 'many'",
        "--open-model: The catalogue holds no open-weight model named 'lama'",
        "--accuracy-ratio: '97' is no share",
        "--input-tokens-per-month: this counts only beside --output-tokens-per-month",
        "--gpu-price: this counts only beside --gpus",
        "--gpu-region: this counts only beside --gpus",
    ):
        assert expected in done.stderr
    assert _names(tmp_path) == []


@pytest.mark.parametrize("name", [item.name for item in presets()])
def test_a_preset_is_written_as_it_stands_with_what_must_be_beside_it(tmp_path: Path, name: str) -> None:
    done = _run(tmp_path, "--preset", name)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Next: breakeven plan --scenario {name}.yaml --all\n"
    found = next(item for item in presets() if item.name == name)
    assert (tmp_path / f"{name}.yaml").read_text(encoding="utf-8") == found.text
    assert _names(tmp_path) == sorted([f"{name}.yaml", *found.companions])
    assert _scenario(tmp_path, f"{name}.yaml")["name"] == name
    again = _run(tmp_path, "--preset", name)
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert _run(tmp_path, "--preset", name, "--force").returncode == 0


def test_the_presets_are_listed_with_what_they_show(tmp_path: Path) -> None:
    shown = _run(tmp_path, "--list-presets").stdout
    for item in presets():
        assert item.name in shown
        assert item.title in shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--preset", "seed-009"], "There are: seed-000"),
        (["--preset", "seed-002", "--today", "gpt-4o"], "either --preset or answers"),
        (["--preset", "seed-003", "--output", "seed-003-prices.yaml"], "choose another"),
        (["--preset", "seed-002", "--output", "missing/scenario.yaml"], "There is no folder missing"),
        (["--preset", "seed-002", "--output", "taken/scenario.yaml"], "There is no folder taken"),
        (["--preset", "seed-002", "--output", "folder"], "is a folder"),
        (["--preset", "seed-002", "--output", "folder", "--force"], "is a folder"),
        (["--preset", "seed-003", "--output", "."], "is a folder"),
        (["--preset", "seed-002", "--output", "a" * 250 + ".yaml"], "cannot be written"),
        (["--preset", "seed-002", "--output", "mine.yaml"], "--force"),
        (["--today", "gpt-4o", "--output", "mine.yaml"], "--force"),
    ],
)
def test_what_cannot_be_written_is_refused_and_all_else_is_kept(
    tmp_path: Path, arguments: list[str], expected: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("mine", encoding="utf-8")
    done = _run(tmp_path, *arguments)
    assert done.returncode == 2, done.stdout
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert _names(tmp_path) == ["folder", "mine.yaml", "taken"]
    assert _names(tmp_path / "folder") == []
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = _run(tmp_path, "--preset", "seed-002")
    tmp_path.chmod(0o700)
    assert done.returncode == 2
    assert "may not be written to" in done.stderr


def test_a_disk_that_fails_between_two_files_leaves_no_half_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("mine", encoding="utf-8")

    def fail(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match="No space left on device"):
        write_files({path: "new", tmp_path / "beside.yaml": "new"}, overwrite=True)
    assert _names(tmp_path) == ["scenario.yaml"]
    assert path.read_text(encoding="utf-8") == "mine"
