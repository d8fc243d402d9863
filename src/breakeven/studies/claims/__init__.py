"""Published claims, recomputed: ``check_claims`` is the study, ``ClaimResult`` what it finds."""

from breakeven.studies.claims.study import NOT_RECOMPUTABLE, RECOMPUTE, ClaimResult, DecidedBy, check_claims

__all__ = ["NOT_RECOMPUTABLE", "RECOMPUTE", "ClaimResult", "DecidedBy", "check_claims"]
