"""What is allowed in a schedules file and still likely to be a mistake, each with its place and what to do.

``config`` refuses what cannot be meant; this module only warns, and only who asks for it: a run never does. Pure:
the moment from which it looks ahead is handed in. It looks a year ahead, in a time that does not grow with how often
an expression fires: an expression is its times of day (minute, hour) on its days (day, month, weekday), and clocks are
looked at only around their changes.
"""

from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from itertools import chain, groupby, islice
from typing import Any, Container, Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from zoneinfo import ZoneInfo

from scheduler.config import Checked
from scheduler.describe import describe_duration, join_some
from scheduler.document import Path_, quote, sort_problems
from scheduler.errors import Problem
from scheduler.evaluate import state_at, transitions
from scheduler.hours import parse_hours
from scheduler.localtime import Change, changes_between, earliest_date
from scheduler.misreading import find_misreadings
from scheduler.model import CalendarsEnd, Cluster, ClusterId, ControlPlane, OnExcludedDates, State, Timing, Window
from scheduler.public_holidays import check_end, make_end

_YEAR = timedelta(days=366)
_YEAR_OF_CHANGES = timedelta(days=373)
"""Clocks change on a day of the week: within a year and a week, each change comes again."""
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_MINUTE_S, _DAY_MINUTES = 60, 1440
_INSTANT = timedelta(microseconds=1)
_ANY_DAY = datetime(2024, 1, 1)  # noqa: DTZ001 - a local time
_LONG_AGO = datetime.min  # noqa: DTZ901 - a local time

_Caution = Tuple[Path_, str]


class _Written(NamedTuple):
    """A window where it is written, and the enabled clusters that run by it."""

    path: Path_
    window: Window
    is_hours: bool
    clusters: Sequence[Cluster]

    def side_path(self, side: str) -> Path_:
        """Return where the expression of a side is written."""
        return (*self.path, "hours" if self.is_hours else side)


class _Hit(NamedTuple):
    """A time of an expression that falls into a change of a zone's clocks."""

    zone: str
    change: Change
    side: str
    local: datetime


def find_cautions(checked: Checked, now: datetime) -> List[Problem]:
    """Return every warning about a file as it stands at ``now``, in the order of the file, each once for a place."""
    found: List[_Caution] = []
    for place in _find_windows(checked):
        found += _check_days(place)
        if place.window.start is not None and place.window.stop is not None:
            found += _check_spans(place, checked.schedules.function.every_s, now.date())
        found += _check_clocks(place, now)
    found += _check_overrides(checked, now)
    found += _check_calendars(checked, now)
    found += _check_settings(checked, now)
    found += _check_homes(checked.schedules.clusters)
    found += _check_zones(checked)
    found += find_misreadings(checked)
    problems = sort_problems([checked.document.problem(path, message) for path, message in found])
    # An alias brings one place of the text to several paths.
    return list({(p.line, p.column, p.message): p for p in reversed(problems)}.values())[::-1]


def _find_windows(checked: Checked) -> Iterator[_Written]:
    """Yield every window of the file, once for each path."""
    data = checked.document.data
    users: Dict[Path_, List[Cluster]] = {}
    for number, cluster in enumerate(checked.schedules.clusters):
        if cluster.enabled:
            users.setdefault(_owner_of_windows(data, number), []).append(cluster)
    owners: List[Tuple[Path_, Any]] = [(("schedules", name), entry) for name, entry in _named(data, "schedules")]
    owners.append((("defaults",), data.get("defaults", {})))
    owners += [(("clusters", number), entry) for number, entry in enumerate(data["clusters"])]
    for owner, entry in owners:
        for number, written in enumerate(entry.get("windows", ())):
            is_hours = "hours" in written
            start, stop = (_cron(written, side) for side in ("start", "stop"))
            window = parse_hours(written["hours"]) if is_hours else Window(start, stop)
            yield _Written((*owner, "windows", number), window, is_hours, users.get(owner, ()))


