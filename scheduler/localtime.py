"""Where the clocks of a zone change, and what instant a local time is.

Cron expressions speak local time; everything is decided in UTC. Between two changes of its offset a zone
is plain arithmetic, so a zone is treated as a row of stretches, and a local time belongs to a stretch:

    clocks put back     local times repeat: they belong to both stretches, and are two instants
    clocks put forward  local times are skipped: they belong to the stretch after, and are its first instant

Both directions of a search read the same stretches, so they cannot disagree. What a text means as a time is decided
here too, alike for all who read one.
"""

from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, FrozenSet, Iterator, List, NamedTuple, Optional, Set

from scheduler.errors import InputError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_STEP = timedelta(days=6)
"""No zone has changed its offset twice within this long since 1990, nor will by the rules known today (tzdata 2026)."""

_INSTANT = timedelta(microseconds=1)
_MOST_SUGGESTED = 3

EARLIEST = datetime(1990, 1, 1, tzinfo=timezone.utc)
LATEST = datetime(2200, 1, 1, tzinfo=timezone.utc)
"""Instants outside `EARLIEST` .. `LATEST` are refused where they enter the program."""
_FIRST_YEAR, _LAST_YEAR = 2000, 2099
"""When somebody may look at the schedules: a search from there goes ten years either way."""

_ZEROS = str.maketrans("123456789", "000000000")
_SHAPES = frozenset(
    f"0000-00-00{between}00:00{seconds}{offset}"
    for between in "T "
    for seconds in ("", ":00", ":00.000", ":00.000000")
    for offset in ("", "Z", "+00:00", "-00:00")
)


class Change(NamedTuple):
    """An instant at which a zone's offset to UTC changes, and the offset on either side."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def first_local(self) -> datetime:
        """The earliest local time of the stretch after: in a gap, that of the first skipped time."""
        return (self.at + min(self.before, self.after)).replace(tzinfo=None)


def read_time(text: str) -> Optional[datetime]:
    """Return a date and time with its offset, or without zone where the text has none; None for what is neither.

    Only the forms that every Python reads alike are read, since 3.11 learned many more: what is good on a laptop must
    not be unreadable in the function.
    """
    shape = text.translate(_ZEROS)
    is_odd = text[11:13] == "24" or (shape[-6:-5] in ("+", "-") and text[-2:] > "59")  # read by some, or as 08:39
    if shape not in _SHAPES or is_odd:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


def read_instant(text: str) -> Optional[datetime]:
    """Return an instant in UTC; None for what is none, or lacks its offset: whose clock was meant is not known."""
    at = read_time(text)
    return _in_utc(at) if at and at.tzinfo else None


def parse_api_time(text: Optional[str]) -> Optional[datetime]:
    """Return an instant as an API writes it, in UTC, which is meant where no offset is; None for no such thing."""
    at = read_time(text or "")
    return _in_utc(at if at.tzinfo else at.replace(tzinfo=timezone.utc)) if at else None


def _in_utc(at: datetime) -> Optional[datetime]:
    """Return an aware time in UTC; None where no date is left for it, at either end of the calendar."""
    try:
        return at.astimezone(timezone.utc)
    except OverflowError:
        return None


def parse_at(text: str) -> datetime:
    """Return the instant, with its offset, at which somebody wants to look. Raises `InputError`."""
    at = read_time(text)
    if at is None or at.tzinfo is None:
        raise InputError(
            f'at: "{text}" is not an instant: write one with its offset, such as 2026-11-23T08:00:00+07:00'
        )
    try:
        check_year(at)
    except ValueError as e:
        raise InputError(f'at: "{text}" {e}') from e
    return at.astimezone(timezone.utc)


def check_year(at: datetime) -> None:
    """Raise ValueError, saying what to write, for a time that is too far away to look at."""
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise ValueError(f"is out of range: write a year from {_FIRST_YEAR} to {_LAST_YEAR}")


def read_local(text: str, zone: "ZoneInfo") -> datetime:
    """Return the instant of a date and time, with an offset or in a zone.

    Raises ValueError, with what is wrong with the text and what to write instead.
    """
    moment = read_time(text)
    if moment is None:
        raise ValueError("is not a date and time: write one such as 2026-12-01T18:00")
    if EARLIEST.year < moment.year < LATEST.year:
        at = moment.astimezone(timezone.utc) if moment.tzinfo else _instant_of(zone, moment)
        if EARLIEST < at < LATEST:
            return at
    raise ValueError(f"is out of range: write a year from {EARLIEST.year + 1} to {LATEST.year - 1}")


def _instant_of(zone: "ZoneInfo", local: datetime) -> datetime:
    """Return the one instant of a local time. Raises ValueError for a repeated or a skipped one."""
    found = instants_of(zone, local)
    texts = [at.astimezone(zone).isoformat(timespec="minutes") for at in found]
    if len(found) > 1:
        raise ValueError(f"occurs twice in {zone.key}: write {texts[0]} or {texts[1]}")
    if local_at(zone, found[0]) != local:
        raise ValueError(f"does not exist in {zone.key}, clocks skip it: write {texts[0]}")
    return found[0]


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


def earliest_date(at: datetime) -> str:
    """Return the local date of an instant where it is earliest, ISO."""
    return (at - timedelta(hours=12)).date().isoformat()


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


def changes_between(zone: "ZoneInfo", after: datetime, until: datetime) -> Iterator[Change]:
    """Yield the changes of offset in ``(after, until]``, oldest first."""
    change = first_change(zone, after, until)
    while change is not None:
        yield change
        change = first_change(zone, change.at, until)


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
