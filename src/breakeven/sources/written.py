"""How people write numbers, dates and times of day in a file, and what is refused because it can be misread."""

import math
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

LARGEST: Final = 1e15
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")


class Strict(BaseModel):
    """A mapping in a file: no keys but those it knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _number(value: Any) -> Any:
    """Refuse true and false, which Python takes for 1 and 0, and percent signs."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "this should be a number")
    if isinstance(value, str) and value.rstrip().endswith("%"):
        raise PydanticCustomError("number", "{fix}", {"fix": as_fraction(value.rstrip().removesuffix("%"))})
    return value


def as_fraction(percent: str | float) -> str:
    """Return the advice to write a percentage as a share: "write 60 % as 0.6"."""
    try:
        share = f"{float(percent) / 100:g}"
    except ValueError:
        return "write a share as a number between 0 and 1"
    return f"write {float(percent):g} % as {share}"


def _day(value: Any) -> Any:
    """Refuse numbers, which would be read as seconds since 1970."""
    if isinstance(value, date) or (isinstance(value, str) and _DAY.fullmatch(value)):
        return value
    raise PydanticCustomError("day", "write a date as 2026-11-21")


def _time(value: Any) -> Any:
    """Refuse offsets, and numbers, which would be read as seconds since midnight."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        return value
    raise PydanticCustomError("time", "write a time of day as 16:30; it is read as UTC")


def _moment(value: Any) -> Any:
    """Take a date as its midnight UTC; refuse times without an offset, and numbers."""
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date) or (isinstance(value, str) and _DAY.fullmatch(value)):
        return datetime.combine(date.fromisoformat(str(value)), time(), UTC)
    else:
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise PydanticCustomError("moment", "write a date as 2026-11-21, or a time as 2026-11-21T08:00Z") from error
    if moment.tzinfo is None:
        raise PydanticCustomError("moment", "a time needs its offset, such as 2026-11-21T08:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("moment", "this lies beyond the calendar") from error


def single_number(value: Any) -> float | None:
    """Return a value that is written as one finite number; None for a mapping.  Anything else is refused."""
    if isinstance(value, dict):
        return None
    plain = _number(value)
    try:
        number = float(plain)
    except (TypeError, ValueError) as error:
        raise PydanticCustomError("number", "write a number, or a mapping of low, likely and high") from error
    if not math.isfinite(number) or abs(number) > LARGEST:
        raise PydanticCustomError("number", "this should be a finite number, up to 1e15")
    return number


IsNumber: Final = BeforeValidator(_number)
"""Stands last in an annotation: limits to its right would be lost from the JSON Schema."""

Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}"})
]
TimeOfDay = Annotated[time, BeforeValidator(_time), WithJsonSchema({"type": "string", "pattern": f"^{_TIME.pattern}$"})]
Finite = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False), IsNumber]
Positive = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False), IsNumber]
Count = Annotated[int, Field(ge=0, le=10**16), IsNumber]
AtLeastOne = Annotated[int, Field(ge=1, le=10**16), IsNumber]
Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000_000, allow_inf_nan=False), IsNumber]
Price = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False), IsNumber]
