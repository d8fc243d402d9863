"""How the answers of one route are checked: by rules that need only the text, and by a user's check over HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from breakeven.protocols.texts import asked_schema
from breakeven.routing.verify import Checker
from breakeven.upstreams.ask import ask_or_why
from breakeven.upstreams.dial import Address, tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from breakeven.gateway.verify_plan import HttpCheck, VerifyPlan


class Verification:
    """The checks of one route."""

    def __init__(self, plan: VerifyPlan) -> None:
        """Compile them."""
        self.checker = Checker(plan.rule)
        self.http = AskedCheck(plan.http) if plan.http is not None else None
        self.most_bytes = plan.most_bytes
        self.passes_unverifiable = plan.passes_unverifiable
        self.verifies_last = plan.verifies_last
        self._tasks = frozenset(plan.tasks)

    def concerns(self, task: str, body: bytes) -> bool:
        """Whether answers to a request of that task (empty: of none) are checked, given its body."""
        if self._tasks and task not in self._tasks:
            return False
        return self.checker.always or self.http is not None or self.own_schema(body) is not None

    def own_schema(self, body: bytes) -> dict[str, Any] | None:
        """Return the schema that a request asks its answer to keep to, where that is checked."""
        return asked_schema(body) if self.checker.own_schema else None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a user's check is told."""

    request_id: str
    model: str
    task: str
    answer: str


class Told(msgspec.Struct):
    """What it says."""

    ok: bool
    score: float | None = None
    """How good the answer is, from 0 to 1; None: as ``ok`` says.  Only comparisons look at it."""


_TOLD = msgspec.json.Decoder(Told)


class AskedCheck:
    """A user's check: asked with a POST on a connection of its own, for each answer."""

    def __init__(self, check: HttpCheck) -> None:
        """Find out where it is."""
        self.sensitivities = frozenset(check.sensitivities)
        self._within_s = check.timeout_s
        self._address = Address(
            host=check.host,
            port=check.port,
            tls=tls_context(check.ca_file) if check.tls else None,
            connect_s=check.timeout_s,
            proxy_host="",
            proxy_port=0,
            proxy_authorization="",
        )
        lines = [
            f"POST {check.path or '/'} HTTP/1.0",
            f"host: {check.host_header}",
            *(f"{name}: {value}" for name, value in check.headers),
            "content-type: application/json",
            "accept-encoding: identity",
            "user-agent: breakeven",
            "content-length: ",
        ]
        self._head = "\r\n".join(lines).encode("latin-1")

    def may_see(self, sensitivities: Collection[str]) -> bool:
        """Whether it may be shown the answer to a request that is marked so."""
        return self.sensitivities.issuperset(sensitivities)

    def ask(self, question: Question, then: Callable[[bool | None], None]) -> asyncio.Task[None]:
        """Ask; ``then`` is told what it says, None where it says nothing in time, unless the task is cancelled."""
        return asyncio.get_running_loop().create_task(self._ask(question, then))

    async def _ask(self, question: Question, then: Callable[[bool | None], None]) -> None:
        said = await self.told(question)
        then(said.ok if said is not None else None)

    async def told(self, question: Question) -> Told | None:
        """Ask, and return what it says; None where it says nothing in time."""
        said = await self.told_or_why(question)
        return said if isinstance(said, Told) else None

    async def told_or_why(self, question: Question) -> Told | str:
        """Ask, and return what it says, or why that is nothing, in a few words."""
        body = msgspec.json.encode(question)
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        said = await ask_or_why(self._address, request, within_s=self._within_s)
        if isinstance(said, str):
            return said
        try:
            return _TOLD.decode(said)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return 'its answer is not {"ok": true} or {"ok": false}'
