"""Charts as files: real images with something on them, under names that stay, that run nothing."""

from __future__ import annotations

import re
import struct
import zlib
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from breakeven.economics.levers import Levers
from breakeven.quantities import Interval
from breakeven.reports.charts.drawing import NARROW, WIDE
from breakeven.reports.charts.gallery import gallery
from breakeven.reports.charts.volume import axes_of
from breakeven.reports.parts import best_pool

if TYPE_CHECKING:
    from breakeven.studies.verdict.result import Verdict

NAMES = {
    "cost-against-volume",
    "cost-against-volume-open-api",
    "cost-stack-same-model",
    "cost-stack-good-enough",
    "tornado-recommended",
    "tornado-best-pool",
    "projection",
    "self-hosting-wins",
    "break-even-ahead",
    "next-bill",
}
HOSTILE = "</text><script>alert(1)</script>"


def _pixels(png: bytes) -> tuple[int, int, Counter[bytes]]:
    """Decode an 8-bit RGBA image as far as needed: its size, and how often each filtered four bytes occur."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, depth, colours = struct.unpack(">IIBB", png[16:26])
    assert (depth, colours) == (8, 6)
    position, packed = 8, b""
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        if png[position + 4 : position + 8] == b"IDAT":
            packed += png[position + 8 : position + 8 + length]
        position += length + 12
    raw = zlib.decompress(packed)
    stride = width * 4 + 1
    assert len(raw) == stride * height
    rows = (raw[start + 1 : start + stride] for start in range(0, len(raw), stride))
    return width, height, Counter(row[at : at + 4] for row in rows for at in range(0, width * 4, 4))


def test_the_charts_have_the_names_that_files_are_written_under(few: Verdict) -> None:
    names = [item.name for item in gallery(few)]
    assert set(names) == NAMES
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_chart_is_a_whole_svg_with_its_title_and_label(few: Verdict, name: str) -> None:
    chart = next(item for item in gallery(few) if item.name == name)
    root = ET.fromstring(chart.svg())  # noqa: S314 - our own text
    assert root.tag.endswith("svg")
    assert float(root.attrib["width"]) > 400
    assert chart.title in "".join(root.itertext())
    assert len(chart.label) > 20
    for text, _ in chart.key:
        assert text in "".join(root.itertext())


@pytest.mark.parametrize("name", ["cost-against-volume", "tornado-recommended", "next-bill"])
def test_a_png_is_an_image_with_something_on_it(few: Verdict, name: str) -> None:
    width, height, seen = _pixels(next(item for item in gallery(few) if item.name == name).png())
    assert width > 1600
    assert height > 200
    assert len(seen) > 50


def test_an_svg_runs_nothing_and_loads_nothing(few: Verdict) -> None:
    pool = best_pool(few)
    assert pool is not None
    named = replace(few, options=tuple(replace(item, title=HOSTILE) for item in few.options))
    for chart in gallery(named):
        svg = chart.svg() + chart.drawing().wide + chart.drawing().narrow
        assert "<script" not in svg
        assert not re.search(r'(?:href|src)="(?!#)', svg)


def test_a_page_places_marks_to_a_hundredth_of_a_pixel_and_leaves_figures_alone(few: Verdict) -> None:
    drawing = next(item for item in gallery(few) if item.name == "tornado-recommended").drawing()
    assert not re.search(r' (?:d|transform)="[^"]*\d\.\d{3}', drawing.wide)
    assert ">0.001<" in drawing.wide  # the end of an assumption, not a place


def test_the_axes_reach_from_the_crossing_to_todays_volume(azure: Verdict) -> None:
    pool = best_pool(azure)
    assert pool is not None
    far = Interval(low=1e6, likely=2e6, high=3e6)
    axes = axes_of(pool.break_even, far)
    first = pool.break_even[0].likely.first_mtok
    assert first is not None
    assert axes.is_log
    assert 0 < axes.first_mtok < first < far.high < axes.last_mtok
    costs = [item.api.usd_per_month(mtok) for item in pool.break_even for mtok in (axes.first_mtok, axes.last_mtok)]
    assert axes.low_usd < min(costs)
    assert axes.high_usd > max(costs)


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_the_staircase_is_drawn_where_its_bill_is(azure: Verdict, size: object) -> None:
    """The drawn step at today's volume, read back from the path, is the bill that the levers give."""
    pool = best_pool(azure)
    assert pool is not None
    assert pool.levers is not None
    chart = next(item for item in gallery(azure) if item.name == "cost-against-volume")
    svg = chart.drawing().wide if size is WIDE else chart.drawing().narrow
    axes = axes_of(pool.break_even, azure.volume_mtok_per_month)
    assert not axes.is_log
    found = re.search(r'bill_pool_marks"[^>]*><path[^>]* d="M([\d.]+),([\d.]+)', svg)
    assert found is not None
    height = (WIDE if size is WIDE else NARROW).height_px
    drawn_usd = (1 - float(found.group(2)) / height) * (axes.high_usd - axes.low_usd) + axes.low_usd
    least = pool.levers.usd_per_month(Levers(volume_ratio=1e-6))
    assert drawn_usd == pytest.approx(least, abs=axes.high_usd / height)
