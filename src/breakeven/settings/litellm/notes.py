"""What the conversion has to say besides its result, and the names of secrets that must not stand in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.sources.shape import Place
    from breakeven.sources.yaml_file import Document

REFERENCE: Final = "os.environ/"
"""What stands before the name of an environment variable in LiteLLM's file."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_KEY: Final = frozenset({"", "none", "empty", "null", "dummy", "anything"})
"""What people write where a client wants a key and the server none."""


class Notes:
    """Collects what is not carried over, and gives secrets names."""

    def __init__(self, document: Document, environment: Mapping[str, str]) -> None:
        self._document = document
        self._environment = environment
        self._named: dict[str, str] = {}
        self.left_out: list[Problem] = []
        self.variables: dict[str, None] = {}
        """Environment variables that the result needs, in the order of their use."""

    def leave(self, place: Place, why: str, fix: str = "") -> None:
        """Say that what stands at a place is not carried over, or not as it was."""
        self.left_out.append(Problem(where=self._document.where(place), what=why, fix=fix))

    def leave_all(self, data: Mapping[str, Any], place: Place, why: Mapping[str, str], otherwise: str) -> None:
        """Say so of every key of a mapping, each with its reason."""
        for key in data:
            self.leave((*place, str(key)), why.get(str(key), otherwise))

    def text(self, value: Any, place: Place) -> str | None:
        """Return a value that is no secret, looked up where it names a variable; None, and a note, without one."""
        if not isinstance(value, str) or not value.startswith(REFERENCE):
            return str(value)
        name = value.removeprefix(REFERENCE)
        found = self._environment.get(name, "").strip()
        if not found:
            why = "it comes from an environment variable, which is not set here, and a URL or a region cannot stay one."
            self.leave(place, why, f"Set {name} and import again.")
            return None
        return found

    def environment(self, name: str) -> str:
        """Return what a variable holds that LiteLLM reads by itself; empty without it."""
        return self._environment.get(name, "").strip()

    def secret(self, value: Any, place: Place, name: str) -> str | None:
        """Return the reference to a secret: the file's own, or one under a new name; None where there is none."""
        text = str(value).strip()
        if text.startswith(REFERENCE):
            variable = text.removeprefix(REFERENCE)
            if not _VARIABLE.fullmatch(variable):
                self.leave(place, "this is not the name of an environment variable.")
                return None
            return self.variable(variable)
        if text.casefold() in _NO_KEY:
            return None
        known = self._named.get(text)
        variable = known or self._free(re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "SECRET")
        self._named[text] = variable
        self.leave(place, f"the secret itself: env:{variable} stands in its place.", f"Set {variable} to it.")
        return self.variable(variable)

    def variable(self, name: str) -> str:
        """Return the reference to a variable, and remember that it is needed."""
        self.variables[name] = None
        return f"env:{name}"

    def _free(self, name: str) -> str:
        name = name if name[0].isalpha() else f"KEY_{name}"
        taken = {*self.variables, *self._named.values()}
        return next(
            found for number in range(1, 10_000) if (found := name if number == 1 else f"{name}_{number}") not in taken
        )
