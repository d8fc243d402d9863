"""Errors of one protocol in the shape of the other, whatever the body was.

The status decides where there is one, for servers differ in what they call things; within a stream there is none (give
200), and the type does.  A message goes over as it is; a body without one, be it HTML or nothing, gets a message that
tells the status.

Shapes: https://platform.claude.com/docs/en/api/errors and https://platform.openai.com/docs/guides/error-codes.

| status | Anthropic | OpenAI |
|---|---|---|
| 400 and other 4xx | invalid_request_error | invalid_request_error |
| 401 | authentication_error | authentication_error |
| 402 | billing_error | insufficient_quota |
| 403 | permission_error | permission_error |
| 404 | not_found_error | not_found_error |
| 413 | request_too_large | invalid_request_error |
| 429 | rate_limit_error | rate_limit_error |
| 500 and other 5xx | api_error | server_error |
| 504 | timeout_error | server_error |
| 503, 529 | overloaded_error | server_error |

Towards OpenAI the ``code`` is Anthropic's type, so that nothing is lost where several become one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from breakeven.protocols.tables import UNREADABLE, Fields

_BY_STATUS: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TO_CHAT: Final = {
    "invalid_request_error": "invalid_request_error",
    "authentication_error": "authentication_error",
    "billing_error": "insufficient_quota",
    "permission_error": "permission_error",
    "not_found_error": "not_found_error",
    "request_too_large": "invalid_request_error",
    "rate_limit_error": "rate_limit_error",
    "api_error": "server_error",
    "timeout_error": "server_error",
    "overloaded_error": "server_error",
}
_FROM_CHAT: Final = {
    "insufficient_quota": "billing_error",
    "rate_limit_exceeded": "rate_limit_error",
    "tokens": "rate_limit_error",
    "requests": "rate_limit_error",
    "model_not_found": "not_found_error",
    "context_length_exceeded": "invalid_request_error",
    "invalid_api_key": "authentication_error",
    "BadRequestError": "invalid_request_error",
    "NotFoundError": "not_found_error",
} | {name: name for name in _TO_CHAT}
"""Types and codes of OpenAI, of vLLM (the last two) and of ourselves, by which an error without a status is told."""

_FIRST_ERROR: Final = 400


def chat_error_to_messages(status: int, body: bytes) -> bytes:
    """Return the body of an error as Anthropic's clients expect it; never raises."""
    fields = _error_of(body)
    kind = _kind_of_status(status)
    if kind is None:
        names = (fields.get("code"), fields.get("type"))
        kind = next((_FROM_CHAT[name] for name in names if isinstance(name, str) and name in _FROM_CHAT), "api_error")
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": _message(status, fields)}})


def messages_error_to_chat(status: int, body: bytes) -> bytes:
    """Return the body of an error as OpenAI's clients expect it; never raises."""
    fields = _error_of(body)
    told = fields.get("type")
    code = told if isinstance(told, str) and told in _TO_CHAT else _kind_of_status(status) or "api_error"
    error = {"message": _message(status, fields), "type": _TO_CHAT[code], "param": None, "code": code}
    return msgspec.json.encode({"error": error})


def _kind_of_status(status: int) -> str | None:
    """Return Anthropic's type for a status; None for one that is no error."""
    if status < _FIRST_ERROR:
        return None
    return _BY_STATUS.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def _error_of(body: bytes) -> Fields:
    """Return what holds the message: ``error``, or all of it, as in vLLM's bare errors and FastAPI's ``detail``."""
    try:
        decoded = msgspec.json.decode(body)
    except UNREADABLE:
        return {}
    if not isinstance(decoded, dict):
        return {}
    error = decoded.get("error", decoded)
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _message(status: int, fields: Fields) -> str:
    for name in ("message", "detail", "error"):
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
    if status < _FIRST_ERROR:
        return "The target ended its stream with an error that says nothing."
    return f"The target answered with status {status} and no message that could be read."
