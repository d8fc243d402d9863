"""CPU, latency and memory of the gateway beside nginx and installed peers, on one machine, in one run.

    apt-get install -y nginx-light wrk      # the limit, and the load
    python scripts/bench_gateway.py [--peers FOLDER] [--streams 1000] [--rounds 3] [--write]

Everything that a user has on is on: key check, routing, metering, ledger.  The figure to compare is CPU per request
and per streamed chunk, of the gateway's whole process tree: it holds still on a noisy machine, where requests a second
do not.  The gateways take turns, and each figure is the median of the rounds.  The gateway has core 0, load and
upstreams core 1.  The figures count only if the ledger has a row for every answer; its writing is part of the CPU.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench_contenders import (
    BODIES,
    GATEWAY_CORE,
    OTHER_CORE,
    ROOT,
    TASKSET,
    Contender,
    Endpoint,
    Process,
    chat_body,
    contenders,
    rows_kept,
    upstreams,
    why_not_ready,
)
from bench_features import features
from bench_features import table as feature_table

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE: Final = ROOT / "docs" / "reference" / "bench-gateway.md"
MANY: Final = 32
TARGETS: Final = {"cpu": 2.5, "8k_cpu": 2.5, "64k_cpu": 2.5, "chunk_cpu": 1.4}
"""At most so many times nginx."""

Figures = dict[str, float]

_WRK: Final = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
{headers}
wrk.body = '{body}'
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('FIGURES {{"requests": %d, "failed": %d, "seconds": %f, "p50_us": %f, "p99_us": %f}}',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99)))
end
"""


class Run:
    """One contender in one round: its figures, and how many answers its ledger must know of."""

    def __init__(self, folder: Path, seconds: int, streams: int) -> None:
        self.figures: Figures = {"failed": 0.0}
        self._folder = folder
        self._seconds = seconds
        self._streams = streams
        self._answered = 0
        self._cut_off = 0

    def measure(self, contender: Contender) -> None:
        """Fill the figures."""
        with ExitStack() as stack:
            process = self._start(stack, contender.name, contender.unary, "tiny")
            figures = self.figures
            figures["idle_worker_mib"], figures["idle_mib"] = process.resident_mib()
            self._wrk(process, contender.unary, 16, BODIES[""], seconds=2)
            figures |= {f"one_{k}": v for k, v in self._wrk(process, contender.unary, 1, BODIES[""]).items()}
            for prefix, size in BODIES.items():
                found = self._wrk(process, contender.unary, MANY, size)
                figures |= {f"{prefix}{name}": value for name, value in found.items()}
            if contender.streamed.command != contender.unary.command:
                stack.close()
                process = self._start(stack, contender.name, contender.streamed, "tiny-stream")
            figures |= self._stream(process, contender.streamed)
            figures["busy_mib"] = process.resident_mib()[1]
            self._check_ledger(contender.unary)

    def _start(self, stack: ExitStack, name: str, endpoint: Endpoint, model: str) -> Process:
        log = self._folder / f"{name}.log"
        process = stack.enter_context(Process(endpoint.command, GATEWAY_CORE, log, endpoint.environment))
        why = why_not_ready(endpoint, model)
        if why:
            sys.exit(f"{name} does not serve: {why}\n{log.read_text(errors='replace')[-2000:]}")
        self._answered += 1
        return process

    def _wrk(self, process: Process, endpoint: Endpoint, connections: int, body: int, seconds: int = 0) -> Figures:
        script = self._folder / "post.lua"
        lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in (h.split(": ", 1) for h in endpoint.headers)]
        script.write_text(_WRK.format(headers="\n".join(lines), body=chat_body(body)))
        duration = f"-d{seconds or self._seconds}"
        command = ["wrk", "-t1", f"-c{connections}", duration, "--timeout", "10s", "--latency", "-s", str(script)]
        before = self._settled_cpu_s(process, endpoint)
        found = json.loads(_said(command, endpoint).split("FIGURES ")[1])
        self._answered += found["requests"]
        self._cut_off += connections
        self.figures["failed"] += found["failed"]
        spent = self._settled_cpu_s(process, endpoint) - before
        return {
            "cpu_us": spent / max(found["requests"], 1) * 1e6,
            "per_s": found["requests"] / found["seconds"],
            "p50_us": found["p50_us"],
            "p99_us": found["p99_us"],
        }

    def _stream(self, process: Process, endpoint: Endpoint) -> Figures:
        script = [sys.executable, str(Path(__file__).parent / "bench_streams.py")]
        arguments = ["load", str(endpoint.port), str(self._streams)]
        for header in endpoint.headers:
            arguments += ["--header", header]
        before = self._settled_cpu_s(process, endpoint)
        found = json.loads(_said([*script, *arguments]))
        self._answered += int(found["finished"])
        self.figures["failed"] += found["wanted"] - found["finished"] + found["refused"]
        spent = self._settled_cpu_s(process, endpoint) - before
        return {
            "chunk_cpu_us": spent / max(found["events"], 1) * 1e6,
            "gap_p99_ms": found["longest_gap_p99_ms"],
            "first_byte_p99_ms": found["first_byte_p99_ms"],
        }

    def _settled_cpu_s(self, process: Process, endpoint: Endpoint) -> float:
        """CPU so far, once rows that are still being written are."""
        if endpoint.ledger is not None:
            rows_kept(endpoint.ledger, self._answered)
        else:
            time.sleep(0.3)
        return process.cpu_s()

    def _check_ledger(self, endpoint: Endpoint) -> None:
        """Rows less answers: requests that the load left behind in flight have rows too, at most one a connection."""
        if endpoint.ledger is None:
            return
        surplus = rows_kept(endpoint.ledger, self._answered) - self._answered
        self.figures["rows_missing"] = float(max(0, -surplus) + max(0, surplus - self._cut_off))


