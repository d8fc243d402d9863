"""What happens to a row whose id the store has: told apart whether it is the same row, and kept if it is not.

Neither should occur.  A segment that was copied back after it had been moved brings the same rows; two
gateways that share a worker's number, or a clock set back between two runs, bring other rows with the same id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.ledger.frames import ROW_BY_LABELS
from breakeven.ledger.ids import ATTEMPTS
from breakeven.ledger.segments import Rows

if TYPE_CHECKING:
    from breakeven.ledger.store import Store


def without_repeats(spooled: Rows, store: Store, taken: dict[int, tuple[int, ...]]) -> tuple[Rows, int, int]:
    """Return the rows to keep, how many were the store's own, and how many got the next id that is free.

    ``taken`` are rows of the same transaction, not in the store yet: id → what tells a row from another.
    """
    kept: list[bytes] = []
    episodes: dict[int, str] = {}
    repeated = renamed = 0
    for place, row in enumerate(ROW_BY_LABELS.iter_unpack(spooled.data)):
        attempt_id, facts = row[0], (row[1], row[4], row[6], row[9])
        while (other := taken.get(attempt_id) or store.attempt(attempt_id)) not in (None, facts):
            attempt_id += ATTEMPTS  # another request, and the same number within it
        if other is not None:
            repeated += 1
            continue
        renamed += attempt_id != row[0]
        taken[attempt_id] = facts
        if place in spooled.episodes:
            episodes[len(kept)] = spooled.episodes[place]
        kept.append(ROW_BY_LABELS.pack(attempt_id, *row[1:]))
    return Rows(b"".join(kept), episodes), repeated, renamed
