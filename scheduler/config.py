"""From the text of a schedules file to `Schedules`, or to every problem in it at once.

``document`` has read the text and held it against the schema; this module applies defaults, resolves names,
dates and local times, and refuses what a schema cannot: unknown zones, expressions that never fire, overrides
that end before they begin. `load_checked` is the only reader of a file, and of the lock file beside it.
"""

import re
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple, Union
from zoneinfo import ZoneInfo

from scheduler.document import (
    MAX_BYTES,
    Document,
    NotADocumentError,
    Path_,
    load_schema,
    parse_document,
    quote,
    schema_problems,
    sort_problems,
    suggest,
    write_path,
)
from scheduler.errors import ConfigError, Problem
from scheduler.evaluate import cron_problem, fires_alike
from scheduler.function import read_function
from scheduler.hours import parse_hours
from scheduler.localtime import EARLIEST, LATEST, find_zone, read_local, suggest_zones
from scheduler.model import (
    OVERDUE_AFTER_S,
    AutoscaledPools,
    Cluster,
    ClusterId,
    ControlPlane,
    Exclude,
    Function,
    Limits,
    Membership,
    OnExcludedDates,
    Override,
    Prices,
    Schedules,
    State,
    StopType,
    Timing,
    Window,
)
from scheduler.public_holidays import LOCK_FILE, REFRESH, HolidayLock, lock_key, make_end, parse_lock

ReadLock = Callable[[], bytes]
"""Returns the lock file of public holidays; asked only if a calendar names a country. Raises OSError."""

_ENFORCE_ONE_SIDED_S = 3600
_MACHINE_ZONE = re.compile("localtime|posixrules|Factory|(posix|right)/.*")
"""Files beside the zones that only some machines have, or that mean another thing on each."""
_ABBREVIATION = re.compile("[A-Z]{2,5}")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST_DATES = 4000
"""How many dates a list may have, ranges and calendars written out."""
_MOST_DATES_IN_ALL = 500_000
_MOST_EXPRESSIONS = 2000
_MOST_LISTED, _MOST_OVERRIDES = 1000, 200  # as in the schema, which has refused longer lists
_MOST_PROBLEMS = 200
"""Each takes its time to tell, and a file can have one in every character."""
_cron_problem = lru_cache(maxsize=4096)(cron_problem)
_SET = re.compile(r"\[([^!]|!.)[^]]*\]", re.DOTALL)
"""A set of characters in a pattern, as fnmatch sees it: a ] that comes first does not end it."""
_DATES = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(\.\.[0-9]{4}-[0-9]{2}-[0-9]{2})?")
_DATES_HINT = "a date such as 2026-12-05, or a range such as 2026-12-28..2027-01-02"


class CountryCalendar(NamedTuple):
    """A calendar that names a country, and its place in the document."""

    path: Path_
    country: str
    subdivision: Optional[str]


class Checked(NamedTuple):
    """A schedules file without a problem: what it says, and where. ``holidays_last`` is by name of calendar."""

    schedules: Schedules
    document: Document
    holidays_last: Mapping[str, date]


def load_config(path: Union[str, Path]) -> Schedules:
    """Read and check a schedules file. Raises `ConfigError` with every problem in it, each with its place.

    The public holidays of a country are read from the lock file in the same folder.
    """
    return load_checked(path).schedules


def load_checked(path: Union[str, Path]) -> Checked:
    """Do as `load_config`, and return the document as well."""
    return parse_checked(read_schedules(path), str(path), (Path(path).parent / LOCK_FILE).read_bytes)


def read_schedules(path: Union[str, Path]) -> bytes:
    """Return the bytes of a schedules file. Raises `ConfigError`."""
    file = Path(path)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as e:  # a name with a NUL is a ValueError
        reason = getattr(e, "strerror", None) or str(e)
        advice = "name another file (--file, in the function the setting schedulesPath)"
        if isinstance(e, FileNotFoundError):
            advice += ", or make one with `cce-scheduler init`"
        raise ConfigError(str(path), [Problem("", 0, 0, f"cannot be read ({reason}): {advice}")]) from e
    return content


def _no_lock() -> bytes:
    raise FileNotFoundError


