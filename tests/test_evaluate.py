"""The desired state: by hand for what a reader can check, by the oracle and by laws for the rest."""

import os
from datetime import date, datetime, timedelta, timezone
from random import Random
from typing import Iterator, List, Optional, Tuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler import evaluate
from scheduler.cron import repeats_after
from scheduler.evaluate import (
    cron_problem,
    desired_state,
    fires_alike,
    know_firings,
    list_firings,
    parts_at,
    state_at,
    transitions,
)
from scheduler.model import Cluster, ClusterId, Desired, OnExcludedDates, Override, Rule, State, Timing, Window
from scheduler.spans import TEN_YEARS
from tests.conftest import forget_everything
from tests.oracle import Spec
from tests.oracle_cases import compare, search, search_far, seldom_changing_spec, to_cluster, utc
from tests.schedule_strategies import interesting_instants, questions, random_spec, specs

ORACLE_CASES = int(os.environ.get("ORACLE_CASES", "2400"))
INSTANT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
BANGKOK = "Asia/Bangkok"
NEW_YORK = "America/New_York"


def cluster(timing: Timing, *, enabled: bool = True) -> Cluster:
    return Cluster("dev", ClusterId("3f1c9d2e"), timing, enabled=enabled)


def windows(zone: str, *pairs: Tuple[Optional[str], Optional[str]]) -> Timing:
    return Timing(timezone=zone, windows=tuple(Window(start, stop) for start, stop in pairs))


def override(state: State, start: str, end: str, reason: str = "") -> Override:
    return Override(state, utc(start), utc(end), reason)


OFFICE = windows(BANGKOK, ("0 8 * * mon-fri", "0 20 * * mon-fri"))
OFFICE_TEXT = "window 1 (mon-fri 08:00-20:00 Asia/Bangkok)"
NIGHT = windows(BANGKOK, ("0 22 * * mon-fri", "0 6 * * tue-sat"))
ALWAYS_ON = Timing(timezone=BANGKOK, state=State.RUNNING)
STOP_ONLY = windows(BANGKOK, (None, "0 20 * * *"))._replace(enforce_s=3600)
THREE = windows(BANGKOK, ("0 8 * * *", "0 10 * * *"), ("0 12 * * *", "0 14 * * *"), ("0 9 * * *", "0 12 * * *"))
LEAP_DAY = windows("UTC", ("0 8 29 2 *", "0 20 29 2 *"))
HOLIDAYS = {"2026-12-03": "public-holidays: A day", "2026-12-04": ""}
FOLD_ONLY = windows(NEW_YORK, ("30 1 * * *", "0 1 * * *"), ("45 0 * * *", "30 1 * * *"))
"""Together these leave a gap only where an hour repeats: the second window's start does not."""


def excluded(timing: Timing, what: OnExcludedDates) -> Timing:
    return timing._replace(excluded_dates=HOLIDAYS, on_excluded_dates=what)


def overridden(timing: Timing, *overrides: Override) -> Timing:
    return timing._replace(overrides=overrides)


NO_START = excluded(OFFICE, OnExcludedDates.NO_START)
RELEASE_NIGHT = overridden(
    OFFICE, override(State.RUNNING, "2026-12-01T18:00+07:00", "2026-12-02T02:00+07:00", "release night")
)
TWO_OVERRIDES = overridden(
    OFFICE,
    override(State.STOPPED, "2026-12-01T09:00+07:00", "2026-12-01T12:00+07:00", "first"),
    override(State.UNMANAGED, "2026-12-01T10:00+07:00", "2026-12-01T11:00+07:00", "second"),
    override(State.RUNNING, "2026-12-01T12:00+07:00", "2026-12-01T13:00+07:00", "touching"),
)

