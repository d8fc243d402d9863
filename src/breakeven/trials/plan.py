"""What the process of trials is told: plain frozen values, secrets included."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal  # noqa: TC003 - msgspec reads these annotations at run time

from breakeven.catalog.rate_card import PriceList  # noqa: TC001 - likewise
from breakeven.gateway.verify_plan import HttpCheck  # noqa: TC001 - likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePlan:
    """A model that compares answers."""

    model: str
    share_fraction: float
    tasks: tuple[str, ...] = ()
    """Whose pairs it is shown; empty: all."""

    criteria: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowPlan:
    """What is asked about the answers of one candidate for one model."""

    model: str
    candidate: str
    check: HttpCheck | None
    judge: JudgePlan | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalsPlan:
    """What is told from live answers."""

    names: tuple[str, ...]
    """Signals of ``evidence.signals`` that are written down."""

    retry_s: float
    """0: that a question was asked again is not looked for."""

    http_check: HttpCheck | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextsPlan:
    """How texts of pairs are kept."""

    secret: str = field(repr=False)
    keep_s: float
    sensitivities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTarget:
    """What is known of a target that may be asked."""

    name: str
    priced_as: str
    """``provider:model``, ``provider:*``, or empty: it has no price, or is a node."""

    model: str
    """The model's name there; empty: as it is asked for."""

    sensitivities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsPlan:
    """Everything that the process of trials needs."""

    folder: str
    """Of the ledger."""

    store: str
    budget_day_usd: Decimal
    slot_count: int
    """Copies that are treated at a time."""

    shadows: tuple[ShadowPlan, ...]
    judge: JudgePlan | None
    """Of pairs for shifts, and of shadows that have none of their own; likewise the next."""

    check: HttpCheck | None
    signals: SignalsPlan | None
    texts: TextsPlan | None
    targets: tuple[KnownTarget, ...]
    own_names: tuple[tuple[str, str, str], ...]
    """Model, target, and the model's name there, where the settings give one for that model alone."""

    routes: tuple[tuple[str, tuple[str, ...]], ...]
    """Models, and the targets that may serve them."""

    price_lists: tuple[PriceList, ...]
    host: str = "127.0.0.1"
    port: int = 0
    """Where the gateway listens."""
