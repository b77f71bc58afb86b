"""The desired power state by brute force: what the evaluator is held against.

It decides which state a schedule asks for in every UTC minute, from the meaning of schedules alone, and leaves reasons
and rules to others. It uses the standard library and nothing of the project, so that the two agree only by being right:
no schedule is ever searched backwards, time is walked forwards from long enough ago, and the clock on the wall says
which events happen. `walk_minutes` does that literally, minute by minute; `walk_events` does the same and skips the
minutes in which nothing can happen. A minute is a whole number counted from 1970: a UTC minute counts instants, a local
minute counts what the wall clock of the zone shows, as if that clock were UTC.

Where the meaning of a schedule leaves room, this is what we take it to be:

- A day-of-month or day-of-week field is given unless it is exactly `*`; both given join with OR.
- An instant has the local date that the clock shows. Where clocks go back over midnight (St. John's, 2010-11-07, one
  minute past midnight), an excluded date begins, is interrupted by the hour of the day before, and begins again.
- For two-sided windows only a change of the state restarts the clock of `enforce`: neither an event that changes
  nothing does, nor the end of an override that asked for what the windows ask for anyway.
- For one-sided windows every event that happens restarts it, and every end of an override or of a forced date.
- Windows whose state never changes are past every `enforce`: there is no transition to insist after.
- One-sided windows without any event yet are unmanaged, also after an override.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import cache, lru_cache
from typing import NamedTuple, Optional
from zoneinfo import ZoneInfo

RUNNING = "running"
STOPPED = "stopped"
UNMANAGED = "unmanaged"
FORCED = (RUNNING, STOPPED, UNMANAGED)

DAY = 24 * 60
WARMUP_DAYS = 45
LONGEST_WARMUP_DAYS = 12 * 366  # eight years may pass between two 29 February; nothing we accept is rarer

Window = tuple[Optional[str], Optional[str]]
Override = tuple[str, datetime, datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_MINUTE = timedelta(minutes=1)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_SUNDAY = 7
_START, _STOP = "start", "stop"


@dataclass(frozen=True)
class Spec:
    """One cluster's schedule, reduced to what decides its state.

    `state` (a constant) or `windows` of two cron expressions, one of them None where a window is one-sided.
    `enforce_s` None stands for always.
    """

    zone: str = "UTC"
    state: Optional[str] = None
    windows: tuple[Window, ...] = ()
    excluded: frozenset[date] = frozenset()
    on_excluded: str = "no_start"
    overrides: tuple[Override, ...] = ()
    enforce_s: Optional[int] = None

    def __post_init__(self) -> None:
        if (self.state is None) != bool(self.windows):
            raise ValueError("exactly one of state and windows")
        if len({None in window for window in self.windows}) > 1:
            raise ValueError("one-sided and two-sided windows do not mix")
        if self.one_sided and self.enforce_s is None:
            raise ValueError("one-sided windows need enforce_s")
        if (self.enforce_s or 0) % 60 or any(to_instant(to_minute(edge)) != edge for edge in self.edges):
            raise ValueError("edges lie on whole minutes")

    @property
    def one_sided(self) -> bool:
        return any(None in window for window in self.windows)

    @property
    def edges(self) -> list[datetime]:
        return [edge for _, begin, end in self.overrides for edge in (begin, end)]


def to_minute(instant: datetime) -> int:
    """Return the UTC minute that contains an aware instant."""
    return (instant - _EPOCH) // _MINUTE


def to_instant(minute: int) -> datetime:
    return _EPOCH + minute * _MINUTE


def day_of(day: date) -> int:
    """Return the number of a local date, which is its first local minute divided by DAY."""
    return day.toordinal() - _EPOCH_ORDINAL


# --- cron -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cron:
    """The sets of values of a five-field expression; Sunday is 0."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool  # day-of-month and day-of-week are both given: one of them is enough

    def fires_on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either_day else by_day and by_weekday

    def fires_at(self, local: int) -> bool:
        """Tell whether it fires when the wall clock shows this local minute."""
        day, minute = divmod(local, DAY)
        hour, minute = divmod(minute, 60)
        return minute in self.minutes and hour in self.hours and self.fires_on(_date(day))

    def times(self) -> list[int]:
        return sorted(hour * 60 + minute for hour in self.hours for minute in self.minutes)


@lru_cache(maxsize=4096)
def parse_cron(text: str) -> Cron:
    minutes, hours, days, months, weekdays = text.lower().split()
    return Cron(
        minutes=_values(minutes, 0, 59),
        hours=_values(hours, 0, 23),
        days=_values(days, 1, 31),
        months=_values(months, 1, 12, _MONTHS),
        weekdays=frozenset(value % 7 for value in _values(weekdays, 0, 6, _WEEKDAYS)),
        either_day=days != "*" and weekdays != "*",
    )


