"""A gateway under mixed load for long, to see that it keeps its memory, its files and its ledger.

    python scripts/soak.py --minutes 10

A real gateway serves clients of every kind from an upstream of every kind (``soak_peers.py``): whole answers and
streams, bodies of up to 8 MiB in both directions, errors, retries and fallbacks, streams that break, clients that leave
and clients that read slowly.  Twice a second the resident memory and the open files of each of its processes are noted.

Whether they grow is told by the slope of a straight line through them after the warm-up, with the standard error that
holds for values of which each resembles the one before (AR(1)), and a t-test at 1 %.  A slope that is certainly above
what is tolerated is growth; the bound says what growth the run could have overlooked.  16 KiB a minute is less than a
byte a request, and 23 MiB a day.  In the end the ledger must hold one row for each attempt, no more and no less.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from gateway_process import GatewayProcess, Seen, free_port
from scipy import stats
from soak_peers import BEHAVIOURS, SETTINGS_TIMEOUTS

from breakeven.ledger.ids import ATTEMPTS, request_id

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLE_S: Final = 0.5
WARM_UP_FRACTION: Final = 0.5
"""The mover fills 8 MiB of page cache with its first 200,000 rows."""

CERTAINTY: Final = 0.99
TOLERATED_KIB_PER_MIN: Final = 16.0
TOLERATED_FILES_PER_MIN: Final = 0.5


class Trend(NamedTuple):
    """A straight line through values over time."""

    slope: float
    """By the minute."""

    standard_error: float
    at_most: float
    """Upper bound of the slope, one-sided."""

    grows: bool
    """Whether the slope is certainly above what is tolerated."""


def trend(minutes: Sequence[float], values: Sequence[float], tolerated: float) -> Trend:
    """Fit a line by least squares; its error takes account of neighbours that resemble each other (AR(1))."""
    x, y = np.asarray(minutes, float), np.asarray(values, float)
    x = x - x.mean()
    spread = float(x @ x)
    slope = float(x @ y) / spread
    rest = y - y.mean() - slope * x
    power = float(rest @ rest)
    if power < 1e-9:
        return Trend(slope, 0.0, slope, slope > tolerated)
    alike = min(max(float(rest[1:] @ rest[:-1]) / power, 0.0), 0.99)
    repeats = (1 + alike) / (1 - alike)  # so many values in a row say as much as one that stands alone
    error = float(np.sqrt(power / (len(x) - 2) / spread * repeats))
    free = max(len(x) / repeats - 2, 1.0)
    reach = float(stats.t.ppf(CERTAINTY, free)) * error
    return Trend(slope, error, slope + reach, slope - reach > tolerated)


class Rows(NamedTuple):
    """The ledger beside what the clients saw."""

    rows: int
    requests: int
    missing: int
    """Attempts that a client was told of and that have no row."""

    surplus: int
    """Rows of a request beyond the attempts that its client was told of, or numbers that do not follow each other."""

    unknown: int
    """Requests in the ledger whose client had left before it was told their id."""


def check_rows(store: Path, told: Path) -> Rows:
    """Compare the rows in the store with the ids that clients were told."""
    wanted = Counter[int]()
    for line in told.read_text().splitlines():
        text, attempts = line.split(" ")
        wanted[request_id(text)] += int(attempts)
    numbers: dict[int, list[int]] = defaultdict(list)
    with closing(sqlite3.connect(store)) as opened:
        for (attempt_id,) in opened.execute("SELECT attempt_id FROM attempt") if store.stat().st_size else ():
            numbers[attempt_id & -ATTEMPTS].append(attempt_id % ATTEMPTS)
    odd = sum(sorted(found) != list(range(len(found))) for found in numbers.values())
    return Rows(
        rows=sum(map(len, numbers.values())),
        requests=len(numbers),
        missing=sum(max(count - len(numbers[one]), 0) for one, count in wanted.items() if one in numbers)
        + sum(count for one, count in wanted.items() if one not in numbers),
        surplus=odd + sum(max(len(numbers[one]) - count, 0) for one, count in wanted.items() if one in numbers),
        unknown=len(numbers.keys() - wanted.keys()),
    )


def settings(upstream_port: int, workers: int) -> dict[str, Any]:
    """Return the gateway's settings: a target for each behaviour, and models that put them in an order."""
    targets: dict[str, Any] = {
        name: {
            "url": f"http://127.0.0.1:{upstream_port}/{name}/v1",
            "prices": "scripts:priced",
            "timeouts": SETTINGS_TIMEOUTS if name == "silent" else SETTINGS_TIMEOUTS | {"first_token_s": 30},
        }
        for name in BEHAVIOURS
    }
    targets["nobody"] = targets["good"] | {"url": f"http://127.0.0.1:{free_port()}/v1"}
    orders = [("good",), ("cut",), ("fails", "busy")]
    orders += [(name, "good") for name in ("fails", "lost", "silent", "malformed", "nobody")]
    models = {"-then-".join(order): {"targets": list(order)} for order in orders}
    return {"targets": targets, "models": models, "workers": workers}


Samples = dict[str, list[tuple[float, Seen]]]


