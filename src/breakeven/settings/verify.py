"""``verify:`` of a model in ``breakeven.yaml``: how its answers are checked before a client gets them."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from breakeven.settings.address import read_address
from breakeven.settings.fields import Label, Reference
from breakeven.settings.secret import is_reference
from breakeven.sources.written import IsNumber, Strict

OF_REQUEST: Final = "request"
"""Under ``json_schema:``, the schema that each request asks for itself."""

CHECKS: Final = ("json_schema", "enum", "regex", "http")
Text = Annotated[str, Field(min_length=1, max_length=10_000)]


def _check_url(url: str) -> str:
    if not is_reference(url):
        read_address(url)
    return url


CheckUrl = Annotated[
    str,
    AfterValidator(_check_url),
    WithJsonSchema({"type": "string", "pattern": r"^([Hh][Tt][Tt][Pp][Ss]?://|env:|file:)[!-~]+$"}),
]


class HttpCheckEntry(Strict):
    """A check of your own: it is sent request_id, model, task and answer as JSON, and answers 200 {"ok": true}."""

    url: CheckUrl = Field(description="Where it is asked (POST); a URL, or env:NAME or file:PATH that holds one.")
    key: Reference | None = Field(None, description="Reference to the key that it is sent: env:NAME or file:PATH.")
    timeout_s: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False), IsNumber] = Field(
        2, description="Within which it must answer; otherwise the answer could not be checked."
    )
    ca_file: Path | None = Field(
        None, description="PEM file of the authorities that vouch for it; default: those of the system."
    )
    sensitivities: tuple[Label, ...] = Field(
        (), description="Kinds of data that it may see; of requests that are marked with another it is not asked."
    )


def _one_check(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"required": [name]} for name in CHECKS]


class VerifyEntry(Strict):
    """Checks of an answer, all of which it must pass; if it does not, the next target is asked."""

    model_config = ConfigDict(json_schema_extra=_one_check)

    json_schema: Literal["request"] | dict[str, Any] | Path | None = Field(
        None,
        description="The answer is JSON that keeps to this schema: written here, a file's path, or 'request' for the "
        "one that the request asks for, if it does (response_format and the like).",
    )
    enum: Annotated[tuple[Text, ...], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="The answer is one of these texts, blanks around it aside."
    )
    regex: Text | None = Field(
        None, description="The whole answer matches this pattern; it knows no look-around and no back-references."
    )
    http: HttpCheckEntry | None = Field(None, description="A check of your own, asked when all others are passed.")
    tasks: Annotated[tuple[Label, ...], Field(min_length=1)] | None = Field(
        None, description="Tasks whose answers are checked (header x-breakeven-task); left out: all requests."
    )
    most_bytes: Annotated[int, Field(ge=1024, le=33_554_432), IsNumber] = Field(
        1_048_576, description="Longest answer that is held to be checked; a longer one cannot be."
    )
    unverifiable: Literal["escalate", "pass"] = Field(
        "escalate",
        description="What becomes of an answer that cannot be checked, being too long or no text (a call of a tool, "
        "say), or because the check is away: the next target is asked, or it is passed on.",
    )
    verify_last: bool = Field(
        default=False,
        description="Check the answer of the last target too, and tell the client where that fails; otherwise it is "
        "passed on unchecked, and streams flow as they come.",
    )

    @model_validator(mode="after")
    def _has_a_check(self) -> "VerifyEntry":
        if all(getattr(self, name) is None for name in CHECKS):
            raise ValueError(f"there is nothing to check: give {', '.join(CHECKS[:-1])} or {CHECKS[-1]}")
        return self
