"""The tables of the store, as SQL, and the check that a file is a store of this version.

Labels of an attempt (key, model, target, rate card …) repeat, so each combination of them is one row of
``series``, and an attempt names it by a number: 40 bytes a row instead of 120, and the hourly roll-up is one
row an hour and series.  No table holds dollars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger.proof_tables import PROOF

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

VERSION: Final = 4
"""Version of the tables; in the file as ``user_version``."""

APPLICATION: Final = 0x42454C47  # "BELG"
"""In the file as ``application_id``, so that another program's database is not taken for a store."""

SERIES_COLUMNS: Final = (
    "key", "task", "tags", "model", "target", "priced_as", "decision", "fallback", "failure",
    "status", "outcome", "processing", "flags", "rate_card", "over_tokens",
)  # fmt: skip
"""What identifies a series; the first nine are ids of ``text``, 0 for none."""

KEY_COLUMNS: Final = (
    "team TEXT NOT NULL DEFAULT ''",
    "requests_per_minute INTEGER",
    "tokens_per_minute INTEGER",
    "parallel INTEGER",
    "budget_day_usd TEXT",
    "budget_month_usd TEXT",
    "former_sha256 TEXT",
    "former_until_s REAL",
)
"""Columns of ``key`` that came with version 2; dollars are decimal text, exact to the last digit."""

KEY_SENSITIVITY: Final = "sensitivity TEXT NOT NULL DEFAULT ''"
"""Column of ``key`` that came with version 3."""

KEY_PRIORITY: Final = "priority INTEGER NOT NULL DEFAULT 0"
"""Column of ``key`` that came with version 4."""

