"""The shorthand ``hours: "Mon-Fri 22:00-06:00"``: what it means as a start and a stop."""

import re
from typing import Tuple

from scheduler.describe import CRON_DAYS, a_day_later
from scheduler.model import Window

_HOURS = re.compile(r"(\S+)\s+([0-9]{1,2}:[0-9]{2})\s*-\s*([0-9]{1,2}:[0-9]{2})")
_EXAMPLES = '"Mon-Fri 08:00-20:00", "Mon-Fri 22:00-06:00", "Sat,Sun 10:00-16:00" or "daily 09:00-18:00"'


def parse_hours(text: str) -> Window:
    """Return the two cron expressions of the shorthand.

    An end before the start lies on the following day, as does 24:00. Raises ValueError with what to write instead.
    """
    found = _HOURS.fullmatch(text.strip())
    if not found:
        raise ValueError(f'"{text}" cannot be read: write days and hours, such as {_EXAMPLES}')
    days = _parse_days(found[1])
    start, stop = _parse_time(found[2], 23), _parse_time(found[3], 24)
    if start == stop:
        raise ValueError(f'"{text}" begins and ends at the same time: for whole days write 00:00-24:00')
    next_day = stop < start or stop[0] == 24  # noqa: PLR2004
    stop_days = a_day_later(days) if next_day else days
    if (start, stop) == ((0, 0), (24, 0)) and _is_whole_week(days):
        raise ValueError(f'"{text}" never ends: write `state: running` instead of windows')
    return Window(f"{start[1]} {start[0]} * * {days}", f"{stop[1]} {stop[0] % 24} * * {stop_days}")


def _parse_days(text: str) -> str:
    """Return the weekday field: ``mon-fri``, ``sat,sun``, or ``*``."""
    lowered = text.lower()
    if lowered == "daily":
        return "*"
    parts = [part.split("-") for part in lowered.split(",")]
    for part in parts:
        for day in part:
            if day not in CRON_DAYS or len(part) > 2:  # noqa: PLR2004
                raise ValueError(
                    f'"{text}" are not days: write Mon, Tue, Wed, Thu, Fri, Sat, Sun, ranges of them, or daily'
                )
        if len(part) == 2 and part[0] == part[1]:  # noqa: PLR2004
            raise ValueError(f'"{"-".join(part)}" begins and ends on the same day: write {part[0].title()}')
    return lowered


def _is_whole_week(days: str) -> bool:
    if days == "*":
        return True
    named = set()
    for part in days.split(","):
        first, last = (CRON_DAYS.index(day) for day in (part.split("-")[0], part.split("-")[-1]))
        named |= {(first + n) % 7 for n in range((last - first) % 7 + 1)}
    return len(named) == len(CRON_DAYS)


def _parse_time(text: str, last_hour: int) -> Tuple[int, int]:
    hour, minute = (int(part) for part in text.split(":"))
    if hour > last_hour or minute > 59 or (hour == 24 and minute):  # noqa: PLR2004
        raise ValueError(f'"{text}" is not a time of day: write 00:00 to 23:59, or 24:00 as the end')
    return hour, minute
