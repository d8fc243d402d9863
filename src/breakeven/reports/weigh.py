"""What a page needs to re-weigh the options without a server: each bill's parts, and the chart's axes.

The arithmetic is ``economics.levers``, written once more in ``page/weigh.js``; nothing is computed here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from breakeven.reports.as_json import plain
from breakeven.reports.charts.drawing import NARROW, WIDE
from breakeven.reports.charts.gallery import volume_charts
from breakeven.reports.charts.volume import axes_of
from breakeven.reports.parts import best_pool, today_of, who

if TYPE_CHECKING:
    from breakeven.studies.verdict.result import Verdict

_SAFE_IN_HTML: Final = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """A slider: the multiple of the likely value runs from ``low`` to ``high``, by powers of ten where it is one."""

    name: str
    label: str
    low: float
    high: float
    by_powers: bool = True


LEVERS: Final = (
    Lever(name="volume", label="Volume", low=0.1, high=10),
    Lever(name="utilisation", label="What a node carries", low=0.25, high=4),
    Lever(name="api_price", label="API prices", low=0.1, high=10),
    Lever(name="gpu_price", label="GPU prices", low=0.1, high=10),
    Lever(name="engineers", label="Engineers", low=0, high=3, by_powers=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """The sliders, the data of the script as JSON, and what it cannot re-weigh."""

    levers: tuple[Lever, ...]
    data: Markup
    left_out: tuple[str, ...]


def weighing(result: Verdict) -> Weighing:
    """Return what the page's sliders need; options that a constraint excludes are not among them."""
    allowed = [item for item in result.options if not item.excluded_by]
    data = {
        "volume_mtok": result.volume_mtok_per_month.likely,
        "levers": plain(LEVERS),
        "today": today_of(result).id,
        "pool": pool.id if (pool := best_pool(result)) else None,
        "options": [
            {
                "id": item.id,
                "title": item.title,
                "good_enough": item.quality.standing != "no evidence",
                "bill": plain(item.levers),
            }
            for item in allowed
            if item.levers is not None
        ],
        "chart": _chart(result),
    }
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).translate(_SAFE_IN_HTML)
    return Weighing(
        levers=LEVERS,
        data=Markup(text),  # noqa: S704 - no sign that could end the element is left in it
        left_out=tuple(item.title for item in allowed if item.levers is None),
    )


def _chart(result: Verdict) -> dict[str, object] | None:
    """Return the axes and the lines of the first chart of cost against volume."""
    charts = volume_charts(result)
    if not charts:
        return None
    drawn = charts[0].drawn
    return {
        "axes": plain(axes_of(drawn, result.volume_mtok_per_month)),
        "sizes": {item.name: [item.width_px, item.height_px] for item in (WIDE, NARROW)},
        "bills": {who(item).replace("-", "_"): item.against for item in drawn},
        "against": charts[0].crossing.against,
    }
