"""Usage by time bucket as OpenAI and Anthropic export it, and what their cost reports say was paid for it."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.errors import InputError
from breakeven.traffic.read import read_trace
from breakeven.traffic.schema import WINDOW_COLUMNS, WINDOW_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from small_logs import Write

    from breakeven.traffic.trace import Trace

FIXTURES = Path(__file__).parent / "fixtures"
OPENAI = FIXTURES / "openai_usage"
ANTHROPIC = FIXTURES / "anthropic_usage"
DAY = datetime(2026, 10, 9, tzinfo=UTC)

OPENAI_WINDOWS = [
    (DAY, 86_400, "gpt-5-mini-2025-08-07", "proj_abc", "batch", 20, 4_000, 0, 0, 900),
    (DAY, 86_400, "gpt-5-mini-2025-08-07", "proj_abc", "standard", 5, 1_000, 800, 0, 500),
    (DAY + timedelta(days=1), 86_400, None, None, None, 0, 0, 0, 0, 0),
    (DAY + timedelta(days=2), 86_400, "gpt-5-2025-08-07", "proj_xyz", "priority", 2, 300, 128, 0, 70),
]


def windows(trace: Trace) -> list[tuple[Any, ...]]:
    rows = trace.table.to_pyarrow().to_pylist()
    return sorted((tuple(row.values()) for row in rows), key=lambda row: (row[0], str(row[4])))


def refusal(*paths: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_trace(paths)
    return str(caught.value)


@pytest.mark.parametrize("name", ["pages.json", "pages.jsonl", "completions_usage.csv"])
def test_openai_usage_is_read_bucket_by_bucket_however_it_was_saved(name: str) -> None:
    trace = read_trace([OPENAI / name])
    assert (trace.kind, trace.rows_read, trace.rows_lost, trace.problems) == ("windows", 4, 0, ())
    assert windows(trace) == OPENAI_WINDOWS


def test_windows_follow_their_schema() -> None:
    table = read_trace([OPENAI / "pages.json"]).table
    assert table.columns == WINDOW_COLUMNS
    assert {name: str(kind) for name, kind in table.schema().items()} == {
        name: str(kind) for name, kind in WINDOW_SCHEMA.items()
    }


def test_pages_in_files_of_their_own_are_one_export(log: Write) -> None:
    pages = (OPENAI / "pages.jsonl").read_text().splitlines()
    trace = read_trace([log(page, f"page{n}") for n, page in enumerate(pages)])
    assert windows(trace) == OPENAI_WINDOWS
    assert [note for note in trace.notes if "has_more" in note] == [
        "page0: the last page says that more follow (has_more); without them traffic is missing"
    ]


def test_the_documented_example_is_read() -> None:
    found = windows(read_trace([OPENAI / "documented.json"]))
    assert found == [(datetime(2024, 11, 1, tzinfo=UTC), 86_400, None, None, None, 5, 1_000, 800, 0, 500)]


def test_anthropic_usage_adds_the_parts_of_its_input() -> None:
    trace = read_trace([ANTHROPIC / "messages.json"])
    hour = timedelta(hours=1)
    assert windows(trace) == [
        (DAY, 3_600, "claude-sonnet-4-5", "wrkspc_1", "batch", None, 800, 0, 0, 300),
        (DAY, 3_600, "claude-sonnet-4-5", "wrkspc_1", "standard", None, 3_200, 200, 1_500, 700),
        (DAY + hour, 3_600, None, None, None, None, 0, 0, 0, 0),
        (DAY + 2 * hour, 3_600, "claude-opus-4-1", "wrkspc_1", "priority", None, 5_150, 5_000, 50, 20),
    ]
    assert not any("cached" in note for note in trace.notes)


def page() -> dict[str, Any]:
    """Return a page of forty days with one result each, so that one bad result is tolerable."""
    template = json.loads((OPENAI / "page.json").read_text())
    (bucket,) = template["data"]
    start = bucket["start_time"]
    template["data"] = []
    for day in range(40):
        copied = copy.deepcopy(bucket) | {"start_time": start + day * 86_400, "end_time": start + (day + 1) * 86_400}
        template["data"].append(copied)
    return template  # type: ignore[no-any-return]


def set_result(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda bucket: bucket["results"][0].__setitem__(name, value)


@pytest.mark.parametrize(
    ("damage", "where", "what"),
    [
        (set_result("input_tokens", None), "data[7].results[0]", "input_tokens is missing"),
        (set_result("output_tokens", "many"), "data[7].results[0]", "output_tokens is 'many', which is not a number"),
        (set_result("output_tokens", -5), "data[7].results[0]", "output_tokens is -5, and no count is negative"),
        (
            set_result("input_tokens", 1e16),
            "data[7].results[0]",
            "more than the 1,000,000,000,000,000 that are believed",
        ),
        (
            set_result("input_cached_tokens", 301),
            "data[7].results[0]",
            "cache-write tokens are 301 of 300 input tokens",
        ),
        (set_result("num_model_requests", 1.5), "data[7].results[0]", "requests (num_model_requests) is 1.5, and"),
        (lambda bucket: bucket.pop("end_time"), "data[7].results[0]", "which are not two times"),
        (lambda bucket: bucket.update(end_time=1), "data[7].results[0]", "ends at 1, which is not after its start"),
        (lambda bucket: bucket.update(start_time="soon"), "data[7].results[0]", "from 'soon' to"),
        (lambda bucket: bucket.update(results=[3]), "data[7].results[0]", "it is not an object with fields"),
        (lambda bucket: bucket.update(results=None), "data[7]", "it is no bucket with start_time, end_time and a list"),
        (lambda bucket: bucket.clear(), "data[7]", "it is no bucket with start_time"),
    ],
)
def test_a_bad_result_is_told_with_its_path_and_the_others_are_used(
    log: Write, damage: Callable[[dict[str, Any]], Any], where: str, what: str
) -> None:
    document = page()
    damage(document["data"][7])
    trace = read_trace([log(json.dumps(document))])
    (problem,) = trace.problems
    assert problem.where == f"log:1 {where}"
    assert what in problem.what
    assert (trace.rows_read, trace.rows_lost, len(windows(trace))) == (40, 1, 39)


def test_a_part_of_anthropics_input_is_told_by_its_own_path(log: Write) -> None:
    document = json.loads((ANTHROPIC / "messages.json").read_text())
    document["data"][0]["results"][0]["cache_creation"]["ephemeral_1h_input_tokens"] = -4
    document["data"][2]["results"][0].pop("uncached_input_tokens")
    trace = read_trace([log(json.dumps(document))], tolerate_fraction=1.0)
    assert [(problem.where, problem.what.split(",")[0]) for problem in trace.problems] == [
        ("log:1 data[0].results[0]", "cache_write_tokens (cache_creation) is -4"),
        (
            "log:1 data[2].results[0]",
            "input_tokens (uncached_input_tokens+cache_read_input_tokens+cache_creation) is missing",
        ),
    ]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_document_cut_off_is_refused(log: Write, share: float) -> None:
    text = json.dumps(page(), indent=1)
    assert refusal(log(text[: int(share * len(text))])).startswith("log: the file ends inside the value of line 1;")


def test_results_of_other_services_are_left_out(log: Write) -> None:
    document = page()
    document["data"][3]["results"].append(
        {"object": "organization.usage.embeddings.result", "input_tokens": 5, "num_model_requests": 1}
    )
    trace = read_trace([log(json.dumps(document))])
    assert (trace.rows_read, trace.rows_lost) == (40, 0)
    assert "log: results of other services than completions are left out: 1 of embeddings" in trace.notes


def test_usage_of_other_services_alone_is_refused(log: Write) -> None:
    document = page()
    for bucket in document["data"]:
        bucket["results"] = [{"object": "organization.usage.images.result", "images": 1, "num_model_requests": 1}]
    assert refusal(log(json.dumps(document))).startswith(
        "log: this is OpenAI usage of images, which holds no completions. Export GET /v1/organization/usage/completions"
    )


def test_buckets_without_any_usage_are_refused_as_no_traffic(log: Write) -> None:
    document = page()
    for bucket in document["data"]:
        bucket["results"] = []
    assert refusal(log(json.dumps(document))).startswith("log: no tokens at all in 40 usable rows")


def test_a_page_exported_twice_is_told_and_refused(log: Write) -> None:
    once, again = log(json.dumps(page()), "once"), log(json.dumps(page()), "again")
    told = refusal(once, again)
    assert told.startswith("repeated rows: 40 of 80 rows (50.0%)")
    assert "again:1 data[0].results[0]: 40 windows begin before an earlier one of the same series ends" in told
    trace = read_trace([once, again], tolerate_fraction=0.5)
    assert (trace.rows_read, trace.rows_lost) == (80, 0)


def test_hours_beside_their_day_are_told(log: Write) -> None:
    document = page()
    bucket = copy.deepcopy(document["data"][5])
    bucket["start_time"] += 3_600
    bucket["end_time"] = bucket["start_time"] + 3_600
    document["data"].append(bucket)
    (problem,) = read_trace([log(json.dumps(document))]).problems
    assert problem.where == "log:1 data[40].results[0]"
    assert "1 window begin" in problem.what
    assert '"model": "gpt-5-2025-08-07"' in problem.what


def test_windows_of_different_length_that_do_not_overlap_are_no_problem(log: Write) -> None:
    document = page()
    document["data"][39]["end_time"] = document["data"][39]["start_time"] + 3_600
    trace = read_trace([log(json.dumps(document))])
    assert trace.problems == ()
    assert {row[1] for row in windows(trace)} == {86_400, 3_600}


def test_exports_of_one_time_that_are_grouped_differently_are_refused(log: Write) -> None:
    by_project = page()
    for bucket in by_project["data"]:
        bucket["results"][0]["model"] = None
    told = refusal(log(json.dumps(page()), "models"), log(json.dumps(by_project), "projects"))
    assert told == (
        "models (grouped by batch, model, project_id, service_tier) and projects (grouped by batch, project_id, "
        "service_tier) hold usage of the same time, so the same tokens would count twice. "
        "Give one export of each time, grouped by model."
    )


def test_windows_and_requests_are_not_read_as_one(log: Write) -> None:
    requests = log("time,input_tokens,output_tokens\n2026-10-09T10:00:00Z,1,2\n2026-10-09T10:01:00Z,1,2\n", "requests")
    told = refusal(requests, OPENAI / "pages.json")
    assert (
        "files of different kinds cannot be read as one: requests is a trace, pages.json is windows of totals" in told
    )


def test_a_cost_report_alone_says_what_it_holds_and_what_is_wanted() -> None:
    assert refusal(FIXTURES / "openai_cost" / "costs.json") == (
        "costs.json is a cost report of OpenAI: 3.81 USD in 3 buckets from 2026-10-09 to 2026-10-12 "
        "(gpt-5-mini-2025-08-07, output 2.50, gpt-5-mini-2025-08-07, input 1.25, gpt-5-2025-08-07, input 0.06). It "
        "holds money and no tokens, so no other price can be worked out from it. Give the usage of the same time "
        "beside it (GET /v1/organization/usage/completions, grouped by model); what was paid then stands beside what "
        "is computed."
    )


def test_anthropics_amounts_are_cents() -> None:
    told = refusal(FIXTURES / "anthropic_cost" / "cost_report.json")
    assert told.startswith("cost_report.json is a cost report of Anthropic: 2.00 USD in 1 bucket from 2026-10-09 to")
    assert "Input Tokens, 0-200K 1.23" in told


@pytest.mark.parametrize("name", ["costs.json", "costs.csv"])
def test_what_was_paid_stands_beside_the_usage(name: str) -> None:
    trace = read_trace([FIXTURES / "openai_cost" / name, OPENAI / "pages.json"])
    assert trace.paid_usd == Decimal("3.8125")
    assert trace.source == "pages.json"
    assert windows(trace) == OPENAI_WINDOWS
    assert trace.notes[-1] == "3.81 USD of it fall into the days of the traffic, whatever they were charged for"


def test_only_the_days_of_the_traffic_are_counted_as_paid() -> None:
    trace = read_trace([FIXTURES / "openai_cost" / "costs.json", OPENAI / "page.json"])
    assert trace.paid_usd == Decimal("0.0625")


def test_traffic_without_a_report_has_no_sum_paid() -> None:
    assert read_trace([OPENAI / "pages.json"]).paid_usd is None


def test_a_report_that_covers_a_part_of_the_traffic_is_not_compared(log: Write) -> None:
    report = json.loads((FIXTURES / "openai_cost" / "costs.json").read_text())
    report["data"].pop()
    trace = read_trace([log(json.dumps(report)), OPENAI / "pages.json"])
    assert trace.paid_usd is None
    assert trace.notes[-1] == (
        "the cost reports cover 2026-10-09 00:00 to 2026-10-11 00:00 and the traffic 2026-10-09 00:00 to 2026-10-12 "
        "00:00: what was paid for all of it is not known and not compared"
    )


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ({"value": 1.0, "currency": "eur"}, "its amount is in 'eur', and only US dollars are understood."),
        ({"value": "much", "currency": "usd"}, "its amount is 'much', which is no number."),
        ({"value": None, "currency": "usd"}, "its amount is None, which is no number."),
        ({"value": "NaN", "currency": "usd"}, "its amount is 'NaN', which is no number."),
    ],
)
def test_a_cost_that_cannot_be_read_refuses_the_report(log: Write, amount: dict[str, Any], told: str) -> None:
    report = json.loads((FIXTURES / "openai_cost" / "costs.json").read_text())
    report["data"][0]["results"][1]["amount"] = amount
    message = refusal(log(json.dumps(report)), OPENAI / "pages.json")
    assert message.startswith("log: 1 of the 4 entries of this cost report of OpenAI cannot be read;")
    assert f"log:1 data[0].results[1]: {told}" in message


def test_the_same_report_twice_is_refused(log: Write) -> None:
    report = (FIXTURES / "openai_cost" / "costs.json").read_text()
    told = refusal(log(report, "one"), log(report, "two"), OPENAI / "pages.json")
    assert told.startswith("one and two both hold what OpenAI charged from 2026-10-")


def test_no_secret_of_an_export_is_repeated(log: Write) -> None:
    secret = "sk-" + "admin-Zk3vXq81LmNpQrStUvWxYz0123456789"
    document = page() | {"authorization": f"Bearer {secret}"}
    document["data"][7]["results"][0] |= {"input_tokens": secret, "api_key": secret, "start_time": secret}
    document["data"][8]["end_time"] = secret
    trace = read_trace([log(json.dumps(document))], tolerate_fraction=0.5)
    told = "".join([*map(str, trace.problems), *trace.notes, *map(str, windows(trace))])
    assert trace.rows_lost == 2
    assert secret[9:] not in told
