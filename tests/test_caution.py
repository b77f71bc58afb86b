"""What `validate` warns about: each mistake with its place and its exact words, and the nearest thing that is none."""

import time
from datetime import date, datetime, timedelta
from itertools import takewhile
from typing import FrozenSet, Iterator, List, Optional, Tuple

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.caution import _spans, find_cautions
from scheduler.config import parse_checked
from scheduler.model import Window
from scheduler.public_holidays import HolidayCalendar, HolidayLock, write_lock
from tests.oracle_cases import utc

NOW = utc("2026-11-20T12:00:00+00:00")  # a Friday
TH = HolidayCalendar(date(2025, 1, 1), date(2027, 12, 31), {"2026-12-05": "Father's Day"})
LOCK = write_lock(HolidayLock("holidays 0.83", {"TH": TH}))
ADVICE = ": write a time outside that span, or leave it if that is right"
NEVER_STOPS = (
    "4:9: clusters[0].windows[0]: never stops in the coming year: each of its stops falls on a start, and then the "
    "start wins: write another stop, or `state: running` instead of windows"
)
BOTH_DAYS = (
    "names days of the month and weekdays, and cron fires on either, not only where both meet: write * for one of "
    "them, or leave it if that is right"
)


def cautions(text: str, now: datetime = NOW) -> List[str]:
    """Return the warnings about a file, but for those about ids: here they are as short as can be."""
    return [found for found in all_cautions(text, now) if "is not what ids of clusters look like" not in found]


def all_cautions(text: str, now: datetime = NOW) -> List[str]:
    checked = parse_checked(f"version: 1\n{text}".encode(), "f.yaml", lambda: LOCK)
    return [f"{p.line}:{p.column}: {p}" for p in find_cautions(checked, now)]


def windows(*written: str, zone: str = "UTC", more: str = "enabled: true", now: datetime = NOW) -> List[str]:
    """Return the warnings about one cluster; the first of its windows stands on line 4."""
    lines = "".join(f"      - {{{window}}}\n" for window in written)
    rest = f"name: dev\n    cluster_id: a\n    region: r\n    project_id: p\n    timezone: {zone}\n    {more}\n"
    return cautions(f"clusters:\n  - windows:\n{lines}    {rest}", now)


def cron(start: str, stop: str) -> str:
    return f'start: "{start}", stop: "{stop}"'


class TestDays:
    @pytest.mark.parametrize(
        "days",
        [
            pytest.param("1 * mon", id="one of each"),
            pytest.param("2-30/2 * mon", id="steps"),
            pytest.param("1-31 * mon", id="every day written out"),
            pytest.param("1 * 0-6", id="every weekday written out"),
            pytest.param("l * fri", id="last day"),
        ],
    )
    def test_both_kinds_of_day_are_joined_by_or(self, days: str) -> None:
        assert windows(cron(f"0 8 {days}", "0 20 * * *")) == [
            f'4:17: clusters[0].windows[0].start: "0 8 {days}" {BOTH_DAYS}'
        ]

    @pytest.mark.parametrize(
        "days", ["* * mon-fri", "1,15 * *", "? * mon", "1 * ?", "*,1 * mon", "* 1 *", "* * sat#1", "* * *"]
    )
    def test_one_kind_of_day_is_clear(self, days: str) -> None:
        assert windows(cron(f"0 8 {days}", "0 20 * * *")) == []

    def test_start_and_stop_have_their_own_places_and_a_schedule_that_nobody_uses_is_looked_at(self) -> None:
        text = """\
schedules:
  unused:
    windows:
      - start: "0  8 1 * mon"
        stop: "0 20 1 * mon"
clusters:
  - {name: dev, cluster_id: a, region: r, project_id: p, state: running}
"""
        assert cautions(text) == [
            f'5:16: schedules.unused.windows[0].start: "0 8 1 * mon" {BOTH_DAYS}',
            f'6:15: schedules.unused.windows[0].stop: "0 20 1 * mon" {BOTH_DAYS}',
        ]


