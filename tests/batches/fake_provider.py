"""A provider's batch API that does as it is told: made after https://platform.openai.com/docs/api-reference/batch."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

from gateway import answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.scripted import Call

Made = dict[str, Any]


class FakeProvider:
    """Files and batches in memory; ``result`` makes a line's result, None for a line that gets none."""

    def __init__(self, result: Callable[[Made], Made | None]) -> None:
        self._result = result
        self._lock = threading.Lock()
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Made] = {}
        self.status = "completed"
        """Of each batch, from when it is first asked for."""

        self.refuses: Callable[[Call], bool] = lambda _: False
        """Calls that are answered with a failure."""

    def __call__(self, call: Call) -> None:
        """Answer one call."""
        if self.refuses(call):
            answers.failure(500)(call)
            return
        with self._lock:
            found = self._answer(call.method, call.path.partition("/v1")[2], call)
        answers.whole(found)(call)

    @property
    def lines(self) -> list[Made]:
        """Every line of every batch."""
        return [line for batch in self.batches.values() for line in self._lines(batch["input_file_id"])]

    def _lines(self, file: str) -> list[Made]:
        return [json.loads(line) for line in self.files[file].splitlines()]

    def _answer(self, method: str, path: str, call: Call) -> Made | bytes:
        if (method, path) == ("POST", "/files"):
            boundary = re.search("boundary=(.*)", call.headers["content-type"])
            assert boundary is not None
            assert b'name="purpose"\r\n\r\nbatch\r\n' in call.body
            part = call.body.split(b"--" + boundary[1].encode())[2]
            name = f"file-{len(self.files)}"
            self.files[name] = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            return {"id": name}
        if (method, path) == ("POST", "/batches"):
            name = f"batch_{len(self.batches)}"
            self.batches[name] = {"id": name, "status": "in_progress", **call.json}
            return self.batches[name]
        if path.startswith("/batches?"):
            return {"data": list(self.batches.values()), "has_more": False}
        if path.endswith("/cancel"):
            self.status = "cancelled"
            return self.batches[path.split("/")[2]]
        if path.startswith("/batches/"):
            return self._now(self.batches[path.split("/")[2]])
        return self.files[path.split("/")[2]]

    def _now(self, batch: Made) -> Made:
        batch["status"] = self.status
        if self.status in {"completed", "cancelled", "expired"}:
            made = [found for line in self._lines(batch["input_file_id"]) if (found := self._result(line)) is not None]
            well = [line for line in made if (line["response"] or {}).get("status_code") == 200]
            for kind, lines in (("output", well), ("error", [line for line in made if line not in well])):
                self.files[f"{kind}-{batch['id']}"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
                batch[f"{kind}_file_id"] = f"{kind}-{batch['id']}" if lines else None
        return batch


def answered(line: Made, status: int = 200) -> Made:
    """A result as a provider gives it: the prompt comes back."""
    body = {
        "model": line["body"]["model"],
        "text": line["body"]["messages"][0]["content"],
        "usage": {"prompt_tokens": 8, "completion_tokens": 4, "total_tokens": 12},
    }
    response = {"status_code": status, "request_id": "req-there", "body": body}
    return {"id": "batch_req_there", "custom_id": line["custom_id"], "response": response, "error": None}


def expired(line: Made) -> Made:
    """A line that the provider did not get to."""
    error = {"code": "batch_expired", "message": "too late"}
    return {"id": "batch_req_there", "custom_id": line["custom_id"], "response": None, "error": error}
