"""Whether an answer is what was asked for, told by its text alone: one of a few words, a pattern, a JSON Schema.

Patterns and schemas are checked by ``jsonschema_rs`` (extra ``verify``), whose regular expressions take time in
proportion to the text, whatever the pattern is: there is no look-around and no back-reference in them
(https://docs.rs/regex/latest/regex/#untrusted-input), and nothing that a reference leads to is fetched.  A schema that
comes with a request is written by its client, so the work that it may cause is bounded first: see ``is_bounded``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from jsonschema_rs import Validator

MOST_SCHEMA_BYTES: Final = 64 * 1024
"""Longest schema of a request's own."""

MOST_STEPS: Final = 20_000_000
"""Most keywords of such a schema times bytes of the text: about a second at the worst, a millisecond as a rule."""

_MOST_KEPT: Final = 64
_PATTERN_BYTES: Final = 1 << 20
"""Most memory that one compiled pattern takes."""

_AGAIN: Final = frozenset({"unevaluatedProperties", "unevaluatedItems"})
_AGAIN_TIMES: Final = 4
"""So many times all that stands beside these keywords is looked at, measured with ``jsonschema_rs``: two to three."""

_ELSEWHERE: Final = frozenset({"$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor"})
"""Keywords by which a schema leads to places that are not paths within it."""


class UncheckableError(ValueError):
    """A pattern or schema that is none, or that leads elsewhere; ``str()`` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the text of an answer must be; all that is given must hold."""

    enum: tuple[str, ...] = ()
    """The text is one of these, blanks around it aside; empty: any."""

    regex: str = ""
    """The whole text matches it, blanks around it aside; empty: any."""

    json_schema: str = ""
    """The text is JSON that keeps to this schema, itself written as JSON; empty: any."""

    own_schema: bool = False
    """The text keeps to the schema that its request asked for, if it did."""


class Checker:
    """Checks answers by one rule."""

    def __init__(self, rule: Rule) -> None:
        """Compile what the rule says.  Raises ``UncheckableError``."""
        self._enum = frozenset(text.strip() for text in rule.enum)
        self._regex = pattern_validator(rule.regex) if rule.regex else None
        self._schema = schema_validator(msgspec.json.decode(rule.json_schema)) if rule.json_schema else None
        self._own: dict[bytes, Validator | None] = {}
        self.own_schema = rule.own_schema
        self.always = bool(rule.enum or rule.regex or rule.json_schema)
        """Whether there is something to check of every answer, whatever its request asked for."""

    def why_not(self, text: str, own_schema: dict[str, Any] | None = None) -> str | None:
        """Return what a text fails, as words that follow "its answer"; empty: nothing; None: that cannot be told.

        ``own_schema`` is that of the request.
        """
        bare = text.strip()
        if self._enum and bare not in self._enum:
            return "is none of the texts that it may be"
        if self._regex is not None and not self._regex.is_valid(bare):
            return "does not match the pattern"
        if self._schema is not None and not _keeps_to(self._schema, bare):
            return "does not keep to the JSON Schema"
        if not self.own_schema or own_schema is None:
            return ""
        written = msgspec.json.encode(own_schema)
        validator = self._validator(written, own_schema)
        if validator is None or len(bare) * _steps(own_schema) > MOST_STEPS:
            return None
        return "" if _keeps_to(validator, bare) else "does not keep to the JSON Schema of its request"

    def _validator(self, written: bytes, schema: dict[str, Any]) -> Validator | None:
        """Return what checks a request's own schema; None where nothing can, or may take too long."""
        if written not in self._own:
            if len(self._own) >= _MOST_KEPT:
                del self._own[next(iter(self._own))]
            try:
                self._own[written] = schema_validator(schema) if is_bounded(written, schema) else None
            except UncheckableError:
                self._own[written] = None
        return self._own[written]


def schema_validator(schema: Any) -> Validator:
    """Return what checks a decoded value by a schema.  Raises ``UncheckableError`` where it is none."""
    import jsonschema_rs  # noqa: PLC0415 - 8 MB that only those need who check answers

    options = jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES)
    try:
        return jsonschema_rs.validator_for(schema, pattern_options=options, retriever=_fetch_nothing)
    except (ValueError, TypeError, RecursionError) as error:
        raise UncheckableError(str(error).partition("\n")[0][:200]) from error


def pattern_validator(pattern: str) -> Validator:
    """Return what checks whether a whole text matches a pattern.  Raises ``UncheckableError`` where it is none."""
    return schema_validator({"type": "string", "pattern": f"^(?:{pattern})$"})


def is_bounded(written: bytes, schema: dict[str, Any]) -> bool:
    """Whether a schema that a client wrote is checked in bounded work: short, closed in itself, and not recursive."""
    return len(written) <= MOST_SCHEMA_BYTES and _steps(schema) < MOST_STEPS


def _steps(schema: dict[str, Any]) -> int:
    """Return how many keywords a schema has with every reference written out; ``MOST_STEPS`` where that has no end."""
    try:
        return min(_Steps(schema).count(schema), MOST_STEPS)
    except RecursionError:
        return MOST_STEPS


class _Steps:
    """Counts the keywords of one schema; what is referred to is counted once and added wherever it is.

    Definitions are counted where they stand too: what stands under a name like theirs may be no definition.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._known: dict[str, int] = {}

    def count(self, part: Any) -> int:
        if isinstance(part, list):
            return sum(map(self.count, part))
        if not isinstance(part, dict):
            return 1
        if not _ELSEWHERE.isdisjoint(part):
            return MOST_STEPS
        total = 1 + sum(map(self.count, part.values()))
        reference = part.get("$ref")
        if reference is not None:
            total += self._referred(reference)
        return total if _AGAIN.isdisjoint(part) else total * _AGAIN_TIMES

    def _referred(self, reference: Any) -> int:
        """Return how many keywords are behind a reference; ``MOST_STEPS`` where it is not told where that leads."""
        if not isinstance(reference, str) or not reference.startswith("#/") or "%" in reference:
            return MOST_STEPS
        if reference not in self._known:
            self._known[reference] = MOST_STEPS  # what is found again before it is counted has no end
            part = self._at(reference)
            self._known[reference] = MOST_STEPS if part is None else min(self.count(part), MOST_STEPS)
        return self._known[reference]

    def _at(self, reference: str) -> Any:
        part: Any = self._root
        for name in reference[2:].split("/"):
            key = name.replace("~1", "/").replace("~0", "~")
            if isinstance(part, list):
                part = part[int(key)] if key.isdecimal() and int(key) < len(part) else None
            else:
                part = part.get(key) if isinstance(part, dict) else None
        return part


def _keeps_to(validator: Validator, text: str) -> bool:
    try:
        return validator.is_valid(msgspec.json.decode(text))
    except (ValueError, RecursionError):
        return False


def _fetch_nothing(uri: str) -> Any:
    raise ValueError(f"{uri[:80]} is outside the schema, and nothing is fetched")
