"""``breakeven outcomes`` import, list and export, as people and programs see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from breakeven.cli import outcomes as command
from breakeven.errors import InputError
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.ids import request_text
from breakeven.ledger.mover import Mover
from breakeven.ledger.outcome_spool import OutcomeSpool
from breakeven.ledger.outcomes import Outcome, keep_outcomes, outcomes
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store
from breakeven.telemetry.span_ids import span_id, trace_id

if TYPE_CHECKING:
    from pathlib import Path

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def run(*arguments: object) -> tuple[str, str]:
    found = CliRunner().invoke(command.app, [str(item) for item in arguments])
    if found.exception is not None:
        raise found.exception
    return found.stdout, found.stderr


def told(*arguments: object) -> Any:
    return json.loads(run(*arguments, "--json")[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger of three requests: one alone, one in an episode, one in a client's trace."""
    spool = Spool(tmp_path / "spool", worker=0)
    for number, (key, episode) in enumerate([("search", ""), ("search", "e1"), ("chat", TRACE)], 1):
        spool.add(
            rows.Attempt(
                number << 16, 1_790_000_000_000_000, 1, 2, 3, spool.code(rows.KEY, key), 0, 0, 0, 0, 0, 0, 0, 0, 200,
                rows.OK, 0, 0, 1_000, 0, 0, 10, episode,
            )
        )  # fmt: skip
    spool.close()
    mover = Mover(tmp_path / "spool", Store(tmp_path / "ledger.sqlite"), CardSchedule())
    mover.drain()
    mover.close()
    return tmp_path


def file(folder: Path, *records: object) -> Path:
    path = folder / "scores.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def score(**said: object) -> dict[str, object]:
    return {"id": "s", "traceId": "e1", "name": "n", "value": 1, "timestamp": "2026-11-20T10:00:00Z", **said}


def kept(folder: Path) -> dict[str, Outcome]:
    return {outcome.id: outcome for outcome in outcomes(folder / "ledger.sqlite")}


def test_a_score_finds_the_nearest_thing_that_the_ledger_has(folder: Path) -> None:
    (folder / "gateway.id").write_text("cafe")
    number = 1 << 16
    records = [
        score(id="request", metadata={"breakeven_request_id": request_text(number)}),
        score(id="episode", traceId=None, sessionId="e1"),
        score(id="trace", traceId=TRACE, observationId="0011223344556677"),
        score(id="our-trace", traceId=trace_id(b"cafe", number).hex()),
        score(id="our-span", traceId=TRACE, observationId=span_id(b"cafe", number).hex()),
        score(id="nowhere", traceId="ffeeddccbbaa99887766554433221100"),
        score(id="later", traceId="00b1a2c3d4e5f60"),
    ]
    done = told("import", file(folder, *records), "--from", "langfuse", "--ledger", folder)
    counts = ("read", "added", "replaced", "of_request", "of_episode", "unmatched", "problem")
    assert [done[f"{name}_count"] for name in counts] == [7, 7, 0, 3, 2, 2, 0]
    found = {
        name.removeprefix("/langfuse:"): outcome.episode or request_text(outcome.request_id or 0)
        for name, outcome in kept(folder).items()
    }
    first = request_text(number)
    assert found == {
        "request": first, "episode": "e1", "trace": TRACE, "our-trace": first, "our-span": first,
        "nowhere": "ffeeddccbbaa99887766554433221100", "later": "00b1a2c3d4e5f60",
    }  # fmt: skip
    listed = told("list", "--ledger", folder)
    assert listed["standing"] == {"known": 5, "unknown": 2, "of others": 0}


def test_an_import_said_twice_is_there_once_and_an_older_one_undoes_nothing(folder: Path) -> None:
    newer = score(value=2, updatedAt="2026-11-20T11:00:00Z")
    assert told("import", file(folder, newer), "--from", "langfuse", "--ledger", folder)["added_count"] == 1
    again = told("import", file(folder, score(value=1), score(value=1)), "--from", "langfuse", "--ledger", folder)
    assert (again["added_count"], again["replaced_count"]) == (0, 2)
    assert kept(folder)["/langfuse:s"].score == 2.0


