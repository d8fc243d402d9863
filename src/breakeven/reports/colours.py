"""The colours of charts and pages, each with its twin on a dark page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from breakeven.economics.stack import Layer

INK, MUTED, GRID, BAND = "#1c1d1f", "#6b6f76", "#e4e2dc", "#ece9e1"
PAPER: Final = "#ffffff"
"""Behind a chart in a file of its own; on a page a chart has no ground."""

POOL, TODAY, BETTER, OPEN = "#14776a", "#a8432f", "#c98b2e", "#3f6fae"
LINE_COLOURS: Final = {"today": TODAY, "today-optimised": BETTER, "open-api": OPEN}
LAYER_COLOURS: Final[dict[Layer, str]] = {
    "tokens": "#4a78b5",
    "compute": "#1b7f71",
    "standby": "#84bcb1",
    "engineering": "#c98b2e",
    "infrastructure": "#e3c48d",
    "reliability": "#96594c",
    "tuning": "#7d659c",
    "one-off": "#b3aea5",
}
PALETTE: Final[dict[str, str]] = {
    INK: "#eceae5",
    MUTED: "#a09d96",
    GRID: "#34363a",
    BAND: "#2a2c31",
    POOL: "#4fc0ae",
    TODAY: "#e58a72",
    OPEN: "#83aee6",
    "#4a78b5": "#6d9bd8",
    "#1b7f71": "#3aa695",
    "#84bcb1": "#6b938c",
    "#c98b2e": "#dba24c",
    "#e3c48d": "#8f7a52",
    "#96594c": "#bb7c6d",
    "#7d659c": "#a48cc2",
    "#b3aea5": "#77746e",
}
"""Light colour → the same on a dark page."""
