"""``alerts:`` of ``breakeven.yaml``: what somebody is told of, and how they are reached."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from breakeven.settings.fields import Host, Label, Port, Reference, like
from breakeven.settings.limits import Budget
from breakeven.settings.verify import CheckUrl
from breakeven.sources.written import IsNumber, Strict

AlertKind = Literal[
    "budget", "utilisation", "break_even", "price_change", "errors", "quality", "unknown_price", "spooling"
]
"""Names in ``studies.alerts.KINDS``; a test keeps the two together."""

WAYS: Final = ("webhook", "slack", "alertmanager", "email")

Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), IsNumber]
Days = Annotated[int, Field(ge=1, le=366), IsNumber]
Count = Annotated[int, Field(ge=1, le=10**9), IsNumber]
Mailbox = Annotated[
    str,
    Field(max_length=254, json_schema_extra={"pattern": r"^[!-?A-~]+@[A-Za-z0-9._-]+$"}),
    like(r"^[!-?A-~]+@[A-Za-z0-9._-]+$", "this should be an e-mail address, such as ops@example.com"),
]


class EmailEntry(Strict):
    """E-mail by SMTP."""

    to: tuple[Mailbox, ...] = Field(min_length=1, max_length=50, description="Whom it goes to.")
    sender: Mailbox = Field(description="Whom it is from.")
    host: Host = Field(description="The server that takes it.")
    port: Port = Field(587, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls: encrypted from the greeting on; tls: from the start (port 465); none: never."
    )
    user: str | None = Field(None, min_length=1, max_length=256, pattern=r"^[!-~]+$", description="User name.")
    password: Reference | None = Field(None, description="Reference to the password: env:NAME or file:PATH.")


def _one_way(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": [name]} for name in WAYS]


class AlertReceiverEntry(Strict):
    """Somebody who is told, in one of four ways."""

    model_config = ConfigDict(json_schema_extra=_one_way)

    webhook: CheckUrl | None = Field(
        None, description="Where alerts are sent as JSON (POST); a URL, or env:NAME or file:PATH that holds one."
    )
    slack: Reference | None = Field(
        None, description="Reference to the URL of a Slack incoming webhook, which is a secret: env:NAME or file:PATH."
    )
    alertmanager: CheckUrl | None = Field(
        None, description="Base URL of a Prometheus Alertmanager, such as http://localhost:9093."
    )
    email: EmailEntry | None = Field(None, description="E-mail by SMTP.")
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Headers of every request to it; a value is plain text, env:NAME or file:PATH.",
    )
    ca_file: Path | None = Field(
        None, description="PEM file of the authorities that vouch for it; default: those of the system."
    )
    only: tuple[AlertKind, ...] = Field((), description="Kinds of alerts that it gets; empty: all.")

    @model_validator(mode="after")
    def _has_one_way(self) -> "AlertReceiverEntry":
        given = [name for name in WAYS if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"{' and '.join(given)} are given" if given else "nothing says how it is reached"
            raise ValueError(f"{said}: give one of {', '.join(WAYS)}")
        return self

    @property
    def way(self) -> str:
        """Return which of the ways is given."""
        return next(name for name in WAYS if getattr(self, name) is not None)


class BudgetAlert(Strict):
    """Of every budget of a key, a team and so on (quotas), and of all that is paid."""

    share: Share = Field(0.8, description="Share of a budget from which on it is told; and once more where it is used.")
    day_usd: Budget | None = Field(None, description="Budget of a day for all that is paid; it refuses nothing.")
    month_usd: Budget | None = Field(None, description="Budget of a month for all that is paid; it refuses nothing.")


class UtilisationAlert(Strict):
    """Of the paid time of each pool's nodes."""

    below: Share = Field(0.2, description="Told where less of the paid time served somebody.")
    back: Share = Field(0.3, description="Told as over where at least so much did.")
    hours: Annotated[int, Field(ge=1, le=720), IsNumber] = Field(24, description="Closed hours that are looked at.")

    @model_validator(mode="after")
    def _in_order(self) -> "UtilisationAlert":
        if self.back < self.below:
            raise ValueError(f"back ({self.back:g}) is less than below ({self.below:g}): it would come and go for ever")
        return self


class BreakEvenAlert(Strict):
    """Of virtual pools, which are told when they would have paid, and of real ones, when they do not any more."""

    days: Days = Field(7, description="Days that are looked at.")
    margin: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), IsNumber] = Field(
        0.05, description="By what share of its cost a pool has to be on the other side before it is told."
    )


class ErrorsAlert(Strict):
    """Of requests that no target answered, by model: how fast they use up what an objective allows in 30 days."""

    objective: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), IsNumber] = Field(
        0.99, description="Share of requests that should be answered."
    )
    least_requests: Count = Field(100, description="Fewer say nothing.")


class QualityAlert(Strict):
    """Of the share of requests that did their job, by model and task, as outcomes say."""

    drop: Share = Field(0.05, description="By how much it has fallen, as a share of requests, before it is told.")
    days: Days = Field(7, description="Days that are looked at.")
    against_days: Days = Field(28, description="Days before those, with which they are compared.")
    least_outcomes: Count = Field(50, description="Fewer, on either side, say nothing.")


class PriceChangeAlert(Strict):
    """Of the prices of tokens that are in use."""

    least: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), IsNumber] = Field(
        0.01, description="By what share the same tokens must cost more or less."
    )


class UnknownPriceAlert(Strict):
    """Of attempts whose price nobody knows, which are in no cost."""

    hours: Annotated[int, Field(ge=1, le=720), IsNumber] = Field(24, description="Hours that are looked at.")


class SpoolingAlert(Strict):
    """Of rows that do not come into the ledger's store."""

    waiting_bytes: Annotated[int, Field(ge=1024, le=1 << 40), IsNumber] = Field(
        4_194_304, description="Told where so much of the spool waits at two looks in a row."
    )


class AlertsEntry(Strict):
    """What somebody is told of, once when it begins and once when it is over."""

    to: dict[Label, AlertReceiverEntry] = Field(
        min_length=1, max_length=20, description="Who is told, by a name of your choice."
    )
    every_s: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False), IsNumber] = Field(
        60, description="How often it is looked."
    )
    off: tuple[AlertKind, ...] = Field((), description="Kinds that are not looked at.")
    budget: BudgetAlert = Field(default_factory=BudgetAlert, description="A budget is nearly used, or used.")
    utilisation: UtilisationAlert = Field(default_factory=UtilisationAlert, description="A pool idles.")
    break_even: BreakEvenAlert = Field(default_factory=BreakEvenAlert, description="Break-even is crossed.")
    price_change: PriceChangeAlert = Field(default_factory=PriceChangeAlert, description="Tokens cost something else.")
    errors: ErrorsAlert = Field(default_factory=ErrorsAlert, description="An error budget burns.")
    quality: QualityAlert = Field(default_factory=QualityAlert, description="Fewer requests do their job.")
    unknown_price: UnknownPriceAlert = Field(default_factory=UnknownPriceAlert, description="A price is not known.")
    spooling: SpoolingAlert = Field(default_factory=SpoolingAlert, description="The ledger cannot be written.")
