"""What a route shows its policy: the columns that it reads, found out for each choice, and no others."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

from breakeven.limits.rules import NANO
from breakeven.metering.reading import Reading
from breakeven.routing.policies import READS
from breakeven.routing.timetable import read_timetable
from breakeven.routing.view import Request, Targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.gateway.snapshot import Route
    from breakeven.gateway.targets import Offer

EXPECTED_OUTPUT_TOKENS: Final = 256
"""Of a request that does not say: for the comparison of prices alone."""

BEGINNING_BYTES: Final = 1024
"""So much of a prompt, from its first message on, tells which cache may have its beginning: 250 tokens or so, and less
than most system prompts, so that those who share one go to one node."""

ALIKE: Final = Request(0, 0, 0, 0, 0, inf, inf, 0)
"""Stands for every request, where a policy looks at none."""

MINUTE_S: Final = 60
_BEGINS: Final = (b'"messages"', b'"system"', b'"input"', b'"prompt"')


class Moment(NamedTuple):
    """When a choice is made: the stopwatch, the time of day, and a number drawn for it in [0, 1)."""

    monotonic_s: float
    unix_s: float
    uniform: float


class Columns:
    """The columns of one route."""

    def __init__(self, route: Route, offers: tuple[Offer, ...], guest_count: int = 0) -> None:
        """Take a route and what serves it; the last ``guest_count`` are no capacity of its own."""
        reads = READS[route.policy]
        targets = tuple(offer.target for offer in offers)
        count = len(offers)
        self._offers = offers
        self._targets = targets
        self.places = tuple((place, target, target.load) for place, target in enumerate(targets))
        """Places in the columns, each with its target and, of a node, its load."""

        self._reads_load = bool(reads & {"in_flight", "queue_length", "full"})
        self._reads_time = "predicted_ttft_s" in reads
        self._reads_price = "price_usd" in reads
        self._reads_hours = "in_hours" in reads and any(route.hours)
        self._timetables = tuple(read_timetable(*item) if item else None for item in route.hours)
        self._minute, self._open = -1, [1] * count
        self._reads_beginning = "prefix_hash" in reads
        self.reads_budget = "budget_usd" in reads
        self._deadline_s = inf if route.first_token_s is None else route.first_token_s
        self._most_usd = inf if route.most_usd is None else route.most_usd
        self._in_flight, self._queues, self._full = self.written = [0] * count, [0] * count, [0] * count
        """Columns that every look writes anew."""

        self._seen = Targets(
            serves=(1,) * count,
            healthy=(1,) * count,
            in_flight=self._in_flight,
            queue_length=self._queues,
            kv_use_fraction=(nan,) * count,  # what it makes of a node is in ``full``
            predicted_ttft_s=(nan,) * count,
            price_usd=(nan,) * count,
            weight=route.weights,
            paid=tuple(int(target.load is not None and n < count - guest_count) for n, target in enumerate(targets)),
            full=self._full,
            in_hours=(1,) * count,
        )
        """As last shown: a choice is over before the next begins, so its columns are written anew in their places."""

        others = self._reads_time or self._reads_price or self._reads_hours or self._reads_beginning
        self.by_load = self.could_go_by_load = self._reads_load and not others
        """Whether the policy looks at nothing that changes but load."""

        self._reads_request = self._reads_price or self._reads_beginning or "deadline_s" in reads

    def request(self, payload: bytes, task: int, attempts: int, budget_usd: float = inf) -> Request:
        """Return what the policy may know of a request, as far as it asks."""
        if not self._reads_request:
            return ALIKE
        beginning = _beginning(payload) if self._reads_beginning else 0
        return Request(len(payload) >> 2, 0, task, beginning, 0, self._deadline_s, budget_usd, attempts, self._most_usd)

    def targets(self, serves: Sequence[int], request: Request, now: Moment) -> Targets:
        """Return the targets as they are now; what the last call returned is no longer so."""
        seen = self._seen
        if serves is not seen.serves:
            seen = self._seen = seen._replace(serves=serves)
        if self._reads_load:
            self.look()
        if self._reads_time:
            seen = seen._replace(predicted_ttft_s=self._predicted_s(now))
        if self._reads_price:
            seen = seen._replace(price_usd=self._prices_usd(request, now))
        if self._reads_hours:
            seen = seen._replace(in_hours=self._in_hours(now.unix_s))
        return seen

    def _in_hours(self, unix_s: float) -> list[int]:
        """Return whose timetable is open, found out once a minute."""
        minute = int(unix_s // MINUTE_S)
        if minute != self._minute:
            self._minute = minute
            self._open = [int(item is None or item.is_open(unix_s)) for item in self._timetables]
        return self._open

    def look(self) -> None:
        """Write down how busy each target is."""
        for place, target, load in self.places:
            self._in_flight[place] = count = target.in_flight
            if load is not None:
                self._full[place] = load.look(count)
                self._queues[place] = load.queue

    def has_room(self, there: Sequence[int]) -> bool:
        """Whether some node that may be asked (0 or 1, or a bool, by target) is not full."""
        self.look()
        columns = zip(there, self._seen.paid, self._full, strict=True)
        return any(may and paid and not full for may, paid, full in columns)

    def _predicted_s(self, now: Moment) -> list[float]:
        found = []
        for target in self._targets:
            if target.load is not None:
                found.append(target.load.predicted_ttft_s(target.in_flight))
            else:
                found.append(target.latency.predicted_s(now.monotonic_s) if target.latency is not None else nan)
        return found

    def _prices_usd(self, request: Request, now: Moment) -> list[float]:
        at_us = int(now.unix_s * 1_000_000)
        expected = Reading(request.input_tokens, request.output_tokens or EXPECTED_OUTPUT_TOKENS, 0, 0, 0, True)  # noqa: FBT003 - estimated
        return [
            offer.price.nano_usd(expected, at_us) / NANO if offer.price.known(at_us) else nan for offer in self._offers
        ]


def _beginning(payload: bytes) -> int:
    """Return a number that is equal for prompts that begin alike, and never 0."""
    for key in _BEGINS:
        start = payload.find(key)
        if start >= 0:
            return crc32(payload[start : start + BEGINNING_BYTES]) | 1 << 32
    return 0
