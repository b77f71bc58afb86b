"""The desired state at an instant: what the schedule asks for, why, since when and until when.

Pure: the instant is handed in. The only importer of croniter, which is asked in local time without zone;
``localtime`` maps what it says to instants. The state is decided in this order, the first that speaks wins:

    enabled: false -> override -> forced excluded date -> windows (skipped starts left out) or state -> enforce

Everything that depends on a cron expression is memoised per (expression, zone, instant), so that clusters
which share windows share the work. The caches are not locked: evaluate in one thread.
"""

import re
from bisect import bisect_left, bisect_right
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from itertools import islice
from typing import Callable, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Tuple
from zoneinfo import ZoneInfo

from scheduler.describe import describe_duration, describe_moment, describe_window
from scheduler.localtime import first_change, last_change, local_at, offset_at
from scheduler.model import Cluster, Desired, OnExcludedDates, Rule, State, Timing, Transition, Window

TEN_YEARS = timedelta(days=3653)
_INSTANT = timedelta(microseconds=1)
_MINUTE = timedelta(minutes=1)
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)
_NEVER = datetime.max.replace(tzinfo=timezone.utc)
_NO_DATES: FrozenSet[date] = frozenset()
_FIELDS = 5
_RANDOM = re.compile(r"[rh](\(|/|$)", re.IGNORECASE)
_MOST_CHANGES = 10_000
"""How many changes a search for a transition looks at before it says that there is none."""
_MOST_KNOWN = 20_000
_MOST_TIMELINES = 20_000


_Search = Callable[[str, ZoneInfo, FrozenSet[date], datetime], Iterator["Event"]]


class Event(NamedTuple):
    """A firing of a cron expression: the instant, and the local time that the expression named.

    Events compare by instant, then by local time: clocks put forward can bring two together.
    """

    at: datetime
    local: datetime


def desired_state(cluster: Cluster, at: datetime, within: timedelta = TEN_YEARS) -> Desired:
    """Return the desired state of a cluster at an aware instant, with reason, rule, since and until.

    Transitions further away than ``within`` are not looked for; a state that lasts for years is slow to prove.
    """
    if not cluster.enabled:
        return Desired(State.UNMANAGED, "enabled: false", Rule("enabled"), None, None)
    return _timeline(cluster.timing).desired(at.astimezone(timezone.utc), within)


def state_at(cluster: Cluster, at: datetime) -> State:
    """Return only the state: what a run asks of clusters that share nothing but windows."""
    if not cluster.enabled:
        return State.UNMANAGED
    return _timeline(cluster.timing).state_at(at.astimezone(timezone.utc))


def transitions(cluster: Cluster, start: datetime, end: datetime) -> Iterator[Transition]:
    """Yield the transitions of a cluster in ``(start, end]``, oldest first."""
    within = max(end - start, timedelta(days=7))
    before = desired_state(cluster, start, within)
    while before.until is not None and before.until <= end:
        after = desired_state(cluster, before.until, within)
        yield Transition(before.until, before.state, after.state, after.reason)
        before = after


def cron_problem(expression: str) -> Optional[str]:
    """Say why an expression cannot be a start or a stop, None if it can."""
    from croniter import CroniterBadDateError, CroniterError

    if expression.strip().startswith("@"):
        return f'"{expression}" is an alias: write its five fields, such as "0 0 * * *"'
    fields = expression.split()
    if len(fields) != _FIELDS:
        return (
            f'"{expression}" has {len(fields)} fields: write five (minute hour day month weekday), no seconds, no year'
        )
    if any(_RANDOM.match(part) for field in fields for part in field.split(",")):
        return f'"{expression}" is random or hashed: write the times, such as "0 8 * * mon-fri"'
    try:
        _firings(expression).after(_midnight(date(2024, 1, 1)))
    except CroniterBadDateError:
        return f'"{expression}" never fires: no such day comes'
    except (CroniterError, KeyError, IndexError, TypeError, ValueError) as e:
        return f'"{expression}" is not a cron expression: {e}'
    return None


