"""Hybrids in a verdict: nodes for the base of the load, an API for what overflows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from stated_traffic import ON, stated_plan, write
from worlds_by_hand import opened

import breakeven
from breakeven.reports.frames import frame
from breakeven.studies.verdict.api_option import ApiOption
from breakeven.studies.verdict.course import course_of
from breakeven.studies.verdict.evaluate import Case
from breakeven.studies.verdict.hybrid_break_even import hybrid_crossings
from breakeven.studies.verdict.hybrid_candidates import hybrid_candidates, overflow_target
from breakeven.studies.verdict.hybrid_option import HybridOption
from breakeven.studies.verdict.select import pool_options, priced_apis
from breakeven.studies.verdict.workload import Workload
from breakeven.studies.verdict.worlds import Chance, Worlds
from breakeven.wiring.plan import sample_trace

if TYPE_CHECKING:
    from breakeven.studies.verdict.context import Context
    from breakeven.studies.verdict.result import OptionResult, Verdict

TRILLION = 10**12
DRAWS = 300
QWEN = "today: gpt-4o\nconsider: [qwen3-235b-a22b, llama-3.3-70b]\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """The hybrids of a plan of the bundled hour at a stated volume, with their values in every world."""

    context: Context
    apis: tuple[ApiOption, ...]
    hybrids: tuple[Case, ...]


def laid_open(tokens: int, text: str = QWEN) -> Laid:
    context = opened(text, draws=2).context
    context = replace(context, workload=Workload(profile=context.workload.profile, total_tokens_per_month=tokens))
    apis, sellers, _ = priced_apis(context)
    pools, _ = pool_options(context)
    hybrids, _ = hybrid_candidates(context, pools, sellers, apis[0])
    worlds = Worlds.draw(context, pools, Chance(draw_count=DRAWS))
    cases = tuple(worlds.case(item.option, item.nodes) for item in hybrids)
    return Laid(context=context, apis=tuple(apis), hybrids=cases)


@pytest.fixture(scope="module")
def plan() -> Laid:
    return laid_open(TRILLION)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """The bundled hour of Azure, at a trillion tokens a month."""
    path = write(tmp_path_factory.mktemp("hybrid"), f"{QWEN}traffic: {{total_tokens_per_month: {TRILLION}}}\n")
    return breakeven.plan(sample_trace(), scenario=path, as_of=ON)


def _option(case: Case) -> HybridOption:
    assert isinstance(case.option, HybridOption)
    return case.option


def _hybrids(result: Verdict) -> list[OptionResult]:
    return [item for item in result.options if item.kind == "hybrid"]


def _world(case: Case, index: int) -> dict[str, float]:
    return {key: float(values[index]) for key, values in case.drawn.items()}


def test_lines_add_up_to_the_cheaper_of_nodes_and_none(plan: Laid) -> None:
    for case in plan.hybrids:
        for values, bill in ((case.likely, case.likely_bill), (case.drawn, case.drawn_bill)):
            total = sum(np.asarray(row.usd_per_month) for row in bill.lines)
            assert total == pytest.approx(np.asarray(_option(case).split(values).usd_per_month))


def test_every_line_has_a_name_of_its_own(plan: Laid) -> None:
    for case in plan.hybrids:
        keys = [row.key for row in case.drawn_bill.lines]
        assert len(keys) == len(set(keys))


def test_every_draw_is_the_bill_of_that_world(plan: Laid) -> None:
    for case in plan.hybrids:
        drawn, nodes = (
            np.asarray(case.drawn_bill.usd_per_month),
            np.asarray(_option(case).sizing(case.drawn).serving_nodes),
        )
        for index in range(0, DRAWS, 23):
            world = _world(case, index)
            assert drawn[index] == pytest.approx(float(case.option.bill(world).usd_per_month), rel=2e-3)
            assert nodes[index] == pytest.approx(float(_option(case).sizing(world).serving_nodes), abs=1)


def test_no_draw_costs_more_than_its_api_or_than_the_pool_without_standby(plan: Laid) -> None:
    """Fixed lines counted rightly: a pool beside an API keeps the API's engineers, and its nodes carry every window."""
    for case in plan.hybrids:
        option, values = _option(case), case.drawn
        bill = np.asarray(case.drawn_bill.usd_per_month)
        assert np.all(bill <= np.asarray(option.api.bill(values).usd_per_month) * (1 + 1e-12))
        over = option.over_volume(values)
        tables, mean = option.workload.overflow, option.split(values).mean_nodes
        assert tables is not None
        top = float(tables.shape(option.pool.service).ratios[-1])
        peak = np.ceil(mean * top * np.maximum(1.0, np.asarray(over.spread_ratio)))
        assert np.all(bill <= over.pool_fixed_usd_per_month + over.node_usd_per_month * peak + 1e-6)


