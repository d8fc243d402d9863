"""Virtual keys in the store: made, rotated, listed, revoked; of a key's secret only its hash is kept.

Each change raises the control version, by which running gateways see that there is something new.  A revoked
key's row stays, so that the name cannot come to mean somebody else in the ledger.  Times are handed in.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger.store import StoreMissingError, connect, trouble_of
from breakeven.routing.queueing import MOST_PRIORITY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any, TypeVar

    Result = TypeVar("Result")

PREFIX: Final = "sk-be-"
MAX_NAME_LENGTH: Final = 128
MAX_TAGS_LENGTH: Final = 256
MAX_COUNT: Final = 1_000_000_000_000
MAX_BUDGET_USD: Final = 1_000_000_000
_SECRET_BYTES: Final = 32
_BUSY_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits:
    """What the requests of a key may use; None: as much as they like."""

    minute_requests: int | None = None
    minute_tokens: int | None = None
    parallel_requests: int | None = None
    day_usd: Decimal | None = None
    """From midnight to midnight UTC."""

    month_usd: Decimal | None = None
    """Of a calendar month, UTC."""

    sensitivity: str = ""
    """Kinds of data that they are marked with, parted by commas: they go only where all of these may."""

    priority: int = 0
    """Where they wait: higher ones go first."""


NO_LIMITS: Final = KeyLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A virtual key as the store has it."""

    name: str
    sha256: str
    """Hex digest of the whole key."""

    shown: str
    """Its beginning and end, by which its owner recognises it."""

    models: tuple[str, ...]
    """Models it may ask for; empty: all."""

    tags: str
    created_s: float
    expires_s: float | None
    revoked_s: float | None
    team: str = ""
    limits: KeyLimits = NO_LIMITS
    former_sha256: str = ""
    """Hex digest of the secret before the last rotation; empty when there is none."""

    former_until_s: float = 0.0
    """Until when that secret works."""


def create_key(
    store: Path,
    name: str,
    *,
    now_s: float,
    models: tuple[str, ...] = (),
    tags: str = "",
    expires_s: float | None = None,
    team: str = "",
    limits: KeyLimits = NO_LIMITS,
) -> str:
    """Make a key and return its secret, which nobody can ask for again; the store is made where there is none.

    Times are Unix seconds.  Raises ``InputError`` for a name that is taken or none, for an expiry that has passed and
    for limits that are none.
    """
    _check(name, models, tags, team)
    _check_limits(name, limits)
    if expires_s is not None and expires_s <= now_s:
        raise InputError(f"The key {name!r} would have expired already. Give a day that is still to come.")
    secret, digest, shown = _new_secret()
    row = {
        "name": name, "sha256": digest, "shown": shown, "models": json.dumps(models), "tags": tags,
        "created_s": now_s, "expires_s": expires_s, "team": team, **_limit_columns(limits),
    }  # fmt: skip

    def insert(connection: sqlite3.Connection) -> None:
        taken = connection.execute("SELECT revoked_s FROM key WHERE name = ?", (name,)).fetchone()
        if taken:
            state = "there already" if taken[0] is None else "revoked, and its name stays taken in the ledger"
            raise InputError(f"The key {name!r} is {state}. Choose another name.")
        connection.execute(
            f"INSERT INTO key ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608 - names of columns
            tuple(row.values()),
        )

    _change(store, insert, create=True)
    return secret


def rotate_key(store: Path, name: str, *, now_s: float, overlap_s: float) -> str:
    """Give a key a new secret and return it; the one so far works for ``overlap_s`` more, and one before it no longer.

    Raises ``UnknownNameError`` when there is none of that name, ``InputError`` when it has been revoked or has expired.
    """
    secret, digest, shown = _new_secret()

    def rotate(connection: sqlite3.Connection) -> None:
        _need_valid(connection, name)
        expires_s = connection.execute("SELECT expires_s FROM key WHERE name = ?", (name,)).fetchone()[0]
        if expires_s is not None and expires_s <= now_s:
            raise InputError(f"The key {name!r} has expired: a new secret would not work either. Make another key.")
        connection.execute(
            "UPDATE key SET former_sha256 = sha256, former_until_s = ?, sha256 = ?, shown = ? WHERE name = ?",
            (now_s + overlap_s, digest, shown, name),
        )

    _change(store, rotate, create=False)
    return secret


