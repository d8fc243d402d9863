"""A node's cache of prefixes by content: blocks of prompts that were computed there.  Compiled by numba.

As in vLLM (https://docs.vllm.ai/en/latest/design/prefix_caching.html): a block stands for itself and all before it; a
request holds the blocks that it found and those that it computed; what nobody holds stays until room is needed, and
the block goes first that was unused for longest, of one request's blocks the last.  Unlike there a last block may be
partly filled, since the blocks of traces are longer than an engine's own.  What was written is not kept: traces do not
say which later prompt it is in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.capacity.compiled import compiled
from breakeven.capacity.pool import NONE

if TYPE_CHECKING:
    from breakeven.capacity.compiled import Records
    from breakeven.capacity.pool import Pool

_SPREAD: Final = 0x1E3779B97F4A7C15
"""An odd number without a pattern: ids that follow each other lie apart in the table."""


@compiled
def look_up(pool: Pool, node: int, slot: int) -> None:
    """Write down how far the node's cache has a waiting request's prompt; the last token is always computed."""
    slots, blocks, references = pool.slots, pool.blocks[node], pool.references
    hits, idle = 0, 0
    while hits < slots[slot].blocks:
        place = slots[slot].blocks_at + hits
        found = _find(blocks, references[place].id)
        if found == NONE:
            break
        references[place].block = found
        if not blocks[found].uses:
            idle += blocks[found].tokens
        hits += 1
    cached = min(hits * pool.block_tokens, slots[slot].prompt - slots[slot].written, slots[slot].prompt - 1)
    pool.nodes[node].waiting_tokens += slots[slot].cached - cached
    slots[slot].cached, slots[slot].done = cached, cached
    slots[slot].hits, slots[slot].idle_hits = hits, idle


@compiled
def hold(pool: Pool, node: int, slot: int) -> None:
    """Let a request hold the blocks that were found."""
    nodes, slots, blocks = pool.nodes, pool.slots, pool.blocks[node]
    for place in range(slots[slot].blocks_at, slots[slot].blocks_at + slots[slot].hits):
        block = pool.references[place].block
        if not blocks[block].uses:
            _unlink(pool, node, block)
            nodes[node].kv_used += blocks[block].tokens
        blocks[block].uses += 1
    slots[slot].kept, slots[slot].idle_hits = slots[slot].hits, 0


@compiled
def keep(pool: Pool, node: int, slot: int) -> None:
    """Enter the blocks that a request has computed; one that another entered meanwhile stays its own."""
    slots, references = pool.slots, pool.references
    prompt = slots[slot].prompt - slots[slot].written
    while slots[slot].kept < slots[slot].blocks:
        start = slots[slot].kept * pool.block_tokens
        end = min(prompt, start + pool.block_tokens)
        if end > slots[slot].done:
            return
        place = slots[slot].blocks_at + slots[slot].kept
        block = NONE
        if _find(pool.blocks[node], references[place].id) == NONE:
            block = _enter(pool, node, references[place].id, end - start)
        references[place].block = block
        slots[slot].kept += 1


@compiled
def release(pool: Pool, node: int, slot: int) -> None:
    """Let go of the blocks that a request holds.

    What it brought into the cache is counted as used again, since who calls this frees its whole prompt.
    """
    nodes, slots, blocks = pool.nodes, pool.slots, pool.blocks[node]
    for place in range(slots[slot].kept - 1, -1, -1):
        block = pool.references[slots[slot].blocks_at + place].block
        if block == NONE:
            continue
        if place >= slots[slot].hits:
            nodes[node].kv_used += blocks[block].tokens
        blocks[block].uses -= 1
        if not blocks[block].uses:
            nodes[node].kv_used -= blocks[block].tokens
            _link(pool, node, block)
    slots[slot].kept = slots[slot].hits = 0


@compiled
def trim(pool: Pool, node: int) -> None:
    """Drop blocks that nobody holds, until those that are held have room."""
    nodes = pool.nodes
    while nodes[node].idle_tokens and nodes[node].kv_used + nodes[node].idle_tokens > pool.pace.kv_tokens:
        _drop_oldest(pool, node)


@compiled
def forget(pool: Pool, node: int) -> None:
    """Empty the cache of a node on which nothing runs."""
    while pool.nodes[node].oldest != NONE:
        _drop_oldest(pool, node)


@compiled
def _home(block_id: int, mask: int) -> int:
    spread = block_id * _SPREAD
    return int((spread ^ (spread >> 32)) & mask)


@compiled
def _find(blocks: Records, block_id: int) -> int:
    """Return where a block lies; ``NONE``: it is not there."""
    mask = len(blocks) - 1
    at = _home(block_id, mask)
    while blocks[at].found != NONE and blocks[blocks[at].found].id != block_id:
        at = (at + 1) & mask
    return int(blocks[at].found)


@compiled
def _enter(pool: Pool, node: int, block_id: int, tokens: int) -> int:
    """Put a block into the cache, held once; return where it lies, or ``NONE`` where all places are held."""
    nodes, blocks = pool.nodes, pool.blocks[node]
    if nodes[node].free_block == NONE:
        if nodes[node].oldest == NONE:
            return NONE
        _drop_oldest(pool, node)
    block = int(nodes[node].free_block)
    nodes[node].free_block = blocks[block].newer
    blocks[block].id, blocks[block].tokens, blocks[block].uses = block_id, tokens, 1
    mask = len(blocks) - 1
    at = _home(block_id, mask)
    while blocks[at].found != NONE:
        at = (at + 1) & mask
    blocks[at].found = block
    return block


@compiled
def _drop_oldest(pool: Pool, node: int) -> None:
    nodes, blocks = pool.nodes, pool.blocks[node]
    block = nodes[node].oldest
    _unlink(pool, node, block)
    _close_gap(blocks, block)
    blocks[block].newer = nodes[node].free_block
    nodes[node].free_block = block


@compiled
def _close_gap(blocks: Records, block: int) -> None:
    """Take a block out of the table; those behind it move up, so that each is still found from its home on."""
    mask = len(blocks) - 1
    hole = _home(blocks[block].id, mask)
    while blocks[hole].found != block:
        hole = (hole + 1) & mask
    at = (hole + 1) & mask
    while blocks[at].found != NONE:
        home = _home(blocks[blocks[at].found].id, mask)
        if (at - home) & mask >= (at - hole) & mask:
            blocks[hole].found = blocks[at].found
            hole = at
        at = (at + 1) & mask
    blocks[hole].found = NONE


@compiled
def _link(pool: Pool, node: int, block: int) -> None:
    """Count a block as the one unused since latest."""
    nodes, blocks = pool.nodes, pool.blocks[node]
    latest = nodes[node].latest
    blocks[block].older, blocks[block].newer = latest, NONE
    if latest == NONE:
        nodes[node].oldest = block
    else:
        blocks[latest].newer = block
    nodes[node].latest = block
    nodes[node].idle_tokens += blocks[block].tokens


@compiled
def _unlink(pool: Pool, node: int, block: int) -> None:
    nodes, blocks = pool.nodes, pool.blocks[node]
    older, newer = blocks[block].older, blocks[block].newer
    if older == NONE:
        nodes[node].oldest = newer
    else:
        blocks[older].newer = newer
    if newer == NONE:
        nodes[node].latest = older
    else:
        blocks[newer].older = older
    nodes[node].idle_tokens -= blocks[block].tokens
