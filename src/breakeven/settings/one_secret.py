"""A secret named on the command line, by reference like those of ``breakeven.yaml``."""

from __future__ import annotations

import os
from pathlib import Path

from breakeven.errors import InputError, Problem
from breakeven.settings.secret import is_reference, resolve


def read_secret(reference: str, option: str) -> str:
    """Return what ``env:NAME`` or ``file:PATH`` holds; paths begin at the working folder.

    Raises ``InputError`` where it is no reference or there is nothing; what was given instead is never repeated.
    """
    if not is_reference(reference):
        raise InputError(
            f"{option} takes the name of a secret, not the secret, which would stay in the shell's history: "
            "write env:NAME for an environment variable or file:PATH for a file that holds it."
        )
    found = resolve(reference, option, Path(), os.environ)  # noqa: TID251 - settings is the part that reads it
    if isinstance(found, Problem):
        raise InputError(f"{option} names a secret that cannot be had.", (found,))
    return found.reveal()