def test_no_other_number_of_nodes_is_cheaper(plan: Laid) -> None:
    for case in plan.hybrids:
        option, values = _option(case), case.likely
        over, split = option.over_volume(values), option.split(values)
        tables = option.workload.overflow
        assert tables is not None
        tokens_usd = float(over.usd_per_mtok) * option.workload.month(values).volume_mtok
        for nodes in range(1, 3 * int(split.nodes) + 3):
            carried = tables.carried_fraction(
                over.service, nodes=nodes, mean_nodes=float(split.mean_nodes), spread_ratio=over.spread_ratio
            )
            there = over.pool_fixed_usd_per_month + over.node_usd_per_month * nodes + tokens_usd * (1 - carried)
            assert split.usd_per_month <= there + 1e-6


def test_where_no_node_pays_the_bill_is_the_apis_and_it_does_not_compete(plan: Laid) -> None:
    small = laid_open(1_000_000)
    assert small.hybrids == ()
    case = plan.hybrids[0]
    pool = replace(_option(case).pool, workload=small.context.workload)
    api = replace(_option(case).api, workload=small.context.workload)
    option = HybridOption(pool=pool, api=api)
    assert float(option.sizing(case.likely).serving_nodes) == 0
    assert float(option.overflow_fraction(case.likely)) == 1
    assert option.bill(case.likely).usd_per_month == pytest.approx(float(api.bill(case.likely).usd_per_month))
    assert np.isinf(option.competing_usd_per_month(case.drawn)).all()


def test_with_an_api_beyond_price_nothing_overflows_and_the_nodes_are_the_pools(plan: Laid) -> None:
    case = plan.hybrids[0]
    dear = replace(_option(case).api.standard, plain_input_usd=1e12, output_usd=1e12)
    option = HybridOption(pool=_option(case).pool, api=replace(_option(case).api, standard=dear))
    size, pool_size = option.sizing(case.likely), option.pool.sizing(case.likely)
    assert float(option.overflow_fraction(case.likely)) < 1e-6
    assert float(size.serving_nodes) >= float(pool_size.serving_nodes)
    api_people = sum(row.usd_per_month for row in option.bill(case.likely).lines if row.key.endswith(", API"))
    alone = option.pool.node_lines(case.likely, size)
    around = option.pool.overhead_lines(case.likely, size.serving_nodes)
    held = sum(row.usd_per_month for row in (*alone, *around)) + api_people
    bought = sum(row.usd_per_month for row in option.overflow_lines(case.likely))
    assert option.bill(case.likely).usd_per_month == pytest.approx(held + bought)


def test_a_dearer_api_never_means_fewer_nodes(plan: Laid) -> None:
    for case in plan.hybrids:
        option = _option(case)
        over, volume = option.over_volume(case.likely), option.workload.month(case.likely).volume_mtok
        counts = [
            float(replace(over, usd_per_mtok=float(over.usd_per_mtok) * ratio).at(volume).nodes)
            for ratio in np.geomspace(0.1, 100, 40)
        ]
        assert counts == sorted(counts)