SUM_COLUMNS: Final = ("attempts", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")

SUMMED: Final = ", ".join(f"sum({name})" for name in SUM_COLUMNS)

_UPKEEP: Final = (
    # Days that are over, summed up once more: a month is asked for by these.
    f"""CREATE TABLE rollup_day (
        day INTEGER NOT NULL,
        series INTEGER NOT NULL,
        {", ".join(f"{name} INTEGER NOT NULL" for name in SUM_COLUMNS)},
        PRIMARY KEY (day, series)
    ) WITHOUT ROWID""",
    # Days since 1970: before the first all are in rollup_day, of those before the second the rows are gone for good.
    "CREATE TABLE upkeep (days_summed INTEGER NOT NULL, pruned_before INTEGER NOT NULL)",
    "INSERT INTO upkeep VALUES (0, 0)",
    # Files with the rows of one day each.  Every file is named here before it comes to be and until it is gone.
    """CREATE TABLE day_file (
        name TEXT PRIMARY KEY,
        day INTEGER NOT NULL,
        state INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        first_id INTEGER NOT NULL,
        last_id INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX day_file_counts ON day_file (day) WHERE state = 1",
    """CREATE TABLE import_file (
        sha256 TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        rows INTEGER NOT NULL,
        at_s REAL NOT NULL
    ) WITHOUT ROWID""",
)

_POOLS: Final = (
    # What the gateway that writes here knows of pools: their nodes, dated prices, and the GPU time of tokens.
    """CREATE TABLE IF NOT EXISTS pool (
        name TEXT PRIMARY KEY,
        content TEXT NOT NULL
    ) WITHOUT ROWID""",
    # Hours that are over and were paid, from so many microseconds in; what they cost follows from the prices.
    """CREATE TABLE IF NOT EXISTS pool_hour (
        pool TEXT NOT NULL,
        hour INTEGER NOT NULL,
        node TEXT NOT NULL,
        from_us INTEGER NOT NULL,
        paid_us INTEGER NOT NULL,
        PRIMARY KEY (pool, hour, node)
    ) WITHOUT ROWID""",
    # Hours since 1970 of which all that was paid is written down.
    "CREATE TABLE IF NOT EXISTS pool_kept (hours INTEGER NOT NULL)",
    "INSERT INTO pool_kept SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM pool_kept)",
)

_VIRTUAL: Final = (
    # Of pools that are only simulated, as last declared: nodes, dated prices, and what else their cost follows from.
    """CREATE TABLE IF NOT EXISTS virtual_pool (
        name TEXT PRIMARY KEY,
        content TEXT NOT NULL
    ) WITHOUT ROWID""",
    # What each hour would have been; times as counts by bucket, packed, and what it was worked out from, as a hash.
    """CREATE TABLE IF NOT EXISTS virtual_hour (
        pool TEXT NOT NULL,
        hour INTEGER NOT NULL,
        paid_us INTEGER NOT NULL,
        busy_us INTEGER NOT NULL,
        used_us INTEGER NOT NULL,
        ttft_counts BLOB NOT NULL,
        queue_counts BLOB NOT NULL,
        derived_from TEXT NOT NULL,
        PRIMARY KEY (pool, hour)
    ) WITHOUT ROWID""",
    # Its requests by what they really cost at the API, and by whether the pool would have left them there.
    """CREATE TABLE IF NOT EXISTS virtual_part (
        pool TEXT NOT NULL,
        hour INTEGER NOT NULL,
        rate_card TEXT NOT NULL,
        over_tokens INTEGER NOT NULL,
        went_over INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        cached_input_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        PRIMARY KEY (pool, hour, rate_card, over_tokens, went_over)
    ) WITHOUT ROWID""",
)

# CROSS JOIN keeps the order of joins, so that attempts come in their order without being sorted first.
_SAID: Final = """CREATE VIEW attempt_said AS SELECT
        attempt_id, attempt_id & ~15 AS request_id, attempt_id & 15 AS number, received_us,
        nullif(queued_us, 4294967295) AS queued_us, nullif(first_byte_us, 4294967295) AS first_byte_us, ended_us,
        k.text AS key, t.text AS task, g.text AS tags, episode, m.text AS model, p.text AS target, r.text AS priced_as,
        d.text AS decision, b.text AS fallback, f.text AS failure, nullif(s.status, 0) AS status,
        CASE s.outcome WHEN 0 THEN 'ok' WHEN 1 THEN 'failed' WHEN 2 THEN 'cut' WHEN 3 THEN 'client_left' ELSE 'cached'
            END AS outcome,
        CASE s.processing WHEN 0 THEN 'standard' WHEN 1 THEN 'batch' WHEN 2 THEN 'flex' ELSE 'priority' END
            AS processing,
        s.flags & 1 AS estimated, s.flags >> 1 & 1 AS streamed,
        input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
        nullif(s.rate_card, '') AS rate_card, s.over_tokens AS over_tokens
        FROM attempt CROSS JOIN series s ON s.id = attempt.series
        LEFT JOIN text k ON k.id = s.key LEFT JOIN text t ON t.id = s.task LEFT JOIN text g ON g.id = s.tags
        LEFT JOIN text m ON m.id = s.model LEFT JOIN text p ON p.id = s.target LEFT JOIN text r ON r.id = s.priced_as
        LEFT JOIN text d ON d.id = s.decision LEFT JOIN text b ON b.id = s.fallback
        LEFT JOIN text f ON f.id = s.failure"""

UPGRADES: Final = {
    1: (
        *_UPKEEP,
        *(f"ALTER TABLE key ADD COLUMN {column}" for column in KEY_COLUMNS),
        "DROP VIEW attempt_said",
        _SAID,
    ),
    2: (*_POOLS, *_VIRTUAL, f"ALTER TABLE key ADD COLUMN {KEY_SENSITIVITY}"),
    3: (*PROOF, f"ALTER TABLE key ADD COLUMN {KEY_PRIORITY}"),
}
"""What brings the tables of a version to the next one."""

TABLES: Final = (
    """CREATE TABLE text (
        id INTEGER PRIMARY KEY,
        kind INTEGER NOT NULL,
        text TEXT NOT NULL,
        UNIQUE (kind, text)
    )""",
    f"""CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        key INTEGER NOT NULL, task INTEGER NOT NULL, tags INTEGER NOT NULL, model INTEGER NOT NULL,
        target INTEGER NOT NULL, priced_as INTEGER NOT NULL, decision INTEGER NOT NULL, fallback INTEGER NOT NULL,
        failure INTEGER NOT NULL, status INTEGER NOT NULL, outcome INTEGER NOT NULL, processing INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        rate_card TEXT NOT NULL,
        over_tokens INTEGER NOT NULL,
        UNIQUE ({", ".join(SERIES_COLUMNS)})
    )""",
    # Unique does not hold between nulls, so no card is '' here; the view below says null.
    """CREATE TABLE rate_card (
        id TEXT PRIMARY KEY,
        content TEXT NOT NULL
    )""",
    # What the gateway that writes here knows of prices, so that what it left in its spool can be priced without it.
    """CREATE TABLE price_list (
        target TEXT PRIMARY KEY,
        content TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE attempt (
        attempt_id INTEGER PRIMARY KEY,
        received_us INTEGER NOT NULL,
        queued_us INTEGER NOT NULL,
        first_byte_us INTEGER NOT NULL,
        ended_us INTEGER NOT NULL,
        series INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        cached_input_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        episode TEXT
    )""",
    """CREATE TABLE rollup_hour (
        hour INTEGER NOT NULL,
        series INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        cached_input_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        PRIMARY KEY (hour, series)
    ) WITHOUT ROWID""",
    """CREATE TABLE spool_position (
        segment TEXT PRIMARY KEY,
        moved_bytes INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE TABLE control (version INTEGER NOT NULL)",
    "INSERT INTO control VALUES (0)",
    f"""CREATE TABLE key (
        name TEXT PRIMARY KEY,
        sha256 TEXT NOT NULL UNIQUE,
        shown TEXT NOT NULL,
        models TEXT NOT NULL,
        tags TEXT NOT NULL,
        created_s REAL NOT NULL,
        expires_s REAL,
        revoked_s REAL,
        {", ".join((*KEY_COLUMNS, KEY_SENSITIVITY, KEY_PRIORITY))}
    ) WITHOUT ROWID""",
    _SAID,
    *_UPKEEP,
    *_POOLS,
    *_VIRTUAL,
    *PROOF,
)


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file, wholly or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        connection.execute("ROLLBACK")  # another process made them between our look and our lock
        return
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring the tables of an older store up to date, wholly or not at all.  Raises ``sqlite3.Error``."""
    connection.execute("BEGIN IMMEDIATE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for older in range(version, VERSION):
        for statement in UPGRADES[older]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def check_version(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether the file holds the tables; False for an empty one.

    Raises ``InputError`` for another program's database and for a store that a newer Breakeven wrote.
    """
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]  # first: all come at once
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if version == application == tables == 0:
        return False
    if application != APPLICATION:
        raise InputError(f"{path} is a database, but not a Breakeven ledger. Name the ledger's own file or folder.")
    if version > VERSION:
        raise InputError(
            f"{path} has tables of version {version}; this Breakeven knows up to {VERSION} and would misread them. "
            "Use the newer Breakeven that wrote it."
        )
    return True