def _owner_of_windows(data: Mapping[str, Any], number: int) -> Path_:
    """Return where the windows of a cluster are written."""
    owners: Tuple[Tuple[Path_, Any], ...] = (
        (("clusters", number), data["clusters"][number]),
        (("defaults",), data.get("defaults", {})),
    )
    for owner, entry in owners:
        if "schedule" in entry:
            return ("schedules", entry["schedule"])
        if "windows" in entry or "state" in entry:
            return owner
    return ()


def _named(data: Mapping[str, Any], key: str) -> Iterator[Tuple[str, Any]]:
    yield from data.get(key, {}).items()


def _cron(written: Mapping[str, str], side: str) -> Optional[str]:
    return " ".join(written[side].split()) if side in written else None


def _sides(window: Window) -> Iterator[Tuple[str, str]]:
    for side, expression in (("start", window.start), ("stop", window.stop)):
        if expression is not None:
            yield side, expression


# Days


def _check_days(place: _Written) -> Iterator[_Caution]:
    for side, expression in _sides(place.window):
        fields = expression.split()
        if not _is_any(fields[2]) and not _is_any(fields[4]):
            message = (
                f"{quote(expression)} names days of the month and weekdays, and cron fires on either, not only where "
                "both meet: write * for one of them, or leave it if that is right"
            )
            yield place.side_path(side), message


def _is_any(field: str) -> bool:
    """Whether a field leaves the days to the other one, as croniter sees it."""
    return any(part in ("*", "?") for part in field.split(","))


# The length of windows


def _check_spans(place: _Written, period_s: int, first: date) -> Iterator[_Caution]:
    """Yield what is odd about how long a two-sided window runs."""
    window = place.window
    starts, stops = (_times_of_day(expression) for _, expression in _sides(window))
    if stops <= starts and _never_stops(window, first):
        message = (
            "never stops in the coming year: each of its stops falls on a start, and then the start wins: "
            "write another stop, or `state: running` instead of windows"
        )
        yield place.path, message
        return
    if any(0 < (stop - start) % _DAY_MINUTES * _MINUTE_S < period_s for start in starts for stop in stops):
        short = next((span for span in _spans(window, first) if span[1].total_seconds() < period_s), None)
        if short:
            length = describe_duration(int(short[1].total_seconds()))
            message = (
                f"runs for only {length}, as from {short[0]:%Y-%m-%d %H:%M}, and the function runs every "
                f"{describe_duration(period_s)}, so it may miss that: write a longer window"
            )
            yield place.path, message
    long = [(begin, begin + length) for begin, length in _spans(window, first) if length > _DAY]
    if long:
        # What is excluded differs from cluster to cluster; a warning about one of them is enough.
        timings = {id(c.timing): c.timing.excluded_dates for c in place.clusters if _skips_starts(c.timing)}.values()
        inside = (message for excluded in timings for message in _check_dates_inside(window, excluded, first))
        starts_on = (message for excluded in timings for message in _check_dates_of_starts(window, excluded, long))
        yield from ((place.path, message) for found in (inside, starts_on) for message in islice(found, 1))


def _check_dates_inside(window: Window, excluded: Mapping[str, str], first: date) -> Iterator[str]:
    """Say that an excluded date does not end a span of days, of which one is named that does begin."""
    skipped = frozenset(excluded)
    long = [(begin, begin + length) for begin, length in _spans(window, first, skipped) if length > _DAY]
    touched = [(begin, day) for begin, end in long for day in _days_within(begin, end) if day in excluded]
    if long and not touched:  # then the day after the start stands for a date that may be excluded one day
        begin, end = long[0]
        another = (begin + _DAY).date().isoformat()
        touched = [(begin, "")] if (begin, end - begin) in _spans(window, first, skipped | {another}) else []
    for begin, day in touched[:1]:
        what = f"the excluded date {day}" if day else "an excluded date"
        yield (
            f"runs for more than a day, as from {begin:%Y-%m-%d %H:%M}, and {what} inside does not stop it, since "
            "on_excluded_dates: no_start only leaves out starts: write `on_excluded_dates: stopped`, or shorter windows"
        )


