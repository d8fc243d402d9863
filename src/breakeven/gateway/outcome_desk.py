"""Takes outcomes: what clients say that answers were worth, checked within bounds and written before they are thanked.

Whether the request that an outcome speaks of exists, and whether it was this key's, is seen where outcomes meet the
ledger: a worker has no store.  One message is kept whole or not at all.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal  # noqa: TC003 - msgspec resolves the fields' types
from math import ceil
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from breakeven.gateway import replies
from breakeven.gateway.labels import MAX_LABEL_BYTES
from breakeven.ledger.frames import MAX_EPISODE_BYTES, cut_text
from breakeven.ledger.ids import received_ms, request_id
from breakeven.ledger.outcomes import SOURCES, Outcome, default_name, outcome_id, own_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.gateway.replies import Reply
    from breakeven.ledger.outcome_spool import OutcomeSpool

OUTCOMES: Final = b"/breakeven/v1/outcomes"
MAX_BODY_BYTES: Final = 1024 * 1024
"""Of one message: what a worker reads in some milliseconds, during which it serves nobody else."""

MAX_OUTCOMES: Final = 1000
BYTES_PER_MINUTE: Final = 16 * 1024 * 1024
"""Of one key at one worker, on average and at once: some hundred thousand outcomes.  No key is to fill the disk."""

MAX_HUMAN_MINUTES: Final = 1_000_000
MINUTE_DIGITS: Final = 6
"""After the point."""

EARLIEST_US: Final = 946_684_800_000_000
"""2000-01-01: an outcome that says it is older has its unit wrong."""

MAX_REPEATED: Final = 300
"""Characters of what is wrong that are shown to whoever sent it."""

AHEAD_S: Final = 86_400
"""How far ahead of ours a client's clock may be."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_Word = Annotated[str, Meta(min_length=1, max_length=128)]
_log = logging.getLogger("breakeven.gateway")


class SaidOutcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One outcome as a client sends it."""

    request_id: str | None = None
    """As the header ``x-breakeven-request-id`` had it."""

    episode: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    """Cut where the header ``x-breakeven-episode`` is."""

    success: bool | None = None
    score: float | None = None
    human_minutes: Decimal | None = None
    comment: Annotated[str, Meta(max_length=4096)] = ""
    demonstration: Annotated[str, Meta(max_length=32_768)] = ""
    name: _Word | None = None
    source: Literal["user", "code", "judge", "human"] = "user"
    at: datetime | None = None
    """When it came about; UTC where it names no zone."""

    id: _Word | None = None


_DECODER: Final = msgspec.json.Decoder(SaidOutcome | Annotated[list[SaidOutcome], Meta(max_length=MAX_OUTCOMES)])
_TOO_LARGE: Final = replies.refusal(
    413,
    f"A message of outcomes may have {MAX_BODY_BYTES:,} bytes. Send them in several.",
    "body_too_large",
    close=True,
)
_NOT_KEPT: Final = replies.refusal(
    503,
    "The gateway cannot write outcomes at the moment; send them again.",
    "outcomes_not_kept",
    extra=replies.RETRY_LATER,
)


class BadOutcomeError(Exception):
    """What is wrong with an outcome, for whoever sent it."""


class _Pace:
    """How much a key may send now: what it has left grows with time, up to a minute's."""

    __slots__ = ("_at_s", "_left_bytes")

    def __init__(self, now_s: float) -> None:
        self._at_s = now_s
        self._left_bytes = float(BYTES_PER_MINUTE)

    def wait_s(self, size_bytes: int, now_s: float) -> float:
        """Take so much of it, and return 0; or take nothing, and return after how many seconds there is enough."""
        grown_bytes = max(now_s - self._at_s, 0.0) * BYTES_PER_MINUTE / 60
        self._left_bytes = min(self._left_bytes + grown_bytes, BYTES_PER_MINUTE)
        self._at_s = now_s
        if size_bytes > self._left_bytes:
            return (size_bytes - self._left_bytes) * 60 / BYTES_PER_MINUTE
        self._left_bytes -= size_bytes
        return 0.0


class OutcomeDesk:
    """Takes the outcomes that one worker is told."""

    __slots__ = ("_failing", "_paces", "_spool")

    def __init__(self, spool: OutcomeSpool) -> None:
        self._spool = spool
        self._failing = False
        self._paces: dict[str, _Pace] = {}
        """By key; all of them are known here, so strangers add none."""

    def too_large(self, body_bytes: int) -> Reply | None:
        """Return the refusal of a message of that size, or None."""
        return _TOO_LARGE if body_bytes > MAX_BODY_BYTES else None

    def take(self, key: str, body: bytes, now_s: float) -> Reply:
        """Keep what a key says, and return what it is answered: the ids under which its outcomes are known."""
        if refused := self.too_large(len(body)):
            return refused
        if wait_s := self._paces.setdefault(key, _Pace(now_s)).wait_s(len(body), now_s):
            message = f"This key may send {BYTES_PER_MINUTE:,} bytes of outcomes a minute; send these later."
            extra = b"retry-after: %d\r\n" % ceil(wait_s)
            return replies.refusal(429, message, "too_many_outcomes", extra=extra)
        try:
            outcomes = read_outcomes(key, body, now_s)
        except BadOutcomeError as error:
            return replies.refusal(400, str(error), "invalid_outcome")
        if outcomes and not self._keep(outcomes):
            return _NOT_KEPT
        ids = [outcome.id[len(key) + 1 :] for outcome in outcomes]
        return replies.Reply(200, msgspec.json.encode({"object": "breakeven.outcomes", "ids": ids}))

    def _keep(self, outcomes: Sequence[Outcome]) -> bool:
        try:
            self._spool.keep(outcomes)
        except OSError as error:
            if not self._failing:
                _log.error("outcomes cannot be written, and are refused: %s", error.strerror or error)
            self._failing = True
            return False
        if self._failing:
            self._failing = False
            _log.warning("outcomes can be written again")
        return True