def _said(command: Sequence[str], endpoint: Endpoint | None = None) -> str:
    target = [f"http://127.0.0.1:{endpoint.port}/v1/chat/completions"] if endpoint else []
    ran = subprocess.run(
        [TASKSET, "-c", str(OTHER_CORE), *command, *target], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        sys.exit(f"{' '.join(ran.args)} failed: {ran.stdout}{ran.stderr}")
    return ran.stdout


def medians(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure; of failures and missing rows the sum."""
    summed = {"failed", "rows_missing"}
    return {
        name: sum(f[name] for f in rounds) if name in summed else statistics.median(f[name] for f in rounds)
        for name in rounds[0]
    }


def table(found: dict[str, Figures]) -> str:
    """Return the figures as Markdown, with ratios to nginx."""
    head = (
        "| | request, µs | × nginx | 8 KiB body | 64 KiB body | p50, µs | p99, µs | p99 over nginx, ms | requests/s "
        "| chunk, µs | × nginx | longest gap p99, ms | idle worker, MiB | idle, MiB | failed | rows missing |"
    )
    return "\n".join([head, "|---" * 16 + "|", *(_table_row(name, f, found["nginx"]) for name, f in found.items())])


def _table_row(name: str, figures: Figures, limit: Figures) -> str:
    def times(key: str) -> str:
        return f"{figures[key] / limit[key]:.2f}" if limit[key] else "–"

    cells = [
        name,
        f"{figures['cpu_us']:.1f}",
        times("cpu_us"),
        f"{figures['8k_cpu_us']:.1f} ({times('8k_cpu_us')} ×)",
        f"{figures['64k_cpu_us']:.1f} ({times('64k_cpu_us')} ×)",
        f"{figures['one_p50_us']:.0f}",
        f"{figures['one_p99_us']:.0f}",
        f"{(figures['one_p99_us'] - limit['one_p99_us']) / 1e3:.2f}",
        f"{figures['per_s']:,.0f}",
        f"{figures['chunk_cpu_us']:.1f}",
        times("chunk_cpu_us"),
        f"{figures['gap_p99_ms']:.0f}",
        f"{figures['idle_worker_mib']:.0f}",
        f"{figures['idle_mib']:.0f}",
        f"{figures['failed']:.0f}",
        f"{figures['rows_missing']:.0f}" if "rows_missing" in figures else "",
    ]
    return f"| {' | '.join(cells)} |"


def missed(name: str, ours: Figures, limit: Figures) -> list[str]:
    """Return the targets that a gateway of ours misses, in words."""
    ratios = {name: ours[f"{name}_us"] / limit[f"{name}_us"] for name in TARGETS}
    said = [f"{n}: {ratio:.2f} × nginx, at most {TARGETS[n]}" for n, ratio in ratios.items() if ratio > TARGETS[n]]
    bounds = {
        "p99 at one connection over nginx, µs": (ours["one_p99_us"] - limit["one_p99_us"], 500),
        "longest gap p99, ms": (ours["gap_p99_ms"], 100),
        "idle worker, MiB": (ours["idle_worker_mib"], 80),
        "failed": (ours["failed"], 0),
        "rows missing": (ours["rows_missing"], 0),
    }
    said += [f"{what}: {value:.1f}, at most {most}" for what, (value, most) in bounds.items() if value > most]
    return [f"{name}: {line}" for line in said]


def page(text: str, costs: str, args: argparse.Namespace) -> str:
    """Return the page of the reference, with the tables and how they came to be."""
    about = (__doc__ or "").strip().split("\n\n")
    how = f"{args.rounds} rounds of {args.seconds} s at one and at {MANY} connections, then {args.streams} streams"
    return "\n\n".join(
        [
            "# The gateway's cost, measured",
            about[0],
            f"{about[2]} {how} with 20 ms between events.",
            text,
            "## What each feature costs a request",
            costs,
            "Each is the function alone, timed in a loop (`scripts/bench_features.py`).",
            "Made by `make bench-gateway`, which writes this page; machines differ, ratios to nginx little.",
            "",
        ]
    )


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=Path(), help="folder with vllm-router/bin and litellm/bin")
    parser.add_argument("--only", default="", help="names of gateways, separated by commas; nginx always takes part")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each load")
    parser.add_argument("--streams", type=int, default=300, help="streams at the same time")
    parser.add_argument("--features", action="store_true", help="time each feature alone, too")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    return parser.parse_args()


def main() -> None:
    """Measure, print the table, and say which targets are missed."""
    args = arguments()
    missing = [name for name in ("nginx", "wrk", "taskset") if shutil.which(name) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} is not installed: apt-get install -y nginx-light wrk util-linux")
    wanted = {"nginx", *args.only.split(",")} if args.only else None
    rounds: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        for process in upstreams(folder):
            stack.enter_context(process)
        taking_part = [c for c in contenders(folder, args.peers.expanduser()) if not wanted or c.name in wanted]
        for turn in range(args.rounds):
            for contender in taking_part:
                run = Run(folder, args.seconds, args.streams)
                run.measure(contender)
                rounds.setdefault(contender.name, []).append(run.figures)
                shown = " ".join(f"{key}={value:.1f}" for key, value in run.figures.items())
                print(f"round {turn + 1} {contender.name}: {shown}", file=sys.stderr, flush=True)
    found = {name: medians(figures) for name, figures in rounds.items()}
    print(table(found))
    ours = [name for name in found if name.startswith("breakeven")]
    misses = [line for name in ours for line in missed(name, found[name], found["nginx"])]
    if ours:
        print("\n".join(f"missed: {line}" for line in misses) or "every target is met")
    if args.json:
        args.json.write_text(json.dumps({"medians": found, "rounds": rounds}, indent=1))
    costs = feature_table(features()) if args.features or args.write else ""
    print(costs)
    if args.write:
        PAGE.write_text(page(table(found), costs, args))


if __name__ == "__main__":
    main()
