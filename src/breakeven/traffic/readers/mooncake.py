"""Traces that name the blocks of each prompt: Mooncake and Qwen-Bailian.

One JSON object a request, with ``timestamp`` from the trace's start, ``input_length``, ``output_length`` and
``hash_ids``: one id a block of the prompt, equal where the block and everything before it are equal.

- Mooncake (FAST '25): milliseconds, blocks of 512 tokens.  https://github.com/kvcache-ai/Mooncake (Apache-2.0)
- Qwen-Bailian: seconds, blocks of 16 tokens, and ``chat_id``, ``parent_chat_id`` (-1 in a first turn), ``turn`` and
  ``type``.  A turn sends its whole conversation again, so that of its input the earlier turns' input and
  output are history.  https://github.com/alibaba-edu/qwen-bailian-usagetraces-anon (Apache-2.0)

Other tools write the same form with blocks of other sizes; the size is that which fits the lengths.
"""

# ruff: noqa: S608 - names in the queries are made by staging

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from breakeven.traffic.layout import Layout
from breakeven.traffic.schema import (
    EPISODE,
    HISTORY_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    PREFIX_BLOCKS,
    PROMPT_ID,
    TARGET,
    TASK,
    TIME,
)
from breakeven.traffic.staging import Rows, stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breakeven.traffic.head import Column, Head
    from breakeven.traffic.layout import Options

FIELDS: Final = {
    TIME: "timestamp",
    INPUT_TOKENS: "input_length",
    OUTPUT_TOKENS: "output_length",
    PREFIX_BLOCKS: "hash_ids",
}
CHAT: Final = "chat_id"
PARENT: Final = "parent_chat_id"
KIND: Final = "type"
NO_PARENT: Final = "-1"

MOONCAKE_BLOCK_TOKENS: Final = 512
BAILIAN_BLOCK_TOKENS: Final = 16
OTHER_BLOCK_TOKENS: Final = (16, 32, 64, 128, 256, 512, 1024)
FITTING_FRACTION: Final = 0.95
"""Of the requests seen first: some logs hold a few whose blocks were cut otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MooncakeReader:
    """Reads requests with the ids of their prompts' blocks."""

    name: str = "mooncake"

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether the fields of the published files are there and the user names none."""
        return not options.mapping and {column.name for column in head.columns} >= set(FIELDS.values())

    def read(self, backend: Any, head: Head, options: Options) -> Rows:  # noqa: ARG002 - the protocol's signature
        """Stage the rows; of Qwen-Bailian follow each turn to the conversation's first."""
        by_name = {column.name: (column,) for column in head.columns}
        columns = {name: by_name[field] for name, field in FIELDS.items()}
        bailian = head.column(CHAT) is not None and head.column(PARENT) is not None
        block_tokens = _block_tokens(head, BAILIAN_BLOCK_TOKENS if bailian else MOONCAKE_BLOCK_TOKENS)
        if block_tokens:
            columns[PROMPT_ID] = columns[PREFIX_BLOCKS]
        if bailian:
            # The parent stands in for the target until the turns are followed.
            columns |= {EPISODE: by_name[CHAT], TARGET: by_name[PARENT]}
            columns |= {TASK: by_name[KIND]} if KIND in by_name else {}
        layout = Layout(
            kind="trace",
            columns=columns,
            time_unit_s=1.0 if bailian else 0.001,
            block_tokens=block_tokens,
            notes=_notes(head, columns, block_tokens, bailian=bailian),
        )
        rows = stage(backend, head, layout)
        return _followed(backend, rows) if bailian else rows


def _notes(
    head: Head, columns: Mapping[str, tuple[Column, ...]], block_tokens: int | None, *, bailian: bool
) -> tuple[str, ...]:
    notes = []
    if block_tokens is None:
        blocks = columns[PREFIX_BLOCKS][0].name
        notes.append(f"{head.file}: {blocks} fit no usual block size, so what prompts share has no length in tokens")
    elif block_tokens != (BAILIAN_BLOCK_TOKENS if bailian else MOONCAKE_BLOCK_TOKENS):
        notes.append(f"{head.file}: prompts were cut into blocks of {block_tokens} tokens, as their lengths show")
    if bailian:
        notes.append(
            f"{head.file}: a turn with a parent counts the parent's input and output as history, up to its own input"
        )
    return tuple(notes)


def _block_tokens(head: Head, published_tokens: int) -> int | None:
    """Return the block size that explains the lengths of the first requests, the published one preferred."""
    lengths, blocks = (head.sample.get(FIELDS[name], ()) for name in (INPUT_TOKENS, PREFIX_BLOCKS))
    seen = [
        (int(length), ids.count(",") + 1)
        for length, ids in zip(lengths, blocks, strict=False)
        if length.isdecimal() and len(length) < 9 and ids not in ("", "[]")
    ]
    return next((size for size in (published_tokens, *OTHER_BLOCK_TOKENS) if _fits(seen, size)), None)


def _fits(seen: Sequence[tuple[int, int]], block_tokens: int) -> bool:
    fitting = sum(-(-length // block_tokens) == count for length, count in seen)
    return bool(seen) and fitting >= FITTING_FRACTION * len(seen)


def _followed(backend: Any, rows: Rows) -> Rows:
    """Give every turn its conversation and its history: a chat's parent is the turn before it."""
    turns, roots, view = (f"{rows.view}_{part}" for part in ("turns", "roots", "followed"))
    backend.raw_sql(
        f"CREATE TEMP TABLE {turns} AS SELECT {EPISODE} AS chat, arg_min({TARGET}, row) AS parent, "
        f"arg_min({INPUT_TOKENS} + {OUTPUT_TOKENS}, row) AS tokens "
        f"FROM {rows.view} WHERE fault IS NULL AND {EPISODE} IS NOT NULL GROUP BY {EPISODE}"
    )
    # A chat has one parent, so that chats in a circle are reached from no root and the recursion ends.
    backend.raw_sql(
        f"CREATE TEMP TABLE {roots} AS WITH RECURSIVE followed(chat, root) AS ("
        f"SELECT chat, chat FROM {turns} WHERE NOT EXISTS (SELECT 1 FROM {turns} AS up WHERE up.chat = {turns}.parent) "
        f"UNION ALL SELECT down.chat, root FROM {turns} AS down JOIN followed ON down.parent = followed.chat) "
        "SELECT * FROM followed"
    )
    history = (
        f"CASE WHEN before.tokens IS NOT NULL THEN least(before.tokens, {INPUT_TOKENS}) "
        f"WHEN {TARGET} IS NULL OR {TARGET} = '{NO_PARENT}' THEN 0 END"
    )
    backend.raw_sql(
        f"CREATE TEMP VIEW {view} AS SELECT staged.* REPLACE (coalesce(root, {EPISODE}) AS {EPISODE}, "
        f"NULL::VARCHAR AS {TARGET}, {history} AS {HISTORY_TOKENS}) "
        f"FROM {rows.view} AS staged LEFT JOIN {roots} AS found ON {EPISODE} = found.chat "
        f"LEFT JOIN {turns} AS before ON {TARGET} = before.chat"
    )
    return replace(rows, view=view)
