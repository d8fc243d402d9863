"""Takes rows from elsewhere into the store, so that what is there already is not added again.

A row of another ledger brings its id.  Any other gets the next free id of its millisecond, in the order of its file:
the same file finds its own rows there.  Rows pass the mover's own loop, so series, rate cards, tiers and roll-ups
come out as for the gateway's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.ledger import rows
from breakeven.ledger.batch import Cell, Labels, gather
from breakeven.ledger.frames import MAX_EPISODE_BYTES, MAX_TEXT_BYTES, ROW, clamped, cut_text
from breakeven.ledger.ids import id_of_slot, import_slot
from breakeven.ledger.segments import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breakeven.ledger.cards import CardSchedule
    from breakeven.ledger.store import Store

BATCH_ROWS: Final = 20_000
"""Rows of one transaction: others wait for it no longer than a moment."""

_KINDS: Final = (
    rows.KEY, rows.TASK, rows.TAGS, rows.MODEL, rows.TARGET, rows.PRICED_AS, rows.REASON, rows.REASON, rows.REASON,
)  # fmt: skip

Facts = tuple[int, int, int, int, str | None]
"""What tells a row from another: received, ended, input, output, and the decision, which names its source."""


class Incoming(NamedTuple):
    """A row from elsewhere; durations count from ``received_us``, ``rows.UNKNOWN_US`` where nobody knows."""

    attempt_id: int | None
    """None where it is to be given one."""

    received_us: int
    queued_us: int
    first_byte_us: int
    ended_us: int
    labels: tuple[str, ...]
    """Key, task, tags, model, target, priced_as, decision, fallback and failure; empty for none."""

    status: int
    outcome: int
    processing: int
    flags: int
    tokens: tuple[int, int, int, int]
    """Input, cached input, cache writes, output."""

    episode: str

    @property
    def facts(self) -> Facts:
        """What tells it from another row."""
        return self.received_us, self.ended_us, self.tokens[0], self.tokens[3], self.labels[6] or None


class Intake:
    """Adds the rows of one source, by time, to one store."""

    __slots__ = ("_cards", "_in_file", "_next_slot", "_store", "added", "repeated")

    def __init__(self, store: Store, cards: CardSchedule, in_file: Callable[[int, int], Facts | None]) -> None:
        """Take the store, what rows cost, and what tells the facts of a row (by received time and id) in day files."""
        self._store = store
        self._cards = cards
        self._in_file = in_file
        self._next_slot = 0
        self.added = self.repeated = 0

    def add(self, incoming: Iterable[Incoming]) -> None:
        """Add rows in the store's transaction, but those that are there.  They come by time, over all calls."""
        texts: dict[tuple[int, int], str] = {}
        codes: dict[int, dict[str, int]] = {}
        packed: list[bytes] = []
        episodes: dict[int, str] = {}
        taken: dict[int, Facts] = {}
        for row in incoming:
            attempt_id = self._own_id(row) if row.attempt_id is None else self._free_id(row, row.attempt_id, taken)
            if attempt_id is None:
                self.repeated += 1
                continue
            taken[attempt_id] = row.facts
            numbers = [_code(codes, texts, kind, text) for kind, text in zip(_KINDS, row.labels, strict=True)]
            facts = (*row[1:5], *numbers, row.status, row.outcome, row.processing, row.flags, *row.tokens, "")
            attempt = rows.Attempt._make((attempt_id, *facts))
            if row.episode:
                episodes[len(packed)] = cut_text(row.episode, MAX_EPISODE_BYTES).decode()
            packed.append(ROW.pack(*clamped(attempt)))
        cells: list[Cell] = []
        found = gather(Rows(b"".join(packed), episodes), Labels(texts, self._store, self._cards), cells)
        self._store.insert_attempts(found)
        self._store.add_to_hours([cell.sums() for cell in cells])
        self.added += len(found)

    def _own_id(self, row: Incoming) -> int | None:
        """Return the next free id of a row's time; None where this very row is found before."""
        slot = max(import_slot(row.received_us), self._next_slot)
        while (other := self._known(id_of_slot(slot), row.received_us)) not in (None, row.facts):
            slot += 1  # of another source
        self._next_slot = slot + 1
        return id_of_slot(slot) if other is None else None

    def _free_id(self, row: Incoming, attempt_id: int, taken: dict[int, Facts]) -> int | None:
        """Return the row's own id, or the next one that is free where another row has it; None where it is there.

        A ledger's own rows came there by themselves, and an import of theirs names a source: that does not matter.
        """
        facts = row.facts[:4]
        while other := taken.get(attempt_id) or self._known(attempt_id, row.received_us):
            if other[:4] == facts:
                return None
            attempt_id += 1 << 4
        return attempt_id

    def _known(self, attempt_id: int, received_us: int) -> Facts | None:
        return self._store.facts(attempt_id) or self._in_file(received_us, attempt_id)


def _code(codes: dict[int, dict[str, int]], texts: dict[tuple[int, int], str], kind: int, text: str) -> int:
    """Return the code of a text in this batch; a batch has fewer texts of a kind than there are codes."""
    if not text:
        return 0
    cut = cut_text(text, MAX_TEXT_BYTES).decode()
    known = codes.setdefault(kind, {})
    code = known.setdefault(cut, len(known) + 1)
    texts[kind, code] = cut
    return code
