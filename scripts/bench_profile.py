"""How long a profile of many requests takes, and in how much memory, beside the plain aggregates alone.

    make bench-profile

Writes Parquet of 10 and of 100 million requests to a temporary folder: lengths from the bundled hour of chat traffic,
times over four weeks, three models, a quarter of the prompts half cached, the same each time.  Then each measure
runs in a process of its own, which may use two cores and two gigabytes: read and profile as ``breakeven plan`` does,
and count, sums, minimum and maximum by DuckDB.  It reports; it judges nothing.
"""

# ruff: noqa: S608 - the names and numbers in the queries are made here

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import duckdb

from breakeven.traffic.sample import sample_path

SPAN_US: Final = 28 * 86_400 * 1_000_000
START_US: Final = 1_759_276_800_000_000  # 2025-10-01
CORES: Final = 2
MEMORY_BYTES: Final = 2_000_000_000
REPEATS: Final = 3


def main() -> None:
    """Write the files, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000_000, 100_000_000])
    parser.add_argument("--measure", choices=sorted(MEASURES), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.file)
        return
    print(
        f"{multiprocessing.cpu_count()} cores here, load {os.getloadavg()[0]:.1f}; {CORES} are used; best of {REPEATS}"
    )
    print(f"{'rows':>12}  {'what':<18} {'seconds':>8} {'CPU s':>8} {'peak GB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            path = Path(folder) / f"{rows}.parquet"
            write(path, rows)
            for name in MEASURES:
                found = min((run(name, path) for _ in range(REPEATS)), key=lambda one: one["seconds"])
                print(f"{rows:>12,}  {name:<18} {found['seconds']:8.2f} {found['cpu_s']:8.2f} {found['peak_gb']:8.2f}")


def write(path: Path, rows: int) -> None:
    """Write so many requests; hashes of the row number stand for chance."""
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE lengths AS SELECT list(ContextTokens) AS input, list(GeneratedTokens) AS output "
        f"FROM read_csv('{sample_path()}')"
    )
    for name in ("input", "output"):
        connection.execute(f"SET VARIABLE {name} = (SELECT {name} FROM lengths)")
    step_us = SPAN_US // rows
    place = "1 + (hash(i + 3) % len(getvariable('input'))::UBIGINT)::BIGINT"
    connection.execute(
        f"""
        COPY (
            SELECT make_timestamp({START_US} + i * {step_us} + (hash(i) % {step_us})::BIGINT) AS time,
                ['chat', 'code', 'search'][1 + (hash(i + 1) % 3)::INT] AS model,
                getvariable('input')[{place}] AS input_tokens,
                CASE WHEN hash(i + 2) % 4 = 0 THEN input_tokens // 2 ELSE 0 END AS cached_input_tokens,
                getvariable('output')[{place}] AS output_tokens
            FROM range({rows}) AS numbers(i)
        ) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"""
    )


def run(name: str, path: Path) -> dict[str, float]:
    """Measure in a fresh process."""
    command = [sys.executable, __file__, "--measure", name, "--file", str(path)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def measure(name: str, path: Path) -> None:
    """Run one measure here and print what it took; imports are left out, as they do not grow with the rows."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    for module in ("breakeven.traffic.profile", "breakeven.traffic.read"):
        importlib.import_module(module)
    started, before = time.perf_counter(), cpu_s()
    MEASURES[name](path)
    figures = {
        "seconds": time.perf_counter() - started,
        "cpu_s": cpu_s() - before,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    if figures["peak_gb"] * 1e9 > MEMORY_BYTES:
        print(f"{name}: more than {MEMORY_BYTES / 1e9:g} GB", file=sys.stderr)
    print(json.dumps(figures))


def cpu_s() -> float:
    """Return the processor time used so far, of all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def read_and_profile(path: Path) -> None:
    """Read a trace and sum it up, with prices that change by length and time of day."""
    from breakeven.traffic.profile import profile  # noqa: PLC0415
    from breakeven.traffic.read import read_trace  # noqa: PLC0415

    profile(read_trace([path]), input_thresholds_tokens=(200_000,), day_boundaries_s=(30_000, 60_000))


def read_alone(path: Path) -> None:
    """Read a trace: find the format and check every row."""
    from breakeven.traffic.read import read_trace  # noqa: PLC0415

    read_trace([path])


def plain_aggregates(path: Path) -> None:
    """Ask DuckDB for count, sums, extremes and quantiles, unchecked."""
    columns = ("input_tokens", "cached_input_tokens", "output_tokens")
    sums = ", ".join(f"sum({name}), min({name}), max({name})" for name in columns)
    quantiles = ", ".join(f"quantile_cont({name}, [0.1, 0.5, 0.9, 0.99])" for name in ("input_tokens", "output_tokens"))
    duckdb.execute(f"SELECT count(*), min(time), max(time), {sums}, {quantiles} FROM '{path}'").fetchall()


MEASURES: Final = {
    "plain aggregates": plain_aggregates,
    "read": read_alone,
    "read and profile": read_and_profile,
}

if __name__ == "__main__":
    main()
