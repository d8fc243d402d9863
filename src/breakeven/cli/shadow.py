"""``breakeven shadow``: a candidate beside what serves now, on live requests or on recorded ones."""

from __future__ import annotations

import typer

from breakeven.cli import shadow_label, shadow_replay, shadow_report, shadow_status

app = typer.Typer(no_args_is_help=True, help="Compare a candidate with what serves now, pair by pair.")

app.command("status")(shadow_status.status)
app.command("report")(shadow_report.report)
app.command("label")(shadow_label.label)
app.command("replay")(shadow_replay.replay)
