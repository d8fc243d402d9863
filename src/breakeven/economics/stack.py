"""The cost stack: named lines, each with its layer, formula and inputs, that add up to a bill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breakeven.quantities import Number

Layer = Literal["tokens", "compute", "standby", "engineering", "infrastructure", "reliability", "tuning", "one-off"]
LAYERS: tuple[Layer, ...] = get_args(Layer)

Drain = Literal[
    "engineering labour",
    "MLOps infrastructure",
    "hardware decay",
    "incident response",
    "opportunity cost",
    "idle capacity",
]
DRAINS: tuple[Drain, ...] = get_args(Drain)
"""The six economic drains of 001, each a line of the stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackLine:
    """One line of a monthly bill.

    ``formula`` is written in the names of ``inputs``: the numbers that went into it, of which those
    that are assumptions carry their keys.
    """

    key: str
    layer: Layer
    usd_per_month: Number
    formula: str
    inputs: Mapping[str, Number]
    drain: Drain | None = None
    sunk: bool = False
    """Paid whatever is decided: hardware owned already, a team that exists."""


def line(
    key: str,
    layer: Layer,
    usd_per_month: Number,
    formula: str,
    inputs: Mapping[str, Number] | None = None,
    *,
    drain: Drain | None = None,
    sunk: bool = False,
) -> StackLine:
    """Build a line; ``inputs`` are the numbers that its formula names."""
    return StackLine(
        key=key, layer=layer, usd_per_month=usd_per_month, formula=formula, inputs=inputs or {}, drain=drain, sunk=sunk
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CostStack:
    """A month's bill by lines.  ``partial`` names what could not be priced; it is not zero."""

    lines: tuple[StackLine, ...]
    partial: tuple[str, ...] = ()

    @property
    def usd_per_month(self) -> Number:
        """The sum of the lines."""
        return sum(item.usd_per_month for item in self.lines)

    def layer_usd_per_month(self, layer: Layer) -> Number:
        """Return the sum of one layer."""
        return sum(item.usd_per_month for item in self.lines if item.layer == layer)