def watch(gateway: GatewayProcess, load: subprocess.Popen[bytes]) -> Samples:
    """Note every process twice a second as long as the load lasts."""
    found: Samples = defaultdict(list)
    began_s = time.monotonic()
    while load.poll() is None:
        for seen in gateway.seen():
            found[seen.name].append(((time.monotonic() - began_s) / 60, seen))
        time.sleep(SAMPLE_S)
    return found


def write_samples(path: Path, samples: Samples) -> None:
    """Write everything that was noted as CSV."""
    lines = [
        f"{minutes:.4f},{seen.name},{seen.pid},{seen.resident_kib},{seen.open_files}\n"
        for each in samples.values()
        for minutes, seen in each
    ]
    path.write_text("".join(["minutes,process,pid,resident_kib,open_files\n", *lines]))


def judge(samples: Samples) -> list[str]:
    """Print the trends of each process, and return what grows."""
    grown = []
    for name, each in sorted(samples.items()):
        warm = [(at, seen) for at, seen in each if at >= WARM_UP_FRACTION * each[-1][0]]
        if len(warm) < 4:
            grown.append(f"{name} lived too short to be judged")
            continue
        at = [moment for moment, _ in warm]
        memory = trend(at, [seen.resident_kib for _, seen in warm], TOLERATED_KIB_PER_MIN)
        files = trend(at, [seen.open_files for _, seen in warm], TOLERATED_FILES_PER_MIN)
        sizes = [seen.resident_kib / 1024 for _, seen in warm]
        print(
            f"{name:11} {sizes[0]:7.1f} … {sizes[-1]:7.1f} MiB (most {max(sizes):.1f}): {_said(memory, 'KiB')}; "
            f"files {warm[0][1].open_files} … {warm[-1][1].open_files}: {_said(files, 'files')}"
        )
        grown += [f"the memory of {name} grows by {memory.slope:.0f} KiB a minute"] if memory.grows else []
        grown += [f"the open files of {name} grow by {files.slope:.1f} a minute"] if files.grows else []
        if len({seen.pid for _, seen in each}) > 1:
            grown.append(f"{name} did not live through it")
    return grown


def _said(found: Trend, unit: str) -> str:
    verdict = "NOT FLAT" if found.grows else "flat"
    return f"{verdict}, {found.slope:+.2f} ± {found.standard_error:.2f} {unit}/min, at most {found.at_most:+.2f}"


def wrong_rows(found: Rows, counts: dict[str, int]) -> list[str]:
    """Print how ledger and clients compare, and return what is wrong."""
    print(f"ledger: {found.rows:,} rows of {found.requests:,} requests; {found._asdict()}")
    wrong = [f"{found.missing} attempts have no row"] if found.missing else []
    wrong += [f"{found.surplus} rows too many"] if found.surplus else []
    if found.unknown > counts.get("left without a head", 0) + counts.get("unexpected", 0):
        wrong.append(f"{found.unknown} requests in the ledger that nobody made")
    return wrong


def soak(given: argparse.Namespace, folder: Path) -> list[str]:
    """Run it, print what was found, and return what is wrong."""
    upstream_port = free_port()
    peers = [sys.executable, str(Path(__file__).parent / "soak_peers.py")]
    told = folder / "told.txt"
    upstream = subprocess.Popen([*peers, "serve", str(upstream_port)])
    try:
        with GatewayProcess(folder, settings(upstream_port, given.workers)) as gateway:
            before = [seen.open_files for seen in gateway.seen()]
            options = [
                "--clients",
                str(given.clients),
                "--seed",
                str(given.seed),
                "--told",
                str(told),
                "--only",
                given.only,
            ]
            asking = [*peers, "load", str(gateway.port), str(given.minutes * 60), *options]
            load = subprocess.Popen(asking, stdout=subprocess.PIPE)
            samples = watch(gateway, load)
            if given.samples:
                write_samples(given.samples, samples)
            counts = json.loads(load.communicate()[0] or "{}")
            time.sleep(SAMPLE_S)
            after = [seen.open_files for seen in gateway.seen()]
            stopped = gateway.stop()
            complaints = gateway.complaints()
    finally:
        upstream.kill()
        upstream.wait()
    asked = sum(count for name, count in counts.items() if name != "left without a head")
    speed = asked / given.minutes / 60
    print(f"{asked:,} requests in {given.minutes:g} min ({speed:,.0f} a second): {counts}")
    grown = judge(samples)
    wrong = wrong_rows(check_rows(gateway.store, told), counts) + ([] if given.unsettled else grown)
    print(f"open files before {before}, after the clients left {after}; exit code {stopped}")
    wrong += [f"{counts['unexpected']} answers were not as they should be"] if counts.get("unexpected") else []
    wrong += [] if counts else ["the load did not end well"]
    wrong += [f"exit code {stopped}"] if stopped else []
    return wrong + [f"the gateway says: {line}" for line in complaints[:10]]


def main() -> None:
    """Soak, and exit with 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=48)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unsettled", action="store_true", help="growth is told, but nothing wrong: for short runs")
    parser.add_argument("--only", default="", help="kinds of requests, separated by commas; default: all")
    parser.add_argument("--samples", type=Path, help="CSV file for all that was noted of the processes")
    with tempfile.TemporaryDirectory(prefix="breakeven-soak-") as folder:
        wrong = soak(parser.parse_args(), Path(folder))
    print("\n".join(f"WRONG: {line}" for line in wrong) or "nothing is wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
