"""The web application: the table of routes behind one gate, one shape of errors, bounded bodies."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.routing import Route as WebRoute

from breakeven.console.access import Gate
from breakeven.console.call import JSON, MAX_BODY_BYTES, Answer, Call, RefusedError
from breakeven.console.forms import MEDIA_TYPE, check_site
from breakeven.console.page import STYLE_HASH
from breakeven.console.routes import BROWSER_PATHS, FORM_PATHS, ROUTES
from breakeven.errors import BreakevenError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from starlette.requests import Request

    from breakeven.console.call import Console
    from breakeven.console.routes import Route

BODY_S: Final = 10.0
"""How long the body of a request may take."""

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""What every answer carries; there is none of CORS, so no other site's page can read one."""

_FIELDS: Final = 100


def build_app(console: Console, threads: Executor) -> Starlette:
    """Return the application; handlers run in ``threads``."""
    gate = Gate(console.plan)
    routes = [_web_route(route, console, gate, threads) for route in ROUTES]

    async def not_there(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        try:
            gate.check_host(request.headers.get("host", ""))
        except RefusedError as refused:
            return _response(refused.answer)
        methods = _methods_at(routes, request)
        if methods:
            answer = RefusedError(405, "wrong_method", f"This takes {', '.join(methods)}.").answer
            return _response(answer, {"Allow": ", ".join(methods)})
        return _response(RefusedError(404, "unknown_path", "There is nothing here.").answer)

    async def failed(request: Request, error: Exception) -> Response:
        del request, error  # the server's log has it
        return _response(RefusedError(500, "internal_error", "This failed; the log says why.").answer)

    app = Starlette(routes=routes, exception_handlers={HTTPException: not_there, Exception: failed})
    app.router.redirect_slashes = False
    return app


def _web_route(route: Route, console: Console, gate: Gate, threads: Executor) -> WebRoute:
    async def endpoint(request: Request) -> Response:
        headers = request.headers
        try:
            gate.check_host(headers.get("host", ""))
            browser = route.path in BROWSER_PATHS
            caller = gate.admit(headers.get("authorization", ""), route.role, browser=browser)
            is_form = route.path in FORM_PATHS
            if is_form:
                check_site(headers.get("sec-fetch-site", ""))
            query = tuple(request.query_params.multi_items()[:_FIELDS])
            body = await _body(request, MEDIA_TYPE if is_form else JSON)
            call = Call(caller.name, caller.role, request.path_params, query, body)
            work = asyncio.get_running_loop().run_in_executor(threads, _answer, route, console, call)
            return _response(await work)
        except RefusedError as error:
            challenge = 'Basic realm="breakeven"' if route.path in BROWSER_PATHS else "Bearer"
            return _response(error.answer, {"WWW-Authenticate": challenge} if error.status == 401 else {})

    made = WebRoute(route.path, endpoint, methods=[route.method])
    made.methods = {route.method}  # Starlette would add HEAD to GET, beside the table
    return made


def _answer(route: Route, console: Console, call: Call) -> Answer:
    """Run a handler; what a person can act on becomes a refusal."""
    try:
        return route.handler(console, call)
    except BreakevenError as error:
        if isinstance(error.__cause__, sqlite3.Error):
            raise RefusedError(503, "ledger_unusable", str(error)) from error
        raise RefusedError(400, "invalid_request", str(error).replace("--", "")) from error


async def _body(request: Request, media_type: str) -> bytes:
    """Read a body of that type, of bounded length, in bounded time.  Raises ``RefusedError``."""
    too_large = RefusedError(413, "body_too_large", f"A body has {MAX_BODY_BYTES:,} bytes at most.")
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError as error:
        raise RefusedError(408, "body_too_slow", f"The body did not come within {BODY_S:g} seconds.") from error
    if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != media_type:
        code = "no_json" if media_type == JSON else "no_form"
        raise RefusedError(415, code, f"Send a body as Content-Type: {media_type}.")
    return bytes(body)


def _methods_at(routes: list[WebRoute], request: Request) -> list[str]:
    found = {
        method
        for route in routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    return sorted(found)


def _response(answer: Answer, headers: dict[str, str] | None = None) -> Response:
    content = answer.content if isinstance(answer.content, str) else msgspec.json.encode(answer.content)
    return Response(content, answer.status, {**HEADERS, **(headers or {})}, answer.media_type)
