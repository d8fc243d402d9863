"""An option's bill as a function of what a reader may re-weigh: volume, utilisation, prices, engineers.

It is the bill at likely values, taken apart into what each lever moves; with every lever at 1 it is that bill.
A page evaluates the same few operations, so that sliders need no server.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class Levers:
    """Where the reader has put each lever, as a multiple of the likely value."""

    volume_ratio: float = 1.0
    utilisation_ratio: float = 1.0
    """What a node carries, over what it carries when sized for this traffic."""

    api_price_ratio: float = 1.0
    gpu_price_ratio: float = 1.0
    engineers_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverBill:
    """The parts of a month's bill.

    Tokens cost ``tokens_usd_per_month`` at the volume planned for, and never less than what is committed.  Nodes:
    ``node_usd_per_month`` and ``node_engineering_usd_per_month`` for each of max(min_nodes, ceil(needed_nodes)) +
    standby_nodes, whose engineers are further to those of ``engineering_usd_per_month``.  The rest does not move.
    """

    tokens_usd_per_month: float = 0.0
    committed_usd_per_month: float = 0.0
    node_usd_per_month: float = 0.0
    node_engineering_usd_per_month: float = 0.0
    needed_nodes: float = 0.0
    """Nodes that the volume planned for needs, before rounding up."""

    min_nodes: int = 0
    standby_nodes: int = 0
    engineering_usd_per_month: float = 0.0
    other_usd_per_month: float = 0.0

    def nodes(self, levers: Levers) -> int:
        """Return the serving nodes."""
        needed = self.needed_nodes * levers.volume_ratio / levers.utilisation_ratio
        return max(self.min_nodes, ceil(needed * (1 - 1e-12)))

    def usd_per_month(self, levers: Levers) -> float:
        """Return the bill."""
        each = self.node_usd_per_month * levers.gpu_price_ratio
        each += self.node_engineering_usd_per_month * levers.engineers_ratio
        return (
            max(self.tokens_usd_per_month * levers.volume_ratio * levers.api_price_ratio, self.committed_usd_per_month)
            + each * (self.nodes(levers) + self.standby_nodes)
            + self.engineering_usd_per_month * levers.engineers_ratio
            + self.other_usd_per_month
        )
