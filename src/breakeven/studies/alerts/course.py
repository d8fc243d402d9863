"""The course of notices: a condition that turns bad is raised, one that turns good is over, and each is told once.

``follow`` is a pure function of what was known and what is found now; who was told what is part of a notice, so a
receiver that was away is told later, and nobody is told twice.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads these annotations at run time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from breakeven.studies.alerts.conditions import Condition, Figures, Kind, Severity  # noqa: TC001 - likewise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

State = Literal["raised", "over"]
Name = tuple[str, str]
"""Kind and subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that is, or was, worth telling."""

    kind: Kind
    subject: str
    state: State
    since_s: float
    """Unix seconds when it came into its state."""

    said: str
    """What was said when it was raised, with the latest figures while it lasts."""

    todo: str = ""
    severity: Severity = "warning"
    figures: Figures = field(default_factory=dict)
    is_event: bool = False
    raised_s: float = 0.0
    """Unix seconds when it was raised, which stays when it is over."""

    told: Mapping[str, State] = field(default_factory=dict)
    """By receiver, what it was last told."""

    @property
    def name(self) -> Name:
        """Return what tells it from others."""
        return self.kind, self.subject


class Telling(NamedTuple):
    """What a receiver is to be told."""

    receiver: str
    notices: tuple[Notice, ...]


def follow(known: Iterable[Notice], found: Mapping[Kind, Sequence[Condition]], now_s: float) -> tuple[Notice, ...]:
    """Return the notices after another look, those that have not changed included.

    ``found`` has every kind that could be looked at, an empty sequence where there is nothing: what was raised of such
    a kind and is not found any more is over.  Kinds that could not be looked at stay as they are.
    """
    notices = {notice.name: notice for notice in known}
    seen = set()
    for conditions in found.values():
        for item in conditions:
            seen.add((item.kind, item.subject))
            moved = _moved(notices.get((item.kind, item.subject)), item, now_s)
            if moved is not None:
                notices[moved.name] = moved
    for name, notice in notices.items():
        if notice.state == "raised" and notice.kind in found and name not in seen:
            notices[name] = replace(notice, state="over", since_s=now_s)
    return tuple(notices.values())


def tellings(notices: Iterable[Notice], receivers: Mapping[str, Sequence[Kind]]) -> tuple[Telling, ...]:
    """Return what each receiver has not been told yet; ``receivers`` gives the kinds that each wants, none: all.

    That something is over is told only to whom it was told that it began, and not of what merely happened.
    """
    found = []
    for receiver, kinds in receivers.items():
        news = tuple(item for item in notices if (not kinds or item.kind in kinds) and _is_news(item, receiver))
        if news:
            found.append(Telling(receiver, news))
    return tuple(found)


def told(notices: Iterable[Notice], telling: Telling) -> tuple[Notice, ...]:
    """Return the notices with a receiver having been told."""
    names = {item.name for item in telling.notices}
    return tuple(
        replace(item, told={**item.told, telling.receiver: item.state}) if item.name in names else item
        for item in notices
    )


def _is_news(notice: Notice, receiver: str) -> bool:
    last = notice.told.get(receiver)
    if notice.state == "raised":
        return last != "raised"
    return last == "raised" and not notice.is_event


def _moved(known: Notice | None, item: Condition, now_s: float) -> Notice | None:
    """Return a notice after a condition was looked at; None where there is none, and nothing to make one of."""
    is_raised = known is not None and known.state == "raised"
    if item.side == "bad" and not is_raised:
        return Notice(
            kind=item.kind, subject=item.subject, state="raised", since_s=now_s, raised_s=now_s, said=item.said,
            todo=item.todo, severity=item.severity, figures=item.figures, is_event=item.is_event,
            told={} if known is None else dict.fromkeys(known.told, "over"),
        )  # fmt: skip
    if known is None or not is_raised:
        return None
    if item.side == "good":
        return replace(known, state="over", since_s=now_s, figures=item.figures)
    if item.side == "bad":
        return replace(known, said=item.said, figures=item.figures, severity=item.severity)
    return None
