"""What a request may take at most, what it holds of its limits, and what its client is told above them."""

from __future__ import annotations

from math import ceil, isfinite
from typing import TYPE_CHECKING, Any, Final

import msgspec

from breakeven.gateway import replies
from breakeven.limits.reserve import Refused
from breakeven.metering.reading import Reading, tokens_of_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.gateway.replies import Reply
    from breakeven.gateway.targets import Offer
    from breakeven.limits.reserve import Limits, Reservation, Subject


class _Bounds(msgspec.Struct):
    """The fields by which the protocols bound an answer, and how many answers are asked for."""

    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    n: Any = None


_BOUNDS: Final = msgspec.json.Decoder(_Bounds)


def expected_of(body: bytes, output_tokens: int) -> Reading:
    """Return what a request may use: its size, and the output that it allows; ``output_tokens`` where it says none."""
    found = _BOUNDS.decode(body)
    said = [found.max_tokens, found.max_completion_tokens, found.max_output_tokens]
    bounds = [bound for bound in said if isinstance(bound, int) and bound > 0]
    answers = found.n if isinstance(found.n, int) and found.n > 0 else 1
    output = max(bounds, default=output_tokens) * answers
    return Reading(tokens_of_bytes(len(body)), output, 0, 0, 0, estimated=True)


def over_limit(refused: Refused) -> Reply:
    """Return the refusal of a request above a limit, with the time after which it may be asked again."""
    wait_s = refused.retry_after_s
    extra = b"retry-after: %d\r\n" % ceil(wait_s) if isfinite(wait_s) else b"x-should-retry: false\r\n"
    code = "insufficient_quota" if refused.rule.kind == "usd" else "rate_limit_exceeded"
    return replies.refusal(429, refused.message, code, extra=extra)


class Holding:
    """What one request holds: of the limits of its key and the like, of the target it is at, and of its provider."""

    __slots__ = ("_at_us", "_expected", "_quotas", "_request", "_spent_nano_usd", "_spent_tokens", "_there", "gone")

    def __init__(self, quotas: Limits, expected: Reading, at_us: int) -> None:
        self._quotas = quotas
        self._expected = expected
        self._at_us = at_us
        self._request: Reservation | None = None
        self._there: Reservation | None = None
        self._spent_tokens = self._spent_nano_usd = 0
        self.gone = False
        """Nobody waits any more: what is granted late is given back."""

    def reserve(self, subject: Subject, offer: Offer, now_s: float, then: Callable[[Refused | None], None]) -> None:
        """Reserve for the request at the price of an offer; ``then`` is told once, now or later, what refuses it."""
        self._reserve(subject, offer, now_s, lambda found: then(self._take(found)))

    def reserve_there(self, offer: Offer, now_s: float, then: Callable[[Refused | None], None]) -> None:
        """Reserve of the limits of an offer's target and its provider; ``then`` is told likewise."""
        subject = self._quotas.target_subject(offer.target.name, offer.target.provider)
        if subject is None:
            then(None)
        else:
            self._reserve(subject, offer, now_s, lambda found: then(self._take_there(found)))

    def settle(self, offer: Offer, reading: Reading, *, last: bool) -> None:
        """Put what an attempt used in place of what was reserved; with the last one, of the whole request."""
        tokens, nano_usd = self.count(offer, reading)
        there, self._there = self._there, None
        if there is not None:
            _give(self._quotas, there, tokens, nano_usd)
        if last:
            self.end()

    def count(self, offer: Offer, reading: Reading) -> tuple[int, int]:
        """Count what an attempt used as the request's; return its tokens and billionths of a dollar."""
        tokens = reading.input_tokens + reading.output_tokens
        nano_usd = offer.price.nano_usd(reading, self._at_us)
        self._spent_tokens += tokens
        self._spent_nano_usd += nano_usd
        return tokens, nano_usd

    def end(self) -> None:
        """Settle the request by what its attempts used; one that used nothing gives everything back."""
        self.gone = True
        held, self._request = self._request, None
        if held is not None:
            _give(self._quotas, held, self._spent_tokens, self._spent_nano_usd)

    def _amounts(self, offer: Offer) -> tuple[int, int]:
        expected = self._expected
        return expected.input_tokens + expected.output_tokens, offer.price.nano_usd(expected, self._at_us)

    def _reserve(
        self, subject: Subject, offer: Offer, now_s: float, take: Callable[[Reservation | Refused], None]
    ) -> None:
        tokens, nano_usd = self._amounts(offer)
        found = self._quotas.reserve(subject, tokens, nano_usd, now_s)
        if isinstance(found, Refused) and found.unsure:
            self._quotas.ask(subject, tokens, nano_usd, now_s, take)
        else:
            take(found)

    def _take(self, found: Reservation | Refused) -> Refused | None:
        if isinstance(found, Refused):
            return found
        if self.gone:
            self._quotas.release(found)
        else:
            self._request = found
        return None

    def _take_there(self, found: Reservation | Refused) -> Refused | None:
        if isinstance(found, Refused):
            return found
        if self.gone:
            self._quotas.release(found)
        else:
            self._there = found
        return None


def _give(quotas: Limits, held: Reservation, tokens: int, nano_usd: int) -> None:
    if tokens:
        quotas.settle(held, tokens, nano_usd)
    else:
        quotas.release(held)
