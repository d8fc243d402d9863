"""Cerebrium: a serverless app that runs the engine by the second.

The form: https://github.com/CerebriumAI/documentation/blob/master/toml-reference/toml-reference.mdx
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from breakeven.engines.manifests.plan import Plan

COMPUTE: Final = {
    "t4": "TURING_T4", "l4": "ADA_L4", "a10": "AMPERE_A10", "a10g": "AMPERE_A10", "l40s": "ADA_L40",
    "a100-40gb-sxm": "AMPERE_A100_40GB", "a100-80gb-sxm": "AMPERE_A100_80GB", "h100-sxm": "HOPPER_H100",
}  # fmt: skip
"""GPUs by their names in the catalogue, as Cerebrium writes them
(https://github.com/CerebriumAI/documentation/blob/master/hardware/using-gpus.mdx)."""

_UNKNOWN_CONCURRENCY: Final = 32


def cerebrium(plan: Plan) -> dict[str, Any]:
    """Return the tables of a ``cerebrium.toml``.  Raises ``KeyError`` for a GPU that is not in ``COMPUTE``.

    Secrets are those of the app, set in its dashboard; they stand in its environment.
    """
    hardware: dict[str, Any] = {"cpu": float(plan.cpu_count), "memory": plan.memory_gb, "compute": "CPU"}
    if plan.gpus and plan.gpu is not None:
        hardware |= {"compute": COMPUTE[plan.gpu], "gpu_count": plan.gpus}
    return {
        "deployment": {
            "name": plan.name,
            "docker_base_image_url": plan.container_image,
            "disable_auth": plan.key_variable is not None,
        },
        "runtime.custom": {
            "port": plan.launch.port,
            "entrypoint": plan.arguments(),
            "healthcheck_endpoint": plan.health_path,
            "readycheck_endpoint": plan.health_path,
        },
        "hardware": hardware,
        "scaling": {
            "min_replicas": plan.nodes,
            "max_replicas": max(plan.nodes, plan.most_nodes, 1),
            "replica_concurrency": plan.launch.slot_count or _UNKNOWN_CONCURRENCY,
            "scaling_metric": "concurrency_utilization",
            "scaling_target": 80,
            "cooldown": 300,
        },
    }
