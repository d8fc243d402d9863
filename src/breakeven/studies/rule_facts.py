"""What a verdict and its scenario say of the measures that rules of thumb ask for, and the result beside them.

A default of the scenario that nobody wrote is not a fact: it stays unknown here, though the verdict
computes with it.  It stands beside both studies so that neither needs to know the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.studies.rules import Amount, Computed, Facts, Priced, Said
from breakeven.studies.verdict.answer import break_even_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from breakeven.records import TrafficProfile, TrafficTimes
    from breakeven.sources.rules import Lean
    from breakeven.sources.scenario import Scenario
    from breakeven.studies.verdict.result import CrossingResult, OptionKind, OptionResult, Verdict

WEEK_DAYS: Final = 7.0
"""From here on a trace has seen every hour of the week."""

GOOD_ENOUGH_RATIO: Final = 0.95
"""What a word of "good enough" without a figure stands for: the bar of 001."""

_LEANS: Final[dict[OptionKind, Lean]] = {
    "today": "api",
    "today-optimised": "api",
    "api": "api",
    "provisioned": "api",
    "open-model-api": "managed",
    "serverless": "managed",
    "self-hosted": "self-host",
    "owned": "self-host",
    "hybrid": "hybrid",
}
_OWN_NODES: Final = ("self-hosted", "owned")
_BY_TOKEN: Final = ("today", "today-optimised", "api", "open-model-api")


def facts_of(verdict: Verdict, scenario: Scenario) -> Facts:
    """Return what is known, each fact with where it comes from."""
    traffic = _traffic_source(verdict.profile, scenario)
    requests = verdict.requests_per_month
    constraints = scenario.constraints
    written = constraints.model_fields_set
    stays = _said("constraints.data_may_leave", written, holds=not constraints.data_may_leave)
    attested = _said("constraints.compliance", written, holds=bool(constraints.compliance))
    return Facts(
        volume_mtok_per_month=Amount.of(verdict.volume_mtok_per_month, traffic),
        volume_requests_per_month=Amount.of(requests, traffic) if requests else None,
        hour_peak_to_mean_ratio=_hour_peak(verdict.profile.times) if verdict.profile.times else None,
        pool_utilisation_fraction=_pool_utilisation(verdict),
        batch_fraction=_batch(verdict.profile, scenario),
        open_model_quality_ratio=_quality(verdict),
        today_engineering_usd_per_mtok=_engineering(verdict),
        data_must_stay=stays,
        compliance_needed=stays if stays and stays.holds else attested,
        residency_needed=_said("constraints.regions", written, holds=bool(constraints.regions)),
        fine_tuning_needed=_said("constraints.fine_tuning", written, holds=constraints.fine_tuning),
        product_is_mature=_said("product_is_mature", scenario.model_fields_set, holds=bool(scenario.product_is_mature)),
        tail_latency_matters=_said(
            "tail_latency_matters", scenario.model_fields_set, holds=bool(scenario.tail_latency_matters)
        ),
        team_exists=_said("team_exists", scenario.model_fields_set, holds=scenario.team_exists),
        gateway_in_path=Said(holds=True, source=f"your ledger: {verdict.profile.source}")
        if verdict.profile.source.startswith("ledger:")
        else None,
    )


def computed_of(verdict: Verdict) -> Computed:
    """Return the computed result that rules are set beside."""
    recommended = _recommended(verdict)
    today = next(item for item in verdict.options if item.kind == "today")
    allowed = [item for item in verdict.options if not item.excluded_by]
    managed = [item for item in allowed if _LEANS.get(item.kind) == "managed" and not item.partial]
    pool = _cheapest_pool(verdict)
    return Computed(
        recommended=_priced(recommended, verdict) if recommended else None,
        leans=_LEANS.get(recommended.kind) if recommended else None,
        today=_priced(today, verdict),
        pool=_priced(pool, verdict) if pool else None,
        managed=_priced(_cheapest(managed), verdict) if managed else None,
        allowed_apis_count=sum(item.kind in _BY_TOKEN for item in allowed),
        self_hosting_wins_fraction=verdict.outlook.self_hosting_wins_fraction,
    )


def _said(key: str, written: Collection[str], *, holds: bool) -> Said | None:
    """Return what the scenario says under a key; None where nobody wrote it."""
    return Said(holds=holds, source=f"scenario: {key}") if key.rpartition(".")[2] in written else None


def _traffic_source(profile: TrafficProfile, scenario: Scenario) -> str:
    if scenario.traffic.total_tokens_per_month is not None:
        return "scenario: traffic.total_tokens_per_month"
    if scenario.traffic.input_tokens_per_month is not None:
        return "scenario: traffic"
    return f"your {profile.kind}: {profile.source}"


def _hour_peak(times: TrafficTimes) -> Amount | None:
    """Return the busiest hour of the week over the mean hour; of part of a week only that it is no less.

    None below a day: such a trace has seen no night.
    """
    rates = [rate for rate in times.hour_of_week_requests_per_s if rate is not None]
    mean = sum(rates) / len(rates) if rates else 0.0
    if times.span_days < 1 or mean == 0:
        return None
    ratio = max(rates) / mean
    source = f"your trace: {times.span_days:.3g} days"
    return Amount.exact(ratio, source) if times.span_days >= WEEK_DAYS else Amount.at_least(ratio, source)


def _pool_utilisation(verdict: Verdict) -> Amount | None:
    pool = _cheapest_pool(verdict)
    if pool is None or pool.nodes is None:
        return None
    return Amount.of(pool.nodes.utilisation_fraction, f"computed: {pool.title}, sized by {pool.nodes.sized_by}")


def _batch(profile: TrafficProfile, scenario: Scenario) -> Amount | None:
    """Return the share that can wait: as the user states it, else as the log shows it.

    The catalogue's own figure is a guess about others, so it is no fact.  What was already sent as a
    batch is a lower end.
    """
    stated = scenario.assumptions.get("batchable_fraction")
    if stated is not None:
        source = "scenario: assumptions.batchable_fraction"
        return Amount(low=stated.low, likely=stated.likely, high=stated.high, source=source)
    source = f"your {profile.kind}: {profile.source}"
    if profile.batchable_fraction is not None:
        return Amount.exact(profile.batchable_fraction, source)
    if profile.batch_fraction is not None:
        return Amount(low=profile.batch_fraction, likely=None, high=1.0, source=f"{source}, sent as batch or flex")
    return None


def _quality(verdict: Verdict) -> Amount | None:
    """Return the best that is known of any open model beside today's."""
    open_models = [item for item in verdict.options if item.kind in ("open-model-api", "serverless", *_OWN_NODES)]
    known = [found for item in open_models if (found := _quality_of(item)) is not None]
    return max(known, key=lambda amount: amount.low, default=None)


