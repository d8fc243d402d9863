"""Recorded requests are read from what people have: bodies, batch files, logs of LiteLLM and Langfuse."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.errors import InputError, Problem
from breakeven.sources.recorded import MOST_LINE_BYTES, Recorded, recorded_requests

if TYPE_CHECKING:
    from pathlib import Path

MESSAGES = [{"role": "user", "content": "Is this spam?"}]
TOLD = {"prompt_tokens": 40, "completion_tokens": 3}
COMPLETION = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "no"}}], "usage": TOLD}


def read(tmp_path: Path, *lines: object) -> list[Recorded | Problem]:
    path = tmp_path / "requests.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return list(recorded_requests(path))


def one(tmp_path: Path, **line: Any) -> Recorded:
    (found,) = read(tmp_path, line)
    assert isinstance(found, Recorded)
    return found


def test_a_bare_body_is_a_request_without_what_belonged_to_its_occasion(tmp_path: Path) -> None:
    found = one(tmp_path, model="gpt-4o", messages=MESSAGES, temperature=0, stream=True, store=True, user="u-1")
    assert found.model == "gpt-4o"
    assert found.body == {"messages": MESSAGES, "temperature": 0}
    assert found.answer is None


def test_a_batch_line_gives_its_id_and_the_answer_beside_it(tmp_path: Path) -> None:
    body = {"model": "gpt-4o", "messages": MESSAGES}
    found = one(
        tmp_path, custom_id="line-7", method="POST", url="/v1/chat/completions", body=body,
        response={"status_code": 200, "body": COMPLETION},
    )  # fmt: skip
    assert (found.id, found.model, found.body) == ("line-7", "gpt-4o", {"messages": MESSAGES})
    assert found.answer == COMPLETION


def test_a_record_of_litellm_gives_request_answer_tags_and_time(tmp_path: Path) -> None:
    found = one(
        tmp_path, id="chatcmpl-1", model="gpt-4o", messages=MESSAGES, model_parameters={"temperature": 0.2},
        response=COMPLETION, startTime=1_790_000_000.5, request_tags=["env=prod", "beta"], call_type="acompletion",
    )  # fmt: skip
    assert found.body == {"messages": MESSAGES, "temperature": 0.2}
    assert (found.tags, found.at_us) == ("env=prod,beta", 1_790_000_000_500_000)
    assert found.answer == COMPLETION


def test_an_observation_of_langfuse_gives_messages_and_counts(tmp_path: Path) -> None:
    found = one(
        tmp_path, id="obs-1", type="GENERATION", model="gpt-4o", input=MESSAGES, modelParameters={"max_tokens": 9},
        output={"role": "assistant", "content": "no"}, usage={"input": 40, "output": 3},
        startTime="2026-11-01T10:00:00Z", metadata={"task": "triage"},
    )  # fmt: skip
    assert found.body == {"messages": MESSAGES, "max_tokens": 9}
    assert found.task == "triage"
    assert found.answer is not None
    assert found.answer["choices"][0]["message"]["content"] == "no"
    assert found.answer["usage"] == TOLD


def test_labels_and_durations_of_our_own_lines_are_kept(tmp_path: Path) -> None:
    found = one(
        tmp_path, request={"messages": MESSAGES}, answer="no", task="triage", key="shop", episode="e-1",
        sensitivity="local-only", at=1_790_000_000, ttft_s=0.25, latency_s=1.5,
    )  # fmt: skip
    assert (found.task, found.key, found.episode, found.sensitivity) == ("triage", "shop", "e-1", "local-only")
    assert (found.at_us, found.first_byte_us, found.ended_us) == (1_790_000_000_000_000, 250_000, 1_500_000)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ('{"input": 3}', "no chat request"),
        ('{"messages": []}', "no chat request"),
        ('{"messages": ["hi"]}', "no chat request"),
        ('{"type": "SPAN", "input": []}', "'SPAN'"),
    ],
)
def test_a_line_without_a_chat_request_is_a_problem_with_its_place(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(f"\n{line}\n")
    (found,) = recorded_requests(path)
    assert isinstance(found, Problem)
    assert found.where == "requests.jsonl:2"
    assert said in found.what


def test_an_error_that_was_recorded_is_no_answer(tmp_path: Path) -> None:
    assert one(tmp_path, body={"messages": MESSAGES}, response={"error": {"message": "busy"}}).answer is None


def test_an_endless_line_is_passed_over_and_the_next_is_read(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl.gz"
    body = json.dumps({"messages": MESSAGES}).encode()
    with gzip.open(path, "wb") as file:
        file.write(b"x" * (MOST_LINE_BYTES + 10) + b"\n" + body + b"\n")
    too_long, found = recorded_requests(path)
    assert isinstance(too_long, Problem)
    assert isinstance(found, Recorded)
    assert found.where.endswith(":2")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        list(recorded_requests(tmp_path / "none.jsonl"))
