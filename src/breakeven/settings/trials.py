"""``trials:`` of ``breakeven.yaml``: candidates that are shown a share of the requests, and what is looked at."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field, model_validator

from breakeven.settings.fields import Label, Reference
from breakeven.settings.verify import HttpCheckEntry
from breakeven.sources.written import Dollars, IsNumber, Strict

Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), IsNumber]
Labels = Annotated[tuple[Label, ...], Field(min_length=1, max_length=1000)]


class JudgeEntry(Strict):
    """A model that compares both answers, in both orders; answers that are equal are not shown to it."""

    model: str = Field(
        min_length=1, max_length=256, description="Name of a model above; a strong one, and neither of the compared."
    )
    share: Share = Field(1, description="Share of the pairs that it is shown.")
    tasks: Labels | None = Field(None, description="Tasks whose pairs it is shown; left out: all.")
    criteria: Annotated[str, Field(max_length=4000)] = Field(
        "", description="What a good answer is, for the question that the judge is asked; left out: help and accuracy."
    )


class ShadowEntry(Strict):
    """A candidate that is asked what clients ask a model, beside the target that serves them."""

    model: str = Field(min_length=1, max_length=256, description="The model by the name that clients use.")
    candidate: str = Field(description="Name of a target or node above; it need not be one of the model's.")
    asked_as: str | None = Field(
        None, min_length=1, max_length=256, description="The model's name there; left out: the target's own."
    )
    share: Share = Field(description="Share of the model's requests that it is asked.")
    tasks: Labels | None = Field(None, description="Tasks whose requests it is asked; left out: all.")
    keys: Labels | None = Field(None, description="Keys whose requests it is asked; left out: all.")
    tags: Labels | None = Field(
        None, description="Tags, such as env=prod, one of which a request bears; left out: whatever it bears."
    )
    check: HttpCheckEntry | None = Field(
        None,
        description="A check of your own that is asked about both answers: as under verify, and it may say a score "
        'from 0 to 1 ({"ok": true, "score": 0.8}).',
    )
    judge: JudgeEntry | None = Field(None, description="A model that compares both answers; left out: none does.")


class SignalsEntry(Strict):
    """What is told from answers without asking anybody, and written down as outcomes, each under its own name."""

    share: Share = Field(1, description="Share of the requests whose answers are looked at.")
    models: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None, description="Models whose answers are looked at; left out: all."
    )
    schema_valid: bool = Field(
        default=True, description="Whether an answer keeps to the JSON Schema that its request asked for."
    )
    tool_calls: bool = Field(default=True, description="Whether calls of tools can be read, and name tools that exist.")
    refusal: bool = Field(default=True, description="Whether the model refused.")
    truncated: bool = Field(default=True, description="Whether the answer was cut off by its length.")
    retry_minutes: Annotated[float, Field(ge=0, le=1440, allow_inf_nan=False), IsNumber] = Field(
        5, description="Within which the same question of the same episode or key counts as asked again; 0: never."
    )
    http_check: HttpCheckEntry | None = Field(
        None, description="A check of your own, asked about each answer, as under verify; left out: none."
    )


class KeepTextEntry(Strict):
    """Questions and answers of pairs, kept sealed for people to look at; needs the extra ``texts``."""

    days: Annotated[int, Field(ge=1, le=365), IsNumber] = Field(description="Days after which they are gone.")
    key: Reference = Field(
        description="Reference to the secret that seals them, of 32 characters or more: env:NAME or file:PATH."
    )
    sensitivities: tuple[Label, ...] = Field(
        (), description="Kinds of data that may be kept; texts of requests marked with another are not."
    )


class TrialsEntry(Strict):
    """Candidates compared on live requests, signals, and what shifts need; nothing of it is waited for by a client."""

    shadows: Annotated[tuple[ShadowEntry, ...], Field(max_length=100)] = Field(
        (), description="Candidates and what they are asked; left out: none, and signals and shifts alone go on."
    )
    judge: JudgeEntry | None = Field(None, description="The judge of pairs for shifts, and where a shadow names none.")
    check: HttpCheckEntry | None = Field(
        None, description="The check of pairs for shifts, and where a shadow names none."
    )
    budget_day_usd: Dollars = Field(
        Decimal(10),
        description="What candidates and judges may cost a day (UTC), at the prices that are known; nodes of pools and "
        "targets without a price count nothing.",
    )
    slots: Annotated[int, Field(ge=1, le=1024), IsNumber] = Field(
        8, description="Most requests of its own that are under way at a time."
    )
    signals: SignalsEntry | None = Field(None, description="Signals of live answers as outcomes; left out: none.")
    keep_text: KeepTextEntry | None = Field(None, description="Texts of pairs; left out: none is kept.")

    @model_validator(mode="after")
    def _is_once(self) -> "TrialsEntry":
        named = [(shadow.model, shadow.candidate) for shadow in self.shadows]
        twice = next((pair for pair in named if named.count(pair) > 1), None)
        if twice is not None:
            raise ValueError(f"the candidate {twice[1]!r} of {twice[0]!r} is there twice: put both into one entry")
        return self
