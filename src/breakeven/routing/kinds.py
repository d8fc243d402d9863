"""What an attempt can die of, as routing sees it: who may be tried next, and what it says of the target that failed.

The gateway tells a kind from a target's answer, or from there being none; everything that follows from a kind stands
in this one table.
"""

from __future__ import annotations

from typing import Final, NamedTuple

NOWHERE, LARGER, ANYWHERE = range(3)
"""Who may be tried next: nobody; only who takes longer prompts; anybody."""

NOTHING, WELL, TROUBLE, OURS = range(4)
"""What a failure says of its target: nothing; that it works, since it answered and the request was at fault; that it
has trouble; that what we send it is not right, so it will fail until somebody changes the configuration."""


class Kind(NamedTuple):
    """A kind of failure and what follows from it."""

    name: str
    """A word for ledgers, headers and metrics."""

    elsewhere: int
    """Who may be tried next; one of the constants above."""

    again: bool
    """Whether the same target may do better a little later."""

    says: int
    """What it says of the target; one of the constants above."""


UNREACHABLE: Final = Kind("unreachable", ANYWHERE, again=True, says=TROUBLE)
"""No connection: refused, no route, no TLS, a proxy that says no."""

TIMED_OUT: Final = Kind("timed_out", ANYWHERE, again=True, says=TROUBLE)
BROKEN: Final = Kind("broken", ANYWHERE, again=True, says=TROUBLE)
"""An answer that broke off, or that is none: malformed HTTP, a redirect, a stream without its end."""

SERVER_ERROR: Final = Kind("server_error", ANYWHERE, again=True, says=TROUBLE)
OVERLOADED: Final = Kind("overloaded", ANYWHERE, again=True, says=TROUBLE)
RATE_LIMITED: Final = Kind("rate_limited", ANYWHERE, again=True, says=TROUBLE)
OVER_LIMIT: Final = Kind("over_limit", ANYWHERE, again=False, says=WELL)
"""This one request takes more than the target's rate limit allows in a whole minute: waiting does not help."""

OUT_OF_QUOTA: Final = Kind("out_of_quota", ANYWHERE, again=False, says=OURS)
"""The account there has no money or no quota left: that lasts until somebody pays."""

BAD_CREDENTIALS: Final = Kind("bad_credentials", ANYWHERE, again=False, says=OURS)
MODEL_MISSING: Final = Kind("model_missing", ANYWHERE, again=False, says=OURS)
CONTEXT_LENGTH: Final = Kind("context_length", LARGER, again=False, says=WELL)
CONTENT_FILTER: Final = Kind("content_filter", NOWHERE, again=False, says=WELL)
"""A refusal is not shopped around: the client gets it as it came."""

CLIENT_ERROR: Final = Kind("client_error", NOWHERE, again=False, says=WELL)
UNSUPPORTED: Final = Kind("unsupported", ANYWHERE, again=False, says=WELL)
"""The target works, and cannot do this: embeddings at an engine that was started without, images for a model that
only reads text.  Whoever asks for it must not be able to close the target for the others."""

SATURATED: Final = Kind("saturated", ANYWHERE, again=True, says=NOTHING)
"""All of our own connections to the target are taken."""

OVER_BUDGET: Final = Kind("over_budget", ANYWHERE, again=False, says=NOTHING)
"""Our own limit on what may be spent there is reached."""

UNTRANSLATABLE: Final = Kind("untranslatable", ANYWHERE, again=False, says=NOTHING)
"""The request, or an answer, has no equal in the protocol that the target speaks."""

UNVERIFIED: Final = Kind("unverified", ANYWHERE, again=False, says=WELL)
"""The answer did not pass the checks of its route: another model may do better, this one hardly."""

OUT_OF_TIME: Final = Kind("out_of_time", NOWHERE, again=False, says=NOTHING)
"""The request's own time is up, earlier attempts included."""

KINDS: Final = (
    UNREACHABLE, TIMED_OUT, BROKEN, SERVER_ERROR, OVERLOADED, RATE_LIMITED, OVER_LIMIT, OUT_OF_QUOTA, BAD_CREDENTIALS,
    MODEL_MISSING, CONTEXT_LENGTH, CONTENT_FILTER, CLIENT_ERROR, UNSUPPORTED, SATURATED, OVER_BUDGET,
    UNTRANSLATABLE, UNVERIFIED, OUT_OF_TIME,
)  # fmt: skip