class _Firings:
    """The local times at which one expression fires. Those after ``low``, up to ``high``, are known and kept.

    croniter takes some 40 microseconds to find one; a search asks for the same few again and again.
    """

    def __init__(self, expression: str) -> None:
        # Imported at first use: a run in which no cluster is enabled needs none.
        from croniter import croniter

        self._cron = croniter(expression)
        self._known: List[datetime] = []
        self._low = self._high = datetime.min  # noqa: DTZ901 - local time without zone

    def after(self, local: datetime) -> datetime:
        """Return the first firing strictly after a local time."""
        local = local.replace(second=0, microsecond=0)
        if not self._low <= local <= self._high or len(self._known) > _MOST_KNOWN:
            self._known, self._low, self._high = [], local, local
        place = bisect_right(self._known, local)
        if place == len(self._known):
            self._high = self._cron.get_next(datetime, self._high)
            self._known.append(self._high)
        return self._known[place]

    def before(self, local: datetime) -> datetime:
        """Return the last firing strictly before a local time that is a whole minute."""
        if not self._low <= local - _MINUTE <= self._high or len(self._known) > _MOST_KNOWN:
            self._known, self._low, self._high = [], local - _MINUTE, local - _MINUTE
        place = bisect_left(self._known, local)
        if place == 0:
            self._known.insert(0, self._cron.get_prev(datetime, self._low + _MINUTE))
            self._low = self._known[0] - _MINUTE
            place = 1
        return self._known[place - 1]


@lru_cache(maxsize=4096)
def _firings(expression: str) -> _Firings:
    return _Firings(expression)


def _events_after(expression: str, zone: ZoneInfo, skipped: FrozenSet[date], at: datetime) -> Iterator[Event]:
    """Yield the events strictly after ``at``, oldest first, leaving out local dates in ``skipped``."""
    horizon, firings = at + TEN_YEARS, _firings(expression)
    seen, stretch, offset = at, at, offset_at(zone, at)
    local = firings.after(local_at(zone, at))
    while seen <= horizon:
        event = Event(max(_utc(local - offset), stretch), local)
        change = first_change(zone, seen, min(event.at, horizon))
        if change is not None:
            seen, stretch, offset = change.at, change.at, change.after
            local = firings.after(change.first_local - _MINUTE)
            continue
        seen = event.at
        if seen > horizon:
            return
        if local.date() in skipped:
            local = firings.after(_midnight(local.date() + timedelta(days=1)) - _MINUTE)
        else:
            yield event
            local = firings.after(local)


def _events_until(expression: str, zone: ZoneInfo, skipped: FrozenSet[date], at: datetime) -> Iterator[Event]:
    """Yield the events at or before ``at``, newest first, leaving out local dates in ``skipped``."""
    horizon, firings = at - TEN_YEARS, _firings(expression)
    seen, offset = at, offset_at(zone, at)
    local = firings.before(local_at(zone, at).replace(second=0, microsecond=0) + _MINUTE)
    while seen >= horizon:
        event = Event(_utc(local - offset), local)
        change = last_change(zone, max(event.at, horizon) - _INSTANT, seen)
        if change is not None and local < change.first_local:
            seen, offset = change.at - _INSTANT, change.before
            local = firings.before((change.at + change.before).replace(tzinfo=None))
            continue
        if change is not None:
            event = Event(max(event.at, change.at), local)
        seen = event.at
        if seen < horizon:
            return
        if local.date() in skipped:
            local = firings.before(_midnight(local.date()))
        else:
            yield event
            local = firings.before(local)


@lru_cache(maxsize=65536)
def _newest(expression: str, zone: ZoneInfo, skipped: FrozenSet[date], at: datetime) -> Optional[Event]:
    return next(_events_until(expression, zone, skipped, at), None)


@lru_cache(maxsize=65536)
def _is_running(window: Window, zone: ZoneInfo, skipped: FrozenSet[date], at: datetime) -> bool:
    """Whether a two-sided window asks for running: its newest start is not before its newest stop."""
    start = _newest(_expression(window.start), zone, skipped, at)
    if start is None:
        return False
    stop = _newest(_expression(window.stop), zone, _NO_DATES, at)
    return stop is None or start >= stop


