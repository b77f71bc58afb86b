"""Changes of the clock, held against the zones' own tables, and local times mapped to instants."""

import importlib
import time
from datetime import date, datetime, timedelta, timezone
from functools import cache
from itertools import chain
from typing import Dict, List, Optional, Tuple, Union
from zoneinfo import ZoneInfo, available_timezones

import pytest

from scheduler.errors import InputError
from scheduler.localtime import (
    Change,
    date_flips,
    find_zone,
    first_change,
    instants_of,
    last_change,
    local_at,
    offset_at,
    parse_api_time,
    parse_at,
    read_instant,
    read_local,
    suggest_zones,
)
from tests.oracle_cases import utc

FIRST, LAST = datetime(2000, 1, 1, tzinfo=timezone.utc), datetime(2038, 1, 1, tzinfo=timezone.utc)
INSTANT = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@cache
def table_of(name: str) -> Tuple[Change, ...]:
    """Read the changes of offset since 1990 out of a zone's own table of transitions and the rule that follows it."""
    zone = importlib.import_module("zoneinfo._zoneinfo").ZoneInfo(name)
    seconds = set(zone._trans_utc)
    if hasattr(zone._tz_after, "transitions"):
        for year in range(1990, LAST.year):
            begin, end = zone._tz_after.transitions(year)
            seconds |= {begin - zone._tz_after.std.utcoff.total_seconds()}
            seconds |= {end - zone._tz_after.dst.utcoff.total_seconds()}
    found = []
    for second in sorted(seconds):
        at = _EPOCH + timedelta(seconds=second)
        before, after = offset_at(zone, at - INSTANT), offset_at(zone, at)
        if at.year >= 1990 and at < LAST and before != after:
            found.append(Change(at, before, after))
    return tuple(found)


def zone_names() -> List[str]:
    return sorted(name for name in available_timezones() if not name.startswith(("posix", "right", "localtime")))


def one_of_each_table() -> List[str]:
    """Return the zones, leaving out those that are another one by a second name."""
    names: Dict[Tuple[Change, ...], str] = {}
    for name in zone_names():
        names.setdefault(table_of(name), name)
    return sorted(names.values())


def test_finds_in_both_directions_the_changes_of_every_zone() -> None:
    for name in one_of_each_table():
        zone, expected = ZoneInfo(name), [change for change in table_of(name) if change.at > FIRST]
        forward, at = [], FIRST
        while True:
            change = first_change(zone, at, LAST - INSTANT)
            if change is None:
                break
            forward.append(change)
            at = change.at
        assert forward == expected, name
        backward, at = [], LAST - INSTANT
        while True:
            change = last_change(zone, FIRST, at)
            if change is None:
                break
            backward.append(change)
            at = change.at - INSTANT
        assert backward[::-1] == expected, name


def test_no_zone_changes_twice_within_the_step_of_the_search() -> None:
    gaps = (
        (later.at - earlier.at, name)
        for name in zone_names()
        for earlier, later in zip(table_of(name), table_of(name)[1:])
    )
    assert min(gaps)[0] > timedelta(days=6)


def test_a_change_is_after_the_one_bound_and_not_after_the_other() -> None:
    zone, at = ZoneInfo("Europe/London"), utc("2026-03-29T01:00+00:00")
    change = Change(at, timedelta(0), timedelta(hours=1))
    second = timedelta(seconds=1)

    assert first_change(zone, at - second, at) == last_change(zone, at - second, at) == change
    assert first_change(zone, at, at + second) is last_change(zone, at, at + second) is None
    assert first_change(zone, at - second, at - INSTANT) is last_change(zone, at - second, at - INSTANT) is None
    assert change.first_local == datetime(2026, 3, 29, 1, 0)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("zone", "local", "instants"),
    [
        pytest.param("UTC", "2026-03-08T02:30", ["2026-03-08T02:30"], id="utc"),
        pytest.param("Asia/Kathmandu", "2026-03-08T02:30", ["2026-03-07T20:45"], id="quarters"),
        pytest.param("America/New_York", "2026-03-08T01:59", ["2026-03-08T06:59"], id="before-the-gap"),
        pytest.param("America/New_York", "2026-03-08T02:00", ["2026-03-08T07:00"], id="the-gap-begins"),
        pytest.param("America/New_York", "2026-03-08T02:59", ["2026-03-08T07:00"], id="the-gap-ends"),
        pytest.param("America/New_York", "2026-03-08T03:00", ["2026-03-08T07:00"], id="after-the-gap"),
        pytest.param("America/New_York", "2026-11-01T00:59", ["2026-11-01T04:59"], id="before-the-repeated-hour"),
        pytest.param("America/New_York", "2026-11-01T01:00", ["2026-11-01T05:00", "2026-11-01T06:00"], id="twice"),
        pytest.param("America/New_York", "2026-11-01T02:00", ["2026-11-01T07:00"], id="after-the-repeated-hour"),
        pytest.param("Australia/Lord_Howe", "2026-04-05T01:45", ["2026-04-04T14:45", "2026-04-04T15:15"], id="half"),
        pytest.param("Australia/Lord_Howe", "2026-10-04T02:15", ["2026-10-03T15:30"], id="half-a-gap"),
        pytest.param("Pacific/Apia", "2011-12-30T15:00", ["2011-12-30T10:00"], id="a-skipped-day"),
        pytest.param("America/Santiago", "2026-09-06T00:30", ["2026-09-06T04:00"], id="a-skipped-midnight"),
    ],
)
def test_maps_a_local_time_to_its_instants(zone: str, local: str, instants: List[str]) -> None:
    found = instants_of(ZoneInfo(zone), datetime.fromisoformat(local))

    assert list(found) == [utc(text + "+00:00") for text in instants]


