"""Nodes, the APIs behind them, what befalls them and what is tallied: the parts of which a simulation is made."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from breakeven.capacity.compiled import Floats, Ints, Records
    from breakeven.capacity.pool import Pool

    Column = Any
    """An array, which stands in for the sequence that a policy asks for."""

POLICY_NAMES: Final = (
    "ordered",
    "weighted",
    "least_busy",
    "lowest_latency",
    "cheapest",
    "two_choices",
    "cost_threshold",
    "budget_downgrade",
    "schedule",
    "overflow",
    "marginal_cost",
    "prefix_affinity",
)
"""By the code of ``Rules.policy``: all of ``routing.policies``."""

(
    LOWEST_LATENCY, CHEAPEST, TWO_CHOICES, COST_THRESHOLD, BUDGET_DOWNGRADE, SCHEDULE, OVERFLOW, MARGINAL_COST,
    PREFIX_AFFINITY,
) = range(POLICY_NAMES.index("lowest_latency"), len(POLICY_NAMES))  # fmt: skip
"""From ``OVERFLOW`` on they see nodes and APIs side by side, and decide themselves what overflows; those before it are
shown no full node, and the APIs only where every node is full: ``SCHEDULE`` always."""

ON_NODES, OVERFLOWED = range(2)
"""Rows of a tally."""

BUCKET_RATIO: Final = 1.01
SHORTEST_S: Final = 1e-5
BUCKETS: Final = 2400
"""Of times, each 1 % longer than the one before: from 10 µs to 66 hours; what is outside counts at the ends."""

(
    CAME, WENT_OVER, NODE_OUTPUT, API_OUTPUT, API_USD, BUSY_S, USED_S, UP_S, STARTING_S, DRAINING_S, DOWN_S,
) = range(11)  # fmt: skip
"""Columns of what is told by the hour.

Of the requests that came in it: how many, how many of them overflowed, output tokens of nodes and of APIs, dollars.
Of the nodes, seconds: within iterations, the same at full batches, and by their phase.
"""

BY_PHASE: Final = (-1, STARTING_S, UP_S, DRAINING_S, DOWN_S)
"""The column of each phase of a node; a node that is off has none."""


class Demand(NamedTuple):
    """Requests in the order in which they arrive; arrays of shape (n,)."""

    arrived_s: Floats
    prompt: Ints
    """Tokens, at least 1."""

    output: Ints
    """Tokens, at least 1."""

    cached: Ints
    """Of the prompt, in every node's cache of prefixes; fewer than the prompt.  0 for a prompt with blocks."""

    uniform: Floats
    """Numbers in [0, 1), drawn for policies that draw."""

    api_usd: Floats
    """(n, APIs): what each would cost there."""

    block_ends: Ints = np.zeros(0, dtype=np.int64)
    """Where each request's blocks end in ``blocks``; of no length where no blocks are known."""

    blocks: Ints = np.zeros(0, dtype=np.int64)
    """Ids of the blocks of all prompts, one after another, each standing for itself and all before it."""

    flow: Ints = np.zeros(0, dtype=np.int64)
    """Index into ``Fleet.line``; of no length where nobody waits in it."""

    deadline_s: Floats = np.zeros(0)
    """From its arrival, how long each may wait in the line; of no length where no request says so."""


class Rules(NamedTuple):
    """How requests are sent."""

    policy: int
    """Index into ``POLICY_NAMES``."""

    most_waiting: int
    """A node with so many requests waiting takes no more while there is an API."""

    most_ttft_s: float
    """Nor one at which the first token is expected later than this."""

    most_kv_fraction: float = 1.0
    """Nor one with more of its cache in use."""

    back_ratio: float = 1.0
    """Of all these limits, within which a node that was full must be to have room again."""

    most_usd: float = inf
    """What a request may cost at most, for the policies that ask."""

    budget_day_usd: float = inf
    """Of all requests together; APIs alone are paid from it."""

    day_s: float = 0.0
    """How long the first day, of UTC, has lasted when the simulation begins."""

    line_requests: int = 0
    """Most that wait in the gateway's line while all nodes are full and no API takes them; 0: full nodes take them."""

    line_longest_s: float = 30.0
    """How long one waits there at most."""


TTFT_S, TPOT_S, REQUESTS_PER_S, ALLOWED, SEEN_S, SPENT_USD, DAY = range(7)
"""Rows of ``Fleet.apis``.

Times of their answers, the requests a second that their rate limit lets through (infinite without one), the requests
that they would take now by that limit (at most a minute's worth), and when that was reckoned; what they have cost on a
day, and which day that was, from 0.
"""

SERVES, HEALTHY, IN_FLIGHT, QUEUE_LENGTH, UNTRIED, PAID, FULL, IN_HOURS = range(8)
KV_USE, PREDICTED_TTFT_S, PRICE_USD, WEIGHT = range(4)
"""Rows of what the policies see by target, nodes before APIs: of whole numbers, and of others."""

QUEUE, FIRST_TOKEN, EACH_TOKEN, WHOLE = range(4)
"""What is tallied of a request's times: until its prompt was begun or it was sent to an API, to the first token,
between tokens of an answer of two and more, to the end."""

