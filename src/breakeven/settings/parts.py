"""The well-formed parts of a file that may be wrong elsewhere, so that all its problems are found at once."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from breakeven.settings.alerts import AlertsEntry
from breakeven.settings.batches import BatchesEntry
from breakeven.settings.control import ControlEntry
from breakeven.settings.file import KeyEntry, LedgerEntry, Listen, ModelEntry
from breakeven.settings.pools import PoolEntry
from breakeven.settings.semantic import SemanticCacheEntry
from breakeven.settings.targets import TargetEntry
from breakeven.settings.tasks import TasksEntry
from breakeven.settings.telemetry import TelemetryEntry
from breakeven.settings.trials import TrialsEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from breakeven.sources.shape import Place

Entry = TypeVar("Entry", bound=BaseModel)


class Parts(NamedTuple):
    """The well-formed parts of a file, and all names in it."""

    listen: Listen
    targets: dict[str, TargetEntry]
    models: dict[str, ModelEntry]
    pools: dict[str, PoolEntry]
    keys: dict[int, KeyEntry]
    ledger: LedgerEntry
    batches: BatchesEntry | None
    control: ControlEntry | None
    telemetry: TelemetryEntry | None
    semantic: SemanticCacheEntry | None
    tasks: TasksEntry | None
    trials: TrialsEntry | None
    alerts: AlertsEntry | None
    target_names: frozenset[str]
    model_names: frozenset[str]


def parts_of(data: Mapping[str, Any]) -> Parts:
    """Take from a file's data what is well-formed; defaults stand in for the rest."""
    targets, models, keys, pools = (data.get(name) for name in ("targets", "models", "keys", "pools"))
    return Parts(
        listen=_one(data.get("listen", {}), Listen),
        targets=_each(targets.items() if isinstance(targets, dict) else (), TargetEntry),
        models=_each(models.items() if isinstance(models, dict) else (), ModelEntry),
        pools=_each(pools.items() if isinstance(pools, dict) else (), PoolEntry),
        keys=_each(enumerate(keys) if isinstance(keys, list) else (), KeyEntry),
        ledger=_one(data.get("ledger", {}), LedgerEntry),
        batches=_one(data["batches"], BatchesEntry) if data.get("batches") is not None else None,
        control=_one(data["control"], ControlEntry) if data.get("control") is not None else None,
        semantic=_semantic(data.get("semantic_cache")),
        tasks=_each([("it", data["tasks"])], TasksEntry).get("it") if data.get("tasks") else None,
        trials=_each([("it", data["trials"])], TrialsEntry).get("it") if data.get("trials") is not None else None,
        alerts=_each([("it", data["alerts"])], AlertsEntry).get("it") if data.get("alerts") is not None else None,
        telemetry=_each([("it", data["telemetry"])], TelemetryEntry).get("it") if data.get("telemetry") else None,
        target_names=frozenset(map(str, targets)) if isinstance(targets, dict) else frozenset(),
        model_names=frozenset(map(str, models)) if isinstance(models, dict) else frozenset(),
    )


def _semantic(value: Any) -> SemanticCacheEntry | None:
    return _each([("it", value)], SemanticCacheEntry).get("it") if value is not None else None


def _one(value: Any, kind: type[Entry]) -> Entry:
    return _each([("it", value)], kind).get("it") or kind()


def _each(items: Iterable[tuple[Any, Any]], kind: type[Entry]) -> dict[Any, Entry]:
    """Return the entries that are well-formed, if need be without the keys that are not."""
    found: dict[Any, Entry] = {}
    for name, value in items:
        with suppress(ValidationError):  # it is reported with the whole file
            found[name] = kind.model_validate(_pruned(value, kind))
    return found


def _pruned(value: Any, kind: type[BaseModel]) -> Any:
    """Return an entry without its wrong keys; of an item in a list, the wrong key of that item alone."""
    try:
        kind.model_validate(value)
    except ValidationError as error:
        kept = deepcopy(value)
        for item in error.errors(include_url=False, include_context=False):
            _drop(kept, item["loc"])
        return kept
    return value


def _drop(entry: Any, place: Place) -> None:
    """Take a key out; it may be gone already, with an earlier one, or never have been there."""
    in_item = len(place) > 2 and isinstance(place[1], int)
    with suppress(LookupError, TypeError, AttributeError):
        if in_item:
            entry[place[0]][place[1]].pop(place[2])
        else:
            entry.pop(place[0])
