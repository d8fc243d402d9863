"""``breakeven.yaml`` as people get it right and wrong: every problem at once, and no secret in any message."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from breakeven.errors import InputError
from breakeven.settings import Overrides, Settings, config_schema, read_settings
from breakeven.settings.address import is_loopback, read_address
from breakeven.settings.file import (
    ConfigFile,
    KeyEntry,
    LedgerEntry,
    LimitsEntry,
    Listen,
    ModelEntry,
    ProxyEntry,
    RouteTarget,
    TargetEntry,
    Timeouts,
)
from breakeven.settings.providers import needs_no_file, provider_at
from breakeven.settings.secret import Secret, resolve
from breakeven.sources.genai import known_targets
from breakeven.sources.yaml_file import read_yaml
from breakeven.wiring.snapshot import build_snapshot

if TYPE_CHECKING:
    from pydantic import BaseModel

DOCS = Path(__file__).parents[1] / "docs"
BENCH = Path(__file__).parents[1] / "bench"
DIGEST = "c00397de4384b5bbaf14c02fe1ec7020d28d1eeab6a722c576c84b6678c41c29"
SECRET = "sk-THE5ECRET"  # noqa: S105 - made up
ENVIRONMENT = {"OPENAI_API_KEY": SECRET, "BROKER_API_KEY": SECRET, "PAIR": f"{SECRET}\r\nx-evil: 1", "BLANK": "  "}
MINIMAL = """
targets: {openai: {url: "https://api.openai.com/v1", key: "env:OPENAI_API_KEY"}}
models: {gpt-4o-mini: {targets: [openai]}}
"""


def _read(text: str, folder: Path, **more: Any) -> Settings:
    path = folder / "breakeven.yaml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path, environment=ENVIRONMENT, **more)


def _refused(text: str, folder: Path, **more: Any) -> str:
    with pytest.raises(InputError) as caught:
        _read(text, folder, **more)
    message = str(caught.value)
    assert SECRET not in message
    return message


def test_a_minimal_file_needs_two_keys_only(tmp_path: Path) -> None:
    settings = _read(MINIMAL, tmp_path)
    assert settings.file.listen.host == "127.0.0.1"
    assert settings.file.listen.port == 9400
    assert settings.open_to_all
    assert settings.warnings == ()
    assert settings.ledger_folder == tmp_path / "breakeven-data"
    assert settings.store == tmp_path / "breakeven-data" / "ledger.sqlite"


def test_every_problem_is_listed_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    message = _refused(
        f"""listen: {{host: 0.0.0.0, port: 99999}}
wrokers: 2
targets:
  openai: {{url: "https://api.openai.com/v1/chat/completions", key: "{SECRET}", timeouts: {{connect_s: 0}}}}
  two: {{url: "http://user:{SECRET}@10.0.0.1/v1", key: "env:NOT_SET"}}
  three: {SECRET}
models:
  fast: {{targets: [openia, {{target: two, weight: 0}}]}}
  slow: {{targets: [], policy: random}}
keys:
  - {{name: a, sha256: {SECRET}, models: [fats]}}
  - {SECRET}
