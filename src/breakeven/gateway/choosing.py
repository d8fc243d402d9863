"""The choice of a target for one request: what is asked for on whose behalf, and what shifts and policy say to that."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from breakeven.gateway.columns import Moment
from breakeven.gateway.replay import Replay
from breakeven.gateway.shifting import Asking
from breakeven.routing.policies.reasons import SHIFTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breakeven.limits.reserve import Subject
    from breakeven.routing.eligible import Asked


class Choosing(Replay):
    """A request that may be sent to one target or another."""

    __slots__ = ()

    def asked(self) -> Asked:
        """Return what the filter goes by: the key's part, with the kinds of data that the client says besides."""
        asked = self.key.asked[self.dialect.place]
        labels = self.labels
        if labels is not None:
            task = labels.task_text if self.route.reads_tasks else ""
            asked = asked._replace(sensitivities=labels.sensitivities, task=task, paid_only=labels.idle_only)
        return asked

    def as_shifts_see(self) -> Asking:
        """Return what shifts look at of the request."""
        return Asking(self.key, self.client.labels, self.labels, self.request_id, self.payload)

    def choose(self, asked: Asked, tried: Sequence[int]) -> tuple[int, int]:
        """Return the index of the next offer and the code of the reason; -1 when there is none."""
        task = self.labels.task if self.labels is not None else 0
        shared, route, columns = self.shared, self.route, self.route.columns
        if route.shifting is not None:
            indexes = route.shifting.taken(self.as_shifts_see())
            if indexes:
                index = route.first_free(indexes, asked, tried, (shared.clock.monotonic(), self.received_us))
                if index >= 0:
                    return index, SHIFTED
        left_usd = self.left_usd() if columns.reads_budget and self.key.limited else inf
        request = columns.request(self.payload, task, self.attempts, left_usd)
        now = Moment(shared.clock.monotonic(), self.received_us / 1e6, shared.uniform())
        return route.choose(asked, request, tried, now)

    def left_usd(self) -> float:
        """Return what the request may still cost under the budgets that concern it."""
        subject = self.subject()
        return inf if subject is None else self.shared.quotas.left_usd(subject, self.client.received_s)

    def subject(self) -> Subject | None:
        """Return whom and what limits may concern; None: none does."""
        key, labels = self.key, self.labels
        tags = labels.tag_text if labels is not None else key.tag_text
        return self.shared.quotas.subject(key.name, key.team, tags, self.request.model)
