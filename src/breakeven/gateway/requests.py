"""What the gateway reads of a request, and the two places in which it may change one.

A body goes to the target as it came, byte for byte.  The model's name is replaced where the target knows
the model by another one, and ``stream_options.include_usage`` is asked for where the client did not.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

MAX_MODEL_BYTES: Final = 256
"""Longer model names are refused: the longest in use have about 120 characters."""


class StreamOptions(msgspec.Struct):
    """The option that decides whether a stream ends in its usage."""

    include_usage: bool | None = None


class ClientRequest(msgspec.Struct):
    """The fields that checking, routing and metering need; every other one is passed on unread."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class BadRequestError(Exception):
    """The body is not the request that it should be; ``str()`` says why, fit for the client."""


_DECODER: Final = msgspec.json.Decoder(ClientRequest)
_NAME: Final = re.compile(rb'"model"')
"""A pattern, because on long bodies it is found twice as fast as by ``bytes.find``."""

_MODEL: Final = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_request(body: bytes, what: str) -> ClientRequest:
    """Decode what is needed of a request that is called so to its client.  Raises ``BadRequestError``."""
    try:
        request = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"The request is not a {what}: {error}.") from None
    except msgspec.DecodeError as error:
        raise BadRequestError(f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise BadRequestError("The body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise BadRequestError("The body is not UTF-8 text.") from None
    if len(request.model) > MAX_MODEL_BYTES:
        raise BadRequestError(f"The model's name has more than {MAX_MODEL_BYTES} characters.")
    return request


def named_once(body: bytes) -> bool:
    r"""Whether the bytes name the model in one place only, so that every reader finds the same one.

    ``"model"`` cannot stand inside a JSON string, where its quotes would be escaped; it can be the key of
    another object, stand twice, or be written with escapes (m, o, d, e and l all are ``\u006…``).
    """
    first = _NAME.search(body)
    if first is None or _NAME.search(body, first.end()):
        return False
    # Not "in": that asks first whether the bytes are a number, and makes an exception of it each time.
    return body.find(b"\\") < 0 or body.find(b"\\u006") < 0


def rewritten(body: bytes, request: ClientRequest, *, model: str, ask_for_usage: bool) -> bytes:
    """Return the body with the model's name and the wish for usage put in; all other values byte for byte.

    A body that names its model once is spliced; any other is written anew from its fields, which leaves
    one of each.
    """
    renamed = model and model != request.model
    if named_once(body) and not (ask_for_usage and b'"stream_options"' in body):
        if renamed:
            body = _MODEL.sub(lambda _: b'"model":' + msgspec.json.encode(model), body, count=1)
        if ask_for_usage:
            start = body.index(b"{") + 1
            body = b'%b"stream_options":{"include_usage":true},%b' % (body[:start], body[start:])
        return body
    fields: dict[str, Any] = dict(_FIELDS.decode(body))
    if renamed:
        fields["model"] = model
    if ask_for_usage:
        options = fields.get("stream_options")
        asked = msgspec.json.decode(options) if options is not None else None
        fields["stream_options"] = (asked or {}) | {"include_usage": True}
    return msgspec.json.encode(fields)
