"""Models that fall back to others: the order, and the graphs that are refused."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from breakeven.routing.graph import MAX_DEPTH, Flattened, Step, flattened

ROUTES = {"a": ["x", "y"], "b": ["y"], "c": ["z", "x"], "d": ["w"]}


def order(found: Flattened, model: str) -> list[str]:
    return [f"{step.model}@{step.target}" for step in found.steps[model]]


def test_without_fallbacks_each_model_has_its_own_targets() -> None:
    found = flattened(ROUTES, {})
    assert found.steps["a"] == (Step("a", "x"), Step("a", "y"))
    assert set(found.steps) == set(ROUTES)
    assert (found.cycle, found.too_long) == ((), ())


def test_what_a_model_names_comes_before_what_that_names() -> None:
    found = flattened(ROUTES, {"a": ["b", "c"], "b": ["d"]})
    assert order(found, "a") == ["a@x", "a@y", "b@y", "c@z", "c@x", "d@w"]
    assert order(found, "b") == ["b@y", "d@w"]


def test_what_is_reached_twice_is_tried_once() -> None:
    found = flattened({**ROUTES, "a": ["x", "x"]}, {"a": ["b", "c", "b"], "b": ["d"], "c": ["d"]})
    assert order(found, "a") == ["a@x", "b@y", "c@z", "c@x", "d@w"]


def test_a_name_that_is_no_model_has_no_targets() -> None:
    assert order(flattened(ROUTES, {"b": ["nowhere"]}), "b") == ["b@y"]


def test_a_graph_that_goes_round_is_told_with_the_way() -> None:
    assert flattened(ROUTES, {"a": ["a"]}).cycle == ("a", "a")
    found = flattened(ROUTES, {"d": ["a"], "a": ["b", "c"], "c": ["d"]})
    assert found == Flattened({}, cycle=("d", "a", "c", "d"))
    long = {str(number): [str((number + 1) % 9)] for number in range(9)}
    assert flattened({"0": []}, long).cycle == (*map(str, range(9)), "0")


def test_chains_that_are_too_long_are_told() -> None:
    names = [str(number) for number in range(MAX_DEPTH + 2)]
    chain = {name: [following] for name, following in pairwise(names)}
    routes = {name: ["x"] for name in names}
    assert flattened(routes, chain).too_long == tuple(names)
    del chain[names[-2]]
    assert flattened(routes, chain).too_long == ()


def test_many_ways_to_the_same_models_cost_little() -> None:
    layers = [[f"{layer}-{number}" for number in range(20)] for layer in range(MAX_DEPTH + 1)]
    fallbacks = {name: following for layer, following in pairwise(layers) for name in layer}
    routes = {name: ["x"] for layer in layers for name in layer}
    assert len(flattened(routes, fallbacks).steps["0-0"]) == 1 + 20 * MAX_DEPTH


_names = st.sampled_from("abcdefg")


@given(
    st.dictionaries(_names, st.lists(_names, max_size=3), max_size=7),
    st.dictionaries(_names, st.lists(_names, max_size=3), max_size=7),
)
def test_an_answer_is_an_order_or_a_fault_that_is_there(
    routes: dict[str, list[str]], fallbacks: dict[str, list[str]]
) -> None:
    found = flattened(routes, fallbacks)
    path = found.cycle or found.too_long
    assert all(after in fallbacks[before] for before, after in pairwise(path))
    assert not found.cycle or (found.cycle[0] == found.cycle[-1] and len(set(path)) == len(path) - 1)
    assert not found.too_long or len(found.too_long) == MAX_DEPTH + 2
    if path:
        assert not found.steps
        return
    for model, steps in found.steps.items():
        assert len(set(steps)) == len(steps)
        assert list(dict.fromkeys(step.target for step in steps if step.model == model)) == list(
            dict.fromkeys(routes[model])
        )
        assert all(step.target in routes[step.model] for step in steps)
