"""A store in which a shift is under way, and pairs and live requests for it, without a gateway."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from breakeven.catalog.rate_card import PriceEntry, PriceList, TokenPrice, TokenPrices
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.ids import lowest_id
from breakeven.ledger.mover import Mover
from breakeven.ledger.pairs import SERVED, SHIFT, Pair, PairCheck, Side, keep
from breakeven.ledger.shifts import Shift, ShiftTerms, shift_of, start_shift
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store
from breakeven.trials.shifting import ShiftController

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

START_S: Final = 1_780_000_000.0
TEXTS: Final = {
    "key": rows.KEY, "task": rows.TASK, "model": rows.MODEL, "target": rows.TARGET, "priced_as": rows.PRICED_AS,
    "decision": rows.REASON, "failure": rows.REASON,
}  # fmt: skip
TERMS: Final = ShiftTerms(
    tasks=("sort",),
    steps=(0.01, 0.25, 1.0),
    check="judge",
    margin_fraction=0.05,
    least_requests=50,
    least_s=600.0,
    guard_cost_ratio=None,
)


class Shifted:
    """A store with one shift, and a clock that goes on as it is told."""

    def __init__(self, folder: Path, terms: ShiftTerms = TERMS, target: str = "new") -> None:
        self.folder = folder
        self.store = folder / "ledger.sqlite"
        self.now_s = START_S
        self._next = 0
        self._rows = 0
        self.serve(200, "old", before_s=3600.0)
        self.number = start_shift(self.store, "chat", target, terms, now_s=self.now_s, said_by="tests")
        self.controller = ShiftController(self.store)

    @property
    def shift(self) -> Shift:
        """The shift as the store has it."""
        return shift_of(self.store, self.number)

    def state(self, task: str = "sort") -> tuple[str, int]:
        """State and step of a task."""
        step = next(item for item in self.shift.tasks if item.task == task)
        return step.state, step.step

    def judge(
        self,
        differences: Iterable[int],
        task: str = "sort",
        version: str = "j 1",
        name: str = "judge",
        sides: tuple[str, str] = ("old", ""),
    ) -> None:
        """Write down pairs, judged so (1: the candidate's answer is better), a tenth of a second apart.

        ``sides``: incumbent and candidate; empty: the shift's target.
        """
        incumbent, candidate = sides[0], sides[1] or self.shift.target
        pairs, checks = [], []
        for difference in differences:
            self._next += 1
            self.now_s += 0.1
            at_us = int(self.now_s * 1e6)
            side = Side(None, 1, 1, None, 1, 1, "")
            number = self._next << 4
            pairs.append(Pair(number, candidate, incumbent, "chat", "k", task, "", at_us, side, side, SHIFT))
            said = (0.5, 0.5) if not difference else (float(difference < 0), float(difference > 0))
            checks.append(PairCheck(number, candidate, SERVED, "", 1.0, 1.0, "", at_us))
            checks.append(PairCheck(number, candidate, name, version, *said, "", at_us))
        keep(self.store, pairs, checks)

    def unanswered(self, count: int, task: str = "sort") -> None:
        """Write down pairs of which the candidate answered nothing, so that no judge saw them."""
        for _ in range(count):
            self._next += 1
            self.now_s += 0.1
            at_us = int(self.now_s * 1e6)
            number, side = self._next << 4, Side(None, 1, 1, None, 1, 1, "")
            failed = Side(None, None, None, None, None, None, "http_500")
            pair = Pair(number, "new", "old", "chat", "k", task, "", at_us, side, failed, SHIFT)
            keep(self.store, [pair], [PairCheck(number, "new", SERVED, "", 1.0, 0.0, "http_500", at_us)])

    def serve(self, count: int, *targets: str, task: str = "sort", before_s: float = 0.0, **fields: Any) -> None:
        """Write down live requests that targets served in turn, now or a while before."""
        spool = Spool(self.folder / "spool", worker=0)
        for target in targets * count:
            self._rows += 1
            decision = "first_choice" if target == "old" else "shifted"
            said: dict[str, Any] = {
                "model": "chat",
                "task": task,
                "target": target,
                "priced_as": f"p:{target}",
                "decision": decision,
            }
            said |= {name: value[target] if isinstance(value, dict) else value for name, value in fields.items()}
            codes = {name: spool.code(kind, str(said.pop(name, ""))) for name, kind in TEXTS.items()}
            received_us = int((self.now_s - before_s) * 1e6) + self._rows
            row = rows.Attempt(
                attempt_id=lowest_id(received_us) + (self._rows << 4), received_us=received_us, queued_us=100,
                first_byte_us=200_000, ended_us=900_000, **codes, tags=0, fallback=0, status=200, outcome=rows.OK,
                processing=0, flags=0, input_tokens=100, cached_input_tokens=0, cache_write_tokens=0, output_tokens=10,
                episode="",
            )  # fmt: skip
            spool.add(row._replace(**said))
        assert spool.flush()
        spool.close()
        mover = Mover(self.folder / "spool", Store(self.store), CardSchedule(PRICES))
        assert mover.drain() == count * len(targets)
        mover.close()

    def look(self, after_s: float = 5.0) -> tuple[str, ...]:
        """Let the controller look once, a little later."""
        self.now_s += after_s
        return self.controller.poll(self.now_s)

    def restart(self) -> None:
        """Let another process decide from now on."""
        self.controller = ShiftController(self.store)


def _prices(target: str, usd: int) -> PriceList:
    each = TokenPrice(usd_per_mtok=Decimal(usd))
    entry = PriceEntry(prices=TokenPrices(input=each, output=each))
    return PriceList(provider="p", model=target, source="made up", entries=(entry,))


PRICES: Final = [_prices("old", 2), *(_prices(name, 1) for name in ("new", "own/a", "own/b", "owned/a"))]
