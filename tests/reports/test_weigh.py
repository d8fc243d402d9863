"""The page's levers, in a real browser: the script's arithmetic is that of the library, and it shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import date
from html import unescape
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import breakeven
from breakeven.economics.breakeven import FlatCost, StairCost, break_even
from breakeven.economics.levers import LeverBill, Levers
from breakeven.reports.as_json import plain
from breakeven.reports.html import verdict_page
from breakeven.reports.parts import best_pool, today_of

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.verdict.result import Verdict

ON = date(2026, 11, 21)
POSITIONS = 60


def _found_browser() -> str | None:
    """Return a Chromium that starts: some distributions install a stub that only points to another package."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    return None


BROWSER = _found_browser()
browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium (make test installs it where apt-get can)")

PROBE = """
<script>
const probed = POSITIONS.map(levers => data.options.map(option => ({
  usd: usdPerMonth(option.bill, levers),
  even: option.bill.needed_nodes ? breakEven(option.bill, bills[data.today], levers) : null,
})));
document.body.append(Object.assign(document.createElement("pre"), {id: "probed", textContent: JSON.stringify(probed)}));
</script>
"""
PAIRS = """
<script>
const probed = BILLS.map(([pool, api]) => breakEven(pool, api, AS_PLANNED));
document.body.append(Object.assign(document.createElement("pre"), {id: "probed", textContent: JSON.stringify(probed)}));
</script>
"""
DRAG = """
<script>
const slider = document.getElementById("lever-volume");
slider.value = 0.3;
slider.dispatchEvent(new Event("input", {bubbles: true}));
slider.dispatchEvent(new Event("change", {bubbles: true}));
const said = {at: document.getElementById("at-volume").textContent, hash: location.hash,
  spoken: slider.getAttribute("aria-valuetext")};
document.getElementById("as-planned").click();
said.back = document.getElementById("at-volume").textContent;
document.body.append(Object.assign(document.createElement("pre"), {id: "probed", textContent: JSON.stringify(said)}));
</script>
"""

REDRAW = """
<script>
const drawn = charts.map(chart => Object.entries(chart.curves).map(([name, curve]) => [
  curve.getAttribute("d"),
  name === "pool" ? chart.stairs(bills[data.pool], AS_PLANNED) : chart.line(bills[data.chart.bills[name]], AS_PLANNED),
]));
document.body.append(Object.assign(document.createElement("pre"), {id: "probed", textContent: JSON.stringify(drawn)}));
</script>
"""