class _Span:
    """An explored stretch of instants, ``low`` and ``high`` included, in which a line has one value.

    ``since`` and ``until`` are the changes that bound it, None while they are not known.
    """

    __slots__ = ("high", "low", "since", "state", "until")

    def __init__(self, at: datetime, state: State) -> None:
        self.state = state
        self.low = self.high = at
        self.since: Optional[datetime] = None
        self.until: Optional[datetime] = None


class _Line:
    """A state for every instant, constant between changes; remembers the stretch that it was last asked about.

    A subclass says what the state is at an instant, and at which instants it may change.
    """

    _span: Optional[_Span] = None

    def find_state(self, at: datetime) -> State:
        """Work out the state at an instant."""
        raise NotImplementedError

    def candidates_after(self, at: datetime, horizon: datetime) -> Iterator[datetime]:
        """Yield, oldest first, at least the instants after ``at`` up to the first at which the state changes.

        Nothing after ``horizon`` is asked for.
        """
        raise NotImplementedError

    def candidates_until(self, at: datetime, horizon: datetime) -> Iterator[datetime]:
        """Yield, newest first, at least the instants up to ``at`` back to the last at which the state changed.

        Nothing before ``horizon`` is asked for.
        """
        raise NotImplementedError

    def state_at(self, at: datetime) -> State:
        """Return the state at an instant."""
        return self._span_at(at).state

    def until(self, at: datetime, horizon: datetime) -> Optional[datetime]:
        """Return the first instant after ``at``, up to ``horizon``, at which the state differs."""
        span = self._span_at(at)
        if span.until is None and span.high < horizon:
            for changed in islice(self.candidates_after(span.high, horizon), _MOST_CHANGES):
                if changed > horizon:
                    break
                if self.find_state(changed) is not span.state:
                    span.until = changed
                    break
            span.high = span.until - _INSTANT if span.until else horizon
        return span.until if span.until and span.until <= horizon else None

    def since(self, at: datetime, horizon: datetime) -> Optional[datetime]:
        """Return the newest instant at or before ``at``, back to ``horizon``, just before which the state differed."""
        span = self._span_at(at)
        if span.since is None and span.low > horizon:
            for changed in islice(self.candidates_until(span.low, horizon), _MOST_CHANGES):
                if changed < horizon:
                    break
                if self.find_state(changed - _INSTANT) is not span.state:
                    span.since = changed
                    break
            span.low = span.since or horizon
        return span.since if span.since and span.since >= horizon else None

    def _span_at(self, at: datetime) -> _Span:
        span = self._span
        if span is None or not span.low <= at <= span.high:
            found = _Span(at, self.find_state(at))
            if span is not None and at == span.until:
                found.since = at
            elif span is not None and span.since and at == span.since - _INSTANT:
                found.until = span.since
            self._span = span = found
        return span


class _WindowLine(_Line):
    """What one two-sided window asks for."""

    def __init__(self, window: Window, zone: ZoneInfo, skipped: FrozenSet[date]) -> None:
        self._window, self._zone, self._skipped = window, zone, skipped

    def find_state(self, at: datetime) -> State:
        return State.RUNNING if _is_running(self._window, self._zone, self._skipped, at) else State.STOPPED

    def candidates_after(self, at: datetime, horizon: datetime) -> Iterator[datetime]:  # noqa: ARG002 - it is lazy
        return (event.at for event in self._events(_events_after, at))

    def candidates_until(self, at: datetime, horizon: datetime) -> Iterator[datetime]:
        # Back to an event that left the window in the other state; what followed it is where this one began.
        for event in self._events(_events_until, at):
            if self.find_state(event.at) is not self.state_at(at):
                following = _WindowLine(self._window, self._zone, self._skipped).until(event.at, at)
                if following:
                    yield following
                return
            if event.at < horizon:
                return

    def _events(self, search: _Search, at: datetime) -> Iterator[Event]:
        """Search the events that can end the state at an instant."""
        if self.state_at(at) is State.RUNNING:
            return search(_expression(self._window.stop), self._zone, _NO_DATES, at)
        return search(_expression(self._window.start), self._zone, self._skipped, at)


