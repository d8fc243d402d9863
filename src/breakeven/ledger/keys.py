"""Virtual keys in the store: made, listed, revoked; of a key's secret only its hash is kept.

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
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger.store import StoreMissingError, connect, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeVar

    Result = TypeVar("Result")

PREFIX: Final = "sk-be-"
MAX_NAME_LENGTH: Final = 128
MAX_TAGS_LENGTH: Final = 256
_SECRET_BYTES: Final = 32
_BUSY_S: Final = 10.0


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


def create_key(
    store: Path,
    name: str,
    *,
    now_s: float,
    models: tuple[str, ...] = (),
    tags: str = "",
    expires_s: float | None = None,
) -> str:
    """Make a key and return its secret, which nobody can ask for again; the store is made where there is none.

    Times are Unix seconds.  Raises ``InputError`` for a name that is taken or none, and for an expiry that has passed.
    """
    _check(name, models, tags)
    if expires_s is not None and expires_s <= now_s:
        raise InputError(f"The key {name!r} would have expired already. Give a day that is still to come.")
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    shown = f"{secret[: len(PREFIX) + 2]}…{secret[-4:]}"
    row = (name, digest, shown, json.dumps(models), tags, now_s, expires_s, None)

    def insert(connection: sqlite3.Connection) -> None:
        taken = connection.execute("SELECT revoked_s FROM key WHERE name = ?", (name,)).fetchone()
        if taken:
            state = "there already" if taken[0] is None else "revoked, and its name stays taken in the ledger"
            raise InputError(f"The key {name!r} is {state}. Choose another name.")
        connection.execute("INSERT INTO key VALUES (?,?,?,?,?,?,?,?)", row)

    _change(store, insert, create=True)
    return secret


def revoke_key(store: Path, name: str, *, now_s: float) -> None:
    """Refuse a key from now on.  Raises ``UnknownNameError`` when there is none of that name."""

    def revoke(connection: sqlite3.Connection) -> None:
        found = connection.execute("SELECT revoked_s FROM key WHERE name = ?", (name,)).fetchone()
        if found is None:
            names = [row[0] for row in connection.execute("SELECT name FROM key WHERE revoked_s IS NULL ORDER BY name")]
            known = f"There are {', '.join(names)}." if names else "There is none."
            raise UnknownNameError(f"No key is named {name!r}. {known} Keys of breakeven.yaml are removed there.")
        if found[0] is not None:
            raise InputError(f"The key {name!r} has been revoked already.")
        connection.execute("UPDATE key SET revoked_s = ? WHERE name = ?", (now_s, name))

    _change(store, revoke, create=False)


def list_keys(store: Path) -> tuple[StoredKey, ...]:
    """Return every key that was ever made, revoked ones too, by name.  Raises ``InputError``."""
    return _read(store, _all_keys)


def read_keys(store: Path) -> tuple[int, tuple[StoredKey, ...]]:
    """Return the control version and the keys that were not revoked; (0, ()) where there is no store.

    Raises ``InputError`` where there is one that cannot be read: that must not pass for "no keys".
    """

    def both(connection: sqlite3.Connection) -> tuple[int, tuple[StoredKey, ...]]:
        version = connection.execute("SELECT version FROM control").fetchone()[0]
        return version, tuple(key for key in _all_keys(connection) if key.revoked_s is None)

    try:
        return _read(store, both)
    except StoreMissingError:
        return 0, ()


def keys_were_made(store: Path) -> bool:
    """Whether a key was ever made here, revoked or not: a gateway that had keys does not open itself without them."""
    try:
        return bool(list_keys(store))
    except StoreMissingError:
        return False


class KeysWatch:
    """Sees when the keys of a store change: cheap enough to be asked twice a second."""

    __slots__ = ("_store", "_version", "trouble")

    def __init__(self, store: Path) -> None:
        self._store = store
        self._version = -1
        self.trouble = ""
        """Why the keys could not be read when last asked; those known stay in force."""

    def changed(self) -> tuple[StoredKey, ...] | None:
        """Return the keys when they may differ from those returned last, else None.  Raises nothing."""
        try:
            version, keys = read_keys(self._store)
        except InputError as error:
            self.trouble = str(error)
            return None
        self.trouble = ""
        if version == self._version or (version == 0 and self._version > 0):
            return None  # unchanged; or the store was taken away, which revokes nothing and permits nothing new
        self._version = version
        return keys


def _all_keys(connection: sqlite3.Connection) -> tuple[StoredKey, ...]:
    found = connection.execute(
        "SELECT name, sha256, shown, models, tags, created_s, expires_s, revoked_s FROM key ORDER BY name"
    )
    return tuple(
        StoredKey(
            name=name,
            sha256=sha256,
            shown=shown,
            models=tuple(json.loads(models)),
            tags=tags,
            created_s=created_s,
            expires_s=expires_s,
            revoked_s=revoked_s,
        )
        for name, sha256, shown, models, tags, created_s, expires_s, revoked_s in found
    )


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


def _check(name: str, models: tuple[str, ...], tags: str) -> None:
    if not (name.isascii() and name.isprintable() and 0 < len(name) <= MAX_NAME_LENGTH) or " " in name:
        raise InputError(f"{name!r} is no name for a key: it is one word of up to {MAX_NAME_LENGTH} ASCII characters.")
    if not all(model.strip() for model in models):
        raise InputError(f"The key {name!r} is given a model without a name. Write --models gpt-4o,gpt-4o-mini.")
    if len(tags) > MAX_TAGS_LENGTH or not tags.isprintable():
        raise InputError(
            f"The tags of {name!r} have more than {MAX_TAGS_LENGTH} characters, or some that do not print."
        )
