"""What a worker knows of the requests of which copies go to the process of trials: plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRule:
    """A share of a model's requests, and the target that they are shown to as well."""

    model: str
    """The name that clients ask for; ``*``: any."""

    candidate: str = ""
    """Who is asked the same; empty: nobody, the copy is for its signals alone."""

    asked_as: str = ""
    """The model's name there; empty: the target's own, or the client's."""

    share_fraction: float
    """Of requests, drawn by their ids, so that another process would draw the same."""

    tasks: tuple[str, ...] = ()
    """Whose requests are copied; empty: of all, those without a task too.  Likewise the next two."""

    keys: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """Any one of which a request bears."""
