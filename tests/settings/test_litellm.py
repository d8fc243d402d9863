"""LiteLLM's configurations become settings that can be used; what is left out is said, and no secret is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from breakeven.errors import InputError
from breakeven.settings import Settings, read_settings
from breakeven.settings.file import Policy
from breakeven.settings.litellm import read_litellm
from breakeven.settings.reach import reach
from breakeven.wiring.snapshot import build_snapshot

FIXTURES = sorted((Path(__file__).parent / "litellm").glob("*.yaml"))
SECRETS = (
    "sk-1234", "sk-123", "eyJ0eXAiOiJ", "my-openai-key", "my-redis-password", "73g", "9kj", "hunter2", "hunter3",
    "hunter4", "AKIAIOSFODNN7EXAMPLE",
)  # fmt: skip
ENVIRONMENT = {"AZURE_ONE_BASE": "https://from-env.openai.azure.com/"}


def _fixture(name: str) -> Path:
    return Path(__file__).parent / "litellm" / f"{name}.yaml"


def _imported(path: Path, folder: Path) -> tuple[Settings, list[str]]:
    """Return the settings that the imported file holds, with every variable set that it asks for, and the notes."""
    found = read_litellm(path, ENVIRONMENT)
    target = folder / "imported.yaml"
    target.write_text(found.text, encoding="utf-8")
    header = found.text.partition("\ntargets:")[0]
    wanted = header.partition("Environment variables that it needs:")[2].partition("#\n")[0]
    variables = {line.removeprefix("# - "): "value" for line in wanted.splitlines() if line.startswith("# - ")}
    return read_settings(target, environment=variables), [str(problem) for problem in found.left_out]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_what_is_imported_passes_the_check_and_shows_no_secret(path: Path, tmp_path: Path) -> None:
    settings, notes = _imported(path, tmp_path)
    assert build_snapshot(settings).routes
    text = (tmp_path / "imported.yaml").read_text(encoding="utf-8")
    for secret in SECRETS:
        assert secret not in text
        assert not [note for note in notes if secret in note]
    assert [note.partition(":")[0] for note in notes] == [path.name] * len(notes)
    for note in notes:
        assert f"# - {note}" in text


def test_the_quick_start_becomes_shares_of_two_azure_resources(tmp_path: Path) -> None:
    settings, notes = _imported(_fixture("quick_start"), tmp_path)
    file = settings.file
    assert list(file.models) == ["gpt-4o", "vllm-models"]
    eu, ca = (file.targets[name] for name in ("gpt-4o", "gpt-4o-2"))
    assert (eu.provider, eu.at, eu.key, eu.model) == (
        "azure",
        {"resource": "my-endpoint-europe-berri-992"},
        "env:AZURE_API_KEY_EU",
        "gpt-4o-eu",
    )
    assert reach(ca).url == "https://my-endpoint-canada-berri992.openai.azure.com/openai/v1"
    assert [item.weight for item in file.models["gpt-4o"].targets] == [6, 6]
    vllm = file.targets["vllm-models"]
    assert (vllm.url, vllm.key, vllm.model) == ("http://0.0.0.0:4000/v1", None, "facebook/opt-125m")
    said = "\n".join(notes)
    for part in (
        "model_list.0.litellm_params.rpm: as a limit; where there is no weight",
        "model_list.1.litellm_params.model: the whole entry: Bedrock",
        "model_list.5.litellm_params.model: the whole entry:",
        "litellm_settings.drop_params: requests pass as they came",
        "litellm_settings.success_callback",
        "general_settings.master_key: a key of clients stands here by its SHA-256 only",
        "general_settings.alerting: no key of breakeven.yaml says that",
        "model_list.4.model_info",
    ):
        assert part in said


def test_secrets_become_references_that_are_named_once_each(tmp_path: Path) -> None:
    settings, notes = _imported(_fixture("parameters"), tmp_path)
    targets = settings.file.targets
    assert (targets["gpt-4-team1"].key, targets["gpt-4-team1"].key_header) == ("env:GPT_4_TEAM1_TOKEN", "authorization")
    assert targets["gpt-4-team2"].key == targets["openai-gpt-4o"].key == "env:GPT_4_TEAM2_API_KEY"
    assert targets["openai-gpt-4o"].headers == {"openai-organization": "org-ikDc4ex8NB"}
    assert "mistral-7b" not in targets
    said = "\n".join(notes)
    assert "the secret itself: env:GPT_4_TEAM2_API_KEY stands in its place. Set GPT_4_TEAM2_API_KEY to it." in said
    assert "model_list.3.litellm_params.api_base: the whole entry: its address cannot be used" in said
    assert "extra_headers.AI-Resource Group: this is no header" in said


def test_fallbacks_come_after_the_shares_and_aliases_have_the_same_targets(tmp_path: Path) -> None:
    settings, notes = _imported(_fixture("load_balancing"), tmp_path)
    file = settings.file
    zephyr = file.models["zephyr-beta"]
    assert zephyr.policy == "weighted"
    assert [(item.target, item.weight) for item in zephyr.targets] == [
        ("zephyr-beta", 60),
        ("zephyr-beta-2", 600),
        ("zephyr-beta-3", 60000),
        ("gpt-4o", 0.000001),
    ]
    assert file.models["gpt-4"] == file.models["gpt-4o"]
    assert reach(file.targets["zephyr-beta"]).url == "http://0.0.0.0:8001/v1"
    times = file.targets["gpt-4o"].timeouts
    assert (times.connect_s, times.first_token_s, times.between_tokens_s, times.total_s) == (5, 30, 30, 30)
    assert [note for note in notes if "context_window_fallbacks" in note]
    assert [note for note in notes if "redis_password" in note]


def test_everything_for_one_name_is_carried_over_and_patterns_are_not(tmp_path: Path) -> None:
    settings, notes = _imported(_fixture("wildcards"), tmp_path)
    assert list(settings.file.models) == ["gpt-5-mini-end-user-test", "*"]
    anything = settings.file.targets["any"]
    assert (anything.provider, anything.model) == ("openai", None)
    assert [note for note in notes if "model_list.2.model_name" in note and "'*' alone" in note]
    assert [note for note in notes if "files_settings" in note]


def test_order_goes_before_shares_and_fallbacks_follow(tmp_path: Path) -> None:
    settings, notes = _imported(_fixture("made"), tmp_path)
    file = settings.file
    assert [item.target for item in file.models["fast"].targets] == ["fast-2", "fast"]
    assert file.models["fast"].policy == "ordered"
    assert file.models["quick"] == file.models["fast"]
    claude = [(item.target, item.weight) for item in file.models["claude"].targets]
    assert claude == [("claude", 1), ("claude-2", 1), ("oss", 1e-6), ("fast", 1e-9), ("fast-2", 1e-9)]
    assert (file.targets["oss"].at, file.targets["oss"].model) == ({"region": "us-west-2"}, "openai.gpt-oss-20b-1:0")
    assert reach(file.targets["claude-2"]).url == "https://relay.example/v1"
    assert reach(file.targets["claude-2"]).key_header == "x-api-key"
    assert file.targets["shared"].at == {"resource": "res-one"}
    assert file.targets["shared"].headers == {"x-team": "search", "x-token": "env:SHARED_X_TOKEN"}
    assert file.targets["from-env"].at == {"resource": "from-env"}
    assert (file.targets["relayed"].url, file.targets["relayed"].key) == ("https://llm.example/v1", None)
    assert reach(file.targets["local"]).url == "http://localhost:11434/v1"
    assert {"lost", "gemini", "broken"}.isdisjoint(file.targets)
    said = "\n".join(notes)
    for part in (
        "fast: its targets are tried in their order",
        "Set NOT_SET and import again",
        "LiteLLM would send OPENAI_API_KEY to this address",
        "its keys are OAuth tokens",
        "the whole entry: it has no litellm_params",
        "there is no model 'nobody' to fall back from",
        "a fallback is the name of a model here",
        "model_group_alias.ghost",
        "requests are not signed with AWS keys",
        "environment_variables: set them yourself",
    ):
        assert part in said


def test_a_strategy_without_a_policy_of_its_kind_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    entry = "{model_name: m, litellm_params: {model: groq/a}}"
    text = f"model_list: [{entry}, {entry}]\nrouter_settings: {{routing_strategy: usage-based-routing-v2}}\n"
    path.write_text(text, encoding="utf-8")
    settings, notes = _imported(path, tmp_path)
    assert settings.file.models["m"].policy == "weighted"
    assert [note for note in notes if "router_settings.routing_strategy: there is no such policy" in note]
    path.write_text(text.replace("usage-based-routing-v2", "least-busy"), encoding="utf-8")
    settings, notes = _imported(path, tmp_path)
    known = "least_busy" in get_args(Policy)
    assert settings.file.models["m"].policy == ("least_busy" if known else "weighted")
    assert bool(notes) is not known


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("- a", "model_list"),
        ("model_list: []", "no model that can be carried over"),
        ("model_list: [{model_name: a, litellm_params: {model: nobody/x}}]", "nobody is no provider"),
        ("model_list: [{model_name: a}]\nmodel_list: []", "stands twice"),
        ("model_list: [", "cannot be read as YAML"),
    ],
)
def test_what_holds_nothing_to_import_is_refused_in_words(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.yaml") as caught:
        read_litellm(path, {})
    assert expected in str(caught.value)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["*", "openai/*", "azure/x", "os.environ/", "os.environ/A B", "https://a b", "x\ny", "none", "-1"]),
    st.lists(st.text(max_size=4), max_size=2),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
)
KEYS = (
    "model", "base_url", "api_base", "api_key", "timeout", "weight", "order", "rpm", "extra_headers", "organization",
    "aws_region_name", "azure_ad_token", "custom_llm_provider", "litellm_credential_name",
)  # fmt: skip


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    model=st.one_of(st.just("m"), ODD),
    params=st.dictionaries(st.sampled_from(KEYS), ODD, max_size=5),
    fallbacks=st.one_of(ODD, st.just([{"m": ["n"]}])),
)
def test_whatever_an_entry_holds_the_answer_is_words_or_settings(
    model: Any, params: dict[str, Any], fallbacks: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    entries = [
        {"model_name": model, "litellm_params": {"model": "groq/a"} | params},
        {"model_name": "n", "litellm_params": {"model": "groq/b"}},
    ]
    data = {"model_list": entries, "router_settings": {"fallbacks": fallbacks, "model_group_alias": {"z": model}}}
    path = folder / "config.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    try:
        read_litellm(path, ENVIRONMENT)
    except InputError as error:
        assert "cannot be read as YAML" in str(error)  # noqa: PT017 - it may also be no error
    else:
        assert "n" in _imported(path, folder)[0].file.models


def test_the_command_writes_the_file_and_says_what_is_left_out(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "breakeven", "config", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path,
            env={"AZURE_API_KEY_EU": "a", "AZURE_API_KEY_CA": "b"}, timeout=60,
        )  # fmt: skip

    source = str(_fixture("quick_start"))
    printed = run("import", source)
    assert printed.returncode == 0, printed.stderr
    assert "targets:" in printed.stdout
    assert "not carried over: quick_start.yaml:39 general_settings.master_key" in printed.stderr
    written = run("import", source, "--out", "breakeven.yaml")
    assert (written.returncode, written.stdout) == (0, "")
    assert (tmp_path / "breakeven.yaml").read_text(encoding="utf-8") == printed.stdout
    assert run("check").returncode == 0
    again = run("import", source, "--out", "breakeven.yaml")
    assert again.returncode == 2
    assert "would be overwritten" in again.stderr
    assert "sk-1234" not in printed.stdout + printed.stderr + written.stderr