REJECTED, RESENT, LOST_INPUT, LOST_OUTPUT, STARTS, FAILURES, NO_ROOM, TOO_LATE = range(8)
"""Of ``Tally.counts``: requests that nobody took; requests sent again since their node failed, and tokens computed
there of their prompts and answers; nodes that were started, and that failed.  Of those rejected: for want of room in
the line, and at their deadline there; no node can hold the others, or was left for them."""

FIRST_CLASS: Final = 2
FIRST_FLOW: Final = 2
"""The row of the first class among ``Tally.times``, and of the first flow among ``Tally.sums``."""

SENT_OVER, TURNED_AWAY = 5, 6
"""Columns of a flow among ``Tally.sums``: requests that an API answered, and that were rejected."""


class View(NamedTuple):
    """What the policies see; see ``SERVES`` to ``WEIGHT``."""

    whole: Ints
    shares: Floats


class Tally(NamedTuple):
    """What the requests that ended took, on ``ON_NODES`` and ``OVERFLOWED``."""

    times: Ints
    """(4, 2 + classes, buckets): see ``QUEUE`` to ``WHOLE``; of a class, what nodes answered."""

    sums: Floats
    """(2 + flows, 7): requests, prompt and output tokens, seconds to first token and end, US dollars, cached tokens.

    Of a flow, what nodes answered of it, and ``SENT_OVER`` and ``TURNED_AWAY``.
    """

    by_hour: Floats
    """(hours, 11): see ``CAME`` to ``DOWN_S``."""

    counts: Ints
    """(8,): see ``REJECTED`` to ``TOO_LATE``."""


class Scaling(NamedTuple):
    """How many nodes are wanted: by a timetable, or by what they have to do; and who is in its hours."""

    changes: Floats
    """(n, 2), or (n, 3 + APIs) where somebody has hours.

    From when on how many are wanted, and whether the nodes and each API are in their hours; times rise, the first is 0.
    """

    is_reactive: bool
    """By what they have to do, from the timetable's first number on."""

    least: int
    most: int
    waiting: float
    """Requests that wait for each node, above which one more is wanted."""

    used: float
    """Share of what nodes can do, above which one more is wanted."""

    check_s: float
    """How often that is looked at."""

    up_after_s: float
    """For how long it must be so."""

    down_after_s: float
    """For how long one node fewer must be enough, until it stops."""

    idle_s: float
    """For how long there must be nothing to do, until the last one stops."""

    start_s: float
    """From the start of a node until it serves."""


WATCH: Final = np.dtype(
    [
        ("event_s", np.float64),
        ("look_s", np.float64),
        ("hour_s", np.float64),
        ("over_s", np.float64),
        ("under_s", np.float64),
        ("seen_used_s", np.float64),
        ("busy_before_s", np.float64),
        ("used_before_s", np.float64),
        ("turn_s", np.float64),
        ("late_s", np.float64),
        ("wanted", np.int64),
        ("outages", np.int64),
        ("changes", np.int64),
        ("hours", np.int64),
        ("first_waiting", np.int64),
        ("last_waiting", np.int64),
        ("waiting", np.int64),
        ("in_line", np.int64),
        ("number", np.int64),
        ("turns", np.int64),
    ]
)
"""What the simulation remembers about the course of events: one record.

When the next event is (``event_s``), the next look at the load, the next full hour, the next turn of the line; before
``late_s`` nobody in it is late.  For how long too much was to do (``over_s``), and too little; what was used as of the
last look; what nodes were busy and used as of the last full hour.  How many nodes are wanted; how many outages, changes
and hours have passed; requests that wait for a node: the first, the last, how many.  Of the line: how many stand in it,
how often a start was set there, and turns since the last one that did not go to the most urgent.
"""

FLOW: Final = np.dtype(
    [
        ("start", np.float64),
        ("finish", np.float64),
        ("served", np.float64),
        ("priority", np.int64),
        ("row", np.int64),
        ("leader", np.int64),
        ("in_class", np.int64),
        ("waiting", np.int64),
        ("first", np.int64),
        ("last", np.int64),
        ("number", np.int64),
    ]
)
"""A flow of the line: the requests of one key in one class, as ``routing.queueing`` has them; see there.

``start``: the virtual start of its first request, in tokens, set as the ``number``-th; ``finish``: the virtual end of
its last, while none waits.  ``priority``: of its class, which has its ``row`` among ``Tally.times``, and whose first
flow is the ``leader``: there stand the class's virtual time, ``served``, and ``in_class``, how many of it wait.
``waiting``: how many of the flow do, from slot ``first`` to ``last``, in a chain by ``newer`` and ``older``.
"""


class Fleet(NamedTuple):
    """Everything that the simulation goes on with from one batch of requests to the next.

    One more array, here or in ``Rules``, made each request a third dearer: what is new goes into those that there are.
    """

    pool: Pool
    apis: Floats
    """(7, APIs): see ``TTFT_S`` to ``DAY``."""

    seen: View
    tally: Tally
    bills: Floats
    """(slots, APIs): what each request would cost there."""

    scaling: Scaling
    outages: Floats
    """(n, 3): when which node fails, in order of time, and from when on it may start again."""

    watch: Records
    """(1,), of ``WATCH``."""

    line: Records
    """Of ``FLOW``, by priority and then by name of key: those that may wait for room; none where nobody does."""

    span_s: float
    """Until when time is told by the hour and paid."""