class TestShortWindows:
    @pytest.mark.parametrize(
        ("start", "stop", "length", "begin"),
        [
            pytest.param("0 8 * * *", "4 8 * * *", "4m", "2026-11-20 08:00", id="every day"),
            pytest.param("58 23 * * *", "1 0 * * *", "3m", "2026-11-20 23:58", id="over midnight"),
            pytest.param("0 8 1 3 *", "1 8 * * *", "1m", "2027-03-01 08:00", id="once a year"),
            pytest.param("0 8 20 11 *", "1 8 * * *", "1m", "2026-11-20 08:00", id="on the first day"),
            pytest.param("0 8 20 11 *", "1 8 21 11 *", None, "", id="a day and a minute"),
            pytest.param("0 8 * * *", "5 8 * * *", None, "", id="as long as the period"),
            pytest.param("*/2 * * * *", "1 0 * * *", None, "", id="a start that comes again and again"),
            pytest.param("1-59/2 * * * *", "*/2 * * * *", "1m", "2026-11-20 00:01", id="every other minute"),
            pytest.param("0,30 8 * * *", "5,34 8 * * *", "4m", "2026-11-20 08:30", id="the shorter of two"),
            pytest.param("0 8 * * mon", "4 8 * * tue", None, "", id="other days"),
            pytest.param("0 8 * * mon", "4 8 * * mon,tue", "4m", "2026-11-23 08:00", id="weekly"),
        ],
    )
    def test_a_window_within_one_period_may_be_missed(self, start: str, stop: str, length: str, begin: str) -> None:
        warning = (
            f"4:9: clusters[0].windows[0]: runs for only {length}, as from {begin}, and the function runs every 5m, "
            "so it may miss that: write a longer window"
        )
        assert windows(cron(start, stop)) == ([warning] if length else [])

    @pytest.mark.parametrize(("every", "is_short"), [("10m", False), ("15m", True), ("1d", True)])
    def test_the_period_is_that_of_the_file(self, every: str, is_short: bool) -> None:  # noqa: FBT001
        text = (
            f"function: {{every: {every}}}\ntimezone: UTC\nclusters:\n"
            '  - {name: dev, cluster_id: a, region: r, project_id: p, windows: [{hours: "daily 08:00-08:12"}]}\n'
        )
        found = cautions(text)
        assert len(found) == is_short
        assert all(
            f"runs for only 12m, as from 2026-11-20 08:00, and the function runs every {every}" in f for f in found
        )

    @pytest.mark.parametrize("window", ['start: "0 8 * * *"', 'stop: "0 20 * * *"'])
    def test_a_one_sided_window_has_no_length(self, window: str) -> None:
        assert windows(window) == []


class TestWindowsThatNeverStop:
    @pytest.mark.parametrize(
        ("start", "stop"),
        [
            pytest.param("0 8,20 * * *", "0 20 * * *", id="one of several starts"),
            pytest.param("* * * * *", "*/2 * * * *", id="every minute"),
            pytest.param("0 8 * * mon-fri", "0 8 1 3 *", id="once a year, on a Monday"),
        ],
    )
    def test_every_stop_falls_on_a_start(self, start: str, stop: str) -> None:
        assert windows(cron(start, stop)) == [NEVER_STOPS]

    @pytest.mark.parametrize(
        ("start", "stop"),
        [
            pytest.param("0 8 * * mon-fri", "0 8 * * *", id="stops on Saturday"),
            pytest.param("0 8 * * *", "0 8,20 * * *", id="one stop of its own"),
            pytest.param("0 8 1 * *", "0 8 29 2 *", id="a stop that does not come this year"),
        ],
    )
    def test_one_stop_of_its_own_is_enough(self, start: str, stop: str) -> None:
        assert windows(cron(start, stop)) == []


