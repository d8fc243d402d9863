"""The options that commands on the ledger share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.errors import InputError
from breakeven.ledger.asked import moment_of

if TYPE_CHECKING:
    from datetime import datetime

Ledger = Annotated[Path | None, typer.Option(help="Folder of the ledger; default: as the settings say.")]
Config = Annotated[Path | None, typer.Option(help="Settings that say where the ledger is; default: breakeven.yaml.")]
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


def moment(option: str, text: str) -> datetime:
    """Return the moment that an option says, in UTC unless it says otherwise.  Raises ``InputError``."""
    try:
        return moment_of(text)
    except ValueError as error:
        raise InputError(f"{option} {text!r} is no time: write 2026-11-21 or 2026-11-21T14:00, in UTC.") from error
