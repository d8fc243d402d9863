"""The cache of prefixes: against a plain model, and against what an endless one must find."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.capacity.fleet import POLICY_NAMES, Demand
from breakeven.capacity.simulate import Details, Simulation
from breakeven.traffic.arrivals import arrivals_of
from breakeven.traffic.profile import profile
from breakeven.traffic.read import read_trace
from breakeven.traffic.replay import Replay
from capacity.cached_engine_by_steps import run_by_steps
from capacity.test_capacity_simulate import ALL_ON_NODES, REAL

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.capacity.pool import Pace
    from breakeven.capacity.simulate import Outcome

BLOCK_TOKENS = 16


def demand(rows: list[tuple[float, int, int, tuple[int, ...]]]) -> Demand:
    """Requests of (arrival, prompt, output, blocks)."""
    at_s, prompt, output = (np.array([row[place] for row in rows]) for place in range(3))
    return Demand(
        arrived_s=at_s.astype(float),
        prompt=prompt.astype(np.int64),
        output=output.astype(np.int64),
        cached=np.zeros(len(rows), dtype=np.int64),
        uniform=np.full(len(rows), 0.5),
        api_usd=np.zeros((len(rows), 0)),
        block_ends=np.cumsum([len(row[3]) for row in rows], dtype=np.int64),
        blocks=np.array([block for row in rows for block in row[3]], dtype=np.int64),
    )


def simulated(pace: Pace, rows: list[tuple[float, int, int, tuple[int, ...]]], batch: int, nodes: int = 1) -> Outcome:
    simulation = Simulation(pace, nodes, ALL_ON_NODES, span_s=rows[-1][0] + 1, details=Details(BLOCK_TOKENS))
    for start in range(0, len(rows), batch):
        simulation.feed(demand(rows[start : start + batch]))
    return simulation.outcome()


def blocks_of(prompt: int, path: tuple[int, ...]) -> tuple[int, ...]:
    """Ids of a prompt that follows a path: equal as far as paths and lengths are."""
    count = -(-prompt // BLOCK_TOKENS)
    ids = []
    for place in range(count):
        turns = path[: 1 + place // 3]
        partly = prompt - place * BLOCK_TOKENS if place == count - 1 and prompt % BLOCK_TOKENS else 0
        ids.append(hash((place, turns, partly)))
    return tuple(ids)


ROWS = st.lists(
    st.tuples(
        st.floats(0, 2), st.integers(1, 200), st.integers(1, 40), st.tuples(*[st.integers(0, 1) for _ in range(5)])
    ),
    min_size=1,
    max_size=25,
)


@given(ROWS, st.sampled_from([64, 300, 5000]), st.sampled_from([260, 500, 900, 20_000]), st.sampled_from([1, 3, 64]))
@settings(max_examples=300, deadline=None)
def test_the_cache_is_as_one_token_by_token(rows: list[Any], chunk: int, kv_tokens: int, most: int) -> None:
    # Outputs differ so that no two requests end at once: then blocks are released in an order of their own.
    asked = [
        (at_s, prompt, output + 41 * number, blocks_of(prompt, path))
        for number, (at_s, prompt, output, path) in enumerate(sorted(rows))
        if prompt + output + 41 * number < kv_tokens
    ]
    if not asked:
        return
    pace = REAL._replace(chunk_tokens=chunk, kv_tokens=kv_tokens, max_requests=most)
    expected = run_by_steps(pace, asked, BLOCK_TOKENS)
    outcome = simulated(pace, asked, batch=10)
    assert outcome.pool_requests == len(asked)
    assert outcome.pool_cached_tokens == sum(request.hit or 0 for request in expected)
    arrived_s = np.array([row[0] for row in asked])
    assert outcome.mean_ttft_s == pytest.approx(np.mean([r.first_s for r in expected] - arrived_s), rel=1e-9)
    assert outcome.mean_total_s == pytest.approx(np.mean([r.end_s for r in expected] - arrived_s), rel=1e-9)


def test_a_cache_without_end_finds_what_the_profile_says_is_repeated(tmp_path: Path) -> None:
    """One request after the other on one node: all but the last token of whole prompts that were sent before."""
    rng = np.random.default_rng(1)
    path, lines, repeated = tmp_path / "mooncake.jsonl", [], 0
    known: set[tuple[int, ...]] = set()
    for number in range(400):
        prompt = int(rng.integers(1, 6000))
        ids = tuple((place + 1) * 1000 + int(rng.integers(0, 3)) for place in range(1))
        ids += tuple((place + 2) * 1000 + ids[0] for place in range(-(-prompt // 512) - 1))
        if prompt % 512:  # a last block of another length is another block
            ids = (*ids[:-1], ids[-1] + 10_000_000 * (prompt % 512))
        repeated += ids in known
        known.add(ids)
        row = {"timestamp": 1000 * 3600 * number, "input_length": prompt, "output_length": 5, "hash_ids": list(ids)}
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    trace = read_trace([path])
    assert trace.block_tokens == 512
    endless = REAL._replace(kv_tokens=1 << 40, max_requests=64)
    simulation = Simulation(endless, 1, ALL_ON_NODES, span_s=400 * 3600.0, details=Details(512))
    for batch in Replay(arrivals_of(trace), tmp_path)():
        count = len(batch.at_s)
        simulation.feed(
            Demand(
                batch.at_s,
                batch.input_tokens,
                batch.output_tokens,
                batch.cached_input_tokens,
                np.zeros(count),
                np.zeros((count, 0)),
                batch.block_ends,
                batch.blocks,
            )
        )
    outcome = simulation.outcome()
    reuse = profile(trace).reuse
    assert reuse is not None
    assert reuse.prefix_fraction is not None
    assert 0.3 < reuse.prefix_fraction < 0.95
    found = outcome.pool_cached_tokens + repeated
    assert found == pytest.approx(reuse.prefix_fraction * outcome.pool_input_tokens, rel=1e-12)
    assert outcome.hit_tokens.sum() == outcome.pool_cached_tokens
    assert outcome.asked_tokens.sum() == outcome.pool_input_tokens


def test_a_smaller_cache_finds_less_and_more_nodes_find_less_each() -> None:
    rng = np.random.default_rng(2)
    rows = [
        (0.02 * number, 160, 20, tuple(int(base) * 100 + place for place in range(10)))
        for number, base in enumerate(rng.zipf(1.3, 3000) % 500)
    ]
    paces = [REAL._replace(kv_tokens=tokens) for tokens in (2_000, 8_000, 1_000_000)]
    found = [simulated(pace, rows, 1000).pool_cached_tokens for pace in paces]
    assert found == sorted(found)
    assert found[0] < found[-1]
    apart = simulated(paces[1], rows, 1000, nodes=4)
    assert apart.pool_cached_tokens < found[1]
    assert apart.hit_tokens.sum() == apart.pool_cached_tokens


def test_prompts_without_blocks_are_computed_whole() -> None:
    rows: list[tuple[float, int, int, tuple[int, ...]]] = [(float(number), 100, 5, ()) for number in range(50)]
    assert simulated(REAL, rows, 50).pool_cached_tokens == 0


def test_requests_that_begin_alike_find_more_of_it_on_the_node_that_had_them() -> None:
    """Of 1,600 tokens 1,024 are one of 40 beginnings; caches hold a few of them beside the requests."""
    rng = np.random.default_rng(3)
    shares = 1 / np.arange(1, 41) ** 1.1
    rows = [
        (at / 40, 1600, 100, (*range(1000 * who, 1000 * who + 64), *range(10**7 + 100 * at, 10**7 + 100 * at + 36)))
        for at, who in enumerate(rng.choice(40, 3000, p=shares / shares.sum()))
    ]
    found = {}
    for policy in ("two_choices", "prefix_affinity"):
        rules = ALL_ON_NODES._replace(policy=POLICY_NAMES.index(policy))
        simulation = Simulation(REAL, 4, rules, span_s=75.0, details=Details(BLOCK_TOKENS))
        simulation.feed(demand(rows)._replace(uniform=rng.random(3000)))
        outcome = simulation.outcome()
        found[policy] = outcome.pool_cached_tokens / outcome.pool_input_tokens
        assert max(outcome.busy_s) < 1.25 * outcome.busy_s.mean()
    assert found["two_choices"] + 0.05 < found["prefix_affinity"] < 0.64
