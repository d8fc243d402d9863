"""``breakeven shadow replay``: recorded requests asked again, of today's model and of a candidate."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli.ledger_options import Config, Json, Ledger  # noqa: TC001 - typer reads these
from breakeven.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.trials.seats import Tally
    from breakeven.wiring.replay_question import Place
    from breakeven.wiring.shadow_replay import ReplayResult

Secret = Annotated[str | None, typer.Option(help="Its key, by reference: env:NAME or file:PATH.")]


def replay(
    files: Annotated[list[Path], typer.Argument(help="Recorded chat requests, one JSON a line (also .gz).")],
    candidate: Annotated[str, typer.Option(help="Model to ask as the candidate.")],
    incumbent: Annotated[
        str | None, typer.Option(help="Model to ask as the incumbent; default: the recorded answers.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="OpenAI-compatible address of both, with /v1.")] = None,
    candidate_url: Annotated[str | None, typer.Option(help="The candidate's address, where it is another.")] = None,
    incumbent_url: Annotated[str | None, typer.Option(help="The incumbent's address, where it is another.")] = None,
    key: Annotated[str | None, typer.Option(help="Key of both, by reference: env:NAME or file:PATH.")] = None,
    candidate_key: Secret = None,
    incumbent_key: Secret = None,
    candidate_as: Annotated[
        str, typer.Option(help="Keep and price it as this target or provider:model; default: the model.")
    ] = "",
    incumbent_as: Annotated[str, typer.Option(help="Likewise for the incumbent.")] = "",
    judge: Annotated[str | None, typer.Option(help="Model that judges both answers; neither of the two.")] = None,
    judge_url: Annotated[str | None, typer.Option(help="Its address; default: --base-url.")] = None,
    judge_key: Secret = None,
    judge_as: Annotated[str, typer.Option(help="Price it as this target or provider:model.")] = "",
    criterion: Annotated[str, typer.Option(help="What counts most, told to the judge in your words.")] = "",
    check_url: Annotated[
        str | None, typer.Option(help="Your own check, asked of both answers; default: that of the settings' trials.")
    ] = None,
    check_key: Secret = None,
    check_timeout: Annotated[float, typer.Option(help="Seconds within which it answers, at most 60.")] = 2.0,
    without_check: Annotated[
        bool, typer.Option("--without-check", help="Ask no check of your own, whatever the settings say.")
    ] = False,
    budget_usd: Annotated[str | None, typer.Option(help="Ask no more once this is spent, at known prices.")] = None,
    max_pairs: Annotated[int, typer.Option(help="Compare at most so many in this run.")] = 1_000_000,
    concurrency: Annotated[int, typer.Option(help="Requests under way at once.")] = 4,
    timeout: Annotated[float, typer.Option(help="Seconds for one answer.")] = 300.0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Ask for whole answers: no stream, no times to the first byte.")
    ] = False,
    labels: Annotated[
        bool, typer.Option("--labels", help="Send task, episode and the tag replay along, for a gateway of Breakeven.")
    ] = False,
    allow_sensitivity: Annotated[
        list[str] | None, typer.Option(help="Kind of data that may go to these addresses; repeat for more.")
    ] = None,
    keep_text: Annotated[
        int | None, typer.Option(help="Keep questions and answers sealed for so many days, for people to label.")
    ] = None,
    text_key: Annotated[str | None, typer.Option(help="Secret that seals them: env:NAME or file:PATH.")] = None,
    rate_card: Annotated[list[Path] | None, typer.Option(help="Further rate cards; repeat for more.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Certificates to trust instead of the system's.")] = None,
    margin: Annotated[float, typer.Option(help="Points of 100 by which the candidate may be worse.")] = 5.0,
    check: Annotated[str, typer.Option(help="The check that decides; default: the best that judged most.")] = "",
    ledger: Ledger = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Ask recorded requests again, of today's model and of a candidate, and compare; what is done is never repeated."""
    from dataclasses import replace

    from rich.console import Console

    from breakeven.cli.shadow_report import show
    from breakeven.ledger.pairs import Which
    from breakeven.wiring.ledger import find_ledger
    from breakeven.wiring.ledger_prices import settings_path
    from breakeven.wiring.replay_question import CheckPlace, Place, ReplayRequest
    from breakeven.wiring.shadow import ShadowQuestion, run_shadow_report, terms_of
    from breakeven.wiring.shadow_replay import run_replay

    def place(option: str, model: str, url: str | None, secret: str | None, name: str) -> Place:
        where = url or base_url
        if where is None:
            raise InputError(f"--{option} {model}: nobody said where it is. Give --base-url or --{option}-url.")
        return Place(model=model, url=where, key=secret or (key if url is None else None), name=name)

    if check_key and not check_url:
        raise InputError("--check-key goes to the check that --check-url names, and none is named.")
    terms = terms_of(margin, 0.05, check)
    asked = ReplayRequest(
        files=tuple(files),
        candidate=place("candidate", candidate, candidate_url, candidate_key, candidate_as),
        incumbent=place("incumbent", incumbent, incumbent_url, incumbent_key, incumbent_as) if incumbent else None,
        recorded_name=incumbent_as,
        judge=place("judge", judge, judge_url, judge_key, judge_as) if judge else None,
        criterion=criterion,
        check=CheckPlace(url=check_url, key=check_key, timeout_s=check_timeout)
        if check_url and not without_check
        else None,
        asks_settings_check=not without_check,
        streams=not whole,
        budget_usd=_dollars(budget_usd),
        most_pairs_count=max_pairs,
        at_once_count=concurrency,
        answer_s=timeout,
        sends_labels=labels,
        sensitivities=tuple(allow_sensitivity or ()),
        keep_days=keep_text,
        text_key=text_key,
        ca_file=ca_file,
        cards=tuple(rate_card or ()),
    )
    found_at, settings = find_ledger(ledger, config), settings_path(ledger, config)
    with Console(stderr=True).status("Asking again …") as status:
        telling = replace(asked, progress=lambda tally: status.update(_done(tally)))
        result = run_replay(telling, found_at, settings)
    for line in _said(result):
        typer.echo(line, err=True)
    which = Which(incumbent=result.incumbent, candidate=result.candidate, origin=result.which.origin)
    question = ShadowQuestion(which=which, terms=terms, cards=asked.cards)
    if result.tally.compared_count or result.tally.known_count:
        show(run_shadow_report(found_at, settings, question), as_json=as_json)
    elif as_json:
        typer.echo('{"comparisons": [], "notes": []}')


