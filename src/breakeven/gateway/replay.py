"""Answers that are given again: to a request that is equal to an earlier one, or to one that asks the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.gateway.answer import replayed
from breakeven.gateway.cache import OFF, REFRESH, cache_key, may_be_kept, use_of
from breakeven.gateway.dialects import CROSSED
from breakeven.gateway.labels import TASK
from breakeven.gateway.race import Race
from breakeven.gateway.recollection import Wanted
from breakeven.gateway.relay import ENDED, WAITING
from breakeven.ledger.rows import CACHED
from breakeven.metering.reading import Reading

if TYPE_CHECKING:
    from breakeven.gateway.cache import Stored
    from breakeven.gateway.replies import Reply


class Replay(Race):
    """A request that may be answered with what is kept, before it is sent anywhere."""

    __slots__ = ()

    def send(self, index: int, reason: int) -> Reply | None:
        """Send the request to a target, as soon as its limits allow it; return why it is refused."""
        raise NotImplementedError

    def client_left(self) -> None:
        """Stop what is being done: nobody waits any more."""
        raise NotImplementedError

    def release(self) -> None:
        """Send the last bytes: the row is kept."""
        raise NotImplementedError

    def tenant(self) -> bytes:
        """Return whose answers it may be given again."""
        return self.key.name.encode()

    def recalls(self) -> bool:
        """Answer with what was kept of an equal request, or look for a similar one, where that is asked for.

        Return whether nothing is sent for now.
        """
        client, shared, labels = self.client, self.shared, self.labels
        task = client.labels.get(TASK, b"")
        similar = shared.similar if task and self.dialect in CROSSED else None
        similar_s = similar.ttl_s(task) if similar is not None else 0.0
        ttl_s = similar_s or self.route.cache_s
        use = use_of(client.labels, route_on=ttl_s > 0)
        if use == OFF or not may_be_kept(self.dialect.path, self.payload):
            return False
        kinds = labels.sensitivities if labels is not None else self.key.sensitivities
        self.cache_key = cache_key(
            self.tenant(), self.dialect.path, self.payload, client.passed, ",".join(sorted(kinds))
        )
        if use == REFRESH:
            return False
        stored = shared.cache.get(self.cache_key, self.ready_s, ttl_s or None)
        if stored is not None and self._given_again(stored, shared.state.cached):
            return True
        if similar is None or not similar_s or labels is None:
            return False
        wanted = Wanted(task, self.key, labels, self.dialect.path, self.payload, client.passed, self.cache_key)
        self.recall = similar.look_up(wanted, self._recalled)
        if self.recall is not None:
            self.phase = WAITING
            client.exchange = self
        return self.recall is not None

    def _recalled(self, stored: Stored | None) -> None:
        """Go on once a similar request was looked for: give its answer again, or send this one."""
        if self.phase != WAITING or (stored is not None and self._given_again(stored, self.shared.state.similar)):
            return
        self.go_on()

    def go_on(self) -> None:
        """Send the request after a wait to whoever may take it now, or tell the client that nobody may."""
        asked = self.asked()
        index, reason = self.choose(asked, self.tried)
        refused = self.route.refusal(asked) if index < 0 else self.send(index, reason)
        if refused is not None:
            self.turned_away(refused)

    def turned_away(self, refused: Reply) -> None:
        """Tell the client that its request, which has waited, goes nowhere."""
        self.phase = ENDED
        self.client.exchange = None
        self.client.reply(refused)

    def _given_again(self, stored: Stored, decision: tuple[bytes, int]) -> bool:
        """Answer with what was kept, unless the target that made it serves this model no more; return whether."""
        client, shared = self.client, self.shared
        offer = next((offer for offer in self.route.offers if offer.target.code == stored.target_code), None)
        if offer is None:
            return False
        self.offer = offer
        self.decision = decision
        self.sent_s = self.first_byte_s = 0.0
        self.phase = ENDED
        client.exchange = self
        age_s = int(shared.clock.monotonic() - stored.stored_s)
        self.tail = replayed(client, stored, self.own_lines(), age_s, similar=decision is shared.state.similar)
        used = Reading(*stored[3:8], estimated=False)
        shared.recorder.keep(self.row(CACHED, "", used, stored.status), self)
        return True
