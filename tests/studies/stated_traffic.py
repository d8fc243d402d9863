"""Verdicts on traffic that a scenario states, for tests."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import breakeven

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.verdict.result import OptionResult, Verdict

ON = date(2026, 11, 21)


def write(folder: Path, text: str) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def stated_plan(folder: Path, more: str = "", *, tokens: int = 3_000_000_000, today: str = "gpt-4o") -> Verdict:
    text = (
        f"today: {today}\ntraffic: {{input_tokens_per_month: {tokens * 3 // 4}, "
        f"output_tokens_per_month: {tokens // 4}, requests_per_month: {tokens // 1500}}}\n"
    )
    return breakeven.plan(scenario=write(folder, text + more), as_of=ON)


def only(result: Verdict, kind: str) -> OptionResult:
    return next(item for item in result.options if item.kind == kind)
