"""The decisions of a shift, and what they say."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.evidence.betting import Betting, begin
from breakeven.evidence.guards import Guard, GuardLimits, LiveRequest, begin_watch
from breakeven.evidence.shift import Decision, Override, Phase, ShiftPlan, ShiftState, decide, override, share_fraction

PLAN = ShiftPlan(least_requests=100, least_step_s=3600)
NEW = begin(margin_fraction=0.03)
GOOD = NEW.after([1.0, 0.0, 0.0, 0.0] * 400).with_new_reverse()
BAD = NEW.after([-1.0, 0.0, 0.0] * 200)
WELL = begin_watch(GuardLimits()).after(
    [LiveRequest(of_candidate=place % 10 == 0, failed=False) for place in range(99)]
)
UNSURE = WELL.after([LiveRequest(of_candidate=True, failed=True), LiveRequest(of_candidate=False, failed=False)])
BROKEN = WELL.after(LiveRequest(of_candidate=place % 2 == 0, failed=place % 2 == 0) for place in range(60))


def said(
    betting: Betting = GOOD,
    guards: tuple[Guard, ...] = (),
    *,
    step: int = 0,
    phase: Phase = "running",
    live_requests: int = 100,
    lasted_s: float = 3600.0,
) -> Decision:
    state = ShiftState(phase=phase, step=step, since_s=1000.0)
    return decide(state, betting, guards, plan=PLAN, live_requests=live_requests, now_s=1000.0 + lasted_s)


def test_with_evidence_requests_time_and_guards_a_task_goes_up_a_step() -> None:
    found = said(guards=WELL.guards())
    assert (found.kind, found.reason) == ("promote", "proven")
    assert found.state == ShiftState(phase="running", step=1, since_s=4600.0)
    assert found.words.startswith("Promoted from 1 % to 5 %: over 1,600 pairs (25 % differ)")
    assert (share_fraction(found.state, PLAN), found.evidence["pairs"]) == (0.05, 1600)


def test_the_last_step_ends_in_finished_with_all_the_traffic() -> None:
    found = said(step=4)
    assert (found.kind, found.state.phase, share_fraction(found.state, PLAN)) == ("finish", "finished", 1.0)


@pytest.mark.parametrize(
    ("betting", "live_requests", "lasted_s", "reason"),
    [(NEW, 100, 3600, "evidence"), (GOOD, 99, 3600, "requests"), (GOOD, 100, 3599, "dwell")],
)
def test_without_one_of_them_it_is_held(betting: Betting, live_requests: int, lasted_s: float, reason: str) -> None:
    found = said(betting, live_requests=live_requests, lasted_s=lasted_s)
    assert (found.kind, found.reason) == ("hold", reason)
    assert found.state == ShiftState(since_s=1000.0)


def test_a_person_who_skipped_a_step_does_not_skip_the_evidence_for_the_next() -> None:
    assert said(NEW, step=2).reason == "evidence"


@pytest.mark.parametrize("step", range(5))
def test_pairs_that_show_a_worse_candidate_roll_back_at_every_step(step: int) -> None:
    found = said(BAD, step=step, live_requests=0, lasted_s=0.0)
    assert (found.kind, found.reason, found.state.phase) == ("roll_back", "worse", "rolled_back")
    assert share_fraction(found.state, PLAN) == 0
    assert "It is more than 3 points worse" in found.words


def test_a_broken_guard_rolls_back_though_the_answers_are_good() -> None:
    found = said(guards=BROKEN.guards())
    assert (found.kind, found.reason, found.evidence["errors_state"]) == ("roll_back", "guard_errors", "broken")
    assert "requests failed" in found.words


def test_a_guard_that_is_not_well_holds() -> None:
    found = said(guards=UNSURE.guards())
    assert (found.kind, found.reason) == ("hold", "guard_errors")


@pytest.mark.parametrize(("betting", "would"), [(GOOD, "promote"), (BAD, "roll_back"), (NEW, "hold")])
def test_while_paused_nothing_moves_and_it_says_what_would(betting: Betting, would: str) -> None:
    found = said(betting, phase="paused", step=1)
    assert (found.kind, found.reason, found.evidence["would"]) == ("hold", "paused", would)
    assert found.state == ShiftState(phase="paused", step=1, since_s=1000.0)
    assert ("Unpaused it would" in found.words) == (would != "hold")


@pytest.mark.parametrize("phase", ["rolled_back", "finished"])
def test_what_is_over_stays_over(phase: Phase) -> None:
    assert (said(phase=phase).kind, said(BAD, phase=phase).reason) == ("hold", "over")


@pytest.mark.parametrize(
    ("phase", "step", "wanted", "kind", "after", "after_step"),
    [
        ("running", 0, "promote", "promote", "running", 1),
        ("paused", 1, "promote", "promote", "running", 2),
        ("running", 4, "promote", "finish", "finished", 4),
        ("running", 2, "roll_back", "roll_back", "rolled_back", 0),
        ("running", 2, "pause", "hold", "paused", 2),
        ("paused", 2, "resume", "hold", "running", 2),
    ],
)
def test_a_person_may_move_it_at_will(
    phase: Phase, step: int, wanted: Override, kind: str, after: Phase, after_step: int
) -> None:
    found = override(ShiftState(phase=phase, step=step, since_s=0.0), wanted, plan=PLAN, now_s=5.0)
    assert (found.kind, found.reason, found.state.phase, found.state.step) == (kind, "override", after, after_step)


@pytest.mark.parametrize(
    ("phase", "wanted", "words"),
    [
        ("rolled_back", "promote", "is rolled back; start a new shift"),
        ("finished", "roll_back", "is finished; start a new shift"),
        ("paused", "pause", "is paused already, at 1 %"),
        ("running", "resume", "is running already, at 1 %"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(phase: Phase, wanted: Override, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        override(ShiftState(phase=phase, since_s=0.0), wanted, plan=PLAN, now_s=5.0)


@pytest.mark.parametrize("steps", [(), (0.0, 0.5), (0.5, 0.5), (0.5, 0.1), (0.5, 1.1), (float("nan"), 1.0)])
def test_steps_are_rising_shares(steps: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="share"):
        ShiftPlan(steps=steps)


def test_a_plan_a_state_and_the_evidence_survive_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(PLAN), type=ShiftPlan) == PLAN
    found = said(guards=WELL.guards())
    assert msgspec.json.decode(msgspec.json.encode(found.evidence)) == found.evidence
    assert msgspec.json.decode(msgspec.json.encode(found.state), type=ShiftState) == found.state


@given(
    pairs=st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), max_size=400),
    step=st.integers(0, 4),
    live_requests=st.integers(0, 200),
    lasted_s=st.floats(0, 7200),
)
def test_no_decision_goes_up_more_than_a_step_or_without_evidence(
    pairs: list[float], step: int, live_requests: int, lasted_s: float
) -> None:
    betting = NEW.after(pairs)
    found = said(betting, step=step, live_requests=live_requests, lasted_s=lasted_s)
    assert found.state.step <= step + 1
    assert found.words.endswith(".")
    if found.kind in {"promote", "finish"}:
        assert betting.is_as_good
        assert not betting.is_worse
        assert live_requests >= 100
        assert lasted_s >= 3600
    if found.kind == "hold":
        assert found.state == ShiftState(step=step, since_s=1000.0)


def test_what_is_known_how_sure_and_how_many_more_is_said_in_words() -> None:
    found = said(NEW.after([0.0, 0.0, 1.0, 0.0, -1.0] * 60))
    assert found.words == (
        "Held at 1 %: over 300 pairs (40 % differ) the candidate scores +0.0 points against the incumbent (95 %, "
        "however often one looks: -13.4 to +13.4). A bet that it is not 3 points worse stands at 1.1 times its "
        "stake; 20 times is needed for a risk of 5 %. About 1,900 pairs more if they are like these (4 in 5 times at "
        "most 3,600)."
    )
    assert said(NEW).words == (
        "Held at 1 %: no pair was judged yet. An equal candidate takes about 1,300 pairs, 4 in 5 times at most 2,400, "
        "if 25 % of pairs differ."
    )
