"""The one filter of where a request may go, run before every choice: key, protocol, sensitivity, health, budget.

It decides what is allowed, never what is better; that is for policies.  The rules:

- **key**: a key that names models may use those alone; a key that names none may use all.
- **protocol**: a target is sent only what it says it speaks.
- **sensitivity**: a request marked with kinds of data goes only to targets that name all of them.  A target that names
  none gets no marked request: saying nothing is no permission, and a label nobody knows (a slip of the pen, say) goes
  nowhere rather than anywhere.  A request without a mark goes everywhere.  Marks of the key, of tags and of the request
  add up: none takes another away (``marks``).
- **task**: a target of which a task table speaks gets the tasks that the table allows, and no unknown ones, as long
  as somebody else may have the request (``task_table.allowed_for``).
- **paid only**: what waits for idle capacity goes to no target that is paid by use, where there are others.
- **health**: a target that is known to be down is not tried.
- **budget**: a target whose expected price exceeds what is left is left out.  One that costs nothing always fits; one
  whose price is not known fits as long as anything is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from breakeven.routing.task_table import allowed_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

PROTOCOLS: Final = ("chat", "completions", "responses", "embeddings", "messages")
CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS, MESSAGES = (1 << index for index in range(len(PROTOCOLS)))
"""What clients and targets speak; a target's protocols are a sum of these."""

COUNT_TOKENS: Final = 1 << len(PROTOCOLS)
"""Beside those: to say how many tokens a messages request has, which no translation into another protocol can."""

_WORDS: Final = (*PROTOCOLS, "messages itself")
"""What is spoken, for people, by the number of its bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What does not change of a route's targets, in the configured order; made once for a snapshot."""

    model: str
    """The model's name as clients and keys know it."""

    names: tuple[str, ...]
    protocols: tuple[int, ...]
    """Sums of the constants above."""

    sensitivities: tuple[frozenset[str], ...]
    """Kinds of data that may be sent to each."""

    paid: tuple[bool, ...] = ()
    """Who is paid for whether used or not; none at all: nobody."""

    guard: tuple[frozenset[str] | None, ...] = ()
    """Tasks that each may have; None: all.  None at all: nobody is guarded."""

    all: tuple[bool, ...] = field(init=False)
    """The answer when nobody is excluded: always this object, so that what is built on it can be kept."""

    none: tuple[bool, ...] = field(init=False)
    speaking: Mapping[int, tuple[bool, ...]] = field(init=False)
    """By protocol, ``COUNT_TOKENS`` included, who speaks it."""

    def __post_init__(self) -> None:
        everyone = (True,) * len(self.names)
        speaking = {}
        for index in range(len(_WORDS)):
            who = tuple(bool(spoken & 1 << index) for spoken in self.protocols)
            speaking[1 << index] = everyone if who == everyone else who
        object.__setattr__(self, "all", everyone)
        object.__setattr__(self, "none", (False,) * len(self.names))
        object.__setattr__(self, "speaking", speaking)


class Asked(NamedTuple):
    """What is asked on whose behalf; the same for most requests of a key, so it can be kept with it."""

    allowed_models: AbstractSet[str]
    """The key's; empty: all."""

    sensitivities: frozenset[str]
    """The kinds of data that the request is marked with, by its key, its tags or itself; empty: none."""

    protocol: int
    """One of the constants above, ``COUNT_TOKENS`` included."""

    budget_usd: float
    """What is left of the key's budget; infinite without one."""

    task: str = ""
    """The task that it serves, read only where some target is guarded; empty: unknown."""

    paid_only: bool = False
    """Whether it is only for capacity that is paid for anyway, where there is any."""


def eligible(
    candidates: Candidates, healthy: Sequence[int], asked: Asked, price_usd: Sequence[float] = ()
) -> tuple[bool, ...]:
    """Return for each target whether the request may go there.

    ``healthy`` holds ints or bools; ``price_usd`` is what the request is expected to cost at each target (NaN: not
    known), and is read only if there is a budget.
    """
    allowed_models, marked, protocol, budget_usd, task, paid_only = asked
    if allowed_models and candidates.model not in allowed_models:
        return candidates.none
    speaking = candidates.speaking[protocol]
    if not marked and budget_usd == inf and 0 not in healthy and not paid_only:
        return allowed_for(speaking, candidates.guard, task) if candidates.guard else speaking
    found = tuple(
        speaking[index]
        and bool(healthy[index])
        and (not marked or marked <= candidates.sensitivities[index])
        and (budget_usd == inf or _affordable(price_usd[index], budget_usd))
        and (not paid_only or not candidates.paid or candidates.paid[index])
        for index in range(len(candidates.names))
    )
    return allowed_for(found, candidates.guard, task) if candidates.guard else found


def why_excluded(
    candidates: Candidates, healthy: Sequence[int], asked: Asked, price_usd: Sequence[float] = ()
) -> tuple[str, ...]:
    """Return for each target every reason why ``eligible`` excludes it, as a phrase for a person; empty: it does not.

    To be called as ``eligible`` was, when its answer has to be explained.
    """
    allowed_models, marked, protocol, budget_usd, _, paid_only = asked
    found = []
    for index, name in enumerate(candidates.names):
        reasons = []
        if allowed_models and candidates.model not in allowed_models:
            reasons.append(f"the key may not use {candidates.model}, only {', '.join(sorted(allowed_models))}")
        if not candidates.speaking[protocol][index]:
            reasons.append(f"it does not speak {_WORDS[protocol.bit_length() - 1]}")
        if missing := marked - candidates.sensitivities[index]:
            kinds = " or ".join(sorted(missing))
            reasons.append(f"it is not marked for {kinds} data ({_listed(candidates.sensitivities[index])})")
        if not healthy[index]:
            reasons.append("it is down")
        if paid_only and candidates.paid and not candidates.paid[index]:
            reasons.append("it is paid by use, and the request waits for idle capacity")
        if budget_usd != inf and not _affordable(price_usd[index], budget_usd):
            reasons.append(f"{_price_text(price_usd[index])}, and ${max(budget_usd, 0):.6f} of the budget is left")
        found.append(f"{name}: {'; '.join(reasons)}" if reasons else "")
    return tuple(found)


def marks(said: Iterable[str], tags: str, of_tags: Mapping[str, str]) -> frozenset[str]:
    """Return the kinds of data that labels and tags mark a request with.

    A label may hold several, parted by commas, as ``tags`` does (``team=search,data=patient``); ``of_tags``: the kind
    that a tag stands for.
    """
    labels = {part.strip() for label in said for part in label.split(",")}
    implied = {of_tags.get(tag.strip(), "") for tag in tags.split(",")} if of_tags else set()
    return frozenset(labels | implied) - {""}


def _affordable(price_usd: float, budget_usd: float) -> bool:
    left_usd = max(budget_usd, 0.0)
    known = price_usd == price_usd  # noqa: PLR0124 - NaN is what differs from itself
    return price_usd <= left_usd if known else left_usd > 0


def _listed(kinds: frozenset[str]) -> str:
    return f"only for {', '.join(sorted(kinds))}" if kinds else "it names no kind of data"


def _price_text(price_usd: float) -> str:
    known = price_usd == price_usd  # noqa: PLR0124 - NaN is what differs from itself
    return f"the request is expected to cost ${price_usd:.6f}" if known else "its price is not known"
