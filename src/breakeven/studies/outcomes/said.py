"""Outcomes looked up by what they speak of, and what they say of a subject together."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.economics.outcome_words import WHOLE, Word, judged, rank_of
from breakeven.ledger.outcomes import SIGNAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from breakeven.economics.outcome_words import WordRules
    from breakeven.ledger.outcomes import Outcome
    from breakeven.studies.outcomes.subjects import Subject

LEDGER: Final = "ledger"
"""Who says that a subject failed which no target answered."""


class Heard(NamedTuple):
    """What was said of a subject."""

    success: bool | None
    said_by: str
    human_minutes: Decimal


class Outcomes:
    """All outcomes, by what they speak of; counts those that speak of others' requests or of nothing here."""

    __slots__ = ("_by_episode", "_by_request", "_heard", "_others", "_rules", "ignored", "said_count")

    def __init__(self, said: Iterable[Outcome], rules: WordRules) -> None:
        """Take the outcomes, and how words are read."""
        self._by_request: dict[int, list[Outcome]] = {}
        self._by_episode: dict[str, list[Outcome]] = {}
        self._heard: set[str] = set()
        self._others: set[str] = set()
        self._rules = rules
        self.ignored: Counter[str] = Counter()
        """Users' words on one trait of an answer, by name."""

        self.said_count = 0
        for item in said:
            self.said_count += 1
            if item.request_id is not None:
                self._by_request.setdefault(item.request_id, []).append(item)
            else:
                self._by_episode.setdefault(item.episode, []).append(item)

    @property
    def of_others_count(self) -> int:
        """Outcomes said by another key than the one whose requests they speak of."""
        return len(self._others - self._heard)

    @property
    def unmatched_count(self) -> int:
        """Outcomes that speak of no subject which was looked at."""
        return self.said_count - len(self._heard | self._others)

    def heard(self, subject: Subject) -> Heard:
        """Return what all words on a subject say together, and the human minutes that went into it.

        A key may only speak of its own; one that is empty belongs to an import, to the gateway or to an operator.
        """
        words, minutes = list[Word](), Decimal(0)
        for item in self._about(subject):
            if item.key and item.key != (subject.key or ""):
                self._others.add(item.id)
                continue
            self._heard.add(item.id)
            word = word_of(item)
            words.append(word)
            minutes += item.human_minutes or 0
            if rank_of(word, self._rules) is None and word.success is not None:
                self.ignored[word.name] += 1
        found = judged(words, subject.request_ids[-1], self._rules)
        if found.success is None and not subject.is_answered:
            return Heard(success=False, said_by=LEDGER, human_minutes=minutes)
        return Heard(found.success, found.said_by, minutes)

    def _about(self, subject: Subject) -> Iterator[Outcome]:
        if not self.said_count:
            return
        if subject.episode:
            yield from self._by_episode.get(subject.episode, ())
        for request_id in subject.request_ids:
            yield from self._by_request.get(request_id, ())


def word_of(item: Outcome) -> Word:
    """Return an outcome as a word to be judged."""
    request_id = WHOLE if item.request_id is None else item.request_id
    return Word(item.name, item.source, item.success, item.score, item.origin == SIGNAL, request_id, item.at_us)
