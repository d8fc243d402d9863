"""What messages of spans and of events share: who sends them, and how attributes are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from breakeven.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.telemetry.plan import TelemetryPlan

Value = str | bool | int | float


def resource(plan: TelemetryPlan, instance: str) -> Resource:
    """Return the gateway that sends; ``instance`` tells it from others."""
    said: dict[str, Value | None] = {
        names.SERVICE_NAME: plan.service_name,
        names.SERVICE_VERSION: plan.version,
        names.SERVICE_INSTANCE: instance,
    }
    return Resource(attributes=attributes(said))


def scope(plan: TelemetryPlan) -> InstrumentationScope:
    """Return what makes the messages."""
    return InstrumentationScope(name="breakeven", version=plan.version)


def attributes(said: Mapping[str, Value | None]) -> list[KeyValue]:
    """Write attributes; those that say nothing are left out."""
    return [KeyValue(key=name, value=_any(value)) for name, value in said.items() if value is not None and value != ""]


def ours(said: Mapping[str, Value | None]) -> dict[str, Value | None]:
    """Return attributes of our own under their whole names."""
    return {f"{names.OURS}{name}": value for name, value in said.items()}


def _any(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(string_value=value) if isinstance(value, str) else AnyValue(double_value=value)
