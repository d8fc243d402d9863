"""What a log's requests are for, by task or by shape, and what a smaller target could take at what risk."""

from breakeven.studies.audit.result import Audit, AuditRow
from breakeven.studies.audit.study import Group, Prices, audit

__all__ = ["Audit", "AuditRow", "Group", "Prices", "audit"]