def _check_dates_of_starts(
    window: Window, excluded: Mapping[str, str], long: Sequence[Tuple[datetime, datetime]]
) -> Iterator[str]:
    """Say that an excluded date takes days away that are not excluded, since the start for all of them is on it."""
    for begin, end in long:
        day = begin.date().isoformat()
        if day not in excluded:
            continue
        kept = (other for other, _ in _spans(window, begin.date(), frozenset(excluded)))
        again = min(next(kept, end), end)
        if any(other not in excluded for other in _days_within(begin, again)):
            yield (
                f"does not run from {begin:%Y-%m-%d %H:%M} to {again:%Y-%m-%d %H:%M}, since its only start before that "
                f"falls on the excluded date {day}: write a start for each day, or `on_excluded_dates: stopped`"
            )


def _days_within(begin: datetime, end: datetime) -> Iterator[str]:
    """Yield the dates of a span, ISO."""
    day = begin.date()
    while day <= (end - _INSTANT).date():
        yield day.isoformat()
        day += _DAY


def _skips_starts(timing: Timing) -> bool:
    return bool(timing.excluded_dates) and timing.on_excluded_dates is OnExcludedDates.NO_START


def _never_stops(window: Window, first: date) -> bool:
    """Whether every stop of a year is on a day of the starts; asked where its times of day are theirs already."""
    starts, stops = (_days(expression, first) for _, expression in _sides(window))
    return bool(stops) and stops <= starts


def _spans(window: Window, first: date, skipped: FrozenSet[str] = frozenset()) -> Iterator[Tuple[datetime, timedelta]]:
    """Yield from when and for how long a two-sided window runs, by the clock, in the year from a day.

    There are no starts on ``skipped`` dates. A span that began before the year is left out, and one that does not end
    is cut where the year ends.
    """
    starts, stops = (_times_of_day(expression) for _, expression in _sides(window))
    start_days, stop_days = (_days(expression, first) for _, expression in _sides(window))
    none: FrozenSet[int] = frozenset()
    begun = _LONG_AGO if _runs_before(window, first, skipped) else None
    for day in (first + n * _DAY for n in range(_YEAR.days)):
        midnight = datetime.combine(day, time())
        is_start_day = day in start_days and not (skipped and day.isoformat() in skipped)
        events = _events_of_day(starts if is_start_day else none, stops if day in stop_days else none)
        for minute, is_start in events:
            if is_start and begun is None:
                begun = midnight + minute * _MINUTE
            elif not is_start and begun is not None:
                if begun is not _LONG_AGO:
                    yield begun, midnight + minute * _MINUTE - begun
                begun = None
    if begun and begun is not _LONG_AGO:
        yield begun, datetime.combine(first, time()) + _YEAR - begun


def _runs_before(window: Window, first: date, skipped: FrozenSet[str]) -> bool:
    timing = Timing("UTC", windows=(window,), excluded_dates=dict.fromkeys(skipped, ""))
    cluster = Cluster("", ClusterId(""), timing)
    return state_at(cluster, datetime.combine(first, time(), timezone.utc) - _INSTANT) is State.RUNNING


@lru_cache(maxsize=4096)
def _events_of_day(starts: FrozenSet[int], stops: FrozenSet[int]) -> Tuple[Tuple[int, bool], ...]:
    """Return the minutes of a day at which there is a start (or else a stop), in order; at one time the start wins."""
    return tuple(sorted({**dict.fromkeys(stops, False), **dict.fromkeys(starts, True)}.items()))


# When an expression fires


@lru_cache(maxsize=4096)
def _times_of_day(expression: str) -> FrozenSet[int]:
    """Return the minutes of the day at which an expression fires, on the days on which it does."""
    minute, hour = expression.split()[:2]
    hours = (at.hour for at in _first_day_of(f"0 {hour} * * *"))
    return frozenset(h * 60 + at.minute for h in hours for at in _first_day_of(f"{minute} 0 * * *"))


@lru_cache(maxsize=4096)
def _first_day_of(expression: str) -> Tuple[datetime, ...]:
    return tuple(_firings(expression, _ANY_DAY, _ANY_DAY + _DAY))


