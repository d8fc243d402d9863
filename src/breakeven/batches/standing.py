"""What holds by now of the key of a batch: whether it is still let in, its models, and how its data is marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.batches.plan import KeyTerms
from breakeven.ledger.keys import KeysWatch
from breakeven.routing.eligible import marks

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.batches.plan import ProviderPlan
    from breakeven.batches.records import Batch
    from breakeven.clock import Clock

TAGS: Final = "x-breakeven-tags"
LOOK_S: Final = 0.5
"""How often the store is asked: as often as the gateway does."""


class Standing:
    """Knows the keys of the settings and of the store, and what a provider may be given in their name."""

    def __init__(self, plan: ProviderPlan, store: Path, clock: Clock) -> None:
        """Take what the settings say, and the store of the ledger."""
        self._plan = plan
        self._watch = KeysWatch(store)
        self._clock = clock
        self._looked_s = float("-inf")
        self._stored: tuple[KeyTerms, ...] | None = None
        """None as long as the store could not be read."""

    def may_have(self, batch: Batch) -> bool:
        """Whether the provider may have data of a batch: its key is let in, and all that marks it by now allows it."""
        keys = self._keys(batch)
        if not keys:
            return False
        of_tags = self._plan.sensitivity_of_tags
        tags = ",".join(value for name, value in batch.labels if name == TAGS)
        marked = {*batch.sensitivities, *marks((), tags, of_tags)}
        for key in keys:
            marked |= marks((key.sensitivity,), key.tags, of_tags)
        return marked.issubset(self._plan.target.sensitivities)

    def may_ask(self, batch: Batch, model: str) -> bool:
        """Whether the key of a batch may ask for a model by now."""
        return any(not key.models or model in key.models for key in self._keys(batch))

    def _keys(self, batch: Batch) -> list[KeyTerms]:
        """Return the keys of that name that are let in; for a batch without a key, what stands for everybody."""
        self._look()
        if self._stored is None:
            return []
        now_s, known = self._clock.now(), (*self._plan.keys, *self._stored)
        if not batch.key:
            return [] if known or self._watch.ever_made else [KeyTerms(name="")]
        return [key for key in known if key.name == batch.key and (key.expires_s is None or now_s < key.expires_s)]

    def _look(self) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        found = self._watch.changed()
        if found is not None:
            self._stored = tuple(
                KeyTerms(
                    name=key.name,
                    models=key.models,
                    tags=key.tags,
                    sensitivity=key.limits.sensitivity,
                    expires_s=key.expires_s,
                )
                for key in found
            )
