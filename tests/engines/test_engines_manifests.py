"""Manifests hold against the schemas that their forms publish, for every engine; what is secret is only named."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, Final, get_args

import jsonschema
import pytest
import yaml

from breakeven.engines import ENGINES
from breakeven.engines.launch import PROGRAMS, Launch
from breakeven.engines.manifests.cerebrium import COMPUTE
from breakeven.engines.manifests.plan import Plan
from breakeven.engines.manifests.skypilot import ACCELERATORS
from breakeven.errors import InputError, UnknownNameError
from breakeven.settings.pools import EngineName
from breakeven.sources.catalogue import load_book
from breakeven.wiring.engine_manifest import FORMS, ManifestRequest, manifest

FIXTURES: Final = Path(__file__).parent / "fixtures"
TEXT: Final = "2xH100:llama-3.3-70b:fp8:{engine}"

POOLS: Final = """
pools:
  Our_Llama.v2:
    engine: vllm
    model: chat-model
    runs: llama-3.3-70b
    hardware: 4xL40S
    quantisation: bf16
    key: env:POOL_KEY
    context_tokens: 16384
    slots: 48
    full: {waiting: 7}
    nodes:
      - {url: "http://10.0.0.5:8000/v1", purchase: spot}
      - {url: "http://10.0.0.6:8000/v1", purchase: spot}
  small:
    engine: llama.cpp
    model: "/models/tiny model$(x).gguf"
    nodes: [{url: "http://10.0.0.7:8000/v1"}]
  bare:
    nodes: [{url: "http://10.0.0.8:8000/v1"}]
  vllm-bare:
    engine: vllm
    nodes: [{url: "http://10.0.0.8:8000/v1"}]
models:
  chat: {targets: [Our_Llama.v2]}
