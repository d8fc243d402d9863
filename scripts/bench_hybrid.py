"""How well a hybrid sized on one week does in the next, on three public traces of two weeks in windows of ten minutes.

First on the narrowest basis: GPU and API cost alone, requests as work, a mean load of 20 nodes, u* = the price of a
node-hour over what the API asks for its work.  Then fully loaded, in today's prices, with the week to come simulated
request by request within an SLO.  The rules were chosen looking at the first two traces; the third, m-mid, shows what
they do elsewhere.  Hindsight is the best fixed number of nodes for the second week.  ``--quick`` leaves the simulation
out.  ``make bench-hybrid`` runs it; it reports, nothing is asserted.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from breakeven.wiring.kept_code import keep_compiled

keep_compiled()

from breakeven.capacity.simulate import Api  # noqa: E402 - numba keeps what is imported from here on
from breakeven.capacity.sizing import Work  # noqa: E402 - likewise
from breakeven.economics.forecast import DailyPrior  # noqa: E402 - likewise
from breakeven.sources.catalogue import load_book  # noqa: E402 - likewise
from breakeven.sources.roofline import load_roofline  # noqa: E402 - likewise
from breakeven.sources.scenario import Pool, Scenario  # noqa: E402 - likewise
from breakeven.studies.hybrid.backtest import Costs, Trial, judge  # noqa: E402 - likewise
from breakeven.studies.hybrid.prepared import Question, Sizing, prepare  # noqa: E402 - likewise
from breakeven.studies.hybrid.requests import Requests, counted_windows, node_seconds_each, seen_work  # noqa: E402 - likewise
from breakeven.studies.hybrid.sides import token_ratios  # noqa: E402 - likewise
from breakeven.studies.hybrid.simulated import Slo, pace_as_served, run_nodes, slo_capacity_fraction  # noqa: E402 - likewise
from breakeven.studies.verdict.context import Context, Targets  # noqa: E402 - likewise
from breakeven.studies.verdict.token_price import PricingDay  # noqa: E402 - likewise
from breakeven.studies.verdict.workload import Workload  # noqa: E402 - likewise
from breakeven.traffic.profile import profile  # noqa: E402 - likewise
from breakeven.traffic.read import read_trace  # noqa: E402 - likewise
from breakeven.traffic.sample import two_weeks_paths  # noqa: E402 - likewise
from breakeven.traffic.synthesis import Burst, around_means, fit_swing, synthesise  # noqa: E402 - likewise
from breakeven.wiring.plan import find_prices  # noqa: E402 - likewise
from breakeven.wiring.pool_text import deployment_of  # noqa: E402 - likewise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.capacity.pool import Pace
    from breakeven.records import TrafficProfile, TrafficTimes
    from breakeven.studies.hybrid.simulated import Ran

FIXTURES: Final = Path(__file__).parent.parent / "tests" / "studies" / "fixtures"
TRACES: Final = {
    "m-large": two_weeks_paths(),
    **{
        name: (FIXTURES / f"servegen_{name}_rps_10min.csv.gz", FIXTURES / f"servegen_{name}_lengths.csv.gz")
        for name in ("m-small", "m-mid")
    },
}
LOOKED_AT: Final = ("m-large", "m-small")
"""On which the rules were chosen."""

ON: Final = date(2026, 11, 21)
DAY_WINDOWS: Final = 144
WEEK_WINDOWS: Final = 7 * DAY_WINDOWS
MEAN_NODES: Final = 20.0
U_STARS: Final = (0.15, 0.222, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
PUBLISHED: Final = (0.222, 0.4, 0.6)
"""At which the plain rule's regret of 0.4 to 12 % was found."""

POOL: Final = "2xH100:llama-3.3-70b:fp8:vllm"
OVERFLOWS: Final = (
    "gpt-4o",
    "gpt-4.1-mini",
    "gpt-4o-mini",
    "groq:llama-3.3-70b-versatile",
    "together:meta-llama/Llama-3.3-70B-Instruct-Turbo",
)
NODE_PRICES: Final = (2.5, 4.0, 7.0)
"""US dollars a GPU-hour: reserved, on demand, a hyperscaler."""

