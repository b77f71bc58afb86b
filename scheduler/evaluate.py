"""The desired state at an instant: what the schedule asks for, why, since when and until when.

Pure: the instant is handed in. The only importer of croniter, which is asked in local time without zone;
``localtime`` maps what it says to instants. The state is decided in this order, the first that speaks wins:

    enabled: false -> override -> forced excluded date -> windows (skipped starts left out) or state -> enforce

Everything that depends on a cron expression is memoised per (expression, zone, instant), so that clusters
which share windows share the work. The caches are not locked: evaluate in one thread.
"""

import re
from bisect import bisect_right
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Callable, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Tuple
from zoneinfo import ZoneInfo

from scheduler.describe import describe_duration, describe_moment, describe_window
from scheduler.localtime import first_change, last_change, local_at, offset_at
from scheduler.model import Cluster, Desired, OnExcludedDates, Rule, State, Timing, Transition, Window

if TYPE_CHECKING:
    from croniter import croniter

TEN_YEARS = timedelta(days=3653)
_INSTANT = timedelta(microseconds=1)
_MINUTE = timedelta(minutes=1)
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)
_NEVER = datetime.max.replace(tzinfo=timezone.utc)
_NO_DATES: FrozenSet[date] = frozenset()
_FIELDS = 5
_RANDOM = re.compile(r"[rh](\(|/|$)", re.IGNORECASE)
_MOST_STEPS = 20_000
"""How many events a search for a transition looks at before it says that there is none."""


_Search = Callable[[str, ZoneInfo, FrozenSet[date], datetime], Iterator["Event"]]


class Event(NamedTuple):
    """A firing of a cron expression: the instant, and the local time that the expression named.

    Events compare by instant, then by local time: clocks put forward can bring two together.
    """

    at: datetime
    local: datetime


def desired_state(cluster: Cluster, at: datetime) -> Desired:
    """Return the desired state of a cluster at an aware instant, with reason, rule, since and until."""
    if not cluster.enabled:
        return Desired(State.UNMANAGED, "enabled: false", Rule("enabled"), None, None)
    return _timeline(cluster.timing).desired(at.astimezone(timezone.utc))


def state_at(cluster: Cluster, at: datetime) -> State:
    """Return only the state: what a run asks of clusters that share nothing but windows."""
    if not cluster.enabled:
        return State.UNMANAGED
    return _timeline(cluster.timing).state_at(at.astimezone(timezone.utc))


def transitions(cluster: Cluster, start: datetime, end: datetime) -> Iterator[Transition]:
    """Yield the transitions of a cluster in ``(start, end]``, oldest first."""
    before = desired_state(cluster, start)
    while before.until is not None and before.until <= end:
        after = desired_state(cluster, before.until)
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
        _next_local(expression, _midnight(date(2024, 1, 1)))
    except CroniterBadDateError:
        return f'"{expression}" never fires: no such day comes'
    except (CroniterError, KeyError, IndexError, TypeError, ValueError) as e:
        return f'"{expression}" is not a cron expression: {e}'
    return None


@lru_cache(maxsize=4096)
def _cron(expression: str) -> "croniter":
    # Imported at first use: a run in which nothing is enabled, or that only validates a packaged file, needs none.
    from croniter import croniter

    return croniter(expression)


def _next_local(expression: str, local: datetime) -> datetime:
    """Return the first firing strictly after a local time without zone."""
    found: datetime = _cron(expression).get_next(datetime, local.replace(second=0, microsecond=0))
    return found


def _previous_local(expression: str, local: datetime) -> datetime:
    """Return the last firing strictly before a local time without zone that is a whole minute."""
    found: datetime = _cron(expression).get_prev(datetime, local)
    return found


