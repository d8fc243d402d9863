"""The ledger as a trace: its profile is that of the trace that was replayed."""

from __future__ import annotations

import csv
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.catalog.rate_card import PriceEntry, PriceList, TokenPrice, TokenPrices
from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.close import close_days
from breakeven.ledger.ids import RequestIds
from breakeven.ledger.mover import Mover
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store
from breakeven.traffic.arrivals import arrivals_of
from breakeven.traffic.flows import Flow, flows_of
from breakeven.traffic.profile import profile
from breakeven.traffic.read import read_trace
from breakeven.traffic.sample import sample_path
from breakeven.wiring.ledger import LedgerPlace, find_ledger, id_floor, look_into_spool, waiting_note
from breakeven.wiring.ledger_export import export
from breakeven.wiring.ledger_trace import dominant_target, ledger_trace
from breakeven.wiring.plan import PlanRequest, run_plan
from breakeven.wiring.simulate import SimulateRequest, run_simulation

if TYPE_CHECKING:
    from breakeven.traffic.trace import Trace

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PRICES = PriceList(
    provider="openai",
    model="gpt-4o",
    source="made up",
    entries=(
        PriceEntry(
            prices=TokenPrices(
                input=TokenPrice(usd_per_mtok=Decimal("2.5")), output=TokenPrice(usd_per_mtok=Decimal(10))
            )
        ),
    ),
)


def row_of(spool: Spool, request_id: int, received_us: int, given: int, output: int, **said: Any) -> rows.Attempt:
    name = said.pop("model", "chat")
    return rows.Attempt(
        request_id, received_us, 50, 1_000, 2_000, spool.code(rows.KEY, "k"), 0, 0, spool.code(rows.MODEL, name),
        spool.code(rows.TARGET, "main"), spool.code(rows.PRICED_AS, said.pop("priced_as", "openai:gpt-4o")), 0, 0, 0,
        200, rows.OK, 0, 0, given, 0, 0, output, "",
    )._replace(**said)  # fmt: skip


def replay(trace: Trace, folder: Path) -> None:
    """Write a trace's requests through spool and mover."""
    spool, ids = Spool(folder / "spool", worker=0), RequestIds(0)
    found = trace.table.order_by("time").to_pyarrow().to_pylist()
    for row in found:
        at_us = (row["time"] - EPOCH) // timedelta(microseconds=1)
        request_id = ids.next(at_us // 1000)
        spool.add(
            row_of(
                spool, request_id, at_us, row["input_tokens"], row["output_tokens"],
                cached_input_tokens=row["cached_input_tokens"],
            )
        )  # fmt: skip
    spool.close()
    move(folder)


def move(folder: Path) -> None:
    mover = Mover(folder / "spool", Store(folder / "ledger.sqlite"), CardSchedule([PRICES]))
    mover.drain()
    assert not mover.trouble
    mover.close()


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trace, Path]:
    """Replay the bundled hour of production traffic."""
    folder = tmp_path_factory.mktemp("ledger")
    trace = read_trace([sample_path()])
    replay(trace, folder)
    return trace, folder


def test_the_profile_of_the_ledger_is_that_of_the_trace_that_was_replayed(replayed: tuple[Trace, Path]) -> None:
    trace, folder = replayed
    cuts: dict[str, Any] = {"input_thresholds_tokens": (1_000, 2_000), "day_boundaries_s": (18 * 3600 + 1_800,)}
    of_file, of_ledger = profile(trace, **cuts), profile(ledger_trace(f"ledger:{folder}"), **cuts)
    assert of_ledger.rows_read > 1_000
    assert [share.model for share in of_ledger.models] == ["chat"]
    rows_read = of_file.rows_read - of_file.rows_lost
    of_file = replace(of_file, source=of_ledger.source, models=of_ledger.models, rows_read=rows_read, rows_lost=0)
    assert of_file.batch_fraction is None, "the file does not say how requests were processed; the ledger does"
    assert of_ledger == replace(of_file, batch_fraction=0.0)


def test_an_exported_file_has_the_profile_of_the_ledger(replayed: tuple[Trace, Path], tmp_path: Path) -> None:
    _, folder = replayed
    of_ledger = profile(ledger_trace(f"ledger:{folder}"))
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        assert export(folder / "ledger.sqlite", tmp_path / name) == of_ledger.rows_read
        found = read_trace([tmp_path / name])
        assert replace(profile(found), source=of_ledger.source) == of_ledger, name


