"""Virtual keys: shown once, hashed, listed, revoked; and the version that tells gateways."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import TYPE_CHECKING

import pytest
from spooled import ask, move, write

from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger.keys import (
    PREFIX,
    KeysWatch,
    create_key,
    keys_were_made,
    list_keys,
    read_keys,
    revoke_key,
)
from breakeven.ledger.store import StoreMissingError

if TYPE_CHECKING:
    from pathlib import Path

NOW_S = 1_790_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def test_a_key_is_known_by_its_hash_alone(store: Path) -> None:
    secret = create_key(store, "search", now_s=NOW_S, models=("fast",), tags="team=search", expires_s=NOW_S + 60)
    assert secret.startswith(PREFIX)
    assert len(secret) > 40
    version, (key,) = read_keys(store)
    assert version == 1
    assert key.sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert (key.name, key.models, key.tags, key.created_s, key.expires_s) == (
        "search", ("fast",), "team=search", NOW_S, NOW_S + 60,
    )  # fmt: skip
    for part in store.parent.iterdir():
        assert secret.encode() not in part.read_bytes()


def test_secrets_differ(store: Path) -> None:
    assert len({create_key(store, f"k{n}", now_s=NOW_S) for n in range(5)}) == 5


def test_a_revoked_key_is_listed_and_no_longer_read_and_its_name_stays_taken(store: Path) -> None:
    create_key(store, "a", now_s=NOW_S)
    create_key(store, "b", now_s=NOW_S)
    revoke_key(store, "a", now_s=NOW_S + 5)
    version, keys = read_keys(store)
    assert (version, [key.name for key in keys]) == (3, ["b"])
    assert [(key.name, key.revoked_s) for key in list_keys(store)] == [("a", NOW_S + 5), ("b", None)]
    with pytest.raises(InputError, match="stays taken"):
        create_key(store, "a", now_s=NOW_S)
    with pytest.raises(InputError, match="revoked already"):
        revoke_key(store, "a", now_s=NOW_S)
    assert read_keys(store)[0] == 3, "what was refused changes nothing"


def test_a_gateway_whose_last_key_was_revoked_knows_that_there_were_keys(store: Path) -> None:
    assert not keys_were_made(store)
    create_key(store, "a", now_s=NOW_S)
    revoke_key(store, "a", now_s=NOW_S)
    assert read_keys(store)[1] == ()
    assert keys_were_made(store)


@pytest.mark.parametrize("name", ["", "two words", "ä", "x" * 129, "tab\t", "line\n"])
def test_what_is_no_name_is_refused(store: Path, name: str) -> None:
    with pytest.raises(InputError, match="no name for a key"):
        create_key(store, name, now_s=NOW_S)
    assert not store.exists()


def test_other_nonsense_is_refused(store: Path) -> None:
    with pytest.raises(InputError, match="expired already"):
        create_key(store, "a", now_s=NOW_S, expires_s=NOW_S)
    with pytest.raises(InputError, match="model without a name"):
        create_key(store, "a", now_s=NOW_S, models=("fast", " "))
    with pytest.raises(InputError, match="tags"):
        create_key(store, "a", now_s=NOW_S, tags="x" * 257)
    with pytest.raises(StoreMissingError):
        revoke_key(store, "a", now_s=NOW_S)
    create_key(store, "a", now_s=NOW_S)
    with pytest.raises(InputError, match="there already"):
        create_key(store, "a", now_s=NOW_S)
    with pytest.raises(UnknownNameError, match="There are a"):
        revoke_key(store, "b", now_s=NOW_S)


def test_no_store_has_no_keys_and_an_unreadable_one_does_not_pass_for_that(store: Path) -> None:
    assert read_keys(store) == (0, ())
    store.write_bytes(b"not a database" * 1000)
    with pytest.raises(InputError, match="no SQLite database"):
        read_keys(store)
    with pytest.raises(InputError, match="no SQLite database"):
        keys_were_made(store)


def test_a_watch_tells_each_change_once(store: Path) -> None:
    watch = KeysWatch(store)
    assert watch.changed() == ()
    assert watch.changed() is None
    create_key(store, "a", now_s=NOW_S)
    assert [key.name for key in watch.changed() or ()] == ["a"]
    assert watch.changed() is None
    revoke_key(store, "a", now_s=NOW_S)
    assert watch.changed() == ()


def test_a_watch_keeps_what_it_knows_while_the_store_cannot_be_read(store: Path) -> None:
    watch = KeysWatch(store)
    create_key(store, "a", now_s=NOW_S)
    watch.changed()
    whole = store.read_bytes()
    store.write_bytes(b"not a database" * 1000)
    assert watch.changed() is None
    assert "no SQLite database" in watch.trouble
    store.unlink()
    assert watch.changed() is None
    store.write_bytes(whole)
    assert watch.changed() is None
    assert watch.trouble == ""


def test_keys_can_be_made_and_read_while_rows_are_moved(tmp_path: Path, store: Path) -> None:
    create_key(store, "a", now_s=NOW_S)
    write(tmp_path, [{"key": "a"}] * 3)
    reader = sqlite3.connect(store)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM key").fetchall()
    assert move(tmp_path) == 3
    create_key(store, "b", now_s=NOW_S)
    reader.close()
    assert [key.name for key in read_keys(store)[1]] == ["a", "b"]
    assert ask(tmp_path, "SELECT key, count(*) FROM attempt_said GROUP BY 1") == [("a", 3)]
