"""What clients are told: files, batches, lists, errors and the lines of results, in OpenAI's shapes.

https://platform.openai.com/docs/api-reference/batch and https://platform.openai.com/docs/api-reference/files.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from breakeven.batches.records import Batch, StoredFile

ENDPOINTS: Final = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
EXPIRED: Final = ("batch_expired", "This request could not be executed before the completion window expired.")
CANCELLED: Final = ("batch_cancelled", "The batch was cancelled before this request was executed.")
FAULT: Final = ("internal_error", "This request could not be handled.")
"""The codes of the first two as published: https://docs.rs/crate/openai-client-base/0.8.1/source/docs/BatchRequestOutputError.md."""

_WINDOW: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_WINDOW_S: Final = 30 * 86_400
MAX_METADATA_PAIRS: Final = 16
MAX_METADATA_KEY: Final = 64
MAX_METADATA_VALUE: Final = 512
_BREAKS: Final = tuple((mark.encode(), b"\\u%04x" % ord(mark)) for mark in ("\x85", "\u2028", "\u2029"))
"""What some readers take for the end of a line, ``str.splitlines`` among them, and how JSON writes it without."""

_TYPES: Final = {404: "not_found_error", 408: "timeout_error", 409: "conflict_error"}


class RefusedError(Exception):
    """A request that is not done; ``str()`` says why."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        self.status = status
        self.code = code
        self.param = param
        super().__init__(message)

    @property
    def answer(self) -> Response:
        """Return the answer in OpenAI's shape."""
        kind = _TYPES.get(self.status) or ("server_error" if self.status >= 500 else "invalid_request_error")
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return answer({"error": error}, self.status)


def answer(content: Any, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def missing(what: str, name: str) -> RefusedError:
    """Return the refusal of a file or batch that is not there, or that belongs to somebody else."""
    return RefusedError(404, f"{what}_not_found", f"No such {what} here: {name[:100]!r}.", "id")


def file_object(file: StoredFile) -> dict[str, Any]:
    """Return a file as clients see it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.created_s,
        "expires_at": file.expires_s,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def batch_object(batch: Batch) -> dict[str, Any]:
    """Return a batch as clients see it."""
    at = batch.at
    stages = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": batch.input_file,
        "completion_window": batch.window,
        "status": batch.status,
        "output_file_id": batch.output_file or None,
        "error_file_id": batch.error_file or None,
        "created_at": batch.created_s,
        "expires_at": batch.expires_s,
        **{f"{stage}_at": at.get(stage) for stage in stages},
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": batch.metadata,
    }


def listed(items: Iterable[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Return a page of a list."""
    data = list(items)
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def window_s(text: Any) -> int:
    """Return the seconds of a completion window such as 24h.  Raises ``RefusedError``."""
    read = _WINDOW.fullmatch(text) if isinstance(text, str) else None
    seconds = int(read[1]) * _UNIT_S[read[2]] if read else 0
    if not 0 < seconds <= MAX_WINDOW_S:
        message = f"completion_window should be a time such as 24h, of at most 30d, not {text!r}."
        raise RefusedError(400, "invalid_value", message, "completion_window")
    return seconds


def checked_metadata(given: Any) -> dict[str, str] | None:
    """Return the pairs that a client attaches to a batch.  Raises ``RefusedError``."""
    if given is None:
        return None
    well = isinstance(given, dict) and len(given) <= MAX_METADATA_PAIRS
    if not well or not all(_is_pair(name, value) for name, value in given.items()):
        message = (
            f"metadata should be at most {MAX_METADATA_PAIRS} pairs of texts, of at most {MAX_METADATA_KEY} and "
            f"{MAX_METADATA_VALUE} characters."
        )
        raise RefusedError(400, "invalid_value", message, "metadata")
    found: dict[str, str] = given
    return found


def _is_pair(name: Any, value: Any) -> bool:
    return isinstance(value, str) and len(name) <= MAX_METADATA_KEY and len(value) <= MAX_METADATA_VALUE


def result_line(request: str, custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    """Return one line of an output or error file: the answer to a line that was asked."""
    shown = body.strip()
    try:
        msgspec.json.decode(shown)
    except (ValueError, RecursionError):  # text that is no UTF-8 is a ValueError too
        shown = msgspec.json.encode({"error": {"message": body[:2000].decode(errors="replace"), "code": "not_json"}})
    if b"\n" in shown or b"\r" in shown:
        shown = json.dumps(json.loads(shown), separators=(",", ":"), ensure_ascii=False).encode()
    return one_line(
        b'{"id":%b,"custom_id":%b,"response":{"status_code":%d,"request_id":%b,"body":%b},"error":null}'
        % (
            msgspec.json.encode(request),
            msgspec.json.encode(custom_id),
            status,
            msgspec.json.encode(request_id),
            shown,
        )
    )


def one_line(text: bytes) -> bytes:
    """Return a JSON text without line feeds as a line that everybody takes for one."""
    for mark, written in _BREAKS:
        text = text.replace(mark, written)
    return text.rstrip() + b"\n"


def unanswered_line(request: str, custom_id: str, why: tuple[str, str]) -> bytes:
    """Return the line of an error file for a line that got no answer; ``why`` is a code and a message."""
    error = {"code": why[0], "message": why[1]}
    line: Mapping[str, Any] = {"id": request, "custom_id": custom_id, "response": None, "error": error}
    return one_line(msgspec.json.encode(line))