rate_cards: [none.yaml]
ledger: {{on_full: keep}}
""",
        tmp_path,
    )
    lines = message.splitlines()[1:]
    assert [int(line.split(":")[1].split()[0]) for line in lines] == sorted(
        int(line.split(":")[1].split()[0]) for line in lines
    )
    for part in (
        "breakeven.yaml:1 listen.port",
        "breakeven.yaml:2 wrokers: unknown key 'wrokers'. Did you mean 'workers'?",
        "breakeven.yaml:4 targets.openai.url: leave /chat/completions out",
        "breakeven.yaml:4 targets.openai.key: a secret does not stand in this file: write env:NAME",
        "breakeven.yaml:4 targets.openai.timeouts.connect_s: Input should be greater than 0 (given: 0)",
        "breakeven.yaml:5 targets.two.url: credentials do not stand in a URL",
        "breakeven.yaml:5 targets.two.key: the environment variable NOT_SET is not set",
        "breakeven.yaml:6 targets.three: this should be a mapping",
        "breakeven.yaml:8 models.fast.targets.1.weight",
        "breakeven.yaml:8 models.fast.targets.0: there is no target 'openia'. Did you mean 'openai'?",
        "breakeven.yaml:9 models.slow.targets: this list is empty",
        "breakeven.yaml:9 models.slow.policy",
        "breakeven.yaml:11 keys.0.sha256: this should be the 64 hex digits",
        "breakeven.yaml:12 keys.1: this should be a mapping",
        "breakeven.yaml:13 rate_cards.0",
        "breakeven.yaml:14 ledger.on_full",
    ):
        assert part in message


WRONG: dict[str, tuple[str, str]] = {
    "no targets": ("targets: {}\nmodels: {a: {targets: [b]}}", "there are no targets"),
    "no models": ('targets: {a: {url: "http://h"}}\nmodels: {}', "there are no models"),
    "a name that no header can carry": ("targets: {'a b': {url: http://h}}\nmodels: {m: {targets: ['a b']}}", "header"),
    "a pattern for a name": ("targets: {a: {url: http://h}}\nmodels: {'gpt-*': {targets: [a]}}", "'*' alone"),
    "a target twice": ("targets: {a: {url: http://h}}\nmodels: {m: {targets: [a, a]}}", "stands twice"),
    "a target written twice": (
        "targets: {a: {url: http://h}, a: {url: http://i}}\nmodels: {m: {targets: [a]}}",
        "twice",
    ),
    "weights that do not count": (
        "targets: {a: {url: http://h}}\nmodels: {m: {targets: [{target: a, weight: 2}], policy: ordered}}",
        "weights count under policy: weighted",
    ),
    "a metadata service": (
        "targets: {a: {url: http://169.254.169.254/v1}}\nmodels: {m: {targets: [a]}}",
        "machines get their own credentials there",
    ),
    "fallbacks that go round": (
        "targets: {a: {url: http://h}}\nmodels: {m: {targets: [a], fallbacks: [n]}, n: {targets: [a], fallbacks: [m]}}",
        "these fallbacks go round: m → n → m",
    ),
    "a fallback that is none": (
        "targets: {a: {url: http://h}}\nmodels: {m: {targets: [a], fallbacks: [n]}}",
        "there is no model 'n' to fall back to",
    ),
    "a loop": ("targets: {a: {url: http://localhost:9400/v1}}\nmodels: {m: {targets: [a]}}", "own address"),
    "another scheme": ("targets: {a: {url: ftp://h}}\nmodels: {m: {targets: [a]}}", "http:// or https://"),
    "a port that is none": ("targets: {a: {url: http://h:70000}}\nmodels: {m: {targets: [a]}}", "cannot be read"),
    "a line break in a URL": ('targets: {a: {url: "http://h/\\r\\nx: y"}}\nmodels: {m: {targets: [a]}}', "line breaks"),
    "a line break in a header": (
        'targets: {a: {url: http://h, headers: {x-a: "1\\r\\nx-b: 2"}}}\nmodels: {m: {targets: [a]}}',
        "one line of ASCII",
    ),
    "a line break in a header's name": (
        'targets: {a: {url: http://h, headers: {"x\\r\\ny": "1"}}}\nmodels: {m: {targets: [a]}}',
        "not the name of a header",
    ),
    "a line break in a secret": (
        "targets: {a: {url: https://h, key: env:PAIR}}\nmodels: {m: {targets: [a]}}",
        "line breaks",
    ),
    "an empty variable": ("targets: {a: {url: https://h, key: env:BLANK}}\nmodels: {m: {targets: [a]}}", "is empty"),
    "a secret's file that is missing": (
        "targets: {a: {url: https://h, key: file:none.txt}}\nmodels: {m: {targets: [a]}}",
        "there is no file",
    ),
    "a secret in a header": (
        f"targets: {{a: {{url: https://h, headers: {{api-key: {SECRET}}}}}}}\nmodels: {{m: {{targets: [a]}}}}",
        "looks like a secret",
    ),
    "a header that the gateway writes": (
        "targets: {a: {url: https://h, headers: {Content-Length: '5'}}}\nmodels: {m: {targets: [a]}}",
        "writes the header content-length itself",
    ),
    "a header twice": (
        "targets: {a: {url: https://h, headers: {X-A: '5', x-a: '6'}}}\nmodels: {m: {targets: [a]}}",
        "given twice",
    ),
    "authorization twice": (
        "targets: {a: {url: https://h, key: env:BLANK, headers: {authorization: x}}}\nmodels: {m: {targets: [a]}}",
        "sends the header authorization already",
    ),
    "a proxy spoken to by TLS": (
        "targets: {a: {url: https://h, proxy: https://p:1}}\nmodels: {m: {targets: [a]}}",
        "plain HTTP",
    ),
    "a user without a password": (
        "targets: {a: {url: https://h, proxy: {url: http://p:1, user: me}}}\nmodels: {m: {targets: [a]}}",
        "go together",
    ),
    "authorities that are none": (
        "targets: {a: {url: https://h, ca_file: breakeven.yaml}}\nmodels: {m: {targets: [a]}}",
        "holds no certificates",
    ),
    "a total shorter than a part": (
        "targets: {a: {url: https://h, timeouts: {total_s: 5}}}\nmodels: {m: {targets: [a]}}",
        "total_s (5) is shorter than a part of it (120)",
    ),
    "a price that nobody knows": (
        "targets: {a: {url: https://h, prices: openai:gpt-4o-mnii}}\nmodels: {m: {targets: [a]}}",
        "Did you mean openai:gpt-4o-mini",
    ),
    "a price without a provider": (
        "targets: {a: {url: https://h, prices: gpt-4o}}\nmodels: {m: {targets: [a]}}",
        "write provider:model",
    ),
    "a key's name twice": (
        f"{MINIMAL}keys: [{{name: a, sha256: {DIGEST}}}, {{name: a, sha256: {'f' * 64}}}]",
        "the name 'a' stands twice",
    ),
    "a key twice": (
        f"{MINIMAL}keys: [{{name: a, sha256: {DIGEST}}}, {{name: b, sha256: {DIGEST.upper()}}}]",
        "the same key as 'a'",
    ),
    "a key for a model that is not there": (
        f"{MINIMAL}keys: [{{name: a, sha256: {DIGEST}, models: [gpt-4o-mnii]}}]",
        "Did you mean 'gpt-4o-mini'?",
    ),
    "an open door": (f"listen: {{host: 0.0.0.0}}\n{MINIMAL}", "listening on 0.0.0.0 needs keys"),
    "a host that is none": (f"listen: {{host: 'a b'}}\n{MINIMAL}", "neither a host name nor an IP address"),
    "another database": (f"ledger: {{store: 'postgresql://h/d'}}\n{MINIMAL}", "an SQLite file"),
    "a store that is a folder": (f"ledger: {{store: .}}\n{MINIMAL}", "should be a file"),
    "a folder that is a file": (f"ledger: {{folder: breakeven.yaml}}\n{MINIMAL}", "should be a folder"),
    "an empty file": ("", "is empty"),
    "a list": ("- a", "a mapping of keys to values"),
    "no YAML": ("a: [", "cannot be read as YAML"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_file_line_and_key(name: str, tmp_path: Path) -> None:
    text, expected = WRONG[name]
    message = _refused(text, tmp_path)
    assert "breakeven.yaml" in message
    assert expected in message


DOUBTFUL: dict[str, tuple[str, str]] = {
    "a key on a plain wire": (
        MINIMAL.replace("https://api.openai.com", "http://10.0.0.1").replace("key:", "prices: 'openai:*', key:"),
        "goes to 10.0.0.1 unencrypted",
    ),
    "a target that nobody uses": (
        f"{MINIMAL.replace('{openai:', '{b: {url: http://127.0.0.1:1}, openai:')}",
        "no model is served there",
    ),
    "no price": ("targets: {a: {url: http://127.0.0.1:1}}\nmodels: {m: {targets: [a]}}", "recorded without cost"),
    "no price, and refused": (
        "targets: {a: {url: http://127.0.0.1:1}}\nmodels: {m: {targets: [a], unknown_price: refuse}}",
        "requests for m are refused there",
    ),
    "one price for whatever is asked for": (
        "targets: {a: {url: http://127.0.0.1:1, prices: openai:gpt-4o}}\nmodels: {'*': {targets: [a]}}",
        "Write openai:*",
    ),
    "more attempts than targets": (
        MINIMAL.replace("[openai]", "[openai], max_attempts: 3"),
        "each is tried once",
    ),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_may_not_be_meant_is_a_warning(name: str, tmp_path: Path) -> None:
    text, expected = DOUBTFUL[name]
    warnings = [str(warning) for warning in _read(text, tmp_path).warnings]
    assert len(warnings) == 1
    assert expected in warnings[0]


def test_a_secret_comes_from_a_file_beside_the_settings_and_shows_itself_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text(f"{SECRET}\n", encoding="utf-8")
    settings = _read(MINIMAL.replace("env:OPENAI_API_KEY", "file:key.txt"), tmp_path)
    assert settings.secrets["file:key.txt"].reveal() == SECRET
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.secrets)


def test_a_secret_pasted_after_env_is_not_repeated(tmp_path: Path) -> None:
    pasted = "gsk_aB3dE5fG7hJ9kL1mN3pQ5"
    message = _refused(MINIMAL.replace("OPENAI_API_KEY", pasted), tmp_path)
    assert pasted not in message
    assert "gsk_…" in message


def test_beyond_loopback_a_key_of_the_store_is_enough(tmp_path: Path) -> None:
    asked: list[Path] = []

    def has_stored_keys(store: Path) -> bool:
        asked.append(store)
        return True

    settings = _read(f"listen: {{host: 0.0.0.0}}\n{MINIMAL}", tmp_path, has_stored_keys=has_stored_keys)
    assert asked == [settings.store]
    assert not settings.open_to_all


@pytest.mark.parametrize(
    ("more", "expected"),
    [("", True), ("listen: {require_key: true}", False), (f"keys: [{{name: a, sha256: {DIGEST}}}]", False)],
)
def test_without_keys_the_gateway_is_open_on_loopback_unless_told_otherwise(
    more: str, expected: bool, tmp_path: Path
) -> None:
    assert _read(f"{MINIMAL}\n{more}", tmp_path).open_to_all is expected


def test_the_command_line_goes_before_the_file_and_obeys_the_same_rules(tmp_path: Path) -> None:
    settings = _read(MINIMAL, tmp_path, overrides=Overrides(host="::1", port=1234, workers=3))
    assert (settings.file.listen.host, settings.file.listen.port, settings.file.workers) == ("::1", 1234, 3)
    assert "needs keys" in _refused(MINIMAL, tmp_path, overrides=Overrides(host="::"))
    assert "--host" in _refused(MINIMAL, tmp_path, overrides=Overrides(host="a b"))


@pytest.mark.parametrize("provider", needs_no_file(), ids=lambda provider: provider.id)
def test_one_key_in_the_environment_serves_that_provider(
    provider: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = read_settings(environment={provider.variable: SECRET, "HF_TOKEN": "x", "HOME": "/"})
    target = build_snapshot(settings).targets[0]
    assert f"https://{target.host_header}{target.base_path}" == provider.url
    assert target.priced_as == f"{provider.id}:*"
    assert settings.open_to_all
    assert list(settings.file.models) == ["*"]
    assert provider_at(target.host) == provider
    assert any(name.startswith(f"{provider.id}:") for name in known_targets())


def test_several_keys_or_none_are_an_error_that_says_how_to_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"env -u GROQ_API_KEY breakeven up") as several:
        read_settings(environment={"OPENAI_API_KEY": SECRET, "GROQ_API_KEY": SECRET})
    assert "OPENAI_API_KEY, GROQ_API_KEY" in str(several.value)
    assert SECRET not in str(several.value)
    with pytest.raises(InputError, match="OPENAI_API_KEY") as none:
        read_settings(environment={"OPENAI_API_KEY": " "})
    assert "breakeven.yaml" in str(none.value)


def test_the_file_of_the_current_folder_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("breakeven.yaml").write_text(MINIMAL, encoding="utf-8")
    assert read_settings(environment=ENVIRONMENT).source == "breakeven.yaml"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://API.openai.com/v1/", ("api.openai.com", 443, True, "api.openai.com", "/v1")),
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000, False, "127.0.0.1:8000", "")),
        ("http://[::1]:80/a/b", ("::1", 80, False, "[::1]", "/a/b")),
        ("https://h:80", ("h", 80, True, "h:80", "")),
    ],
)
def test_a_url_is_taken_apart(url: str, expected: tuple[object, ...]) -> None:
    assert tuple(read_address(url)) == expected


@pytest.mark.parametrize(
    "url", ["https://", "https://h?x=1", "https://h#x", "https://h:0", "//h", "https://1.2.3", "https://[::1", "h"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|host"):
        read_address(url)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("a.localhost", True),
        ("::ffff:127.0.0.1", True), ("::", False), ("10.0.0.1", False), ("localhost.example", False), ("h", False),
    ],
)  # fmt: skip
def test_loopback_is_what_this_machine_alone_can_reach(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_published_schema_describes_every_key() -> None:
    schema = json.loads(config_schema())
    assert (DOCS / "schemas" / "config.schema.json").read_text(encoding="utf-8") == config_schema(), "make generate"
    jsonschema.Draft202012Validator.check_schema(schema)
    nodes = [schema, *schema["$defs"].values()]
    assert len(nodes) > 8
    for node in nodes:
        assert node["description"]
        for name, key in node["properties"].items():
            shown = schema["$defs"][key["$ref"].rpartition("/")[2]] if "$ref" in key else key
            assert key.get("description") or shown["description"], name
    assert not [word for word in ('"ge"', '"gt"', '"le"', '"lt"') if word in config_schema()]


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        (ConfigFile, ""),
        (Listen, "listen."),
        (TargetEntry, "targets.KEY."),
        (Timeouts, "targets.KEY.timeouts."),
        (ProxyEntry, "targets.KEY.proxy."),
        (ModelEntry, "models.KEY."),
        (RouteTarget, "models.KEY.targets[]."),
        (KeyEntry, "keys[]."),
        (LimitsEntry, "limits."),
        (LedgerEntry, "ledger."),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_every_key_stands_in_the_reference(kind: type[BaseModel], prefix: str) -> None:
    text = (DOCS / "reference" / "config.md").read_text(encoding="utf-8")
    for name in kind.model_fields:
        assert f"\n| `{prefix}{name}` |" in text


@pytest.mark.parametrize("path", [DOCS / "examples" / "breakeven.yaml", BENCH / "gateway.yaml"], ids=lambda p: p.name)
def test_the_published_examples_obey_the_schema_and_the_program(path: Path) -> None:
    jsonschema.validate(read_yaml(path).data, json.loads(config_schema()), jsonschema.Draft202012Validator)
    assert read_settings(path, environment=ENVIRONMENT).file.models


@pytest.mark.parametrize(
    "change",
    [
        {"listen": {"port": 0}},
        {"targts": {}},
        {"targets": {}},
        {"targets": {"a": {"url": "ftp://h"}}},
        {"targets": {"a": {"url": "http://h", "key": SECRET}}},
        {"models": {"m": {"targets": []}}},
        {"models": {"m": {"targets": [{"target": "a", "weight": 0}]}}},
        {"keys": [{"name": "a", "sha256": SECRET}]},
        {"ledger": {"on_full": "wait"}},
    ],
    ids=str,
)
def test_an_editor_refuses_what_the_program_refuses(change: dict[str, Any], tmp_path: Path) -> None:
    data = {"targets": {"a": {"url": "http://h"}}, "models": {"m": {"targets": ["a"]}}}
    jsonschema.validate(data, json.loads(config_schema()), jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data | change, json.loads(config_schema()), jsonschema.Draft202012Validator)
    _refused(json.dumps(data | change), tmp_path)


BASE: dict[str, Any] = {
    "listen": {"host": "127.0.0.1", "port": 9400},
    "workers": 1,
    "targets": {
        "openai": {
            "url": "https://api.openai.com/v1",
            "key": "env:OPENAI_API_KEY",
            "headers": {"x-team": "a", "x-token": "env:OPENAI_API_KEY"},
            "timeouts": {"connect_s": 5, "total_s": 900},
            "proxy": {"url": "http://p:3128", "user": "me", "password": "env:OPENAI_API_KEY"},
        },
        "pool": {"url": "http://127.0.0.1:8000/v1", "model": "m", "sensitivities": ["public"]},
        "azure": {
            "provider": "azure",
            "at": {"resource": "res"},
            "key": "env:OPENAI_API_KEY",
            "key_header": "api-key",
            "protocols": ["chat", "responses"],
            "prefill": "none",
        },
    },
    "models": {
        "fast": {"targets": ["pool", {"target": "openai", "weight": 2}], "policy": "weighted"},
        "*": {"targets": ["openai"]},
    },
    "keys": [{"name": "a", "sha256": DIGEST, "models": ["fast"], "tags": "t=1", "expires": "2030-01-01"}],
    "limits": {"header_bytes": 32768},
    "ledger": {"folder": "d", "on_full": "drop"},
}
"""Everything on; what the fuzzing starts from."""

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", "*", "env:", "env:NONE", "file:", "file:..", "file:\0", "a\r\nb: c", "http://", "http://[", "\ud800x"]
    ),
    st.sampled_from(["https://h:99999", "http://a@b", "//", "é", "http://é.example", "[::1]", "2030-02-31", "\0", "~"]),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.one_of(st.text(max_size=5), st.none(), st.integers()), max_size=3),
)


def _places(data: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place, *(found for key, value in items for found in _places(value, (*place, key)))]


PLACES = [place for place in _places(BASE) if place]


def _put(data: Any, place: tuple[Any, ...], value: Any) -> None:
    """Put a value at a place; where an earlier change took the place away, do nothing."""
    with contextlib.suppress(KeyError, IndexError, TypeError):
        for key in place[:-1]:
            data = data[key]
        data[place[-1]] = value


def _try(content: bytes, folder: Path) -> None:
    """Read a file that may be anything: it is refused in words, or becomes a snapshot that can be sent."""
    path = folder / "fuzzed.yaml"
    path.write_bytes(content)
    try:
        settings = read_settings(path, environment=ENVIRONMENT)
    except InputError as error:
        assert SECRET not in str(error)  # noqa: PT017 - it may also be no error
        return
    assert SECRET not in repr(settings)
    for target in build_snapshot(settings).targets:
        head = "".join(f"{name}: {value}" for name, value in target.headers) + target.base_path + target.host_header
        assert head.isprintable()
        assert head.isascii()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def test_what_the_fuzzing_starts_from_is_right(folder: Path) -> None:
    (folder / "base.yaml").write_text(json.dumps(BASE), encoding="utf-8")
    assert read_settings(folder / "base.yaml", environment=ENVIRONMENT).file.keys[0].name == "a"


@hypothesis_settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=4))
def test_whatever_stands_in_a_place_the_answer_is_words_or_a_snapshot(
    changes: list[tuple[tuple[Any, ...], Any]], folder: Path
) -> None:
    data = copy.deepcopy(BASE)
    for place, value in changes:
        _put(data, place, value)
    _try(json.dumps(data).encode(), folder)


MAY_HOLD = ("url", "at", "key", "key_header", "prefill", "headers", "proxy", "sha256", "timeouts")
SECRET_PLACES = [
    place
    for place in PLACES
    if place[0] in ("targets", "keys")
    and (
        len(place) < 3
        or place[2] in ("url", "at", "key", "key_header", "prefill", "headers", "proxy", "sha256", "timeouts")
    )
]


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    place=st.sampled_from(SECRET_PLACES),
    form=st.sampled_from(["{}", "https://u:{}@h", "env:{}", "Bearer {}", "http://{}"]),
    inside=st.sampled_from([lambda text: text, lambda text: [text], lambda text: {"x": text}]),
)
def test_a_secret_in_the_wrong_place_is_never_repeated(
    place: tuple[Any, ...], form: str, inside: Any, folder: Path
) -> None:
    data = copy.deepcopy(BASE)
    _put(data, place, inside(form.format(SECRET)))
    path = folder / "secret.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    try:
        settings = read_settings(path, environment={"OPENAI_API_KEY": "other"})
    except InputError as error:
        assert SECRET.lower() not in str(error).lower()  # noqa: PT017 - it may also be no error
    else:
        assert all(secret.reveal() == "other" for secret in settings.secrets.values())


TEXT = (DOCS / "examples" / "breakeven.yaml").read_text(encoding="utf-8")


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    cut=st.tuples(st.integers(0, len(TEXT)), st.integers(0, 60)),
    put=st.one_of(
        st.binary(max_size=30), st.sampled_from([b"\n", b": ", b"- ", b"{", b"]", b"&a ", b"*a", b"!!x ", b"\t"])
    ),
)
def test_whatever_a_file_holds_the_answer_is_words_or_a_snapshot(
    cut: tuple[int, int], put: bytes, folder: Path
) -> None:
    _try(TEXT[: cut[0]].encode() + put + TEXT[sum(cut) :].encode(), folder)


def test_a_secret_is_one_line_of_ascii(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 20_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for reference in ("file:long", "file:binary", "file:.", "env:PAIR", "env:BLANK", "env:NONE"):
        assert not isinstance(resolve(reference, "here", tmp_path, ENVIRONMENT), Secret)
    (tmp_path / "key").write_bytes(b" a b \r\n")
    found = resolve("file:key", "here", tmp_path, ENVIRONMENT)
    assert isinstance(found, Secret)
    assert found.reveal() == "a b"
