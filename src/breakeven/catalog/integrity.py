"""What must hold in every catalogue, checked on a whole book: names that refer, prices that can be, dates, units.

Pure: the book and the day are passed in.  It finds contradictions and slips of the pen; whether a figure is
true only its source can say.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Final, get_args

from breakeven.catalog.assumptions import Basis, Distribution
from breakeven.catalog.models import BITS_PER_WEIGHT
from breakeven.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import date

    from breakeven.catalog.book import Book
    from breakeven.catalog.hardware import Measurement, OwnedNode, Rental
    from breakeven.catalog.models import Score
    from breakeven.catalog.rate_card import PriceList

USD_PER_GPU_HOUR: Final = (Decimal("0.05"), Decimal(50))
"""Dearer or cheaper offers than any that was ever seen are slips of the pen."""

USD_PER_MTOK_MOST: Final = Decimal(1000)

UNITS: Final = frozenset(
    {
        "1/month", "1/year", "FTE", "USD", "USD/GB/month", "USD/GPU/hour", "USD/hour", "USD/kW/month", "USD/kWh",
        "USD/month", "USD/year", "fraction", "hours", "hours/month", "months", "nodes", "ratio", "s", "tokens", "weeks",
        "years",
    }
)  # fmt: skip
"""The units of assumptions."""

OTHER_MODELS: Final[Mapping[str, str]] = {
    "llama-2-7b": "measured in an early release; superseded, so not offered; keeps the service model's error honest",
    "llama-2-70b": "as llama-2-7b",
    "mistral-7b": "version not stated by the source, and the catalogue holds v0.3 only",
    "deepseek-v3.1": "one row; later weights than the catalogue's deepseek-v3",
    "glm-5": "measured, but its architecture is not sourced yet",
    "kimi-k2.5": "as glm-5",
    "minimax-m2.5": "as glm-5",
    "qwen3.5-397b-a17b": "as glm-5",
}
"""Models with measured throughput that the catalogue does not describe, and why the rows are kept."""


def problems(book: Book, price_lists: Iterable[PriceList] = (), *, today: date) -> tuple[Problem, ...]:
    """Return everything in the book that breaks a rule.

    With ``price_lists`` the targets that models and makers are sold as must be among them; without,
    only their form is checked.
    """
    prices = {item.target: item for item in price_lists}
    found = [problem for rule in _RULES for problem in rule(book)]
    found += _dates_and_sources(book, today)
    found += _targets(book, prices)
    found += [problem for item in prices.values() for problem in _price_list(item, today)]
    return tuple(found)


def _ids(book: Book) -> Iterator[Problem]:
    for file, entries in (("gpus.yaml", book.gpus), ("models.yaml", book.models), ("api_models.yaml", book.api_models)):
        for key, entry in entries.items():
            if entry.id != key or key != key.lower():
                yield _broken(file, key, f"the id {entry.id!r} is not unique, or not in lower case.")
    for file, keys in (("throughput_sources.yaml", book.measurement_sources), ("assumptions.yaml", book.assumptions)):
        for key, item in keys.items():
            if item.key != key or key != key.lower():
                yield _broken(file, key, f"the key {item.key!r} is not unique, or not in lower case.")


def _aliases(book: Book) -> Iterator[Problem]:
    for file, entries in (("gpus.yaml", book.gpus), ("models.yaml", book.models)):
        names = Counter(
            name for entry in entries.values() for name in {entry.id, *(alias.lower() for alias in entry.aliases)}
        )
        for name, count in names.items():
            if count > 1:
                yield _broken(file, name, f"{count} entries go by this name.")


def _references(book: Book) -> Iterator[Problem]:
    for rental in book.rentals:
        if rental.gpu not in book.gpus:
            yield _broken("rentals.yaml", _of_rental(rental), f"no GPU has the id {rental.gpu!r}.")
    for node in book.owned:
        if node.gpu not in book.gpus:
            yield _broken("owned.yaml", _of_node(node), f"no GPU has the id {node.gpu!r}.")
    for row in book.measurements:
        where = _of_measurement(row)
        if row.gpu not in book.gpus:
            yield _broken("throughput.csv", where, f"no GPU has the id {row.gpu!r}.")
        if row.model not in book.models and row.model not in OTHER_MODELS:
            yield _broken("throughput.csv", where, f"no model has the id {row.model!r}.")
        if row.source not in book.measurement_sources:
            yield _broken("throughput.csv", where, f"no source has the key {row.source!r}.")


def _rentals(book: Book) -> Iterator[Problem]:
    for offer in book.rentals:
        where = _of_rental(offer)
        hourly, secondly = offer.usd_per_gpu_hour, offer.usd_per_gpu_second
        if not _is_plausible(hourly):
            yield _broken("rentals.yaml", where, f"{hourly} USD for a GPU-hour is not plausible.")
        if secondly is not None and secondly * 3600 != hourly:
            yield _broken("rentals.yaml", where, f"{secondly} USD a second is {secondly * 3600} an hour, not {hourly}.")
        if offer.gpus_per_node < 1:
            yield _broken("rentals.yaml", where, f"a node of {offer.gpus_per_node} GPUs.")


def _owned(book: Book) -> Iterator[Problem]:
    for node in book.owned:
        where = _of_node(node)
        if (node.node_usd is None) == (node.kind == "purchase"):
            yield _broken("owned.yaml", where, "a purchase has node_usd, a modelled cost has none.")
        if (node.usd_per_gpu_hour is None) == (node.kind == "modelled-tco"):
            yield _broken("owned.yaml", where, "a modelled cost has usd_per_gpu_hour, a purchase has none.")
        if node.usd_per_gpu_hour is not None and not _is_plausible(node.usd_per_gpu_hour):
            yield _broken("owned.yaml", where, f"{node.usd_per_gpu_hour} USD for a GPU-hour is not plausible.")
        if node.node_usd is not None:
            low, high = node.low_node_usd or node.node_usd, node.high_node_usd or node.node_usd
            if not 0 < low <= node.node_usd <= high:
                yield _broken(
                    "owned.yaml", where, f"need 0 < low <= price <= high, got {low}, {node.node_usd}, {high}."
                )


def _gpus(book: Book) -> Iterator[Problem]:
    for gpu in book.gpus.values():
        rates = (gpu.memory_gb, gpu.memory_gb_per_s, gpu.bf16_tflops, gpu.tdp_w, gpu.fp8_tflops, gpu.fp4_tflops)
        if min(rate for rate in rates if rate is not None) <= 0:
            yield _broken("gpus.yaml", gpu.id, f"a rate is not above 0: {rates}.")


def _models(book: Book) -> Iterator[Problem]:
    for model in book.models.values():
        if not 0 < model.active_parameters <= model.total_parameters:
            what = f"{model.active_parameters:,} of {model.total_parameters:,} parameters active."
            yield _broken("models.yaml", model.id, what)
        if (model.attention == "mla") != (model.kv_latent_size is not None):
            yield _broken("models.yaml", model.id, "kv_latent_size goes with attention mla, and only with it.")
        if (model.sliding_window_tokens is None) != (model.sliding_window_layers is None):
            yield _broken("models.yaml", model.id, "sliding_window_tokens and sliding_window_layers go together.")
        if (model.sliding_window_layers or 0) > model.layers:
            yield _broken("models.yaml", model.id, f"{model.sliding_window_layers} of {model.layers} layers slide.")
        unknown = sorted(set(model.precisions) - set(BITS_PER_WEIGHT))
        if unknown or not model.precisions:
            yield _broken("models.yaml", model.id, f"unknown precisions: {unknown}.")


def _scores(book: Book) -> Iterator[Problem]:
    for where, scores in _scored(book):
        for score in scores:
            if not 0 < score.score_fraction <= 1:
                what = f"{score.benchmark} is {score.score_fraction}: a score is a share."
                yield _broken(where[0], where[1], what)
        for (benchmark, setting), count in Counter((score.benchmark, score.setting) for score in scores).items():
            if count > 1:
                yield _broken(where[0], where[1], f"{count} scores of {benchmark} ({setting}).")


def _measurements(book: Book) -> Iterator[Problem]:
    for row in book.measurements:
        where = _of_measurement(row)
        counts = (row.gpus, row.isl_tokens, row.osl_tokens, row.concurrency_count or 1)
        if row.output_tokens_per_s <= 0 or min(counts) < 1 or min(row.ttft_ms or 1, row.tpot_ms or 1) <= 0:
            yield _broken("throughput.csv", where, "throughput, lengths, counts and times are above 0.")
        if row.precision not in BITS_PER_WEIGHT:
            yield _broken("throughput.csv", where, f"unknown precision {row.precision!r}.")


def _assumptions(book: Book) -> Iterator[Problem]:
    for item in book.assumptions.values():
        values = f"{item.low:g}, {item.likely:g}, {item.high:g}"
        broken = {
            f"need low <= likely <= high, got {values}.": not item.low <= item.likely <= item.high,
            f"unknown unit {item.unit!r}.": item.unit not in UNITS,
            f"a share lies between 0 and 1, got {values}.": item.unit == "fraction"
            and not 0 <= item.low <= item.high <= 1,
            f"unknown basis {item.basis!r}.": item.basis not in get_args(Basis),
            f"unknown distribution {item.distribution!r}.": item.distribution not in get_args(Distribution),
            f"fixed goes with one value, and only with one: {values}.": (
                (item.distribution == "fixed") != (item.low == item.high)
            ),
            f"a lognormal number is above 0, got {values}.": item.distribution == "lognormal" and item.low <= 0,
            "it says nothing of what it means.": not item.meaning.strip(),
        }
        yield from (_broken("assumptions.yaml", item.key, what) for what, is_broken in broken.items() if is_broken)


_RULES: Final[tuple[Callable[[Book], Iterator[Problem]], ...]] = (
    _ids,
    _aliases,
    _references,
    _rentals,
    _owned,
    _gpus,
    _models,
    _scores,
    _measurements,
    _assumptions,
)


def _dates_and_sources(book: Book, today: date) -> Iterator[Problem]:
    for file, where, as_of, source in _dated(book):
        if as_of is not None and as_of > today:
            yield _broken(file, where, f"dated {as_of}, after {today}.")
        if not source.strip():
            yield _broken(file, where, "it has no source.")


def _dated(book: Book) -> Iterator[tuple[str, str, date | None, str]]:
    """Yield the file, the entry, the date and the source of everything; only measurements may be undated."""
    yield from (("gpus.yaml", gpu.id, gpu.as_of, gpu.source) for gpu in book.gpus.values())
    yield from (("rentals.yaml", _of_rental(item), item.as_of, item.source) for item in book.rentals)
    yield from (("owned.yaml", _of_node(item), item.as_of, item.source) for item in book.owned)
    for model in book.models.values():
        yield "models.yaml", model.id, model.as_of, model.source
        yield "models.yaml", f"{model.id} released", model.released, model.source
    for (file, where), scores in _scored(book):
        yield from ((file, f"{where} {score.benchmark}", score.as_of, score.source) for score in scores)
    yield from (("throughput.csv", _of_measurement(row), row.as_of, row.source) for row in book.measurements)
    for origin in book.measurement_sources.values():
        said = origin.url.strip() and origin.licence.strip() and origin.attribution.strip()
        yield "throughput_sources.yaml", origin.key, None, said
    yield from (("assumptions.yaml", item.key, item.as_of, item.source) for item in book.assumptions.values())


def _targets(book: Book, prices: Mapping[str, PriceList]) -> Iterator[Problem]:
    """Check that what is sold somewhere has prices there, and that a cheaper model is known."""
    for model in book.models.values():
        for item in model.sold_as:
            if not item.provider.strip() or not item.model.strip() or (prices and item.target not in prices):
                yield _broken("models.yaml", model.id, f"sold as {item.target}, which has no price list.")
    for own in book.api_models.values():
        if prices and own.id not in prices:
            yield _broken("api_models.yaml", own.id, "it has no price list.")
        known = own.cheaper is None or own.cheaper in book.api_models or own.cheaper in prices
        if not known or own.cheaper == own.id:
            yield _broken("api_models.yaml", own.id, f"its cheaper model {own.cheaper} is not known, or itself.")


def _price_list(item: PriceList, today: date) -> Iterator[Problem]:
    if not item.source.strip():
        yield _broken("prices", item.target, "it has no source.")
    if item.checked_on is not None and item.checked_on > today:
        yield _broken("prices", item.target, f"checked on {item.checked_on}, after {today}.")
    for entry in item.entries:
        token_prices = (entry.prices.input, entry.prices.output, entry.prices.cached_input, entry.prices.cache_write)
        for price in token_prices:
            if price is None:
                continue
            steps = [tier.over_tokens for tier in price.tiers]
            if steps != sorted(set(steps)):
                yield _broken("prices", item.target, f"tiers out of order: {steps}.")
            quoted = (price.usd_per_mtok, *(tier.usd_per_mtok for tier in price.tiers))
            if not 0 <= min(quoted) <= max(quoted) <= USD_PER_MTOK_MOST:
                yield _broken("prices", item.target, f"not plausible for a million tokens: {max(quoted)} USD.")


def _scored(book: Book) -> Iterator[tuple[tuple[str, str], tuple[Score, ...]]]:
    yield from ((("models.yaml", model.id), model.quality) for model in book.models.values())
    yield from ((("api_models.yaml", model.id), model.quality) for model in book.api_models.values())


def _is_plausible(usd_per_gpu_hour: Decimal) -> bool:
    return USD_PER_GPU_HOUR[0] <= usd_per_gpu_hour <= USD_PER_GPU_HOUR[1]


def _of_rental(item: Rental) -> str:
    return f"{item.gpu} {item.provider} {item.purchase}"


def _of_node(item: OwnedNode) -> str:
    return f"{item.gpu} {item.kind}"


def _of_measurement(row: Measurement) -> str:
    return f"{row.model} {row.gpus}x{row.gpu} {row.precision} {row.engine} {row.isl_tokens}/{row.osl_tokens}"


def _broken(file: str, entry: str, what: str) -> Problem:
    return Problem(where=f"{file} {entry}", what=what)
