"""From settings, stored keys and the ledger to the limits of a worker."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from breakeven.catalog.rate_card import PriceEntry, PriceList, TokenPrice, TokenPrices
from breakeven.errors import InputError
from breakeven.gateway.snapshot import Key, LedgerPlan, Limits, SharedState, Snapshot, StoredKeys, Target, Timeouts
from breakeven.ledger import rows
from breakeven.ledger.cards import CardSchedule
from breakeven.ledger.keys import KeyLimits, create_key, read_keys, rotate_key
from breakeven.ledger.mover import Mover
from breakeven.ledger.spool import Spool
from breakeven.ledger.store import Store
from breakeven.limits.reserve import Refused, Reservation
from breakeven.limits.rules import NANO, Rule
from breakeven.limits.shared import SharedLimits
from breakeven.settings import read_settings
from breakeven.settings.check import Findings
from breakeven.settings.parts import parts_of
from breakeven.settings.quotas import check_quotas
from breakeven.sources.yaml_file import parse_yaml
from breakeven.wiring.limits import (
    all_rules,
    gateway_id,
    keys_of_stored,
    open_limits,
    rules_of_entry,
    rules_of_quotas,
    shared_state_of,
    used_now,
)
from breakeven.wiring.snapshot import build_snapshot
from breakeven.wiring.true_up import TrueUp
from limits.workers import NOW_S, Clock

if TYPE_CHECKING:
    from pathlib import Path

    from limits.server import Server

FILE = """
workers: 2
targets:
  openai: {url: "https://api.openai.com/v1", key: "env:OPENAI_API_KEY"}
  own: {url: "http://127.0.0.1:8000/v1"}
models: {gpt-4o-mini: {targets: [openai]}, deep: {targets: [own]}}
keys:
  - name: search
    sha256: c00397de4384b5bbaf14c02fe1ec7020d28d1eeab6a722c576c84b6678c41c29
    team: web
    quota: {requests_per_minute: 60, parallel: 4, budget_day_usd: 2.50}
quotas:
  teams: {web: {budget_month_usd: 100}}
  tags: {"env=dev": {tokens_per_minute: 1000}}
  models: {deep: {parallel: 8}}
  targets: {openai: {budget_day_usd: "0.000000001"}}
  providers: {openai: {budget_month_usd: 100, requests_per_minute: 500}}
shared_state: {url: "redis://cache:6379/1", user: gateway, password: "env:CACHE_PASSWORD", slack: 0.2}
"""
ENVIRONMENT = {"OPENAI_API_KEY": "sk-a", "CACHE_PASSWORD": "p@ss/word"}


def snapshot(folder: Path, **fields: Any) -> Snapshot:
    given: dict[str, Any] = {
        "host": "127.0.0.1", "port": 1, "workers": 1, "targets": (), "routes": (), "keys": (), "open_to_all": False,
        "limits": Limits(
            header_bytes=1, body_bytes=1, header_s=1, body_s=1, idle_s=1, max_connections=1, drain_s=1
        ),
        "ledger": LedgerPlan(
            folder=str(folder), store=str(folder / "ledger.sqlite"), drop_when_full=False,
            waiting_rows=1,
            keep_days=None,
            fresh=False,
        ),
        "price_lists": (),
    }  # fmt: skip
    return Snapshot(**given | fields)


def place(name: str, provider: str) -> Target:
    times = Timeouts(connect_s=1, first_token_s=1, between_tokens_s=1, total_s=1)
    return Target(
        name=name, host="127.0.0.1", port=1, tls=False, host_header="127.0.0.1:1", base_path="/v1", headers=(),
        model="", priced_as="", timeouts=times, provider=provider,
    )  # fmt: skip


def test_a_file_becomes_rules(tmp_path: Path) -> None:
    path = tmp_path / "breakeven.yaml"
    path.write_text(FILE, encoding="utf-8")
    file = read_settings(path, environment=ENVIRONMENT).file
    assert file.keys[0].team == "web"
    assert set(rules_of_entry(file.keys[0])) == {
        Rule("key", "search", "requests", 60, "minute"),
        Rule("key", "search", "parallel", 4, "none"),
        Rule("key", "search", "usd", 2_500_000_000, "day"),
    }
    assert rules_of_quotas(file.quotas) == (
        Rule("team", "web", "usd", 100 * NANO, "month"),
        Rule("tag", "env=dev", "tokens", 1000, "minute"),
        Rule("model", "deep", "parallel", 8, "none"),
        Rule("target", "openai", "usd", 1, "day"),
        Rule("provider", "openai", "requests", 500, "minute"),
        Rule("provider", "openai", "usd", 100 * NANO, "month"),
    )


def refusal(folder: Path, more: str) -> str:
    path = folder / "breakeven.yaml"
    path.write_text(f'targets: {{a: {{url: "http://127.0.0.1:1/v1"}}}}\nmodels: {{m: {{targets: [a]}}}}\n{more}\n')
    with pytest.raises(InputError) as caught:
        read_settings(path, environment={})
    return str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('shared_state: {url: "http://cache"}', "write redis://HOST:PORT"),
        ('shared_state: {url: "redis://cache", slack: 20%}', "write 20 % as 0.2"),
        ("quotas: {teams: {web: {budget_day_usd: 0}}}", "greater than 0"),
        ("quotas: {teams: {web: {requests_per_minute: 0}}}", "greater than or equal to 1"),
        ("quotas: {users: {}}", "unknown key 'users'"),
    ],
)
def test_nonsense_in_a_file_is_refused(tmp_path: Path, wrong: str, said: str) -> None:
    assert said in refusal(tmp_path, wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('shared_state: {url: "redis://user:THE5ECRET@cache"}', "credentials do not stand in a URL"),
        ('shared_state: {url: "redis://cache", password: THE5ECRET}', "env:NAME"),
        ("shared_state: THE5ECRET", "mapping"),
    ],
)
def test_a_secret_of_a_shared_state_is_not_repeated(tmp_path: Path, wrong: str, said: str) -> None:
    message = refusal(tmp_path, wrong)
    assert said in message
    assert "THE5ECRET" not in message


def test_quotas_are_held_against_the_rest_of_the_file(tmp_path: Path) -> None:
    text = """
