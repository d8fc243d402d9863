"""What an attempt leaves behind: its row for the ledger, and the header lines that tell its client what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.ledger.rows import ESTIMATED, STREAMED, UNKNOWN_US, Attempt

if TYPE_CHECKING:
    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.labels import Labels
    from breakeven.gateway.requests import ClientRequest
    from breakeven.gateway.shared import Shared
    from breakeven.gateway.targets import Offer
    from breakeven.metering.reading import Reading

_OWN_LINES: Final = b"%bx-breakeven-request-id: %015x\r\nx-breakeven-decision: %b\r\nx-breakeven-overhead-us: %d\r\n"
_FALLBACK_LINES: Final = b"x-breakeven-attempts: %d\r\nx-breakeven-fallback: %b\r\n"
WHOLE: Final = b"HTTP/1.1 200 OK\r\n%b" + _OWN_LINES + b"%b%b%bcontent-length: %d\r\n\r\n%b"
"""A whole successful answer: the target's lines, ours, those of a fallback, of the cost, of closing; size and body."""

_new: Final = tuple.__new__
"""Makes a named tuple of its values; the class itself takes 0.3 µs longer, having to pass through Python."""


class Account:
    """What is known of a request and of the attempt in hand, as far as it is told to anybody."""

    __slots__ = (
        "decision", "fallback", "first_byte_s", "key", "labels", "number", "offer", "ready_s", "received_us", "request",
        "request_id", "sent_s", "shared",
    )  # fmt: skip

    shared: Shared
    key: KeyState
    labels: Labels | None
    request: ClientRequest
    request_id: int
    received_us: int
    """Unix microseconds."""

    ready_s: float
    """When the request was whole, on the stopwatch; the others are 0 until they happen."""

    sent_s: float
    first_byte_s: float
    offer: Offer
    """Where the attempt goes."""

    number: int
    """Attempts before this one."""

    decision: tuple[bytes, int]
    """Why it goes there: text, and the ledger's code."""

    fallback: str
    """Why the attempt before it failed; empty for the first."""

    def own_lines(self) -> bytes:
        """Return the header lines that say what the gateway did."""
        lines = _OWN_LINES % (
            self.offer.target.reply_header,
            self.request_id >> 4,  # as ledger.ids.request_text writes it
            self.decision[0],
            int((self.sent_s - self.ready_s) * 1e6) if self.sent_s else 0,
        )
        return lines + self.fallback_lines() if self.number else lines

    def row(self, outcome: int, failure: str, reading: Reading, status: int) -> Attempt:
        """Return the ledger's row of the attempt in hand."""
        shared, offer, labels, key = self.shared, self.offer, self.labels, self.key
        ready_s = self.ready_s
        input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, processing, estimated = reading
        reason = shared.state.reason
        return _new(
            Attempt,
            (
                self.request_id | self.number,
                self.received_us,
                int((self.sent_s - ready_s) * 1e6) if self.sent_s else UNKNOWN_US,
                int((self.first_byte_s - ready_s) * 1e6) if self.first_byte_s else UNKNOWN_US,
                int((shared.clock.monotonic() - ready_s) * 1e6),
                key.code,
                labels.task if labels is not None else 0,
                labels.tags if labels is not None else key.tags,
                offer.model_code,
                offer.target.code,
                offer.priced_code,
                self.decision[1],
                reason(self.fallback) if self.fallback else 0,
                reason(failure) if failure else 0,
                status,
                outcome,
                processing,
                (ESTIMATED if estimated else 0) | (STREAMED if self.request.stream else 0),
                input_tokens,
                cached_input_tokens,
                cache_write_tokens,
                output_tokens,
                labels.episode if labels is not None else "",
            ),
        )

    def fallback_lines(self) -> bytes:
        """Return the header lines of a request that took more than one attempt."""
        return _FALLBACK_LINES % (self.number + 1, self.fallback.encode())
