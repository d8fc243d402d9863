"""Files and batches over HTTP: who may see what, what is well-formed, and where uploads go."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

from breakeven.batches import shapes
from breakeven.batches.multipart import MultipartError, MultipartReader
from breakeven.batches.records import CANCELLING, ENDED, VALIDATING, Batch, Caller, StoredFile
from breakeven.batches.shapes import RefusedError, answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from breakeven.batches.plan import BatchesPlan
    from breakeven.batches.store import Store
    from breakeven.clock import Clock

MAX_JSON_BYTES: Final = 64 * 1024
PAUSE_S: Final = 60.0
"""Longest silence within a body."""

MAX_FILES_LISTED: Final = 10_000
MAX_BATCHES_LISTED: Final = 100
MAX_DIGITS: Final = 10
"""A number of a client's has fewer."""

MIN_KEPT_S: Final = 3600
MAX_KEPT_S: Final = 2_592_000
LABELS: Final = "x-breakeven-"
SENSITIVITY: Final = "x-breakeven-sensitivity"
OURS: Final = frozenset({"x-breakeven-episode", "x-breakeven-priority", "x-breakeven-batch"})
"""Labels that each line gets from us."""

_log = logging.getLogger("breakeven.batches")


class Api:
    """What clients may ask for."""

    def __init__(self, plan: BatchesPlan, store: Store, clock: Clock, opened: dict[str, Batch]) -> None:
        """Take what it works with; ``opened`` are the batches that are being worked on, by id."""
        self._plan = plan
        self._store = store
        self._clock = clock
        self._open = opened
        self.submitted: Callable[[Batch], None] = lambda _: None
        """Called with each new batch, and with each that is to be cancelled."""

    def app(self) -> Starlette:
        """Return the application; the caller stands in ``request.state.caller``."""
        routes = [
            ("/v1/files", "POST", self._upload),
            ("/v1/files", "GET", self._list_files),
            ("/v1/files/{name}", "GET", self._file),
            ("/v1/files/{name}", "DELETE", self._delete_file),
            ("/v1/files/{name}/content", "GET", self._content),
            ("/v1/batches", "POST", self._create),
            ("/v1/batches", "GET", self._list_batches),
            ("/v1/batches/{name}", "GET", self._batch),
            ("/v1/batches/{name}/cancel", "POST", self._cancel),
        ]
        by_path: dict[str, dict[str, Any]] = {}
        for path, method, handler in routes:
            by_path.setdefault(path, {})[method] = handler
        return Starlette(
            routes=[Route(path, _one_of(handlers), methods=["GET", "POST", "DELETE", "PUT", "PATCH"])
                    for path, handlers in by_path.items()],
            exception_handlers={404: _not_there},
        )  # fmt: skip

    # Files

    async def _upload(self, request: Request) -> Response:
        caller = _caller(request)
        self._refuse_full(caller, int(request.headers.get("content-length") or 0))
        name = "file-" + secrets.token_hex(12)
        path = self._store.contents / f".{name}.new"
        try:
            with path.open("wb") as file:
                reader, size_bytes = await self._receive(request, file.write)
            stored = self._described(caller, name, reader, size_bytes)
            path.replace(self._store.path(name))
            self._store.add_file(stored)
        except MultipartError as error:
            raise RefusedError(400, "invalid_multipart", f"The upload cannot be read: {error}.") from None
        except (OSError, sqlite3.Error) as error:
            self._store.path(name).unlink(missing_ok=True)  # which nobody would find
            _log.error("an upload cannot be written: %s", error)
            why = error.strerror if isinstance(error, OSError) else error
            raise RefusedError(507, "no_space", f"The file cannot be kept: {why}.") from None
        finally:
            path.unlink(missing_ok=True)
        return answer(shapes.file_object(stored))

    async def _receive(self, request: Request, write: Callable[[bytes], Any]) -> tuple[MultipartReader, int]:
        """Read an upload to its end, and write its file; memory holds a piece of it at a time."""
        most_bytes = self._plan.max_file_bytes
        taken_bytes = 0

        def take(piece: bytes) -> None:
            nonlocal taken_bytes
            taken_bytes += len(piece)
            if taken_bytes > most_bytes:
                raise RefusedError(413, "file_too_large", f"A file may have {most_bytes:,} bytes.", "file")
            write(piece)

        reader = MultipartReader(request.headers.get("content-type", ""), take)
        async for piece in _pieces(request):
            reader.feed(piece)
        if not reader.whole:
            raise MultipartError("it ends before its last boundary")
        if reader.filename is None:
            raise RefusedError(400, "missing_required_parameter", "There is no file in the upload.", "file")
        return reader, taken_bytes

    def _described(self, caller: Caller, name: str, reader: MultipartReader, size_bytes: int) -> StoredFile:
        purpose = reader.fields.get("purpose")
        if purpose != "batch":
            message = f"Files are kept here for batches: purpose should be batch, not {purpose!r}."
            raise RefusedError(400, "invalid_value", message, "purpose")
        self._refuse_full(caller, size_bytes)
        kept_s = _kept_s(reader.fields.get("expires_after[seconds]"), self._plan.keep_s, "expires_after")
        now_s = int(self._clock.now())
        return StoredFile(
            id=name,
            owner=caller.owner,
            filename=PurePosixPath(reader.filename or "").name[:255] or "upload",
            purpose=purpose,
            size_bytes=size_bytes,
            created_s=now_s,
            expires_s=now_s + kept_s,
            sensitivities=caller.sensitivities,
        )

    def _refuse_full(self, caller: Caller, more_bytes: int) -> None:
        most_bytes = self._plan.max_stored_bytes
        if self._store.stored_bytes(caller.owner) + more_bytes > most_bytes:
            message = f"The files of a key or team may have {most_bytes:,} bytes together: delete some first."
            raise RefusedError(413, "storage_full", message, "file")

    async def _list_files(self, request: Request) -> Response:
        ask = request.query_params
        limit = _limit(ask.get("limit"), MAX_FILES_LISTED, MAX_FILES_LISTED)
        owner, newest = _caller(request).owner, ask.get("order", "desc") != "asc"
        found = self._store.files(owner, ask.get("purpose"), ask.get("after"), limit + 1, newest=newest)
        return answer(shapes.listed(map(shapes.file_object, found[:limit]), has_more=len(found) > limit))

    async def _file(self, request: Request) -> Response:
        return answer(shapes.file_object(self._found_file(request)))

    async def _content(self, request: Request) -> Response:
        file = self._found_file(request)
        return FileResponse(
            self._store.path(file.id), media_type="application/octet-stream", filename=file.filename
        )  # fmt: skip

    async def _delete_file(self, request: Request) -> Response:
        file = self._found_file(request)
        if self._store.is_in_use(file.id):
            message = f"The file {file.id} is read by a batch that has not ended: cancel that first."
            raise RefusedError(409, "file_in_use", message, "id")
        self._store.delete_file(file.id)
        return answer({"id": file.id, "object": "file", "deleted": True})

    def _found_file(self, request: Request) -> StoredFile:
        name: str = request.path_params["name"]
        file = self._store.file(name, _caller(request).owner)
        if file is None:
            raise shapes.missing("file", name)
        return file

    # Batches

    async def _create(self, request: Request) -> Response:
        caller = _caller(request)
        given = await _json(request)
        name, endpoint = given.get("input_file_id"), given.get("endpoint")
        if not isinstance(name, str):
            raise RefusedError(400, "missing_required_parameter", "input_file_id is missing.", "input_file_id")
        if endpoint not in shapes.ENDPOINTS:
            message = f"endpoint should be one of {', '.join(shapes.ENDPOINTS)}, not {endpoint!r}."
            raise RefusedError(400, "invalid_value", message, "endpoint")
        window_s = shapes.window_s(given.get("completion_window"))
        metadata = shapes.checked_metadata(given.get("metadata"))
        keep_s = _kept_after_s(given.get("output_expires_after"), self._plan.keep_s)
        file = self._store.file(name, caller.owner)
        if file is None or file.purpose != "batch":
            raise RefusedError(400, "invalid_value", f"There is no file {name[:100]!r} for a batch.", "input_file_id")
        now_s = int(self._clock.now())
        batch = Batch(
            number=0,
            id="batch_" + secrets.token_hex(16),
            owner=caller.owner,
            key=caller.key,
            models=caller.models,
            sensitivities=tuple(sorted({*caller.sensitivities, *file.sensitivities})),
            labels=_labels(request, file.sensitivities),
            endpoint=endpoint,
            input_file=name,
            window=given["completion_window"],
            status=VALIDATING,
            created_s=now_s,
            expires_s=now_s + window_s,
            deadline_s=now_s + min(window_s, self._plan.idle_s),
            keep_s=keep_s,
            metadata=metadata,
        )
        self._store.add_batch(batch)
        self._open[batch.id] = batch
        self.submitted(batch)
        return answer(shapes.batch_object(batch))

    async def _list_batches(self, request: Request) -> Response:
        ask = request.query_params
        limit = _limit(ask.get("limit"), 20, MAX_BATCHES_LISTED)
        found = self._store.batches(_caller(request).owner, ask.get("after"), limit + 1)
        now = [self._open.get(batch.id, batch) for batch in found]
        return answer(shapes.listed(map(shapes.batch_object, now[:limit]), has_more=len(now) > limit))

    async def _batch(self, request: Request) -> Response:
        return answer(shapes.batch_object(self._found_batch(request)))

    async def _cancel(self, request: Request) -> Response:
        batch = self._found_batch(request)
        if batch.status in ENDED:
            message = f"The batch {batch.id} is {batch.status}: there is nothing to cancel."
            raise RefusedError(409, "batch_ended", message, "id")
        if batch.status != CANCELLING:
            at = batch.at | {CANCELLING: int(self._clock.now())}
            self._store.change(batch, status=CANCELLING, at=at)
            self.submitted(batch)
        return answer(shapes.batch_object(batch))

    def _found_batch(self, request: Request) -> Batch:
        name: str = request.path_params["name"]
        owner = _caller(request).owner
        batch = self._open.get(name) or self._store.batch(name, owner)
        if batch is None or batch.owner != owner:
            raise shapes.missing("batch", name)
        return batch


