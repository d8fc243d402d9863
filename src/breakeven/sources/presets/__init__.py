"""Presets: the worked example of each seed as a scenario that can be planned, with what it gets wrong.

The files beside this one are written out as they stand, comments included.  They hold no program:
what the figures come to is for ``plan`` to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from breakeven.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(str(files("breakeven.sources.presets")))
_COMPANION: Final = "-prices.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A scenario that comes with the program."""

    name: str
    title: str
    text: str
    companions: Mapping[str, str]
    """Files that must stand beside the scenario, such as its rate cards: their text by name."""


@cache
def presets() -> tuple[Preset, ...]:
    """Return every preset, by name."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.yaml")) if not path.name.endswith(_COMPANION))


def preset(name: str) -> Preset:
    """Find a preset.  Raises ``UnknownNameError`` with the names that there are."""
    found = next((item for item in presets() if item.name == name.strip().lower()), None)
    if found is None:
        known = ", ".join(item.name for item in presets())
        raise UnknownNameError(f"There is no preset named {name[:80]!r}. There are: {known}.")
    return found


def _read(path: Path) -> Preset:
    text = path.read_text(encoding="utf-8")
    return Preset(
        name=path.stem,
        title=text.partition("\n")[0].removeprefix("# ").rstrip("."),
        text=text,
        companions={
            name: (FOLDER / name).read_text(encoding="utf-8") for name in yaml.safe_load(text).get("rate_cards", ())
        },
    )
