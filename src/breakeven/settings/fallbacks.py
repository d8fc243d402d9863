"""Models that stand in for other models: who may serve each one, in the order in which they are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.routing.graph import flattened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.routing.graph import Flattened, Step
    from breakeven.settings.check import Findings
    from breakeven.settings.file import ModelEntry
    from breakeven.settings.parts import Parts


def serving(models: Mapping[str, ModelEntry]) -> Mapping[str, tuple[Step, ...]]:
    """Return the targets of every model, those of its fallbacks behind its own; of models that were checked."""
    return _flattened(models).steps


def check_fallbacks(parts: Parts, findings: Findings) -> None:
    """Note fallbacks that go round, go too far, or lead nowhere, and hedging that has no second target."""
    for name, model in parts.models.items():
        for index, other in enumerate(model.fallbacks):
            if other not in parts.model_names:
                what = f"there is no model {other!r} to fall back to."
                findings.problem(("models", name, "fallbacks", index), what, "Name one that stands under models:.")
    found = _flattened(parts.models)
    if chain := found.cycle or found.too_long:
        told = " → ".join(chain)
        why = "go round" if found.cycle else "go too far"
        findings.problem(("models", chain[0], "fallbacks"), f"these fallbacks {why}: {told}.", "Take one of them out.")
        return
    for name, model in parts.models.items():
        targets = len({step.target for step in found.steps[name]})
        attempts = model.max_attempts or targets
        if model.hedging is not None and min(targets, attempts) < 2:
            what = f"nothing can be asked beside the first target: {targets} target(s), {attempts} attempt(s)."
            findings.warn(("models", name, "hedging"), what, "Name a second target and allow two attempts.")


def _flattened(models: Mapping[str, ModelEntry]) -> Flattened:
    targets = {name: [item.target for item in model.targets] for name, model in models.items()}
    return flattened(targets, {name: model.fallbacks for name, model in models.items()})
