"""Metrics: what they count, that they only go up, and that nobody can make them many."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest

from breakeven.console.exposition import ALLOWED, Family
from breakeven.console.metrics import Metrics
from breakeven.console.totals import GROUPINGS, MAX_GROUPS, MAX_VALUES, all_totals
from breakeven.console.worker_state import (
    WorkerState,
    read_states,
    state_path,
    write_state,
)
from breakeven.ledger import rows
from breakeven.ledger.schema import make_tables
from breakeven.routing.latency import BOUNDS_S, FirstBytes
from breakeven.similar.evidence import Hits
from console.control import TOKENS, Control, fill, plan_of

if TYPE_CHECKING:
    from pathlib import Path

NOW_S = 1_800_000_000.0
SAMPLE = re.compile(r'([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (-?[0-9.e+-]+)')


class StillClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def now(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s

    def call_later(self, *_: object) -> None:
        raise AssertionError("nothing waits here")


def state(folder: Path, number: int, **said: object) -> None:
    """Write a worker's file as the gateway does."""
    fields = {"at_s": NOW_S, "started_s": NOW_S - 60, **said}
    write_state(state_path(folder, number), msgspec.json.encode(msgspec.convert(fields, WorkerState)))


def samples(text: str) -> dict[str, float]:
    """Every sample of a text, each line of which has to be well-formed; none may come twice."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("# "):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        series = line.rpartition(" ")[0]
        assert series not in found
        found[series] = float(match[3])
    return found


def metrics_of(folder: Path, clock: StillClock | None = None) -> Metrics:
    plan = plan_of(folder)
    return Metrics(plan, folder / "ledger.sqlite", folder, clock or StillClock())  # type: ignore[arg-type]


def test_the_ledger_is_counted(control: Control) -> None:
    reply = control.ask("GET", "/metrics", TOKENS["viewer"])
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(reply.text)
    assert found['breakeven_requests_total{key="search",model="fast"}'] == 2
    assert found['breakeven_attempts_total{model="fast",target="far/1",outcome="failed"}'] == 1
    assert found['breakeven_tokens_total{model="fast",target="near",type="input"}'] == 120
    assert found['breakeven_tokens_total{model="fast",target="near",type="cached_input"}'] == 80
    assert found['breakeven_tokens_total{model="fast",target="near",type="output"}'] == 20
    assert found['breakeven_cost_usd_total{model="fast",target="near"}'] == pytest.approx(200 / 1e6 + 20 * 10 / 1e6)
    assert found['breakeven_task_requests_total{task="sum"}'] == 2
    assert found['breakeven_task_requests_total{task=""}'] == 1
    assert found["breakeven_ledger_up"] == 1
    assert found["breakeven_workers"] == 0


def test_workers_are_added_up_and_one_that_says_nothing_lately_is_not_there(tmp_path: Path) -> None:
    tally = FirstBytes()
    for first_byte_s in (0.01, 0.05, 0.051, 99):
        tally.add(first_byte_s)
    said = {"in_flight": {"near": 2}, "connections": 3, "waiting_rows": 5, "dropped_rows": 7, "skipped_events": 1}
    state(tmp_path, 0, **said, open={"far/1": 2.5}, first_byte={"near": tally, "made up": tally})
    state(tmp_path, 1, **said, open={"far/1": 4.0})
    state(tmp_path, 2, **{**said, "at_s": NOW_S - 10.1})
    found = samples(metrics_of(tmp_path).text())
    assert found["breakeven_workers"] == 2
    assert found['breakeven_in_flight_requests{target="near"}'] == 4
    assert found['breakeven_target_open{target="far/1"}'] == 1
    assert found['breakeven_target_open{target="near"}'] == 0
    assert found['breakeven_target_retry_seconds{target="far/1"}'] == 4
    assert found["breakeven_connections"] == 6
    assert found["breakeven_waiting_rows"] == 10
    assert found["breakeven_dropped_rows_total"] == 14
    assert found["breakeven_skipped_events_total"] == 2
    for target in ("near", "other"):
        bucket = f'breakeven_first_byte_seconds_bucket{{target="{target}",le='
        assert [found[f'{bucket}"{le}"}}'] for le in ("0.05", "0.1", "60", "+Inf")] == [2, 3, 3, 4]
        assert found[f'breakeven_first_byte_seconds_count{{target="{target}"}}'] == 4
        assert found[f'breakeven_first_byte_seconds_sum{{target="{target}"}}'] == pytest.approx(99.111)


def test_answers_to_similar_questions_are_counted_by_task(tmp_path: Path) -> None:
    state(tmp_path, 0, similar={"faq": Hits(given=2, checks=9, false_hits=1)})
    state(tmp_path, 1, similar={"faq": Hits(checks=3, checks_needed=4)})
    metrics = metrics_of(tmp_path)
    for _ in range(2):
        found = samples(metrics.text())
        series = [
            f'breakeven_similar_hits_total{{task="faq",outcome="{name}"}}' for name in ("given", "right", "false")
        ]
        assert [found[name] for name in series] == [2, 11, 1]
        assert found['breakeven_similar_checks_needed{task="faq"}'] == 4


def test_what_workers_count_goes_on_over_their_restarts_and_silences(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path)

    def dropped() -> float:
        return samples(metrics.text())["breakeven_dropped_rows_total"]

    state(tmp_path, 0, dropped_rows=5)
    assert [dropped(), dropped()] == [5, 5]
    state(tmp_path, 0, dropped_rows=9)
    assert dropped() == 9
    state(tmp_path, 0, dropped_rows=9, at_s=NOW_S - 60)
    assert dropped() == 9
    state(tmp_path, 0, dropped_rows=10)
    assert dropped() == 10
    state(tmp_path, 0, dropped_rows=2, started_s=NOW_S - 1)
    assert dropped() == 12


def test_files_that_are_none_of_a_worker_are_left_alone(tmp_path: Path) -> None:
    state(tmp_path, 1)
    folder = tmp_path / "state"
    (folder / "worker-2.json").write_bytes(b'{"at_s": "now"}')
    (folder / "worker-3.json").write_bytes(b"")
    (folder / "worker-4.json").mkdir()
    (folder / "worker-5.json.new").write_bytes((folder / "worker-1.json").read_bytes())
    (folder / "worker-999.json").write_bytes((folder / "worker-1.json").read_bytes())
    (folder / "worker-6.json").write_bytes(msgspec.json.encode({"at_s": NOW_S, "first_byte": {"a": {"counts": [1]}}}))
    assert list(read_states(tmp_path, NOW_S)) == [1]
    assert read_states(tmp_path / "none", NOW_S) == {}


def test_what_the_gateway_writes_is_what_is_read(tmp_path: Path) -> None:
    said = WorkerState(
        at_s=NOW_S, started_s=1.0, in_flight={"a": 1}, open={"b": 2.0}, waiting_rows=3, dropped_rows=4,
        skipped_events=5, connections=6, first_byte={"a": FirstBytes()}, similar={"faq": Hits(given=7)},
    )  # fmt: skip
    write_state(state_path(tmp_path, 63), msgspec.json.encode(said))
    (found,) = read_states(tmp_path, NOW_S).values()
    assert found == said
    assert not list((tmp_path / "state").glob(".*"))


def test_a_hundred_thousand_random_names_make_no_more_series_than_there_may_be(tmp_path: Path) -> None:
    count = 100_000
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as connection:
        make_tables(connection)
        connection.execute("BEGIN")
        texts = [(kind, f"user-{number:06}") for number in range(count) for kind in (rows.KEY, rows.MODEL, rows.TASK)]
        connection.executemany("INSERT INTO text VALUES (NULL, ?, ?)", texts)
        connection.execute("INSERT INTO text VALUES (NULL, ?, 'fast')", (rows.MODEL,))
        connection.execute("INSERT INTO text VALUES (NULL, ?, 'in-file')", (rows.KEY,))
        last = 3 * count + 2
        series = [(1 + 3 * n, 3 + 3 * n, 2 + 3 * n) for n in range(count)] + [(last, 0, last - 1)]
        connection.executemany(
            "INSERT INTO series VALUES (NULL, ?, ?, 0, ?, 0, 0, 0, 0, 0, 200, 0, 0, 0, '', 0)", series
        )
        connection.execute("INSERT INTO rollup_hour SELECT 1, id, 1, 10, 0, 0, 1 FROM series")
        connection.execute("COMMIT")
    text = metrics_of(tmp_path).text()
    found = samples(text)
    for name in ("breakeven_requests_total", "breakeven_attempts_total", "breakeven_task_requests_total"):
        counted = {series: value for series, value in found.items() if series.startswith(f"{name}{{")}
        assert len(counted) <= MAX_GROUPS + len(rows.OUTCOMES)
        assert sum(counted.values()) == count + 1
    values = set(re.findall(r'key="([^"]*)"', text))
    assert len(values) <= MAX_VALUES + 2
    assert found['breakeven_requests_total{key="in-file",model="fast"}'] == 1
    assert found['breakeven_requests_total{key="user-000000",model="user-000000"}'] == 1
    assert found['breakeven_requests_total{key="other",model="other"}'] > count - 2 * MAX_VALUES


def test_a_name_once_shown_stays_whoever_comes_later(tmp_path: Path) -> None:
    fill(tmp_path, [{"key": f"k{number}", "model": f"m{number}"} for number in range(MAX_VALUES + 20)])
    before = all_totals(tmp_path / "ledger.sqlite", {})
    fill(tmp_path, [{"key": f"k{number}", "model": f"n{number}", "number": 1000 + number} for number in range(400)])
    after = all_totals(tmp_path / "ledger.sqlite", {})
    for grouping in GROUPINGS:
        for labels, sums in before[grouping].items():
            assert after[grouping][labels].attempts >= sums.attempts, labels


def test_names_are_written_so_that_they_stay_one_line(tmp_path: Path) -> None:
    fill(tmp_path, [{"task": 'a"} 1\nevil_total{x="\\'}, {"model": "x" * 200, "key": "naïve"}])
    found = samples(metrics_of(tmp_path).text())
    assert found['breakeven_task_requests_total{task="a\\"} 1\\nevil_total{x=\\"\\\\"}'] == 1


def test_nothing_but_the_allowed_can_be_a_label() -> None:
    with pytest.raises(ValueError, match="user cannot be a label"):
        Family("x_total", "counter", ("user",), "x")
    assert not {"user", "tags", "episode", "request_id"} & ALLOWED


def test_sums_are_taken_anew_after_a_while_only(tmp_path: Path) -> None:
    clock = StillClock()
    metrics = metrics_of(tmp_path, clock)
    assert "breakeven_requests_total" not in metrics.text()
    fill(tmp_path, [{"key": "k"}])
    assert "breakeven_requests_total" not in metrics.text()
    clock.now_s += 5
    assert 'breakeven_requests_total{key="k",model=""} 1' in metrics.text()


def test_a_store_that_cannot_be_read_leaves_the_rest_to_be_seen(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database" * 100)
    state(tmp_path, 0, connections=1)
    found = samples(metrics_of(tmp_path).text())
    assert found["breakeven_ledger_up"] == 0
    assert found["breakeven_connections"] == 1


def test_bounds_go_up() -> None:
    assert list(BOUNDS_S) == sorted(set(BOUNDS_S))