class TestLongWindows:
    EXCLUDED = "exclude: {dates: [2026-12-24]}"

    @pytest.mark.parametrize(
        ("window", "begin"),
        [
            pytest.param(cron("0 8 * * sun", "0 20 * * tue"), "2026-11-22 08:00", id="some of a week's days"),
            pytest.param(cron("0 8 1 3 *", "0 8 1 9 *"), "2027-03-01 08:00", id="a summer"),
            pytest.param(cron("0 8 1 3 *", "0 8 1 2 *"), "2027-03-01 08:00", id="longer than is looked ahead"),
            pytest.param(cron("0 8 * * mon", "1 8 * * tue"), "2026-11-23 08:00", id="a day and a minute"),
        ],
    )
    def test_an_excluded_date_inside_does_not_stop_it(self, window: str, begin: str) -> None:
        assert windows(window, more=self.EXCLUDED) == [
            (
                f"4:9: clusters[0].windows[0]: runs for more than a day, as from {begin}, and an excluded date inside "
                "does not stop it, since on_excluded_dates: no_start only leaves out starts: write "
                "`on_excluded_dates: stopped`, or shorter windows"
            )
        ]

    @pytest.mark.parametrize(
        ("excluded", "begin", "inside"),
        [
            pytest.param("2026-12-24", "2026-12-21 08:00", "the excluded date 2026-12-24", id="the week of it"),
            pytest.param("2026-11-24", "2026-11-23 08:00", "the excluded date 2026-11-24", id="the day after"),
            pytest.param("2026-11-27", "2026-11-23 08:00", "the excluded date 2026-11-27", id="the last day"),
            pytest.param("2026-11-28", "2026-11-23 08:00", "an excluded date", id="a day on which it does not run"),
            pytest.param("2020-11-24", "2026-11-23 08:00", "an excluded date", id="a past one"),
            pytest.param(
                "2026-11-23..2026-11-29", "2026-11-30 08:00", "an excluded date", id="a start that is skipped"
            ),
        ],
    )
    def test_the_span_that_is_named_is_one_that_begins(self, excluded: str, begin: str, inside: str) -> None:
        found = windows(cron("0 8 * * mon", "0 20 * * fri"), more=f"exclude: {{dates: [{excluded}]}}")
        assert [text.partition(" inside")[0] for text in found] == [
            f"4:9: clusters[0].windows[0]: runs for more than a day, as from {begin}, and {inside}"
        ]

    @pytest.mark.parametrize(
        ("start", "stop", "excluded", "lost"),
        [
            pytest.param("mon", "fri", "2026-12-07", ("2026-12-07 08:00", "2026-12-11 20:00"), id="for the week"),
            pytest.param("mon,wed", "fri", "2026-12-07", ("2026-12-07 08:00", "2026-12-09 08:00"), id="until a start"),
            pytest.param(
                "mon", "fri", "2026-12-07..2026-12-10", ("2026-12-07 08:00", "2026-12-11 20:00"), id="for one day"
            ),
            pytest.param("mon", "fri", "2026-12-07..2026-12-11", None, id="all of its days are excluded"),
            pytest.param("mon,tue", "fri", "2026-12-07", ("2026-12-07 08:00", "2026-12-08 08:00"), id="a night"),
            pytest.param("mon", "tue", "2026-12-08", None, id="not on the start"),
        ],
    )
    def test_one_excluded_date_may_take_a_week(
        self, start: str, stop: str, excluded: str, lost: Optional[Tuple[str, str]]
    ) -> None:
        more = f"exclude: {{dates: [{excluded}]}}"
        found = windows(cron(f"0 8 * * {start}", f"0 20 * * {stop}"), more=more)
        message = (
            "4:9: clusters[0].windows[0]: does not run from {} to {}, since its only start before that falls on the "
            "excluded date 2026-12-07: write a start for each day, or `on_excluded_dates: stopped`"
        )
        assert [text for text in found if "does not run" in text] == ([message.format(*lost)] if lost else [])

    def test_an_excluded_date_takes_the_night_after_it_as_is_to_be_expected(self) -> None:
        weekend_and_a_night = cron("0 22 * * mon,fri", "0 6 * * tue,mon")
        found = windows(weekend_and_a_night, more="exclude: {dates: [2026-12-07]}")
        assert [text for text in found if "does not run" in text] == []
        found = windows(weekend_and_a_night, more="exclude: {dates: [2026-12-11]}")
        assert [text.partition(", since")[0] for text in found if "does not run" in text] == [
            "4:9: clusters[0].windows[0]: does not run from 2026-12-11 22:00 to 2026-12-14 06:00"
        ]

    def test_of_many_clusters_one_is_warned_of_and_the_others_not_missed(self) -> None:
        text = """\
defaults: {region: r, project_id: p, timezone: UTC, schedule: week}
schedules: {week: {windows: [{start: "0 8 * * mon", stop: "0 20 * * fri"}]}}
clusters:
  - {name: a, cluster_id: a}
  - {name: b, cluster_id: b, exclude: {dates: [2026-12-05]}, enabled: false}
  - {name: c, cluster_id: c, exclude: {dates: [2026-12-06]}}
  - {name: d, cluster_id: d, exclude: {dates: [2026-12-07]}}
  - {name: e, cluster_id: e, exclude: {dates: [2026-12-14]}}
"""
        assert [found.partition(" from ")[2][:10] for found in cautions(text)] == ["2026-12-07", "2026-11-23"]

    @pytest.mark.parametrize(
        ("window", "more"),
        [
            pytest.param(cron("0 8 * * mon", "0 20 * * fri"), "enabled: true", id="without excluded dates"),
            pytest.param(
                cron("0 8 * * mon", "0 20 * * fri"), f"{EXCLUDED}\n    on_excluded_dates: stopped", id="forced"
            ),
            pytest.param(cron("0 8 * * mon", "0 20 * * fri"), f"{EXCLUDED}\n    enabled: false", id="not enabled"),
            pytest.param(cron("0 8 * * mon", "0 8 * * tue"), EXCLUDED, id="just a day"),
            pytest.param('hours: "Mon-Fri 22:00-06:00"', EXCLUDED, id="overnight"),
            pytest.param('hours: "Mon-Fri 00:00-24:00"', EXCLUDED, id="days that touch stop on an excluded one"),
            pytest.param('hours: "Mon-Fri 00:00-24:00"', "exclude: {dates: [2026-12-21]}", id="and start after it"),
        ],
    )
    def test_only_such_windows_are_meant(self, window: str, more: str) -> None:
        assert windows(window, more=more) == []


