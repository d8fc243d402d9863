"""What is wrong with the section on questions that mean the same, seen beside the others, and what it does in words."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from breakeven.settings.prices import ANY
from breakeven.settings.reach import reach
from breakeven.similar.evidence import checks_before_any

if TYPE_CHECKING:
    from breakeven.settings.check import Findings
    from breakeven.settings.parts import Parts
    from breakeven.settings.semantic import SemanticTaskEntry

_MOST_NAMED: Final = 5
"""Most models that advice names."""


def check_semantic(parts: Parts, findings: Findings) -> None:
    """Note what keeps questions from being compared, and say in words what comparing them does."""
    entry = parts.semantic
    if entry is None:
        return
    if find_spec("numpy") is None:
        fix = "pip install 'breakeven[similar]', or leave semantic_cache: out."
        findings.problem(("semantic_cache",), "comparing questions needs the package numpy.", fix)
    targets = _embedding_targets(entry.embeddings, parts)
    if targets is None:
        what = f"there is no model {entry.embeddings[:80]!r}."
        findings.problem(("semantic_cache", "embeddings"), what, _advice(parts))
    elif not targets:
        what = f"no target of {entry.embeddings[:80]!r} is known to speak embeddings."
        findings.problem(("semantic_cache", "embeddings"), what, _advice(parts))
    for name, task in entry.tasks.items():
        _warn(name, task, entry.embeddings, findings)


def _warn(name: str, task: SemanticTaskEntry, model: str, findings: Findings) -> None:
    checks = checks_before_any(task.most_false_hits)
    what = (
        f"a request of the task {name} may get the answer to another question of the same key, if the vectors that "
        f"{model[:80]} makes of the two have a cosine of {task.similarity:g} or more and their numbers, names and "
        "negations are equal. In sets of real prompts 2 to 4 % of distinct ones have another above 0.95, so likeness "
        f"alone proves nothing: until the checks show at most {100 * task.most_false_hits:g} % false hits (about "
        f"{checks:,} right ones in a row, for each worker) every request is sent, and nothing is given again."
    )
    fix = "Keep it to tasks whose questions stand alone and come again in other words, such as a FAQ."
    findings.warn(("semantic_cache", "tasks", name), what, fix)


def _embedding_targets(model: str, parts: Parts) -> list[str] | None:
    """Return the targets of a model that may make vectors; None where there is no such model."""
    entry = parts.models.get(model) or (parts.models.get(ANY) if model not in parts.model_names else None)
    if entry is None:
        return ["?"] if model in parts.model_names else None  # it is there, and wrong: that is told elsewhere
    names = [item.target for item in entry.targets]
    return [n for n in names if n not in parts.targets or "embeddings" in reach(parts.targets[n]).protocols]


def _advice(parts: Parts) -> str:
    able = [name for name in parts.models if name != ANY and _embedding_targets(name, parts)][:_MOST_NAMED]
    if able:
        return f"Name one whose target does: {', '.join(able)}."
    return "Add one under models: whose target speaks embeddings (protocols: [embeddings])."
