"""The process of trials: its parts, joined, for as long as it is to go on."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.ledger.pairs import forget_texts
from breakeven.ledger.store import StoreMissingError
from breakeven.trials.calls import Calls
from breakeven.trials.counts import Counts, TrialsState, write_state
from breakeven.trials.intake import Intake
from breakeven.trials.keeping import Keeper
from breakeven.trials.polled import EVERY_S
from breakeven.trials.prices import Prices
from breakeven.trials.shadowing import Asker, Shadowing
from breakeven.trials.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breakeven.clock import Clock
    from breakeven.evidence.signals import SchemaCheck
    from breakeven.trials.plan import TrialsPlan
    from breakeven.trials.polled import Polled

FLUSH_S: Final = 0.5
"""How often what was found is written down, and how the process is."""

CHECK_S: Final = 0.1
"""How often it is asked whether to go on."""

SWEEP_S: Final = 60.0
"""How often texts are looked for whose time is over."""

_log = logging.getLogger("breakeven.trials")


class ExpiredTexts:
    """Removes texts of pairs whose time is over, whether any are still kept or not."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._next_s = 0.0

    def poll(self, now_s: float) -> tuple[str, ...]:
        """Look, once a minute.  Raises ``InputError``."""
        if now_s >= self._next_s:
            self._next_s = now_s + SWEEP_S
            forget_texts(self._store, now_s)
        return ()


class Service:
    """Everything that runs in it."""

    def __init__(
        self, plan: TrialsPlan, secret: str, clock: Clock, keeps_to: SchemaCheck | None, polled: Sequence[Polled]
    ) -> None:
        """Read what was spent today; ``secret`` vouches for requests in the name of a key.

        ``keeps_to`` tells whether a text keeps to a JSON Schema; None: nobody can.  Raises ``InputError``.
        """
        store = Path(plan.store)
        self._plan = plan
        self._clock = clock
        self._started_s = clock.now()
        self._intake = Intake(plan.folder)
        self._calls = Calls(plan.host, plan.port, secret, clock)
        self._keeper = Keeper(store, clock)
        self._counts = Counts()
        free = [target.name for target in plan.targets if not target.priced_as]
        self._spending = Spending(store, plan.budget_day_usd, clock.now(), free)
        asker = Asker(self._calls, self._keeper, self._spending, Prices(plan), self._counts, clock, keeps_to)
        self._shadowing = Shadowing(plan, asker)
        self._polled = (ExpiredTexts(store), *polled)
        self._troubles: dict[int, str] = {}

    async def run(self, goes_on: Callable[[], bool]) -> None:
        """Take copies and treat them as long as ``goes_on()``.  Raises ``OSError`` where nobody could send any."""
        self._say()  # before anybody can send: what the last one said is over
        await self._intake.listen()
        tasks = [asyncio.create_task(self._treat()) for _ in range(self._plan.slot_count)]
        tasks += [asyncio.create_task(self._write()), asyncio.create_task(self._poll())]
        try:
            while goes_on() and not any(task.done() for task in tasks):
                await asyncio.wait(tasks, timeout=CHECK_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._intake.close()
            for task in tasks:
                task.cancel()
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(end, Exception):  # and no cancellation
                    _log.error("a part of the process of trials ended, and the process with it", exc_info=end)
            self._calls.close()
            await asyncio.to_thread(self._keeper.flush)
            self._say()

    async def _treat(self) -> None:
        while True:
            copy = await self._intake.next()
            self._counts.under_way_count += 1
            try:
                await self._shadowing.treat(copy)
            except Exception:  # noqa: BLE001 - one copy must not keep the others from being looked at
                _log.exception("a copy could not be treated; the others are")
                self._counts.skipped["a fault of ours, see the log"] += 1
            finally:
                self._counts.under_way_count -= 1

    async def _write(self) -> None:
        while True:
            await asyncio.to_thread(self._keeper.flush)
            self._say()
            await asyncio.sleep(FLUSH_S)

    async def _poll(self) -> None:
        while True:
            for number, polled in enumerate(self._polled):
                trouble = await self._look(polled)
                if trouble and self._troubles.get(number) != trouble:
                    _log.error("%s", trouble)
                self._troubles[number] = trouble
            await asyncio.sleep(EVERY_S)

    async def _look(self, polled: Polled) -> str:
        """Look after one thing; return what is wrong, or nothing."""
        try:
            for said in await asyncio.to_thread(polled.poll, self._clock.now()):
                _log.warning("%s", said)
        except StoreMissingError:
            pass  # the gateway has just begun, and nobody has made it yet
        except InputError as error:
            return str(error)
        except Exception:  # noqa: BLE001 - likewise
            _log.exception("something that is looked after now and then could not be; the rest is")
        return ""

    def _say(self) -> None:
        """Write down how it is."""
        intake, counts, spending = self._intake, self._counts, self._spending
        state = TrialsState(
            at_s=self._clock.now(),
            started_s=self._started_s,
            received_count=intake.received_count,
            waiting_count=len(intake),
            under_way_count=counts.under_way_count,
            dropped_count=intake.dropped_count + self._keeper.dropped_count,
            pairs_count=counts.pairs_count,
            outcomes_count=counts.outcomes_count,
            skipped=dict(counts.skipped),
            spent_usd=f"{spending.spent_usd:f}",
            budget_usd=f"{spending.budget_usd:f}",
            trouble=self._keeper.trouble,
        )
        try:
            write_state(Path(self._plan.folder), state)
        except OSError as error:
            _log.debug("how this process is cannot be written: %s", error)