def _values(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    numbers = {name: low + index for index, name in enumerate(names)}
    values: list[int] = []
    for item in field.split(","):
        span, _, step = item.partition("/")
        begin, dash, end = (f"{low}-{high}" if span == "*" else span).partition("-")
        first = numbers.get(begin) if begin in numbers else int(begin)
        assert first is not None
        last = (numbers[end] if end in numbers else int(end)) if dash else (high if step else first)
        ring = [*range(first, last + 1)] if first <= last else [*range(first, high + 1), *range(low, last + 1)]
        values.extend(ring[:: int(step or 1)])
    if any(not low <= value <= max(high, _SUNDAY if names is _WEEKDAYS else high) for value in values):
        raise ValueError(field)
    return frozenset(values)


@lru_cache(maxsize=100_000)
def _date(day: int) -> date:
    return date.fromordinal(_EPOCH_ORDINAL + day)


# --- clocks -----------------------------------------------------------------------------------------------------------


def offset(zone: str, minute: int) -> int:
    """Return how many minutes the wall clock is ahead of UTC."""
    ahead = datetime.fromtimestamp(minute * 60, _zone(zone)).utcoffset()
    assert ahead is not None
    assert not ahead % _MINUTE, "only offsets of whole minutes"
    return ahead // _MINUTE


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@cache
def offset_changes(zone: str, year: int) -> tuple[int, ...]:
    """Return the UTC minutes of a UTC year at which the offset is another than a minute before."""
    begin, end = (to_minute(datetime(y, 1, 1, tzinfo=timezone.utc)) - 1 for y in (year, year + 1))
    changes = []
    for first in range(begin, end, DAY):  # no clock that we ask is set forth and back within a day
        last = min(first + DAY, end)
        if offset(zone, first) != offset(zone, last):
            changes += [m for m in range(first + 1, last + 1) if offset(zone, m) != offset(zone, m - 1)]
    return tuple(changes)


class Segment(NamedTuple):
    """A stretch [begin, end) of UTC minutes of one offset, and how many local minutes were skipped to enter it."""

    begin: int
    end: int
    offset: int
    skipped: int


def segments(zone: str, begin: int, end: int) -> list[Segment]:
    years = range(to_instant(begin).year, to_instant(end).year + 1)
    changes = [m for year in years for m in offset_changes(zone, year) if begin < m < end]
    bounds = [begin, *changes, end]
    found = []
    for first, last in zip(bounds, bounds[1:]):
        now = offset(zone, first)
        found.append(Segment(first, last, now, max(0, now - offset(zone, first - 1))))
    return found


def firings(expression: str, pieces: list[Segment]) -> list[tuple[int, int]]:
    """Return when an expression fires: (UTC minute, local minute it was meant for), in order.

    A segment shows the local minutes from its own first to its own last; those skipped before it happen as it begins.
    """
    cron = parse_cron(expression)
    times = cron.times()
    first = min(piece.begin + piece.offset - piece.skipped for piece in pieces) // DAY
    last = max(piece.end + piece.offset for piece in pieces) // DAY
    due = [day * DAY + time for day in range(first, last + 1) if cron.fires_on(_date(day)) for time in times]
    found = []
    for piece in pieces:
        low = bisect_left(due, piece.begin + piece.offset - piece.skipped)
        high = bisect_left(due, piece.end + piece.offset)
        found += [(max(local - piece.offset, piece.begin), local) for local in due[low:high]]
    return found


# --- rules ------------------------------------------------------------------------------------------------------------


class _Rules:
    """What decides the state, told of everything that happens in the order in which it happens."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.excluded_days = frozenset(map(day_of, spec.excluded))
        self.overrides = [(state, to_minute(begin), to_minute(end)) for state, begin, end in reversed(spec.overrides)]
        self.newest: dict[tuple[int, str], tuple[int, int]] = {}  # of each window's starts and stops: (UTC, local)
        self.applied: Optional[str] = None
        self.changed: Optional[int] = None
        self.was_imposed = False
        self.imposed_until: Optional[int] = None

    def fire(self, minute: int, local: int, window: int, side: str) -> None:
        skips_starts = self.spec.on_excluded == "no_start"
        if not (side == _START and skips_starts and local // DAY in self.excluded_days):
            self.newest[window, side] = (minute, local)

    def is_settled(self) -> bool:
        """Tell whether anything before the first minute could still matter for the windows.

        Of a window that fired since, the sides that did not are older than those that did, whenever that was.
        """
        windows = range(len(self.spec.windows))
        seen = [(window, _START) in self.newest or (window, _STOP) in self.newest for window in windows]
        return any(seen) if self.spec.one_sided else all(seen)

    def decide(self, minute: int, local: int) -> tuple[str, Optional[int]]:
        """Return the state from this minute on and, where `enforce` limits it, the minute it ends.

        To be asked at least in every minute in which an event, an override or a local date begins or ends.
        """
        imposed = self._override(minute) or self._forced(local)
        applied = imposed or self._scheduled()
        if self.applied not in (None, applied):
            self.changed = minute
        if self.was_imposed and not imposed:
            self.imposed_until = minute
        self.applied, self.was_imposed = applied, imposed is not None
        if imposed or self.spec.enforce_s is None or self.spec.state:
            return applied, None
        clock = self._clock()
        if clock is None:
            return UNMANAGED, None
        deadline = clock + self.spec.enforce_s // 60
        return (applied if minute < deadline else UNMANAGED), deadline

    def _override(self, minute: int) -> Optional[str]:
        return next((state for state, begin, end in self.overrides if begin <= minute < end), None)

    def _forced(self, local: int) -> Optional[str]:
        is_forced = self.spec.on_excluded in FORCED and local // DAY in self.excluded_days
        return self.spec.on_excluded if is_forced else None

    def _scheduled(self) -> str:
        if self.spec.state:
            return self.spec.state
        if not self.spec.one_sided:
            return RUNNING if any(map(self._runs, range(len(self.spec.windows)))) else STOPPED
        if not self.newest:
            return UNMANAGED
        _, side = max((fired, side == _START) for (_, side), fired in self.newest.items())
        return RUNNING if side else STOPPED

    def _runs(self, window: int) -> bool:
        start, stop = self.newest.get((window, _START)), self.newest.get((window, _STOP))
        return start is not None and (stop is None or start >= stop)

    def _clock(self) -> Optional[int]:
        if not self.spec.one_sided:
            return self.changed
        minutes = [minute for minute, _ in self.newest.values()]
        return max((m for m in [*minutes, self.imposed_until] if m is not None), default=None)


# --- walks ------------------------------------------------------------------------------------------------------------

Run = tuple[int, str]


class Walk(NamedTuple):
    """The runs of equal states as (first minute, state), and the minute since when no window's past matters."""

    runs: list[Run]
    settled: Optional[int]


def walk_minutes(spec: Spec, begin: int, end: int) -> Walk:
    """Decide for every UTC minute in [begin, end), literally; for comparison, as it is slow."""
    rules, settled = _Rules(spec), None
    runs: list[Run] = []
    sides = [
        (window, side, parse_cron(expression))
        for window, pair in enumerate(spec.windows)
        for side, expression in zip((_START, _STOP), pair)
        if expression is not None
    ]
    shown = begin - 1 + offset(spec.zone, begin - 1)
    for minute in range(begin, end):
        before, shown = shown, minute + offset(spec.zone, minute)
        for local in range(min(before + 1, shown), shown + 1):  # more than one only after a gap
            for window, side, cron in sides:
                if cron.fires_at(local):
                    rules.fire(minute, local, window, side)
        if settled is None and rules.is_settled():
            settled = minute
        _extend(runs, minute, rules.decide(minute, shown)[0])
    return Walk(runs, settled)


def walk_events(spec: Spec, begin: int, end: int) -> Walk:
    """Decide for the same minutes, looking only at those in which something happens."""
    rules, settled = _Rules(spec), None
    runs: list[Run] = []
    pieces = segments(spec.zone, begin, end)
    events = _events(spec, pieces)
    edges = [m for m in [*map(to_minute, spec.edges), *midnights(spec.excluded, pieces)] if begin < m < end]
    moments = sorted({begin, *edges, *(piece.begin for piece in pieces), *(minute for minute, *_ in events)})
    position, index = 0, 0
    for moment, following in zip(moments, [*moments[1:], end]):
        while position < len(events) and events[position][0] == moment:
            rules.fire(*events[position])
            position += 1
        if settled is None and rules.is_settled():
            settled = moment
        while pieces[index].end <= moment:
            index += 1
        state, deadline = rules.decide(moment, moment + pieces[index].offset)
        _extend(runs, moment, state)
        if deadline is not None and moment < deadline < following:
            _extend(runs, deadline, UNMANAGED)
    return Walk(runs, settled)


def midnights(days: Iterable[date], pieces: list[Segment]) -> list[int]:
    """Return the UTC minutes at which these local dates begin and end, entered by a change of the clock or not."""
    found = []
    for local in (day_of(day) * DAY + length for day in days for length in (0, DAY)):
        for piece in pieces:
            if piece.begin <= local - piece.offset < piece.end:
                found.append(local - piece.offset)
            elif piece.skipped and piece.begin <= local - (piece.offset - piece.skipped) < piece.begin + piece.skipped:
                found.append(piece.begin)
    return found


def event_minutes(spec: Spec, begin: int, end: int) -> list[int]:
    """Return the UTC minutes in [begin, end) in which any expression fires, on excluded dates too."""
    return sorted({minute for minute, *_ in _events(spec, segments(spec.zone, begin, end))})


def _events(spec: Spec, pieces: list[Segment]) -> list[tuple[int, int, int, str]]:
    return sorted(
        (minute, local, window, side)
        for window, pair in enumerate(spec.windows)
        for side, expression in zip((_START, _STOP), pair)
        if expression is not None
        for minute, local in firings(expression, pieces)
    )


def _extend(runs: list[Run], minute: int, state: str) -> None:
    if not runs or runs[-1][1] != state:
        runs.append((minute, state))


# --- answers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timeline:
    """The states from minute `begin` to before minute `end`, as runs that start at `starts`."""

    begin: int
    end: int
    starts: tuple[int, ...]
    runs: tuple[str, ...]

    def state_at(self, instant: datetime) -> str:
        return self.runs[self._index(instant)]

    def since(self, instant: datetime) -> Optional[datetime]:
        """Return the transition that began the state at an instant; None: before all that was walked."""
        index = self._index(instant)
        return to_instant(self.starts[index]) if index else None

    def until(self, instant: datetime) -> Optional[datetime]:
        """Return the transition that ends the state at an instant; None: after all that was walked."""
        index = self._index(instant) + 1
        return to_instant(self.starts[index]) if index < len(self.starts) else None

    def _index(self, instant: datetime) -> int:
        minute = to_minute(instant)
        if not self.begin <= minute < self.end:
            raise ValueError(f"{instant} is not in the timeline")
        return bisect_right(self.starts, minute) - 1


def timeline(spec: Spec, first: datetime, last: datetime, warmup_days: int = WARMUP_DAYS) -> Timeline:
    """Return the states of at least the minutes from `first` to before `last`.

    Walks from `warmup_days` before, and from longer before until nothing earlier could matter, twelve years at most.
    """
    begin, end = to_minute(first), to_minute(last)
    enforce = 0 if spec.state else (spec.enforce_s or 0) // 60
    while True:
        start = begin - warmup_days * DAY
        runs, settled = walk_events(spec, start, end)
        if settled is not None and settled + enforce <= begin:
            return _cut(runs, settled + enforce, end)
        if warmup_days >= LONGEST_WARMUP_DAYS:
            return _cut(runs, begin, end)
        warmup_days = min(4 * max(warmup_days, 1), LONGEST_WARMUP_DAYS)


def states(spec: Spec, first: datetime, last: datetime, warmup_days: int = WARMUP_DAYS) -> list[str]:
    """Return the state of every UTC minute from `first` to before `last`."""
    line = timeline(spec, first, last, warmup_days)
    minutes = range(to_minute(first), to_minute(last))
    return [line.runs[bisect_right(line.starts, minute) - 1] for minute in minutes]


def states_at(spec: Spec, instants: Iterable[datetime], together: timedelta = timedelta(days=30)) -> list[str]:
    """Return the state at each instant, in the order given; those not further apart than `together` share a walk."""
    wanted = list(instants)
    found: dict[datetime, str] = {}
    group: list[datetime] = []
    for instant in sorted(set(wanted)):
        if group and instant - group[-1] > together:
            found.update(_group_states(spec, group))
            group = []
        group.append(instant)
    found.update(_group_states(spec, group))
    return [found[instant] for instant in wanted]


def _group_states(spec: Spec, group: list[datetime]) -> dict[datetime, str]:
    if not group:
        return {}
    line = timeline(spec, group[0], group[-1] + _MINUTE)
    return {instant: line.state_at(instant) for instant in group}


def _cut(runs: list[Run], begin: int, end: int) -> Timeline:
    starts = [start for start, _ in runs]
    index = bisect_right(starts, begin) - 1
    return Timeline(
        begin=begin,
        end=end,
        starts=(begin, *starts[index + 1 :]),
        runs=tuple(state for _, state in runs[index:]),
    )
