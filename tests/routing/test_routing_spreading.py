"""Who goes to which of several targets: the same everywhere, alike many to each, and few move when one comes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.spreading import Spread
from breakeven.routing.sticking import place_of

UNITS = tuple(f"user\0k\0user-{number}" for number in range(20_000))


def nodes(count: int) -> dict[str, int]:
    return {f"own/n{number}": number for number in range(count)}


@given(st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=6), st.text(max_size=20))
def test_an_order_has_each_target_once_and_follows_from_names_alone(names: set[str], unit: str) -> None:
    numbers = {name: number for number, name in enumerate(sorted(names))}
    order = Spread(numbers).order(unit)
    assert sorted(order) == sorted(numbers.values())
    assert Spread(dict(reversed(numbers.items()))).order(unit) == order


def test_one_target_is_the_order_whatever_number_it_has() -> None:
    assert Spread({"new": 7}).order("anybody") == (7,)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_each_target_has_about_as_many_units_as_another(count: int) -> None:
    spread = Spread(nodes(count))
    for place in (0, 1):  # where they go first, and where those of a full one go
        found = Counter(spread.order(unit)[place] for unit in UNITS)
        assert all(abs(found[number] - len(UNITS) / count) < 0.2 * len(UNITS) / count for number in range(count))


def test_a_small_share_of_a_shift_is_spread_like_all() -> None:
    spread = Spread(nodes(2))
    found = Counter(spread.order(unit)[0] for unit in UNITS if place_of(1, unit) < 0.05)
    assert abs(found[0] / found.total() - 0.5) < 0.08  # 5 sigma of a thousand


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_a_target_that_is_added_takes_its_share_and_moves_nobody_else(count: int) -> None:
    before, after = Spread(nodes(count)), Spread(nodes(count + 1))
    moved = [unit for unit in UNITS if before.order(unit)[0] != after.order(unit)[0]]
    assert {after.order(unit)[0] for unit in moved} == {count}
    assert abs(len(moved) / len(UNITS) - 1 / (count + 1)) < 0.04
    for unit in UNITS[:200]:  # without the new one, the order is what it was
        assert tuple(number for number in after.order(unit) if number != count) == before.order(unit)


def test_the_units_of_a_target_that_is_full_go_to_all_the_others() -> None:
    spread = Spread(nodes(4))
    nexts = Counter(pair for unit in UNITS for pair in pairwise(spread.order(unit)[:2]))
    assert len(nexts) == 12
    assert min(nexts.values()) > len(UNITS) / 12 * 0.7
