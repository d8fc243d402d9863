"""What the cost of declared pools follows from: their nodes and prices, weights, and a scenario's fixed lines.

What is heavy (settings, catalogue, estimator) is imported where it is used: the mover carries this module too.
"""

from __future__ import annotations

from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from breakeven.economics.allocation import GpuTime
from breakeven.economics.pool_hours import NodePrice, PaidNode, PoolTerms
from breakeven.errors import BreakevenError, InputError, MissingExtraError
from breakeven.ledger.pools import keep_pools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from breakeven.catalog.book import Book
    from breakeven.quantities import Values
    from breakeven.settings.pools import NodeEntry, PoolEntry

SETTLE_S: Final = 120.0
"""How long an hour stays open after its end: rows of its last requests have to be moved first."""

RETRY_S: Final = 60.0
TYPICAL_INPUT_TOKENS: Final = 1024
TYPICAL_OUTPUT_TOKENS: Final = 256
"""Lengths at which an estimate's third part, reading the KV cache, is given to output tokens.  It grows with both
lengths, and sums by the hour tell neither; a pool whose requests are far longer should say its own ``gpu_time``."""

DECLARED: Final = "as the settings say"


def closed_hours(now_s: float) -> int:
    """Return how many hours since 1970 are over and settled at a moment."""
    return int(now_s - SETTLE_S) // 3600


def declared_pools(config: Path | None) -> tuple[PoolTerms, ...]:
    """Return the pools that settings declare, virtual ones left out; none without settings.

    Raises ``InputError`` for a pool that is not well-formed, and where an estimate is asked for and cannot be made.
    """
    if config is None:
        return ()
    entries = declared_entries(config)
    return tuple(pool_terms(name, entry, config.parent) for name, entry in entries.items() if not entry.virtual)


def declared_entries(config: Path) -> Mapping[str, PoolEntry]:
    """Return the pools of settings as they are written.

    Nothing else in the settings matters here, least of all a missing secret.  Raises ``InputError`` for a pool that
    is not well-formed.
    """
    from pydantic import ValidationError

    from breakeven.settings.pools import PoolEntry
    from breakeven.sources.yaml_file import need_mapping, read_yaml

    document = read_yaml(config)
    need_mapping(document, "settings are a mapping of keys to values")
    written = document.data.get("pools")
    if not isinstance(written, dict | None):
        raise InputError(f"pools: in {config} is no mapping of names to pools, so nothing can be said of their cost.")
    entries: dict[str, PoolEntry] = {}
    for name, raw in (written or {}).items():
        try:
            entries[str(name)] = PoolEntry.model_validate(raw)
        except ValidationError:
            raise InputError(
                f"The pool {str(name)!r} in {config} is not well-formed, so nothing can be said of what it cost. "
                f"`breakeven config check {config}` says what is wrong with it."
            ) from None
    return entries


def gateway_pools(entries: Mapping[str, PoolEntry], folder: Path, warn: Callable[[str], None]) -> tuple[PoolTerms, ...]:
    """Return the pools that a gateway keeps the hours of, virtual ones left out.

    Where an estimate cannot be made, ``warn`` is told, and what is measured of the attempts stands in for it: a
    gateway starts all the same.
    """
    found = []
    for name, entry in entries.items():
        if entry.virtual:
            continue
        try:
            found.append(pool_terms(name, entry, folder))
        except BreakevenError as error:
            warn(
                f"pools.{name}: {error} Until then runs counts for nothing; hours without gpu_time are shared by the "
                "time that attempts took."
            )
            found.append(pool_terms(name, entry.model_copy(update={"runs": None}), folder))
    return tuple(found)


def pool_terms(name: str, entry: PoolEntry, folder: Path) -> PoolTerms:
    """Return what the cost of one pool follows from; ``folder`` is where its paths start.

    Raises ``InputError`` for a scenario that cannot be used, a model or a GPU that nobody knows, and an estimate that
    needs packages that are not there.
    """
    weights, basis = gpu_time_of(entry)
    first_usd, further_usd = fixed_usd_per_hour(entry, folder)
    nodes = tuple(zip(entry.node_names(), entry.nodes, strict=True))
    return PoolTerms(
        name=name,
        nodes=tuple(_paid(label, node, node.since) for label, node in nodes if node.since is not None),
        prices=(
            *(
                NodePrice(node=label, since_us=0, usd_per_hour=node.usd_per_hour)
                for label, node in nodes
                if node.usd_per_hour is not None
            ),
            *(
                NodePrice(node=item.node or "", since_us=_unix_us(item.since), usd_per_hour=item.usd_per_hour)
                for item in entry.prices
            ),
        ),
        gpu_time=weights,
        basis=basis,
        slots_count=entry.slots or 1,
        fixed_usd_per_hour=first_usd,
        further_node_usd_per_hour=further_usd,
    )


