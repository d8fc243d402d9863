"""Recorded chat requests to ask again, a line each: bodies as they were sent, with the answer where it was kept.

Read are bare bodies of chat completions, OpenAI's batch lines (with ``response`` beside the request, if at hand),
records of LiteLLM and observations of Langfuse; also .gz.  A line is held whole, the file never is.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec

from breakeven.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MOST_LINE_BYTES: Final = 8 << 20
"""Longer lines are not requests that any target takes."""

_GZIP: Final = b"\x1f\x8b"
_BODY: Final = ("body", "request")
_ANSWER: Final = ("answer", "response", "completion", "output")
_ID: Final = ("id", "custom_id", "request_id")
_AT: Final = ("at", "time", "timestamp", "startTime", "start_time", "created")
_PARAMETERS: Final = ("model_parameters", "modelParameters", "optional_params")
_INPUT_COUNTS: Final = ("input_tokens", "prompt_tokens", "input", "promptTokens")
_OUTPUT_COUNTS: Final = ("output_tokens", "completion_tokens", "output", "completionTokens")
_OF_CHAT: Final = frozenset(
    {
        "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "temperature", "top_p",
        "max_tokens", "max_completion_tokens", "n", "stop", "seed", "presence_penalty", "frequency_penalty",
        "logit_bias", "logprobs", "top_logprobs", "reasoning_effort", "verbosity", "modalities",
    }
)  # fmt: skip
"""Fields that a log may mix with its own, and that are the request's."""

_NOT_AGAIN: Final = ("stream", "stream_options", "store", "metadata", "user", "safety_identifier", "prompt_cache_key")
"""What belonged to the occasion, not to the question; a provider is not to keep what is asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A request as it was recorded."""

    where: str
    """File and line."""

    body: Mapping[str, Any]
    """Of a chat completion: without its model, and without what belonged to the occasion."""

    id: str = ""
    model: str = ""
    """The name under which it was asked; empty where the record does not say."""

    answer: Mapping[str, Any] | None = None
    """The chat completion that it got, as far as it was kept: ``choices``, and ``usage`` where known."""

    task: str = ""
    tags: str = ""
    key: str = ""
    episode: str = ""
    sensitivity: str = ""
    at_us: int | None = None
    first_byte_us: int | None = None
    ended_us: int | None = None


def recorded_requests(path: Path) -> Iterator[Recorded | Problem]:
    """Yield the requests of a file, and a problem for each line that holds none.

    Raises ``InputError`` where the file cannot be read.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == _GZIP
            raw.seek(0)
            yield from _requests(gzip.GzipFile(fileobj=raw) if zipped else raw, path.name)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{path} cannot be read: {why}.") from error


def _requests(lines: IO[bytes] | gzip.GzipFile, name: str) -> Iterator[Recorded | Problem]:
    number = 0
    while line := lines.readline(MOST_LINE_BYTES + 1):
        number += 1
        where = f"{name}:{number}"
        if len(line) > MOST_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = lines.readline(MOST_LINE_BYTES + 1)
            yield Problem(where=where, what=f"a line of more than {MOST_LINE_BYTES >> 20} MiB.")
        elif line.strip():
            yield _request(line, where)


def _request(line: bytes, where: str) -> Recorded | Problem:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Problem(where=where, what=f"no JSON: {error}.", fix="Write one request a line, as JSON.")
    if not isinstance(found, dict):
        return Problem(where=where, what="no JSON object, so no request.", fix="Write one request a line, as JSON.")
    if found.get("type") not in (None, "GENERATION", "chat", "chat.completion"):
        return Problem(where=where, what=f"a record of type {str(found['type'])[:40]!r}, not of a chat request.")
    body = _body(found)
    if body is None:
        return Problem(
            where=where,
            what=f"no chat request in it (keys: {', '.join(sorted(map(str, found)))[:120]}).",
            fix='It needs "messages", or a "body" or "request" that has them.',
        )
    return _recorded(found, body, where)


def _body(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the request in a record; None where there is none."""
    whole = next((found[name] for name in _BODY if isinstance(found.get(name), dict)), None)
    if whole is None:
        messages = found.get("messages", found.get("input"))
        more = messages if isinstance(messages, dict) else {}
        parameters: Mapping[str, Any] = next(
            (found[name] for name in _PARAMETERS if isinstance(found.get(name), dict)), {}
        )
        whole = {**parameters, **found, **more} if isinstance(messages, list | dict) else {}
        if isinstance(messages, list):
            whole["messages"] = messages
        whole = {name: value for name, value in whole.items() if name in _OF_CHAT}
    messages = whole.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(item, dict) for item in messages):
        return None
    return {name: value for name, value in whole.items() if name not in _NOT_AGAIN and value is not None}


def _recorded(found: Mapping[str, Any], body: dict[str, Any], where: str) -> Recorded:
    metadata = found.get("metadata")
    labels = {**(metadata if isinstance(metadata, dict) else {}), **found}
    return Recorded(
        where=where,
        id=_text(labels, *_ID),
        model=str(body.pop("model", "") or ""),
        body=body,
        answer=_answer(found),
        task=_text(labels, "task"),
        tags=_tags(labels.get("tags", labels.get("request_tags"))),
        key=_text(labels, "key"),
        episode=_text(labels, "episode"),
        sensitivity=_text(labels, "sensitivity"),
        at_us=_moment_us(next((labels[name] for name in _AT if labels.get(name)), None)),
        first_byte_us=_duration_us(labels.get("ttft_s")),
        ended_us=_duration_us(labels.get("latency_s")),
    )


def _answer(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the answer in a record, as a chat completion; None where there is none."""
    said = next((found[name] for name in _ANSWER if found.get(name)), None)
    if isinstance(said, dict) and isinstance(said.get("body"), dict):  # of a batch
        said = said["body"]
    if isinstance(said, str):
        said = {"role": "assistant", "content": said}
    if not isinstance(said, dict) or said.get("error"):
        return None
    if not isinstance(said.get("choices"), list):
        if not said.keys() & {"content", "tool_calls", "refusal"}:
            return None
        said = {"choices": [{"index": 0, "message": said}]}
    if not said["choices"] or not isinstance(said["choices"][0], dict):
        return None
    usage = next((item["usage"] for item in (said, found) if isinstance(item.get("usage"), dict)), found)
    counts = {"prompt_tokens": _count(usage, _INPUT_COUNTS), "completion_tokens": _count(usage, _OUTPUT_COUNTS)}
    known = {name: count for name, count in counts.items() if count is not None}
    return {**said, "usage": {**(said.get("usage") or {}), **known}} if known else said


def _count(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _text(labels: Mapping[str, Any], *names: str) -> str:
    found = next((labels[name] for name in names if isinstance(labels.get(name), str | int)), "")
    return str(found)[:256]


def _tags(said: Any) -> str:
    """Write tags as a header does: name=value pairs and names, with commas."""
    if isinstance(said, dict):
        said = [f"{name}={value}" for name, value in said.items()]
    if isinstance(said, list):
        said = ",".join(str(item) for item in said)
    return said[:512] if isinstance(said, str) else ""


def _moment_us(said: object) -> int | None:
    if isinstance(said, int | float) and not isinstance(said, bool) and 0 < said < 1e17:
        for unit, per_s in ((1e14, 1e6), (1e11, 1e3)):  # microseconds and milliseconds look so, seconds below
            if said > unit:
                return int(said / per_s * 1e6)
        return int(said * 1e6)
    if not isinstance(said, str):
        return None
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)


def _duration_us(said: object) -> int | None:
    known = isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said < 4294
    return int(said * 1e6) if known and isinstance(said, int | float) else None
