"""How often each model's answers do their job, in every world, and what a success costs on each option.

Where outcomes of today's model are known, options rank on cost per success.  A model with too few outcomes of its own
is taken by the ratio that the user or a shadow comparison gives it, else to succeed as often as today's, which is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.studies.verdict.evaluate import spread
from breakeven.studies.verdict.hybrid_option import HybridOption
from breakeven.studies.verdict.result import Success

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from breakeven.quantities import Array
    from breakeven.studies.verdict.context import Context
    from breakeven.studies.verdict.evaluate import Case, Option
    from breakeven.studies.verdict.result import OptionResult, SuccessBasis
    from breakeven.studies.verdict.succeeded import Succeeded
    from breakeven.studies.verdict.worlds import Chance

LEAST_KNOWN_COUNT: Final = 30
"""With fewer known outcomes a model's share of successes says too little to rank on."""

_PRIOR: Final = 0.5
"""Jeffreys: of each kind, so that a share of 0 or 1 is not certain."""

_STREAM: Final = 0x5CCE55
"""Makes these draws others than those of assumptions, with the same seed."""

_Z_95: Final = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The share of successes of one model, at its likely value and in every world."""

    likely: float
    drawn: Array
    basis: SuccessBasis
    known_count: int


class SuccessRates:
    """The shares of successes of all models; the same model succeeds as often on every option."""

    __slots__ = ("_known", "_ratios", "_requests", "_today")

    def __init__(self, context: Context, chance: Chance) -> None:
        """Draw every model's share.  Raises ``LookupError`` where too little is known of today's; see ``drawn``."""
        generator = np.random.default_rng([chance.seed, _STREAM])
        known = sorted(context.succeeded or (), key=lambda item: item.model)
        self._known = {item.model: _rate(item, chance, generator) for item in known if _is_enough(item)}
        self._today = self._known[context.targets.today_model]
        self._ratios = _ratios(context, chance, generator)
        subjects = sum(item.subject_count for item in known)
        self._requests = sum(item.request_count for item in known) / subjects
        """A subject takes so many requests."""

    @classmethod
    def drawn(cls, context: Context, chance: Chance) -> SuccessRates | None:
        """Return the shares; None where too few outcomes of today's model are known."""
        today, counted = context.targets.today_model, context.workload.profile.moments.requests
        if not counted or not any(item.model == today and _is_enough(item) for item in context.succeeded or ()):
            return None
        return cls(context, chance)

    def of(self, option: Option) -> Rate:
        """Return an option's share: of its model; of two that serve together the lower."""
        models = {option.model, option.api.model} if isinstance(option, HybridOption) else {option.model}
        return min((self._of(model) for model in sorted(models)), key=lambda rate: rate.likely)

    def with_success(self, case: Case, result: OptionResult, context: Context) -> OptionResult:
        """Return a result with what a success costs."""
        rate, workload = self.of(case.option), context.workload
        likely_usd = case.likely_bill.usd_per_month / workload.month(case.likely).requests
        drawn_usd = case.drawn_bill.usd_per_month / workload.month(case.drawn).requests
        success = Success(
            fraction=spread(rate.drawn, rate.likely),
            basis=rate.basis,
            known_count=rate.known_count,
            usd_per_success=spread(
                np.asarray(drawn_usd * self._requests / rate.drawn), likely_usd * self._requests / rate.likely
            ),
        )
        return replace(result, success=success)

    def _of(self, model: str) -> Rate:
        if model in self._known:
            return self._known[model]
        ratio = self._ratios.get(model.lower())
        today = self._today
        if ratio is None:
            return Rate(likely=today.likely, drawn=today.drawn, basis="as today's", known_count=0)
        basis, likely, drawn = ratio
        return Rate(
            likely=min(today.likely * likely, 1.0),
            drawn=np.clip(today.drawn * drawn, _LEAST_FRACTION, 1.0),
            basis=basis,
            known_count=0,
        )


_LEAST_FRACTION: Final = 1e-6


def success_notes(rates: SuccessRates | None, results: Sequence[OptionResult], context: Context) -> list[str]:
    """Say on what options are ranked, and what of it is assumed; nothing where no outcome was looked for."""
    today = context.targets.today_model
    if context.succeeded is None:
        return []
    if rates is None:
        count = sum(item.known_count for item in context.succeeded if item.model == today)
        gap = f"options are ranked on cost, not on cost per success: {count:,} outcomes of {today} are known, "
        return [f"{gap}{LEAST_KNOWN_COUNT} needed. Say what answers were worth: POST /breakeven/v1/outcomes"]
    basis = {item.model: item.success.basis for item in results if item.success}
    notes = []
    if assumed := sorted(model for model, text in basis.items() if text == "as today's"):
        names = ", ".join(assumed)
        notes.append(f"of {names} too few outcomes are known: ranked on cost, as if they succeeded as often as {today}")
    if measured := sorted(model for model, text in basis.items() if text == "your outcomes" and model != today):
        names = ", ".join(measured)
        notes.append(
            f"outcomes of {names} are of the requests that went there: with easier ones it looks better than it is. "
            "Shadow pairs compare the same requests"
        )
    return notes


def weights_of(results: Iterable[OptionResult]) -> Mapping[str, float]:
    """Return by option the share by which its bill is divided to rank it; 1 where options rank on cost."""
    return {item.id: item.success.fraction.likely if item.success else 1.0 for item in results}


def _is_enough(item: Succeeded) -> bool:
    return item.known_count >= LEAST_KNOWN_COUNT and item.success_count > 0


def _rate(item: Succeeded, chance: Chance, generator: np.random.Generator) -> Rate:
    failures = item.known_count - item.success_count
    drawn = generator.beta(item.success_count + _PRIOR, failures + _PRIOR, size=chance.draw_count)
    return Rate(
        likely=item.success_count / item.known_count,
        drawn=np.maximum(drawn, _LEAST_FRACTION),
        basis="your outcomes",
        known_count=item.known_count,
    )


def _ratios(
    context: Context, chance: Chance, generator: np.random.Generator
) -> dict[str, tuple[SuccessBasis, float, Array | float]]:
    """Return what the user and shadow comparisons say of a model's success over today's, in lower case."""
    found: dict[str, tuple[SuccessBasis, float, Array | float]] = {}
    for item in sorted(context.shadowed, key=lambda one: one.model):
        if item.accuracy_ratio is not None:
            width = (item.accuracy_ratio.high - item.accuracy_ratio.low) / (2 * _Z_95)
            likely = item.accuracy_ratio.likely
            drawn = generator.normal(likely, width, size=chance.draw_count)
            found[item.model.lower()] = ("your shadow comparison", likely, drawn)
    for stated in context.scenario.quality:
        if stated.accuracy_ratio is not None:
            found[stated.model.lower()] = ("your word", stated.accuracy_ratio, stated.accuracy_ratio)
    return found
