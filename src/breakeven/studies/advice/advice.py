"""What a piece of advice is: what to do, what it saves a month, how sure that is, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, get_args

Kind = Literal[
    "rent_pool", "add_node", "drop_node", "change_gpu", "move_task", "night_batches", "nights_off", "renegotiate",
    "back_to_api",
]  # fmt: skip
State = Literal["given", "withdrawn"]
Figures = dict[str, str | float | int | None]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Gain(NamedTuple):
    """What would be saved a month, in US dollars, with the 10th and 90th percentile; below 0: it would cost more."""

    low_usd: float
    likely_usd: float
    high_usd: float
    sure_fraction: float
    """The chance that it saves anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing that could be done, whether or not it is worth saying."""

    kind: Kind
    subject: str
    gain: Gain
    said: str
    """What to do, and why, with figures."""

    todo: str
    """The command or the setting with which to begin."""

    evidence: tuple[str, ...] = ()
    """What it rests on, and what it leaves out."""

    figures: Figures = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """From where on advice is given, and below which it is withdrawn; between, it stays what it was."""

    least_usd_per_month: float = 50.0
    least_share_fraction: float = 0.02
    """Of all that is paid in a month."""

    sure_fraction: float = 0.8
    unsure_fraction: float = 0.5
    """Below this chance it is withdrawn; likewise below half of what it has to save."""

    def least_usd(self, paid_usd_per_month: float) -> float:
        """Return what advice has to save a month before it is given."""
        return max(self.least_usd_per_month, self.least_share_fraction * paid_usd_per_month)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A piece of advice and where it stands."""

    advice: Advice
    state: State
    since_s: float
    """Unix seconds when it was given, or withdrawn."""

    @property
    def name(self) -> tuple[str, str]:
        """Return what tells it from other advice."""
        return self.advice.kind, self.advice.subject
