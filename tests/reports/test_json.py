"""The JSON of a verdict: everything, and nothing that JSON does not know."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.reports.as_json import plain, to_json

if TYPE_CHECKING:
    from breakeven.studies.verdict.result import Verdict


def _read(text: str) -> Any:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_it_is_json_without_infinities_and_holds_every_field(azure: Verdict) -> None:
    found = _read(to_json(azure))
    assert set(found) == {item.name for item in fields(azure)}
    assert len(found["options"]) == len(azure.options)
    assert set(found["outlook"]) == {item.name for item in fields(azure.outlook)}
    assert len(found["outlook"]["months"]) == len(azure.outlook.months)
    assert found["forecast"]["bills"][0]["bill"]["likely_usd"] == azure.forecast.bills[0].bill.likely_usd
    assert found["rules"]["summary"] == azure.rules.summary if azure.rules else True


def test_an_options_levers_can_be_re_weighed_by_others(azure: Verdict) -> None:
    for option, row in zip(azure.options, plain(azure)["options"], strict=True):
        if option.levers is None:
            assert row["levers"] is None
        else:
            assert row["levers"]["needed_nodes"] == option.levers.needed_nodes
            assert set(row["levers"]) == {item.name for item in fields(option.levers)}


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_is_no_number_becomes_null(value: float) -> None:
    assert _read(to_json({"a": [value, 1.5]})) == {"a": [None, 1.5]}
