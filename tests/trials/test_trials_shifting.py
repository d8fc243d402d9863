"""Shifts decided on what is in the store: good candidates go to the end, bad ones back, whoever restarts or pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from shifted import TERMS, Shifted

from breakeven.ledger import rows
from breakeven.ledger.shifts import (
    FINISHED,
    PAUSED,
    ROLLED_BACK,
    RUNNING,
    Move,
    end_shift,
    move_task,
    shift_events,
)
from breakeven.trials.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

GOOD = [0, 1, 0, -1, 0, 0, 0, 1, 0, 0]
"""Ten pairs of a candidate that is as good, or a little better."""

WORSE = [0, -1, 0, -1, 0, 1, -1, 0, -1, 0]


@pytest.fixture
def shifted(tmp_path: Path) -> Shifted:
    """A shift of one task that has just begun."""
    return Shifted(tmp_path)


def served(shifted: Shifted, count: int = 100) -> None:
    """Let both targets serve, at the step that is on."""
    shifted.serve(count, "new", "old")


def kinds(shifted: Shifted) -> list[tuple[str, str]]:
    return [(event.kind, event.said_by) for event in shift_events(shifted.store, shifted.number)]


def test_a_good_candidate_goes_step_by_step_to_the_end_and_each_step_says_why(shifted: Shifted) -> None:
    assert shifted.look() == ()
    shifted.judge(GOOD * 100)
    served(shifted)
    (said,) = shifted.look(600)
    assert said.startswith("Shift 1, chat to new, task sort: Promoted from 1 % to 25 %: over 1,000 pairs (30 % differ)")
    assert shifted.state() == (RUNNING, 1)
    for expected in ((RUNNING, 2), (FINISHED, 2)):
        assert shifted.look(700) == ()  # too few requests at this step
        served(shifted)
        assert len(shifted.look()) == 1
        assert shifted.state() == expected
    assert kinds(shifted) == [("start", "tests"), ("promote", "test"), ("promote", "test"), ("finish", "test")]
    event = shift_events(shifted.store, shifted.number)[1]
    assert (event.step_before, event.step_after) == (0, 1)
    assert event.evidence["pairs"] == 1000
    assert event.evidence["e_value_peak"] >= 20
    assert event.evidence["live_requests"] == 100
    assert event.evidence["errors_state"] == "well"
    assert shifted.shift.ended_s is None  # its traffic stays there until the settings say so
    assert shifted.shift.share_fraction(shifted.shift.tasks[0]) == 1.0


def test_pairs_alone_do_not_promote_before_the_step_has_lasted_and_served(shifted: Shifted) -> None:
    shifted.judge(GOOD * 50)
    assert shifted.look(10) == ()
    served(shifted)
    assert shifted.look(10) == ()
    assert shifted.state() == (RUNNING, 0)


def test_a_bad_candidate_is_rolled_back_at_once_and_the_shift_has_ended(shifted: Shifted) -> None:
    for _ in range(60):
        shifted.judge(WORSE)
        if shifted.look():
            break
    assert shifted.state() == (ROLLED_BACK, 0)
    assert kinds(shifted)[-1] == ("roll_back", "test")
    assert shifted.shift.ended_s == shifted.now_s
    assert shift_events(shifted.store, shifted.number)[-1].evidence["pairs"] < 600
    shifted.judge(GOOD * 50)
    assert shifted.look(1000) == ()  # what is over is not decided again


def test_one_task_is_promoted_while_the_other_is_rolled_back(tmp_path: Path) -> None:
    shifted = Shifted(tmp_path, msgspec.structs.replace(TERMS, tasks=("sort", "prove")))
    shifted.judge(GOOD * 100)
    shifted.judge(WORSE * 60, task="prove")
    served(shifted)
    assert len(shifted.look(600)) == 2
    assert (shifted.state("sort"), shifted.state("prove")) == ((RUNNING, 1), (ROLLED_BACK, 0))
    assert shifted.shift.ended_s is None


def test_a_candidate_that_gives_no_answers_is_worse_though_no_judge_sees_it(shifted: Shifted) -> None:
    shifted.judge(GOOD)
    shifted.unanswered(60)
    shifted.look()
    assert shifted.state() == (ROLLED_BACK, 0)


def test_live_failures_roll_back_whatever_the_pairs_say(shifted: Shifted) -> None:
    shifted.judge(GOOD * 100)
    for _ in range(10):
        shifted.serve(3, "new", "old", outcome={"new": rows.FAILED, "old": rows.OK}, status={"new": 500, "old": 200})
        shifted.serve(7, "new", "old")
    shifted.look()
    assert shifted.state() == (ROLLED_BACK, 0)
    last = shift_events(shifted.store, shifted.number)[-1]
    assert (last.said_by, last.evidence["reason"]) == ("guard", "guard_errors")
    assert last.evidence["errors_candidate"] == pytest.approx(0.3)


def test_late_first_tokens_roll_back_against_what_the_incumbent_took_before(shifted: Shifted) -> None:
    shifted.serve(100, "new", "old", first_byte_us={"new": 2_000_000, "old": 200_000})
    shifted.look()
    assert shifted.state() == (ROLLED_BACK, 0)
    assert shift_events(shifted.store, shifted.number)[-1].evidence["reason"] == "guard_ttft"


def test_costs_are_guarded_where_that_is_wanted(tmp_path: Path) -> None:
    shifted = Shifted(tmp_path, msgspec.structs.replace(TERMS, guard_cost_ratio=1.2))
    for count in range(10):
        shifted.serve(10, "new", "old", output_tokens={"new": 1000 + count, "old": 100 + count})
    shifted.look()
    assert shifted.state() == (ROLLED_BACK, 0)
    assert shift_events(shifted.store, shifted.number)[-1].evidence["reason"] == "guard_cost"


def test_what_clients_left_and_what_was_asked_beside_them_decides_nothing(shifted: Shifted) -> None:
    shifted.serve(60, "new", outcome=rows.CLIENT_LEFT, failure="client_left")
    shifted.serve(60, "new", decision="judge")
    shifted.serve(60, "new", outcome=rows.FAILED, failure="overtaken")
    shifted.serve(60, "new", task="another")
    progress = Progress(shifted.store, shifted.shift, shifted.shift.tasks[0])
    progress.look(shifted.now_s + 1)
    assert progress.live_requests == 0
    assert progress.decision(shifted.now_s).evidence["errors_candidate"] == 0


def test_a_restart_in_the_middle_knows_what_the_former_process_knew(shifted: Shifted) -> None:
    shifted.judge(GOOD * 40)
    served(shifted)
    shifted.look(600)
    shifted.judge(GOOD * 7)
    shifted.look()
    (lasting,) = shifted.controller._known.values()
    shifted.restart()
    shifted.look()
    (fresh,) = shifted.controller._known.values()
    assert fresh is not lasting
    assert fresh.betting == lasting.betting
    assert fresh.live_requests == lasting.live_requests
    assert fresh.decision(shifted.now_s) == lasting.decision(shifted.now_s)


def test_a_step_begins_anew_with_what_speaks_for_going_back(shifted: Shifted) -> None:
    shifted.judge(GOOD * 100)
    served(shifted)
    shifted.look(600)
    assert shifted.state() == (RUNNING, 1)
    shifted.judge(WORSE * 40)
    shifted.look()
    assert shifted.state() == (ROLLED_BACK, 1)
    assert shift_events(shifted.store, shifted.number)[-1].evidence["reason"] == "worse"


def test_another_judge_or_another_wording_begins_the_test_anew(shifted: Shifted) -> None:
    shifted.judge(GOOD * 100)
    shifted.judge([0], version="j 2")
    served(shifted)
    assert shifted.look(600) == ()
    (progress,) = shifted.controller._known.values()
    assert (progress.betting.pairs_count, progress.version) == (1, "j 2")


def test_other_checks_and_pairs_from_before_the_start_do_not_count_unless_asked_for(tmp_path: Path) -> None:
    for counts, pairs in ((False, 10), (True, 30)):
        folder = tmp_path / str(counts)
        folder.mkdir()
        shifted = Shifted(folder, msgspec.structs.replace(TERMS, counts_shadow=counts))
        began_s = shifted.now_s
        shifted.now_s = began_s - 100
        shifted.judge(GOOD * 2)
        shifted.now_s = began_s
        shifted.judge([-1] * 50, name="exact")
        shifted.judge(GOOD)
        progress = Progress(shifted.store, shifted.shift, shifted.shift.tasks[0])
        progress.look(shifted.now_s)
        assert progress.betting.pairs_count == pairs


def test_a_person_who_pauses_is_obeyed_and_a_decision_on_older_evidence_is_not_made(shifted: Shifted) -> None:
    shifted.judge(GOOD * 100)
    served(shifted)
    shift = shifted.shift
    step = shift.tasks[0]
    paused = Move(task="sort", kind="pause", said_by="ann", state=PAUSED, step=0, evidence={})
    assert move_task(shifted.store, shift, step, paused, now_s=shifted.now_s)
    assert shifted.look(600) == ()
    assert shifted.state() == (PAUSED, 0)
    late = Move(task="sort", kind="promote", said_by="test", state=RUNNING, step=1, evidence={})
    assert not move_task(shifted.store, shift, step, late, now_s=shifted.now_s)
    assert shifted.state() == (PAUSED, 0)
    resumed = Move(task="sort", kind="resume", said_by="ann", state=RUNNING, step=0, evidence={})
    assert move_task(shifted.store, shift, shifted.shift.tasks[0], resumed, now_s=shifted.now_s)
    assert len(shifted.look()) == 1
    assert shifted.state() == (RUNNING, 1)


def test_a_shift_that_ended_is_moved_no_more(shifted: Shifted) -> None:
    end_shift(shifted.store, shifted.shift, now_s=shifted.now_s, said_by="ann")
    shifted.judge(WORSE * 60)
    assert shifted.look() == ()
    assert shifted.state() == (RUNNING, 0)


def to_pool(folder: Path, **fields: Any) -> Shifted:
    """A shift to a pool that has just begun."""
    folder.mkdir(exist_ok=True)
    return Shifted(folder, msgspec.structs.replace(TERMS, to_pool=True, **fields), "own")


def looked(shifted: Shifted) -> Progress:
    progress = Progress(shifted.store, shifted.shift, shifted.shift.tasks[0])
    progress.look(shifted.now_s + 1)
    return progress


def test_all_nodes_of_a_pool_are_the_one_candidate(tmp_path: Path) -> None:
    shifted = to_pool(tmp_path)
    shifted.judge(GOOD * 100)
    shifted.serve(25, "own/a", "own/b", "old")
    assert looked(shifted).live_requests == 50
    shifted.serve(5, "owned/a", "own/c")  # another pool's; one that is gone meanwhile, or new
    assert looked(shifted).live_requests == 55
    (said,) = shifted.look(600)
    assert said.startswith("Shift 1, chat to own, task sort: Promoted from 1 % to 25 %")


def test_one_bad_node_of_a_pool_breaks_a_guard_of_the_pool(tmp_path: Path) -> None:
    shifted = to_pool(tmp_path)
    shifted.judge(GOOD * 100)
    for _ in range(10):
        failed = {"own/b": rows.FAILED, "old": rows.OK}
        shifted.serve(3, "own/b", "old", outcome=failed, status={"own/b": 500, "old": 200})
        shifted.serve(7, "own/a", "old")
    shifted.look()
    assert shifted.state() == (ROLLED_BACK, 0)
    last = shift_events(shifted.store, shifted.number)[-1]
    assert (last.said_by, last.evidence["reason"]) == ("guard", "guard_errors")
    assert last.evidence["errors_candidate"] == pytest.approx(0.3)


def test_what_a_pool_costs_is_what_its_nodes_do(tmp_path: Path) -> None:
    shifted = to_pool(tmp_path, guard_cost_ratio=1.2)
    for count in range(10):
        tokens = {"own/a": 1000 + count, "own/b": 900 + count, "old": 100 + count}
        shifted.serve(5, "own/a", "own/b", "old", "old", output_tokens=tokens)
    shifted.look()
    assert shift_events(shifted.store, shifted.number)[-1].evidence["reason"] == "guard_cost"


def test_a_node_before_the_shift_is_no_incumbent_of_its_pool(tmp_path: Path) -> None:
    shifted = to_pool(tmp_path)
    shifted.serve(500, "own/a", before_s=60.0, first_byte_us=9_000_000)
    shifted.serve(100, "own/b", "old", first_byte_us={"own/b": 2_000_000, "old": 200_000})
    shifted.look()
    assert shift_events(shifted.store, shifted.number)[-1].evidence["reason"] == "guard_ttft"


@pytest.mark.parametrize(("counts", "pairs"), [(False, 10), (True, 40)])
def test_earlier_shadows_of_the_nodes_count_where_that_is_asked_for(tmp_path: Path, counts: bool, pairs: int) -> None:
    shifted = to_pool(tmp_path, counts_shadow=counts)
    began_s = shifted.now_s
    shifted.now_s = began_s - 100
    for sides in (("old", "own/a"), ("old", "own/b"), ("old", "own"), ("old", "owned/a"), ("own/b", "own/a")):
        shifted.judge(GOOD, sides=sides)
    shifted.now_s = began_s
    shifted.judge(GOOD)
    shifted.judge(GOOD, sides=("old", "own/a"), version="of the shadow's own")
    assert looked(shifted).betting.pairs_count == pairs


def test_a_target_is_no_pool_because_others_are_named_like_its_nodes(tmp_path: Path) -> None:
    shifted = Shifted(tmp_path, TERMS, "own")
    shifted.serve(20, "own/a", "own")
    assert looked(shifted).live_requests == 20
