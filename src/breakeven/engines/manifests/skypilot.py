"""SkyPilot: a task that runs one node on whatever cloud has its GPUs, and a service of several of them.

The form: https://docs.skypilot.co/en/latest/reference/yaml-spec.html
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from breakeven.engines.manifests.plan import START_S

if TYPE_CHECKING:
    from breakeven.engines.manifests.plan import Plan

ACCELERATORS: Final = {
    "t4": "T4", "l4": "L4", "a10": "A10", "a10g": "A10G", "a100-40gb-sxm": "A100", "a100-80gb-sxm": "A100-80GB",
    "a100-80gb-pcie": "A100-80GB", "l40s": "L40S", "h100-sxm": "H100", "h100-pcie": "H100", "h200-sxm": "H200",
    "b200-sxm": "B200", "b300-sxm": "B300", "gb200": "GB200", "mi300x": "MI300X", "rtx-4090": "RTX4090",
    "rtx-pro-6000": "RTXPRO6000",
}  # fmt: skip
"""GPUs by their names in the catalogue, as SkyPilot writes them."""


def skypilot(plan: Plan) -> list[dict[str, Any]]:
    """Return the one document of a task.  Raises ``KeyError`` for a GPU that is not in ``ACCELERATORS``."""
    resources: dict[str, Any] = {
        "image_id": f"docker:{plan.container_image}",
        "cpus": f"{plan.cpu_count}+",
        "memory": f"{plan.memory_gb:g}+",
        "ports": plan.launch.port,
        "use_spot": plan.is_spot,
    }
    if plan.gpus and plan.gpu is not None:
        resources["accelerators"] = {ACCELERATORS[plan.gpu]: plan.gpus}
    return [
        {
            "name": plan.name,
            "resources": resources,
            "envs": plan.plain_environment,
            "secrets": dict.fromkeys(plan.secret_names),  # given at the launch: sky … --secret NAME
            "service": {
                "readiness_probe": {"path": plan.health_path, "initial_delay_seconds": START_S},
                "replicas": plan.nodes,
            },
            "run": shlex.join(plan.arguments()) + "\n",
        }
    ]