def test_the_first_month_of_the_course_is_the_bill_without_the_move(plan: Laid) -> None:
    case = plan.hybrids[0]
    course = course_of(case.drawn, plan.context.workload, month_count=12)
    path, is_own = course.path(case)
    without_move = _option(case).over_volume(case.drawn, moving=False)
    split = without_move.at(plan.context.workload.month(case.drawn).volume_mtok)
    assert path[:, 0] == pytest.approx(np.asarray(split.usd_per_month), rel=2e-3)
    assert path.shape == is_own.shape == (DRAWS, 12)


def test_the_model_chapter_holds_every_formula_of_a_hybrid(plan: Laid) -> None:
    chapter = (Path(__file__).parents[2] / "docs" / "model.md").read_text(encoding="utf-8")
    formulas = {row.formula for case in plan.hybrids for row in case.drawn_bill.lines}
    assert any("overflow_fraction" in formula for formula in formulas)
    assert sorted(formula for formula in formulas if f"`{formula}`" not in chapter) == []


def test_standby_is_the_apis_affair(whole: Verdict) -> None:
    found = _hybrids(whole)
    assert found
    for item in found:
        assert item.nodes is not None
        assert item.nodes.standby_nodes == 0
        assert not any(row.layer == "standby" for row in item.lines)
        assert any("stands by in place of a node" in note for note in item.notes)


def test_a_hybrid_is_an_option_like_any_other(whole: Verdict) -> None:
    assert {item.model for item in _hybrids(whole)} >= {"qwen3-235b-a22b", "llama-3.3-70b"}
    for item in _hybrids(whole):
        assert item.overflow is not None
        assert item.nodes is not None
        assert item.nodes.serving_nodes == item.overflow.held_nodes.likely >= 1
        assert 0 < item.overflow.overflow_fraction.likely < 1
        assert item.usd_per_month.low < item.usd_per_month.likely < item.usd_per_month.high
        assert sum(row.usd_per_month.likely for row in item.lines) == pytest.approx(item.usd_per_month.likely)
        assert item.swings
        assert (
            item.bases.marginal_usd_per_mtok
            <= item.bases.allocated_usd_per_mtok
            <= item.bases.fully_loaded_usd_per_mtok
        )
        # An hour shows no week: the chart of one has no data.
        assert item.overflow.week == ()
        assert item.levers is None


def test_a_hybrid_costs_less_than_the_pool_and_than_the_api_it_is_made_of(whole: Verdict) -> None:
    for item in _hybrids(whole):
        assert item.overflow is not None
        pool = whole.option(item.id.removeprefix("hybrid:").partition("+")[0])
        api = whole.option(f"open-api:{item.overflow.target}")
        assert item.usd_per_month.likely < min(pool.usd_per_month.likely, api.usd_per_month.likely)


def test_it_wins_no_draw_in_which_it_holds_no_node(whole: Verdict) -> None:
    wins = dict(whole.outlook.win_fractions)
    for item in _hybrids(whole):
        assert item.overflow is not None
        assert wins.get(item.id, 0.0) <= item.overflow.held_fraction


def test_at_its_break_even_volume_a_hybrid_costs_what_its_rival_does(plan: Laid) -> None:
    case = plan.hybrids[0]
    option, rivals = _option(case), [Case(option=api, likely=case.likely, drawn=case.drawn) for api in plan.apis[:2]]
    own = Case(option=option.api, likely=case.likely, drawn=case.drawn)
    for rival, found in zip((*rivals, own), hybrid_crossings(case, (*rivals, own)), strict=True):
        assert isinstance(rival.option, ApiOption)
        assert found.likely.first_mtok is not None
        assert found.low_mtok is not None
        assert found.likely.stable_mtok == found.likely.first_mtok
        there = Workload(profile=option.workload.profile, total_tokens_per_month=round(found.likely.first_mtok * 1e6))
        same = HybridOption(pool=replace(option.pool, workload=there), api=replace(option.api, workload=there))
        paid = float(replace(rival.option, workload=there).bill(case.likely).usd_per_month)
        assert float(same.split(case.likely).with_nodes_usd_per_month) == pytest.approx(paid, rel=1e-6)
        # The draws' interval holds the crossing at likely values, give or take their skew.
        assert found.low_mtok < 2 * found.likely.first_mtok


