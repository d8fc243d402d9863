"""Recorded requests asked again of scripted upstreams: files of them, what is answered, and the command."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.errors import InputError
from gateway import answers, payloads

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.answers import Answer
    from gateway.scripted import Call, ScriptedUpstream


def number_of(call: Call) -> int:
    """The number that a recorded question ends in."""
    return int(call.json["messages"][-1]["content"].split()[-1])


def answering(*, wrong_every: int = 0, output_tokens: int = 8) -> Answer:
    """Answer each question by its number, and every so many of them wrongly."""

    def answer(call: Call) -> None:
        number = number_of(call)
        is_wrong = bool(wrong_every) and number % wrong_every == 0
        text = json.dumps({"label": "unsure" if is_wrong else ("spam" if number % 2 else "ham")})
        answers.whole(payloads.completion(text, usage=payloads.usage(100, output_tokens)))(call)

    return answer


def judging(call: Call) -> None:
    """Prefer the answer that is sure of itself."""
    shown = call.json["messages"][-1]["content"]
    unsure = ["unsure" in found for found in re.findall(r"<answer_[ab]>\n(.*?)\n</answer", shown, re.DOTALL)]
    better = "tie" if unsure[0] == unsure[1] else "B" if unsure[0] else "A"
    answers.whole(payloads.completion(json.dumps({"better": better})))(call)


def requests(folder: Path, count: int, **fields: Any) -> Path:
    """Write so many recorded requests."""
    path = folder / "requests.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(1, count + 1):
            body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Is this spam? {number}"}]}
            file.write(json.dumps({"id": f"q{number}", "task": "triage", "body": body, **fields}) + "\n")
    return path


def run(*words: object, refused: bool = False) -> Any:
    """Run a command of ``breakeven shadow``; ``refused``: return what it says why it does not."""
    found = CliRunner().invoke(app, ["shadow", *map(str, words)])
    if refused:
        assert isinstance(found.exception, InputError), found.output
        return str(found.exception)
    assert found.exit_code == 0, found.output + repr(found.exception)
    return found


def replay(upstream: ScriptedUpstream, path: Path, *more: object, refused: bool = False) -> Any:
    """Ask again of the places ``today`` and ``next``."""
    both: list[object] = ["--incumbent", "gpt-4o", "--incumbent-url", upstream.url("today")]
    both += ["--candidate", "gpt-4o-mini", "--candidate-url", upstream.url("next")]
    both += [] if "--config" in more else ["--ledger", path.parent / "ledger"]
    return run("replay", path, *both, *more, refused=refused)
