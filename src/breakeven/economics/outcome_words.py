"""Which of several words on one answer counts: people before programs, and a judging model last.

Words may be late, repeated and of different opinion.  Here is decided what they say together; where nothing says
anything, the answer is unknown, and stays so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

SaidBy = Literal["human", "explicit", "check", "judge", "nobody"]
"""Whose word counted: a person who looked, the user's or the program's own, a failed check, a model; or nobody's."""

PLAIN_NAMES: Final = frozenset({"outcome"})
"""Names of words that say whether the job was done; other names speak of one trait of an answer."""

HUMAN, USER, CODE, JUDGE = "human", "user", "code", "judge"


class Word(NamedTuple):
    """What was said, once, of a subject or of one of its requests."""

    name: str
    source: str
    """``human``, ``user``, ``code`` or ``judge``."""

    success: bool | None
    score: float | None
    is_signal: bool
    """Whether the gateway noticed it by itself."""

    request_id: int
    """Of the request spoken of; one above all others for the whole subject."""

    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRules:
    """How words are read."""

    names: frozenset[str] = PLAIN_NAMES
    """Under which a user's or a program's word says whether the job was done."""

    least_score: float | None = None
    """From which on a word that brings a score and no verdict is a success; None: such words say nothing."""


class Judgement(NamedTuple):
    """What the words say together."""

    success: bool | None
    """None: unknown."""

    said_by: SaidBy


UNKNOWN: Final = Judgement(None, "nobody")
WHOLE: Final = 1 << 63
"""``Word.request_id`` of a word on the whole subject: it goes before those on single requests."""


def judged(words: Iterable[Word], last_request_id: int, rules: WordRules | None = None) -> Judgement:
    """Return what words on one subject say together.

    A person who looked goes before everything; then what the user or the program said of the job itself; then a check
    that failed, on the whole or on the last request, since a later request may have mended an earlier one; then a
    judging model.  A check that was passed is no success: it says that one thing was not wrong.  Among equals a word on
    the whole subject counts, then one on its latest request, then the newest.
    """
    rules = rules or WordRules()
    ranked: dict[SaidBy, list[tuple[int, int, bool]]] = {}
    for word in words:
        success = success_of(word, rules)
        rank = rank_of(word, rules)
        if success is not None and rank is not None:
            ranked.setdefault(rank, []).append((word.request_id, word.at_us, success))
    for rank in ("human", "explicit"):
        if rank in ranked:
            return Judgement(max(ranked[rank])[2], rank)
    checks = [success for request_id, _, success in ranked.get("check", ()) if request_id >= last_request_id]
    if not all(checks):
        return Judgement(success=False, said_by="check")
    if "judge" in ranked:
        return Judgement(max(ranked["judge"])[2], "judge")
    return UNKNOWN


def success_of(word: Word, rules: WordRules) -> bool | None:
    """Return what one word says: its verdict, else its score against the least one; None where it says neither."""
    if word.success is not None:
        return word.success
    if word.score is None or rules.least_score is None:
        return None
    return word.score >= rules.least_score


def rank_of(word: Word, rules: WordRules) -> SaidBy | None:
    """Return as whose a word counts; None for a user's word on some other trait, which counts as nothing."""
    if word.source == HUMAN and not word.is_signal:
        return "human"
    if word.source == JUDGE:
        return "judge"
    if word.name in rules.names:
        return "explicit"
    return "check" if word.is_signal or word.source == CODE else None
