"""How a worker tells tasks: its part of the snapshot."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRulePlan:
    """A task and what its requests have in common; what is None is no condition."""

    task: str
    pattern: str | None = None
    """Regular expression found in the last message of the user."""

    any_case: bool = False
    """Whether that one takes upper and lower case as the same."""

    system: str | None = None
    """Regular expression found in the system prompt."""

    is_json: bool | None = None
    has_tools: bool | None = None
    tool: str | None = None
    schema: str | None = None
    most_answer_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksPlan:
    """How the tasks of requests are told."""

    aliases: tuple[tuple[str, str], ...] = ()
    """Models, as clients name them, each with its task."""

    fingerprints: tuple[tuple[str, str], ...] = ()
    learns: bool = True
    """Whether requests that declare their task teach which fingerprint it has."""

    rules: tuple[TaskRulePlan, ...] = ()
    classifier: str = ""
    """Path of its file; empty: there is none."""
