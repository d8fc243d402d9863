"""Looks at the ledger and at the workers for what somebody should be told of: one method a kind of alert.

What is cheap is looked at every time; what sums up days only when another hour has closed.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from breakeven.console.worker_state import read_states
from breakeven.errors import BreakevenError, InputError
from breakeven.ledger.alert_facts import failed_since, new_prices
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.costs import Known
from breakeven.ledger.keys import list_keys
from breakeven.ledger.labels import pool_of
from breakeven.ledger.pools import kept_hours
from breakeven.ledger.query import Cards, Question, ask
from breakeven.ledger.store import StoreMissingError, connect, trouble_of
from breakeven.ledger.used import used_since
from breakeven.ledger.virtual import stored_hours, stored_virtual_pools
from breakeven.limits.rules import NANO, Rule, window_edges
from breakeven.studies.alerts import conditions as judge
from breakeven.studies.virtual.report import virtual_answer
from breakeven.wiring.ledger import SPOOL_NAME, LedgerPlace, look_into_spool
from breakeven.wiring.limits import keys_of_stored, sum_used
from breakeven.wiring.pools import closed_hours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from breakeven.limits.rules import Identity
    from breakeven.studies.alerts import Condition, Kind
    from breakeven.wiring.alert_plan import AlertsPlan

    Look = Callable[[float], Iterable[Condition]]

QUALITY_HOURS: Final = 6
"""Every so many hours outcomes are looked at: it reads rows, not sums."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_S: Final = 3600
_WINDOWS: Final[tuple[Literal["day", "month"], ...]] = ("day", "month")


