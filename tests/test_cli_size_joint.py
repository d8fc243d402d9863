"""``breakeven size`` for several traffics: against trying everything, limits, tables and JSON; wrong questions."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import date
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.errors import InputError, UnknownNameError
from breakeven.studies.hybrid.joint import EACH_PURE, HELD
from breakeven.studies.hybrid.pools import slot_of
from breakeven.studies.hybrid.result import HybridSize, JointSize
from breakeven.studies.hybrid.study import ALL_API, ALL_POOL, SCHEDULED
from breakeven.wiring.hybrid import Figures, SizeRequest, prepared
from breakeven.wiring.joint import Asked, run_asked

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.studies.hybrid.prepared import Sizing

ON = date(2026, 11, 1)
LARGE, SMALL = "2xH100:llama-3.3-70b:fp8:vllm", "1xH100:llama-3.1-8b:fp8:vllm"
CHAT, MAIL = 0, 1
NO_DOUBT = """
assumptions:
  mean_to_observed_days_ratio: 1
  self_hosted_engineering_fte: 0.06
  engineering_per_node_fte: 0.01
  api_engineering_fte: 0.05
  migration_weeks: 1
  cold_start_s: 0
"""
"""Next month is as the week was, a team is cheap enough for a few nodes to pay, and nodes start at once."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two services for a week, each as steady as can be within eighths of weekdays and of weekends."""
    path = tmp_path_factory.mktemp("services")
    chance = np.random.default_rng(3)
    slots = slot_of(np.arange(168))
    for name, scale, lengths in (("chat", 12.0, (700, 300)), ("mail", 40.0, (900, 250))):
        rate = scale * chance.uniform(0.1, 1.0, 16)[slots]
        rows = [f"{hour * 3600},{rate[hour]}" for hour in range(168)]
        (path / f"{name}_rps.csv").write_text("\n".join(["t,rps", *rows]) + "\n", encoding="utf-8")
        blocks = [f"{block * 21600},{lengths[0]},{lengths[1]}" for block in range(28)]
        head = "t,mean_input_tokens,mean_output_tokens"
        (path / f"{name}_lengths.csv").write_text("\n".join([head, *blocks]) + "\n", encoding="utf-8")
    (path / "scenario.yaml").write_text(NO_DOUBT, encoding="utf-8")
    return path


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}_rps.csv", folder / f"{name}_lengths.csv"


def _figures(folder: Path, usd_per_gpu_hour: float) -> Figures:
    return Figures(scenario=folder / "scenario.yaml", usd_per_gpu_hour=usd_per_gpu_hour, as_of=ON)


def _asked(folder: Path, **more: Any) -> Asked:
    asked: dict[str, Any] = {
        "traffics": tuple(f"{name}={file}" for name in ("chat", "mail") for file in _files(folder, name)),
        "pools": (f"chat={LARGE}", f"mail={SMALL}", f"mail={LARGE}"),
        "overflows": ("gpt-4o", "mail=gpt-4o-mini"),
        "figures": _figures(folder, more.pop("usd_per_gpu_hour", 4.0)),
    }
    return Asked(**asked | more)


def _size(folder: Path, **more: Any) -> JointSize:
    found = run_asked(_asked(folder, **more))
    assert isinstance(found, JointSize)
    return found


def _sizing(folder: Path, name: str, pool: str, overflow: str, usd_per_gpu_hour: float) -> Sizing:
    scenario = folder / "scenario.yaml"
    return prepared(
        SizeRequest(
            files=_files(folder, name),
            pools=(pool,),
            overflow=overflow,
            scenario=scenario,
            usd_per_gpu_hour=usd_per_gpu_hour,
            as_of=ON,
        )
    ).sizings[0]


def _month_usd(lines: Any) -> float:
    return sum(float(np.asarray(item.usd_per_month)) for item in lines)


def _tried(sizings: list[tuple[int, int, Sizing]], most_gpus: int) -> float:
    """Return the lowest bill an hour, of nodes bought by the hour, by trying every number of each in every slot.

    ``sizings``: traffic, GPUs of a node, and the sizing of each pool.  What of the API's is always paid is left out.
    """
    best = np.inf
    tables = _slot_bills(sizings, most_gpus)
    for chosen in product((False, True), repeat=len(sizings)):
        usd = sum(
            min(bill for held, bill in table.items() if all(on or not n for n, on in zip(held, chosen, strict=True)))
            for table in tables
        )
        best = min(best, usd + _fixed([item for item, on in zip(sizings, chosen, strict=True) if on], sizings))
    return float(best)


