"""Lets the nodes of pools stand among the targets: everything that reads targets then knows them without more."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from breakeven.economics.pool_hours import POOL
from breakeven.errors import UnknownNameError
from breakeven.settings.pools import PoolEntry, node_target
from breakeven.settings.providers import load_providers
from breakeven.settings.reach import reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from breakeven.settings.check import Findings
    from breakeven.settings.parts import Parts
    from breakeven.sources.shape import Place
    from breakeven.sources.yaml_file import Document

_POOL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHARED: Final = (
    "model", "key", "key_header", "headers", "protocols", "timeouts", "proxy", "ca_file", "context_tokens",
    "max_connections", "sensitivities",
)  # fmt: skip
"""What a node's target takes over from its pool as it stands there."""

_ENGINES: Final[Mapping[str, str]] = {"trtllm": "tensorrt-llm"}
"""Engines that are known as providers by another name."""


def with_nodes(document: Document) -> Document:
    """Return the document with each node of a well-formed pool among the targets, and in the models that name its pool.

    A pool that is not well-formed has no nodes here; what is wrong with it is reported from its own place.
    """
    pools = document.data.get("pools")
    if not isinstance(pools, dict) or not pools:
        return document
    written = document.data.get("targets")
    targets: dict[Any, Any] = dict(written) if isinstance(written, dict) else {}
    lines = dict(document.lines)
    by_pool: dict[str, list[str]] = {}
    for pool, raw in pools.items():
        names = by_pool.setdefault(str(pool), [])
        for index, (name, entry) in enumerate(_targets_of(str(pool), raw)):
            names.append(name)
            targets.setdefault(name, entry)
            lines[("targets", name)] = document.lines.get(("pools", str(pool), "nodes", index), 1)
    data = {**document.data, "targets": targets, "models": _models(document.data.get("models"), by_pool)}
    return replace(document, data=data, lines=lines)


def check_pools(parts: Parts, findings: Findings) -> None:
    """Note what is wrong with pools seen beside targets and models, and what their bills will lack."""
    for name, pool in parts.pools.items():
        place: Place = ("pools", name)
        if not _POOL_NAME.fullmatch(name):
            what = "the name of a pool has letters, digits and . _ - only, at most 64: its nodes are named after it."
            findings.problem(place, what)
        if name in findings.document.data.get("targets", {}):
            findings.problem(place, f"a target has the name {name!r} too.", "Give one of the two another name.")
        _check_nodes(pool, place, findings)
        for index, price in enumerate(pool.prices):
            if price.node is not None and price.node not in pool.node_names():
                findings.problem((*place, "prices", index, "node"), f"there is no node {price.node!r} in this pool.")
        for index, model in enumerate(pool.watches):
            if model not in parts.model_names:
                findings.problem((*place, "watches", index), f"there is no model {model[:80]!r}.")
        if pool.virtual:
            _check_virtual(name, parts, findings)
        if pool.canary is not None:
            _check_canary(name, parts, findings)


def _check_nodes(pool: PoolEntry, place: Place, findings: Findings) -> None:
    names = pool.node_names()
    for index, node in enumerate(pool.nodes):
        here: Place = (*place, "nodes", index)
        if names.index(names[index]) != index:
            findings.problem((*here, "name"), f"the node {names[index]!r} stands twice.")
        if node.url is None and not pool.virtual:
            findings.problem(here, "nothing says where it is.", "Write url:, or virtual: true for the whole pool.")
        if node.url is not None and pool.virtual:
            findings.problem((*here, "url"), "a virtual pool has no addresses: it is only simulated.")
        priced = node.usd_per_hour is not None or any(item.node in (None, names[index]) for item in pool.prices)
        if not priced or (node.since is None and not pool.virtual):
            lacks = "since when it is paid" if priced else "what it costs an hour"
            findings.warn(here, f"nothing says {lacks}: the pool's bill is partial without it.")


