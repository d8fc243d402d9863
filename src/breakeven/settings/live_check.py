"""The user's own check that live pairs of a candidate are shown, read without the rest of ``breakeven.yaml``.

What else may be wrong there, a missing key of a target above all, does not concern whoever asks that check alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from breakeven.settings.check import Findings
from breakeven.settings.check_verify import check_http
from breakeven.settings.parts import parts_of
from breakeven.sources.yaml_file import need_mapping, read_yaml, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from breakeven.settings.secret import Secret
    from breakeven.settings.trials import TrialsEntry
    from breakeven.settings.verify import HttpCheckEntry
    from breakeven.sources.shape import Place


class LiveCheck(NamedTuple):
    """A check as it is written, and what its references stand for."""

    entry: HttpCheckEntry
    secrets: Mapping[str, Secret]
    where: str
    """File, line and key."""


def live_check(path: Path, model: str, candidate: str) -> LiveCheck | None:
    """Return the check that live pairs of a candidate for a model are shown; None where there is none.

    Raises ``InputError`` where the file or its section of trials cannot be read, or the check could not be asked.
    """
    document = read_yaml(path)
    need_mapping(document, "settings are a mapping of keys to values")
    parts = parts_of(document.data)
    found = _written(parts.trials, model, candidate) if parts.trials is not None else None
    if found is None:
        return None
    place, entry = found
    findings = Findings(document, path.parent, os.environ)  # noqa: TID251 - settings is the part that reads it
    check_http(entry, place, parts, findings)
    if findings.problems:
        raise refusal(document, findings.problems)
    return LiveCheck(entry, findings.secrets, document.where(place))


def _written(entry: TrialsEntry, model: str, candidate: str) -> tuple[Place, HttpCheckEntry] | None:
    """Return a check and its place: that of the shadow, or the one of all that have none of their own."""
    for number, shadow in enumerate(entry.shadows):
        if (shadow.model, shadow.candidate) == (model, candidate) and shadow.check is not None:
            return ("trials", "shadows", number, "check"), shadow.check
    return (("trials", "check"), entry.check) if entry.check is not None else None
