"""Joins a replay: recorded requests, the addresses that are asked, prices, and the ledger that keeps the pairs."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import uvloop

from breakeven.errors import InputError, Problem
from breakeven.ledger.pairs import REPLAY, Which, keep, stored_pairs
from breakeven.ledger.sealing import Sealer, Words
from breakeven.ledger.store import connect
from breakeven.settings.address import is_loopback, read_address
from breakeven.settings.one_secret import read_secret
from breakeven.sources.recorded import recorded_requests
from breakeven.trials.endpoint import ChatEndpoint
from breakeven.trials.judging import PATH
from breakeven.trials.replay_judge import ORDERS_COUNT, EndpointJudge
from breakeven.trials.replaying import Replay
from breakeven.trials.seats import Bounds, Seat, StoppedError, Tally
from breakeven.upstreams.dial import Address, tls_context
from breakeven.wiring.clock import SystemClock
from breakeven.wiring.replay_check import find_check
from breakeven.wiring.replay_question import check_prices, check_request
from breakeven.wiring.shadow_labels import with_labels
from breakeven.wiring.shadow_prices import TargetPrices
from breakeven.wiring.trials import schema_check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from decimal import Decimal
    from pathlib import Path

    from breakeven.ledger.pairs import PairCheck, PairText
    from breakeven.sources.recorded import Recorded
    from breakeven.trials.seats import Outcome
    from breakeven.usage import TokenUsage
    from breakeven.wiring.ledger import LedgerPlace
    from breakeven.wiring.replay_check import OwnCheck
    from breakeven.wiring.replay_question import Place, ReplayRequest

CONNECT_S: Final = 10.0
_DAY_S: Final = 86_400.0
MOST_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
    """What a replay did, and where its pairs are."""

    tally: Tally
    incumbent: str
    candidate: str
    which: Which
    unreadable: tuple[Problem, ...]
    """Lines that hold no request, the first few; ``unreadable_count`` counts all."""

    unreadable_count: int
    notes: tuple[str, ...]


class _Lines:
    """The requests of all files, with what is not sent counted."""

    def __init__(self, request: ReplayRequest, tally: Tally, *, stays_here: bool) -> None:
        """``stays_here``: every address is on this machine."""
        self.request = request
        self.tally = tally
        self.stays_here = stays_here
        self.problems: list[Problem] = []
        self.problem_count = 0

    def __iter__(self) -> Iterator[Recorded]:
        for path in self.request.files:
            for item in recorded_requests(path):
                if isinstance(item, Problem):
                    self.problem_count += 1
                    self.problems[MOST_SHOWN - 1 :] = [*self.problems[MOST_SHOWN - 1 :], item][:1]
                elif item.sensitivity and not (self.stays_here or item.sensitivity in self.request.sensitivities):
                    self.tally.withheld_count += 1
                else:
                    yield item


def run_replay(request: ReplayRequest, place: LedgerPlace, config: Path | None) -> ReplayResult:
    """Ask recorded requests again, and keep what is to be told of both answers.

    Raises ``InputError`` before anything is sent that could not be kept or paid for, and where an address cannot be
    used; what was compared until then is kept.
    """
    check_request(request)
    first = _first(request)
    prices = TargetPrices(place, config, request.cards)
    names = _incumbent_name(request, first), request.candidate.name or request.candidate.model
    if names[0] == names[1]:
        raise InputError(
            f"Both would be kept under the name {names[0]!r}. Give one another with --incumbent-as or --candidate-as."
        )
    check_prices(request, names, prices)
    model = first.model or (request.incumbent.model if request.incumbent else "")
    check = find_check(request, config, model, names[1])
    with closing(connect(place.store, create=True)):
        pass  # it can be written
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_replay(request, place, prices, names, check))


class _Seats:
    """Makes the seats of a replay, and lets go of their connections."""

    def __init__(self, request: ReplayRequest, prices: TargetPrices, clock: SystemClock) -> None:
        self._request = request
        self._prices = prices
        self._clock = clock
        self._endpoints: list[ChatEndpoint] = []

    def seat(self, at: Place | None, name: str, *, questions_count: int = 1) -> Seat:
        """Return one; None: of recorded answers.  ``questions_count``: that it is asked at once about a pair."""
        if at is not None:
            open_count = questions_count * self._request.at_once_count
            self._endpoints.append(_endpoint(self._request, at, self._clock, open_count))
        return Seat(
            name=name,
            model=at.model if at is not None else "",
            endpoint=self._endpoints[-1] if at is not None else None,
            price=partial(_price, self._prices, name, self._clock),
            labelled=self._request.sends_labels,
            streams=self._request.streams and self._request.incumbent is not None,
        )

    def judge(self) -> EndpointJudge | None:
        """Return the judge, if there is one."""
        at, request = self._request.judge, self._request
        if at is None:
            return None
        seat = self.seat(at, at.name or at.model, questions_count=ORDERS_COUNT)
        return EndpointJudge(seat, request.criterion, answer_s=request.answer_s)

    def close(self) -> None:
        """Close every connection."""
        for endpoint in self._endpoints:
            endpoint.close()


async def _replay(
    request: ReplayRequest, place: LedgerPlace, prices: TargetPrices, names: tuple[str, str], own: OwnCheck | None
) -> ReplayResult:
    clock = SystemClock()
    which = Which(incumbent=names[0], candidate=names[1], origin=REPLAY)
    known = {pair.request_id for pair in stored_pairs(place.store, which)}
    seats = _Seats(request, prices, clock)
    judge = seats.judge()
    check = own.asked if own is not None else None
    judges = [item for item in (check, judge) if item is not None]
    bounds = Bounds(
        at_once_count=request.at_once_count,
        most_pairs_count=request.most_pairs_count,
        budget_usd=request.budget_usd,
        answer_s=request.answer_s,
    )
    replay = Replay(
        seats.seat(request.incumbent, names[0]), seats.seat(request.candidate, names[1]), bounds, clock,
        keeps_to=schema_check(), judges=judges, write=_writer(request, place, clock), known=known.__contains__,
    )  # fmt: skip
    replay.progress = request.progress
    replay.before = check.tried if check is not None else None
    tally = replay.tally
    lines = _Lines(request, tally, stays_here=_stays_here(request, own))
    try:
        await replay.run(with_labels(iter(lines), place))
    except StoppedError as error:
        kept = f" {tally.compared_count:,} pairs were compared and are kept." if tally.compared_count else ""
        raise InputError(f"The replay cannot go on: {str(error).rstrip('.')}.{kept}") from error
    except asyncio.CancelledError:
        tally.stopped_by = "it was stopped; the same command goes on from here"
    finally:
        seats.close()
    notes = [*prices.notes, *_notes(tally, judge), *(own.notes if own is not None else ())]
    return ReplayResult(
        tally=tally, incumbent=names[0], candidate=names[1], which=which,
        unreadable=tuple(lines.problems[:MOST_SHOWN]), unreadable_count=lines.problem_count, notes=tuple(notes),
    )  # fmt: skip


def _notes(tally: Tally, judge: EndpointJudge | None) -> Iterator[str]:
    if judge is not None and judge.failed_count:
        yield f"The judge gave no verdict on {judge.failed_count:,} pairs ({judge.example})."
    for why in tally.unstreamed.values():
        yield f"Asked for whole answers, so that times to the first byte are not compared: {why}."


def _stays_here(request: ReplayRequest, check: OwnCheck | None) -> bool:
    """Whether every address is on this machine, but for a check of the settings: they say what it may see."""
    places = [item for item in (request.incumbent, request.candidate, request.judge) if item is not None]
    hosts = [read_address(item.url).host for item in places]
    hosts += [check.host] if check is not None and not check.where else []
    return all(map(is_loopback, hosts))


def _writer(
    request: ReplayRequest, place: LedgerPlace, clock: SystemClock
) -> Callable[[Sequence[Outcome], Sequence[PairCheck]], None]:
    """Return what writes pairs down, with their texts where those are kept."""
    days, reference = request.keep_days, request.text_key
    sealer = Sealer(read_secret(reference, "--text-key")) if days is not None and reference is not None else None

    def write(outcomes: Sequence[Outcome], checks: Sequence[PairCheck]) -> None:
        texts: list[PairText] = []
        if sealer is not None and days is not None:
            expires_s = clock.now() + days * _DAY_S
            texts = [
                sealer.seal(item.pair.request_id, item.pair.candidate, words, expires_s)
                for item in outcomes
                if (words := _words(item)) is not None
            ]
        keep(place.store, [item.pair for item in outcomes], checks, texts)

    return write


def _words(item: Outcome) -> Words | None:
    if item.incumbent is None or item.candidate is None:
        return None
    asked = msgspec.json.encode(item.asked).decode()
    return Words(path=PATH, request=asked, incumbent=item.incumbent.shown, candidate=item.candidate.shown)


def _price(prices: TargetPrices, name: str, clock: SystemClock, usage: TokenUsage) -> Decimal | None:
    return prices.usd(name, usage, int(clock.now() * 1e6))


def _endpoint(request: ReplayRequest, at: Place, clock: SystemClock, open_count: int) -> ChatEndpoint:
    where = read_address(at.url)
    ca_file = str(request.ca_file) if request.ca_file else ""
    try:
        tls = tls_context(ca_file) if where.tls else None
    except (OSError, ValueError) as error:
        raise InputError(f"--ca-file {ca_file} holds no certificates that can be read: {error}.") from error
    secret = read_secret(at.key, "--key") if at.key else ""
    address = Address(host=where.host, port=where.port, tls=tls, connect_s=CONNECT_S)
    return ChatEndpoint(address, where.host_header, where.path, secret, clock=clock, open_count=open_count)


def _first(request: ReplayRequest) -> Recorded:
    """Return the first request that can be compared.  Raises ``InputError`` where there is none."""
    lines = _Lines(request, Tally(), stays_here=True)
    any_request = False
    for item in lines:
        any_request = True
        if request.incumbent is not None or item.answer is not None:
            return item
    if any_request:
        raise InputError(
            "No request has a recorded answer, so there is nothing to compare the candidate with. Name what serves it "
            "today: --incumbent MODEL."
        )
    names = ", ".join(str(path) for path in request.files)
    raise InputError(f"{names}: no line holds a chat request.", tuple(lines.problems[:MOST_SHOWN]))


def _incumbent_name(request: ReplayRequest, first: Recorded) -> str:
    if request.incumbent is not None:
        return request.incumbent.name or request.incumbent.model
    said = first.answer.get("model") if first.answer else None
    return request.recorded_name or first.model or (str(said) if said else "") or "recorded"