def _slot_bills(sizings: list[tuple[int, int, Sizing]], most_gpus: int) -> list[dict[tuple[int, ...], float]]:
    """Return what each slot comes to with every number of nodes: prices, and what they leave to the overflow."""
    tables = []
    hours = sizings[0][2].likely.work.hour_of_week
    for slot in range(16):
        here = slot_of(hours) == slot
        table = {}
        for held in product(range(16), repeat=len(sizings)):
            if sum(count * gpus for count, (_, gpus, _) in zip(held, sizings, strict=True)) > most_gpus:
                continue
            usd = sum(n * item.likely.terms[1].node_usd_per_hour for n, (_, _, item) in zip(held, sizings, strict=True))
            usd *= here.mean()
            for traffic in {number for number, _, _ in sizings}:
                mine = [(n, item) for n, (number, _, item) in zip(held, sizings, strict=True) if number == traffic]
                work = mine[0][1].likely.work
                served = sum(n / item.likely.work.busy_nodes[here] for n, item in mine)
                left = np.maximum(1 - served, 0) * work.busy_nodes[here] * work.node_hour_usd[here]
                usd += float(left.sum()) / len(hours)
            table[held] = usd
        tables.append(table)
    return tables


def _fixed(held: list[tuple[int, int, Sizing]], every: list[tuple[int, int, Sizing]]) -> float:
    """Return what comes with nodes: services once, people and weights by model, the rest and the API's by traffic."""
    once: list[float] = [0.0]
    models: defaultdict[str, list[float]] = defaultdict(list)
    traffics: defaultdict[int, list[float]] = defaultdict(list)
    for number, _, item in held:
        lines = item.likely.pool_lines
        engineers = [line for line in lines if line.layer == "engineering" or line.key == "weight storage"]
        services = [line for line in lines if line.key == "supporting services"]
        once.append(_month_usd(services))
        models[item.question.pool.model].append(_month_usd(engineers))
        traffics[number].append(_month_usd(lines) - _month_usd(services) - _month_usd(engineers))
    alone = {number: _month_usd(item.likely.api_alone_lines) for number, _, item in every if number not in traffics}
    total = max(once) + sum(max(part) for part in models.values()) + sum(max(part) for part in traffics.values())
    return (total + sum(alone.values())) / every[0][2].likely.hours_per_month


@pytest.mark.parametrize(
    ("usd_per_gpu_hour", "most_gpus", "pools"),
    [
        (4.0, 1000, [(CHAT, LARGE), (MAIL, SMALL)]),
        (4.0, 5, [(CHAT, LARGE), (MAIL, SMALL)]),
        (4.0, 3, [(CHAT, LARGE), (MAIL, SMALL)]),
        (4.0, 0, [(CHAT, LARGE), (MAIL, SMALL)]),
        (40.0, 1000, [(CHAT, LARGE), (MAIL, SMALL)]),
        (2.0, 6, [(CHAT, LARGE), (MAIL, SMALL), (MAIL, LARGE)]),
        (2.0, 4, [(CHAT, LARGE), (CHAT, SMALL), (MAIL, LARGE)]),
    ],
)
def test_it_holds_what_trying_everything_holds(
    folder: Path, usd_per_gpu_hour: float, most_gpus: int, pools: list[tuple[int, str]]
) -> None:
    names, overflows = ("chat", "mail"), ("gpt-4o", "gpt-4o-mini")
    found = _size(
        folder,
        usd_per_gpu_hour=usd_per_gpu_hour,
        most_gpus=(f"H100={most_gpus}",),
        pools=tuple(f"{names[number]}={pool}" for number, pool in pools),
    )
    every = []
    for number, pool in pools:
        sizing = _sizing(folder, names[number], pool, overflows[number], usd_per_gpu_hour)
        every.append((number, sizing.question.pool.gpus_per_node, sizing))
    side = every[0][2].likely
    people = _month_usd(line for line in side.api_lines if line.layer == "engineering")
    tried = _tried(every, most_gpus) * side.hours_per_month + 2 * people
    assert found.proven
    assert found.ways[-1].name == HELD
    assert found.ways[-1].usd_per_month.likely == pytest.approx(tried, rel=2e-5)
    assert found.limits[0].used_count <= most_gpus
    if not most_gpus:
        assert found.ways[-1].usd_per_month.likely == pytest.approx(found.ways[0].usd_per_month.likely)