MOST_REQUESTS: Final = 300_000
SIMULATED_USD: Final = 4.0
"""The price of nodes at which the second week is simulated too."""

LOADS_NODES: Final = (2.0, 20.0)
SLO_TTFT_S: Final = 2.0
MONTH_HOURS: Final = 730.0
NARROW: Final = "trace, u*, nodes: plain; held; revised; hindsight, all API, all nodes (peak), held, hindsight"
LOADED: Final = "trace, mean load, overflow, USD a GPU-hour, u*, nodes: plain; held; revised; hindsight, all API"
REGRETS: Final = "regret: plain, held, revised"


class _Asked(NamedTuple):
    traffic: TrafficProfile
    load_nodes: float
    overflow: str
    usd_per_gpu_hour: float


class _Won(NamedTuple):
    """Who beat the better pure option; ``can``: hindsight's best hybrid does."""

    can: bool
    plain: bool
    held: bool
    revised: bool
    simulated: bool | None


@dataclass(frozen=True)
class Loaded:
    """A trace at one volume, overflow and price of nodes, sized on its first week."""

    found: Sizing
    work: Work
    costs: Costs
    trial: Trial


def main() -> None:
    """Print both parts as Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    known = load_book().assumptions
    prior = DailyPrior.of(known["mean_to_observed_days_ratio"].interval, known["traffic_growth_per_month"].interval)
    seen = {name: profile(read_trace(list(paths))) for name, paths in TRACES.items()}
    narrow({name: _requests_as_work(traffic) for name, traffic in seen.items()}, prior)
    loaded(seen, prior, simulate=not quick)


def narrow(works: dict[str, Work], prior: DailyPrior) -> None:
    """Print regrets on GPU and API cost alone, the basis on which the plain rule's were published."""
    print("GPU and API cost alone, the API's cost of a node-hour = 1; requests as work, mean load 20 nodes\n")
    print(_head(f"{NARROW}, {REGRETS}"))
    regrets: dict[str, list[tuple[float, ...]]] = {"": []}
    for name, work in works.items():
        for u_star in U_STARS:
            trial = judge(work, WEEK_WINDOWS, DAY_WINDOWS, Costs(node_usd_per_hour=u_star), prior)
            row = _regrets(trial)
            regrets.setdefault(name, []).append(row)
            if u_star in PUBLISHED and name in LOOKED_AT:
                regrets[""].append(row)
            usd = (
                trial.all_api_usd_per_hour,
                trial.all_pool_usd_per_hour,
                trial.held_usd_per_hour,
                trial.hindsight_usd_per_hour,
            )
            bills = " | ".join(f"{item:.2f}" for item in usd)
            print(f"| {name} | {u_star:g} | {_nodes(trial)} | {bills} | {_percent(row)} |")
    print()
    for name, rows in regrets.items():
        told = name or f"m-large and m-small at {', '.join(f'{item:g}' for item in PUBLISHED)}"
        print(f"{told}: {_summary(rows)}")


def loaded(seen: dict[str, TrafficProfile], prior: DailyPrior, *, simulate: bool) -> None:
    """Print bills and regrets fully loaded, and where asked for those of the second week simulated within the SLO."""
    print(f"\nFully loaded, USD a month; {POOL}; SLO: 95 % of first tokens on nodes within {SLO_TTFT_S:g} s\n")
    held = "held simulated, TTFT p95, in time, beats both pure"
    print(_head(f"{LOADED}, all nodes (peak), held, hindsight, {REGRETS}, {held}"))
    told: dict[str, tuple[list[_Won], list[tuple[float, ...]]]] = {}
    for name, traffic in seen.items():
        won: list[_Won] = []
        regrets = []
        for load_nodes in LOADS_NODES:
            capacity: float | None = None if simulate else 0.8
            for overflow in OVERFLOWS:
                for usd in NODE_PRICES:
                    case, capacity = _case(_Asked(traffic, load_nodes, overflow, usd), prior, capacity)
                    regrets.append(_regrets(case.trial))
                    start = f"| {name} | {load_nodes:g} | {overflow.rsplit('/', 1)[-1]} | {usd:g}"
                    won.append(_line(start, case, simulate=simulate and usd == SIMULATED_USD))
        told[name] = won, regrets
    for names in (*((name,) for name in seen), LOOKED_AT):
        _tell_wins(" and ".join(names), [told[name] for name in names])


