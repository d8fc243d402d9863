"""``breakeven schema``: the JSON Schema of the files that people write."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def schema(
    kind: Annotated[Literal["scenario", "rate-cards"], typer.Argument(help="Which file.")] = "scenario",
) -> None:
    """Print the JSON Schema of a scenario or of a file of rate cards, for editors and checks."""
    from breakeven.sources.schemas import schema_text

    typer.echo(schema_text(kind), nl=False)