workers: 3
targets: {a: {url: "http://127.0.0.1:1/v1"}}
models: {m: {targets: [a]}}
quotas: {models: {n: {parallel: 1}, m: {parallel: 1}}, targets: {b: {parallel: 1}}}
"""
    document = parse_yaml(text, "breakeven.yaml")
    findings = Findings(document, tmp_path, {})
    check_quotas(parts_of(document.data), findings)
    assert [problem.what for problem in findings.problems] == ["there is no model 'n'.", "there is no target 'b'."]
    assert ["share no state" in warning.what for warning in findings.warnings] == [True]


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ("{a: {provider: openai}, b: {url: 'https://api.anthropic.com/v1'}}", "Known: anthropic, openai."),
        ("{a: {url: 'http://127.0.0.1:1/v1'}}", "Write provider: in the entry of a target."),
        ("{a: {provider: opnai}}", "Write provider: in the entry of a target."),
        ("17", "Write provider: in the entry of a target."),
    ],
)
def test_quotas_of_providers_are_of_those_that_the_file_uses(tmp_path: Path, targets: str, said: str) -> None:
    text = f"targets: {targets}\nquotas: {{providers: {{groq: {{parallel: 1}}}}}}\n"
    document = parse_yaml(text, "breakeven.yaml")
    findings = Findings(document, tmp_path, {})
    check_quotas(parts_of(document.data), findings)
    (problem,) = findings.problems
    assert (problem.what, problem.fix) == ("no target of this file is at the provider 'groq'.", said)
    assert problem.where.startswith("breakeven.yaml:2 ")


@pytest.mark.parametrize(
    "entry", ["{provider: openai, url: 'http://127.0.0.1:1/v1'}", "{url: 'https://api.openai.com/v1'}"]
)
def test_a_targets_provider_is_named_or_told_by_its_host(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "breakeven.yaml"
    path.write_text(
        f"targets: {{a: {entry}, b: {{url: 'http://127.0.0.1:2/v1'}}}}\nmodels: {{m: {{targets: [a, b]}}}}\n"
        "quotas: {providers: {openai: {parallel: 1}}}\n"
    )
    built = build_snapshot(read_settings(path, environment={}))
    assert [target.provider for target in built.targets] == ["openai", ""]
    assert built.rules == (Rule("provider", "openai", "parallel", 1, "none"),)


def test_a_shared_state_gets_its_credentials(tmp_path: Path) -> None:
    path = tmp_path / "breakeven.yaml"
    path.write_text(FILE, encoding="utf-8")
    settings = read_settings(path, environment=ENVIRONMENT)
    parts = parts_of(parse_yaml(FILE, "breakeven.yaml").data)
    findings = Findings(parse_yaml(FILE, "breakeven.yaml"), tmp_path, ENVIRONMENT)
    check_quotas(parts, findings)
    assert not findings.problems
    object.__setattr__(settings, "secrets", {**settings.secrets, **findings.secrets})
    state = shared_state_of(settings)
    assert state == SharedState(url="redis://gateway:p%40ss%2Fword@cache:6379/1", slack_fraction=0.2)
    assert "p%40ss" not in repr(state)


def test_a_rotated_key_is_two_secrets_with_the_same_limits(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    limits = KeyLimits(minute_requests=5, month_usd=Decimal(3))
    first = create_key(store, "a", now_s=NOW_S, team="web", limits=limits, expires_s=NOW_S + 100)
    second = rotate_key(store, "a", now_s=NOW_S, overlap_s=60)
    (key,) = read_keys(store)[1]
    present, former = keys_of_stored(key, NOW_S)
    assert present.sha256 == hashlib.sha256(second.encode()).hexdigest()
    assert (former.sha256, former.expires_s) == (hashlib.sha256(first.encode()).hexdigest(), NOW_S + 60)
    assert present.rules == former.rules == (
        Rule("key", "a", "requests", 5, "minute"), Rule("key", "a", "usd", 3 * NANO, "month"),
    )  # fmt: skip
    assert (former.name, former.team) == ("a", "web")
    assert keys_of_stored(key, NOW_S + 60) == (present,)
    rotate_key(store, "a", now_s=NOW_S, overlap_s=500)
    (key,) = read_keys(store)[1]
    assert keys_of_stored(key, NOW_S)[1].expires_s == NOW_S + 100, "an overlap does not outlive the key"


def test_rules_travel_with_keys_and_snapshots(tmp_path: Path) -> None:
    rule = Rule("key", "a", "usd", 5, "day")
    stored = StoredKeys(keys=(Key(name="a", sha256="ab", team="web", rules=(rule,)),))
    assert msgspec.json.decode(msgspec.json.encode(stored), type=StoredKeys) == stored
    whole = snapshot(tmp_path, rules=(rule,), shared_state=SharedState(url="unix:///x", slack_fraction=0.1))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(whole), type=Snapshot) == whole


CARDS = CardSchedule(
    [
        PriceList(
            provider="p",
            model="m",
            source="made up",
            entries=(
                PriceEntry(
                    prices=TokenPrices(
                        input=TokenPrice(usd_per_mtok=Decimal("0.15")), output=TokenPrice(usd_per_mtok=Decimal("0.6"))
                    )
                ),
            ),
        )
    ]
)
BEFORE_S = datetime(2026, 10, 31, 23, 59, tzinfo=UTC).timestamp()
YESTERDAY_S = datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()


def fill(folder: Path, many: list[tuple[float, str, str, str, str]]) -> None:
    """Write requests of 1,000 tokens in and 100 out each: 0.00021 USD."""
    spool = Spool(folder / "spool", worker=0)
    for number, (at_s, key, tags, model, target) in enumerate(many):
        spool.add(
            rows.Attempt(
                (number + 1) * 16, int(at_s * 1e6), 1, 2, 3, spool.code(rows.KEY, key), 0, spool.code(rows.TAGS, tags),
                spool.code(rows.MODEL, model), spool.code(rows.TARGET, target), spool.code(rows.PRICED_AS, "p:m"),
                0, 0, 0, 200, rows.OK, 0, 0, 1_000, 0, 0, 100, "",
            )
        )  # fmt: skip
    spool.close()
    mover = Mover(folder / "spool", Store(folder / "ledger.sqlite"), CARDS)
    mover.drain()
    assert not mover.trouble
    mover.close()


REQUESTS = [
    (BEFORE_S, "search", "env=dev", "fast", "own"),
    (YESTERDAY_S, "search", "env=dev, app=x", "fast", "own"),
    (YESTERDAY_S, "mail", "env=prod", "fast", "own"),
    (NOW_S, "search", "env=dev", "deep", "own"),
    (NOW_S, "search", "", "fast", "rented"),
    (NOW_S, "", "app=x", "deep", "own"),
]
EACH = 210_000


@pytest.mark.parametrize(
    ("rule", "used"),
    [
        (Rule("key", "search", "usd", NANO, "day"), 2 * EACH),
        (Rule("key", "search", "usd", NANO, "month"), 3 * EACH),
        (Rule("key", "search", "tokens", 10**6, "month"), 3 * 1_100),
        (Rule("team", "web", "requests", 10, "month"), 4),
        (Rule("tag", "env=dev", "usd", NANO, "month"), 2 * EACH),
        (Rule("tag", "app=x", "usd", NANO, "day"), EACH),
        (Rule("model", "deep", "usd", NANO, "day"), 2 * EACH),
        (Rule("target", "own", "usd", NANO, "month"), 4 * EACH),
        (Rule("target", "nobody", "usd", NANO, "month"), 0),
        (Rule("provider", "vllm", "usd", NANO, "month"), 4 * EACH),
        (Rule("provider", "openai", "tokens", 10**6, "day"), 1_100),
        (Rule("provider", "groq", "usd", NANO, "month"), 0),
    ],
)
def test_a_restart_begins_with_what_the_ledger_has(tmp_path: Path, rule: Rule, used: int) -> None:
    fill(tmp_path, REQUESTS)
    keys = (Key(name="search", sha256="a", team="web"), Key(name="mail", sha256="b", team="web"))
    targets = tuple(
        place(name, provider) for name, provider in (("own", "vllm"), ("rented", "openai"), ("new", "groq"))
    )
    minute = Rule("key", "search", "requests", 1, "minute")
    whole = snapshot(tmp_path, rules=(rule, minute), keys=keys, targets=targets)
    assert used_now(whole, StoredKeys(), NOW_S, TrueUp()) == {rule.counts: used}
    limits = open_limits(whole, StoredKeys(), Clock(), TrueUp())
    refused = limits.reserve(limits._by_name[rule.scope, rule.name][:1], 10**9, 10**12, NOW_S)
    if rule.kind == "requests":
        assert isinstance(refused, Reservation)
    else:
        assert isinstance(refused, Refused)
        assert refused.used == used


def test_rules_of_stored_keys_count_too_and_workers_without_a_shared_state_take_their_parts(tmp_path: Path) -> None:
    fill(tmp_path, REQUESTS)
    own = Rule("key", "search", "usd", 10 * EACH, "day")
    stored = StoredKeys(keys=(Key(name="search", sha256="a", rules=(own,)),), ever_made=True)
    whole = snapshot(tmp_path, workers=4, rules=(Rule("model", "deep", "parallel", 6, "none"),))
    assert all_rules(whole, stored) == (
        Rule("model", "deep", "parallel", 2, "none"), Rule("key", "search", "usd", 525_000, "day"),
    )  # fmt: skip
    assert used_now(whole, stored, NOW_S, TrueUp()) == {own.counts: EACH // 2}


def test_a_store_that_cannot_be_read_does_not_pass_for_an_unused_budget(tmp_path: Path) -> None:
    whole = snapshot(tmp_path, rules=(Rule("key", "a", "usd", 1, "day"),))
    assert open_limits(whole, StoredKeys(), Clock(), TrueUp()).subject("a", "", "", "") is not None, "none is there yet"
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(InputError, match="no SQLite database"):
        open_limits(whole, StoredKeys(), Clock(), TrueUp())
    open_limits(snapshot(tmp_path, rules=(Rule("key", "a", "parallel", 1, "none"),)), StoredKeys(), Clock(), TrueUp())


def test_a_gateway_keeps_its_id(tmp_path: Path) -> None:
    first = gateway_id(tmp_path)
    assert len(first) == 16
    assert gateway_id(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.id"]


def test_shared_limits_are_opened_with_what_the_ledger_has(tmp_path: Path, server: Server) -> None:
    fill(tmp_path, REQUESTS)
    rule = Rule("key", "search", "usd", 3 * EACH, "day")
    state = SharedState(url=server.url, slack_fraction=0.0)

    async def test() -> None:
        limits = open_limits(snapshot(tmp_path, rules=(rule,), shared_state=state), StoredKeys(), Clock(), TrueUp())
        assert isinstance(limits, SharedLimits)
        await limits.round()
        (counter,) = server.counters().values()
        assert counter == {f"{gateway_id(tmp_path)}/base": 2 * EACH}
        await limits.stop()

    asyncio.run(test())
