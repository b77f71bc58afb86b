"""Schedules and instants at which an evaluator may go wrong: every kind of schedule, near changes of the clock.

One generator, driven by a `random.Random`, makes a `Spec` and the instants worth asking it about: a seeded one for long
loops, Hypothesis' own (`specs`, `questions`) where a failure should shrink. Each choice lists its simplest value first,
since Hypothesis shrinks towards that. Whether a schedule makes sense as a schedule is of no interest here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from random import Random
from typing import Any, Optional

from hypothesis import strategies as st

from tests.oracle import (
    DAY,
    RUNNING,
    STOPPED,
    UNMANAGED,
    Override,
    Spec,
    Window,
    event_minutes,
    midnights,
    offset,
    offset_changes,
    segments,
    to_instant,
    to_minute,
)

FIRST_YEAR, LAST_YEAR = 2010, 2031
ZONES = (
    "UTC",
    "Asia/Bangkok",
    "Asia/Kathmandu",  # UTC+5:45
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Pacific/Chatham",  # UTC+12:45, changes at 2:45
    "America/St_Johns",  # UTC-3:30; until 2011 it changed a minute past midnight
    "America/Santiago",  # midnights that do not exist
    "America/Havana",  # the same, and midnights that occur twice
    "Africa/Cairo",  # summer time on and off, again since 2023
    "Africa/Casablanca",  # four changes a year around Ramadan, later two
    "Asia/Gaza",  # irregular changes
    "Pacific/Apia",  # no 30 December 2011
)
UNCHANGING = 3  # the zones listed first have no changes
WEEKDAYS = ("*", "mon-fri", "1-5", "sun", "sat,sun", "0,6", "7", "fri-mon", "5-7", "mon,wed,fri", "SAT-TUE", "1-5/2")
ON_EXCLUDED = ("no_start", STOPPED, RUNNING, UNMANAGED)
STATES = (RUNNING, STOPPED, UNMANAGED)
ENFORCE_M = (60, 5, 15, 30, 90, 240, 720, 1440, 2880, 4320, 7200)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
NEARBY = 3 * DAY

Pair = tuple[str, str]


# --- schedules --------------------------------------------------------------------------------------------------------


def random_spec(rng: Random) -> Spec:
    """Return a schedule whose times, dates and overrides lie near an instant of interest, mostly a change of offset."""
    zone = rng.choice(ZONES[rng.choice((0, UNCHANGING, UNCHANGING)) :])
    setting = _Setting(rng, zone, random_centre(rng, zone))
    kind = rng.choices(("two-sided", "one-sided", "constant"), (76, 16, 8))[0]
    windows: tuple[Window, ...] = ()
    if kind != "constant":
        windows = _windows(setting) if kind == "two-sided" else _one_sided_windows(setting)
    return Spec(
        zone=zone,
        state=None if windows else rng.choice((RUNNING, STOPPED)),
        windows=windows,
        excluded=_excluded(setting),
        on_excluded=rng.choice(ON_EXCLUDED),
        overrides=_overrides(setting),
        enforce_s=_enforce_s(rng, is_needed=kind == "one-sided"),
    )


def random_centre(rng: Random, zone: str) -> int:
    """Return a UTC minute, mostly one at which the zone's offset changes if it ever does."""
    changes = [minute for year in range(FIRST_YEAR, LAST_YEAR + 1) for minute in offset_changes(zone, year)]
    if changes and rng.random() < 0.85:
        return rng.choice(changes)
    first, last = (to_minute(datetime(year, 1, 1, tzinfo=timezone.utc)) for year in (FIRST_YEAR, LAST_YEAR + 1))
    return rng.randrange(first, last)