def _tell_wins(names: str, told: Sequence[tuple[list[_Won], list[tuple[float, ...]]]]) -> None:
    """Print for some traces who beat the better pure option, and regrets."""
    won = [item for each, _ in told for item in each]
    able = [item for item in won if item.can]
    ran = [item for item in able if item.simulated is not None]
    print(f"\n{names}: hindsight's hybrid beats both pure options in {len(able)} of {len(won)} cases. Held does in "
          f"{sum(item.held for item in able)} of them, revised in {sum(item.revised for item in able)}, plain in "
          f"{sum(item.plain for item in able)}; held, simulated, in {sum(bool(item.simulated) for item in ran)} of "
          f"{len(ran)}.")  # fmt: skip
    print(_summary([row for _, each in told for row in each]))


def _line(start: str, case: Loaded, *, simulate: bool) -> _Won:
    """Print a case, and return who beat the better pure option."""
    trial = case.trial
    simulated_usd, told = None, " | | "
    if simulate and trial.hybrid_can_win and trial.held_nodes:
        ran, hours = _second_week(case)
        held_usd = case.costs.node_usd_per_hour * trial.held_nodes + case.costs.pool_fixed_usd_per_hour
        simulated_usd = held_usd + case.costs.api_fixed_usd_per_hour + ran.outcome.api_usd / hours
        ttft_s = ran.outcome.pool_ttft.quantile_s(0.95)
        told = f"{simulated_usd * MONTH_HOURS:,.0f} | {ttft_s:.2f} s | {ran.within_fraction:.1%}"
    pure = trial.pure_usd_per_hour
    won = _Won(
        can=trial.hybrid_can_win,
        plain=trial.plain_usd_per_hour < pure,
        held=trial.held_usd_per_hour < pure,
        revised=trial.revised_usd_per_hour < pure,
        simulated=None if simulated_usd is None else simulated_usd < pure,
    )
    verdict = "-" if not won.can else "yes" if won.held and won.simulated is not False else "NO"
    usd = (trial.all_api_usd_per_hour, trial.all_pool_usd_per_hour, trial.held_usd_per_hour)
    bills = " | ".join(f"{item * MONTH_HOURS:,.0f}" for item in (*usd, trial.hindsight_usd_per_hour))
    u_star = case.costs.node_usd_per_hour / case.work.mean_node_hour_usd
    cells = (start, f"{u_star:.2f}", _nodes(trial), bills, _percent(_regrets(trial)), told, verdict)
    print(" | ".join(cells) + " |", flush=True)
    return won


def _case(asked: _Asked, prior: DailyPrior, capacity: float | None) -> tuple[Loaded, float]:
    """Return a case sized on the first week, at the capacity within the SLO, which is simulated on that week once."""
    found = prepare(*_question(asked))
    times = asked.traffic.times
    assert times is not None
    ratio = asked.load_nodes / seen_work(found, times).mean_nodes
    first = _part(times, 0, WEEK_WINDOWS)
    if capacity is None:
        requests = _requests(found, first, ratio)
        capacity = slo_capacity_fraction(_pace(found, requests), requests, _slo())
        print(f"<!-- a node serves {capacity:.0%} of its throughput within the SLO -->")
    found = prepare(*_question(asked), capacity_fraction=capacity)
    work = seen_work(found, times)
    work = work.scaled(asked.load_nodes / work.mean_nodes)
    side = found.likely
    costs = Costs(
        node_usd_per_hour=side.node_usd_per_hour,
        pool_fixed_usd_per_hour=side.pool_fixed_usd_per_hour,
        api_fixed_usd_per_hour=side.api_fixed_usd_per_hour,
        standby_usd_per_hour=side.node_usd_per_hour,
    )
    return Loaded(found, work, costs, judge(work, WEEK_WINDOWS, DAY_WINDOWS, costs, prior)), capacity


