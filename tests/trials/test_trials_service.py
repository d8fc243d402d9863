"""The process of trials as a whole: why it ends is said."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import uvloop

from breakeven.trials.plan import TrialsPlan
from breakeven.trials.service import Service
from breakeven.wiring.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def test_a_part_that_ends_by_itself_is_told_with_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan = TrialsPlan(
        folder=str(tmp_path), store=str(tmp_path / "ledger.sqlite"), budget_day_usd=Decimal(1), slot_count=1,
        shadows=(), judge=None, check=None, signals=None, texts=None, targets=(), own_names=(), routes=(),
        price_lists=(),
    )  # fmt: skip

    async def run() -> None:
        service = Service(plan, "", SystemClock(), None, ())
        service._keeper.flush = failing_once()  # type: ignore[method-assign]
        await asyncio.wait_for(service.run(lambda: True), 30)

    uvloop.run(run())
    (record,) = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "nobody foresaw this"


def failing_once() -> Callable[[], None]:
    left = [RuntimeError("nobody foresaw this")]

    def flush() -> None:
        if left:
            raise left.pop()

    return flush
