"""A call of the control plane and its answer, free of any web framework; and how a call is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from breakeven.clock import Clock
    from breakeven.console.looks import Looks
    from breakeven.console.metrics import Metrics
    from breakeven.console.plan import ControlPlan, Role
    from breakeven.evidence.shift import Override

    Change = Callable[[int, Override, str | None, str], tuple[str, ...]]

JSON: Final = "application/json"
MAX_BODY_BYTES: Final = 64 * 1024

Body = TypeVar("Body")


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """What the handlers share."""

    plan: ControlPlan
    store: Path
    folder: Path
    """The ledger's."""

    clock: Clock
    reload: Callable[[], str]
    """Has the gateway read its settings again; returns why not, or nothing."""

    metrics: Metrics
    looks: Looks
    override: Change
    """Carries out what a person wants of a shift's task (None: of all): number, what, task, who; returns what was done.

    Raises ``InputError`` and ``UnknownNameError`` as ``breakeven shift`` does.
    """

    form_secret: bytes
    """Of this process alone: by it a form of the page is known."""


class Call(NamedTuple):
    """One request that was let in."""

    caller: str
    """Name of its token; empty for nobody in particular."""

    role: Role
    path: Mapping[str, str]
    """Values of the path's placeholders."""

    query: tuple[tuple[str, str], ...]
    body: bytes


class Answer(NamedTuple):
    """What is answered."""

    content: object
    """Text as it is; anything else becomes JSON."""

    status: int = 200
    media_type: str = JSON


class RefusedError(Exception):
    """A call that is not followed; becomes the answer in which every error comes."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def answer(self) -> Answer:
        """Return what the caller is told."""
        return Answer({"error": {"code": self.code, "message": str(self)}}, self.status)


def body_of(call: Call, kind: type[Body]) -> Body:
    """Read a call's body.  Raises ``RefusedError`` that names the place, and never repeats the value."""
    try:
        return msgspec.json.decode(call.body, type=kind)
    except msgspec.ValidationError as error:
        raise RefusedError(400, "invalid_body", f"{error}.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RefusedError(400, "invalid_body", "The body is no JSON.") from error