def _dom(path: Path, fragment: str = "") -> str:
    """Open a file in a browser and return the document as it is after the script ran."""
    assert BROWSER is not None
    flags = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={path.parent / 'profile'}", "--dump-dom")
    done = subprocess.run(
        [BROWSER, *flags, f"{path.as_uri()}{fragment}"], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def _probed(result: Verdict, probe: str, folder: Path) -> Any:
    """Run a script after the page's own; the page's policy, which would forbid it, is taken out."""
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", verdict_page(result))
    path = folder / "probed.html"
    path.write_text(page.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    found = re.search(r'<pre id="probed">(.*?)</pre>', _dom(path), re.DOTALL)
    assert found is not None
    return json.loads(unescape(found.group(1)))


def _rows(dom: str) -> dict[str, float]:
    tags = re.findall(r"<li [^>]*data-usd=[^>]*>", dom)
    found = {}
    for tag in tags:
        values = dict(re.findall(r'data-([a-z]+)="([^"]*)"', tag))
        found[unescape(values["id"])] = float(values["usd"])
    return found


def _weighable(result: Verdict) -> dict[str, LeverBill]:
    return {item.id: item.levers for item in result.options if item.levers is not None and not item.excluded_by}


def _some_levers(count: int) -> list[Levers]:
    generator = np.random.default_rng(20261121)
    moved = [
        Levers(
            volume_ratio=10 ** generator.uniform(-1, 1),
            utilisation_ratio=10 ** generator.uniform(-0.6, 0.6),
            api_price_ratio=10 ** generator.uniform(-1, 1),
            gpu_price_ratio=10 ** generator.uniform(-1, 1),
            engineers_ratio=float(generator.choice([0.0, generator.uniform(0, 3)])),
        )
        for _ in range(count)
    ]
    return [Levers(), *moved]


def _levers_that_fill_nodes(needed: list[float]) -> list[Levers]:
    """Return volumes that fill whole nodes, of which a rounding error would ask for one more."""
    tried = [
        (nodes, each, Levers(volume_ratio=nodes * ratio / each, utilisation_ratio=ratio))
        for each in needed
        for nodes in (1, 3, 7)
        for ratio in (0.7, 1.1, 1.7)
    ]
    found = [item for nodes, each, item in tried if each * item.volume_ratio / item.utilisation_ratio > nodes]
    assert len(found) > 10
    return found[:20]


def _some_bills(count: int) -> list[tuple[LeverBill, LeverBill]]:
    """Return pools and what they are compared with, of every kind: also pools that begin cheaper, and never pay."""
    generator = np.random.default_rng(3)
    figures = 10 ** generator.uniform((2, 0, 2, -1, 2, 3), (5, 3, 5, 2, 5, 6), (count, 6))
    return [
        (
            LeverBill(
                node_usd_per_month=node,
                node_engineering_usd_per_month=engineer,
                needed_nodes=needed,
                min_nodes=int(generator.integers(0, 3)),
                standby_nodes=int(generator.integers(0, 3)),
                other_usd_per_month=fixed,
            ),
            LeverBill(tokens_usd_per_month=tokens, engineering_usd_per_month=api_fixed),
        )
        for node, engineer, fixed, needed, api_fixed, tokens in figures.tolist()
    ]


def _plain(levers: Levers) -> dict[str, float]:
    return {name: getattr(levers, name) for name in Levers.__dataclass_fields__}


def _stair(bill: LeverBill, levers: Levers) -> StairCost:
    """Return a pool's bill over multiples of the volume planned for."""
    each = bill.node_usd_per_month * levers.gpu_price_ratio
    return StairCost(
        fixed_usd_per_month=bill.engineering_usd_per_month * levers.engineers_ratio + bill.other_usd_per_month,
        node_usd_per_month=each + bill.node_engineering_usd_per_month * levers.engineers_ratio,
        node_mtok_per_month=levers.utilisation_ratio / bill.needed_nodes,
        standby_nodes=bill.standby_nodes,
        min_nodes=bill.min_nodes,
    )


def _flat(bill: LeverBill, levers: Levers) -> FlatCost:
    return FlatCost(
        fixed_usd_per_month=bill.engineering_usd_per_month * levers.engineers_ratio + bill.other_usd_per_month,
        usd_per_mtok=bill.tokens_usd_per_month * levers.api_price_ratio,
    )


@browser
def test_every_bill_and_crossing_in_the_browser_is_the_librarys(azure: Verdict, tmp_path: Path) -> None:
    bills = _weighable(azure)
    full = _levers_that_fill_nodes([bill.needed_nodes for bill in bills.values() if bill.needed_nodes])
    positions = [*_some_levers(POSITIONS), *full]
    probe = PROBE.replace("POSITIONS", json.dumps([_plain(item) for item in positions]), 1)
    today = bills[today_of(azure).id]
    crossings = 0
    for levers, shown in zip(positions, _probed(azure, probe, tmp_path), strict=True):
        for bill, figures in zip(bills.values(), shown, strict=True):
            assert figures["usd"] == pytest.approx(bill.usd_per_month(levers), rel=1e-9)
            if bill.needed_nodes:
                found = break_even(_stair(bill, levers), _flat(today, levers))
                for mine, library in ((figures["even"]["first"], found.first_mtok),
                                      (figures["even"]["stable"], found.stable_mtok)):  # fmt: skip
                    assert mine == (None if library is None else pytest.approx(library, rel=1e-9, abs=1e-12))
                    crossings += library is not None
    assert crossings > POSITIONS


@browser
def test_break_even_in_the_browser_is_the_librarys_for_bills_of_every_kind(few: Verdict, tmp_path: Path) -> None:
    pairs = _some_bills(400)
    shown = _probed(few, PAIRS.replace("BILLS", json.dumps(plain(pairs)), 1), tmp_path)
    kinds = set()
    for (pool, api), figures in zip(pairs, shown, strict=True):
        found = break_even(_stair(pool, Levers()), _flat(api, Levers()))
        for name, library in (("first", found.first_mtok), ("stable", found.stable_mtok)):
            assert figures[name] == (None if library is None else pytest.approx(library, rel=1e-9, abs=1e-12))
        kinds.add((found.first_mtok is None, found.stable_mtok is None, found.island_count > 0))
    assert len(kinds) == 4  # never; melting; with islands; without


@browser
@pytest.mark.parametrize(
    "levers",
    [
        Levers(volume_ratio=3.3, utilisation_ratio=0.7, api_price_ratio=0.21, gpu_price_ratio=1.9, engineers_ratio=0),
        Levers(volume_ratio=9, api_price_ratio=8, gpu_price_ratio=0.3, engineers_ratio=0.5),
    ],
)
def test_the_page_as_written_shows_the_levers_of_its_address(azure: Verdict, tmp_path: Path, levers: Levers) -> None:
    path = tmp_path / "page.html"
    path.write_text(verdict_page(azure), encoding="utf-8")
    names = "&".join(f"{name.removesuffix('_ratio')}={value!r}" for name, value in _plain(levers).items())
    dom = _dom(path, f"#{names}")
    rows, bills = _rows(dom), _weighable(azure)
    assert today_of(azure).id in rows
    for option, usd in rows.items():
        assert usd == pytest.approx(bills[option].usd_per_month(levers), rel=1e-9)
    good = {item.id for item in azure.options if item.quality.standing != "no evidence"}
    ranked = sorted((name for name in bills if name in good), key=lambda name: bills[name].usd_per_month(levers))
    assert [name for name in rows if name in good][:8] == ranked[:8]
    assert not re.search(r"<div [^>]*data-weigh[^>]*hidden", dom)


def _heights(path: str) -> dict[int, float]:
    """Return a path's height, from the top, at every whole pixel that it passes: steps and straight parts."""
    points: list[tuple[float, float]] = []
    for command, text in re.findall(r"([MLHV])([^MLHV]*)", path):
        figures = [float(item) for item in text.split(",")]
        x, y = points[-1] if points else (0.0, 0.0)
        if command in "ML":
            points += zip(figures[::2], figures[1::2], strict=True)
        else:
            points.append((figures[0], y) if command == "H" else (x, figures[0]))
    found = {}
    for (x, y), (to_x, to_y) in pairwise(points):
        for pixel in range(ceil(x + 0.01), ceil(to_x - 0.01)):
            found[pixel] = y + (to_y - y) * (pixel - x) / (to_x - x)
    return found


@browser
@pytest.mark.parametrize("monthly_tokens", [20_000_000, 400_000_000_000])
def test_the_script_redraws_the_curves_that_the_library_drew(tmp_path: Path, monthly_tokens: int) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        f"today: gpt-4o\ntraffic: {{input_tokens_per_month: {monthly_tokens * 3 // 4}, "
        f"output_tokens_per_month: {monthly_tokens // 4}}}\n",
        encoding="utf-8",
    )
    curves = 0
    for chart in _probed(breakeven.plan(scenario=scenario, as_of=ON), REDRAW, tmp_path):
        for static, redrawn in chart:
            before, after = _heights(static), _heights(redrawn)
            shared = before.keys() & after.keys()
            assert len(shared) > 250
            assert max(abs(before[pixel] - after[pixel]) for pixel in shared) < 1
            curves += 1
    assert curves == 8


@browser
def test_a_slider_moves_bills_and_address_and_the_button_takes_it_back(few: Verdict, tmp_path: Path) -> None:
    said = _probed(few, DRAG, tmp_path)
    assert said["at"].startswith("× 2: ")
    assert said["spoken"] == said["at"]
    assert said["hash"] == "#volume=1.99526"
    assert said["back"].startswith("× 1: ")


@browser
@pytest.mark.parametrize("fragment", ["#volume=nonsense&api_price=-1&gpu_price=1e999", "#%00<script>", "#volume="])
def test_an_address_that_makes_no_sense_is_the_likely_bill(few: Verdict, tmp_path: Path, fragment: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(verdict_page(few), encoding="utf-8")
    bills = _weighable(few)
    rows = _rows(_dom(path, fragment))
    assert rows == {name: pytest.approx(bills[name].usd_per_month(Levers()), rel=1e-9) for name in bills}


def test_likely_bills_and_first_crossings_are_those_of_the_verdict(azure: Verdict) -> None:
    pool = best_pool(azure)
    assert pool is not None
    bills = _weighable(azure)
    for option in azure.options:
        if option.levers is not None:
            assert option.levers.usd_per_month(Levers()) == pytest.approx(option.usd_per_month.likely, rel=1e-9)
    for item in (option for option in azure.options if option.break_even and option.levers):
        crossing = item.break_even[0]
        assert item.levers is not None
        found = break_even(_stair(item.levers, Levers()), _flat(bills[crossing.against], Levers()))
        volume = azure.volume_mtok_per_month.likely
        for mine, shown in ((found.first_mtok, crossing.likely.first_mtok),
                            (found.stable_mtok, crossing.likely.stable_mtok)):  # fmt: skip
            assert (None if mine is None else mine * volume) == (
                None if shown is None else pytest.approx(shown, rel=1e-9)
            )


def test_without_scripts_the_levers_stay_hidden(few: Verdict) -> None:
    page = verdict_page(few)
    assert page.count("data-weigh hidden") == 2
