"""Who waits in turn with whom: requests of one key and one priority are a *flow*, as fair queueing calls it.

It says to which flow each request of a trace belongs.  How flows take turns is the simulator's part.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from breakeven.errors import InputError, Problem
from breakeven.traffic.schema import KEY, PRIORITY
from breakeven.traffic.sums import fetch
from breakeven.traffic.told import told

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import numpy.typing as npt
    from ibis.expr.types import Table

    from breakeven.traffic.trace import Trace

    Ints = npt.NDArray[np.int64]

MOST_FLOWS: Final = 10_000

SHOWN_KEYS: Final = 10
"""Of a log's keys, where none is like the one that is not there."""

_UNSAID: Final = np.iinfo(np.int64).max
"""Above every priority, so that the lower of two is the one that is said."""


class Flow(NamedTuple):
    """The requests of one key in one priority class."""

    priority: int
    """Higher goes first."""

    key: str
    """Empty where the log names none."""


class Flows:
    """The flows of a trace, distinct and by rising priority and key.

    A request's priority is the lower of its key's and its own, as in the gateway; where one is said, that; else 0.
    """

    __slots__ = ("_keys", "_marks", "_priorities", "flows")

    def __init__(self, flows: Iterable[Flow], key_priorities: Mapping[str, int]) -> None:
        """Prepare the search; ``flows`` are all that the requests of the trace can have."""
        self.flows = tuple(sorted(set(flows)))
        names = sorted({flow.key for flow in self.flows})
        self._keys = pa.array(names, pa.string())
        # One more, for a key that is none of these.
        self._priorities = np.array([key_priorities.get(name, _UNSAID) for name in names] + [_UNSAID], dtype=np.int64)
        places = {name: place for place, name in enumerate(names)}
        marks = [flow.priority * len(self._priorities) + places[flow.key] for flow in self.flows]
        self._marks = np.array([*marks, _UNSAID], dtype=np.int64)

    def index_of(self, keys: Any, priorities: Any) -> Ints:
        """Return the index of each row's flow, from Arrow columns of its key and its own priority; both may be null.

        Raises ``ValueError`` for rows of another trace.
        """
        named = keys.cast(pa.string()).fill_null("")
        places = np.asarray(pc.index_in(named, value_set=self._keys).fill_null(len(self._keys)), dtype=np.int64)
        own = np.asarray(priorities.cast(pa.int64()).fill_null(_UNSAID), dtype=np.int64)
        lower = np.minimum(own, self._priorities[places])
        # Flows stand by priority and then key, so these marks rise with them.
        marks = np.where(lower == _UNSAID, 0, lower) * len(self._priorities) + places
        found = np.searchsorted(self._marks, marks)
        if not np.array_equal(self._marks[found], marks):
            raise ValueError("rows whose key and priority are those of no flow: the flows are another trace's")
        return found.astype(np.int64, copy=False)


def flows_of(trace: Trace, key_priorities: Mapping[str, int]) -> Flows:
    """Return the flows of a trace that names each request; ``key_priorities`` is the highest that a key may have.

    Raises ``InputError`` for more than ``MOST_FLOWS``, and for priorities of keys that the trace does not name.
    """
    pairs = _pairs(trace.table, key_priorities)
    found = fetch(pairs.limit(MOST_FLOWS + 1))
    if len(found) > MOST_FLOWS:
        count = fetch(pairs.aggregate(count=pairs.count()))[0]["count"]
        raise InputError(
            f"{told(trace.source)}: the requests are of {count:,} keys and priorities, and at most {MOST_FLOWS:,} can "
            "wait in turn. Each would wait by itself, and none would take its turn after another. Name a column that "
            f"says who asked, and not which conversation or request it was: --column {KEY}=COLUMN"
        )
    flows = [Flow(int(row[PRIORITY]), row[KEY]) for row in found]
    _check_named(trace, key_priorities, {flow.key for flow in flows})
    return Flows(flows, key_priorities)


def _pairs(table: Table, key_priorities: Mapping[str, int]) -> Table:
    """Return the distinct keys and priorities of requests, told apart where the requests are."""
    said = table.select(table[KEY].fill_null("").name(KEY), table[PRIORITY]).distinct()
    keys_by_priority: dict[int, list[str]] = {}
    for key, priority in key_priorities.items():
        keys_by_priority.setdefault(priority, []).append(key)
    own = theirs = said[PRIORITY]
    if keys_by_priority:
        theirs = ibis.cases(*((said[KEY].isin(keys), priority) for priority, keys in keys_by_priority.items()))
    # No least of a null: databases disagree about it.
    lower = ibis.least(ibis.coalesce(own, theirs, 0), ibis.coalesce(theirs, own, 0))
    return said.select(said[KEY], lower.cast("int64").name(PRIORITY)).distinct()


def _check_named(trace: Trace, key_priorities: Mapping[str, int], keys: Collection[str]) -> None:
    """Raise where a priority is that of a key which no request has: it was mistyped, most likely."""
    missing = [key for key in key_priorities if key not in keys]
    if not missing:
        return
    named = sorted(key for key in keys if key)
    source = told(trace.source)
    problems = [
        Problem(where=f"key {told(key)}", what=f"{source} has no request of it.", fix=_fix(key, named))
        for key in missing
    ]
    raise InputError(
        f"{source}: a priority is given for {len(missing):,} {'key' if len(missing) == 1 else 'keys'} of no request, "
        "and would change nothing.",
        tuple(problems),
    )


def _fix(key: str, named: list[str]) -> str:
    if not named:
        return f"The log names no key at all. Say which column does: --column {KEY}=COLUMN"
    if near := get_close_matches(key, named, n=3):
        return told(f"The nearest: {', '.join(near)}.")
    more = f" and {len(named) - SHOWN_KEYS:,} more" if len(named) > SHOWN_KEYS else ""
    return told(f"Found: {', '.join(named[:SHOWN_KEYS])}{more}.")
