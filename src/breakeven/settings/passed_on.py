"""The environment as a program that we start gets it: ours, with what it is told beside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def environment_with(told: Mapping[str, str]) -> dict[str, str]:
    """Return our environment with these variables set in it."""
    return {**os.environ, **told}  # noqa: TID251 - settings is the part that reads it
