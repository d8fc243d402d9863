"""What was served and what it cost in full, as an answer says it: groups of attempts, and pools beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from breakeven.economics.pool_hours import PoolTerms
    from breakeven.ledger.against import Against
    from breakeven.ledger.labels import Labels
    from breakeven.ledger.query import Total


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known beside the store: pools as they are declared now, and prices to set the answer against."""

    closed_hours: int
    """Hours since 1970 that are over."""

    declared: tuple[PoolTerms, ...] = ()
    against: Against | None = None
    reads_rows: bool = True
    """Whether rows may be read, where the GPU time of tokens is not known: it takes memory, and pyarrow perhaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCost:
    """What one group of attempts cost, on each basis."""

    labels: Labels
    total: Total
    """Counts and tokens; its own cost takes pools' attempts at their provisional price."""

    marginal_usd: Decimal
    """What was paid for these attempts alone: the price of API calls; on a pool that is paid anyway, nothing."""

    allocated_usd: Decimal
    """That, and the parts of pools' hours that served them."""

    loaded_usd: Decimal
    """That, and engineering, infrastructure and reliability of those pools, shared as their hours are."""

    unbilled_count: int
    """Attempts whose cost is in no figure: without a price, or in a pool's hours that nobody says were paid."""

    gpu_s: float
    """Time of whole nodes that it took."""

    against_usd: Mapping[str, Decimal | None] = field(default_factory=dict)
    """By price list, what its answered requests would have cost there; None where one of them has no price there."""

    @property
    def per_mtok_usd(self) -> Decimal | None:
        """Fully loaded, for a million tokens, input and output together; None without tokens."""
        tokens = self.total.usage.total_tokens
        return self.loaded_usd * 1_000_000 / tokens if tokens else None

    @property
    def per_request_usd(self) -> Decimal | None:
        """Fully loaded, for a request; None where none began here."""
        return self.loaded_usd / self.total.requests if self.total.requests else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCost:
    """What a pool's hours cost, whoever was served."""

    pool: str
    time: str
    """The hour or the day, where the question groups by it; else empty."""

    bill_usd: Decimal
    allocated_usd: Decimal
    fixed_usd: Decimal
    """Engineering, infrastructure and reliability, beside the bill."""

    allocated_fixed_usd: Decimal
    paid_s: Decimal
    unpriced_s: Decimal
    """Paid time without a known price: the bill leaves it out."""

    gpu_s: float
    unmeasured_hours: int
    """Hours whose rows are gone and whose GPU time nobody knows: shared by tokens, with nothing idle."""

    basis: str
    """Where the GPU time of tokens is from."""

    @property
    def idle_usd(self) -> Decimal:
        """What nobody used: the rest of the bill, exactly."""
        return self.bill_usd - self.allocated_usd

    @property
    def idle_fixed_usd(self) -> Decimal:
        """What of the fixed lines goes with it."""
        return self.fixed_usd - self.allocated_fixed_usd

    @property
    def utilisation_fraction(self) -> float | None:
        """GPU time over paid time; None where nothing was paid, or GPU time is not known."""
        return self.gpu_s / float(self.paid_s) if self.paid_s and not self.unmeasured_hours else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The answer: what groups are allocated and what pools have idle add up to the bills, where none is left out."""

    groups: tuple[GroupCost, ...]
    pools: tuple[PoolCost, ...]
    until: datetime
    """Hours from there on are still open, or were not asked for: they are in no figure."""
