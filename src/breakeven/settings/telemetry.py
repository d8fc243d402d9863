"""``telemetry:`` of ``breakeven.yaml``: where spans of attempts and events of outcomes are sent."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from breakeven.settings.address import Address, read_address
from breakeven.settings.fields import Label
from breakeven.sources.written import Strict

TRACES_PATH: Final = "/v1/traces"
"""What OTLP adds to a base URL for spans, and people may have written already."""


def _check_endpoint(url: str) -> str:
    read_address(url)
    return url


ReceiverUrl = Annotated[
    str,
    AfterValidator(_check_endpoint),
    WithJsonSchema({"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$"}),
]


class TelemetryEntry(Strict):
    """Spans of every attempt and events of outcomes, for a receiver of OpenTelemetry's protocol; needs ``otel``."""

    endpoint: ReceiverUrl = Field(
        description="Base URL of the receiver (OTLP over HTTP), such as http://localhost:4318; /v1/traces and "
        "/v1/logs are added, and a /v1/traces at its end counts as added."
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Headers of every request to it; a value is plain text, env:NAME or file:PATH.",
    )
    service_name: Label = Field("breakeven", description="What spans and events call this gateway (service.name).")
    ca_file: Path | None = Field(
        None, description="PEM file of the authorities that vouch for it; default: those of the system."
    )

    @property
    def address(self) -> Address:
        """Return the receiver's base URL."""
        address = read_address(self.endpoint)
        return address._replace(path=address.path.removesuffix(TRACES_PATH))


def has_extra() -> bool:
    """Whether the package is installed without which no message can be made."""
    try:
        return find_spec("opentelemetry.proto") is not None
    except ModuleNotFoundError:
        return False