def _events_after(expression: str, zone: ZoneInfo, skipped: FrozenSet[date], at: datetime) -> Iterator[Event]:
    """Yield the events strictly after ``at``, oldest first, leaving out local dates in ``skipped``."""
    horizon = at + TEN_YEARS
    seen, stretch, offset = at, at, offset_at(zone, at)
    local = _next_local(expression, local_at(zone, at))
    while seen <= horizon:
        event = Event(max(_utc(local - offset), stretch), local)
        change = first_change(zone, seen, min(event.at, horizon))
        if change is not None:
            seen, stretch, offset = change.at, change.at, change.after
            local = _next_local(expression, change.first_local - _MINUTE)
            continue
        seen = event.at
        if seen > horizon:
            return
        if local.date() in skipped:
            local = _next_local(expression, _midnight(local.date() + timedelta(days=1)) - _MINUTE)
        else:
            yield event
            local = _next_local(expression, local)


def _events_until(expression: str, zone: ZoneInfo, skipped: FrozenSet[date], at: datetime) -> Iterator[Event]:
    """Yield the events at or before ``at``, newest first, leaving out local dates in ``skipped``."""
    horizon = at - TEN_YEARS
    seen, offset = at, offset_at(zone, at)
    local = _previous_local(expression, local_at(zone, at).replace(second=0, microsecond=0) + _MINUTE)
    while seen >= horizon:
        event = Event(_utc(local - offset), local)
        change = last_change(zone, max(event.at, horizon) - _INSTANT, seen)
        if change is not None and local < change.first_local:
            seen, offset = change.at - _INSTANT, change.before
            local = _previous_local(expression, (change.at + change.before).replace(tzinfo=None))
            continue
        if change is not None:
            event = Event(max(event.at, change.at), local)
        seen = event.at
        if seen < horizon:
            return
        if local.date() in skipped:
            local = _previous_local(expression, _midnight(local.date()))
        else:
            yield event
            local = _previous_local(expression, local)


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


@lru_cache(maxsize=4096)
def _flip_after(window: Window, zone: ZoneInfo, skipped: FrozenSet[date], at: datetime) -> Optional[datetime]:
    """Return the first instant after ``at`` at which a two-sided window asks for the other state."""
    running = _is_running(window, zone, skipped, at)
    if running:
        events = _events_after(_expression(window.stop), zone, _NO_DATES, at)
    else:
        events = _events_after(_expression(window.start), zone, skipped, at)
    for event in islice(events, _MOST_STEPS):
        if _is_running(window, zone, skipped, event.at) != running:
            return event.at
    return None


@lru_cache(maxsize=4096)
def _flip_until(window: Window, zone: ZoneInfo, skipped: FrozenSet[date], at: datetime) -> Optional[datetime]:
    """Return the newest instant at or before ``at`` from which a two-sided window asks for what it asks at ``at``."""
    running = _is_running(window, zone, skipped, at)
    if running:
        events = _events_until(_expression(window.stop), zone, _NO_DATES, at)
    else:
        events = _events_until(_expression(window.start), zone, skipped, at)
    for event in islice(events, _MOST_STEPS):
        if _is_running(window, zone, skipped, event.at) != running:
            return _flip_after(window, zone, skipped, event.at)
    return None


