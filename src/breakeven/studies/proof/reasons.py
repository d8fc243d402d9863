"""What a difference between an invoice and the ledger is likely to come from, told from its pattern.

A reason is a guess that the figures bear out, never a correction: what differs goes on differing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from breakeven.ledger.invoiced import Charged

NOISE_USD: Final = Decimal("0.000001")
"""Less than this is less than one token: last digits of an export that was a float once."""

_HALF_CENT_USD: Final = Decimal("0.005")
_SAME_SHARE: Final = Decimal("0.001")
"""Two quotients this near to each other are one price."""

_SMALL_SHARE: Final = Decimal("0.02")

OTHER_ZONE: Final = (
    "Days are cut elsewhere: over the month both sides come to the same (providers cut at midnight UTC)."
)
ROUNDED: Final = "The export rounds every line to cents."
UNSEEN: Final = "Not through the gateway: another key or project of the same account used this model."
NOT_BILLED: Final = (
    "Not on this invoice: another account or project, free credits, or a tier that the export leaves out "
    "(Anthropic's has no Priority Tier)."
)
NO_TOKENS: Final = "No tokens: searches, storage, tools and the like do not pass as tokens, and have no price here."
CACHED: Final = "Cached input: one side tells it apart from plain input, or at another size, and the other does not."


class Key(NamedTuple):
    """What one line is about."""

    day: date
    model: str
    kind: str


class Compared:
    """Both sides of a line while it is added up, and how many lines of the invoice are in it."""

    __slots__ = ("invoice_usd", "ledger_usd", "lines")

    def __init__(self) -> None:
        self.invoice_usd = self.ledger_usd = Decimal(0)
        self.lines = 0

    @property
    def difference_usd(self) -> Decimal:
        """Invoice less ledger."""
        return self.invoice_usd - self.ledger_usd


class Entry(NamedTuple):
    """A line."""

    key: Key
    found: Compared


class Placed(NamedTuple):
    """What the ledger has of a day and a price list, with the model as the lines name it; empty: they name none."""

    model: str
    charged: Charged


def reasons_of(
    entries: Sequence[Entry], charges: Sequence[Placed], *, is_rounded: bool
) -> list[tuple[Entry, tuple[str, ...]]]:
    """Return the lines that differ by more than a float's last digits, each with what it is likely to come from."""
    whole = _Whole(entries, charges)
    return [
        (entry, tuple(_reasons(entry, whole, is_rounded=is_rounded)))
        for entry in entries
        if abs(entry.found.difference_usd) >= NOISE_USD
    ]


class _Whole:
    """What the lines of a seller come to together."""

    def __init__(self, entries: Sequence[Entry], charges: Sequence[Placed]) -> None:
        self.by_kind: dict[tuple[str, str], Compared] = defaultdict(Compared)
        self.by_model: dict[str, Compared] = defaultdict(Compared)
        self.days: dict[tuple[str, str], list[Compared]] = defaultdict(list)
        for key, found in entries:
            for whole in (self.by_kind[key.model, key.kind], self.by_model[key.model]):
                whole.invoice_usd += found.invoice_usd
                whole.ledger_usd += found.ledger_usd
                whole.lines += found.lines
            self.days[key.model, key.kind].append(found)
        self.unpriced_count = sum(item.charged.unpriced_count for item in charges)
        self.estimated: Counter[tuple[date, str]] = Counter()
        """Attempts by day and model; likewise the next."""

        self.cut: Counter[tuple[date, str]] = Counter()
        for model, item in charges:
            self.estimated[item.day, model] += item.estimated_count
            self.cut[item.day, model] += item.cut_count

    def ratio(self, key: Key) -> Decimal | None:
        """Return invoice over ledger where it is one and the same on every day, and not 1; else None."""
        days = [item for item in self.days[key.model, key.kind] if item.ledger_usd and item.invoice_usd]
        ratios = [item.invoice_usd / item.ledger_usd for item in days]
        whole = self.by_kind[key.model, key.kind]
        if len(days) < 2 or len(days) < len(self.days[key.model, key.kind]) or not whole.ledger_usd:
            return None
        mean = whole.invoice_usd / whole.ledger_usd
        same = all(abs(ratio - mean) <= _SAME_SHARE * mean for ratio in ratios)
        return mean if same and abs(mean - 1) > _SAME_SHARE else None


def _reasons(entry: Entry, whole: _Whole, *, is_rounded: bool) -> Iterator[str]:
    key, found = entry
    month, model = whole.by_kind[key.model, key.kind], whole.by_model[key.model]
    if key.kind == "other":
        yield NO_TOKENS
        return
    if is_rounded and abs(found.difference_usd) <= _HALF_CENT_USD * max(found.lines, 1):
        yield ROUNDED
        return
    if not model.ledger_usd and model.invoice_usd:
        yield UNSEEN if not whole.unpriced_count else _unpriced(whole)
        return
    if not model.invoice_usd and model.ledger_usd:
        yield NOT_BILLED
        return
    slack_usd = _HALF_CENT_USD * max(month.lines, 1) if is_rounded else NOISE_USD
    if abs(month.difference_usd) <= slack_usd:
        yield OTHER_ZONE
        return
    yield from _of_amounts(key, found, whole)


def _of_amounts(key: Key, found: Compared, whole: _Whole) -> Iterator[str]:
    """Yield why the month as a whole differs."""
    cached = whole.by_kind.get((key.model, "cached input"), Compared())
    plain = whole.by_kind.get((key.model, "input"), Compared())
    if (
        key.kind in ("input", "cached input")
        and cached.difference_usd * plain.difference_usd < 0
        and abs(cached.difference_usd) >= NOISE_USD
    ):
        yield CACHED
    ratio = whole.ratio(key)
    if ratio is not None:
        yield (
            f"The invoice is {ratio:.4g} times the ledger on every day: another price than the rate card's "
            "(a discount, a tier, a region, tax). Correct the rate card, then: breakeven ledger reprice."
        )
    if whole.unpriced_count:
        yield _unpriced(whole)
    cut_count, estimated_count = (counts[key.day, key.model] for counts in (whole.cut, whole.estimated))
    if found.difference_usd > 0 and key.kind in ("output", "") and cut_count:
        yield (
            f"{cut_count:,} answers were cut off or left by their client: the provider may have counted on "
            "after the last byte that came."
        )
    if estimated_count and abs(found.difference_usd) <= _SMALL_SHARE * max(found.ledger_usd, found.invoice_usd):
        yield f"{estimated_count:,} attempts have estimated token counts: the target told none."
    if found.difference_usd > 0 and not whole.unpriced_count and ratio is None:
        yield UNSEEN
    if found.difference_usd < 0 and ratio is None:
        yield NOT_BILLED


def _unpriced(whole: _Whole) -> str:
    return (
        f"{whole.unpriced_count:,} attempts have no known price in the ledger. Add a rate card, then: breakeven ledger "
        "reprice."
    )
