"""Costs per success: retries, corrections, and how much worse a cheaper model may be."""

from __future__ import annotations


def usd_per_success(attempt_usd: float, *, success_fraction: float, correction_usd_per_failure: float = 0.0) -> float:
    """Return the expected cost of one success when failures are retried until one works.

    Attempts are geometric with mean 1/p, of which 1/p - 1 fail and cost their handling:
    c / p + h x (1/p - 1).
    """
    if not 0 < success_fraction <= 1:
        raise ValueError(f"a success share is above 0 and at most 1, got {success_fraction}")
    attempts = 1 / success_fraction
    return attempts * attempt_usd + (attempts - 1) * correction_usd_per_failure


def paying_quality_loss_fraction(cheaper_usd: float, *, today_usd: float) -> float:
    """Return the share of answers that may fail more often before the cheaper model stops paying.

    cheaper / (1 - loss) = today, the cost of repeating a failed answer only; handling a failure
    lowers it.  0 when it is not cheaper.
    """
    if today_usd <= 0 or cheaper_usd >= today_usd:
        return 0.0
    return 1 - cheaper_usd / today_usd


def routed_saving_fraction(routed_fraction: float, *, price_ratio: float) -> float:
    """Return what is saved when that share of *tokens* goes to a target at ``price_ratio`` of the price."""
    return routed_fraction * (1 - price_ratio)


def saving_fraction(before_usd: float, *, after_usd: float) -> float:
    """Return the share of a bill that is saved, negative when it grew: 1 - after / before (001's firm)."""
    return 1 - after_usd / before_usd
