"""Shows a document as a person asked for it: on the terminal, as Markdown, as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.errors import InputError

if TYPE_CHECKING:
    from breakeven.reports.document import Document

Html = Annotated[Path | None, typer.Option(help="Also write it as one HTML file.")]
Markdown = Annotated[Path | None, typer.Option(help="Also write it as Markdown; - prints that instead.")]


def write_document(found: Document, html: Path | None, markdown: Path | None) -> bool:
    """Write the files that are asked for; return whether nothing more is to be printed."""
    from breakeven.reports.document import document_markdown, document_page

    if html:
        _write(html, document_page(found), "--html FILE")
    if markdown and str(markdown) != "-":
        _write(markdown, document_markdown(found), "--markdown FILE")
    if str(markdown) == "-":
        typer.echo(document_markdown(found), nl=False)
    return str(markdown) == "-"


def show_document(found: Document) -> None:
    """Print a document; its notes go to the error stream."""
    from breakeven.cli.output import console
    from breakeven.reports.document import document_lines

    shown = console()
    for part in document_lines(found):
        shown.print(part)
    for note in found.notes:
        typer.echo(note, err=True)


def _write(path: Path, text: str, option: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Choose another place with {option}.") from error
    typer.echo(f"wrote {path}", err=True)
