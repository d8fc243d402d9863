"""The comparison: pairs in, for each candidate and task what is known of it out.

Failures count: a candidate that gives no answer has the score 0 in what decides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from breakeven.evidence.betting import begin, e_bh, pairs_needed
from breakeven.evidence.judge import corrected_mean
from breakeven.evidence.paired import mean_difference, ratio_of_means
from breakeven.evidence.words import needed_words, pairs_words
from breakeven.ledger.pairs import CHECK, EXACT, FIELDS, HUMAN, JSON_EQUAL, JUDGE, NORMAL, SERVED
from breakeven.studies.shadow.result import CheckFound, Comparison, Judged, Measured, ShadowReport, Standing, Tested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from breakeven.evidence.betting import Betting
    from breakeven.ledger.pairs import PairCheck, Side
    from breakeven.studies.shadow.records import Compared, SideCost, Terms

DECIDING: Final = (JUDGE, CHECK, FIELDS, JSON_EQUAL, NORMAL, EXACT, "schema_valid", "tool_call_parsed", SERVED)
"""Checks by how much they say of an answer's worth: the first that judged most pairs decides, if none is asked for."""

RELATIVE: Final = (FIELDS, JSON_EQUAL, NORMAL, EXACT)
"""Checks that ask whether the candidate says what the incumbent said: a difference of theirs need not be a fault."""

LEAST_SHARE_FRACTION: Final = 0.5
"""Of the pairs that both answered, that a check must have judged to decide without being asked for."""


def compare(pairs: Iterable[Compared], terms: Terms) -> ShadowReport:
    """Compare every candidate with its incumbent, on all tasks together and task by task."""
    groups: dict[tuple[str, str, str], list[Compared]] = defaultdict(list)
    for item in pairs:
        groups[item.pair.model, item.pair.incumbent, item.pair.candidate].append(item)
    found: list[Comparison] = []
    for _, members in sorted(groups.items()):
        found += _comparisons(members, terms)
    return ShadowReport(comparisons=tuple(found), notes=())


def whole(members: Sequence[Compared], terms: Terms) -> Comparison:
    """Compare one candidate with one incumbent on all their pairs together; there is at least one."""
    return _comparison(members, None, _deciding(members, terms.check), _versions(members), terms)


