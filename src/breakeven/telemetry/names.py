"""Names of attributes and of their values, as OpenTelemetry's semantic conventions have them.

Those for generative AI are still in development, so no package offers stable constants:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ and
https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/ (read 2026-11-21), for events
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/ (read 2026-11-22).
"""

from __future__ import annotations

from typing import Final

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
STREAMED: Final = "gen_ai.request.stream"
FIRST_CHUNK_S: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
"""Cached ones included."""

CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"

EVALUATION: Final = "gen_ai.evaluation.result"
"""The name of an event, not of an attribute."""

EVALUATION_NAME: Final = "gen_ai.evaluation.name"
SCORE: Final = "gen_ai.evaluation.score.value"
LABEL: Final = "gen_ai.evaluation.score.label"
RESPONSE: Final = "gen_ai.response.id"
CONVERSATION: Final = "gen_ai.conversation.id"
RECORD_UID: Final = "log.record.uid"  # https://opentelemetry.io/docs/specs/semconv/general/logs/
"""Of two records with the same one, one may be thrown away."""

PASS, FAIL = "pass", "fail"
"""Values of ``LABEL``."""

SERVER_ADDRESS: Final = "server.address"  # https://opentelemetry.io/docs/specs/semconv/registry/attributes/server/
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"  # https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
STATUS: Final = "http.response.status_code"  # https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/

SERVICE_NAME: Final = "service.name"  # https://opentelemetry.io/docs/specs/semconv/registry/attributes/service/
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE: Final = "service.instance.id"

CHAT, TEXT_COMPLETION, EMBEDDINGS = "chat", "text_completion", "embeddings"
"""Values of ``OPERATION``; whatever speaks in turns is ``chat``, in whichever protocol."""

OURS: Final = "breakeven."
"""What the names of our own attributes begin with."""

_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "google": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "aws": "aws.bedrock",
    "aws-mantle": "aws.bedrock",
    "mistral": "mistral_ai",
    "x-ai": "x_ai",
    "moonshotai": "moonshot_ai",
}
"""Values of ``PROVIDER`` that differ from the names that settings and prices have."""


def provider_name(known_as: str) -> str:
    """Return what the conventions call a provider; one that they do not name keeps its own name, as they allow."""
    return _PROVIDERS.get(known_as, known_as)
