"""The public holidays of the countries that calendars name, written out ahead of time.

The library that knows them is heavy, and a release of it may move a date. So a run does without it: the command
``holidays`` writes the dates of the coming years into a lock file beside the schedules file, to be reviewed and
deployed with it. This module is the format of that file, and notices when its dates run out. Pure.
"""

import json
from datetime import date, datetime, time, timedelta
from typing import Any, Mapping, NamedTuple, Optional, Tuple

from scheduler.errors import StaleCalendarError
from scheduler.localtime import EARLIEST, LATEST, instants_of
from scheduler.model import CalendarsEnd

LOCK_FILE = "holidays.json"
REFRESH = "run `cce-scheduler holidays`"
WARN_AHEAD = timedelta(days=60)
"""How long before the last known date runs begin to warn."""
_VERSION = 1


class HolidayCalendar(NamedTuple):
    """The public holidays of one place from ``first`` to ``last``, both included: ISO dates to names."""

    first: date
    last: date
    dates: Mapping[str, str]


class HolidayLock(NamedTuple):
    """All of a lock file. ``library`` is the release that its dates come from."""

    library: str
    calendars: Mapping[str, HolidayCalendar]


def lock_key(country: str, subdivision: Optional[str]) -> str:
    """Return what the lock file calls a place: ``TH``, ``DE-BY``."""
    return f"{country}-{subdivision}" if subdivision else country


def parse_lock(content: bytes) -> HolidayLock:
    """Read a lock file. Raises ValueError, saying what is wrong with it."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as e:
        raise ValueError("not JSON") from e
    if not isinstance(data, dict) or data.get("version") != _VERSION:
        raise ValueError(f"not of version {_VERSION}")
    calendars = data.get("calendars")
    if not isinstance(calendars, dict):
        raise ValueError("no calendars in it")  # noqa: TRY004 - one type for all that is wrong with a file
    return HolidayLock(str(data.get("library")), {key: _read_calendar(key, value) for key, value in calendars.items()})


def write_lock(lock: HolidayLock) -> bytes:
    """Return the bytes of a lock file: equal ones for equal locks."""
    calendars = {
        key: {
            "first": calendar.first.isoformat(),
            "last": calendar.last.isoformat(),
            "dates": dict(sorted(calendar.dates.items())),
        }
        for key, calendar in sorted(lock.calendars.items())
    }
    data = {"version": _VERSION, "library": lock.library, "digest": _digest(calendars), "calendars": calendars}
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()


def was_edited(content: bytes) -> bool:
    """Whether the calendars of a sound lock file are others than `write_lock` wrote; not known without a digest."""
    data = json.loads(content)
    return "digest" in data and data["digest"] != _digest(data["calendars"])


def _digest(calendars: Any) -> str:
    from hashlib import sha256  # runs only read the file

    return sha256(json.dumps(calendars, sort_keys=True).encode()).hexdigest()


def make_end(last: date, zone: str) -> CalendarsEnd:
    """Return when a calendar whose last known date is ``last`` runs out for a cluster in a zone."""
    from zoneinfo import ZoneInfo

    return CalendarsEnd(last, instants_of(ZoneInfo(zone), datetime.combine(last + timedelta(days=1), time()))[0])


def refuse_ended(end: Optional[CalendarsEnd], at: datetime) -> None:
    """Raise `StaleCalendarError` where holidays are not known any more: nothing new is begun on such a file."""
    _, stale = check_end(end, at)
    if stale is not None:
        raise stale


def check_end(end: Optional[CalendarsEnd], at: datetime) -> "Tuple[Tuple[str, ...], Optional[StaleCalendarError]]":
    """Return the warnings of a run at an instant, and the failure of one after the end."""
    if end is None or at < end.at - WARN_AHEAD:
        return (), None
    message = f"public holidays are only known until {end.last}: {REFRESH} and redeploy"
    return ((f"{message} before that",), None) if at < end.at else ((), StaleCalendarError(message))


def _read_calendar(key: str, data: Any) -> HolidayCalendar:
    dates = data.get("dates") if isinstance(data, dict) else None
    if not isinstance(dates, dict):
        raise ValueError(f"no dates for {key!a:.60}")  # noqa: TRY004 - see above
    first, last = (_read_day(key, data.get(side)) for side in ("first", "last"))
    if last < first:
        raise ValueError(f"{key!a:.60} ends before it begins")
    for day, name in dates.items():
        if not first <= _read_day(key, day) <= last or not isinstance(name, str) or not name.isprintable():
            raise ValueError(f"{key!a:.60} has a wrong entry for {day}")
    return HolidayCalendar(first, last, dates)


def _read_day(key: str, text: object) -> date:
    try:
        day = date.fromisoformat(str(text))
    except ValueError:
        day = date.min
    # Later releases of Python read other forms too; the rest of the program compares texts.
    if day.isoformat() != text or not EARLIEST.year <= day.year < LATEST.year - 1:
        raise ValueError(f"{key!a:.60} has {text!a:.60} for a date")
    return day
