"""The first few requests: whether the endpoint answers, which options it takes, and how it counts tokens."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.bench.call import EMPTY, NOT_STREAMED, TIMED_OUT, Call
from breakeven.bench.endpoint import DIALECTS, Dialect
from breakeven.bench.prompts import MOST_PROMPT_TOKENS, Measure, Prompts, fitted
from breakeven.bench.tally import Tally
from breakeven.errors import InputError
from breakeven.upstreams.connection import CONNECT_FAILED, CONNECT_TIMEOUT, TLS_FAILED

if TYPE_CHECKING:
    from breakeven.bench.endpoint import Endpoint
    from breakeven.clock import Clock
    from breakeven.upstreams.pool import Pool

_FIRST_WORDS: Final = 16
_OUTPUT_TOKENS: Final = 8
_DENIED: Final = ("http_400", "http_422")
"""How an option is refused that an endpoint does not know."""

_MESSAGE: Final = re.compile(r'"(?:message|error|detail)"\s*:\s*"((?:[^"\\]|\\.){1,400})"')
_MOST_SHOWN: Final = 300

_MEANT: Final = {
    "http_401": "It wants a key that it knows. Name yours by reference: --key env:NAME.",
    "http_403": "The key may not use this model. Name another by reference: --key env:NAME.",
    "http_404": "It has no such model or no chat completions at this address. A base URL mostly ends in /v1; "
    "GET URL/models lists the models.",
    "http_429": "It limits requests. Wait, or measure with a key of higher limits.",
    NOT_STREAMED: "It answered without streaming, and only a stream tells when the first token came.",
    EMPTY: "Its stream had no text, so there is nothing to time.",
    TIMED_OUT: "It was silent for too long. Wait longer with --timeout-s.",
    CONNECT_FAILED: "Is the server running, and are host and port right?",
    CONNECT_TIMEOUT: "Is the host right, and does a firewall let you through?",
    TLS_FAILED: "Name the authority that signed its certificate with --ca-file, or use http:// if it speaks no TLS.",
}


class Learned(NamedTuple):
    """What the probes have shown."""

    dialect: Dialect
    measure: Measure
    tells_usage: bool
    """Whether it told its tokens: those of prompts cannot be known otherwise."""

    early: bool
    """Whether it ended before the output that was asked for."""

    sent_count: int


async def probe(
    endpoint: Endpoint, pool: Pool, prompts: Prompts, clock: Clock, *, input_tokens: int, silent_s: float
) -> Learned:
    """Ask a few times, and set the endpoint's dialect; ``input_tokens``: of the longest prompts that will be sent.

    Raises ``InputError`` where no stream can be had of it.
    """
    prober = _Prober(endpoint, pool, prompts, clock, silent_s)
    first = await _first(endpoint, prober)
    counted = _counted(first, _FIRST_WORDS)
    ratio = fitted(counted)
    words = min(ratio.words(min(input_tokens, MOST_PROMPT_TOKENS)), MOST_PROMPT_TOKENS // 2)
    if counted and abs(words - _FIRST_WORDS) > _FIRST_WORDS // 2:
        counted += _counted(await prober.ask(words, _OUTPUT_TOKENS), words)
    ended = first.reading
    assert ended is not None
    return Learned(
        dialect=endpoint.dialect,
        measure=fitted(counted),
        tells_usage=ended.told,
        early=ended.told and ended.output_tokens < _OUTPUT_TOKENS,
        sent_count=prober.sent_count,
    )


async def _first(endpoint: Endpoint, prober: _Prober) -> Call:
    """Return the first answer, in the first dialect that is not refused."""
    refused: Call | None = None
    for dialect in DIALECTS:
        endpoint.dialect = dialect
        call = await prober.ask(_FIRST_WORDS, _OUTPUT_TOKENS)
        if not call.failure:
            return call
        if call.failure not in _DENIED:
            raise InputError(_told(endpoint, call))
        refused = refused or call
    assert refused is not None
    raise InputError(_told(endpoint, refused))


def _told(endpoint: Endpoint, call: Call) -> str:
    address = endpoint.address
    where = f"{'https' if address.tls else 'http'}://{address.host_header}{address.path}"
    said = call.said.strip()
    if found := _MESSAGE.search(said):
        said = found[1]
    shown = "".join(character if character.isprintable() else " " for character in said[:_MOST_SHOWN])
    what = f"{where} cannot be measured with the model {endpoint.model!r}: {call.failure.replace('_', ' ')}"
    return f"{what}{f' ({shown})' if shown else ''}. {_MEANT.get(call.failure, '')}".rstrip()


def _counted(call: Call, words: int) -> list[tuple[int, int]]:
    ended = call.reading
    return [(words, ended.input_tokens)] if ended is not None and ended.told else []


class _Prober:
    """Sends one request at a time."""

    def __init__(self, endpoint: Endpoint, pool: Pool, prompts: Prompts, clock: Clock, silent_s: float) -> None:
        self.clock = clock
        self.pool = pool
        self.tally = Tally()
        self.reuses = True
        self.sent_count = 0
        self._endpoint = endpoint
        self._prompts = prompts
        self._silent_s = silent_s
        self._over = asyncio.Event()

    async def ask(self, words: int, output_tokens: int) -> Call:
        """Return a call once it is over."""
        self._over.clear()
        self.sent_count += 1
        request = self._endpoint.request(self._prompts.text_of_words(words), output_tokens)
        call = Call(self, request, words, output_tokens)
        timer = self.clock.call_later(self._silent_s, lambda: call.give_up(TIMED_OUT))
        try:
            call.start()
            await self._over.wait()
        except asyncio.CancelledError:
            call.drop()
            raise
        finally:
            timer.cancel()
        return call

    def stale(self) -> None:
        """Nothing is learned from that: the call tries again by itself."""

    def over(self, call: Call) -> None:
        """Let whoever waits for it go on."""
        del call
        self._over.set()
