"""A store that several processes have open at a time: none takes anything away from under another."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from breakeven.ledger.store import Store

if TYPE_CHECKING:
    from pathlib import Path

OPENS_WRITES_AND_CLOSES = """
import sys
from contextlib import closing
from pathlib import Path
from breakeven.ledger.store import connect
with closing(connect(Path(sys.argv[1]))) as connection:
    connection.execute("UPDATE control SET version = version + 1")
"""


def test_what_is_committed_after_a_sync_is_kept_though_another_process_closes_the_store(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    store = Store(path)
    store.begin()
    store.set_position("first", 1)
    store.commit()
    store.sync()
    subprocess.run([sys.executable, "-c", OPENS_WRITES_AND_CLOSES, str(path)], check=True)
    store.begin()
    store.set_position("second", 2)
    store.commit()
    with closing(sqlite3.connect(path)) as other:
        assert dict(other.execute("SELECT segment, moved_bytes FROM spool_position")) == {"first": 1, "second": 2}
        assert other.execute("SELECT version FROM control").fetchone() == (1,)
    store.close()