# Tuesday 1 December 2026 is an ordinary day in Bangkok, seven hours ahead of UTC all year.
TABLE = [
    # timing, instant, state, reason, since, until
    pytest.param(
        OFFICE, "2026-12-01T07:59:59+07:00", "stopped", f"outside {OFFICE_TEXT}, until Tue 08:00",
        "2026-11-30T20:00+07:00", "2026-12-01T08:00+07:00", id="a-second-before-the-start",
    ),
    pytest.param(
        OFFICE, "2026-12-01T08:00+07:00", "running", f"{OFFICE_TEXT}, until Tue 20:00",
        "2026-12-01T08:00+07:00", "2026-12-01T20:00+07:00", id="the-start-itself",
    ),
    pytest.param(
        OFFICE, "2026-12-01T08:00:01+07:00", "running", f"{OFFICE_TEXT}, until Tue 20:00",
        "2026-12-01T08:00+07:00", "2026-12-01T20:00+07:00", id="a-second-after-the-start",
    ),
    pytest.param(
        OFFICE, "2026-12-01T19:59:59.999999+07:00", "running", f"{OFFICE_TEXT}, until Tue 20:00",
        "2026-12-01T08:00+07:00", "2026-12-01T20:00+07:00", id="an-instant-before-the-stop",
    ),
    pytest.param(
        OFFICE, "2026-12-01T20:00+07:00", "stopped", f"outside {OFFICE_TEXT}, until Wed 08:00",
        "2026-12-01T20:00+07:00", "2026-12-02T08:00+07:00", id="the-stop-itself",
    ),
    pytest.param(
        OFFICE, "2026-12-01T13:00Z", "stopped", f"outside {OFFICE_TEXT}, until Wed 08:00",
        "2026-12-01T20:00+07:00", "2026-12-02T08:00+07:00", id="the-stop-written-in-utc",
    ),
    pytest.param(
        OFFICE, "2026-12-05T12:00+07:00", "stopped", f"outside {OFFICE_TEXT}, until Mon 08:00",
        "2026-12-04T20:00+07:00", "2026-12-07T08:00+07:00", id="over-the-weekend",
    ),
    pytest.param(
        NIGHT, "2027-01-01T00:00+07:00", "running", "window 1 (mon-fri 22:00-06:00 Asia/Bangkok), until Fri 06:00",
        "2026-12-31T22:00+07:00", "2027-01-01T06:00+07:00", id="over-midnight-and-the-year's-end",
    ),
    pytest.param(
        NIGHT, "2026-12-06T23:00+07:00", "stopped",
        "outside window 1 (mon-fri 22:00-06:00 Asia/Bangkok), until Mon 22:00",
        "2026-12-05T06:00+07:00", "2026-12-07T22:00+07:00", id="friday's-night-ends-on-saturday",
    ),
    pytest.param(
        windows("Asia/Kathmandu", ("0 8 * * *", "0 20 * * *")), "2026-12-01T02:15Z", "running",
        "window 1 (daily 08:00-20:00 Asia/Kathmandu), until Tue 20:00",
        "2026-12-01T02:15Z", "2026-12-01T14:15Z", id="an-offset-of-quarters",
    ),
    # --- rare days
    pytest.param(
        LEAP_DAY, "2027-06-01T00:00Z", "stopped",
        'outside window 1 ("0 8 29 2 *" to "0 20 29 2 *" UTC), until 2028-02-29 08:00',
        "2024-02-29T20:00Z", "2028-02-29T08:00Z", id="between-two-29-february",
    ),
    pytest.param(
        LEAP_DAY, "2028-02-29T08:00Z", "running", 'window 1 ("0 8 29 2 *" to "0 20 29 2 *" UTC), until Tue 20:00',
        "2028-02-29T08:00Z", "2028-02-29T20:00Z", id="on-29-february",
    ),
    pytest.param(
        LEAP_DAY, "2099-01-01T00:00Z", "stopped",
        'outside window 1 ("0 8 29 2 *" to "0 20 29 2 *" UTC), until 2104-02-29 08:00',
        "2096-02-29T20:00Z", "2104-02-29T08:00Z", id="eight-years-without-29-february",
    ),
    # --- union
    pytest.param(
        THREE, "2026-12-01T09:30+07:00", "running", "window 1 (daily 08:00-10:00 Asia/Bangkok), until Tue 14:00",
        "2026-12-01T08:00+07:00", "2026-12-01T14:00+07:00", id="windows-that-overlap-and-touch",
    ),
    pytest.param(
        THREE, "2026-12-01T12:00+07:00", "running", "window 2 (daily 12:00-14:00 Asia/Bangkok), until Tue 14:00",
        "2026-12-01T08:00+07:00", "2026-12-01T14:00+07:00", id="where-two-windows-touch",
    ),
    pytest.param(
        THREE, "2026-12-01T11:00+07:00", "running", "window 3 (daily 09:00-12:00 Asia/Bangkok), until Tue 14:00",
        "2026-12-01T08:00+07:00", "2026-12-01T14:00+07:00", id="only-the-last-window-runs",
    ),
    pytest.param(
        THREE, "2026-12-01T14:00+07:00", "stopped", "outside all 3 windows, until Wed 08:00",
        "2026-12-01T14:00+07:00", "2026-12-02T08:00+07:00", id="outside-all-windows",
    ),
    # --- clocks put forward: New York, 2026-03-08, 02:00 becomes 03:00 at 07:00 UTC
    pytest.param(
        windows(NEW_YORK, ("30 2 * * *", "0 12 * * *")), "2026-03-08T06:59:59Z", "stopped",
        "outside window 1 (daily 02:30-12:00 America/New_York), until Sun 03:00",
        "2026-03-07T17:00Z", "2026-03-08T07:00Z", id="before-a-start-in-the-gap",
    ),
    pytest.param(
        windows(NEW_YORK, ("30 2 * * *", "0 12 * * *")), "2026-03-08T07:00Z", "running",
        "window 1 (daily 02:30-12:00 America/New_York), until Sun 12:00",
        "2026-03-08T07:00Z", "2026-03-08T16:00Z", id="a-start-in-the-gap-happens-at-its-end",
    ),
    pytest.param(
        windows(NEW_YORK, ("0 22 * * *", "30 2 * * *")), "2026-03-08T07:00Z", "stopped",
        "outside window 1 (daily 22:00-02:30 America/New_York), until Sun 22:00",
        "2026-03-08T07:00Z", "2026-03-09T02:00Z", id="a-stop-in-the-gap-happens-at-its-end",
    ),
    pytest.param(
        windows(NEW_YORK, ("15 2 * * *", "45 2 * * *")), "2026-03-08T07:00Z", "stopped",
        "outside window 1 (daily 02:15-02:45 America/New_York), until Mon 02:15",
        "2026-03-07T07:45Z", "2026-03-09T06:15Z", id="a-tie-in-the-gap-the-stop-is-later",
    ),
    pytest.param(
        windows(NEW_YORK, ("45 2 * * *", "15 2 * * *")), "2026-03-08T07:00Z", "running",
        "window 1 (daily 02:45-02:15 America/New_York), until Mon 02:15",
        "2026-03-07T07:45Z", "2026-03-09T06:15Z", id="a-tie-in-the-gap-the-start-is-later",
    ),
    # --- clocks put back: New York, 2026-11-01, 02:00 becomes 01:00 at 06:00 UTC
    pytest.param(
        windows(NEW_YORK, ("30 1 * * *", "45 1 * * *")), "2026-11-01T05:44:59Z", "running",
        "window 1 (daily 01:30-01:45 America/New_York), until Sun 01:45 UTC-04:00",
        "2026-11-01T05:30Z", "2026-11-01T05:45Z", id="the-hour-that-repeats-at-first",
    ),
    pytest.param(
        windows(NEW_YORK, ("30 1 * * *", "45 1 * * *")), "2026-11-01T05:45Z", "stopped",
        "outside window 1 (daily 01:30-01:45 America/New_York), until Sun 01:30 UTC-05:00",
        "2026-11-01T05:45Z", "2026-11-01T06:30Z", id="between-the-two",
    ),
    pytest.param(
        windows(NEW_YORK, ("30 1 * * *", "45 1 * * *")), "2026-11-01T06:30Z", "running",
        "window 1 (daily 01:30-01:45 America/New_York), until Sun 01:45 UTC-05:00",
        "2026-11-01T06:30Z", "2026-11-01T06:45Z", id="the-hour-that-repeats-again",
    ),
    pytest.param(
        windows("Australia/Lord_Howe", ("45 1 * * *", "50 1 * * *")), "2026-04-04T15:15Z", "running",
        "window 1 (daily 01:45-01:50 Australia/Lord_Howe), until Sun 01:50 UTC+10:30",
        "2026-04-04T15:15Z", "2026-04-04T15:20Z", id="half-an-hour-that-repeats",
    ),
    pytest.param(
        windows("Pacific/Apia", ("0 8 * * *", "0 20 * * *")), "2011-12-30T10:00Z", "stopped",
        "outside window 1 (daily 08:00-20:00 Pacific/Apia), until Sat 08:00",
        "2011-12-30T06:00Z", "2011-12-30T18:00Z", id="a-day-that-did-not-exist",
    ),
    # --- ties at one instant
    pytest.param(
        windows("UTC", ("0 8 * * *", "0 8 * * mon")), "2026-11-30T08:00Z", "running",
        "window 1 (daily 08:00 to mon 08:00 UTC)", None, None, id="start-and-stop-at-one-time-is-running",
    ),
    pytest.param(
        windows("UTC", ("0 8 * * sat", "0 8 * * *")), "2026-12-05T08:00Z", "running",
        "window 1 (sat 08:00 to daily 08:00 UTC), until Sun 08:00",
        "2026-12-05T08:00Z", "2026-12-06T08:00Z", id="a-tie-begins-a-day",
    ),
    # --- excluded dates
    pytest.param(
        NO_START, "2026-12-03T07:00+07:00", "stopped", f"outside {OFFICE_TEXT}, until Mon 08:00",
        "2026-12-02T20:00+07:00", "2026-12-07T08:00+07:00", id="before-a-start-that-is-skipped",
    ),
    pytest.param(
        NO_START, "2026-12-03T08:00+07:00", "stopped",
        "excluded date 2026-12-03 (public-holidays: A day): no start, until Mon 08:00",
        "2026-12-02T20:00+07:00", "2026-12-07T08:00+07:00", id="a-start-on-an-excluded-date-is-skipped",
    ),
    pytest.param(
        NO_START, "2026-12-04T12:00+07:00", "stopped", "excluded date 2026-12-04: no start, until Mon 08:00",
        "2026-12-02T20:00+07:00", "2026-12-07T08:00+07:00", id="an-excluded-date-without-a-name",
    ),
    pytest.param(
        excluded(NIGHT, OnExcludedDates.NO_START), "2026-12-03T05:00+07:00", "running",
        "window 1 (mon-fri 22:00-06:00 Asia/Bangkok), until Thu 06:00",
        "2026-12-02T22:00+07:00", "2026-12-03T06:00+07:00", id="a-window-begun-before-runs-on",
    ),
    pytest.param(
        excluded(ALWAYS_ON, OnExcludedDates.NO_START), "2026-12-03T05:00+07:00", "running", "state: running",
        None, None, id="a-constant-state-starts-nothing",
    ),
    pytest.param(
        excluded(OFFICE, OnExcludedDates.STOPPED), "2026-12-03T00:00+07:00", "stopped",
        "excluded date 2026-12-03 (public-holidays: A day), until Mon 08:00",
        "2026-12-02T20:00+07:00", "2026-12-07T08:00+07:00", id="forced-to-stop-from-midnight",
    ),
    pytest.param(
        excluded(OFFICE, OnExcludedDates.RUNNING), "2026-12-03T00:00+07:00", "running",
        "excluded date 2026-12-03 (public-holidays: A day), until Sat 00:00",
        "2026-12-03T00:00+07:00", "2026-12-05T00:00+07:00", id="forced-to-run-from-midnight",
    ),
    pytest.param(
        excluded(OFFICE, OnExcludedDates.RUNNING), "2026-12-02T23:59:59+07:00", "stopped",
        f"outside {OFFICE_TEXT}, until Thu 00:00",
        "2026-12-02T20:00+07:00", "2026-12-03T00:00+07:00", id="a-second-before-midnight-is-the-day-before",
    ),
    pytest.param(
        excluded(OFFICE, OnExcludedDates.UNMANAGED), "2026-12-04T23:59:59+07:00", "unmanaged",
        "excluded date 2026-12-04, until Sat 00:00",
        "2026-12-03T00:00+07:00", "2026-12-05T00:00+07:00", id="forced-unmanaged-until-midnight",
    ),
    pytest.param(
        excluded(ALWAYS_ON, OnExcludedDates.STOPPED), "2026-12-05T00:00+07:00", "running", "state: running",
        "2026-12-05T00:00+07:00", None, id="a-constant-state-after-a-forced-date",
    ),
    # --- overrides
    pytest.param(
        RELEASE_NIGHT, "2026-12-01T17:59:59+07:00", "running", f"{OFFICE_TEXT}, until Wed 02:00",
        "2026-12-01T08:00+07:00", "2026-12-02T02:00+07:00", id="before-an-override-that-goes-on-as-it-is",
    ),
    pytest.param(
        RELEASE_NIGHT, "2026-12-01T18:00+07:00", "running", 'override "release night", until Wed 02:00',
        "2026-12-01T08:00+07:00", "2026-12-02T02:00+07:00", id="an-override-includes-its-beginning",
    ),
    pytest.param(
        RELEASE_NIGHT, "2026-12-02T02:00+07:00", "stopped", f"outside {OFFICE_TEXT}, until Wed 08:00",
        "2026-12-02T02:00+07:00", "2026-12-02T08:00+07:00", id="an-override-excludes-its-end",
    ),
    pytest.param(
        TWO_OVERRIDES, "2026-12-01T09:59:59+07:00", "stopped", 'override "first", until Tue 10:00',
        "2026-12-01T09:00+07:00", "2026-12-01T10:00+07:00", id="the-only-active-override",
    ),
    pytest.param(
        TWO_OVERRIDES, "2026-12-01T10:30+07:00", "unmanaged", 'override "second", until Tue 11:00',
        "2026-12-01T10:00+07:00", "2026-12-01T11:00+07:00", id="the-last-listed-active-override-wins",
    ),
    pytest.param(
        TWO_OVERRIDES, "2026-12-01T11:30+07:00", "stopped", 'override "first", until Tue 12:00',
        "2026-12-01T11:00+07:00", "2026-12-01T12:00+07:00", id="an-override-inside-another-ends",
    ),
    pytest.param(
        TWO_OVERRIDES, "2026-12-01T12:00+07:00", "running", 'override "touching", until Tue 20:00',
        "2026-12-01T12:00+07:00", "2026-12-01T20:00+07:00", id="overrides-that-touch",
    ),
    pytest.param(
        overridden(
            excluded(OFFICE, OnExcludedDates.RUNNING),
            override(State.STOPPED, "2026-12-03T09:00+07:00", "2026-12-03T10:00+07:00"),
        ),
        "2026-12-03T09:30+07:00", "stopped", "override, until Thu 10:00",
        "2026-12-03T09:00+07:00", "2026-12-03T10:00+07:00", id="an-override-wins-over-a-forced-date",
    ),
    pytest.param(
        overridden(ALWAYS_ON, override(State.STOPPED, "2029-12-03T09:00+07:00", "2029-12-03T10:00+07:00")),
        "2026-12-03T09:30+07:00", "running", "state: running, until 2029-12-03 09:00",
        None, "2029-12-03T09:00+07:00", id="a-constant-state-before-a-far-override",
    ),
    pytest.param(
        overridden(ALWAYS_ON, override(State.STOPPED, "2039-12-03T09:00+07:00", "2039-12-03T10:00+07:00")),
        "2026-12-03T09:30+07:00", "running", "state: running", None, None, id="more-than-ten-years-ahead-is-never",
    ),
    # --- enforce
    pytest.param(
        OFFICE._replace(enforce_s=3600), "2026-12-01T08:59:59+07:00", "running", f"{OFFICE_TEXT}, until Tue 09:00",
        "2026-12-01T08:00+07:00", "2026-12-01T09:00+07:00", id="within-enforce",
    ),
    pytest.param(
        OFFICE._replace(enforce_s=3600), "2026-12-01T09:00+07:00", "unmanaged",
        "hands off: 1h after the start of Tue 08:00, until Tue 20:00",
        "2026-12-01T09:00+07:00", "2026-12-01T20:00+07:00", id="enforce-has-passed-after-a-start",
    ),
    pytest.param(
        OFFICE._replace(enforce_s=5400), "2026-12-07T00:00+07:00", "unmanaged",
        "hands off: 90m after the stop of Fri 20:00, until Mon 08:00",
        "2026-12-04T21:30+07:00", "2026-12-07T08:00+07:00", id="enforce-has-passed-after-a-stop",
    ),
    pytest.param(
        RELEASE_NIGHT._replace(enforce_s=3600), "2026-12-02T02:59:59+07:00", "stopped",
        f"outside {OFFICE_TEXT}, until Wed 03:00",
        "2026-12-02T02:00+07:00", "2026-12-02T03:00+07:00", id="an-override-that-ends-hours-after-a-stop-still-stops",
    ),
    pytest.param(
        RELEASE_NIGHT._replace(enforce_s=3600), "2026-12-02T03:00+07:00", "unmanaged",
        "hands off: 1h after the stop of Wed 02:00, until Wed 08:00",
        "2026-12-02T03:00+07:00", "2026-12-02T08:00+07:00", id="and-then-lets-go",
    ),
    pytest.param(
        overridden(OFFICE, override(State.RUNNING, "2026-12-01T10:00+07:00", "2026-12-01T12:00+07:00"))._replace(
            enforce_s=3600
        ),
        "2026-12-01T12:00+07:00", "unmanaged", "hands off: 1h after the start of Tue 08:00, until Tue 20:00",
        "2026-12-01T12:00+07:00", "2026-12-01T20:00+07:00", id="an-override-that-changed-nothing-starts-no-clock",
    ),
    pytest.param(
        windows("UTC", ("0 8 * * *", "0 8 * * *"))._replace(enforce_s=3600), "2026-12-01T12:00Z", "unmanaged",
        "hands off: no transition to insist on for 1h", None, None, id="nothing-to-insist-on",
    ),
    pytest.param(
        Timing(timezone=BANGKOK, state=State.STOPPED, enforce_s=3600), "2026-12-01T12:00Z", "stopped",
        "state: stopped", None, None, id="a-constant-state-is-always-enforced",
    ),
    # --- one-sided windows
    pytest.param(
        STOP_ONLY, "2026-12-01T20:59:59+07:00", "stopped",
        "window 1 (stop at daily 20:00 Asia/Bangkok), until Tue 21:00",
        "2026-12-01T20:00+07:00", "2026-12-01T21:00+07:00", id="after-a-lone-stop",
    ),
    pytest.param(
        STOP_ONLY, "2026-12-01T21:00+07:00", "unmanaged", "hands off: 1h after the stop of Tue 20:00, until Wed 20:00",
        "2026-12-01T21:00+07:00", "2026-12-02T20:00+07:00", id="a-lone-stop-lets-go",
    ),
    pytest.param(
        STOP_ONLY._replace(enforce_s=86400), "2026-12-01T21:00+07:00", "stopped",
        "window 1 (stop at daily 20:00 Asia/Bangkok)", None, None, id="a-stop-a-day-enforced-for-a-day-never-ends",
    ),
    pytest.param(
        overridden(STOP_ONLY, override(State.STOPPED, "2026-12-02T01:00+07:00", "2026-12-02T02:00+07:00")),
        "2026-12-02T02:30+07:00", "stopped", "window 1 (stop at daily 20:00 Asia/Bangkok), until Wed 03:00",
        "2026-12-02T01:00+07:00", "2026-12-02T03:00+07:00", id="any-override's-end-starts-the-clock-of-a-lone-stop",
    ),
    pytest.param(
        excluded(STOP_ONLY, OnExcludedDates.UNMANAGED), "2026-12-05T00:59:59+07:00", "stopped",
        "window 1 (stop at daily 20:00 Asia/Bangkok), until Sat 01:00",
        "2026-12-05T00:00+07:00", "2026-12-05T01:00+07:00", id="so-does-a-forced-date's-end",
    ),
    pytest.param(
        windows(BANGKOK, (None, "0 20 * * *"), ("0 20 * * mon", None), (None, "0 20 * * mon"))._replace(enforce_s=3600),
        "2026-11-30T20:00+07:00", "running", "window 2 (start at mon 20:00 Asia/Bangkok), until Mon 21:00",
        "2026-11-30T20:00+07:00", "2026-11-30T21:00+07:00", id="a-lone-start-and-stop-at-one-time-is-running",
    ),
    pytest.param(
        windows(NEW_YORK, ("15 2 * * *", None), (None, "45 2 * * *"))._replace(enforce_s=3600),
        "2026-03-08T07:00Z", "stopped", "window 2 (stop at daily 02:45 America/New_York), until Sun 04:00",
        "2026-03-08T07:00Z", "2026-03-08T08:00Z", id="a-tie-in-the-gap-of-lone-events",
    ),
    # --- seldom changing
    pytest.param(
        FOLD_ONLY, "2026-07-01T00:00Z", "running",
        "window 1 (daily 01:30-01:00 America/New_York), until 2026-11-01 01:00 UTC-05:00",
        "2025-11-02T06:30Z", "2026-11-01T06:00Z", id="windows-that-gap-once-a-year",
    ),
    pytest.param(
        windows(NEW_YORK, ("0 0 * * *", "0 12 * * *"), ("0 12 * * *", "0 0 * * *"))._replace(
            excluded_dates={"2031-05-06": ""}
        ),
        "2026-07-01T00:00Z", "running", "window 2 (daily 12:00-00:00 America/New_York), until 2031-05-06 00:00",
        None, "2031-05-06T04:00Z", id="windows-that-meet-all-day-but-for-one-date",
    ),
    pytest.param(
        windows(NEW_YORK, ("0 0 * * *", "0 12 * * *"), ("0 12 * * *", "0 0 * * *"))._replace(
            excluded_dates={"2022-05-06": ""}
        ),
        "2026-07-01T00:00Z", "running", "window 2 (daily 12:00-00:00 America/New_York)",
        "2022-05-07T04:00Z", None, id="windows-that-meet-all-day-since-one-date",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("timing", "at", "state", "reason", "since", "until"), TABLE)
def test_says_what_is_desired_and_why(  # noqa: PLR0913, PLR0917 - a row of the table
    timing: Timing, at: str, state: str, reason: str, since: Optional[str], until: Optional[str]
) -> None:
    found = desired_state(cluster(timing), utc(at.replace("Z", "+00:00")))

    bounds = tuple(utc(text.replace("Z", "+00:00")) if text else None for text in (since, until))
    assert (found.state.value, found.reason, (found.since, found.until)) == (state, reason, bounds)
    assert state_at(cluster(timing), utc(at.replace("Z", "+00:00"))) is found.state


def test_tells_apart_the_two_passes_of_a_repeated_hour_written_in_its_own_zone() -> None:
    asked = cluster(windows(NEW_YORK, ("30 1 * * *", "45 1 * * *")))
    first, second = (datetime(2026, 11, 1, 1, 10, tzinfo=ZoneInfo(NEW_YORK), fold=fold) for fold in (0, 1))

    assert desired_state(asked, first).until == utc("2026-11-01T05:30+00:00")
    assert desired_state(asked, second).until == utc("2026-11-01T06:30+00:00")


def test_a_transition_too_far_away_is_none_even_where_it_was_found_before() -> None:
    start, end = "2039-12-03T09:00+07:00", "2039-12-03T10:00+07:00"
    asked = cluster(overridden(ALWAYS_ON, override(State.STOPPED, start, end)))

    assert desired_state(asked, utc("2035-01-01T00:00+07:00")).until == utc(start)
    assert desired_state(asked, utc("2026-01-01T00:00+07:00")).until is None
    assert desired_state(asked, utc("2045-01-01T00:00+07:00")).since == utc(end)
    assert desired_state(asked, utc("2055-01-01T00:00+07:00")).since is None


@pytest.mark.parametrize("timing", [OFFICE, ALWAYS_ON, RELEASE_NIGHT, STOP_ONLY])
def test_leaves_a_disabled_cluster_unmanaged_whatever_its_timing(timing: Timing) -> None:
    at = utc("2026-12-01T18:30+07:00")
    found = desired_state(cluster(timing, enabled=False), at)

    assert found == Desired(State.UNMANAGED, "enabled: false", Rule("enabled"), None, None)
    assert state_at(cluster(timing, enabled=False), at) is State.UNMANAGED
    assert not list(transitions(cluster(timing, enabled=False), at, at + timedelta(days=9)))


@pytest.mark.parametrize(
    ("timing", "at", "rule"),
    [
        pytest.param(THREE, "2026-12-01T09:30+07:00", Rule("window", 0), id="the-lowest-window-that-runs"),
        pytest.param(THREE, "2026-12-01T13:00+07:00", Rule("window", 1), id="the-window-that-runs"),
        pytest.param(THREE, "2026-12-01T15:00+07:00", Rule("window", 0), id="no-window-runs"),
        pytest.param(TWO_OVERRIDES, "2026-12-01T10:30+07:00", Rule("override", 1), id="override"),
        pytest.param(
            excluded(OFFICE, OnExcludedDates.STOPPED), "2026-12-03T10:00+07:00", Rule("excluded_date"), id="forced"
        ),
        pytest.param(ALWAYS_ON, "2026-12-03T10:00+07:00", Rule("state"), id="state"),
        pytest.param(STOP_ONLY, "2026-12-01T22:00+07:00", Rule("enforce"), id="enforce"),
        pytest.param(
            windows("UTC", (None, "0 8 * * *"), (None, "0 9 * * *"), (None, "0 9 * * *")),
            "2026-12-01T10:00Z",
            Rule("window", 1),
            id="the-lowest-one-sided-window-with-the-newest-event",
        ),
    ],
)
def test_names_the_rule(timing: Timing, at: str, rule: Rule) -> None:
    assert desired_state(cluster(timing), utc(at.replace("Z", "+00:00"))).rule == rule


def test_tells_the_transitions_of_a_week() -> None:
    found = transitions(cluster(NO_START), utc("2026-12-01T08:00+07:00"), utc("2026-12-07T08:00+07:00"))

    assert [(t.at, t.before, t.after) for t in found] == [
        (utc("2026-12-01T20:00+07:00"), State.RUNNING, State.STOPPED),
        (utc("2026-12-02T08:00+07:00"), State.STOPPED, State.RUNNING),
        (utc("2026-12-02T20:00+07:00"), State.RUNNING, State.STOPPED),
        (utc("2026-12-07T08:00+07:00"), State.STOPPED, State.RUNNING),
    ]


def test_counts_a_transition_at_the_end_and_not_at_the_start() -> None:
    start, end = utc("2026-12-01T08:00+07:00"), utc("2026-12-01T20:00+07:00")

    assert [t.at for t in transitions(cluster(OFFICE), start - INSTANT, end - INSTANT)] == [start]
    assert [t.at for t in transitions(cluster(OFFICE), start, end)] == [end]


@pytest.mark.parametrize(
    ("timing", "changes"),
    [
        pytest.param(
            windows("UTC", ("*/30 * * 1-11 *", "*/30 * * * *")),
            [("2026-12-01T00:00+00:00", State.STOPPED), ("2027-01-01T00:00+00:00", State.RUNNING)],
            id="two-sided",
        ),
        pytest.param(
            windows("UTC", ("0 * * * *", None), (None, "30 8 1 3 *"))._replace(enforce_s=3600),
            [("2027-03-01T08:30+00:00", State.STOPPED), ("2027-03-01T09:00+00:00", State.RUNNING)],
            id="one-sided",
        ),
    ],
)
def test_a_change_after_more_events_than_are_looked_at_is_no_less_a_change(
    timing: Timing, changes: List[Tuple[str, State]]
) -> None:
    """Nothing that was asked before makes what lies behind such a change look like what lies before it."""
    dense = cluster(timing)
    assert desired_state(dense, utc("2026-06-02T00:00+00:00")).state is State.RUNNING
    for text, after in changes:
        assert desired_state(dense, utc(text)).state is after
        assert desired_state(dense, utc(text)).since == utc(text)
    found = [
        (t.at, t.after)
        for t in transitions(cluster(timing._replace()), utc("2026-06-02T00:00+00:00"), utc("2027-03-02T00:00+00:00"))
    ]
    assert found == [(utc(text), after) for text, after in changes]


@pytest.mark.parametrize(("enforce_s", "state"), [(None, State.RUNNING), (3600, State.UNMANAGED)])
def test_a_change_that_is_too_far_to_be_found_is_not_known(enforce_s: Optional[int], state: State) -> None:
    """The search of the whole ends where that of a part was given up."""
    forget_everything()
    timing = windows("UTC", ("*/5 * * 2-10 *", "*/5 * * * *"), ("0 8 * * *", "0 9 * * *"))
    timing = timing._replace(enforce_s=enforce_s)
    early = desired_state(cluster(timing), utc("2026-06-02T00:00+00:00"))
    late = desired_state(cluster(timing._replace()), utc("2026-10-29T00:00+00:00"))
    assert (early.state, early.until) == (state, None)
    assert (late.state, late.since) == (state, None)


def test_asking_again_searches_no_further() -> None:
    forget_everything()
    at = utc("2026-06-02T00:00+00:00")
    timing = windows("UTC", ("*/30 * * 2-10 *", "*/30 * * * *"), ("0 8 * * *", "0 9 * * *"))
    found = [desired_state(cluster(timing._replace()), at) for _ in range(4)]
    assert {(desired.since, desired.until) for desired in found} == {(None, None)}


def test_a_search_without_a_clock_ends_at_its_first_candidate() -> None:
    """Each further one would ask for the clock anew, and each of these questions is a search of its own."""
    forget_everything()
    pairs = ("*/10 * * 1-11 *", "5-59/10 * * * *"), ("5-59/10 * * 1-11 *", "*/10 * * * *")
    timing = windows("UTC", *pairs)._replace(enforce_s=3600)
    found = desired_state(cluster(timing), utc("2026-06-02T00:00+00:00"))
    assert (found.state, found.since, found.until) == (State.UNMANAGED, None, None)
    assert evaluate._event_after.cache_info().misses < 60_000  # the same search at each candidate would be 300 000


@pytest.mark.parametrize(
    ("long", "since", "until"),
    [
        pytest.param(
            ("0 0 1 1 *", "0 0 1 1 *"), "2022-01-01T00:00+00:00", "2031-01-01T00:00+00:00", id="one that never ends"
        ),
        pytest.param(
            ("0 0 1 1 *", "0 0 31 12 *"), "2026-01-01T00:00+00:00", "2026-12-31T00:00+00:00", id="one that ends last"
        ),
    ],
)
def test_a_long_window_hides_the_many_ends_of_short_ones(long: Tuple[str, str], since: str, until: str) -> None:
    overrides = (
        override(State.STOPPED, "2021-01-01T00:00+00:00", "2022-01-01T00:00+00:00"),
        override(State.STOPPED, "2031-01-01T00:00+00:00", "2031-02-01T00:00+00:00"),
    )
    short = (("0 * * 1-11 *", "40 * * 1-11 *"), ("30 * * 1-11 *", "10 * * * *"))  # one of them always runs
    timing = windows("UTC", *short, long)._replace(overrides=overrides)
    for text in ("2026-01-02T00:05+00:00", "2026-11-28T12:35+00:00"):
        found = desired_state(cluster(timing._replace()), utc(text))
        assert (found.state, found.since, found.until) == (State.RUNNING, utc(since), utc(until))


# --- the oracle -------------------------------------------------------------------------------------------------------


def test_agrees_with_the_oracle_on_random_schedules() -> None:
    assert not list(search(seed=3, cases=ORACLE_CASES))


def test_agrees_with_the_oracle_on_schedules_that_seldom_change() -> None:
    assert not list(search_far(seed=3, cases=ORACLE_CASES // 300))


@settings(max_examples=8)
@given(questions())
def test_agrees_with_the_oracle_on_schedules_that_shrink(asked: Tuple[Spec, List[datetime]]) -> None:
    spec, instants = asked
    for at in instants:
        assert not list(compare(spec, [at]))


# --- laws -------------------------------------------------------------------------------------------------------------


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - a reproducible search


def random_questions(seed: int, count: int, instants: int = 6) -> Iterator[Tuple[Spec, List[datetime]]]:
    rng = seeded(seed)
    for _ in range(count):
        spec = random_spec(rng)
        yield spec, interesting_instants(rng, spec, instants)


def test_the_state_is_constant_between_transitions() -> None:
    rng = seeded(5)
    for spec, instants in random_questions(seed=11, count=60):
        asked = to_cluster(spec)
        for at in instants:
            found = desired_state(asked, at)
            low, high = found.since or at - TEN_YEARS / 10, found.until or at + TEN_YEARS / 10
            inside = [low, high - INSTANT, *(low + rng.random() * (high - low - INSTANT) for _ in range(3))]
            for other in inside:
                again = desired_state(asked, other)
                assert again.state is found.state, (spec, at, other)
                assert found.since is None or again.since == found.since, (spec, at, other)
                assert found.until is None or again.until == found.until, (spec, at, other)


def test_the_zone_in_which_an_instant_is_written_does_not_matter() -> None:
    zones = [ZoneInfo(name) for name in ("Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe")]
    for spec, instants in random_questions(seed=12, count=60):
        for at in instants:
            answers = {desired_state(to_cluster(spec), at.astimezone(zone)) for zone in (timezone.utc, *zones)}
            assert len(answers) == 1, (spec, at)


def test_transitions_and_desired_state_agree_around_every_transition() -> None:
    for spec, instants in random_questions(seed=13, count=40, instants=1):
        asked, start = to_cluster(spec), instants[0]
        for transition in transitions(asked, start, start + timedelta(days=12)):
            before, now, after = (desired_state(asked, transition.at + d) for d in (-INSTANT, timedelta(), INSTANT))
            assert (before.state, before.until) == (transition.before, transition.at), (spec, transition)
            assert (now.state, now.since, now.reason) == (transition.after, transition.at, transition.reason)
            assert transition.before is not transition.after
            if now.until != transition.at + INSTANT:
                assert (after.state, after.since) == (transition.after, transition.at), (spec, transition)


def test_the_order_of_windows_changes_neither_state_nor_transitions() -> None:
    rng = seeded(7)
    for spec, instants in random_questions(seed=14, count=60):
        asked = to_cluster(spec)
        mixed = list(asked.timing.windows)
        rng.shuffle(mixed)
        other = asked._replace(timing=asked.timing._replace(windows=tuple(mixed)))
        for at in instants:
            one, two = desired_state(asked, at), desired_state(other, at)
            assert (one.state, one.since, one.until) == (two.state, two.since, two.until), (spec, at)


def test_an_override_that_ended_long_ago_changes_nothing() -> None:
    for spec, instants in random_questions(seed=15, count=60):
        asked = to_cluster(spec)
        old = min(instants) - timedelta(days=500)
        past = Override(State.RUNNING, old - timedelta(hours=1), old, "long ago")
        other = asked._replace(timing=asked.timing._replace(overrides=(*asked.timing.overrides, past)))
        for at in instants:
            one, two = desired_state(asked, at), desired_state(other, at)
            assert (one.state, one.until) == (two.state, two.until), (spec, at)
            assert one.since == two.since or (two.since is not None and two.since <= old + timedelta(days=50)), spec


def test_what_is_remembered_changes_no_answer() -> None:
    """Asked in any order, of one timing and of many, the answers are those of a program that remembers nothing."""
    rng = seeded(9)
    kept = []
    for spec, instants in [
        *random_questions(seed=16, count=14),
        *((spec, interesting_instants(rng, spec, 4)) for spec in [seldom_changing_spec(rng) for _ in range(2)]),
    ]:
        asked = to_cluster(spec)
        afar = [at + rng.randint(-1500, 1500) * timedelta(days=1) for at in instants[:2]]
        for at in [*instants, *afar]:
            forget_everything()
            kept.append((asked, at, desired_state(asked, at)))
    forget_everything()
    for _ in range(2):
        rng.shuffle(kept)
        for asked, at, answer in kept:
            assert desired_state(asked, at) == answer, (asked.timing, at)
            assert state_at(asked, at) is answer.state


@settings(max_examples=8)
@given(specs(), st.integers(2010, 2031))
def test_the_state_does_not_depend_on_what_was_asked_before(spec: Spec, year: int) -> None:
    asked, at = to_cluster(spec), datetime(year, 6, 1, tzinfo=timezone.utc)
    first = desired_state(asked, at)
    for days in (400, -400, 1, -1):
        desired_state(asked, at + timedelta(days=days))
    assert desired_state(asked._replace(timing=asked.timing._replace()), at) == first


# --- expressions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "0 8 * * mon-fri",
        "*/5 8-18 1,15 jan-mar,nov *",
        "30 22 * * fri-mon",
        "0 8 29 2 *",
        "0 8 L * *",
        "0 8 * * fri#1",
        "0 8 * * 0-7",
        "  0   8 * * * ",
        "0 8 30-5 * *",
    ],
)
def test_accepts_an_expression(expression: str) -> None:
    assert cron_problem(expression) is None


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("@daily", '"@daily" is an alias: write its five fields, such as "0 0 * * *"'),
        (
            "0 0 8 * * *",
            '"0 0 8 * * *" has 6 fields: write five (minute hour day month weekday), no seconds, no year',
        ),
        ("0 8 * *", '"0 8 * *" has 4 fields: write five (minute hour day month weekday), no seconds, no year'),
        (
            "08:00",
            (
                '"08:00" is a time of day: write five cron fields such as "0 8 * * mon-fri", or in place of start and '
                'stop `hours: "Mon-Fri 08:00-20:00"`'
            ),
        ),
        ("8", '"8" has 1 field: write five (minute hour day month weekday), no seconds, no year'),
        ("", '"" has 0 fields: write five (minute hour day month weekday), no seconds, no year'),
        ("R 8 * * *", '"R 8 * * *" is random or hashed: write the times, such as "0 8 * * mon-fri"'),
        ("0 r(1-5) * * *", '"0 r(1-5) * * *" is random or hashed: write the times, such as "0 8 * * mon-fri"'),
        ("5,H/15 8 * * *", '"5,H/15 8 * * *" is random or hashed: write the times, such as "0 8 * * mon-fri"'),
        ("0 0 31 2 *", '"0 0 31 2 *" never fires: no such day comes'),
        ("0 0 31 4,6 *", '"0 0 31 4,6 *" never fires: no such day comes'),
        ("0 25 * * *", '"0 25 * * *" is not a cron expression: [0 25 * * *] is not acceptable, out of range'),
        ("0 8 * * mo", '"0 8 * * mo" is not a cron expression: [0 8 * * mo] is not acceptable'),
        ("0 8 * * 1-1", '"0 8 * * 1-1" has a range from a value to itself, "1-1": write the value alone'),
        ("0 8 * * mon-1", '"0 8 * * mon-1" has a range from a value to itself, "mon-1": write the value alone'),
        ("0 8 * * 3,7-0", '"0 8 * * 3,7-0" has a range from a value to itself, "7-0": write the value alone'),
        ("05-5 8 * * *", '"05-5 8 * * *" has a range from a value to itself, "05-5": write the value alone'),
        (
            "0 8 * 10-6/2 *",
            '"0 8 * 10-6/2 *" has a range that runs backwards in steps, "10-6/2": write its values',
        ),
    ],
)
def test_refuses_an_expression_by_name(expression: str, problem: str) -> None:
    assert cron_problem(expression) == problem


