"""Joins several traffics, the nodes of each and the GPUs to be had into one question, from what a person writes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError, Problem
from breakeven.wiring.hybrid import REFUSED, Figures, SizeRequest, at_slo, prepared, problems_of, run_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from breakeven.studies.hybrid.pools import TrafficPools
    from breakeven.studies.hybrid.result import HybridSize, JointSize
    from breakeven.wiring.hybrid import Prepared

MOST_TRAFFICS: Final = 8
MOST_GPUS: Final = 1_000_000
ONLY: Final = "traffic"
"""What a traffic is called that has no name."""

_NAMED: Final = re.compile(r"(?P<name>[A-Za-z][\w.-]{0,39})=(?P<rest>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks, in the words of the command line.

    Each of ``pools``, ``overflows`` and ``todays`` is for all traffics, or, as ``NAME=…``, for one.
    """

    traffics: tuple[str, ...] = ()
    """``NAME=FILE``; a name that comes again adds a file to it.  None: one traffic without a name."""

    files: tuple[str | Path, ...] = ()
    pools: tuple[str, ...]
    overflows: tuple[str, ...]
    todays: tuple[str, ...] = ()
    most_gpus: tuple[str, ...] = ()
    """``GPU=COUNT``: as many can be held at a time."""

    figures: Figures = field(default_factory=Figures)
    """All else, the same for every traffic."""


def run_asked(asked: Asked) -> HybridSize | JointSize:
    """Size one traffic, or several and whatever has limits in one programme.

    Raises ``InputError`` with every problem of the question.
    """
    parts, problems = _parts(asked)
    limits = _limits(asked.most_gpus, problems)
    problems += [problem for part in parts.values() if part.pools for problem in problems_of(part)]
    joint = bool(asked.traffics or limits)
    if joint and asked.figures.batchable_fraction is not None:
        what = "work that may wait is sized for one traffic alone, without --gpus-at-most."
        problems.append(Problem(where="--batchable", what=what, fix="Leave it out, or size that traffic by itself."))
    if problems:
        raise InputError(REFUSED, tuple(dict.fromkeys(problems)))
    return _run_joint(parts, limits) if joint else run_size(parts[ONLY])


def _run_joint(parts: dict[str, SizeRequest], limits: dict[str, int]) -> JointSize:
    from breakeven.studies.hybrid.joint import joint_size
    from breakeven.studies.hybrid.pools import TrafficPools

    known = {name: _prepared(name, part) for name, part in parts.items()}
    _refuse_stated_volume(known)
    traffics = []
    for name, part in parts.items():
        item = known[name]
        sizings = item.sizings
        if part.slo_ttft_s is not None:
            pairs = zip(item.deployments, item.sizings, strict=True)
            sizings = tuple(at_slo(part, item.trace, deployment, sizing)[0] for deployment, sizing in pairs)
        traffics.append(TrafficPools(name=name, sizings=sizings))
    notes = [f"{name}: {note}" for name, item in known.items() for note in item.notes]
    return joint_size(traffics, _gpus(limits, traffics), notes=notes)


def _prepared(name: str, part: SizeRequest) -> Prepared:
    """Read one traffic; what is wrong with it is told with its name."""
    try:
        return prepared(part)
    except InputError as error:
        raise InputError(f"{name}: {error.summary}", error.problems) from None


def _refuse_stated_volume(known: dict[str, Prepared]) -> None:
    stated = next(iter(known.values())).sizings[0].context.workload.total_tokens_per_month
    if stated is not None and len(known) > 1:
        raise InputError(
            f"The scenario states {stated:,.0f} total_tokens_per_month, and of {len(known)} traffics it does not say "
            "whose they are. Leave it out: each is sized on its own traffic and --growth."
        )


def _gpus(limits: dict[str, int], traffics: Sequence[TrafficPools]) -> dict[str, int]:
    """Return the limits by the catalogue's names.  Raises ``UnknownNameError`` for a GPU that nobody knows."""
    book = traffics[0].sizings[0].context.book
    there = {sizing.question.pool.gpu for traffic in traffics for sizing in traffic.sizings}
    found: dict[str, int] = {}
    for name, most in limits.items():
        gpu = book.gpu(name).id
        if gpu in found:
            raise InputError(f"--gpus-at-most names {gpu} twice: {found[gpu]} and {most}. Give one of them.")
        if gpu not in there:
            raise InputError(
                f"--gpus-at-most {name}={most}: no --pool has {gpu}; they have {', '.join(sorted(there))}. "
                "Leave the limit out, or name one of these."
            )
        found[gpu] = most
    return found


