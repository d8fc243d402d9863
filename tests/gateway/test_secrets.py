"""Secrets planted in every place where one can be, and looked for wherever the gateway writes or answers."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING

from gateway import answers, payloads
from gateway.gateway import KEY, free_port, settings, target, wait_for
from gateway.wire import request_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream

UPSTREAM_KEY = "sk-planted-at-the-upstream-1f8a"
TOKEN = "planted-token-of-the-control-plane"  # noqa: S105 - planted
STRANGER = "sk-be-planted-by-a-stranger-77c2"
PROMPT = "planted words of a prompt 5d1e"
ANSWER = "planted words of an answer 9b3c"
PLANTED = (UPSTREAM_KEY, TOKEN, STRANGER, KEY, PROMPT, ANSWER)


def test_planted_secrets_are_found_nowhere(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    control = free_port()
    token = {"name": "tests", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest(), "role": "admin"}
    key_file = tmp_path / "upstream.key"
    key_file.write_text(f"Bearer {UPSTREAM_KEY}")
    keyed = {"headers": {"authorization": f"file:{key_file}"}}
    configured = settings(
        {"a": target(upstream.url("a"), **keyed), "b": target(upstream.url("b"), **keyed)},
        {"pair": {"targets": ["a", "b"]}},
        control={"port": control, "tokens": [token]},
    )
    gateway = start_gateway(configured)
    upstream.script("a", answers.whole(payloads.error(f"Incorrect API key provided: {UPSTREAM_KEY[:6]}"), status=401))
    upstream.script("b", answers.whole(payloads.completion(ANSWER)))
    asked = {**payloads.request("pair"), "messages": [{"role": "user", "content": PROMPT}]}
    with gateway.line() as line:
        seen = [str(line.chat(asked).headers)]
        wrong = (b"{" + PROMPT.encode(), {**asked, "model": "nobody"}, {**asked, "model": 3})
        seen += [str(line.chat(body)) for body in wrong]
    with gateway.line() as line:
        line.send(request_bytes("POST", "/v1/chat/completions", asked, authorization=f"Bearer {STRANGER}"))
        seen.append(str(line.reply()))
    upstream.script("b", answers.whole(payloads.error("over"), status=500))
    with gateway.line() as line:
        seen.append(str(line.chat(asked)))
    wait_for(lambda: len(gateway.all_rows()) >= 4, "the rows")
    wait_for(lambda: _serves(control), "the control plane", gateway.said)
    pages = ("/", "/metrics", *(f"/control/v1/{name}" for name in ("config", "targets", "usage", "keys")))
    seen += [_control(control, path) for path in pages]
    gateway.stop()
    seen.append(gateway.said())
    files = (file for file in gateway.folder.rglob("*") if file.is_file() and file.name != "breakeven.yaml")
    seen += [file.read_bytes().decode("latin-1") for file in files]
    for secret in PLANTED:
        assert [text[:200] for text in seen if secret in text] == [], secret


def _serves(port: int) -> bool:
    with suppress(OSError):
        return bool(_control(port, "/control/v1/health"))
    return False


def _control(port: int, path: str) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    text = f"{response.headers}{response.read().decode()}"
    connection.close()
    return text
