"""Starts the process of trials: ``become_trials`` turns a fork of the supervisor into it.

Its plan holds secrets of checks, and the one that seals texts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from breakeven.gateway.copy_plan import CopyRule
from breakeven.trials.plan import JudgePlan, KnownTarget, ShadowPlan, SignalsPlan, TextsPlan, TrialsPlan
from breakeven.wiring.becoming import become, begin, reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.evidence.signals import SchemaCheck
    from breakeven.gateway.snapshot import Snapshot
    from breakeven.gateway.verify_plan import HttpCheck
    from breakeven.settings import Settings
    from breakeven.settings.trials import JudgeEntry, ShadowEntry, SignalsEntry, TrialsEntry
    from breakeven.settings.verify import HttpCheckEntry
    from breakeven.trials.polled import Polled

LAST_S: Final = 3.0
"""How long it may take to end."""

_DAY_S: Final = 86_400.0
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_log = logging.getLogger("breakeven.trials")


def copy_rules(entry: TrialsEntry) -> tuple[CopyRule, ...]:
    """Return which requests are copied, as workers know it."""
    return (*map(_shadow_rule, entry.shadows), *(_signal_rules(entry.signals) if entry.signals is not None else ()))


def _shadow_rule(entry: ShadowEntry) -> CopyRule:
    return CopyRule(
        model=entry.model,
        candidate=entry.candidate,
        asked_as=entry.asked_as or "",
        share_fraction=entry.share,
        tasks=entry.tasks or (),
        keys=entry.keys or (),
        tags=entry.tags or (),
    )


def _signal_rules(entry: SignalsEntry) -> Iterator[CopyRule]:
    for model in entry.models or ("*",):
        yield CopyRule(model=model, share_fraction=entry.share)


def trials_plan(entry: TrialsEntry, settings: Settings, snapshot: Snapshot) -> TrialsPlan:
    """Return what the process of trials is told, secrets included."""
    texts = entry.keep_text
    return TrialsPlan(
        folder=snapshot.ledger.folder,
        store=snapshot.ledger.store,
        budget_day_usd=entry.budget_day_usd,
        slot_count=entry.slots,
        shadows=_shadows(entry, settings, snapshot),
        judge=_judge(entry.judge),
        check=_http(entry.check, settings),
        signals=_signals(entry.signals, settings) if entry.signals is not None else None,
        texts=TextsPlan(
            secret=settings.secrets[texts.key].reveal(),
            keep_s=texts.days * _DAY_S,
            sensitivities=texts.sensitivities,
        )
        if texts is not None
        else None,
        targets=tuple(
            KnownTarget(
                name=target.name,
                priced_as="" if target.node is not None else target.priced_as,
                model=target.model,
                sensitivities=target.sensitivities,
            )
            for target in snapshot.targets
        ),
        own_names=(
            *((rule.model, rule.candidate, rule.asked_as) for rule in copy_rules(entry) if rule.asked_as),
            *(
                (route.model, target, name)
                for route in snapshot.routes
                for target, name in zip(route.targets, route.own_names, strict=False)
                if name
            ),
        ),
        routes=tuple((route.model, route.targets) for route in snapshot.routes),
        price_lists=snapshot.price_lists,
    )


def _shadows(entry: TrialsEntry, settings: Settings, snapshot: Snapshot) -> tuple[ShadowPlan, ...]:
    """Return the shadows, and for pairs of a shift to a pool the first one of its nodes once more, by its name."""
    pools = {target.name: target.node.pool for target in snapshot.targets if target.node is not None}
    found: dict[tuple[str, str], ShadowPlan] = {}
    for shadow in entry.shadows:
        for candidate in dict.fromkeys((shadow.candidate, pools.get(shadow.candidate, shadow.candidate))):
            plan = ShadowPlan(
                model=shadow.model,
                candidate=candidate,
                check=_http(shadow.check, settings),
                judge=_judge(shadow.judge),
            )
            found.setdefault((shadow.model, candidate), plan)
    return tuple(found.values())


def _http(entry: HttpCheckEntry | None, settings: Settings) -> HttpCheck | None:
    from breakeven.wiring.verify import http_check

    return http_check(entry, settings.secrets, settings.folder) if entry is not None else None


def _judge(entry: JudgeEntry | None) -> JudgePlan | None:
    if entry is None:
        return None
    return JudgePlan(
        model=entry.model, share_fraction=entry.share, tasks=entry.tasks or (), criteria=entry.criteria.strip()
    )


def _signals(entry: SignalsEntry, settings: Settings) -> SignalsPlan:
    wanted = {
        "schema_valid": entry.schema_valid,
        "tool_call_parsed": entry.tool_calls,
        "refusal": entry.refusal,
        "truncated": entry.truncated,
    }
    return SignalsPlan(
        names=tuple(name for name, is_wanted in wanted.items() if is_wanted),
        retry_s=entry.retry_minutes * 60,
        http_check=_http(entry.http_check, settings),
    )


def schema_check() -> SchemaCheck | None:
    """Return what tells whether a text keeps to a JSON Schema; None where the package for it is missing."""
    if find_spec("jsonschema_rs") is None:
        return None
    from breakeven.routing.verify import Checker, Rule

    checker = Checker(Rule(own_schema=True))

    def keeps_to(text: str, schema: dict[str, Any]) -> bool | None:
        why = checker.why_not(text, schema)
        return None if why is None else not why

    return keeps_to


def become_trials(secret: str, host: str, port: int, plan: bytes, parent_pid: int) -> NoReturn:
    """Turn a fork of the supervisor into that process.

    ``secret`` vouches for its requests in the name of a key; host and port are those on which the gateway listens;
    ``plan`` is a ``TrialsPlan`` as msgpack.
    """
    told = msgspec.msgpack.encode((secret, reached(host), port, plan))
    become("breakeven.wiring.trials", told, parent_pid)


def polled_of(plan: TrialsPlan) -> tuple[Polled, ...]:
    """Return what is looked after every few seconds beside the copies."""
    from breakeven.trials.shifting import ShiftController

    return (ShiftController(Path(plan.store)),)


def serve_trials(plan: TrialsPlan, secret: str, parent_pid: int) -> None:
    """Compare until SIGTERM, SIGINT or the parent's end.  Raises ``InputError`` and ``OSError``."""
    import uvloop

    from breakeven.trials.service import Service
    from breakeven.wiring.clock import SystemClock

    asked_to_stop: list[int] = []
    for number in _STOPPING:
        signal.signal(number, lambda number, _: asked_to_stop.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)

    def goes_on() -> bool:
        return not asked_to_stop and os.getppid() == parent_pid

    async def serve() -> None:
        service = Service(plan, secret, SystemClock(), schema_check(), polled_of(plan))
        await service.run(goes_on)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def main(handle: int, parent_pid: int) -> int:
    """Run the process whose plan is in that memory file."""
    from breakeven.errors import InputError

    secret, host, port, content = begin(handle, tuple[str, str, int, bytes])
    plan = msgspec.msgpack.decode(content, type=TrialsPlan)
    try:
        serve_trials(replace(plan, host=host, port=port), secret, parent_pid)
    except InputError as error:
        _log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
