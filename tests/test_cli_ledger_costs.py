"""``breakeven ledger query --costs`` as people and programs see it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from breakeven.cli import ledger as ledger_command
from breakeven.errors import BreakevenError
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.mover import Mover
from breakeven.ledger.query import Question
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store
from breakeven.sources.genai import price_list
from breakeven.wiring.ledger import find_ledger
from breakeven.wiring.ledger_costs import query_costs

if TYPE_CHECKING:
    from pathlib import Path

AT_US = 1_793_538_000_000_000  # 2026-11-01T13:00Z
CONFIG = """
pools:
  llama:
    nodes:
      - {{name: a, url: "http://a/v1", usd_per_hour: "{price}", since: 2026-11-01T12:00Z, until: 2026-11-01T15:00Z}}
    gpu_time: {{prefill_s_per_mtok: 100, decode_s_per_mtok: 1000}}
models: {{m: {{targets: [llama]}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a ledger of 9 requests in one hour: 1,100 s of a node's 3,600 each for two keys and an API."""
    spool = Spool(tmp_path / "breakeven-data" / "spool", worker=0)
    for number in range(9):
        key, target = ("search", "chat", "chat")[number % 3], ("llama/a", "llama/a", "api")[number % 3]
        spool.add(
            rows.Attempt(
                (number + 1) * 16, AT_US + number, 1, 2, 3, spool.code(rows.KEY, key), 0, 0,
                spool.code(rows.MODEL, "m"), spool.code(rows.TARGET, target),
                spool.code(rows.PRICED_AS, "openai:gpt-4o"), 0, 0, 0, 200, rows.OK, 0, 0, 1_000_000, 0, 0, 200_000, "",
            )
        )  # fmt: skip
    spool.close()
    mover = Mover(
        tmp_path / "breakeven-data" / "spool",
        Store(tmp_path / "breakeven-data" / "ledger.sqlite"),
        CardSchedule([price_list("openai:gpt-4o")]),
    )
    mover.drain()
    mover.close()
    (tmp_path / "breakeven.yaml").write_text(CONFIG.format(price="7.20"), encoding="utf-8")
    return tmp_path


def output(*arguments: object) -> str:
    found = CliRunner().invoke(ledger_command.app, ["query", *map(str, arguments)])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.stdout


def answer(folder: Path, *arguments: object) -> dict[str, Any]:
    found = json.loads(output(*arguments, "--config", folder / "breakeven.yaml", "--json"))
    assert isinstance(found, dict)
    return found


def test_programs_get_every_basis_to_the_last_digit(folder: Path) -> None:
    found = answer(folder, "--by", "key,pool", "--costs", "--against", "openai:gpt-4o,pool:llama")
    rows_by = {(row["key"], row["pool"]): row for row in found["rows"]}
    # 6 requests of 100 + 200 s: 1,800 of 3,600 s; each key has half of that.
    assert rows_by["search", "llama"]["allocated_usd"] == "1.800000000000"
    assert rows_by["search", "llama"]["marginal_usd"] == "0"
    assert Decimal(rows_by["chat", None]["marginal_usd"]) == Decimal(rows_by["chat", None]["loaded_usd"]) > 0
    assert Decimal(rows_by["search", "llama"]["against_usd"]["openai:gpt-4o"]) == 3 * (Decimal("2.5") + 2)
    assert Decimal(rows_by["search", "llama"]["against_usd"]["pool:llama"]) == Decimal("3.6")
    (pool,) = found["pools"]
    assert (pool["bill_usd"], pool["allocated_usd"], pool["idle_usd"]) == (
        "21.600000000000", "3.600000000000", "18.000000000000",
    )  # fmt: skip
    assert pool["utilisation_fraction"] == pytest.approx(1_800 / 10_800)
    total = found["total"]
    assert Decimal(total["allocated_usd"]) + Decimal(total["idle_usd"]) == Decimal(total["marginal_usd"]) + Decimal(
        total["bill_usd"]
    )


def test_a_corrected_price_changes_what_is_told_at_once(folder: Path) -> None:
    (folder / "breakeven.yaml").write_text(CONFIG.format(price="3.60"), encoding="utf-8")
    assert answer(folder, "--by", "pool", "--costs")["pools"][0]["bill_usd"] == "10.800000000000"


def test_people_see_idle_on_its_own_line_and_where_weights_are_from(folder: Path) -> None:
    shown = output("--by", "key", "--costs", "--config", folder / "breakeven.yaml")
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert "1.800000" in lines["search"]
    assert "18.000000" in lines["idle"]
    assert "16.7%" in lines["llama"]
    assert "hours before" in shown
    ranked = output("--by", "key", "--costs", "--top", "1", "--config", folder / "breakeven.yaml")
    assert "search" not in ranked, "chat had the API too"


def test_what_is_idle_is_no_part_of_attempts_that_are_chosen(folder: Path) -> None:
    asked = ("--by", "target", "--costs", "--where", "target=api", "--config", folder / "breakeven.yaml")
    found = CliRunner().invoke(ledger_command.app, ["query", *map(str, asked)])
    lines = {line.split()[0]: line.split() for line in found.stdout.splitlines() if line.strip()}
    assert "idle" not in lines
    assert lines["all"][2:] == lines["api"][4:7]
    assert "18.000000" in lines["llama"], "pools are shown whole"
    assert "Pools are shown whole" in found.stderr
    record = answer(folder, "--by", "target", "--costs", "--where", "target=api")
    total = record["total"]
    assert [total[name] for name in ("bill_usd", "idle_usd", "fixed_usd", "idle_fixed_usd")] == [None] * 4
    assert Decimal(total["allocated_usd"]) == Decimal(total["marginal_usd"]) > 0
    assert total["allocated_usd"] == record["rows"][0]["allocated_usd"]
    assert any("Pools are shown whole" in note for note in record["notes"])


def test_all_of_a_pool_has_its_idle_time(folder: Path) -> None:
    asked = ("--by", "key", "--costs", "--where", "pool=llama")
    total = answer(folder, *asked)["total"]
    assert (total["allocated_usd"], total["idle_usd"]) == ("3.600000000000", "18.000000000000")
    shown = output(*asked, "--config", folder / "breakeven.yaml")
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert lines["idle"][1] == "18.000000"
    assert lines["all"][3] == "21.600000"


UNUSED = """  empty:
    nodes:
      - {name: e, url: "http://e/v1", usd_per_hour: "2", since: 2026-11-01T12:00Z, until: 2026-11-01T15:00Z}
models:"""


@pytest.mark.parametrize(("where", "idle_usd"), [(("empty",), 6), (("empty", "llama"), 24), (("llama",), 18)])
def test_a_pool_that_nobody_asked_can_be_asked_for(folder: Path, where: tuple[str, ...], idle_usd: int) -> None:
    config = folder / "breakeven.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("models:", UNUSED), encoding="utf-8")
    asked = [part for name in where for part in ("--where", f"pool={name}")]
    found = answer(folder, "--by", "pool", "--costs", *asked)
    assert [pool["pool"] for pool in found["pools"]] == sorted(where)
    assert [row["pool"] for row in found["rows"]] == [name for name in where if name == "llama"]
    assert Decimal(found["total"]["idle_usd"]) == idle_usd
    assert "empty" in output("--by", "pool", "--costs", "--where", "pool=empty", "--config", config)
    with pytest.raises(BreakevenError, match="It has llama"):
        output("--costs", "--where", "pool=empty", "--where", "pool=nowhere", "--config", config)


def test_what_was_sent_to_compare_targets_is_set_against_nothing(folder: Path) -> None:
    """Elsewhere nobody would have asked for it: neither a copy for comparison, nor what a judge was asked."""
    before = answer(folder, "--costs", "--against", "openai:gpt-4o")["total"]["against_usd"]
    spool = Spool(folder / "breakeven-data" / "spool", worker=1)
    for number, decision in enumerate(("shadow", "judge")):
        spool.add(
            rows.Attempt(
                (number + 100) * 16, AT_US + number, 1, 2, 3, spool.code(rows.KEY, "search"), 0, 0,
                spool.code(rows.MODEL, "m"), spool.code(rows.TARGET, "api"),
                spool.code(rows.PRICED_AS, "openai:gpt-4o"), spool.code(rows.REASON, decision), 0, 0, 200, rows.OK, 0,
                0, 1_000_000, 0, 0, 200_000, "",
            )
        )  # fmt: skip
    spool.close()
    mover = Mover(
        folder / "breakeven-data" / "spool",
        Store(folder / "breakeven-data" / "ledger.sqlite"),
        CardSchedule([price_list("openai:gpt-4o")]),
    )
    mover.drain()
    mover.close()
    found = answer(folder, "--by", "decision", "--costs", "--against", "openai:gpt-4o")
    assert found["total"]["against_usd"] == before
    by_decision = {row["decision"]: row for row in found["rows"]}
    assert Decimal(by_decision["shadow"]["against_usd"]["openai:gpt-4o"]) == 0
    assert Decimal(by_decision["judge"]["marginal_usd"]) > 0


def test_hours_have_their_own_lines(folder: Path) -> None:
    found = answer(folder, "--by", "pool,hour", "--costs")
    assert [pool["time"] for pool in found["pools"]] == ["2026-11-01T12:00Z", "2026-11-01T13:00Z", "2026-11-01T14:00Z"]
    assert [pool["idle_usd"] for pool in found["pools"]] == ["7.200000000000", "3.600000000000", "7.200000000000"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--against", "gpt-4o"), "provider:model"),
        (("--against", "openai:gpt-9o"), "no price is known"),
        (("--against", "pool:nowhere"), "needs gpu_time"),
        (("--costs", "--by", "nothing"), "can be grouped by"),
        (("--costs", "--order", "size"), "can be ranked by"),
        (("--costs", "--since", "2100-01-01"), "over yet"),
        (("--costs", "--where", "pool=nowhere"), "It has llama"),
    ],
)
def test_a_wrong_question_is_refused_in_words(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    question = ("--top", "1", *arguments, "--config", str(folder / "breakeven.yaml"))
    with pytest.raises(BreakevenError, match=said):
        output(*question)


@pytest.mark.parametrize("costs", [(), ("--costs",)])
def test_an_order_holds_without_a_top_too(folder: Path, costs: tuple[str, ...]) -> None:
    plain, ranked = (
        answer(folder, "--by", "target", *costs, *order)["rows"] for order in ((), ("--order", "requests"))
    )
    assert [(row["target"], row["requests"]) for row in plain] == [("api", 3), ("llama/a", 6)]
    assert ranked == plain[::-1]
    with pytest.raises(BreakevenError, match="can be ranked by"):
        answer(folder, "--by", "target", *costs, "--order", "size")


def test_without_settings_or_pools_the_answer_is_the_apis(folder: Path) -> None:
    found = json.loads(output("--by", "model", "--costs", "--ledger", folder / "breakeven-data", "--json"))
    assert found["pools"] == []
    assert Decimal(found["rows"][0]["marginal_usd"]) == Decimal(found["rows"][0]["loaded_usd"]) > 0


@pytest.mark.parametrize(("minute", "paid_usd"), [(30, "3.600000000000"), (45, "5.400000000000")])
def test_the_running_hour_counts_as_if_it_ended_now(folder: Path, minute: int, paid_usd: str) -> None:
    """At half past one of a node paid from noon: what has been paid since one, and what it served by then."""
    place, config = find_ledger(None, folder / "breakeven.yaml"), folder / "breakeven.yaml"
    asked = Question(by=("pool",), since=datetime(2026, 11, 1, 13, tzinfo=UTC))
    now_s = datetime(2026, 11, 1, 13, minute, tzinfo=UTC).timestamp()
    found = query_costs(place, config, asked, (), now_s, so_far=True).costs
    (pool,) = found.pools
    assert pool.bill_usd == Decimal(paid_usd)
    assert pool.allocated_usd + pool.idle_usd == pool.bill_usd
    # 1,800 s of a node's time were asked of it: at half past one all that was paid.
    assert pool.allocated_usd == Decimal("3.6")
    with pytest.raises(BreakevenError, match="no hour from there on is over yet"):
        query_costs(place, config, asked, (), now_s)