class TestClocks:
    @pytest.mark.parametrize(
        ("zone", "stop", "warning"),
        [
            ("America/New_York", "59 1 14 * *", ""),
            ("America/New_York", "0 2 * * *", "skip 02:00-03:00 on 2027-03-14, so the stop of 02:00 happens at 03:00"),
            ("America/New_York", "59 2 * * *", "skip 02:00-03:00 on 2027-03-14, so the stop of 02:59 happens at 03:00"),
            (
                "America/New_York",
                "*/7 2 * * *",
                "skip 02:00-03:00 on 2027-03-14, so the stop of 02:00 happens at 03:00",
            ),
            ("America/New_York", "0 3 * * *", ""),
            ("America/New_York", "59 0 * * *", ""),
            (
                "America/New_York",
                "0 1 * * *",
                "show 01:00-02:00 on 2027-11-07 twice, so the stop of 01:00 happens twice",
            ),
            (
                "America/New_York",
                "59 1 * * *",
                "show 01:00-02:00 on 2027-11-07 twice, so the stop of 01:59 happens twice",
            ),
            ("America/New_York", "30 2 * 4-12 *", ""),
            ("America/New_York", "30 2 * * mon-sat", ""),
            (
                "Australia/Lord_Howe",
                "15 2 * * *",
                "skip 02:00-02:30 on 2027-10-03, so the stop of 02:15 happens at 02:30",
            ),
            ("Australia/Lord_Howe", "30 2 * * *", ""),
            (
                "Australia/Lord_Howe",
                "30 1 * * *",
                "show 01:30-02:00 on 2027-04-04 twice, so the stop of 01:30 happens twice",
            ),
            ("Australia/Lord_Howe", "29 1 * * *", ""),
            ("America/Santiago", "30 0 * * *", "skip 00:00-01:00 on 2027-09-05, so the stop of 00:30 happens at 01:00"),
            (
                "America/Santiago",
                "30 23 * * *",
                "show 23:00-24:00 on 2027-04-03 twice, so the stop of 23:30 happens twice",
            ),
            ("Asia/Bangkok", "30 2 * * *", ""),
        ],
    )
    def test_a_time_that_a_change_touches_is_told_with_what_happens(self, zone: str, stop: str, warning: str) -> None:
        place = "4:39: clusters[0].windows[0].stop: clocks in"
        assert windows(cron("0 12 * * *", stop).replace("stop: ", "stop:   "), zone=zone) == (
            [f"{place} {zone} {warning}{ADVICE}"] if warning else []
        )

    @pytest.mark.parametrize(
        ("now", "day"),
        [
            pytest.param("2026-03-08T06:59:59+00:00", "2026-03-08", id="a second before"),
            pytest.param("2026-03-08T07:00:00+00:00", "2027-03-14", id="the change itself"),
            pytest.param("2027-03-14T06:59:59+00:00", "2027-03-14", id="a year later"),
        ],
    )
    def test_the_next_change_is_told(self, now: str, day: str) -> None:
        found = windows(cron("30 2 * * *", "0 20 * * *"), zone="America/New_York", now=utc(now))
        assert found == [
            (
                "4:17: clusters[0].windows[0].start: clocks in America/New_York skip 02:00-03:00 on "
                f"{day}, so the start of 02:30 happens at 03:00{ADVICE}"
            )
        ]

    def test_hours_are_one_place_with_both_of_their_ends(self) -> None:
        assert windows('hours: "daily 02:00-02:30"', zone="America/New_York") == [
            (
                "4:17: clusters[0].windows[0].hours: clocks in America/New_York skip 02:00-03:00 on 2027-03-14, "
                f"so the start of 02:00 and the stop of 02:30 happen at 03:00{ADVICE}"
            )
        ]

    def test_a_shared_schedule_is_one_place_whatever_its_clusters_zones(self) -> None:
        text = """\
defaults: {region: r, project_id: p, schedule: night}
schedules:
  night:
    windows: [{stop: "30 2 * * *"}]
clusters:
  - {name: london, cluster_id: a, timezone: Europe/London}
  - {name: york, cluster_id: b, timezone: America/New_York}
  - {name: york2, cluster_id: c, timezone: America/New_York}
  - {name: berlin, cluster_id: d, timezone: Europe/Berlin}
  - {name: rome, cluster_id: e, timezone: Europe/Rome, enabled: false}
"""
        place = "5:22: schedules.night.windows[0].stop: clocks in"
        assert cautions(text) == [
            (
                f"{place} America/New_York skip 02:00-03:00 on 2027-03-14, so the stop of 02:30 happens at 03:00 "
                f"(likewise in Europe/Berlin on 2027-03-28){ADVICE}"
            ),
            f"{place} Europe/Berlin show 02:00-03:00 on 2027-10-31 twice, so the stop of 02:30 happens twice{ADVICE}",
        ]

    def test_a_schedule_with_a_zone_has_its_own_changes(self) -> None:
        text = """\
schedules:
  night: {timezone: Asia/Bangkok, windows: [{stop: "30 2 * * *"}]}
clusters:
  - {name: york, cluster_id: b, region: r, project_id: p, timezone: America/New_York, schedule: night}
"""
        assert cautions(text) == []

    def test_an_expression_that_fires_every_minute_in_every_zone_is_no_burden(self) -> None:
        zones = ("America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca")
        clusters = "".join(
            f"  - {{name: c{n}, cluster_id: c{n}, timezone: {zone}, schedule: dense}}\n" for n, zone in enumerate(zones)
        )
        text = (
            "defaults: {region: r, project_id: p, exclude: {dates: [2026-12-24]}}\n"
            "schedules:\n  dense:\n    windows:\n"
            '      - {start: "* * * * *", stop: "*/2 * * * *"}\n'
            '      - {start: "*/2 * * * *", stop: "1 0 * * *"}\n'
            f"clusters:\n{clusters}"
        )
        begun = time.perf_counter()
        assert len(cautions(text)) == 8
        assert time.perf_counter() - begun < 5


