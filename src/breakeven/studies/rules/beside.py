"""A rule's lean beside the computed result: do they agree, and if not, which computed figures say why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.studies.rules.result import Beside
from breakeven.studies.rules.words import LEANS, usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.sources.rules import Lean
    from breakeven.studies.rules.result import Computed, Priced

_AGREES: Final[dict[Lean, frozenset[Lean]]] = {
    "api": frozenset({"api"}),
    "managed": frozenset({"managed"}),
    "hybrid": frozenset({"hybrid", "api", "self-host"}),
    "self-host": frozenset({"self-host", "hybrid"}),
}
"""Which computed leans a rule's lean has room for: a mix holds both of its parts."""


def beside(said_by: str, leans: Lean | None, computed: Computed, *, constrained: bool) -> Beside:
    """Set a lean beside the computed result.

    ``said_by`` names whose lean it is; ``constrained`` says that the lean rests on a constraint.
    """
    said = LEANS[leans] if leans else "no side taken"
    sentence = f"{said_by}: {said}; computed: {_computed_text(computed)}."
    if computed.leans is None or leans is None:
        return Beside(stand="open", sentence=sentence, why="")
    if computed.leans in _AGREES[leans]:
        return Beside(stand="agrees", sentence=sentence, why="")
    reasons = list(_reasons(leans, computed.leans, computed))
    if constrained and leans == "self-host":
        reasons.append(f"{computed.allowed_apis_count} options by the token meet every constraint")
    return Beside(stand="disagrees", sentence=sentence, why=f"{_capital('; '.join(reasons))}.")


def _computed_text(computed: Computed) -> str:
    if computed.recommended is None:
        return "nothing may be recommended"
    text = f"{_costs(computed.recommended)} a month"
    if computed.self_hosting_wins_fraction is not None:
        text += f" (self-hosting is cheapest in {computed.self_hosting_wins_fraction:.0%} of draws)"
    return text


def _reasons(leans: Lean, computed_leans: Lean, computed: Computed) -> Sequence[str]:
    """Return the computed figures that speak against a rule's lean."""
    if leans == "self-host":
        return _against_self_hosting(computed)
    if leans == "managed":
        return _against_managed(computed)
    if computed_leans == "managed":
        return [f"the rule leaves out open models that others run: {_below_today(computed)}"]
    if computed.allowed_apis_count == 0:
        return ["every option by the token is excluded by a constraint, whatever it costs"]
    return [f"the rule knows neither your prices nor your load: {_below_today(computed)}"]


def _against_self_hosting(computed: Computed) -> Sequence[str]:
    pool = computed.pool
    if pool is None:
        return ["no pool of your own could be computed that no constraint excludes"]
    found = [f"the cheapest pool of your own is {_costs(pool)} a month"]
    if not pool.has_evidence:
        found.append("that its model is good enough has no evidence yet")
    return [*found, *pool.break_evens]


def _against_managed(computed: Computed) -> Sequence[str]:
    if computed.managed is None:
        return ["no open model run by others could be compared that no constraint excludes"]
    found = [f"the cheapest open model run by others is {_costs(computed.managed)} a month"]
    if not computed.managed.has_evidence:
        found.append("that it is good enough has no evidence yet")
    return found


def _below_today(computed: Computed) -> str:
    assert computed.recommended is not None, "a disagreement is with something"
    saved = computed.today.usd_per_month - computed.recommended.usd_per_month
    more = "less" if saved >= 0 else "more"
    return f"{computed.recommended.title} costs {usd(abs(saved))} a month {more} than {computed.today.title}"


def _costs(option: Priced) -> str:
    return f"{option.title} at {usd(option.usd_per_month)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
