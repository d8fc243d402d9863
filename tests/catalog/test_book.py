"""Looking things up: names in any case, near names offered, and twins that share their measurements."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from breakeven.errors import UnknownNameError
from breakeven.sources.catalogue import load_book

if TYPE_CHECKING:
    from breakeven.catalog.book import Book


@pytest.fixture
def book() -> Book:
    return load_book()


@pytest.mark.parametrize("name", ["h100-sxm", "H100", "H100-SXM5-80GB", "h100-80gb"])
def test_a_gpu_is_found_by_its_id_and_by_its_aliases_in_any_case(book: Book, name: str) -> None:
    assert book.gpu(name).id == "h100-sxm"


def test_an_unknown_name_offers_the_nearest_ones(book: Book) -> None:
    with pytest.raises(UnknownNameError, match=r"no GPU named 'h100-sxn'.* Did you mean h100-sxm"):
        book.gpu("h100-sxn")
    with pytest.raises(UnknownNameError, match=r"no open-weight model named 'llama-3.1-80b'.* llama-3.1-"):
        book.model("llama-3.1-80b")
    with pytest.raises(UnknownNameError, match=r"no price list named 'zzz'\.$"):
        book.price_list("zzz")


def test_a_model_is_known_by_the_name_of_its_repository(book: Book) -> None:
    assert book.model("meta-llama/Llama-3.1-8B-Instruct").id == "llama-3.1-8b"
    assert book.has_model("META-LLAMA/llama-3.1-8b-instruct")
    assert not book.has_model("gpt-4o")


def test_offers_of_a_gpu_come_cheapest_first(book: Book) -> None:
    prices = [offer.usd_per_gpu_hour for offer in book.rentals_of("h100-sxm")]
    assert len(prices) > 5
    assert prices == sorted(prices)


def test_a_model_is_as_fast_as_its_twin_in_architecture(book: Book) -> None:
    ours, twins = (book.measurements_of(name) for name in ("llama-3.3-70b", "llama-3.1-70b"))
    assert {row.model for row in ours} == {"llama-3.3-70b", "llama-3.1-70b"}
    assert set(ours) == set(twins)
    assert (ours[0].model, twins[0].model) == ("llama-3.3-70b", "llama-3.1-70b")
    own = [row for row in book.measurements if row.model == "llama-3.1-70b"]
    assert list(twins[: len(own)]) == own


def test_deepseek_r1_lends_its_measurements_to_v3_which_has_none_of_its_own(book: Book) -> None:
    assert {row.model for row in book.measurements_of("deepseek-v3")} == {"deepseek-r1"}


@pytest.mark.parametrize("field", ["layers", "kv_heads", "head_size", "total_parameters", "active_parameters"])
def test_a_model_that_differs_in_one_dimension_is_no_twin(book: Book, field: str) -> None:
    model = book.models["llama-3.3-70b"]
    other = replace(model, **{field: getattr(model, field) - 1})
    changed = replace(book, models={**book.models, model.id: other})
    assert {row.model for row in changed.measurements_of(model.id)} == {"llama-3.3-70b"}


def test_a_model_that_the_catalogue_does_not_describe_has_its_own_rows_only(book: Book) -> None:
    assert {row.model for row in book.measurements_of("llama-2-7b")} == {"llama-2-7b"}
    assert book.measurements_of("nobody") == ()


def test_replacing_an_assumption_leaves_the_book_it_came_from_alone(book: Book) -> None:
    own = replace(book.assumption("pue_ratio"), likely=1.3, as_of=date(2026, 1, 1))
    assert book.with_assumptions([own]).assumption("pue_ratio").likely == 1.3
    assert book.assumption("pue_ratio").likely == 1.54


def test_a_near_name_is_offered_once_however_many_aliases_it_has() -> None:
    with pytest.raises(UnknownNameError) as refused:
        load_book().gpu("h900")
    assert str(refused.value).endswith("Did you mean h200-sxm or h100-sxm?")
