"""What may be limited, whose, by how much, and for how long: rules, and the edges of their windows in UTC.

Amounts are whole numbers: requests, tokens, requests at once, or billionths of a dollar.  Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable

Scope = Literal["key", "team", "tag", "model", "target", "provider"]
Kind = Literal["requests", "tokens", "parallel", "usd"]
Window = Literal["minute", "day", "month", "none"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
WINDOWS: Final[tuple[Window, ...]] = get_args(Window)

NANO: Final = 1_000_000_000
"""Units of a dollar in amounts of kind ``usd``: fine enough for one cached token, and exact in a script's double
up to nine million dollars."""


class Rule(NamedTuple):
    """One limit: ``scope`` and ``name`` say whose, ``kind`` of what, ``amount`` how much, ``window`` in which time.

    ``parallel`` has the window ``none`` and the other kinds one of the others.  A tag is named as it stands between
    the commas of a request's tags: ``env=prod``.
    """

    scope: Scope
    name: str
    kind: Kind
    amount: int
    """Requests, tokens, requests at once, or ``NANO``-ths of a dollar, by kind."""

    window: Window

    @property
    def counts(self) -> Identity:
        """Return what it counts: two rules that count the same differ in their amounts alone."""
        return self.scope, self.name, self.kind, self.window

    @property
    def words(self) -> str:
        """Return the limit in words: ``10 requests per minute``, ``2.50 USD per day``, ``4 requests at once``."""
        if self.kind == "parallel":
            return f"{self.amount:,} requests at once"
        return f"{self.quantity(self.amount)} per {self.window}"

    def quantity(self, amount: int) -> str:
        """Return an amount of this kind in words; dollars to four digits, rounded up."""
        if self.kind == "usd":
            shown = (Decimal(amount) / NANO).quantize(Decimal("0.0001"), ROUND_CEILING)
            return f"{shown:,f}".rstrip("0").rstrip(".") + " USD"
        return f"{amount:,} {'tokens' if self.kind == 'tokens' else 'requests'}"


Identity = tuple[Scope, str, Kind, Window]


def nano_usd(amount_usd: Decimal) -> int:
    """Return dollars as ``NANO``-ths, rounded up, so that what is small is never free."""
    return int((amount_usd * NANO).to_integral_value(ROUND_CEILING))


def window_edges(window: Window, at_s: float) -> tuple[int, int]:
    """Return the beginning and the end, in Unix seconds, of the day or month (UTC) that holds a moment.

    Other windows have no edges: a minute slides, and ``none`` is for ever.
    """
    begins = datetime.fromtimestamp(at_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "day":
        ends = begins + timedelta(days=1)
    elif window == "month":
        begins = begins.replace(day=1)
        ends = (begins + timedelta(days=31)).replace(day=1)
    else:
        raise ValueError(f"a window of kind {window!r} has no edges")
    return int(begins.timestamp()), int(ends.timestamp())


def divided(rules: Iterable[Rule], workers: int) -> tuple[Rule, ...]:
    """Return the share of one of several workers that know nothing of each other, rounded up.

    Together they admit at most ``workers - 1`` units more than the rule, and less where requests come to few of them.
    """
    return tuple(rule._replace(amount=-(-rule.amount // workers)) for rule in rules)
