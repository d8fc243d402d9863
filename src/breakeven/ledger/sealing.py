"""Texts of pairs, sealed: with a key that is in no file of ours, so that the store alone tells nobody what was said.

AES-256-GCM with a key made by HKDF-SHA-256 from the secret of the settings; each text has a nonce of its own, and is
bound to its pair, so that none can be moved to another.  Needs the extra ``texts``.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.errors import InputError
from breakeven.ledger.pairs import PairText

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_PURPOSE: Final = b"breakeven texts of pairs 1"
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of a text when it is opened."""


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked and answered."""

    path: str
    """At which it was asked."""

    request: str
    """The request's body."""

    incumbent: str
    """The answer as a person is shown it; likewise the next."""

    candidate: str


class Sealer:
    """Seals texts, and opens them again."""

    def __init__(self, secret: str) -> None:
        """Take the secret.  Raises ``InputError`` where the package for it is missing."""
        self._cipher = _cipher(secret)

    def seal(self, request_id: int, candidate: str, words: Words, expires_s: float) -> PairText:
        """Return a text as it is stored."""
        nonce = os.urandom(_NONCE_BYTES)
        content = zlib.compress(msgspec.json.encode(words))
        closed = self._cipher.encrypt(nonce, content, _bound_to(request_id, candidate))
        return PairText(request_id, candidate, _VERSION + nonce + closed, expires_s)

    def open(self, text: PairText) -> Words:
        """Return what was sealed.  Raises ``InputError`` where it was sealed with another secret, or altered."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - of the extra texts, which the core lacks

        nonce, closed = text.sealed[1 : 1 + _NONCE_BYTES], text.sealed[1 + _NONCE_BYTES :]
        try:
            content = self._cipher.decrypt(nonce, closed, _bound_to(text.request_id, text.candidate))
        except (InvalidTag, ValueError) as error:
            raise InputError(
                "A text of a pair cannot be opened: it was sealed with another secret than that of trials: keep_text: "
                "key:, or it was altered. Give the secret with which it was kept."
            ) from error
        return msgspec.json.decode(zlib.decompressobj().decompress(content, MOST_BYTES), type=Words)


def _bound_to(request_id: int, candidate: str) -> bytes:
    return b"%d %b" % (request_id, candidate.encode())


def _cipher(secret: str) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 - as above
    except ImportError as error:
        raise InputError(
            "Texts of pairs are sealed with the package cryptography, which is not installed here. "
            "Install it with: pip install 'breakeven[texts]'"
        ) from error
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode()))
