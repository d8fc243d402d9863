"""The span of one attempt, made from its row in the ledger: who, where, how many tokens, what it cost; no text of it.

The ids of traces and spans follow from those of requests and attempts (``span_ids``), so a span that is sent again is
the same one.  Names and meanings of attributes are in ``names``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from breakeven.ledger.ids import ATTEMPTS, request_text
from breakeven.ledger.rows import CACHED, CUT, FAILED, OUTCOMES
from breakeven.telemetry import names
from breakeven.telemetry.otlp import attributes, ours, resource, scope
from breakeven.telemetry.span_ids import span_id, trace_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from breakeven.ledger.said import SaidAttempt
    from breakeven.telemetry.otlp import Value
    from breakeven.telemetry.plan import Place, TelemetryPlan

_WITH_ERROR: Final = frozenset({OUTCOMES[FAILED], OUTCOMES[CUT]})


class Spans:
    """Makes the spans of one gateway."""

    __slots__ = ("_instance", "_places", "_resource", "_scope", "_teams")

    def __init__(self, plan: TelemetryPlan, instance: str) -> None:
        """Take what is known of targets and keys; ``instance`` tells this gateway's ids from those of others."""
        self._instance = instance.encode()
        self._places: Mapping[str, Place] = {place.name: place for place in plan.places}
        self._teams = dict(plan.teams)
        self._resource = resource(plan, instance)
        self._scope = scope(plan)

    def message(self, spans: Iterable[Span]) -> bytes:
        """Return what a receiver is sent, ``ExportTraceServiceRequest`` in the binary form of Protocol Buffers."""
        scope_spans = ScopeSpans(scope=self._scope, spans=spans)
        request = ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=self._resource, scope_spans=[scope_spans])]
        )
        return bytes(request.SerializeToString())

    def span(self, row: SaidAttempt, cost_usd: Decimal | None, stored_team: str) -> Span:
        """Return the span of a row; ``stored_team`` is its key's where the store has that key, else empty."""
        started_us = row.received_us + (row.queued_us or 0)
        said = self._of_model(row) | self._of_ours(row, cost_usd, stored_team)
        failed = row.outcome in _WITH_ERROR
        return Span(
            trace_id=trace_of(self._instance, row.attempt_id, row.episode),
            span_id=span_id(self._instance, row.attempt_id),
            name=f"{said[names.OPERATION]} {row.model or ''}".rstrip(),
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=started_us * 1000,
            end_time_unix_nano=max(started_us, row.received_us + row.ended_us) * 1000,
            attributes=attributes(said),
            status=Status(code=Status.STATUS_CODE_ERROR) if failed else None,
        )

    def _of_model(self, row: SaidAttempt) -> dict[str, Value | None]:
        place = self._places.get(row.target or "")
        provider = (place.provider if place else "") or (row.priced_as or "").partition(":")[0] or row.target
        said: dict[str, Value | None] = {
            names.OPERATION: _operation(row, place),
            names.PROVIDER: names.provider_name(provider or "unknown"),
            names.REQUEST_MODEL: row.model,
            names.STREAMED: bool(row.streamed),
            names.SERVER_ADDRESS: place.host if place else None,
            names.SERVER_PORT: place.port if place else None,
            names.STATUS: row.status,
            names.ERROR_TYPE: row.failure if row.outcome in _WITH_ERROR else None,
        }
        if row.streamed and row.queued_us is not None and row.first_byte_us is not None:
            said[names.FIRST_CHUNK_S] = max(row.first_byte_us - row.queued_us, 0) / 1e6
        if row.outcome != OUTCOMES[CACHED] and (row.input_tokens or row.output_tokens):
            said[names.INPUT_TOKENS] = max(row.input_tokens, row.cached_input_tokens + row.cache_write_tokens)
            said[names.CACHE_READ_TOKENS] = row.cached_input_tokens
            said[names.CACHE_WRITE_TOKENS] = row.cache_write_tokens
            said[names.OUTPUT_TOKENS] = row.output_tokens
        return said

    def _of_ours(self, row: SaidAttempt, cost_usd: Decimal | None, stored_team: str) -> dict[str, Value | None]:
        cached = row.outcome == OUTCOMES[CACHED]
        price_usd = None if cost_usd is None else float(cost_usd)
        said: dict[str, Value | None] = {
            "request_id": request_text(row.attempt_id),
            "attempt": row.attempt_id % ATTEMPTS,
            "outcome": row.outcome,
            "cached": cached,
            "target": row.target,
            "key": row.key,
            "team": stored_team or self._teams.get(row.key or ""),
            "task": row.task,
            "tags": row.tags,
            "episode": row.episode,
            "decision": row.decision,
            "fallback": row.fallback,
            "estimated": bool(row.estimated),
            "cost_usd": 0.0 if cached else price_usd,
            "avoided_usd": price_usd if cached else None,
        }
        return ours(said)


def _operation(row: SaidAttempt, place: Place | None) -> str:
    """Return what was asked for, as far as the row shows it: an answer without output tokens is of embeddings."""
    spoken = place.protocols if place else ()
    if spoken == ("completions",):
        return names.TEXT_COMPLETION
    silent = not row.output_tokens and row.outcome not in _WITH_ERROR and row.input_tokens > 0
    return names.EMBEDDINGS if spoken == ("embeddings",) or (silent and "embeddings" in spoken) else names.CHAT