def _one_of(handlers: dict[str, Callable[[Request], Awaitable[Response]]]) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers by the method, and every refusal in its shape."""

    async def respond(request: Request) -> Response:
        handler = handlers.get(request.method)
        if handler is None:
            message = f"{request.url.path} takes {' or '.join(handlers)}, not {request.method}."
            return RefusedError(405, "wrong_method", message).answer
        try:
            return await handler(request)
        except RefusedError as refused:
            return refused.answer
        except ConnectionResetError:
            return answer({})  # its client has gone
        except Exception:  # noqa: BLE001 - the outermost frame of a request
            _log.exception("a request could not be handled")
            return RefusedError(500, "internal_error", "This request could not be handled.").answer

    return respond


async def _not_there(request: Request, _: Exception) -> Response:
    return RefusedError(404, "unknown_path", f"There is nothing at {request.url.path[:200]}.").answer


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def _pieces(request: Request) -> Any:
    """Yield a body's pieces as they come; a client that pauses for too long is refused."""
    while True:
        try:
            message = await asyncio.wait_for(request.receive(), PAUSE_S)
        except TimeoutError:
            raise RefusedError(408, "body_timeout", f"The body paused for {PAUSE_S:g} s.") from None
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _json(request: Request) -> dict[str, Any]:
    body = b""
    async for piece in _pieces(request):
        body += piece
        if len(body) > MAX_JSON_BYTES:
            raise RefusedError(413, "body_too_large", f"The body has more than {MAX_JSON_BYTES:,} bytes.")
    with suppress(ValueError, RecursionError):  # text that is no UTF-8 is a ValueError too
        given = msgspec.json.decode(body)
        if isinstance(given, dict):
            return given
    raise RefusedError(400, "invalid_request", "The body should be a JSON object.")


