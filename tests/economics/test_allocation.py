"""An hour's bill shared over what it served: nothing lost, nothing made, nothing moved by how it is cut up."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.economics.allocation import (
    UNIT_USD,
    GpuTime,
    allocate,
    allocate_units,
    corrections,
    units_of,
    usd_of,
)

UNITS = st.integers(0, 10**24)
WORK = st.lists(st.integers(0, 10**18), max_size=30)
PAID = st.integers(0, 10**19)


@given(bill=UNITS, work=WORK, paid=PAID)
def test_allocated_and_idle_are_the_bill_to_the_last_digit(bill: int, work: list[int], paid: int) -> None:
    bill_usd = usd_of(bill)
    shared = allocate(bill_usd, work, paid)
    assert units_of(shared.idle_usd) + sum(map(units_of, shared.allocated_usd)) == bill
    assert all(part >= 0 for part in (*shared.allocated_usd, shared.idle_usd))
    assert all(not part for part, piece in zip(shared.allocated_usd, work, strict=True) if not piece)


@given(bill=UNITS, work=WORK, paid=PAID)
def test_each_share_is_within_one_unit_of_its_exact_value(bill: int, work: list[int], paid: int) -> None:
    whole = max(paid, sum(work))
    for share, piece in zip(allocate_units(bill, work, paid), work, strict=True):
        exact = Fraction(bill * piece, whole) if whole else Fraction(0)
        assert abs(share - exact) < 1


@given(bill=UNITS, work=st.lists(st.integers(0, 10**18), min_size=1, max_size=20), paid=PAID, data=st.data())
def test_splitting_a_piece_changes_neither_its_sum_nor_any_other(
    bill: int, work: list[int], paid: int, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(work) - 1))
    part = data.draw(st.integers(0, work[place]))
    whole = allocate_units(bill, work, paid)
    split = allocate_units(bill, [*work[:place], part, work[place] - part, *work[place + 1 :]], paid)
    assert split[place] + split[place + 1] == whole[place]
    assert [*split[:place], *split[place + 2 :]] == [*whole[:place], *whole[place + 1 :]]


@given(bill=UNITS, work=WORK, paid=PAID, data=st.data())
def test_another_order_moves_a_share_by_less_than_a_unit_and_idle_by_nothing(
    bill: int, work: list[int], paid: int, data: st.DataObject
) -> None:
    places = data.draw(st.permutations(range(len(work))))
    before = allocate_units(bill, work, paid)
    after = allocate_units(bill, [work[place] for place in places], paid)
    assert sum(after) == sum(before)
    assert all(abs(after[at] - before[place]) <= 1 for at, place in enumerate(places))


@given(bill=st.integers(0, 10**18), work=WORK, paid=PAID, times=st.integers(1, 1000))
def test_a_price_that_is_so_many_times_as_high_multiplies_every_share(
    bill: int, work: list[int], paid: int, times: int
) -> None:
    single, many = allocate_units(bill, work, paid), allocate_units(bill * times, work, paid)
    assert all(abs(large - small * times) <= times for small, large in zip(single, many, strict=True))
    exact = [Fraction(bill * times * piece, max(paid, sum(work)) or 1) for piece in work]
    assert all(abs(share - wanted) < 1 for share, wanted in zip(many, exact, strict=True))


def test_an_idle_hour_is_all_idle_and_a_crowded_one_has_none() -> None:
    assert allocate(Decimal(5), [], 3600).idle_usd == 5
    assert allocate(Decimal(5), [0, 0], 3600).idle_usd == 5
    crowded = allocate(Decimal(5), [3000, 3000], 3600)
    assert crowded.allocated_usd == (Decimal("2.5"), Decimal("2.5"))
    assert crowded.idle_usd == 0


def test_half_an_hour_of_work_is_half_the_bill() -> None:
    shared = allocate(Decimal("5.00"), [900, 900], 3600)
    assert shared.allocated_usd == (Decimal("1.25"), Decimal("1.25"))
    assert shared.idle_usd == Decimal("2.5")


@pytest.mark.parametrize(
    ("bill_usd", "work", "paid"),
    [(Decimal("1e-13"), [1], 1), (Decimal(-1), [1], 1), (Decimal(1), [-1], 1), (Decimal(1), [1], -1)],
)
def test_what_is_no_bill_is_refused(bill_usd: Decimal, work: list[int], paid: int) -> None:
    with pytest.raises(ValueError, match="bill"):
        allocate(bill_usd, work, paid)


@given(
    st.lists(st.tuples(*[st.integers(0, 10**6)] * 4), min_size=1, max_size=20),
    *[st.floats(0, 1e5, allow_nan=False)] * 3,
)
def test_gpu_time_of_tokens_is_the_same_in_whatever_parts_it_is_summed(
    parts: list[tuple[int, int, int, int]], prefill_us: float, cached_us: float, decode_us: float
) -> None:
    weights = GpuTime(prefill_us=prefill_us, cached_us=cached_us, decode_us=decode_us)
    whole = [(fresh + cached, cached, 0, output) for fresh, cached, _, output in parts]
    summed = [sum(column) for column in zip(*whole, strict=True)]
    assert [sum(weights.work(whole))] == weights.work([summed])


def test_prefill_cached_and_decode_are_weighed_apart() -> None:
    weights = GpuTime(prefill_us=40, cached_us=1, decode_us=900)
    assert weights.work([(1_000_000, 0, 0, 0)]) == [40 * 10**12]
    assert weights.work([(1_000_000, 1_000_000, 0, 0)]) == [10**12]
    assert weights.work([(0, 0, 0, 1_000_000)]) == [900 * 10**12]


@given(st.decimals(0, 10**9, places=12), UNITS)
def test_dollars_and_units_are_the_same_amounts(amount_usd: Decimal, units: int) -> None:
    assert usd_of(units_of(amount_usd)) == amount_usd
    assert units_of(usd_of(units)) == units
    assert usd_of(1) == UNIT_USD


NAMED = st.lists(st.tuples(st.sampled_from(["search", "chat", ""]), st.decimals(0, 1000, places=12)), max_size=20)


@given(provisional=NAMED, allocated=NAMED)
def test_what_was_charged_and_its_correction_are_what_was_allocated(
    provisional: list[tuple[str, Decimal]], allocated: list[tuple[str, Decimal]]
) -> None:
    found = corrections(provisional, allocated)
    for name in ("search", "chat", ""):
        charged = sum(amount for whose, amount in provisional if whose == name)
        assert charged + found.get(name, 0) == sum(amount for whose, amount in allocated if whose == name)
    assert all(found.values())
