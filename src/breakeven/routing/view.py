"""What a policy sees of the targets and of the request: numbers only, so that the same code runs plain and compiled.

In the gateway each field of ``Targets`` is a list or tuple with one entry a target, in the simulator a numpy array.
The index of a target is its place in the configured order.  Not every policy reads every field; a field that is not
known holds what its description says.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Targets(NamedTuple):
    """The targets of one route, column by column; all columns are of the same length, at least one."""

    serves: Sequence[int]
    """Whether the request may go there at all: what ``eligible`` returned (0 or 1, or a bool)."""

    healthy: Sequence[int]
    """Whether it answered of late; ``serves`` has taken it into account."""

    in_flight: Sequence[int]
    """Requests sent there and not ended."""

    queue_length: Sequence[int]
    """Requests that wait inside it, by its own account; 0 where it gives none."""

    kv_use_fraction: Sequence[float]
    """Share of its KV cache in use, 0 to 1; 0 where it is not known."""

    predicted_ttft_s: Sequence[float]
    """Seconds to the first token for this request; NaN where there is no prediction."""

    price_usd: Sequence[float]
    """What this request is expected to add to the bill there; NaN where a price is not known."""

    weight: Sequence[float]
    """Share of the traffic, relative to the others; 0: only when nothing else is left."""

    paid: Sequence[int]
    """Whether it is capacity that is paid for whether it is used or not: a node of a pool (0 or 1)."""

    full: Sequence[int]
    """Whether it passed one of its limits and is not back below it: what ``is_full`` returned last (0 or 1)."""

    in_hours: Sequence[int]
    """Whether its timetable is open now (0 or 1); 1 where it has none."""


class Request(NamedTuple):
    """What is known of a request before it is sent."""

    input_tokens: int
    """Estimated; all prompt tokens."""

    output_tokens: int
    """Expected; 0 when nothing is known."""

    task: int
    """Code of the task that it serves; 0 for none."""

    prefix_hash: int
    """Equal for requests whose prompts begin alike; 0 when not computed."""

    priority: int
    """Higher goes first; 0 is usual."""

    deadline_s: float
    """Seconds left to answer in; infinity for none."""

    budget_usd: float
    """What its key may still spend; infinity for no budget."""

    attempt: int
    """Attempts made before this choice."""

    most_usd: float = inf
    """What the route would have it cost at most; infinity for no such limit, within which are unknown prices too."""
