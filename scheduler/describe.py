"""Times and windows as a person would say them: the words of which reasons are made."""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Optional, Sequence

from scheduler.model import Window

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CRON_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAILY_CRON = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* (\S+)")
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def join_some(texts: Sequence[str], most: int = 5) -> str:
    """Join texts by commas: of many only the first, and how many more there are."""
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def describe_duration(seconds: int) -> str:
    """Write a duration in its largest whole unit, as a schedules file would: ``90m``, ``2h``, ``1d``."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


def printable(text: str) -> str:
    """Return a text with what would steer a terminal written out: names come from outside."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@lru_cache(maxsize=1024)
def describe_moment(zone: "ZoneInfo", at: datetime, seen_from: datetime) -> str:
    """Write an instant in a zone: ``Mon 20:00`` where that cannot be mistaken, else with the date.

    A time that clocks put back show twice has its offset.
    """
    local = at.astimezone(zone)
    if abs(at - seen_from) < timedelta(days=6):
        return f"{_DAYS[local.weekday()]} {local:%H:%M}{_offset_of_repeated(local)}"
    return f"{local:%Y-%m-%d %H:%M}{_offset_of_repeated(local)}"


def write_local(at: datetime, zone: "ZoneInfo", form: str = "%a %Y-%m-%d %H:%M") -> str:
    """Write an instant as the clocks of a zone show it, with its offset where they show that time twice."""
    local = at.astimezone(zone)
    return f"{local:{form}}{_offset_of_repeated(local)}"


def _offset_of_repeated(local: datetime) -> str:
    is_repeated = local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset()
    return f" UTC{local.isoformat()[-len('+00:00') :]}" if is_repeated else ""  # bare, -04:00 would look like a range


@lru_cache(maxsize=1024)
def describe_window(window: Window, zone: str) -> str:
    """Write a window with its zone: ``mon-fri 08:00-20:00 Asia/Bangkok``, or its expressions."""
    if window.start is None:
        return f"stop at {_describe_cron(window.stop)} {zone}"
    if window.stop is None:
        return f"start at {_describe_cron(window.start)} {zone}"
    start, stop = _daily(window.start), _daily(window.stop)
    if start and stop and (start[0] == stop[0] or _is_next_day(start[0], stop[0])) and _is_short(start, stop):
        return f"{_describe_days(start[0])}{start[1]}-{stop[1]} {zone}"
    return f"{_describe_cron(window.start)} to {_describe_cron(window.stop)} {zone}"


def _daily(expression: str) -> Optional["tuple[str, str]"]:
    """Return weekdays and ``HH:MM`` of an expression that fires once on each of its weekdays."""
    found = _DAILY_CRON.fullmatch(" ".join(expression.split()))
    return (found[3].lower(), f"{int(found[2]):02}:{int(found[1]):02}") if found else None


def _describe_cron(expression: Optional[str]) -> str:
    daily = _daily(expression or "")
    return f"{_describe_days(daily[0])}{daily[1]}" if daily else f'"{expression}"'


def _describe_days(days: str) -> str:
    return "daily " if days == "*" else f"{days} "


def _is_short(start: "tuple[str, str]", stop: "tuple[str, str]") -> bool:
    """Whether the window lasts less than a day, on the same day or past midnight."""
    if start[0] == stop[0] == "*":
        return stop[1] != start[1]
    return stop[1] > start[1] if start[0] == stop[0] else stop[1] < start[1]


def _is_next_day(days: str, next_days: str) -> bool:
    """Whether ``tue-sat`` is what ``mon-fri`` becomes a day later."""
    return next_days == a_day_later(days)


def a_day_later(days: str) -> str:
    """Return a weekday field a day later: ``tue-sat`` for ``mon-fri``."""
    return ",".join("-".join(_shift(day) for day in part.split("-")) for part in days.split(","))


def _shift(day: str) -> str:
    if day in CRON_DAYS:
        return CRON_DAYS[(CRON_DAYS.index(day) + 1) % 7]
    return str((int(day) + 1) % 7) if day.isdigit() else day
