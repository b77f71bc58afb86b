"""Where the clocks of a zone change, and what instant a local time is.

Cron expressions speak local time; everything is decided in UTC. Between two changes of its offset a zone
is plain arithmetic, so a zone is treated as a row of stretches, and a local time belongs to a stretch:

    clocks put back     local times repeat: they belong to both stretches, and are two instants
    clocks put forward  local times are skipped: they belong to the stretch after, and are its first instant

Both directions of a search read the same stretches, so they cannot disagree.
"""

from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, FrozenSet, List, NamedTuple, Optional, Set

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_STEP = timedelta(days=6)
"""No zone has changed its offset twice within this long since 1990, nor will by the rules known today (tzdata 2026)."""

_INSTANT = timedelta(microseconds=1)
_MOST_SUGGESTED = 3

EARLIEST = datetime(1990, 1, 1, tzinfo=timezone.utc)
LATEST = datetime(2200, 1, 1, tzinfo=timezone.utc)
"""Instants outside `EARLIEST` .. `LATEST` are refused where they enter the program."""


class Change(NamedTuple):
    """An instant at which a zone's offset to UTC changes, and the offset on either side."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def first_local(self) -> datetime:
        """The earliest local time of the stretch after: in a gap, that of the first skipped time."""
        return (self.at + min(self.before, self.after)).replace(tzinfo=None)


def find_zone(name: str) -> "Optional[ZoneInfo]":
    """Return the IANA zone of that name, None if there is none."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # at first use: see `report.write_instant`

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a directory, or a name with a NUL
        return None


def suggest_zones(name: str) -> "list[str]":
    """Return the zones that somebody may mean by a name that is none: in other letters, or only the place."""
    return _zones_by_place().get(_fold(name), [])[:_MOST_SUGGESTED]


@lru_cache(maxsize=1)
def _zones_by_place() -> "dict[str, list[str]]":
    """Return all zones by their names and by the last parts of these, in small letters."""
    from zoneinfo import available_timezones

    found: "dict[str, list[str]]" = {}
    for zone in sorted(available_timezones()):
        for known in {_fold(zone), _fold(zone.rpartition("/")[2])}:
            found.setdefault(known, []).append(zone)
    return found


def _fold(name: str) -> str:
    return name.strip().replace(" ", "_").lower()


def offset_at(zone: "ZoneInfo", at: datetime) -> timedelta:
    """Return what the zone's clocks show ahead of UTC at an instant."""
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None  # noqa: S101 - a ZoneInfo always has one
    return offset


def local_at(zone: "ZoneInfo", at: datetime) -> datetime:
    """Return what the zone's clocks show at an instant, without zone."""
    return at.astimezone(zone).replace(tzinfo=None)


def last_change(zone: "ZoneInfo", after: datetime, until: datetime) -> Optional[Change]:
    """Return the latest change of offset in ``(after, until]``."""
    high, offset = until, offset_at(zone, until)
    while high > after:
        low = max(after, high - _STEP)
        if offset_at(zone, low) != offset:
            return _change_between(zone, low, high)
        high = low
    return None


def first_change(zone: "ZoneInfo", after: datetime, until: datetime) -> Optional[Change]:
    """Return the earliest change of offset in ``(after, until]``."""
    low, offset = after, offset_at(zone, after)
    while low < until:
        high = min(until, low + _STEP)
        if offset_at(zone, high) != offset:
            return _change_between(zone, low, high)
        low = high
    return None


def instants_of(zone: "ZoneInfo", local: datetime) -> "tuple[datetime, ...]":
    """Return the instants that a local time stands for: both of a repeated one, the gap's end for a skipped one."""
    early, late = sorted(local.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc) for fold in (0, 1))
    if local_at(zone, early) == local:
        return (early,) if early == late else (early, late)
    change = last_change(zone, early, late)
    return (late if change is None else change.at,)


def date_flips(zone: "ZoneInfo", dates: FrozenSet[date]) -> List[datetime]:
    """Return, oldest first, the instants at which the clocks move into or out of a set of local dates.

    A date need not be one stretch of time: clocks put back over midnight leave it and enter it again.
    """
    turns = {turn for day in dates for edge in (day, day + timedelta(days=1)) for turn in _turns_of_day(zone, edge)}
    return sorted(turn for turn in turns if _is_on(zone, dates, turn) != _is_on(zone, dates, turn - _INSTANT))


def _turns_of_day(zone: "ZoneInfo", day: date) -> Set[datetime]:
    """Return the instants at which a local date can begin: at its midnights, or where clocks fall back behind one."""
    midnights = instants_of(zone, datetime.combine(day, time()))
    change = last_change(zone, midnights[0], midnights[-1])
    return {*midnights, change.at} if change else {*midnights}


def _is_on(zone: "ZoneInfo", dates: FrozenSet[date], at: datetime) -> bool:
    return local_at(zone, at).date() in dates


@lru_cache(maxsize=1024)
def _change_between(zone: "ZoneInfo", low: datetime, high: datetime) -> Change:
    """Find, to the second, the one change between two instants whose offsets differ."""
    before, after = offset_at(zone, low), offset_at(zone, high)
    low, high = low.replace(microsecond=0), high + timedelta(microseconds=-high.microsecond % 1_000_000)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if offset_at(zone, middle) == before:
            low = middle
        else:
            high = middle
    return Change(high, before, after)
