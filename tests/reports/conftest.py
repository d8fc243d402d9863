"""One verdict on the bundled hour, shared by the tests of all reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

import breakeven
from breakeven.reports.parts import best_pool
from breakeven.wiring.plan import sample_trace

if TYPE_CHECKING:
    from breakeven.studies.verdict.result import Verdict

ON = date(2026, 11, 21)


@pytest.fixture(scope="session")
def azure() -> Verdict:
    return breakeven.plan(sample_trace(), today="gpt-4o", as_of=ON)


@pytest.fixture(scope="session")
def few(azure: Verdict) -> Verdict:
    """Keep today's options, the recommended one and the best pool: enough for every section, and quick."""
    pool = best_pool(azure)
    assert pool is not None
    kept = {azure.answer.recommended, pool.id}
    return replace(azure, options=tuple(o for o in azure.options if o.kind.startswith("today") or o.id in kept))
