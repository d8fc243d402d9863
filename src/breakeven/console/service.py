"""Whether it lives, what it is configured to do, how its targets are; targets taken out of service and put back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from breakeven.console.call import Answer, RefusedError
from breakeven.console.canaries import degraded_targets
from breakeven.console.drained import read_drained, set_drained
from breakeven.console.metrics import flight_and_retry
from breakeven.console.worker_state import read_states

if TYPE_CHECKING:
    from breakeven.console.call import Call, Console
    from breakeven.console.worker_state import WorkerState

_log = logging.getLogger("breakeven.console")


def health(console: Console, call: Call) -> Answer:
    """Say that the control plane lives; nothing else, since everybody may ask."""
    del console, call
    return Answer({"status": "ok"})


def config(console: Console, call: Call) -> Answer:
    """Summarise the settings: references in place of secrets, names in place of headers."""
    del call
    plan = console.plan
    return Answer(
        {
            "version": plan.version,
            "source": plan.source,
            "listen": plan.listen,
            "workers": plan.workers,
            "targets": plan.targets,
            "models": plan.models,
            "keys": plan.keys,
            "ledger": {"folder": plan.folder, "store": plan.store},
            "tokens": [{"name": token.name, "role": token.role.name.lower()} for token in plan.tokens],
        }
    )


def all_targets(console: Console, call: Call) -> Answer:
    """Tell how each target is, as its workers see it."""
    del call
    now_s = console.clock.now()
    states = read_states(console.folder, now_s)
    return Answer({"targets": target_records(console, states), "workers": _worker_records(states, now_s)})


def target_records(console: Console, states: dict[int, WorkerState]) -> list[dict[str, object]]:
    """Return one record a target: well, left alone (for now), out of service, or unknown where no worker says.

    One that is out of service for bad answers to its golden prompt is degraded, unless a person has taken it out too.
    """
    drained = read_drained(console.folder)
    degraded = degraded_targets(console.folder, console.clock.now())
    in_flight, retry = flight_and_retry(states)
    found: list[dict[str, object]] = []
    for target in console.plan.targets:
        is_open = target.name in retry
        state = _state(is_open=is_open, known=bool(states))
        if target.name in drained:
            state = "out of service"
        elif target.name in degraded:
            state = "degraded"
        found.append(
            {
                "name": target.name,
                "url": target.url,
                "state": state,
                "in_flight": in_flight.get(target.name, 0),
                "retry_s": retry.get(target.name),
            }
        )
    return found


def drain(console: Console, call: Call) -> Answer:
    """Take a target out of service: no new request goes there, and those under way end as they would."""
    return _set_drained(console, call, out=True)


def undrain(console: Console, call: Call) -> Answer:
    """Put a target back into service."""
    return _set_drained(console, call, out=False)


def reload(console: Console, call: Call) -> Answer:
    """Check the settings, and have the gateway take them as they are now."""
    trouble = console.reload()
    if trouble:
        raise RefusedError(422, "unusable_settings", f"The settings in force stay. {trouble}")
    _log.info("%s had the settings read again", call.caller)
    return Answer({"status": "told"}, 202)


def _set_drained(console: Console, call: Call, *, out: bool) -> Answer:
    name = call.path["name"]
    if name not in {target.name for target in console.plan.targets}:
        known = ", ".join(target.name for target in console.plan.targets)
        raise RefusedError(404, "unknown_target", f"There is no target of that name. There are {known}.")
    try:
        set_drained(console.folder, name, out=out)
    except OSError as error:
        message = f"This cannot be kept in {console.folder}: {error.strerror}."
        raise RefusedError(503, "folder_unusable", message) from error
    _log.info("%s %s the target %s", call.caller, "took out" if out else "put back", name)
    return Answer({"name": name, "state": "out of service" if out else "in service"})


def _worker_records(states: dict[int, WorkerState], now_s: float) -> list[dict[str, object]]:
    return [
        {
            "number": number,
            "said_s": round(max(now_s - state.at_s, 0.0), 1),
            "connections": state.connections,
            "waiting_rows": state.waiting_rows,
            "dropped_rows": state.dropped_rows,
            "skipped_events": state.skipped_events,
        }
        for number, state in states.items()
    ]


def _state(*, is_open: bool, known: bool) -> str:
    if is_open:
        return "left alone"
    return "well" if known else "unknown"
