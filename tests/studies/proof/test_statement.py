"""A month's statement reconciles to the last digit, and each way of not reconciling is told with its reason."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proven import (
    AFTER_S,
    BEGIN_US,
    BEGINS,
    DAY_US,
    FIXED_USD_PER_HOUR,
    NODE_USD_PER_HOUR,
    pool,
    put,
    traffic,
    two_days,
)
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.errors import BreakevenError, InputError
from breakeven.ledger import rows
from breakeven.ledger.allocated import ask_costs
from breakeven.ledger.costs import Known
from breakeven.ledger.invoiced import charged
from breakeven.ledger.pools import keep_pools
from breakeven.ledger.query import Question, ask, sum_of
from breakeven.studies.proof.reasons import (
    CACHED,
    NO_TOKENS,
    NOT_BILLED,
    OTHER_ZONE,
    ROUNDED,
    UNSEEN,
)
from breakeven.studies.proof.statement import cents, same_model
from breakeven.wiring.proof_statement import month_of, statement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from breakeven.studies.proof.statement import Seller, Statement
    from breakeven.wiring.ledger import LedgerPlace

MONTH = date(2026, 11, 1)
POOL_HOURS = 12
PRICES = {
    "openai:big": {"input": "2.50", "cached input": "1.25", "output": "10"},
    "anthropic:small": {"input": "0.25", "cached input": "0.025", "output": "1.25"},
}
TOKEN_TYPES = {"input": "uncached_input_tokens", "cached input": "cache_read_input_tokens", "output": "output_tokens"}
Amounts = dict[tuple[date, str], Decimal]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> LedgerPlace:
    return two_days(tmp_path_factory.mktemp("statement"))


def amounts(seller: str) -> Amounts:
    """Work out what a provider would charge, by day and kind, from the traffic alone."""
    found: Amounts = defaultdict(Decimal)
    for item in traffic():
        if not item["priced_as"].startswith(f"{seller}:") or item.get("outcome") == rows.CACHED:
            continue
        day = datetime.fromtimestamp(item["at_us"] / 1e6, UTC).date()
        cached = item["cached_input_tokens"]
        counts = {"input": item["input_tokens"] - cached, "cached input": cached, "output": item["output_tokens"]}
        for kind, tokens in counts.items():
            found[day, kind] += Decimal(PRICES[item["priced_as"]][kind]) * tokens / 1_000_000
    return found


def openai_file(folder: Path, found: Amounts, model: str = "big-2026-08-06") -> Path:
    """Write a costs export as the API gives it."""
    buckets: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for (day, kind), usd in found.items():
        line_item = f"{model}, {kind}" if kind in TOKEN_TYPES else kind
        buckets[day].append({"amount": {"value": f"{usd}", "currency": "usd"}, "line_item": line_item})
    data = [
        {"start_time": int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()), "results": results}
        for day, results in sorted(buckets.items())
    ]
    path = folder / "openai.json"
    path.write_text(json.dumps({"object": "page", "data": data, "has_more": False}), encoding="utf-8")
    return path


def anthropic_file(folder: Path, found: Amounts, *, digits: int | None = None) -> Path:
    """Write a cost report as the API gives it (cents), or a Console CSV rounded to so many digits of a dollar."""
    if digits is not None:
        lines = [f"{day},Small,{TOKEN_TYPES[kind]},{round(usd, digits)},token" for (day, kind), usd in found.items()]
        path = folder / "anthropic.csv"
        path.write_text("\n".join(["usage_date_utc,model,token_type,cost_usd,cost_type", *lines]), encoding="utf-8")
        return path
    data = [
        {
            "starting_at": f"{day}T00:00:00Z",
            "results": [{"amount": f"{usd * 100}", "currency": "USD", "cost_type": "tokens", "model": "small",
                         "token_type": TOKEN_TYPES[kind], "description": "Small"}],
        }
        for (day, kind), usd in found.items()
    ]  # fmt: skip
    path = folder / "anthropic.json"
    path.write_text(json.dumps({"data": data, "has_more": False}), encoding="utf-8")
    return path


def rent_file(folder: Path, usd: Decimal) -> Path:
    path = folder / "rent.csv"
    path.write_text(f"day,seller,item,amount_usd\n2026-11-01,llama,node,{usd}\n", encoding="utf-8")
    return path


def stated(place: LedgerPlace, *files: Path) -> Statement:
    return statement(place, None, MONTH, files, AFTER_S)


def seller(found: Statement, name: str = "openai") -> Seller:
    return next(item for item in found.sellers if item.name == name)


def changed(found: Amounts, change: Callable[[date, str, Decimal], Decimal]) -> Amounts:
    return {(day, kind): change(day, kind, usd) for (day, kind), usd in found.items()}


def test_invoices_and_the_pools_bill_are_the_ledger_to_the_last_digit(place: LedgerPlace, tmp_path: Path) -> None:
    rent_usd = POOL_HOURS * NODE_USD_PER_HOUR
    found = stated(
        place,
        openai_file(tmp_path, amounts("openai")),
        anthropic_file(tmp_path, amounts("anthropic")),
        rent_file(tmp_path, rent_usd),
    )
    assert found.reconciles
    assert (
        found.billed_usd
        == found.ledger_usd
        == sum(amounts("openai").values()) + sum(amounts("anthropic").values()) + rent_usd
    )
    assert [(item.name, item.reconciles, item.detail) for item in found.sellers] == [
        ("anthropic", True, "kind"), ("openai", True, "kind"), ("llama", True, "month"),
    ]  # fmt: skip
    assert [item.differences for item in found.sellers] == [(), (), ()]
    (parts,) = found.pools
    assert parts.allocated_usd + parts.idle_usd == rent_usd
    assert parts.fixed_usd == POOL_HOURS * FIXED_USD_PER_HOUR


def test_without_its_own_bill_a_pool_is_billed_by_its_nodes_hours(place: LedgerPlace, tmp_path: Path) -> None:
    found = stated(place, openai_file(tmp_path, amounts("openai")), anthropic_file(tmp_path, amounts("anthropic")))
    assert found.reconciles
    assert seller(found, "llama").invoice_usd is None
    assert (
        found.billed_usd - sum(amounts("openai").values()) - sum(amounts("anthropic").values())
        == POOL_HOURS * NODE_USD_PER_HOUR
    )


def test_what_is_charged_adds_up_to_what_every_other_question_says(place: LedgerPlace) -> None:
    hours = (int(BEGINS.timestamp()) // 3600, int(AFTER_S) // 3600)
    items = charged(place.store, hours)
    total = sum((usd for item in items for usd in item.charges_usd.values()), Decimal(0))
    costs = ask_costs(place.store, Question(by=("pool",)), Known(closed_hours=hours[1]))
    assert total == sum((group.marginal_usd for group in costs.groups), Decimal(0))
    api = [total for total in ask(place.store, Question(by=("pool",))) if total.labels == (None,)]
    assert total == sum_of(api).cost_usd
    assert sum(item.attempt_count for item in items) == sum_of(api).attempt_count


def test_a_missing_invoice_is_said_and_nothing_reconciles_without(place: LedgerPlace, tmp_path: Path) -> None:
    found = stated(place, openai_file(tmp_path, amounts("openai")))
    assert not found.reconciles
    assert found.missing_usd == sum(amounts("anthropic").values())


def test_an_invoice_that_is_given_twice_is_refused(place: LedgerPlace, tmp_path: Path) -> None:
    file = openai_file(tmp_path, amounts("openai"))
    with pytest.raises(InputError, match="would count twice"):
        statement(place, None, MONTH, [file, file], AFTER_S)


def test_days_that_are_cut_elsewhere_cancel_over_the_month(place: LedgerPlace, tmp_path: Path) -> None:
    first, second = date(2026, 11, 2), date(2026, 11, 3)
    found_ = amounts("openai")
    moved = found_ | {
        (first, "output"): found_[first, "output"] - Decimal("0.25"),
        (second, "output"): found_[second, "output"] + Decimal("0.25"),
    }
    found = seller(stated(place, openai_file(tmp_path, moved)))
    assert found.reconciles
    assert [(line.day, line.kind, line.difference_usd) for line in found.differences] == [
        (first, "output", Decimal("-0.25")), (second, "output", Decimal("0.25")),
    ]  # fmt: skip
    assert found.reasons == (OTHER_ZONE,)


def test_an_export_in_cents_differs_by_rounding_alone(place: LedgerPlace, tmp_path: Path) -> None:
    found = seller(stated(place, anthropic_file(tmp_path, amounts("anthropic"), digits=2)), "anthropic")
    assert found.differences
    assert found.reasons == (ROUNDED,)


def test_a_discount_shows_as_one_factor_on_every_day(place: LedgerPlace, tmp_path: Path) -> None:
    cheaper = changed(amounts("openai"), lambda _day, _kind, usd: usd * Decimal("0.9"))
    found = seller(stated(place, openai_file(tmp_path, cheaper)))
    assert found.reconciles is False
    assert any("0.9 times the ledger on every day" in reason for reason in found.reasons)
    assert all(reason.startswith("The invoice is 0.9") for line in found.differences for reason in line.reasons[:1])


def test_cached_input_that_one_side_does_not_tell_apart_is_named(place: LedgerPlace, tmp_path: Path) -> None:
    plain = amounts("openai")
    days = {day for day, _ in plain}
    for day in days:
        plain[day, "input"] += 2 * plain.pop((day, "cached input"))
    found = seller(stated(place, openai_file(tmp_path, plain)))
    assert CACHED in found.reasons
    assert {line.kind for line in found.differences} == {"input", "cached input"}


def test_models_that_the_gateway_never_saw_and_tools_are_told_apart(place: LedgerPlace, tmp_path: Path) -> None:
    day = date(2026, 11, 2)
    more = amounts("openai") | {
        (day, "other-model-2026-01-01, output"): Decimal("1.5"),
        (day, "web search tool calls"): Decimal("0.03"),
    }
    found = seller(stated(place, openai_file(tmp_path, more)))
    assert {(line.model, line.kind): line.reasons for line in found.differences} == {
        ("other-model-2026-01-01", "output"): (UNSEEN,),
        ("", "other"): (NO_TOKENS,),
    }


def test_what_is_not_on_the_invoice_is_told(place: LedgerPlace, tmp_path: Path) -> None:
    found = seller(stated(place, openai_file(tmp_path, amounts("openai"), model="another")))
    assert set(found.reasons) == {UNSEEN, NOT_BILLED}


def test_attempts_without_a_price_are_the_reason_for_what_only_the_invoice_has(tmp_path: Path) -> None:
    requests = [{**item, "priced_as": "openai:unheard"} for item in traffic() if item["priced_as"] == "openai:big"]
    place = put(tmp_path, requests)
    found = stated(place, openai_file(tmp_path, amounts("openai"), model="unheard"))
    assert not found.reconciles
    assert found.unpriced_count == len([item for item in requests if item.get("outcome") != rows.CACHED])
    assert all("no known price" in reason for reason in seller(found).reasons)


def two_days_of(folder: Path, **at: dict[str, Any]) -> tuple[LedgerPlace, Amounts]:
    """A ledger of ten requests on each of two days, with fields of its own for some, and what they cost by hand."""
    requests = [
        {
            "at_us": BEGIN_US + number * DAY_US // 10, "model": "fast", "target": "big-api",
            "priced_as": "openai:big", "input_tokens": 400_000, "output_tokens": 100_000, **at.get(f"at_{number}", {}),
        }
        for number in range(20)
    ]  # fmt: skip
    found: Amounts = defaultdict(Decimal)
    for number in range(20):
        day = (BEGINS + timedelta(days=number // 10)).date()
        found[day, "input"] += Decimal(1)
        found[day, "output"] += Decimal(1)
    return put(folder, requests), found


CUT = "answers were cut off or left by their client"
ESTIMATES = "attempts have estimated token counts"
SECOND = date(2026, 11, 3)


def reasons(place: LedgerPlace, folder: Path, found: Amounts, **more: Decimal) -> str:
    """Say why an invoice differs that has so much more of some kinds on the second day."""
    billed = {key: usd + (more.get(key[1], Decimal(0)) if key[0] == SECOND else 0) for key, usd in found.items()}
    told = seller(stated(place, openai_file(folder, billed)))
    assert {(line.day, line.kind, line.difference_usd) for line in told.differences} == {
        (SECOND, kind, usd) for kind, usd in more.items()
    }
    return "\n".join(told.reasons)


def test_answers_that_were_cut_or_left_may_have_been_counted_on(tmp_path: Path) -> None:
    place, found = two_days_of(
        tmp_path, at_12={"outcome": rows.CUT}, at_13={"outcome": rows.CLIENT_LEFT}, at_14={"outcome": rows.CUT}
    )
    assert f"3 {CUT}" in reasons(place, tmp_path, found, output=Decimal("0.4"))
    assert CUT not in reasons(place, tmp_path, found, output=Decimal("-0.4")), "nobody counted less for it"
    assert CUT not in reasons(place, tmp_path, found, input=Decimal("0.4")), "what was asked had come whole"


def test_answers_that_all_came_whole_are_no_reason(tmp_path: Path) -> None:
    place, found = two_days_of(tmp_path)
    told = reasons(place, tmp_path, found, output=Decimal("0.4"))
    assert CUT not in told
    assert ESTIMATES not in told
    assert told == UNSEEN


@pytest.mark.parametrize("outcome", [rows.CUT, rows.CLIENT_LEFT])
def test_what_was_cut_on_another_day_is_no_reason_for_this_one(tmp_path: Path, outcome: int) -> None:
    place, found = two_days_of(tmp_path, at_2={"outcome": outcome})
    assert CUT not in reasons(place, tmp_path, found, output=Decimal("0.4"))


def test_estimated_counts_are_the_reason_for_a_small_difference_and_not_for_a_large_one(tmp_path: Path) -> None:
    """A day comes to 10 dollars of output: 0.15 are a fiftieth at most, 0.25 are more."""
    place, found = two_days_of(tmp_path, at_11={"flags": rows.ESTIMATED}, at_12={"flags": rows.ESTIMATED})
    for usd in ("0.15", "-0.15"):
        assert f"2 {ESTIMATES}" in reasons(place, tmp_path, found, output=Decimal(usd))
        assert f"2 {ESTIMATES}" in reasons(place, tmp_path, found, input=Decimal(usd))
    assert ESTIMATES not in reasons(place, tmp_path, found, output=Decimal("0.25"))


def test_estimated_counts_of_another_seller_are_no_reason(tmp_path: Path) -> None:
    small = {"target": "small-api", "priced_as": "anthropic:small", "flags": rows.ESTIMATED, "outcome": rows.CUT}
    place, found = two_days_of(tmp_path, at_12=small)
    for kind in ("input", "output"):
        found[SECOND, kind] -= 1
    told = reasons(place, tmp_path, found, output=Decimal("0.1"))
    assert ESTIMATES not in told
    assert CUT not in told


def test_an_invoice_without_models_is_compared_by_day(place: LedgerPlace, tmp_path: Path) -> None:
    daily: dict[date, Decimal] = defaultdict(Decimal)
    for (day, _), usd in amounts("openai").items():
        daily[day] += usd
    path = openai_file(tmp_path, {(day, "input"): usd for day, usd in daily.items()})
    path.write_text(path.read_text(encoding="utf-8").replace('"big-2026-08-06, input"', "null"), encoding="utf-8")
    found = seller(stated(place, path))
    assert (found.detail, found.reconciles, found.differences) == ("day", True, ())


def test_a_pools_bill_that_differs_is_told(place: LedgerPlace, tmp_path: Path) -> None:
    found = seller(stated(place, rent_file(tmp_path, 13 * NODE_USD_PER_HOUR)), "llama")
    assert found.difference_usd == NODE_USD_PER_HOUR
    assert found.reconciles is False
    assert "rented longer" in found.reasons[0]


def test_lines_of_other_months_are_left_out_and_told(place: LedgerPlace, tmp_path: Path) -> None:
    october = amounts("openai") | {(date(2026, 10, 31), "output"): Decimal(7)}
    found = stated(place, openai_file(tmp_path, october), anthropic_file(tmp_path, amounts("anthropic")))
    assert found.reconciles
    assert "1 lines of other days, 7 USD, are left out." in found.notes


def test_a_month_that_is_not_over_is_stated_up_to_yesterday(place: LedgerPlace, tmp_path: Path) -> None:
    now_s = BEGINS.timestamp() + 1.5 * 86_400
    found = statement(place, None, MONTH, [openai_file(tmp_path, amounts("openai"))], now_s)
    assert found.ends == date(2026, 11, 3)
    assert any("is not over" in note for note in found.notes)
    assert seller(found).reconciles
    with pytest.raises(BreakevenError, match="no day of that month is over"):
        statement(place, None, date(2026, 12, 1), [], now_s)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"), ("Claude Haiku 4.5", "claude-haiku-4-5-20251001"),
        ("Claude Sonnet 3.7", "claude-3-7-sonnet-latest"), ("GPT-4o mini", "gpt-4o-mini-2024-07-18"),
    ],
)  # fmt: skip
def test_names_of_one_model_are_one(one: str, other: str) -> None:
    assert same_model(one) == same_model(other)


@pytest.mark.parametrize(("one", "other"), [("gpt-4o", "gpt-4o-mini"), ("claude-opus-4-1", "claude-opus-4-5")])
def test_names_of_two_models_are_two(one: str, other: str) -> None:
    assert same_model(one) != same_model(other)


@given(st.lists(st.decimals(-1000, 1000, places=9), min_size=1, max_size=9))
def test_cents_of_a_sum_do_not_depend_on_how_it_is_cut(amounts_: list[Decimal]) -> None:
    whole = sum(amounts_, Decimal(0))
    assert abs(cents(whole) - whole) <= Decimal("0.005")
    assert cents(sum(reversed(amounts_), Decimal(0))) == cents(whole)


def test_the_command_tells_people_and_programs_the_same(place: LedgerPlace, tmp_path: Path) -> None:
    folder = str(place.store.parent)
    extra = amounts("openai") | {(date(2026, 11, 2), "web search tool calls"): Decimal("0.03")}
    files = [
        "--invoice",
        str(openai_file(tmp_path, extra)),
        "--invoice",
        str(anthropic_file(tmp_path, amounts("anthropic"))),
    ]
    keep_pools(place.store, [pool(until_days=1)], int(AFTER_S - 120) // 3600)
    run = CliRunner().invoke(
        app, ["statement", "2026-11", "--ledger", folder, *files, "--json", "--html", str(tmp_path / "s.html")]
    )
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert found["reconciles"] is False
    assert Decimal(found["difference_usd"]) == Decimal("0.03")
    (line,) = next(item for item in found["sellers"] if item["seller"] == "openai")["differences"]
    assert line["reasons"] == [NO_TOKENS]
    shown = CliRunner().invoke(app, ["statement", "2026-11", "--ledger", folder, *files])
    assert "Not reconciled" in shown.stdout
    assert f"(1) {NO_TOKENS}" in shown.stderr
    page = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert "Statement of November 2026" in page
    assert "<script" not in page


@pytest.mark.parametrize("text", ["2026", "November", "2026-13", "2026-11-02"])
def test_a_month_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BreakevenError, match="write it as 2026-11"):
        month_of(text)


def test_a_month_follows_from_its_first_day() -> None:
    assert month_of("2026-02") == date(2026, 2, 1)
    assert month_of("2026-12") + timedelta(days=31) == date(2027, 1, 1)
