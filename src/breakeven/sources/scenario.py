"""The scenario: a YAML file with what a team knows better than any catalogue.

Everything is optional.  Unknown keys, wrong units and contradictions are refused, all at once,
with file, line and key; the JSON Schema is published from these classes.
"""

from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from breakeven.catalog.assumptions import AT_LEAST_ONE, RATES_OF_GROWTH, SHARE_UNITS, Assumption, Distribution
from breakeven.catalog.book import Book
from breakeven.catalog.hardware import Purchase
from breakeven.catalog.models import Precision
from breakeven.errors import Problem
from breakeven.records import Moments, PriceCell, TrafficProfile
from breakeven.sources.written import (
    AtLeastOne,
    Count,
    Day,
    Dollars,
    Finite,
    IsNumber,
    Positive,
    Price,
    Strict,
    as_fraction,
    single_number,
)
from breakeven.sources.yaml_file import Document, check, need_mapping, parse_yaml, read_yaml, refusal
from breakeven.usage import TokenUsage


class Traffic(Strict):
    """The traffic to plan for, where a file does not say it, or how to scale what a file says."""

    input_tokens_per_month: Count | None = Field(None, description="Prompt tokens, cached ones included.")
    output_tokens_per_month: Count | None = Field(None, description="Output tokens, reasoning included.")
    requests_per_month: Count | None = Field(None, description="Without it no cost per request is given.")
    total_tokens_per_month: AtLeastOne | None = Field(
        None, description="Scale the observed traffic to this many tokens a month, its mix unchanged."
    )

    @model_validator(mode="after")
    def _both_types(self) -> Self:
        if (self.input_tokens_per_month is None) != (self.output_tokens_per_month is None):
            raise ValueError("give input_tokens_per_month and output_tokens_per_month together: tokens are typed")
        if self.input_tokens_per_month is not None and self.total_tokens_per_month is not None:
            raise ValueError("give either tokens by type or total_tokens_per_month, not both")
        if self.requests_per_month is not None and self.input_tokens_per_month is None:
            raise ValueError("requests_per_month counts only beside input_ and output_tokens_per_month")
        if self.input_tokens_per_month == 0 and self.output_tokens_per_month == 0:
            raise ValueError("no input and no output tokens: there is no traffic to plan for")
        return self


class Throughput(Strict):
    """A throughput of one node that you state or measured: of output tokens, or of all tokens."""

    output_tokens_per_s: Positive | None = Field(None, description="Output tokens/s of a whole node.")
    total_tokens_per_s: Positive | None = Field(None, description="Input and output tokens/s of a whole node.")
    isl_tokens: Positive | None = Field(None, description="Input length at which it was measured.")
    osl_tokens: Positive | None = Field(None, description="Output length at which it was measured.")
    source: str = "stated in the scenario"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.output_tokens_per_s is None) == (self.total_tokens_per_s is None):
            raise ValueError("give exactly one of output_tokens_per_s and total_tokens_per_s")
        return self


class Pool(Strict):
    """A self-hosted pool to consider, in your own figures."""

    model: str = Field(description="Open model, by catalogue id or Hugging Face name.")
    gpu: str = Field(description="GPU, by catalogue id or a usual name.")
    gpus_per_node: Annotated[int, Field(ge=1, le=1024), IsNumber] = Field(1, description="The smallest unit you rent.")
    precision: Precision = Field("fp8", description="Precision of the weights.")
    engine: str = Field("vllm", description="Serving engine, for the title.")
    purchase: Purchase = Field("on-demand", description="How the nodes are bought.")
    usd_per_gpu_hour: Price | None = Field(None, description="What you pay; default: the catalogue's offers.")
    node_usd: Dollars | None = Field(None, description="Purchase price of an owned node.")
    node_power_w: Positive | None = Field(None, description="Rated power of an owned node; default: its GPUs'.")
    throughput: Throughput | None = None
    min_nodes: Annotated[int, Field(ge=1, le=100_000), IsNumber] = Field(1, description="Never fewer than these.")
    already_owned: bool = Field(default=False, description="The hardware is paid for: its capital is sunk.")
    price_source: str = Field("stated in the scenario", description="Where your price stands.")
    regions: tuple[str, ...] = Field((), description="Where the nodes can be.")
    compliance: tuple[str, ...] = Field((), description="Attestations that the nodes' owner shows.")

    @model_validator(mode="after")
    def _owned_has_price(self) -> Self:
        if self.purchase == "owned" and self.node_usd is None and self.usd_per_gpu_hour is None:
            raise ValueError("an owned pool needs node_usd (or usd_per_gpu_hour for a known full cost)")
        return self


class Constraints(Strict):
    """What excludes options before any cost."""

    data_may_leave: bool = Field(default=True, description="False: only nodes of your own may see the data.")
    regions: tuple[str, ...] = Field((), description="The workload must run in one of these.")
    compliance: tuple[str, ...] = Field((), description="Attestations that every option must show.")
    fine_tuning: bool = Field(default=False, description="The model must be one whose weights you can change.")
    models: tuple[str, ...] = Field((), description="Only these models may serve (empty: any).")


class Tuning(Strict):
    """A model fine-tuned for this workload: what it takes to train it, and to have it served."""

    training_mtok: Positive = Field(description="Millions of tokens in one training run, epochs counted.")
    runs_per_year: Positive = Field(4.0, description="Training runs of each variant in a year.")
    variants: AtLeastOne = Field(1, description="Fine-tuned variants; as adapters they share a pool's nodes.")
    api_training_usd_per_mtok: Price | None = Field(
        None, description="What an API's provider asks for training a million tokens; without it no API is recommended."
    )


