"""Which task a request is of, and how that was told: declared, its fingerprint, a rule, a classifier, or not at all.

The first that knows decides.  A declared task costs nothing; the others read the request, so they are asked only where
its route goes by tasks.  Whatever nobody knows is the empty task, which goes to the safe target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.routing.task_shape import fingerprint_of

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping, Sequence

    from breakeven.routing.task_shape import Shape

DECLARED, ALIAS, FINGERPRINT, RULE, CLASSIFIER, UNKNOWN = range(6)
WAYS: Final = ("declared", "alias", "fingerprint", "rule", "classifier", "unknown")
"""How a task was told, for ledgers and headers."""

_CONFLICT: Final = ""


class Told(NamedTuple):
    """A task, empty where it is unknown, and how it was told: one of the constants above."""

    task: str
    way: int


NOT_KNOWN: Final = Told("", UNKNOWN)


class TaskRule(NamedTuple):
    """A task and what its requests have in common: every condition that is set must hold."""

    task: str
    pattern: re.Pattern[str] | None = None
    """Found in the last message of the user."""

    system: re.Pattern[str] | None = None
    """Found in the system prompt."""

    is_json: bool | None = None
    has_tools: bool | None = None
    tool: str | None = None
    """A tool of that name is offered."""

    schema: str | None = None
    """JSON is asked for by the schema of that name."""

    most_answer_tokens: int | None = None
    """The answer may have so many tokens at most, and the request says so."""


def holds(rule: TaskRule, shape: Shape) -> bool:
    """Whether every condition of a rule holds for a request."""
    _, pattern, system, is_json, has_tools, tool, schema, most_tokens = rule
    return (
        (is_json is None or is_json == shape.is_json)
        and (has_tools is None or has_tools == bool(shape.tools))
        and (tool is None or tool in shape.tools)
        and (schema is None or schema == shape.schema)
        and (most_tokens is None or (shape.max_tokens is not None and shape.max_tokens <= most_tokens))
        and (system is None or system.search(shape.system) is not None)
        and (pattern is None or pattern.search(shape.text) is not None)
    )


class Fingerprints:
    """Which task requests with a fingerprint are of: those of the settings, and those that clients declared.

    What one client declares counts for that client alone, so that none can send another's requests elsewhere.  A
    fingerprint that was declared as two tasks tells none.
    """

    __slots__ = ("_known", "_learned", "_most")

    def __init__(self, known: Mapping[str, str], most_learned: int = 10_000) -> None:
        """Begin with those of the settings; of the others so many are remembered, the newest."""
        self._known = known
        self._learned: dict[tuple[str, str], str] = {}
        self._most = most_learned

    def task(self, client: str, fingerprint: str) -> str:
        """Return the task of a fingerprint; empty where none is known."""
        return self._known.get(fingerprint) or self._learned.get((client, fingerprint), "")

    def learn(self, client: str, fingerprint: str, task: str) -> None:
        """Note what a client declared a request with a fingerprint to be."""
        if not fingerprint or not task or fingerprint in self._known:
            return
        place = (client, fingerprint)
        before = self._learned.get(place)
        if before is None and len(self._learned) >= self._most:
            del self._learned[next(iter(self._learned))]
        self._learned[place] = task if before in (None, task) else _CONFLICT


class Tasks(NamedTuple):
    """What tasks are told by; made once for a snapshot."""

    aliases: Mapping[str, str] = {}
    """Task by the model's name that the client asked for."""

    rules: Sequence[TaskRule] = ()
    classify: Callable[[str], str] | None = None
    """From a text to its task, empty where it abstains."""


def declared_task(tasks: Tasks, header: str, model: str) -> Told:
    """Return the task that a request declares, by its header or the model's name; the body is not read."""
    if header:
        return Told(header, DECLARED)
    task = tasks.aliases.get(model)
    return Told(task, ALIAS) if task else NOT_KNOWN


def task_of(tasks: Tasks, known: Fingerprints, client: str, shape: Shape) -> Told:
    """Return the task of a request that declares none: by its fingerprint, else the first rule, else the classifier."""
    fingerprint = fingerprint_of(shape)
    if fingerprint and (task := known.task(client, fingerprint)):
        return Told(task, FINGERPRINT)
    for rule in tasks.rules:
        if holds(rule, shape):
            return Told(rule.task, RULE)
    if tasks.classify is not None and shape.text and (task := tasks.classify(shape.text)):
        return Told(task, CLASSIFIER)
    return NOT_KNOWN
