"""Kubernetes: a Deployment of nodes, a Service before them, and KEDA's ScaledObject on the length of their queue.

The forms: https://kubernetes.io/docs/reference/kubernetes-api/ and
https://keda.sh/docs/latest/reference/scaledobject-spec/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from breakeven.engines.dialects import ENGINES
from breakeven.engines.manifests.plan import START_S, WEIGHTS_PATH

if TYPE_CHECKING:
    from breakeven.engines.manifests.plan import Plan

_PROBE_S: Final = 10
_WAITING: Final = {
    "vllm": "vllm:num_requests_waiting",
    "sglang": "sglang:num_queue_reqs",
    "trtllm": "trtllm_num_requests_waiting",
    "tgi": "tgi_queue_size",
    "llama.cpp": "llamacpp:requests_deferred",
}
"""The metric that tells how many requests wait, by engine."""


def kubernetes(plan: Plan, *, prometheus: str) -> list[dict[str, Any]]:
    """Return the documents: Deployment, Service and, where nodes may become more, ScaledObject."""
    documents = [_deployment(plan), _service(plan)]
    if plan.most_nodes > plan.nodes and has_queue(plan):
        documents.append(_scaled(plan, prometheus))
    return documents


def has_queue(plan: Plan) -> bool:
    """Whether the engine tells how many requests wait, by which nodes become more."""
    return plan.launch.engine in _WAITING


def _deployment(plan: Plan) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "terminationGracePeriodSeconds": 300,
        "enableServiceLinks": False,  # else a service called vllm sets VLLM_PORT, which vLLM takes for its own
        "containers": [_container(plan)],
        "volumes": [
            {"name": "weights", "emptyDir": {}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        ],
    }
    labels, annotations = _labels(plan), _annotations(plan)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": plan.name, "labels": labels},
        "spec": {
            "replicas": plan.nodes,
            "selector": {"matchLabels": labels},
            # A new node needs GPUs that an old one holds: one goes before one comes.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
        },
    }


def _container(plan: Plan) -> dict[str, Any]:
    check = {"httpGet": {"path": plan.health_path, "port": "http"}, "periodSeconds": _PROBE_S, "timeoutSeconds": 5}
    resources: dict[str, Any] = {"requests": {"cpu": str(plan.cpu_count), "memory": f"{plan.memory_gb:g}G"}}
    if plan.gpus:
        resources["limits"] = {"nvidia.com/gpu": plan.gpus}
    return {
        "name": "engine",
        "image": plan.container_image,
        "command": [part.replace("$(", "$$(") for part in plan.arguments()],
        "ports": [{"name": "http", "containerPort": plan.launch.port}],
        "env": [
            *({"name": name, "value": value} for name, value in plan.plain_environment.items()),
            *(_secret(plan, name) for name in plan.secret_names),
        ],
        "resources": resources,
        "volumeMounts": [
            {"name": "weights", "mountPath": WEIGHTS_PATH},
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - processes of one engine share it
        ],
        "startupProbe": {**check, "failureThreshold": START_S // _PROBE_S},
        "readinessProbe": {**check, "failureThreshold": 2},
        "livenessProbe": {**check, "failureThreshold": 6},
    }


def _secret(plan: Plan, name: str) -> dict[str, Any]:
    source = {"name": f"{plan.name}-secrets", "key": name, "optional": name != plan.key_variable}
    return {"name": name, "valueFrom": {"secretKeyRef": source}}


def _service(plan: Plan) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": plan.name, "labels": _labels(plan)},
        "spec": {
            "selector": _labels(plan),
            "ports": [{"name": "http", "port": plan.launch.port, "targetPort": "http"}],
        },
    }


def _scaled(plan: Plan, prometheus: str) -> dict[str, Any]:
    pods = f"{plan.name}-[a-z0-9]+-[a-z0-9]+"  # and none of a pool whose name only begins with this one's
    query = f'sum({_WAITING[plan.launch.engine]}{{pod=~"{pods}"}})'
    trigger = {
        "type": "prometheus",
        "metricType": "AverageValue",
        "metadata": {"serverAddress": prometheus, "query": query, "threshold": str(plan.full_waiting_requests)},
    }
    # An empty queue does not say that a node is idle: nodes become fewer slowly, one at a time.
    down = {"stabilizationWindowSeconds": 600, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 600}]}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": plan.name, "labels": _labels(plan)},
        "spec": {
            "scaleTargetRef": {"name": plan.name},
            "minReplicaCount": plan.nodes,
            "maxReplicaCount": plan.most_nodes,
            "pollingInterval": 15,
            "cooldownPeriod": 600,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": down}}},
            "triggers": [trigger],
        },
    }


def _labels(plan: Plan) -> dict[str, str]:
    return {"app.kubernetes.io/name": plan.name, "app.kubernetes.io/component": "engine"}


def _annotations(plan: Plan) -> dict[str, str]:
    path = ENGINES[plan.launch.engine].metrics_path
    if path is None:
        return {}
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(plan.launch.port),
        "prometheus.io/path": path,
    }
