"""Who may do what, by what names, with what bodies: every route and every role, at a real server."""

from __future__ import annotations

import base64
import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.console.access import Gate
from breakeven.console.call import RefusedError
from breakeven.console.plan import Role
from breakeven.console.routes import BROWSER_PATHS, FORM_PATHS, ROUTES, Route
from breakeven.console.server import MAX_CONNECTIONS
from console.control import ALL_TOKENS, PATIENCE_S, TOKENS, WRONG, Control, digest, plan_of, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALLERS = {"nobody": None, "somebody unknown": WRONG, **TOKENS}
ROLES = {"nobody": Role.ANYONE, "viewer": Role.VIEWER, "operator": Role.OPERATOR, "admin": Role.ADMIN}
SECURITY = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy", "cache-control")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    """A control plane without any ledger, so that every call may be followed."""
    with running(plan_of(tmp_path_factory.mktemp("empty")), origin='["/nowhere/breakeven.yaml",null,null,null]') as one:
        yield one


def sent_to(route: Route) -> dict[str, Any]:
    """What is sent along: an empty object or, where the page's forms go, a form without its code."""
    if route.path in FORM_PATHS:
        return {"body": b"task=sort&do=pause", "Content_Type": "application/x-www-form-urlencoded"}
    return {"body": {}} if route.method == "POST" else {}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_lets_in_its_role_and_those_above_it_alone(empty: Control, route: Route, caller: str) -> None:
    path = route.path.replace("{name:path}", "near").replace("{number}", "7")
    reply = empty.ask(route.method, path, CALLERS[caller], **sent_to(route))
    if route.role is Role.ANYONE:
        assert reply.status == 200
    elif caller in ("nobody", "somebody unknown"):
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == (
            'Basic realm="breakeven"' if route.path in BROWSER_PATHS else "Bearer"
        )
    elif ROLES[caller] < route.role:
        assert reply.status == 403
        assert f"the role {route.role.name.lower()}" in reply.json["error"]["message"]
    elif route.path in FORM_PATHS:
        assert (reply.status, "this form is from before a restart" in reply.text) == (403, True)
        return
    else:
        known = reply.status not in (401, 403, 404, 405, 500)
        assert known or reply.json["error"]["code"] in ("unknown_key", "unknown_shift")
    if reply.status >= 400:
        assert set(reply.json) == {"error"}
        assert set(reply.json["error"]) == {"code", "message"}


def test_a_route_cannot_be_made_without_a_role() -> None:
    with pytest.raises(TypeError, match="role"):
        Route(path="/x", method="GET", handler=ROUTES[0].handler)  # type: ignore[call-arg]
    assert Route._field_defaults == {}


