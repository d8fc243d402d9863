"""Everything that the process of files and batches is told at its start: plain frozen values, secrets included."""

from __future__ import annotations

import msgspec

from breakeven.catalog.rate_card import PriceList  # noqa: TC001 - msgspec reads these annotations at run time
from breakeven.gateway.snapshot import Target  # noqa: TC001 - likewise


class KeyTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What of a key decides where its data may go."""

    name: str
    models: tuple[str, ...] = ()
    """Empty: all."""

    tags: str = ""
    sensitivity: str = ""
    """Kinds of data that its requests are marked with, parted by commas."""

    expires_s: float | None = None


class ProviderPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A provider whose batch API may take what is left of a batch."""

    target: Target
    models: dict[str, str]
    """What the models that it may be asked for are called there."""

    prices: dict[str, PriceList]
    """By model: what the provider charges for it."""

    calls: dict[str, tuple[PriceList, ...]]
    """By model: what the targets of its route charge that sell by the token."""

    keys: tuple[KeyTerms, ...] = ()
    """Those of the settings."""

    sensitivity_of_tags: dict[str, str] = {}
    last_s: float
    """How long it may take."""

    max_requests: int
    max_bytes: int


class BatchesPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One version of what it knows."""

    folder: str
    """The ledger's, which has the socket too."""

    store: str
    """The ledger's, which tells how soon others are answered."""

    host: str = ""
    """Where the gateway listens; known when it does."""

    port: int = 0
    slots: int
    max_share_fraction: float
    idle_s: float
    """How long a batch waits for idle capacity."""

    max_file_bytes: int
    max_stored_bytes: int
    max_requests: int
    keep_s: float
    nodes: tuple[Target, ...] = ()
    """Of the gateway's pools: asked how busy they are."""

    provider: ProviderPlan | None = None
