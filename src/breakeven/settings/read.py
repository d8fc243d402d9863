"""Reads ``breakeven.yaml``, or does without one where the environment holds exactly one provider's key."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError, Problem
from breakeven.settings.address import checked_host, is_loopback
from breakeven.settings.check import Findings, examine
from breakeven.settings.check_alerts import check_alerts
from breakeven.settings.check_batches import check_batches
from breakeven.settings.check_control import check_control
from breakeven.settings.check_semantic import check_semantic
from breakeven.settings.check_tasks import check_tasks
from breakeven.settings.check_telemetry import check_telemetry
from breakeven.settings.check_trials import check_trials
from breakeven.settings.check_verify import check_verify
from breakeven.settings.fallbacks import check_fallbacks
from breakeven.settings.file import ConfigFile
from breakeven.settings.parts import parts_of
from breakeven.settings.pooled import check_pools, with_nodes
from breakeven.settings.providers import needs_no_file, with_key
from breakeven.settings.quotas import check_quotas
from breakeven.sources.schemas import schema_of
from breakeven.sources.yaml_file import check, need_mapping, parse_yaml, read_yaml, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from breakeven.catalog.rate_card import PriceList
    from breakeven.settings.file import LedgerEntry
    from breakeven.settings.prices import PriceFound
    from breakeven.settings.secret import Secret
    from breakeven.sources.shape import Place
    from breakeven.sources.yaml_file import Document

CONFIG_NAME: Final = "breakeven.yaml"
"""Read from the current folder when no file is named."""

ENVIRONMENT: Final = "environment"
"""What problems call settings that come from the environment alone."""

_TEXTS: Final = frozenset(
    {
        "name", "provider", "protocols", "model", "models", "prices", "tags", "expires", "sensitivities", "ca_file",
        "engine", "nodes", "runs", "hardware", "quantisation", "gpu_time", "full", "slots", "observe_s", "virtual",
        "watches", "scenario",
    }
)  # fmt: skip
_NUMBERS: Final = frozenset({"timeouts", "max_connections", "stream_usage"})
"""Keys of targets and virtual keys whose values, even when they are wrong, are no secrets if of that kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the command line says in place of the file."""

    host: str | None = None
    port: int | None = None
    workers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Checked settings: the file as it is written, and what its references and names stand for."""

    source: str
    """Path of the file, or ``environment``."""

    folder: Path
    """Where the paths in the file start."""

    file: ConfigFile
    secrets: Mapping[str, Secret]
    """By reference."""

    cards: Mapping[str, PriceList]
    """Local rate cards by ``provider:model``."""

    prices: tuple[PriceFound, ...]
    warnings: tuple[Problem, ...]
    has_stored_keys: bool
    """The ledger's store holds keys besides the file's."""

    @property
    def ledger_folder(self) -> Path:
        """Return the absolute folder of the ledger."""
        return (self.folder / self.file.ledger.folder).absolute()

    @property
    def store(self) -> Path:
        """Return the absolute path of the store."""
        return store_path(self.folder, self.file.ledger)

    @property
    def open_to_all(self) -> bool:
        """Whether no key is asked for as long as the store holds none; only ever on loopback."""
        listen = self.file.listen
        return is_loopback(listen.host) and not listen.require_key and not self.file.keys


def config_schema() -> str:
    """Return the JSON Schema of ``breakeven.yaml`` as text, ending in a newline."""
    return schema_of(ConfigFile)


def store_path(folder: Path, ledger: LedgerEntry) -> Path:
    """Return the absolute path of the ledger's store."""
    return (folder / (ledger.store or ledger.folder / "ledger.sqlite")).absolute()


