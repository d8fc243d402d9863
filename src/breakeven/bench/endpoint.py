"""What is asked of an endpoint, in the form in which it takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from breakeven.settings.address import Address


class Dialect(NamedTuple):
    """Which of the usual options an endpoint takes."""

    bound: str = "max_tokens"
    """The option that bounds the output."""

    ignores_end: bool = True
    """Whether it takes ``ignore_eos``: vLLM, SGLang and llama.cpp do, so that the output is as long as its bound."""

    tells_usage: bool = True
    """Whether it takes ``stream_options``."""


DIALECTS: Final = (
    Dialect(),
    Dialect(ignores_end=False),
    Dialect(bound="max_completion_tokens", ignores_end=False),
    Dialect(ignores_end=False, tells_usage=False),
)
"""As they are tried: the option that is refused first is the one that OpenAI does not know."""


class Endpoint:
    """Makes the bytes of requests to one model at one address."""

    def __init__(self, address: Address, model: str, key: str) -> None:
        self.address = address
        self.model = model
        self.dialect = DIALECTS[0]
        lines = [
            f"POST {address.path}/chat/completions HTTP/1.1",
            f"host: {address.host_header}",
            *([f"authorization: Bearer {key}"] if key else []),
            "content-type: application/json",
            "accept: text/event-stream, application/json",
            "accept-encoding: identity",
            "user-agent: breakeven-bench",
            "content-length: ",
        ]
        self._head = "\r\n".join(lines).encode("latin-1")

    def request(self, prompt: str, output_tokens: int) -> bytes:
        """Return a request for a stream of so many tokens."""
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            self.dialect.bound: output_tokens,
            "stream": True,
        }
        if self.dialect.tells_usage:
            body["stream_options"] = {"include_usage": True}
        if self.dialect.ignores_end:
            body["ignore_eos"] = True
        data = msgspec.json.encode(body)
        return b"%b%d\r\n\r\n%b" % (self._head, len(data), data)