class _Setting:
    """Where and when a schedule is to be interesting."""

    def __init__(self, rng: Random, zone: str, centre: int) -> None:
        self.rng = rng
        self.centre = centre
        before, after = centre + offset(zone, centre - 1), centre + offset(zone, centre)
        self.locals = (after, before)
        self.today = date(1970, 1, 1) + timedelta(days=after // DAY)

    def time(self) -> int:
        """Return a minute of the day, often one near those that the clock shows around the centre."""
        rng = self.rng
        if rng.random() < 0.45:
            return (rng.choice(self.locals) + rng.choice((0, 1, -1, 15, -15, 30, -30, 45, 60, -60, 90, 120))) % DAY
        if rng.random() < 0.6:
            return rng.choice((0, 30, 60, 120, 150, 480, 720, 1080, 1200, 1320, 1439))
        return rng.randrange(DAY)


def _clock(minute: int) -> str:
    return f"{minute % 60} {minute // 60 % 24}"


def _day(setting: _Setting) -> Pair:
    days = setting.rng.choice(WEEKDAYS)
    first, last = sorted((setting.time(), setting.time()))
    return f"{_clock(first)} * * {days}", f"{_clock(last)} * * {days}"


def _overnight(setting: _Setting) -> Pair:
    first, last = sorted((setting.time(), setting.time()))
    start_days, stop_days = setting.rng.choice((("*", "*"), ("mon-fri", "tue-sat"), ("fri", "mon"), ("sat", "sun")))
    return f"{_clock(last)} * * {start_days}", f"{_clock(first)} * * {stop_days}"


def _several_days(setting: _Setting) -> Pair:
    start, stop = setting.rng.choice((("mon", "fri"), ("sat", "sun"), ("fri", "mon"), ("sun", "wed"), ("7", "0")))
    return f"{_clock(setting.time())} * * {start}", f"{_clock(setting.time())} * * {stop}"


def _equal(setting: _Setting) -> Pair:
    """Return a start and a stop at the same time of some days, or of all."""
    time = _clock(setting.time())
    pair = f"{time} * * {setting.rng.choice(WEEKDAYS)}", f"{time} * * {setting.rng.choice(WEEKDAYS)}"
    return pair if setting.rng.random() < 0.5 else (pair[1], pair[0])


def _many(setting: _Setting) -> Pair:
    rng = setting.rng
    often = (
        "*/30 * * * *",
        "*/20 * * * *",
        "5-59/10 0-4 * * *",
        "0,45 */2 * * *",
        "15 * * * sat-mon",
        "7/25 22-3 * * *",
    )
    pair = (
        rng.choice(often),
        rng.choice((*often, "15,50 * * * *", f"{_clock(setting.time())} * * *", "59 1-23/2 * * 0")),
    )
    return pair if rng.random() < 0.6 else (pair[1], pair[0])


def _month_day(setting: _Setting) -> str:
    near = setting.today.day + setting.rng.choice((0, -1, 1))
    return setting.rng.choice((str(min(max(near, 1), 28)), "1", "1,15", "15-20", "*/5", "28", "25-5"))


def _monthly(setting: _Setting) -> Pair:
    start, stop = (f"{_clock(setting.time())} {_month_day(setting)} * *" for _ in range(2))
    return start, stop


def _both_days(setting: _Setting) -> Pair:
    """Return expressions with day-of-month and day-of-week given, which cron joins with OR."""
    rng = setting.rng
    dates = (str(setting.today.day), "1,15", "10-20", "13", "28-31")
    days = WEEKDAYS[1:]
    start, stop = (f"{_clock(setting.time())} {rng.choice(dates)} * {rng.choice(days)}" for _ in range(2))
    return start, stop


def _rare(setting: _Setting) -> Pair:
    """Return expressions that fire in some months only, or on 29 February."""
    rng, month = setting.rng, setting.today.month
    months = (str(month), f"{MONTHS[month - 1]}-{MONTHS[month % 12]}", "nov-feb", "*/3", "3,9-10")
    pair = tuple(f"{_clock(setting.time())} {_month_day(setting)} {rng.choice(months)} *" for _ in range(2))
    return rng.choice((pair[0], f"{_clock(setting.time())} 29 2 *")), pair[1]


_KINDS: tuple[tuple[Callable[[_Setting], Pair], int], ...] = (
    (_day, 30),
    (_overnight, 18),
    (_several_days, 14),
    (_equal, 8),
    (_many, 10),
    (_monthly, 8),
    (_both_days, 8),
    (_rare, 4),
)


def _pair(setting: _Setting) -> Pair:
    make = setting.rng.choices([make for make, _ in _KINDS], [weight for _, weight in _KINDS])[0]
    return make(setting)


def _windows(setting: _Setting) -> tuple[Window, ...]:
    rng = setting.rng
    found = [_pair(setting)]
    while len(found) < 4 and rng.random() < 0.4:
        start, stop = _pair(setting)
        if rng.random() < 0.3:
            start = found[-1][1]  # this window begins where the one before ends
        found.append((start, stop))
    return tuple(found)


def _one_sided_windows(setting: _Setting) -> tuple[Window, ...]:
    found: list[Window] = []
    for start, stop in _windows(setting):
        one: Window = (start, None) if setting.rng.random() < 0.4 else (None, stop)
        found.append(one)
        if setting.rng.random() < 0.4:
            found.append((None, stop) if one[1] is None else (start, None))
    return tuple(found[:4])


def _enforce_s(rng: Random, *, is_needed: bool) -> Optional[int]:
    if not is_needed and rng.random() < 0.6:
        return None
    return 60 * rng.choice((*ENFORCE_M, rng.randint(1, 3000)))


def _excluded(setting: _Setting) -> frozenset[date]:
    rng = setting.rng
    if rng.random() < 0.4:
        return frozenset()
    near = [setting.today + timedelta(days=days) for days in (0, 1, -1, 2, -2, 3, -3)]
    if rng.random() < 0.4:
        first = setting.today + timedelta(days=rng.randint(-4, 1))
        return frozenset(first + timedelta(days=days) for days in range(rng.randint(2, 5)))
    far = setting.today + timedelta(days=rng.randint(-60, 60))
    return frozenset(rng.sample([*near, far], rng.randint(1, 4)))


def _overrides(setting: _Setting) -> tuple[Override, ...]:
    rng = setting.rng
    found: list[Override] = []
    while len(found) < 4 and rng.random() < (0.6 if found else 0.5):
        begin = setting.centre + rng.choice(
            (0, rng.randint(-NEARBY, NEARBY), rng.randint(-600, 600), -30 * DAY, 30 * DAY)
        )
        if found and rng.random() < 0.3:
            begin = to_minute(found[-1][2])  # adjacent to the one before
        length = rng.choice((60, 1, 30, 90, 480, DAY, 2 * DAY, rng.randint(1, NEARBY)))
        found.append((rng.choice(STATES), to_instant(begin), to_instant(begin + length)))
    rng.shuffle(found)
    return tuple(found)


# --- instants ---------------------------------------------------------------------------------------------------------


def interesting_instants(rng: Random, spec: Spec, count: int = 40) -> list[datetime]:
    """Return `count` UTC instants within days of one another: at edges, right beside them, and anywhere else.

    Edges are events, changes of offset, local midnights, overrides' ends, and where `enforce` may end after these.
    """
    centre = _centre_of(rng, spec)
    begin, end = centre - NEARBY, centre + NEARBY
    groups = _edges(spec, begin, end)
    found: list[datetime] = []
    while len(found) < count:
        if groups and rng.random() < 0.8:
            edge = to_instant(rng.choice(rng.choice(groups)))
            found.append(edge + rng.choice((0, -1, 1, -60, 59)) * SECOND + rng.choice((0, 0, -1, 1)) * MICROSECOND)
        else:
            found.append(to_instant(rng.randrange(begin, end)) + rng.randrange(60_000_000) * MICROSECOND)
    return found


def _centre_of(rng: Random, spec: Spec) -> int:
    """Return a UTC minute near the schedule's own dates if it has any, and at a change of offset if one is near."""
    noons = [datetime(day.year, day.month, day.day, 12, tzinfo=timezone.utc) for day in sorted(spec.excluded)]
    own = [to_minute(instant) for instant in (*noons, *spec.edges)]
    if not own or rng.random() < 0.15:
        return random_centre(rng, spec.zone)
    centre = rng.choice(own)
    changes = [piece.begin for piece in segments(spec.zone, centre - NEARBY, centre + NEARBY)[1:]]
    return rng.choice(changes) if changes else centre


def _edges(spec: Spec, begin: int, end: int) -> list[list[int]]:
    """Return the minutes at which something may change, grouped so that each kind is as likely as the others."""
    enforce = (spec.enforce_s or 0) // 60
    pieces = segments(spec.zone, begin, end)
    first = date(1970, 1, 1) + timedelta(days=begin // DAY - 1)
    days = [first + timedelta(days=days) for days in range(2 * NEARBY // DAY + 3)]
    changes = [piece.begin + minutes for piece in pieces[1:] for minutes in (0, 0, 1, 30, 60, -30, -60)]
    limits = [to_minute(edge) for edge in spec.edges] + midnights(spec.excluded, pieces)
    events = event_minutes(spec, begin - min(enforce, 10 * DAY), end)
    at_changes = [minute for minute in events for piece in pieces[1:] if abs(minute - piece.begin) < 2 * 60]
    expiries = [minute + enforce for minute in (*limits, *events)] if enforce else []
    groups = (changes, at_changes, limits, events, expiries, midnights(days, pieces))
    inside = [[minute for minute in group if begin <= minute < end] for group in groups]
    return [group for group in inside if group]


# --- Hypothesis -------------------------------------------------------------------------------------------------------


def specs() -> st.SearchStrategy[Spec]:
    return st.randoms(use_true_random=False).map(random_spec)


@st.composite
def questions(draw: st.DrawFn, count: int = 8) -> tuple[Spec, list[datetime]]:
    """Draw a schedule and instants at which to ask it."""
    rng = draw(st.randoms(use_true_random=False))
    spec = random_spec(rng)
    return spec, interesting_instants(rng, spec, count)


_NAMES = st.text("abcäö *=-", min_size=1, max_size=6)
_DURATIONS = st.sampled_from(["90s", "30m", "2h", "1d"])
_SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "region": st.just("ap-southeast-2"),
    "project_id": st.just("p1"),
    "timezone": st.sampled_from(ZONES),
    "stop_type": st.sampled_from(["SOFT", "HARD"]),
    "exclude": st.fixed_dictionaries(
        {},
        optional={
            "servers": st.lists(_NAMES, max_size=3),
            "tags": st.lists(st.from_regex("[a-c][=a-c]{0,3}", fullmatch=True), max_size=3),
            "node_pools": st.lists(_NAMES, max_size=3),
            "dates": st.lists(st.sampled_from(["closed", "2026-12-05", "2026-12-28..2027-01-02"]), max_size=3),
        },
    ),
    "on_excluded_dates": st.sampled_from(ON_EXCLUDED),
    "stop_prepaid": st.booleans(),
    "hard_after": _DURATIONS,
    "overdue_after": _DURATIONS,
    "control_plane": st.sampled_from(["keep", "hibernate"]),
    "autoscaled_pools": st.sampled_from(["refuse", "accept"]),
    "members": st.sampled_from(["tags", "nodes"]),
    "enabled": st.booleans(),
}


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a schedules file as data. It may have a window that never stops, which is refused."""
    clusters = [
        {
            "name": f"c{number}",
            "cluster_id": f"id-{number}",
            **draw(st.fixed_dictionaries({}, optional=_SETTINGS)),
            **draw(st.just({"schedule": "shared"}) | specs().map(written)),
        }
        for number in range(draw(st.integers(1, 4)))
    ]
    whole = {
        "defaults": st.fixed_dictionaries({}, optional=_SETTINGS),
        "timezone": st.sampled_from(ZONES),
        "limits": st.fixed_dictionaries({}, optional={"max_stops_per_run": st.integers(0, 1000)}),
        "remote_overrides": st.booleans(),
        "prices": st.just({"currency": "USD", "per_hour": {"c7n.xlarge.2": 0.12}}),
        "function": st.fixed_dictionaries({}, optional={"every": st.sampled_from(["1m", "1h", "1d"])}),
    }
    return {
        "version": 1,
        **draw(st.fixed_dictionaries({}, optional=whole)),
        "calendars": {"closed": {"dates": ["2026-12-24", "2026-12-31..2027-01-01"]}},
        "schedules": {"shared": {"windows": [{"hours": "Mon-Fri 22:00-06:00"}]}},
        "clusters": clusters,
    }


def written(spec: Spec) -> dict[str, Any]:
    """Return what a cluster says to be on a schedule, but for its zone and its excluded dates."""
    overrides = [
        {"state": state, "from": f"{begin:%Y-%m-%dT%H:%M}Z", "until": f"{end:%Y-%m-%dT%H:%M}Z", "reason": "ä night"}
        for state, begin, end in spec.overrides
    ]
    sides = [{side: cron for side, cron in zip(("start", "stop"), window) if cron} for window in spec.windows]
    enforce = "always" if spec.enforce_s is None else f"{spec.enforce_s}s"
    return {**({"windows": sides} if sides else {"state": spec.state}), "overrides": overrides, "enforce": enforce}


def instants(zone: str) -> st.SearchStrategy[datetime]:
    """Draw an instant within days of a change of the zone's offset, or anywhere if it has none."""

    def near(rng: Random) -> datetime:
        minute = random_centre(rng, zone) + rng.randint(-NEARBY, NEARBY)
        return to_instant(minute) + rng.choice((0, 1, rng.randrange(60_000_000))) * MICROSECOND

    return st.randoms(use_true_random=False).map(near)
