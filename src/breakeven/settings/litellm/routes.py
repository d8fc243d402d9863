"""LiteLLM's groups of deployments, fallbacks and aliases as models of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from breakeven.settings.file import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from breakeven.settings.litellm.deployments import Deployment
    from breakeven.settings.litellm.notes import Notes
    from breakeven.sources.shape import Place

MOST_TARGETS: Final = 32
LEAST_WEIGHT: Final = 0.000001
"""Of a target that is to be drawn only when the others have failed: one request in a million goes there first."""


_BY_SHARE: Final = "weighted"
_STRATEGIES: Final = {
    "simple-shuffle": _BY_SHARE,
    "least-busy": "least_busy",
    "latency-based-routing": "lowest_latency",
    "cost-based-routing": "cheapest",
}
"""Our policies by LiteLLM's ``routing_strategy`` (https://docs.litellm.ai/docs/routing)."""


class Routed(NamedTuple):
    """A target of a model."""

    target: str
    weight: float | None
    """None where it does not count."""

    fallback: bool = False


class Route(NamedTuple):
    """A model."""

    policy: str
    targets: list[Routed]


def convert_routes(
    deployments: Sequence[Deployment], settings: Iterable[tuple[Place, Mapping[str, Any]]], notes: Notes
) -> dict[str, Route]:
    """Return each model's targets and how they are chosen.

    ``settings`` are the sections in which strategy, fallbacks and aliases may stand, with their places.
    """
    groups: dict[str, list[Deployment]] = {}
    for item in deployments:
        groups.setdefault(item.model, []).append(item)
    sections = list(settings)
    fallbacks = _fallbacks(sections, groups, notes)
    wanted = _policy(sections, notes)
    routes = {}
    for model, own in groups.items():
        later = [groups[name] for name in fallbacks.get(model, fallbacks.get("*", []))]
        policy = _BY_SHARE if later else wanted
        if policy != wanted and len(own) > 1:
            why = f"{model}: drawn by weight instead of {wanted}, which would not leave its fallbacks for the end."
            notes.leave(("model_list",), why)
        found = _with_fallbacks(_own(model, own, policy, notes), later)
        if len(found.targets) > MOST_TARGETS:
            why = f"{model} has {len(found.targets)} targets, of which the first {MOST_TARGETS} are kept."
            notes.leave(("model_list",), why)
        routes[model] = found._replace(targets=found.targets[:MOST_TARGETS])
    return routes | _aliases(sections, routes, notes)


def _policy(sections: Iterable[tuple[Place, Mapping[str, Any]]], notes: Notes) -> str:
    """Return the policy for groups without an order; ``weighted``, and a note, where there is none of the kind."""
    for place, section in sections:
        strategy = section.get("routing_strategy")
        if strategy is None:
            continue
        policy = _STRATEGIES.get(strategy) if isinstance(strategy, str) else None
        if policy in get_args(Policy):
            return str(policy)
        notes.leave((*place, "routing_strategy"), "there is no such policy: targets are drawn by weight instead.")
    return _BY_SHARE


def _own(model: str, own: Sequence[Deployment], policy: str, notes: Notes) -> Route:
    """Return the targets of a group: in their order where they have one, else as the policy says."""
    if len(own) > 1 and all(item.order is None for item in own):
        if policy != _BY_SHARE:
            return Route(policy, [Routed(item.name, None) for item in own])
        kinds = zip(*(item.shares for item in own), strict=True)
        shares = next((kind for kind in kinds if any(kind)), (1.0,) * len(own))
        # What has no share where another has one is never drawn by LiteLLM.
        positive = [share if share and share > 0 else LEAST_WEIGHT for share in shares]
        weighted = [Routed(item.name, min(share, 1e6)) for item, share in zip(own, positive, strict=True)]
        return Route(policy, weighted)
    if len(own) > 1 and any(any(item.shares) for item in own):
        notes.leave(("model_list",), f"{model}: its targets are tried in their order; shares within it do not count.")
    last = float("inf")
    in_order = sorted(own, key=lambda item: last if item.order is None else item.order)
    return Route("ordered", [Routed(item.name, None) for item in in_order])


def _with_fallbacks(own: Route, groups: Iterable[Sequence[Deployment]]) -> Route:
    """Return a group's targets and, to be tried when they have failed, those of other groups."""
    found, weight = list(own.targets), LEAST_WEIGHT if own.policy == _BY_SHARE else None
    for group in groups:
        known = {item.target for item in found}
        found += [Routed(item.name, weight, fallback=True) for item in group if item.name not in known]
        weight = max(weight / 1000, 1e-18) if weight else None  # so that the first fallback comes first
    return Route(own.policy, found)


def _fallbacks(
    sections: Iterable[tuple[Place, Mapping[str, Any]]], groups: Mapping[str, object], notes: Notes
) -> dict[str, list[str]]:
    """Return the groups that stand in for a group, by its name; ``*``: for every one without its own."""
    found: dict[str, list[str]] = {}
    for place, model, names in _written_fallbacks(sections):
        found.setdefault(model, []).extend(_known(names, groups, place, notes))
        if model != "*" and model not in groups:
            notes.leave(place, f"there is no model {model[:80]!r} to fall back from.")
    return {model: [name for name in dict.fromkeys(names) if name != model] for model, names in found.items()}


def _written_fallbacks(
    sections: Iterable[tuple[Place, Mapping[str, Any]]],
) -> Iterator[tuple[Place, str, list[Any]]]:
    """Yield place, model and what is to stand in for it, as written."""
    for place, section in sections:
        for index, item in enumerate(_list(section.get("fallbacks"))):
            pairs = item.items() if isinstance(item, dict) else ()
            yield from (((*place, "fallbacks", index), str(model), _list(names)) for model, names in pairs)
        default = _list(section.get("default_fallbacks"))
        if default:
            yield (*place, "default_fallbacks"), "*", default


def _known(names: Iterable[Any], groups: Mapping[str, object], place: Place, notes: Notes) -> list[str]:
    found = []
    for name in names:
        if isinstance(name, str) and name in groups:
            found.append(name)
        elif isinstance(name, str):
            notes.leave(place, f"there is no model {name[:80]!r} to fall back to.")
        else:
            notes.leave(place, "a fallback is the name of a model here; it cannot change the request.")
    return found


def _aliases(
    sections: Iterable[tuple[Place, Mapping[str, Any]]], routes: Mapping[str, Route], notes: Notes
) -> dict[str, Route]:
    found: dict[str, Route] = {}
    for place, section in sections:
        aliases = section.get("model_group_alias")
        for alias, meant in aliases.items() if isinstance(aliases, dict) else ():
            where: Place = (*place, "model_group_alias", str(alias))
            name = meant.get("model") if isinstance(meant, dict) else meant
            if isinstance(meant, dict) and meant.get("hidden"):
                notes.leave(where, "hidden: every model is listed.")
            if not isinstance(name, str) or name not in routes or "*" in str(alias) or str(alias) in routes:
                notes.leave(where, "it names no model that is carried over, or has the name of one.")
            else:
                found[str(alias)] = routes[name]
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
