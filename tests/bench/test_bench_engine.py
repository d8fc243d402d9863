"""A real llama.cpp with random weights, measured: closed and open loops, a trace, limits, and the calibration of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.capacity.calibrated_pace import fit_pace
from breakeven.engines.embedded import EngineSettings, running_engine
from breakeven.engines.random_gguf import write_random_llama
from breakeven.errors import InputError, UnknownNameError
from breakeven.sources.calibration import read_calibration, write_calibration
from breakeven.wiring.bench import BenchResult, run_bench
from breakeven.wiring.bench_question import BenchRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-of-the-engine"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    model = tmp_path_factory.mktemp("engine") / "tiny.gguf"
    write_random_llama(model)
    with running_engine(model, EngineSettings(name="tiny", slot_count=4, api_key=KEY)) as url:
        yield url


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_KEY", KEY)


def measured(engine: str, **fields: Any) -> BenchResult:
    plain: dict[str, Any] = {
        "isl_tokens": (150,), "osl_tokens": (12,), "level_s": 1.0, "narrow_fraction": 0.5, "key": "env:ENGINE_KEY"
    }  # fmt: skip
    return run_bench(BenchRequest(url=engine, model="tiny", **{**plain, **fields}))


@pytest.fixture(scope="module")
def closed(engine: str) -> BenchResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGINE_KEY", KEY)
        return measured(engine, isl_tokens=(120, 400), osl_tokens=(8, 16), concurrencies=(1, 2, 4), usd_per_hour=3.6)


def test_prompts_and_answers_are_as_long_as_was_asked(closed: BenchResult) -> None:
    assert len(closed.calibration.levels) == 12
    for swept, (isl, osl) in zip(closed.swept, [(120, 8), (120, 16), (400, 8), (400, 16)], strict=True):
        assert [level.asked_count for level in swept.levels] == [1, 2, 4]
        for level in swept.levels:
            assert level.isl_tokens == pytest.approx(isl, abs=4)
            assert level.osl_tokens == osl
            assert not level.failures


def test_littles_law_holds_of_every_level(closed: BenchResult) -> None:
    for level in closed.calibration.levels:
        assert level.asked_count is not None
        assert level.concurrency_count <= level.asked_count + 1e-9
        assert level.output_tokens_per_s == pytest.approx(level.requests_per_s * level.osl_tokens)
        assert level.ttft.p50_ms <= level.total.p50_ms
        assert level.total.p50_ms <= level.total.p90_ms <= level.total.p95_ms <= level.total.p99_ms


def test_a_price_an_hour_becomes_one_a_token(closed: BenchResult) -> None:
    swept = closed.swept[0]
    prices = [1e3 / level.output_tokens_per_s for level in swept.levels]
    assert swept.usd_per_output_mtok == pytest.approx(prices)


def test_a_pace_can_be_had_of_hardware_that_no_catalogue_knows(closed: BenchResult) -> None:
    found = fit_pace(closed.calibration.levels)
    assert found.throughput_ratio.low > 0
    assert closed.calibration.gpu is None


def test_a_calibration_is_read_back_as_it_was_written(closed: BenchResult, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    write_calibration(path, closed.calibration)
    assert read_calibration(path) == closed.calibration


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "says version 2"),
        ({"levels": []}, "0 levels"),
        ({"levels": [{}]}, "the key 'requests' is missing"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"gpus": 0}, "gpus: 0 is not 1 or more"),
    ],
)
def test_a_damaged_calibration_is_refused_by_its_line(
    closed: BenchResult, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "damaged.json"
    write_calibration(path, closed.calibration)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError) as caught:
        read_calibration(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("value", [-1.0, float("nan"), 0.0])
def test_a_level_that_cannot_have_been_measured_is_refused(closed: BenchResult, tmp_path: Path, value: float) -> None:
    path = tmp_path / "impossible.yaml"
    level = replace(closed.calibration.levels[0], output_tokens_per_s=1.5)
    write_calibration(path, replace(closed.calibration, levels=(level,)))
    shown = {"nan": ".nan"}.get(str(value), str(value))
    path.write_text(path.read_text().replace('"output_tokens_per_s": 1.5', f'"output_tokens_per_s": {shown}'))
    with pytest.raises(InputError, match=r"levels\.0\.output_tokens_per_s: .* cannot have been measured"):
        read_calibration(path)


def test_a_sweep_goes_on_to_the_knee_and_stops(engine: str) -> None:
    found = measured(engine, level_s=0.5)
    counts = [level.asked_count for level in found.calibration.levels]
    assert counts[:2] == [1, 2]
    assert counts == sorted(counts, key=lambda count: count or 0)
    assert found.why == "more streams gave no more tokens"


def test_a_sweep_ends_where_the_limits_are_broken(engine: str) -> None:
    found = measured(engine, slo_ttft_ms=0.001, level_s=0.5)
    assert [level.asked_count for level in found.calibration.levels] == [1]
    assert found.why == "the limits were no longer kept"
    assert found.swept[0].slo_count is None
    # An answer of random weights that has no letter in it counts as failed: among 40 tokens there is one.
    kept = measured(engine, slo_ttft_ms=60_000.0, concurrencies=(1,), level_s=0.5, osl_tokens=(40,))
    assert kept.swept[0].slo_count == 1
    assert kept.calibration.levels[0].slo_fraction == 1


def test_requests_come_at_a_rate(engine: str) -> None:
    found = measured(engine, rates=(10.0,), spread_fraction=0.3, isl_tokens=(100,), osl_tokens=(4,))
    level = found.calibration.levels[0]
    assert (level.asked_count, level.asked_requests_per_s) == (None, 10.0)
    assert level.isl_tokens == pytest.approx(100, rel=0.3)
    assert not level.is_closed


def test_a_trace_is_sent_at_its_own_times_and_lengths(engine: str, tmp_path: Path) -> None:
    lines = [f"{1_760_000_000 + at / 20:.3f},{100 + at},{4 + at % 3}" for at in range(30)]
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(["arrived_at,num_prefill_tokens,num_decode_tokens", *lines]) + "\n")
    columns = {"time": "arrived_at", "input_tokens": "num_prefill_tokens", "output_tokens": "num_decode_tokens"}
    replayed = measured(engine, trace=trace, columns=columns, speedup_ratio=2.0)
    assert replayed.sent_requests == 30
    assert 100 <= replayed.calibration.levels[0].isl_tokens <= 135
    drawn = measured(engine, trace=trace, columns=columns, concurrencies=(2,))
    assert 3.9 < drawn.calibration.levels[0].osl_tokens < 6.1


def test_a_request_that_is_too_long_fails_and_says_why(engine: str) -> None:
    with pytest.raises(InputError, match=r"http_400.*context"):
        measured(engine, isl_tokens=(100_000,), osl_tokens=(4,), concurrencies=(8,))


def test_a_wrong_key_is_refused(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_KEY", "sk-wrong")
    with pytest.raises(InputError, match="It wants a key that it knows"):
        measured(engine)


def test_a_pool_of_the_catalogue_is_named_by_it(engine: str) -> None:
    found = measured(engine, pool="2xh100:llama-3.3-70b:fp8:vllm", concurrencies=(1,), level_s=0.3).calibration
    assert (found.hardware, found.gpu, found.gpus, found.precision, found.engine) == (
        "2xh100-sxm", "h100-sxm", 2, "fp8", "vllm"
    )  # fmt: skip
    with pytest.raises(UnknownNameError):
        measured(engine, pool="2xh100:no-such-model")
