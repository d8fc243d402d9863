"""A team's month in minutes: from an API alone to a pool of its own, by what Breakeven tells it each day.

month.py [--days 31] [--per-day 1000] [--folder DIR] [--short]
    The date is moved by hand (``month_world.py``); the gateway, its ledger, shadows, shift, batches and reports are the
    program as users run it.  A week of metering; a virtual pool says that a node pays; it is rented; a candidate is
    shadowed and shifted, one task to the end and the other back; batches fill the nights; the month is reconciled with
    the API's own bill, and the savings with SQL that imports nothing of ours (``month_sql.py``).
    ``--short``: ten days in which everything comes sooner, with the first lines of each report.
    It reports, and exits with 1 where a sum does not agree.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from month_world import API_USD_PER_MTOK, Call, HandClock, invoice, scripted, traffic
from openai import OpenAI

from breakeven.client import Outcomes, Said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KEY: Final = "sk-be-of-the-month"
START: Final = datetime(2026, 10, 1, tzinfo=UTC)
NODE_USD_PER_HOUR: Final = "2.50"
GPU_TIME: Final = {"prefill_s_per_mtok": 30, "decode_s_per_mtok": 2000}
"""Of a node that is full with prompts as long as these: the memory of nine of them fills it."""

METERED_DAYS: Final = 7
SHORT_METERED_DAYS: Final = 2
SHORT_DAYS: Final = 10
SHADOW_DAYS: Final = 2
SAID_SHARE: Final = 3
"""Of so many requests one has its outcome told by the team's own code."""

AGAINST: Final = ("--against", "today", "--today", "night=openai:api-large")
"""Batches of the nights would have gone to the API too."""

NIGHT_LINES: Final = 120
NIGHT_HOUR: Final = 2


class Month:
    """The team, its gateway, and the date."""

    def __init__(self, folder: Path, clock: HandClock, url: str) -> None:
        self.folder = folder
        self.clock = clock
        self.url = url
        self._last = 0
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.environment = {**os.environ, clock.variable: str(clock.path)}  # noqa: TID251 - passed on
        self._settings = _settings(self.port, url)
        self._write()

    # The gateway

    @contextlib.contextmanager
    def gateway(self) -> Iterator[None]:
        """Run it."""
        with (self.folder / "gateway.log").open("wb") as log:
            command = [sys.executable, "-m", "breakeven", "up"]
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            _until_answers(f"http://127.0.0.1:{self.port}/health")
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def change(self, **settings: Any) -> None:
        """Write other settings, and have the gateway take them."""
        self._settings |= settings
        self._write()
        self.run("config", "reload")
        until_s = time.monotonic() + 30
        beside = [self.folder / "ledger" / f"{name}.sock" for name in ("trials", "batches") if name in self._settings]
        while not all(path.exists() for path in beside) and time.monotonic() < until_s:
            time.sleep(0.05)

    def _write(self) -> None:
        (self.folder / "breakeven.yaml").write_text(json.dumps(self._settings, indent=1))

    def run(self, *command: str) -> str:
        """Run a command of Breakeven's as a person would, and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "breakeven", *command],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"breakeven {' '.join(command)} fails:\n{done.stdout}{done.stderr}")
        return done.stdout

    def record(self, *command: str) -> Any:
        """Run a command and read the JSON that it prints."""
        return json.loads(self.run(*command, "--json"))

    # The team

    def send(self, calls: Sequence[Call]) -> None:
        """Send requests, each at its own time, and tell what became of some."""
        said: list[Said] = []
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port)) as line:
            for call in calls:
                self.clock.put(call.at)
                name, right = _ask(line, call)
                self._last = int(name, 16) << 4
                if call.number % SAID_SHARE == 0:
                    said.append({"request_id": name, "source": "code", "success": right})
        with Outcomes(f"http://127.0.0.1:{self.port}", KEY) as outcomes:
            outcomes.say_all(said)

    def settle(self) -> None:
        """Wait until the ledger has all that was sent: its last request."""
        until_s = time.monotonic() + 30
        while time.monotonic() < until_s:
            with contextlib.suppress(sqlite3.Error), contextlib.closing(self._store()) as store:
                newest = store.execute("SELECT max(attempt_id) FROM attempt").fetchone()[0] or 0
                if newest >= self._last:
                    return
            time.sleep(0.05)
        sys.exit("the ledger does not have what was sent")

    def closed(self, hours: int) -> None:
        """Wait until that hour since the start is worked out: pools' hours are, two minutes after their end."""
        wanted = int(START.timestamp()) // 3600 + hours
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s:
            with contextlib.suppress(sqlite3.Error), contextlib.closing(self._store()) as store:
                virtual = store.execute("SELECT max(hour) FROM virtual_hour").fetchone()[0] or 0
                kept = store.execute("SELECT hours FROM pool_kept").fetchone()[0]
                if max(virtual + 1, kept) >= wanted:
                    return
            time.sleep(0.1)

    def batch(self, number: int) -> None:
        """Have a file of requests answered in idle hours."""
        lines = []
        for index in range(NIGHT_LINES):
            told = {"task": "extract", "number": 10_000_000 + number * 1000 + index, "in": 30_000, "out": 2_000}
            body = {"model": "night", "messages": [{"role": "user", "content": json.dumps(told)}]}
            lines.append({"custom_id": str(index), "method": "POST", "url": "/v1/chat/completions", "body": body})
        content = "\n".join(map(json.dumps, lines)).encode()
        with OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=KEY) as client:
            file = client.files.create(file=("night.jsonl", content), purpose="batch")
            made = client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
            until_s = time.monotonic() + 60
            while (made := client.batches.retrieve(made.id)).status != "completed":
                if time.monotonic() > until_s:
                    sys.exit(f"the batch of a night is not done: {made}")
                time.sleep(0.05)

    def _store(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.folder / 'ledger' / 'ledger.sqlite'}?mode=ro", uri=True)


