"""Reads the usage off a chat completion that came whole.

An answer whose usage is told is decoded for that alone, its text skipped; only without it is the text decoded, to be
estimated.  It does not judge whether the answer is a success: that is the status line's.
"""

from __future__ import annotations

from breakeven.metering.reading import Reading, processing_of, tokens_of_bytes
from breakeven.metering.salvage import salvage, salvage_fragment
from breakeven.metering.told import settle
from breakeven.metering.wire import UNREADABLE, Usage, decode_totals, written_bytes


def read_completion(body: bytes, request_body_bytes: int) -> Reading:
    """Return the tokens of an unstreamed chat completion; never raises, whatever the bytes.

    What its usage does not tell is estimated, from the size of the request's body and from the text of the answer;
    Of a body that is not JSON (it was cut, or its middle was not kept) the last usage in it counts; without one, all of
    it is taken for text.
    """
    try:
        totals = decode_totals(body)
    except UNREADABLE:
        return _read_what_is_there(body, request_body_bytes)
    usage = totals.usage
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return _read_what_is_there(body, request_body_bytes)
    # Both counts are told; settle falls back on the estimate only where one is impossible, and then reads again.
    reading = settle(usage, 0, 0, processing_of(totals.service_tier), False)  # noqa: FBT003 - hot path
    return _read_what_is_there(body, request_body_bytes) if reading.estimated else reading


def _read_what_is_there(body: bytes, request_body_bytes: int) -> Reading:
    input_tokens = tokens_of_bytes(request_body_bytes)
    found = salvage(body)
    if found is None:
        found = salvage_fragment(body)
        output_tokens = tokens_of_bytes(len(body))
    else:
        messages = [choice.message for choice in found.chunk.choices or () if choice.message]
        texts = [written_bytes(message) for message in messages]
        output_tokens = max(sum(1 for length_bytes in texts if length_bytes), tokens_of_bytes(sum(texts)))
    chunk = found.chunk
    processing = processing_of(chunk.service_tier)
    return settle(chunk.usage or Usage(), input_tokens, output_tokens, processing, found.doubtful)