@pytest.fixture(scope="module")
def short(folder: Path) -> JointSize:
    """Fewer GPUs than would pay."""
    return _size(folder, most_gpus=("H100=5",))


def test_what_is_printed_adds_up(short: JointSize) -> None:
    ways = {item.name: item for item in short.ways}
    assert list(ways) == [ALL_API, ALL_POOL, EACH_PURE, HELD]
    assert short.beyond_limits == (ALL_POOL,)
    held = ways[HELD]
    for item in short.ways:
        assert item.usd_per_month.likely == pytest.approx(sum(line.usd_per_month.likely for line in item.lines))
        assert item.usd_per_month.low <= item.usd_per_month.likely <= item.usd_per_month.high
    for saving in short.savings:
        expected = ways[saving.key].usd_per_month.likely - held.usd_per_month.likely
        assert saving.usd_per_month.likely == pytest.approx(expected)
    assert ways[EACH_PURE].usd_per_month.likely <= ways[ALL_API].usd_per_month.likely
    own = {line.key for traffic in short.traffics for line in traffic.ways[-1].lines}
    shared = {line.key for line in held.lines} - own
    assert shared == {"engineering, pool", "infrastructure, pool", "engineering, API"}
    for traffic in short.traffics:
        served = sum(item.served_fraction for item in traffic.held)
        assert served + traffic.overflow_fraction == pytest.approx(1)
        assert traffic.ways[-1].nodes <= held.nodes


def test_what_nodes_alone_leave_unserved_is_priced(folder: Path, tmp_path: Path, short: JointSize) -> None:
    assert all(item.usd_per_month.likely == 0 for item in short.unserved)  # a quarter of a week and more is its peak
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(NO_DOUBT + "  peak_quantile_fraction: 0.5\n", encoding="utf-8")
    found = _size(folder, figures=replace(_figures(folder, 4.0), scenario=scenario))
    left = {item.key: item.usd_per_month.likely for item in found.unserved}
    assert left[ALL_API] == 0
    assert 1000 < left[ALL_POOL] < found.ways[0].usd_per_month.likely / 2


def test_gpus_beyond_a_limit_are_worth_what_the_bill_falls_by(folder: Path, short: JointSize) -> None:
    (limit,) = short.limits
    assert (limit.gpu, limit.most_count, limit.used_count) == ("h100-sxm", 5, 5)
    assert [gain.gpus_count for gain in limit.more] == [1, 2]
    for gain in limit.more:
        more = _size(folder, most_gpus=(f"H100={5 + gain.gpus_count}",))
        saved = short.ways[-1].usd_per_month.likely - more.ways[-1].usd_per_month.likely
        assert gain.saved_usd_per_month == pytest.approx(saved, rel=1e-3)
        assert saved > 1000
    free = _size(folder)
    assert not free.limits
    assert free.limits_usd_per_month == 0
    cost = short.ways[-1].usd_per_month.likely - free.ways[-1].usd_per_month.likely
    assert short.limits_usd_per_month == pytest.approx(cost, rel=1e-3)


def test_a_limit_that_nothing_reaches_costs_nothing(folder: Path) -> None:
    found = _size(folder, most_gpus=("H100=100",))
    assert found.limits[0].more == ()
    assert found.limits[0].used_count < 100
    assert found.limits_usd_per_month == 0
    assert any("more of them would save nothing" in reason for reason in found.reasons)


def test_two_traffics_of_one_model_pay_its_engineers_once(folder: Path) -> None:
    def people(pools: tuple[str, ...]) -> float:
        held = _size(folder, pools=pools, overflows=("gpt-4o",), usd_per_gpu_hour=1.0).ways[-1]
        return next(line.usd_per_month.likely for line in held.lines if line.key == "engineering, pool")

    assert people((LARGE,)) == pytest.approx(people((f"chat={LARGE}", f"mail={SMALL}")) / 2)


def test_one_traffic_may_have_limits_too(folder: Path) -> None:
    asked = _asked(folder, traffics=(), files=_files(folder, "chat"), pools=(LARGE,), overflows=("gpt-4o",))
    alone = run_asked(asked)
    assert isinstance(alone, HybridSize)
    found = run_asked(replace(asked, most_gpus=("h100-sxm=4",)))
    assert isinstance(found, JointSize)
    assert [item.name for item in found.ways] == [ALL_API, ALL_POOL, HELD]
    assert found.limits[0].used_count <= 4
    scheduled = next(item for item in alone.ways if item.name == SCHEDULED)
    free = run_asked(replace(asked, most_gpus=("h100-sxm=100",)))
    assert isinstance(free, JointSize)
    assert free.ways[-1].usd_per_month.likely == pytest.approx(scheduled.usd_per_month.likely, rel=0.01)