def test_what_repeats_by_the_day_or_week_fires_as_croniter_says() -> None:
    """Firings of such expressions are asked for in one week only; croniter, asked anywhere, says the same."""
    from croniter import croniter

    rng = seeded(8)
    for expression in ("0 8 * * mon-fri", "*/25 8-9 * * *", "30 22 * * fri-mon", "0 0 * * 7", "59 23 * * *"):
        asked, cron = evaluate._Firings(expression), croniter(expression)
        known = evaluate._Firings(expression, asked.in_one_period() or ())
        for firings in (asked, known) * 60:
            local = datetime(1990, 1, 1) + timedelta(minutes=rng.randrange(100_000_000))  # noqa: DTZ001
            minute = timedelta(minutes=1)
            expected = (cron.get_prev(datetime, local + minute), cron.get_next(datetime, local))
            assert firings.gap_at(local + 59 * SECOND) == expected
        assert "_cron" not in vars(known)


@pytest.mark.parametrize("at", ["2026-12-01T19:59:59+00:00", "2026-12-01T20:10+00:00"])
def test_the_first_start_after_an_excluded_date_is_found_from_any_time_of_it(at: str) -> None:
    forget_everything()  # or the second would be told what was found for the first
    excluded = windows("UTC", ("0,30 0,20 * * *", "15 1,21 * * *"))._replace(excluded_dates={"2026-12-01": ""})
    found = desired_state(cluster(excluded), utc(at))
    assert (found.state, found.until) == (State.STOPPED, utc("2026-12-02T00:00+00:00"))