def revoke_key(store: Path, name: str, *, now_s: float) -> None:
    """Refuse a key from now on.  Raises ``UnknownNameError`` when there is none of that name."""

    def revoke(connection: sqlite3.Connection) -> None:
        _need_valid(connection, name)
        connection.execute("UPDATE key SET revoked_s = ? WHERE name = ?", (now_s, name))

    _change(store, revoke, create=False)


def list_keys(store: Path) -> tuple[StoredKey, ...]:
    """Return every key that was ever made, revoked ones too, by name.  Raises ``InputError``."""
    return _read(store, _all_keys)


def read_keys(store: Path) -> tuple[int, tuple[StoredKey, ...]]:
    """Return the control version and the keys that were not revoked; (0, ()) where there is no store.

    Raises ``InputError`` where there is one that cannot be read: that must not pass for "no keys".
    """
    version, keys = _read_all(store)
    return version, tuple(key for key in keys if key.revoked_s is None)


def keys_were_made(store: Path) -> bool:
    """Whether a key was ever made here, revoked or not: a gateway that had keys does not open itself without them."""
    try:
        return bool(list_keys(store))
    except StoreMissingError:
        return False


class KeysWatch:
    """Sees when the keys of a store change: cheap enough to be asked twice a second."""

    __slots__ = ("_store", "_version", "ever_made", "trouble")

    def __init__(self, store: Path) -> None:
        self._store = store
        self._version = -1
        self.ever_made = False
        """Whether any key was ever made, revoked or not, as of the keys returned last."""

        self.trouble = ""
        """Why the keys could not be read when last asked; those known stay in force."""

    def changed(self) -> tuple[StoredKey, ...] | None:
        """Return the keys when they may differ from those returned last, else None.  Raises nothing."""
        try:
            version, keys = _read_all(self._store)
        except InputError as error:
            self.trouble = str(error)
            return None
        self.trouble = ""
        if version == self._version or (version == 0 and self._version > 0):
            return None  # unchanged; or the store was taken away, which revokes nothing and permits nothing new
        self._version = version
        self.ever_made = bool(keys)
        return tuple(key for key in keys if key.revoked_s is None)


def _read_all(store: Path) -> tuple[int, tuple[StoredKey, ...]]:
    """Return the control version and every key, revoked ones too; (0, ()) where there is no store."""

    def both(connection: sqlite3.Connection) -> tuple[int, tuple[StoredKey, ...]]:
        return connection.execute("SELECT version FROM control").fetchone()[0], _all_keys(connection)

    try:
        return _read(store, both)
    except StoreMissingError:
        return 0, ()


