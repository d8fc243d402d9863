"""What is published of ``breakeven.yaml``: its schema, its reference and its examples say what the program does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from breakeven.settings import config_schema, read_settings
from breakeven.settings.batches import BatchesEntry, BatchProviderEntry
from breakeven.settings.file import (
    ConfigFile,
    KeyEntry,
    LedgerEntry,
    LimitsEntry,
    Listen,
    ModelEntry,
    RouteTarget,
)
from breakeven.settings.pools import FullEntry, NodeEntry, PoolEntry
from breakeven.settings.targets import ProxyEntry, TargetEntry, Timeouts
from breakeven.settings.tasks import TasksEntry
from breakeven.settings.telemetry import TelemetryEntry
from breakeven.sources.yaml_file import read_yaml
from settings.files import BENCH, DOCS, ENVIRONMENT, SECRET, refused

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel


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
        (TelemetryEntry, "telemetry."),
        (PoolEntry, "pools.KEY."),
        (NodeEntry, "pools.KEY.nodes[]."),
        (FullEntry, "pools.KEY.full."),
        (TasksEntry, "tasks."),
        (BatchesEntry, "batches."),
        (BatchProviderEntry, "batches.provider."),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_every_key_stands_in_the_reference(kind: type[BaseModel], prefix: str) -> None:
    text = (DOCS / "reference" / "config.md").read_text(encoding="utf-8")
    for name in kind.model_fields:
        assert f"\n| `{prefix}{name}` |" in text


@pytest.mark.parametrize(
    "path",
    [DOCS / "examples" / "breakeven.yaml", BENCH / "gateway.yaml", BENCH / "pools.yaml"],
    ids=lambda path: path.name,
)
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
    refused(json.dumps(data | change), tmp_path)