@pytest.mark.parametrize(
    ("zone", "days", "flips"),
    [
        pytest.param("Asia/Bangkok", ["2026-12-05"], ["2026-12-04T17:00", "2026-12-05T17:00"], id="a-day"),
        pytest.param(
            "UTC", ["2026-12-05", "2026-12-06", "2026-12-08"],
            ["2026-12-05T00:00", "2026-12-07T00:00", "2026-12-08T00:00", "2026-12-09T00:00"], id="days-that-meet",
        ),
        pytest.param("America/Santiago", ["2026-09-06"], ["2026-09-06T04:00", "2026-09-07T03:00"], id="no-midnight"),
        pytest.param("America/Havana", ["2026-11-01"], ["2026-11-01T04:00", "2026-11-02T05:00"], id="two-midnights"),
        pytest.param("Pacific/Apia", ["2011-12-30"], [], id="a-day-that-did-not-exist"),
        pytest.param(
            "America/St_Johns", ["2010-11-07"],
            ["2010-11-07T02:30", "2010-11-07T02:31", "2010-11-07T03:30", "2010-11-08T03:30"],
            id="put-back-a-minute-after-midnight",
        ),
        pytest.param(
            "America/St_Johns", ["2010-11-06"],
            ["2010-11-06T02:30", "2010-11-07T02:30", "2010-11-07T02:31", "2010-11-07T03:30"],
            id="entered-again-from-the-day-after",
        ),
        pytest.param("UTC", [], [], id="no-dates"),
    ],
)  # fmt: skip
def test_tells_when_the_clocks_enter_and_leave_dates(zone: str, days: List[str], flips: List[str]) -> None:
    dates = frozenset(map(date.fromisoformat, days))

    assert date_flips(ZoneInfo(zone), dates) == [utc(text + "+00:00") for text in flips]


@pytest.mark.parametrize("zone", ["America/St_Johns", "America/Havana", "Pacific/Apia", "Asia/Gaza", "Africa/Cairo"])
def test_the_flips_of_dates_are_those_of_every_minute(zone: str) -> None:
    changes = [change.at for change in table_of(zone) if 2009 <= change.at.year <= 2013]
    near = {local_at(ZoneInfo(zone), change + timedelta(days=n)).date() for change in changes for n in (-1, 0, 1)}
    minutes = sorted(set(chain.from_iterable((c + timedelta(minutes=m) for m in range(-4000, 4000)) for c in changes)))
    for dates in (frozenset(sorted(near)[::2]), frozenset(sorted(near)[::3])):
        inside = [local_at(ZoneInfo(zone), minute).date() in dates for minute in minutes]
        expected = [
            minute
            for before, minute, was, now in zip(minutes, minutes[1:], inside, inside[1:])
            if was != now and minute - before == timedelta(minutes=1)
        ]
        found = [flip for flip in date_flips(ZoneInfo(zone), dates) if flip in set(minutes[1:])]
        assert found == expected


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "Asia", "../etc/passwd", "Asia/Bang\0kok", "/etc/localtime"])
def test_a_zone_that_is_none(name: str) -> None:
    assert find_zone(name) is None


def test_a_zone_that_is_one() -> None:
    assert find_zone("Asia/Bangkok") is ZoneInfo("Asia/Bangkok")


@pytest.mark.parametrize(
    ("name", "zones"),
    [
        pytest.param("asia/bangkok", ["Asia/Bangkok"], id="in small letters"),
        pytest.param("Bangkok", ["Asia/Bangkok"], id="only the place"),
        pytest.param("new york", ["America/New_York"], id="with a blank"),
        pytest.param("Istanbul", ["Asia/Istanbul", "Europe/Istanbul"], id="a place of two names"),
        pytest.param("ICT", [], id="an abbreviation"),
        pytest.param("Mars/Olympus", [], id="nowhere on Earth"),
        pytest.param("", [], id="empty"),
    ],
)
def test_the_zones_that_may_be_meant(name: str, zones: List[str]) -> None:
    assert suggest_zones(name) == zones


