"""Nodes that are asked a golden prompt: degraded after three bad answers, never the last one out, back when well."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from breakeven.engines.canary import BAD_ANSWERS, Golden
from breakeven.engines.degraded import (
    GOOD_ANSWERS,
    TOLD_S,
    Watched,
    answered,
    next_restart,
    restarted,
    restarting,
    rested,
    settled,
    taken_over,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

GOLDEN = Golden(prompt="The capital of Italy is", expected="Rome")
GOOD, BAD = "It is Rome.", "It is is is"
ANSWERS = st.sampled_from([GOOD, BAD, None])


def told(answers: Sequence[str | None], node: Watched | None = None, at_s: float = 0.0) -> Watched:
    """A node that has given these answers."""
    node = node or Watched()
    for answer in answers:
        node = answered(node, GOLDEN, answer, at_s)
    return node


def test_three_bad_answers_in_a_row_are_degraded_and_two_are_a_slip() -> None:
    assert BAD_ANSWERS == GOOD_ANSWERS == 3
    assert not told([BAD, BAD, GOOD, BAD, BAD]).is_degraded
    assert told([BAD, BAD, BAD]).is_degraded
    assert told([BAD, None, BAD, None, BAD]).is_degraded


def test_a_degraded_node_is_well_after_three_good_answers_in_a_row() -> None:
    degraded = told([GOOD, BAD, BAD, BAD])
    assert told([GOOD, GOOD, BAD, GOOD, GOOD], degraded).is_degraded
    assert told([GOOD, None, GOOD, GOOD], degraded) == Watched(begins=GOOD[:12])


def test_without_an_expected_text_answers_are_held_against_the_first_one() -> None:
    golden = Golden(prompt="hello", expected=None)
    node = answered(Watched(), golden, "Hello! How are you today?", 0)
    assert node.begins == "Hello! How a"
    assert answered(node, golden, "Hello! How are things?", 0).bad_count == 0
    assert answered(node, golden, "Hell on earth", 0).bad_count == 1


def test_one_good_answer_is_enough_after_a_restart() -> None:
    fresh = restarted(restarting(told([BAD] * 3)), succeeded=True, at_s=0)
    assert fresh.is_degraded
    assert told([None, None], fresh).is_degraded
    assert told([BAD, None, GOOD], fresh) == Watched(begins=fresh.begins)


def test_restarts_that_fail_or_are_in_vain_are_tried_again_after_ever_longer_pauses() -> None:
    nodes = {"a": told([BAD] * 3), "b": Watched()}
    at_s, pauses = 0.0, []
    for turn in range(8):
        nodes = settled(nodes, nodes, at_s)
        at_s = nodes["a"].restarts.not_before_s
        assert next_restart(nodes, nodes, at_s - 0.001) is None
        assert next_restart(nodes, nodes, at_s) == "a"
        node = restarted(restarting(nodes["a"]), succeeded=bool(turn % 2), at_s=at_s)
        nodes["a"] = told([BAD] * 3, node, at_s) if turn % 2 else node
        pauses.append(nodes["a"].restarts.not_before_s - at_s)
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600]


def test_a_node_that_answers_well_again_is_not_restarted_while_it_does() -> None:
    nodes = settled({"a": told([BAD] * 3), "b": Watched()}, "ab", 0.0)
    assert next_restart(nodes, "ab", TOLD_S) == "a"
    better = nodes | {"a": told([GOOD], nodes["a"])}
    assert next_restart(better, "ab", TOLD_S) is None
    assert next_restart(nodes | {"a": told([BAD] * 3, better["a"])}, "ab", TOLD_S) == "a"


def test_nodes_of_a_pool_are_restarted_one_at_a_time() -> None:
    nodes = settled({name: told([BAD] * 3) for name in "ab"} | {"c": Watched()}, "abc", 0.0)
    assert {name for name, node in nodes.items() if node.is_out} == {"a", "b"}
    assert next_restart(nodes, "abc", TOLD_S) == "a"
    assert next_restart(nodes, "bc", TOLD_S) == "b"  # a person has taken a out
    nodes["a"] = restarting(nodes["a"])
    assert next_restart(nodes, "abc", 1e9) is None
    nodes["a"] = restarted(nodes["a"], succeeded=False, at_s=TOLD_S)
    assert next_restart(nodes, "abc", TOLD_S) == "b"


def test_a_degraded_node_serves_where_the_others_do_not_answer_or_a_person_took_them_out() -> None:
    nodes = {"a": told([BAD] * 3), "b": told([None])}
    assert not settled(nodes, "ab", 0)["a"].is_out
    nodes["b"] = told([GOOD])
    assert settled(nodes, "ab", 0)["a"].is_out
    assert not settled(settled(nodes, "ab", 0), "a", 0)["a"].is_out


def test_of_degraded_nodes_that_one_stays_which_is_there() -> None:
    nodes = {name: told([BAD] * 3) for name in "abc"}
    nodes["a"] = replace(nodes["a"], is_out=True)
    nodes["b"] = replace(nodes["b"], has_answered=False)
    assert [node.is_out for node in settled(nodes, "abc", 0).values()] == [True, True, False]


def test_after_its_hours_a_node_is_another_engine_whose_first_answer_still_counts() -> None:
    assert rested(restarting(told([GOOD, BAD, BAD, BAD]))) == Watched(begins=GOOD[:12], is_restarting=True)
    assert restarted(rested(restarting(told([BAD] * 3))), succeeded=True, at_s=0) == Watched(begins=BAD[:12])


def test_what_is_taken_over_stays_out_and_is_not_restarted_for_what_it_said_before() -> None:
    nodes = settled({"a": told([GOOD, BAD, BAD, BAD]), "b": Watched()}, "ab", 0)
    again = {name: taken_over(node) for name, node in nodes.items()}
    assert settled(again, "ab", 0)["a"].is_out
    assert next_restart(settled(again, "ab", 0), "ab", 1e9) is None
    again["a"] = told([BAD] * 3, again["a"])
    assert next_restart(settled(again, "ab", 0), "ab", 1e9) == "a"


@given(st.lists(ANSWERS, max_size=30))
def test_it_is_degraded_from_three_bad_answers_in_a_row_until_as_many_good_ones(answers: list[str | None]) -> None:
    bad = good = 0
    is_degraded = False
    for answer in answers:
        if answer is not None:
            bad, good = (0, good + 1) if answer == GOOD else (bad + 1, 0)
        is_degraded = good < GOOD_ANSWERS if is_degraded else bad >= BAD_ANSWERS
        if not is_degraded:
            good = 0
    assert told(answers).is_degraded is is_degraded


class Pool(RuleBasedStateMachine):
    """A pool of three to which anything happens in any order."""

    @initialize()
    def begin(self) -> None:
        """Begin with nodes of which nothing is known."""
        self.at_s = 0.0
        self.serving = set("abc")
        self.nodes = {name: Watched() for name in "abc"}

    def settle(self) -> None:
        """Decide anew who is out."""
        self.nodes = settled(self.nodes, self.serving, self.at_s)

    @rule(name=st.sampled_from("abc"), answers=st.lists(ANSWERS, min_size=1, max_size=4))
    def answer(self, name: str, answers: list[str | None]) -> None:
        """A node answers some times."""
        if name in self.serving and not self.nodes[name].is_restarting:
            self.nodes[name] = told(answers, self.nodes[name], self.at_s)
        self.settle()

    @rule(name=st.sampled_from("abc"))
    def press(self, name: str) -> None:
        """A person takes a node out, or puts it back."""
        self.serving ^= {name}
        self.settle()

    @rule(later_s=st.floats(0, 1000))
    def pass_time(self, later_s: float) -> None:
        """Time passes, and a restart that is due begins."""
        self.at_s += later_s
        due = next_restart(self.nodes, self.serving, self.at_s)
        if due is not None:
            assert self.nodes[due].is_out
            assert due in self.serving
            self.nodes[due] = restarting(self.nodes[due])

    @precondition(lambda self: any(node.is_restarting for node in self.nodes.values()))
    @rule(succeeded=st.booleans())
    def end_restart(self, succeeded: bool) -> None:
        """The command that is under way ends."""
        (name,) = (name for name, node in self.nodes.items() if node.is_restarting)
        self.nodes[name] = restarted(self.nodes[name], succeeded=succeeded, at_s=self.at_s)
        self.settle()

    @rule()
    def end_hours(self) -> None:
        """The hours of the pool are over for a while."""
        self.nodes = {name: rested(node) for name, node in self.nodes.items()}
        self.settle()

    @invariant()
    def only_degraded_nodes_are_out(self) -> None:
        """A well node is never taken out, and at most one is restarted, which is out meanwhile."""
        assert all(node.is_degraded for node in self.nodes.values() if node.is_out)
        assert all(node.is_out for node in self.nodes.values() if node.is_restarting and node.is_degraded)
        assert sum(node.is_restarting for node in self.nodes.values()) <= 1

    @invariant()
    def the_last_one_that_answers_is_in_service(self) -> None:
        """Where a node may serve, one does; where one of them answers, one that does."""
        able = [node for name, node in self.nodes.items() if name in self.serving and not node.is_restarting]
        left = [node for node in able if not node.is_out]
        assert bool(left) is bool(able)
        assert any(node.has_answered for node in left) is any(node.has_answered for node in able)

    @invariant()
    def nothing_changes_by_looking_again(self) -> None:
        """Deciding twice is deciding once."""
        once = settled(self.nodes, self.serving, self.at_s)
        assert settled(once, self.serving, self.at_s) == once


TestPool = Pool.TestCase
