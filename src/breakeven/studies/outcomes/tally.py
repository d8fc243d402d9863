"""Subjects added up by their labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.economics.outcome_costs import (
    OutcomeSums,
    success_interval,
    unknown_bounds,
    usd_per_known_success,
    usd_with_failures,
)
from breakeven.errors import InputError
from breakeven.ledger.labels import NONE, TAG, tag_of
from breakeven.studies.outcomes.result import LABELS, Asked, OutcomeCost
from breakeven.studies.outcomes.subjects import NO_PART, target_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.ledger.labels import Labels
    from breakeven.ledger.outcome_costs import Said
    from breakeven.studies.outcomes.said import Heard
    from breakeven.studies.outcomes.subjects import Subject

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTES_PER_HOUR: Final = 60


def check_asked(asked: Asked) -> None:
    """Raise ``InputError`` for labels that subjects cannot be grouped or chosen by, and prices below zero."""
    known = f"{', '.join(LABELS)}, tag:NAME"
    for label in asked.by:
        if not _is_label(label or ""):
            raise InputError(f"--by {label}: outcomes can be grouped by {known}.")
    if len(set(asked.by)) < len(asked.by):
        raise InputError(f"--by {','.join(map(str, asked.by))} names a label twice.")
    for label, _ in asked.where:
        if not _is_label(label):
            raise InputError(f"--where {label}=…: outcomes can be chosen by {known}.")
    for option, usd in (("--human-usd-per-hour", asked.human_usd_per_hour), ("--failure-usd", asked.failure_usd)):
        if usd is not None and (not usd.is_finite() or usd < 0):
            raise InputError(f"{option} {usd}: a price is a number from 0 on, in US dollars.")


class Group:
    """One group while subjects are added to it."""

    __slots__ = (
        "attempts", "elsewhere", "elsewhere_usd", "evaluation_usd", "idle_usd", "inference", "loaded_usd", "minutes",
        "paid", "requests", "whole", "young", "young_usd",
    )  # fmt: skip

    def __init__(self) -> None:
        self.inference = self.paid = self.whole = OutcomeSums()
        self.attempts = self.elsewhere = self.requests = self.young = 0
        self.loaded_usd = self.elsewhere_usd = self.idle_usd = Decimal(0)
        self.evaluation_usd = self.young_usd = self.minutes = Decimal(0)

    def add(self, subject: Subject, heard: Heard, asked: Asked) -> None:
        """Add a subject that is old enough."""
        parts = subject.parts.values()
        loaded_usd = sum((part.loaded_usd for part in parts), Decimal(0))
        idle_usd = sum((part.idle_usd for part in parts), Decimal(0))
        own = subject.parts.get(target_of(subject.final), NO_PART)
        count = sum(part.attempt_count for part in parts)
        self.requests += len(subject.request_ids)
        self.attempts += count
        self.elsewhere += count - own.attempt_count
        self.loaded_usd += loaded_usd
        self.elsewhere_usd += loaded_usd - own.loaded_usd
        self.idle_usd += idle_usd
        self.minutes += heard.human_minutes
        human_usd = heard.human_minutes * (asked.human_usd_per_hour or 0) / _MINUTES_PER_HOUR
        self.inference = self.inference.plus(float(loaded_usd), heard.success)
        self.paid = self.paid.plus(float(loaded_usd + human_usd), heard.success)
        self.whole = self.whole.plus(float(loaded_usd + human_usd + idle_usd), heard.success)

    def cost(self, labels: Labels, asked: Asked) -> OutcomeCost:
        """Return what it comes to."""
        sums, rate = self.paid, asked.human_usd_per_hour
        human_usd = None if rate is None and self.minutes else self.minutes * (rate or 0) / _MINUTES_PER_HOUR
        failure_usd = asked.failure_usd
        return OutcomeCost(
            labels=labels,
            subject_count=sums.subject_count,
            request_count=self.requests,
            success_count=sums.success_count,
            failure_count=sums.known_count - sums.success_count,
            unknown_count=sums.unknown_count,
            attempt_count=self.attempts,
            elsewhere_count=self.elsewhere,
            loaded_usd=self.loaded_usd,
            elsewhere_usd=self.elsewhere_usd,
            idle_usd=self.idle_usd,
            human_minutes=self.minutes,
            human_usd=human_usd,
            evaluation_usd=self.evaluation_usd,
            young_count=self.young,
            young_usd=self.young_usd,
            inference=self.inference,
            whole=self.whole,
            success_fraction=success_interval(sums.success_count, sums.known_count),
            usd_per_success=usd_per_known_success(sums),
            inference_usd_per_success=usd_per_known_success(self.inference),
            whole_usd_per_success=usd_per_known_success(self.whole),
            bounds=unknown_bounds(sums),
            with_failures_usd=None if failure_usd is None else usd_with_failures(self.whole, float(failure_usd)),
        )


def labels_of(by: Sequence[str | None], said: Said, at_us: int) -> Labels:
    """Return the values of labels of a subject whose final answer says so and that began at a moment."""
    return tuple(_label(label or "", said, at_us) for label in by)


def is_chosen(where: Sequence[tuple[str, str]], said: Said, at_us: int) -> bool:
    """Whether a subject has for every label one of the values that are asked for."""
    wanted: dict[str, set[str]] = {}
    for label, value in where:
        wanted.setdefault(label, set()).add(value)
    return all((_label(label, said, at_us) or NONE) in values for label, values in wanted.items())


def _label(label: str, said: Said, at_us: int) -> str | None:
    if label == "target":
        return target_of(said)
    if label in ("day", "week"):
        day = (_EPOCH + timedelta(microseconds=at_us)).date()
        year, week, _ = day.isocalendar()
        return f"{day}" if label == "day" else f"{year}-W{week:02d}"
    if label.startswith(TAG):
        return tag_of(said.tags or "", label.removeprefix(TAG))
    found: str | None = getattr(said, label)
    return found


def _is_label(label: str) -> bool:
    return label in LABELS or (label.startswith(TAG) and len(label) > len(TAG))