def _settings(port: int, url: str) -> dict[str, Any]:
    return {
        "listen": {"port": port},
        "targets": {"api": {"url": f"{url}/api/v1", "model": "api-large", "prices": "openai:api-large"}},
        "pools": {"maybe": _pool() | {"virtual": True, "watches": ["chat"], "nodes": [_price()]}},
        "models": {"chat": {"targets": ["api"]}},
        "keys": [{"name": "team", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}],
        "rate_cards": ["cards.yaml"],
        "ledger": {"folder": "ledger"},
    }


def _pool() -> dict[str, Any]:
    return {"runs": "llama-3.1-8b", "hardware": "1xH100", "quantisation": "fp8", "scenario": "people.yaml"}


def _price() -> dict[str, Any]:
    return {"usd_per_hour": NODE_USD_PER_HOUR}


def _until_answers(url: str) -> None:
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own
            return
        time.sleep(0.05)
    sys.exit(f"{url} does not answer")


def _ask(line: HTTPConnection, call: Call) -> tuple[str, bool]:
    """Send a request; return its id, and whether it was answered right."""
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "x-breakeven-task": call.task}
    line.request("POST", "/v1/chat/completions", json.dumps(call.body()), headers)
    with line.getresponse() as answer:
        body = answer.read()
        if answer.status != HTTPStatus.OK:
            sys.exit(f"{answer.status}: {body.decode()}")
        name = answer.headers["x-breakeven-request-id"]
    return name, json.loads(json.loads(body)["choices"][0]["message"]["content"])["answer"] == "right"