def test_requests_of_a_ledger_wait_by_their_keys_and_without_deadlines(replayed: tuple[Trace, Path]) -> None:
    trace = ledger_trace(f"ledger:{replayed[1]}")
    flows = flows_of(trace, {"k": 5})
    assert flows.flows == (Flow(5, "k"),)
    first = next(iter(arrivals_of(trace, flows)))
    assert not first.flow.any()
    assert set(first.deadline_s) == {float("inf")}


def test_a_ledger_runs_through_a_simulated_pool(replayed: tuple[Trace, Path]) -> None:
    asked = SimulateRequest(
        files=(Path(f"ledger:{replayed[1]}"),), pool="2xH100:llama-3.3-70b:fp8:vllm", as_of=date(2026, 11, 1),
        policy="overflow", most_waiting_requests=4, line_requests=100, key_priorities=("k=5",),
    )  # fmt: skip
    found = run_simulation(asked)
    line = found.simulated.likely.line
    assert line is not None
    assert [(flow.priority, flow.key, flow.requests) for flow in line.flows] == [(5, "k", found.simulated.requests)]
    with pytest.raises(InputError, match="A ledger is read alone"):
        run_simulation(replace(asked, files=(*asked.files, Path("trace.csv"))))


def test_a_plan_for_a_ledger_knows_what_serves_it_today(replayed: tuple[Trace, Path]) -> None:
    _, folder = replayed
    assert dominant_target(ledger_trace(f"ledger:{folder}")) == "openai:gpt-4o"
    verdict = run_plan(PlanRequest(files=(f"ledger:{folder}",), as_of=date(2026, 11, 2)))
    assert verdict.profile.source == f"ledger:{folder}/ledger.sqlite"
    assert verdict.option("today:openai:gpt-4o").kind == "today"


def test_a_ledger_is_planned_for_alone(replayed: tuple[Trace, Path]) -> None:
    with pytest.raises(InputError, match="alone"):
        run_plan(PlanRequest(files=(f"ledger:{replayed[1]}", "trace.csv")))


