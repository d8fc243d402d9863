"""Joins what ``breakeven route`` needs: reads labelled files, seeds the chance, runs the studies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from breakeven.errors import InputError
from breakeven.wiring.plan import require_plan_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from breakeven.studies.routes.gather import Labels
    from breakeven.studies.routes.pairs import Pairs
    from breakeven.studies.routes.result import Evaluation

PRICE_RATIO: Final = 0.04
"""What a weak call costs of a strong one unless said: $0.175 against $4.40 for a million tokens, the third seed's."""

MOST_COST: Final = 1e12
LEAST_COST: Final = 1e-12
"""Of costs that are not 0: between these bounds no sum and no share of costs is beyond all numbers."""

_MOST_TOLD: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsRequest:
    """Which file holds labelled pairs, and in which columns."""

    file: str | Path
    weak: str
    strong: str
    task: str | None = None
    prompt: str | None = None
    weak_cost: str | None = None
    strong_cost: str | None = None
    price_ratio: float = PRICE_RATIO
    seed: int = 1


def read_pairs(request: PairsRequest, draw: Any) -> Pairs:
    """Read labelled pairs.  Raises ``InputError`` for what cannot be used, with row and value."""
    require_plan_extra()
    from breakeven.studies.routes.gather import gathered

    _check(request)
    return gathered(
        _labels(request),
        price_ratio=request.price_ratio,
        priced=request.weak_cost is not None,
        prompted=request.prompt is not None,
        draw=draw,
    )


def run_route_eval(
    request: PairsRequest,
    *,
    policies: Sequence[str] = (),
    margins: Sequence[float] = (),
    progress: Callable[[float], None] | None = None,
) -> Evaluation:
    """Judge routing policies on a file of labelled pairs."""
    require_plan_extra()
    import numpy as np

    from breakeven.studies.routes.scores import POLICIES, WITH_PROMPTS, PolicyName
    from breakeven.studies.routes.study import MARGINS, Asked, evaluate

    unknown = [name for name in policies if name not in get_args(PolicyName)]
    if unknown:
        raise InputError(f"--policy {unknown[0]!r} is none of: {', '.join(POLICIES)}.")
    reading = [name for name in policies if name in WITH_PROMPTS]
    if reading and request.prompt is None:
        raise InputError(f"--policy {reading[0]!r} reads prompts: name their column, --prompt COLUMN.")
    for margin in margins:
        check_margin(margin)
    check_seed(request.seed)
    draw = np.random.default_rng(request.seed)
    pairs = read_pairs(request, draw)
    asked = Asked(
        source=str(request.file),
        weak=request.weak,
        strong=request.strong,
        policies=tuple(name for name in POLICIES if not policies or name in policies),
        margins=tuple(margins) or MARGINS,
        seed=request.seed,
    )
    return evaluate(pairs, asked, draw, progress or (lambda _: None))


def check_margin(margin: float) -> None:
    """Raise ``InputError`` for a margin that is no share of the score."""
    if not 0 <= margin < 1:
        raise InputError(
            f"--margin {margin:g} is no share: write how much worse answers may score, between 0 and 1: 0.02 for 2 "
            "points of a hundred."
        )


def check_seed(seed: int) -> None:
    """Raise ``InputError`` for a seed below 0, which no generator takes."""
    if seed < 0:
        raise InputError(f"--seed {seed}: write a whole number from 0.")


def _check(request: PairsRequest) -> None:
    if not 0 <= request.price_ratio <= MOST_COST:
        raise InputError(
            f"--price-ratio {request.price_ratio:g}: write what a weak call costs of a strong one, from 0 to "
            f"{MOST_COST:g}: 0.04 for 4 %."
        )
    if (request.weak_cost is None) != (request.strong_cost is None):
        raise InputError("Costs are compared in pairs: give both --weak-cost and --strong-cost, or neither.")
    check_seed(request.seed)


def _labels(request: PairsRequest) -> Iterator[Labels]:
    """Yield rows with their numbers read; raises at the end of the file, or once there are too many that are none."""
    from breakeven.sources.labelled import labelled_rows, problems_told, text_of
    from breakeven.studies.routes.gather import Labels

    path = Path(request.file)
    names = {
        "weak": request.weak, "strong": request.strong, "task": request.task, "prompt": request.prompt,
        "weak_usd": request.weak_cost, "strong_usd": request.strong_cost,
    }  # fmt: skip
    roles = {role: name for role, name in names.items() if name is not None}
    numeric = [role for role in roles if role not in ("task", "prompt")]
    problems: dict[int, str] = {}
    bad = 0
    for row in labelled_rows(path, list(roles.values())):
        values = dict(zip(roles, row.values, strict=True))
        wrong = _numbers(values, numeric, roles)
        if wrong:
            bad += 1
            problems |= {row.number: wrong} if len(problems) < _MOST_TOLD else {}
        if bad:
            continue
        values["task"] = text_of(values.get("task")).strip()
        if "prompt" in values:
            values["prompt"] = text_of(values["prompt"])
        yield Labels(**values)
    if bad:
        raise problems_told(path, problems, bad)


def _numbers(values: dict[str, Any], numeric: Sequence[str], roles: dict[str, str]) -> str:
    """Put numbers in the place of what stands for them; returns what is wrong, empty where nothing is."""
    from breakeven.sources.labelled import score_of

    for role in numeric:
        try:
            values[role] = score_of(values[role])
        except (ValueError, TypeError):
            return f"{roles[role]} is {str(values[role])[:40]!r}"
        cost = values[role] if role.endswith("_usd") else None
        if cost and not LEAST_COST <= cost <= MOST_COST:
            return f"{roles[role]} is {cost:g}, and a cost is 0 or from {LEAST_COST:g} to {MOST_COST:g}"
    return ""
