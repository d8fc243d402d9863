"""Reserve before a request, settle or release after it: all its limits at once, or none.

One thread at a time; a reservation costs 1 µs and 0.3 µs for each rule.  Every amount that is taken fits its limit, so
requests at once, however many, overdraw by what they use beyond their own reservations and by nothing else.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.limits.meter import meter_of
from breakeven.limits.rules import NANO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from breakeven.limits.meter import Meter
    from breakeven.limits.rules import Identity, Rule, Scope

    Subject = tuple[Meter, ...]
    """The meters that a request moves; resolved once for all requests that are alike."""

_MOST_SUBJECTS: Final = 10_000
_NOTHING: Final = (0, 0, 0, 0)


class Reservation:
    """What a request holds until it is settled or released."""

    __slots__ = ("amounts", "marks", "subject")

    def __init__(self, subject: Subject, amounts: tuple[int, int, int, int], marks: list[int]) -> None:
        """Take the meters, the amounts in the order of ``KINDS``, and what each meter returned."""
        self.subject = subject
        self.amounts = amounts
        self.marks = marks


class Refused(NamedTuple):
    """Why a request may not pass now."""

    rule: Rule
    used: int
    """In the unit of the rule, reservations included."""

    asked: int
    retry_after_s: float
    """Infinite where the request alone exceeds the limit."""

    unsure: bool = False
    """Whether the other workers were not asked: ``ask`` may still admit it."""

    @property
    def message(self) -> str:
        """Return what a client is told."""
        rule = self.rule
        whose = f"The {rule.scope} {rule.name!r} may use {rule.words}"
        if self.asked > rule.amount:
            return f"{whose}, and this request alone may take {rule.quantity(self.asked)}. Ask for less at once."
        if rule.kind == "parallel":
            return f"{whose}, and they are under way. Wait for one to end."
        took = "" if rule.kind == "requests" else f", and this request may take {rule.quantity(self.asked)}"
        return f"{whose}; {rule.quantity(self.used)} are used or reserved{took}."


class Limits:
    """The limits of one worker, and what is used of them."""

    def __init__(
        self,
        rules: Iterable[Rule],
        now_s: float,
        used: Mapping[Identity, int] | None = None,
        make: Callable[[Rule, float], Meter] = meter_of,
    ) -> None:
        """Begin at a moment (Unix seconds) with what was used in its windows; ``make`` makes the meter of a rule."""
        self._make = make
        self._meters: dict[Identity, Meter] = {}
        self._subjects: dict[tuple[str, str, str, str], Subject | None] = {}
        self.put_rules(rules, now_s, used)

    def put_rules(self, rules: Iterable[Rule], now_s: float, used: Mapping[Identity, int] | None = None) -> None:
        """Take these rules in place of the former; what is used stays where a rule counts the same.

        ``used`` is what those begin with that counted nothing so far; it may name more.  Of several rules that count
        the same the least amount holds.  Subjects must be asked for again.
        """
        least: dict[Identity, Rule] = {}
        for rule in rules:
            known = least.setdefault(rule.counts, rule)
            if rule.amount < known.amount:
                least[rule.counts] = rule
        former = self._meters
        self._meters = {counts: former.get(counts) or self._make(rule, now_s) for counts, rule in least.items()}
        self._by_name: dict[tuple[Scope, str], Subject] = {}
        for counts, meter in self._meters.items():
            meter.follow(least[counts])
            owner = counts[:2]
            self._by_name[owner] = (*self._by_name.get(owner, ()), meter)
            if used and counts in used and counts not in former:
                meter.add(used[counts], now_s)
        self._common = any(scope in ("tag", "model") for scope, _ in self._by_name)
        self._subjects.clear()

    def make_good(self, corrections: Mapping[Identity, int], now_s: float) -> None:
        """Change what was used in the present windows: what was charged provisionally became another amount."""
        for counts, delta in corrections.items():
            meter = self._meters.get(counts)
            if meter is not None:
                self._make_good(meter, delta, now_s)

    async def start(self) -> None:
        """Nothing is to be waited for before the first request."""

    async def stop(self) -> None:
        """Nothing is to be given back after the last one."""

    def concerns(self, key: str, team: str) -> bool:
        """Whether any rule may hold for a request of that key: if not, ``subject`` need never be asked."""
        return self._common or ("key", key) in self._by_name or ("team", team) in self._by_name

    def subject(self, key: str, team: str, tags: str, model: str) -> Subject | None:
        """Return the meters of a request, None where no rule holds for it; tags are parted by commas."""
        asked = (key, team, tags, model)
        try:
            return self._subjects[asked]
        except KeyError:
            if len(self._subjects) >= _MOST_SUBJECTS:  # clients choose tags
                self._subjects.clear()
            found = self._subjects[asked] = self._resolve(*asked)
            return found

    def left_usd(self, subject: Subject, now_s: float) -> float:
        """Return what a request may still cost under its budgets, in US dollars; infinity where it has none."""
        left = inf
        for meter in subject:
            if meter.rule.kind == "usd":
                meter.fits(0, now_s)  # so that a window that is over counts no more
                left = min(left, (meter.rule.amount - meter.used) / NANO)
        return max(left, 0.0)

    def target_subject(self, name: str, provider: str) -> Subject | None:
        """Return the meters of an attempt at a target, its provider's among them; None where no rule holds for it."""
        by_name = self._by_name
        return (*by_name.get(("target", name), ()), *by_name.get(("provider", provider), ())) or None

    def reserve(self, subject: Subject, tokens: int, nano_usd: int, now_s: float) -> Reservation | Refused:
        """Take a request's amounts from all its limits, or from none; say which does not allow it.

        ``tokens`` are input and output together, ``nano_usd`` is their cost in ``rules.NANO``-ths of a dollar; both
        should be what the request may take at most.
        """
        amounts = (1, tokens, 1, nano_usd)
        for meter in subject:
            if not meter.fits(amounts[meter.place], now_s):
                return self._refused(meter, amounts[meter.place], now_s)
        return Reservation(subject, amounts, [meter.take(amounts[meter.place]) for meter in subject])

    def ask(
        self, subject: Subject, tokens: int, nano_usd: int, now_s: float, then: Callable[[Reservation | Refused], None]
    ) -> None:
        """Decide on a request that was refused ``unsure``; ``then`` is called once with the answer, now or later."""
        then(self.reserve(subject, tokens, nano_usd, now_s))

    def settle(self, reservation: Reservation, tokens: int, nano_usd: int) -> None:
        """Put what was used in place of what was reserved: in the window in which it was reserved, if that still runs.

        Only the first of ``settle`` and ``release`` counts.
        """
        self._correct(reservation, (1, tokens, 0, nano_usd))

    def release(self, reservation: Reservation) -> None:
        """Give everything back: nothing was used."""
        self._correct(reservation, _NOTHING)

    def _correct(self, reservation: Reservation, spent: tuple[int, int, int, int]) -> None:
        subject, reservation.subject = reservation.subject, ()
        amounts, marks = reservation.amounts, reservation.marks
        for number, meter in enumerate(subject):
            delta = spent[meter.place] - amounts[meter.place]
            if delta:
                meter.correct(marks[number], delta)

    def _make_good(self, meter: Meter, delta: int, now_s: float) -> None:
        meter.add(delta, now_s)

    def _refused(self, meter: Meter, asked: int, now_s: float) -> Refused:
        return Refused(meter.rule, meter.used, asked, meter.waits_s(asked, now_s))

    def _resolve(self, key: str, team: str, tags: str, model: str) -> Subject | None:
        owners: list[tuple[Scope, str]] = [("key", key), ("team", team), ("model", model)]
        owners += dict.fromkeys(("tag", tag.strip()) for tag in tags.split(","))
        found = tuple(meter for owner in owners for meter in self._by_name.get(owner, ()))
        return found or None