class TestOverrides:
    @pytest.mark.parametrize(
        ("now", "has_ended"),
        [
            pytest.param("2026-12-01T18:59:59+00:00", False, id="its last second"),
            pytest.param("2026-12-01T19:00:00+00:00", True, id="its end"),
        ],
    )
    def test_one_that_has_ended_is_told(self, now: str, has_ended: bool) -> None:  # noqa: FBT001
        ours = "overrides: [{state: running, from: 2026-12-01T18:00, until: 2026-12-02T02:00}]"
        found = windows('hours: "daily 08:00-20:00"', zone="Asia/Bangkok", more=ours, now=utc(now))
        message = "10:17: clusters[0].overrides[0]: ended on 2026-12-02 at 02:00 Asia/Bangkok: remove it"
        assert found == ([message] if has_ended else [])

    def test_one_of_the_defaults_has_ended_once_it_has_for_every_cluster(self) -> None:
        text = """\
defaults:
  region: r
  project_id: p
  overrides:
    - {state: running, from: 2026-11-20T08:00, until: 2026-11-20T12:00}
    - {state: running, from: 2026-11-20T08:00, until: 2026-11-21T12:00}
clusters:
  - {name: a, cluster_id: a, state: running, timezone: Asia/Bangkok}
  - {name: b, cluster_id: b, state: running, timezone: America/New_York}
  - {name: c, cluster_id: c, state: running, overrides: []}
"""
        assert cautions(text, utc("2026-11-20T16:59:59+00:00")) == []
        assert cautions(text, utc("2026-11-20T17:00:00+00:00")) == [
            "6:7: defaults.overrides[0]: ended on 2026-11-20 at 12:00 America/New_York: remove it"
        ]


class TestCalendars:
    @staticmethod
    def with_calendar(calendar: str, more: str = "exclude: {dates: [closed]}", now: datetime = NOW) -> List[str]:
        text = (
            f"calendars:\n  closed: {{{calendar}}}\n"
            f"clusters:\n  - {{name: a, cluster_id: a, region: r, project_id: p, state: running, {more}}}\n"
        )
        return cautions(text, now)

    @pytest.mark.parametrize(
        ("now", "has_ended"),
        [
            pytest.param("2026-11-21T11:59:59+00:00", False, id="still that date somewhere"),
            pytest.param("2026-11-21T12:00:00+00:00", True, id="past everywhere"),
        ],
    )
    def test_one_whose_dates_have_all_passed_is_told(self, now: str, has_ended: bool) -> None:  # noqa: FBT001
        message = "3:19: calendars.closed.dates: ran out on 2026-11-20: write the coming dates, or remove the calendar"
        found = self.with_calendar("dates: [2026-11-18..2026-11-20, 2025-12-24]", now=utc(now))
        assert found == ([message] if has_ended else [])

    @pytest.mark.parametrize(
        ("calendar", "more"),
        [
            pytest.param("dates: [2020-12-24, 2026-12-24]", "exclude: {dates: [closed]}", id="one date to come"),
            pytest.param("dates: [2020-12-24]", "exclude: {dates: [2026-12-24]}", id="not used"),
            pytest.param("dates: [2020-12-24]", "exclude: {dates: [closed]}, enabled: false", id="not enabled"),
            pytest.param("country: TH, dates: [2020-12-24]", "exclude: {dates: [closed]}", id="with a country"),
        ],
    )
    def test_others_are_not(self, calendar: str, more: str) -> None:
        assert self.with_calendar(calendar, more) == []

    def test_one_of_the_defaults_is_used_by_every_cluster(self) -> None:
        text = """\
defaults: {region: r, project_id: p, exclude: {dates: [closed]}}
calendars:
  closed: {dates: [2020-12-24]}
clusters:
  - {name: a, cluster_id: a, state: running}
"""
        assert [warning[:29] for warning in cautions(text)] == ["4:19: calendars.closed.dates:"]

    @pytest.mark.parametrize(
        ("now", "when"),
        [
            pytest.param("2027-11-01T23:59:59+00:00", None, id="more than 60 days before"),
            pytest.param("2027-11-02T00:00:00+00:00", " before that", id="60 days before"),
            pytest.param("2028-01-01T00:00:00+00:00", None, id="after, when it is a problem"),
        ],
    )
    def test_one_of_a_country_is_told_60_days_before_its_end(self, now: str, when: str) -> None:
        message = (
            "3:21: calendars.closed.country: public holidays are only known until 2027-12-31: "
            f"run `cce-scheduler holidays` and redeploy{when}"
        )
        assert self.with_calendar("country: TH", now=utc(now)) == ([message] if when is not None else [])
        assert self.with_calendar("country: TH", "stop_type: SOFT", utc(now)) == []


