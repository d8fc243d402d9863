"""What an attempt can die of, whether another target is tried for it, and what the client is told in the end.

A target's error is told from its status and its body together: providers give the same status to very different
things.  Words that would count against a target (our key, our quota) are only taken from the fields that are meant for
programs, or from the beginning of a message: a body may repeat what a client wrote, and no client shall be able to
close a target for the others.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from breakeven.gateway import replies
from breakeven.routing.kinds import (
    ANYWHERE,
    BAD_CREDENTIALS,
    BROKEN,
    CLIENT_ERROR,
    CONTENT_FILTER,
    CONTEXT_LENGTH,
    LARGER,
    MODEL_MISSING,
    OUT_OF_QUOTA,
    OUT_OF_TIME,
    OVER_LIMIT,
    OVERLOADED,
    RATE_LIMITED,
    SERVER_ERROR,
    TIMED_OUT,
    UNREACHABLE,
    Kind,
)
from breakeven.routing.kinds import OVER_BUDGET as OVER_BUDGET_KIND
from breakeven.routing.kinds import SATURATED as SATURATED_KIND
from breakeven.routing.kinds import UNTRANSLATABLE as UNTRANSLATABLE_KIND
from breakeven.upstreams.connection import CONNECT_FAILED, CONNECT_TIMEOUT, PROXY_REFUSED, SATURATED, TLS_FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from breakeven.gateway.replies import Reply

FIRST_TOKEN_TIMEOUT: Final = "first_token_timeout"  # noqa: S105 - a token of a language model
BETWEEN_TOKENS_TIMEOUT: Final = "between_tokens_timeout"
TOTAL_TIMEOUT: Final = "total_timeout"
ERROR_EVENT: Final = "error_event"
NO_DONE: Final = "ended_without_done"
LEFT: Final = "client_left"
OVER_BUDGET: Final = "over_budget"
NOT_CONTINUED: Final = "not_continued"
UNTRANSLATABLE: Final = "untranslatable"

MAX_RETRY_AFTER_S: Final = 86_400.0
"""Whatever a target asks for beyond a day counts as a day."""

_READ_BYTES: Final = 64 * 1024
"""Larger bodies are told by their status alone."""

_READ_CHARACTERS: Final = 4096
"""Of a message; what tells the kind stands near its beginning."""

_TIMEOUTS: Final = frozenset({CONNECT_TIMEOUT, FIRST_TOKEN_TIMEOUT, BETWEEN_TOKENS_TIMEOUT, TOTAL_TIMEOUT})
_KINDS: Final = {
    CONNECT_FAILED: UNREACHABLE,
    CONNECT_TIMEOUT: UNREACHABLE,
    TLS_FAILED: UNREACHABLE,
    PROXY_REFUSED: UNREACHABLE,
    SATURATED: SATURATED_KIND,
    FIRST_TOKEN_TIMEOUT: TIMED_OUT,
    BETWEEN_TOKENS_TIMEOUT: TIMED_OUT,
    TOTAL_TIMEOUT: OUT_OF_TIME,
    UNTRANSLATABLE: UNTRANSLATABLE_KIND,
    OVER_BUDGET: OVER_BUDGET_KIND,
}
"""By reason, of attempts that got no answer; all others broke."""

_STATUSES: Final = {
    401: BAD_CREDENTIALS,
    402: OUT_OF_QUOTA,
    403: BAD_CREDENTIALS,
    404: MODEL_MISSING,
    408: TIMED_OUT,
    410: MODEL_MISSING,
    429: RATE_LIMITED,
    503: OVERLOADED,
    529: OVERLOADED,
}
"""What a status means when the body says nothing better."""

_CONTEXT_STATUSES: Final = frozenset({400, 413, 422, 500})
_FILTER_STATUSES: Final = frozenset({400, 403, 422, 451})
_OURS_STATUSES: Final = frozenset({400, 401, 402, 403, 404, 429})

_CONTEXT_WORDS: Final = frozenset(
    {
        "context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded", "tokens_limit_reached",
        "max_tokens_exceeded", "token_limit_exceeded",
    }
)  # fmt: skip
_CONTEXT_TEXTS: Final = (
    "maximum context length", "context length is only", "maximum model length",  # OpenAI, vLLM and many others
    "max_tokens must be at least 1, got -",  # vLLM
    "longer than the model's context length", "exceeds the maximum allowed length",  # SGLang
    "prompt is too long", "exceed context limit",  # Anthropic; the first Fireworks too
    "prompt too long",  # Ollama
    "available context size", "exceed context window", "exceed n_ctx",  # llama.cpp, its Python server, GPUStack
    "`inputs` tokens + `max_new_tokens` must be", "`inputs` must have less than",  # TGI
    "exceeds the maximum number of tokens",  # Gemini
    "input is too long for requested model", "expected maxlength",  # Bedrock
    "reduce the length of the messages",  # Groq, Cerebras
    "maximum prompt length is",  # xAI
    "with context length of only", "greater than the context length",  # LM Studio
    "range of input length should be",  # Qwen
    "exceeded model token limit", "context window exceeds", "contextwindowexceeded",  # Kimi, MiniMax, LiteLLM
    "too many tokens: ",  # Cohere; Bedrock's "Too many tokens, please wait" is a rate limit
)  # fmt: skip
_FILTER_WORDS: Final = frozenset(
    {
        "content_filter", "content_policy_violation", "responsibleaipolicyviolation", "data_inspection_failed",
        "datainspectionfailed", "moderation_blocked", "content_filtered", "prohibited_content",
    }
)  # fmt: skip
_FILTER_TEXTS: Final = (
    "content management policy", "content filtering policy", "contentpolicyviolation", "datainspectionfailed",
    "rejected as a result of our safety system", "violating our usage policy", "for safety reasons",
    "inappropriate content",
)  # fmt: skip
_FORBIDDEN_FILTER_TEXTS: Final = ("requires moderation",)
"""Under 403, where the words above may speak of our own account."""

_QUOTA_WORDS: Final = frozenset(
    {
        "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error", "payment_required",
        "insufficient_balance", "insufficient_credits", "credit_balance_exhausted", "enforced_spend_limit_reached",
        "exceeded_current_quota_error",
    }
)  # fmt: skip
_QUOTA_BEGINNINGS: Final = ("your credit balance is too low", "you have reached your specified api usage limits")
_CREDENTIAL_WORDS: Final = frozenset(
    {"invalid_api_key", "api_key_invalid", "authentication_error", "unauthenticated", "unrecognizedclientexception"}
)
_MODEL_WORDS: Final = frozenset(
    {"model_not_found", "model_decommissioned", "invalid_model", "deploymentnotfound", "resourcenotfoundexception"}
)
_MODEL_BEGINNING: Final = "the provided model identifier is invalid"
_MODEL_ENDING: Final = "is not a valid model id"
"""Of a message that begins with the model's name."""

