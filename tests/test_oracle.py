"""The oracle itself, held against cases worked out by hand, and its two walks against each other."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random
from typing import Optional

import pytest
from hypothesis import given, settings

from tests.oracle import (
    DAY,
    Override,
    Spec,
    Window,
    offset_changes,
    parse_cron,
    states,
    states_at,
    timeline,
    to_instant,
    to_minute,
    walk_events,
    walk_minutes,
)
from tests.schedule_strategies import (
    ZONES,
    instants,
    interesting_instants,
    questions,
    random_centre,
    random_spec,
    specs,
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def spec(zone: str, *windows: Window, **rest: object) -> Spec:
    return Spec(zone=zone, windows=windows, **rest)  # type: ignore[arg-type]


def override(state: str, begin: str, end: str) -> Override:
    return state, utc(begin), utc(end)


def story(asked: Spec, first: str, last: str) -> list[str]:
    """Return the state at `first` and every transition from then to before `last`, as `UTC state`."""
    line = timeline(asked, utc(first), utc(last))
    told = [f"{first} {line.state_at(utc(first))}"]
    after = line.until(utc(first))
    while after is not None:
        told.append(f"{after:%Y-%m-%dT%H:%M} {line.state_at(after)}")
        after = line.until(after)
    return told


@pytest.mark.parametrize(
    ("expression", "local", "fires"),
    [
        pytest.param("0 8 * * mon-fri", "2026-03-06T08:00", True, id="a friday in mon-fri"),
        pytest.param("0 8 * * mon-fri", "2026-03-07T08:00", False, id="a saturday not in mon-fri"),
        pytest.param("0 8 * * mon-fri", "2026-03-06T08:01", False, id="another minute"),
        pytest.param("0 8 * * mon-fri", "2026-03-06T09:00", False, id="another hour"),
        pytest.param("0 0 * * fri-mon", "2026-03-09T00:00", True, id="a wrapping range reaches monday"),
        pytest.param("0 0 * * fri-mon", "2026-03-08T00:00", True, id="a wrapping range has its sunday"),
        pytest.param("0 0 * * fri-mon", "2026-03-10T00:00", False, id="a wrapping range ends"),
        pytest.param("0 0 * * 7", "2026-03-08T00:00", True, id="7 is sunday"),
        pytest.param("0 0 * * 0", "2026-03-08T00:00", True, id="0 is sunday"),
        pytest.param("0 0 * * 5-7", "2026-03-08T00:00", True, id="5-7 has sunday"),
        pytest.param("0 0 * * 5-7", "2026-03-09T00:00", False, id="5-7 has no monday"),
        pytest.param("*/30 * * * *", "2026-03-08T11:30", True, id="every half hour"),
        pytest.param("*/30 * * * *", "2026-03-08T11:15", False, id="not every quarter"),
        pytest.param("5/20 * * * *", "2026-03-08T11:45", True, id="a step from a number"),
        pytest.param("10-20/5 * * * *", "2026-03-08T11:20", True, id="a step in a range"),
        pytest.param("10-20/5 * * * *", "2026-03-08T11:25", False, id="a step ends with its range"),
        pytest.param("0 22-2 * * *", "2026-03-08T01:00", True, id="hours wrap"),
        pytest.param("0 22-2 * * *", "2026-03-08T03:00", False, id="hours wrap no further"),
        pytest.param("0 0 13 * fri", "2026-03-13T00:00", True, id="both days given: both hold"),
        pytest.param("0 0 13 * fri", "2026-03-06T00:00", True, id="both days given: the weekday holds"),
        pytest.param("0 0 13 * fri", "2026-04-13T00:00", True, id="both days given: the date holds"),
        pytest.param("0 0 13 * fri", "2026-04-14T00:00", False, id="both days given: neither holds"),
        pytest.param("0 0 13 * *", "2026-03-06T00:00", False, id="a date alone"),
        pytest.param("0 0 1 NOV-feb *", "2027-01-01T00:00", True, id="months by name wrap, in any case"),
        pytest.param("0 0 1 NOV-feb *", "2027-03-01T00:00", False, id="months by name end"),
        pytest.param("0 0 29 2 *", "2028-02-29T00:00", True, id="29 february"),
    ],
)
def test_matches_the_wall_clock(expression: str, local: str, *, fires: bool) -> None:
    assert parse_cron(expression).fires_at(to_minute(utc(local))) is fires


@pytest.mark.parametrize(
    ("zone", "year", "changes"),
    [
        pytest.param("Asia/Bangkok", 2026, [], id="none"),
        pytest.param("America/New_York", 2026, ["2026-03-08T07:00", "2026-11-01T06:00"], id="New York"),
        pytest.param("Australia/Lord_Howe", 2026, ["2026-04-04T15:00", "2026-10-03T15:30"], id="half an hour"),
        pytest.param("America/St_Johns", 2010, ["2010-03-14T03:31", "2010-11-07T02:31"], id="a minute past midnight"),
        pytest.param("Pacific/Apia", 2011, ["2011-04-02T14:00", "2011-09-24T14:00", "2011-12-30T10:00"], id="a day"),
    ],
)
def test_finds_the_changes_of_the_clock(zone: str, year: int, changes: list[str]) -> None:
    assert [to_instant(minute) for minute in offset_changes(zone, year)] == [utc(change) for change in changes]


NEW_YORK, LORD_HOWE, SANTIAGO = "America/New_York", "Australia/Lord_Howe", "America/Santiago"
BANGKOK, APIA, ST_JOHNS = "Asia/Bangkok", "Pacific/Apia", "America/St_Johns"
OFFICE: Window = ("0 8 * * mon-fri", "0 20 * * mon-fri")
NIGHT: Window = ("0 22 * * mon-fri", "0 6 * * tue-sat")
HOUR = 3600


@pytest.mark.parametrize(
    ("asked", "first", "last", "expected"),
    [
        # New York, 2026-03-08: 01:59 is followed by 03:00 at 07:00 UTC.
        pytest.param(
            spec(NEW_YORK, ("30 2 * * *", "0 12 * * *")),
            "2026-03-08T00:00",
            "2026-03-09T00:00",
            ["2026-03-08T00:00 stopped", "2026-03-08T07:00 running", "2026-03-08T16:00 stopped"],
            id="a start in the gap happens at its end",
        ),
        pytest.param(
            spec(NEW_YORK, ("0 22 * * *", "30 2 * * *")),
            "2026-03-08T04:00",
            "2026-03-09T02:00",
            ["2026-03-08T04:00 running", "2026-03-08T07:00 stopped"],
            id="a stop in the gap happens at its end",
        ),
        pytest.param(
            spec(NEW_YORK, ("15 2 * * *", "45 2 * * *")),
            "2026-03-08T00:00",
            "2026-03-09T07:00",
            ["2026-03-08T00:00 stopped", "2026-03-09T06:15 running", "2026-03-09T06:45 stopped"],
            id="a window within the gap does not happen",
        ),
        pytest.param(
            spec(NEW_YORK, ("30 2 * * *", "0 3 * * *")),
            "2026-03-08T00:00",
            "2026-03-09T00:00",
            ["2026-03-08T00:00 stopped"],
            id="the gap brings a start to a stop of a later local time, which wins",
        ),
        pytest.param(
            spec(NEW_YORK, ("0 3 * * *", "30 2 * * *")),
            "2026-03-07T09:00",
            "2026-03-09T00:00",
            ["2026-03-07T09:00 running"],
            id="the gap brings a stop to a start of a later local time, which wins",
        ),
        pytest.param(
            spec(NEW_YORK, ("30 2 * * *", "30 2 8 3 *")),
            "2026-03-08T06:00",
            "2026-03-09T00:00",
            ["2026-03-08T06:00 running"],
            id="at one local time in the gap the start wins",
        ),
        # New York, 2026-11-01: 01:59 is followed by 01:00 at 06:00 UTC.
        pytest.param(
            spec(NEW_YORK, ("30 1 * * *", "0 12 * * *")),
            "2026-11-01T00:00",
            "2026-11-02T00:00",
            ["2026-11-01T00:00 stopped", "2026-11-01T05:30 running", "2026-11-01T17:00 stopped"],
            id="a start in the repeated hour happens first at its first occurrence",
        ),
        pytest.param(
            spec(NEW_YORK, ("0 1 * * *", "30 1 * * *")),
            "2026-11-01T00:00",
            "2026-11-02T00:00",
            [
                "2026-11-01T00:00 stopped",
                "2026-11-01T05:00 running",
                "2026-11-01T05:30 stopped",
                "2026-11-01T06:00 running",
                "2026-11-01T06:30 stopped",
            ],
            id="a window within the repeated hour happens twice",
        ),
        pytest.param(
            spec(NEW_YORK, ("30 1 * * *", "0 1 * * *")),
            "2026-11-01T04:00",
            "2026-11-02T00:00",
            [
                "2026-11-01T04:00 running",
                "2026-11-01T05:00 stopped",
                "2026-11-01T05:30 running",
                "2026-11-01T06:00 stopped",
                "2026-11-01T06:30 running",
            ],
            id="between the two occurrences a stop of an earlier local time counts",
        ),
        # Lord Howe, 2026-04-05: 01:59 is followed by 01:30 at 15:00 UTC of the day before.
        pytest.param(
            spec(LORD_HOWE, ("45 1 * * *", "50 1 * * *")),
            "2026-04-04T14:00",
            "2026-04-04T16:00",
            [
                "2026-04-04T14:00 stopped",
                "2026-04-04T14:45 running",
                "2026-04-04T14:50 stopped",
                "2026-04-04T15:15 running",
                "2026-04-04T15:20 stopped",
            ],
            id="half an hour happens twice",
        ),
        # Lord Howe, 2026-10-04: 01:59 is followed by 02:30 at 15:30 UTC of the day before.
        pytest.param(
            spec(LORD_HOWE, ("10 2 * * *", "45 2 * * *")),
            "2026-10-03T15:00",
            "2026-10-03T17:00",
            ["2026-10-03T15:00 stopped", "2026-10-03T15:30 running", "2026-10-03T15:45 stopped"],
            id="half an hour is skipped",
        ),
        # Santiago, 2026-09-06: 23:59 is followed by 01:00 of that day at 04:00 UTC.
        pytest.param(
            spec(SANTIAGO, ("0 0 * * sun", "0 3 * * sun")),
            "2026-09-05T12:00",
            "2026-09-07T12:00",
            ["2026-09-05T12:00 stopped", "2026-09-06T04:00 running", "2026-09-06T06:00 stopped"],
            id="a midnight that does not exist belongs to its own weekday",
        ),
        pytest.param(
            spec(SANTIAGO, ("0 0 * * *", "0 3 * * *"), excluded=frozenset({date(2026, 9, 6)})),
            "2026-09-05T12:00",
            "2026-09-07T12:00",
            ["2026-09-05T12:00 stopped", "2026-09-07T03:00 running", "2026-09-07T06:00 stopped"],
            id="and to its own date, on which starts do not happen",
        ),
        pytest.param(
            Spec(SANTIAGO, state="running", excluded=frozenset({date(2026, 9, 6)}), on_excluded="stopped"),
            "2026-09-05T12:00",
            "2026-09-07T12:00",
            ["2026-09-05T12:00 running", "2026-09-06T04:00 stopped", "2026-09-07T03:00 running"],
            id="a date without a midnight has 23 hours",
        ),
        # Santiago, 2026-04-05: 23:59 of the day before is followed by 23:00 at 03:00 UTC.
        pytest.param(
            Spec(SANTIAGO, state="running", excluded=frozenset({date(2026, 4, 4)}), on_excluded="stopped"),
            "2026-04-03T12:00",
            "2026-04-06T12:00",
            ["2026-04-03T12:00 running", "2026-04-04T03:00 stopped", "2026-04-05T04:00 running"],
            id="a date with 23:00 twice has 25 hours",
        ),
        # St. John's, 2010-11-07: 00:00 is followed by 23:01 of the day before at 02:31 UTC.
        pytest.param(
            Spec(ST_JOHNS, state="running", excluded=frozenset({date(2010, 11, 7)}), on_excluded="stopped"),
            "2010-11-06T12:00",
            "2010-11-09T12:00",
            [
                "2010-11-06T12:00 running",
                "2010-11-07T02:30 stopped",
                "2010-11-07T02:31 running",
                "2010-11-07T03:30 stopped",
                "2010-11-08T03:30 running",
            ],
            id="a date interrupted by an hour of the day before",
        ),
        # Apia, 2011: 29 December 23:59 is followed by 31 December 00:00 at 10:00 UTC of the 30th.
        pytest.param(
            spec(APIA, ("0 8 30 12 *", "0 20 31 12 *")),
            "2011-12-29T00:00",
            "2012-01-02T00:00",
            ["2011-12-29T00:00 stopped", "2011-12-30T10:00 running", "2011-12-31T06:00 stopped"],
            id="a start on a date that does not exist happens at its end",
        ),
        pytest.param(
            spec(APIA, ("0 8 * * *", "0 20 * * *")),
            "2011-12-29T12:00",
            "2011-12-31T12:00",
            [
                "2011-12-29T12:00 stopped",
                "2011-12-29T18:00 running",
                "2011-12-30T06:00 stopped",
                "2011-12-30T18:00 running",
                "2011-12-31T06:00 stopped",
            ],
            id="a window of a date that does not exist does not happen",
        ),
        pytest.param(
            spec(APIA, ("0 8 30 12 *", "0 20 31 12 *"), excluded=frozenset({date(2011, 12, 30)})),
            "2011-12-29T00:00",
            "2012-01-02T00:00",
            ["2011-12-29T00:00 stopped"],
            id="a start on an excluded date that does not exist does not happen",
        ),
        pytest.param(
            Spec(APIA, state="running", excluded=frozenset({date(2011, 12, 30)}), on_excluded="stopped"),
            "2011-12-28T00:00",
            "2012-01-02T00:00",
            ["2011-12-28T00:00 running"],
            id="an excluded date that does not exist forces nothing",
        ),
    ],
)
def test_keeps_to_the_local_clock(asked: Spec, first: str, last: str, expected: list[str]) -> None:
    assert story(asked, first, last) == expected


@pytest.mark.parametrize(
    ("asked", "first", "last", "expected"),
    [
        pytest.param(
            spec("UTC", OFFICE),
            "2026-01-09T07:00",
            "2026-01-12T09:00",
            [
                "2026-01-09T07:00 stopped",
                "2026-01-09T08:00 running",
                "2026-01-09T20:00 stopped",
                "2026-01-12T08:00 running",
            ],
            id="office hours around a weekend",
        ),
        pytest.param(
            spec(BANGKOK, NIGHT),
            "2026-01-09T00:00",
            "2026-01-12T16:00",
            [
                "2026-01-09T00:00 stopped",
                "2026-01-09T15:00 running",
                "2026-01-09T23:00 stopped",
                "2026-01-12T15:00 running",
            ],
            id="overnight",
        ),
        pytest.param(
            spec("UTC", ("0 6 * * mon", "0 18 * * fri")),
            "2026-01-04T00:00",
            "2026-01-12T00:00",
            ["2026-01-04T00:00 stopped", "2026-01-05T06:00 running", "2026-01-09T18:00 stopped"],
            id="from monday to friday",
        ),
        pytest.param(
            spec("UTC", ("0 8 * * *", "0 12 * * *"), ("0 12 * * *", "0 14 * * *"), ("0 13 * * *", "0 15 * * *")),
            "2026-01-05T00:00",
            "2026-01-06T00:00",
            ["2026-01-05T00:00 stopped", "2026-01-05T08:00 running", "2026-01-05T15:00 stopped"],
            id="windows that touch and overlap join",
        ),
        pytest.param(
            spec("UTC", ("0 8 * * *", "0 8 * * mon")),
            "2026-01-04T00:00",
            "2026-01-07T00:00",
            ["2026-01-04T00:00 running"],
            id="a start and a stop at one instant: running",
        ),
        pytest.param(
            spec("UTC", ("0 8 * * *", "0 20 * * *"), excluded=frozenset({date(2026, 1, 6)})),
            "2026-01-05T12:00",
            "2026-01-07T12:00",
            ["2026-01-05T12:00 running", "2026-01-05T20:00 stopped", "2026-01-07T08:00 running"],
            id="no start on an excluded date",
        ),
        pytest.param(
            spec("UTC", ("0 22 * * *", "0 6 * * *"), excluded=frozenset({date(2026, 1, 6)})),
            "2026-01-05T12:00",
            "2026-01-07T23:00",
            [
                "2026-01-05T12:00 stopped",
                "2026-01-05T22:00 running",
                "2026-01-06T06:00 stopped",
                "2026-01-07T22:00 running",
            ],
            id="a window begun before an excluded date runs on and stops on it",
        ),
        pytest.param(
            spec("UTC", ("0 8 * * *", "0 8 * * tue"), excluded=frozenset({date(2026, 1, 6)})),
            "2026-01-05T12:00",
            "2026-01-08T00:00",
            ["2026-01-05T12:00 running", "2026-01-06T08:00 stopped", "2026-01-07T08:00 running"],
            id="a start that does not happen leaves the instant to the stop",
        ),
        pytest.param(
            spec(BANGKOK, OFFICE, excluded=frozenset({date(2026, 1, 6)}), on_excluded="running"),
            "2026-01-05T12:00",
            "2026-01-07T00:00",
            [
                "2026-01-05T12:00 running",
                "2026-01-05T13:00 stopped",
                "2026-01-05T17:00 running",
                "2026-01-06T17:00 stopped",
            ],
            id="an excluded date that runs, from local midnight to midnight",
        ),
        pytest.param(
            spec("UTC", NIGHT, excluded=frozenset({date(2026, 1, 6)}), on_excluded="stopped"),
            "2026-01-05T12:00",
            "2026-01-07T05:00",
            [
                "2026-01-05T12:00 stopped",
                "2026-01-05T22:00 running",
                "2026-01-06T00:00 stopped",
                "2026-01-07T00:00 running",
            ],
            id="an excluded date that is stopped hides a window, which goes on after it",
        ),
        pytest.param(
            Spec(state="running", excluded=frozenset({date(2026, 1, 6)}), enforce_s=HOUR),
            "2026-01-05T12:00",
            "2026-01-08T00:00",
            ["2026-01-05T12:00 running"],
            id="a constant knows neither starts nor enforce",
        ),
        pytest.param(
            Spec(
                state="stopped",
                excluded=frozenset({date(2026, 1, 6)}),
                on_excluded="unmanaged",
                overrides=(
                    override("running", "2026-01-05T23:00", "2026-01-06T01:00"),
                    override("stopped", "2026-01-06T00:30", "2026-01-06T00:40"),
                ),
            ),
            "2026-01-05T12:00",
            "2026-01-08T00:00",
            [
                "2026-01-05T12:00 stopped",
                "2026-01-05T23:00 running",
                "2026-01-06T00:30 stopped",
                "2026-01-06T00:40 running",
                "2026-01-06T01:00 unmanaged",
                "2026-01-07T00:00 stopped",
            ],
            id="overrides win over excluded dates, the last listed over the others",
        ),
        pytest.param(
            Spec(
                state="running",
                overrides=(
                    override("stopped", "2026-01-06T00:30", "2026-01-06T00:40"),
                    override("unmanaged", "2026-01-05T23:00", "2026-01-06T01:00"),
                    override("stopped", "2026-01-06T01:00", "2026-01-06T02:00"),
                ),
            ),
            "2026-01-05T12:00",
            "2026-01-08T00:00",
            [
                "2026-01-05T12:00 running",
                "2026-01-05T23:00 unmanaged",
                "2026-01-06T01:00 stopped",
                "2026-01-06T02:00 running",
            ],
            id="listed last counts, begun last does not",
        ),
    ],
)
def test_joins_windows_dates_and_overrides(asked: Spec, first: str, last: str, expected: list[str]) -> None:
    assert story(asked, first, last) == expected


@pytest.mark.parametrize(
    ("asked", "first", "last", "expected"),
    [
        pytest.param(
            spec("UTC", OFFICE, enforce_s=HOUR),
            "2026-01-05T07:00",
            "2026-01-06T00:00",
            [
                "2026-01-05T07:00 unmanaged",
                "2026-01-05T08:00 running",
                "2026-01-05T09:00 unmanaged",
                "2026-01-05T20:00 stopped",
                "2026-01-05T21:00 unmanaged",
            ],
            id="an hour after each transition",
        ),
        pytest.param(
            spec(
                "UTC", OFFICE, enforce_s=HOUR, overrides=(override("running", "2026-01-05T19:00", "2026-01-05T22:00"),)
            ),
            "2026-01-05T18:00",
            "2026-01-06T00:00",
            [
                "2026-01-05T18:00 unmanaged",
                "2026-01-05T19:00 running",
                "2026-01-05T22:00 stopped",
                "2026-01-05T23:00 unmanaged",
            ],
            id="the end of an override, hours after the stop, starts the clock anew",
        ),
        pytest.param(
            spec(
                "UTC", OFFICE, enforce_s=HOUR, overrides=(override("running", "2026-01-05T10:00", "2026-01-05T12:00"),)
            ),
            "2026-01-05T07:00",
            "2026-01-05T20:00",
            [
                "2026-01-05T07:00 unmanaged",
                "2026-01-05T08:00 running",
                "2026-01-05T09:00 unmanaged",
                "2026-01-05T10:00 running",
                "2026-01-05T12:00 unmanaged",
            ],
            id="an override that asks for what the window asks for does not",
        ),
        pytest.param(
            spec(
                "UTC",
                OFFICE,
                enforce_s=2 * DAY * 60,
                overrides=(override("stopped", "2026-01-05T10:00", "2026-01-05T12:00"),),
            ),
            "2026-01-05T09:00",
            "2026-01-12T00:00",
            [
                "2026-01-05T09:00 running",
                "2026-01-05T10:00 stopped",
                "2026-01-05T12:00 running",
                "2026-01-05T20:00 stopped",
                "2026-01-06T08:00 running",
                "2026-01-06T20:00 stopped",
                "2026-01-07T08:00 running",
                "2026-01-07T20:00 stopped",
                "2026-01-08T08:00 running",
                "2026-01-08T20:00 stopped",
                "2026-01-09T08:00 running",
                "2026-01-09T20:00 stopped",
                "2026-01-11T20:00 unmanaged",
            ],
            id="two days last into sunday only",
        ),
        pytest.param(
            spec("UTC", ("0 8 * * *", "0 20,21 * * *"), enforce_s=2 * HOUR),
            "2026-01-05T19:00",
            "2026-01-06T00:00",
            ["2026-01-05T19:00 unmanaged", "2026-01-05T20:00 stopped", "2026-01-05T22:00 unmanaged"],
            id="a stop that changes nothing does not start the clock",
        ),
        pytest.param(
            spec("UTC", OFFICE, enforce_s=HOUR, excluded=frozenset({date(2026, 1, 6)}), on_excluded="running"),
            "2026-01-05T22:00",
            "2026-01-07T02:00",
            [
                "2026-01-05T22:00 unmanaged",
                "2026-01-06T00:00 running",
                "2026-01-07T00:00 stopped",
                "2026-01-07T01:00 unmanaged",
            ],
            id="a forced date is insisted on all day, and an hour after it",
        ),
        pytest.param(
            spec("UTC", OFFICE, enforce_s=HOUR, excluded=frozenset({date(2026, 1, 6)}), on_excluded="unmanaged"),
            "2026-01-05T20:00",
            "2026-01-07T02:00",
            [
                "2026-01-05T20:00 stopped",
                "2026-01-05T21:00 unmanaged",
                "2026-01-07T00:00 stopped",
                "2026-01-07T01:00 unmanaged",
            ],
            id="unmanaged is a state: leaving it starts the clock",
        ),
        pytest.param(
            spec("UTC", ("0 8 * * *", "0 8 * * *"), enforce_s=HOUR),
            "2026-01-05T00:00",
            "2026-01-06T00:00",
            ["2026-01-05T00:00 unmanaged"],
            id="a state that never changes is past every clock",
        ),
        pytest.param(
            spec(NEW_YORK, ("30 1 * * *", "0 12 * * *"), enforce_s=HOUR),
            "2026-11-01T05:00",
            "2026-11-01T16:00",
            ["2026-11-01T05:00 unmanaged", "2026-11-01T05:30 running", "2026-11-01T06:30 unmanaged"],
            id="the second occurrence of a start changes nothing",
        ),
    ],
)
def test_insists_only_so_long(asked: Spec, first: str, last: str, expected: list[str]) -> None:
    assert story(asked, first, last) == expected


STOP_ONLY: Window = (None, "0 20 * * *")
START_ONLY: Window = ("0 8 * * *", None)


@pytest.mark.parametrize(
    ("asked", "first", "last", "expected"),
    [
        pytest.param(
            spec("UTC", STOP_ONLY, enforce_s=HOUR),
            "2026-01-05T19:00",
            "2026-01-06T19:00",
            ["2026-01-05T19:00 unmanaged", "2026-01-05T20:00 stopped", "2026-01-05T21:00 unmanaged"],
            id="stops only",
        ),
        pytest.param(
            spec("UTC", STOP_ONLY, START_ONLY, enforce_s=2 * DAY * 60),
            "2026-01-05T19:00",
            "2026-01-06T19:00",
            ["2026-01-05T19:00 running", "2026-01-05T20:00 stopped", "2026-01-06T08:00 running"],
            id="the newest event of all decides",
        ),
        pytest.param(
            spec("UTC", ("0 20 * * mon", None), STOP_ONLY, enforce_s=HOUR),
            "2026-01-05T19:00",
            "2026-01-06T22:00",
            [
                "2026-01-05T19:00 unmanaged",
                "2026-01-05T20:00 running",
                "2026-01-05T21:00 unmanaged",
                "2026-01-06T20:00 stopped",
                "2026-01-06T21:00 unmanaged",
            ],
            id="at one instant the start wins",
        ),
        pytest.param(
            spec(NEW_YORK, ("15 2 * * *", None), (None, "45 2 * * *"), enforce_s=HOUR),
            "2026-03-08T06:00",
            "2026-03-08T12:00",
            ["2026-03-08T06:00 unmanaged", "2026-03-08T07:00 stopped", "2026-03-08T08:00 unmanaged"],
            id="at the end of a gap the later local time wins",
        ),
        pytest.param(
            spec(NEW_YORK, (None, "30 1 * * *"), enforce_s=15 * 60),
            "2026-11-01T05:00",
            "2026-11-01T12:00",
            [
                "2026-11-01T05:00 unmanaged",
                "2026-11-01T05:30 stopped",
                "2026-11-01T05:45 unmanaged",
                "2026-11-01T06:30 stopped",
                "2026-11-01T06:45 unmanaged",
            ],
            id="an event in the repeated hour happens twice",
        ),
        pytest.param(
            spec("UTC", (None, "0 20,21 * * *"), enforce_s=90 * 60),
            "2026-01-05T19:00",
            "2026-01-06T19:00",
            ["2026-01-05T19:00 unmanaged", "2026-01-05T20:00 stopped", "2026-01-05T22:30 unmanaged"],
            id="every event starts the clock anew",
        ),
        pytest.param(
            spec(
                "UTC",
                STOP_ONLY,
                enforce_s=HOUR,
                overrides=(override("stopped", "2026-01-05T22:00", "2026-01-05T23:00"),),
            ),
            "2026-01-05T20:00",
            "2026-01-06T19:00",
            [
                "2026-01-05T20:00 stopped",
                "2026-01-05T21:00 unmanaged",
                "2026-01-05T22:00 stopped",
                "2026-01-06T00:00 unmanaged",
            ],
            id="so does the end of an override, whatever it asked for",
        ),
        pytest.param(
            spec("UTC", STOP_ONLY, enforce_s=HOUR, excluded=frozenset({date(2026, 1, 5)}), on_excluded="unmanaged"),
            "2026-01-05T00:00",
            "2026-01-06T19:00",
            ["2026-01-05T00:00 unmanaged", "2026-01-06T00:00 stopped", "2026-01-06T01:00 unmanaged"],
            id="and the end of a forced date",
        ),
        pytest.param(
            spec("UTC", STOP_ONLY, START_ONLY, enforce_s=HOUR, excluded=frozenset({date(2026, 1, 5)})),
            "2026-01-05T00:00",
            "2026-01-06T00:00",
            ["2026-01-05T00:00 unmanaged", "2026-01-05T20:00 stopped", "2026-01-05T21:00 unmanaged"],
            id="a start that does not happen is no event",
        ),
    ],
)
def test_one_sided_windows_act_at_events(asked: Spec, first: str, last: str, expected: list[str]) -> None:
    assert story(asked, first, last) == expected


def test_reaches_back_as_far_as_it_must() -> None:
    leap_days = spec("UTC", ("0 0 29 2 *", "0 0 1 3 *"))
    asked = [utc("2027-06-01T00:00"), utc("2028-02-29T12:00"), utc("2024-02-29T00:00"), utc("2024-03-01T00:00")]
    assert states_at(leap_days, asked) == ["stopped", "running", "running", "stopped"]
    assert states_at(spec("UTC", ("0 0 29 2 *", "0 0 28 2 *")), asked) == ["stopped", "running", "running", "running"]


def test_windows_without_a_start_stay_stopped() -> None:
    never = spec(
        "UTC",
        ("0 0 1 * *", "0 0 2 * *"),
        excluded=frozenset(date(y, m, 1) for y in range(2010, 2030) for m in range(1, 13)),
    )
    assert states_at(never, [utc("2026-01-01T12:00")]) == ["stopped"]


def test_minutes_are_half_open_and_take_their_seconds_along() -> None:
    office = spec("UTC", OFFICE)
    assert states(office, utc("2026-01-05T07:59"), utc("2026-01-05T08:01")) == ["stopped", "running"]
    edge, microsecond = utc("2026-01-05T08:00"), timedelta(microseconds=1)
    assert states_at(office, [edge + microsecond, edge - microsecond, edge]) == ["running", "stopped", "running"]


def test_since_and_until_are_the_neighbouring_transitions() -> None:
    line = timeline(spec("UTC", OFFICE), utc("2026-01-05T12:00"), utc("2026-01-06T12:00"))
    assert line.since(utc("2026-01-05T12:00")) == utc("2026-01-05T08:00")
    assert line.until(utc("2026-01-05T12:00")) == utc("2026-01-05T20:00")
    assert line.until(utc("2026-01-06T11:59")) is None
    with pytest.raises(ValueError, match="not in the timeline"):
        line.state_at(utc("2026-01-06T12:00"))


@pytest.mark.parametrize(
    ("state", "windows", "enforce_s"),
    [
        pytest.param(None, (), None, id="nothing"),
        pytest.param("running", (OFFICE,), None, id="both"),
        pytest.param(None, (OFFICE, STOP_ONLY), HOUR, id="mixed windows"),
        pytest.param(None, (STOP_ONLY,), None, id="one-sided for ever"),
        pytest.param(None, (OFFICE,), 61, id="half a minute"),
    ],
)
def test_refuses_what_has_no_meaning(
    state: Optional[str], windows: tuple[Window, ...], enforce_s: Optional[int]
) -> None:
    with pytest.raises(ValueError, match=r"exactly|mix|need|whole"):
        Spec(state=state, windows=windows, enforce_s=enforce_s)


@pytest.mark.parametrize("seed", range(12))
def test_looking_at_events_equals_looking_at_every_minute(seed: int) -> None:
    rng = Random(seed)  # noqa: S311
    asked = random_spec(rng)
    middle = to_minute(rng.choice(interesting_instants(rng, asked, 3)))
    begin, end = middle - rng.randint(DAY, 3 * DAY), middle + rng.randint(DAY, 2 * DAY)
    assert walk_events(asked, begin, end) == walk_minutes(asked, begin, end)


@pytest.mark.parametrize("zone", ZONES)
def test_both_walks_agree_on_a_change_of_the_clock(zone: str) -> None:
    rng = Random(zone)  # noqa: S311
    asked = spec(zone, ("*/20 * * * *", "10 * * * *"), ("30 2 * * *", "15 0 * * *"), enforce_s=15 * 60)
    middle = random_centre(rng, zone)
    assert walk_events(asked, middle - DAY, middle + DAY) == walk_minutes(asked, middle - DAY, middle + DAY)


@settings(max_examples=20)
@given(questions(count=4))
def test_a_longer_warm_up_changes_nothing(question: tuple[Spec, list[datetime]]) -> None:
    asked, when = question
    for instant in when:
        line = timeline(asked, instant, instant + timedelta(minutes=1), warmup_days=400)
        assert states_at(asked, [instant]) == [line.state_at(instant)]


@settings(max_examples=10)
@given(specs(), instants("Africa/Casablanca"))
def test_is_unmanaged_sooner_or_not_at_all_with_enforce(asked: Spec, instant: datetime) -> None:
    if asked.one_sided or asked.enforce_s is None:
        return
    always = Spec(asked.zone, asked.state, asked.windows, asked.excluded, asked.on_excluded, asked.overrides)
    assert states_at(asked, [instant])[0] in {"unmanaged", states_at(always, [instant])[0]}


def test_the_same_seed_makes_the_same_schedule_and_questions() -> None:
    first, again = Random(7), Random(7)  # noqa: S311
    made, remade = random_spec(first), random_spec(again)
    assert made == remade
    assert interesting_instants(first, made) == interesting_instants(again, remade)