class TestSettings:
    DAYS = 'windows: [{hours: "daily 08:00-20:00"}]'
    KEPT_UP = (
        "some servers are excluded, and one that stays up keeps the control plane up: write keep, or exclude no servers"
    )

    @staticmethod
    def with_settings(settings: str, when: str = "state: stopped") -> List[str]:
        head = "defaults: {region: r, project_id: p, timezone: UTC}\nclusters:\n"
        return cautions(f"{head}  - {{name: a, cluster_id: a, {when}, {settings}}}\n")

    @pytest.mark.parametrize("exclude", ["servers: [x]", "tags: [x]", "node_pools: [x]"])
    def test_an_excluded_server_keeps_the_control_plane_up(self, exclude: str) -> None:
        settings = f"control_plane: hibernate, exclude: {{{exclude}}}"
        assert self.with_settings(settings) == [f"4:61: clusters[0].control_plane: for a, {self.KEPT_UP}"]

    @pytest.mark.parametrize(
        "settings",
        [
            pytest.param("control_plane: hibernate, exclude: {dates: [2027-12-05]}", id="only dates"),
            pytest.param("control_plane: hibernate, exclude: {servers: []}", id="nothing"),
            pytest.param("control_plane: keep, exclude: {servers: [x]}", id="keep"),
            pytest.param("control_plane: hibernate, exclude: {servers: [x]}, enabled: false", id="not enabled"),
        ],
    )
    def test_only_excluded_servers_of_a_cluster_that_hibernates_are_told(self, settings: str) -> None:
        assert self.with_settings(settings) == []

    def test_what_the_defaults_say_is_told_once_with_the_clusters_that_it_is_odd_for(self) -> None:
        text = """\
defaults: {region: r, project_id: p, state: stopped, control_plane: hibernate}
clusters:
  - {name: a, cluster_id: a, exclude: {tags: [x]}}
  - {name: b, cluster_id: b}
  - {name: c, cluster_id: c, exclude: {servers: [x]}}
  - {name: d, cluster_id: d, exclude: {servers: [x]}, control_plane: keep}
"""
        assert cautions(text) == [f"2:69: defaults.control_plane: for a, c, {self.KEPT_UP}"]

    @pytest.mark.parametrize(
        ("when", "every", "ends"),
        [
            pytest.param(f"enforce: 59m, {DAYS}", "1h", "59m", id="a minute shorter"),
            pytest.param(f"enforce: 1h, {DAYS}", "1h", None, id="equal"),
            pytest.param('windows: [{stop: "0 20 * * *"}]', "2h", "1h", id="one-sided windows"),
            pytest.param('windows: [{stop: "0 20 * * *"}]', "5m", None, id="often enough"),
            pytest.param(DAYS, "1d", None, id="always"),
            pytest.param("enforce: 1h, state: stopped", "2h", None, id="a constant state"),
            pytest.param(f"enabled: false, enforce: 1h, {DAYS}", "2h", None, id="not enabled"),
        ],
    )
    def test_runs_must_come_while_the_schedule_insists(self, when: str, every: str, ends: Optional[str]) -> None:
        message = (
            f"clusters[0].enforce: for a, enforce ends {ends} after a transition, and runs are {every} apart: a "
            f"transition that no run comes after in time is never carried out: write at least {every}, or a shorter "
            "function.every"
        )
        function = f"function: {{agency: a, every: {every}}}\n"
        cluster = f"{{name: a, cluster_id: a, region: r, project_id: p, {when}}}"
        found = [text.partition(" ")[2] for text in cautions(f"{function}clusters: [{cluster}]\n")]
        assert [text for text in found if "enforce" in text] == ([message] if ends else [])

    @pytest.mark.parametrize(
        ("settings", "when", "ends"),
        [
            pytest.param("hard_after: 1h", f"enforce: 1h, {DAYS}", "1h", id="equal"),
            pytest.param("hard_after: 3599s", f"enforce: 1h, {DAYS}", None, id="a second shorter"),
            pytest.param("hard_after: 1h", "enforce: 1h, state: stopped", None, id="a constant state"),
            pytest.param("hard_after: 2d", 'windows: [{stop: "0 20 * * *"}]', "1h", id="one-sided windows"),
            pytest.param("hard_after: 2d", DAYS, None, id="always"),
            pytest.param("enabled: false, hard_after: 2d", f"enforce: 1h, {DAYS}", None, id="not enabled"),
        ],
    )
    def test_a_stop_must_become_hard_while_the_schedule_insists(
        self, settings: str, when: str, ends: Optional[str]
    ) -> None:
        message = f"for a, enforce ends after {ends}, before a stop can become HARD: write less than {ends}"
        found = [text.partition(" ")[2] for text in self.with_settings(settings, when)]
        assert found == ([f"clusters[0].hard_after: {message}"] if ends else [])


