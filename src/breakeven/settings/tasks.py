"""``tasks:`` of ``breakeven.yaml``: how tasks are told of requests that name none, and what tasks are allowed."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from breakeven.settings.fields import Label, like
from breakeven.sources.written import IsNumber, Strict

LONGEST_PATTERN = 1000


def _pattern(text: str) -> str:
    """Refuse what is no regular expression."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"this is no regular expression: {error}") from None
    return text


Pattern = Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN), AfterValidator(_pattern)]
Fingerprint = Annotated[str, like(r"^[0-9a-f]{16}$", "this should be the 16 hex digits of a fingerprint")]
Word = Annotated[str, Field(min_length=1, max_length=200)]


class TaskRuleEntry(Strict):
    """A task, and what its requests have in common; every condition that is given must hold."""

    task: Label = Field(description="The task.")
    matches: Pattern | None = Field(
        None, description="Regular expression found in the last message of the user (of a long one: beginning and end)."
    )
    words: Annotated[tuple[Word, ...], Field(max_length=200)] = Field(
        (), description="Words or phrases of which one stands there, in whatever case."
    )
    system_matches: Pattern | None = Field(None, description="Regular expression found in the system prompt.")
    json_answer: bool | None = Field(None, description="Whether JSON is asked for (response_format and its like).")
    schema_name: Word | None = Field(None, description="Name of the JSON schema that is asked for.")
    tools: bool | None = Field(None, description="Whether tools are offered.")
    tool: Word | None = Field(None, description="Name of a tool that is offered.")
    max_tokens: Annotated[int, Field(ge=1, le=10**9), IsNumber] | None = Field(
        None, description="The request limits its answer to so many tokens or fewer."
    )

    @model_validator(mode="after")
    def _has_condition(self) -> "TaskRuleEntry":
        """Refuse a rule that holds for everything, and two ways to say the same condition."""
        said: dict[str, Any] = self.model_dump(exclude={"task"}, exclude_none=True)
        if not {name for name, value in said.items() if value != ()}:
            raise ValueError("a rule needs a condition, such as matches, words, json_answer, tools or max_tokens")
        if self.matches is not None and self.words:
            raise ValueError("give matches or words, not both")
        return self


class TasksEntry(Strict):
    """How tasks are told, the first that knows: header, alias, fingerprint, rules, classifier; else unknown."""

    aliases: dict[str, Label] = Field(
        default_factory=dict, max_length=10_000, description="Task by the model's name that clients ask for."
    )
    fingerprints: dict[Fingerprint, Label] = Field(
        default_factory=dict,
        max_length=100_000,
        description="Task by the fingerprint of system prompt, tools and schema, as `breakeven route fingerprint` "
        "tells it.",
    )
    learn: bool = Field(
        default=True,
        description="Whether a client's requests that name a task teach which fingerprint it has, for its own requests "
        "that name none.",
    )
    rules: Annotated[tuple[TaskRuleEntry, ...], Field(max_length=1000)] = Field(
        (), description="Tried in order; the first that holds decides."
    )
    classifier: Path | None = Field(None, description="What `breakeven route train` wrote; it needs numpy.")
    tables: tuple[Path, ...] = Field(
        (), description="What `breakeven route table` wrote: which tasks the weak target or pool of each may have."
    )
