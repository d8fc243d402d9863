"""Questions that were answered, to be found again by meaning: their vectors, and what besides must be equal.

Questions of one scope are compared with each other and with no others: whoever calls puts into a scope all that must
be equal, the tenant first of all.  Within one, a question is compared with those whose marks are equal, in one product
of a matrix and a vector.  An entry that was found to have led to a false hit keeps the similarity at which that was,
and matches only above it from then on: learned for each entry, as vCache does (https://arxiv.org/abs/2502.03771),
though more simply.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from breakeven.similar.vectors import Vector, unit_vector

if TYPE_CHECKING:
    import numpy.typing as npt

    from breakeven.similar.marks import Marks

ENTRY_BYTES: Final = 1200
"""What an entry takes beside its vector, the text of its scope and its key, with its place in the tables.

Measured with CPython 3.11: 280 to 350 among others of its scope, 1,100 in a scope of its own.
"""

_ANY: Final = -1.0
"""Every similarity is at or above it."""


class Match(NamedTuple):
    """The question most like the one that is asked."""

    key: bytes
    """Of the answer that was kept for it."""

    similarity: float
    """The cosine of the angle between the two vectors; 1: the same direction."""

    entry: int
    """Names the entry to ``Index.raise_floor``."""


class Index:
    """Entries by scope; of all together, the one used longest ago leaves first."""

    __slots__ = ("_by_key", "_max_bytes", "_max_entries", "_numbers", "_places", "_shelves", "size_bytes")

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        """Bound the number of entries, and what they take; the arrays they stand in may be twice as large."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._shelves: dict[bytes, _Shelf] = {}
        self._places: OrderedDict[int, _Shelf] = OrderedDict()
        """By entry, the one used longest ago first."""

        self._by_key: dict[bytes, int] = {}
        self._numbers = count()
        self.size_bytes = 0
        """What all entries take; at most ``max_bytes`` after every call."""

    def __len__(self) -> int:
        return len(self._places)

    def nearest(
        self, scope: bytes, marks: Marks, vector: npt.ArrayLike, least_similarity: float = _ANY
    ) -> Match | None:
        """Return the entry most like a question, which counts as its use; None where none is as much alike as that.

        None as well where the vector is no direction, or is of another length than those of the scope.
        """
        shelf, unit = self._shelves.get(scope), unit_vector(vector)
        if shelf is None or unit is None or len(unit) != shelf.dimensions:
            return None
        found = shelf.nearest(_digests(marks), unit)
        if found is None or found.similarity < least_similarity:
            return None
        self._places.move_to_end(found.entry)
        return found

    def add(self, scope: bytes, marks: Marks, vector: npt.ArrayLike, key: bytes) -> int | None:
        """Enter a question whose answer is kept under ``key``, in place of what had that key; return the entry.

        None where the vector is none, is of another length than those of the scope, or is larger than all may be.
        """
        unit = unit_vector(vector)
        if unit is None:
            return None
        self.forget(key)
        size_bytes = unit.nbytes + len(scope) + len(key) + ENTRY_BYTES
        shelf = self._shelves.get(scope)
        if size_bytes > self._max_bytes or (shelf is not None and shelf.dimensions != len(unit)):
            return None
        while len(self._places) >= self._max_entries or self.size_bytes + size_bytes > self._max_bytes:
            self._drop(next(iter(self._places)))
        shelf = self._shelves.get(scope) or self._shelves.setdefault(scope, _Shelf(scope, len(unit)))
        entry = next(self._numbers)
        shelf.add(entry, key, _digests(marks), unit)
        self._places[entry] = shelf
        self._by_key[key] = entry
        self.size_bytes += size_bytes
        return entry

    def raise_floor(self, entry: int, similarity: float) -> None:
        """Let an entry match only above a similarity at which it was wrong; an entry that has left is no matter."""
        shelf = self._places.get(entry)
        if shelf is not None:
            shelf.raise_floor(entry, similarity)

    def forget(self, key: bytes) -> None:
        """Drop the entry of an answer that is kept no more, if there is one."""
        entry = self._by_key.get(key)
        if entry is not None:
            self._drop(entry)

    def clear(self) -> None:
        """Forget everything."""
        self._shelves.clear()
        self._places.clear()
        self._by_key.clear()
        self.size_bytes = 0

    def _drop(self, entry: int) -> None:
        shelf = self._places.pop(entry)
        key = shelf.remove(entry)
        del self._by_key[key]
        self.size_bytes -= 4 * shelf.dimensions + len(shelf.scope) + len(key) + ENTRY_BYTES
        if not shelf.keys:
            del self._shelves[shelf.scope]


