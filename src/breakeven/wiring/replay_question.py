"""What a person asks of a replay, and what in it cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError
from breakeven.settings.address import read_address
from breakeven.settings.one_secret import read_secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from pathlib import Path

    from breakeven.trials.seats import Tally
    from breakeven.wiring.shadow_prices import TargetPrices

MOST_AT_ONCE: Final = 256
_MOST_DAYS: Final = 365
_LEAST_SECRET_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A model at an address."""

    model: str
    url: str
    key: str | None = None
    """Reference to a secret; None: none is sent."""

    name: str = ""
    """Under which it is kept and priced; empty: as the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlace:
    """A check at an address."""

    url: str
    """Or a reference to a secret that holds it."""

    key: str | None = None
    """Reference to a secret; None: none is sent."""

    timeout_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What a person asked ``shadow replay`` for."""

    files: tuple[Path, ...]
    candidate: Place
    incumbent: Place | None
    """None: the recorded answers."""

    recorded_name: str = ""
    """Under which recorded answers are kept; empty: as the model of the first of them."""

    judge: Place | None = None
    criterion: str = ""
    budget_usd: Decimal | None = None
    most_pairs_count: int = 1_000_000
    at_once_count: int = 4
    answer_s: float = 300.0
    sends_labels: bool = False
    sensitivities: tuple[str, ...] = ()
    """Kinds of data that may go to these addresses; those on this machine take any."""

    check: CheckPlace | None = None
    """A check of the user's own; None: that of the settings, if they name one."""

    asks_settings_check: bool = True
    streams: bool = True
    """Whether streams are asked for, where both are asked: they tell when the first byte came."""

    keep_days: int | None = None
    """How long questions and answers are kept, sealed, for people to label; None: they are not."""

    text_key: str | None = None
    """Reference to the secret that seals them."""

    ca_file: Path | None = None
    cards: tuple[Path, ...] = ()
    progress: Callable[[Tally], None] | None = None


def check_request(request: ReplayRequest) -> None:
    """Raise ``InputError`` for what cannot be, before anything is read."""
    for item in (request.incumbent, request.candidate, request.judge):
        if item is not None:
            _check_place(item)
    if not 1 <= request.at_once_count <= MOST_AT_ONCE:
        raise InputError(f"--concurrency {request.at_once_count}: between 1 and {MOST_AT_ONCE} requests go at once.")
    if request.most_pairs_count < 1:
        raise InputError(f"--max-pairs {request.most_pairs_count}: nothing would be compared.")
    if request.budget_usd is not None and not request.budget_usd > 0:
        raise InputError(f"--budget-usd {request.budget_usd}: nothing could be asked for that.")
    if not request.answer_s > 0:
        raise InputError(f"--timeout {request.answer_s:g}: give some seconds for an answer.")
    _check_texts(request)
    judge = request.judge
    models = {request.candidate.model, request.incumbent.model if request.incumbent else ""}
    if judge is not None and judge.model in models:
        raise InputError(f"--judge {judge.model} would judge its own answers. Name a third model, a strong one.")


def _check_texts(request: ReplayRequest) -> None:
    if (request.keep_days is None) != (request.text_key is None):
        raise InputError("Texts are kept sealed, for some days: give both --keep-text DAYS and --text-key env:NAME.")
    if request.keep_days is None or request.text_key is None:
        return
    if not 1 <= request.keep_days <= _MOST_DAYS:
        raise InputError(f"--keep-text {request.keep_days}: between 1 and {_MOST_DAYS} days.")
    if len(read_secret(request.text_key, "--text-key")) < _LEAST_SECRET_CHARACTERS:
        raise InputError(f"--text-key: a secret that seals texts has {_LEAST_SECRET_CHARACTERS} characters or more.")


def _check_place(place: Place) -> None:
    try:
        address = read_address(place.url)
    except ValueError as error:
        raise InputError(f"The address of {place.model} cannot be used: {error}.") from error
    if address.path.endswith("/chat/completions"):
        raise InputError(f"The address of {place.model}: leave /chat/completions out, it is added.")
    if place.key:
        read_secret(place.key, "--key")


def check_prices(request: ReplayRequest, names: tuple[str, str], prices: TargetPrices) -> None:
    """Raise ``InputError`` where a budget is given and what is asked has no price: it could not be kept."""
    if request.budget_usd is None:
        return
    asked = {
        "--incumbent-as": names[0] if request.incumbent else "",
        "--candidate-as": names[1],
        "--judge-as": (request.judge.name or request.judge.model) if request.judge else "",
    }
    for option, name in asked.items():
        if name and not prices.name_of(name):
            raise InputError(
                f"No price is known for {name}, so --budget-usd could not be kept. Say what it is priced as "
                f"({option} provider:model), add a rate card (--rate-card FILE), or bound the pairs instead "
                "(--max-pairs N)."
            )
