"""The protocols that clients speak: where each is asked for, what is read of it, and how it says that something failed.

A dialect is chosen by the path, before the body is read; everything that differs between protocols stands here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from breakeven.gateway import replies
from breakeven.metering.completion import read_completion
from breakeven.metering.embeddings import read_embeddings
from breakeven.metering.messages import MessagesMeter, read_count, read_message
from breakeven.metering.responses import ResponsesMeter, read_response
from breakeven.metering.stream import StreamMeter
from breakeven.routing.eligible import CHAT, COMPLETIONS, COUNT_TOKENS, EMBEDDINGS, MESSAGES, RESPONSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.metering.meter import EventMeter
    from breakeven.metering.reading import Reading


class Dialect(NamedTuple):
    """One protocol, as one path speaks it."""

    place: int
    """In ``DIALECTS``, and among the heads of requests to a target."""

    what: str
    """What a request is called where it is none."""

    protocol: int
    """What a target must speak; one of ``routing.eligible``'s constants."""

    path: bytes
    suffix: str
    """Behind a target's base path."""

    read_answer: Callable[[bytes, int], Reading]
    """Of an answer that came whole, given the size of the request's body."""

    meter: type[EventMeter]
    """Of an answer that comes as events."""

    asks_for_usage: bool
    """Whether ``stream_options.include_usage`` is this protocol's way to have a stream end in its usage."""

    error_body: Callable[[int, str, str], bytes]
    """Status, message and code, in the shape that its clients expect."""

    error_event: Callable[[str, str], bytes]
    """Message and code, as the event that ends a stream which cannot be finished."""


def messages_error_body(status: int, message: str, code: str) -> bytes:
    """Return an error as Anthropic's clients expect it (https://docs.claude.com/en/api/errors)."""
    kind = _MESSAGES_TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message, "code": code}})


def _messages_error_event(message: str, code: str) -> bytes:
    return b"event: error\ndata: %b\n\n" % messages_error_body(502, message, code)


def _responses_error_event(message: str, code: str) -> bytes:
    """Return an error event of the Responses API (https://platform.openai.com/docs/api-reference/responses-streaming)."""
    body = {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 0}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(body)


_MESSAGES_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_OPENAI: Final = (replies.error_body, replies.error_event)
_ANTHROPIC: Final = (messages_error_body, _messages_error_event)

CHAT_COMPLETIONS: Final = Dialect(
    0, "chat completion request", CHAT, b"/v1/chat/completions", "/chat/completions",
    read_completion, StreamMeter, True, *_OPENAI,  # noqa: FBT003 - a row of a table
)  # fmt: skip
MESSAGES_API: Final = Dialect(
    4, "messages request", MESSAGES, b"/v1/messages", "/messages",
    read_message, MessagesMeter, False, *_ANTHROPIC,  # noqa: FBT003 - as above
)  # fmt: skip
DIALECTS: Final = (
    CHAT_COMPLETIONS,
    Dialect(
        1, "completion request", COMPLETIONS, b"/v1/completions", "/completions",
        read_completion, StreamMeter, True, *_OPENAI,  # noqa: FBT003 - as above
    ),
    Dialect(
        2, "request for a response", RESPONSES, b"/v1/responses", "/responses",
        read_response, ResponsesMeter, False, replies.error_body, _responses_error_event,  # noqa: FBT003 - as above
    ),
    Dialect(
        3, "request for embeddings", EMBEDDINGS, b"/v1/embeddings", "/embeddings",
        read_embeddings, StreamMeter, False, *_OPENAI,  # noqa: FBT003 - as above
    ),
    MESSAGES_API,
    Dialect(
        5, "request to count tokens", COUNT_TOKENS, b"/v1/messages/count_tokens", "/messages/count_tokens",
        read_count, MessagesMeter, False, *_ANTHROPIC,  # noqa: FBT003 - as above
    ),
)  # fmt: skip
BY_PATH: Final = {dialect.path: dialect for dialect in DIALECTS}

CROSSED: Final = {CHAT_COMPLETIONS: MESSAGES_API, MESSAGES_API: CHAT_COMPLETIONS}
"""Dialects that can be translated, and into which."""


def spoken_to(dialect: Dialect, protocols: int) -> Dialect:
    """Return a client's own dialect where a target speaks it, or that into which it can be translated."""
    other = CROSSED.get(dialect)
    if protocols & dialect.protocol or other is None or not protocols & other.protocol:
        return dialect
    return other


def reached(protocols: int) -> int:
    """Return what clients may speak whose requests go to a target that speaks these protocols.

    Tokens are counted only where messages are spoken without translation.
    """
    counted = COUNT_TOKENS if protocols & MESSAGES else 0
    crossed = {dialect.protocol for dialect, other in CROSSED.items() if protocols & other.protocol}
    return protocols | sum(crossed) | counted
