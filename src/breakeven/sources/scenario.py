"""The scenario: a YAML file with what a team knows better than any catalogue.

Everything is optional.  Unknown keys, wrong units and contradictions are refused, all at once,
with file, line and key; the JSON Schema is published from these classes.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from breakeven.catalog.assumptions import Assumption
from breakeven.catalog.book import Book
from breakeven.catalog.hardware import Purchase
from breakeven.errors import InputError, Problem
from breakeven.records import Moments, PriceCell, TrafficProfile
from breakeven.sources.yaml_file import Document, check, parse_yaml, read_yaml
from breakeven.usage import TokenUsage

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**16)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Traffic(_Strict):
    """The traffic to plan for, where a file does not say it, or how to scale what a file says."""

    input_tokens_per_month: Count | None = None
    output_tokens_per_month: Count | None = None
    requests_per_month: Count | None = None
    total_tokens_per_month: Count | None = Field(
        None, description="Scale the observed traffic to this many tokens a month, its mix unchanged."
    )

    @model_validator(mode="after")
    def _both_types(self) -> Self:
        if (self.input_tokens_per_month is None) != (self.output_tokens_per_month is None):
            raise ValueError("give input_tokens_per_month and output_tokens_per_month together: tokens are typed")
        if self.input_tokens_per_month is not None and self.total_tokens_per_month is not None:
            raise ValueError("give either tokens by type or total_tokens_per_month, not both")
        return self


class Throughput(_Strict):
    """A throughput of one node that you state or measured: of output tokens, or of all tokens."""

    output_tokens_per_s: Positive | None = None
    total_tokens_per_s: Positive | None = None
    isl_tokens: Positive | None = Field(None, description="Input length at which it was measured.")
    osl_tokens: Positive | None = Field(None, description="Output length at which it was measured.")
    source: str = "stated in the scenario"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.output_tokens_per_s is None) == (self.total_tokens_per_s is None):
            raise ValueError("give exactly one of output_tokens_per_s and total_tokens_per_s")
        return self


class Pool(_Strict):
    """A self-hosted pool to consider, in your own figures."""

    model: str
    gpu: str
    gpus_per_node: Annotated[int, Field(ge=1, le=1024)] = 1
    precision: str = "fp8"
    engine: str = "vllm"
    purchase: Purchase = "on-demand"
    usd_per_gpu_hour: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = None
    node_usd: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None, description="Purchase price of an owned node."
    )
    node_power_w: Positive | None = None
    throughput: Throughput | None = None
    min_nodes: Annotated[int, Field(ge=1)] = 1
    already_owned: bool = Field(False, description="The hardware is paid for: its capital is sunk.")
    price_source: str = "stated in the scenario"
    regions: tuple[str, ...] = ()
    compliance: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _owned_has_price(self) -> Self:
        if self.purchase == "owned" and self.node_usd is None and self.usd_per_gpu_hour is None:
            raise ValueError("an owned pool needs node_usd (or usd_per_gpu_hour for a known full cost)")
        return self


class Constraints(_Strict):
    """What excludes options before any cost."""

    data_may_leave: bool = True
    regions: tuple[str, ...] = Field((), description="The workload must run in one of these.")
    compliance: tuple[str, ...] = Field((), description="Attestations that every option must show.")
    fine_tuning: bool = Field(False, description="The model must be one whose weights you can change.")
    models: tuple[str, ...] = Field((), description="Only these models may serve (empty: any).")


class Quality(_Strict):
    """Evidence that a model is good enough for this workload."""

    model: str
    evidence: Literal["word", "labelled-pairs", "shadow"]
    accuracy_ratio: Annotated[float, Field(gt=0, le=2)] | None = Field(
        None, description="Its success over that of today's model on your work."
    )
    as_of: date | None = None
    note: str = ""


class AssumptionRange(_Strict):
    """Your own figure for an assumption."""

    low: float
    likely: float
    high: float
    source: str = "stated in the scenario"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.likely <= self.high:
            raise ValueError(f"need low <= likely <= high, got {self.low}, {self.likely}, {self.high}")
        return self


class Scenario(_Strict):
    """A file of what you know: traffic, models, prices, constraints and assumptions."""

    name: str = "scenario"
    as_of: date | None = Field(None, description="Price everything on this date (default: today).")
    today: str | None = Field(None, description="What serves the traffic now: provider:model, or a model's name.")
    today_is_open_model: str | None = Field(None, description="Catalogue id, if today's model has open weights.")
    consider: tuple[str, ...] = Field((), description="Models and targets to compare with.")
    traffic: Traffic = Traffic()
    pools: tuple[Pool, ...] = ()
    constraints: Constraints = Constraints()
    quality: tuple[Quality, ...] = ()
    team_exists: bool = Field(False, description="The engineers who would run a pool are paid anyway.")
    assumptions: dict[str, AssumptionRange | float] = Field(
        default_factory=dict, description="Your own figures, by key (see `breakeven catalog assumptions`)."
    )
    rate_cards: tuple[Path, ...] = Field((), description="YAML files of local rate cards, beside this file.")


def read_scenario(path: Path) -> tuple[Scenario, Document]:
    """Read and validate a scenario.  Raises ``InputError`` with every problem in it."""
    return _scenario(read_yaml(path))


def parse_scenario(text: str, name: str = "scenario") -> tuple[Scenario, Document]:
    """Validate a scenario given as text."""
    return _scenario(parse_yaml(text, name))


def _scenario(document: Document) -> tuple[Scenario, Document]:
    if document.data is None:
        raise InputError(f"{document.name} is empty: a scenario is a YAML mapping, such as 'today: gpt-4o'.")
    if not isinstance(document.data, dict):
        raise InputError(f"{document.name}: a scenario is a mapping of keys to values, such as 'today: gpt-4o'.")
    return check(document, Scenario), document


def stated_profile(scenario: Scenario) -> TrafficProfile | None:
    """Return the profile of traffic that a scenario states as monthly totals; None when it states none."""
    traffic = scenario.traffic
    if traffic.input_tokens_per_month is None or traffic.output_tokens_per_month is None:
        return None
    usage = TokenUsage(input_tokens=traffic.input_tokens_per_month, output_tokens=traffic.output_tokens_per_month)
    requests = traffic.requests_per_month or 0
    return TrafficProfile(
        source=f"{scenario.name} (stated)",
        kind="bill",
        rows_read=0,
        rows_lost=0,
        usage=usage,
        moments=Moments(
            requests=requests,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            input_output_tokens2=0.0,
            output_output_tokens2=0.0,
        ),
        months=1.0,
        input_lengths=None,
        output_lengths=None,
        cells=(PriceCell(input_over_tokens=0, day_segment=0, requests=requests, usage=usage),),
        models=(),
        times=None,
    )


def own_assumptions(scenario: Scenario, document: Document, book: Book, today: date) -> tuple[Assumption, ...]:
    """Return the assumptions that the scenario replaces.

    Raises ``InputError`` for unknown keys, and for shares outside 0 to 1.
    """
    found: list[Assumption] = []
    problems: list[Problem] = []
    for key, given in scenario.assumptions.items():
        where = document.where(("assumptions", key))
        known = book.assumptions.get(key)
        if known is None:
            keys = ", ".join(_near(key, book))
            problems.append(Problem(where=where, what=f"unknown assumption {key!r}.", fix=f"Did you mean {keys}?"))
            continue
        stated = given if isinstance(given, AssumptionRange) else AssumptionRange(low=given, likely=given, high=given)
        if problem := _out_of_range(known, stated, where):
            problems.append(problem)
            continue
        found.append(
            Assumption(
                key=key,
                meaning=known.meaning,
                unit=known.unit,
                low=stated.low,
                likely=stated.likely,
                high=stated.high,
                distribution=known.distribution,
                basis="user",
                as_of=scenario.as_of or today,
                source=stated.source,
            )
        )
    if problems:
        raise InputError(f"{document.name} has {len(problems)} problem(s):", tuple(problems))
    return tuple(found)


def _near(key: str, book: Book) -> list[str]:
    return get_close_matches(key, book.assumptions, n=2, cutoff=0.3) or sorted(book.assumptions)[:5]


_ABOVE_ZERO = ("hours_per_month", "horizon_months", "lifetime_years", "engineer_usd_per_year")


def _out_of_range(known: Assumption, stated: AssumptionRange, where: str) -> Problem | None:
    if stated.low < 0:
        return Problem(where=where, what=f"{known.key} cannot be negative (given: {stated.low:g} {known.unit}).")
    if known.unit == "fraction" and stated.high > 1:
        return Problem(
            where=where,
            what=f"{known.key} is a share between 0 and 1 (given: {stated.high:g}).",
            fix="Write 60 % as 0.6.",
        )
    needs_more = known.unit == "ratio" or known.key in _ABOVE_ZERO or known.key.endswith(_POSITIVE_SHARES)
    if needs_more and stated.low <= 0:
        return Problem(where=where, what=f"{known.key} must be above 0 (given: {stated.low:g} {known.unit}).")
    return None


_POSITIVE_SHARES = ("target_utilisation_fraction", "slo_capacity_fraction", "peak_quantile_fraction")