def _days(expression: str, first: date) -> FrozenSet[date]:
    """Return the days of the year from a day on which an expression fires."""
    return _days_of(" ".join(expression.split()[2:]), first)


@lru_cache(maxsize=4096)
def _days_of(fields: str, first: date) -> FrozenSet[date]:
    midnight = datetime.combine(first, time())
    return frozenset(at.date() for at in _firings(f"0 0 {fields}", midnight, midnight + _YEAR))


def _firings(expression: str, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the local times from ``begin`` (included) to ``end`` (not) at which an expression fires.

    A one-sided window that is enforced for a second asks for running exactly when it starts; in UTC every local
    time is an instant.
    """
    cluster = Cluster("", ClusterId(""), Timing("UTC", windows=(Window(expression, None),), enforce_s=1))
    first, last = (local.replace(tzinfo=timezone.utc) - _INSTANT for local in (begin, end))
    for transition in transitions(cluster, first, last):
        if transition.after is State.RUNNING:
            yield transition.at.replace(tzinfo=None)


# Clock changes


def _check_clocks(place: _Written, now: datetime) -> Iterator[_Caution]:
    zones = dict.fromkeys(cluster.timing.timezone for cluster in place.clusters)
    hits = [
        (place.side_path(side), _Hit(zone, change, side, local))
        for zone in zones
        for change in _changes(zone, now)
        for side, expression in _sides(place.window)
        for local in _first_firing(expression, *_touched(change))
    ]
    for path, is_gap in dict.fromkeys((path, _is_gap(hit.change)) for path, hit in hits):
        same = [hit for hit_path, hit in hits if hit_path == path and _is_gap(hit.change) is is_gap]
        yield path, _describe_hits(sorted(same, key=lambda hit: (hit.change.at, hit.zone)))


@lru_cache(maxsize=1024)
def _changes(zone: str, now: datetime) -> Tuple[Change, ...]:
    """Return the changes of a zone's clocks in the coming year."""
    return tuple(changes_between(ZoneInfo(zone), now, now + _YEAR_OF_CHANGES))


def _is_gap(change: Change) -> bool:
    return change.after > change.before


def _touched(change: Change) -> Tuple[datetime, datetime]:
    """Return the first of the local times that are skipped or repeated, and the first after them."""
    return change.first_local, change.first_local + abs(change.after - change.before)


@lru_cache(maxsize=65536)
def _first_firing(expression: str, begin: datetime, end: datetime) -> Tuple[datetime, ...]:
    """Return the first local time from ``begin`` to ``end`` at which an expression fires, if there is one."""
    times = _times_of_day(expression)
    minutes = range(begin.hour * 60 + begin.minute, begin.hour * 60 + begin.minute + (end - begin) // _MINUTE)
    if times.isdisjoint(minute % _DAY_MINUTES for minute in minutes):
        return ()
    return tuple(islice(_firings(expression, begin, end), 1))


def _describe_hits(hits: Sequence[_Hit]) -> str:
    """Say what the earliest change does, and where else there is one."""
    groups = [list(group) for _, group in groupby(hits, key=lambda hit: (hit.change.at, hit.zone))]
    first = groups[0]
    zone, change = first[0].zone, first[0].change
    begin, end = _touched(change)
    span = f"{begin:%H:%M}-{'24:00' if end.date() > begin.date() else format(end, '%H:%M')} on {begin:%Y-%m-%d}"
    events = " and ".join(f"the {hit.side} of {hit.local:%H:%M}" for hit in first)
    s = "s" if len(first) == 1 else ""
    elsewhere = {group[0].zone: f"{group[0].zone} on {group[0].local:%Y-%m-%d}" for group in reversed(groups)}
    del elsewhere[zone]
    what = (
        f"clocks in {zone} skip {span}, so {events} happen{s} at {end:%H:%M}"
        if _is_gap(change)
        else f"clocks in {zone} show {span} twice, so {events} happen{s} twice"
    )
    also = f" (likewise in {join_some(sorted(elsewhere.values()))})" if elsewhere else ""
    return f"{what}{also}: write a time outside that span, or leave it if that is right"


# What time leaves behind


def _check_overrides(checked: Checked, now: datetime) -> Iterator[_Caution]:
    ends: Dict[Path_, Tuple[datetime, str]] = {}
    for number, cluster in enumerate(checked.schedules.clusters):
        own = "overrides" in checked.document.data["clusters"][number]
        owner: Path_ = ("clusters", number) if own else ("defaults",)
        for position, override in enumerate(cluster.timing.overrides):
            path = (*owner, "overrides", position)
            ends[path] = max(ends.get(path, (override.end, "")), (override.end, cluster.timing.timezone))
    for path, (end, zone) in ends.items():
        if end <= now:
            yield path, f"ended on {end.astimezone(ZoneInfo(zone)):%Y-%m-%d at %H:%M} {zone}: remove it"


def find_ends(checked: Checked, names: Container[str]) -> Dict[str, CalendarsEnd]:
    """Return when the calendars of countries run out by which enabled clusters of these names exclude dates."""
    ends: Dict[str, CalendarsEnd] = {}
    for calendar, zones in _users_of_calendars(checked, names).items():
        if calendar in checked.holidays_last:
            found = (make_end(checked.holidays_last[calendar], zone) for zone in zones)
            ends[calendar] = min(found, key=lambda end: end.at)
    return ends


def find_stale(checked: Checked, now: datetime) -> List[Problem]:
    """Return a problem for each calendar of a country that has run out: every run would fail."""
    found = [
        checked.document.problem(("calendars", name, "country"), str(failure))
        for name, end in find_ends(checked, _names_of(checked)).items()
        for failure in [check_end(end, now)[1]]
        if failure is not None
    ]
    return sort_problems(found)


def _names_of(checked: Checked) -> FrozenSet[str]:
    return frozenset(cluster.name for cluster in checked.schedules.clusters)


def _check_calendars(checked: Checked, now: datetime) -> Iterator[_Caution]:
    users = _users_of_calendars(checked, _names_of(checked))
    for name, calendar in _named(checked.document.data, "calendars"):
        if name not in users:
            continue
        path: Path_ = ("calendars", name)
        if name not in checked.holidays_last:
            ran_out = max(text[-len("2026-12-05") :] for text in calendar["dates"])
            if ran_out < earliest_date(now):
                yield (*path, "dates"), f"ran out on {ran_out}: write the coming dates, or remove the calendar"
    for name, end in find_ends(checked, _names_of(checked)).items():
        yield from ((("calendars", name, "country"), message) for message in check_end(end, now)[0])


def _users_of_calendars(checked: Checked, names: Container[str]) -> Dict[str, FrozenSet[str]]:
    """Return the zones of the enabled clusters of these names that exclude dates by each calendar."""
    data = checked.document.data
    shown = [(n, c) for n, c in enumerate(checked.schedules.clusters) if c.enabled and c.name in names]
    zones = frozenset(cluster.timing.timezone for _, cluster in shown)
    users = dict.fromkeys(data.get("defaults", {}).get("exclude", {}).get("dates", ()), zones) if shown else {}
    for number, cluster in shown:
        for name in data["clusters"][number].get("exclude", {}).get("dates", ()):
            users[name] = users.get(name, frozenset()) | {cluster.timing.timezone}
    return users


# Settings that work against each other


def _check_settings(checked: Checked, now: datetime) -> Iterator[_Caution]:
    """Yield one warning for all clusters that have it from one place."""
    found: Dict[_Caution, List[str]] = {}
    defaults, every_s = checked.document.data.get("defaults", {}), checked.schedules.function.every_s
    for number, cluster in enumerate(checked.schedules.clusters):
        entry = checked.document.data["clusters"][number]
        odd = chain(_odd_settings(cluster, every_s), _odd_defaults(cluster.timing, entry, defaults, now))
        for key, message in odd if cluster.enabled else ():
            is_default = key not in entry and key in defaults
            path: Path_ = ("defaults", key) if is_default else ("clusters", number, key)
            found.setdefault((path, message), []).append(cluster.name)
    for (path, message), names in found.items():
        yield path, f"for {join_some(names)}, {message}"


def _odd_settings(cluster: Cluster, every_s: int) -> Iterator[Tuple[str, str]]:
    """Yield what is odd in a cluster's settings, each with the key to change."""
    if cluster.control_plane is ControlPlane.HIBERNATE and any(cluster.exclude):
        message = (
            "some servers are excluded, and one that stays up keeps the control plane up: "
            "write keep, or exclude no servers"
        )
        yield "control_plane", message
    enforce_s = cluster.timing.enforce_s
    if enforce_s is not None and enforce_s < every_s and cluster.timing.windows:
        passed, period = describe_duration(enforce_s), describe_duration(every_s)
        message = (
            f"enforce ends {passed} after a transition, and runs are {period} apart: a transition that no run comes "
            f"after in time is never carried out: write at least {period}, or a shorter function.every"
        )
        yield "enforce", message
    if cluster.hard_after_s is not None and enforce_s is not None and cluster.hard_after_s >= enforce_s:
        length = describe_duration(enforce_s)
        yield "hard_after", f"enforce ends after {length}, before a stop can become HARD: write less than {length}"


def _odd_defaults(
    timing: Timing, entry: Mapping[str, Any], defaults: Mapping[str, Any], now: datetime
) -> Iterator[Tuple[str, str]]:
    """Yield what makes a cluster with a constant state of its own depart from it, though only the defaults say so."""
    state = timing.state
    if state is None or not any(key in entry for key in ("state", "schedule")):
        return
    other = State.STOPPED if state is State.RUNNING else State.RUNNING
    dates = (day for day in sorted(timing.excluded_dates) if day >= earliest_date(now))
    day = next(dates, None) if defaults.get("exclude", {}).get("dates") else None
    if day is not None and "on_excluded_dates" not in entry and timing.on_excluded_dates.value == other.value:
        message = (
            f"`state: {state.value}` does not hold on the excluded dates of the defaults, the next of which is {day}: "
            f"write `on_excluded_dates: no_start` in the cluster to keep it {state.value}, "
            f"or `on_excluded_dates: {other.value}` there if that is right"
        )
        yield "on_excluded_dates", message
    overrides = () if "overrides" in entry else timing.overrides
    begin = min((o.start for o in overrides if o.end > now and o.state is other), default=None)
    if begin is not None:
        at = f"{begin.astimezone(ZoneInfo(timing.timezone)):%Y-%m-%d %H:%M} {timing.timezone}"
        message = (
            f"`state: {state.value}` does not hold from {at}, since the overrides of the defaults are for it too: "
            f"write `overrides: []` in the cluster to keep it {state.value}, or its own ones"
        )
        yield "overrides", message


# Where clusters are


def _check_homes(clusters: Sequence[Cluster]) -> Iterator[_Caution]:
    """Yield one warning for all clusters without region, and one for those without project."""
    for key in ("region", "project_id"):
        lacking = {number: c.name for number, c in enumerate(clusters) if c.enabled and not getattr(c, key)}
        if lacking:
            path: Path_ = ("clusters", min(lacking))
            names = join_some(list(lacking.values()))
            yield path, f"no {key} for {names}: write `{key}:` under `defaults:`, or the settings must have it"


def _check_zones(checked: Checked) -> Iterator[_Caution]:
    """Yield one warning for all clusters whose windows are in UTC although nobody wrote that."""
    data = checked.document.data
    lacking = {}
    for number, cluster in enumerate(checked.schedules.clusters):
        owner: Any = data
        for part in _owner_of_windows(data, number):
            owner = owner[part]
        entries = (data, data.get("defaults", {}), data["clusters"][number], owner)
        if cluster.enabled and cluster.timing.windows and not any("timezone" in entry for entry in entries):
            lacking[number] = cluster.name
    if lacking:
        names = join_some(list(lacking.values()))
        message = f"no timezone for {names}, so windows are in UTC: write `timezone:` at the top, UTC if that is right"
        yield ("clusters", min(lacking)), message