def _all_keys(connection: sqlite3.Connection) -> tuple[StoredKey, ...]:
    """Return every key.  Raises ``sqlite3.DatabaseError`` for a row that is none, which nobody here has written."""
    found = connection.execute("SELECT * FROM key ORDER BY name")
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found]
    try:
        return tuple(map(_stored_key, rows))
    except (ArithmeticError, LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise sqlite3.DatabaseError(f"a row of its table key cannot be read as a key: {error!r}") from error


def _stored_key(row: dict[str, Any]) -> StoredKey:
    return StoredKey(
        name=row["name"],
        sha256=row["sha256"],
        shown=row["shown"],
        models=msgspec.json.decode(row["models"], type=tuple[str, ...]),
        tags=row["tags"],
        created_s=row["created_s"],
        expires_s=row["expires_s"],
        revoked_s=row["revoked_s"],
        team=row["team"],
        limits=KeyLimits(
            minute_requests=row["requests_per_minute"],
            minute_tokens=row["tokens_per_minute"],
            parallel_requests=row["parallel"],
            day_usd=_decimal(row["budget_day_usd"]),
            month_usd=_decimal(row["budget_month_usd"]),
            sensitivity=row["sensitivity"],
            priority=row["priority"],
        ),
        former_sha256=row["former_sha256"] or "",
        former_until_s=row["former_until_s"] or 0.0,
    )


def _limit_columns(limits: KeyLimits) -> dict[str, object]:
    return {
        "requests_per_minute": limits.minute_requests,
        "tokens_per_minute": limits.minute_tokens,
        "parallel": limits.parallel_requests,
        "budget_day_usd": None if limits.day_usd is None else str(limits.day_usd),
        "budget_month_usd": None if limits.month_usd is None else str(limits.month_usd),
        "sensitivity": limits.sensitivity,
        "priority": limits.priority,
    }


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _new_secret() -> tuple[str, str, str]:
    """Return a secret, its digest, and how it is shown."""
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    return secret, hashlib.sha256(secret.encode()).hexdigest(), f"{secret[: len(PREFIX) + 2]}…{secret[-4:]}"


def _need_valid(connection: sqlite3.Connection, name: str) -> None:
    """Refuse a name that no key has, and one that was revoked."""
    found = connection.execute("SELECT revoked_s FROM key WHERE name = ?", (name,)).fetchone()
    if found is None:
        names = [row[0] for row in connection.execute("SELECT name FROM key WHERE revoked_s IS NULL ORDER BY name")]
        known = f"There are {', '.join(names)}." if names else "There is none."
        raise UnknownNameError(f"No key is named {name!r}. {known} Keys of breakeven.yaml are changed there.")
    if found[0] is not None:
        raise InputError(f"The key {name!r} has been revoked already.")


def _change(store: Path, change: Callable[[sqlite3.Connection], None], *, create: bool) -> None:
    """Make a change and raise the version, in one transaction."""
    try:
        with closing(connect(store, create=create, busy_s=_BUSY_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            change(connection)
            connection.execute("UPDATE control SET version = version + 1")
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _read(store: Path, read: Callable[[sqlite3.Connection], Result]) -> Result:
    try:
        with closing(connect(store, read_only=True, busy_s=_BUSY_S)) as connection:
            connection.execute("BEGIN")  # so that version and keys are of one moment
            return read(connection)
    except sqlite3.Error as error:
        raise InputError(trouble_of(store, error)) from error


def _check(name: str, models: tuple[str, ...], tags: str, team: str) -> None:
    if not _is_word(name):
        raise InputError(f"{name!r} is no name for a key: it is one word of up to {MAX_NAME_LENGTH} ASCII characters.")
    if team and not _is_word(team):
        raise InputError(f"{team!r} is no name for a team: it is one word of up to {MAX_NAME_LENGTH} ASCII characters.")
    if not all(model.strip() for model in models):
        raise InputError(f"The key {name!r} is given a model without a name. Write --models gpt-4o,gpt-4o-mini.")
    if len(tags) > MAX_TAGS_LENGTH or not tags.isprintable():
        raise InputError(
            f"The tags of {name!r} have more than {MAX_TAGS_LENGTH} characters, or some that do not print."
        )


def _is_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and 0 < len(text) <= MAX_NAME_LENGTH and " " not in text


def _check_limits(name: str, limits: KeyLimits) -> None:
    if limits.sensitivity and not _is_word(limits.sensitivity):
        raise InputError(
            f"The key {name!r} is given the kind of data {limits.sensitivity!r}. That is one word of up to "
            f"{MAX_NAME_LENGTH} ASCII characters, such as local-only, or several parted by commas without blanks."
        )
    if not -MOST_PRIORITY <= limits.priority <= MOST_PRIORITY:
        bounds = f"{-MOST_PRIORITY} to {MOST_PRIORITY}"
        raise InputError(f"The key {name!r} is given the priority {limits.priority}. Give one from {bounds}.")
    for what, count in (
        ("requests per minute", limits.minute_requests),
        ("tokens per minute", limits.minute_tokens),
        ("parallel requests", limits.parallel_requests),
    ):
        if count is not None and not 0 < count <= MAX_COUNT:
            raise InputError(f"The key {name!r} is given {count:,} {what}. Give at least 1 and at most {MAX_COUNT:,}.")
    for what, budget_usd in (("a day", limits.day_usd), ("a month", limits.month_usd)):
        if budget_usd is not None and not (budget_usd.is_finite() and 0 < budget_usd <= MAX_BUDGET_USD):
            raise InputError(
                f"The key {name!r} is given {budget_usd} USD for {what}. Give more than 0 and at most "
                f"{MAX_BUDGET_USD:,}; to stop a key, revoke it."
            )