def test_data_that_may_not_leave_excludes_every_hybrid(tmp_path: Path) -> None:
    text = f"{QWEN}traffic: {{total_tokens_per_month: {TRILLION}}}\nconstraints: {{data_may_leave: false}}\n"
    result = breakeven.plan(sample_trace(), scenario=write(tmp_path, text), as_of=ON)
    found = _hybrids(result)
    assert found
    for item in found:
        assert item.excluded_by == ("what overflows: data may not leave: this option sends it to a third party",)
    assert dict(result.outlook.win_fractions).keys().isdisjoint(item.id for item in found)


def test_both_parts_of_a_hybrid_must_meet_a_constraint(tmp_path: Path) -> None:
    text = f"{QWEN}traffic: {{total_tokens_per_month: {TRILLION}}}\nconstraints: {{regions: [eu]}}\n"
    result = breakeven.plan(sample_trace(), scenario=write(tmp_path, text), as_of=ON)
    for item in _hybrids(result):
        pool = result.option(item.id.removeprefix("hybrid:").partition("+")[0])
        assert bool(item.excluded_by) >= bool(pool.excluded_by)


def test_overflow_goes_to_todays_api_where_nobody_sells_the_same_model(plan: Laid) -> None:
    today = plan.apis[0]
    assert overflow_target(plan.context, [], today) is today
    sellers = [item for item in plan.apis if item.kind == "open-model-api"]
    cheapest = min(sellers, key=lambda item: float(item.bill(plan.context.likely()).usd_per_month))
    assert overflow_target(plan.context, sellers, today) is cheapest


def test_a_bill_has_no_times_so_no_hybrid_and_it_says_so(tmp_path: Path) -> None:
    result = stated_plan(tmp_path, "consider: [qwen3-235b-a22b]\n", tokens=TRILLION)
    assert not _hybrids(result)
    assert any("no hybrid is compared: a bill has no times" in text for text in result.warnings)


def test_a_model_whose_nodes_do_not_pay_is_named() -> None:
    result = breakeven.plan(sample_trace(), today="gpt-4o", as_of=ON)
    assert not _hybrids(result)
    assert any(
        text.startswith("no hybrid of llama-3.3-70b, ") and "qwen3-235b-a22b" in text for text in result.warnings
    )


def test_a_fortnight_of_windows_gives_the_hours_of_the_week(tmp_path: Path) -> None:
    """Files as ServeGen has them: rates by ten minutes, mean lengths by six hours."""
    rate = 400 + 250 * np.sin(np.arange(2016) / 144 * 2 * np.pi)
    rate[54::144] *= 4
    rates = ["t,rps,active", *(f"{600 * i},{value:.3f},50" for i, value in enumerate(rate))]
    lengths = ["t,rps_of_clients_with_length_data,mean_input_tokens,mean_output_tokens"]
    lengths += [f"{21600 * i},100,900,150" for i in range(56)]
    files = (tmp_path / "made_rps_10min.csv", tmp_path / "made_lengths.csv")
    for file, lines in zip(files, (rates, lengths), strict=True):
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = breakeven.plan(*files, scenario=write(tmp_path, QWEN), as_of=ON)
    item = next(found for found in _hybrids(result) if found.model == "qwen3-235b-a22b")
    assert item.overflow is not None
    assert item.nodes is not None
    hours = [(hour.carried_nodes, hour.overflow_nodes) for hour in item.overflow.week]
    assert len(hours) == 168
    carried, left = (np.array(column, dtype=float) for column in zip(*hours, strict=True))
    assert carried.max() <= item.nodes.serving_nodes + 1e-9
    assert left.sum() / (carried + left).sum() == pytest.approx(item.overflow.overflow_fraction.likely, rel=1e-6)
    assert left[9::24].sum() > 0.5 * left.sum() > 0
    table = frame(result, "hours").set_index("option").loc[item.id]
    assert table["overflow_nodes"].to_list() == left.tolist()
