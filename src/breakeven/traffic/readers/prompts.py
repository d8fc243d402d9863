"""What a logged prompt says about its request, without its words: identity, and who said how much of it.

Logs count the tokens of a whole prompt.  Its parts are apportioned by characters: the system's, the turns before
the last one of the user (sent again), and the rest.  Only the identity's hash and those shares leave here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.traffic.schema import HISTORY_TOKENS, PROMPT_ID, SYSTEM_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOTE: Final = "system_tokens and history_tokens are apportioned from the logged prompts, by characters"

_SYSTEM_ROLES: Final = ("system", "developer")
_USER_ROLES: Final = ("user", "human")
_MESSAGES: Final = ("messages", "input", "contents", "prompt")
_INSTRUCTIONS: Final = ("system", "instructions", "system_instruction", "systemInstruction")
_NO_WORDS: Final = frozenset({"role", "type", "id", "name", "tool_call_id", "cache_control", "mime_type", "media_type"})
_EMBEDDED: Final = "data:"
"""How an image begins that is written into the prompt: its characters are no tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt's hash, and its characters by who said them."""

    identity: str
    character_count: int
    system_character_count: int
    history_character_count: int

    def details(self, input_tokens: Any) -> dict[str, Any]:
        """Return the details of a request with that prompt and so many input tokens."""
        found: dict[str, Any] = {PROMPT_ID: self.identity}
        if isinstance(input_tokens, int) and input_tokens >= 0 and self.character_count:
            found[SYSTEM_TOKENS] = input_tokens * self.system_character_count // self.character_count
            found[HISTORY_TOKENS] = input_tokens * self.history_character_count // self.character_count
        return found


def prompt_of(logged: Any, instructions: Any = None) -> Prompt | None:
    """Return what a logged prompt says; None where none was logged.

    ``logged`` is a text, a list of messages, a request's body, or any of these as JSON; ``instructions`` are the
    system's where they are logged apart.
    """
    logged, instructions, tools = _parsed(logged), _parsed(instructions), None
    if isinstance(logged, dict) and "role" not in logged:
        instructions = instructions or _first(logged, _INSTRUCTIONS)
        logged, tools = _parsed(_first(logged, _MESSAGES)), logged.get("tools")
    if not logged:
        return None
    turns = [("system", _characters(instructions))] if instructions else []
    turns += [_turn(message) for message in (logged if isinstance(logged, list) else [logged])]
    system = sum(length for role, length in turns if role in _SYSTEM_ROLES)
    last_user = max((place for place, (role, _) in enumerate(turns) if role in _USER_ROLES), default=0)
    history = sum(length for role, length in turns[:last_user] if role not in _SYSTEM_ROLES)
    whole = json.dumps([instructions, logged, tools], sort_keys=True)
    return Prompt(
        identity=hashlib.sha256(whole.encode()).hexdigest(),
        character_count=sum(length for _, length in turns),
        system_character_count=system,
        history_character_count=history,
    )


def _first(body: dict[str, Any], names: Iterable[str]) -> Any:
    return next((body[name] for name in names if body.get(name)), None)


def _parsed(logged: Any) -> Any:
    if not isinstance(logged, str) or logged[:1] not in ("[", "{"):
        return logged
    try:
        return json.loads(logged)
    except (ValueError, RecursionError):
        return logged


def _turn(message: Any) -> tuple[str, int]:
    role = message.get("role") if isinstance(message, dict) else None
    return str(role or "user").lower(), _characters(message)


def _characters(value: Any) -> int:
    """Count the characters of everything said in a message, whatever its shape."""
    return sum(len(text) for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending += [inner for name, inner in item.items() if name not in _NO_WORDS]
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, str) and not item.startswith(_EMBEDDED):
            yield item
