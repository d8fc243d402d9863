"""One message by SMTP, taken or not; for processes that may wait."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from breakeven.upstreams.post import open_socket, reason_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

TIMEOUT_S: Final = 15.0
Security = Literal["starttls", "tls", "none"]


class MailServer(NamedTuple):
    """Who takes mail."""

    host: str
    port: int
    security: Security
    user: str = ""
    password: str = ""
    ca_file: str = ""
    """PEM file of the authorities that vouch for it; empty: those of the system."""


def send_mail(
    server: MailServer, sender: str, to: Sequence[str], message: tuple[str, str], *, timeout_s: float = TIMEOUT_S
) -> str:
    """Send a subject and a text; return why it was not taken, or nothing.  Never raises for what is out there.

    Where encryption is asked for and not to be had, or a certificate is not accepted, nothing is sent.
    """
    subject, text = message
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = sender, ", ".join(to)
    mail["Subject"] = " ".join(subject.split())
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    try:
        context = ssl.create_default_context(cafile=server.ca_file or None) if server.security != "none" else None
        with _Session(server, context if server.security == "tls" else None, timeout_s) as session:
            if server.security == "starttls":
                session.starttls(context=context)
            if server.user:
                session.login(server.user, server.password)
            refused = session.send_message(mail)
    except smtplib.SMTPResponseException as error:
        return f"it answers {error.smtp_code}"  # its text may repeat what was sent
    except smtplib.SMTPRecipientsRefused as error:
        return f"it takes no mail for {', '.join(sorted(error.recipients))}"
    except smtplib.SMTPNotSupportedError:
        return f"it does not offer {'STARTTLS' if server.security == 'starttls' else 'what is needed to log in'}"
    except (smtplib.SMTPException, OSError) as error:
        return reason_of(error, timeout_s)
    return f"it took no mail for {', '.join(sorted(refused))}" if refused else ""


class _Session(smtplib.SMTP):
    """A session with the configured server, whose address is checked when the connection is made."""

    def __init__(self, server: MailServer, context: ssl.SSLContext | None, timeout_s: float) -> None:
        self._context = context
        super().__init__(server.host, server.port, timeout=timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """Return the connection; smtplib's own place for another one, as its SMTP_SSL uses it."""
        opened = open_socket(host, port, timeout)
        return opened if self._context is None else self._context.wrap_socket(opened, server_hostname=host)
