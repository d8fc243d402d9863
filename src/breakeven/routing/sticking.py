"""Who of those that ask belongs to a share of the traffic: the same ones at every worker, and more as it grows.

Each unit (a user, an episode, a conversation, a key) has a place between 0 and 1 that follows from its name and from
the number of the shift alone.  A share takes the units whose place is below it, so that who was in stays in when the
share grows, and two shifts draw anew.  Nothing is remembered.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

USER, EPISODE, KEY, REQUEST = "user", "episode", "key", "request"
STICKS: Final = (USER, EPISODE, KEY, REQUEST)
"""What may stay together.  A user that is not named: the episode; none of both: the conversation, told by its key and
its first question.  A key: all its requests.  A request: nothing, each is drawn by itself."""

_PLACES: Final = float(1 << 64)
_MOST_CHARACTERS: Final = 4096
"""So much of a first question tells a conversation."""


class _Said(msgspec.Struct):
    user: Any = None
    safety_identifier: Any = None
    metadata: Any = None
    messages: Any = None
    input: Any = None
    prompt: Any = None


_DECODER: Final = msgspec.json.Decoder(_Said)
_NOTHING: Final = _Said()


def place_of(shift: int, unit: str) -> float:
    """Return the place of a unit in a shift, in [0, 1): uniform over units, and independent between shifts."""
    digest = blake2b(unit.encode(errors="replace"), digest_size=8, salt=shift.to_bytes(16, "big")).digest()
    # 53 bits: the division must not round up to 1.
    return (int.from_bytes(digest, "big") >> 11) / (_PLACES / 2048)


def takes(share_fraction: float, place: float) -> bool:
    """Whether a share has the unit at that place: all units at 1, none at 0."""
    return place < share_fraction


class Told(NamedTuple):
    """What a request tells of whom it belongs to."""

    key: str
    user: str
    """As a header says it, perhaps nothing; it may stand in the body too."""

    episode: str
    request_id: int
    body: bytes


def unit_of(stick: str, told: Told) -> str:
    """Return the name of the unit that a request belongs to; ``stick`` is one of ``STICKS``.

    Units of different kinds never bear the same name, nor do users of different keys.
    """
    key, user, episode, request_id, body = told
    if stick == REQUEST:
        return f"request\0{request_id}"
    if stick == KEY:
        return f"key\0{key}"
    said = _NOTHING
    if not (user if stick == USER else episode):
        said = _read(body)
        user = user or _user_of(said)
    if stick == USER and user:
        return f"user\0{key}\0{user}"
    if episode:
        return f"episode\0{key}\0{episode}"
    return f"conversation\0{key}\0{_first_question(said)}"


def _read(body: bytes) -> _Said:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOTHING


def _user_of(said: _Said) -> str:
    """Return whom a body names: OpenAI's ``user`` or ``safety_identifier``, Anthropic's ``metadata.user_id``."""
    inner = said.metadata.get("user_id") if isinstance(said.metadata, dict) else None
    return next((name for name in (said.user, said.safety_identifier, inner) if isinstance(name, str) and name), "")


def _first_question(said: _Said) -> str:
    """Return how a conversation began: its first message that is not an instruction."""
    turns = said.messages if isinstance(said.messages, list) else said.input
    if not isinstance(turns, list):
        return str(turns if turns is not None else said.prompt)[:_MOST_CHARACTERS]
    for turn in turns:
        if not isinstance(turn, dict):
            return str(turn)[:_MOST_CHARACTERS]
        if turn.get("role") not in ("system", "developer"):
            return str(turn.get("content"))[:_MOST_CHARACTERS]
    return ""
