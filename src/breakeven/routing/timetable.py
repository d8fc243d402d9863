"""Hours of the week in which nodes are up: ``Mon-Fri 08-20, Sat 10:00-14:30``; pure, the time is passed in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY_MINUTES: Final = 24 * 60
_WEEK_MINUTES: Final = 7 * _DAY_MINUTES
_HORIZON_MINUTES: Final = 8 * _DAY_MINUTES
_ENTRY: Final = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:\s*-\s*(?P<last>[a-z]{3}))?\s+)?"
    r"(?P<from>\d{1,2})(?::(?P<from_minute>\d{2}))?\s*-\s*(?P<to>\d{1,2})(?::(?P<to_minute>\d{2}))?"
)


@dataclass(frozen=True, slots=True)
class Timetable:
    """Stretches of a week, in a time zone of people: its clock changes are followed."""

    stretches: tuple[tuple[int, int], ...]
    """From and to in minutes since Monday midnight; the second is not in it, and lies within the week."""

    zone: tzinfo

    def is_open(self, at_s: float) -> bool:
        """Whether a moment, in Unix seconds, lies in one of the stretches."""
        local = datetime.fromtimestamp(at_s, UTC).astimezone(self.zone)
        minute = local.weekday() * _DAY_MINUTES + local.hour * 60 + local.minute
        return any(begins <= minute < ends for begins, ends in self.stretches)

    def next_change_s(self, at_s: float) -> float | None:
        """Return when it next opens or closes, in Unix seconds to the minute; None where it never does."""
        now_open, minute = self.is_open(at_s), datetime.fromtimestamp(at_s, UTC).replace(second=0, microsecond=0)
        for _ in range(_HORIZON_MINUTES):
            minute += timedelta(minutes=1)
            if self.is_open(minute.timestamp()) != now_open:
                return minute.timestamp()
        return None


def read_timetable(text: str, zone: str = "UTC") -> Timetable:
    """Return the timetable that a text says.

    Entries are days and hours, ``Mon-Fri 08-20``, apart by commas; without days, every day.  Hours that end at or
    before they begin go on into the next day.  Raises ``ValueError`` in words for people.
    """
    try:
        place = UTC if zone == "UTC" else ZoneInfo(zone)  # UTC needs no database, which small images lack
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {zone[:60]!r}: write one such as Europe/Berlin, or UTC") from None
    stretches: list[tuple[int, int]] = []
    for entry in re.split(r"[,;]", text):
        stretches += _stretches(entry.strip())
    return Timetable(stretches=tuple(sorted(stretches)), zone=place)


def _stretches(entry: str) -> list[tuple[int, int]]:
    found = _ENTRY.fullmatch(entry.lower())
    if found is None:
        raise ValueError(f"{entry[:60]!r} is no entry of a timetable: write days and hours, such as Mon-Fri 08-20")
    begins = _minute(found["from"], found["from_minute"], entry)
    ends = _minute(found["to"], found["to_minute"], entry)
    if ends <= begins:
        ends += _DAY_MINUTES
    whole: list[tuple[int, int]] = []
    for day in _days(found["first"], found["last"], entry):
        start = day * _DAY_MINUTES + begins
        end = day * _DAY_MINUTES + ends
        whole.append((start, min(end, _WEEK_MINUTES)))
        if end > _WEEK_MINUTES:
            whole.append((0, end - _WEEK_MINUTES))
    return [(start, end) for start, end in whole if start < end]


def _minute(hour: str, minute: str | None, entry: str) -> int:
    total = int(hour) * 60 + int(minute or 0)
    if int(minute or 0) > 59 or total > _DAY_MINUTES:
        raise ValueError(f"{entry[:60]!r} has no hours of a day: they go from 00:00 to 24:00")
    return total


def _days(first: str | None, last: str | None, entry: str) -> range | list[int]:
    if first is None:
        return range(7)
    unknown = [day for day in (first, last) if day is not None and day not in DAYS]
    if unknown:
        raise ValueError(f"{entry[:60]!r} has no day {unknown[0]!r}: days are Mon, Tue, Wed, Thu, Fri, Sat, Sun")
    begins = DAYS.index(first)
    ends = DAYS.index(last) if last is not None else begins
    return [day % 7 for day in range(begins, ends + (8 if ends < begins else 1))]