def test_the_parts_of_a_window_are_its_events_on_either_side() -> None:
    (part,) = parts_at(windows("UTC", ("0 8 * * *", "0 20 * * *")), utc("2026-12-01T14:00+00:00")).windows
    assert (part.newest_start, part.next_stop) == (utc("2026-12-01T08:00+00:00"), utc("2026-12-01T20:00+00:00"))
    assert (part.newest_stop, part.next_start) == (utc("2026-11-30T20:00+00:00"), utc("2026-12-02T08:00+00:00"))


def test_a_one_sided_stop_asks_for_stopped_without_any_start() -> None:
    (part,) = parts_at(STOP_ONLY, utc("2026-12-01T14:00+00:00")).windows
    assert (part.state, part.newest_start) == (State.STOPPED, None)


def test_a_start_that_every_date_forbids_is_the_rule_all_the_same() -> None:
    days = (date(2016, 1, 1) + timedelta(days=number) for number in range(4500))
    forbidden = windows("UTC", ("0 8 * * *", None))._replace(excluded_dates=dict.fromkeys(map(str, days), ""))
    found = desired_state(cluster(forbidden), utc("2026-12-01T14:00+00:00"))
    assert (found.state, found.rule) == (State.STOPPED, Rule("window", 0))


def test_the_parts_are_those_of_the_local_date() -> None:
    found = parts_at(excluded(OFFICE, OnExcludedDates.STOPPED), utc("2026-12-02T18:00+00:00"))  # 01:00 of the third
    assert (found.excluded, found.forced) == (date(2026, 12, 3), State.STOPPED)
    assert found.is_given_up is False


