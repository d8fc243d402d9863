"""What is wrong with the section of alerts, seen beside the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.settings.address import is_loopback, reaches_itself, read_address
from breakeven.settings.check import check_authorities, check_headers
from breakeven.settings.secret import is_reference

if TYPE_CHECKING:
    from breakeven.settings.alerts import AlertReceiverEntry, EmailEntry
    from breakeven.settings.check import Findings
    from breakeven.settings.parts import Parts
    from breakeven.sources.shape import Place


def check_alerts(parts: Parts, findings: Findings) -> None:
    """Note what is wrong with the section, and find the secrets that it refers to."""
    if parts.alerts is None:
        return
    for name, receiver in parts.alerts.to.items():
        place: Place = ("alerts", "to", name)
        if receiver.email is not None:
            _check_email(receiver, receiver.email, place, findings)
        else:
            _check_http(receiver, place, parts, findings)


def _check_http(receiver: AlertReceiverEntry, place: Place, parts: Parts, findings: Findings) -> None:
    where = (*place, receiver.way)
    url = receiver.webhook or receiver.slack or receiver.alertmanager or ""
    check_headers(receiver.headers, place, findings)
    is_secret = is_reference(url)
    if is_secret:
        findings.resolve(url, where)
        found = findings.secrets.get(url)
        if found is None:
            return
        url = found.reveal().partition("?")[0]
    try:
        address = read_address(url)
    except ValueError as error:
        findings.problem(where, f"this is not the URL of a receiver: {error}.")
        return
    check_authorities(receiver.ca_file, tls=address.tls, place=place, findings=findings)
    if reaches_itself(address, parts.listen.host, parts.listen.port):
        findings.problem(where, "this is the gateway's own address, and it takes no alerts.", "Give the receiver's.")
    secret = is_secret or any(map(is_reference, receiver.headers.values()))
    if secret and not address.tls and not is_loopback(address.host):
        what = "a secret goes there unencrypted: whoever is on the way can read it."
        findings.warn(where, what, "Use https where the network is not all yours.")


def _check_email(receiver: AlertReceiverEntry, email: EmailEntry, place: Place, findings: Findings) -> None:
    where = (*place, "email")
    if receiver.headers:
        findings.problem((*place, "headers"), "headers are of requests; an e-mail takes none.", "Leave them out.")
    if (email.user is None) != (email.password is None):
        findings.problem(where, "user and password of a mail server go together.")
    if email.password is not None:
        findings.resolve(email.password, (*where, "password"))
    check_authorities(receiver.ca_file, tls=email.security != "none", place=place, findings=findings)
    if email.security == "none" and not is_loopback(email.host):
        what = f"mail goes to {email.host} unencrypted{', its password too' if email.password else ''}."
        findings.warn((*where, "security"), what, "Use starttls or tls where the network is not all yours.")
