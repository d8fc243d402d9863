"""A user's own check in a replay: asked about both answers of a pair with the questions that live shadowing asks."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from breakeven.gateway.verification import AskedCheck
from breakeven.ledger.ids import pair_name
from breakeven.trials.seats import StoppedError
from breakeven.trials.telling import ShownQuestion, checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.gateway.verify_plan import HttpCheck
    from breakeven.ledger.pairs import Pair
    from breakeven.sources.recorded import Recorded
    from breakeven.trials.answered import Heard, Score


class ReplayCheck:
    """The check of one replay."""

    def __init__(self, plan: HttpCheck, *, sees_all: bool) -> None:
        """``sees_all``: whatever is asked again may go there; else it sees the kinds of data that it names."""
        self._plan = plan
        self._check = AskedCheck(plan)
        self._sees_all = sees_all
        self.withheld_count = 0
        """Pairs that it may not see."""

        self.failed_count = 0
        """Pairs of which it said nothing."""

        self.example = ""
        """Why, the first time."""

    async def tried(self, item: Recorded, model: str) -> None:
        """Ask it about an empty answer to a request, before anything is spent.

        Raises ``StoppedError`` where it says nothing: it would leave out the pairs whose answers are bad.
        """
        if not self._may_see(item):
            return
        said = await self._check.told_or_why(_question(item, pair_name(0), model, ""))
        if isinstance(said, str):
            raise StoppedError(
                f"your check at {self._plan.host_header} was asked about an empty answer to the first request and said "
                f"nothing ({said}). It is sent a POST, and answers 200 with "
                f'{{"ok": true}} or {{"ok": false}} within {self._plan.timeout_s:g} s. No model was asked. '
                "Go on without it with --without-check"
            )

    async def __call__(
        self, item: Recorded, pair: Pair, incumbent: Heard, candidate: Heard
    ) -> tuple[Sequence[Score], Decimal]:
        """Return what it says of both answers, empty where it says nothing of one; it costs nothing that is known."""
        if not self._may_see(item):
            self.withheld_count += 1
            return [], Decimal(0)
        name = pair_name(pair.request_id)
        asked = (_question(item, name, pair.model, one.shown) for one in (incumbent, candidate))
        said = await checked(self._check, *asked)
        if isinstance(said, str):
            self.failed_count += 1
            self.example = self.example or said
            return [], Decimal(0)
        return [said], Decimal(0)

    def _may_see(self, item: Recorded) -> bool:
        marks = {mark for part in item.sensitivity.split(",") if (mark := part.strip())}
        return self._sees_all or self._check.may_see(marks)


def _question(item: Recorded, name: str, model: str, answer: str) -> ShownQuestion:
    request = msgspec.json.encode({"model": model, **item.body}).decode()
    return ShownQuestion(request_id=name, model=model, task=item.task, answer=answer, request=request)
