"""Proof that a form was sent from our own page: another site cannot read it, so it cannot know what stands in it.

A browser sends a token that it was given as a password along with whatever any site has it send.  So each form of the
page holds a code for who looks at it and for what it changes, made with a secret that lives as long as this process.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from breakeven.console.call import RefusedError

if TYPE_CHECKING:
    from breakeven.console.call import Call

MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 10


def form_code(secret: bytes, caller: str, *what: str) -> str:
    """Return the code of a form that ``caller`` may send, to change what is named."""
    named = b"".join(len(text.encode()).to_bytes(4) + text.encode() for text in (caller, *what))
    return hmac.new(secret, named, hashlib.sha256).hexdigest()


def check_code(secret: bytes, given: str, caller: str, *what: str) -> None:
    """Refuse a form that is not of our page, or of one from before a restart.  Raises ``RefusedError``."""
    expected = form_code(secret, caller, *what)
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise RefusedError(403, "old_form", "Nothing is changed: this form is from before a restart. Press it again.")


def check_site(fetched_from: str) -> None:
    """Refuse what a browser says that another site has it send (``Sec-Fetch-Site``).  Raises ``RefusedError``."""
    if fetched_from not in ("", "same-origin"):
        raise RefusedError(403, "other_site", "Nothing is changed: another site had your browser send this.")


def form_of(call: Call) -> dict[str, str]:
    """Read a form's fields, each once.  Raises ``RefusedError``."""
    try:
        fields = parse_qsl(
            call.body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=_MOST_FIELDS,
            errors="strict",
        )  # fmt: skip
    except ValueError as error:
        raise RefusedError(400, "invalid_body", "The body is no form.") from error
    return dict(fields)
