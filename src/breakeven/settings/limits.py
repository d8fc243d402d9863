"""What ``breakeven.yaml`` says of limits: of keys, teams, tags, models, targets and providers; with whom shared."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from breakeven.settings.secret import REFERENCE_PATTERN, check_reference
from breakeven.sources.written import IsNumber, Strict

_SERVER: Final = r"^(redis|rediss)://[A-Za-z0-9._\[\]:-]+(/[0-9]+)?$|^unix:///[!-~]+$"


def _check_server(text: str) -> str:
    if "@" in text:
        raise ValueError("credentials do not stand in a URL: write user: and password:, a reference env:… or file:…")
    if not re.fullmatch(_SERVER.replace("$", ""), text):
        raise ValueError("write redis://HOST:PORT, rediss://HOST:PORT (with TLS) or unix:///PATH")
    return text


Often = Annotated[int, Field(ge=1, le=10**12), IsNumber]
Budget = Annotated[Decimal, Field(gt=0, le=1_000_000_000, allow_inf_nan=False), IsNumber]
ServerUrl = Annotated[str, AfterValidator(_check_server), WithJsonSchema({"type": "string", "pattern": _SERVER})]
Password = Annotated[
    str, AfterValidator(check_reference), WithJsonSchema({"type": "string", "pattern": REFERENCE_PATTERN})
]


class QuotaEntry(Strict):
    """What may be used; what is left out is not limited."""

    requests_per_minute: Often | None = Field(None, description="Most requests in any 60 seconds.")
    tokens_per_minute: Often | None = Field(None, description="Most tokens, in and out, in any 60 seconds.")
    parallel: Often | None = Field(None, description="Most requests at once.")
    budget_day_usd: Budget | None = Field(None, description="Most US dollars a day, from midnight to midnight UTC.")
    budget_month_usd: Budget | None = Field(None, description="Most US dollars a calendar month, UTC.")


class QuotasEntry(Strict):
    """Limits of what several keys use together."""

    teams: dict[str, QuotaEntry] = Field(default_factory=dict, description="By team: all its keys together.")
    tags: dict[str, QuotaEntry] = Field(
        default_factory=dict, description="By tag as it stands between the commas of a request's tags: env=prod."
    )
    models: dict[str, QuotaEntry] = Field(default_factory=dict, description="By model, as clients name it.")
    targets: dict[str, QuotaEntry] = Field(default_factory=dict, description="By target: every attempt counts.")
    providers: dict[str, QuotaEntry] = Field(
        default_factory=dict,
        description="By provider, as targets name it or as it is told by their hosts: all its targets together.",
    )
    output_tokens: Often = Field(
        1024,
        description="Output that is reserved for a request that says no largest one; what it took is settled after.",
    )


class SharedStateEntry(Strict):
    """A Redis or Valkey through which workers and gateways share their limits."""

    url: ServerUrl = Field(description="redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH, without credentials.")
    user: str | None = Field(None, min_length=1, max_length=256, pattern=r"^[!-~]+$", description="User name.")
    password: Password | None = Field(None, description="Reference to the password: env:NAME or file:PATH.")
    slack: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), IsNumber] = Field(
        0.1, description="Share of each limit that this gateway may spend beyond it while the server is away."
    )
