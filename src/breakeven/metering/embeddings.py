"""Reads the usage off embeddings, which are input alone.

Of an answer of megabytes nothing but its usage is decoded; the numbers are passed over.
"""

from __future__ import annotations

from breakeven.metering.reading import Reading, processing_of, tokens_of_bytes
from breakeven.metering.salvage import salvage, salvage_fragment
from breakeven.metering.told import settle
from breakeven.metering.wire import UNREADABLE, Totals, Usage, decode_totals


def read_embeddings(body: bytes, request_body_bytes: int) -> Reading:
    """Return the tokens of an answer with embeddings; never raises, whatever the bytes.

    The input is ``prompt_tokens``, or ``total_tokens`` where that alone is told, as at Voyage
    (https://docs.voyageai.com/reference/embeddings-api).  Without either it is estimated from the request's body.
    """
    doubtful = False
    try:
        totals = decode_totals(body)
    except UNREADABLE:
        totals, doubtful = salvage(body, Totals) or salvage_fragment(body, Totals)
    usage = totals.usage or Usage()
    prompt = usage.total_tokens if usage.prompt_tokens is None else usage.prompt_tokens
    told = Usage(prompt_tokens=prompt, completion_tokens=0)
    return settle(told, tokens_of_bytes(request_body_bytes), 0, processing_of(totals.service_tier), doubtful)
