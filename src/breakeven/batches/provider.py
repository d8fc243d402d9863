"""A provider's batch API, as its client: https://platform.openai.com/docs/api-reference/batch.

Every call blocks, and belongs in a thread.  Files are sent and fetched in pieces, whatever their size.
"""

from __future__ import annotations

import secrets
import ssl
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from breakeven.gateway.snapshot import Target

TIMEOUT_S: Final = 60.0
"""For a connection, and for each pause."""

MAX_ANSWER_BYTES: Final = 1024 * 1024
PIECE_BYTES: Final = 256 * 1024
PAGES: Final = 5
"""Of its newest batches, among which one is looked for that may have been made already."""


class ProviderError(Exception):
    """It did not do what it was asked; ``str()`` says why."""

    def __init__(self, message: str, *, passes: bool) -> None:
        self.passes = passes
        """Whether it may do it later."""

        super().__init__(message)


class Provider:
    """One provider."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._headers = {"host": target.host_header, **dict(target.headers)}
        self._tls = ssl.create_default_context(cafile=target.ca_file or None) if target.tls else None

    def upload(self, path: Path) -> str:
        """Send an input file; return its id.  Raises ``ProviderError``, like the others."""
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--{boundary}\r\n'
            f'content-disposition: form-data; name="file"; filename="{path.name.strip(".")}"\r\n'
            "content-type: application/jsonl\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "content-type": f"multipart/form-data; boundary={boundary}",
            "content-length": str(len(head) + path.stat().st_size + len(tail)),
        }

        def body() -> Iterator[bytes]:
            yield head
            with path.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece
            yield tail

        return str(self._json("POST", "/files", body(), headers)["id"])

    def create(self, file: str, endpoint: str, window: str, mark: str) -> str:
        """Make a batch of a file; return its id.  ``mark`` tells it from others, see ``find``."""
        asked = {
            "input_file_id": file,
            "endpoint": endpoint,
            "completion_window": window,
            "metadata": {"breakeven_job": mark},
        }
        headers = {"content-type": "application/json"}
        return str(self._json("POST", "/batches", msgspec.json.encode(asked), headers)["id"])

    def find(self, mark: str) -> str | None:
        """Return the batch that has this mark, if it was made: whoever made it may have died before noting so."""
        after = ""
        for _ in range(PAGES):
            page = self._json("GET", f"/batches?limit=100{after}")
            for item in page.get("data") or ():
                if (item.get("metadata") or {}).get("breakeven_job") == mark:
                    return str(item["id"])
            if not page.get("has_more") or not page.get("data"):
                return None
            after = f"&after={quote(page['data'][-1]['id'])}"
        return None

    def batch(self, name: str) -> dict[str, Any]:
        """Return a batch as it is now."""
        return self._json("GET", f"/batches/{quote(name)}")

    def cancel(self, name: str) -> None:
        """Ask for its end."""
        self._json("POST", f"/batches/{quote(name)}/cancel", b"")

    def fetch(self, file: str, path: Path) -> None:
        """Write the content of a file, all of it; one that was written in part is written anew."""
        with self._answer("GET", f"/files/{quote(file)}/content") as answer, path.open("wb") as written:
            while piece := answer.read(PIECE_BYTES):
                written.write(piece)
            if answer.length:  # so many bytes were announced and never came: reading in pieces ends without a word
                raise IncompleteRead(b"", answer.length)

    def delete(self, file: str) -> None:
        """Delete a file there."""
        self._json("DELETE", f"/files/{quote(file)}")

    def _json(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
        with self._answer(method, path, body, headers) as answer:
            read = answer.read(MAX_ANSWER_BYTES)
        try:
            return msgspec.json.decode(read, type=dict[str, Any])
        except ValueError as error:
            raise ProviderError(f"{self._target.name} answers {path} with no JSON: {error}", passes=True) from None

    @contextmanager
    def _answer(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Iterator[HTTPResponse]:
        connection = self._connection()
        try:
            connection.request(method, self._target.base_path + path, body, {**self._headers, **(headers or {})})
            answer = connection.getresponse()
            if answer.status >= 300:
                why = answer.read(2000).decode(errors="replace")
                passes = answer.status >= 500 or answer.status in (408, 409, 425, 429)
                message = f"{self._target.name} answers {method} {path} with {answer.status}: {why}"
                raise ProviderError(message, passes=passes)
            yield answer
        except (OSError, HTTPException) as error:
            raise ProviderError(f"{self._target.name} cannot be asked: {error!r}", passes=True) from None
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        target, proxy = self._target, self._target.proxy
        host, port = (proxy.host, proxy.port) if proxy else (target.host, target.port)
        if self._tls is not None:
            connection: HTTPConnection = HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self._tls)
        else:
            connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
        if proxy:
            known = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
            connection.set_tunnel(target.host, target.port, known)
        return connection
