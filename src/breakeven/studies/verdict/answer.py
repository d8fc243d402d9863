"""The answer in plain words: what to do, what it rests on, what would change it, what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.economics.outcomes import paying_quality_loss_fraction
from breakeven.studies.verdict.result import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.economics.breakeven import BreakEven
    from breakeven.quantities import Interval
    from breakeven.studies.verdict.context import Context
    from breakeven.studies.verdict.result import CrossingResult, OptionResult, Outlook, TurningPoint

POOL_KINDS: Final = ("self-hosted", "owned", "serverless", "hybrid")
SHOWN_DRIVERS: Final = 3
SHOWN_TURNS: Final = 5
WORTH_A_CHANGE_FRACTION: Final = 0.02
"""A smaller gain over today is noise beside any interval here: the advice is then to stay."""


def answer(
    options: Sequence[OptionResult], context: Context, turns: Sequence[TurningPoint], outlook: Outlook
) -> Answer:
    """Return the verdict in words for ranked options."""
    today = next(item for item in options if item.kind == "today")
    allowed = [item for item in options if may_be_recommended(item)]
    pools = [item for item in options if item.kind in POOL_KINDS and not item.excluded_by]
    volume = float(context.workload.month(context.likely()).volume_mtok)
    if not allowed:
        return _nothing_allowed(options, today)
    best = allowed[0]
    if may_be_recommended(today) and _gain_fraction(today, best) < WORTH_A_CHANGE_FRACTION:
        best = today
    sentences = [
        _opening(today, best, volume),
        _division(best),
        _confidence(today, best, outlook),
        _premium(options, best),
        _self_hosting(pools, today, best, volume),
        _if_good_enough(options, best),
    ]
    return Answer(
        recommended=best.id,
        paragraph=" ".join(text for text in sentences if text),
        would_change=tuple(_would_change(best, pools, turns, volume)),
        next_step=_next_step(best, today, options),
    )


def may_be_recommended(item: OptionResult) -> bool:
    """Whether nothing stands before cost: no constraint excludes it, its quality has evidence, its bill is whole."""
    return not item.excluded_by and not item.partial and item.quality.standing != "no evidence"


def _breaks_even(result: BreakEven) -> str:
    return "never breaks even" if result.never else f"breaks even {break_even_text(result)}"


def _gain_fraction(today: OptionResult, best: OptionResult) -> float:
    before_usd = today.ranking_usd
    return 1 - best.ranking_usd / before_usd if before_usd else 0.0


def usd(value: float) -> str:
    """Format dollars for a sentence: cents only where they matter."""
    return f"{value:,.0f} USD" if abs(value) >= 100 else f"{value:,.2f} USD"


def success_usd(value: float) -> str:
    """Format what one success costs: three digits that count, however little it is."""
    return usd(value) if value >= 1 or not value else f"{value:.3g} USD"


def volume_text(mtok: float) -> str:
    """Format millions of tokens a month in the unit a person would use."""
    if mtok >= 1e9:
        return f"{mtok / 1e6:,.0f}T"
    if mtok >= 1e6:
        return f"{mtok / 1e6:,.3g}T"
    if mtok < 1:
        return f"{mtok * 1e6:,.0f}"
    return f"{mtok / 1000:,.3g}B" if mtok >= 1000 else f"{mtok:,.3g}M"


def break_even_text(result: BreakEven) -> str:
    """Return the set of volumes at which a pool is cheaper, in words."""
    if result.never:
        return "never"
    assert result.first_mtok is not None
    plural = "" if result.first_nodes == 1 else "s"
    first = f"{volume_text(result.first_mtok)} tokens a month ({result.first_nodes} node{plural})"
    if result.stable_mtok is None:
        return f"from {first} on {result.island_count} island(s), and never for good"
    if result.island_count == 0:
        return f"from {first}"
    return f"first at {first}, for good from {volume_text(result.stable_mtok)}"


def _opening(today: OptionResult, best: OptionResult, volume: float) -> str:
    base = (
        f"At {volume_text(volume)} tokens a month, {today.title} costs {usd(today.usd_per_mtok.likely)} per million "
        f"tokens fully loaded: {usd(today.usd_per_month.likely)} a month ({_range(today.usd_per_month)})"
    )
    if today.excluded_by:
        return f"{base}, but it is excluded: {today.excluded_by[0]}. The best option left is {_named(best)}."
    if today.success is not None:
        base += f", and {_success(today)}"
    what = "cheaper" if today.success is None else "cheaper per success"
    if best.id == today.id:
        return f"{base}. Nothing that may be recommended is {what} by {WORTH_A_CHANGE_FRACTION:.0%} or more: stay."
    saved = today.usd_per_month.likely - best.usd_per_month.likely
    less = f"{usd(saved)} less" if saved >= 0 or best.success is None else f"{usd(-saved)} more"
    if best.success is not None:
        return f"{base}. Per success the cheapest that may be recommended is {_named(best)}, {less}; {_success(best)}."
    return f"{base}. The cheapest option that may be recommended is {_named(best)}, {less}."


def _success(item: OptionResult) -> str:
    """Say what a success costs, and how often there is one."""
    assert item.success is not None
    known, share = item.success, item.success.fraction
    count = f" of {known.known_count:,} known" if known.known_count else f": {known.basis}"
    return f"{success_usd(known.usd_per_success.likely)} a success ({share.likely:.1%}{count})"


def _named(item: OptionResult) -> str:
    return f"{item.title} at {usd(item.usd_per_month.likely)} a month ({_range(item.usd_per_month)})"


def _division(best: OptionResult) -> str:
    """Say what a hybrid holds, and what it leaves to an API."""
    parts, nodes = best.overflow, best.nodes
    if parts is None or nodes is None:
        return ""
    held, left = parts.held_nodes, parts.overflow_fraction
    count = f"{nodes.serving_nodes} node{'' if nodes.serving_nodes == 1 else 's'} ({held.low:.0f} to {held.high:.0f})"
    share = f"{left.likely:.1%} ({left.low:.1%} to {left.high:.1%})"
    return (
        f"It holds {count} for the base of the load and buys the other {share} of the work from {parts.target}; "
        f"a node pays that is busy {parts.paying_fraction.likely:.0%} of its time."
    )


def _confidence(today: OptionResult, best: OptionResult, outlook: Outlook) -> str:
    """Say how often it is the cheapest over the draws, and where the move does not pay."""
    if best.id == today.id or today.excluded_by:
        return ""
    share = dict(outlook.win_fractions).get(best.id, 0.0)
    text = f"It is the cheapest that may be recommended in {share:.0%} of {outlook.draw_count:,} draws."
    course = next((item for item in outlook.projections if item.option == best.id), None)
    if course and course.saved_npv_usd and course.saved_npv_usd.likely < 0:
        months = len(course.usd_per_month)
        text += f" But the move itself does not pay back within {months} months in most of them: think of staying."
    return text


def _premium(options: Sequence[OptionResult], best: OptionResult) -> str:
    """Say what the constraints cost: the best option left over the cheapest one that they exclude."""
    excluded = [item for item in options if item.excluded_by and item.quality.standing != "no evidence"]
    cheaper = [item for item in excluded if item.usd_per_month.likely < best.usd_per_month.likely]
    if not cheaper:
        return ""
    first = min(cheaper, key=lambda item: item.usd_per_month.likely)
    premium_usd = best.usd_per_month.likely - first.usd_per_month.likely
    return f"The constraints cost {usd(premium_usd)} a month over {first.title}, which they exclude."


def _self_hosting(pools: Sequence[OptionResult], today: OptionResult, best: OptionResult, volume: float) -> str:
    unmixed = [item for item in pools if item.break_even and item.overflow is None]
    own = [item for item in unmixed if item.quality.standing != "no evidence"] or unmixed
    if not own or best.kind in POOL_KINDS:
        return ""
    pool = min(own, key=lambda item: item.usd_per_month.likely)
    against = pool.break_even[0]
    doubt = (
        "" if pool.quality.standing != "no evidence" else ", if that model is good enough (there is no evidence yet),"
    )
    text = (
        f"Nodes of your own{doubt} would cost {usd(pool.usd_per_month.likely)} a month at the least "
        f"({pool.title}); against today's API it {_breaks_even(against.likely)}"
    )
    first = against.likely.first_mtok
    if first and first > volume and pool.usd_per_month.likely > today.usd_per_month.likely:
        times = f"{first / volume:,.1f}" if first < 1000 * volume else "over a thousand"
        text += f", {times} times this volume"
    text += _doubt_about(against)
    optimised = next((c.likely for c in pool.break_even if c.against.startswith("today-optimised:")), None)
    if optimised is not None:
        text += f"; against the same used better it {_breaks_even(optimised)}"
    return text + "." + _same_model_on_api(pool)


def _doubt_about(crossing: CrossingResult) -> str:
    """Say where the draws put a first crossing, and how often they see none."""
    if crossing.low_mtok is None:
        return f" ({crossing.never_fraction:.0%} of the draws see none)" if not crossing.likely.never else ""
    end = volume_text(crossing.high_mtok) if crossing.high_mtok is not None else "never"
    return f" (80 % of the draws: {volume_text(crossing.low_mtok)} to {end})"


def _same_model_on_api(pool: OptionResult) -> str:
    other = next((crossing for crossing in pool.break_even if crossing.against.startswith("open-api:")), None)
    if other is None:
        return ""
    seller = other.against.removeprefix("open-api:")
    return f" Against {pool.model} by the token ({seller}) it {_breaks_even(other.likely)}."


def _if_good_enough(options: Sequence[OptionResult], best: OptionResult) -> str:
    cheaper = [
        item
        for item in options
        if item.quality.standing == "no evidence"
        and not item.excluded_by
        and item.usd_per_month.likely < best.usd_per_month.likely
        and (item.success is None or item.success.basis == "as today's")
    ]
    if not cheaper:
        return ""
    first = min(cheaper, key=lambda item: item.usd_per_month.likely)
    loss = paying_quality_loss_fraction(first.usd_per_month.likely, today_usd=best.usd_per_month.likely)
    over = "today" if best.kind == "today" else "the recommended"
    return (
        f"Cheaper if good enough: {first.title} at {usd(first.usd_per_month.likely)} a month; repeating failed answers "
        f"eats the gain over {over} when {loss:.0%} of them fail, and nothing shows yet how many do."
    )


def _would_change(
    best: OptionResult, pools: Sequence[OptionResult], turns: Sequence[TurningPoint], volume: float
) -> list[str]:
    """Say which assumptions turn the ranking; where none does, which move the winner's bill most."""
    found = [
        f"{turn.key} at {turn.value:,.4g} instead of {turn.likely:,.4g}: {turn.winner_title} would be cheapest, at "
        f"{usd(turn.usd_per_month)} a month."
        for turn in turns[:SHOWN_TURNS]
    ]
    if not turns:
        found.append(
            "No single assumption, at either end of its interval, makes another option the cheapest. What moves "
            "the bill of the recommended one most:"
        )
        for swing in best.swings[:SHOWN_DRIVERS]:
            low, high = sorted((swing.low_usd_per_month, swing.high_usd_per_month))
            found.append(f"{swing.key}: between {usd(low)} and {usd(high)} a month.")
    elif len(turns) > SHOWN_TURNS:
        found.append(f"{len(turns) - SHOWN_TURNS} more single changes turn it (--json lists them).")
    crossings = [
        (crossing.likely.first_mtok, item, crossing)
        for item in pools
        for crossing in item.break_even
        if crossing.against == best.id and (crossing.likely.first_mtok or 0) > volume
    ]
    if crossings:
        _, item, crossing = min(crossings, key=lambda entry: entry[0] or 0)
        found.append(f"Volume: {item.title} becomes cheaper than that {break_even_text(crossing.likely)}.")
    return found