class TestConstantStates:
    """A cluster that is always in one state takes part in the dates and overrides of the defaults."""

    DEFAULTS = "exclude: {dates: [2026-12-05]}, on_excluded_dates: stopped"
    OVERRIDE = "{state: stopped, from: 2026-12-24T00:00, until: 2026-12-26T00:00}"

    @staticmethod
    def with_defaults(defaults: str, cluster: str) -> List[str]:
        text = (
            f"defaults: {{region: r, project_id: p, {defaults}}}\n"
            f"schedules: {{always-on: {{state: running}}, never: {{state: stopped}}}}\n"
            f"clusters:\n  - {{name: prod, cluster_id: a, {cluster}}}\n"
        )
        return [text.partition(" ")[2] for text in cautions(text)]

    @pytest.mark.parametrize(
        ("defaults", "cluster", "state", "other"),
        [
            pytest.param(DEFAULTS, "state: running", "running", "stopped", id="running"),
            pytest.param(DEFAULTS, "schedule: always-on", "running", "stopped", id="by a schedule"),
            pytest.param(f"state: stopped, {DEFAULTS}", "state: running", "running", "stopped", id="its own state"),
            pytest.param(DEFAULTS.replace("stopped", "running"), "schedule: never", "stopped", "running", id="stopped"),
            pytest.param(
                DEFAULTS, "state: running, exclude: {dates: [2027-01-01]}", "running", "stopped", id="dates joined"
            ),
        ],
    )
    def test_that_dates_of_the_defaults_change_are_told(
        self, defaults: str, cluster: str, state: str, other: str
    ) -> None:
        message = (
            f"defaults.on_excluded_dates: for prod, `state: {state}` does not hold on the excluded dates of the "
            "defaults, the next of which is 2026-12-05: write `on_excluded_dates: no_start` in the cluster to keep it "
            f"{state}, or `on_excluded_dates: {other}` there if that is right"
        )
        assert self.with_defaults(defaults, cluster) == [message]

    @pytest.mark.parametrize(
        ("defaults", "cluster"),
        [
            pytest.param(DEFAULTS, "state: running, on_excluded_dates: stopped", id="meant"),
            pytest.param(DEFAULTS, "state: running, on_excluded_dates: no_start", id="not changed"),
            pytest.param(DEFAULTS, "state: running, enabled: false", id="not enabled"),
            pytest.param(DEFAULTS, "state: stopped", id="the same state"),
            pytest.param("exclude: {dates: [2026-12-05]}", "state: running", id="no_start"),
            pytest.param(DEFAULTS.replace("stopped", "unmanaged"), "state: running", id="unmanaged"),
            pytest.param("on_excluded_dates: stopped", "state: running", id="no dates"),
            pytest.param(
                "on_excluded_dates: stopped", "state: running, exclude: {dates: [2026-12-05]}", id="its own dates"
            ),
            pytest.param(DEFAULTS.replace("2026", "2025"), "state: running", id="dates that are past"),
            pytest.param(f"state: running, {DEFAULTS}", "stop_type: HARD", id="all of it by the defaults"),
            pytest.param(f"overrides: [{OVERRIDE}]", "state: running, overrides: []", id="no overrides"),
            pytest.param("overrides: []", f"state: running, overrides: [{OVERRIDE}]", id="its own overrides"),
            pytest.param(f"overrides: [{OVERRIDE}]", "state: stopped", id="an override to the same state"),
        ],
    )
    def test_that_keep_or_are_meant_to_change_are_not_told(self, defaults: str, cluster: str) -> None:
        assert self.with_defaults(f"timezone: UTC, {defaults}", cluster) == []

    def test_that_overrides_of_the_defaults_change_are_told(self) -> None:
        message = (
            "defaults.overrides: for prod, `state: running` does not hold from 2026-12-24 00:00 Asia/Bangkok, since "
            "the overrides of the defaults are for it too: write `overrides: []` in the cluster to keep it running, "
            "or its own ones"
        )
        found = self.with_defaults(f"timezone: Asia/Bangkok, overrides: [{self.OVERRIDE}]", "state: running")
        assert found == [message]

    def test_are_told_once(self) -> None:
        clusters = "".join(f"  - {{name: c{n}, cluster_id: c{n}, state: running}}\n" for n in range(2))
        text = f"defaults: {{region: r, project_id: p, {self.DEFAULTS}}}\nclusters:\n{clusters}"
        (found,) = cautions(text)
        assert found.startswith("2:89: defaults.on_excluded_dates: for c0, c1, `state: running` does not hold")


class TestZones:
    def test_windows_of_which_nobody_wrote_the_zone_are_told_once(self) -> None:
        text = """\
defaults: {region: r, project_id: p, windows: [{hours: "daily 08:00-20:00"}]}
schedules:
  bare: {windows: [{hours: "daily 08:00-20:00"}]}
  placed: {timezone: Asia/Bangkok, windows: [{hours: "daily 08:00-20:00"}]}
clusters:
  - {name: off, cluster_id: a, enabled: false}
  - {name: always, cluster_id: b, state: running}
  - {name: placed, cluster_id: c, schedule: placed}
  - {name: own, cluster_id: d, timezone: UTC}
  - {name: bare, cluster_id: e, schedule: bare}
  - {name: default, cluster_id: f}
"""
        message = "windows are in UTC: write `timezone:` at the top, UTC if that is right"
        assert cautions(text) == [f"11:5: clusters[4]: no timezone for bare, default, so {message}"]
        assert cautions(f"timezone: UTC\n{text}") == []
        assert cautions(text.replace("project_id: p,", "project_id: p, timezone: UTC,")) == []


class TestMisreadings:
    def test_are_among_the_warnings(self) -> None:
        text = "clusters:\n  - {name: a, cluster_id: 3f1c, region: r, project_id: p, state: running}\n"
        (found,) = all_cautions(text)
        assert found.startswith('3:27: clusters[0].cluster_id: "3f1c" is not what ids of clusters look like')


class TestHomes:
    def test_clusters_without_region_or_project_are_told_once_with_their_names(self) -> None:
        clusters = "".join(f"  - {{name: c{n}, cluster_id: c{n}, state: running, region: r}}\n" for n in range(7))
        text = (
            "clusters:\n"
            "  - {name: off, cluster_id: off, state: running, enabled: false}\n"
            f"{clusters}"
            "  - {name: dev, cluster_id: dev, state: running, project_id: p}\n"
        )
        assert cautions(text) == [
            (
                "4:5: clusters[1]: no project_id for c0, c1, c2, c3, c4 and 2 more: "
                "write `project_id:` under `defaults:`, or the settings must have it"
            ),
            "11:5: clusters[8]: no region for dev: write `region:` under `defaults:`, or the settings must have it",
        ]


