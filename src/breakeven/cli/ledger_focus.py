"""``breakeven ledger export --format focus``: what was paid as FOCUS 1.2, for tools that read bills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, get_args

import typer

from breakeven.cli.ledger_options import moment
from breakeven.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.wiring.ledger_focus import FocusQuestion

_FORMS: Final = ("rows", "focus")


class Asked(NamedTuple):
    """The options of the export, as they were given."""

    form: str
    since: str | None
    until: str | None
    against: str
    by: str
    account: str


def is_focus(asked: Asked) -> bool:
    """Whether FOCUS is asked for.  Raises ``InputError`` for another form, and for options that go with focus alone."""
    if asked.form not in _FORMS:
        raise InputError(f"--format {asked.form[:40]}: it is one of {', '.join(_FORMS)}.")
    if asked.form == "focus":
        return True
    given = {"--since": asked.since, "--until": asked.until, "--against": asked.against}
    for option, value in given.items():
        if value:
            raise InputError(
                f"{option} goes with --format focus; rows are written whole. Add it, or leave {option} out."
            )
    return False


def write(file: Path, asked: Asked, ledger: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Write the file, and say what was written and what it lacks."""
    from breakeven.cli.output import working
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_focus import export_focus
    from breakeven.wiring.ledger_prices import settings_path

    question = _question(asked)
    place, settings = find_ledger(ledger, config), settings_path(ledger, config)
    with working(f"Writing {file}"):
        found = export_focus(place, settings, question, file)
    if as_json:
        from breakeven.reports.as_json import to_json

        typer.echo(to_json({"file": file, "rows": found.row_count, "notes": found.notes}))
        return
    typer.echo(f"wrote {found.row_count:,} rows of FOCUS 1.2 to {file}")
    if asked.against:
        typer.echo("Savings are in rows of their own (ChargeCategory Credit): leave those out to meet the invoices.")
    for note in found.notes:
        typer.echo(note, err=True)


def _question(asked: Asked) -> FocusQuestion:
    from breakeven.ledger.charges import Grain
    from breakeven.wiring.ledger_focus import FocusQuestion

    grains = {grain: grain for grain in get_args(Grain)}
    if asked.by not in grains:
        raise InputError(f"--by {asked.by[:40]}: charges are written by {' or '.join(grains)}.")
    if not asked.account.strip() or not asked.account.isprintable():
        raise InputError("--account: a billing account has a name of one line, such as acme-ai.")
    return FocusQuestion(
        since=moment("--since", asked.since) if asked.since else None,
        until=moment("--until", asked.until) if asked.until else None,
        grain=grains[asked.by],
        against=asked.against.strip(),
        account=asked.account.strip(),
    )
