"""Pieces of HTML for the page: tables, sentences, and texts of which nothing is left that a browser would act on."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_CHARACTERS: Final = 80
MOST_SENTENCE: Final = 1_000

Cell = tuple[str, str]
"""Text of a cell, and the class of its looks; ``n``: a number, ``w``: a sentence."""


class Html(str):
    """A text that is HTML already: made here, of texts that went through ``shown``."""

    __slots__ = ()


def shown(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text as HTML shows it: escaped, of bounded length, without characters that turn others round."""
    cut = text if len(text) <= most else f"{text[:most]}…"
    return escape("".join(letter if letter.isprintable() else "�" for letter in cut))


def sentence(text: str, looks: str = "") -> str:
    """Return a paragraph."""
    return f"<p{_class(looks)}>{shown(text, MOST_SENTENCE)}</p>"


def table(title: str, heads: Sequence[str], body: Iterable[Sequence[Cell]], *, none: str = "Nothing yet.") -> str:
    """Return a table under its title; ``none`` is said where it has no rows.  Without a title the rows alone."""
    rows = list(body)
    head = f"<h2>{shown(title)}</h2>" if title else ""
    if not rows:
        return f"{head}{sentence(none)}"
    numbers = [looks if looks in ("n", "w") else "" for _, looks in rows[0]]
    names = "".join(
        f"<th scope=col{_class(looks)}>{shown(name)}</th>" for name, looks in zip(heads, numbers, strict=True)
    )
    lines = ["".join(f"<td{_class(looks)}>{_cell(text, looks)}</td>" for text, looks in cells) for cells in rows]
    return (
        f"{head}<div><table><thead><tr>{names}</tr></thead>"
        f"<tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table></div>"
    )


def _cell(text: str, looks: str) -> str:
    if isinstance(text, Html):
        return text
    return shown(text, MOST_SENTENCE if looks == "w" else MOST_CHARACTERS)


def _class(looks: str) -> str:
    return f' class="{escape(looks)}"' if looks else ""
