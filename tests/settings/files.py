"""Settings for the tests: the least that a file needs, and how one is read or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from breakeven.errors import InputError
from breakeven.settings import Settings, read_settings

DOCS = Path(__file__).parents[2] / "docs"
BENCH = Path(__file__).parents[2] / "bench"
DIGEST = "c00397de4384b5bbaf14c02fe1ec7020d28d1eeab6a722c576c84b6678c41c29"
SECRET = "sk-THE5ECRET"  # noqa: S105 - made up
ENVIRONMENT = {"OPENAI_API_KEY": SECRET, "BROKER_API_KEY": SECRET, "PAIR": f"{SECRET}\r\nx-evil: 1", "BLANK": "  "}
MINIMAL = """
targets: {openai: {url: "https://api.openai.com/v1", key: "env:OPENAI_API_KEY"}}
models: {gpt-4o-mini: {targets: [openai]}}
"""


def read(text: str, folder: Path, **more: Any) -> Settings:
    """Read settings of that text in a folder."""
    path = folder / "breakeven.yaml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path, environment=ENVIRONMENT, **more)


def refused(text: str, folder: Path, **more: Any) -> str:
    """Return why settings of that text are refused; in no case with the secret."""
    with pytest.raises(InputError) as caught:
        read(text, folder, **more)
    message = str(caught.value)
    assert SECRET not in message
    return message
