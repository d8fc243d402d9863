"""How far a profile has come is told, in order, up to the end."""

from __future__ import annotations

from itertools import pairwise
from threading import Event
from types import SimpleNamespace

from made_traces import requests_of

from breakeven.traffic.profile import profile
from breakeven.traffic.progress import Steps


def test_a_profile_tells_its_steps_up_to_the_last() -> None:
    told: list[float] = []
    profile(requests_of([{"at_s": i, "input_tokens": 1} for i in range(100)]), progress=told.append)
    assert told[-1] == 1.0
    assert all(before <= after for before, after in pairwise(told))


def test_a_running_step_is_told_as_far_as_the_database_is() -> None:
    within = Event()
    told: list[float] = []

    def progress(share: float) -> None:
        told.append(share)
        if 0.5 < share < 1:
            within.set()

    backend = SimpleNamespace(con=SimpleNamespace(query_progress=lambda: 40.0, execute=lambda _: None))
    step = Steps(2, progress, backend)
    assert step(lambda: 3) == 3
    assert step(within.wait, 30), "no share was told while the step ran"
    assert (0.5 + 0.4 / 2) in told
    assert told[-1] == 1.0


def test_a_step_that_fails_is_not_told_twice_and_ends_its_watch() -> None:
    told: list[float] = []
    step = Steps(1, told.append)

    def broken() -> None:
        raise ValueError("no")

    try:
        step(broken)
    except ValueError:
        told.append(-1)
    assert told == [1.0, -1]
