"""What an answer's bytes alone tell of its worth: each signal named as what it is, and none of them a success.

A signal that fails is a reason to doubt an answer; one that holds proves nothing.  What checks JSON against a schema is
handed in: whoever has the library compiles it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from breakeven.evidence.sameness import normal_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.evidence.answers import ReadAnswer

    SchemaCheck = Callable[[str, dict[str, Any]], bool | None]
    """Whether a text is JSON that keeps to a schema; None where that cannot be told."""

SignalName = Literal["schema_valid", "tool_call_parsed", "refusal", "truncated", "retried"]

REFUSING_WORDS: Final = (
    "i'm sorry, but i can't", "i'm sorry, but i cannot", "i'm sorry, i can't", "i'm sorry, i cannot",
    "sorry, but i can't", "sorry, i can't", "i can't help with", "i cannot help with",
    "i can't assist with", "i cannot assist with", "i'm unable to help", "i am unable to help",
    "i'm unable to assist", "i am unable to assist", "i'm not able to help", "i am not able to help",
    "i can't provide", "i cannot provide", "i can't comply", "i cannot comply",
    "i won't", "i must decline", "i have to decline", "as an ai language model, i can",
    "es tut mir leid, aber ich kann", "je suis désolé, mais je ne peux",
    "lo siento, pero no puedo", "mi dispiace, ma non posso",
)  # fmt: skip
"""How refusals begin, in words without case and with straight apostrophes."""

_LOOKED_AT_CHARACTERS_COUNT: Final = 200
"""A refusal says so at once; further on the same words are mostly quoted."""

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One signal of one answer."""

    name: SignalName
    good: bool
    """False: a reason to doubt the answer (its refusal was seen, its schema broken)."""

    detail: str
    """Why it is not good, or how it was told; no text of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request asks for that an answer can be held against."""

    schema: dict[str, Any] | None = None
    """The JSON Schema that the answer's text is to keep to."""

    tools: tuple[tuple[str, dict[str, Any] | None], ...] = ()
    """Names of the tools and the schemas of their arguments."""


def read_asked(body: bytes, *, schema: dict[str, Any] | None) -> Asked:
    """Return what a request asks for; ``schema``: what ``protocols.texts.asked_schema`` finds in it."""
    try:
        listed = _decode(body).get("tools") or ()
        found = tuple(tool for entry in listed if isinstance(entry, dict) and (tool := _tool(entry)) is not None)
    except (*_UNREADABLE, TypeError):
        found = ()
    return Asked(schema=schema, tools=found)


def signals_of(asked: Asked, answer: ReadAnswer, *, keeps_to: SchemaCheck | None = None) -> tuple[Signal, ...]:
    """Return the signals of an answer: of its schema and its calls only where there is one, or where a call was made.

    Without ``keeps_to``, a text or the arguments of a call need only be JSON.
    """
    refused = refusal_of(answer)
    found = [
        Signal(name="refusal", good=not refused, detail=refused),
        Signal(name="truncated", good=not answer.truncated, detail="at its token limit" if answer.truncated else ""),
    ]
    if answer.calls:
        wrong = _wrong_call(asked, answer, keeps_to)
        found.append(Signal(name="tool_call_parsed", good=not wrong, detail=wrong))
    elif asked.schema is not None:
        kept = _keeps_to(answer.text, asked.schema, keeps_to)
        if kept is not None:
            detail = "" if kept else "the text does not keep to the schema"
            found.append(Signal(name="schema_valid", good=kept, detail=detail))
    return tuple(found)


def refusal_of(answer: ReadAnswer) -> str:
    """Return how an answer was told to be a refusal, empty where it is none: by the API, or by how its text begins."""
    if answer.refusal or answer.filtered:
        return "said by the API"
    beginning = normal_text(answer.text[:_LOOKED_AT_CHARACTERS_COUNT]).replace("’", "'")
    return "told by its words" if not answer.calls and beginning.startswith(REFUSING_WORDS) else ""


def _tool(entry: dict[str, Any]) -> tuple[str, dict[str, Any] | None] | None:
    """Return a tool as chat completions, responses or messages write it; None of one that the provider runs."""
    inner = entry.get("function")
    said = inner if isinstance(inner, dict) else entry
    name = said.get("name")
    schema = said.get("parameters", said.get("input_schema"))
    return (name, schema if isinstance(schema, dict) else None) if isinstance(name, str) else None


def _wrong_call(asked: Asked, answer: ReadAnswer, keeps_to: SchemaCheck | None) -> str:
    """Return what is wrong with an answer's calls; empty: nothing."""
    known = dict(asked.tools)
    for call in answer.calls:
        if call.name not in known:
            return "it calls a tool that the request does not name"
        if not _is_object(call.arguments):
            return "the arguments of a call are not a JSON object"
        schema = known[call.name]
        if schema is not None and keeps_to is not None and keeps_to(call.arguments, schema) is False:
            return "the arguments of a call do not keep to the tool's schema"
    return ""


def _keeps_to(text: str, schema: dict[str, Any], keeps_to: SchemaCheck | None) -> bool | None:
    if keeps_to is not None:
        return keeps_to(text, schema)
    try:
        msgspec.json.decode(text)
    except _UNREADABLE:
        return False
    return True


def _is_object(text: str) -> bool:
    try:
        _decode(text)
    except _UNREADABLE:
        return False
    return True