def _quality_of(item: OptionResult) -> Amount | None:
    quality = item.quality
    source = f"{item.model}: {quality.reason}"
    if quality.standing == "same model":
        return Amount.exact(1.0, source)
    if quality.score_ratio is not None:
        return Amount.exact(quality.score_ratio, source)
    return Amount.at_least(GOOD_ENOUGH_RATIO, source) if quality.standing == "evidence" else None


def _engineering(verdict: Verdict) -> Amount:
    today = next(item for item in verdict.options if item.kind == "today")
    usd_per_month = sum(row.usd_per_month.likely for row in today.lines if row.layer == "engineering")
    return Amount.exact(
        usd_per_month / verdict.volume_mtok_per_month.likely,
        f"computed: engineering in the {today.bases.fully_loaded_usd_per_mtok:.3g} USD of {today.title}",
    )


def _cheapest_pool(verdict: Verdict) -> OptionResult | None:
    """Return the cheapest pool of one's own that no constraint excludes, with evidence of quality if any has it."""
    pools = [item for item in verdict.options if item.kind in _OWN_NODES and not (item.excluded_by or item.partial)]
    proven = [item for item in pools if item.quality.standing != "no evidence"]
    return _cheapest(proven or pools) if pools else None


def _cheapest(options: Iterable[OptionResult]) -> OptionResult:
    return min(options, key=lambda item: item.usd_per_month.likely)


def _priced(item: OptionResult, verdict: Verdict) -> Priced:
    return Priced(
        title=item.title,
        usd_per_month=item.usd_per_month.likely,
        has_evidence=item.quality.standing != "no evidence",
        break_evens=tuple(_broken_even(crossing, verdict) for crossing in _telling(item, verdict)),
    )


def _telling(item: OptionResult, verdict: Verdict) -> Sequence[CrossingResult]:
    """Return the crossings against today, against the recommended option and against the same model by the token."""
    recommended = _recommended(verdict)
    return [
        crossing
        for crossing in item.break_even
        if (rival := verdict.option(crossing.against)).kind in ("today", "open-model-api") or rival is recommended
    ]


def _recommended(verdict: Verdict) -> OptionResult | None:
    return next((item for item in verdict.options if item.id == verdict.answer.recommended), None)


def _broken_even(crossing: CrossingResult, verdict: Verdict) -> str:
    rival = verdict.option(crossing.against).title
    if crossing.likely.never:
        return f"it never breaks even against {rival}"
    return f"it breaks even {break_even_text(crossing.likely)} against {rival}"
