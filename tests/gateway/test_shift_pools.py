"""Shifts to a pool in a running gateway: all nodes take part, each user stays at one, and evidence is the pool's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.console.drained import set_drained
from breakeven.ledger.ids import request_text
from breakeven.ledger.pairs import SHIFT, Which, stored_pairs
from breakeven.ledger.shifts import ShiftTerms, start_shift
from breakeven.routing.spreading import Spread
from breakeven.routing.sticking import Told, place_of, unit_of
from breakeven.wiring.clock import current_s
from gateway import answers, payloads
from gateway.gateway import FORGIVING, settings, target, wait_for
from gateway.shadowed import ready, state
from gateway.test_pools import ScriptedNode, pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.gateway import Gateway, Settings
    from gateway.scripted import ScriptedUpstream

    Start = Callable[..., Gateway]

USERS = tuple(f"user-{number}" for number in range(40))
SECRET = "patient-7f3a has gout"  # noqa: S105 - what must not get out
REFUSED = "marked data that the target may not have"


def configured(upstream: ScriptedUpstream, nodes: str = "ab", **fields: Any) -> Settings:
    """Settings with a model at an API, and beside it a pool of these nodes; none: without a pool."""
    pools = {"own": pool(upstream, nodes, engine="other")} if nodes else {}
    targets = {"old": target(upstream.url("old"), sensitivities=["local-only"]), **fields.pop("targets", {})}
    said: Settings = {"workers": 2, "pools": pools, **fields}
    return settings(targets, {"chat": {"targets": ["old"]}}, **said)


@pytest.fixture(autouse=True)
def serving(upstream: ScriptedUpstream) -> None:
    """An API and three nodes that answer."""
    for place in ("old", "a", "b", "c"):
        upstream.script(place, answers.either(answers.whole(), answers.stream(payloads.stream())))


def begin(gateway: Gateway, share: float = 1.0, **fields: Any) -> int:
    terms = ShiftTerms(tasks=("*",), steps=(share,), check="exact", to_pool=True, **fields)
    return start_shift(gateway.store, "chat", "own", terms, now_s=current_s(), said_by="tests")


def asked(gateway: Gateway, user: str, content: str = "Well?", **headers: str) -> tuple[str, str]:
    """Ask over a connection of its own, so that any worker may answer; return who served, and why."""
    body = payloads.request("chat") | {"messages": [{"role": "user", "content": content}]}
    with gateway.line() as line:
        reply = line.chat(body, x_breakeven_user=user, **headers)
        assert reply.status == 200, reply
        return reply.headers["x-breakeven-target"], reply.headers["x-breakeven-decision"]


def at(number: int, share: float, nodes: str, user: str) -> tuple[str, str]:
    """Who serves a user, and why, by the rules alone."""
    unit = unit_of("user", Told("tests", user, "", 0, b""))
    if not nodes or place_of(number, unit) >= share:
        return "old", "first_choice"
    first = Spread({f"own/{node}": place for place, node in enumerate(nodes)}).order(unit)[0]
    return f"own/{nodes[first]}", "shifted"


def settled(gateway: Gateway, number: int, share: float, nodes: str = "ab") -> dict[str, str]:
    """Wait until all workers route by the rules; then ask again, and return who serves whom."""
    wanted = {user: at(number, share, nodes, user) for user in USERS}

    def as_wanted() -> bool:
        return all(asked(gateway, user) == who for user, who in wanted.items())

    wait_for(as_wanted, f"the workers do not route by {share} to {nodes}", gateway.said)
    assert as_wanted()
    return {user: who for user, (who, _) in wanted.items()}


def reload(gateway: Gateway, changed: Settings) -> None:
    seen = gateway.said().count("in force")
    gateway.configure(changed)
    os.kill(gateway.pid, signal.SIGHUP)
    wait_for(lambda: gateway.said().count("in force") > seen, "no new settings", gateway.said)


def test_each_user_stays_at_one_node_whoever_is_killed_and_few_move_when_nodes_change(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(configured(upstream))
    assert {asked(gateway, user)[0] for user in USERS[:5]} == {"old"}
    number = begin(gateway, 0.6)
    two = settled(gateway, number, 0.6)
    counts = [list(two.values()).count(name) for name in ("old", "own/a", "own/b")]
    assert min(counts) >= 5, counts
    killed = gateway.workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in gateway.alive() and len(gateway.workers()) == 2, "no worker comes back")
    assert settled(gateway, number, 0.6) == two
    gateway.kill()
    gateway.start()
    assert settled(gateway, number, 0.6) == two
    reload(gateway, configured(upstream, "abc"))
    three = settled(gateway, number, 0.6, "abc")
    moved = {user for user in USERS if two[user] != three[user]}
    assert {three[user] for user in moved} == {"own/c"}
    reload(gateway, configured(upstream, "bc"))
    without = settled(gateway, number, 0.6, "bc")
    assert {three[user] for user in USERS if three[user] != without[user]} == {"own/a"}
    reload(gateway, configured(upstream, ""))
    settled(gateway, number, 0.6, "")
    reload(gateway, configured(upstream))
    assert settled(gateway, number, 0.6) == two


def test_full_nodes_are_passed_over_and_full_pools_too(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    nodes = [ScriptedNode(upstream, place) for place in "ab"]
    pools = {"own": pool(upstream, full={"waiting": 10})}
    gateway = start_gateway(configured(upstream, workers=1, pools=pools))
    for node in nodes:
        wait_for(lambda node=node: node.looks >= 1, "nobody looks at the metrics", gateway.said)  # type: ignore[misc]
    homes = settled(gateway, begin(gateway), 1.0)
    nodes[0].busy(8, 20)
    assert {asked(gateway, user) for user in USERS} == {("own/b", "shifted")}
    nodes[1].busy(8, 20)
    assert {asked(gateway, user) for user in USERS[:10]} == {("old", "first_choice")}
    nodes[0].busy(0, 0)
    assert {asked(gateway, user) for user in USERS[:10]} == {("own/a", "shifted")}
    nodes[1].busy(0, 0)
    assert {user: asked(gateway, user)[0] for user in USERS} == homes
    set_drained(gateway.ledger_folder, "own/b", out=True)
    wait_for(
        lambda: {asked(gateway, user) for user in USERS} == {("own/a", "shifted")}, "it still serves", gateway.said
    )


def test_what_waits_for_idle_capacity_goes_where_users_do(start_gateway: Start, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(configured(upstream, workers=1))
    homes = settled(gateway, begin(gateway, 0.5), 0.5)
    assert {user: asked(gateway, user, x_breakeven_batch="idle")[0] for user in USERS} == homes


def test_a_node_that_fails_leaves_the_request_to_the_old_target_and_is_passed_over_once_it_is_known_to_be_down(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    breaker = {**FORGIVING, "failed_requests": 5, "open_s": 60}
    gateway = start_gateway(configured(upstream, workers=1, breaker=breaker))
    homes = settled(gateway, begin(gateway), 1.0)
    upstream.script("a", answers.failure(500))
    mine = [user for user in USERS if homes[user] == "own/a"]
    seen = [asked(gateway, user) for user in mine]
    assert seen[:5] == [("old", "fallback")] * 5
    assert set(seen[5:]) == {("own/b", "shifted")}
    assert len(upstream.calls("a")) == 5


def test_marked_requests_and_their_pairs_go_to_the_nodes_that_may_have_them_and_else_to_none(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    only = target(upstream.url("b"), prices="pool:own", sensitivities=["local-only"])
    trials = {"budget_day_usd": 100}
    gateway = ready(start_gateway(configured(upstream, targets={"own/b": only}, trials=trials)))
    homes = settled(gateway, begin(gateway, 0.5), 0.5)
    assert "own/a" in homes.values()

    def marked(user: str, task: str) -> str:
        return asked(gateway, user, x_breakeven_sensitivity="local-only", x_breakeven_task=task, content=SECRET)[0]

    def seen(place: str) -> int:
        return sum(SECRET in json.dumps(call.json) for call in upstream.calls(place) if call.method == "POST")

    assert {user: marked(user, "some") for user in USERS} == {
        user: "old" if who == "old" else "own/b" for user, who in homes.items()
    }
    some = Which(candidate="own", tasks=("some",))
    wait_for(lambda: len(stored_pairs(gateway.store, some)) == len(USERS), "pairs are missing", gateway.said)
    assert seen("a") == 0
    assert seen("b") == seen("old") == len(USERS)  # all were asked of both
    reload(gateway, configured(upstream, trials=trials))
    wait_for(lambda: all(marked(user, "none") == "old" for user in USERS), "they still go there", gateway.said)
    for place in "ab":
        upstream.script(place, answers.whole())
    assert {marked(user, "none") for user in USERS} == {"old"}

    def refused() -> bool:
        marked("user-0", "none")  # again: while the process that compares is replaced, copies go nowhere
        found = state(gateway)
        return found is not None and found.skipped.get(REFUSED, 0) > 0

    wait_for(refused, "nothing is refused", gateway.said)
    assert seen("a") == seen("b") == 0


def shift(gateway: Gateway, *arguments: str) -> Any:
    """Run ``breakeven shift`` in the gateway's folder; return what it says as JSON."""
    command = [sys.executable, "-m", "breakeven", "shift", *arguments, "--json"]
    done = subprocess.run(command, cwd=gateway.folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_pairs_of_both_directions_and_all_evidence_stand_under_the_pools_name(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(configured(upstream, trials={"budget_day_usd": 100}))
    begun = shift(
        gateway, "start", "chat", "--to", "own", "--check", "exact", "--margin", "20", "--steps", "50,100",
        "--least-requests", "1000000", "--guard-ttft", "off",
    )  # fmt: skip
    assert (begun["shift"]["target"], begun["shift"]["terms"]["to_pool"]) == ("own", True)
    homes = settled(gateway, 1, 0.5)
    assert set(homes.values()) == {"old", "own/a", "own/b"}

    def kept() -> dict[tuple[str, str], int]:
        """Pairs by who served and who was asked too."""
        found: dict[tuple[str, str], int] = {}
        served = {row["attempt_id"] & ~15: row["target"] for row in gateway.all_rows()}
        for pair in stored_pairs(gateway.store, Which(model="chat", candidate="own", incumbent="old", origin=SHIFT)):
            sides = pair.of_candidate.request_id, pair.of_incumbent.request_id
            other = sides[0] if sides[1] == pair.request_id else sides[1]
            both = served.get(pair.request_id, ""), served.get(other or 0, "")
            found[both] = found.get(both, 0) + 1
        return found

    ways = {("old", "own/a"), ("old", "own/b"), ("own/a", "old"), ("own/b", "old")}
    wait_for(lambda: ways <= kept().keys(), "pairs are missing", lambda: f"{kept()} {gateway.said()[-2000:]}")
    assert {pair.candidate for pair in stored_pairs(gateway.store)} == {"own"}

    def counts_all() -> bool:
        """Whether the evidence has every request that a node served, and every pair; some may still be on their way."""
        (task,) = shift(gateway, "status")["tasks"]
        served = [row["target"] for row in gateway.all_rows() if row["decision"] == "shifted"]
        assert set(served) == {"own/a", "own/b"}
        evidence = task["evidence"]
        return (evidence["live_requests"], evidence["pairs"]) == (len(served), len(stored_pairs(gateway.store)))

    wait_for(counts_all, "the evidence is not whole", lambda: json.dumps(shift(gateway, "status")))
    shift(gateway, "promote", "*", "--by", "ann")
    everybody = settled(gateway, 1, 1.0)
    assert {user: who for user, who in everybody.items() if homes[user] != "old"} == {
        user: who for user, who in homes.items() if who != "old"
    }
    assert shift(gateway, "list")[0]["target"] == "own"
    shift(gateway, "rollback", "--by", "ann")
    settled(gateway, 1, 0.0)


def test_a_user_is_mirrored_at_the_node_that_would_serve_and_at_another_while_that_is_full(
    start_gateway: Start, upstream: ScriptedUpstream
) -> None:
    nodes = [ScriptedNode(upstream, place) for place in "ab"]
    pools = {"own": pool(upstream, full={"waiting": 10})}
    gateway = start_gateway(configured(upstream, workers=1, pools=pools, trials={"budget_day_usd": 100}))
    number = begin(gateway, 1e-9)
    user = next(user for user in USERS if at(number, 1.0, "ab", user)[0] == "own/a")

    def mirrored() -> str:
        """Ask once; return by whom the pair's other answer was given, empty where there is no pair yet."""
        with gateway.line() as line:
            reply = line.chat(payloads.request("chat"), x_breakeven_user=user)
        assert reply.headers["x-breakeven-target"] == "old"
        found: list[int] = []

        def there() -> bool:
            pairs = {request_text(pair.request_id): pair for pair in stored_pairs(gateway.store)}
            found[:] = [pairs[reply.request_id].of_candidate.request_id or 0] if reply.request_id in pairs else []
            return bool(found)

        wait_for(there, "there is no pair", gateway.said)
        return str(gateway.row(request_text(found[0]))["target"])

    wait_for(lambda: bool(asked(gateway, user) and stored_pairs(gateway.store)), "no pairs", gateway.said)
    assert [mirrored() for _ in range(3)] == ["own/a"] * 3
    nodes[0].busy(8, 20)
    assert [mirrored() for _ in range(3)] == ["own/b"] * 3
