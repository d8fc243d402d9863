"""``breakeven shadow label``: pairs out for people to judge, and their labels in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breakeven.cli.ledger_options import Config, Json, Ledger  # noqa: TC001 - typer reads these
from breakeven.errors import InputError


def label(
    file: Annotated[
        Path | None, typer.Argument(help="Labels to take in: lines that --out wrote, now labelled.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write pairs to label into this new file, as JSON lines.")] = None,
    text_key: Annotated[
        str | None, typer.Option(help="Secret that the texts were kept with: env:NAME or file:PATH.")
    ] = None,
    count: Annotated[int, typer.Option(help="Pairs to write; 100 to 200 are enough to correct a judge.")] = 200,
    candidate: Annotated[str, typer.Option(help="Pairs with this candidate; default: all.")] = "",
    task: Annotated[list[str] | None, typer.Option(help="Pairs of this task; repeat; default: all.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw: another seed, other pairs.")] = 1,
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write pairs for people to judge, blind and drawn by chance (--out), or take their labels in (FILE)."""
    import json

    from breakeven.ledger.pairs import Which
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.shadow_label import read_labels, write_pairs

    if (file is None) == (out is None):
        raise InputError("Give either a file with labels to take in, or --out FILE to write pairs to label.")
    place = find_ledger(ledger, config)
    if file is not None:
        taken = read_labels(place, file)
        typer.echo(json.dumps({"labels": taken}) if as_json else f"{taken:,} labels were taken in.")
        return
    if text_key is None:
        raise InputError("Texts of pairs are sealed: give the secret that they were kept with, --text-key env:NAME.")
    if count < 1:
        raise InputError(f"--count {count}: there would be nothing to label.")
    assert out is not None
    which = Which(candidate=candidate, tasks=tuple(task or ()))
    done = write_pairs(place, which, out, secret=text_key, most_count=count, seed=seed)
    if as_json:
        told = {"written": done.written_count, "without_text": done.without_text_count, "labelled": done.labelled_count}
        typer.echo(json.dumps(told))
        return
    typer.echo(f'{done.written_count:,} pairs are in {out}. Fill in "better" with A, B or tie, then take them in:')
    typer.echo(f"  breakeven shadow label {out}")
