"""Turns a pool of the settings, or a node as the command line says it, into a manifest's text."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, get_args

import yaml

from breakeven.catalog.models import Precision
from breakeven.engines.launch import PROGRAMS, Launch, pool_name
from breakeven.engines.manifests.cerebrium import COMPUTE, cerebrium
from breakeven.engines.manifests.compose import compose
from breakeven.engines.manifests.kubernetes import has_queue, kubernetes
from breakeven.engines.manifests.plan import Plan
from breakeven.engines.manifests.skypilot import ACCELERATORS, skypilot
from breakeven.errors import InputError
from breakeven.sources.catalogue import load_book

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.catalog.book import Book
    from breakeven.settings.pools import PoolEntry

FORMS: Final = ("compose", "kubernetes", "skypilot", "cerebrium")
PROMETHEUS: Final = "http://prometheus-server.monitoring.svc"
"""Where Kubernetes' usual chart puts it."""

_NODE: Final = "2xH100:llama-3.3-70b:fp8:vllm"
_PORT: Final = 8000
_CPUS_PER_GPU: Final = 8
_SPARE_MEMORY_RATIO: Final = 1.25
"""Main memory over that of the GPUs: weights pass through it on their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRequest:
    """What the command line asks for; None is what it leaves to the pool, the catalogue or the engine."""

    form: str
    pool: str
    config: Path | None = None
    weights: str | None = None
    """What the engine loads; None: what the catalogue knows the model as."""

    context_tokens: int | None = None
    slot_count: int | None = None
    nodes: int | None = None
    most_nodes: int | None = None
    image: str | None = None
    needs_key: bool = False
    prometheus: str = PROMETHEUS
    extra: tuple[str, ...] = ()


def manifest(request: ManifestRequest) -> str:
    """Return the manifest's text.

    Raises ``InputError`` for a form, a pool or an engine that cannot be written so, ``UnknownNameError`` for a model
    or GPU that the catalogue does not hold.
    """
    if request.form not in FORMS:
        raise InputError(f"There is no manifest {request.form[:40]!r}: choose one of {', '.join(FORMS)}.")
    plan = _with_wishes(_plan(request), request)
    if request.form == "cerebrium" and request.nodes is None:
        plan = replace(plan, nodes=0)  # paid by the second: what nobody uses goes away
    if request.form == "kubernetes" and plan.nodes == 0:
        raise InputError("--nodes 0: the queue that more nodes come by is inside them. Keep one up, or use cerebrium.")
    if plan.most_nodes < plan.nodes:
        raise InputError(
            f"--most-nodes {plan.most_nodes} is less than --nodes {plan.nodes}: it bounds them from above."
        )
    _need_honoured(plan, request)
    if request.form == "compose":
        return _yaml(
            compose(plan), _told(plan, "docker compose up -d", "in the environment or a file .env beside this one")
        )
    if request.form == "kubernetes":
        secret = f"in a Secret {plan.name}-secrets"
        return _yaml(kubernetes(plan, prometheus=request.prometheus), _told(plan, "kubectl apply -f FILE", secret))
    if request.form == "skypilot":
        _need_gpu(plan, ACCELERATORS, "SkyPilot")
        return _yaml(skypilot(plan), _told(plan, "sky serve up FILE", "by --secret NAME"))
    _need_gpu(plan, COMPUTE, "Cerebrium")
    return _toml(cerebrium(plan), _told(plan, "cerebrium deploy", "as secrets of the app"))


def _plan(request: ManifestRequest) -> Plan:
    from breakeven.wiring.pool_text import is_pool
    from breakeven.wiring.settings import load_settings

    book = load_book()
    if is_pool(request.pool):
        return _of_text(request.pool, book, request.weights)
    try:
        pools = load_settings(request.config).file.pools
    except InputError as error:
        raise InputError(
            f"--pool {request.pool[:80]!r} is no node such as {_NODE}, and no pool either: {error}"
        ) from None
    if request.pool not in pools:
        known = f"those are {', '.join(pools)}" if pools else "which name none"
        raise InputError(
            f"--pool {request.pool[:80]!r} is no pool of the settings ({known}), and no node such as {_NODE}."
        )
    return _of_settings(request.pool, pools[request.pool], book, request.weights)


def _of_text(text: str, book: Book, weights: str | None) -> Plan:
    from breakeven.wiring.pool_text import deployment_of

    node = deployment_of(text, book)
    launch = Launch(
        engine=_runnable(node.engine),
        model=weights or _weights(node.model.id, book),
        name=node.model.id,
        host="0.0.0.0",  # noqa: S104 - inside its container
        port=_PORT,
        gpus=node.gpus,
        precision=node.precision,
    )
    return _sized(Plan(pool=node.model.id, launch=launch, gpu=node.gpu.id, gpus=node.gpus), book)


def _of_settings(name: str, pool: PoolEntry, book: Book, weights: str | None) -> Plan:
    engine, gpus, gpu = _runnable(pool.engine), 0, None
    if pool.hardware is not None:
        count, _, kind = pool.hardware.partition("x")
        gpus, gpu = int(count), book.gpu(kind).id
    if pool.quantisation is not None and pool.quantisation not in get_args(Precision):
        raise InputError(
            f"pools.{name}.quantisation {pool.quantisation!r} is none of {', '.join(get_args(Precision))}."
        )
    loaded = weights or (_weights(pool.runs, book) if pool.runs is not None else pool.model)
    if loaded is None:
        raise InputError(f"Nothing says what the pool {name} loads: write model: or runs: in it, or say --weights.")
    launch = Launch(
        engine=engine,
        model=loaded,
        name=pool.model or pool.runs or loaded,
        host="0.0.0.0",  # noqa: S104 - inside its container
        port=_PORT,
        context_tokens=pool.context_tokens,
        slot_count=pool.slots,
        gpus=max(1, gpus),
        precision=pool.quantisation,
    )
    plan = Plan(
        pool=name,
        launch=launch,
        gpu=gpu,
        gpus=gpus,
        nodes=len(pool.nodes),
        most_nodes=len(pool.nodes),
        is_spot=all(node.purchase == "spot" for node in pool.nodes),
        needs_key=pool.key is not None,
        full_waiting_requests=pool.full.waiting,
    )
    return _sized(plan, book)


def _sized(plan: Plan, book: Book) -> Plan:
    """Return the plan with main memory and cores that go with its GPUs."""
    if plan.gpu is None:
        return plan
    memory_gb = float(round(_SPARE_MEMORY_RATIO * plan.gpus * book.gpu(plan.gpu).memory_gb))
    return replace(plan, memory_gb=memory_gb, cpu_count=_CPUS_PER_GPU * plan.gpus)


def _with_wishes(plan: Plan, request: ManifestRequest) -> Plan:
    nodes = request.nodes if request.nodes is not None else plan.nodes
    launch = replace(
        plan.launch,
        context_tokens=request.context_tokens or plan.launch.context_tokens,
        slot_count=request.slot_count or plan.launch.slot_count,
        extra=request.extra,
    )
    wished = replace(
        plan,
        launch=launch,
        nodes=nodes,
        most_nodes=request.most_nodes if request.most_nodes is not None else max(nodes, plan.most_nodes),
        image=request.image or plan.image,
        needs_key=request.needs_key or plan.needs_key,
    )
    if wished.needs_key and wished.key_variable is None:
        raise InputError(
            f"{launch.engine} takes its key as an argument only, which a manifest would show: leave it out."
        )
    return wished


def _weights(model: str, book: Book) -> str:
    """Return the repository of a catalogue model: its first name of that form."""
    found = book.model(model)
    repositories = [alias for alias in found.aliases if alias.count("/") == 1]
    if not repositories:
        raise InputError(f"The catalogue knows no repository of {found.id}: say --weights OWNER/NAME, or a folder.")
    return repositories[0]


def _runnable(engine: str) -> str:
    if engine not in PROGRAMS:
        raise InputError(f"No manifest can be written for the engine {engine[:40]!r}: only for {', '.join(PROGRAMS)}.")
    return engine


def _need_honoured(plan: Plan, request: ManifestRequest) -> None:
    """Raise ``InputError`` for a number of nodes that was asked for and that the form would not have."""
    if request.form == "compose" and max(request.nodes or 1, request.most_nodes or 1) > 1:
        raise InputError("A compose file starts one engine on one machine: leave --nodes and --most-nodes out.")
    if request.most_nodes is None or request.most_nodes == plan.nodes:
        return
    if request.form == "skypilot":
        raise InputError("SkyPilot scales by requests a second, not by queues: say --nodes, without --most-nodes.")
    if request.form == "kubernetes" and not has_queue(plan):
        raise InputError(
            f"{plan.launch.engine} does not tell how many requests wait, so nothing says when more nodes are wanted: "
            "say --nodes, without --most-nodes."
        )


def _need_gpu(plan: Plan, known: dict[str, str], where: str) -> None:
    if plan.gpu is not None and plan.gpu not in known:
        raise InputError(f"{where} has no {plan.gpu} that is known here: its GPUs are {', '.join(known)}.")


def _told(plan: Plan, start: str, secrets: str) -> list[str]:
    secret_names = ", ".join(plan.secret_names)
    return [
        f"{plan.launch.model} on {plan.launch.engine}, {plan.gpus} GPUs a node. Start it: {start}",
        f"Secrets are named here, never written: {secret_names}, {secrets}.",
        f"Then name its address under pools.{pool_name(plan.pool)}.nodes in breakeven.yaml.",
        *(
            ["The image moves with its tag: pin a version with --image."]
            if plan.container_image.endswith(":latest")
            else []
        ),
    ]


class _Written(yaml.SafeDumper):
    """Writes YAML as a person would: nothing by reference, and lines of a script as lines."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - of the library
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if text.endswith("\n") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Written.add_representer(str, _text_node)


def _yaml(documents: list[dict[str, Any]], told: list[str]) -> str:
    head = "".join(f"# {line}\n" for line in told)
    bodies = [
        yaml.dump(document, Dumper=_Written, sort_keys=False, width=1000, allow_unicode=True) for document in documents
    ]
    return head + "---\n".join(bodies)


def _toml(tables: dict[str, dict[str, Any]], told: list[str]) -> str:
    lines = [f"# {line}" for line in told]
    for name, table in tables.items():
        lines += ["", f"[cerebrium.{name}]"]
        lines += [
            f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()
        ]  # as TOML has them
    return "\n".join(lines) + "\n"