def _second_week(case: Loaded) -> tuple[Ran, float]:
    """Simulate the second week with the nodes held; return what came out and the hours it lasted."""
    times = case.found.context.workload.profile.times
    assert times is not None
    ratio = case.work.mean_nodes / seen_work(case.found, times).mean_nodes
    requests = _requests(case.found, _part(times, WEEK_WINDOWS, 2 * WEEK_WINDOWS), ratio)
    ran = run_nodes(_pace(case.found, requests), case.trial.held_nodes, requests, _slo())
    return ran, requests.span_s / 3600


def _pace(found: Sizing, requests: Requests) -> Pace:
    return pace_as_served(found, deployment_of(POOL, found.context.book), found.context.roofline, requests)


def _slo() -> Slo:
    return Slo(ttft_s=SLO_TTFT_S, api=Api(ttft_s=0.6, tpot_s=0.015))


def _question(asked: _Asked) -> tuple[Question, Context]:
    book = load_book()
    prices = find_prices(book, asked.overflow)
    node = deployment_of(POOL, book)
    pool = Pool.model_validate(
        {
            "model": node.model.id,
            "gpu": node.gpu.id,
            "gpus_per_node": node.gpus,
            "usd_per_gpu_hour": str(asked.usd_per_gpu_hour),
        }
    )
    context = Context(
        book=book.with_prices([prices]),
        workload=Workload(profile=asked.traffic),
        roofline=load_roofline(),
        scenario=Scenario(),
        targets=Targets(today=prices.target, others=(), open_models=(node.model.id,), today_model=node.model.id),
        day=PricingDay(on=ON, boundaries_s=(), timed=True),
    )
    return Question(pool=pool, overflow=prices), context


def _requests(found: Sizing, times: TrafficTimes, ratio: float) -> Requests:
    """Return a week's requests at so many times their number, made up from its windows."""
    counted, kept = counted_windows(times, ratio, most_requests=MOST_REQUESTS)
    swing = fit_swing(np.array([window.moments.requests for window in times.windows]))
    tokens = token_ratios(found.context, found.candidates[0].option.model, dict(found.context.likely()))
    return Requests(
        arrivals=lambda: synthesise(counted, Burst(swing_fraction=swing), around_means, np.random.default_rng(1)),
        span_s=len(kept) * times.window_s,
        work=seen_work(found, times).at_windows(kept).scaled(ratio),
        each_node_seconds=node_seconds_each(found, tokens),
        price=found.price,
        tokens=tokens,
    )


def _part(times: TrafficTimes, first: int, last: int) -> TrafficTimes:
    """Return some windows of a trace as a trace."""
    windows = tuple(
        replace(window, index=window.index - first) for window in times.windows if first <= window.index < last
    )
    return replace(times, windows=windows, window_count=last - first, span_s=(last - first) * times.window_s)


def _requests_as_work(traffic: TrafficProfile) -> Work:
    times = traffic.times
    assert times is not None
    busy = np.zeros(times.window_count)
    for window in times.windows:
        busy[window.index] = window.moments.requests
    return Work(
        busy_nodes=busy * (MEAN_NODES / busy.mean()),
        node_hour_usd=np.ones(len(busy)),
        hour_of_week=np.arange(len(busy)) // 6 % 168,
    )


def _head(names: str) -> str:
    columns = names.split(", ")
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def _percent(row: Sequence[float]) -> str:
    return " | ".join(f"{item:.1%}" for item in row)


def _summary(rows: Sequence[Sequence[float]]) -> str:
    means, worst = np.mean(rows, axis=0), np.max(rows, axis=0)
    names = ("plain", "held", "revised nightly")
    told = ", ".join(f"{name} {mean:.1%} ({most:.1%})" for name, mean, most in zip(names, means, worst, strict=True))
    return f"regret, mean (worst): {told}"


def _regrets(trial: Trial) -> tuple[float, ...]:
    bills: Sequence[float] = (trial.plain_usd_per_hour, trial.held_usd_per_hour, trial.revised_usd_per_hour)
    return tuple(trial.regret_fraction(usd) for usd in bills)


def _nodes(trial: Trial) -> str:
    revised = f"{min(trial.revised_nodes)}-{max(trial.revised_nodes)}"
    return f"{trial.plain_nodes}, {trial.held_nodes}, {revised}, {trial.hindsight_nodes}"


if __name__ == "__main__":
    main()