def parse_config(content: bytes, name: str, read_lock: ReadLock = _no_lock) -> Schedules:
    """Check the bytes of a schedules file; ``name`` is what messages call it. Raises `ConfigError`."""
    return parse_checked(content, name, read_lock).schedules


def parse_checked(content: bytes, name: str, read_lock: ReadLock = _no_lock) -> Checked:
    """Do as `parse_config`, and return the document as well."""
    builder = _start(content, name, read_lock)
    with suppress(_TooManyProblemsError):
        schedules = builder.build()
    if builder.problems:
        raise _config_error(name, builder.problems)
    return Checked(schedules, builder.document, builder.holidays_last)


def find_countries(content: bytes, name: str) -> Tuple[Document, List[CountryCalendar]]:
    """Return the calendars that name a country, of a file that may have problems elsewhere. Raises `ConfigError`."""
    builder = _start(content, name, _no_lock)
    return builder.document, list(builder.find_countries())


def _start(content: bytes, name: str, read_lock: ReadLock) -> "_Builder":
    try:
        schema = load_schema()
        document = parse_document(content, schema)
    except NotADocumentError as e:
        raise ConfigError(name, [e.problem]) from e
    found = chain(document.problems, schema_problems(document, schema))
    spoiled = list(islice(found, _MOST_PROBLEMS))
    if len(spoiled) == _MOST_PROBLEMS:
        raise _config_error(name, [problem for _, problem in spoiled])
    return _Builder(document, spoiled, read_lock)


class _TooManyProblemsError(Exception):
    """So many problems were found that the search was given up."""


def _config_error(name: str, problems: List[Problem]) -> ConfigError:
    found = sort_problems(problems)
    if len(problems) >= _MOST_PROBLEMS:
        message = f"{_MOST_PROBLEMS} problems and perhaps more: correct these, then look for the others"
        found.append(found[-1]._replace(path="", message=message))
    return ConfigError(name, found)


def parse_duration(text: str) -> int:
    """Return the seconds of a duration such as ``90s``, ``30m``, ``2h`` or ``1d``."""
    return int(text[:-1]) * _UNITS[text[-1]]


class _When(NamedTuple):
    """A schedule, or the inline part of a cluster: when to run, with the path for messages."""

    path: Path_
    timezone: Optional[str]
    state: Optional[State]
    windows: Tuple[Window, ...]


