"""What can go wrong, named for what the caller can do about it.

Bad input from people is data (``Problem``), collected and shown all at once; an exception is
raised only when nothing useful can be returned.  The command line turns every ``BreakevenError``
into a message and exit code 2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with an input: where, what (with values), and what to do."""

    where: str
    """File, with line or key where known: ``trace.csv:17`` or ``scenario.yaml:4 today``."""

    what: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" {self.fix}" if self.fix else "")


class BreakevenError(Exception):
    """Root of the errors that a person can act on; ``str()`` is fit to be read by them."""


class InputError(BreakevenError):
    """The input cannot be used; ``problems`` lists every reason that was found."""

    def __init__(self, summary: str, problems: tuple[Problem, ...] = ()) -> None:
        self.summary = summary
        self.problems = problems
        super().__init__("\n".join([summary, *(f"  {problem}" for problem in problems)]))


class UnknownNameError(BreakevenError):
    """A model, GPU, provider or line was named that the catalogue does not hold."""


class NoPriceError(BreakevenError):
    """No price is known for that target on that date; it is never taken as zero."""


class MissingExtraError(BreakevenError):
    """The command needs packages that the core install leaves out."""