class TestPlaces:
    def test_warnings_come_in_the_order_of_the_file(self) -> None:
        text = """\
calendars:
  old: {dates: [2020-12-24]}
defaults: {exclude: {dates: [old]}, region: r}
clusters:
  - name: a
    cluster_id: a
    windows:
      - {start: "0 8 1 * mon", stop: "3 8 * * *"}
      - {start: "30 2 * * *", stop: "0 3 * * *"}
    overrides: [{state: running, from: 2026-11-01T00:00, until: 2026-11-02T00:00}]
    timezone: Europe/Berlin
"""
        places = [tuple(int(part) for part in text.split(":")[:2]) for text in cautions(text)]
        assert places == sorted(places)
        assert [line for line, _ in places] == [3, 6, 9, 9, 10, 10, 11]

    def test_an_alias_is_the_place_of_its_anchor(self) -> None:
        text = """\
defaults: {region: r, project_id: p, timezone: UTC}
clusters:
  - name: a
    cluster_id: a
    windows: &w
      - {start: "0 8 1 * mon", stop: "0 20 * * *"}
  - {name: b, cluster_id: b, windows: *w}
"""
        assert cautions(text) == [f'7:17: clusters[0].windows[0].start: "0 8 1 * mon" {BOTH_DAYS}']

    def test_windows_of_the_defaults_are_looked_at_with_the_clusters_that_have_no_others(self) -> None:
        text = """\
defaults:
  region: r
  project_id: p
  windows: [{stop: "30 2 * * *"}]
clusters:
  - {name: a, cluster_id: a, timezone: America/New_York, state: running}
  - {name: b, cluster_id: b, timezone: Australia/Lord_Howe}
"""
        assert cautions(text) == []
        assert [w.partition(": clocks")[0] for w in cautions(text.replace(", state: running", ""))] == [
            "5:20: defaults.windows[0].stop"
        ]

    def test_a_file_of_many_clusters_is_looked_at_once_for_what_they_share(self) -> None:
        uid = "0a4b-11ef-9d2a-0255ac10023b"
        clusters = "".join(f"  - {{name: c{n}, cluster_id: {n:08}-{uid}, schedule: office}}\n" for n in range(2000))
        text = (
            "defaults: {region: r, project_id: p, exclude: {dates: [2026-12-24]}}\ntimezone: Europe/Berlin\n"
            'schedules: {office: {windows: [{hours: "Mon-Fri 02:30-20:00"}]}}\n'
            f"clusters:\n{clusters}"
        )
        checked = parse_checked(f"version: 1\n{text}".encode(), "f.yaml")
        begun = time.perf_counter()
        assert find_cautions(checked, NOW) == []
        assert time.perf_counter() - begun < 5


_CRONS = st.tuples(
    st.sampled_from(["0", "30", "0,30", "59", "5-50/15"]),
    st.sampled_from(["0", "8", "23", "0,12", "8-20/6"]),
    st.sampled_from(["*", "1", "1,15", "*/10"]),
    st.sampled_from(["*", "3", "3-9", "*/2"]),
    st.sampled_from(["*", "mon", "mon-fri", "sat#1", "0,6"]),
).map(" ".join)


class TestSpans:
    """Times of day and days, put together, against a walk from firing to firing."""

    @settings(max_examples=30)
    @given(
        start=_CRONS,
        stop=_CRONS,
        first=st.dates(date(2024, 1, 1), date(2030, 12, 31)),
        skipped=st.frozensets(st.integers(-10, 40)),
    )
    def test_are_those_between_a_start_and_the_next_stop(
        self, start: str, stop: str, first: date, skipped: FrozenSet[int]
    ) -> None:
        dates = frozenset((first + timedelta(days=days)).isoformat() for days in skipped)
        assert list(_spans(Window(start, stop), first, dates)) == list(walk(start, stop, first, dates))


def walk(start: str, stop: str, first: date, skipped: FrozenSet[str]) -> Iterator[Tuple[datetime, timedelta]]:
    begin = datetime.combine(first, datetime.min.time())
    end = begin + timedelta(days=366)
    starts = {at: True for at in firings(start, begin, end) if at.date().isoformat() not in skipped}
    events = sorted({**dict.fromkeys(firings(stop, begin, end), False), **starts}.items())
    before = croniter(start, begin)
    started = next(at for at in iter(lambda: before.get_prev(datetime), None) if at.date().isoformat() not in skipped)
    begun = started if started >= croniter(stop, begin).get_prev(datetime) else None
    for at, is_start in events:
        if is_start:
            begun = begun or at
        elif begun:
            if begun >= begin:
                yield begun, at - begun
            begun = None
    if begun and begun >= begin:
        yield begun, end - begun


def firings(expression: str, begin: datetime, end: datetime) -> Iterator[datetime]:
    cron = croniter(expression, begin - timedelta(minutes=1))
    return takewhile(lambda at: at < end, iter(lambda: cron.get_next(datetime), None))