class _Shelf:
    """The entries of one scope, in the rows of arrays that grow by half and shrink when half is empty."""

    __slots__ = ("_digests", "_floors", "_rows", "_vectors", "dimensions", "entries", "keys", "scope")

    def __init__(self, scope: bytes, dimensions: int) -> None:
        self.scope = scope
        self.dimensions = dimensions
        self.keys: list[bytes] = []
        """By row, as the entries."""

        self.entries: list[int] = []
        self._rows: dict[int, int] = {}
        self._vectors = np.empty((1, dimensions), np.float32)
        self._digests = np.empty((3, 1), np.int64)
        self._floors = np.empty(1, np.float32)

    def nearest(self, digests: tuple[int, int, int], unit: Vector) -> Match | None:
        """Return the best of those whose marks are equal and that lie above their floors."""
        used = len(self.entries)
        told, words, order = self._digests[:, :used]
        rows = np.flatnonzero((told == digests[0]) & ((words != digests[1]) | (order == digests[2])))
        if not len(rows):
            return None
        many = 2 * len(rows) > used  # then all at once is cheaper than picking rows out
        similarities = (self._vectors[:used] @ unit)[rows] if many else self._vectors[rows] @ unit
        similarities[similarities <= self._floors[rows]] = -np.inf
        best = int(similarities.argmax())
        similarity = float(similarities[best])
        if similarity < _ANY - 1.0:  # all of them at or below their floors
            return None
        row = int(rows[best])
        return Match(self.keys[row], max(-1.0, min(1.0, similarity)), self.entries[row])

    def add(self, entry: int, key: bytes, digests: tuple[int, int, int], unit: Vector) -> None:
        row = len(self.entries)
        if row == len(self._floors):
            self._resize(row + row // 2 + 1)
        self._vectors[row] = unit
        self._digests[:, row] = digests
        self._floors[row] = -2.0
        self._rows[entry] = row
        self.keys.append(key)
        self.entries.append(entry)

    def remove(self, entry: int) -> bytes:
        """Take an entry out, the last one moving to its place; return its key."""
        row = self._rows.pop(entry)
        key, last, last_key = self.keys[row], self.entries.pop(), self.keys.pop()
        if last != entry:
            end = len(self.entries)
            self.entries[row], self.keys[row], self._rows[last] = last, last_key, row
            self._vectors[row] = self._vectors[end]
            self._digests[:, row] = self._digests[:, end]
            self._floors[row] = self._floors[end]
        if 2 * len(self.entries) < len(self._floors):
            self._resize(len(self.entries) + len(self.entries) // 4 + 1)
        return key

    def raise_floor(self, entry: int, similarity: float) -> None:
        row = self._rows[entry]
        self._floors[row] = max(self._floors[row], similarity)

    def _resize(self, rows: int) -> None:
        used = min(rows, len(self.entries))
        vectors, digests, floors = self._vectors, self._digests, self._floors
        self._vectors = np.empty((rows, self.dimensions), np.float32)
        self._digests = np.empty((3, rows), np.int64)
        self._floors = np.empty(rows, np.float32)
        self._vectors[:used] = vectors[:used]
        self._digests[:, :used] = digests[:, :used]
        self._floors[:used] = floors[:used]


def _digests(marks: Marks) -> tuple[int, int, int]:
    """Return three numbers: of the marks, of the words whatever their order, and of the words in their order."""
    return hash(marks.told), hash(tuple(sorted(marks.words))), hash(marks.words)
