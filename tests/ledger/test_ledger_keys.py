"""Virtual keys: shown once, hashed, listed, revoked; and the version that tells gateways."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from spooled import ask, move, write

from breakeven.errors import InputError, UnknownNameError
from breakeven.ledger.keys import (
    NO_LIMITS,
    PREFIX,
    KeyLimits,
    KeysWatch,
    create_key,
    keys_were_made,
    list_keys,
    read_keys,
    revoke_key,
    rotate_key,
)
from breakeven.ledger.schema import VERSION
from breakeven.ledger.store import StoreMissingError, connect
from breakeven.ledger.used import used_since

NOW_S = 1_790_000_000.0

FIRST_VERSION = Path(__file__).parent / "store_version_1.sql"


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


@pytest.mark.parametrize(
    "change", ["models = '\"abc\"'", "models = 'no JSON'", "models = '5'", "budget_day_usd = 'cheap'"]
)
def test_a_row_that_is_no_key_ends_no_watch_and_the_keys_known_stay(store: Path, change: str) -> None:
    watch = KeysWatch(store)
    create_key(store, "a", now_s=NOW_S, models=("fast",), limits=KeyLimits(day_usd=Decimal(1)))
    watch.changed()
    with closing(connect(store)) as connection:
        connection.execute(f"UPDATE key SET {change}")  # noqa: S608 - ours
        connection.execute("UPDATE control SET version = version + 1")
    assert watch.changed() is None
    assert "cannot be read as a key" in watch.trouble
    with pytest.raises(InputError, match="cannot be read as a key"):
        keys_were_made(store)
    with closing(connect(store)) as connection:
        connection.execute("""UPDATE key SET models = '["fast"]', budget_day_usd = '1'""")
    assert [key.models for key in watch.changed() or ()] == [("fast",)]
    assert watch.trouble == ""


def test_a_watch_knows_of_keys_that_are_all_revoked(store: Path) -> None:
    watch = KeysWatch(store)
    assert (watch.changed(), watch.ever_made) == ((), False)
    create_key(store, "a", now_s=NOW_S)
    revoke_key(store, "a", now_s=NOW_S)
    assert (watch.changed(), watch.ever_made) == ((), True)
    store.unlink()
    assert (watch.changed(), watch.ever_made) == (None, True)


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


def test_a_store_of_the_first_version_keeps_its_keys_and_learns_what_is_new(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.executescript(FIRST_VERSION.read_text(encoding="utf-8"))
    version, (old,) = read_keys(store)
    assert version == 7
    assert (old.name, old.sha256, old.models, old.tags, old.expires_s) == ("old", "ab", ("fast",), "team=a", 9.5)
    assert (old.team, old.limits, old.former_sha256, old.former_until_s) == ("", NO_LIMITS, "", 0.0)
    create_key(store, "new", now_s=NOW_S, team="web", limits=KeyLimits(day_usd=Decimal(1)))
    assert [(key.name, key.team, key.revoked_s) for key in list_keys(store)] == [
        ("gone", "", 7.0), ("new", "web", None), ("old", "", None),
    ]  # fmt: skip
    with closing(connect(store)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    (used,) = used_since(store, datetime(2026, 11, 1, tzinfo=UTC))
    assert (used.key, used.ended_requests, used.used_tokens) == ("old", 1, 1_010)
    made = store.with_name("made.sqlite")
    create_key(made, "a", now_s=NOW_S)
    assert columns_of_keys(store) == columns_of_keys(made), "an old store becomes what a new one is"


def columns_of_keys(store: Path) -> list[tuple[object, ...]]:
    with closing(connect(store)) as connection:
        return connection.execute("SELECT name, type, [notnull], dflt_value FROM pragma_table_info('key')").fetchall()


def test_a_team_and_limits_come_back_exactly(store: Path) -> None:
    limits = KeyLimits(
        minute_requests=60, minute_tokens=100_000, parallel_requests=4,
        day_usd=Decimal("0.1000000001"), month_usd=Decimal(25), sensitivity="local-only,eu", priority=-7,
    )  # fmt: skip
    create_key(store, "a", now_s=NOW_S, team="web", limits=limits)
    create_key(store, "b", now_s=NOW_S, limits=KeyLimits(minute_tokens=5))
    first, second = list_keys(store)
    assert (first.team, first.limits) == ("web", limits)
    assert (second.team, second.limits) == ("", KeyLimits(minute_tokens=5))


@pytest.mark.parametrize(
    "limits",
    [
        KeyLimits(minute_requests=0),
        KeyLimits(minute_tokens=-1),
        KeyLimits(parallel_requests=10**13),
        KeyLimits(day_usd=Decimal(0)),
        KeyLimits(month_usd=Decimal("NaN")),
        KeyLimits(month_usd=Decimal("Infinity")),
        KeyLimits(sensitivity="local only"),
        KeyLimits(priority=101),
        KeyLimits(sensitivity="ü"),
    ],
)
def test_limits_that_are_none_are_refused(store: Path, limits: KeyLimits) -> None:
    with pytest.raises(InputError, match="The key 'a' is given"):
        create_key(store, "a", now_s=NOW_S, limits=limits)
    with pytest.raises(InputError, match="no name for a team"):
        create_key(store, "a", now_s=NOW_S, team="two words")
    assert not store.exists()


def test_a_rotated_key_has_a_new_secret_and_keeps_the_one_before_for_a_while(store: Path) -> None:
    first = create_key(store, "a", now_s=NOW_S, team="web", tags="x=y")
    second = rotate_key(store, "a", now_s=NOW_S + 10, overlap_s=60)
    version, (key,) = read_keys(store)
    assert version == 2
    assert key.sha256 == hashlib.sha256(second.encode()).hexdigest()
    assert (key.former_sha256, key.former_until_s) == (hashlib.sha256(first.encode()).hexdigest(), NOW_S + 70)
    assert (key.team, key.tags, key.created_s) == ("web", "x=y", NOW_S)
    assert key.shown.endswith(second[-4:])
    rotate_key(store, "a", now_s=NOW_S + 20, overlap_s=0)
    (key,) = list_keys(store)
    assert (key.former_sha256, key.former_until_s) == (hashlib.sha256(second.encode()).hexdigest(), NOW_S + 20)


def test_what_cannot_be_rotated_is_refused(store: Path) -> None:
    with pytest.raises(StoreMissingError):
        rotate_key(store, "a", now_s=NOW_S, overlap_s=60)
    create_key(store, "a", now_s=NOW_S)
    create_key(store, "b", now_s=NOW_S, expires_s=NOW_S + 5)
    with pytest.raises(UnknownNameError, match="There are a, b"):
        rotate_key(store, "c", now_s=NOW_S, overlap_s=60)
    with pytest.raises(InputError, match="has expired"):
        rotate_key(store, "b", now_s=NOW_S + 5, overlap_s=60)
    revoke_key(store, "a", now_s=NOW_S)
    with pytest.raises(InputError, match="revoked already"):
        rotate_key(store, "a", now_s=NOW_S, overlap_s=60)
