"""What is wrong with the section of batches, seen beside the others."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from breakeven.settings.check import Findings
    from breakeven.settings.parts import Parts

USUAL_HOURS: Final = 24
"""The completion window that OpenAI's clients ask for."""


def check_batches(parts: Parts, findings: Findings) -> None:
    """Note a provider that is no target, or that could never be asked."""
    batches = parts.batches
    if batches is None or batches.provider is None:
        return
    name, place = batches.provider.target, ("batches", "provider", "target")
    if name not in parts.target_names:
        near = get_close_matches(name, parts.target_names, 1)
        fix = (
            f"Did you mean {near[0]!r}?" if near else f"Targets are: {', '.join(sorted(parts.target_names)) or 'none'}."
        )
        findings.problem(place, f"there is no target {name!r}, so nobody could take a batch.", fix)
    if batches.hours + batches.provider.hours > USUAL_HOURS:
        findings.warn(
            ("batches", "provider", "hours"),
            f"a batch waits {batches.hours:g} h for idle capacity and the provider may take "
            f"{batches.provider.hours:g} h: of the usual {USUAL_HOURS} h there is no time left for it.",
            "Lower batches: hours, or make such batches with a longer completion window.",
        )