def test_a_constant_state_is_its_own_base_and_has_no_transitions() -> None:
    constant = Timing("UTC", State.RUNNING)
    at = utc("2026-12-01T14:00+00:00")
    assert parts_at(constant, at).base is State.RUNNING
    assert list(transitions(cluster(constant), at, at + timedelta(days=400))) == []


@pytest.mark.parametrize(("beyond", "is_known"), [(timedelta(0), True), (INSTANT, False)])
def test_a_transition_is_told_up_to_ten_years_away(beyond: timedelta, is_known: bool) -> None:  # noqa: FBT001
    at = utc("2026-12-01T14:00+00:00")
    since, until = at - TEN_YEARS - beyond, at + TEN_YEARS + beyond
    lasting = Timing("UTC", State.STOPPED, overrides=(Override(State.RUNNING, since, until, ""),))
    found = desired_state(cluster(lasting), at)
    assert (found.since, found.until) == ((since, until) if is_known else (None, None))


def test_lists_the_firings_of_a_week_where_they_repeat_and_are_few() -> None:
    asked = ["0 8 * * *", "30 0 * * mon,sun", "0 8 1 * *", "0 8 * * fri#1", "* * * * mon-fri", "0 8 * * *"]
    assert list_firings(asked) == {"0 8 * * *": [480], "30 0 * * mon,sun": [30, 8670]}


