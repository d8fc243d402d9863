"""Joins what ``breakeven audit`` needs: a log, the tasks of its requests, prices and a task table."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError
from breakeven.wiring.clock import current_date
from breakeven.wiring.plan import PlanRequest, find_prices, require_plan_extra
from breakeven.wiring.traffic_read import read_traffic

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from breakeven.catalog.book import Book
    from breakeven.catalog.rate_card import PriceList
    from breakeven.routing.task_table import TaskTable
    from breakeven.studies.audit import Audit, Group
    from breakeven.traffic.trace import Trace

SHORT_TOKENS: Final = 20
"""Answers of a label, a choice, yes or no."""

MOST_TASKS: Final = 10_000
_BATCH_ROWS: Final = 10_000
_LONG_ANSWER_TOKENS: Final = 300
_SHORT_INPUT_TOKENS: Final = 1000
_LONG_INPUT_TOKENS: Final = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRequest:
    """What a person asked ``audit`` for."""

    traffic: PlanRequest
    """Files or a ledger, how they are read, and today's target."""

    smaller: str | None = None
    table: Path | None = None
    classifier: Path | None = None
    prompt: str | None = None
    """Column with the prompts, for the classifier."""


def run_audit(request: AuditRequest) -> Audit:
    """Read a log and say what its requests are for, and what a smaller target could take of them."""
    require_plan_extra()
    from breakeven.sources.task_files import read_table
    from breakeven.studies.audit.study import Observed, audit
    from breakeven.studies.verdict.token_price import PricingDay

    table = read_table(request.table) if request.table else None
    trace, grouped_by, seen = _labelled_trace(request)
    known = _known_prices(request, trace)
    lists = [item for item in (known.today, known.smaller) if item]
    boundaries = sorted({second for item in lists for second in item.day_boundaries_s()} - {0})
    groups = _groups(seen, lists, boundaries, trace.source)
    short, span_days = _also_seen(trace.table)
    observed = Observed(
        source=trace.source,
        grouped_by=grouped_by,
        rows_lost=trace.rows_lost,
        span_days=span_days,
        short_requests=short,
        notes=(*known.notes, *_table_notes(table, groups, known), *trace.notes, *map(str, trace.problems)),
    )
    day = PricingDay(on=known.on, boundaries_s=tuple(boundaries), timed=True)
    return audit(groups, observed, known.prices(day), table)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    today: PriceList
    smaller: PriceList | None
    input_ratio: float
    output_ratio: float
    on: Any
    notes: tuple[str, ...]

    def prices(self, day: Any) -> Any:
        from breakeven.studies.audit.study import Prices

        return Prices(
            today=self.today,
            smaller=self.smaller,
            day=day,
            input_ratio=self.input_ratio,
            output_ratio=self.output_ratio,
        )


def _labelled_trace(request: AuditRequest) -> tuple[Trace, str, Any]:
    """Return the log, by what its requests are grouped, and its table with that in the place of the model."""
    from dataclasses import replace

    traffic = request.traffic
    if (request.classifier is None) != (request.prompt is None):
        raise InputError(
            "Tasks are told from prompts by a classifier: give both --classifier FILE and --prompt COLUMN."
        )
    if request.prompt is not None:
        if _is_ledger(traffic):
            raise InputError("A ledger holds no prompts; its tasks are those that requests named (x-breakeven-task).")
        traffic = replace(traffic, columns={**traffic.columns, "task": request.prompt})
    trace = _read(traffic)
    if trace.kind != "trace":
        raise InputError(
            f"{trace.source} holds totals, {'a bill' if trace.kind == 'bill' else 'windows'}, and an audit looks at "
            f"single "
            "requests. Give a log with one row a request, or the gateway's ledger: breakeven audit ledger:."
        )
    column = trace.table.task
    if request.classifier is not None:
        return trace, "classifier", _told_by(request.classifier, trace)
    (counted,) = trace.table.aggregate(named=column.count()).to_pyarrow().to_pylist()
    if counted["named"]:
        return trace, "task", trace.table.mutate(model=column.fill_null(""))
    return trace, "shape", trace.table.mutate(model=_shape(trace.table))


def _is_ledger(traffic: PlanRequest) -> bool:
    from breakeven.wiring.ledger_trace import is_ledger

    return any(is_ledger(item) for item in traffic.files)


def _read(traffic: PlanRequest) -> Trace:
    if not traffic.files:
        raise InputError("There is no log to look at. Give one, or the gateway's ledger: breakeven audit ledger:.")
    return read_traffic(
        traffic.files, columns=traffic.columns, zone=traffic.zone, tolerate_fraction=traffic.tolerate_fraction
    )


def _dominant(trace: Trace) -> str:
    """Return what most tokens went to: in a ledger a ``provider:model``, else the model that the log names."""
    from breakeven.traffic.dominant import dominant_model
    from breakeven.wiring.ledger_trace import dominant_target

    named = dominant_target(trace) or dominant_model(trace)
    if named is None:
        raise InputError("The log does not say what serves it now, so it cannot be priced. Name it: --today gpt-4o.")
    return named