def test_evaluations_without_ids_are_the_same_when_they_are_read_again(folder: Path) -> None:
    attributes = [
        {"key": "gen_ai.evaluation.name", "value": {"stringValue": "Relevance"}},
        {"key": "gen_ai.evaluation.score.label", "value": {"stringValue": "fail"}},
    ]
    record = {"eventName": "gen_ai.evaluation.result", "traceId": TRACE, "spanId": "a" * 16, "attributes": attributes}
    path = file(folder, {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
    assert told("import", path, "--from", "otel", "--ledger", folder)["added_count"] == 1
    assert told("import", path, "--from", "otel", "--ledger", folder)["added_count"] == 0
    (found,) = kept(folder).values()
    assert (found.success, found.source, found.name, found.episode, found.origin) == (
        False, "judge", "Relevance", TRACE, "otel",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "said", "success"),
    [
        ("n>=0.5", {"value": 0.5}, True),
        ("n>=0.5", {"value": 0.4}, False),
        ("n<=2", {"value": 3}, False),
        ("n=4", {"value": 4}, True),
        ("n=good", {"value": None, "stringValue": "Good", "dataType": "CATEGORICAL"}, True),
        ("n=partly", {"value": None, "stringValue": "poor", "dataType": "CATEGORICAL"}, False),
        ("other>=0.5", {"value": 1}, None),
        ("n>=0.5", {"value": 0, "dataType": "BOOLEAN"}, False),
    ],
)
def test_a_rule_says_which_scores_are_successes(
    folder: Path, rule: str, said: dict[str, object], success: bool | None
) -> None:
    run("import", file(folder, score(**said)), "--from", "langfuse", "--success", rule, "--ledger", folder)
    assert kept(folder)["/langfuse:s"].success is success


def test_who_gave_a_score_is_as_the_file_says_and_else_as_one_is_told(folder: Path) -> None:
    path = file(folder, score(source="ANNOTATION"), score(id="t", source="API"))
    run("import", path, "--from", "langfuse", "--source", "code", "--ledger", folder)
    assert {name: outcome.source for name, outcome in kept(folder).items()} == {
        "/langfuse:s": "human", "/langfuse:t": "code",
    }  # fmt: skip


def test_a_dry_run_writes_nothing_and_says_what_it_would(folder: Path) -> None:
    path = file(folder, score(), {"id": "bad"})
    said, wrong = run("import", path, "--from", "langfuse", "--dry-run", "--ledger", folder)
    assert "would bring in 1 outcomes\n0 of requests, 1 of episodes" in said
    assert "1 records could not be read:\n" in wrong
    assert f"{path}:2" in wrong
    assert not kept(folder)


def test_outcomes_are_listed_newest_last_without_what_a_terminal_obeys(folder: Path) -> None:
    plain = Outcome(id="a", key="chat", episode="e1", success=False, at_us=10**15, received_us=10**15)
    odd = Outcome(id="b", key="", episode="\x1b[31m", comment="[red]x\n" + "y" * 100, at_us=2 * 10**15, received_us=1)
    keep_outcomes(folder / "ledger.sqlite", [odd, plain])
    said, _ = run("list", "--ledger", folder)
    assert said.index("2001-09-09 01:46:40") < said.index("2033-05-18 03:33:20")
    assert "\x1b" not in said
    assert "[red]x" in said
    assert "2 outcomes; 1 of nothing that the ledger has; 1 of other keys' requests, which do not count" in said
    assert "e1" not in run("list", "-n", "1", "--ledger", folder)[0]
    assert [item["id"] for item in told("list", "--where", "key=chat", "--ledger", folder)["outcomes"]] == ["a"]
    assert [item["id"] for item in told("list", "--since", "2030-01-01", "--ledger", folder)["outcomes"]] == ["b"]
    assert "There are no such outcomes" in run("list", "--until", "1999-01-01", "--ledger", folder)[0]


def test_outcomes_are_exported_as_they_are_listed(folder: Path, tmp_path: Path) -> None:
    run("import", file(folder, score(), score(id="t", value=0.5, comment='a,"b"')), "--from", "langfuse",
        "--ledger", folder)  # fmt: skip
    run("export", tmp_path / "o.jsonl", "--ledger", folder)
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert lines == told("list", "--ledger", folder)["outcomes"]
    assert "wrote 2 outcomes" in run("export", tmp_path / "o.csv", "--ledger", folder)[0]
    assert 'n,user,,0.5,,"a,""b""",' in (tmp_path / "o.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("import", "{file}", "--from", "mlflow"), "known are langfuse, tensorzero, otel"),
        (("import", "{file}", "--from", "tensorzero"), "holds no scores that can be read as tensorzero"),
        (("import", "{file}", "--from", "langfuse", "--source", "me"), "one of user, code, judge, human"),
        (("import", "{file}", "--from", "langfuse", "--success", "n"), "write NAME>=NUMBER"),
        (("import", "{file}", "--from", "langfuse", "--success", "n>=x"), "'x' is no number"),
        (("import", "{file}.gone", "--from", "langfuse"), "No such file"),
        (("list", "--where", "colour=red"), "an outcome has id, key"),
        (("list", "--where", "colour"), "LABEL=VALUE"),
        (("export", "{file}.parquet"), "written as .csv or .jsonl"),
    ],
    ids=str,
)
def test_wrong_input_is_told_in_words(folder: Path, arguments: tuple[str, ...], why: str) -> None:
    path = file(folder, score())
    with pytest.raises(InputError, match=why):
        run(*(item.replace("{file}", str(path)) for item in arguments), "--ledger", folder)


def test_nothing_is_brought_into_a_ledger_that_is_not_there(tmp_path: Path) -> None:
    path = file(tmp_path, score())
    with pytest.raises(InputError, match="There is no ledger"):
        run("import", path, "--from", "langfuse", "--ledger", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_what_a_gateway_left_behind_is_listed_too(folder: Path) -> None:
    spool = OutcomeSpool(folder / "spool", worker=0)
    spool.keep([Outcome(id="left", key="chat", episode=TRACE, at_us=10**15, received_us=10**15)])
    spool.close()
    assert told("list", "--ledger", folder)["standing"] == {"known": 1, "unknown": 0, "of others": 0}
    assert not list((folder / "spool").iterdir())
