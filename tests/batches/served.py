"""What tests of batches say and see: input files, answers of an upstream, results, and the process that serves them."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gateway import answers, payloads
from gateway.gateway import KEY, settings, wait_for
from gateway.wire import CutOffError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openai import OpenAI
    from openai.types import Batch

    from gateway.gateway import Gateway, Settings
    from gateway.scripted import Call

BATCHES: Settings = {"slots": 8}
PATIENT: Settings = {"connect_s": 10, "first_token_s": 30, "between_tokens_s": 30, "total_s": 60}
"""Time-outs of targets whose answers wait for what a test does meanwhile, on a machine that is busy."""

OTHER_KEY = "sk-be-of-another-team"
COLLEAGUE_KEY = "sk-be-of-a-colleague"
CHAT: Literal["/v1/chat/completions"] = "/v1/chat/completions"


def two_keys(targets: Settings, models: Settings, **fields: Any) -> Settings:
    """Settings with the usual key, and two more that belong to one team."""
    configured = settings(targets, models, **fields)
    more = {"other": OTHER_KEY, "colleague": COLLEAGUE_KEY}
    configured["keys"] += [
        {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "team": "search"}
        for name, key in more.items()
    ]
    return configured


def line(custom_id: str, model: str = "a", **fields: Any) -> dict[str, Any]:
    """A line of an input file."""
    body = {"model": model, "messages": [{"role": "user", "content": custom_id}]}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body, **fields}


def jsonl(lines: Iterable[dict[str, Any] | str]) -> bytes:
    """An input file; a text stands there as it is."""
    return b"".join((item if isinstance(item, str) else json.dumps(item)).encode() + b"\n" for item in lines)


def submit(client: OpenAI, content: bytes, window: Any = "24h", **fields: Any) -> Batch:
    """Upload a file and make a batch of it."""
    file = client.files.create(file=("requests.jsonl", io.BytesIO(content)), purpose="batch")
    endpoint: Any = fields.pop("endpoint", CHAT)
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window=window, **fields)


def ended(client: OpenAI, batch: Batch, gateway: Gateway | None = None) -> Batch:
    """The batch, once it has ended."""
    found: list[Batch] = []

    def over() -> bool:
        found[:] = [client.batches.retrieve(batch.id)]
        return found[0].status in {"completed", "failed", "expired", "cancelled"}

    wait_for(over, f"{batch.id} does not end", lambda: f"{found}\n{gateway.said()[-3000:] if gateway else ''}")
    return found[0]


def results(client: OpenAI, file: str | None) -> list[dict[str, Any]]:
    """The lines of a file of results."""
    assert file is not None
    return [json.loads(item) for item in client.files.content(file).text.splitlines()]


def twice(lines: Iterable[dict[str, Any]]) -> list[str]:
    """Custom ids that have more than one result."""
    return [name for name, count in Counter(item["custom_id"] for item in lines).items() if count > 1]


def echo(call: Call) -> None:
    """Answer with what was asked, so that a result shows whose it is."""
    body = payloads.completion()
    body["choices"][0]["message"]["content"] = call.json["messages"][0]["content"]
    answers.whole(body)(call)


def process(gateway: Gateway) -> int:
    """The process that serves batches, once it is there."""
    found: list[int] = []

    def there() -> bool:
        found[:] = [pid for pid in gateway.alive() if b"wiring.batches" in _command(pid)]
        return len(found) == 1

    wait_for(there, "nobody serves batches", gateway.said)
    return found[0]


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    (text,) = (item for item in Path(f"/proc/{pid}/status").read_text().splitlines() if item.startswith("VmHWM"))
    return int(text.split()[1]) * 1024


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def ready(gateway: Gateway) -> Gateway:
    """The gateway, once batches are served."""

    def served() -> bool:
        try:
            with gateway.line() as connection:
                return connection.ask("GET", "/v1/files?limit=1", authorization=f"Bearer {KEY}").status != 503
        except (OSError, CutOffError):  # handed over to a process that was killed
            return False

    wait_for(served, "batches are not served", gateway.said)
    return gateway


def kill(pid: int) -> None:
    """Kill -9."""
    os.kill(pid, 9)
