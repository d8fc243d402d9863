"""Options that buy tokens: today's API, the same one used better, a cheaper one, an open model's seller."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from breakeven.economics.stack import CostStack, StackLine, line
from breakeven.errors import NoPriceError
from breakeven.studies.verdict.lines import engineering_lines, one_off_lines, reliability_lines
from breakeven.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from breakeven.catalog.rate_card import PriceList, Processing, RateCard
    from breakeven.records import PriceCell
    from breakeven.studies.verdict.workload import Workload

ApiKind = Literal["today", "today-optimised", "api", "open-model-api"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPrice:
    """What the observed traffic costs on one card, by token type; exact sums, crossed to float once.

    ``plain_as_cached_usd`` is what the uncached input would cost if it were read from the cache.
    """

    plain_input_usd: float
    cached_input_usd: float
    cache_write_usd: float
    output_usd: float
    requests_usd: float
    plain_as_cached_usd: float
    partial: tuple[str, ...] = ()


def price_traffic(cells: Sequence[PriceCell], price_list: PriceList, day_boundaries_s: Sequence[int], *, on: date, processing: Processing = "standard") -> TrafficPrice:
    """Price the observed traffic on the card in force on a day, cell by cell, exactly.

    Each part of the day is priced at its own card.  Raises ``NoPriceError`` when none is in force.
    """
    sums = {name: Decimal(0) for name in ("plain", "cached", "write", "output", "requests", "as_cached")}
    partial: set[str] = set()
    for cell in cells:
        card = price_list.card_at(_moment(on, cell.day_segment, day_boundaries_s), processing)
        usage = cell.usage
        plain = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
        parts = {
            "plain": _usage(input_tokens=plain),
            "cached": _usage(input_tokens=usage.cached_input_tokens, cached_input_tokens=usage.cached_input_tokens),
            "write": _usage(input_tokens=usage.cache_write_tokens, cache_write_tokens=usage.cache_write_tokens),
            "output": _usage(output_tokens=usage.output_tokens),
            "as_cached": _usage(input_tokens=plain, cached_input_tokens=plain),
        }
        for name, part in parts.items():
            price = _without_fee(card, part, cell.input_over_tokens)
            if price is None:
                partial.add("output price" if name == "output" else "input price")
            else:
                sums[name] += price
        sums["requests"] += card.prices.request_usd * cell.requests
    return TrafficPrice(
        plain_input_usd=float(sums["plain"]),
        cached_input_usd=float(sums["cached"]),
        cache_write_usd=float(sums["write"]),
        output_usd=float(sums["output"]),
        requests_usd=float(sums["requests"]),
        plain_as_cached_usd=float(sums["as_cached"]),
        partial=tuple(sorted(partial)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOption:
    """Tokens bought from one target.  ``same_model`` keeps today's token counts."""

    id: str
    title: str
    kind: ApiKind
    model: str
    price_list: PriceList
    workload: Workload
    standard: TrafficPrice
    batch: TrafficPrice | None
    same_model: bool
    target_is_today: bool

    def token_lines(self, values: Mapping[str, float]) -> tuple[StackLine, ...]:
        """Return the token bill of a month by type."""
        ratio = self.workload.month_ratio(values)
        into, out = transfer_ratios(values, same_model=self.same_model)
        named = {} if self.same_model else {"tokeniser_ratio": into, "verbosity_ratio": out}
        price = self.standard
        lines = [
            _token_line("input tokens", price.plain_input_usd, ratio, into, named),
            _token_line("cached input tokens", price.cached_input_usd, ratio, into, named),
            _token_line("cache writes", price.cache_write_usd, ratio, into, named),
            _token_line("output tokens", price.output_usd, ratio, out, named),
            _token_line("request fees", price.requests_usd, ratio, 1.0, {}),
        ]
        lines = [item for item in lines if item.usd_per_month]
        if self.kind == "today-optimised":
            lines += self._savings(values, ratio)
        return tuple(lines)

    def bill(self, values: Mapping[str, float]) -> CostStack:
        """Return the month's bill, fully loaded."""
        tokens = self.token_lines(values)
        shortfall = float(self.price_list.committed_usd_per_month) - sum(item.usd_per_month for item in tokens)
        if shortfall > 0:
            commitment = float(self.price_list.committed_usd_per_month)
            tokens += (
                line(
                    "unused commitment",
                    "tokens",
                    shortfall,
                    "max(0, committed_usd_per_month - token bill)",
                    committed_usd_per_month=commitment,
                ),
            )
        weeks = () if self.target_is_today else one_off_lines(values, "api_switch_weeks")
        return CostStack(
            lines=(
                *tokens,
                *engineering_lines(values, "api_engineering_fte"),
                *reliability_lines(values, "api"),
                *weeks,
            ),
            partial=self.standard.partial,
        )

    def _savings(self, values: Mapping[str, float], ratio: float) -> list[StackLine]:
        """Return what 002 says to do first, as negative lines: cache, shorten, batch, in that order."""
        price = self.standard
        cacheable = 0.0 if price.cached_input_usd else values["cacheable_input_fraction"]
        cached_usd = (price.plain_input_usd - price.plain_as_cached_usd) * cacheable
        trimmed_usd = price.output_usd * values["output_trim_fraction"]
        lines = [
            line(
                "saved by prompt caching",
                "tokens",
                -cached_usd * ratio,
                "-(input at full price - input at cached price) x cacheable_input_fraction",
                cacheable_input_fraction=cacheable,
                month_over_observed_ratio=ratio,
            ),
            line(
                "saved by shorter outputs",
                "tokens",
                -trimmed_usd * ratio,
                "-output tokens x output_trim_fraction",
                output_trim_fraction=values["output_trim_fraction"],
                month_over_observed_ratio=ratio,
            ),
        ]
        if self.batch is not None:
            full_usd = price.plain_input_usd - cached_usd + price.output_usd - trimmed_usd
            batch_output_usd = self.batch.output_usd * (1 - values["output_trim_fraction"])
            batch_usd = min(full_usd, self.batch.plain_input_usd + batch_output_usd)
            lines.append(
                line(
                    "saved by batch prices",
                    "tokens",
                    -(full_usd - batch_usd) * values["batchable_fraction"] * ratio,
                    "-(bill after caching and trimming - bill at batch prices) x batchable_fraction",
                    batchable_fraction=values["batchable_fraction"],
                    month_over_observed_ratio=ratio,
                )
            )
        return [item for item in lines if item.usd_per_month]


