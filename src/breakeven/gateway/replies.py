"""Answers that the gateway gives itself: errors, in OpenAI's shape unless a dialect has its own, models, health."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
RETRY_LATER: Final = b"retry-after: 2\r\n"
"""What a client is told that comes while the gateway stops, or cannot keep its rows."""

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def status_line(status: int) -> bytes:
    """Return the first line of an answer; a status without a name gets none."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def error_body(status: int, message: str, code: str) -> bytes:
    """Return an error as OpenAI's clients expect it."""
    kind = _TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})


class Reply(NamedTuple):
    """A whole JSON answer, before it is known whether the connection stays open and what protocol its client speaks."""

    status: int
    body: bytes = b""
    """Of an answer that is no error."""

    message: str = ""
    code: str = ""
    """Of an error: what happened, and a word for programs."""

    close: bool = False
    extra: bytes = b""
    """Further header lines, each with its line end."""

    def rendered(self, error_body: Callable[[int, str, str], bytes], *, close: bool) -> bytes:
        """Return the answer as bytes, an error in the shape that ``error_body`` gives it."""
        body = error_body(self.status, self.message, self.code) if self.code else self.body
        closing = b"connection: close\r\n" if close or self.close else b""
        return b"%bcontent-type: application/json\r\ncontent-length: %d\r\n%b%b\r\n%b" % (
            status_line(self.status),
            len(body),
            closing,
            self.extra,
            body,
        )


def refusal(status: int, message: str, code: str, *, close: bool = False, extra: bytes = b"") -> Reply:
    """Return an error."""
    return Reply(status, message=message, code=code, close=close, extra=extra)


def unknown_model(name: str) -> Reply:
    """Return the refusal of a model that nobody serves, or that this key may not use."""
    message = f"The model {name!r} does not exist here, or this key may not use it: GET /v1/models lists its models."
    return refusal(404, message, "model_not_found")


def counts_no_tokens(name: str) -> Reply:
    """Return the refusal of a count that no target can make.

    A status that Anthropic's clients do not try again, and upon which they estimate for themselves
    (https://github.com/Wei-Shaw/sub2api/pull/657).
    """
    message = f"Nobody counts tokens for {name!r}: none of its targets speaks messages itself. Estimate them instead."
    return refusal(404, message, "not_supported")


def error_event(message: str, code: str) -> bytes:
    """Return the server-sent event that ends a stream which cannot be finished: never a clean ``[DONE]``."""
    return b"data: %b\n\n" % error_body(502, message, code)


def model_card(name: str) -> dict[str, object]:
    """Return one model as ``GET /v1/models/NAME`` shows it."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "breakeven"}


def model_list(names: Iterable[str]) -> bytes:
    """Return the body of ``GET /v1/models``."""
    return msgspec.json.encode({"object": "list", "data": [model_card(name) for name in names]})


def chunk(data: bytes) -> bytes:
    """Return bytes as one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
