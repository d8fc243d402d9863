"""``breakeven.yaml`` as people get it right and wrong: every problem at once, and no secret in any message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from breakeven.errors import InputError
from breakeven.settings import Overrides, read_settings
from breakeven.settings.providers import needs_no_file, provider_at
from breakeven.settings.secret import Secret, resolve
from breakeven.sources.genai import known_targets
from breakeven.wiring.snapshot import build_snapshot
from settings.files import DIGEST, ENVIRONMENT, MINIMAL, SECRET, read, refused


def test_a_minimal_file_needs_two_keys_only(tmp_path: Path) -> None:
    settings = read(MINIMAL, tmp_path)
    assert settings.file.listen.host == "127.0.0.1"
    assert settings.file.listen.port == 9400
    assert settings.open_to_all
    assert settings.warnings == ()
    assert settings.ledger_folder == tmp_path / "breakeven-data"
    assert settings.store == tmp_path / "breakeven-data" / "ledger.sqlite"


def test_every_problem_is_listed_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    message = refused(
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
    message = refused(text, tmp_path)
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
    "a hedge with nobody to send it to": (
        MINIMAL.replace("[openai]", "[openai], hedging: {}"),
        "nothing can be asked beside the first target",
    ),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_may_not_be_meant_is_a_warning(name: str, tmp_path: Path) -> None:
    text, expected = DOUBTFUL[name]
    warnings = [str(warning) for warning in read(text, tmp_path).warnings]
    assert len(warnings) == 1
    assert expected in warnings[0]


def test_a_secret_comes_from_a_file_beside_the_settings_and_shows_itself_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text(f"{SECRET}\n", encoding="utf-8")
    settings = read(MINIMAL.replace("env:OPENAI_API_KEY", "file:key.txt"), tmp_path)
    assert settings.secrets["file:key.txt"].reveal() == SECRET
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.secrets)


def test_a_secret_pasted_after_env_is_not_repeated(tmp_path: Path) -> None:
    pasted = "gsk_aB3dE5fG7hJ9kL1mN3pQ5"
    message = refused(MINIMAL.replace("OPENAI_API_KEY", pasted), tmp_path)
    assert pasted not in message
    assert "gsk_…" in message


def test_beyond_loopback_a_key_of_the_store_is_enough(tmp_path: Path) -> None:
    asked: list[Path] = []

    def has_stored_keys(store: Path) -> bool:
        asked.append(store)
        return True

    settings = read(f"listen: {{host: 0.0.0.0}}\n{MINIMAL}", tmp_path, has_stored_keys=has_stored_keys)
    assert asked == [settings.store]
    assert not settings.open_to_all


@pytest.mark.parametrize(
    ("more", "expected"),
    [("", True), ("listen: {require_key: true}", False), (f"keys: [{{name: a, sha256: {DIGEST}}}]", False)],
)
def test_without_keys_the_gateway_is_open_on_loopback_unless_told_otherwise(
    more: str, expected: bool, tmp_path: Path
) -> None:
    assert read(f"{MINIMAL}\n{more}", tmp_path).open_to_all is expected


def test_the_command_line_goes_before_the_file_and_obeys_the_same_rules(tmp_path: Path) -> None:
    settings = read(MINIMAL, tmp_path, overrides=Overrides(host="::1", port=1234, workers=3))
    assert (settings.file.listen.host, settings.file.listen.port, settings.file.workers) == ("::1", 1234, 3)
    assert "needs keys" in refused(MINIMAL, tmp_path, overrides=Overrides(host="::"))
    assert "--host" in refused(MINIMAL, tmp_path, overrides=Overrides(host="a b"))


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


def test_a_secret_is_one_line_of_ascii(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 20_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for reference in ("file:long", "file:binary", "file:.", "env:PAIR", "env:BLANK", "env:NONE"):
        assert not isinstance(resolve(reference, "here", tmp_path, ENVIRONMENT), Secret)
    (tmp_path / "key").write_bytes(b" a b \r\n")
    found = resolve("file:key", "here", tmp_path, ENVIRONMENT)
    assert isinstance(found, Secret)
    assert found.reveal() == "a b"
