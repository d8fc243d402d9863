"""Sends malformed HTTP requests to a running gateway, and looks at whatever comes back, and whatever gets through.

    python scripts/fuzz_requests.py --cases 1000000

Every case (``fuzz_cases.py``) is read first by an HTTP parser here, which says what must happen: a request that is
whole gets exactly one answer and its connection is used for the next case; anything else gets an answer or a closed
connection.  Answers may say 2xx (which needs the key, but for /health) or 4xx, and must be whole, well-formed HTTP
with JSON in them and no header that the request smuggled in.  A 5xx, silence, a process that dies or grows, or a
complaint in the log is a bug.  The upstream behind the gateway is as strict: it takes nothing but what the gateway
should send.  Equal seeds send the same bytes; what fails is written to ``--failures`` with the bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import uvloop
from fuzz_probers import Run
from fuzz_tally import Tally
from fuzz_upstream import RENAMED, serve
from gateway_process import GatewayProcess, free_port

HEADER_S: Final = 2.0
"""What the gateway allows for a head, and for a pause in a body."""

SETTLED_FRACTION: Final = 0.3
"""After so much of the run memory is compared with that at the end."""

MOST_GROWTH_KIB: Final = 8 * 1024


def settings(upstream_port: int, workers: int) -> dict[str, Any]:
    """Return the gateway's settings: a target that knows models by their names, and one that does not."""
    base = f"http://127.0.0.1:{upstream_port}"
    protocols = ["chat", "completions", "responses", "embeddings", "messages"]
    targets = {
        "plain": {"url": f"{base}/plain", "prices": "scripts:priced", "protocols": protocols},
        "renamed": {"url": f"{base}/renamed", "model": RENAMED, "protocols": protocols},
    }
    models = {name: {"targets": [name]} for name in targets}
    limits = {"header_s": HEADER_S, "body_s": HEADER_S, "body_bytes": 4 * 2**20}
    return {"targets": targets, "models": models, "limits": limits, "workers": workers}


def fuzz(given: argparse.Namespace, folder: Path) -> list[str]:
    """Run all processes, print what was found, and return what is wrong."""
    upstream_port = free_port()
    reports = folder / "upstream.txt"
    script = [sys.executable, __file__]
    with reports.open("wb") as out:
        upstream = subprocess.Popen([*script, "--serve", str(upstream_port)], stdout=out)
    try:
        with GatewayProcess(folder, settings(upstream_port, given.workers)) as gateway:
            counts, growth, wrong, wall_s = _probe(given, gateway, script)
            stopped = gateway.stop()
            complaints = gateway.complaints()
    finally:
        upstream.kill()
        upstream.wait()
    speed = given.cases / wall_s
    print(f"{given.cases:,} cases in {wall_s:.0f} s, {speed:,.0f} a second: {dict(sorted(counts.items()))}")
    print(f"KiB grown since {SETTLED_FRACTION:.0%} of it: {growth}")
    wrong += [f"{name} grew by {kib:,} KiB" for name, kib in growth.items() if kib > MOST_GROWTH_KIB]
    wrong += [f"{counts['failed']} cases failed: see {given.failures}"] if counts["failed"] else []
    wrong += [f"exit code {stopped}"] if stopped else []
    seen = reports.read_text().splitlines()
    if seen:
        given.failures.mkdir(parents=True, exist_ok=True)
        (given.failures / "upstream.txt").write_text("\n".join(seen[:1000]))
        kinds = Counter(json.loads(line)["upstream"][:60] for line in seen)
        wrong.append(f"the upstream got what it should not: {dict(kinds)}")
    return wrong + [f"the gateway says: {line}" for line in complaints[:20]]


def _probe(
    given: argparse.Namespace, gateway: GatewayProcess, script: list[str]
) -> tuple[Counter[str], dict[str, int], list[str], float]:
    """Return how often what happened, KiB grown by process, what is wrong with them, and the seconds that it took."""
    begin = [seen.pid for seen in gateway.seen()]
    began_s = time.monotonic()
    resident: list[dict[str, int]] = []
    options = ["--cases", str(given.cases), "--seed", str(given.seed), "--connections", str(given.connections)]
    options += ["--processes", str(given.processes), "--failures", str(given.failures), "--first", str(given.first)]
    children = [
        subprocess.Popen([*script, "--probe", str(gateway.port), "--turn", str(turn), *options], stdout=subprocess.PIPE)
        for turn in range(given.processes)
    ]
    while any(child.poll() is None for child in children):
        resident.append({seen.name: seen.resident_kib for seen in gateway.seen()})
        time.sleep(0.25)
    wall_s = time.monotonic() - began_s
    counts: Counter[str] = Counter()
    for child in children:
        counts.update(json.loads(child.communicate()[0] or '{"failed": 1}'))
    early = resident[int(len(resident) * SETTLED_FRACTION)]
    growth = {name: kib - early.get(name, 0) for name, kib in resident[-1].items()}
    wrong = [] if [seen.pid for seen in gateway.seen()] == begin else ["a process died"]
    return counts, growth, wrong, wall_s


async def _child(given: argparse.Namespace) -> None:
    numbers = iter(range(given.first + given.turn, given.first + given.cases, given.processes))
    tally = Tally(given.seed, given.failures)
    await Run(given.probe, given.seed, numbers, tally).all(given.connections)
    print(json.dumps(tally.counts))


def main() -> None:
    """Fuzz, and exit with 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case; --cases 1: it alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="clients; each sends every so-manieth case")
    parser.add_argument("--workers", type=int, default=2, help="of the gateway")
    parser.add_argument("--connections", type=int, default=48, help="of each client")
    kept = Path(tempfile.gettempdir()) / "breakeven-fuzz-failures"
    parser.add_argument("--failures", type=Path, default=kept, help=f"folder for what fails; default: {kept}")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--probe", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--turn", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve or given.probe:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(given.serve) if given.serve else _child(given))
        return
    with tempfile.TemporaryDirectory(prefix="breakeven-fuzz-") as folder:
        wrong = fuzz(given, Path(folder))
    print("\n".join(f"WRONG: {line}" for line in wrong) or "nothing is wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
