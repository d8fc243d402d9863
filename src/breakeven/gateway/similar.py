"""Answers that are given again to questions that mean the same, of one task and one key, once that was measured.

A question's vector is asked of an embeddings target.  Where an earlier question of the same task is as much alike as
the task wants, its answer is a would-be hit.  At first every one of them is checked: the request is sent all the same,
and the two answers are compared.  Given again they are when the checks show that few enough are false; a share of them
is checked for ever after, and what that shows may end it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breakeven.gateway.cache import cache_key
from breakeven.gateway.own import OwnRequest
from breakeven.similar.answers import answer_text, same_figures, same_text
from breakeven.similar.evidence import Evidence, Hits
from breakeven.similar.index import Index
from breakeven.similar.marks import read_marks
from breakeven.similar.question import read_question
from breakeven.similar.vectors import cosine, embedding_request, read_vectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.gateway.cache import Stored
    from breakeven.gateway.recollection import Wanted
    from breakeven.gateway.shared import Shared
    from breakeven.gateway.snapshot import SemanticPlan, SemanticTask
    from breakeven.similar.index import Match
    from breakeven.similar.marks import Marks
    from breakeven.similar.vectors import Vector


class SimilarAnswers:
    """One worker's questions and answers, and what their checks have shown."""

    def __init__(self, plan: SemanticPlan, shared: Shared) -> None:
        """Begin with nothing known."""
        self.shared = shared
        self.model = plan.embeddings_model
        self.index = Index(plan.max_entry_count, plan.max_bytes)
        self._timeout_s = plan.timeout_s
        self._tasks = {task.name.encode(): _Task(task) for task in plan.tasks}
        self._under_way: set[OwnRequest] = set()

    def ttl_s(self, task: bytes) -> float:
        """Return how long answers of a task are given again; 0: it is none of those that are looked up."""
        found = self._tasks.get(task)
        return 0.0 if found is None else found.rule.ttl_s

    def look_up(self, wanted: Wanted, then: Callable[[Stored | None], None]) -> _Recall | None:
        """Begin to look for a similar request; None: there is nothing to look for."""
        question = read_question(wanted.body)
        if question is None:
            return None
        labels = wanted.labels
        tenant = b"%b\0%b" % (wanted.key.name.encode(), wanted.task)
        kinds = ",".join(sorted(labels.sensitivities))
        scope = cache_key(tenant, wanted.path, question.rest, wanted.passed, kinds)
        known_by = _KnownBy(scope, read_marks(question.text))
        recall = _Recall(self, self._tasks[wanted.task], wanted, known_by, then)
        return recall if self.ask([question.text], wanted, recall.take) else None

    def ask(self, texts: list[str], wanted: Wanted, then: Callable[[tuple[Vector, ...] | None], None]) -> bool:
        """Ask for vectors in the name of a request's key; return whether ``then`` will be told of them, or of None."""

        def answered(body: bytes | None) -> None:
            self._under_way.discard(request)
            then(None if body is None else read_vectors(body, len(texts)))

        body = embedding_request(self.model, texts)
        request = OwnRequest(self.shared, wanted.key, wanted.labels, body, answered)
        self._under_way.add(request)
        if request.begin():
            return True
        self._under_way.discard(request)
        return False

    def tick(self, now_s: float) -> None:
        """Give up on vectors that take too long."""
        for request in list(self._under_way):
            if now_s - request.began_s > self._timeout_s:
                request.give_up()
            elif request.exchange is not None:
                request.exchange.tick(now_s)

    def close(self) -> None:
        """Give up what is under way: whoever waits is told that there is nothing."""
        for request in list(self._under_way):
            request.give_up()

    def hits(self) -> dict[str, Hits]:
        """Return what became of the would-be hits, by task."""
        return {name.decode(): task.hits() for name, task in self._tasks.items()}


class _Task:
    """One task: its rule, and what was seen of it."""

    def __init__(self, rule: SemanticTask) -> None:
        self.rule = rule
        self.evidence = Evidence(rule.most_false_fraction)
        self.given = 0

    def hits(self) -> Hits:
        evidence = self.evidence
        return Hits(self.given, evidence.checks, evidence.false_hits, evidence.checks_needed)


class _KnownBy(NamedTuple):
    """What of a question must be equal in another one."""

    scope: bytes
    marks: Marks


class _Recall:
    """One request: its question, the one most like it, and what that one's answer was."""

    def __init__(
        self,
        answers: SimilarAnswers,
        task: _Task,
        wanted: Wanted,
        known_by: _KnownBy,
        then: Callable[[Stored | None], None],
    ) -> None:
        self._answers = answers
        self._task = task
        self._wanted = wanted
        self._known_by = known_by
        self._then = then
        self._vector: Vector | None = None
        self._match: Match | None = None
        self._stored: Stored | None = None

    def take(self, vectors: tuple[Vector, ...] | None) -> None:
        """Take the question's vector, and tell whether an answer is given again."""
        if vectors is not None:
            self._vector = vectors[0]
            self._find(vectors[0])
        task, uniform = self._task, self._answers.shared.uniform
        if self._stored is not None and task.evidence.allows and uniform() >= task.rule.checked_fraction:
            task.given += 1
            self._then(self._stored)
        else:
            self._then(None)

    def answered(self, stored: Stored) -> None:
        """Keep the answer for similar questions, and check with it the one that was found."""
        text = answer_text(stored.body, streamed=stored.streamed)
        if self._vector is not None and text is not None:
            self._answers.index.add(*self._known_by, self._vector, self._wanted.cache_key)
        if self._stored is None:
            return
        earlier = answer_text(self._stored.body, streamed=self._stored.streamed)
        if text is None or earlier is None:
            self._check(same=False)
        elif self._task.rule.similar_answers and not same_text(text, earlier) and same_figures(text, earlier):
            self._answers.ask([text, earlier], self._wanted, self._compare)
        else:
            self._check(same=same_text(text, earlier))

    def _find(self, vector: Vector) -> None:
        answers, rule = self._answers, self._task.rule
        match = answers.index.nearest(*self._known_by, vector, rule.least_similarity_ratio)
        if match is None:
            return
        cache, clock = answers.shared.cache, answers.shared.clock
        self._stored = cache.get(match.key, clock.monotonic(), rule.ttl_s)
        self._match = match
        if self._stored is None:
            answers.index.forget(match.key)

    def _compare(self, vectors: tuple[Vector, ...] | None) -> None:
        if vectors is not None:  # otherwise nothing was learned
            self._check(same=cosine(*vectors) >= self._task.rule.answer_similarity_ratio)

    def _check(self, *, same: bool) -> None:
        self._task.evidence.checked(same=same)
        if not same and self._match is not None:
            self._answers.index.raise_floor(self._match.entry, self._match.similarity)