def main() -> int:
    """Live through the month; return 1 where a sum does not agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--per-day", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--short", action="store_true")
    asked = parser.parse_args()
    days = SHORT_DAYS if asked.short else asked.days
    with contextlib.ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="breakeven-month-")))
        folder.mkdir(parents=True, exist_ok=True)
        return _live(folder, days, list(traffic(START, days, asked.per_day)), stack, short=asked.short)


def _live(folder: Path, days: int, calls: list[Call], stack: contextlib.ExitStack, *, short: bool) -> int:
    (folder / "cards.yaml").write_text(json.dumps(_card()))
    (folder / "people.yaml").write_text(json.dumps(PEOPLE))
    clock = HandClock(folder / "ahead", START)
    month = Month(folder, clock, stack.enter_context(scripted(clock)))
    stack.enter_context(month.gateway())
    story = Story(month, calls, short=short)
    story.meter(SHORT_METERED_DAYS if short else METERED_DAYS)
    story.rent()
    story.shadow(SHADOW_DAYS)
    story.shift()
    story.rest(days)
    return story.settle_up()


class Story:
    """What happens, in its order; each part prints what it shows."""

    def __init__(self, month: Month, calls: Sequence[Call], *, short: bool) -> None:
        self._month = month
        self._short = short
        self._calls = calls
        self._hour = 0
        self._rented = START

    @property
    def _now(self) -> datetime:
        return START + timedelta(hours=self._hour)

    def meter(self, days: int) -> None:
        """Use an API alone, metered, with a virtual pool beside it."""
        _title(f"Days 1 to {days}: an API alone, metered; a pool of one node is simulated beside it")
        self._go(days * 24)
        self._month.closed(days * 24 - 1)
        print(self._month.run("ledger", "virtual").splitlines()[-1])
        print(self._month.run("outlook").splitlines()[1], flush=True)

    def rent(self) -> None:
        """Rent the node; it serves nobody yet."""
        self._rented = self._now
        _title("It pays: the node is rented, and asked beside the API what the API is asked")
        node = _price() | {"name": "a", "url": f"{self._month.url}/node/v1", "since": self._now.isoformat()}
        shadow = {"model": "chat", "candidate": "own/a", "share": 0.25}
        self._month.change(
            pools={"own": _pool() | {"model": "m", "nodes": [node], "gpu_time": GPU_TIME}},
            models={"chat": {"targets": ["api"]}, "night": {"targets": ["own"]}},
            trials={"shadows": [shadow], "check": {"url": f"{self._month.url}/check"}, "budget_day_usd": 1000},
            batches={"slots": 8, "hours": 8},
        )

    def shadow(self, days: int) -> None:
        """Gather pairs of answers, compared by the team's own check."""
        self._go(days * 24)
        self._show("shadow", "report", "--margin", "5", first=2)

    def shift(self) -> None:
        """Move both tasks, as far as the evidence allows."""
        _title("A guarded shift of both tasks, at most 5 points worse")
        steps = ("--steps", "1,5,25,50,100", "--least-requests", "5", "--guard-ttft", "off")
        asked = ("--tasks", "extract,reason", "--margin", "5", "--check", "check", "--with-shadow", *steps)
        print(self._month.run("shift", "start", "chat", "--to", "own", *asked, "--by", "team"))
        before = ""
        tasks = self._tasks()
        while any(task["state"] == "running" for task in tasks):
            self._go(3, pause_s=1.2)
            tasks = self._tasks()
            now = ", ".join(f"{task['task']} {task['state']} at {task['share_fraction']:.0%}" for task in tasks)
            if now != before:
                print(f"{self._now:%d %b %H:%M}  {now}", flush=True)
                before = now
        if not self._short:
            self._show("shift", "events", "1")

    def _show(self, *command: str, first: int = 0) -> None:
        """Print a report; in short no more than its first lines."""
        lines = self._month.run(*command).splitlines()
        print("\n".join(lines[:first] if self._short and first else lines) + "\n", flush=True)

    def _tasks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._month.record("shift", "status", "1")["tasks"]
        return found

    def rest(self, days: int) -> None:
        """Go on to the month's end; batches go into the nights."""
        _title("The rest of the month, with batches in the idle nights")
        while self._hour < days * 24:
            if self._now.hour == NIGHT_HOUR:
                self._month.batch(self._hour)
            self._go(1)

    def settle_up(self) -> int:
        """Reconcile the month, and work the savings out again from what was exported."""
        month = self._month
        month.clock.put(self._now + timedelta(hours=6))
        month.settle()
        month.closed(self._hour)
        charged_usd = invoice(month.url, month.folder / "invoice.json")
        _title(f"The month is over; the API's bill is {charged_usd} USD")
        first, last = f"{START:%Y-%m-%d}", f"{self._now:%Y-%m-%d}"
        self._show("statement", f"{START:%Y-%m}", "--invoice", "invoice.json", first=1)
        self._show("savings", "--since", first, "--until", last, *AGAINST, first=1)
        self._show("outcomes", "cost", "--by", "task,target", first=7)
        if not self._short:
            self._show("advise")
        ours = month.record("savings", "--since", first, "--until", last, *AGAINST)
        return self._agree(charged_usd, ours)

    def _agree(self, charged_usd: Decimal, ours: dict[str, Any]) -> int:
        """Set the ledger's sums beside the API's bill and beside SQL on the export; return 1 where one differs."""
        month = self._month
        known = {
            **{kind: str(usd) for kind, usd in API_USD_PER_MTOK.items()},
            "node_usd_per_hour": NODE_USD_PER_HOUR,
            "people_usd_per_hour": PEOPLE_USD_PER_HOUR,
            "rented": self._rented.isoformat(),
            "from": START.isoformat(),
            "to": self._now.isoformat(),
        }
        (month.folder / "prices.json").write_text(json.dumps(known))
        month.run("ledger", "export", "month.parquet")
        script = Path(__file__).with_name("month_sql.py")
        command = [sys.executable, "-I", str(script), "month.parquet", "prices.json"]
        theirs = json.loads(subprocess.run(command, cwd=month.folder, capture_output=True, check=True).stdout)
        at_api = [line["usd"] for line in ours["paid_lines"] if line["at"] == "openai:api-large"]
        today = ours["counterfactuals"][0]
        beside = {
            "the API's bill": (charged_usd, sum(map(Decimal, at_api))),
            "paid, everything counted": (Decimal(theirs["paid"]), Decimal(ours["paid_usd"])),
            "would have been paid": (Decimal(theirs["would"]), Decimal(today["would_usd"])),
            "saved": (Decimal(theirs["saved"]), Decimal(today["saved_usd"])),
        }
        _title("The same from outside: the API's own books, and SQL on the export")
        for name, (outside, inside) in beside.items():
            print(f"{name}: {outside:,f} outside, {inside:,f} in the ledger; difference {inside - outside:f}")
        return int(any(outside != inside for outside, inside in beside.values()))

    def _go(self, hours: int, *, pause_s: float = 0.0) -> None:
        """Let hours pass, with the requests that come in them."""
        until = self._now + timedelta(hours=hours)
        self._month.send([call for call in self._calls if self._now <= call.at < until])
        self._hour += hours
        self._month.clock.put(self._now)
        self._month.settle()
        time.sleep(pause_s)


def _title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


_NONE: Final = (
    "load_balancer_usd_per_month", "monitoring_usd_per_month", "cache_usd_per_month", "logging_usd_per_month",
    "storage_usd_per_gb_month", "self_hosted_incidents_per_month", "api_incidents_per_month",
)  # fmt: skip
PEOPLE: Final = {
    "assumptions": {"self_hosted_engineering_fte": 0.02, "engineer_usd_per_year": 219_000} | dict.fromkeys(_NONE, 0)
}
PEOPLE_USD_PER_HOUR: Final = "0.5"
"""That is 0.02 x 219,000 / 12 / 730."""


def _card() -> dict[str, Any]:
    prices = {f"{kind}_usd_per_mtok": str(usd) for kind, usd in API_USD_PER_MTOK.items()}
    card = {"provider": "openai", "model": "api-large", "source": "made up", "checked_on": "2026-09-01"}
    return {"rate_cards": [card | {"prices": [prices]}]}


if __name__ == "__main__":
    sys.exit(main())