def test_lists_a_firing_at_the_edge_of_the_week_once_and_in_whole_minutes() -> None:
    assert repr(list_firings(["0 0 * * mon", "0 0 * * *"])) == "{'0 0 * * *': [0], '0 0 * * mon': [0]}"


@pytest.mark.parametrize(("expression", "is_listed"), [("0-49 1-4 * * *", True), ("0-49 1-4,6 * * *", False)])
def test_lists_up_to_200_firings(expression: str, is_listed: bool) -> None:  # noqa: FBT001
    assert (expression in list_firings([expression])) is is_listed


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        pytest.param("0 8 * * 1-5", "0 8 * * mon-fri", True, id="days by number and by name"),
        pytest.param("*/30 8 * * *", "0,30 8 * * *", True, id="a step and a list"),
        pytest.param("0 8 * * *", "0 9 * * *", False, id="another hour"),
    ],
)
def test_expressions_that_fire_alike(one: str, other: str, are_alike: bool) -> None:  # noqa: FBT001
    assert fires_alike(one, other) is are_alike


def test_knowing_firings_changes_no_answer() -> None:
    rng = seeded(9)
    for _ in range(40):
        asked = to_cluster(random_spec(rng))
        moments = [datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(hours=rng.randrange(9000)) for _ in range(5)]
        forget_everything()
        expected = [desired_state(asked, at) for at in moments]
        forget_everything()
        sides = (side for window in asked.timing.windows for side in (window.start, window.stop))
        know_firings(list_firings(side for side in sides if side))
        assert [desired_state(asked, at) for at in moments] == expected
    forget_everything()


@pytest.mark.parametrize(
    ("expression", "period"),
    [
        ("0 8 * * *", timedelta(days=1)),
        ("0 8 * * mon-fri", timedelta(days=7)),
        ("0 8 1 * *", None),
        ("0 8 * jan mon", None),
        ("0 8 * * fri#1", None),
        ("0 8 * * L5", None),
        ("0 8 1-31 * *", None),
    ],
)
def test_knows_what_repeats_by_the_day_or_week(expression: str, period: Optional[timedelta]) -> None:
    assert repeats_after(expression) == period


def test_an_evaluation_of_a_state_that_never_changes_asks_little_of_croniter() -> None:
    """Ten years of windows that meet every day have thousands of events; the search passes over them."""
    forget_everything()
    meeting = windows(NEW_YORK, ("0 0 * * *", "0 12 * * *"), ("0 12 * * *", "0 0 * * *"))
    found = desired_state(cluster(meeting), utc("2026-07-01T00:00+00:00"))

    assert (found.since, found.until) == (None, None)
    assert evaluate._event_after.cache_info().misses < 2000  # ten years of days are 7306 events
