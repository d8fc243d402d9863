"""``breakeven schema``: the JSON Schema of the files that people write."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def schema(
    kind: Annotated[Literal["scenario", "rate-cards", "config"], typer.Argument(help="Which file.")] = "scenario",
) -> None:
    """Print the JSON Schema of a scenario, of a file of rate cards or of breakeven.yaml, for editors and checks."""
    if kind == "config":
        from breakeven.settings import config_schema

        typer.echo(config_schema(), nl=False)
    else:
        from breakeven.sources.schemas import schema_text

        typer.echo(schema_text(kind), nl=False)