def read_outcomes(key: str, body: bytes, now_s: float) -> list[Outcome]:
    """Return the outcomes of one message, one object or a list.  Raises ``BadOutcomeError`` where one is wrong."""
    try:
        said = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise BadOutcomeError(f"{str(error)[:MAX_REPEATED]}. {_HINT}") from error
    except msgspec.DecodeError as error:
        raise BadOutcomeError(f"The body is no JSON ({error}).") from error
    if isinstance(said, SaidOutcome):
        return [_outcome(key, said, now_s)]
    found = []
    for place, one in enumerate(said):
        try:
            found.append(_outcome(key, one, now_s))
        except BadOutcomeError as error:
            raise BadOutcomeError(f"Outcome {place} of {len(said)}, counted from 0: {error}") from error
    return found


_HINT: Final = (
    f"An outcome may have {', '.join(SaidOutcome.__struct_fields__)}; its source is one of {', '.join(SOURCES)}. "
    "A message is one outcome or a list of them."
)


def _outcome(key: str, said: SaidOutcome, now_s: float) -> Outcome:
    now_us = int(now_s * 1_000_000)
    number = _request(said, now_us)
    episode = "" if said.episode is None else _as_labelled(said.episode)
    verdict = said.success is not None or said.score is not None
    if not (verdict or said.human_minutes is not None or said.comment or said.demonstration):
        raise BadOutcomeError(
            "This outcome says nothing: give success, score, human_minutes, comment or demonstration."
        )
    name = said.name or default_name(
        verdict=verdict, minutes=said.human_minutes is not None, demonstration=bool(said.demonstration)
    )
    subject = episode if number is None else number
    return Outcome(
        id=own_id(key, _printable("id", said.id))
        if said.id
        else outcome_id(key, subject, _printable("name", name), said.source),
        key=key,
        request_id=number,
        episode=episode,
        name=_printable("name", name),
        source=said.source,
        success=said.success,
        score=said.score,
        human_minutes=None if said.human_minutes is None else _minutes(said.human_minutes),
        comment=said.comment,
        demonstration=said.demonstration,
        at_us=now_us if said.at is None else _at_us(said.at, now_us),
        received_us=now_us,
    )


def _request(said: SaidOutcome, now_us: int) -> int | None:
    """Return the request that is spoken of; None for an episode."""
    if (said.request_id is None) == (said.episode is None):
        raise BadOutcomeError("Say what it is about: request_id or episode, one of them.")
    if said.request_id is None:
        return None
    try:
        number = request_id(said.request_id)
    except ValueError as error:
        raise BadOutcomeError(f"{str(error)[:200]}, as in the header x-breakeven-request-id.") from error
    if received_ms(number) * 1000 > now_us + AHEAD_S * 1_000_000:
        raise BadOutcomeError(f"request_id {said.request_id} is none that this gateway has given: it lies ahead.")
    return number


def _as_labelled(episode: str) -> str:
    """Return an episode as rows have it."""
    labelled = episode.encode("utf-8", "replace")[:MAX_LABEL_BYTES].decode("utf-8", "replace")
    return cut_text(labelled, MAX_EPISODE_BYTES).decode()


def _minutes(minutes: Decimal) -> Decimal:
    if not minutes.is_finite() or not 0 <= minutes <= MAX_HUMAN_MINUTES:
        raise BadOutcomeError(f"human_minutes is a number from 0 to {MAX_HUMAN_MINUTES:,}.")
    if -int(minutes.as_tuple().exponent) > MINUTE_DIGITS:
        raise BadOutcomeError(f"human_minutes has more than {MINUTE_DIGITS} digits after the point.")
    return minutes


def _at_us(at: datetime, now_us: int) -> int:
    try:
        aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise BadOutcomeError("at lies beyond the calendar.") from error
    at_us = (aware - _EPOCH) // timedelta(microseconds=1)
    if not EARLIEST_US <= at_us <= now_us + AHEAD_S * 1_000_000:
        raise BadOutcomeError(
            f"at {at.isoformat()} is no time at which that can have been: it is before 2000 or ahead."
        )
    return at_us


def _printable(field: str, text: str) -> str:
    if not text.isprintable():
        raise BadOutcomeError(f"{field} has characters that do not print.")
    return text