def test_one_row_a_request_that_of_the_attempt_which_answered(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", worker=0)
    start_us = 1_790_000_000_000_000
    reason = spool.code(rows.REASON, "connect")
    spool.add(row_of(spool, 16, start_us, 0, 0, outcome=rows.FAILED, failure=reason))
    spool.add(row_of(spool, 17, start_us, 7, 3, fallback=reason, flags=rows.ESTIMATED, outcome=rows.CUT))
    spool.add(row_of(spool, 32, start_us + 5_000_001, 5, 2))
    spool.add(row_of(spool, 48, start_us + 6_000_000, 0, 0, outcome=rows.FAILED, failure=reason))
    spool.close()
    move(tmp_path)
    trace = ledger_trace(f"ledger:{tmp_path}")
    found = trace.table.order_by("time").to_pyarrow().to_pylist()
    assert [(row["input_tokens"], row["output_tokens"], row["model"], row["target"], row["key"]) for row in found] == [
        (7, 3, "chat", "openai:gpt-4o", "k"),
        (5, 2, "chat", "openai:gpt-4o", "k"),
    ]
    assert found[1]["time"] - found[0]["time"] == timedelta(microseconds=5_000_001)
    assert found[0]["task"] is None
    assert (trace.rows_read, trace.rows_lost) == (3, 1)
    assert "1 of 3 requests were answered by no target" in str(trace.problems[0])
    assert trace.notes == ("1 of 2 requests have estimated token counts: their answers broke off.",)


def test_a_ledger_without_an_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no ledger"):
        ledger_trace(f"ledger:{tmp_path}")
    spool = Spool(tmp_path / "spool", worker=0)
    spool.add(row_of(spool, 16, 1_790_000_000_000_000, 0, 0, outcome=rows.FAILED))
    spool.close()
    move(tmp_path)
    with pytest.raises(InputError, match="no request in it was answered"):
        ledger_trace(f"ledger:{tmp_path}")


def two_rows(tmp_path: Path, **said: Any) -> Spool:
    spool = Spool(tmp_path / "spool", worker=0)
    for number in (1, 2):
        spool.add(row_of(spool, number * 16, 1_790_000_000_000_000 + number, 5, 2, **said))
    assert spool.flush()
    return spool


def test_what_a_gateway_left_in_its_spool_is_moved_first_at_its_prices(tmp_path: Path) -> None:
    two_rows(tmp_path).close()
    move(tmp_path)
    spool = two_rows(tmp_path, attempt_id=160)
    running = ledger_trace(f"ledger:{tmp_path}")
    assert running.rows_read == 2
    assert "gateway is running" in running.notes[0]
    spool.close()
    left = ledger_trace(f"ledger:{tmp_path}")
    assert left.rows_read == 4
    assert left.notes == ()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM rate_card").fetchone() == (1,)


def test_rows_whose_price_only_the_gateway_knows_stay_in_the_spool(tmp_path: Path) -> None:
    two_rows(tmp_path).close()
    move(tmp_path)
    two_rows(tmp_path, attempt_id=160, priced_as="mine:own-model").close()
    trace = ledger_trace(f"ledger:{tmp_path}")
    assert trace.rows_read == 2
    assert "no price is known here for mine:own-model" in trace.notes[0]
    assert look_into_spool(find_ledger(tmp_path)).size_bytes > 0
    assert "wait in" in waiting_note(find_ledger(tmp_path))
    move(tmp_path)
    assert waiting_note(find_ledger(tmp_path)) == ""


def test_the_largest_id_is_found_in_the_store_and_in_the_spool(tmp_path: Path) -> None:
    place = find_ledger(tmp_path)
    assert id_floor(place) == 0
    two_rows(tmp_path).close()
    assert id_floor(place) == 32
    move(tmp_path)
    assert id_floor(place) == 32
    spool = two_rows(tmp_path, attempt_id=1_000)
    assert id_floor(place) == 1_000
    spool.close()
    assert RequestIds(0, id_floor(place)).next(0) > 1_000


def test_a_ledger_is_found_by_folder_file_settings_or_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(find_ledger().store) == "breakeven-data/ledger.sqlite"
    assert find_ledger(tmp_path) == LedgerPlace(store=tmp_path / "ledger.sqlite", spool=tmp_path / "spool")
    (tmp_path / "own.db").touch()
    assert find_ledger(tmp_path / "own.db").store == tmp_path / "own.db"
    (tmp_path / "breakeven.yaml").write_text("ledger: {folder: kept, store: elsewhere/rows.sqlite}\ntargets: {}\n")
    found = find_ledger()
    assert found.store == tmp_path / "elsewhere/rows.sqlite"
    assert found.spool.absolute() == tmp_path / "kept/spool"
    with pytest.raises(InputError, match="named twice"):
        find_ledger(tmp_path, tmp_path / "breakeven.yaml")
    with pytest.raises(InputError, match=r"none\.yaml"):
        find_ledger(None, tmp_path / "none.yaml")


def test_exports_are_refused_clearly_and_leave_nothing_behind(replayed: tuple[Trace, Path], tmp_path: Path) -> None:
    store = replayed[1] / "ledger.sqlite"
    for name, said in (
        ("out.xlsx", "end its name in"),
        ("there.csv", "there already"),
        ("no/out.csv", "cannot be written"),
    ):
        (tmp_path / "there.csv").write_text("mine")
        with pytest.raises(InputError, match=said):
            export(store, tmp_path / name)
    with pytest.raises(InputError, match="There is no ledger"):
        export(tmp_path / "none.sqlite", tmp_path / "out.csv")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("there.csv", "mine")]


def test_an_export_to_csv_has_one_line_an_attempt(replayed: tuple[Trace, Path], tmp_path: Path) -> None:
    count = export(replayed[1] / "ledger.sqlite", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == count
    price = Decimal(found[0]["input_tokens"]) * Decimal("2.5") + Decimal(found[0]["output_tokens"]) * 10
    assert Decimal(found[0]["cost_usd"]) == price / 1_000_000


@pytest.mark.parametrize("is_closed", [False, True], ids=["store", "files"])
def test_shadows_and_judges_are_no_traffic_to_plan_for(tmp_path: Path, is_closed: bool) -> None:
    spool = Spool(tmp_path / "spool", worker=0)
    for number, decision in enumerate(["first", "shadow", "judge", "first", ""]):
        code = spool.code(rows.REASON, decision) if decision else 0
        at_us = 1_700_000_000_000_000 + number
        spool.add(row_of(spool, (number + 1) * 16, at_us, 100, 10, decision=code))
    spool.close()
    mover = Mover(tmp_path / "spool", Store(tmp_path / "ledger.sqlite"), CardSchedule([PRICES]))
    mover.drain()
    mover.close()
    if is_closed:
        close_days(tmp_path / "ledger.sqlite", 30_000)
    trace = ledger_trace(f"ledger:{tmp_path}")
    assert (trace.rows_read, trace.rows_lost) == (3, 0)
    assert profile(trace).usage.input_tokens == 300
