"""The questions of ``breakeven init``, asked one by one on a terminal until each has an answer that holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import typer

from breakeven.errors import BreakevenError

Given = Mapping[str, str]
"""What was answered so far, as text by question."""


def _always(_given: Given) -> bool:
    return True


def _no_log(given: Given) -> bool:
    return given["has_log"] == "no"


def _may_leave(given: Given) -> bool:
    return given["data_may_leave"] == "yes"


def _has_gpus(given: Given) -> bool:
    return "gpus" in given


def _has_gpus_and_regions(given: Given) -> bool:
    return "gpus" in given and "regions" in given


def _has_gpus_and_attestations(given: Given) -> bool:
    return "gpus" in given and "compliance" in given


def _names_model(given: Given) -> bool:
    return "open_models" in given or "gpus" in given


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question.  A blank answer takes ``default``; where that is empty, it says nothing."""

    key: str
    text: str
    why: str
    default: str = ""
    is_needed: bool = False
    is_asked: Callable[[Given], bool] = _always


QUESTIONS: Final = (
    Question(
        key="today",
        text="What serves the traffic today?",
        why="Provider and model, or a model's name.  Prices of your own can replace its later, as rate cards.",
        default="openai:gpt-4o",
    ),
    Question(
        key="has_log",
        text="Do you have a log, a trace or a usage export?",
        why="plan reads its tokens and peaks; without one, the totals of a month must do.",
        default="yes",
    ),
    Question(
        key="input_tokens_per_month",
        text="  Input tokens a month?",
        why="Prompts, cached ones included: 3.6B, 250M or all digits.",
        is_needed=True,
        is_asked=_no_log,
    ),
    Question(
        key="output_tokens_per_month",
        text="  Output tokens a month?",
        why="Answers, reasoning included.",
        is_needed=True,
        is_asked=_no_log,
    ),
    Question(
        key="requests_per_month",
        text="  Requests a month?",
        why="Without them no cost per request is given; blank if unknown.",
        is_asked=_no_log,
    ),
    Question(
        key="data_may_leave",
        text="May the data leave your own machines?",
        why="If not, only nodes that you alone use remain, rented or owned.",
        default="yes",
    ),
    Question(
        key="regions",
        text="  Regions that it must stay in?",
        why="Such as eu, us; blank for any.  Where a region is not known, it is not assumed.",
        is_asked=_may_leave,
    ),
    Question(
        key="compliance",
        text="  Attestations that everyone who sees it must show?",
        why="Such as SOC 2, ISO 27001; blank for none.",
        is_asked=_may_leave,
    ),
    Question(
        key="fine_tuning",
        text="Must the model be one that you can fine-tune?",
        why="If so, models with closed weights are left out.",
        default="no",
    ),
    Question(
        key="open_models",
        text="Which open models would you consider?",
        why="Such as llama-3.3-70b, gpt-oss-120b (breakeven catalog models); blank for the usual ones.",
    ),
    Question(
        key="gpus",
        text="Which GPUs do you have for it?",
        why="One node of them, such as 4x h100-sxm; blank if none: what can be rented is compared anyway.",
    ),
    Question(
        key="gpu_price",
        text="  What do they cost?",
        why="2.10/h for each GPU rented, 250000 for a node bought; blank for the catalogue's offers.",
        is_asked=_has_gpus,
    ),
    Question(
        key="gpu_regions",
        text="  Where are they?",
        why="Regions must be met by your own nodes as well: where it is not known, they are left out.",
        is_asked=_has_gpus_and_regions,
    ),
    Question(
        key="gpu_compliance",
        text="  Which of the attestations does their owner show?",
        why="Your data centre, or who rents them to you; what is not shown counts as missing.",
        is_asked=_has_gpus_and_attestations,
    ),
    Question(
        key="output_tokens_per_s",
        text="  How many output tokens a second did you measure of a node?",
        why="At full load and your lengths; blank for the catalogue's measurements.",
        is_asked=_has_gpus,
    ),
    Question(
        key="team_exists",
        text="Is there a team already that would run it?",
        why="If so, its engineers are paid either way: the plan shows the cost without them too.",
        default="no",
    ),
    Question(
        key="accuracy_ratio",
        text="How good was the first of these models on your own work?",
        why="Its success over that of today's model, such as 0.97; from 0.95 it may be recommended; blank if unknown.",
        is_asked=_names_model,
    ),
)


def ask_all() -> dict[str, str]:
    """Ask every question that the answers so far leave open; return the answers as text.

    Raises ``typer.Abort`` when the person breaks off, before anything is written.
    """
    typer.echo("A blank answer takes what stands in brackets.  Ctrl-C breaks off, and writes nothing.")
    given: dict[str, str] = {}
    for question in QUESTIONS:
        if question.is_asked(given) and (answer := _ask(question, given)):
            given[question.key] = answer
    del given["has_log"]
    return given


def _ask(question: Question, given: Given) -> str:
    """Ask until the answer holds, saying each time what is wrong with it."""
    from breakeven.wiring.init import check_answer

    indent = " " * (len(question.text) - len(question.text.lstrip()))
    typer.secho(f"{'' if indent else chr(10)}{indent}{question.why}", dim=True)
    default = question.default
    while True:
        text: str = typer.prompt(question.text, default=default, show_default=bool(default), prompt_suffix=" ").strip()
        try:
            if text:
                return check_answer(question.key, text, given)
            if not question.is_needed:
                return ""
            typer.echo(f"{indent}  This needs an answer, because there is no log.")
        except BreakevenError as error:
            typer.echo(f"{indent}  {error}")