def gpu_time_of(entry: PoolEntry) -> tuple[GpuTime | None, str]:
    """Return what tokens take of a node, and where that is from: the settings, else an estimate, else nothing.

    Raises ``InputError`` where an estimate is asked for, by runs and hardware, and cannot be made.
    """
    own = entry.gpu_time
    if own is not None:
        weights = GpuTime(
            prefill_us=own.prefill_s_per_mtok, cached_us=own.cached_s_per_mtok, decode_us=own.decode_s_per_mtok
        )
        return weights, DECLARED
    if entry.runs is None or entry.hardware is None:
        return None, ""
    return _estimated(entry)


def fixed_usd_per_hour(entry: PoolEntry, folder: Path) -> tuple[Decimal, Decimal]:
    """Return what people, infrastructure and reliability cost an hour with one node, and what each further one adds.

    From the likely values of the pool's scenario, else of the catalogue, over the hours of a month.  An assumption
    becomes an amount here, to a millionth of a dollar; moving there once is no line of an hour's cost.
    """
    from breakeven.studies.verdict.lines import engineering_lines, infrastructure_lines, reliability_lines

    values, book = _values(entry, folder)

    def month_usd(nodes: int) -> float:
        found = (
            *engineering_lines(values, "self_hosted_engineering_fte", nodes=nodes),
            *infrastructure_lines(values, weights_gb=_weights_gb(entry, book)),
            *reliability_lines(values, "self_hosted"),
        )
        return float(sum(item.usd_per_month for item in found))

    hours = float(values["hours_per_month"])
    one, two = month_usd(1), month_usd(2)
    return Decimal(f"{one / hours:.6f}"), Decimal(f"{(two - one) / hours:.6f}")


class PoolHours:
    """Writes pools' hours down as they close; the mover asks it now and then."""

    __slots__ = ("_done", "_pools", "_retry_s", "_store")

    def __init__(self, store: Path, pools: Sequence[PoolTerms]) -> None:
        """Take the store and what is declared."""
        self._store = store
        self._pools = tuple(pools)
        self._done = 0
        self._retry_s = 0.0

    def poll(self, now_s: float) -> str:
        """Write what has closed since the last time; return what went wrong, or nothing."""
        closed = closed_hours(now_s)
        if closed <= self._done or now_s < self._retry_s or not (self._pools or self._store.exists()):
            return ""
        try:
            keep_pools(self._store, self._pools, closed, int(now_s * 1e6))
        except InputError as error:
            self._retry_s = now_s + RETRY_S
            return f"The hours of pools could not be written, and will be again in a minute: {error}"
        self._done = closed
        return ""


def _paid(name: str, node: NodeEntry, since: datetime) -> PaidNode:
    return PaidNode(name=name, since_us=_unix_us(since), until_us=None if node.until is None else _unix_us(node.until))


def _unix_us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def _estimated(entry: PoolEntry) -> tuple[GpuTime, str]:
    if find_spec("numpy") is None or find_spec("scipy") is None:
        raise MissingExtraError(
            "What tokens take of a node is estimated from runs and hardware, which needs packages that are not "
            "installed here. Install them with: pip install 'breakeven[plan]', or write gpu_time into the pool."
        )
    from breakeven.capacity.estimate import roofline_service
    from breakeven.sources.catalogue import load_book
    from breakeven.sources.roofline import load_roofline
    from breakeven.wiring.pool_text import deployment_of

    engine = entry.measured_engine
    precision = f":{entry.quantisation}" if entry.quantisation else ""
    text = f"{entry.hardware}:{entry.runs}{precision}"
    found = roofline_service(deployment_of(text, load_book(), engine=engine), load_roofline())
    if found is None:
        raise InputError(
            f"{text} does not fit: no request of usual length finds room on such a node, so what tokens take of it "
            "cannot be estimated. Correct runs, hardware or quantisation, or write gpu_time into the pool."
        )
    service = found.service
    held_tokens = TYPICAL_INPUT_TOKENS + TYPICAL_OUTPUT_TOKENS / 2
    weights = GpuTime(
        prefill_us=round(service.input_node_seconds * 1e6, 6),
        cached_us=0.0,
        decode_us=round((service.output_node_seconds + service.kv_node_seconds * held_tokens) * 1e6, 6),
    )
    return weights, f"estimated of {text} on {engine}: {service.basis}"


def _values(entry: PoolEntry, folder: Path) -> tuple[Values, Book]:
    from breakeven.sources.catalogue import load_book

    book = load_book()
    if entry.scenario is not None:
        from breakeven.sources.scenario import own_assumptions, read_scenario
        from breakeven.wiring.clock import current_date

        scenario, document = read_scenario(folder / entry.scenario)
        book = book.with_assumptions(own_assumptions(scenario, document, book, scenario.as_of or current_date()))
    return {key: item.likely for key, item in book.assumptions.items()}, book


def _weights_gb(entry: PoolEntry, book: Book) -> float:
    if entry.runs is None:
        return 0.0
    from breakeven.capacity.memory import SCALED_BITS, weights_gb

    model = book.model(entry.runs)
    precision = entry.quantisation or model.precisions[0]
    if precision not in SCALED_BITS:
        raise InputError(f"quantisation: {precision!r} is none of {', '.join(SCALED_BITS)}.")
    return weights_gb(model.total_parameters, precision)