def _comparisons(members: Sequence[Compared], terms: Terms) -> list[Comparison]:
    """Return one candidate's: all tasks together, then each where there are several."""
    check, versions = _deciding(members, terms.check), _versions(members)
    tasks: dict[str, list[Compared]] = defaultdict(list)
    for item in members:
        tasks[item.pair.task].append(item)
    whole = _comparison(members, None if len(tasks) > 1 else next(iter(tasks)), check, versions, terms)
    if len(tasks) == 1:
        return [whole]
    by_size = sorted(tasks.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    found = [_comparison(part, task, check, versions, terms) for task, part in by_size]
    return [whole, *_among(found, terms.alpha_fraction)]


def _among(found: Sequence[Comparison], alpha_fraction: float) -> list[Comparison]:
    """Say of each task whether it still holds when all of them are tested at once."""
    tested = [item.tested for item in found if item.tested]
    holds = iter(e_bh([item.e_value_ratio for item in tested], alpha_fraction=alpha_fraction))
    return [
        replace(item, tested=replace(item.tested, among_tasks=next(holds))) if item.tested else item for item in found
    ]


def _comparison(
    members: Sequence[Compared], task: str | None, check: str, versions: Mapping[str, str], terms: Terms
) -> Comparison:
    pairs = [item.pair for item in members]
    failures = Counter(pair.of_candidate.failure for pair in pairs if pair.of_candidate.failure)
    checks = tuple(_check(members, name, version) for name, version in versions.items())
    return Comparison(
        model=pairs[0].model,
        incumbent=pairs[0].incumbent,
        candidate=pairs[0].candidate,
        task=task,
        pairs_count=len(pairs),
        origins=tuple(sorted(Counter(pair.origin for pair in pairs).items())),
        first_at_us=min(pair.at_us for pair in pairs),
        last_at_us=max(pair.at_us for pair in pairs),
        incumbent_failures_count=sum(bool(pair.of_incumbent.failure) for pair in pairs),
        candidate_failures_count=failures.total(),
        failures=tuple(failures.most_common()),
        checks=tuple(item for item in checks if item.pairs_count),
        measured=tuple(_measured(members)),
        tested=_tested(members, check, versions, terms),
        judged=_judged(members, versions),
    )


def _deciding(members: Sequence[Compared], wanted: str) -> str:
    """Return the check that decides: the one asked for, else the best that judged most pairs; empty for none."""
    counts = Counter(check.name for item in members for check in item.checks)
    if wanted:
        return wanted if counts[wanted] else ""
    both = sum(not (item.pair.of_incumbent.failure or item.pair.of_candidate.failure) for item in members)
    return next((name for name in DECIDING if counts[name] and counts[name] >= LEAST_SHARE_FRACTION * both), "")


def _versions(members: Sequence[Compared]) -> dict[str, str]:
    """Return the latest version of each check: what earlier ones said is another measure, and is left out."""
    latest: dict[str, PairCheck] = {}
    for check in (check for item in members for check in item.checks):
        known = latest.get(check.name)
        if known is None or (check.at_us, check.version) > (known.at_us, known.version):
            latest[check.name] = check
    order = {name: place for place, name in enumerate((HUMAN, *DECIDING))}
    names = sorted(latest, key=lambda name: (order.get(name, len(order)), name))
    return {name: latest[name].version for name in names}


def _of(item: Compared, name: str, version: str) -> PairCheck | None:
    return next((check for check in item.checks if check.name == name and check.version == version), None)


def _check(members: Sequence[Compared], name: str, version: str) -> CheckFound:
    found = [check for item in members if (check := _of(item, name, version)) is not None]
    older = sum(check.name == name and check.version != version for item in members for check in item.checks)
    incumbent, candidate = [c.incumbent_score for c in found], [c.candidate_score for c in found]
    count = len(found)
    return CheckFound(
        name=name,
        version=version,
        pairs_count=count,
        incumbent_score=sum(incumbent) / count if count else 0.0,
        candidate_score=sum(candidate) / count if count else 0.0,
        difference_score=mean_difference(candidate, incumbent),
        differing_count=sum(bool(check.difference) for check in found),
        older_count=older,
    )


def _differences(members: Sequence[Compared], check: str, version: str) -> list[tuple[int, int, float]]:
    """Return the difference of each pair with when it was known, failures as 0 on the side that failed."""
    found = []
    for item in members:
        pair, said = item.pair, _of(item, check, version)
        if said is not None:
            found.append((said.at_us, pair.request_id, said.difference))
        elif bool(pair.of_candidate.failure) != bool(pair.of_incumbent.failure):
            found.append((pair.at_us, pair.request_id, -1.0 if pair.of_candidate.failure else 1.0))
    return sorted(found)


def _tested(members: Sequence[Compared], check: str, versions: Mapping[str, str], terms: Terms) -> Tested | None:
    if not check:
        return None
    differences = [value for _, _, value in _differences(members, check, versions[check])]
    if not differences:
        return None
    betting = begin(margin_fraction=terms.margin_fraction, alpha_fraction=terms.alpha_fraction).after(differences)
    mean, standing = betting.mean, _standing(betting, check)
    more = needed_words(betting) if standing == "not known yet" else ""
    return Tested(
        check=check,
        margin_fraction=terms.margin_fraction,
        alpha_fraction=terms.alpha_fraction,
        pairs_count=betting.pairs_count,
        differing_fraction=betting.differing_fraction,
        mean_score=mean.mean_score,
        low_score=mean.low_score,
        high_score=mean.high_score,
        e_value_ratio=betting.promote.e_value,
        peak_e_value_ratio=betting.promote.peak_e_value,
        reverse_e_value_ratio=betting.reverse.peak_e_value,
        standing=standing,
        among_tasks=betting.is_as_good,
        needed=pairs_needed(betting),
        said=f"{pairs_words(betting)} {more}".strip(),
    )


def _standing(betting: Betting, check: str) -> Standing:
    if betting.is_worse:  # what speaks against it goes first where the two times differ
        return "differs" if check in RELATIVE else "worse"
    return "as good" if betting.is_as_good else "not known yet"


def _judged(members: Sequence[Compared], versions: Mapping[str, str]) -> Judged | None:
    """Set the judge beside people where both judged, and correct its finding."""
    if JUDGE not in versions or HUMAN not in versions:
        return None
    alone: list[float] = []
    both: list[tuple[float, float]] = []
    for item in members:
        judge, people = (_of(item, name, versions[name]) for name in (JUDGE, HUMAN))
        if judge is not None and people is not None:
            both.append((judge.difference, people.difference))
        elif judge is not None:
            alone.append(judge.difference)
    if not both:
        return None
    agree = sum(_side(judge) == _side(people) for judge, people in both)
    return Judged(labels_count=len(both), agree_fraction=agree / len(both), corrected_score=corrected_mean(alone, both))


def _side(difference: float) -> int:
    return (difference > 0) - (difference < 0)


def _measured(members: Sequence[Compared]) -> Iterable[Measured]:
    """Yield each quantity that both sides of at least one pair have."""
    for name, unit, value in _QUANTITIES:
        rows = [
            (ours, theirs)
            for item in members
            if (ours := value(item.pair.of_candidate, item.of_candidate)) is not None
            and (theirs := value(item.pair.of_incumbent, item.of_incumbent)) is not None
        ]
        if not rows:
            continue
        candidate, incumbent = [ours for ours, _ in rows], [theirs for _, theirs in rows]
        yield Measured(
            name=name,
            unit=unit,
            pairs_count=len(rows),
            incumbent_value=sum(incumbent) / len(rows),
            candidate_value=sum(candidate) / len(rows),
            difference_value=mean_difference(candidate, incumbent),
            ratio=ratio_of_means(candidate, incumbent),
        )


def _seconds(us: int | None) -> float | None:
    return None if us is None else us / 1e6


_QUANTITIES: Final[tuple[tuple[str, str, Callable[[Side, SideCost], float | None]], ...]] = (
    ("price", "USD", lambda _, cost: cost.price_usd),
    ("fully loaded", "USD", lambda _, cost: cost.loaded_usd),
    ("first byte", "s", lambda side, _: _seconds(side.first_byte_us)),
    ("whole answer", "s", lambda side, _: None if side.failure else _seconds(side.ended_us)),
    ("input", "tokens", lambda side, _: side.input_tokens),
    ("output", "tokens", lambda side, _: side.output_tokens),
    ("text", "characters", lambda side, _: side.characters),
)
