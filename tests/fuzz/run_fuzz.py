"""Fuzz readers and scenario loader: ``python tests/fuzz/run_fuzz.py --cases 100000 [--only mooncake] [--seed 7]``.

Cases are shared out to as many processes as there are cores.  What fails is written to ``fuzz-failures``, one
folder a case with its files and what was seen; ``--only NAME --seed S --case N`` runs that case again.
Exit code 1 where anything failed.
"""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cases import MOST_S, make_case, run_case
from targets import one_database, targets

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.sharedctypes import Synchronized

FAILURES: Final = Path("fuzz-failures")
KEPT_PER_KIND: Final = 3
"""Of failures that look the same, so many are written out; the others are counted."""


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000, help="of each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="a target's name; may be given again")
    parser.add_argument("--case", type=int, help="run this case alone and show what is seen")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    known = targets()
    if unknown := set(given.only or ()) - known.keys():
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    names = given.only or list(known)
    if given.case is not None:
        return _replay(names[0], given.seed, given.case)
    return max(_fuzz(name, given.seed, given.cases, given.jobs) for name in names)


def _fuzz(name: str, seed: int, cases: int, jobs: int) -> int:
    """Run all cases of one target; returns the exit code."""
    context = multiprocessing.get_context("fork")
    reports: Queue[tuple[Counter[str], float]] = context.Queue()
    started = time.monotonic()
    last = [context.Value("q", first) for first in range(jobs)]
    workers = [
        context.Process(target=_work, args=(name, seed, range(first, cases, jobs), last[first], reports))
        for first in range(jobs)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    outcomes: Counter[str] = Counter()
    slowest_s = 0.0
    for worker, number in zip(workers, last, strict=True):
        if worker.exitcode:
            _keep(name, seed, number.value, f"the process ended with code {worker.exitcode} (a crash, or a hang)")
            outcomes["violation"] += 1
        else:
            found, longest_s = reports.get()
            outcomes += found
            slowest_s = max(slowest_s, longest_s)
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common())
    wall_s = time.monotonic() - started
    sys.stdout.write(f"{name}: {cases:,} cases in {wall_s:,.0f} s, slowest {slowest_s:.1f} s: {told}\n")
    sys.stdout.flush()
    return 1 if outcomes["violation"] else 0


def _work(
    name: str, seed: int, numbers: range, last: Synchronized[int], reports: Queue[tuple[Counter[str], float]]
) -> None:
    """Run some cases of one target, each announced before it begins so that a crash can be placed."""
    target, outcomes, kinds, slowest_s = targets()[name], Counter[str](), Counter[str](), 0.0
    with one_database():
        for number in numbers:
            last.value = number
            files, strict = make_case(target, seed, number)
            faulthandler.dump_traceback_later(15 * MOST_S, exit=True)
            began = time.monotonic()
            outcome, seen = run_case(target, files, strict=strict)
            slowest_s = max(slowest_s, time.monotonic() - began)
            faulthandler.cancel_dump_traceback_later()
            outcomes[outcome] += 1
            kind = re.sub(r"[^a-zA-Z ]+", "", seen.strip().splitlines()[-1][:80]) if seen else ""
            kinds[kind] += 1
            if seen and kinds[kind] <= KEPT_PER_KIND:
                _keep(name, seed, number, seen)
    reports.put((outcomes, slowest_s))


def _keep(name: str, seed: int, number: int, seen: str) -> None:
    """Write a failing case out."""
    folder = FAILURES / f"{name}-{seed}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    files, strict = make_case(targets()[name], seed, number)
    for file, content in files:
        (folder / file).write_bytes(content)
    again = f"python tests/fuzz/run_fuzz.py --only {name} --seed {seed} --case {number}"
    (folder / "seen.txt").write_text(
        f"{again}\nstrict: {strict}\n\n{seen}\n", encoding="utf-8", errors="backslashreplace"
    )
    sys.stdout.write(f"{folder}: {seen.strip().splitlines()[-1][:200]}\n")


def _replay(name: str, seed: int, number: int) -> int:
    target = targets()[name]
    files, strict = make_case(target, seed, number)
    with one_database():
        outcome, seen = run_case(target, files, strict=strict)
    sys.stdout.write(f"{name}, seed {seed}, case {number}: {outcome}\n{seen}\n")
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
