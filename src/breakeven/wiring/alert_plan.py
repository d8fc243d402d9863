"""What the process that alerts is told: plain values, secrets of receivers included, so it travels through memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from breakeven.economics.pool_hours import PoolTerms  # noqa: TC001 - msgspec reads these annotations at run time
from breakeven.limits.rules import Rule  # noqa: TC001 - likewise
from breakeven.studies.alerts import Kind  # noqa: TC001 - likewise
from breakeven.upstreams.mail import MailServer
from breakeven.upstreams.post import Place

if TYPE_CHECKING:
    from breakeven.gateway.snapshot import Snapshot
    from breakeven.settings import Settings
    from breakeven.settings.alerts import AlertReceiverEntry, AlertsEntry

_ALERTS_PATH: Final = "/api/v2/alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverPlan:
    """Somebody who is told."""

    name: str
    way: str
    """One of ``settings.alerts.WAYS``."""

    shown: str
    """Where it is, fit to be shown."""

    only: tuple[Kind, ...] = ()
    place: Place | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    server: MailServer | None = field(default=None, repr=False)
    sender: str = ""
    to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """From where on figures are worth telling, as ``alerts:`` has them."""

    budget_fraction: float
    day_usd: str
    """Decimal text; empty: none."""

    month_usd: str
    below_fraction: float
    back_fraction: float
    use_hours: int
    balance_days: int
    balance_margin_fraction: float
    least_price_fraction: float
    objective_fraction: float
    least_requests: int
    drop_fraction: float
    quality_days: int
    quality_against_days: int
    least_outcomes_count: int
    unpriced_hours: int
    waiting_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsPlan:
    """One version of what the process knows."""

    store: str
    folder: str
    """The ledger's."""

    gateway: str
    """What messages call it: where it listens."""

    every_s: float
    off: tuple[Kind, ...]
    receivers: tuple[ReceiverPlan, ...]
    edges: Edges
    pools: tuple[PoolTerms, ...]
    rules: tuple[Rule, ...]
    """Budgets of the file; those of stored keys are read from the store."""

    teams: dict[str, str]
    """Of keys of the file."""

    providers: dict[str, str]
    """Of targets."""


def alerts_plan(settings: Settings, entry: AlertsEntry, snapshot: Snapshot) -> AlertsPlan:
    """Return what the process is told."""
    rules = (*snapshot.rules, *(rule for key in snapshot.keys for rule in key.rules))
    return AlertsPlan(
        store=snapshot.ledger.store,
        folder=snapshot.ledger.folder,
        gateway=f"{snapshot.host}:{snapshot.port}",
        every_s=entry.every_s,
        off=entry.off,
        receivers=receivers_of(settings, entry),
        edges=_edges(entry),
        pools=snapshot.ledger.pools,
        rules=tuple(rule for rule in rules if rule.kind == "usd"),
        teams={key.name: key.team for key in snapshot.keys if key.team},
        providers={target.name: target.provider for target in snapshot.targets if target.provider},
    )


def receivers_of(settings: Settings, entry: AlertsEntry) -> tuple[ReceiverPlan, ...]:
    """Return who is told."""
    return tuple(_receiver(name, item, settings) for name, item in entry.to.items())


def _receiver(name: str, entry: AlertReceiverEntry, settings: Settings) -> ReceiverPlan:
    from breakeven.settings.address import read_address
    from breakeven.settings.secret import is_reference

    ca_file = str(settings.folder / entry.ca_file) if entry.ca_file else ""
    email = entry.email
    if email is not None:
        password = settings.secrets[email.password].reveal() if email.password else ""
        server = MailServer(email.host, email.port, email.security, email.user or "", password, ca_file)
        shown = f"{', '.join(email.to)} by {email.host}:{email.port}"
        return ReceiverPlan(
            name=name, way=entry.way, shown=shown, only=entry.only, server=server, sender=email.sender, to=email.to
        )
    written = entry.webhook or entry.slack or entry.alertmanager or ""
    url = settings.secrets[written].reveal() if is_reference(written) else written
    address = read_address(url.partition("?")[0])
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if entry.alertmanager is not None:
        path = address.path.removesuffix(_ALERTS_PATH) + _ALERTS_PATH
    return ReceiverPlan(
        name=name,
        way=entry.way,
        shown=f"{'https' if address.tls else 'http'}://{address.host_header}",  # its path may be a secret
        only=entry.only,
        place=Place(address.host, address.port, address.tls, path, ca_file),
        headers=tuple(
            (header.lower(), settings.secrets[value].reveal() if is_reference(value) else value.strip())
            for header, value in entry.headers.items()
        ),
    )


def _edges(entry: AlertsEntry) -> Edges:
    budget, use, balance, quality = entry.budget, entry.utilisation, entry.break_even, entry.quality
    return Edges(
        budget_fraction=budget.share,
        day_usd="" if budget.day_usd is None else f"{budget.day_usd:f}",
        month_usd="" if budget.month_usd is None else f"{budget.month_usd:f}",
        below_fraction=use.below,
        back_fraction=use.back,
        use_hours=use.hours,
        balance_days=balance.days,
        balance_margin_fraction=balance.margin,
        least_price_fraction=entry.price_change.least,
        objective_fraction=entry.errors.objective,
        least_requests=entry.errors.least_requests,
        drop_fraction=quality.drop,
        quality_days=quality.days,
        quality_against_days=quality.against_days,
        least_outcomes_count=quality.least_outcomes,
        unpriced_hours=entry.unknown_price.hours,
        waiting_bytes=entry.spooling.waiting_bytes,
    )