def read_settings(
    path: Path | None = None,
    overrides: Overrides | None = None,
    *,
    has_stored_keys: Callable[[Path], bool] = lambda _: False,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read a file, or ``breakeven.yaml`` of the current folder, or the one provider's key in the environment.

    ``has_stored_keys`` is asked with the store's path.  Raises ``InputError`` with every problem.
    """
    environment = os.environ if environment is None else environment  # noqa: TID251 - the one place that reads it
    if path is None and Path(CONFIG_NAME).is_file():
        path = Path(CONFIG_NAME)
    document = read_yaml(path) if path else _from_environment(environment)
    need_mapping(document, "settings are a mapping of keys to values, with 'targets:' and 'models:'")
    document = with_nodes(_overridden(document, overrides or Overrides()))
    findings = Findings(document, path.parent if path else Path(), environment)
    file: ConfigFile | None = None
    try:
        file = check(document, ConfigFile, _may_show)
    except InputError as error:
        findings.problems += error.problems
    parts = parts_of(document.data)
    stored = has_stored_keys(store_path(findings.folder, parts.ledger))
    examine(parts, findings, has_stored_keys=stored)
    check_pools(parts, findings)
    check_quotas(parts, findings)
    check_fallbacks(parts, findings)
    check_control(parts, findings)
    check_batches(parts, findings)
    check_semantic(parts, findings)
    check_telemetry(parts, findings)
    check_tasks(parts.tasks, parts.model_names, parts.target_names | parts.pools.keys(), findings)
    check_verify(parts, findings)
    check_trials(parts, findings)
    check_alerts(parts, findings)
    if findings.problems or file is None:
        raise refusal(document, _in_order(findings.problems))
    return Settings(
        source=str(path or ENVIRONMENT),
        folder=findings.folder.absolute(),
        file=file,
        secrets=findings.secrets,
        cards=findings.cards,
        prices=findings.prices,
        warnings=tuple(findings.warnings),
        has_stored_keys=stored,
    )


def _from_environment(environment: Mapping[str, str]) -> Document:
    """Return the settings that serve the one provider whose key is there.  Raises ``InputError`` otherwise."""
    found = with_key(environment)
    if not found:
        variables = ", ".join(provider.variable for provider in needs_no_file())
        raise InputError(
            f"There is nothing to serve: no {CONFIG_NAME} here, and no provider's key in the environment. "
            f"Set one of {variables}; or write a {CONFIG_NAME} (docs/howto/run-the-gateway.md), here or elsewhere "
            "with --config FILE."
        )
    if len(found) > 1:
        variables = ", ".join(provider.variable for provider in found)
        others = " ".join(f"-u {provider.variable}" for provider in found[1:])
        raise InputError(
            f"The environment holds the keys of {len(found)} providers ({variables}), and no {CONFIG_NAME} says which "
            f"to serve. Start with one of them (env {others} breakeven up), or write a {CONFIG_NAME} with a target "
            "for each."
        )
    provider = found[0]
    data = {
        "targets": {
            provider.id: {"provider": provider.id, "key": f"env:{provider.variable}"},
        },
        "models": {"*": {"targets": [provider.id]}},
    }
    return parse_yaml(json.dumps(data), ENVIRONMENT)


def _overridden(document: Document, overrides: Overrides) -> Document:
    """Return the document with the command line's values in place of the file's."""
    given: dict[str, Any] = {"host": overrides.host, "port": overrides.port}
    given = {key: value for key, value in given.items() if value is not None}
    if overrides.host is not None:
        try:
            checked_host(overrides.host)
        except ValueError as error:
            raise InputError(f"--host: {error}.") from error
    data = dict(document.data)
    if given and isinstance(data.get("listen", {}), dict):
        data["listen"] = {**data.get("listen", {}), **given}
    if overrides.workers is not None:
        data["workers"] = overrides.workers
    return replace(document, data=data)


def _may_show(place: Place, value: object) -> bool:
    """Whether a wrong value may be repeated: nothing that could be a secret put in the wrong place."""
    if place and place[0] in ("shared_state", "telemetry", "alerts"):
        return False
    if place and place[0] == "models" and "http" in place:
        return False
    if place and place[0] == "control":
        return len(place) > 1 and place[1] != "tokens"
    if not place or place[0] not in ("targets", "pools", "keys"):
        return True
    return len(place) > 2 and (place[2] in _TEXTS or (place[2] in _NUMBERS and not isinstance(value, str)))


def _in_order(problems: list[Problem]) -> list[Problem]:
    """Return problems as they stand in the file, each once."""
    return sorted(dict.fromkeys(problems), key=_line)


def _line(problem: Problem) -> int:
    number = problem.where.split(" ", 1)[0].rpartition(":")[2]
    return int(number) if number.isdigit() else 0
