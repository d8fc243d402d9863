"""What is wrong with the section of trials, seen beside the others: names of nobody, checks that cannot be asked."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from breakeven.settings.check_verify import check_http
from breakeven.settings.prices import ANY, priced_as

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from breakeven.settings.check import Findings
    from breakeven.settings.parts import Parts
    from breakeven.settings.trials import JudgeEntry, KeepTextEntry, ShadowEntry, TrialsEntry
    from breakeven.settings.verify import HttpCheckEntry
    from breakeven.sources.shape import Place

LEAST_KEY_CHARACTERS: Final = 32
"""Of the secret that seals texts."""


def check_trials(parts: Parts, findings: Findings) -> None:
    """Note candidates, models and judges that are not there, and texts that could not be sealed."""
    entry = parts.trials
    if entry is None:
        return
    for number, shadow in enumerate(entry.shadows):
        _check_shadow(shadow, ("trials", "shadows", number), parts, findings)
    for place, judge in _judges(entry):
        _check_judge(judge, place, parts, findings)
    for place, http in _checks(entry):
        check_http(http, place, parts, findings)
    models = entry.signals.models if entry.signals is not None else None
    for number, name in enumerate(models or ()):
        _check_model(name, ("trials", "signals", "models", number), parts, findings)
    if entry.keep_text is not None:
        _check_texts(entry.keep_text, findings)


def _check_shadow(shadow: ShadowEntry, place: Place, parts: Parts, findings: Findings) -> None:
    _check_model(shadow.model, (*place, "model"), parts, findings)
    name = shadow.candidate
    if name not in parts.target_names:
        what = f"there is no target {name[:80]!r}, so there is nobody to ask."
        findings.problem((*place, "candidate"), what, _near(name, parts.target_names, "Targets"))
        return
    served = parts.models.get(shadow.model)
    if served is not None and [item.target for item in served.targets] == [name]:
        what = f"{name} is the only target of {shadow.model[:80]}, and is not compared with itself."
        findings.problem((*place, "candidate"), what, "Name another target.")
    target = parts.targets.get(name)
    if target is not None and target.model is None and shadow.asked_as is None and shadow.model == ANY:
        return
    if target is not None and not priced_as(target)[0]:
        what = f"{name} has no price, so asking it counts nothing against budget_day_usd."
        findings.warn((*place, "candidate"), what, "Give the target prices: unless it is your own.")


def _check_model(name: str, place: Place, parts: Parts, findings: Findings) -> None:
    if name not in parts.model_names and ANY not in parts.model_names:
        what = f"there is no model {name[:80]!r}, so there are no requests for it."
        findings.problem(place, what, _near(name, parts.model_names, "Models"))


def _check_judge(judge: JudgeEntry, place: Place, parts: Parts, findings: Findings) -> None:
    if judge.model not in parts.model_names and ANY not in parts.model_names:
        what = f"there is no model {judge.model[:80]!r}, so there is nobody to judge."
        findings.problem((*place, "model"), what, _near(judge.model, parts.model_names, "Models"))


def _check_texts(entry: KeepTextEntry, findings: Findings) -> None:
    place: Place = ("trials", "keep_text", "key")
    findings.resolve(entry.key, place)
    secret = findings.secrets.get(entry.key)
    if secret is not None and len(secret.reveal()) < LEAST_KEY_CHARACTERS:
        what = f"the secret has fewer than {LEAST_KEY_CHARACTERS} characters, and could be guessed."
        findings.problem(place, what, "Make one with: openssl rand -base64 32")
    if find_spec("cryptography") is None:
        what = "sealing texts needs the package cryptography."
        findings.problem(("trials", "keep_text"), what, "pip install 'breakeven[texts]', or leave keep_text: out.")


def _judges(entry: TrialsEntry) -> Iterator[tuple[Place, JudgeEntry]]:
    for number, shadow in enumerate(entry.shadows):
        if shadow.judge is not None:
            yield ("trials", "shadows", number, "judge"), shadow.judge
    if entry.judge is not None:
        yield ("trials", "judge"), entry.judge


def _checks(entry: TrialsEntry) -> Iterator[tuple[Place, HttpCheckEntry]]:
    for number, shadow in enumerate(entry.shadows):
        if shadow.check is not None:
            yield ("trials", "shadows", number, "check"), shadow.check
    if entry.check is not None:
        yield ("trials", "check"), entry.check
    if entry.signals is not None and entry.signals.http_check is not None:
        yield ("trials", "signals", "http_check"), entry.signals.http_check


def _near(name: str, known: Collection[str], what: str) -> str:
    near = get_close_matches(name, known, 1)
    return f"Did you mean {near[0]!r}?" if near else f"{what} are: {', '.join(sorted(known)) or 'none'}."
