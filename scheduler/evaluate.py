"""The desired state at an instant: what the schedule asks for, why, since when and until when.

Pure: the instant is handed in. The only importer of croniter, which is asked in local time without zone;
``localtime`` maps what it says to instants. The state is decided in this order, the first that speaks wins:

    enabled: false -> override -> forced excluded date -> windows (skipped starts left out) or state -> enforce

Three kinds of line (see ``spans``) stand on one another: the windows, each the same for all clusters that share it;
the timing of a cluster, which joins them and applies the exceptions; and on top of it ``enforce``.
What is found is remembered and never changes an answer. It is not locked: evaluate in one thread.
"""

from bisect import bisect_right, insort
from datetime import date, datetime, timedelta, timezone
from functools import cached_property, lru_cache
from typing import (
    TYPE_CHECKING,
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from scheduler.cron import notation_problem, repeats_after
from scheduler.describe import describe_duration, describe_moment, describe_window
from scheduler.localtime import date_flips, first_change, last_change, local_at, offset_at
from scheduler.model import Cluster, Desired, OnExcludedDates, Rule, State, Timing, Transition, Window
from scheduler.spans import (
    INSTANT,
    TEN_YEARS,
    Line,
    earliest,
    first_after,
    last_until,
    lasts_since,
    lasts_until,
    latest,
)

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from croniter import croniter

    from scheduler.parts import Parts, WindowPart

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_NO_DATES: FrozenSet[date] = frozenset()
_SOME_MONDAY = datetime(2024, 1, 1)  # noqa: DTZ001 - local time, without zone
_END_OF_TIME = datetime.max  # noqa: DTZ901 - the same
_MOST_GAPS = 20_000
_MOST_KNOWN = 200
"""An expression that fires more often than this in a week is left to croniter: its list would cost what it saves."""
_MOST_SCHEDULES = 1_000


_DISABLED = Desired(State.UNMANAGED, "enabled: false", Rule("enabled"), None, None)


class Event(NamedTuple):
    """A firing of a cron expression: the instant, and the local time that the expression named.

    Events compare by instant, then by local time: clocks put forward can bring two together.
    """

    at: datetime
    local: datetime


def desired_state(cluster: Cluster, at: datetime) -> Desired:
    """Return the desired state of a cluster at an aware instant, with reason, rule, since and until."""
    if not cluster.enabled:
        return _DISABLED
    return _schedule(cluster.timing).desired(at.astimezone(timezone.utc))


def state_at(cluster: Cluster, at: datetime) -> State:
    """Return only the state; cheaper than all of ``desired_state``."""
    if not cluster.enabled:
        return State.UNMANAGED
    return _schedule(cluster.timing).find_state(at.astimezone(timezone.utc))


def transitions(cluster: Cluster, start: datetime, end: datetime) -> Iterator[Transition]:
    """Yield the transitions of a cluster in ``(start, end]``, oldest first."""
    if not cluster.enabled:
        return
    schedule = _schedule(cluster.timing)
    at = start.astimezone(timezone.utc)
    before = schedule.desired(at)
    while at < end:
        if before.until is None:
            at = schedule.span_at(at).high  # how far is known that nothing changes; the search goes on from there
            before = schedule.desired(at)
            continue
        if before.until > end:
            return
        at = before.until
        after = schedule.desired(at)
        yield Transition(at, before.state, after.state, after.reason)
        before = after


def parts_at(timing: Timing, at: datetime) -> "Parts":
    """Return what each part of an evaluation says at an instant, for who wants to see how it came about."""
    return _schedule(timing).parts(at.astimezone(timezone.utc))


def cron_problem(expression: str) -> Optional[str]:
    """Say why an expression cannot be a start or a stop, None if it can."""
    from croniter import CroniterBadDateError, CroniterError, croniter

    problem = notation_problem(expression)
    if problem is not None:
        return f'"{expression}" {problem}'
    try:
        croniter(expression, _SOME_MONDAY).get_next()
    except CroniterBadDateError:
        return f'"{expression}" never fires: no such day comes'
    except (CroniterError, KeyError, IndexError, TypeError, ValueError) as e:
        return f'"{expression}" is not a cron expression: {e}'
    return None


def fires_alike(one: str, other: str) -> bool:
    """Whether two sound expressions say the same in other words, such as ``1-5`` and ``mon-fri``."""
    from croniter import croniter

    return bool(croniter.expand(one) == croniter.expand(other))


class _Firings:
    """The local times at which one expression fires.

    croniter takes some 50 microseconds to find one, and a search asks for the same few again and again: the gaps
    between neighbours are kept, and what repeats by the day or by the week is asked for in one week only.
    """

    def __init__(self, expression: str, known: Sequence[int] = ()) -> None:
        """``known`` are all its firings in one period from `_SOME_MONDAY`, in minutes: with them nothing is asked."""
        self._expression = expression
        self._period = repeats_after(expression)
        self._gaps: List[Tuple[datetime, datetime]] = []
        if self._period is not None and known:
            firings = [_SOME_MONDAY + timedelta(minutes=minutes) for minutes in known]
            edges = [firings[-1] - self._period, *firings, firings[0] + self._period]
            self._gaps += zip(edges, edges[1:])

    @cached_property
    def _cron(self) -> "croniter":
        # Imported at first use: a run whose firings were all found when it was packaged needs none.
        from croniter import croniter

        return croniter(self._expression)

    def in_one_period(self) -> Optional[List[int]]:
        """Return the minutes that `__init__` takes as known; None where nothing repeats, or too often."""
        if self._period is None:
            return None
        minutes: List[int] = []
        local = self.gap_at(_SOME_MONDAY - _MINUTE)[1]
        while local < _SOME_MONDAY + self._period:
            minutes.append((local - _SOME_MONDAY) // _MINUTE)
            if len(minutes) > _MOST_KNOWN:
                return None
            local = self.gap_at(local)[1]
        return minutes

    def gap_at(self, local: datetime) -> Tuple[datetime, datetime]:
        """Return the last firing at or before a local time, and the first after it."""
        if self._period is None:
            return self._find_gap(local.replace(second=0, microsecond=0))
        moved = (local - _SOME_MONDAY) // self._period * self._period
        last, following = self._find_gap((local - moved).replace(second=0, microsecond=0))
        return last + moved, following + moved

    def _find_gap(self, minute: datetime) -> Tuple[datetime, datetime]:
        place = bisect_right(self._gaps, (minute, _END_OF_TIME))
        known = self._gaps[place - 1] if place else None
        if known is not None and minute < known[1]:
            return known
        is_firing = known is not None and minute == known[1]
        last = minute if is_firing else self._cron.get_prev(datetime, minute + _MINUTE)
        gap = (last, self._cron.get_next(datetime, minute))
        if len(self._gaps) >= _MOST_GAPS:
            self._gaps.clear()
        insort(self._gaps, gap)
        return gap


_known: Dict[str, Sequence[int]] = {}


def list_firings(expressions: Iterable[str]) -> Dict[str, List[int]]:
    """Return, for `know_firings`, when expressions fire that repeat by the day or the week and fire seldom."""
    found = {expression: _Firings(expression).in_one_period() for expression in sorted(set(expressions))}
    return {expression: minutes for expression, minutes in found.items() if minutes}


def know_firings(firings: Mapping[str, Sequence[int]]) -> None:
    """Take from `list_firings` what croniter said then, so that it need not be imported. It changes no answer."""
    _known.update(firings)
    _firings.cache_clear()


@lru_cache(maxsize=4096)
def _firings(expression: str) -> _Firings:
    return _Firings(expression, _known.get(expression, ()))


@lru_cache(maxsize=16384)
def _event_after(expression: str, zone: "ZoneInfo", skipped: FrozenSet[date], at: datetime) -> Optional[datetime]:
    """Return the first instant after ``at`` at which an expression fires, leaving out local dates in ``skipped``."""
    horizon, firings = at + TEN_YEARS, _firings(expression)
    begin, offset = at, offset_at(zone, at)
    local = firings.gap_at(local_at(zone, at))[1]
    while begin <= horizon:
        fires = max(_utc(local - offset), begin)
        change = first_change(zone, begin, min(fires, horizon))
        if change is not None:
            begin, offset = change.at, change.after
            local = firings.gap_at(change.first_local - _MINUTE)[1]
        elif local.date() in skipped:
            begin, local = fires, firings.gap_at(_midnight(local) + _DAY - _MINUTE)[1]
        else:
            return fires if fires <= horizon else None
    return None


@lru_cache(maxsize=16384)
def _newest_event(expression: str, zone: "ZoneInfo", skipped: FrozenSet[date], at: datetime) -> Optional[Event]:
    """Return the newest event of an expression at or before ``at``, leaving out local dates in ``skipped``."""
    horizon, firings = at - TEN_YEARS, _firings(expression)
    end, offset = at, offset_at(zone, at)
    local = firings.gap_at(local_at(zone, at))[0]
    while end >= horizon:
        fired = _utc(local - offset)
        change = last_change(zone, max(fired, horizon) - INSTANT, end)
        if change is not None and local < change.first_local:
            end, offset = change.at - INSTANT, change.before
            local = firings.gap_at(local_at(zone, end))[0]
            continue
        if change is not None:
            fired = max(fired, change.at)
        if local.date() not in skipped:
            return Event(fired, local) if fired >= horizon else None
        end, local = fired, firings.gap_at(_midnight(local) - _MINUTE)[0]
    return None


class _Side(NamedTuple):
    """The starts, or the stops, of windows."""

    expressions: Tuple[str, ...]
    zone: "ZoneInfo"
    skipped: FrozenSet[date]

    def newest(self, at: datetime) -> Optional[Event]:
        """Return the newest event at or before ``at``."""
        events = (_newest_event(expression, self.zone, self.skipped, at) for expression in self.expressions)
        return max((event for event in events if event is not None), default=None)

    def after(self, at: datetime) -> Optional[datetime]:
        """Return the instant of the first event after ``at``."""
        return earliest(_event_after(expression, self.zone, self.skipped, at) for expression in self.expressions)


class _WindowLine(Line):
    """What windows ask for whose starts and stops count together: one two-sided window, or all one-sided ones.

    Running if the newest start is not before the newest stop.
    """

    def __init__(self, windows: Tuple[Window, ...], zone: "ZoneInfo", skipped: FrozenSet[date]) -> None:
        self.starts = _Side(tuple(window.start for window in windows if window.start), zone, skipped)
        self.stops = _Side(tuple(window.stop for window in windows if window.stop), zone, _NO_DATES)
        super().__init__(zone)

    def find_state(self, at: datetime) -> State:
        start, stop = self.starts.newest(at), self.stops.newest(at)
        return State.RUNNING if start is not None and (stop is None or start >= stop) else State.STOPPED

    def next_candidate(self, at: datetime) -> Optional[datetime]:
        return (self.stops if self.find_state(at) is State.RUNNING else self.starts).after(at)

    def last_candidate(self, at: datetime) -> Optional[datetime]:
        """Go back to an event that left the other state; the first event after it began this one."""
        state = self.find_state(at)
        begins, ends = (self.starts, self.stops) if state is State.RUNNING else (self.stops, self.starts)
        event = ends.newest(at)
        if event is None:
            return None
        return event.at if self.find_state(event.at) is state else begins.after(event.at)

    @cached_property
    def irregular(self) -> Sequence[datetime]:
        return _date_flips(self.zone, self.starts.skipped)

    @cached_property
    def settling(self) -> Optional[timedelta]:
        period = _longest(map(repeats_after, self.starts.expressions + self.stops.expressions))
        return None if period is None else 2 * period

    def newest_event(self, at: datetime) -> Optional[Event]:
        """Return the newest event of either side."""
        return max((e for e in (self.starts.newest(at), self.stops.newest(at)) if e is not None), default=None)

    def event_after(self, at: datetime) -> Optional[datetime]:
        """Return the instant of the first event after ``at`` of either side."""
        return earliest((self.starts.after(at), self.stops.after(at)))


@lru_cache(maxsize=4096)
def _window_line(window: Window, zone: "ZoneInfo", skipped: FrozenSet[date]) -> _WindowLine:
    return _WindowLine((window,), zone, skipped)


class _Schedule(Line):
    """A line that can say which rule asks for its state, and why."""

    _last: Optional[Tuple[datetime, Desired]] = None

    def ask(self, at: datetime) -> Tuple[State, str]:
        """Return the state and the kind of the rule that asks for it."""
        raise NotImplementedError

    def position(self, at: datetime, state: State, kind: str) -> Optional[int]:
        """Return which of the rules of a kind asks for the state, None if there is but one."""
        raise NotImplementedError

    def cause(self, at: datetime, state: State, kind: str, position: Optional[int]) -> str:
        """Say in words what asks for the state."""
        raise NotImplementedError

    def parts(self, at: datetime) -> "Parts":
        """Return what each part of the line says."""
        raise NotImplementedError

    def find_state(self, at: datetime) -> State:
        return self.ask(at)[0]

    def desired(self, at: datetime) -> Desired:
        """Return everything about an instant. A run asks the same of every cluster that shares the timing."""
        if self._last is None or self._last[0] != at:
            self._last = (at, self._desired(at))
        return self._last[1]

    def _desired(self, at: datetime) -> Desired:
        state, kind = self.ask(at)
        position = self.position(at, state, kind)
        span = self.span_at(at)
        since = span.since if span.since and at - span.since <= TEN_YEARS else None
        until = span.until if span.until and span.until - at <= TEN_YEARS else None
        end = f", until {describe_moment(self.zone, until, at)}" if until else ""
        return Desired(state, self.cause(at, state, kind, position) + end, Rule(kind, position), since, until)


class _Timeline(_Schedule):
    """Overrides, excluded dates and windows or a constant state, without ``enforce``."""

    skipped = forced = _NO_DATES
    edges: Sequence[datetime] = ()
    """When overrides begin and end."""
    flips: Sequence[datetime] = ()
    """When the clocks move into or out of a forced date."""

    def __init__(self, timing: Timing) -> None:
        # Imported here: a run in which no cluster is enabled asks for no zone.
        from zoneinfo import ZoneInfo

        super().__init__(ZoneInfo(timing.timezone))
        self.timing = timing
        if timing.excluded_dates:
            dates = _read_dates(tuple(timing.excluded_dates))
            if timing.on_excluded_dates is OnExcludedDates.NO_START:
                self.skipped = dates
            else:
                self.forced = dates
                self.flips = _date_flips(self.zone, dates)
        if timing.overrides:
            self.edges = sorted({edge for o in timing.overrides for edge in (o.start, o.end)})
        if timing.is_one_sided:
            self.lines = [_WindowLine(timing.windows, self.zone, self.skipped)]
        else:
            self.lines = [_window_line(window, self.zone, self.skipped) for window in timing.windows]

    def ask(self, at: datetime) -> Tuple[State, str]:
        return self._exception_at(at) or (self._joined(at), "window")

    def _joined(self, at: datetime) -> State:
        """Return what the windows come to."""
        for line in self.lines:
            if line.state_at(at) is State.RUNNING:
                return State.RUNNING
        return State.STOPPED

    def _exception_at(self, at: datetime) -> Optional[Tuple[State, str]]:
        """Return what decides before any window is asked, None if nothing does."""
        timing = self.timing
        if self.edges:
            index = self._override_at(at)
            if index is not None:
                return timing.overrides[index].state, "override"
        forced = self._forced_at(at)
        if forced is not None:
            return forced, "excluded_date"
        return None if timing.state is None else (timing.state, "state")

    def _forced_at(self, at: datetime) -> Optional[State]:
        """Return the state that an excluded date forces, None if none does."""
        is_forced = self.forced and local_at(self.zone, at).date() in self.forced
        return State(self.timing.on_excluded_dates.value) if is_forced else None

    def parts(self, at: datetime) -> "Parts":
        from scheduler.parts import Parts  # a run never asks

        timing, today = self.timing, local_at(self.zone, at).date()
        return Parts(
            windows=tuple(self._window_part(window, at) for window in timing.windows),
            base=self._joined(at) if timing.state is None else timing.state,
            excluded=today if today in self.skipped or today in self.forced else None,
            forced=self._forced_at(at),
            overrides=tuple(sorted(self._overrides_at(at))),
            clock=None,
            is_given_up=False,
        )

    def _window_part(self, window: Window, at: datetime) -> "WindowPart":
        from scheduler.parts import WindowPart

        line = _window_line(window, self.zone, self.skipped)
        start, stop = line.starts.newest(at), line.stops.newest(at)
        skipped = line.starts._replace(skipped=_NO_DATES).newest(at)
        has_state = start is not None or stop is not None or not self.timing.is_one_sided
        return WindowPart(
            window,
            line.find_state(at) if has_state else None,
            newest_start=start.at if start else None,
            newest_stop=stop.at if stop else None,
            next_start=line.starts.after(at),
            next_stop=line.stops.after(at),
            skipped=None if skipped == start else skipped,
        )

    def next_candidate(self, at: datetime) -> Optional[datetime]:
        if self._exception_at(at) is None:
            windows = self._windows_until(at)
            return earliest((windows, first_after(self.edges, at), first_after(self.flips, at)))
        self.given_up_at = None
        return earliest((first_after(self.edges, at), first_after(self.flips, at)))

    def last_candidate(self, at: datetime) -> Optional[datetime]:
        if self._exception_at(at) is None:
            windows = self._windows_since(at)
            return latest((windows, last_until(self.edges, at), last_until(self.flips, at)))
        self.given_up_at = None
        return latest((last_until(self.edges, at), last_until(self.flips, at)))

    def _windows_until(self, at: datetime) -> Optional[datetime]:
        """Return the last end of the windows that run, the next beginning of any if none does."""
        spans = [line.span_at(at) for line in self.lines]
        running = [span for span in spans if span.state is State.RUNNING]
        ends = [lasts_until(span, at) for span in running or spans]
        end = None if running and None in ends else (latest if running else earliest)(ends)
        self.given_up_at = None if any(span.until == end for span in spans) else end
        return end

    def _windows_since(self, at: datetime) -> Optional[datetime]:
        """Return the first beginning of the windows that run, the newest end of any if none does."""
        spans = [line.span_at(at) for line in self.lines]
        running = [span for span in spans if span.state is State.RUNNING]
        begins = [lasts_since(span, at) for span in running or spans]
        begin = None if running and None in begins else (earliest if running else latest)(begins)
        self.given_up_at = None if any(span.since == begin for span in spans) else begin
        return begin

    @cached_property
    def irregular(self) -> Sequence[datetime]:
        return sorted({*self.edges, *self.flips, *_date_flips(self.zone, self.skipped)})

    @cached_property
    def settling(self) -> Optional[timedelta]:
        return _longest(line.settling for line in self.lines)

    def position(self, at: datetime, state: State, kind: str) -> Optional[int]:
        if kind == "override":
            return self._override_at(at)
        if kind != "window":
            return None
        if self.timing.is_one_sided:
            return self._newest_position(at, state)
        runs = (number for number, line in enumerate(self.lines) if line.state_at(at) is State.RUNNING)
        return next(runs, 0)

    def _newest_position(self, at: datetime, state: State) -> int:
        """Return the lowest index of a one-sided window that has the newest event."""
        newest = self.lines[0].newest_event(at)
        for number, window in enumerate(self.timing.windows):
            line = _window_line(window, self.zone, self.skipped)
            if (window.stop is None) is (state is State.RUNNING) and line.newest_event(at) == newest:
                return number
        return 0

    def _override_at(self, at: datetime) -> Optional[int]:
        """Return the index of the last listed override that is active."""
        return next(self._overrides_at(at), None)

    def _overrides_at(self, at: datetime) -> Iterator[int]:
        """Yield the indexes of the overrides that are active, from the last listed one on."""
        overrides = self.timing.overrides
        return (i for i in reversed(range(len(overrides))) if overrides[i].start <= at < overrides[i].end)

    def cause(self, at: datetime, state: State, kind: str, position: Optional[int]) -> str:
        timing = self.timing
        if kind == "override" and position is not None:
            reason = timing.overrides[position].reason
            return f'override "{reason}"' if reason else "override"
        if kind == "excluded_date":
            return self._excluded_text(local_at(self.zone, at).date())
        if kind == "state":
            return f"state: {state.value}"
        number = position or 0
        window = f"window {number + 1} ({describe_window(timing.windows[number], timing.timezone)})"
        if timing.is_one_sided or state is State.RUNNING:
            return window
        skipped = self._skipped_start(at)
        if skipped is not None:
            return f"{self._excluded_text(skipped)}: no start"
        return f"outside {window}" if len(timing.windows) == 1 else f"outside all {len(timing.windows)} windows"

    def _skipped_start(self, at: datetime) -> Optional[date]:
        """Return the excluded date of a start without which the cluster is stopped at ``at``, if there is one."""
        for window in self.timing.windows if self.skipped else ():
            line = _window_line(window, self.zone, _NO_DATES)
            start = line.starts.newest(at)
            if start is not None and line.find_state(at) is State.RUNNING:
                return start.local.date()
        return None

    def _excluded_text(self, day: date) -> str:
        name = self.timing.excluded_dates[day.isoformat()]
        return f"excluded date {day}{f' ({name})' if name else ''}"


class _Enforced(_Schedule):
    """A timeline that insists only for a while after its clock; then the cluster is unmanaged."""

    def __init__(self, timing: Timing, enforce: timedelta) -> None:
        self.always = always = _Timeline(timing)
        super().__init__(always.zone)
        self.enforce = enforce
        self.events = always.lines[0] if timing.is_one_sided else None
        forced_ends = [flip for flip in always.flips if local_at(self.zone, flip).date() not in always.forced]
        self.ends = sorted([*forced_ends, *(o.end for o in timing.overrides)])

    def ask(self, at: datetime) -> Tuple[State, str]:
        state, kind = self.always.ask(at)
        if kind == "window" and self._is_given_up(self.clock(at), at):
            return State.UNMANAGED, "enforce"
        return state, kind

    def _is_given_up(self, clock: Optional[datetime], at: datetime) -> bool:
        """Whether nothing is insisted on any more, if windows decide."""
        return clock is None or at >= clock + self.enforce

    def parts(self, at: datetime) -> "Parts":
        parts, clock = self.always.parts(at), self.clock(at)
        has_exception = bool(parts.overrides) or parts.forced is not None
        return parts._replace(clock=clock, is_given_up=not has_exception and self._is_given_up(clock, at))

    def clock(self, at: datetime) -> Optional[datetime]:
        """Return the instant from which ``enforce`` counts at ``at``: a transition, or what one-sided windows heed."""
        if self.events is None:
            return self.always.span_at(at).since
        newest = self.events.newest_event(at)
        return None if newest is None else latest((newest.at, last_until(self.ends, at)))

    def _is_clock_lost(self, at: datetime) -> bool:
        """Whether the search for the clock was given up; it would be anew at every further candidate."""
        span = self.always.span_at(at)
        return self.events is None and span.since is None and lasts_since(span, at) is not None

    def next_candidate(self, at: datetime) -> Optional[datetime]:
        kind = self.ask(at)[1]
        candidates = [self.always.next_candidate(at)]
        self.given_up_at = candidates[0] if self._is_clock_lost(at) else self.always.given_up_at
        clock = self.clock(at)
        if kind == "window" and clock is not None:
            candidates.append(clock + self.enforce)
        if kind == "enforce" and self.events is not None:
            candidates.append(self.events.event_after(at))
        return earliest(candidates)

    def last_candidate(self, at: datetime) -> Optional[datetime]:
        kind = self.ask(at)[1]
        candidates = [self.always.last_candidate(at)]
        self.given_up_at = candidates[0] if self._is_clock_lost(at) else self.always.given_up_at
        clock = self.clock(at)
        if kind == "enforce" and clock is not None:
            candidates.append(clock + self.enforce)
        if kind == "window" and self.events is not None and clock is not None:
            # Events that follow one another within `enforce` keep it up; the first within reach of the newest.
            candidates.append(earliest((self.events.event_after(clock - self.enforce - INSTANT), clock)))
        return latest(candidates)

    @cached_property
    def irregular(self) -> Sequence[datetime]:
        return self.always.irregular

    @cached_property
    def settling(self) -> Optional[timedelta]:
        settling = self.always.settling
        return None if settling is None else 2 * settling + self.enforce

    def position(self, at: datetime, state: State, kind: str) -> Optional[int]:
        return self.always.position(at, state, kind)

    def cause(self, at: datetime, state: State, kind: str, position: Optional[int]) -> str:
        if kind != "enforce":
            return self.always.cause(at, state, kind, position)
        passed = describe_duration(int(self.enforce.total_seconds()))
        clock = self.clock(at)
        if clock is None:
            return f"hands off: no transition to insist on for {passed}"
        verb = "start" if self.always.find_state(at) is State.RUNNING else "stop"
        return f"hands off: {passed} after the {verb} of {describe_moment(self.zone, clock, at)}"


_schedules: Dict[int, _Schedule] = {}


def _schedule(timing: Timing) -> _Schedule:
    """Return the line of a timing object, made once; it keeps the object, so the key stays the object's own."""
    found = _schedules.get(id(timing))
    if found is None:
        if len(_schedules) >= _MOST_SCHEDULES:
            _schedules.clear()
        if timing.enforce_s is None or timing.state is not None:
            found = _Timeline(timing)
        else:
            found = _Enforced(timing, timedelta(seconds=timing.enforce_s))
        _schedules[id(timing)] = found
    return found


@lru_cache(maxsize=1024)
def _read_dates(days: Tuple[str, ...]) -> FrozenSet[date]:
    return frozenset(map(date.fromisoformat, days))


@lru_cache(maxsize=1024)
def _date_flips(zone: "ZoneInfo", dates: FrozenSet[date]) -> List[datetime]:
    return date_flips(zone, dates)


def _longest(durations: Iterable[Optional[timedelta]]) -> Optional[timedelta]:
    """Return the longest of the durations, None if one of them is not known, or if there are none."""
    known = list(durations)
    return None if None in known else max((duration for duration in known if duration), default=None)


def _utc(local: datetime) -> datetime:
    return local.replace(tzinfo=timezone.utc)


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0)
