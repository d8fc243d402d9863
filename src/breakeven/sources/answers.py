"""What a person answers about their traffic, in words: read from text, with what is wrong in it.

It knows numbers and lists.  Whether a model, a GPU or a target exists is for the wiring to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from breakeven.errors import InputError

if TYPE_CHECKING:
    from breakeven.catalog.models import Precision

_LONGEST: Final = 80
_LONGEST_NUMBER: Final = 40
_MOST: Final = Decimal(10) ** 15
"""No number is larger; tokens of a month stay far below it."""

_MOST_RENT_USD: Final = 1_000_000
_MOST_NODE_USD: Final = 1_000_000_000
"""What a scenario takes at the most for an hour of a GPU, and for a node."""

_NUMBER = re.compile(r"(\d{1,3}(?:[,_ ]\d{3})+|\d+)(\.\d+)?")
_COUNT = re.compile(rf"({_NUMBER.pattern})\s*(k|thousand|m|million|b|billion|t|trillion)?", re.IGNORECASE)
_FACTOR: Final = {"": 0, "k": 3, "t": 12, "th": 3, "m": 6, "b": 9}
_NODE = re.compile(r"(?:(\d{1,4})\s*[x×]\s*|(\d{1,4})\s+)?(\S.*)", re.IGNORECASE)
_YES: Final = ("y", "yes", "true")
_NO: Final = ("n", "no", "false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """GPUs that a team has for a model: one node of them, and what is known of it."""

    model: str
    gpu: str
    gpus_per_node: int
    precision: Precision
    usd_per_gpu_hour: Decimal | None = None
    node_usd: Decimal | None = None
    """What the node cost to buy; it is paid for."""

    output_tokens_per_s: Decimal | None = None
    regions: tuple[str, ...] = ()
    compliance: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """All that was answered; None or empty where nothing was."""

    name: str
    today: str | None = None
    input_tokens_per_month: int | None = None
    output_tokens_per_month: int | None = None
    requests_per_month: int | None = None
    data_may_leave: bool | None = None
    regions: tuple[str, ...] = ()
    compliance: tuple[str, ...] = ()
    fine_tuning: bool | None = None
    consider: tuple[str, ...] = ()
    hardware: Hardware | None = None
    team_exists: bool | None = None
    judged_model: str | None = None
    accuracy_ratio: Decimal | None = None
    """Success of the judged model over that of today's, on the team's own work."""


def yes_or_no(text: str) -> bool:
    """Read "yes" or "no"."""
    word = text.strip().lower()
    if word not in (*_YES, *_NO):
        raise InputError(f"{_shown(text)} is neither yes nor no: write y or n.")
    return word in _YES


def count(text: str) -> int:
    """Read a whole number above 0, such as 3_600_000_000, "3.6B" or "250 million"."""
    found = _COUNT.fullmatch(text.strip())
    if found is None:
        raise InputError(f"{_shown(text)} is no count: write digits, such as 3600000000 or 3.6B.")
    suffix = (found[4] or "").lower()
    exact = _plain(found[1]) * Decimal(10) ** _FACTOR[suffix[:2] if suffix.startswith("th") else suffix[:1]]
    if exact > _MOST:
        raise InputError(f"{_shown(text)} is too large: the most is 10^15.")
    if exact != int(exact):
        raise InputError(f"{_shown(text)} is no whole number: a part of one cannot be counted.")
    if not exact:
        raise InputError("0 is no traffic to plan for: write the number of a usual month.")
    return int(exact)


def positive(text: str) -> Decimal:
    """Read a number above 0."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None or _plain(text) <= 0:
        raise InputError(f"{_shown(text)} is no number above 0: write one such as 2600 or 2.10.")
    return _plain(text)


def ratio(text: str) -> Decimal:
    """Read a share that may exceed 1 a little, up to 2; percent is named as what it is."""
    number = text.strip()
    found = _NUMBER.fullmatch(number.removesuffix("%").rstrip())
    if found is None:
        raise InputError(f"{_shown(text)} is no share: write a number such as 0.97.")
    value = _plain(found[0])
    if number.endswith("%") or value > 2:
        raise InputError(f"{_shown(text)} is no share: if it is percent, write {value / 100:f}.")
    if value == 0:
        raise InputError("0 says that the model never succeeds: leave it out instead.")
    return value


def words(text: str) -> tuple[str, ...]:
    """Read a list with commas; what stands twice is taken once."""
    found = tuple(dict.fromkeys(item.strip() for item in text.split(",") if item.strip()))
    if bad := next((item for item in found if len(item) > _LONGEST or not item.isprintable()), None):
        raise InputError(f"{_shown(bad)} is no name: write short words with commas between them.")
    return found


def node(text: str) -> tuple[int, str]:
    """Read one node of GPUs, such as "4x h100-sxm": how many, and which."""
    found = _NODE.fullmatch(text.strip())
    if found is None:
        raise InputError(f"{_shown(text)} is no node: write how many GPUs and which, such as 4x h100-sxm.")
    number = int(found[1] or found[2] or 1)
    if not 1 <= number <= 1024:
        raise InputError(f"{_shown(text)}: a node has 1 to 1,024 GPUs.")
    return number, found[3].strip()


def price(text: str) -> tuple[Decimal, bool]:
    """Read what GPUs cost: "2.10/h" for each, rented, or "250000" to buy a node; and whether it is rent."""
    plain = text.strip().lower().removeprefix("$").removeprefix("usd").strip()
    rent = re.fullmatch(r"(.+?)\s*(?:/|per|an|a)\s*(?:h|hr|hour)", plain)
    try:
        found = positive(rent[1] if rent else plain)
    except InputError as error:
        raise InputError(
            f"{_shown(text)} is no price: write 2.10/h for each GPU rented, or 250000 for a node bought."
        ) from error
    most_usd = _MOST_RENT_USD if rent else _MOST_NODE_USD
    if found > most_usd:
        raise InputError(f"{_shown(text)} is too much: the most is {most_usd:,} USD.")
    return found, rent is not None


def _plain(text: str) -> Decimal:
    number = Decimal(re.sub(r"[,_ ]", "", text))
    if len(text) > _LONGEST_NUMBER or number > _MOST:
        raise InputError(f"{_shown(text)} is too large or too long: the most is 10^15.")
    return number


def _shown(text: str) -> str:
    return repr(text.strip()[:_LONGEST])
