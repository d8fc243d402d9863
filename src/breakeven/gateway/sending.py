"""What goes to a target for a request: its protocol, and the body as that target wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breakeven.gateway.continuation import continued
from breakeven.gateway.crossing import Crossing
from breakeven.gateway.failures import NOT_CONTINUED, UNTRANSLATABLE, Failure
from breakeven.gateway.requests import named_once, rewritten
from breakeven.protocols import UntranslatableError

if TYPE_CHECKING:
    from breakeven.gateway.dialects import Dialect
    from breakeven.gateway.requests import ClientRequest
    from breakeven.gateway.targets import Offer


class Outgoing(NamedTuple):
    """A request on its way."""

    dialect: Dialect
    """What the target is spoken to in."""

    body: bytes
    hides_usage: bool
    """We asked for the usage that ends a stream, and the client did not."""

    crossing: Crossing | None = None
    """Where the client speaks another protocol."""


def outgoing(client: Dialect, offer: Offer, request: ClientRequest, body: bytes) -> Outgoing | Failure:
    """Return what is sent to an offer's target for a request in a client's dialect, or why it cannot be asked."""
    dialect = offer.target.spoken[client.place]
    if dialect is not client:
        crossing = Crossing(client, dialect)
        try:
            body = crossing.request(body, request, offer)
        except UntranslatableError as error:
            return Failure(UNTRANSLATABLE, str(error))
        return Outgoing(dialect, body, hides_usage=False, crossing=crossing)
    hides_usage = False
    if request.stream and offer.target.stream_usage and dialect.asks_for_usage:
        options = request.stream_options
        hides_usage = options is None or not options.include_usage
    if hides_usage or offer.renamed or not named_once(body):
        try:
            body = rewritten(body, request, model=offer.model, ask_for_usage=hides_usage)
        except (UnicodeDecodeError, RecursionError):
            return Failure(UNTRANSLATABLE, "The body is not UTF-8 text, or nested too deeply.")
    return Outgoing(dialect, body, hides_usage)


def going_on(client: Dialect, offer: Offer, request: ClientRequest, body: bytes, text: str) -> Outgoing | Failure:
    """Return what is sent to have a stream go on behind the text that its client has read, or why that is not so."""
    longer = continued(client, body, text, offer.target.prefill) if text else body  # nothing was read: ask once more
    if longer is None or offer.target.spoken[client.place] is not client:
        return Failure(NOT_CONTINUED, f"{offer.target.name} cannot continue the stream")
    return outgoing(client, offer, request, longer)