class Looks:
    """What was seen so far, and what is looked at next."""

    def __init__(self, plan: AlertsPlan) -> None:
        self._plan = plan
        self._store = Path(plan.store)
        self._place = LedgerPlace(store=self._store, spool=Path(plan.folder) / SPOOL_NAME)
        self._spool_bytes: list[int] = []
        self._dropped: dict[tuple[int, float], int] | None = None
        self._looked: dict[Kind, int] = {}
        """By kind that is not looked at every time, the closed hour of its last look."""

        self.trouble: dict[Kind, str] = {}
        """Why a kind could not be looked at the last time."""

    def look(self, now_s: float) -> dict[Kind, tuple[Condition, ...]]:
        """Return what was found, by each kind that could be looked at now."""
        hour = closed_hours(now_s)
        looks: dict[Kind, tuple[Look, int]] = {
            "spooling": (self._spooling, 0),
            "errors": (self._errors, 0),
            "budget": (self._budgets, 0),
            "unknown_price": (self._unknown_prices, 0),
            "utilisation": (self._utilisation, 1),
            "break_even": (self._break_even, 1),
            "price_change": (self._prices, 1),
            "quality": (self._quality, QUALITY_HOURS),
        }
        found: dict[Kind, tuple[Condition, ...]] = {}
        for kind, (seen, hours) in looks.items():
            if kind in self._plan.off or hour < self._looked.get(kind, -hours) + hours:
                continue
            try:
                found[kind] = tuple(seen(now_s))
            except StoreMissingError:
                continue  # nothing has been moved yet
            except BreakevenError as error:
                self.trouble[kind] = str(error)
            else:
                self._looked[kind] = hour
                self.trouble.pop(kind, None)
        return found

    def _budgets(self, now_s: float) -> Iterator[Condition]:
        plan, edges = self._plan, self._plan.edges
        stored = [key for key in list_keys(self._store) if key.revoked_s is None] if self._store.is_file() else []
        own = {rule for key in stored for part in keys_of_stored(key, now_s) for rule in part.rules}
        rules = sorted({*plan.rules, *(rule for rule in own if rule.kind == "usd")})
        teams = {key.name: key.team for key in stored if key.team} | plan.teams
        totals = {"day": edges.day_usd, "month": edges.month_usd}
        found: list[judge.BudgetUsed] = []
        for window in _WINDOWS:
            since = datetime.fromtimestamp(window_edges(window, now_s)[0], UTC)
            wanted = [rule for rule in rules if rule.window == window]
            if wanted:
                counts: set[Identity] = {rule.counts for rule in wanted}
                parts = used_since(self._store, since, kept_hours(self._store))
                used = sum_used(parts, counts, teams, plan.providers)
                found += [_budget(rule, used[rule.counts], window) for rule in wanted]
            if totals[window]:
                paid_usd = self.paid_usd(since, now_s)
                budget_usd = Decimal(totals[window])
                found.append(
                    judge.BudgetUsed(whose="everything", window=window, budget_usd=budget_usd, used_usd=paid_usd)
                )
        yield from judge.of_budgets(found, edges.budget_fraction)

    def paid_usd(self, since: datetime, now_s: float) -> Decimal:
        """Return all that was paid since a full hour: API calls, pools' bills, and the present hour as it stands."""
        closed = _EPOCH + timedelta(hours=closed_hours(now_s))
        total_usd = Decimal(0)
        if since < closed:
            known = Known(closed_hours=closed_hours(now_s), declared=self._plan.pools, reads_rows=False)
            costs = ask_costs(self._store, Question(by=(), since=since), known)
            total_usd += sum((group.marginal_usd for group in costs.groups), Decimal(0))
            total_usd += sum((pool.bill_usd for pool in costs.pools), Decimal(0))
        rest = ask(self._store, Question(by=(), since=max(since, closed)))
        return total_usd + sum((total.cost_usd or Decimal(0) for total in rest), Decimal(0))

    def _utilisation(self, now_s: float) -> Iterator[Condition]:
        edges, closed = self._plan.edges, closed_hours(now_s)
        since = _EPOCH + timedelta(hours=closed - edges.use_hours)
        known = Known(closed_hours=closed, declared=self._plan.pools)
        costs = ask_costs(self._store, Question(by=(), since=since), known)
        uses = [
            judge.PoolUse(
                pool=pool.pool,
                hours=edges.use_hours,
                # Half of the time at least: a pool that has just begun has no day to be judged by.
                utilisation_fraction=pool.utilisation_fraction if pool.paid_s >= edges.use_hours * 1800 else None,
                idle_usd=pool.idle_usd,
            )
            for pool in costs.pools
        ]
        yield from judge.of_utilisation(uses, below_fraction=edges.below_fraction, back_fraction=edges.back_fraction)

    def _break_even(self, now_s: float) -> Iterator[Condition]:
        edges, closed = self._plan.edges, closed_hours(now_s)
        since = closed - 24 * edges.balance_days
        balances = [*self._virtual_balances(since, closed), *self._real_balances(since, now_s)]
        yield from judge.of_break_even(balances, edges.balance_margin_fraction)

    def _virtual_balances(self, since: int, closed: int) -> Iterator[judge.PoolBalance]:
        pools = stored_virtual_pools(self._store)
        if not pools:
            return
        try:
            with closing(connect(self._store, read_only=True, busy_s=10)) as connection:
                connection.execute("BEGIN")
                cards = Cards(connection)
                answers = [
                    virtual_answer(terms, list(stored_hours(connection, name, (since, closed))), cards.get)
                    for name, terms in pools.items()
                ]
        except sqlite3.Error as error:
            raise InputError(trouble_of(self._store, error)) from error
        for whole in (answer.whole for answer in answers if answer is not None):
            pool_usd = whole.bill_usd + whole.fixed_usd
            yield judge.PoolBalance(
                pool=whole.pool, is_virtual=True, days=whole.hours / 24, api_usd=whole.avoided_usd, pool_usd=pool_usd
            )

    def _real_balances(self, since: int, now_s: float) -> Iterator[judge.PoolBalance]:
        """Yield pools beside what the requests that they answered would have cost at today's model."""
        from breakeven.wiring.proof_savings import TODAY, SavingsQuestion, savings

        if not self._plan.pools:
            return
        begins = max(_EPOCH + timedelta(hours=since), _EPOCH)
        found = savings(self._place, None, SavingsQuestion(since=begins, against=(TODAY,)), now_s)
        (today,) = found.counterfactuals
        paid = {
            pool.name: sum(
                (line.amount_usd for line in found.paid if line.what == pool.name and line.kind != "evaluation"),
                Decimal(0),
            )
            for pool in self._plan.pools
        }
        for name, pool_usd in paid.items():
            lines = [line for line in today.lines if line.served_by == name]
            if not pool_usd or any(line.amount_usd is None for line in lines):
                continue
            yield judge.PoolBalance(
                pool=name,
                is_virtual=False,
                days=(found.ends - found.begins) / timedelta(days=1),
                api_usd=sum((line.amount_usd or Decimal(0) for line in lines), Decimal(0)),
                pool_usd=pool_usd,
                against="at today's model",
            )

    def _prices(self, now_s: float) -> Iterator[Condition]:
        changes = (judge.PriceChange(priced_as=name, processing=kind, before_usd=before, after_usd=after)
                   for name, kind, before, after in new_prices(self._store, int(now_s) // _HOUR_S))  # fmt: skip
        yield from judge.of_prices(changes, self._plan.edges.least_price_fraction)

    def _errors(self, now_s: float) -> Iterator[Condition]:
        hour, edges = int(now_s) // _HOUR_S, self._plan.edges
        lately, longer = failed_since(self._store, hour - 1), failed_since(self._store, hour - 5)
        counts = (
            judge.ErrorCounts(model=model or "(no model)", lately=lately.get(model, (0, 0)), longer=found)
            for model, found in longer.items()
        )
        yield from judge.of_errors(
            counts, objective_fraction=edges.objective_fraction, least_requests=edges.least_requests
        )

    def _quality(self, now_s: float) -> Iterator[Condition]:
        edges = self._plan.edges
        end = _EPOCH + timedelta(hours=closed_hours(now_s))
        middle = end - timedelta(days=edges.quality_days)
        begin = middle - timedelta(days=edges.quality_against_days)
        now, before = (self._successes(*bounds, now_s) for bounds in ((middle, end), (begin, middle)))
        found = (
            judge.Quality(subject=subject, now=now.get(subject, (0, 0)), before=known)
            for subject, known in before.items()
        )
        yield from judge.of_quality(found, drop_fraction=edges.drop_fraction, least_outcomes=edges.least_outcomes_count)

    def _successes(self, since: datetime, until: datetime, now_s: float) -> dict[str, tuple[int, int]]:
        """Return, by model and task, how many subjects are known to have done their job or not, and how many did."""
        from breakeven.ledger.outcome_costs import spending
        from breakeven.studies.outcomes import Asked, outcome_costs

        if not self._has_outcomes():
            return {}
        known = Known(closed_hours=closed_hours(now_s), declared=self._plan.pools)
        with spending(self._store, Question(since=max(since, _EPOCH), until=until), known) as spent:
            found = outcome_costs(spent, Asked(by=("model", "task")), until)
        return {
            " · ".join(label for label in group.labels if label) or "(no model)": (
                group.success_count + group.failure_count, group.success_count,
            )
            for group in found.groups
        }  # fmt: skip

    def _has_outcomes(self) -> bool:
        try:
            with closing(connect(self._store, read_only=True, busy_s=10)) as connection:
                return connection.execute("SELECT 1 FROM outcome LIMIT 1").fetchone() is not None
        except sqlite3.Error as error:
            raise InputError(trouble_of(self._store, error)) from error

    def _unknown_prices(self, now_s: float) -> Iterator[Condition]:
        hours = self._plan.edges.unpriced_hours
        since = datetime.fromtimestamp((int(now_s) // _HOUR_S - hours) * _HOUR_S, UTC)
        pools = {terms.name for terms in self._plan.pools}
        counts: dict[str, int] = {}
        for total in ask(self._store, Question(by=("target", "priced_as"), since=max(since, _EPOCH))):
            target, priced_as = total.labels
            if pool_of(target or "") not in pools:  # a pool's bill is known without a price of tokens
                name = priced_as or target or "(no target)"
                counts[name] = counts.get(name, 0) + total.unpriced_count
        yield from judge.of_unknown_prices(counts, hours)

    def _spooling(self, now_s: float) -> Iterator[Condition]:
        self._spool_bytes = [*self._spool_bytes[-1:], look_into_spool(self._place).size_bytes]
        states = read_states(Path(self._plan.folder), now_s)
        dropped = {(number, state.started_s): state.dropped_rows for number, state in states.items()}
        before = dropped if self._dropped is None else self._dropped
        new = sum(max(count - before.get(worker, 0), 0) for worker, count in dropped.items())
        self._dropped = before | dropped
        found = judge.Spooling(
            looks_bytes=tuple(self._spool_bytes),
            memory_count=sum(state.waiting_rows for state in states.values()),
            dropped_count=new,
        )
        yield from judge.of_spooling(found, self._plan.edges.waiting_bytes)


def _budget(rule: Rule, used: int, window: Literal["day", "month"]) -> judge.BudgetUsed:
    amounts = (Decimal(amount) / NANO for amount in (rule.amount, used))
    budget_usd, used_usd = amounts
    return judge.BudgetUsed(whose=f"{rule.scope} {rule.name}", window=window, budget_usd=budget_usd, used_usd=used_usd)
