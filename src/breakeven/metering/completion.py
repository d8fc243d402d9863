"""Reads the usage off a completion that came whole, of chat or of text alone.

An answer whose usage is told is decoded for that alone, its text skipped; only without it is the text decoded, to be
estimated.  It does not judge whether the answer is a success: that is the status line's.
"""

from __future__ import annotations

from breakeven.metering.reading import Reading, processing_of
from breakeven.metering.told import settle
from breakeven.metering.whole import Answer, read_what_is_there
from breakeven.metering.wire import UNREADABLE, TextChunk, choice_bytes, decode_totals


def read_completion(body: bytes, request_body_bytes: int) -> Reading:
    """Return the tokens of an unstreamed completion, of chat or not; never raises, whatever the bytes.

    What its usage does not tell is estimated, from the size of the request's body and from the text of the answer.
    Of a body that is not JSON (it was cut, or its middle was not kept) the last usage in it counts; without one, all of
    it is taken for text.
    """
    try:
        totals = decode_totals(body)
    except UNREADABLE:
        return read_what_is_there(body, request_body_bytes, TextChunk, _answer)
    usage = totals.usage
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return read_what_is_there(body, request_body_bytes, TextChunk, _answer)
    # Both counts are told; settle falls back on the estimate only where one is impossible, and then reads again.
    reading = settle(usage, 0, 0, processing_of(totals.service_tier), False)  # noqa: FBT003 - hot path
    return read_what_is_there(body, request_body_bytes, TextChunk, _answer) if reading.estimated else reading


def _answer(chunk: TextChunk) -> Answer:
    texts = [choice_bytes(choice, choice.message) for choice in chunk.choices or ()]
    return Answer(chunk.usage, chunk.service_tier, texts)
