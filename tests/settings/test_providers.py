"""The providers are data: every entry loads, no host has two owners, and each fact has a page or a reason."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import jsonschema
import pytest
from pydantic import ValidationError

from breakeven.errors import InputError
from breakeven.routing.eligible import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, PROTOCOLS, RESPONSES
from breakeven.settings import config_schema, read_settings
from breakeven.settings.address import check_target_url, read_address
from breakeven.settings.headers import looks_secret
from breakeven.settings.providers import Protocol, Provider, load_providers, provider_at
from breakeven.settings.reach import SPOKEN, UNKNOWN_URL, reach
from breakeven.settings.targets import TargetEntry
from breakeven.sources.genai import known_targets
from breakeven.wiring.snapshot import build_snapshot

if TYPE_CHECKING:
    from breakeven.gateway.snapshot import Target

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "run-the-gateway.md"
PROVIDERS = tuple(load_providers().values())
FACTS = (
    "url", "hosts", "variable", "key_header", "headers", "protocols", "regions", "stream_usage", "bound", "cached",
    "prefill",
)  # fmt: skip
EVERY = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.id)


def _filled(provider: Provider) -> TargetEntry:
    return TargetEntry(provider=provider.id, at=dict.fromkeys(provider.places, "a-b"))


def test_those_that_were_asked_for_are_there_once_each() -> None:
    kinds: dict[str, list[str]] = {"api": [], "engine": []}
    for provider in PROVIDERS:
        kinds[provider.kind].append(provider.id)
    wanted = {
        "openai", "azure", "anthropic", "google", "vertex", "aws", "mistral", "deepseek", "groq", "together",
        "fireworks", "siliconflow", "openrouter", "huggingface", "cerebrium", "x-ai", "cerebras",
    }  # fmt: skip
    assert wanted <= set(kinds["api"])
    assert set(kinds["engine"]) == {"vllm", "sglang", "tensorrt-llm", "tgi", "llama.cpp", "ollama"}
    text = (Path(__file__).parents[2] / "src/breakeven/settings/data/providers.yaml").read_text(encoding="utf-8")
    assert text.count("\n- id: ") == len(PROVIDERS) == len({provider.id for provider in PROVIDERS})


@EVERY
def test_every_fact_has_a_page_or_the_reason_why_it_stands(provider: Provider) -> None:
    sourced = {fact for source in provider.sources for fact in source.facts}
    stated = {fact for fact in FACTS if getattr(provider, fact) not in (None, (), {}, "")}
    assert stated <= sourced | provider.unconfirmed.keys()
    assert sourced | provider.unconfirmed.keys() <= stated, "a page for what is not stated"
    assert all(provider.unconfirmed.values())


@EVERY
def test_an_entry_leads_to_an_address_that_is_recognised_as_its_own(provider: Provider) -> None:
    way = reach(_filled(provider))
    assert way.provider == provider
    assert check_target_url(way.url) == way.url != UNKNOWN_URL
    if provider.kind == "api":
        assert provider_at(way.address.host) == provider
        assert way.address.tls
    else:
        assert (provider.hosts, provider.prices, provider.places) == ((), "", ("host",))
    assert provider.places == () or reach(TargetEntry(provider=provider.id)).url == UNKNOWN_URL
    assert not [name for name, value in provider.headers.items() if looks_secret(name, value)]


def test_no_host_belongs_to_two() -> None:
    for one, other in permutations(PROVIDERS, 2):
        for pattern in one.hosts:
            host = pattern.replace("*", "a-b")
            assert provider_at(host) == one
            assert TargetEntry(url=f"https://{host}/v1")
            assert not [item for item in other.hosts if item in one.hosts]


@pytest.mark.parametrize("host", ["openai.azure.com", "api.openai.com.example", "example.com", "amazonaws.com", "::1"])
def test_a_host_that_only_looks_alike_is_nobodys(host: str) -> None:
    assert provider_at(host) is None


def test_prices_are_those_of_a_provider_that_the_catalogue_knows() -> None:
    known = {name.partition(":")[0] for name in known_targets()}
    assert {provider.prices for provider in PROVIDERS} - {""} <= known
    assert [provider.id for provider in PROVIDERS if provider.prices != provider.id and provider.id in known] == []


def test_the_names_of_protocols_are_those_of_the_filter() -> None:
    assert get_args(Protocol) == PROTOCOLS


@pytest.mark.parametrize(
    "change",
    [{"kind": "shop"}, {"protocols": []}, {"protocols": ["soap"]}, {"key_header": "cookie"}, {"url": "ftp://h"},
     {"prefill": {"how": "please"}}, {"prise": 1}, {"id": "Two Words"}, {"sources": None}],
    ids=str,
)  # fmt: skip
def test_an_entry_that_breaks_the_rules_is_refused(change: dict[str, Any]) -> None:
    entry = {"id": "a", "title": "A", "kind": "api", "url": "https://h", "protocols": ["chat"], "sources": []}
    assert Provider.model_validate(entry)
    with pytest.raises(ValidationError):
        Provider.model_validate(entry | change)


@EVERY
def test_every_provider_stands_in_the_guide(provider: Provider) -> None:
    assert f"`{provider.id}`" in HOWTO.read_text(encoding="utf-8")


def _targets(tmp_path: Path, targets: dict[str, Any]) -> dict[str, Target]:
    path = tmp_path / "breakeven.yaml"
    data = {"targets": targets, "models": {"m": {"targets": list(targets)}}}
    jsonschema.validate(data, json.loads(config_schema()), jsonschema.Draft202012Validator)
    path.write_text(json.dumps(data), encoding="utf-8")
    settings = read_settings(path, environment={"KEY": "sk-1", "OTHER": "sk-2"})
    return {target.name: target for target in build_snapshot(settings).targets}


def test_a_provider_tells_address_key_header_protocols_and_prices(tmp_path: Path) -> None:
    found = _targets(
        tmp_path,
        {
            "anthropic": {"provider": "anthropic", "key": "env:KEY"},
            "azure": {"provider": "azure", "at": {"resource": "res"}, "key": "env:KEY", "model": "gpt-4o"},
            "bedrock": {"provider": "aws-mantle", "at": {"region": "eu-west-1"}, "key": "env:KEY"},
            "engine": {"provider": "vllm", "at": {"host": "10.0.0.5"}},
            "moved": {"provider": "vllm", "url": "http://10.0.0.6:9000/llm/v1"},
        },
    )
    anthropic = found["anthropic"]
    assert (anthropic.host_header, anthropic.base_path) == ("api.anthropic.com", "/v1")
    assert anthropic.headers == (("x-api-key", "sk-1"), ("anthropic-version", "2023-06-01"))
    assert (anthropic.protocols, anthropic.priced_as) == (MESSAGES, "anthropic:*")
    assert "sk-1" not in repr(anthropic)
    azure = found["azure"]
    assert (azure.host, azure.base_path, azure.headers) == (
        "res.openai.azure.com",
        "/openai/v1",
        (("api-key", "sk-1"),),
    )
    assert (azure.protocols, azure.priced_as) == (CHAT | RESPONSES | EMBEDDINGS, "azure:gpt-4o")
    assert found["bedrock"].host == "bedrock-mantle.eu-west-1.api.aws"
    assert found["bedrock"].headers == (("authorization", "Bearer sk-1"),)
    engine = found["engine"]
    assert (engine.host_header, engine.base_path, engine.tls) == ("10.0.0.5:8000", "/v1", False)
    assert engine.protocols == CHAT | COMPLETIONS | RESPONSES | EMBEDDINGS | MESSAGES
    assert (engine.prefill, engine.priced_as) == ("continue_final_message", "")
    assert (found["moved"].host_header, found["moved"].base_path) == ("10.0.0.6:9000", "/llm/v1")
    assert found["moved"].protocols == engine.protocols


def test_a_plain_url_is_spoken_to_as_its_host_is_known_to_want(tmp_path: Path) -> None:
    found = _targets(
        tmp_path,
        {
            "known": {"url": "https://api.anthropic.com/v1", "key": "env:KEY"},
            "unknown": {"url": "https://llm.example/v1", "key": "env:KEY"},
        },
    )
    assert found["known"].headers == (("x-api-key", "sk-1"), ("anthropic-version", "2023-06-01"))
    assert found["known"].protocols == MESSAGES
    assert found["unknown"].headers == (("authorization", "Bearer sk-1"),)
    assert found["unknown"].protocols == sum(1 << PROTOCOLS.index(name) for name in SPOKEN)
    assert found["unknown"].prefill == ""


def test_what_a_target_says_goes_before_what_is_known(tmp_path: Path) -> None:
    found = _targets(
        tmp_path,
        {
            "said": {
                "provider": "anthropic",
                "key": "env:KEY",
                "key_header": "authorization",
                "protocols": ["chat", "messages"],
                "prefill": "plain",
                "headers": {"Anthropic-Version": "2099-01-01", "x-token": "env:OTHER"},
                "prices": "openai:*",
            },
            "none": {"provider": "vllm", "at": {"host": "localhost"}, "prefill": "none"},
        },
    )
    said = found["said"]
    assert said.headers == (
        ("authorization", "Bearer sk-1"),
        ("anthropic-version", "2099-01-01"),
        ("x-token", "sk-2"),
    )
    assert (said.protocols, said.prefill, said.priced_as) == (CHAT | MESSAGES, "plain", "openai:*")
    assert found["none"].prefill == ""


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"provider": "anthropic", "model": "claude-sonnet-4-5"}, "plain"),
        ({"provider": "anthropic", "model": "claude-opus-4-6"}, "none"),
        ({"provider": "anthropic"}, "none"),
        ({"provider": "deepseek"}, "none"),
        ({"url": "https://api.deepseek.com/beta"}, "prefix"),
        ({"provider": "mistral"}, "prefix"),
        ({"provider": "openai"}, "none"),
    ],
)
def test_a_prefill_is_offered_only_where_it_is_known_to_be_taken(entry: dict[str, str], expected: str) -> None:
    assert reach(TargetEntry.model_validate(entry)).prefill == expected


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nobody": ({"provider": "anthropik"}, "there is no provider 'anthropik'. Did you mean 'anthropic'?"),
    "nowhere": ({}, "targets.a: nothing says where it is"),
    "null": ({"url": None, "provider": None}, "targets.a: nothing says where it is"),
    "an open place": (
        {"provider": "azure"},
        "leaves resource open. Write at: {resource: …}",
    ),
    "two open places": ({"provider": "vertex", "at": {"region": "r"}}, "leaves project open"),
    "a place too many": (
        {"provider": "openai", "at": {"region": "r"}},
        "a.at.region: no address has this open",
    ),
    "a slip": ({"provider": "aws", "at": {"regoin": "r", "region": "r"}}, "Did you mean 'region'?"),
    "a place beside a URL": ({"url": "https://h", "at": {"region": "r"}}, "no address has this open"),
    "a path for a place": ({"provider": "azure", "at": {"resource": "a/b"}}, "one word of letters"),
    "another host for a place": ({"provider": "azure", "at": {"resource": "evil.example#"}}, "one word of letters"),
    "no host": ({"provider": "vllm", "at": {"host": "a..b"}}, "with these, the address of vLLM cannot be read"),
    "the key twice": (
        {"provider": "anthropic", "key": "env:KEY", "headers": {"X-Api-Key": "env:KEY"}},
        "key: sends the header x-api-key already",
    ),
    "an endpoint": ({"url": "https://api.anthropic.com/v1/messages"}, "leave /messages out"),
    "an unknown protocol": ({"url": "https://h", "protocols": ["soap"]}, "targets.a.protocols.0"),
    "no protocol": ({"url": "https://h", "protocols": []}, "targets.a.protocols: this list is empty"),
    "another header": ({"url": "https://h", "key_header": "sk-THE5ECRET"}, "targets.a.key_header"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_provider_is_said_once(name: str, tmp_path: Path) -> None:
    entry, expected = WRONG[name]
    path = tmp_path / "breakeven.yaml"
    path.write_text(json.dumps({"targets": {"a": entry}, "models": {"m": {"targets": ["a"]}}}), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_settings(path, environment={"KEY": "sk-1"})
    assert expected in str(caught.value)
    assert len(caught.value.problems) == 1
    assert "sk-THE5ECRET" not in str(caught.value)


def test_a_region_that_was_not_published_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "breakeven.yaml"
    target = {"provider": "aws-mantle", "at": {"region": "eu-wset-1"}, "prices": "openai:*"}
    path.write_text(json.dumps({"targets": {"a": target}, "models": {"gpt-4o": {"targets": ["a"]}}}), encoding="utf-8")
    (warning,) = read_settings(path, environment={}).warnings
    assert "eu-wset-1 is not among the regions that AWS Bedrock (Mantle) published" in str(warning)
    assert "eu-west-1" in str(warning)


def test_a_placeholder_cannot_leave_its_place() -> None:
    for provider in PROVIDERS:
        way = reach(TargetEntry(provider=provider.id, at=dict.fromkeys(provider.places, "x")))
        pattern = provider.url_at(dict.fromkeys(provider.places, "x"))
        assert read_address(way.url) == read_address(pattern)
