"""How much of a log repeats itself: prompts sent again, and prompts that begin as earlier ones did.

Blocks stand for themselves and everything before them, so a request finds a prefix exactly as far as its blocks
were used before, and with a lifetime renewed by each use, as far as they were used recently enough.  Whether a
provider or an engine would really have kept them (evictions, minimum lengths, routing) is not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import ibis

from breakeven.records import Reuse
from breakeven.traffic.schema import INPUT_TOKENS, PREFIX_BLOCKS, PROMPT_ID
from breakeven.traffic.sums import fetch, microseconds_of

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from breakeven.traffic.coverage import Coverage

EXACT_PROMPTS: Final = 10_000_000
"""Of a longer log those prompts are taken whose hash begins with a zero digit: every use of one in sixteen."""

EXACT_BLOCKS: Final = 20_000_000
"""Of more blocks those are taken whose id is a multiple of a number: every use of about so many."""

Shares = tuple[float | None, float | None, float | None]

FIVE_MINUTES_US: Final = 300 * 1_000_000
HOUR_US: Final = 3600 * 1_000_000


def reuse_of(table: Table, seen: Coverage, block_tokens: int | None) -> tuple[Reuse | None, tuple[str, ...]]:
    """Return the shares of what came before, and notes where they are those of a sample."""
    notes = []
    duplicates = None
    prefixes: Shares = (None, None, None)
    if PROMPT_ID in seen.said:
        duplicates = _duplicates(table, sampled=seen.said[PROMPT_ID] > EXACT_PROMPTS)
        if seen.said[PROMPT_ID] > EXACT_PROMPTS:
            notes.append("repeated prompts are those of one prompt in sixteen, chosen by its hash")
    if PREFIX_BLOCKS in seen.said and block_tokens:
        step = max(1, seen.block_count // EXACT_BLOCKS) | 1
        prefixes = _prefixes(table, block_tokens, step)
        if step > 1:
            notes.append(f"repeated prefixes are those of one block in {step}, chosen by its id")
    ever, within_5min, within_1h = prefixes
    if duplicates is None and ever is None:
        return None, ()
    reuse = Reuse(
        duplicate_fraction=duplicates,
        prefix_fraction=ever,
        prefix_5min_fraction=within_5min,
        prefix_1h_fraction=within_1h,
    )
    return reuse, tuple(notes)


def _duplicates(table: Table, *, sampled: bool) -> float | None:
    prompts = table.filter(table[PROMPT_ID].notnull())
    if sampled:
        prompts = prompts.filter(prompts[PROMPT_ID].hexdigest("md5").left(1) == "0")
    uses = prompts.group_by(PROMPT_ID).aggregate(uses=prompts.count())
    row = fetch(uses.aggregate(requests=uses.uses.sum(), prompts=uses.count()))[0]
    return 1 - row["prompts"] / row["requests"] if row["requests"] else None


def _prefixes(table: Table, block_tokens: int, step: int) -> Shares:
    """Return the shares of input tokens in blocks that were used ever before, in five minutes, in an hour.

    A block of a sample stands for all blocks: their tokens over the sample's scale it up.
    """
    requests = table.filter(table[PREFIX_BLOCKS].notnull())
    asked = requests.select(
        at_us=microseconds_of(requests), given=requests[INPUT_TOKENS], blocks=requests[PREFIX_BLOCKS]
    )
    in_blocks = ibis.least(asked.given, asked.blocks.length().cast("int64") * block_tokens)
    whole = fetch(asked.aggregate(given=asked.given.sum(), in_blocks=in_blocks.sum()))[0]
    cut = asked.unnest("blocks", offset="place")
    cut = cut.filter(cut.blocks % step == 0) if step > 1 else cut
    held = ibis.greatest(ibis.least(cut.given - cut.place.cast("int64") * block_tokens, block_tokens), 0)
    cut = cut.select("blocks", "at_us", tokens=held)
    # Requests of one instant are taken in the order of their tokens: that of rows must not matter.
    ordered = ibis.window(group_by=cut.blocks, order_by=[cut.at_us, cut.tokens])
    uses = cut.select("tokens", age_us=cut.at_us - cut.at_us.lag().over(ordered))
    row = fetch(
        uses.aggregate(
            taken=uses.tokens.sum(),
            ever=uses.tokens.sum(where=uses.age_us.notnull()),
            within_5min=uses.tokens.sum(where=uses.age_us <= FIVE_MINUTES_US),
            within_1h=uses.tokens.sum(where=uses.age_us <= HOUR_US),
        )
    )[0]
    if not whole["given"] or not row["taken"]:
        return None, None, None
    scale = whole["in_blocks"] / row["taken"] / whole["given"]
    ever, within_5min, within_1h = ((row[name] or 0) * scale for name in ("ever", "within_5min", "within_1h"))
    return ever, within_5min, within_1h