@pytest.mark.parametrize(
    ("text", "at"),
    [
        pytest.param("2026-11-23T08:00:00+07:00", "2026-11-23T01:00:00Z", id="in full"),
        pytest.param("2026-11-23T01:00:00Z", "2026-11-23T01:00:00Z", id="in UTC"),
        pytest.param("2026-11-22T21:30-03:30", "2026-11-23T01:00:00Z", id="without seconds"),
        pytest.param("2026-11-23 01:00Z", "2026-11-23T01:00:00Z", id="with a blank"),
        pytest.param("2026-11-23T01:00:00.250000+00:00", "2026-11-23T01:00:00.250000Z", id="to the microsecond"),
        pytest.param("2026-11-23T01:00:00.250Z", "2026-11-23T01:00:00.250000Z", id="to the millisecond"),
        pytest.param("0001-01-01T00:00Z", "0001-01-01T00:00:00Z", id="the first of all"),
        *(
            pytest.param(text, None, id=text)
            for text in (
                *("", "soon", "5", "08:00", "2026-11-23", "2026-11-23T08", "2026-11-23T08:00", "2026-11-23T08:00:00"),
                # Read by 3.11 and later.
                *("20261123T080000+0700", "20261123T080000Z", "2026-W47-1T08:00+07:00", "2026-11-23T08:00+0700"),
                *("2026-11-23T08:00+07", "2026-11-23T08+07:00", "2026-11-23T08:00:00.5Z", "2026-11-23T08:00:00,500Z"),
                *("2026-11-23T08:00:00.123456789Z", "2026-327T08:00Z"),
                # Read by 3.14, and as 08:39 ahead of UTC.
                *("2026-11-23T24:00Z", "2026-11-23T08:00+07:99"),
                # Read by all of them.
                *("2026-11-23x08:00Z", "2026-11-23T08:00:00+07:00:01", "2026-11-23T08:00+00:00Z"),
                # Read by none.
                *("2026-02-30T08:00Z", "2026-11-23T25:00Z", "2026-11-23T08:60Z", "2026-11-23T08:00+24:00"),
                *("2026-11-23t08:00Z", "2026-11-23T08:00z", "2026-11-23T08:00 +07:00", "2026-11-23T08:00Z\n"),
                *(" 2026-11-23T08:00Z", "٢٠٢٦-11-23T08:00Z", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"),
            )
        ),
    ],
)
def test_an_instant_is_read_alike_by_every_python(text: str, at: Optional[str]) -> None:
    found = read_instant(text)
    assert found is None or found.tzinfo is timezone.utc
    assert (found and found.replace(tzinfo=None).isoformat() + "Z") == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        pytest.param("2026-12-01T20:00:00Z", utc("2026-12-01T20:00+00:00"), id="as ECS writes it"),
        pytest.param("2026-12-01T20:00:00.000000", utc("2026-12-01T20:00+00:00"), id="without a zone"),
        pytest.param("2026-12-02T03:00:00+07:00", utc("2026-12-01T20:00+00:00"), id="with an offset"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="missing"),
        pytest.param("soon", None, id="no instant"),
    ],
)
def test_reads_the_times_of_a_listing(
    text: Optional[str], at: Optional[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Bangkok")  # a machine's own zone has no say
    time.tzset()
    found = parse_api_time(text)
    assert found == at
    assert found is None or found.tzinfo is timezone.utc
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "at"),
    [
        pytest.param("2026-11-23T08:00+07:00", utc("2026-11-23T01:00+00:00"), id="an offset"),
        pytest.param("2026-10-24T02:30", utc("2026-10-24T00:30+00:00"), id="once"),
        pytest.param("1991-01-01T00:00+14:00", utc("1990-12-31T10:00+00:00"), id="the first year"),
        pytest.param("2199-12-31T23:59", utc("2199-12-31T22:59+00:00"), id="the last year"),
        pytest.param("2026-11-23", "is not a date and time: write one such as 2026-12-01T18:00", id="no time"),
        pytest.param("2026-11-23T0800", "is not a date and time: write one such as 2026-12-01T18:00", id="no colon"),
        pytest.param("1990-06-01T00:00", "is out of range: write a year from 1991 to 2199", id="too early"),
        pytest.param("2200-01-01T00:00", "is out of range: write a year from 1991 to 2199", id="too late"),
        pytest.param("2199-12-31T23:59-14:00", "is out of range: write a year from 1991 to 2199", id="late in UTC"),
        pytest.param("0001-01-01T00:00+14:00", "is out of range: write a year from 1991 to 2199", id="before all"),
        pytest.param(
            "2026-10-25T02:30",
            "occurs twice in Europe/Berlin: write 2026-10-25T02:30+02:00 or 2026-10-25T02:30+01:00",
            id="twice",
        ),
        pytest.param(
            "2026-03-29T02:30",
            "does not exist in Europe/Berlin, clocks skip it: write 2026-03-29T03:00+02:00",
            id="never",
        ),
    ],
)
def test_a_local_time_is_one_instant_or_is_refused(text: str, at: Union[datetime, str]) -> None:
    try:
        found: Union[datetime, str] = read_local(text, ZoneInfo("Europe/Berlin"))
    except ValueError as e:
        found = str(e)
    assert found == at


@pytest.mark.parametrize("text", ["20261123T080000+0700", "2026-W47-1T08:00+07:00", "2026-11-23T08:00"])
def test_what_to_look_at_must_be_an_instant(text: str) -> None:
    with pytest.raises(InputError, match="is not an instant: write one with its offset, such as 2026-11-23T08:00:00"):
        parse_at(text)
