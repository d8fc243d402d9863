"""Questions as people write them: read the same way wherever they are asked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from breakeven.ledger.asked import moment_of, pair_of


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-11-21T14:00", datetime(2026, 11, 21, 14, tzinfo=UTC)),
        ("2026-11-21T14:00+02:00", datetime(2026, 11, 21, 12, tzinfo=UTC)),
        ("2026-11-21T14:00Z", datetime(2026, 11, 21, 14, tzinfo=UTC)),
    ],
)
def test_a_time_is_in_utc_unless_it_says_otherwise(text: str, moment: datetime) -> None:
    assert moment_of(text) == moment
    assert moment_of(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0001-01-01T00:00+14:00", "9999-12-31T23:00-05:00"])
def test_what_is_no_time_and_what_lies_beyond_the_calendar_are_refused_alike(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        moment_of(text)


def test_a_pair_has_two_sides_and_its_value_may_hold_the_sign_again() -> None:
    assert pair_of("key=search") == ("key", "search")
    assert pair_of("tag:env=a=b") == ("tag:env", "a=b")
    for text in ("key", "key=", ""):
        with pytest.raises(ValueError, match="LABEL=VALUE"):
            pair_of(text)
