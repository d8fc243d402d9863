"""A broken stream goes on at another target: the request is sent again, with what the client has read as its beginning.

Only where the target is known to continue what the assistant began, and each in its own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from breakeven.gateway.dialects import CHAT_COMPLETIONS
from breakeven.metering.reading import tokens_of_bytes

if TYPE_CHECKING:
    from breakeven.gateway.dialects import Dialect

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BOUNDS: Final = ("max_tokens", "max_completion_tokens")


def continued(dialect: Dialect, body: bytes, text: str, how: str) -> bytes | None:
    """Return the request that goes on behind ``text``, or None where there is no way to ask for that.

    ``how`` is the target's ``prefill``.  The bound on the answer, if there is one, is less what has been written
    (estimated); a request that was about to reach it is not sent again.
    """
    if dialect is not CHAT_COMPLETIONS or not how:
        return None
    try:
        fields: dict[str, Any] = dict(_FIELDS.decode(body))
        messages = msgspec.json.decode(fields["messages"], type=list[msgspec.Raw])
        for name in _BOUNDS:
            if name in fields:
                fields[name] = _less(msgspec.json.decode(fields[name]), text)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    last: dict[str, object] = {"role": "assistant", "content": text}
    if how == "prefix":
        last["prefix"] = True
    elif how == "continue_final_message":
        fields |= {"add_generation_prompt": False, "continue_final_message": True}
    fields["messages"] = [*messages, last]
    if any(fields.get(name) == 0 for name in _BOUNDS):
        return None
    return msgspec.json.encode(fields)


def _less(bound: object, text: str) -> object:
    """Return a bound in tokens without those that a text took."""
    return max(bound - tokens_of_bytes(len(text.encode())), 0) if isinstance(bound, int) else bound
