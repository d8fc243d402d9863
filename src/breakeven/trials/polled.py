"""What the process of trials does every few seconds beside its copies: shifts, texts whose time is over."""

from __future__ import annotations

from typing import Final, Protocol

EVERY_S: Final = 1.0
"""How often everything is asked; what needs less looks at the clock itself."""


class Polled(Protocol):
    """Something that is looked after now and then, in a thread: it may read and write the store."""

    def poll(self, now_s: float) -> tuple[str, ...]:
        """Look, at a time in Unix seconds; return what was done, in sentences for a log.

        May raise ``InputError``, which is logged once: what was not done is done next time.
        """
