"""What takes more than one key of ``breakeven.yaml`` to find wrong with limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breakeven.settings.limits import QuotaEntry
from breakeven.settings.prices import ANY
from breakeven.settings.reach import reach

if TYPE_CHECKING:
    from breakeven.settings.check import Findings
    from breakeven.settings.parts import Parts


def check_quotas(parts: Parts, findings: Findings) -> None:
    """Note quotas of what does not exist, budgets that count nothing, and limits that are not shared."""
    data = findings.document.data
    written = data.get("quotas")
    quotas: dict[Any, Any] = written if isinstance(written, dict) else {}
    _check_names(quotas, parts, findings)
    shared = data.get("shared_state")
    if isinstance(shared, dict) and isinstance(shared.get("password"), str):
        findings.resolve(shared["password"], ("shared_state", "password"))
    limited = bool(quotas) or any(key.quota != QuotaEntry() for key in parts.keys.values())
    if not limited:
        return
    workers = data.get("workers", 1)
    if isinstance(workers, int) and workers > 1 and shared is None:
        what = f"{workers} workers share no state: each keeps its part of every limit, a {workers}th."
        findings.warn(("workers",), what, "Name a Redis or Valkey under shared_state:, or use one worker.")
    unpriced = sorted({found.target for found in findings.prices if found.prices is None})
    if unpriced:
        what = f"what {', '.join(unpriced[:20])} costs is not known, so it counts for no budget."
        findings.warn(("quotas",) if quotas else ("keys",), what, "Name prices, or models: unknown_price: refuse.")


def _check_names(quotas: dict[Any, Any], parts: Parts, findings: Findings) -> None:
    providers = {provider.id for entry in parts.targets.values() if (provider := reach(entry).provider) is not None}
    for section, known in (("models", parts.model_names), ("targets", parts.target_names), ("providers", providers)):
        named = quotas.get(section)
        for name in named if isinstance(named, dict) else ():
            if name in known or (section == "models" and ANY in known):
                continue
            shown = repr(str(name)[:80])
            what = f"there is no {section.removesuffix('s')} {shown}."
            if section == "providers":
                what = f"no target of this file is at the provider {shown}."
            fix = f"Known: {', '.join(sorted(known)[:20])}." if known else "Write provider: in the entry of a target."
            findings.problem(("quotas", section, name), what, fix)