def _check_virtual(name: str, parts: Parts, findings: Findings) -> None:
    pool = parts.pools[name]
    lacking = [key for key in ("runs", "hardware") if getattr(pool, key) is None]
    if lacking:
        what = f"a virtual pool is simulated from its {' and '.join(lacking)}, which it does not say."
        findings.problem(("pools", name), what, "Write, for example, runs: llama-3.3-70b and hardware: 2xH100.")
    else:
        _check_known(name, pool, findings)
    if find_spec("numba") is None:
        fix = "pip install 'breakeven[plan]', or leave the pool out."
        findings.problem(("pools", name, "virtual"), "simulating a pool needs the package numba.", fix)
    for model, entry in parts.models.items():
        if any(item.target == name for item in entry.targets):
            what = f"the pool {name!r} is virtual and serves nobody."
            findings.problem(("models", model, "targets"), what, "Take it out: it sees the model's requests anyway.")


def _check_canary(name: str, parts: Parts, findings: Findings) -> None:
    pool, place = parts.pools[name], ("pools", name, "canary")
    if pool.virtual:
        findings.problem(place, "a virtual pool has no nodes that could be asked.", "Take canary: out.")
        return
    nodes = {node_target(name, node) for node in pool.node_names()}
    routed = (item for model, entry in parts.models.items() if model != "*" for item in entry.targets)
    if pool.model is None and not any(item.target in nodes for item in routed):
        what = "nothing says by which name its nodes know their model, and the prompt has to ask for one."
        findings.problem(place, what, "Write model: at the pool.")
    entries = (parts.targets[node] for node in nodes & parts.targets.keys())
    if any("chat" not in reach(entry).protocols for entry in entries):
        findings.problem(place, "the prompt is asked as a chat, which the pool does not speak.", "Take canary: out.")
    if len(nodes) == 1:
        what = "the last node in service is neither taken out nor started afresh: of a pool's only node it just tells."
        findings.warn(place, what)


def _check_known(name: str, pool: PoolEntry, findings: Findings) -> None:
    """Note a model or a GPU that the catalogue does not know."""
    from breakeven.sources.catalogue import load_book  # noqa: PLC0415 - read only where a pool is simulated

    book = load_book()
    gpu = (pool.hardware or "").partition("x")[2]
    for key, look, value in (("runs", book.model, pool.runs or ""), ("hardware", book.gpu, gpu)):
        try:
            look(value)
        except UnknownNameError as error:
            findings.problem(("pools", name, key), str(error))


def _targets_of(pool: str, raw: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the nodes of a pool as targets, by name; none of one that serves nobody or is not well-formed."""
    try:
        entry = PoolEntry.model_validate(raw)
    except ValidationError:
        return
    if entry.virtual:
        return
    shared = {key: raw[key] for key in _SHARED if key in raw}
    engine = _ENGINES.get(entry.engine, entry.engine)
    if engine in load_providers():
        shared["provider"] = engine
    for name, node in zip(entry.node_names(), entry.nodes, strict=True):
        if node.url is not None:
            yield node_target(pool, name), {**shared, "url": node.url, "prices": f"{POOL}:{pool}"}


def _models(models: Any, by_pool: Mapping[str, list[str]]) -> Any:
    """Return models in whose targets the nodes stand in the place of their pool."""
    if not isinstance(models, dict):
        return models
    return {name: _with_targets(entry, by_pool) for name, entry in models.items()}


def _with_targets(entry: Any, by_pool: Mapping[str, list[str]]) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("targets"), list):
        return entry
    found: list[Any] = []
    for item in entry["targets"]:
        name = item.get("target") if isinstance(item, dict) else item
        nodes = by_pool.get(name) if isinstance(name, str) else None
        if not nodes:
            found.append(item)
        elif isinstance(item, dict):
            found += [{**item, "target": node} for node in nodes]
        else:
            found += nodes
    return {**entry, "targets": found}
