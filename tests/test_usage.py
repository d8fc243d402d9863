"""Typed token counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.usage import TokenUsage


@st.composite
def usages(draw: st.DrawFn) -> TokenUsage:
    plain, cached, written, output = (draw(st.integers(0, 10**9)) for _ in range(4))
    return TokenUsage(
        input_tokens=plain + cached + written,
        output_tokens=output,
        cached_input_tokens=cached,
        cache_write_tokens=written,
    )


@given(usages(), usages())
def test_usages_add_type_by_type_in_any_order(one: TokenUsage, other: TokenUsage) -> None:
    total = one + other
    assert total == other + one
    assert total.input_tokens == one.input_tokens + other.input_tokens
    assert total.cached_input_tokens == one.cached_input_tokens + other.cached_input_tokens
    assert total.cache_write_tokens == one.cache_write_tokens + other.cache_write_tokens
    assert total.total_tokens == one.total_tokens + other.total_tokens


def test_cached_tokens_are_parts_of_the_input_and_not_added_to_it() -> None:
    assert TokenUsage(input_tokens=10, output_tokens=5, cached_input_tokens=6, cache_write_tokens=4).total_tokens == 15


@pytest.mark.parametrize("field", ["input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens"])
def test_no_count_is_negative(field: str) -> None:
    with pytest.raises(ValueError, match=f"cannot be negative.*{field}=-1"):
        TokenUsage(**{"input_tokens": 10, "output_tokens": 10, field: -1})


def test_more_cached_than_input_tokens_are_refused_with_the_values() -> None:
    with pytest.raises(ValueError, match=r"parts of the input, and exceed it.*input_tokens=10"):
        TokenUsage(input_tokens=10, output_tokens=0, cached_input_tokens=6, cache_write_tokens=5)