class _Timeline:
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
        self._since: Dict[datetime, Optional[datetime]] = {}
        self._desired: Dict[datetime, Desired] = {}

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
        for number, window in enumerate(timing.windows):
            if _is_running(window, self.zone, self.skipped, at):
                return State.RUNNING, Rule("window", number)
        return State.STOPPED, Rule("window", 0)

    def state_at(self, at: datetime) -> State:
        """Return only the state."""
        return self.ask(at)[0]

    def since(self, at: datetime) -> Optional[datetime]:
        """Return the newest instant at or before ``at`` just before which the state differed."""
        if at not in self._since:
            self._since[at] = self._find_since(at)
        return self._since[at]

    def until(self, at: datetime) -> Optional[datetime]:
        """Return the first instant after ``at`` at which the state differs."""
        state, horizon = self.state_at(at), at + TEN_YEARS
        for _ in range(_MOST_STEPS):
            at = min((c for c in self.changes_after(at) if c is not None), default=_NEVER)
            if at > horizon:
                return None
            if self.state_at(at) != state:
                return at
        return None

    def changes_after(self, at: datetime) -> Iterator[Optional[datetime]]:
        """Yield, for each part of the timing, the first instant after ``at`` at which it can change the state."""
        yield min((edge for o in self.timing.overrides for edge in (o.start, o.end) if edge > at), default=None)
        if self.forced is not None:
            yield self.forced.flip_after(at)
        for window in self.timing.windows:
            if self.timing.is_one_sided:
                event = next(self._events(window, _events_after, at), None)
                yield event and event.at
            else:
                yield _flip_after(window, self.zone, self.skipped, at)

    def changes_until(self, at: datetime) -> Iterator[Optional[datetime]]:
        """Yield, for each part of the timing, the newest instant at or before ``at`` at which it could."""
        yield max((edge for o in self.timing.overrides for edge in (o.start, o.end) if edge <= at), default=None)
        if self.forced is not None:
            yield self.forced.flip_until(at)
        for window in self.timing.windows:
            if self.timing.is_one_sided:
                event = next(self._events(window, _events_until, at), None)
                yield event and event.at
            else:
                yield _flip_until(window, self.zone, self.skipped, at)

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

    def desired(self, at: datetime) -> Desired:
        """Return the desired state with its neighbouring transitions and the reason in words."""
        if at not in self._desired:
            state, rule = self.ask(at)
            until = self.until(at)
            self._desired[at] = Desired(state, self._reason(at, state, rule, until), rule, self.since(at), until)
        return self._desired[at]

    def _find_since(self, at: datetime) -> Optional[datetime]:
        state, horizon = self.state_at(at), at - TEN_YEARS
        for _ in range(_MOST_STEPS):
            changed = max((c for c in self.changes_until(at) if c is not None), default=_LONG_AGO)
            if changed < horizon:
                return None
            at = changed - _INSTANT
            if self.state_at(at) != state:
                return changed
        return None

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
            clock = self.clock(at)
            if clock is None or at >= clock + self.enforce:
                return State.UNMANAGED, Rule("enforce")
        return state, rule

    def clock(self, at: datetime) -> Optional[datetime]:
        """Return the instant from which ``enforce`` counts at ``at``."""
        if not self.timing.is_one_sided:
            return self.always.since(at)
        newest = self.newest_event(at)
        ends = [o.end for o in self.timing.overrides if o.end <= at]
        if newest:
            ends.append(newest[0].at)
        forced_end = self.forced and self.forced.end_until(at)
        if forced_end:
            ends.append(forced_end)
        return max(ends, default=None)

    def changes_after(self, at: datetime) -> Iterator[Optional[datetime]]:
        """Add the end of enforcing to what can change the state."""
        yield from super().changes_after(at)
        clock = self.clock(at)
        if clock and clock + self.enforce > at:
            yield clock + self.enforce

    def changes_until(self, at: datetime) -> Iterator[Optional[datetime]]:
        """Add the end of enforcing to what could change the state."""
        yield from super().changes_until(at)
        clock = self.clock(at)
        if clock and clock + self.enforce <= at:
            yield clock + self.enforce

    def _cause(self, at: datetime, state: State, rule: Rule) -> str:
        if rule.kind != "enforce":
            return super()._cause(at, state, rule)
        clock, asked = self.clock(at), self.always.state_at(at)
        if clock is None:
            return "hands off: no transition yet"
        verb = "start" if asked is State.RUNNING else "stop"
        passed = describe_duration(int(self.enforce.total_seconds()))
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

    def flip_after(self, at: datetime) -> Optional[datetime]:
        """Return the first instant after ``at`` at which the clocks move into or out of the dates."""
        horizon = at + TEN_YEARS
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

    def flip_until(self, at: datetime) -> Optional[datetime]:
        """Return the newest instant at or before ``at`` at which the clocks moved into or out of the dates."""
        horizon = at - TEN_YEARS
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

    def end_until(self, at: datetime) -> Optional[datetime]:
        """Return the newest instant at or before ``at`` at which the clocks moved out of the dates."""
        flip = self.flip_until(at)
        if flip is not None and self.contain(flip):
            flip = self.flip_until(flip - _INSTANT)
        return flip


_timelines: Dict[int, _Timeline] = {}


def _timeline(timing: Timing) -> _Timeline:
    """Return the timeline of a timing object, made once; it keeps the object, so the key stays the object's own."""
    found = _timelines.get(id(timing))
    if found is None:
        if len(_timelines) > _MOST_STEPS:
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
