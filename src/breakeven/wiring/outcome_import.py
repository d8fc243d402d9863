"""Brings scores of other programs into the ledger as outcomes: whose request each is about is looked up here."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.errors import InputError, Problem
from breakeven.ledger.frames import MAX_EPISODE_BYTES, cut_text
from breakeven.ledger.ids import ATTEMPTS, received_ms, request_id
from breakeven.ledger.outcome_standing import all_attempt_ids, known
from breakeven.ledger.outcomes import (
    BUSY_S,
    CODE,
    HUMAN,
    JUDGE,
    USER,
    Outcome,
    default_name,
    keep_outcomes,
    own_id,
)
from breakeven.ledger.store import connect, trouble_of
from breakeven.wiring.limits import GATEWAY_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from breakeven.ledger.outcome_standing import Known
    from breakeven.sources.scores.score import Score
    from breakeven.wiring.ledger import LedgerPlace

FORMATS: Final = {"langfuse": USER, "tensorzero": USER, "otel": JUDGE}
"""Formats, each with who is taken to have said what does not say it."""

SOURCES: Final = (USER, CODE, JUDGE, HUMAN)
BATCH_SCORES: Final = 50_000
MAX_PROBLEMS: Final = 20
EARLIEST_US: Final = 946_684_800_000_000
AHEAD_US: Final = 86_400_000_000
_RULE: Final = re.compile(r"(?P<name>.+?)(?P<sign>>=|<=|=)(?P<bound>[^<>=]+)")
_HEX: Final = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")


class SuccessRule(NamedTuple):
    """Which scores of a name are successes."""

    name: str
    sign: str
    bound: str

    def holds(self, score: Score) -> bool | None:
        """Return whether a score is a success; None where the rule says nothing of it."""
        if score.name != self.name:
            return None
        if self.sign == "=":
            said = score.label or ("" if score.score is None else f"{score.score:g}")
            return said.casefold() == self.bound.strip().casefold() if said else None
        if score.score is None:
            return None
        return score.score >= float(self.bound) if self.sign == ">=" else score.score <= float(self.bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """How a file is read."""

    format: str
    source: str = ""
    """Who said what does not say it; empty: as the format has it."""

    rules: tuple[SuccessRule, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedOutcomes:
    """What became of a file."""

    read_count: int
    added_count: int
    replaced_count: int
    """Said before under the same id: the newer word counts."""

    of_request_count: int
    of_episode_count: int
    unmatched_count: int
    """Of nothing that the ledger has; kept all the same."""

    verdict_count: int
    """Outcomes that say success or not."""

    problem_count: int
    problems: tuple[Problem, ...]
    """The first of them."""


def rule_of(text: str) -> SuccessRule:
    """Return what ``NAME>=NUMBER``, ``NAME<=NUMBER`` or ``NAME=LABEL`` says.  Raises ``InputError``."""
    found = _RULE.fullmatch(text)
    if found is None:
        raise InputError(f"--success {text!r}: write NAME>=NUMBER, NAME<=NUMBER or NAME=LABEL, such as 'helpful>=0.5'.")
    rule = SuccessRule(found["name"].strip(), found["sign"], found["bound"])
    if rule.sign != "=":
        try:
            float(rule.bound)
        except ValueError as error:
            raise InputError(f"--success {text!r}: {rule.bound!r} is no number.") from error
    return rule


def import_outcomes(place: LedgerPlace, path: Path, plan: ImportPlan, now_s: float) -> ImportedOutcomes:
    """Bring the scores of a file into a ledger that exists.

    Raises ``InputError`` for a file or a store that cannot be used, and for a file without any score.
    """
    if plan.format not in FORMATS:
        raise InputError(f"--from {plan.format}: known are {', '.join(FORMATS)}.")
    if plan.source and plan.source not in SOURCES:
        raise InputError(f"--source {plan.source}: one of {', '.join(SOURCES)}.")
    read: Callable[[Path], Iterator[Score | Problem]] = import_module(f"breakeven.sources.scores.{plan.format}").read
    try:
        with closing(connect(place.store, read_only=True, busy_s=BUSY_S)) as connection:
            done = _Import(place, connection, plan, int(now_s * 1_000_000)).take(read(path))
    except sqlite3.Error as error:
        raise InputError(trouble_of(place.store, error)) from error
    if not done.read_count:
        told = f" {done.problems[0]}" if done.problems else ""
        raise InputError(f"{path} holds no scores that can be read as {plan.format}.{told}", done.problems[1:])
    return done


class _Import:
    """One file on its way into one store."""

    def __init__(self, place: LedgerPlace, connection: sqlite3.Connection, plan: ImportPlan, now_us: int) -> None:
        self._place = place
        self._connection = connection
        self._plan = plan
        self._now_us = now_us
        self._source = plan.source or FORMATS[plan.format]
        self._counts = dict.fromkeys(("read", "added", "of_request", "of_episode", "unmatched", "verdict"), 0)

    def take(self, found: Iterator[Score | Problem]) -> ImportedOutcomes:
        problems: list[Problem] = []
        problem_count = 0
        while batch := list(islice(found, BATCH_SCORES)):
            scores = []
            for item in batch:
                if not isinstance(item, Problem):
                    scores.append(item)
                    continue
                problem_count += 1
                problems += [item] if len(problems) < MAX_PROBLEMS else []
            self._keep(scores)
        counts = self._counts
        return ImportedOutcomes(
            read_count=counts["read"],
            added_count=counts["added"],
            replaced_count=0 if self._plan.dry_run else counts["read"] - counts["added"],
            of_request_count=counts["of_request"],
            of_episode_count=counts["of_episode"],
            unmatched_count=counts["unmatched"],
            verdict_count=counts["verdict"],
            problem_count=problem_count,
            problems=tuple(problems),
        )

    def _keep(self, scores: Sequence[Score]) -> None:
        """Match and write scores; of two under one id the newer one."""
        names = {text for score in scores for text in score.of}
        numbers = {number for text in names if (number := self._number(text)) is not None}
        found = known(self._connection, self._place.store, numbers, map(_as_episode, names))
        spans = self._spans({text for text in names if _HEX.fullmatch(text) and self._matched(text, found) is None})
        outcomes: dict[str, Outcome] = {}
        for score in scores:
            outcome, how = self._outcome(score, found, spans)
            before = outcomes.get(outcome.id)
            self._counts[how] += 1
            self._counts["read"] += 1
            self._counts["verdict"] += outcome.success is not None
            if before is None or before.received_us <= outcome.received_us:
                outcomes[outcome.id] = outcome
        if not self._plan.dry_run:
            self._counts["added"] += keep_outcomes(self._place.store, outcomes.values())

    def _outcome(self, score: Score, found: Known, spans: dict[str, int]) -> tuple[Outcome, str]:
        number, episode, how = self._subject(score, found, spans)
        success = score.success
        for rule in self._plan.rules:
            success = rule.holds(score) if success is None else success
        comment = score.comment
        if score.label and success is None:
            comment = f"{score.label}: {comment}" if comment else score.label
        verdict = success is not None or score.score is not None
        at_us = score.at_us if score.at_us and EARLIEST_US <= score.at_us <= self._now_us + AHEAD_US else None
        name = score.name[:128] or default_name(verdict=verdict, minutes=False, demonstration=bool(score.demonstration))
        source = score.source or self._source
        given = score.id[:200] or _hash("\0".join((*score.of, name, source)))
        outcome = Outcome(
            id=own_id("", f"{self._plan.format}:{given}"),
            key="",
            request_id=number,
            episode=episode,
            name=name,
            source=source,
            success=success,
            score=score.score,
            comment=comment[:4096],
            demonstration=score.demonstration[:32_768],
            at_us=at_us or self._now_us,
            received_us=at_us or self._now_us,  # so that an older export does not undo a newer one
            origin=self._plan.format,
        )
        return outcome, how

    def _subject(self, score: Score, found: Known, spans: dict[str, int]) -> tuple[int | None, str, str]:
        """Return the request or the episode that a score is about, the nearest that is known, and how it was found."""
        for text in score.of:
            matched = self._matched(text, found)
            if isinstance(matched, int):
                return matched, "", "of_request"
            if matched is not None:
                return None, matched, "of_episode"
            if text in spans:
                return spans[text], "", "of_request"
        for text in score.of:  # of a request that is not in the store yet, perhaps
            if (number := self._number(text)) is not None:
                return number, "", "unmatched"
        return None, _as_episode(score.of[0]), "unmatched"

    def _matched(self, text: str, found: Known) -> int | str | None:
        number = self._number(text)
        if number is not None and number in found.requests:
            return number
        episode = _as_episode(text)
        return episode if episode in found.episodes else None

    def _number(self, text: str) -> int | None:
        """Return the request that an id of ours names; None for other ids."""
        try:
            number = request_id(text)
        except ValueError:
            return None
        return number if received_ms(number) * 1000 <= self._now_us + AHEAD_US else None

    def _spans(self, wanted: set[str]) -> dict[str, int]:
        """Return the requests of traces and spans that this gateway told others of, by their ids."""
        from breakeven.telemetry.span_ids import span_id, trace_id

        path = self._place.spool.parent / GATEWAY_ID
        if not wanted or not path.is_file():
            return {}
        instance = path.read_text(encoding="ascii").encode()
        found: dict[str, int] = {}
        for number in all_attempt_ids(self._connection, self._place.store):
            for text in (trace_id(instance, number).hex(), span_id(instance, number).hex()):
                if text in wanted:
                    found[text] = number - number % ATTEMPTS
        return found


def _as_episode(text: str) -> str:
    return cut_text(text, MAX_EPISODE_BYTES).decode()


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
