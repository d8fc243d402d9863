"""What a pool of nodes is to the simulator: its pace, and the arrays in which its state lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from breakeven.capacity.compiled import Floats, Ints

    Records = np.ndarray[tuple[int], Any]

NONE: Final = -1
"""No slot, no node, no prefix."""


class Pace(NamedTuple):
    """How fast a node is and how much it holds; seconds of the whole node, whatever its GPUs."""

    base_s: float
    """Of every iteration."""

    sequence_s: float
    """Of an iteration, for each request that decodes."""

    token_s: float
    """Arithmetic of one token."""

    link_token_s: float
    """Messages between GPUs, for one token."""

    kv_token_s: float
    """Reading the cache of one held token in an iteration of decoding."""

    pair_s: float
    """Attention of a prompt: one token to one before it."""

    prompt_ratio: float
    """The time of a prompt's tokens over that of as many decoded ones, where arithmetic bounds both."""

    weights_s: Floats
    """By tokens of an iteration, reading the weights that they touch; the last entry holds for all above."""

    kv_tokens: int
    """Room of the cache."""

    max_requests: int
    """Most that run at once."""

    chunk_tokens: int
    """Most tokens of an iteration, decoded ones included."""

    reserves_output: bool
    """Let a request in only when its whole length has room, so that none is ever put back."""


NODE: Final = np.dtype(
    [
        ("now_s", np.float64),
        ("due_s", np.float64),
        ("busy_s", np.float64),
        ("step", np.int64),
        ("decoding", np.int64),
        ("kv_used", np.int64),
        ("kv_promised", np.int64),
        ("head", np.int64),
        ("tail", np.int64),
        ("waiting", np.int64),
        ("waiting_tokens", np.int64),
        ("newest", np.int64),
        ("put_back", np.int64),
    ]
)
"""What a node is doing.

``now_s`` is the end of its last iteration, and stands still where there is nothing to do; before ``due_s`` no request
ends or begins there, so that nobody need look; ``busy_s``: time within iterations.  ``step`` counts iterations,
``decoding`` requests past their prompt, ``kv_used`` tokens in the cache, ``kv_promised`` those reserved beyond them.
``head`` and ``tail`` are slots of the requests that wait, the one in its prompt first; ``waiting`` how many they are,
``waiting_tokens`` what is to be computed of their prompts.  ``newest`` is the slot let in last of those that decode,
the first to be put back; ``put_back`` counts how often one was.
"""

SLOT: Final = np.dtype(
    [
        ("arrived_s", np.float64),
        ("first_s", np.float64),
        ("prompt", np.int64),
        ("done", np.int64),
        ("cached", np.int64),
        ("output", np.int64),
        ("written", np.int64),
        ("end_step", np.int64),
        ("older", np.int64),
        ("newer", np.int64),
    ]
)
"""A place for one request on a node.

``first_s``: when its first token came, NaN before.  ``prompt``: tokens to compute before the next output, which are
the prompt and what was written before it was put back; ``done`` and ``cached`` of them.  ``output``: tokens still to
write then; ``written``: those before it was put back.  ``end_step``: the iteration in which it ends.  ``older`` and
``newer``: neighbours among those that decode; ``newer`` also the next that waits.
"""


class Ended(NamedTuple):
    """Requests that ended since it was last emptied; ``noted`` has one entry, how many."""

    slot: Ints
    at_s: Floats
    noted: Ints


class Pool(NamedTuple):
    """Equal nodes and what is on them."""

    pace: Pace
    nodes: Records
    """By node, of ``NODE``."""

    ends: Ints
    """(nodes, most requests): a heap of the iterations at which requests end; below it their slots."""

    ending: Ints
    slots: Records
    """By slot, of ``SLOT``."""

    free: Ints
    """A stack of free slots; its height stands in its last entry."""

    ended: Ended