class _Builder:
    """Builds what a document means, collecting problems; what a problem spoils is left out and not reported again."""

    def __init__(self, document: Document, spoiled: List[Tuple[Path_, Problem]], read_lock: ReadLock) -> None:
        self.document = document
        self.problems = [problem for _, problem in spoiled]
        self._unsound = {path[:n] for path, _ in spoiled for n in range(len(path) + 1)}
        self.holidays_last: Dict[str, date] = {}
        self._read_lock = read_lock
        self._lock: Union[HolidayLock, str, None] = None
        self._timings: Dict[Any, Timing] = {}
        self._dates_left = _MOST_DATES_IN_ALL
        self._excluded_dates: Dict[Any, Dict[str, str]] = {}
        self._default_overrides: Dict[str, Tuple[Override, ...]] = {}
        self._cron_problems: Dict[str, Optional[str]] = {}
        self._zone_problems: Set[Path_] = set()

    def build(self) -> Schedules:
        """Return the schedules; they are only meaningful when `problems` stayed empty."""
        data = self.document.data if isinstance(self.document.data, dict) else {}
        self._file_zone = self._zone(("timezone",), data.get("timezone")) or "UTC"
        self._calendars = dict(self._read_calendars(_mapping(data.get("calendars"))))
        named = _mapping(data.get("schedules"))
        self._schedules = {name: self._read_when(("schedules", name), named[name]) for name in named}
        for name, when in self._schedules.items():
            if when and not when.windows and when.state is None and self._is_sound(("schedules", name)):
                self._report(("schedules", name), "says nothing: write windows or state")
        self._defaults = _mapping(data.get("defaults"))
        self._check_defaults()
        entries: Any = data.get("clusters")
        listed = entries if isinstance(entries, list) else []
        clusters = [self._read_cluster(number, entry) for number, entry in enumerate(listed)]
        self._check_duplicates([(n, e) for n, e in enumerate(listed) if isinstance(e, dict)])
        limits = _mapping(data.get("limits"))
        function = self._read_function(_mapping(data.get("function")))
        return Schedules(
            tuple(c for c in clusters if c),
            Limits(limits.get("max_stops_per_run")),
            function=function,
            remote_overrides=self._get((), data, "remote_overrides") is True,
            prices=self._read_prices(data.get("prices")),
        )

    def _read_prices(self, entry: Any) -> Optional[Prices]:
        """Read the section ``prices``; its numbers are still the text that was written, as exact as that."""
        if not isinstance(entry, dict) or not self._is_sound(("prices",)):
            return None
        from decimal import Decimal

        control_plane = entry.get("control_plane_per_hour")
        return Prices(
            entry["currency"],
            {flavor: Decimal(price) for flavor, price in entry["per_hour"].items()},
            None if control_plane is None else Decimal(control_plane),
        )

    def _read_function(self, entry: Mapping[str, Any]) -> Function:
        """Read the section ``function``; its region and project are those of the defaults unless it has its own."""
        path: Path_ = ("function",)
        found = {key: self._get(path, entry, key) for key in entry}
        for key in ("region", "project_id"):
            found[key] = self._setting(path, entry, key)
        every = found.get("every")
        function, problems = read_function(found, parse_duration(every) if every else None)
        for place, message in problems:
            self._report((*path, *place), message)
        return function

    def _check_defaults(self) -> None:
        """Report on the default schedule, which may be one that no cluster uses."""
        self._default_when = self._read_when(("defaults",), self._defaults)
        if any(k in self._defaults for k in ("schedule", "windows", "state")):
            self._choose_when(("defaults",), self._defaults, self._default_when)
        self._default_dates = self._read_listed_dates(("defaults",), self._defaults, {})
        self._default_lasts = self._holidays_used(("defaults",), self._defaults)
        self._check_patterns(("defaults",), self._defaults)
        self._default_exclude = {key: self._texts(("defaults",), self._defaults, key) for key in Exclude._fields}

    def _report(self, path: Path_, message: str, *, at_key: bool = False) -> None:
        self.problems.append(self.document.problem(path, message, at_key=at_key))
        if len(self.problems) >= _MOST_PROBLEMS:
            raise _TooManyProblemsError

    def _is_sound(self, path: Path_) -> bool:
        """Whether the schema has nothing against what stands at a path, or below it."""
        return path not in self._unsound

    def _get(self, path: Path_, data: Mapping[str, Any], key: str) -> Any:
        """Return a setting, None where it is missing or spoiled."""
        return data.get(key) if self._is_sound((*path, key)) else None

    def _zone(self, path: Path_, name: Optional[str]) -> Optional[str]:
        if name is None or not self._is_sound(path):
            return None
        if find_zone(name) is None or _MACHINE_ZONE.fullmatch(name):
            if path not in self._zone_problems:
                self._zone_problems.add(path)
                self._report(path, f"unknown zone {quote(name)}: {_zone_advice(name)}")
            return None
        return name

    def _read_calendars(self, calendars: Mapping[str, Any]) -> Iterator[Tuple[str, Dict[str, str]]]:
        for name, calendar in calendars.items():
            path: Path_ = ("calendars", name)
            dates: Dict[str, str] = {}
            entry = _mapping(calendar)
            count = 0
            for place, text in self._listed((*path, "dates"), entry.get("dates")):
                found = self._read_dates(place, text)
                dates.update(dict.fromkeys(found, name))
                count += len(found)
                if not self._is_short((*path, "dates"), count):
                    break
            country, subdivision = self._get(path, entry, "country"), self._get(path, entry, "subdivision")
            if country is not None:
                dates.update(self._read_holidays(path, name, lock_key(country, subdivision)))
            elif subdivision is not None and self._is_sound(path):
                self._report((*path, "subdivision"), "stands without a country: write country too", at_key=True)
            elif "subdivision" in entry and "dates" not in entry and self._is_sound(path):
                self._report((*path, "subdivision"), "stands alone: write dates, or a country", at_key=True)
            self._charge(path, dates)
            yield name, dates

    def _is_short(self, path: Path_, count: int) -> bool:
        """Whether a list has no more dates than it may; what comes after them is not looked at."""
        if count > _MOST_DATES:
            self._report(path, f"has more than {_MOST_DATES} dates in all: write fewer, or shorter ranges")
        return count <= _MOST_DATES

    def _charge(self, path: Path_, dates: Mapping[str, str]) -> None:
        """Count the dates that the file makes the program keep."""
        self._dates_left -= len(dates)
        if self._dates_left < 0:
            message = f"by here the file has more than {_MOST_DATES_IN_ALL} dates: let clusters share lists of them"
            self._report(path, message)

    def find_countries(self) -> Iterator[CountryCalendar]:
        """Yield the calendars that name a country; those with a problem are left out."""
        calendars = _mapping(_mapping(self.document.data).get("calendars"))
        for name, calendar in calendars.items():
            path: Path_ = ("calendars", name)
            country = self._get(path, _mapping(calendar), "country")
            if country is not None and self._is_sound(path):
                yield CountryCalendar(path, country, _mapping(calendar).get("subdivision"))

    def _read_holidays(self, path: Path_, name: str, key: str) -> Dict[str, str]:
        if self._lock is None:
            self._lock = _read_lock_file(self._read_lock)
        found = self._lock.calendars.get(key) if isinstance(self._lock, HolidayLock) else None
        if found is None:
            why = self._lock if isinstance(self._lock, str) else f"{LOCK_FILE} lacks them"
            self._report((*path, "country"), f"the public holidays of {key:.60} are not known, {why}: {REFRESH}")
            return {}
        self.holidays_last[name] = found.last
        return {day: f"{name}: {title}" for day, title in found.dates.items()}

    def _read_dates(self, path: Path_, text: str) -> List[str]:
        """Return the ISO dates of a date or a range."""
        if not _DATES.fullmatch(text):
            self._report(path, f"{quote(text)} cannot be used here: write {_DATES_HINT}")
            return []
        ends = []
        for part in text.split(".."):
            try:
                ends.append(datetime.strptime(part, "%Y-%m-%d").date())  # noqa: DTZ007 - a local date
            except ValueError:
                self._report(path, f"{quote(part)} is not a date of the calendar: write one such as 2026-12-05")
                return []
        first, last = ends[0], ends[-1]
        if not (EARLIEST.year < first.year and last.year < LATEST.year):
            message = f"is out of range: write a year from {EARLIEST.year + 1} to {LATEST.year - 1}"
            self._report(path, f"{quote(text)} {message}")
            return []
        if last < first:
            self._report(path, f"{quote(text)} is backwards: write {last}..{first}")
            return []
        count = (last - first).days + 1
        if count > _MOST_DATES:
            self._report(path, f"{quote(text)} has {count} dates: write at most {_MOST_DATES}")
            return []
        return [(first + timedelta(days=n)).isoformat() for n in range(count)]

    def _read_when(self, path: Path_, data: Any) -> Optional[_When]:
        """Read what a schedule, a cluster or the defaults say of when to run; None if a problem spoils it."""
        entry = _mapping(data)
        zone = self._zone((*path, "timezone"), entry.get("timezone"))
        state, listed = self._get(path, entry, "state"), entry.get("windows")
        windows = (
            [self._read_window((*path, "windows", n), w) for n, w in enumerate(listed or ())]
            if isinstance(listed, list)
            else []
        )
        if "windows" in entry and "state" in entry:
            self._report((*path, "state"), "state and windows exclude each other: keep one", at_key=True)
            return None
        whole = [w for w in windows if w]
        if len(whole) < len(windows) or not all(self._is_sound((*path, k)) for k in ("windows", "state", "timezone")):
            return None
        one_sided = [w for w in whole if w.start is None or w.stop is None]
        if one_sided and len(one_sided) < len(whole):
            message = (
                "windows with both start and stop, and windows with only one, exclude each other: split the schedule"
            )
            self._report((*path, "windows"), message, at_key=True)
            return None
        return _When(path, zone, State(state) if state else None, tuple(whole))

    def _read_window(self, path: Path_, data: Any) -> Optional[Window]:
        entry = _mapping(data)
        said = {k: entry[k] for k in ("start", "stop", "hours") if self._get(path, entry, k) is not None}
        found = {side: self._cron_problem(said[side]) for side in ("start", "stop") if side in said}
        for side, problem in found.items():
            if problem:
                self._report((*path, side), problem)
        hours = self._read_hours((*path, "hours"), said["hours"]) if "hours" in said else None
        if "hours" in entry and ("start" in entry or "stop" in entry):
            self._report(path, "hours excludes start and stop: keep one form")
            return None
        if "hours" in entry or any(found.values()) or not self._is_sound(path):
            return hours
        start, stop = (" ".join(said[side].split()) if side in said else None for side in ("start", "stop"))
        if start is not None and stop is not None and (start == stop or fires_alike(start, stop)):
            self._report(path, "start and stop are equal, so it never stops: write `state: running`, or another stop")
            return None
        return Window(start, stop)

    def _cron_problem(self, expression: str) -> Optional[str]:
        if expression not in self._cron_problems:
            if len(self._cron_problems) < _MOST_EXPRESSIONS:
                self._cron_problems[expression] = _cron_problem(expression)
            else:
                return f"{quote(expression)} is one of more than {_MOST_EXPRESSIONS}: let clusters share schedules"
        return self._cron_problems[expression]

    def _read_hours(self, path: Path_, text: str) -> Optional[Window]:
        try:
            return parse_hours(text)
        except ValueError as e:
            self._report(path, str(e))
            return None

    def _read_cluster(self, number: int, data: Any) -> Optional[Cluster]:
        path: Path_ = ("clusters", number)
        if not isinstance(data, dict):
            return None
        when = self._choose_when(path, data, self._read_when(path, data))
        excluded = self._read_excluded_dates(path, data)
        self._check_patterns(path, data)
        zone = (when and when.timezone) or self._cluster_zone(path, data) or self._file_zone
        is_known = when is not None and not self._zone_problems
        overrides = self._read_overrides(path, data, zone if is_known else "UTC")  # where every local time exists
        name, cluster_id = self._get(path, data, "name"), self._get(path, data, "cluster_id")
        if when is None:
            return None
        enforce_s = self._read_enforce(path, data, when)
        if name is None or cluster_id is None:
            return None
        on_excluded = OnExcludedDates(self._setting(path, data, "on_excluded_dates") or "no_start")
        lasts = self._default_lasts | self._holidays_used(path, data)
        end = make_end(min(lasts), zone) if lasts else None
        timing = Timing(zone, when.state, when.windows, excluded, on_excluded, overrides, enforce_s, end)
        return Cluster(
            name=name,
            cluster_id=ClusterId(cluster_id.lower()),
            timing=self._shared(timing),
            region=self._setting(path, data, "region"),
            project_id=self._setting(path, data, "project_id"),
            stop_type=StopType(self._setting(path, data, "stop_type") or "SOFT"),
            exclude=Exclude(*(self._default_exclude[k] + self._texts(path, data, k) for k in Exclude._fields)),
            stop_prepaid=bool(self._setting(path, data, "stop_prepaid")),
            hard_after_s=self._duration(path, data, "hard_after"),
            overdue_after_s=self._duration(path, data, "overdue_after") or OVERDUE_AFTER_S,
            control_plane=ControlPlane(self._setting(path, data, "control_plane") or "keep"),
            autoscaled_pools=AutoscaledPools(self._setting(path, data, "autoscaled_pools") or "refuse"),
            membership=Membership(self._setting(path, data, "members") or "tags"),
            enabled=self._setting(path, data, "enabled") is not False,
        )

    def _shared(self, timing: Timing) -> Timing:
        """Return the one object of all equal timings, so that they are evaluated once."""
        key = (*timing[:3], id(timing.excluded_dates), *timing[4:])  # the same dates are one object already
        return self._timings.setdefault(key, timing)

    def _setting(self, path: Path_, data: Mapping[str, Any], key: str) -> Any:
        """Return a cluster's own setting, or the default's."""
        return self._get(path, data, key) if key in data else self._get(("defaults",), self._defaults, key)

    def _duration(self, path: Path_, data: Mapping[str, Any], key: str) -> Optional[int]:
        text = self._setting(path, data, key)
        return None if text is None else parse_duration(text)

    def _texts(self, path: Path_, data: Mapping[str, Any], key: str) -> Tuple[str, ...]:
        return tuple(text for _, text in self._excluded(path, data, key))

    def _excluded(self, path: Path_, data: Mapping[str, Any], key: str) -> List[Tuple[Path_, str]]:
        """Return what a cluster or the defaults exclude, each with its path."""
        return self._listed((*path, "exclude", key), _mapping(data.get("exclude")).get(key))

    def _check_patterns(self, path: Path_, data: Mapping[str, Any]) -> None:
        """Report patterns that would mean a bracket where a set was meant, and exclude nothing."""
        for place, text in self._excluded(path, data, "servers"):
            if "[" in _SET.sub("", text):
                message = f"{quote(text)} has a [ without its ]: write a set of characters such as [ab], or [[] for a ["
                self._report(place, message)

    def _listed(self, path: Path_, texts: Any) -> List[Tuple[Path_, str]]:
        """Return the sound texts of a list, each with its path."""
        numbered = enumerate(texts[:_MOST_LISTED] if isinstance(texts, list) else ())
        return [((*path, n), text) for n, text in numbered if self._is_sound((*path, n))]

    def _cluster_zone(self, path: Path_, data: Mapping[str, Any]) -> Optional[str]:
        owner: Path_ = path if "timezone" in data else ("defaults",)
        return self._zone((*owner, "timezone"), self._setting(path, data, "timezone"))

    def _choose_when(self, path: Path_, data: Mapping[str, Any], inline: Optional[_When]) -> Optional[_When]:
        """Return when a cluster runs: what it says itself, else what the defaults say."""
        for owner, entry in ((path, data), (("defaults",), self._defaults)):
            said = [k for k in ("schedule", "windows", "state") if k in entry]
            if len(said) > 1 and "schedule" in said:
                self._report((*owner, said[1]), f"schedule and {said[1]} exclude each other: keep one", at_key=True)
                return None
            if "schedule" in said:
                return self._named(owner, entry)
            if said:
                when = inline if owner == path else self._default_when
                # Only a named schedule's zone comes before the cluster's own.
                return when and when._replace(timezone=None)
        self._report(path, "has no schedule: write one of schedule, windows and state")
        return None

    def _named(self, owner: Path_, entry: Mapping[str, Any]) -> Optional[_When]:
        name = self._get(owner, entry, "schedule")
        if name is None:
            return None
        if name not in self._schedules:
            message = f"unknown schedule {quote(name)}: {suggest(name, sorted(self._schedules))}"
            self._report((*owner, "schedule"), message)
            return None
        return self._schedules[name]

    def _read_excluded_dates(self, path: Path_, data: Mapping[str, Any]) -> Dict[str, str]:
        """Return what the defaults and a cluster exclude; clusters that exclude the same share one object."""
        own = self._texts(path, data, "dates")
        if not own:
            return self._default_dates
        if own not in self._excluded_dates:
            known = len(self.problems)
            dates = self._read_listed_dates(path, data, self._default_dates)
            if len(self.problems) > known:  # and each other place has them too
                return dates
            self._charge((*path, "exclude", "dates"), dates)
            self._excluded_dates[own] = self._excluded_dates.setdefault(tuple(dates.items()), dates)
        return self._excluded_dates[own]

    def _read_listed_dates(self, path: Path_, data: Mapping[str, Any], given: Mapping[str, str]) -> Dict[str, str]:
        """Return given dates, and those that a cluster or the defaults exclude."""
        dates = dict(given)
        count = 0
        for place, text in self._excluded(path, data, "dates"):
            if text in self._calendars:
                found = self._calendars[text]
                dates.update(found)
            elif text[:1].isdigit():
                found = dict.fromkeys(self._read_dates(place, text), "")
                dates.update({day: "" for day in found if day not in dates})  # a calendar's name says more
            else:
                found = {}
                message = f"unknown calendar {quote(text)}: {suggest(text, sorted(self._calendars))}"
                self._report(place, message)
            count += len(found)
            if not self._is_short((*path, "exclude", "dates"), count):
                break
        return dates

    def _holidays_used(self, path: Path_, data: Mapping[str, Any]) -> Set[date]:
        """Return the last known date of each country's calendar by which a cluster, or the defaults, exclude dates."""
        names = self._texts(path, data, "dates")
        return {self.holidays_last[name] for name in names if name in self.holidays_last}

    def _read_enforce(self, path: Path_, data: Mapping[str, Any], when: _When) -> Optional[int]:
        one_sided = any(w.start is None or w.stop is None for w in when.windows)
        text = self._setting(path, data, "enforce")
        if text is None:
            return _ENFORCE_ONE_SIDED_S if one_sided else None
        if text != "always":
            return parse_duration(text) if when.state is None else None
        if one_sided:
            owner: Path_ = path if "enforce" in data else ("defaults",)
            message = f"always cannot go with the one-sided windows of {write_path(path)}: write a duration such as 1h"
            self._report((*owner, "enforce"), message)
        return None

    def _read_overrides(self, path: Path_, data: Mapping[str, Any], zone: str) -> Tuple[Override, ...]:
        if "overrides" in data:
            return self._read_listed_overrides((*path, "overrides"), data["overrides"], zone)
        if zone not in self._default_overrides:
            path, listed = ("defaults", "overrides"), self._defaults.get("overrides")
            self._default_overrides[zone] = self._read_listed_overrides(path, listed, zone)
        return self._default_overrides[zone]

    def _read_listed_overrides(self, path: Path_, listed: Any, zone: str) -> Tuple[Override, ...]:
        entries = listed[:_MOST_OVERRIDES] if isinstance(listed, list) else ()
        found = [self._read_override((*path, n), entry, ZoneInfo(zone)) for n, entry in enumerate(entries)]
        return tuple(override for override in found if override)

    def _read_override(self, path: Path_, entry: Mapping[str, Any], zone: ZoneInfo) -> Optional[Override]:
        entry = _mapping(entry)
        said = {k: entry[k] for k in ("from", "until") if self._get(path, entry, k) is not None}
        if len({_has_offset(text) for text in said.values()}) > 1:
            self._report(path, "from and until are mixed: write both with an offset, or both without")
            return None
        found = {side: self._read_moment((*path, side), text, zone) for side, text in said.items()}
        start, end = found.get("from"), found.get("until")
        if start is None or end is None:
            return None
        if start >= end:
            self._report((*path, "until"), f"ends before it begins: write a moment after {quote(entry['from'])}")
            return None
        if not self._is_sound(path):
            return None
        return Override(State(entry["state"]), start, end, entry.get("reason", ""))

    def _read_moment(self, path: Path_, text: str, zone: ZoneInfo) -> Optional[datetime]:
        """Return the instant of a date and time, with an offset or in a zone."""
        try:
            return read_local(text, zone)
        except ValueError as e:
            self._report(path, f"{quote(text)} {e}")
            return None

    def _check_duplicates(self, entries: List[Tuple[int, Mapping[str, Any]]]) -> None:
        names: Dict[str, int] = {}
        ids: Dict[str, int] = {}
        for number, entry in entries:
            path: Path_ = ("clusters", number)
            name, cluster_id = self._get(path, entry, "name"), self._get(path, entry, "cluster_id")
            if name is not None and names.setdefault(name, number) != number:
                self._report((*path, "name"), f"{quote(name)} is already clusters[{names[name]}]: write another name")
            if cluster_id is None or self._setting(path, entry, "enabled") is False:
                continue
            first = ids.setdefault(cluster_id.lower(), number)
            if first != number:
                message = f"the id is already managed by clusters[{first}]: remove one, or write enabled: false"
                self._report((*path, "cluster_id"), message)


def _read_lock_file(read: ReadLock) -> Union[HolidayLock, str]:
    """Return the lock file of public holidays, or why there is none."""
    try:
        return parse_lock(read())
    except FileNotFoundError:
        return f"{LOCK_FILE} is missing"
    except OSError as e:
        return f"{LOCK_FILE} cannot be read ({e.strerror or type(e).__name__})"
    except ValueError as e:
        return f"{LOCK_FILE} is damaged ({e})"


def _zone_advice(name: str) -> str:
    meant = [zone for zone in suggest_zones(name) if not _MACHINE_ZONE.fullmatch(zone)]
    if meant:
        return f"did you mean {' or '.join(meant)}?"
    short = ", not an abbreviation" if _ABBREVIATION.fullmatch(name) else ""
    return f"write an IANA name such as Asia/Bangkok{short}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _has_offset(text: str) -> bool:
    return text.endswith("Z") or text[16:].find("+") >= 0 or text[16:].find("-") >= 0