def _limit(text: str | None, default: int, most: int) -> int:
    if text is None:
        return default
    if not (_is_number(text) and 1 <= int(text) <= most):
        raise RefusedError(400, "invalid_value", f"limit should be a number from 1 to {most:,}.", "limit")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < MAX_DIGITS


def _kept_s(given: Any, default_s: float, param: str) -> int:
    """Return for how long a file is kept: as its client asks, and never longer than the settings say."""
    if given is None:
        return int(default_s)
    text = str(given)
    if not (_is_number(text) and MIN_KEPT_S <= int(text) <= MAX_KEPT_S):
        message = f"{param}.seconds should be a number from {MIN_KEPT_S:,} to {MAX_KEPT_S:,}."
        raise RefusedError(400, "invalid_value", message, param)
    return min(int(text), int(default_s))


def _kept_after_s(given: Any, default_s: float) -> int:
    """Return for how long results are kept, as ``output_expires_after`` says."""
    if given is not None and not isinstance(given, dict):
        message = "output_expires_after should be an object with an anchor and seconds."
        raise RefusedError(400, "invalid_value", message, "output_expires_after")
    return _kept_s((given or {}).get("seconds"), default_s, "output_expires_after")


def _labels(request: Request, marks: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return what the client says about its batch, for each of its lines: what kind of data it is, above all.

    ``marks`` are those of its file, which hold beside what is said now.
    """
    said = [item for item in request.headers.items() if item[0].startswith(LABELS) and item[0] not in OURS]
    if marks:
        own = [value for name, value in said if name == SENSITIVITY]
        said = [item for item in said if item[0] != SENSITIVITY]
        said.append((SENSITIVITY, ",".join((*own, ",".join(marks).encode().decode("latin-1")))))  # as headers are read
    return tuple(said)
