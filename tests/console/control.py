"""A control plane as the gateway starts it: in a process of its own, with a ledger in a folder."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from breakeven.catalog.rate_card import PriceEntry, PriceList, TokenPrice, TokenPrices
from breakeven.console.plan import ControlPlan, Role, ShownModel, ShownTarget, Token
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.mover import Mover
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

PATIENCE_S = 15.0
TOKENS = {
    "viewer": "viewer-token-of-the-tests",
    "operator": "operator-token-of-the-tests",
    "admin": "admin-token-of-the-tests",
}
WRONG = "wrong-token-of-the-tests"
TEXTS = {
    "key": rows.KEY,
    "task": rows.TASK,
    "tags": rows.TAGS,
    "model": rows.MODEL,
    "target": rows.TARGET,
    "priced_as": rows.PRICED_AS,
    "fallback": rows.REASON,
}
CARDS = CardSchedule(
    [
        PriceList(
            provider="p",
            model="m",
            source="made up",
            entries=(
                PriceEntry(
                    prices=TokenPrices(
                        input=TokenPrice(usd_per_mtok=Decimal(1)), output=TokenPrice(usd_per_mtok=Decimal(10))
                    )
                ),
            ),
        )
    ]
)


def digest(token: str) -> str:
    """The digest under which a token is configured."""
    return hashlib.sha256(token.encode()).hexdigest()


ALL_TOKENS = tuple(Token(name=name, sha256=digest(token), role=Role[name.upper()]) for name, token in TOKENS.items())


def plan_of(folder: Path, **changes: Any) -> ControlPlan:
    """A plan with two targets, two models, and a token of each role."""
    plan = ControlPlan(
        host="127.0.0.1",
        port=free_port(),
        names=("control.internal",),
        tokens=ALL_TOKENS,
        version="9.9.9",
        source="breakeven.yaml",
        listen="127.0.0.1:9400",
        workers=2,
        targets=(
            ShownTarget(
                name="near",
                url="http://127.0.0.1:1/v1",
                model="",
                priced_as="p:m",
                key="env:NEAR_KEY",
                headers=("x-a",),
            ),
            ShownTarget(name="far/1", url="https://far.invalid/v1", model="m", priced_as="", key="", headers=()),
        ),
        models=(ShownModel(name="fast", policy="ordered", targets=("near", "far/1")),),
        keys=("in-file",),
        folder=str(folder),
        store=str(folder / "ledger.sqlite"),
    )
    return replace(plan, **changes)


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Control:
    """One control plane; every byte it answers and logs is kept, to be searched for secrets."""

    def __init__(
        self,
        plan: ControlPlan,
        origin: str = "[null,null,null,null]",
        parent: int | None = None,
        clock: Path | None = None,
    ) -> None:
        self.plan = plan
        self.answered: list[bytes] = []
        self._said: list[bytes] = []
        handle = os.memfd_create("plan", 0)
        with open(handle, "wb", closefd=False) as file:
            file.write(msgspec.msgpack.encode(plan))
        parent = os.getpid() if parent is None else parent
        command = [sys.executable, "-P", "-m", "breakeven.wiring.console", str(handle), str(parent), origin]
        self.process = subprocess.Popen(
            command,
            pass_fds=[handle],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **({} if clock is None else {"BREAKEVEN_CLOCK": str(clock)})},  # noqa: TID251 - its own
        )
        os.close(handle)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def wait_until_serving(self) -> None:
        """Wait until it answers."""
        self.wait_for_health(lambda: self.process.poll() is None)

    def wait_for_health(self, lives: Callable[[], bool]) -> None:
        """Wait until it answers, as long as it lives."""
        until = time.monotonic() + PATIENCE_S
        while True:
            assert lives(), f"it ended at once:\n{self.said()}"
            assert time.monotonic() < until, f"it does not serve:\n{self.said()}"
            with contextlib.suppress(OSError):
                if self.ask("GET", "/control/v1/health").status == 200:
                    return
            time.sleep(0.02)

    def ask(self, method: str, path: str, token: str | None = None, body: object = None, **headers: str) -> Reply:
        """Ask once; ``token`` is sent as Bearer, a body as JSON, further headers with ``_`` for ``-``."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        content = None
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.plan.host, self.plan.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, content, sent)
            return self._reply(connection.getresponse())

    def send(self, data: bytes) -> bytes:
        """Send bytes as they are, and return all that comes until it hangs up."""
        with socket.create_connection((self.plan.host, self.plan.port), PATIENCE_S) as line:
            line.sendall(data)
            found = b"".join(iter(lambda: line.recv(65_536), b""))
        self.answered.append(found)
        return found

    def said(self) -> str:
        """What it wrote to its log."""
        return b"".join(self._said).decode()

    def until_said(self, words: str) -> None:
        """Wait until its log has these words."""
        until = time.monotonic() + PATIENCE_S
        while words not in self.said():
            assert self.process.poll() is None
            assert time.monotonic() < until, self.said()
            time.sleep(0.02)

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        self._listener.join(PATIENCE_S)
        return code

    def end(self) -> None:
        """Kill it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        self._listener.join(PATIENCE_S)

    def _reply(self, response: http.client.HTTPResponse) -> Reply:
        headers = {name.lower(): value for name, value in response.getheaders()}
        body = response.read()
        self.answered += [repr(headers).encode(), body]
        return Reply(response.status, headers, body)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            self._said.extend(iter(lambda: os.read(stream.fileno(), 1 << 16), b""))


@contextlib.contextmanager
def running(plan: ControlPlan, **options: Any) -> Iterator[Control]:
    """A control plane while the context lasts."""
    control = Control(plan, **options)
    try:
        control.wait_until_serving()
        yield control
    finally:
        control.end()


def put_clock(clock: Path, at: datetime) -> None:
    """Let it be ``at`` for the control planes with this clock, and go on from there; they need not be started anew."""
    ahead_s = (at - datetime.now(UTC)).total_seconds()
    with clock.open("r+b" if clock.exists() else "wb") as file:
        file.write(struct.pack("d", ahead_s))


def fill(folder: Path, many: Iterable[dict[str, Any]], at: datetime | None = None) -> None:
    """Write requests into a ledger, all of one moment, the present one unless told; texts are given as texts."""
    spool = Spool(folder / "spool", worker=0)
    started_us = int((at or datetime.now(UTC)).timestamp() * 1e6)
    for number, said in enumerate(many):
        codes = {name: spool.code(kind, said.pop(name, "")) for name, kind in TEXTS.items()}
        plain = rows.Attempt(
            attempt_id=said.pop("number", number + 1) << 16,
            received_us=started_us,
            queued_us=100,
            first_byte_us=20_000,
            ended_us=900_000,
            **codes,
            decision=0,
            failure=0,
            status=200,
            outcome=rows.OK,
            processing=0,
            flags=0,
            input_tokens=100,
            cached_input_tokens=40,
            cache_write_tokens=0,
            output_tokens=10,
            episode="",
        )
        spool.add(plain._replace(**said))
    assert spool.flush()
    spool.close()
    mover = Mover(folder / "spool", Store(folder / "ledger.sqlite"), CARDS)
    mover.drain()
    assert not mover.trouble, mover.trouble
    mover.close()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
