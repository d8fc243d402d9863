"""Turns spooled rows into rows of the store and sums by the hour: the loop that every attempt passes.

The labels of a row are looked up by their 23 bytes as they stand in the spool, and give the series at once
while hour, rate card and price tier are those of the row before; otherwise they are worked out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.ledger import rows
from breakeven.ledger.frames import LABELS, ROW_BY_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.ledger.cards import CardSchedule, KnownCard
    from breakeven.ledger.segments import Rows
    from breakeven.ledger.store import AttemptRow, Store

HOUR_US: Final = 3_600_000_000
UNKNOWN: Final = "(unknown)"
"""In place of a text whose definition was lost to damage."""

_KINDS: Final = (
    rows.KEY, rows.TASK, rows.TAGS, rows.MODEL, rows.TARGET, rows.PRICED_AS, rows.REASON, rows.REASON, rows.REASON,
)  # fmt: skip
_NO_LIMIT: Final = 1 << 62
_MAX_CELLS: Final = 20_000


class Cell:
    """The rows of one series in one hour: when and for which inputs it holds, and the sums of this batch."""

    __slots__ = (
        "attempts", "begins_us", "cached", "ends_us", "hour", "input", "output", "over", "series", "up_to", "written",
    )  # fmt: skip

    def __init__(self, *, hour: int, series: int, holds_us: tuple[int, int], inputs: tuple[int, int]) -> None:
        """Take its hour (since 1970), its series, and the times and input sizes [above, up to] that belong to it."""
        self.hour = hour
        self.series = series
        self.begins_us, self.ends_us = holds_us
        self.over, self.up_to = inputs
        self.clear()

    def clear(self) -> None:
        """Begin sums anew."""
        self.attempts = self.input = self.cached = self.written = self.output = 0

    def sums(self) -> tuple[int, ...]:
        """Return hour, series and sums, as the roll-up takes them."""
        return self.hour, self.series, self.attempts, self.input, self.cached, self.written, self.output


class Labels:
    """What a segment's rows say by codes, said by numbers of the store: kept while the segment is read."""

    __slots__ = ("_cards", "_cells", "_known", "_store", "_texts", "recent")

    def __init__(self, texts: dict[tuple[int, int], str], store: Store, cards: CardSchedule) -> None:
        self._texts = texts
        self._store = store
        self._cards = cards
        self._known: dict[bytes, tuple[tuple[int, ...], str]] = {}
        self._cells: dict[tuple[bytes, int, str, int], Cell] = {}
        self.recent: dict[bytes, Cell] = {}

    def cell(self, labels: bytes, received_us: int, input_tokens: int, output_tokens: int) -> Cell:
        """Return the cell of a row that the recent one for its labels does not fit."""
        numbers, priced_as = self._known.get(labels) or self._learn(labels)
        window = self._cards.window(priced_as, numbers[_PROCESSING], received_us)
        whole = window.known is None or not window.known.card.missing
        known = window.known_for(input_tokens, output_tokens)
        hour = received_us // HOUR_US
        over_tokens = known.over_tokens(input_tokens) if known else 0
        name = (labels, hour, known.id if known else "", over_tokens)
        cell = self._cells.get(name)
        if cell is None or not cell.begins_us <= received_us < cell.ends_us:
            holds_us = max(hour * HOUR_US, window.begins_us), min((hour + 1) * HOUR_US, window.ends_us)
            # Where a price is missing, each row must be looked at: no input fits such a cell again.
            inputs = _inputs(known, over_tokens) if whole else (_NO_LIMIT, -1)
            series = self._series(numbers, known, over_tokens)
            cell = self._cells[name] = Cell(hour=hour, series=series, holds_us=holds_us, inputs=inputs)
        self.recent[labels] = cell
        return cell

    def shrink(self) -> None:
        """Forget cells when there are many: hours pass, and clients choose tags."""
        if len(self._cells) > _MAX_CELLS:
            self._cells.clear()
            self._known.clear()
            self.recent.clear()

    def _learn(self, labels: bytes) -> tuple[tuple[int, ...], str]:
        numbers = LABELS.unpack(labels)
        texts = [
            self._texts.get((kind, code), UNKNOWN) if code else "" for kind, code in zip(_KINDS, numbers, strict=False)
        ]
        ids = (self._store.text_id(kind, text) for kind, text in zip(_KINDS, texts, strict=True))
        found = (*ids, *numbers[len(_KINDS) :]), texts[_KINDS.index(rows.PRICED_AS)]
        self._known[labels] = found
        return found

    def _series(self, numbers: tuple[int, ...], known: KnownCard | None, over_tokens: int) -> int:
        if known is not None:
            self._store.keep_card(known)
        return self._store.series_id((*numbers, known.id if known else "", over_tokens))


_PROCESSING: Final = len(_KINDS) + 2


def _inputs(known: KnownCard | None, over_tokens: int) -> tuple[int, int]:
    """Return the input sizes (above, up to) for which a tier's prices hold."""
    if known is None:
        return -1, _NO_LIMIT
    next_one = next((tokens for tokens in known.thresholds_tokens if tokens > over_tokens), _NO_LIMIT)
    return over_tokens or -1, next_one


def gather(spooled: Rows, labels: Labels, cells: list[Cell]) -> list[AttemptRow]:
    """Return rows for the store, and add them to the sums of their cells; ``cells`` gets those with sums."""
    recent = labels.recent
    found: list[AttemptRow] = []
    add = found.append
    for attempt_id, received_us, queued_us, first_us, ended_us, said, given, cached, written, output in _read(spooled):
        cell = recent.get(said)
        if cell is None or not (cell.begins_us <= received_us < cell.ends_us and cell.over < given <= cell.up_to):
            cell = labels.cell(said, received_us, given, output)
        if not cell.attempts:
            cells.append(cell)
        cell.attempts += 1
        cell.input += given
        cell.cached += cached
        cell.written += written
        cell.output += output
        add((attempt_id, received_us, queued_us, first_us, ended_us, cell.series, given, cached, written, output, None))
    for place, episode in spooled.episodes.items():
        found[place] = (*found[place][:-1], episode)
    return found


def _read(spooled: Rows) -> Iterator[tuple[int, int, int, int, int, bytes, int, int, int, int]]:
    return ROW_BY_LABELS.iter_unpack(spooled.data)
