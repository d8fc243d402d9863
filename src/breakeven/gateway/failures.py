"""What an attempt can die of, whether another target is tried for it, and what the client is told in the end.

A target's error is told from its status and its body together: providers give the same status to very different
things.  Words that would count against a target (our key, our quota) are only taken from the fields that are meant for
programs, or from the beginning of a message: a body may repeat what a client wrote, and no client shall be able to
close a target for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.gateway import replies
from breakeven.gateway.said_errors import SaidError, read_error, retry_after_s
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
    UNSUPPORTED,
    Kind,
)
from breakeven.routing.kinds import OVER_BUDGET as OVER_BUDGET_KIND
from breakeven.routing.kinds import SATURATED as SATURATED_KIND
from breakeven.routing.kinds import UNTRANSLATABLE as UNTRANSLATABLE_KIND
from breakeven.routing.kinds import UNVERIFIED as UNVERIFIED_KIND
from breakeven.upstreams.connection import CONNECT_FAILED, CONNECT_TIMEOUT, PROXY_REFUSED, SATURATED, TLS_FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.gateway.replies import Reply

FIRST_TOKEN_TIMEOUT: Final = "first_token_timeout"  # noqa: S105 - a token of a language model
BETWEEN_TOKENS_TIMEOUT: Final = "between_tokens_timeout"
TOTAL_TIMEOUT: Final = "total_timeout"
ERROR_EVENT: Final = "error_event"
NO_DONE: Final = "ended_without_done"
LEFT: Final = "client_left"
OVERTAKEN: Final = "overtaken"
"""Another attempt at the same request began first."""

OVER_BUDGET: Final = "over_budget"
NOT_CONTINUED: Final = "not_continued"
UNTRANSLATABLE: Final = "untranslatable"
UNVERIFIED: Final = "unverified"
"""The answer came whole, and is not what the route's checks want."""

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
    UNVERIFIED: UNVERIFIED_KIND,
}
"""By reason, of attempts that got no answer; all others broke."""

_STATUSES: Final = {
    401: BAD_CREDENTIALS,
    402: OUT_OF_QUOTA,
    403: BAD_CREDENTIALS,
    404: MODEL_MISSING,
    408: TIMED_OUT,
    410: MODEL_MISSING,
    424: SERVER_ERROR,  # TGI: the request was all right, and its generation failed
    429: RATE_LIMITED,
    501: UNSUPPORTED,
    503: OVERLOADED,
    529: OVERLOADED,
}
"""What a status means when the body says nothing better."""

_UNSAID_STATUS: Final = 400
"""Of an error within a stream that says none: what is told by its words can be told so."""

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
    "increase the physical batch size",  # llama.cpp, of embeddings, and with the status of its own failures
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
_UNSUPPORTED_BEGINNINGS: Final = ("image input is not supported", "audio input is not supported")
"""llama.cpp, with the status of its own failures."""

_RATE_WORDS: Final = frozenset({"rate_limit_exceeded", "tokens"})
_TOO_LARGE_BEGINNING: Final = "request too large for"


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
    read = read_error(body)
    named = {name.lower(): value for name, value in headers.items()} if headers else {}
    if error_type := named.get(b"x-amzn-errortype"):
        read.words.add(error_type.partition(b":")[0].decode("latin-1").lower())
    kind = _told(status, read)
    detail = f"{target} answered {status}"
    if kind is BAD_CREDENTIALS:
        detail = f"{target} does not accept the credentials configured for it"
    elif kind is OUT_OF_QUOTA:
        detail = f"the account at {target} has no quota left"
    return Failure(f"status_{status}", detail, status, kind, retry_after_s(named, read, now_s))


def ended(target: str, reason: str, event: bytes = b"") -> Failure:
    """Return the failure of an answer that began well and ended otherwise; ``event``: the error in it, if there is one.

    Such an event may tell what a status would: LM Studio says so that a prompt is too long
    (https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/2322), OpenRouter that a provider failed
    (https://openrouter.ai/docs/api-reference/errors).
    """
    read = read_error(event)
    kind = _told(read.status or _UNSAID_STATUS, read) if event else None
    if kind is CLIENT_ERROR and not read.status:
        kind = BROKEN
    detail = f"{target} ended its answer with an error, or without its end"
    return Failure(reason, detail, answer_kind=kind)


def _told(status: int, read: SaidError) -> Kind:
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
    if status == 500 and message.startswith(_UNSUPPORTED_BEGINNINGS):
        status = 501
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