def transfer_ratios(values: Mapping[str, float], *, same_model: bool) -> tuple[float, float]:
    """Return what input and output counts become on another model: counts do not transfer."""
    return (1.0, 1.0) if same_model else (values["tokeniser_ratio"], values["verbosity_ratio"])


def batch_price(
    cells: Sequence[PriceCell], price_list: PriceList, day_boundaries_s: Sequence[int], *, on: date
) -> TrafficPrice | None:
    """Return what the traffic costs at batch prices; None where none are sold."""
    try:
        return price_traffic(cells, price_list, day_boundaries_s, on=on, processing="batch")
    except NoPriceError:
        return None


def _token_line(
    key: str, observed_usd: float, month_ratio: float, token_ratio: float, named: Mapping[str, float]
) -> StackLine:
    formula = "observed_usd x month_over_observed_ratio" + (" x token ratio" if named else "")
    usd = observed_usd * month_ratio * token_ratio
    return line(key, "tokens", usd, formula, observed_usd=observed_usd, month_over_observed_ratio=month_ratio, **named)


def _usage(**counts: int) -> TokenUsage:
    return TokenUsage(**{"input_tokens": 0, "output_tokens": 0, **counts})


def _without_fee(card: RateCard, usage: TokenUsage, input_over_tokens: int) -> Decimal | None:
    return card.price_usd(usage, requests=0, input_over_tokens=input_over_tokens)


def _moment(on: date, segment: int, boundaries_s: Sequence[int]) -> datetime:
    """Return a moment of that day inside the segment: the boundary at which it begins."""
    start = datetime(on.year, on.month, on.day, tzinfo=UTC)
    return start + timedelta(seconds=boundaries_s[segment - 1] if segment else 0)
