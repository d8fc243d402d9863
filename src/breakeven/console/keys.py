"""Virtual keys over HTTP: listed, made, rotated and revoked.  A secret is told once, to who made it."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, time
from decimal import Decimal  # noqa: TC003 - msgspec reads these annotations at run time
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.console.call import Answer, RefusedError, body_of
from breakeven.errors import UnknownNameError
from breakeven.ledger.keys import KeyLimits, create_key, list_keys, revoke_key, rotate_key
from breakeven.ledger.store import StoreMissingError

if TYPE_CHECKING:
    from breakeven.console.call import Call, Console
    from breakeven.ledger.keys import StoredKey

MAX_OVERLAP_S: Final = 30 * 86_400.0
MAX_MODELS: Final = 1_000

_log = logging.getLogger("breakeven.console")


class _Limits(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Named as people read them: a key's requests and tokens a minute, requests at once, dollars a day and month."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel_requests: int | None = None
    day_usd: Decimal | None = None
    month_usd: Decimal | None = None


class _NewKey(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    models: list[str] = []
    tags: str = ""
    team: str = ""
    sensitivity: str = ""
    priority: int = 0
    expires: date | None = None
    limits: _Limits = msgspec.field(default_factory=_Limits)


class _Rotation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    overlap_s: float = 0.0


def all_keys(console: Console, call: Call) -> Answer:
    """List every key that was made, and the names of those in the settings."""
    del call
    now_s = console.clock.now()
    try:
        keys = list_keys(console.store)
    except StoreMissingError:
        keys = ()
    return Answer({"keys": [_record(key, now_s) for key in keys], "in_settings": console.plan.keys})


def make_key(console: Console, call: Call) -> Answer:
    """Make a key from ``{"name": …}``, and tell its secret this once."""
    given = body_of(call, _NewKey)
    if len(given.models) > MAX_MODELS:
        raise RefusedError(400, "invalid_body", f"A key takes {MAX_MODELS:,} models at most.")
    limits = given.limits
    secret = create_key(
        console.store,
        given.name,
        now_s=console.clock.now(),
        models=tuple(dict.fromkeys(given.models)),
        tags=given.tags,
        expires_s=datetime.combine(given.expires, time(), UTC).timestamp() if given.expires else None,
        team=given.team,
        limits=KeyLimits(
            minute_requests=limits.requests_per_minute,
            minute_tokens=limits.tokens_per_minute,
            parallel_requests=limits.parallel_requests,
            day_usd=limits.day_usd,
            month_usd=limits.month_usd,
            sensitivity=given.sensitivity,
            priority=given.priority,
        ),
    )
    _log.info("%s made the key %r", call.caller, given.name)
    return Answer({"name": given.name, "key": secret}, 201)


def renew_key(console: Console, call: Call) -> Answer:
    """Give a key another secret and tell it this once; the one so far works for ``overlap_s`` more."""
    name, given = call.path["name"], body_of(call, _Rotation) if call.body else _Rotation()
    if not 0 <= given.overlap_s <= MAX_OVERLAP_S:
        raise RefusedError(400, "invalid_body", f"overlap_s lies between 0 and {MAX_OVERLAP_S:,.0f} seconds (30 days).")
    try:
        secret = rotate_key(console.store, name, now_s=console.clock.now(), overlap_s=given.overlap_s)
    except (UnknownNameError, StoreMissingError) as error:
        raise _no_such_key() from error
    _log.info("%s rotated the key %r", call.caller, name)
    return Answer({"name": name, "key": secret, "former_works_s": given.overlap_s})


def end_key(console: Console, call: Call) -> Answer:
    """Refuse a key from now on; what it asked for stays in the ledger."""
    name = call.path["name"]
    try:
        revoke_key(console.store, name, now_s=console.clock.now())
    except (UnknownNameError, StoreMissingError) as error:
        raise _no_such_key() from error
    _log.info("%s revoked the key %r", call.caller, name)
    return Answer({"name": name, "state": "revoked"})


def _no_such_key() -> RefusedError:
    """Say so without the name: somebody may have put the key itself in its place."""
    return RefusedError(404, "unknown_key", "No key has that name here. Keys of the settings are changed there.")


def _record(key: StoredKey, now_s: float) -> dict[str, object]:
    limits = key.limits
    return {
        "name": key.name,
        "shown": key.shown,
        "state": _state(key, now_s),
        "models": key.models,
        "tags": key.tags,
        "team": key.team,
        "sensitivity": key.limits.sensitivity,
        "priority": key.limits.priority,
        "created": _moment(key.created_s),
        "expires": _moment(key.expires_s),
        "revoked": _moment(key.revoked_s),
        "former_until": _moment(key.former_until_s if key.former_until_s > now_s else None),
        "limits": {
            "requests_per_minute": limits.minute_requests,
            "tokens_per_minute": limits.minute_tokens,
            "parallel_requests": limits.parallel_requests,
            "day_usd": None if limits.day_usd is None else str(limits.day_usd),
            "month_usd": None if limits.month_usd is None else str(limits.month_usd),
        },
    }


def _state(key: StoredKey, now_s: float) -> str:
    if key.revoked_s is not None:
        return "revoked"
    return "expired" if key.expires_s is not None and key.expires_s <= now_s else "valid"


def _moment(moment_s: float | None) -> str | None:
    return None if moment_s is None else f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
