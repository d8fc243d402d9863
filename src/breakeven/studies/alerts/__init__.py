"""What somebody should be told of: conditions from figures of the ledger, and the course that notices of them take.

``conditions`` says of figures whether they are bad; ``course`` follows each from when it begins until it is over, so
that it is told once; what is looked up, and when, is ``wiring``'s.
"""

from breakeven.studies.alerts.conditions import KINDS, Condition, Kind, Severity
from breakeven.studies.alerts.course import Notice, Telling, follow, tellings, told

__all__ = ["KINDS", "Condition", "Kind", "Notice", "Severity", "Telling", "follow", "tellings", "told"]