_OVERLOAD_WORDS: Final = frozenset(
    {"overloaded", "overloaded_error", "engine_overloaded_error", "server_overloaded", "modelnotreadyexception"}
)
_RATE_WORDS: Final = frozenset({"rate_limit_exceeded", "tokens"})
_TOO_LARGE_BEGINNING: Final = "request too large for"

_WORD_FIELDS: Final = ("code", "type", "status", "error_type", "error_code", "reason", "__type")
_INNER_FIELDS: Final = ("innererror", "details", "metadata")
_MESSAGE_FIELDS: Final = ("message", "error", "detail", "msg")


class Failure(NamedTuple):
    """Why an attempt failed: a word for the ledger, a clause for people."""

    reason: str
    detail: str
    status: int = 0
    """HTTP status of the target's answer; 0 when it gave none."""

    answer_kind: Kind | None = None
    """What an answer told; None when there was none."""

    retry_after_s: float | None = None
    """When the target wants to be asked again, if it says so."""

    @property
    def kind(self) -> Kind:
        """What follows from it, for retries and for the target's health."""
        return self.answer_kind or _KINDS.get(self.reason, BROKEN)

    @property
    def retried(self) -> bool:
        """Whether any other target may do better."""
        return self.kind.elsewhere == ANYWHERE

    @property
    def needs_larger(self) -> bool:
        """Whether only a target that takes longer prompts may do better."""
        return self.kind.elsewhere == LARGER

    @property
    def passed_on(self) -> bool:
        """Whether the client sees the target's own answer: not when it speaks of our account there, or redirects."""
        return self.status >= 400 and self.answer_kind not in (BAD_CREDENTIALS, OUT_OF_QUOTA)

    def reply(self, extra: bytes) -> Reply:
        """Return what the client is told when nobody else can answer."""
        if self.reason == UNTRANSLATABLE:
            return replies.refusal(400, self.detail, self.reason, extra=extra)
        if self.reason == OVER_BUDGET:
            return replies.refusal(429, self.detail, "insufficient_quota", extra=extra)
        status = 504 if self.reason in _TIMEOUTS else 503 if self.reason == SATURATED else 502
        extra += replies.RETRY_LATER if status == 503 else b""
        return replies.refusal(status, f"No target could answer: {self.detail}.", self.reason, extra=extra)


