"""Providers' cost exports are read as they are written, to the last digit, and anything else is refused in words."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.errors import InputError
from breakeven.sources.invoices import read_invoice
from breakeven.sources.invoices.anthropic_costs import kind_of
from breakeven.sources.invoices.openai_costs import item_of

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2026, 11, 2)
DAY_S = 1_793_577_600
"""2026-11-02T00:00Z."""

OPENAI_CSV = """start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,\
organization_id,organization_name
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,0.8958740000000000,usd,\
"gpt-4o-2024-08-06, input",proj_1,org-1,Personal
1793664000,1793750400,2026-11-03T00:00:00+00:00,2026-11-04T00:00:00+00:00,,,,,,
"""
ANTHROPIC_CSV = """usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,\
cost_type,inference_geo,speed,api_key_id,api_key_status
2026-11-02,Claude Haiku 4.5,Default,key,message,≤ 200k,input_no_cache,0.05,0.05,token,not_available,,apikey_1,active
2026-11-02,Claude Haiku 4.5,Default,key,message,≤ 200k,input_cache_read,0.02,0.20,token,not_available,,apikey_1,active
2026-11-02,Claude Haiku 4.5,Default,key,message,≤ 200k,,0.10,0.10,web_search,not_available,,apikey_1,active
"""


def bucket(*results: dict[str, Any], start: int = DAY_S) -> dict[str, Any]:
    return {"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": list(results)}


def cost(value: object, item: str | None = None, currency: str = "usd") -> dict[str, Any]:
    return {
        "object": "organization.costs.result", "amount": {"value": value, "currency": currency}, "line_item": item,
        "project_id": None,
    }  # fmt: skip


def page(*buckets: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"object": "page", "data": list(buckets), "has_more": more, "next_page": None}


def report(**said: Any) -> dict[str, Any]:
    result = {
        "currency": "USD", "amount": "123.456", "workspace_id": None, "description": "Claude Haiku 4.5 Usage - Input",
        "cost_type": "tokens", "context_window": "0-200k", "model": "claude-haiku-4-5-20251001",
        "service_tier": "standard", "token_type": "uncached_input_tokens", "inference_geo": None,
    }  # fmt: skip
    bucket_ = {"starting_at": "2026-11-02T00:00:00Z", "ending_at": "2026-11-03T00:00:00Z", "results": [result | said]}
    return {"data": [bucket_], "has_more": False, "next_page": None}


def file_of(tmp_path: Path, content: object, name: str = "invoice.json") -> Path:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_openais_costs_keep_every_digit(tmp_path: Path) -> None:
    text = json.dumps(page(bucket(cost(1, "gpt-4o-2024-08-06, cached input")))).replace(
        '"value": 1', '"value": 0.1000000000000000055'
    )
    (line,) = read_invoice(file_of(tmp_path, text)).lines
    assert (line.seller, line.day, line.model, line.kind) == ("openai", DAY, "gpt-4o-2024-08-06", "cached input")
    assert line.amount_usd == Decimal("0.1000000000000000055")


def test_openais_costs_come_as_pages_lists_of_pages_pages_by_line_and_bare_buckets(tmp_path: Path) -> None:
    one, other = page(bucket(cost("1.5")), more=True), page(bucket(cost("2.25"), start=DAY_S + 86_400))
    lines = [read_invoice(file_of(tmp_path, content, "pages.json")).lines for content in (
        [one, other], f"{json.dumps(one)}\n{json.dumps(other)}\n", [*one["data"], *other["data"]],
    )]  # fmt: skip
    assert lines[0] == lines[1] == lines[2]
    assert [line.amount_usd for line in lines[0]] == [Decimal("1.5"), Decimal("2.25")]
    assert [line.model for line in lines[0]] == ["", ""], "not grouped by line item"


def test_a_last_page_that_says_there_is_more_is_told(tmp_path: Path) -> None:
    found = read_invoice(file_of(tmp_path, page(bucket(cost("1.5")), more=True)))
    assert "there are more" in found.notes[0]
    assert read_invoice(file_of(tmp_path, page(bucket(cost("1.5"))))).notes == ()


@pytest.mark.parametrize(
    ("item", "model", "kind"),
    [
        ("gpt-4o-mini-2024-07-18, input", "gpt-4o-mini-2024-07-18", "input"),
        ("gpt-4o-2024-08-06, Output", "gpt-4o-2024-08-06", "output"),
        ("gpt-5.5-2026-04-23, cached input", "gpt-5.5-2026-04-23", "cached input"),
        ("priority | gpt-5.6-sol, output, long context", "gpt-5.6-sol", "output"),
        ("gpt-audio-mini-2025-12-15 audio, input", "gpt-audio-mini-2025-12-15", "input"),
        ("gpt-realtime-2.1, audio input", "gpt-realtime-2.1", "input"),
        ("whisper-1, audio", "whisper-1", "other"),
        ("gpt-4o", "gpt-4o", ""),
        ("web search tool calls", "", "other"),
        ("Vector storage", "", "other"),
    ],
)
def test_a_line_item_is_told_apart_into_model_and_what_is_charged(item: str, model: str, kind: str) -> None:
    assert item_of(item) == (model, kind)


def test_the_dashboards_file_skips_days_on_which_nothing_was_charged(tmp_path: Path) -> None:
    for name, text in (
        ("c.csv", OPENAI_CSV),
        (
            "c.tsv",
            OPENAI_CSV.replace('"gpt-4o-2024-08-06, input"', "§")
            .replace(",", "\t")
            .replace("§", "gpt-4o-2024-08-06, input"),
        ),
    ):
        found = read_invoice(file_of(tmp_path, text, name))
        (line,) = found.lines
        assert line.amount_usd == Decimal("0.895874")
        assert (line.model, line.kind, line.day) == ("gpt-4o-2024-08-06", "input", DAY)
        assert not found.rounds_to_cents


def test_anthropics_report_is_in_cents(tmp_path: Path) -> None:
    (line,) = read_invoice(file_of(tmp_path, report())).lines
    assert line.amount_usd == Decimal("1.23456")
    assert (line.seller, line.model, line.kind, line.day) == ("anthropic", "claude-haiku-4-5-20251001", "input", DAY)


def test_anthropics_report_without_groups_tells_no_model(tmp_path: Path) -> None:
    bare = report(model=None, description=None, cost_type=None, token_type=None)
    (line,) = read_invoice(file_of(tmp_path, bare)).lines
    assert (line.model, line.kind) == ("", "")


def test_the_consoles_file_is_in_dollars_and_rounds_to_cents(tmp_path: Path) -> None:
    found = read_invoice(file_of(tmp_path, "\ufeff" + ANTHROPIC_CSV, "a.csv"))
    assert [(line.model, line.kind, line.amount_usd) for line in found.lines] == [
        ("Claude Haiku 4.5", "input", Decimal("0.05")),
        ("Claude Haiku 4.5", "cached input", Decimal("0.02")),
        ("", "other", Decimal("0.10")),
    ]
    assert found.rounds_to_cents


@pytest.mark.parametrize(
    ("token_type", "kind"),
    [
        ("uncached_input_tokens", "input"), ("input_no_cache", "input"),
        ("cache_read_input_tokens", "cached input"), ("input_cache_read", "cached input"),
        ("cache_creation.ephemeral_1h_input_tokens", "cache write"), ("input_cache_write_5m", "cache write"),
        ("output_tokens", "output"), ("output", "output"), ("something", "other"),
    ],
)  # fmt: skip
def test_both_spellings_of_token_types_are_known(token_type: str, kind: str) -> None:
    assert kind_of("tokens", token_type) == kind_of("token", token_type) == kind


def test_any_other_bill_has_four_columns(tmp_path: Path) -> None:
    text = 'day,seller,item,amount_usd\n2026-11-02,llama,2x H100,"1,234.50"\n'
    (line,) = read_invoice(file_of(tmp_path, text, "rent.csv")).lines
    assert (line.seller, line.day, line.amount_usd, line.said) == ("llama", DAY, Decimal("1234.50"), "2x H100")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (page(bucket(cost("1", currency="eur"))), "in eur"),
        (page(bucket(cost("many"))), "no amount of money"),
        (page(bucket(cost("NaN"))), "no amount of money"),
        (page(bucket(cost("1e400"))), "no amount of money"),
        (page(bucket(cost("1"), start=-5)), "no Unix time"),
        (page(), "no costs in it"),
        ({"data": [{"start_time": 1, "results": 7}]}, "not of the form"),
        ({"data": [{"something": 1}]}, "no export of costs"),
        ([1, 2], "no export of costs"),
        ("{broken", "not JSON"),
        ("{" * 100_000, "not JSON"),
        ("a,b\n1,2\n", "of no known form"),
        ("", "of no known form"),
        ("day,seller,item,amount_usd\nyesterday,llama,x,1\n", "no day"),
        ("usage_date_utc,model,token_type,cost_usd\nnever,m,output,1\n", "no day"),
    ],
)
def test_what_is_no_invoice_is_refused_in_words(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_invoice(file_of(tmp_path, content))


def test_a_missing_and_a_binary_file_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_invoice(tmp_path / "none.json")
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not text"):
        read_invoice(tmp_path / "x.bin")
