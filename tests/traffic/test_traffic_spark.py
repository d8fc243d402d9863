"""The same code on Spark gives the same profile: every field equal, none within a tolerance.

Counts and sums are integers or decimals there and here, and become floats in Python; so nothing may differ.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pyarrow.parquet as pq
import pytest
from made_traces import DAY_S, requests_of, windows_of

from breakeven.traffic.profile import profile
from breakeven.traffic.read import read_trace
from breakeven.traffic.sample import sample_path
from breakeven.traffic.schema import REQUEST_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from breakeven.traffic.trace import Trace

pytestmark = [
    pytest.mark.skipif(
        find_spec("pyspark") is None and "CI" not in os.environ,  # noqa: TID251 - a test may ask where it runs
        reason="pyspark is not installed",
    ),
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Start Spark in this process's own Java machine, with nothing to be reached from outside."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - only where it is installed

    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "Asia/Kolkata",  # the session's zone must not matter
    }
    session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    yield ibis.pyspark.connect(session)
    session.stop()


def on(spark: Any, trace: Trace, folder: Path) -> Trace:
    """Bring a trace's canonical columns to Spark, as Parquet."""
    path = folder / "rows.parquet"
    pq.write_table(trace.table.to_pyarrow(), path)
    return replace(trace, table=spark.read_parquet(str(path)))


def test_an_hour_of_production_traffic_has_the_same_profile(spark: Any, tmp_path: Path) -> None:
    trace = read_trace([sample_path()])
    canonical = replace(trace, table=trace.table.select(*REQUEST_COLUMNS))
    cuts: dict[str, Any] = {"input_thresholds_tokens": (1_000, 2_000), "day_boundaries_s": (18 * 3600 + 1_800,)}
    expected = profile(trace, **cuts)
    assert expected.moments.requests == 19_366
    assert profile(on(spark, canonical, tmp_path), **cuts) == expected


def eventful(days: int = 17) -> Trace:
    """Return requests that say everything a log can say, over enough days for a trend and for jobs."""
    generator = np.random.default_rng(11)
    rows = []
    for day in range(days):
        for i in range(240):
            conversation, turn = int(generator.integers(20)), int(generator.integers(1, 6))
            tokens = 8 * turn - int(generator.integers(8))
            rows.append(
                {
                    # Many of one second; the fractions are such as a database may round.
                    "at_s": day * DAY_S + 7200 + int(generator.integers(3000)) + i % 3 * 0.333333,
                    "model": ("a", "b", None)[i % 3],
                    "key": ("job", "people")[i % 7 == 0],
                    "task": ("sum up", None)[i % 7 == 0],
                    "input_tokens": tokens,
                    "cached_input_tokens": tokens // 3,
                    "output_tokens": int(generator.integers(1_000_000)),
                    "processing": (None, "standard", "batch", "flex", "priority")[i % 5],
                    "failed": (None, True, False)[i % 3],
                    "retry": (True, False)[i % 2],
                    "prompt_id": f"{conversation}/{tokens}" if i % 4 else None,
                    "prefix_blocks": [conversation * 100 + place for place in range(turn)] if i % 5 else None,
                    "system_tokens": tokens // 4 if i % 2 else None,
                    "history_tokens": tokens // 2 if i % 3 else None,
                }
            )
    return requests_of(rows, block_tokens=8)


def test_a_log_that_says_everything_has_the_same_profile(spark: Any, tmp_path: Path) -> None:
    trace = eventful()
    cuts: dict[str, Any] = {"input_thresholds_tokens": (10, 20), "day_boundaries_s": (8000, 9000)}
    expected = profile(trace, **cuts)
    assert None not in (expected.growth, expected.reuse, expected.destinations, expected.batch_fraction)
    assert expected.batchable_fraction
    assert profile(on(spark, trace, tmp_path), **cuts) == expected


def test_samples_are_the_same(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from breakeven.traffic import reuse, timing  # noqa: PLC0415

    monkeypatch.setattr(reuse, "EXACT_BLOCKS", 500)
    monkeypatch.setattr(reuse, "EXACT_PROMPTS", 100)
    monkeypatch.setattr(timing, "GAP_REQUESTS", 500)
    trace = eventful(days=6)
    expected = profile(trace)
    assert len(expected.notes) == 3
    assert profile(on(spark, trace, tmp_path)) == expected


def test_totals_have_the_same_profile(spark: Any, tmp_path: Path) -> None:
    trace = windows_of(
        [
            {
                "at_s": i * 600,
                "window_s": 600,
                "model": name,
                "requests": i % 7,
                "input_tokens": i**2,
                "output_tokens": i,
            }
            for i in range(15 * 144)
            for name in ("a", "b")
        ]
    )
    assert profile(on(spark, trace, tmp_path)) == profile(trace)
