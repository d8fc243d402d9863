"""Reads what there is of an answer that came whole and does not tell its usage, or cannot be read as it should."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from breakeven.metering.reading import Reading, processing_of, tokens_of_bytes
from breakeven.metering.salvage import salvage, salvage_fragment
from breakeven.metering.told import settle
from breakeven.metering.wire import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

S = TypeVar("S", bound=msgspec.Struct)


class Answer(NamedTuple):
    """What an answer of any protocol says."""

    usage: Usage | None
    service_tier: str | None
    text_bytes: Sequence[int]
    """Of each of its choices, or of each of its parts."""


def read_what_is_there(
    body: bytes, request_body_bytes: int, kind: type[S], answer_of: Callable[[S], Answer]
) -> Reading:
    """Return the tokens of a body, estimating what it does not tell; ``answer_of`` understands its ``kind``.

    Of a body that is no JSON object the last usage in it counts; without one, all of it is taken for text.
    """
    salvaged = salvage(body, kind)
    found, doubtful = salvaged or salvage_fragment(body, kind)
    usage, service_tier, text_bytes = answer_of(found)
    if salvaged is None:
        output_tokens = tokens_of_bytes(len(body))
    else:
        output_tokens = max(sum(1 for length_bytes in text_bytes if length_bytes), tokens_of_bytes(sum(text_bytes)))
    input_tokens = tokens_of_bytes(request_body_bytes)
    return settle(usage or Usage(), input_tokens, output_tokens, processing_of(service_tier), doubtful)
