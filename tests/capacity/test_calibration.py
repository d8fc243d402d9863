"""Levels measured at an endpoint: rows of the catalogue's kind, a service, a knee, and a pace that is got back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from math import hypot
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from breakeven.capacity.calibrated_pace import PaceFit, faster, fit_pace
from breakeven.capacity.calibration import (
    Calibration,
    Level,
    Times,
    by_lengths,
    greatest_within,
    is_past_knee,
    knee_of,
    measured_here_first,
    measured_service,
    measurements_of,
    usd_per_output_mtok,
    with_calibration,
)
from breakeven.capacity.pool import Pace
from breakeven.sources.catalogue import load_book

if TYPE_CHECKING:
    from breakeven.catalog.book import Book

DENSE = Pace(
    base_s=0.003, sequence_s=2e-5, token_s=2.5e-5, link_token_s=0.0, kv_token_s=8e-9, pair_s=2e-10, prompt_ratio=1.0,
    weights_s=np.full(2, 0.015), kv_tokens=1 << 40, max_requests=1 << 20, chunk_tokens=8192, reserves_output=False,
)  # fmt: skip
"""About a 70B model on two H100: weights take 15 ms to read."""

CPU = DENSE._replace(
    base_s=0.0005, sequence_s=0.0015, token_s=6e-4, kv_token_s=4e-7, pair_s=1e-7, weights_s=np.full(2, 0.004)
)
"""About 76 million parameters on a core: arithmetic bounds prompts, and each request costs in every iteration."""


def times(mean_s: float) -> Times:
    mean_ms = 1e3 * mean_s
    return Times(mean_ms=mean_ms, p50_ms=mean_ms, p90_ms=mean_ms, p95_ms=mean_ms, p99_ms=mean_ms)


def level(count: int | None = 8, *, tokens_per_s: float = 1000.0, **fields: Any) -> Level:
    isl, osl = fields.pop("isl_tokens", 512.0), fields.pop("osl_tokens", 128.0)
    plain = {
        "asked_count": count,
        "asked_requests_per_s": None,
        "asked_isl_tokens": round(isl),
        "asked_osl_tokens": round(osl),
        "concurrency_count": float(count or 1),
        "window_s": 10.0,
        "requests": 100,
        "isl_tokens": isl,
        "osl_tokens": osl,
        "input_output_tokens2": isl * osl,
        "output_output_tokens2": osl * osl,
        "cached_fraction": 0.0,
        "requests_per_s": tokens_per_s / osl,
        "output_tokens_per_s": tokens_per_s,
        "throughput_error_fraction": 0.01,
        **dict.fromkeys(("ttft", "tpot", "itl", "total", "connect"), times(0.1)),
    }
    return Level(**{**plain, **fields})


class _Running(NamedTuple):
    began_s: float
    isl: int
    osl: int


class _Engine:
    """An engine of this pace in a closed loop, iteration by iteration, as docs/model.md says it."""

    def __init__(self, pace: Pace, lengths: Any) -> None:
        self.pace = pace
        self.lengths = lengths
        self.now_s = 0.0
        self.written_tokens = 0
        self.waiting: list[_Running] = []
        self.decoding: list[list[float]] = []
        """Of each: when it was sent, when its first token came, its input, its output, and tokens written."""

    def send(self) -> None:
        self.waiting.append(_Running(self.now_s, *next(self.lengths)))

    def iterate(self) -> list[list[float]]:
        """Run one iteration and return those that ended."""
        pace, budget = self.pace, self.pace.chunk_tokens - len(self.decoding)
        prompts: list[_Running] = []
        while self.waiting and len(self.decoding) + len(prompts) < pace.max_requests:
            budget -= self.waiting[0].isl
            if budget < 0 and prompts:
                break
            prompts.append(self.waiting.pop(0))
        tokens, decoding = sum(item.isl for item in prompts), len(self.decoding)
        pairs = sum(item.isl**2 / 2 for item in prompts)
        held = sum(item[2] + item[4] for item in self.decoding)
        weights_s = float(pace.weights_s[-1])
        products = hypot(weights_s, pace.token_s * decoding) if decoding else 0.0
        read = hypot(weights_s, pace.token_s * tokens) if tokens and not decoding else pace.token_s * tokens
        self.now_s += pace.base_s + decoding * pace.sequence_s + products + held * pace.kv_token_s
        self.now_s += read + pairs * pace.pair_s
        for item in self.decoding:
            item[4] += 1
        self.decoding += [[item.began_s, self.now_s, item.isl, item.osl, 1] for item in prompts]
        self.written_tokens += len(self.decoding)
        ended = [item for item in self.decoding if item[4] >= item[3]]
        self.decoding = [item for item in self.decoding if item[4] < item[3]]
        return ended


def measured(pace: Pace, count: int, isl: int, osl: int, spread: float = 0.0) -> Level:
    """What a client would measure in a closed loop, its ramp-up left out."""
    chance = np.random.default_rng(count)

    def lengths() -> Any:
        while True:
            one, other = 1 + spread * chance.uniform(-1, 1, 2)
            yield max(1, round(isl * one)), max(2, round(osl * other))

    engine = _Engine(pace, lengths())
    for _ in range(count):
        engine.send()
    ended: list[Any] = []
    began_s, began_tokens = 0.0, 0
    while len(ended) < 4 * count + 6:
        for item in engine.iterate():
            engine.send()
            ended.append((*item, engine.now_s))
            if len(ended) == count:
                began_s, began_tokens = engine.now_s, engine.written_tokens
    window = ended[count:]
    tokens, lasts_s = engine.written_tokens - began_tokens, engine.now_s - began_s
    ttft = float(np.mean([item[1] - item[0] for item in window]))
    tpot = float(np.mean([(item[5] - item[1]) / (item[3] - 1) for item in window]))
    mean_isl, mean_osl = (float(np.mean([item[at] for item in window])) for at in (2, 3))
    return level(
        count,
        tokens_per_s=tokens / lasts_s,
        isl_tokens=mean_isl,
        osl_tokens=mean_osl,
        asked_isl_tokens=isl,
        asked_osl_tokens=osl,
        input_output_tokens2=float(np.mean([item[2] * item[3] for item in window])),
        output_output_tokens2=float(np.mean([item[3] ** 2 for item in window])),
        ttft=times(ttft),
        tpot=times(tpot),
        total=times(ttft + tpot * (mean_osl - 1)),
    )


COUNTS = (1, 2, 4, 8, 16, 32, 64)
LENGTHS = ((128, 64), (128, 256), (1024, 64), (1024, 256))


def fitted(pace: Pace, spread: float) -> PaceFit:
    return fit_pace([measured(pace, count, *pair, spread) for pair in LENGTHS for count in COUNTS])


@pytest.mark.parametrize("spread", [0.0, 0.4], ids=["in waves", "mixed"])
@pytest.mark.parametrize("pace", [DENSE, CPU], ids=["dense", "cpu"])
def test_the_pace_of_an_engine_is_got_back_from_what_a_client_measures(pace: Pace, spread: float) -> None:
    found = fitted(pace, spread)
    assert found.throughput_error_fraction < 0.05
    for isl, osl in ((256, 128), (512, 512)):  # lengths that the fit has not seen
        for count in (1, 6, 40):
            was, now = measured(pace, count, isl, osl, spread), measured(found.pace, count, isl, osl, spread)
            assert now.output_tokens_per_s == pytest.approx(was.output_tokens_per_s, rel=0.1)
            assert now.tpot.mean_ms == pytest.approx(was.tpot.mean_ms, rel=0.12)
            assert now.ttft.mean_ms == pytest.approx(was.ttft.mean_ms, rel=0.25)


def test_no_term_of_a_pace_is_negative_however_odd_the_levels() -> None:
    odd = [
        level(1, tokens_per_s=900),
        level(4, tokens_per_s=100, tpot=times(0.3)),
        level(2, tokens_per_s=5000, isl_tokens=20.0),
    ]
    pace = fit_pace(odd).pace
    assert all(np.all(np.asarray(value) >= 0) for value in pace)


def test_levels_at_which_requests_wait_for_a_place_show_how_many_the_engine_runs() -> None:
    few = DENSE._replace(max_requests=8)
    found = fit_pace([measured(few, count, *pair) for pair in LENGTHS for count in COUNTS])
    assert found.pace.max_requests in range(7, 17)
    assert found.levels_count < len(LENGTHS) * len(COUNTS)
    assert found.throughput_error_fraction < 0.1


def test_a_pace_needs_several_loads() -> None:
    with pytest.raises(ValueError, match="3 levels or more of several concurrencies"):
        fit_pace([measured(DENSE, 4, 128, 64)] * 3)
    with pytest.raises(ValueError, match="there are 0"):
        fit_pace([])


def test_what_is_known_of_the_engine_goes_before_what_was_seen() -> None:
    levels = [measured(DENSE, count, 128, 64) for count in COUNTS]
    assert fit_pace(levels).pace.max_requests == 64
    told = fit_pace(levels, max_requests=256, kv_tokens=123_456).pace
    assert (told.max_requests, told.kv_tokens) == (256, 123_456)


def test_a_faster_node_takes_that_much_less_of_everything() -> None:
    slow, fast = measured(CPU, 8, 256, 64), measured(faster(CPU, 2.0), 8, 256, 64)
    assert fast.output_tokens_per_s == pytest.approx(2 * slow.output_tokens_per_s)
    assert faster(CPU, 2.0).kv_tokens == CPU.kv_tokens


HERE = Calibration(
    hardware="2xh100-sxm",
    model="llama-3.3-70b",
    engine="vllm",
    as_of=date(2026, 11, 21),
    gpu="h100-sxm",
    gpus=2,
    precision="fp8",
    levels=(
        level(1, tokens_per_s=60, ttft=times(0.05)),
        level(8, tokens_per_s=400),
        level(None, tokens_per_s=300, asked_requests_per_s=2.0),
    ),
)


def test_a_calibration_gives_a_row_a_level_and_one_at_maximum_load() -> None:
    rows = measurements_of(HERE)
    assert [(row.concurrency_count, row.output_tokens_per_s) for row in rows] == [(1, 60), (8, 400), (None, 400)]
    assert {(row.model, row.gpu, row.gpus, row.precision, row.engine) for row in rows} == {
        ("llama-3.3-70b", "h100-sxm", 2, "fp8", "vllm")
    }
    assert rows[0].ttft_ms == pytest.approx(50)
    assert rows[0].source == "measured here on 2026-11-21"
    assert rows[-1].ttft_ms is None


def test_a_row_has_the_length_that_was_asked_for_where_it_was_met() -> None:
    met, missed = level(isl_tokens=1021.4), level(isl_tokens=1100.4)
    levels = tuple(replace(item, asked_isl_tokens=1024) for item in (met, missed))
    assert [row.isl_tokens for row in measurements_of(replace(HERE, levels=levels))][:2] == [1024, 1100]


def test_what_was_measured_here_goes_before_the_catalogue() -> None:
    here = measurements_of(HERE)
    catalogue = replace(here[0], basis="measured", source="mlperf")
    assert measured_here_first([catalogue, *here]) == here
    assert measured_here_first([catalogue]) == (catalogue,)


def test_a_book_with_a_calibration_has_its_rows_in_place_of_the_catalogues() -> None:
    book = load_book()
    own = next(row for row in book.measurements if row.concurrency_count is None and row.model == "llama-3.3-70b")
    here = replace(HERE, gpu=own.gpu, gpus=own.gpus, precision=own.precision, engine=own.engine)

    def of_it(measured: Book) -> list[tuple[int, int, str]]:
        rows = measured.measurements_of(own.model)
        alike = [row for row in rows if (row.gpu, row.gpus, row.precision) == (own.gpu, own.gpus, own.precision)]
        return [(row.isl_tokens, row.osl_tokens, row.basis) for row in alike if row.model == own.model]

    one = replace(here, levels=(level(isl_tokens=float(own.isl_tokens), osl_tokens=float(own.osl_tokens)),))
    found = with_calibration(book, one)
    assert (own.isl_tokens, own.osl_tokens, "measured here") in of_it(found)
    assert (own.isl_tokens, own.osl_tokens, own.basis) not in of_it(found)
    assert len(of_it(found)) > 2
    assert found.measurement_sources[here.source].title.endswith("by breakeven bench")
    four = tuple(level(isl_tokens=isl, osl_tokens=osl) for isl in (100.0, 900.0) for osl in (50.0, 300.0))
    assert {basis for *_, basis in of_it(with_calibration(book, replace(here, levels=four)))} == {"measured here"}
    assert with_calibration(book, replace(HERE, gpu=None)) is book


def test_hardware_that_no_catalogue_knows_gives_no_rows() -> None:
    assert measurements_of(replace(HERE, gpu=None, precision=None)) == ()


def test_a_service_is_fitted_to_the_greatest_throughput_at_each_pair_of_lengths() -> None:
    pairs = [(128, 128), (128, 1024), (2048, 128), (2048, 1024)]
    spent_s = [2e-5 * i + 4e-4 * o + 1e-8 * o * (i + o / 2) for i, o in pairs]
    levels = [
        level(count, tokens_per_s=share * o / s, isl_tokens=float(i), osl_tokens=float(o))
        for (i, o), s in zip(pairs, spent_s, strict=True)
        for count, share in ((1, 0.1), (64, 1.0))
    ]
    found = measured_service(replace(HERE, levels=tuple(levels)))
    assert found.output_node_seconds == pytest.approx(4e-4, rel=0.01)
    assert found.input_node_seconds == pytest.approx(2e-5, rel=0.01)
    assert found.basis == "4 lengths measured here on 2026-11-21"
    with pytest.raises(ValueError, match="4 measured lengths, got 1"):
        measured_service(HERE)


def test_the_knee_is_the_lightest_load_near_the_greatest_throughput() -> None:
    rising = [level(count, tokens_per_s=rate) for count, rate in ((1, 100), (2, 190), (4, 240), (8, 246))]
    found = knee_of(rising)
    assert found is not None
    assert found.asked_count == 4
    assert knee_of(rising[:3]) is None
    assert knee_of([]) is None


def test_a_load_is_past_the_knee_when_it_gains_nothing_and_takes_longer() -> None:
    light, heavy = level(4, tokens_per_s=100), level(8, tokens_per_s=104, total=times(0.2))
    assert is_past_knee(light, heavy)
    assert not is_past_knee(light, replace(heavy, output_tokens_per_s=106))
    assert not is_past_knee(light, replace(heavy, total=times(0.1)))


def test_the_greatest_load_within_limits_has_the_most_tokens_of_those_that_keep_them() -> None:
    levels = [level(1, tokens_per_s=10, slo_fraction=1.0), level(4, tokens_per_s=30, slo_fraction=0.96)]
    levels += [level(8, tokens_per_s=50, slo_fraction=0.9), level(16, tokens_per_s=60)]
    assert greatest_within(levels, 0.95) is levels[1]
    assert greatest_within(levels[2:], 0.95) is None


def test_the_price_of_a_token_is_the_hour_over_its_tokens() -> None:
    assert usd_per_output_mtok(level(tokens_per_s=1000), 3.6) == pytest.approx(1.0)
    assert usd_per_output_mtok(level(tokens_per_s=0.0), 3.6) == float("inf")


def test_levels_of_the_same_lengths_belong_together_and_all_of_a_trace() -> None:
    levels = [level(), level(16), level(isl_tokens=1024.0), level(osl_tokens=256.0)]
    assert [len(group) for group in by_lengths(levels)] == [2, 1, 1]
    assert len(by_lengths([replace(item, asked_isl_tokens=None, asked_osl_tokens=None) for item in levels])) == 1
