"""What a worker is told of shifts that are under way: whose traffic goes to which target, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ANY_TASK: Final = "*"
"""Stands for every task that no running shift of the model names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskShare:
    """One task of a shift."""

    task: str
    """As the ledger has it, or ``ANY_TASK``."""

    share_fraction: float
    """Of its traffic that goes to the target now."""

    is_tested: bool = True
    """Whether pairs are still wanted: it is neither done nor rolled back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftPlan:
    """One shift."""

    shift_id: int
    """By which it draws: units have other places in other shifts."""

    model: str
    """The name that clients ask for."""

    target: str
    """Where the traffic goes: a target of the settings, or a pool, whether the model has it or not."""

    to_pool: bool = False
    """Whether that is a pool: each of its nodes takes a part of the traffic."""

    asked_as: str = ""
    """The model's name there, where the target is lent to the model; empty: the target's own, or the client's."""

    stick: str
    """What stays together: one of ``routing.sticking.STICKS``."""

    tasks: tuple[TaskShare, ...]
    mirror_fraction: float = 1.0
    """Of the requests of tested tasks, of which both targets are asked; drawn by request."""
