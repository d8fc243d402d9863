"""``breakeven shift``: begun, shown, paused, overridden and ended by a person, and what is said to wrong input."""

from __future__ import annotations

import json
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.cli import main
from breakeven.ledger.pairs import SERVED, SHIFT, Pair, PairCheck, Side, keep
from breakeven.ledger.shifts import shift_events, stored_shifts
from breakeven.trials.counts import TrialsState, write_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

SETTINGS: dict[str, Any] = {
    "targets": {
        name: {"url": f"http://127.0.0.1:{port}/v1"} for name, port in (("old", 9001), ("new", 9002), ("strong", 9003))
    },
    "models": {"chat": {"targets": ["old"]}, "referee": {"targets": ["strong"]}},
    "trials": {"judge": {"model": "referee"}},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``breakeven shift`` in a folder with settings; return exit code, output and what was said beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "breakeven.yaml").write_text(json.dumps(SETTINGS))

    def run_it(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["breakeven", "shift", *arguments])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_it


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the ledger of those settings is."""
    return tmp_path / "breakeven-data" / "ledger.sqlite"


def settle(tmp_path: Path, **changes: Any) -> None:
    (tmp_path / "breakeven.yaml").write_text(json.dumps({**SETTINGS, **changes}))


def pairs(store: Path, differences: list[int], task: str) -> None:
    """Judged pairs that came after the newest shift began."""
    at_us = int(stored_shifts(store)[-1].started_s * 1e6) + 1
    side = Side(None, 1, 1, None, 1, 1, "")
    made = [
        Pair(n << 4, "new", "old", "chat", "k", task, "", at_us + n, side, side, SHIFT)
        for n in range(1, 1 + len(differences))
    ]
    checks = [
        PairCheck(pair.request_id, "new", "judge", "1", float(d < 0), float(d > 0), "", pair.at_us)
        for pair, d in zip(made, differences, strict=True)
    ]
    served = [PairCheck(pair.request_id, "new", SERVED, "", 1.0, 1.0, "", pair.at_us) for pair in made]
    keep(store, made, [*checks, *served])


def test_a_shift_is_begun_with_what_was_said_and_shown_in_words(run: Run, store: Path) -> None:
    code, out, err = run("start", "chat", "--to", "new", "--tasks", "sort,prove", "--margin", "3", "--steps", "1,5,100")
    assert (code, err) == (0, "")
    assert out.startswith(
        "Shift 1: chat goes to new, sort, prove, in the steps 1 %, 5 %, 100 %.\n1 % goes there from now on."
    )
    assert "(check: judge) that its answers are not worse by 3 points or more; that is wrong at most once in 20" in out
    assert "No request of 'chat' with the task 'sort' came in the last 7 days" in out
    (shift,) = stored_shifts(store)
    assert shift.terms.steps == (0.01, 0.05, 1.0)
    assert (shift.terms.margin_fraction, shift.terms.alpha_fraction, shift.terms.check) == (0.03, 0.05, "judge")
    assert (shift.terms.guard_error_fraction, shift.terms.guard_ttft_ratio, shift.terms.guard_cost_ratio) == (
        0.02,
        1.5,
        None,
    )
    code, out, err = run("status")
    assert code == 0
    assert "sort: 1 % of the traffic for" in out
    assert "Held at 1 %: no pair was judged yet." in out


def test_status_says_what_is_known_how_sure_and_what_is_missing(run: Run, store: Path) -> None:
    run("start", "chat", "--to", "new", "--tasks", "sort", "--margin", "5")
    pairs(store, [0, 0, 0, 1, 0, -1, 0, 0, 0, 0] * 20, "sort")
    code, out, _ = run("status", "1")
    assert code == 0
    assert "over 200 pairs (20 % differ) the candidate scores +0.0 points against the incumbent" in out
    assert "20 times" in out
    assert "pairs more" in out
    code, out, _ = run("status", "--json")
    record = json.loads(out)
    (task,) = record["tasks"]
    assert (task["task"], task["share_fraction"], task["would"], task["reason"]) == ("sort", 0.01, "hold", "evidence")
    assert task["evidence"]["pairs"] == 200
    assert task["evidence"]["pairs_needed"] > 100


def test_a_person_pauses_resumes_promotes_and_rolls_back_and_is_named_in_the_record(run: Run, store: Path) -> None:
    run("start", "chat", "--to", "new", "--tasks", "sort,prove", "--by", "ann")
    assert run("pause", "--by", "bob")[1] == "sort: A person paused it at 1 %.\nprove: A person paused it at 1 %.\n"
    assert "paused, 1 % of the traffic" in run("status")[1]
    assert run("resume", "--task", "sort")[1] == "sort: A person resumed it at 1 %.\n"
    assert run("promote", "sort", "--by", "ann")[1] == "sort: A person took it from 1 % to 5 %.\n"
    assert run("rollback", "--task", "prove")[1] == "prove: A person took it from 1 % to 0 %.\n"
    assert "rolled back, 0 % of the traffic" in run("status")[1]
    said = [(event.task, event.kind, event.said_by) for event in shift_events(store, 1)]
    assert said[:4] == [
        ("sort", "start", "ann"),
        ("prove", "start", "ann"),
        ("sort", "pause", "bob"),
        ("prove", "pause", "bob"),
    ]
    assert [kind for _, kind, _ in said[4:]] == ["resume", "promote", "roll_back"]
    assert run("rollback")[0] == 0
    assert stored_shifts(store, under_way=True) == ()
    code, out, err = run("pause")
    assert (code, out) == (2, "")
    assert err.startswith("breakeven: No shift is under way.")
    assert run("events")[1].count("\n") == len(said) + 1
    assert "rolled back, 0 % of the traffic" in run("status")[1]


def test_a_shift_at_its_end_says_what_to_do_and_is_ended(run: Run) -> None:
    run("start", "chat", "--to", "new", "--steps", "50,100")
    run("promote", "*")
    run("promote", "*")
    assert (
        "All is done: make new the model's target in the settings, then run: breakeven shift end 1" in run("status")[1]
    )
    code, _, err = run("promote", "*")
    assert (code, "this task is finished; start a new shift to move it again" in err) == (2, True)
    assert run("end")[0] == 0
    assert run("end", "1")[0] == 2
    assert "1  chat to new  ended since" in run("list")[1]


def test_two_shifts_do_not_have_one_task(run: Run) -> None:
    assert run("start", "chat", "--to", "new", "--tasks", "sort")[0] == 0
    code, _, err = run("start", "chat", "--to", "strong", "--tasks", "prove,sort")
    assert code == 2
    assert "Shift 1 is under way with the task 'sort' of 'chat'." in err
    assert run("start", "chat", "--to", "strong")[0] == 2
    assert run("start", "chat", "--to", "strong", "--tasks", "prove")[0] == 0
    code, _, err = run("status")
    assert (code, "Several shifts are under way: 1 (chat to new), 2 (chat to strong)." in err) == (2, True)


def test_who_begins_again_what_was_rolled_back_is_told_so(run: Run) -> None:
    run("start", "chat", "--to", "new", "--tasks", "sort")
    run("rollback")
    assert (
        "Shift 1 of the task 'sort' to new was rolled back" in run("start", "chat", "--to", "new", "--tasks", "sort")[1]
    )


def test_without_a_gateway_that_compares_it_is_said_that_nothing_will_move(run: Run) -> None:
    assert "Note: No gateway compares answers here now" in run("start", "chat", "--to", "new")[1]
    assert "Note: No gateway compares answers here now" in run("status")[1]
    (note,) = json.loads(run("status", "--json")[1])["notes"]
    assert "breakeven config reload" in note


def test_where_the_budget_of_the_day_is_spent_it_is_said_that_no_pairs_come(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("breakeven.trials.intake.is_listened_on", lambda _: True)
    run("start", "chat", "--to", "new")
    for spent_usd, notes in (("18.99", []), ("19.97", ["19.97 of 20.00 USD"])):
        state = TrialsState(
            at_s=2, started_s=1, received_count=0, waiting_count=0, dropped_count=0, pairs_count=0, outcomes_count=0,
            skipped={}, spent_usd=spent_usd, budget_usd="20", trouble="",
        )  # fmt: skip
        write_state(store.parent, state)
        found = json.loads(run("status", "--json")[1])["notes"]
        assert len(found) == len(notes)
        assert all(note in told for note, told in zip(notes, found, strict=True))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody", "--to", "new"), "The settings have no model 'nobody' whose traffic could be shifted. There are"),
        (("chat", "--to", "nowhere"), "The settings have no target 'nowhere'. There are new, old, strong."),
        (("chat", "--to", "old"), "All traffic of 'chat' goes to 'old' already"),
        (("chat", "--to", "new", "--steps", "5,1"), "This shift cannot be: steps are up to 20 rising shares"),
        (("chat", "--to", "new", "--steps", "0,200"), "--steps 0 cannot be: give a number above 0 and at most 100."),
        (("chat", "--to", "new", "--steps", "a"), "--steps 'a' are no shares: write percent"),
        (("chat", "--to", "new", "--steps", "nan"), "--steps nan cannot be"),
        (("chat", "--to", "new", "--margin", "0"), "--margin 0 cannot be: give a number above 0 and below 100."),
        (("chat", "--to", "new", "--margin", "nan"), "--margin nan cannot be"),
        (("chat", "--to", "new", "--alpha", "1"), "--alpha 1 cannot be: give a number above 0 and below 0.5."),
        (("chat", "--to", "new", "--tasks", "a,,b"), "names a task without a name"),
        (("chat", "--to", "new", "--tasks", "a,*"), "names all tasks and some besides"),
        (("chat", "--to", "new", "--guard-ttft", "fast"), "--guard-ttft 'fast' is no number: write one such as"),
        (("chat", "--to", "new", "--mirror", "0"), "--mirror 0 cannot be: give a number above 0 and at most 100."),
        (("chat", "--to", "new", "--check", "guess"), "There is no check 'guess'. There are judge, check, served"),
        (("chat", "--to", "new", "--check", "check"), "--check check needs trials: check: {url: …} in the settings."),
        (("chat", "--to", "new", "--least-hours", "-2"), "--least-hours -2 cannot be"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused_in_words_that_help(
    run: Run, store: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = run("start", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert not store.exists()


def test_settings_without_trials_are_told_exactly_what_to_add(run: Run, tmp_path: Path) -> None:
    settle(tmp_path, trials=None)
    code, _, err = run("start", "chat", "--to", "new")
    assert code == 2
    assert "  trials:\n    judge: {model: NAME}\n" in err
    settle(tmp_path, trials={})
    assert "Nothing in the settings says which of two answers is better." in run("start", "chat", "--to", "new")[2]
    assert run("start", "chat", "--to", "new", "--check", "exact")[0] == 0


NODES: list[dict[str, Any]] = [
    {"name": name, "url": f"http://127.0.0.1:{port}/v1"} for name, port in (("a", 9004), ("b", 9005))
]
POOLS: dict[str, Any] = {
    "own": {"engine": "vllm", "nodes": NODES[:1]},
    "two": {"engine": "vllm", "nodes": NODES},
    "thought": {"virtual": True, "runs": "llama-3.3-70b", "hardware": "2xH100", "nodes": [{}]},
}


@pytest.mark.parametrize("pool", ["own", "two"])
def test_a_pool_is_a_target_by_its_own_name(run: Run, tmp_path: Path, store: Path, pool: str) -> None:
    settle(tmp_path, pools=POOLS)
    assert run("start", "chat", "--to", pool)[1].startswith(f"Shift 1: chat goes to {pool}, ")
    (shift,) = stored_shifts(store)
    assert (shift.target, shift.terms.to_pool) == (pool, True)
    assert f"Shift 1: chat to {pool}, begun" in run("status")[1]
    assert f"1  chat to {pool}  under way since" in run("list")[1]
    (record,) = json.loads(run("list", "--json")[1])
    assert (record["target"], record["terms"]["to_pool"]) == (pool, True)
    run("promote", "*")
    run("rollback")
    out = run("start", "chat", "--to", f"{pool}/a")[1]
    assert f"Shift 1 of the task '*' to {pool} was rolled back" in out
    assert not stored_shifts(store)[-1].terms.to_pool


def test_a_shift_that_an_earlier_version_began_goes_on_to_the_one_node(run: Run, tmp_path: Path, store: Path) -> None:
    settle(tmp_path, pools=POOLS)
    run("start", "chat", "--to", "two/b")
    with sqlite3.connect(store) as connection:
        (plan,) = connection.execute("SELECT plan FROM shift").fetchone()
        terms = {name: value for name, value in json.loads(plan).items() if name != "to_pool"}
        connection.execute("UPDATE shift SET plan = ?", (json.dumps(terms),))
    (shift,) = stored_shifts(store)
    assert [shift.goes_to(name) for name in ("two/b", "two/a", "two")] == [True, False, False]
    assert run("promote", "*")[0] == 0


def test_a_shadow_of_a_node_says_how_answers_of_its_pool_are_compared(run: Run, tmp_path: Path, store: Path) -> None:
    shadow = {"model": "chat", "candidate": "two/b", "share": 0.1, "judge": {"model": "referee", "share": 0.5}}
    settle(tmp_path, pools=POOLS, trials={"shadows": [shadow]})
    out = run("start", "chat", "--to", "two", "--with-shadow")[1]
    assert "The judge sees 50% of the pairs" in out
    assert stored_shifts(store)[0].terms.check == "judge"
    run("rollback")
    assert "Nothing in the settings says which of two answers is better." in run("start", "chat", "--to", "own")[2]


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("thought", "The pool 'thought' is virtual: it is only simulated, and serves nobody. Name a target, or a pool"),
        ("thoughts", "The settings have no target 'thoughts'. There are new, old, own, own/a, strong, two, two/a, two"),
        ("two/c", "The settings have no target 'two/c'."),
        ("two", "All traffic of 'chat' goes to 'two' already"),
    ],
)
def test_pools_that_make_no_sense_are_refused(run: Run, tmp_path: Path, store: Path, to: str, said: str) -> None:
    models = SETTINGS["models"] | ({"chat": {"targets": ["two"]}} if to == "two" else {})
    settle(tmp_path, pools=POOLS, models=models)
    code, out, err = run("start", "chat", "--to", to)
    assert (code, out) == (2, "")
    assert said in err
    assert not store.exists()


def test_a_pool_that_has_a_part_of_the_traffic_may_get_all_of_it(run: Run, tmp_path: Path) -> None:
    settle(tmp_path, pools=POOLS, models=SETTINGS["models"] | {"chat": {"targets": ["old", "two"]}})
    assert run("start", "chat", "--to", "two")[0] == 0


def test_unknown_numbers_and_tasks_are_refused(run: Run) -> None:
    assert "There is no ledger" in run("status")[2]
    run("start", "chat", "--to", "new", "--tasks", "sort")
    assert "No shift has the number 7. There are 1." in run("status", "7")[2]
    assert "Shift 1 has no task 'prove'. It has sort." in run("promote", "prove")[2]