@lru_cache(maxsize=4096)
def _window_line(window: Window, zone: ZoneInfo, skipped: FrozenSet[date]) -> _WindowLine:
    return _WindowLine(window, zone, skipped)


class _Timeline(_Line):
    """One timing, ready to be asked: overrides, excluded dates and windows, without ``enforce``."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.zone = ZoneInfo(timing.timezone)
        self.skipped: FrozenSet[date] = _NO_DATES
        self.forced: Optional[_Dates] = None
        if timing.excluded_dates:
            dates = frozenset(date.fromisoformat(d) for d in timing.excluded_dates)
            if timing.on_excluded_dates is OnExcludedDates.NO_START:
                self.skipped = dates
            else:
                self.forced = _Dates(dates, self.zone)
        self._lines: List[_WindowLine] = []
        if not timing.is_one_sided:
            self._lines = [_window_line(window, self.zone, self.skipped) for window in timing.windows]
        self._edges = sorted({edge for o in timing.overrides for edge in (o.start, o.end)})

    def ask(self, at: datetime) -> Tuple[State, Rule]:
        """Return the desired state and the rule that asks for it."""
        timing = self.timing
        if timing.overrides:
            index = self._override_at(at)
            if index is not None:
                return timing.overrides[index].state, Rule("override", index)
        if self.forced is not None and self.forced.contain(at):
            return State(timing.on_excluded_dates.value), Rule("excluded_date")
        if timing.state is not None:
            return timing.state, Rule("state")
        if timing.is_one_sided:
            newest = self.newest_event(at)
            return (newest[1], newest[2]) if newest else (State.UNMANAGED, Rule("window", 0))
        for number, line in enumerate(self._lines):
            if line.state_at(at) is State.RUNNING:
                return State.RUNNING, Rule("window", number)
        return State.STOPPED, Rule("window", 0)

    def find_state(self, at: datetime) -> State:
        return self.ask(at)[0]

    def candidates_after(self, at: datetime, horizon: datetime) -> Iterator[datetime]:
        while at <= horizon:
            at = min((c for c in self.changes_after(at, horizon) if c is not None), default=_NEVER)
            yield at

    def candidates_until(self, at: datetime, horizon: datetime) -> Iterator[datetime]:
        while at >= horizon:
            at = max((c for c in self.changes_until(at, horizon) if c is not None), default=_LONG_AGO)
            yield at
            at -= _INSTANT if at > _LONG_AGO else timedelta()

    def changes_after(self, at: datetime, horizon: datetime) -> Iterator[Optional[datetime]]:
        """Yield, for each part of the timing, the first instant after ``at`` at which it can change the state."""
        yield from self._edges[bisect_right(self._edges, at) :][:1]
        if self.forced is not None:
            yield self.forced.flip_after(at, horizon)
        yield from self.window_changes_after(at, horizon)

    def window_changes_after(self, at: datetime, horizon: datetime) -> Iterator[Optional[datetime]]:
        """Yield the same for the windows."""
        for line in self._lines:
            yield line.until(at, horizon)
        for window in self.timing.windows if self.timing.is_one_sided else ():
            event = next(self._events(window, _events_after, at), None)
            yield event and event.at

    def changes_until(self, at: datetime, horizon: datetime) -> Iterator[Optional[datetime]]:
        """Yield, for each part of the timing, the newest instant at or before ``at`` at which it could."""
        yield from self._edges[: bisect_right(self._edges, at)][-1:]
        if self.forced is not None:
            yield self.forced.flip_until(at, horizon)
        yield from self.window_changes_until(at, horizon)

    def window_changes_until(self, at: datetime, horizon: datetime) -> Iterator[Optional[datetime]]:
        """Yield the same for the windows."""
        for line in self._lines:
            yield line.since(at, horizon)
        for window in self.timing.windows if self.timing.is_one_sided else ():
            event = next(self._events(window, _events_until, at), None)
            yield event and event.at

    def newest_event(self, at: datetime) -> Optional[Tuple[Event, State, Rule]]:
        """Return the newest event of one-sided windows; of a start and a stop at one local time, the start."""
        found: List[Tuple[Event, bool, int]] = []
        for number, window in enumerate(self.timing.windows):
            event = next(self._events(window, _events_until, at), None)
            if event:
                found.append((event, window.stop is None, -number))
        if not found:
            return None
        event, is_start, number = max(found)
        return event, State.RUNNING if is_start else State.STOPPED, Rule("window", -number)

    def desired(self, at: datetime, within: timedelta) -> Desired:
        """Return the desired state with its neighbouring transitions and the reason in words."""
        state, rule = self.ask(at)
        until = self.until(at, at + within)
        return Desired(state, self._reason(at, state, rule, until), rule, self.since(at, at - within), until)

    def _override_at(self, at: datetime) -> Optional[int]:
        """Return the index of the last listed override that is active."""
        overrides = self.timing.overrides
        active = (i for i in reversed(range(len(overrides))) if overrides[i].start <= at < overrides[i].end)
        return next(active, None)

    def _events(self, window: Window, search: _Search, at: datetime) -> Iterator[Event]:
        """Search the events of a one-sided window."""
        if window.start is None:
            return search(_expression(window.stop), self.zone, _NO_DATES, at)
        return search(window.start, self.zone, self.skipped, at)

    def _reason(self, at: datetime, state: State, rule: Rule, until: Optional[datetime]) -> str:
        return f"{self._cause(at, state, rule)}{self._until_text(at, until)}"

    def _until_text(self, at: datetime, until: Optional[datetime]) -> str:
        return f", until {describe_moment(self.zone, until, at)}" if until else ""

    def _cause(self, at: datetime, state: State, rule: Rule) -> str:
        """Say what asked for the state."""
        timing = self.timing
        if rule.kind == "override" and rule.position is not None:
            override = timing.overrides[rule.position]
            name = f' "{override.reason}"' if override.reason else ""
            return f"override{name}"
        if rule.kind == "excluded_date":
            return self._excluded_text(local_at(self.zone, at).date())
        if rule.kind == "state":
            return f"state: {state.value}"
        number = rule.position or 0
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
            if _is_running(window, self.zone, _NO_DATES, at):
                start = _newest(_expression(window.start), self.zone, _NO_DATES, at)
                return start.local.date() if start else None
        return None

    def _excluded_text(self, day: date) -> str:
        name = self.timing.excluded_dates[day.isoformat()]
        return f"excluded date {day}{f' ({name})' if name else ''}"


class _Enforced(_Timeline):
    """A timing that insists only for a while after its clock; then the cluster is unmanaged."""

    def __init__(self, timing: Timing, enforce: timedelta) -> None:
        super().__init__(timing)
        self.enforce = enforce
        self.always = _Timeline(timing)

    def ask(self, at: datetime) -> Tuple[State, Rule]:
        """Return what the schedule asks for, or unmanaged once ``enforce`` has passed since the clock."""
        state, rule = self.always.ask(at)
        if rule.kind == "window":
            clock = self.clock(at, at - self.enforce)
            if clock is None or at >= clock + self.enforce:
                return State.UNMANAGED, Rule("enforce")
        return state, rule

    def clock(self, at: datetime, horizon: datetime) -> Optional[datetime]:
        """Return the instant from which ``enforce`` counts at ``at``, looking back to ``horizon``."""
        if not self.timing.is_one_sided:
            return self.always.since(at, horizon)
        newest = self.newest_event(at)
        ends = [o.end for o in self.timing.overrides if o.end <= at]
        if newest:
            ends.append(newest[0].at)
        forced_end = self.forced and self.forced.end_until(at, horizon)
        if forced_end:
            ends.append(forced_end)
        return max(ends, default=None)

    def window_changes_after(self, at: datetime, horizon: datetime) -> Iterator[Optional[datetime]]:
        """Yield what starts the clock and what ends it: transitions, or the events of one-sided windows."""
        if self.timing.is_one_sided:
            yield from super().window_changes_after(at, horizon)
        else:
            yield self.always.until(at, horizon)
        clock = self.clock(at, at - self.enforce)
        if clock and clock + self.enforce > at:
            yield clock + self.enforce

    def window_changes_until(self, at: datetime, horizon: datetime) -> Iterator[Optional[datetime]]:
        """Yield the same, backwards."""
        if self.timing.is_one_sided:
            yield from super().window_changes_until(at, horizon)
        else:
            yield self.always.since(at, horizon)
        clock = self.clock(at, horizon - self.enforce)
        if clock and clock + self.enforce <= at:
            yield clock + self.enforce

    def _cause(self, at: datetime, state: State, rule: Rule) -> str:
        if rule.kind != "enforce":
            return super()._cause(at, state, rule)
        passed = describe_duration(int(self.enforce.total_seconds()))
        clock = self.clock(at, at - TEN_YEARS)
        if clock is None:
            return f"hands off: no transition to insist on for {passed}"
        verb = "start" if self.always.state_at(at) is State.RUNNING else "stop"
        return f"hands off: {passed} after the {verb} of {describe_moment(self.zone, clock, at)}"


class _Dates:
    """Local dates of a zone as spans of instants."""

    def __init__(self, dates: FrozenSet[date], zone: ZoneInfo) -> None:
        self._dates, self._zone = dates, zone
        day = timedelta(days=1)
        edges = {d for d in dates if d - day not in dates} | {d + day for d in dates if d + day not in dates}
        self._edges = sorted(edges)

    def contain(self, at: datetime) -> bool:
        """Whether the clocks show one of the dates at an instant."""
        return local_at(self._zone, at).date() in self._dates

    def flip_after(self, at: datetime, horizon: datetime) -> Optional[datetime]:
        """Return the first instant after ``at``, up to ``horizon``, that moves into or out of the dates."""
        while at <= horizon:
            local = local_at(self._zone, at)
            place = bisect_right(self._edges, local.date())
            edge = horizon + _INSTANT
            if place < len(self._edges):
                edge = min(edge, at + (_midnight(self._edges[place]) - local))
            change = first_change(self._zone, at, edge)
            if change is None:
                return edge if edge <= horizon else None
            if self.contain(change.at) != self.contain(at):
                return change.at
            at = change.at
        return None

    def flip_until(self, at: datetime, horizon: datetime) -> Optional[datetime]:
        """Return the newest instant up to ``at``, back to ``horizon``, that moved into or out of the dates."""
        while at >= horizon:
            local = local_at(self._zone, at)
            place = bisect_right(self._edges, local.date()) - 1
            edge = horizon - _INSTANT
            if place >= 0:
                edge = max(edge, at - (local - _midnight(self._edges[place])))
            change = last_change(self._zone, edge - _INSTANT, at)
            before = change.at - _INSTANT if change else edge
            if change is None or self.contain(before) != self.contain(at):
                found = change.at if change else edge
                return found if found >= horizon else None
            at = before
        return None

    def end_until(self, at: datetime, horizon: datetime) -> Optional[datetime]:
        """Return the newest instant up to ``at``, back to ``horizon``, at which the clocks moved out of the dates."""
        flip = self.flip_until(at, horizon)
        if flip is not None and self.contain(flip):
            flip = self.flip_until(flip - _INSTANT, horizon)
        return flip


_timelines: Dict[int, _Timeline] = {}


def _timeline(timing: Timing) -> _Timeline:
    """Return the timeline of a timing object, made once; it keeps the object, so the key stays the object's own."""
    found = _timelines.get(id(timing))
    if found is None:
        if len(_timelines) > _MOST_TIMELINES:
            _timelines.clear()
        if timing.enforce_s is None or timing.state is not None:
            found = _Timeline(timing)
        else:
            found = _Enforced(timing, timedelta(seconds=timing.enforce_s))
        _timelines[id(timing)] = found
    return found


def _utc(local: datetime) -> datetime:
    return local.replace(tzinfo=timezone.utc)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _expression(expression: Optional[str]) -> str:
    assert expression is not None  # noqa: S101 - asked only of the side that a window has
    return expression
