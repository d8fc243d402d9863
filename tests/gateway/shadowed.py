"""What tests of shadows say and see: settings with a candidate, what the store has of pairs, and what a judge says."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from breakeven.gateway.copies import SOCKET_NAME
from breakeven.ledger.pairs import Pair, PairCheck, stored_checks, stored_pairs
from breakeven.ledger.store import StoreMissingError
from breakeven.trials.counts import TrialsState, read_state
from gateway import answers, payloads
from gateway.gateway import KEY, settings, target, wait_for

if TYPE_CHECKING:
    from gateway.answers import Answer
    from gateway.gateway import Gateway, Settings
    from gateway.scripted import Call, ScriptedUpstream
    from gateway.wire import Reply

CHAT = "/v1/chat/completions"


def says(text: str, *, gap_s: float = 0.0, **fields: Any) -> Answer:
    """Answer with a text, whole or as events so far apart, as the client asks."""
    size = max(4, len(text) // 8)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    first, *rest = payloads.stream(0, payloads.TOLD)
    streamed = [first, *(payloads.event(payloads.chunk({"content": piece})) for piece in pieces), *rest]
    return answers.either(answers.whole(payloads.completion(text, **fields)), answers.stream(streamed, gap_s=gap_s))


def prefers(text: str) -> Answer:
    """A judge to whom the answer with that text in it is the better one, wherever it stands."""

    def answer(call: Call) -> None:
        shown = call.json["messages"][-1]["content"]
        first = shown.partition("<answer_b>")[0]
        answers.whole(payloads.completion('{"better": "%s"}' % ("A" if text in first else "B")))(call)

    return answer


def shadowing(upstream: ScriptedUpstream, trials: Settings | None = None, **fields: Any) -> Settings:
    """Settings with an incumbent, a candidate that serves nobody, and a judge."""
    targets = {
        "incumbent": target(upstream.url("incumbent")),
        "candidate": target(upstream.url("candidate"), model="small"),
        "oracle": target(upstream.url("oracle")),
        **fields.pop("targets", {}),
    }
    models = {"m": {"targets": ["incumbent"]}, "judge": {"targets": ["oracle"]}, **fields.pop("models", {})}
    shadow = {"model": "m", "candidate": "candidate", "share": 1}
    return settings(targets, models, trials={"shadows": [shadow]} if trials is None else trials, **fields)


def ready(gateway: Gateway) -> Gateway:
    """The gateway, once copies are taken."""
    wait_for((gateway.ledger_folder / SOCKET_NAME).exists, "no copies are taken", gateway.said)
    return gateway


def ask(gateway: Gateway, content: str = "hello", *, path: str = CHAT, key: str = KEY, **asked: Any) -> Reply:
    """Ask; fields that begin with ``x_`` are headers."""
    headers = {name: asked.pop(name) for name in list(asked) if name.startswith("x_")}
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **asked}
    with gateway.line() as line:
        return line.ask("POST", path, json.dumps(body).encode(), authorization=f"Bearer {key}", **headers)


def pairs(gateway: Gateway, at_least: int = 1) -> list[Pair]:
    """The pairs in the store, once there are so many."""
    found: list[Pair] = []

    def there() -> bool:
        with suppress(StoreMissingError):  # nobody has begun it yet
            found[:] = stored_pairs(gateway.store)
        return len(found) >= at_least

    wait_for(there, f"there are no {at_least} pairs", lambda: f"{found} {state(gateway)}\n{gateway.said()[-3000:]}")
    return found


def checks(gateway: Gateway) -> dict[str, PairCheck]:
    """What checks said of the one pair in the store, by name."""
    assert len(pairs(gateway)) == 1
    return {scored.check.name: scored.check for scored in stored_checks(gateway.store)}


def state(gateway: Gateway) -> TrialsState | None:
    """How the process of trials is."""
    return read_state(gateway.ledger_folder)


def skipped(gateway: Gateway, why: str, at_least: int = 1) -> None:
    """Wait until so many pairs were not made for a reason."""

    def there() -> bool:
        found = state(gateway)
        return found is not None and found.skipped.get(why, 0) >= at_least

    wait_for(there, f"nothing was skipped because of {why!r}", lambda: f"{state(gateway)}\n{gateway.said()[-3000:]}")


def table(gateway: Gateway, name: str) -> list[dict[str, Any]]:
    """Everything in a table of the store."""
    try:
        opened = sqlite3.connect(f"{gateway.store.as_uri()}?mode=ro", uri=True, timeout=10)
    except sqlite3.OperationalError:
        return []  # nobody has begun the store yet
    with closing(opened), suppress(sqlite3.OperationalError):
        opened.row_factory = sqlite3.Row
        return [dict(row) for row in opened.execute(f"SELECT * FROM {name}")]  # noqa: S608 - names of ours
    return []
