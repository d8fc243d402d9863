"""The control plane of a running gateway: what it shows of live requests, and what it changes."""

from __future__ import annotations

import json
import threading
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest

from gateway import answers, payloads
from gateway.gateway import KEY, free_port, settings, target, wait_for
from gateway.wire import chat_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import Call, ScriptedUpstream

TOKEN = "a-token-of-the-tests-for-operators"  # noqa: S105 - of a control plane that lives for a test


class Control:
    """The control plane of one gateway."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: object = None, token: str = TOKEN) -> tuple[int, str]:
        """Send a request and return status and body; status 0 while nobody answers."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()


@pytest.fixture
def started(start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> tuple[Gateway, Control]:
    """A gateway with two targets and a control plane."""
    control = Control(free_port())
    targets = {name: target(upstream.url(name)) for name in "ab"}
    import hashlib  # noqa: PLC0415 - for one digest

    token = {"name": "tests", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest(), "role": "admin"}
    section = {"port": control.port, "tokens": [token]}
    gateway = start_gateway(
        settings(targets, {"pair": {"targets": ["a", "b"]}, "one": {"targets": ["a"]}}, control=section)
    )
    wait_for(lambda: control.ask("GET", "/control/v1/health")[0] == 200, "the control plane", gateway.said)
    return gateway, control


def test_a_target_that_is_taken_out_of_service_gets_no_new_requests(
    started: tuple[Gateway, Control], upstream: ScriptedUpstream
) -> None:
    gateway, control = started
    for name in "ab":
        upstream.script(name, answers.whole())

    def served() -> str:
        with gateway.line() as line:
            return line.chat(payloads.request("pair")).headers.get("x-breakeven-target", "")

    assert served() == "a"
    assert control.ask("POST", "/control/v1/targets/a/drain")[0] in (200, 204)
    wait_for(lambda: served() == "b", "the drained target to be left alone")
    with gateway.line() as line:
        refused = line.chat(payloads.request("one"))
    assert (refused.status, refused.code) == (503, "out_of_service")
    assert control.ask("DELETE", "/control/v1/targets/a/drain")[0] in (200, 204)
    wait_for(lambda: served() == "a", "the target to be back")


def test_metrics_tell_of_live_requests(started: tuple[Gateway, Control], upstream: ScriptedUpstream) -> None:
    gateway, control = started
    released = threading.Event()

    def hold(call: Call) -> None:
        released.wait(20)
        answers.whole()(call)

    upstream.script("a", answers.whole(), hold)
    with gateway.line() as line, gateway.line() as held:
        assert line.chat(payloads.request("one")).status == 200
        held.send(chat_bytes(payloads.request("one")))

        def told(*wanted: str) -> bool:
            status, text = control.ask("GET", "/metrics")
            return status == 200 and all(item in text for item in wanted)

        wait_for(lambda: told('in_flight_requests{target="a"} 1'), "the request under way", gateway.said)
        released.set()
        assert held.reply().status == 200
        wait_for(lambda: told('in_flight_requests{target="a"} 0'), "its end")


def test_a_key_made_by_the_control_plane_opens_the_gateway_and_no_secret_is_shown_again(
    started: tuple[Gateway, Control], upstream: ScriptedUpstream
) -> None:
    gateway, control = started
    upstream.script("a", answers.whole())
    status, made = control.ask("POST", "/control/v1/keys", {"name": "robot"})
    assert status in (200, 201), made
    secret: Any = next(value for value in json.loads(made).values() if str(value).startswith("sk-be-"))

    def ask() -> int:
        with gateway.line() as line:
            return line.chat(payloads.request("one"), authorization=f"Bearer {secret}").status

    wait_for(lambda: ask() == 200, "the new key")
    for path in ("/control/v1/keys", "/control/v1/config", "/control/v1/targets", "/metrics", "/"):
        assert secret not in control.ask("GET", path)[1]
        assert KEY not in control.ask("GET", path)[1]
    assert control.ask("GET", "/control/v1/keys", token="wrong")[0] == 401  # noqa: S106 - it is not one


def test_settings_are_taken_again_by_order_of_the_control_plane(
    started: tuple[Gateway, Control], upstream: ScriptedUpstream
) -> None:
    gateway, control = started
    upstream.script("b", answers.whole())
    configured = json.loads((gateway.folder / "breakeven.yaml").read_text())
    configured["models"]["one"]["targets"] = ["b"]
    (gateway.folder / "breakeven.yaml").write_text(json.dumps(configured))
    assert control.ask("POST", "/control/v1/reload")[0] in (200, 202, 204)

    def served() -> str:
        with gateway.line() as line:
            return line.chat(payloads.request("one")).headers.get("x-breakeven-target", "")

    upstream.script("a", answers.whole())
    wait_for(lambda: served() == "b", "the new settings", gateway.said)
