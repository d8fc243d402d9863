"""What is counted of a steady state: gaps, throughput and its interval, times of requests, and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.bench.load import Asked
from breakeven.bench.tally import Ended, Tally
from breakeven.bench.window import LoadAsked, Slo, Window, tpot_s

if TYPE_CHECKING:
    from breakeven.bench.load import Load


@dataclass
class Running:
    """A load whose clock and counts the test sets."""

    now_s: float = 100.0
    tally: Tally = field(default_factory=Tally)

    @property
    def clock(self) -> Running:
        return self

    def monotonic(self) -> float:
        return self.now_s

    def stream_seconds(self) -> float:
        return 4 * self.now_s

    def forget_lateness(self) -> None:
        """There is none."""

    def lateness_s(self, fraction: float) -> float:
        return fraction / 1000

    def pass_time(self, window: Window, seconds: float, pieces: int) -> None:
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            self.tally.pieces += pieces
            window.look()


def end(load: Running, **fields: float) -> None:
    """Let a request end now."""
    load.tally.end(ended(**fields)._replace(ended_s=load.now_s))  # type: ignore[arg-type]


def ended(sent_s: float = 0.0, ttft_s: float = 0.2, tpot_seconds: float = 0.01, output: int = 101) -> Ended:
    first_s = sent_s + ttft_s
    last_s = first_s + tpot_seconds * (output - 1)
    return Ended(sent_s - 0.001, sent_s, first_s, last_s, last_s, 512, 0, output, output, output // 2, told=True)


def begun(load: Running) -> Window:
    return Window(cast("Load", load), lambda: load.now_s / 2)


def test_a_level_has_what_came_within_its_window() -> None:
    load = Running()
    load.tally.pieces = 1_000_000
    load.tally.end(ended())
    window = begun(load)
    assert window.ended == []
    for _ in range(10):
        load.pass_time(window, 2.0, pieces=25)
        end(load)
    level = window.level(Slo(), LoadAsked(Asked(512, 101), streams=4))
    assert level is not None
    assert level.requests == 10
    assert level.window_s == pytest.approx(20)
    assert level.output_tokens_per_s == pytest.approx(250 * 101 / 50)  # two tokens a piece, nearly
    assert level.requests_per_s == pytest.approx(250 / 50)
    assert level.throughput_error_fraction == pytest.approx(0, abs=0.05)
    assert level.concurrency_count == pytest.approx(4)
    assert level.client_busy_fraction == pytest.approx(0.5)
    assert (level.ttft.p50_ms, level.tpot.p99_ms, level.connect.mean_ms) == pytest.approx((200, 10, 1))
    assert (level.asked_count, level.asked_isl_tokens, level.slo_fraction) == (4, 512, None)


def test_a_window_of_waves_is_counted_from_end_to_end() -> None:
    load = Running()
    end(load)
    window = begun(load)
    for _ in range(2):
        load.pass_time(window, 5.0, pieces=0)  # prompts
        load.pass_time(window, 2.5, pieces=8)
        for _ in range(4):
            end(load)
    load.pass_time(window, 4.0, pieces=0)  # the prompts of a third wave, whose end is not seen
    assert window.look().output_tokens_per_s == pytest.approx(2 * 200 / 15 * 101 / 50)


def test_an_interval_needs_four_batches_no_shorter_than_a_request() -> None:
    load = Running()
    window = begun(load)
    load.pass_time(window, 20.0, pieces=3)
    end(load, tpot_seconds=0.05)  # 5.2 s
    assert window.look().error_fraction == float("inf")
    load.pass_time(window, 1.5, pieces=3)
    end(load, tpot_seconds=0.05)
    assert window.look().error_fraction < 0.1


def test_a_rate_that_swings_has_a_wide_interval() -> None:
    load = Running()
    window = begun(load)
    load.pass_time(window, 10.0, pieces=1)
    load.pass_time(window, 10.0, pieces=9)
    end(load)
    assert window.look().error_fraction > 0.5


def test_failed_requests_break_the_limits() -> None:
    load = Running()
    window = begun(load)
    for ttft_s in (0.1, 0.2, 0.6):
        load.pass_time(window, 1.0, pieces=1)
        end(load, ttft_s=ttft_s)
    load.tally.fail("http_500", "no")
    level = window.level(Slo(ttft_s=0.5), LoadAsked(streams=1))
    assert level is not None
    assert level.slo_fraction == pytest.approx(0.5)
    assert level.failures == {"http_500": 1}


def test_without_a_request_that_ended_there_is_no_level() -> None:
    load = Running()
    window = begun(load)
    load.pass_time(window, 1.0, pieces=5)
    assert window.level(Slo(), LoadAsked()) is None


def test_a_single_token_has_no_time_after_it() -> None:
    assert tpot_s(ended(output=1)._replace(output_tokens=1)) == 0
    assert tpot_s(ended()) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (LoadAsked(Asked(512, 128), streams=4), "512/128 tokens, 4 streams"),
        (LoadAsked(None, streams=4), "the trace, 4 streams"),
        (LoadAsked(Asked(512, 128), requests_per_s=2.5), "512/128 tokens, 2.5 requests/s"),
        (LoadAsked(), "the trace's own times"),
    ],
)
def test_a_load_is_said_in_words(asked: LoadAsked, said: str) -> None:
    assert str(asked) == said


@given(st.lists(st.floats(1e-5, 100), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_quantiles_of_gaps_are_true_to_two_percent(gaps: list[float], fraction: float) -> None:
    tally = Tally()
    for gap_s in gaps:
        tally.gap(gap_s)
    mean, found = tally.gap_quantiles_s([fraction])
    rank = min(len(gaps) - 1, max(0, -(-int(fraction * len(gaps) * 1e9) // 10**9) - 1))
    near = sorted(gaps)[max(0, rank - 1) : rank + 2]
    assert min(near) / 1.03 <= found <= max(near) * 1.03
    assert mean == pytest.approx(sum(gaps) / len(gaps), rel=0.02)


def test_gaps_of_any_size_have_a_place() -> None:
    tally = Tally()
    for gap_s in (0.0, 1e-9, 1e9):
        tally.gap(gap_s)
    assert tally.gap_quantiles_s([0.5])[1] < 1e-5
    assert Tally().gap_quantiles_s([0.5, 0.9]) == [0.0, 0.0, 0.0]
