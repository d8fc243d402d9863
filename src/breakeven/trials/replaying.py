"""Recorded requests asked again: of an incumbent and of a candidate, a few at once, within a budget, and never twice.

What was compared is handed on in small portions, so that a run that is stopped, or killed, goes on where it was.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from breakeven.gateway.failures import NO_DONE
from breakeven.ledger.ids import request_id
from breakeven.ledger.pairs import REPLAY, SERVED, Pair, PairCheck, Side
from breakeven.trials.answered import Score, asked_of, compared, ended_badly, heard, is_streamed, reading_of, with_usage
from breakeven.trials.endpoint import LATER
from breakeven.trials.judging import PATH
from breakeven.trials.seats import Outcome, StoppedError, Tally, replay_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from breakeven.clock import Clock
    from breakeven.evidence.signals import SchemaCheck
    from breakeven.sources.recorded import Recorded
    from breakeven.trials.answered import Heard
    from breakeven.trials.endpoint import ChatEndpoint
    from breakeven.trials.endpoint import Heard as Came
    from breakeven.trials.seats import Bounds, Judge, Seat

PORTION_COUNT: Final = 10
"""Pairs that are written down together: what a kill costs at most, beside those under way."""

_OK: Final = 200
_MOST_SAID: Final = 300
_FATAL: Final = (401, 403, 404, 405)
"""Statuses that every further request would get too."""

_NO_STREAM: Final = ("http_400", "http_422", "http_500", "http_501", NO_DONE)
"""Failures of a stream that asking for the whole may not have."""

_SILENT: Final = ("connect_failed", "connect_timeout", "tls_failed", "proxy_refused", "saturated")
"""Failures before anything was sent."""


class _Answered(NamedTuple):
    """What one of the two said."""

    side: Side
    answer: Heard | None
    put_off: str = ""
    """Why it is to be asked at another time."""

    why: str = ""
    """What is to be told of a failure."""

    cost_usd: Decimal = Decimal(0)


class Replay:
    """One replay."""

    def __init__(
        self,
        incumbent: Seat,
        candidate: Seat,
        bounds: Bounds,
        clock: Clock,
        *,
        keeps_to: SchemaCheck | None,
        judges: Sequence[Judge],
        write: Callable[[Sequence[Outcome], Sequence[PairCheck]], None],
        known: Callable[[int], bool],
    ) -> None:
        """``keeps_to`` checks JSON by a schema; ``judges`` are asked where both answered; ``known``: ids known."""
        self._seats = incumbent, candidate
        self._bounds = bounds
        self._clock = clock
        self._keeps_to = keeps_to
        self._judges = judges
        self._write = write
        self._known = known
        self._under_way = 0
        self._outcomes: list[Outcome] = []
        self._met: set[int] = set()
        self._streaming: set[str] = set()
        self._last_us = 0
        self.tally = Tally()
        self.progress: Callable[[Tally], None] | None = None
        self.before: Callable[[Recorded, str], Awaitable[None]] | None = None
        """Told of the first request and its model before anybody is asked."""

    async def run(self, requests: Iterator[Recorded]) -> None:
        """Ask all of them.  Raises ``StoppedError`` where the address cannot be used, with what it said."""
        try:
            first = self._next(requests)
            if first is None:
                return
            if self.before is not None:
                await self.before(first, self._model(first))
            await self._one(first)  # alone: what is wrong with a key or a name shows at the first, and costs one
            async with asyncio.TaskGroup() as group:
                for _ in range(self._bounds.at_once_count):
                    group.create_task(self._work(requests))
        except* StoppedError as errors:
            raise StoppedError(str(errors.exceptions[0])) from None
        finally:
            self._flush()

    async def _work(self, requests: Iterator[Recorded]) -> None:
        while (item := self._next(requests)) is not None:
            await self._one(item)

    def _next(self, requests: Iterator[Recorded]) -> Recorded | None:
        """Return the next request that is to be asked; None where there is none, or a bound is reached."""
        tally, bounds = self.tally, self._bounds
        for item in requests if not self._is_spent() else ():
            if self._seats[0].endpoint is None and item.answer is None:
                tally.unanswered_count += 1
                continue
            number = replay_id(item, *(seat.name for seat in self._seats))
            if number in self._met:
                continue
            self._met.add(number)
            if self._known(number):
                tally.known_count += 1
                continue
            self._under_way += 1
            return item
        if not tally.stopped_by and tally.compared_count + self._under_way >= bounds.most_pairs_count:
            tally.stopped_by = f"the {bounds.most_pairs_count:,} pairs of --max-pairs are compared"
        return None

    def _is_spent(self) -> bool:
        tally, budget = self.tally, self._bounds.budget_usd
        if budget is not None and tally.spent_usd + (1 + self._under_way) * tally.dearest_pair_usd > budget:
            tally.stopped_by = f"the {budget} USD of --budget-usd leave no room for another pair"
        return bool(tally.stopped_by) or tally.compared_count + self._under_way >= self._bounds.most_pairs_count

    async def _one(self, item: Recorded) -> None:
        try:
            outcome = await self._pair(item)
        finally:
            self._under_way -= 1
        if outcome is not None:
            self.tally.compared_count += 1
            self._outcomes.append(outcome)
            if len(self._outcomes) >= PORTION_COUNT:
                self._flush()
        if self.progress is not None:
            self.progress(self.tally)

    def _flush(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        if not outcomes:
            return
        now_us = self._last_us = max(int(self._clock.now() * 1e6), self._last_us + 1)  # what is written later is later
        checks = [
            PairCheck(item.pair.request_id, item.pair.candidate, *score, now_us)
            for item in outcomes
            for score in item.scores
        ]
        self._write(outcomes, checks)

    async def _pair(self, item: Recorded) -> Outcome | None:
        incumbent, candidate = self._seats
        number = replay_id(item, incumbent.name, candidate.name)
        if number >> _COIN_BIT & 1:  # neither is always the first: caches warm up, and hours differ
            of_candidate = await self._answered(candidate, item)
            of_incumbent = await self._answered(incumbent, item)
        else:
            of_incumbent = await self._answered(incumbent, item)
            of_candidate = await self._answered(candidate, item)
        cost_usd = of_incumbent.cost_usd + of_candidate.cost_usd
        if put_off := of_incumbent.put_off or of_candidate.put_off:
            self._pay(cost_usd)
            self.tally.put_off_count += 1
            self._note(put_off)
            return None
        now_us = int(self._clock.now() * 1e6)
        pair = Pair(
            request_id=number, candidate=candidate.name, incumbent=incumbent.name, model=self._model(item),
            key=item.key, task=item.task, tags=item.tags, at_us=item.at_us or now_us, of_incumbent=of_incumbent.side,
            of_candidate=of_candidate.side, origin=REPLAY,
        )  # fmt: skip
        said = [_served(of_incumbent.side, of_candidate.side)]
        if of_incumbent.answer is not None and of_candidate.answer is not None:
            both = of_incumbent.answer, of_candidate.answer
            said += compared(asked_of(msgspec.json.encode(item.body)), *both)
            for scores, judge_usd in await asyncio.gather(*(judge(item, pair, *both) for judge in self._judges)):
                said += scores
                cost_usd += judge_usd
        self._pay(cost_usd)
        return Outcome(pair, tuple(said), item.body, of_incumbent.answer, of_candidate.answer)

    def _model(self, item: Recorded) -> str:
        return item.model or self._seats[0].model

    async def _answered(self, seat: Seat, item: Recorded) -> _Answered:
        if seat.endpoint is None:
            return self._recorded(item)
        streams = seat.streams and seat.name not in self.tally.unstreamed
        found = await self._asked(seat, seat.endpoint, item, streams=streams)
        if streams and seat.name not in self._streaming:
            found = await self._streamed(seat, seat.endpoint, item, found)
        if found.why:
            self._note(found.why)
        return found

    async def _streamed(self, seat: Seat, endpoint: ChatEndpoint, item: Recorded, found: _Answered) -> _Answered:
        """Return what somebody answers of whom no stream is known: the whole, where its stream is of less use."""
        if found.side.output_tokens is not None:
            self._streaming.add(seat.name)
            return found
        if found.answer is None and found.side.failure not in _NO_STREAM:
            return found
        whole = await self._asked(seat, endpoint, item, streams=False)
        cost_usd = found.cost_usd + whole.cost_usd
        if found.answer is not None and whole.side.output_tokens is None:  # the whole tells no more than the stream
            self._streaming.add(seat.name)
            return found._replace(cost_usd=cost_usd)
        if whole.answer is not None:
            self.tally.unstreamed[seat.name] = found.why or f"{seat.name}: its streams tell no usage"
        return whole._replace(cost_usd=cost_usd)

    async def _asked(self, seat: Seat, endpoint: ChatEndpoint, item: Recorded, *, streams: bool) -> _Answered:
        body = with_usage(PATH, msgspec.json.encode({**item.body, "model": seat.model, "stream": streams}))
        labels = _labels(item, all_of_them=seat.labelled)
        came = await endpoint.ask_patiently(body, labels, within_s=self._bounds.answer_s)
        if came.status in _FATAL or (came.failure in _SILENT and not self.tally.compared_count):
            raise StoppedError(f"{seat.name}: {_why(came)}")
        if came.status in LATER or came.failure in _SILENT:
            return _Answered(_nothing(came.failure or f"http_{came.status}"), None, f"{seat.name}: {_why(came)}")
        return self._read(seat, item, came, body, streamed=streams and is_streamed(came.body))

    def _read(self, seat: Seat, item: Recorded, came: Came, body: bytes, *, streamed: bool) -> _Answered:
        """Return what an answer says, and what it cost; ``streamed``: as the events that were asked for."""
        if came.failure or came.status != _OK:
            return _failed(came.failure or f"http_{came.status}", f"{seat.name}: {_why(came)}")
        reading = reading_of(PATH, body, came.body)
        cost_usd = seat.price(reading.usage())
        self.tally.unpriced_count += cost_usd is None
        cost_usd = cost_usd or Decimal(0)
        broken = ended_badly(PATH, came.body) if streamed else ""
        answer = self._understood(item, came.body) if not broken else None
        if answer is None:
            failure = broken or "malformed_answer"
            return _failed(failure, f"{seat.name}: {failure}", cost_usd)
        side = Side(
            request_id=_own_id(came.headers.get(b"x-breakeven-request-id")),
            input_tokens=None if reading.estimated else reading.input_tokens,
            output_tokens=None if reading.estimated else reading.output_tokens,
            first_byte_us=came.first_byte_us if streamed else None,  # of an answer that comes whole it says nothing
            ended_us=came.ended_us,
            characters=answer.characters,
            failure="",
        )
        return _Answered(side, answer, cost_usd=cost_usd)

    def _recorded(self, item: Recorded) -> _Answered:
        answer = self._understood(item, msgspec.json.encode(item.answer))
        if answer is None or item.answer is None:
            return _Answered(_nothing("malformed_answer"), None)
        usage = item.answer.get("usage") or {}
        side = Side(
            request_id=None,
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
            first_byte_us=item.first_byte_us,
            ended_us=item.ended_us,
            characters=answer.characters,
            failure="",
        )
        return _Answered(side, answer)

    def _understood(self, item: Recorded, answer: bytes) -> Heard | None:
        return heard(answer, asked_of(msgspec.json.encode(item.body)), self._keeps_to)

    def _pay(self, cost_usd: Decimal) -> None:
        tally = self.tally
        tally.spent_usd += cost_usd
        tally.dearest_pair_usd = max(tally.dearest_pair_usd, cost_usd)

    def _note(self, why: str) -> None:
        self.tally.reasons[why] = self.tally.reasons.get(why, 0) + 1


_COIN_BIT: Final = 20


def _nothing(failure: str) -> Side:
    return Side(None, None, None, None, None, None, failure)


def _failed(failure: str, why: str, cost_usd: Decimal = Decimal(0)) -> _Answered:
    return _Answered(_nothing(failure), None, why=why, cost_usd=cost_usd)


def _served(incumbent: Side, candidate: Side) -> Score:
    return Score(SERVED, "", float(not incumbent.failure), float(not candidate.failure))


def _labels(item: Recorded, *, all_of_them: bool) -> list[tuple[str, str]]:
    said = [("sensitivity", item.sensitivity)]
    if all_of_them:
        said += [("task", item.task), ("episode", item.episode), ("tags", "replay")]
    return [(f"x-breakeven-{name}", value) for name, value in said if value and value.isprintable()]


def _own_id(said: bytes | None) -> int | None:
    try:
        return request_id(said.decode("latin-1")) if said else None
    except ValueError:
        return None


def _why(came: Came) -> str:
    """Say in words what came; a server's own words are bounded and made printable."""
    said = came.body.decode("utf-8", "replace")
    try:
        error = msgspec.json.decode(came.body).get("error")
        said = error.get("message", said) if isinstance(error, dict) else said
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, RecursionError):
        pass
    said = "".join(letter if letter.isprintable() else " " for letter in str(said))[:_MOST_SAID].strip()
    what = f"HTTP {came.status}" if came.status else came.failure
    return f"{what}: {said}" if said and came.status != _OK else what