def _done(tally: Tally) -> str:
    return f"{tally.compared_count:,} pairs compared, {tally.spent_usd:.4f} USD"


def _said(result: ReplayResult) -> Iterator[str]:
    """Yield what a replay did, and what it left out."""
    tally = result.tally
    spent = f"{tally.spent_usd:.4f} USD at known prices"
    lost = f", {tally.unpriced_count:,} requests without a known price" if tally.unpriced_count else ""
    known = f", {tally.known_count:,} were known from before" if tally.known_count else ""
    yield f"{tally.compared_count:,} pairs compared{known}; {spent}{lost}."
    if tally.stopped_by:
        yield f"Stopped: {tally.stopped_by}."
    left = (
        (tally.put_off_count, "were put off for reasons that may pass: the same command asks them again"),
        (tally.unanswered_count, "have no recorded answer to compare with"),
        (tally.withheld_count, "are marked with a sensitivity and were not sent (--allow-sensitivity)"),
        (result.unreadable_count, "lines hold no chat request"),
    )
    yield from (f"{count:,} {words}." for count, words in left if count)
    yield from (f"  {problem}" for problem in result.unreadable)
    shown = sorted(tally.reasons.items(), key=lambda entry: -entry[1])[:5]
    yield from (f"  {count:,} × {why}" for why, count in shown)
    yield from (f"Note: {note}" for note in result.notes)


def _dollars(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise InputError(f"--budget-usd {text[:40]!r} is no amount: write dollars, such as 5 or 0.50.")
    return found
