"""From LiteLLM's file to ours: its entries one by one, then its routes, then everything else by name."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from breakeven.errors import InputError, Problem
from breakeven.settings.litellm.deployments import convert_deployment
from breakeven.settings.litellm.notes import Notes
from breakeven.settings.litellm.routes import convert_routes
from breakeven.settings.litellm.text import settings_text
from breakeven.sources.yaml_file import need_mapping, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from breakeven.settings.litellm.deployments import Deployment
    from breakeven.sources.shape import Place

_NOT_SAID: Final = "no key of breakeven.yaml says that."
_RETRIES: Final = "a failed attempt goes to another target, and never to the same one again."
_SHARED: Final = "one gateway keeps its own state; there is none to share."
_REFUSED: Final = "a request that a target refuses as wrong is not sent to another one."
_CALLBACKS: Final = "every attempt is kept in the ledger and sent nowhere else."
_WHY: Final = {
    "num_retries": _RETRIES,
    "retry_policy": _RETRIES,
    "retry_after": _RETRIES,
    "context_window_fallbacks": _REFUSED,
    "content_policy_fallbacks": _REFUSED,
    **dict.fromkeys(("redis_host", "redis_port", "redis_password", "redis_url"), _SHARED),
    "drop_params": "requests pass as they came: nothing is dropped from them.",
    "modify_params": "requests pass as they came: nothing is changed in them.",
    "cache": "answers are not kept for other requests.",
    "cache_params": "answers are not kept for other requests.",
    **dict.fromkeys(("success_callback", "failure_callback", "callbacks", "service_callback"), _CALLBACKS),
    "master_key": "a key of clients stands here by its SHA-256 only, and other machines are not served without one: "
    "`breakeven keys create NAME` makes one, and keys: takes a hash.",
    "database_url": "keys and rows are kept in a file beside the ledger (ledger.store).",
    "store_model_in_db": "models stand in the file alone; those in LiteLLM's database are not seen from here.",
    "environment_variables": "set them yourself before the start.",
    "include": "files that are included are not read: import each.",
    "model_info": "it is for LiteLLM's own use.",
}
_CARRIED: Final = frozenset(
    {"fallbacks", "default_fallbacks", "model_group_alias", "routing_strategy", "timeout", "request_timeout"}
)
_SECTIONS: Final = ("router_settings", "litellm_settings", "general_settings")


class Imported(NamedTuple):
    """A ``breakeven.yaml``, and what is not in it."""

    text: str
    left_out: tuple[Problem, ...]


def read_litellm(path: Path, environment: Mapping[str, str] | None = None) -> Imported:
    """Read LiteLLM's ``config.yaml`` and return it as ours.

    Addresses and regions that it takes from the environment are looked up; secrets become references and are shown
    nowhere.  Raises ``InputError`` where the file cannot be read, or nothing of it can be carried over.
    """
    environment = os.environ if environment is None else environment  # noqa: TID251 - settings read it
    document = read_yaml(path)
    need_mapping(document, "LiteLLM's configuration is a mapping with 'model_list:'")
    if document.problems:
        raise InputError(f"{document.name} cannot be used:", document.problems)
    data: Mapping[str, Any] = document.data
    notes = Notes(document, environment)
    deployments = list(_deployments(data, notes))
    if not deployments:
        raise InputError(f"{document.name} has no model that can be carried over:", tuple(notes.left_out))
    sections: list[tuple[Place, Mapping[str, Any]]] = [
        ((name,), section) for name in _SECTIONS if isinstance(section := data.get(name), dict)
    ]
    routes = convert_routes(deployments, sections, notes)
    _leave_rest(data, notes)
    left_out = tuple(dict.fromkeys(notes.left_out))
    text = settings_text(path.name, deployments, routes, map(str, left_out), notes.variables)
    return Imported(text, left_out)


def _deployments(data: Mapping[str, Any], notes: Notes) -> Iterator[Deployment]:
    """Yield the targets that there can be, each under a name of its own."""
    entries = data.get("model_list")
    total_s = _total_s(data)
    taken: set[str] = set()
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        place: Place = ("model_list", index)
        params = entry.get("litellm_params") if isinstance(entry, dict) else None
        if not isinstance(params, dict):
            notes.leave(place, "the whole entry: it has no litellm_params.")
            continue
        model = str(entry.get("model_name", ""))
        if model != "*" and (not model.strip() or not model.isprintable() or "*" in model or len(model) > 256):
            why = "the whole entry: a model is asked for by its whole name; '*' alone stands for every other one."
            notes.leave((*place, "model_name"), why)
            continue
        where: Place = (*place, "litellm_params")
        merged = _with_credentials(data, {str(key): value for key, value in params.items()}, where, notes)
        merged |= {key: entry[key] for key in ("rpm", "tpm", "weight", "order") if key in entry and key not in merged}
        if total_s is not None:
            merged.setdefault("timeout", total_s)
        found = convert_deployment(model, _free_name(model, taken), merged, where, notes)
        if found is not None:
            taken.add(found.name)
            yield found
        rest = {key: value for key, value in entry.items() if key not in {"model_name", "litellm_params", *merged}}
        notes.leave_all(rest, place, _WHY, _NOT_SAID)


def _with_credentials(data: Mapping[str, Any], params: dict[str, Any], place: Place, notes: Notes) -> dict[str, Any]:
    """Return the parameters of an entry with those of the credential that it names."""
    name = params.get("litellm_credential_name")
    if name is None:
        return params
    listed = data.get("credential_list")
    for item in listed if isinstance(listed, list) else ():
        values = item.get("credential_values") if isinstance(item, dict) else None
        if isinstance(values, dict) and item.get("credential_name") == name:
            return {str(key): value for key, value in values.items()} | params
    notes.leave((*place, "litellm_credential_name"), "there is no credential of that name in the file.")
    return params


def _free_name(model: str, taken: set[str]) -> str:
    """Return a name for a target that a header can carry and no other has."""
    name = re.sub(r"[^A-Za-z0-9._/@+-]+", "-", model).strip("-._/@+")[:100] or "any"
    numbered = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
    return next(found for found in numbered if found not in taken)


def _total_s(data: Mapping[str, Any]) -> float | None:
    """Return how long a call may take where an entry does not say."""
    for section, key in (("router_settings", "timeout"), ("litellm_settings", "request_timeout")):
        value = (data.get(section) or {}).get(key) if isinstance(data.get(section) or {}, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 86_400:
            return float(value)
    return None


def _leave_rest(data: Mapping[str, Any], notes: Notes) -> None:
    """Say what else stands in the file, and why it is not carried over."""
    for name, section in data.items():
        if name in ("model_list", "credential_list"):
            continue
        if name not in _SECTIONS or not isinstance(section, dict):
            notes.leave((str(name),), _WHY.get(str(name), _NOT_SAID))
            continue
        rest = {key: value for key, value in section.items() if key not in _CARRIED}
        notes.leave_all(rest, (name,), _WHY, _NOT_SAID)