def answered(
    target: str, status: int, headers: Mapping[bytes, bytes] | None = None, body: bytes = b"", now_s: float = 0.0
) -> Failure:
    """Return the failure of a target that answered with an error.

    ``headers`` may be those of any answer, names in any case; ``now_s``: Unix seconds, for dates in them.
    """
    read = _read(body)
    named = {name.lower(): value for name, value in headers.items()} if headers else {}
    if error_type := named.get(b"x-amzn-errortype"):
        read.words.add(error_type.partition(b":")[0].decode("latin-1").lower())
    kind = _told(status, read)
    detail = f"{target} answered {status}"
    if kind is BAD_CREDENTIALS:
        detail = f"{target} does not accept the credentials configured for it"
    elif kind is OUT_OF_QUOTA:
        detail = f"the account at {target} has no quota left"
    return Failure(f"status_{status}", detail, status, kind, _retry_after_s(named, read, now_s))


class _Read:
    """What was found in a body."""

    def __init__(self) -> None:
        self.words: set[str] = set()
        """Of the fields for programs, in lower case."""

        self.message = ""
        """Its beginning, in lower case."""

        self.delay = ""
        """Google's ``retryDelay``: https://cloud.google.com/apis/design/errors"""


def _told(status: int, read: _Read) -> Kind:
    words, message = read.words, read.message
    if status in _FILTER_STATUSES and (
        words & _FILTER_WORDS or _has(message, _FORBIDDEN_FILTER_TEXTS if status == 403 else _FILTER_TEXTS)
    ):
        return CONTENT_FILTER
    if status in (413, 429) and words & _RATE_WORDS and message.startswith(_TOO_LARGE_BEGINNING):
        return OVER_LIMIT
    if status in _CONTEXT_STATUSES and (words & _CONTEXT_WORDS or _has(message, _CONTEXT_TEXTS)):
        return CONTEXT_LENGTH
    if status in _OURS_STATUSES and (found := _ours(words, message)):
        return found
    if words & _OVERLOAD_WORDS and (status == 429 or status >= 500):
        return OVERLOADED
    return _STATUSES.get(status) or (SERVER_ERROR if status >= 500 else CLIENT_ERROR if status >= 400 else BROKEN)


def _has(message: str, texts: tuple[str, ...]) -> bool:
    return any(text in message for text in texts)


