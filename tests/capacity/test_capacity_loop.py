"""A closed loop in the simulator is as the estimator's formula for one says."""

from __future__ import annotations

import numpy as np
import pytest

from breakeven.capacity.engine import decode_s, prompt_s
from breakeven.capacity.loop import closed_loop
from capacity.test_capacity_simulate import REAL


@pytest.mark.parametrize("clients", [1, 8, 32])
def test_a_closed_loop_takes_its_iterations_and_its_prompts(clients: int) -> None:
    """While a request lasts, its own tokens are written and each client computes a prompt: o decode(C) + C prompt."""
    given, made, count = 300, 200, 40 * clients
    pace = REAL._replace(kv_tokens=1 << 40)
    lengths = (np.full(count, given), np.random.default_rng(1).integers(made // 2, made * 3 // 2, count))
    found = closed_loop(pace, lengths, clients, warm_up=5 * clients)
    held = clients * (given + made // 2)
    cycle_s = made * decode_s(pace, clients, held) + clients * prompt_s(pace, given, given**2 / 2, clients == 1)
    assert found.output_tokens_per_s == pytest.approx(clients * made / cycle_s, rel=0.1)
    assert found.ttft_s + (made - 1) * found.tpot_s == pytest.approx(cycle_s, rel=0.1)


def test_more_clients_than_places_are_refused() -> None:
    with pytest.raises(ValueError, match="5000 clients"):
        closed_loop(REAL, (np.ones(10, dtype=np.int64), np.ones(10, dtype=np.int64)), 5000, warm_up=0)
