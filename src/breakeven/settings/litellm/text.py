"""Writes targets and models as the text of a ``breakeven.yaml``."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from breakeven.settings.litellm.deployments import Deployment
    from breakeven.settings.litellm.routes import Route

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./@+-]*(:[A-Za-z0-9_./@+-]+)*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def settings_text(
    name: str,
    deployments: Sequence[Deployment],
    routes: Mapping[str, Route],
    left_out: Iterable[str],
    variables: Iterable[str],
) -> str:
    """Return the file; ``name`` is that of LiteLLM's, ``left_out`` and ``variables`` are told in its comments."""
    lines = [
        f"# Made from {_one_line(name)}, a configuration of LiteLLM. Look it through, then: breakeven config check",
        *_comment("Environment variables that it needs:", variables),
        *_comment("Not carried over, or not as it was:", left_out),
        "",
        "targets:",
    ]
    for item in deployments:
        lines.append(f"  {_scalar(item.name)}:")
        lines += [f"    {key}: {_value(value)}" for key, value in item.target.items()]
    lines += ["", "models:"]
    for model, route in routes.items():
        lines.append(f"  {_scalar(model)}:")
        lines += [f"    {line}" for line in _route(route)]
    return "\n".join(lines) + "\n"


def _route(route: Route) -> Iterator[str]:
    if len(route.targets) == 1:
        yield f"targets: [{_scalar(route.targets[0].target)}]"
        return
    yield f"policy: {route.policy}"
    yield "targets:"
    for item in route.targets:
        why = " # when those before it have failed" if item.fallback else ""
        if item.weight is None:
            yield f"  - {_scalar(item.target)}{why}"
        else:
            yield f"  - {{target: {_scalar(item.target)}, weight: {_number(item.weight)}}}{why}"


def _comment(title: str, lines: Iterable[str]) -> list[str]:
    found = [f"# - {_one_line(line)}" for line in lines]
    return ["#", f"# {title}", *found] if found else []


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_value(item)}" for key, item in value.items()) + "}"
    return _number(value) if isinstance(value, int | float) else _scalar(str(value))


def _scalar(text: str) -> str:
    """Return a text as YAML reads it back, in quotes where it would be something else without."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)


def _number(value: float) -> str:
    """Return a number without exponent: 60, 0.000001."""
    return f"{value:.18f}".rstrip("0").rstrip(".")


def _one_line(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]
