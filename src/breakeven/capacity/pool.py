"""What a pool of nodes is to the simulator: its pace, and the arrays in which its state lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from breakeven.capacity.compiled import Floats, Ints

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


class Nodes(NamedTuple):
    """What nodes are doing; arrays by node."""

    now_s: Floats
    """The end of the last iteration; where there is nothing to do it stands still."""

    due_s: Floats
    """Before then no request ends or begins there, so that nobody need look; infinite where there is nothing to do."""

    step: Ints
    """Iterations so far."""

    decoding: Ints
    """Requests past their prompt."""

    kv_used: Ints
    """Tokens in the cache."""

    kv_promised: Ints
    """Tokens that are reserved beyond those."""

    head: Ints
    tail: Ints
    """Slots of the requests that wait, the one in its prompt first."""

    waiting: Ints
    """How many they are."""

    waiting_tokens: Ints
    """Of prompts, not yet computed."""

    newest: Ints
    """The slot let in last, of those that decode: the first to be put back."""

    ends: Ints
    """(nodes, most requests): a heap of the iterations at which requests end; below it their slots."""

    ending: Ints
    busy_s: Floats
    """Time within iterations."""

    preempted: Ints
    """Requests put back."""


class Slots(NamedTuple):
    """Requests on nodes; arrays by slot."""

    request: Ints
    """The number of the request that has it."""

    arrived_s: Floats
    prompt: Ints
    """Tokens to compute before the next output: the prompt, and what was written before it was put back."""

    done: Ints
    """Of them."""

    cached: Ints
    """Of them, found in the cache of prefixes."""

    output: Ints
    """Tokens still to write."""

    written: Ints
    """Tokens written before it was put back."""

    first_s: Floats
    """When its first token came; NaN before."""

    end_step: Ints
    older: Ints
    newer: Ints
    """Neighbours among those that decode, or the next that waits."""

    free: Ints
    """A stack of free slots; its height stands in its last entry."""


class Ended(NamedTuple):
    """Requests that ended since it was last emptied; ``noted`` has one entry, how many."""

    slot: Ints
    at_s: Floats
    noted: Ints


class Pool(NamedTuple):
    """Equal nodes and what is on them."""

    pace: Pace
    nodes: Nodes
    slots: Slots
    ended: Ended
