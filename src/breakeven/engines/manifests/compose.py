"""Docker Compose: one engine on this machine's GPUs.

The form: https://github.com/compose-spec/compose-spec/blob/main/spec.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from breakeven.engines.manifests.plan import START_S, WEIGHTS_PATH

if TYPE_CHECKING:
    from breakeven.engines.manifests.plan import Plan

_PYTHON_PROBE: Final = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}{path}', timeout=4)"
_WITH_CURL: Final = frozenset({"llama.cpp", "tgi"})


def compose(plan: Plan) -> list[dict[str, Any]]:
    """Return the one document of a ``compose.yaml``."""
    port = plan.launch.port
    service: dict[str, Any] = {
        "image": plan.container_image,
        "entrypoint": _escaped(plan.arguments()),
        "ports": [f"127.0.0.1:{port}:{port}"],
        "environment": {
            **{name: _plain(value) for name, value in plan.plain_environment.items()},
            **{name: f"${{{name}:-}}" for name in plan.secret_names},
        },
        "volumes": [f"weights:{WEIGHTS_PATH}"],
        "restart": "unless-stopped",
        "stop_grace_period": "2m",
        "healthcheck": {
            "test": ["CMD", *_escaped(_probe(plan))],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": f"{START_S}s",
        },
    }
    if plan.gpus:
        device = {"driver": "nvidia", "count": plan.gpus, "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
        service["ipc"] = "host"  # processes of one engine share memory
    return [{"name": plan.name, "services": {"engine": service}, "volumes": {"weights": {}}}]


def _probe(plan: Plan) -> list[str]:
    url = f"http://127.0.0.1:{plan.launch.port}{plan.health_path}"
    if plan.launch.engine == "ollama":
        return ["ollama", "list"]
    if plan.launch.engine in _WITH_CURL:
        return ["curl", "-fsS", "-o", "/dev/null", url]
    return ["python3", "-c", _PYTHON_PROBE.format(port=plan.launch.port, path=plan.health_path)]


def _escaped(arguments: list[str]) -> list[str]:
    return [_plain(part) for part in arguments]


def _plain(text: str) -> str:
    """Return a text of which Compose replaces nothing: a dollar begins a variable there."""
    return text.replace("$", "$$")
