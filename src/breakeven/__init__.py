"""When does running your own language model beat paying per token?  Answered from your own traffic.

``breakeven.plan(...)`` is the library's door; the ``breakeven`` command is the same thing.
Importing the package loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from breakeven.reports.view import VerdictView

__all__ = ["__version__", "plan"]


def plan(
    *files: str | Path,
    scenario: str | Path | None = None,
    today: str | None = None,
    consider: Sequence[str] = (),
    as_of: date | None = None,
    columns: Mapping[str, str] | None = None,
    zone: str | None = None,
    tolerate_fraction: float = 0.05,
    calibrations: Sequence[str | Path] = (),
) -> VerdictView:
    """Compare every way to serve the traffic in ``files`` and return the verdict, with its frames and charts.

    Raises ``breakeven.errors.InputError`` and its siblings, with what is wrong and what to do.
    """
    from breakeven.wiring.plan import PlanRequest, run_plan

    result = run_plan(
        PlanRequest(
            files=tuple(files),
            scenario=scenario,
            today=today,
            consider=tuple(consider),
            as_of=as_of,
            columns=columns or {},
            zone=zone,
            tolerate_fraction=tolerate_fraction,
            calibrations=tuple(calibrations),
        )
    )
    from breakeven.reports.view import VerdictView  # after the plan, which says what is missing where the extra is

    return VerdictView.of(result)
