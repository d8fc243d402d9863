"""A result as a short document: sentences, tables, notes; for a terminal, as Markdown, and as one HTML page.

What is told of the ledger (savings, a statement, the outlook) is put into this form once and shown in three.  Names
come from outside, so every one is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.table import Table as RichTable
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

_SIGNS: Final = {sign: f"\\{sign}" for sign in "\\`*_[]|~#!"}
_ESCAPES: Final = str.maketrans(_SIGNS | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", "\n": " ", "\r": " "})


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under heads; the first ``left_count`` columns are words, the others figures."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_count: int = 1
    sums_count: int = 0
    """So many of the last rows are sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What is to be told, from the most important on."""

    title: str
    lead: tuple[str, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


def document_lines(found: Document) -> Iterator[RenderableType]:
    """Yield what is printed on a terminal; notes are left to the caller, for the error stream."""
    yield from (Text(text) for text in found.lead)
    for table in found.tables:
        yield Text()
        yield from ((Text(table.title),) if table.title else ())
        yield _terminal_table(table)


def document_markdown(found: Document) -> str:
    """Return the document as GitHub-flavoured Markdown."""
    lines = [f"## {_said(found.title)}", ""]
    for text in found.lead:
        lines += [_said(text), ""]
    for table in found.tables:
        lines += [f"**{_said(table.title)}**", ""] if table.title else []
        lines += [_row(table.heads), _row(tuple("---" if n < table.left_count else "---:" for n in _each(table)))]
        lines += [_row(tuple(map(_said, row))) for row in table.rows]
        lines.append("")
    lines += [f"- {_said(text)}" for text in found.notes]
    return "\n".join(lines).rstrip() + "\n"


def document_page(found: Document) -> str:
    """Return the document as one self-contained HTML page, without a script."""
    from importlib.metadata import version  # noqa: PLC0415 - for this form alone, as is the next

    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - slow to import

    from breakeven.reports.colours import PALETTE  # noqa: PLC0415 - as above

    pages = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=PackageLoader("breakeven.reports", "page"),
    )
    page = pages.get_template("document.html.jinja")
    return page.render(found=found, version=version("breakeven"), palette=PALETTE)


def _terminal_table(table: Table) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(table.heads):
        left = number < table.left_count
        shown.add_column(Text(name), justify="left" if left else "right", overflow="fold", no_wrap=not left)
    for row in table.rows:
        shown.add_row(*map(Text, row))
    return shown


def _each(table: Table) -> range:
    return range(len(table.heads))


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _said(text: str) -> str:
    return text.translate(_ESCAPES)