def test_no_two_routes_are_the_same() -> None:
    assert len({(route.path, route.method) for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE"])
def test_methods_beside_the_table_are_refused_and_told_what_there_is(control: Control, method: str) -> None:
    reply = control.ask(method, "/control/v1/config", TOKENS["admin"])
    assert (reply.status, reply.headers["allow"]) == (405, "GET")


def test_every_method_of_a_path_is_told(control: Control) -> None:
    assert control.ask("PATCH", "/control/v1/keys", TOKENS["admin"]).headers["allow"] == "GET, POST"


def test_nothing_is_said_about_other_sites_and_every_answer_is_guarded(control: Control) -> None:
    for reply in (
        control.ask("GET", "/", TOKENS["viewer"], Origin="https://elsewhere.example"),
        control.ask("GET", "/control/v1/config", WRONG, Origin="https://elsewhere.example"),
        control.ask("OPTIONS", "/control/v1/keys", Origin="https://elsewhere.example"),
        control.ask("GET", "/nothing/here"),
    ):
        assert not [name for name in reply.headers if name.startswith("access-control-")]
        assert set(SECURITY) <= set(reply.headers)
        assert reply.headers["cache-control"] == "no-store"
        assert "server" not in reply.headers


def test_what_is_no_http_is_answered_like_every_error(control: Control) -> None:
    head, _, body = control.send(b"GET / HTTP/1.1\r\nhost localhost\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert all(name.encode() in head.lower() for name in SECURITY)
    assert json.loads(body)["error"]["code"] == "no_http"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9401", "127.0.0.1:1", "127.9.9.9", "[::1]:9401", "control.internal", "localhost."]
)
def test_our_own_names_are_answered(control: Control, host: str) -> None:
    assert control.ask("GET", "/control/v1/config", TOKENS["viewer"], Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9401",
        "localhost.evil.example",
        "10.0.0.1",
        "127.0.0.1.evil.example",
        "[::2]",
    ],
)
def test_a_name_that_points_here_is_not_ours(control: Control, host: str) -> None:
    for path in ("/", "/control/v1/health", "/control/v1/config", "/nothing"):
        reply = control.ask("GET", path, TOKENS["admin"], Host=host)
        assert (reply.status, reply.json["error"]["code"]) == (421, "unknown_host")


def test_a_request_without_a_host_is_not_for_us(control: Control) -> None:
    assert control.send(b"GET /control/v1/health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 421 ")


def test_on_every_address_any_address_is_ours_but_no_name(tmp_path: Path) -> None:
    gate = Gate(plan_of(tmp_path, host="0.0.0.0"))  # noqa: S104 - nothing listens
    gate.check_host("192.0.2.7:9401")
    with pytest.raises(RefusedError, match="Host header"):
        gate.check_host("evil.example")


def test_on_loopback_without_tokens_everybody_reads_and_nobody_changes(folder: Path) -> None:
    with running(plan_of(folder, tokens=())) as control:
        assert control.ask("GET", "/control/v1/usage").status == 200
        assert control.ask("GET", "/").status == 200
        assert control.ask("GET", "/metrics", WRONG).status == 401
        for route in ROUTES:
            if route.role > Role.VIEWER:
                path = route.path.replace("{name:path}", "near").replace("{number}", "7")
                reply = control.ask(route.method, path, **sent_to(route))
                assert reply.status == 403
                assert "no tokens" in reply.json["error"]["message"]


def test_the_page_takes_a_token_as_a_browser_sends_passwords_and_nothing_else_does(control: Control) -> None:
    basic = "Basic " + base64.b64encode(f"me:{TOKENS['admin']}".encode()).decode()
    assert control.ask("GET", "/", Authorization=basic).status == 200
    assert control.ask("GET", "/control/v1/keys", Authorization=basic).status == 401
    assert control.ask("POST", "/control/v1/keys", body={"name": "x"}, Authorization=basic).status == 401
    assert control.ask("POST", "/control/v1/shifts/7/pause", Authorization=basic).status == 401


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Basic", "Basic ???", "Basic Og==", "viewer-token-of-the-tests", "Bearer \xff\xfe"]
)
def test_odd_credentials_are_unknown(control: Control, value: str) -> None:
    reply = control.ask("GET", "/", Authorization=value)
    assert reply.status == 401


def test_the_digest_of_nothing_lets_nobody_in(tmp_path: Path) -> None:
    gate = Gate(plan_of(tmp_path, tokens=(replace(ALL_TOKENS[2], sha256=digest("")),)))
    with pytest.raises(RefusedError):
        gate.admit("Bearer ", Role.VIEWER, browser=False)


def test_bodies_are_bounded_and_are_json(control: Control) -> None:
    admin = TOKENS["admin"]
    announced = control.send(
        b"POST /control/v1/keys HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %b\r\ncontent-length: 65537\r\n\r\n" % admin.encode()
    )
    assert announced.startswith(b"HTTP/1.1 413 ")
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    counted = control.send(
        b"POST /control/v1/keys HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %b\r\ntransfer-encoding: chunked\r\n\r\n%b"
        % (admin.encode(), chunk * 2 + b"1\r\n \r\n")
    )
    assert counted.startswith(b"HTTP/1.1 413 ")
    assert control.ask("POST", "/control/v1/keys", admin, b"{}", Content_Type="text/plain").status == 415
    for body in (b"{", b"[]", b"null", b'{"name": 1}', b'{"name":"x","what":1}', b"\xff"):
        assert control.ask("POST", "/control/v1/keys", admin, body).json["error"]["code"] == "invalid_body"


def test_a_head_without_an_end_is_not_waited_for(control: Control) -> None:
    assert control.send(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: %b" % (b"a" * 20_000)).startswith(b"HTTP/1.1 400 ")


def test_too_many_connections_are_shut_out_and_those_there_are_served(control: Control) -> None:
    address = (control.plan.host, control.plan.port)
    lines = [socket.create_connection(address, PATIENCE_S) for _ in range(MAX_CONNECTIONS + 10)]
    try:
        lines[0].sendall(b"GET /control/v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert lines[0].recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert _is_shut(lines[-1])
    finally:
        for line in lines:
            line.close()
    control.wait_until_serving()


def _is_shut(line: socket.socket) -> bool:
    try:
        return not line.recv(1)
    except ConnectionResetError:
        return True