def _ours(words: set[str], message: str) -> Kind | None:
    """Return what a person has to put right: the account's money, its key, the model's name."""
    if words & _QUOTA_WORDS or message.startswith(_QUOTA_BEGINNINGS):
        return OUT_OF_QUOTA
    if words & _CREDENTIAL_WORDS:
        return BAD_CREDENTIALS
    is_model = message.startswith(_MODEL_BEGINNING) or message.partition(" ")[2].startswith(_MODEL_ENDING)
    return MODEL_MISSING if words & _MODEL_WORDS or is_model else None


def _read(body: bytes) -> _Read:
    """Return the words and the message of an error, whatever its shape; nothing of what is no JSON."""
    read = _Read()
    if not body or len(body) > _READ_BYTES:
        return read
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return read
    for item in _objects(found):
        _take(item, read)
    return read


def _objects(found: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects that speak of the error: the outermost, what it calls the error, and that one's details."""
    outer = found[0] if isinstance(found, list) and found else found  # Gemini's OpenAI-like endpoint sends a list
    if not isinstance(outer, dict):
        return
    error = outer.get("error")
    inner = error if isinstance(error, dict) else outer
    if inner is not outer:
        yield inner
    yield outer
    for name in _INNER_FIELDS:
        details = inner.get(name)
        for item in details[:8] if isinstance(details, list) else (details,):
            if isinstance(item, dict):
                yield item


def _take(item: dict[str, Any], read: _Read) -> None:
    for name in _WORD_FIELDS:
        value = item.get(name)
        if isinstance(value, str):
            read.words.add(value.rpartition("#")[2].lower())
    delay = item.get("retryDelay")
    if isinstance(delay, str):
        read.delay = delay
    texts = (item.get(name) for name in _MESSAGE_FIELDS)
    message = next((text for text in texts if isinstance(text, str)), "")
    if message and not read.message:
        read.message = message[:_READ_CHARACTERS].lower()
    raw = item.get("raw")  # OpenRouter: what its provider said, behind a message that says nothing
    if isinstance(raw, str):
        read.message += f" {raw[:_READ_CHARACTERS].lower()}"


_CLOCK: Final = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?")
"""Durations as OpenAI writes them, ``6m0s`` or ``17ms``: https://platform.openai.com/docs/guides/rate-limits"""


def _retry_after_s(headers: Mapping[bytes, bytes], read: _Read, now_s: float) -> float | None:
    """Return when the target wants to be asked again, the most exact word first; None: it says nothing of it."""
    found = _number(headers.get(b"retry-after-ms"))
    if found is not None:
        return _bounded(found / 1000)
    if (value := headers.get(b"retry-after")) is not None:
        found = _number(value)
        found = _date_s(value, now_s) if found is None else found
    if found is None and read.delay:
        found = _duration_s(read.delay)
    if found is None:
        found = _reset_s(headers, now_s)
    return None if found is None else _bounded(found)


def _reset_s(headers: Mapping[bytes, bytes], now_s: float) -> float | None:
    """Return when a limit that is used up is renewed; the others say nothing about this refusal."""
    found: list[float] = []
    for what in (b"-requests", b"-tokens", b""):
        value = headers.get(b"x-ratelimit-reset" + what)
        if value is None or (_number(headers.get(b"x-ratelimit-remaining" + what)) or 0.0) > 0.0:
            continue
        number = _number(value)
        if number is None:
            number = _duration_s(value.decode("latin-1"))
        elif number > 1e11:  # a time of day in milliseconds, as OpenRouter's
            number = number / 1000 - now_s
        elif number > 1e9:
            number -= now_s
        if number is not None:
            found.append(number)
    return max(found, default=None)


def _number(value: bytes | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and isfinite(number) else None


def _duration_s(text: str) -> float | None:
    match = _CLOCK.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _date_s(value: bytes, now_s: float) -> float | None:
    try:
        date = parsedate_to_datetime(value.decode("latin-1"))
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_s
    except (ValueError, OverflowError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
