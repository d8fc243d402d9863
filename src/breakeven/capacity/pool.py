"""What a pool of nodes is to the simulator: its pace, and the arrays in which its state lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from breakeven.capacity.compiled import Floats, Ints, Records

NONE: Final = -1
"""No slot, no node, no prefix."""

OFF, STARTING, UP, DRAINING, DOWN = range(5)
"""What a node is: not paid; paid and not ready; serving; ending what it has and taking nothing new; out of order."""


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

    request_s: float = 0.0
    """Of each request, beside iterations: until the engine has read it, and its first token is sent."""


NODE: Final = np.dtype(
    [
        ("now_s", np.float64),
        ("due_s", np.float64),
        ("busy_s", np.float64),
        ("used_s", np.float64),
        ("since_s", np.float64),
        ("ready_s", np.float64),
        ("phase", np.int64),
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
        ("prompt_tokens", np.int64),
        ("hit_tokens", np.int64),
        ("idle_tokens", np.int64),
        ("oldest", np.int64),
        ("latest", np.int64),
        ("free_block", np.int64),
    ]
)
"""What a node is doing.

``now_s`` is the end of its last iteration, and stands still where there is nothing to do; before ``due_s`` no request
ends or begins there, so that nobody need look; ``busy_s``: time within iterations; ``used_s``: what the same tokens
would take in iterations as large as the cache allows.  ``phase`` is ``OFF`` to ``DOWN``, from ``since_s`` on, and ends
at ``ready_s`` where it ends by itself.  ``step`` counts iterations,
``decoding`` requests past their prompt, ``kv_used`` tokens in the cache, ``kv_promised`` those reserved beyond them.
``head`` and ``tail`` are slots of the requests that wait, the one in its prompt first; ``waiting`` how many they are,
``waiting_tokens`` what is to be computed of their prompts.  ``newest`` is the slot let in last of those that decode,
the first to be put back; ``put_back`` counts how often one was.  ``prompt_tokens`` and, of them, ``hit_tokens`` were
asked for and found in the cache of prefixes; ``idle_tokens`` lie in blocks of it that no request holds, from the one
unused for longest, ``oldest``, to the ``latest``; ``free_block`` is the first place for a block that holds none.
"""

SLOT: Final = np.dtype(
    [
        ("arrived_s", np.float64),
        ("begun_s", np.float64),
        ("first_s", np.float64),
        ("uniform", np.float64),
        ("prompt", np.int64),
        ("done", np.int64),
        ("cached", np.int64),
        ("output", np.int64),
        ("written", np.int64),
        ("end_step", np.int64),
        ("older", np.int64),
        ("newer", np.int64),
        ("given", np.int64),
        ("hit", np.int64),
        ("tries", np.int64),
        ("blocks", np.int64),
        ("blocks_at", np.int64),
        ("hits", np.int64),
        ("kept", np.int64),
        ("idle_hits", np.int64),
        ("flow", np.int64),
        ("deadline_s", np.float64),
    ]
)
"""A place for one request on a node.

``begun_s``: when its prompt was begun, ``first_s``: when its first token came, NaN before.  ``uniform``: its number for
policies that draw; ``tries``: how often it was sent.  ``prompt``: tokens to compute before the next output, which are
the prompt and what was written before it was put back; ``done`` and ``cached`` of them.  ``output``: tokens still to
write then; ``written``: those before it was put back.  ``end_step``: the iteration in which it ends.  ``older`` and
``newer``: neighbours among those that decode, or in the line; ``newer`` also the next that waits.  ``given``: of the
prompt, what lies in every node's cache, as the demand has it; ``hit``: what was found when it was let in, ``NONE``
before.  ``blocks``: how many of ``Pool.references`` from ``blocks_at`` on are its prompt's; the first ``hits`` of them
were found, with ``idle_hits`` tokens in blocks that nobody held; the first ``kept`` are settled.  ``flow``: of the
line, ``NONE`` where there is none; ``deadline_s``: when it must have left the line.
"""

END: Final = np.dtype([("step", np.int64), ("slot", np.int64)])
"""The iteration in which a request ends, and where it is."""

ENDED: Final = np.dtype([("slot", np.int64), ("at_s", np.float64)])
"""A request that ended, and when."""

BLOCK: Final = np.dtype(
    [
        ("id", np.int64),
        ("uses", np.int64),
        ("tokens", np.int64),
        ("older", np.int64),
        ("newer", np.int64),
        ("found", np.int64),
    ]
)
"""A place for one block of a prompt in a node's cache.

``uses``: by how many requests it is held; where by none, ``older`` and ``newer`` are its neighbours among such.  In a
free place ``newer`` is the next free one.  ``found`` has to do with no block here: by place of a hash table with open
addresses it says where a block lies.
"""

REFERENCE: Final = np.dtype([("id", np.int64), ("block", np.int64)])
"""A block of a request's prompt, and where its node has it; ``NONE``: it is the request's own."""


class Pool(NamedTuple):
    """Equal nodes and what is on them.

    Few arrays, since every call of a compiled function copies what describes each of them.
    """

    pace: Pace
    nodes: Records
    """By node, of ``NODE``."""

    ends: Records
    """(nodes, most requests), of ``END``: a heap."""

    slots: Records
    """By slot, of ``SLOT``."""

    free: Ints
    """A stack of free slots; its height stands in its last entry."""

    ended: Records
    """Of ``ENDED``: requests that ended since it was last emptied; the last one's slot is how many."""

    block_tokens: int
    """Of the blocks by which prompts are told; 0 where they are not."""

    blocks: Records
    """(nodes, a power of two), of ``BLOCK``."""

    references: Records
    """Of ``REFERENCE``: the blocks of all requests under way, one request's after another's."""
