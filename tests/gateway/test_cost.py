"""What a request cost: by the rate card of its moment, to the last digit, and never 0 where nobody knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from gateway import answers, payloads
from gateway.gateway import RATE_CARDS, settings, target

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway
    from gateway.scripted import ScriptedUpstream


def dollars(plain: int, cached: int, output: int, prices: tuple[str, str, str] = ("0.15", "0.075", "0.6")) -> Decimal:
    """The price by hand: tokens times dollars for a million of them."""
    counts = (plain, cached, output)
    return sum((Decimal(price) * count for price, count in zip(prices, counts, strict=True)), Decimal(0)) / 1_000_000


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
@pytest.mark.parametrize("name", ["solo", "renamed"])
def test_a_request_costs_the_same_streamed_or_not_and_under_any_name(
    gateway: Gateway, upstream: ScriptedUpstream, name: str, stream: bool
) -> None:
    told = payloads.usage(2000, 333, cached_tokens=1536)
    place = "a" if name == "solo" else name
    unary = answers.whole(payloads.completion(usage=told))
    upstream.script(place, answers.either(unary, answers.stream(payloads.stream(5, told))))
    with gateway.line() as line:
        reply = line.chat(payloads.request(name, stream=stream))
    assert gateway.row(reply.request_id)["cost_usd"] == dollars(2000 - 1536, 1536, 333)
    if not stream:  # a stream's head is sent before its tokens are known
        assert Decimal(reply.headers["x-breakeven-cost-usd"]) == dollars(2000 - 1536, 1536, 333)


def test_an_unknown_price_is_unknown_and_said(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("uncharted", answers.whole())
    with gateway.line() as line:
        replies = [line.chat(payloads.request("uncharted")) for _ in range(3)]
    rows = [gateway.row(reply.request_id) for reply in replies]
    assert [(row["cost_usd"], row["input_tokens"]) for row in rows] == [(None, 157)] * 3
    assert "x-breakeven-cost-usd" not in replies[0].headers
    warnings = [line for line in gateway.said().splitlines() if "uncharted" in line and "prices" in line]
    assert warnings, "nobody was warned of a target without prices"


def test_an_unknown_price_is_refused_where_that_is_set(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.script("uncharted", answers.whole())
    with gateway.line() as line:
        reply = line.chat(payloads.request("uncharted-refused"))
    assert 400 <= reply.status < 600
    assert "price" in reply.json["error"]["message"]
    assert upstream.calls("uncharted") == []


def test_an_attempt_that_used_nothing_costs_nothing_when_its_prices_are_known(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.script("a", answers.failure(500))
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo"))
    row = gateway.row(reply.request_id)
    assert (row["outcome"], row["cost_usd"]) == ("failed", 0)


def test_the_prices_of_the_day_hold(start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> None:
    today = datetime.now(UTC).date()
    card = RATE_CARDS["rate_cards"][0] | {
        "prices": [
            {"input_usd_per_mtok": "9", "output_usd_per_mtok": "9", "ends_on": f"{today}"},
            {
                "input_usd_per_mtok": "0.1",
                "cached_input_usd_per_mtok": "0.025",
                "output_usd_per_mtok": "0.7",
                "starts_on": f"{today}",
                "ends_on": f"{today + timedelta(days=2)}",
            },
            {"input_usd_per_mtok": "99", "output_usd_per_mtok": "99", "starts_on": f"{today + timedelta(days=2)}"},
        ]
    }
    upstream.script("a", answers.whole(payloads.completion(usage=payloads.usage(1000, 77, cached_tokens=400))))
    configured = settings({"a": target(upstream.url("a"))}, {"solo": {"targets": ["a"]}})
    gateway = start_gateway(configured, {"rate_cards": [card]})
    with gateway.line() as line:
        reply = line.chat(payloads.request("solo"))
    assert gateway.row(reply.request_id)["cost_usd"] == dollars(600, 400, 77, ("0.1", "0.025", "0.7"))


def test_a_long_prompt_is_priced_by_its_tier(start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> None:
    tier = {"over_tokens": 1000, "input_usd_per_mtok": "2.5", "output_usd_per_mtok": "15"}
    prices = [{"input_usd_per_mtok": "1.25", "output_usd_per_mtok": "10", "tiers": [tier]}]
    card = RATE_CARDS["rate_cards"][0] | {"prices": prices}
    answers_of = [answers.whole(payloads.completion(usage=payloads.usage(count, 10))) for count in (1000, 1001)]
    upstream.script("a", *answers_of)
    configured = settings({"a": target(upstream.url("a"))}, {"solo": {"targets": ["a"]}})
    gateway = start_gateway(configured, {"rate_cards": [card]})
    with gateway.line() as line:
        ids = [line.chat(payloads.request("solo")).request_id for _ in range(2)]
    costs = [gateway.row(request_id)["cost_usd"] for request_id in ids]
    assert costs == [dollars(1000, 0, 10, ("1.25", "0", "10")), dollars(1001, 0, 10, ("2.5", "0", "15"))]


def test_new_prices_leave_what_was_recorded_before_as_it_was(
    start_gateway: Callable[..., Gateway], upstream: ScriptedUpstream
) -> None:
    """Facts are recorded, costs derived: the rows name the card that was in force, whatever is configured later."""
    upstream.script("a", answers.whole())
    configured = settings({"a": target(upstream.url("a"))}, {"solo": {"targets": ["a"]}})
    gateway = start_gateway(configured)
    with gateway.line() as line:
        old = line.chat(payloads.request("solo")).request_id
    assert gateway.row(old)["cost_usd"] == dollars(157, 0, 52)
    assert gateway.stop() == 0
    dearer = RATE_CARDS["rate_cards"][0] | {"prices": [{"input_usd_per_mtok": "1", "output_usd_per_mtok": "2"}]}
    gateway.set_rate_cards({"rate_cards": [dearer]})
    gateway.start()
    with gateway.line() as line:
        new = line.chat(payloads.request("solo")).request_id
    assert gateway.row(new)["cost_usd"] == dollars(157, 0, 52, ("1", "0", "2"))
    assert gateway.row(old)["cost_usd"] == dollars(157, 0, 52)
