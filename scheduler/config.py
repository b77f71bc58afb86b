"""From the text of a schedules file to `Schedules`, or to every problem in it at once.

``document`` has read the text and held it against the schema; this module applies defaults, resolves names,
dates and local times, and refuses what a schema cannot: unknown zones, expressions that never fire, overrides
that end before they begin. `load_config` is the only reader of a file.
"""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple, Union
from zoneinfo import ZoneInfo

from scheduler.document import (
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
from scheduler.evaluate import cron_problem
from scheduler.hours import parse_hours
from scheduler.localtime import EARLIEST, LATEST, find_zone, instants_of, local_at
from scheduler.model import (
    Cluster,
    ClusterId,
    Exclude,
    Limits,
    OnExcludedDates,
    Override,
    Schedules,
    State,
    StopType,
    Timing,
    Window,
)

Holidays = Callable[[str, Optional[str]], Mapping[str, str]]
"""Gives the public holidays of a country and subdivision: ISO dates to names. Raises ValueError if it knows none."""

_ENFORCE_ONE_SIDED_S = 3600
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST_DATES = 4000


def load_config(path: Union[str, Path], holidays: Optional[Holidays] = None) -> Schedules:
    """Read and check a schedules file. Raises `ConfigError` with every problem in it, each with its place.

    ``holidays`` resolves calendars that name a country; without it they are a problem.
    """
    file = Path(path)
    try:
        content = file.read_bytes()
    except OSError as e:
        reason = e.strerror or type(e).__name__
        raise ConfigError(str(path), [Problem("", 1, 1, f"cannot be read ({reason}): name the file")]) from e
    return parse_config(content, str(path), holidays)


def parse_config(content: bytes, name: str, holidays: Optional[Holidays] = None) -> Schedules:
    """Check the bytes of a schedules file; ``name`` is what messages call it. Raises `ConfigError`."""
    try:
        schema = load_schema()
        document = parse_document(content, schema)
    except NotADocumentError as e:
        raise ConfigError(name, [e.problem]) from e
    builder = _Builder(document, list(schema_problems(document, schema)), holidays)
    schedules = builder.build()
    if builder.problems:
        raise ConfigError(name, sort_problems(builder.problems))
    return schedules


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

    def __init__(self, document: Document, spoiled: List[Tuple[Path_, Problem]], holidays: Optional[Holidays]) -> None:
        self.document = document
        self.problems = [*document.problems, *(problem for _, problem in spoiled)]
        self._spoiled = [path for path, _ in spoiled]
        self._holidays = holidays
        self._timings: Dict[Any, Timing] = {}
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
        self._read_when(("defaults",), self._defaults)
        entries: Any = data.get("clusters")
        listed = entries if isinstance(entries, list) else []
        clusters = [self._read_cluster(number, entry) for number, entry in enumerate(listed)]
        self._check_duplicates([(n, e) for n, e in enumerate(listed) if isinstance(e, dict)])
        limits = _mapping(data.get("limits"))
        return Schedules(tuple(c for c in clusters if c), Limits(limits.get("max_stops_per_run")))

    def _report(self, path: Path_, message: str, *, at_key: bool = False) -> None:
        self.problems.append(self.document.problem(path, message, at_key=at_key))

    def _is_sound(self, path: Path_) -> bool:
        """Whether the schema has nothing against what stands at a path, or below it."""
        return not any(spoiled[: len(path)] == path for spoiled in self._spoiled)

    def _get(self, path: Path_, data: Mapping[str, Any], key: str) -> Any:
        """Return a setting, None where it is missing or spoiled."""
        return data.get(key) if self._is_sound((*path, key)) else None

    def _zone(self, path: Path_, name: Optional[str]) -> Optional[str]:
        if name is None or not self._is_sound(path):
            return None
        if find_zone(name) is None:
            if path not in self._zone_problems:
                self._zone_problems.add(path)
                self._report(path, f"unknown zone {quote(name)}: write an IANA name such as Asia/Bangkok")
            return None
        return name

    def _read_calendars(self, calendars: Mapping[str, Any]) -> Iterator[Tuple[str, Dict[str, str]]]:
        for name, calendar in calendars.items():
            path: Path_ = ("calendars", name)
            dates: Dict[str, str] = {}
            entry = _mapping(calendar)
            for number, text in enumerate(self._get(path, entry, "dates") or ()):
                dates.update(dict.fromkeys(self._read_dates((*path, "dates", number), text), name))
            country, subdivision = self._get(path, entry, "country"), self._get(path, entry, "subdivision")
            if country is not None:
                dates.update(self._read_holidays(path, name, country, subdivision))
            elif subdivision is not None and self._is_sound(path):
                self._report((*path, "subdivision"), "stands without a country: write country too", at_key=True)
            yield name, dates

    def _read_holidays(self, path: Path_, name: str, country: str, subdivision: Optional[str]) -> Dict[str, str]:
        if self._holidays is None:
            message = "public holidays are not known here: run `cce-scheduler package`, which writes their dates out"
            self._report((*path, "country"), message)
            return {}
        try:
            found = self._holidays(country, subdivision)
        except ValueError as e:
            self._report((*path, "country"), str(e))
            return {}
        return {day: f"{name}: {title}" for day, title in found.items()}

    def _read_dates(self, path: Path_, text: str) -> List[str]:
        """Return the ISO dates of a date or a range."""
        ends = []
        for part in text.split(".."):
            try:
                ends.append(datetime.strptime(part, "%Y-%m-%d").date())  # noqa: DTZ007 - a local date
            except ValueError:
                self._report(path, f"{quote(part)} is not a date of the calendar: write one such as 2026-12-05")
                return []
        first, last = ends[0], ends[-1]
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
        if not self._is_sound(path):
            return None
        entry = _mapping(data)
        if "hours" in entry:
            if len(entry) > 1:
                self._report(path, "hours excludes start and stop: keep one form")
                return None
            try:
                return parse_hours(entry["hours"])
            except ValueError as e:
                self._report((*path, "hours"), str(e))
                return None
        found = {side: cron_problem(entry[side]) for side in ("start", "stop") if side in entry}
        for side, problem in found.items():
            if problem:
                self._report((*path, side), problem)
        if any(found.values()):
            return None
        start, stop = (" ".join(entry[side].split()) if side in entry else None for side in ("start", "stop"))
        if start is not None and start == stop:
            self._report(path, "start and stop are equal, so it never stops: write `state: running`, or another stop")
            return None
        return Window(start, stop)

    def _read_cluster(self, number: int, data: Any) -> Optional[Cluster]:
        path: Path_ = ("clusters", number)
        if not isinstance(data, dict):
            return None
        when = self._choose_when(path, data)
        excluded = self._read_excluded_dates(path, data)
        zone = (when and when.timezone) or self._cluster_zone(path, data) or self._file_zone
        overrides = self._read_overrides(path, data, zone)
        name, cluster_id = self._get(path, data, "name"), self._get(path, data, "cluster_id")
        if when is None or name is None or cluster_id is None:
            return None
        enforce_s = self._read_enforce(path, data, when)
        on_excluded = OnExcludedDates(self._setting(path, data, "on_excluded_dates") or "no_start")
        timing = Timing(zone, when.state, when.windows, excluded, on_excluded, overrides, enforce_s)
        exclude = [(("defaults",), self._defaults), (path, data)]
        enabled = self._setting(path, data, "enabled")
        return Cluster(
            name=name,
            cluster_id=ClusterId(cluster_id.lower()),
            timing=self._shared(timing),
            region=self._setting(path, data, "region"),
            project_id=self._setting(path, data, "project_id"),
            stop_type=StopType(self._setting(path, data, "stop_type") or "SOFT"),
            exclude=Exclude(
                servers=tuple(text for p, d in exclude for _, text in self._excluded(p, d, "servers")),
                tags=tuple(text for p, d in exclude for _, text in self._excluded(p, d, "tags")),
            ),
            stop_prepaid=bool(self._setting(path, data, "stop_prepaid")),
            enabled=enabled is not False,
        )

    def _shared(self, timing: Timing) -> Timing:
        """Return the one object of all equal timings, so that they are evaluated once."""
        key = (*timing[:3], tuple(timing.excluded_dates.items()), *timing[4:])
        return self._timings.setdefault(key, timing)

    def _setting(self, path: Path_, data: Mapping[str, Any], key: str) -> Any:
        """Return a cluster's own setting, or the default's."""
        return self._get(path, data, key) if key in data else self._get(("defaults",), self._defaults, key)

    def _excluded(self, path: Path_, data: Mapping[str, Any], key: str) -> List[Tuple[Path_, str]]:
        """Return what a cluster or the defaults exclude, each with its path."""
        listed = _mapping(data.get("exclude")).get(key)
        here = (*path, "exclude", key)
        return [((*here, n), text) for n, text in enumerate(listed or ())] if self._is_sound(here) else []

    def _cluster_zone(self, path: Path_, data: Mapping[str, Any]) -> Optional[str]:
        owner: Path_ = path if "timezone" in data else ("defaults",)
        return self._zone((*owner, "timezone"), self._setting(path, data, "timezone"))

    def _choose_when(self, path: Path_, data: Mapping[str, Any]) -> Optional[_When]:
        """Return when a cluster runs: what it says itself, else what the defaults say."""
        inline = self._read_when(path, data)
        for owner, entry in ((path, data), (("defaults",), self._defaults)):
            said = [k for k in ("schedule", "windows", "state") if k in entry]
            if len(said) > 1 and "schedule" in said:
                self._report((*owner, said[1]), f"schedule and {said[1]} exclude each other: keep one", at_key=True)
                return None
            if "schedule" in said:
                return self._named(owner, entry)
            if said:
                return inline if owner == path else self._read_quietly(owner, entry)
        self._report(path, "has no schedule: write one of schedule, windows and state")
        return None

    def _read_quietly(self, path: Path_, data: Mapping[str, Any]) -> Optional[_When]:
        """Read again what was already reported on."""
        known = len(self.problems)
        when = self._read_when(path, data)
        del self.problems[known:]
        return when

    def _named(self, owner: Path_, entry: Mapping[str, Any]) -> Optional[_When]:
        name = self._get(owner, entry, "schedule")
        if name is None:
            return None
        if name not in self._schedules:
            problem = self.document.problem(
                (*owner, "schedule"), f"unknown schedule {quote(name)}: {suggest(name, sorted(self._schedules))}"
            )
            if problem not in self.problems:
                self.problems.append(problem)
            return None
        return self._schedules[name]

    def _read_excluded_dates(self, path: Path_, data: Mapping[str, Any]) -> Dict[str, str]:
        dates: Dict[str, str] = {}
        for owner, entry in ((("defaults",), self._defaults), (path, data)):
            for place, text in self._excluded(owner, entry, "dates"):
                if text in self._calendars:
                    dates.update(self._calendars[text])
                elif text[:1].isdigit():
                    dates.update(dict.fromkeys(self._read_dates(place, text), ""))
                else:
                    known = sorted(self._calendars)
                    self._report(place, f"unknown calendar {quote(text)}: {suggest(text, known)}")
        return dates

    def _read_enforce(self, path: Path_, data: Mapping[str, Any], when: _When) -> Optional[int]:
        one_sided = any(w.start is None or w.stop is None for w in when.windows)
        text = self._setting(path, data, "enforce")
        if text is None:
            return _ENFORCE_ONE_SIDED_S if one_sided else None
        if text != "always":
            return parse_duration(text)
        if one_sided:
            owner: Path_ = path if "enforce" in data else ("defaults",)
            message = f"always cannot go with the one-sided windows of {write_path(path)}: write a duration such as 1h"
            self._report((*owner, "enforce"), message)
        return None

    def _read_overrides(self, path: Path_, data: Mapping[str, Any], zone: str) -> Tuple[Override, ...]:
        owner: Path_ = path if "overrides" in data else ("defaults",)
        listed = self._setting(path, data, "overrides")
        found = []
        for number, entry in enumerate(listed or ()):
            override = self._read_override((*owner, "overrides", number), entry, ZoneInfo(zone))
            if override:
                found.append(override)
        return tuple(found)

    def _read_override(self, path: Path_, entry: Mapping[str, Any], zone: ZoneInfo) -> Optional[Override]:
        if not self._is_sound(path):
            return None
        if _has_offset(entry["from"]) != _has_offset(entry["until"]):
            self._report(path, "from and until are mixed: write both with an offset, or both without")
            return None
        start, end = (self._read_moment((*path, side), entry[side], zone) for side in ("from", "until"))
        if start is None or end is None:
            return None
        if start >= end:
            self._report((*path, "until"), f"ends before it begins: write a moment after {quote(entry['from'])}")
            return None
        return Override(State(entry["state"]), start, end, entry.get("reason", ""))

    def _read_moment(self, path: Path_, text: str, zone: ZoneInfo) -> Optional[datetime]:
        """Return the instant of a date and time, with an offset or in a zone."""
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
            at = moment.astimezone(timezone.utc) if moment.tzinfo else None
        except (ValueError, OverflowError):
            self._report(path, f"{quote(text)} is not a date and time: write one such as 2026-12-01T18:00")
            return None
        if at is None:
            found = instants_of(zone, moment) if EARLIEST.year < moment.year < LATEST.year else ()
            if len(found) > 1:
                first, second = (x.astimezone(zone).isoformat(timespec="minutes") for x in found)
                self._report(path, f"{quote(text)} occurs twice in {zone.key}: write {first} or {second}")
                return None
            if found and local_at(zone, found[0]) != moment:
                after = found[0].astimezone(zone).isoformat(timespec="minutes")
                self._report(path, f"{quote(text)} does not exist in {zone.key}, clocks skip it: write {after}")
                return None
            at = found[0] if found else None
        if at is None or not EARLIEST < at < LATEST:
            self._report(
                path, f"{quote(text)} is out of range: write a year from {EARLIEST.year + 1} to {LATEST.year - 1}"
            )
            return None
        return at

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


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _has_offset(text: str) -> bool:
    return text.endswith("Z") or text[16:].find("+") >= 0 or text[16:].find("-") >= 0