def _limits(texts: Sequence[str], problems: list[Problem]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in texts:
        name, sign, count = text.rpartition("=")
        whole = count.strip().isascii() and re.fullmatch(r"-?\d{1,9}", count.strip()) is not None
        if not sign or not name or not whole:
            what = f"{text[:80]!r} is not of the form GPU=COUNT."
            problems.append(Problem(where="--gpus-at-most", what=what, fix="Write, for example, H100=16."))
        elif not 0 <= int(count) <= MOST_GPUS:
            what = f"{name}={int(count)} is not a number of GPUs between 0 and {MOST_GPUS:,}."
            problems.append(Problem(where="--gpus-at-most", what=what))
        elif name in found:
            what = f"{name} is named twice: {found[name]} and {int(count)}."
            problems.append(Problem(where="--gpus-at-most", what=what, fix="Give one of them."))
        else:
            found[name] = int(count)
    return found


def _parts(asked: Asked) -> tuple[dict[str, SizeRequest], list[Problem]]:
    """Return the question of each traffic by its name, and what is wrong with the words."""
    problems: list[Problem] = []
    files = _files(asked, problems)
    names = tuple(files) if asked.traffics else ()
    pools = _Values.of("--pool", asked.pools, names, problems)
    overflows = _Values.of("--overflow", asked.overflows, names, problems)
    todays = _Values.of("--today", asked.todays, names, problems)
    parts = {}
    for name in files:
        mine = (*pools.of_all, *pools.own.get(name, ()))
        if not mine:
            fix = f"Give --pool {f'{name}=' if names else ''}2xH100:llama-3.3-70b:fp8:vllm."
            problems.append(Problem(where="--pool", what=f"there is none for {name}.", fix=fix))
        parts[name] = SizeRequest(
            **{item.name: getattr(asked.figures, item.name) for item in fields(Figures)},
            files=tuple(files[name]),
            pools=mine,
            overflow=overflows.one(name, problems, default=None) or "",
            today=todays.one(name, problems, default=""),
        )
    return parts, problems


def _files(asked: Asked, problems: list[Problem]) -> dict[str, list[str | Path]]:
    if not asked.traffics:
        return {ONLY: list(asked.files)}
    if asked.files:
        fix = "Give it as --traffic NAME=FILE too."
        problems.append(Problem(where="FILES", what=f"{asked.files[0]} has no name beside --traffic.", fix=fix))
    found: dict[str, list[str | Path]] = {}
    for text in asked.traffics:
        named = _NAMED.fullmatch(text)
        if named is None:
            fix = "Write, for example, chat=chat.csv; the name begins with a letter."
            problems.append(Problem(where="--traffic", what=f"{text[:80]!r} is not of the form NAME=FILE.", fix=fix))
        else:
            found.setdefault(named["name"], []).append(named["rest"])
    if len(found) > MOST_TRAFFICS:
        what = f"{len(found)} traffics; at most {MOST_TRAFFICS} can be sized together."
        problems.append(Problem(where="--traffic", what=what))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """What an option says: of all traffics, and of each by its name."""

    option: str
    of_all: tuple[str, ...]
    own: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, option: str, texts: Sequence[str], names: Sequence[str], problems: list[Problem]) -> _Values:
        """Tell values apart by the name before them; a name that no traffic has is a problem."""
        of_all: list[str] = []
        own: dict[str, list[str]] = {name: [] for name in names}
        for text in texts:
            named = _NAMED.fullmatch(text)
            if named is None:
                of_all.append(text)
            elif named["name"] in own:
                own[named["name"]].append(named["rest"])
            else:
                there = ", ".join(names) or "none by name"
                what = f"{text[:80]!r} is for the traffic {named['name']}; there is {there}."
                fix = f"Give its files too: --traffic {named['name']}=FILE."
                problems.append(Problem(where=option, what=what, fix=fix))
        return cls(option=option, of_all=tuple(of_all), own={name: tuple(values) for name, values in own.items()})

    def one(self, name: str, problems: list[Problem], *, default: str | None) -> str | None:
        """Return the one value for a traffic, its own before that of all; without any the default, or a problem."""
        values = self.own.get(name) or self.of_all
        if len(values) > 1:
            what = f"there are {len(values)} for {name}: {', '.join(values)[:120]}."
            problems.append(Problem(where=self.option, what=what, fix="Give one of them, or NAME=… for each traffic."))
        elif not values and default is None:
            what = f"there is none for {name}."
            problems.append(Problem(where=self.option, what=what, fix="Name an API, such as gpt-4o."))
        return values[0] if values else default or None