def test_an_slo_lowers_what_each_pool_serves(folder: Path) -> None:
    small = (f"chat={SMALL}", f"mail={SMALL}")
    figures = replace(_figures(folder, 4.0), slo_ttft_s=0.5)
    loose, strict = _size(folder, pools=small), _size(folder, pools=small, figures=figures)
    assert strict.ways[-1].usd_per_month.likely != pytest.approx(loose.ways[-1].usd_per_month.likely)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"pools": (f"chat={LARGE}",)}, "--pool: there is none for mail"),
        ({"pools": (LARGE, f"post={SMALL}")}, "the traffic post; there is chat, mail"),
        ({"overflows": ("chat=gpt-4o",)}, "--overflow: there is none for mail"),
        ({"overflows": ("gpt-4o", "gpt-4o-mini")}, "there are 2 for chat: gpt-4o, gpt-4o-mini"),
        ({"todays": ("post=gpt-4o",)}, "--today: 'post=gpt-4o' is for the traffic post"),
        ({"traffics": ("chat.csv",)}, "'chat.csv' is not of the form NAME=FILE"),
        ({"traffics": tuple(f"t{n}=a.csv" for n in range(9)), "pools": (LARGE,)}, "9 traffics; at most 8"),
        ({"files": ("a.csv",)}, "a.csv has no name beside --traffic"),
        ({"traffics": (), "files": ("a.csv",)}, "the traffic chat; there is none by name"),
        ({"traffics": (), "files": (), "pools": (LARGE,), "overflows": ("gpt-4o",)}, "there is no traffic"),
        ({"most_gpus": ("H100",)}, "'H100' is not of the form GPU=COUNT"),
        ({"most_gpus": ("H100=many",)}, "is not of the form GPU=COUNT"),
        ({"most_gpus": ("H100=-1",)}, "H100=-1 is not a number of GPUs between 0"),
        ({"most_gpus": ("H100=4", "H100=8")}, "H100 is named twice: 4 and 8"),
        ({"most_gpus": ("H100=4", "h100-sxm=8")}, "names h100-sxm twice: 4 and 8"),
        ({"most_gpus": ("L4=4",)}, "no --pool has l4; they have h100-sxm"),
        ({"traffics": ("chat=no-such.csv", "mail=no-such.csv")}, "chat: "),
    ],
)
def test_wrong_questions_say_what_to_do(folder: Path, more: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        run_asked(_asked(folder, **more))


def test_what_one_figure_cannot_say_for_several_is_refused(folder: Path, tmp_path: Path) -> None:
    figures = _figures(folder, 4.0)
    with pytest.raises(InputError, match="--batchable: work that may wait"):
        run_asked(_asked(folder, figures=replace(figures, batchable_fraction=0.2)))
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("traffic: {total_tokens_per_month: 3000000000}\n", encoding="utf-8")
    with pytest.raises(InputError, match="of 2 traffics it does not say whose"):
        run_asked(_asked(folder, figures=replace(figures, scenario=scenario)))


def test_a_gpu_that_nobody_knows_is_told(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="H999"):
        run_asked(_asked(folder, most_gpus=("H999=4",)))


def test_the_command_prints_tables_and_json(folder: Path) -> None:
    words = ["size", "--pool", f"chat={LARGE}", "--pool", f"mail={SMALL}", "--overflow", "gpt-4o"]
    words += [
        word for name in ("chat", "mail") for file in _files(folder, name) for word in ("--traffic", f"{name}={file}")
    ]
    words += ["--gpus-at-most", "H100=2", "--as-of", "2026-11-01", "--scenario", str(folder / "scenario.yaml")]
    words += ["--usd-per-gpu-hour", "2"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    for text in ("Together", "shared", "hybrids, sized together", "too many GPUs", "2 more would save"):
        assert text in shown.output
    data = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert [item["name"] for item in data["traffics"]] == ["chat", "mail"]
    assert data["limits"][0]["more"][0]["gpus_count"] == 1
    refused = CliRunner().invoke(app, [*words, "--gpus-at-most", "H100=-2"])
    assert isinstance(refused.exception, InputError)
