"""The bundled catalogue breaks no rule, and every rule fires on a catalogue that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from breakeven.catalog.book import Book
from breakeven.catalog.integrity import OTHER_MODELS, problems
from breakeven.catalog.models import SoldAs
from breakeven.catalog.rate_card import PriceEntry, PriceList, Tier, TokenPrice, TokenPrices
from breakeven.sources.catalogue import load_book
from breakeven.sources.genai import exact_price_list, known_targets

TODAY = date(2026, 11, 21)
TOMORROW = date(2026, 11, 22)

Break = Callable[[Book], Book]


def test_the_bundled_catalogue_breaks_no_rule() -> None:
    prices = [exact_price_list(target) for target in known_targets()]
    assert [str(problem) for problem in problems(load_book(), prices, today=TODAY)] == []


def test_every_other_model_is_still_measured_and_still_not_described() -> None:
    measured = {row.model for row in load_book().measurements}
    assert set(OTHER_MODELS) <= measured - set(load_book().models)


def _rental(**changes: Any) -> Break:
    return lambda book: replace(book, rentals=(replace(book.rentals[0], **changes), *book.rentals[1:]))


def _owned(kind: str, **changes: Any) -> Break:
    def broken(book: Book) -> Book:
        node = next(item for item in book.owned if item.kind == kind)
        return replace(book, owned=(replace(node, **changes),))

    return broken


def _row(**changes: Any) -> Break:
    return lambda book: replace(book, measurements=(replace(book.measurements[0], **changes),))


def _gpu(**changes: Any) -> Break:
    return lambda book: replace(book, gpus={**book.gpus, "l4": replace(book.gpus["l4"], **changes)})


def _model(name: str, /, **changes: Any) -> Break:
    return lambda book: replace(book, models={**book.models, name: replace(book.models[name], **changes)})


def _api_model(**changes: Any) -> Break:
    name = "openai:gpt-4o"
    return lambda book: replace(book, api_models={**book.api_models, name: replace(book.api_models[name], **changes)})


def _score(**changes: Any) -> Break:
    def broken(book: Book) -> Book:
        model = book.models["llama-3.1-8b"]
        quality = (replace(model.quality[0], **changes), *model.quality[1:])
        return replace(book, models={**book.models, model.id: replace(model, quality=quality)})

    return broken


def _assumption(name: str, /, **changes: Any) -> Break:
    return lambda book: replace(
        book, assumptions={**book.assumptions, name: replace(book.assumptions[name], **changes)}
    )


def _source(**changes: Any) -> Break:
    def broken(book: Book) -> Book:
        sources = book.measurement_sources
        return replace(book, measurement_sources={**sources, "inferencex": replace(sources["inferencex"], **changes)})

    return broken


def _twice(field: str, index: int = 0) -> Break:
    def broken(book: Book) -> Book:
        model = book.models["llama-3.1-8b"]
        values = getattr(model, field)
        return _model(model.id, **{field: (*values, values[index])})(book)

    return broken


BROKEN: dict[str, tuple[Break, str]] = {
    "an id that is not its key": (_gpu(id="l5"), "the id 'l5' is not unique"),
    "an id in capitals": (
        lambda book: replace(book, models={"X": replace(book.models["qwen3-8b"], id="X")}),
        "the id 'X' is not unique, or not in lower case",
    ),
    "an assumption's key that is not its key": (_assumption("pue_ratio", key="pue"), "the key 'pue' is not unique"),
    "an alias of another model": (_model("qwen3-8b", aliases=("Llama 3.1 8B",)), "2 entries go by this name"),
    "an alias of another GPU": (_gpu(aliases=("H100",)), "2 entries go by this name"),
    "a rental of an unknown GPU": (_rental(gpu="h100"), "no GPU has the id 'h100'"),
    "an owned node of an unknown GPU": (_owned("purchase", gpu="h100"), "no GPU has the id 'h100'"),
    "a measurement of an unknown GPU": (_row(gpu="h100"), "no GPU has the id 'h100'"),
    "a measurement of an unknown model": (_row(model="llama-9"), "no model has the id 'llama-9'"),
    "a measurement without its source": (_row(source="hearsay"), "no source has the key 'hearsay'"),
    "a free rental": (_rental(usd_per_gpu_hour=Decimal(0), usd_per_gpu_second=None), "0 USD for a GPU-hour is not"),
    "a rental priced by the node": (_rental(usd_per_gpu_hour=Decimal("98.32"), usd_per_gpu_second=None), "98.32 USD"),
    "a second that is not an hour's": (
        _rental(usd_per_gpu_hour=Decimal("1.10"), usd_per_gpu_second=Decimal("0.000306")),
        "0.000306 USD a second is 1.101600 an hour, not 1.10",
    ),
    "a node without GPUs": (_rental(gpus_per_node=0), "a node of 0 GPUs"),
    "a purchase without a price": (_owned("purchase", node_usd=None), "a purchase has node_usd"),
    "a modelled cost without a price": (_owned("modelled-tco", usd_per_gpu_hour=None), "a modelled cost has"),
    "a modelled cost of nothing": (_owned("modelled-tco", usd_per_gpu_hour=Decimal("0.01")), "0.01 USD for a GPU-hour"),
    "a price range upside down": (_owned("purchase", low_node_usd=Decimal(999_999)), "need 0 < low <= price <= high"),
    "a GPU without bandwidth": (_gpu(memory_gb_per_s=0), "a rate is not above 0"),
    "more active parameters than there are": (_model("qwen3-8b", active_parameters=10**12), "parameters active"),
    "a latent size without latent attention": (_model("qwen3-8b", kv_latent_size=512), "kv_latent_size goes with"),
    "latent attention without its size": (_model("deepseek-v3", kv_latent_size=None), "kv_latent_size goes with"),
    "a window without its layers": (_model("gemma-3-27b", sliding_window_layers=None), "go together"),
    "more sliding layers than layers": (_model("gemma-3-27b", sliding_window_layers=999), "999 of 62 layers"),
    "an unknown precision": (_model("qwen3-8b", precisions=("fp7",)), "unknown precisions: ['fp7']"),
    "a score in percent": (_score(score_fraction=73.0), "MMLU is 73.0: a score is a share"),
    "a score of nothing": (_score(score_fraction=0.0), "MMLU is 0.0: a score is a share"),
    "a score that stands twice": (_twice("quality"), "2 scores of MMLU"),
    "a score of tomorrow": (_score(as_of=TOMORROW), "dated 2026-11-22, after 2026-11-21"),
    "a score without a source": (_score(source=" "), "it has no source"),
    "a throughput of nothing": (_row(output_tokens_per_s=0), "are above 0"),
    "a throughput without input": (_row(isl_tokens=0), "are above 0"),
    "a measurement of unknown precision": (_row(precision="fp7"), "unknown precision 'fp7'"),
    "a GPU without a source": (_gpu(source=""), "l4: it has no source"),
    "a GPU of tomorrow": (_gpu(as_of=TOMORROW), "l4: dated 2026-11-22"),
    "a rental without a source": (_rental(source=""), "it has no source"),
    "a rental of tomorrow": (_rental(as_of=TOMORROW), "dated 2026-11-22"),
    "an owned node without a source": (_owned("purchase", source=""), "it has no source"),
    "a model released tomorrow": (_model("qwen3-8b", released=TOMORROW), "qwen3-8b released: dated 2026-11-22"),
    "a measurement of tomorrow": (_row(as_of=TOMORROW), "dated 2026-11-22"),
    "a source that names nobody": (_source(attribution=""), "inferencex: it has no source"),
    "an assumption without a source": (_assumption("pue_ratio", source=""), "pue_ratio: it has no source"),
    "an assumption of tomorrow": (_assumption("pue_ratio", as_of=TOMORROW), "pue_ratio: dated 2026-11-22"),
    "an assumption upside down": (_assumption("pue_ratio", low=3.0), "need low <= likely <= high, got 3, 1.54, 1.6"),
    "an unknown unit": (_assumption("pue_ratio", unit="percent"), "unknown unit 'percent'"),
    "a share in percent": (_assumption("slo_capacity_fraction", high=90.0), "a share lies between 0 and 1"),
    "an unknown basis": (_assumption("pue_ratio", basis="guess"), "unknown basis 'guess'"),
    "an unknown distribution": (_assumption("pue_ratio", distribution="normal"), "unknown distribution 'normal'"),
    "a fixed range": (_assumption("pue_ratio", distribution="fixed"), "fixed goes with one value"),
    "a range of one value": (_assumption("horizon_months", distribution="triangular"), "fixed goes with one value"),
    "a lognormal that can be 0": (_assumption("cold_start_s", low=0.0), "a lognormal number is above 0"),
    "an assumption without meaning": (_assumption("pue_ratio", meaning=""), "says nothing of what it means"),
    "a nameless seller": (_model("qwen3-8b", sold_as=(SoldAs(provider="", model="x"),)), "sold as :x"),
    "a cheaper model that nobody knows": (
        _api_model(cheaper="openai:gpt-0"),
        "cheaper model openai:gpt-0 is not known",
    ),
    "a model cheaper than itself": (_api_model(cheaper="openai:gpt-4o"), "or itself"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_catalogue_is_found_out(name: str) -> None:
    broken, expected = BROKEN[name]
    found = [str(problem) for problem in problems(broken(load_book()), today=TODAY)]
    assert any(expected in text for text in found), found


def _price(**changes: Any) -> PriceList:
    prices = changes.pop("prices", TokenPrices(input=TokenPrice(usd_per_mtok=Decimal(1))))
    fields = {"provider": "a", "model": "b", "source": "c", "entries": (PriceEntry(prices=prices),), **changes}
    return PriceList(**fields)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (_price(source=""), "prices a:b: it has no source."),
        (_price(checked_on=TOMORROW), "prices a:b: checked on 2026-11-22, after 2026-11-21."),
        (
            _price(prices=TokenPrices(output=TokenPrice(usd_per_mtok=Decimal(2500)))),
            "prices a:b: not plausible for a million tokens: 2500 USD.",
        ),
        (
            _price(
                prices=TokenPrices(
                    input=TokenPrice(
                        usd_per_mtok=Decimal(1),
                        tiers=tuple(Tier(over_tokens=n, usd_per_mtok=Decimal(2)) for n in (200_000, 100_000)),
                    )
                )
            ),
            "prices a:b: tiers out of order: [200000, 100000].",
        ),
    ],
)
def test_a_broken_price_list_is_found_out(item: PriceList, expected: str) -> None:
    empty = Book(
        gpus={}, rentals=(), owned=(), models={}, api_models={}, measurements=(), measurement_sources={}, assumptions={}
    )
    assert [str(problem) for problem in problems(empty, [item], today=TODAY)] == [expected]


def test_what_is_sold_must_have_a_price_list_once_price_lists_are_known() -> None:
    found = {problem.where: problem.what for problem in problems(load_book(), [_price()], today=TODAY)}
    assert found["models.yaml llama-3.1-405b"].startswith("sold as together:meta-llama/Meta-Llama-3.1-405B")
    assert found["api_models.yaml openai:gpt-4o"] == "it has no price list."
