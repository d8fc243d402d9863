"""What is wrong with the section of telemetry, seen beside the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.settings.address import is_loopback, reaches_itself
from breakeven.settings.check import check_authorities, check_headers
from breakeven.settings.secret import is_reference
from breakeven.settings.telemetry import has_extra

if TYPE_CHECKING:
    from breakeven.settings.check import Findings
    from breakeven.settings.parts import Parts


def check_telemetry(parts: Parts, findings: Findings) -> None:
    """Note what is wrong with the section, and find the secrets that it refers to."""
    telemetry = parts.telemetry
    if telemetry is None:
        return
    if not has_extra():
        what = "sending spans and events needs a package that is not installed here."
        findings.problem(("telemetry",), what, "Install it with: pip install 'breakeven[otel]'")
    address = telemetry.address
    check_headers(telemetry.headers, ("telemetry",), findings)
    check_authorities(telemetry.ca_file, tls=address.tls, place=("telemetry",), findings=findings)
    if reaches_itself(address, parts.listen.host, parts.listen.port):
        what = "this is the gateway's own address, and it takes neither spans nor events."
        findings.problem(("telemetry", "endpoint"), what, "Give the receiver's own port.")
    if any(map(is_reference, telemetry.headers.values())) and not address.tls and not is_loopback(address.host):
        what = f"secrets go to {address.host} unencrypted: whoever is on the way can read them."
        findings.warn(("telemetry", "endpoint"), what, "Use https where the network is not all yours.")
