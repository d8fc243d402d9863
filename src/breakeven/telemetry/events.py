"""The event of one outcome, made from what was said and from the row of the answer it speaks of: no text of either.

Comments and demonstrations stay in the ledger: they may quote the answer.  Where the row of the answer is known the
event belongs to its span, otherwise it names the request alone.  Names and meanings of attributes are in ``names``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from breakeven.ledger.against import ANSWERED
from breakeven.ledger.ids import request_text
from breakeven.ledger.rows import CACHED, OUTCOMES
from breakeven.telemetry import names
from breakeven.telemetry.otlp import attributes, ours, resource, scope
from breakeven.telemetry.span_ids import event_uid, named_trace, span_id, trace_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from breakeven.ledger.outcomes import Outcome
    from breakeven.ledger.said import SaidAttempt
    from breakeven.telemetry.otlp import Value
    from breakeven.telemetry.plan import TelemetryPlan

_ANSWERED: Final = frozenset(OUTCOMES[code] for code in (*ANSWERED, CACHED))


class Events:
    """Makes the events of one gateway."""

    __slots__ = ("_instance", "_resource", "_scope")

    def __init__(self, plan: TelemetryPlan, instance: str) -> None:
        """Take who sends them; ``instance`` tells this gateway's ids from those of others."""
        self._instance = instance.encode()
        self._resource = resource(plan, instance)
        self._scope = scope(plan)

    def message(self, events: Iterable[LogRecord]) -> bytes:
        """Return what a receiver is sent, ``ExportLogsServiceRequest`` in the binary form of Protocol Buffers."""
        scope_logs = ScopeLogs(scope=self._scope, log_records=events)
        request = ExportLogsServiceRequest(
            resource_logs=[ResourceLogs(resource=self._resource, scope_logs=[scope_logs])]
        )
        return bytes(request.SerializeToString())

    def event(self, outcome: Outcome, rows: Sequence[SaidAttempt]) -> LogRecord | None:
        """Return the event of an outcome; ``rows`` are those of the request it speaks of, as far as they are known.

        None for what is no evaluation, as it brings no verdict, and for a key's word on a request of another one.
        """
        answer = max(rows, key=lambda row: (row.outcome in _ANSWERED, row.attempt_id), default=None)
        of_others = answer is not None and outcome.key not in ("", answer.key or "")
        if of_others or (outcome.success is None and outcome.score is None):
            return None
        trace = named_trace(outcome.episode)
        if answer is not None:
            trace = trace_of(self._instance, answer.attempt_id, answer.episode)
        return LogRecord(
            event_name=names.EVALUATION,
            time_unix_nano=outcome.at_us * 1000,
            observed_time_unix_nano=outcome.received_us * 1000,
            trace_id=trace,
            span_id=b"" if answer is None else span_id(self._instance, answer.attempt_id),
            attributes=attributes(self._said(outcome)),
        )

    def _said(self, outcome: Outcome) -> dict[str, Value | None]:
        request = None if outcome.request_id is None else request_text(outcome.request_id)
        success = outcome.success
        own: dict[str, Value | None] = {
            "request_id": request,
            "episode": outcome.episode,
            "outcome_id": outcome.id,
            "key": outcome.key,
            "source": outcome.source,
        }
        return {
            names.EVALUATION_NAME: outcome.name,
            names.SCORE: outcome.score,
            names.LABEL: None if success is None else names.PASS if success else names.FAIL,
            names.RESPONSE: request,
            names.CONVERSATION: outcome.episode,
            names.RECORD_UID: event_uid(self._instance, outcome.id, outcome.received_us),
            **ours(own),
        }
