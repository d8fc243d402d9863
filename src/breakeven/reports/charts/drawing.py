"""A chart in every form: two drawings for a page, a file, a notebook.

A page carries each chart twice, for a wide screen and for a phone, because scaled-down text cannot be
read, and says title and key in its own words; alone, a chart carries both itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import altair as alt
import vl_convert

from breakeven.reports.colours import GRID, INK, MUTED, PAPER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = dict[str, float | str]
Key = tuple[tuple[str, str], ...]
"""What each colour stands for: text and colour."""

_PLACED: Final = re.compile(r' (?:d|transform)="[^"]*"')
_LONG: Final = re.compile(r"\d+\.\d{3,}(?:e-?\d+)?")
"""Numbers with more digits than a pixel has use for."""

PNG_SCALE: Final = 2.0
_LETTER_WIDTH_PX: Final = 7.0
_SPOKEN: Final = re.compile(r' (?:role|aria-[a-z]+|pointer-events)="[^"]*"')
"""What the renderer says of each mark: on a page the whole drawing carries one label, and the marks none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The plot area of a chart; charts with rows take their height from the rows."""

    name: str
    width_px: int
    height_px: int

    @property
    def is_wide(self) -> bool:
        """Whether there is room for more than a phone shows."""
        return self.width_px > 500


WIDE: Final = Size(name="w", width_px=880, height_px=380)
NARROW: Final = Size(name="n", width_px=310, height_px=300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart that can be built at any size.  ``name`` serves as a file's name, ``label`` says it in words."""

    name: str
    title: str
    label: str
    key: Key
    build: Callable[[Size], alt.TopLevelMixin]

    def alone(self, size: Size = WIDE) -> alt.VConcatChart:
        """Return the chart with its title and key, for a file or a notebook."""
        drawn = self.build(size)
        parts = [_key_row(self.key, size), drawn] if self.key else [drawn]
        title = alt.TitleParams(self.title, anchor="start", fontSize=15, color=INK, offset=12)
        return _styled(alt.vconcat(*parts, spacing=28).properties(title=title), background=PAPER, padding=16)

    def svg(self) -> str:
        """Return the chart alone as an SVG document."""
        return _rendered(self.alone())

    def png(self) -> bytes:
        """Return the chart alone as a PNG image."""
        made: bytes = vl_convert.vegalite_to_png(
            self.alone().to_dict(), scale=PNG_SCALE, vl_version=_vega_lite(), allowed_base_urls=[]
        )
        return made

    def drawing(self) -> Drawing:
        """Return the chart for a page."""
        return Drawing(chart=self, wide=self._part(WIDE), narrow=self._part(NARROW))

    def _part(self, size: Size) -> str:
        """Render to an SVG element whose ids start with a name of their own, so that charts share a page."""
        prefix = f"{self.name}-{size.name}"
        text = _SPOKEN.sub("", _rendered(_styled(self.build(size), background="transparent", padding=1)))
        text = _PLACED.sub(lambda found: _LONG.sub(_shorter, found.group()), text)
        text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
        return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A chart in two sizes, as SVG elements."""

    chart: Chart
    wide: str
    narrow: str


def data(rows: Sequence[Row]) -> alt.InlineData:
    """Return rows as a chart's data."""
    return alt.InlineData(values=list(rows))


def at(channel: alt.X | alt.Y, field: str) -> Any:
    """Return the same axis and scale for another field."""
    other = channel.copy()
    other.shorthand = f"{field}:Q"
    return other


def usd_label(size: Size) -> str:
    """Return how an axis writes dollars: in full where there is room."""
    exact_below = "1e6" if size.is_wide else "1e3"
    return f"format(datum.value, datum.value < {exact_below} ? ',.0f' : '~s')"


TOKENS_LABEL: Final = "replace(format(datum.value * 1e6, '~s'), 'G', 'B')"
"""How an axis of millions of tokens writes them."""


def over_the_axis(title: str) -> dict[str, Any]:
    """Return the settings that write a vertical axis' title above it, level."""
    return {"title": title, "titleAngle": 0, "titleAlign": "left", "titleX": -52, "titleY": -26}


def _key_row(key: Key, size: Size) -> alt.LayerChart:
    rows: list[Row] = []
    left, top = 0.0, 0.0
    for text, colour in key:
        width = 24 + _LETTER_WIDTH_PX * len(text) + 18
        if left and left + width > size.width_px:
            left, top = 0.0, top + 20
        rows.append({"x": left + 6, "at": left + 18, "y": top + 6, "text": text, "colour": colour})
        left += width
    base = alt.Chart(data(rows)).encode(y=alt.Y("y:Q", scale=None, axis=None))
    colour = alt.Color("colour:N", scale=None, legend=None)
    squares = base.mark_square(size=110, opacity=1).encode(x=alt.X("x:Q", scale=None, axis=None), color=colour)
    words = base.mark_text(align="left", color=INK, fontSize=12).encode(
        x=alt.X("at:Q", scale=None, axis=None), text="text:N"
    )
    return alt.layer(squares, words).properties(width=size.width_px, height=top + 12)


def _styled(chart: alt.TopLevelMixin, *, background: str, padding: int) -> Any:
    return (
        chart.configure(background=background, font="sans-serif", padding=padding)
        .configure_view(stroke=None)
        .configure_concat(spacing=24)
        .configure_text(fontSize=13)
        .configure_axis(
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelColor=MUTED,
            titleColor=MUTED,
            gridColor=GRID,
            domainColor=MUTED,
            tickColor=MUTED,
            labelPadding=6,
        )
    )


def _shorter(number: re.Match[str]) -> str:
    return f"{float(number.group()):.2f}".rstrip("0").rstrip(".")


def _rendered(chart: alt.TopLevelMixin) -> str:
    return str(vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=_vega_lite(), allowed_base_urls=[]))


def _vega_lite() -> str:
    return str(alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0])
