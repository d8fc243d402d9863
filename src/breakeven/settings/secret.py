"""Secrets by reference: ``env:NAME`` or ``file:PATH`` in the file, the value only here and in the snapshot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pydantic_core import PydanticCustomError

from breakeven.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REFERENCE_PATTERN: Final = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"
MAX_SECRET_BYTES: Final = 16_384
"""Longer ones would not fit into the head of a request that any server takes."""

_REFERENCE: Final = re.compile(REFERENCE_PATTERN)
_SENDABLE: Final = re.compile(r"[ -~]+")
_LONGEST_SHOWN: Final = 40


class Secret:
    """A text that must not be shown; ``reveal()`` is the only way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(not shown)"


def check_reference(text: str) -> str:
    """Return a reference as it is.  Raises the error that tells how one is written."""
    if not _REFERENCE.fullmatch(text):
        raise PydanticCustomError(
            "reference",
            "a secret does not stand in this file: write env:NAME for an environment variable (letters, digits and _), "
            "or file:PATH for a file that holds it",
        )
    return text


def is_reference(text: str) -> bool:
    """Whether a text names a secret instead of being one."""
    return text.startswith(("env:", "file:"))


def resolve(reference: str, where: str, folder: Path, environment: Mapping[str, str]) -> Secret | Problem:
    """Return the secret that a reference names, without blanks around it, or why there is none."""
    kind, _, name = reference.partition(":")
    found = _from_environment(name, environment) if kind == "env" else _from_file(name, folder)
    if isinstance(found, tuple):
        return Problem(where=where, what=found[0], fix=found[1])
    text = found.strip()
    if not text:
        what = f"{shown_reference(reference)} is empty."
        return Problem(where=where, what=what, fix="It should hold the secret and nothing else.")
    if not _SENDABLE.fullmatch(text):
        what = f"{shown_reference(reference)} holds line breaks or characters beyond ASCII inside."
        return Problem(where=where, what=what, fix="It is sent as a header and must be one line of ASCII.")
    return Secret(text)


def shown_reference(reference: str) -> str:
    """Return a reference fit to be shown: one that may be a secret pasted after ``env:`` is cut short."""
    kind, _, name = reference.partition(":")
    likely_secret = kind == "env" and len(name) > 20 and name != name.upper()
    if likely_secret:
        return f"{kind}:{name[:4]}…"
    return reference if len(reference) <= _LONGEST_SHOWN or kind == "file" else f"{reference[:_LONGEST_SHOWN]}…"


def _from_environment(name: str, environment: Mapping[str, str]) -> str | tuple[str, str]:
    text = environment.get(name)
    if text is None:
        shown = shown_reference(f"env:{name}").removeprefix("env:")
        return f"the environment variable {shown} is not set.", "Set it before the start."
    return text


def _from_file(name: str, folder: Path) -> str | tuple[str, str]:
    path = folder / name
    try:
        if not path.is_file():
            return f"there is no file {path}.", "A path in this file starts from the folder that the file is in."
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        if len(content) > MAX_SECRET_BYTES:
            return f"{path} holds more than {MAX_SECRET_BYTES:,} bytes.", "It should hold the secret and nothing else."
        return content.decode("ascii")
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or 'error'}.", "Let the user that runs the gateway read it."
    except UnicodeDecodeError:
        return f"{path} holds characters beyond ASCII.", "It should hold the secret and nothing else."
    except ValueError:  # a path that no file can have
        return "this is not the path of a file.", ""