"""

CEREBRIUM: Final[dict[str, dict[str, type | tuple[type, ...]]]] = {
    "deployment": {
        "name": str, "python_version": str, "disable_auth": bool, "include": list, "exclude": list,
        "shell_commands": list, "pre_build_commands": list, "docker_base_image_url": str, "use_uv": bool,
    },
    "runtime": {"custom": dict},
    "hardware": {
        "cpu": (int, float), "memory": (int, float), "compute": str, "gpu_count": int, "provider": str, "region": str,
    },
    "scaling": {
        "min_replicas": int, "max_replicas": int, "replica_concurrency": int, "response_grace_period": int,
        "cooldown": int, "scaling_metric": str, "scaling_target": int, "scaling_buffer": int,
        "roll_out_duration_seconds": int,
    },
}  # fmt: skip
"""Keys and types of
https://github.com/CerebriumAI/documentation/blob/2aa699343c9e300e1738303445d5749e31f5d024/toml-reference/toml-reference.mdx
"""
CEREBRIUM_CUSTOM: Final = {"port": int, "entrypoint": list, "healthcheck_endpoint": str, "readycheck_endpoint": str}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POOL_KEY", "sk-very-secret")
    path = tmp_path / "breakeven.yaml"
    path.write_text(POOLS, encoding="utf-8")
    return path


def _schema(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.schema.json").read_text(encoding="utf-8"))


def _documents(request: ManifestRequest) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(manifest(request)))


@pytest.mark.parametrize("engine", PROGRAMS)
def test_compose_files_hold_against_the_specification(engine: str) -> None:
    (document,) = _documents(ManifestRequest(form="compose", pool=TEXT.format(engine=engine)))
    jsonschema.Draft7Validator(_schema("compose-spec")).validate(document)
    service = document["services"]["engine"]
    assert service["deploy"]["resources"]["reservations"]["devices"][0]["count"] == 2
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["environment"]["HF_TOKEN"] == "${HF_TOKEN:-}"  # noqa: S105 - a reference


@pytest.mark.parametrize("engine", PROGRAMS)
def test_kubernetes_documents_hold_against_the_schemas_of_kubernetes_and_keda(engine: str) -> None:
    tells_queue = ENGINES[engine].metrics_path is not None
    most = 5 if tells_queue else None
    documents = _documents(ManifestRequest(form="kubernetes", pool=TEXT.format(engine=engine), most_nodes=most))
    definitions = _schema("kubernetes-1.37")["definitions"]
    schemas = {
        "Deployment": {"$ref": "#/definitions/io.k8s.api.apps.v1.Deployment", "definitions": definitions},
        "Service": {"$ref": "#/definitions/io.k8s.api.core.v1.Service", "definitions": definitions},
        "ScaledObject": _schema("keda-scaledobject"),
    }
    for document in documents:
        jsonschema.Draft202012Validator(schemas[document["kind"]]).validate(document)
    kinds = [document["kind"] for document in documents]
    assert kinds == ["Deployment", "Service", *(["ScaledObject"] if tells_queue else [])]


def test_kubernetes_parts_fit_together(config: Path) -> None:
    request = ManifestRequest(form="kubernetes", pool="Our_Llama.v2", config=config, most_nodes=4)
    deployment, service, scaled = _documents(request)
    name, labels = deployment["metadata"]["name"], deployment["spec"]["template"]["metadata"]["labels"]
    assert name == "our-llama-v2"
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    assert scaled["spec"]["scaleTargetRef"] == {"name": name}
    assert (scaled["spec"]["minReplicaCount"], scaled["spec"]["maxReplicaCount"]) == (2, 4)
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["query"] == ('sum(vllm:num_requests_waiting{pod=~"our-llama-v2-[a-z0-9]+-[a-z0-9]+"})')
    assert trigger["metadata"]["threshold"] == "7"
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 4}
    assert {probe: container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")} == {
        "startupProbe": "/health", "readinessProbe": "/health", "livenessProbe": "/health",
    }  # fmt: skip


def test_a_queue_is_of_the_pools_own_pods(config: Path) -> None:
    request = ManifestRequest(form="kubernetes", pool="Our_Llama.v2", config=config, most_nodes=4)
    _, _, scaled = _documents(request)
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    pods = query.split('"')[1]
    assert re.fullmatch(pods, "our-llama-v2-7d9f8b6c5d-x2x7k")
    assert not re.fullmatch(pods, "our-llama-v2-large-7d9f8b6c5d-x2x7k"), "of the pool Our_Llama.v2-large"


def test_a_long_name_leaves_room_for_the_names_of_pods() -> None:
    plan = Plan(pool="x" * 64, launch=Launch(engine="vllm", model="m", name="m"), gpu=None, gpus=0)
    assert len(f"{plan.name}-0123456789-") <= 58, "what Kubernetes keeps before the five characters of a pod"


@pytest.mark.parametrize("engine", PROGRAMS)
def test_skypilot_tasks_hold_against_its_schemas(engine: str) -> None:
    (document,) = _documents(ManifestRequest(form="skypilot", pool=TEXT.format(engine=engine)))
    schemas = _schema("skypilot-task")
    jsonschema.Draft202012Validator(schemas["task"]).validate(document)
    jsonschema.Draft7Validator(schemas["resources"]).validate(document["resources"])
    jsonschema.Draft202012Validator(schemas["service"]).validate(document["service"])
    assert document["resources"]["accelerators"] == {"H100": 2}
    assert document["secrets"] == {"HF_TOKEN": None}


@pytest.mark.parametrize("engine", PROGRAMS)
def test_cerebrium_files_have_documented_keys_alone(engine: str) -> None:
    whole = tomllib.loads(manifest(ManifestRequest(form="cerebrium", pool=TEXT.format(engine=engine))))["cerebrium"]
    for table, keys in whole.items():
        for key, value in keys.items():
            assert isinstance(value, CEREBRIUM[table][key]), (table, key)
    for key, value in whole["runtime"]["custom"].items():
        assert isinstance(value, CEREBRIUM_CUSTOM[key])
    assert whole["hardware"]["compute"] == "HOPPER_H100"
    assert whole["scaling"]["min_replicas"] == 0
    assert whole["scaling"]["max_replicas"] >= 1


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("compose-spec", {"services": {"engine": {"imagee": "x"}}}),
        ("keda-scaledobject", {"spec": {"scaleTargetRef": {"name": "x"}, "triggers": [{"type": "prometheus"}]}}),
        ("keda-scaledobject", {"spec": {"scaleTargetRef": {"name": "x"}, "triggers": [], "minReplicas": 1}}),
    ],
)
def test_the_schemas_refuse_what_is_wrong(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(_schema(name)).validate(wrong)


def test_the_schema_of_kubernetes_refuses_a_probe_of_no_kind() -> None:
    deployment = _documents(ManifestRequest(form="kubernetes", pool=TEXT.format(engine="vllm")))[0]
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["http"] = {}
    definitions = _schema("kubernetes-1.37")["definitions"]
    schema = {"$ref": "#/definitions/io.k8s.api.apps.v1.Deployment", "definitions": definitions}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(deployment)


@pytest.mark.parametrize("form", FORMS)
def test_the_engine_is_told_what_the_pool_says(form: str, config: Path) -> None:
    text = manifest(ManifestRequest(form=form, pool="Our_Llama.v2", config=config, extra=("--enforce-eager",)))
    command = " ".join(
        part
        for part in text.replace('"', " ").replace(",", " ").replace("'", " ").split()
        if part != "-"
    )  # fmt: skip
    for told in (
        "vllm serve meta-llama/Llama-3.3-70B-Instruct --served-model-name chat-model",
        "--max-model-len 16384", "--max-num-seqs 48", "--tensor-parallel-size 4", "--dtype bfloat16 --enforce-eager",
    ):  # fmt: skip
        assert told in command
    assert "sk-very-secret" not in text
    assert "VLLM_API_KEY" in text


def test_a_pool_without_gpus_gets_none_and_dollars_stay_dollars(config: Path) -> None:
    (document,) = _documents(ManifestRequest(form="compose", pool="small", config=config))
    service = document["services"]["engine"]
    assert "deploy" not in service
    assert "/models/tiny model$$(x).gguf" in service["entrypoint"]
    deployment = _documents(ManifestRequest(form="kubernetes", pool="small", config=config))[0]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert "/models/tiny model$$(x).gguf" in container["command"]
    assert "limits" not in container["resources"]
    (task,) = _documents(ManifestRequest(form="skypilot", pool="small", config=config))
    assert shlex.split(task["run"])[3] == "/models/tiny model$(x).gguf"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"form": "helm"}, "choose one of compose"),
        ({"pool": "nobody"}, "is no pool of the settings"),
        ({"pool": "bare"}, "only for vllm"),
        ({"pool": "vllm-bare"}, "loads: write model: or runs:"),
        ({"nodes": 3, "most_nodes": 2}, "bounds them from above"),
        ({"nodes": 3}, "starts one engine on one machine"),
        ({"most_nodes": 3}, "starts one engine on one machine"),
        ({"form": "skypilot", "nodes": 2, "most_nodes": 4}, "by requests a second"),
        ({"form": "kubernetes", "pool": "2xH100:llama-3.3-70b:fp8:ollama", "most_nodes": 4}, "ollama does not tell"),
        ({"form": "kubernetes", "nodes": 0}, "Keep one up"),
        ({"pool": "2xH100:llama-3.3-70b:fp8:other"}, "only for vllm"),
        ({"pool": "2xH100:llama-3.3-70b:fp8:sglang", "needs_key": True}, "as an argument only"),
        ({"form": "skypilot", "pool": "2xMI355X:llama-3.3-70b:fp8:vllm"}, "SkyPilot has no mi355x"),
        ({"form": "cerebrium", "pool": "2xMI300X:llama-3.3-70b:fp8:vllm"}, "Cerebrium has no mi300x"),
    ],
)
def test_what_cannot_be_written_says_why(changed: dict[str, Any], words: str, config: Path) -> None:
    asked: dict[str, Any] = {"form": "compose", "pool": "Our_Llama.v2", "config": config, **changed}
    with pytest.raises(InputError, match=words):
        manifest(ManifestRequest(**asked))


def test_an_unknown_model_or_gpu_is_said_to_be_unknown() -> None:
    for text in ("2xH100:no-such-model:fp8:vllm", "2xNoGPU:llama-3.3-70b:fp8:vllm"):
        with pytest.raises(UnknownNameError):
            manifest(ManifestRequest(form="compose", pool=text))


def test_gpus_of_other_peoples_names_are_gpus_of_the_catalogue() -> None:
    book = load_book()
    for name in (*ACCELERATORS, *COMPUTE):
        assert book.gpu(name).id == name


def test_every_engine_but_other_can_be_started() -> None:
    assert set(PROGRAMS) == set(get_args(EngineName)) - {"transformers", "mlx-lm", "other"}