def _told_by(path: Path, trace: Trace) -> Any:
    """Return the table with the tasks that a classifier tells from prompts, which stand in its task column."""
    import ibis
    import pyarrow as pa

    from breakeven.routing.task_classifier import classified
    from breakeven.sources.task_files import read_classifier

    model = read_classifier(path)
    prompts = trace.table.select(prompt=trace.table.task).filter(lambda t: t.prompt.notnull()).distinct()
    keyed = prompts.mutate(key=prompts.prompt.hash())
    cursor = keyed.get_backend().raw_sql(str(ibis.to_sql(keyed)))
    keys, tasks = array("q"), []
    while found := cursor.fetchmany(_BATCH_ROWS):
        for prompt, key in found:
            task, _ = classified(model, prompt)
            if task:
                keys.append(key)
                tasks.append(task)
    told = ibis.memtable(pa.table({"told_key": pa.array(keys, pa.int64()), "told": pa.array(tasks, pa.string())}))
    hashed = trace.table.mutate(told_key=trace.table.task.hash())
    joined = hashed.left_join(told, "told_key")
    return joined.mutate(model=joined.told.fill_null(""))


def _shape(table: Any) -> Any:
    """Return what can be told of a request by its lengths: how much it is given, how much it answers."""
    import ibis

    given, made = table.input_tokens, table.output_tokens
    asked = ibis.cases(
        (given <= _SHORT_INPUT_TOKENS, "short input"), (given <= _LONG_INPUT_TOKENS, "medium input"), else_="long input"
    )
    answer = ibis.cases(
        (made <= SHORT_TOKENS, "short answer"), (made <= _LONG_ANSWER_TOKENS, "medium answer"), else_="long answer"
    )
    return asked + ", " + answer


def _groups(seen: Any, lists: Sequence[PriceList], boundaries: Sequence[int], source: str) -> list[Group]:
    from breakeven.studies.audit import Group
    from breakeven.traffic.categories import cells_of, sums_by_category
    from breakeven.traffic.schema import PROCESSING

    thresholds = sorted({tokens for item in lists for tokens in item.thresholds_tokens()})
    said: Collection[str] = (PROCESSING,)
    found: dict[str, list[Any]] = defaultdict(list)
    for row in sums_by_category(seen, said, thresholds, boundaries):
        found[row["model"] or ""].append(row)
    if len(found) > MOST_TASKS:
        raise InputError(
            f"{source} names {len(found):,} tasks, more than {MOST_TASKS:,}: the column numbers requests rather than "
            "grouping them. Name another: --column task=COLUMN."
        )
    return [Group(name=name, cells=cells_of(rows)) for name, rows in sorted(found.items())]


def _also_seen(table: Any) -> tuple[int, float | None]:
    """Return how many answers were short, and the days from the first request to the last."""
    from breakeven.traffic.sums import microseconds_of

    at = microseconds_of(table)
    sums = table.aggregate(short=(table.output_tokens <= SHORT_TOKENS).sum(), first=at.min(), last=at.max())
    (row,) = sums.to_pyarrow().to_pylist()
    span_days = (row["last"] - row["first"]) / 86_400e6
    return int(row["short"] or 0), span_days or None


def _known_prices(request: AuditRequest, trace: Trace) -> _Known:
    """Return the prices of today's target and of the smaller one."""
    from breakeven.errors import NoPriceError, UnknownNameError
    from breakeven.sources.catalogue import load_book
    from breakeven.studies.verdict.token_price import transfer_ratios

    book = load_book()
    on = request.traffic.as_of or current_date()
    today = find_prices(book, request.traffic.today or _dominant(trace))
    name = request.smaller or _cheaper(book, today)
    notes = []
    smaller = None
    if name:
        try:
            smaller = find_prices(book, name)
        except (UnknownNameError, NoPriceError):
            if request.smaller:
                raise
    if smaller is None:
        notes.append("No smaller target is named (--smaller NAME), so nothing is said of a saving.")
    values = {key: book.assumption(key).likely for key in ("tokeniser_ratio", "verbosity_ratio")}
    same = smaller is not None and smaller.target == today.target
    given, made = transfer_ratios(values, same_model=same)
    if smaller is not None and not same:
        notes.append(
            f"Counts do not transfer: at {smaller.target} input is taken as {float(given):g} and output as "
            f"{float(made):g} times today's, as the catalogue assumes."
        )
    return _Known(
        today=today,
        smaller=smaller,
        input_ratio=float(given),
        output_ratio=float(made),
        on=on,
        notes=tuple(notes),
    )


def _cheaper(book: Book, today: PriceList) -> str | None:
    own = book.api_models.get(today.target)
    return own.cheaper if own else None


def _table_notes(table: TaskTable | None, groups: Sequence[Group], known: _Known) -> list[str]:
    """Say what of a table does not fit the log."""
    if table is None:
        return []
    found = []
    names = {group.name for group in groups}
    if not names & {row.task for row in table.rows}:
        found.append(
            f"No task of the table ({', '.join(sorted(row.task for row in table.rows)[:5])}) is one of the log's "
            f"({', '.join(sorted(names)[:5]) or 'none'}), so nothing is allowed."
        )
    if known.smaller is not None and table.weak not in (known.smaller.target, known.smaller.model):
        found.append(
            f"The table was measured on {table.weak} against {table.strong}, and is priced as {known.smaller.target} "
            f"against {known.today.target}: it holds only if these are the same models."
        )
    return found