class Quality(Strict):
    """Evidence that a model is good enough for this workload."""

    model: str = Field(description="Catalogue id of an open model, or provider:model.")
    evidence: Literal["word", "labelled-pairs", "shadow"]
    accuracy_ratio: Annotated[float, Field(gt=0, le=2), IsNumber] | None = Field(
        None, description="Its success over that of today's model on your work."
    )
    as_of: Day | None = None
    note: str = ""


class AssumptionRange(Strict):
    """Your own figure for an assumption."""

    low: Finite
    likely: Finite
    high: Finite
    source: str = "stated in the scenario"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.likely <= self.high:
            raise ValueError(f"need low <= likely <= high, got {self.low}, {self.likely}, {self.high}")
        return self


def _as_range(value: Any) -> Any:
    """Take one number for a figure that is not in doubt."""
    number = single_number(value)
    return value if number is None else {"low": number, "likely": number, "high": number}


Stated = Annotated[AssumptionRange, BeforeValidator(_as_range, json_schema_input_type=AssumptionRange | float)]


class Scenario(Strict):
    """A file of what you know: traffic, models, prices, constraints and assumptions."""

    name: str = Field("scenario", description="What the report calls it.")
    as_of: Day | None = Field(None, description="Price everything on this date (default: today).")
    today: str | None = Field(None, description="What serves the traffic now: provider:model, or a model's name.")
    today_is_open_model: str | None = Field(None, description="Catalogue id, if today's model has open weights.")
    consider: tuple[str, ...] = Field((), description="Models and targets to compare with.")
    traffic: Traffic = Traffic()
    pools: tuple[Pool, ...] = ()
    constraints: Constraints = Constraints()
    quality: tuple[Quality, ...] = ()
    tuning: Tuning | None = Field(None, description="Set when the model is to be fine-tuned: its lines join the bills.")
    product_is_mature: bool | None = Field(
        None, description="A mature, scaled product (seed 003); false: a prototype or an early product."
    )
    tail_latency_matters: bool | None = Field(
        None, description="The slowest answers must meet a bound that a provider does not promise (seed 003)."
    )
    team_exists: bool = Field(default=False, description="The engineers who would run a pool are paid anyway.")
    assumptions: dict[str, Stated] = Field(
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
    need_mapping(document, "a scenario is a mapping of keys to values, such as 'today: gpt-4o'")
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

    Raises ``InputError`` for unknown keys, for shares outside 0 to 1 and for other figures that cannot be.
    """
    found: list[Assumption] = []
    problems: list[Problem] = []
    for key, stated in scenario.assumptions.items():
        where = document.where(("assumptions", key))
        known = book.assumptions.get(key)
        if known is None:
            problems.append(Problem(where=where, what=f"unknown assumption {key[:80]!r}.", fix=_near(key, book)))
        elif problem := _out_of_range(known, stated, where):
            problems.append(problem)
        else:
            found.append(_own(known, stated, scenario.as_of or today))
    if problems:
        raise refusal(document, problems)
    return tuple(found)


def _own(known: Assumption, stated: AssumptionRange, as_of: date) -> Assumption:
    return Assumption(
        key=known.key,
        meaning=known.meaning,
        unit=known.unit,
        low=stated.low,
        likely=stated.likely,
        high=stated.high,
        distribution=_distribution(known, stated),
        basis="user",
        as_of=as_of,
        source=stated.source,
    )


def _distribution(known: Assumption, stated: AssumptionRange) -> Distribution:
    """Return the catalogue's distribution, unless the stated figures cannot have it."""
    if stated.low == stated.high:
        return "fixed"
    unfit = {"fixed": True, "lognormal": stated.low <= 0, "beta": stated.low <= 0 or stated.high >= 1}
    if unfit.get(known.distribution, False):
        return "triangular"
    return known.distribution


def _near(key: str, book: Book) -> str:
    near = get_close_matches(key[:80], book.assumptions, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else "`breakeven catalog assumptions` lists them all."


_POSITIVE_UNITS = ("ratio", "tokens")
_POSITIVE = (
    "hours_per_month",
    "horizon_months",
    "lifetime_years",
    "engineer_usd_per_year",
    "target_utilisation_fraction",
    "slo_capacity_fraction",
    "peak_quantile_fraction",
)
"""What the models divide by."""


MOST_MONTHS = 120
_BELOW_ONE = ("spot_interruption_fraction",)


def _out_of_range(known: Assumption, stated: AssumptionRange, where: str) -> Problem | None:
    """Return what a figure cannot be, by what the models do with it."""
    given, key, fix = f"(given: {stated.low:g} {known.unit})", known.key, ""
    what = ""
    if key in RATES_OF_GROWTH:
        possible = stated.low > -1 and stated.high <= 1
        what = "" if possible else f"{key} is above -1, the loss of all, and at most 1, double each month {given}."
    elif key == "horizon_months" and not (stated.low >= 1 and stated.high <= MOST_MONTHS):
        what = f"{key} is between 1 and {MOST_MONTHS} (given: {stated.low:g} to {stated.high:g})."
    elif stated.low < 0:
        what = f"{key} cannot be negative {given}."
    elif known.unit in SHARE_UNITS and stated.high > 1:
        what = f"{key} is a share between 0 and 1 (given: {stated.high:g})."
        fix = f"If that is percent, {as_fraction(stated.high)}."
    elif key in _BELOW_ONE and stated.high >= 1:
        what = f"{key} must be below 1 (given: {stated.high:g}): nothing would be left."
    elif key in AT_LEAST_ONE and stated.low < 1:
        what = f"{key} is at least 1 (given: {stated.low:g})."
    elif (known.unit in _POSITIVE_UNITS or key in _POSITIVE) and stated.low <= 0:
        what = f"{key} must be above 0 {given}."
    return Problem(where=where, what=what, fix=fix) if what else None