def _next_step(best: OptionResult, today: OptionResult, options: Sequence[OptionResult]) -> str:
    if best.kind in POOL_KINDS:
        behind = f", behind a gateway that sends what it cannot take to {best.overflow.target}" if best.overflow else ""
        assert best.nodes is not None
        return (
            f"Rent one node ({best.nodes.gpus_per_node}x {best.nodes.gpu}){behind}, measure its throughput at your "
            "lengths, put the figure under pools: in a scenario, and run the plan again before moving traffic."
        )
    if best.kind == "today-optimised":
        return (
            "Turn on prompt caching and move what can wait to the batch price; then run the plan again: it is the "
            "cheapest change and it lowers the bar for everything else."
        )
    if best.id == today.id:
        unproven = [item for item in options if item.quality.standing == "no evidence" and not item.excluded_by]
        cheaper = [item for item in unproven if item.usd_per_month.likely < best.usd_per_month.likely]
        if cheaper:
            candidate = min(cheaper, key=lambda item: item.usd_per_month.likely).model
            return f"Label 100 to 200 answers of {candidate} on your own tasks; it is cheaper if it is good enough."
        return "Keep the API, and run the plan again when volume doubles or a price changes."
    return (
        f"Send a sample of your traffic to {best.title} beside today's model, compare 100 to 200 answers, then move by "
        "steps: public scores are not your tasks."
    )


def _nothing_allowed(options: Sequence[OptionResult], today: OptionResult) -> Answer:
    unproven = [item for item in options if not item.excluded_by]
    if unproven:
        first = min(unproven, key=lambda item: item.usd_per_month.likely)
        why = (
            f"what no constraint excludes lacks evidence of quality. The cheapest of it is {first.title} at "
            f"{usd(first.usd_per_month.likely)} a month ({first.quality.reason})"
        )
    else:
        first = min(options, key=lambda item: (len(item.excluded_by), item.usd_per_month.likely))
        why = f"every one is excluded. The nearest is {first.title}, which {' and '.join(first.excluded_by)}"
    return Answer(
        recommended="",
        paragraph=(
            f"No option may be recommended: {why}. Today's {today.title} costs "
            f"{usd(today.usd_per_month.likely)} a month."
        ),
        would_change=("Loosen a constraint, or add evidence of quality, in the scenario.",),
        next_step="Add a pool that meets the constraints (pools:) or evidence (quality:) and run the plan again.",
    )


def _range(interval: Interval) -> str:
    return f"{interval.low:,.0f} to {interval.high:,.0f}"
