"""The code of the how-to on databases runs, where it is marked to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "profile-where-the-logs-are.md"
BLOCKS = re.findall(r"^(<!-- run -->\n)?```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", [code for mark, code in BLOCKS if mark])
def test_marked_code_runs(code: str) -> None:
    exec(compile(code, PAGE.name, "exec"), {})  # noqa: S102 - the page is ours


def test_unmarked_code_can_at_least_be_parsed() -> None:
    assert len(BLOCKS) == 4
    for _, code in BLOCKS:
        compile(code, PAGE.name, "exec")
