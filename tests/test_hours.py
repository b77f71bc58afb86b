"""The shorthand for hours: what it becomes, when the cluster then runs, and what is refused."""

from datetime import datetime, timedelta, timezone
from typing import Set, Tuple

import pytest

from scheduler.evaluate import desired_state
from scheduler.hours import parse_hours
from scheduler.model import Cluster, ClusterId, State, Timing, Window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONDAY = datetime(2026, 11, 23, tzinfo=timezone.utc)
EXAMPLES = '"Mon-Fri 08:00-20:00", "Mon-Fri 22:00-06:00", "Sat,Sun 10:00-16:00" or "daily 09:00-18:00"'


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        pytest.param("Mon-Fri 08:00-20:00", "0 8 * * mon-fri", "0 20 * * mon-fri", id="working-hours"),
        pytest.param("Mon-Fri 22:00-06:00", "0 22 * * mon-fri", "0 6 * * tue-sat", id="over-midnight"),
        pytest.param("Sat,Sun 10:00-16:00", "0 10 * * sat,sun", "0 16 * * sat,sun", id="a-list-of-days"),
        pytest.param("Sat,Sun 22:00-06:00", "0 22 * * sat,sun", "0 6 * * sun,mon", id="a-list-over-midnight"),
        pytest.param("Sun 22:00-06:00", "0 22 * * sun", "0 6 * * mon", id="sunday-over-midnight"),
        pytest.param("Sun-Thu 22:00-06:00", "0 22 * * sun-thu", "0 6 * * mon-fri", id="a-range-from-sunday"),
        pytest.param("Fri-Mon 22:00-06:00", "0 22 * * fri-mon", "0 6 * * sat-tue", id="a-range-over-the-weekend"),
        pytest.param("Mon,Wed-Fri 23:59-00:01", "59 23 * * mon,wed-fri", "1 0 * * tue,thu-sat", id="lists-of-ranges"),
        pytest.param("daily 09:00-18:00", "0 9 * * *", "0 18 * * *", id="daily"),
        pytest.param("daily 18:00-09:00", "0 18 * * *", "0 9 * * *", id="daily-over-midnight"),
        pytest.param("Mon-Fri 18:00-24:00", "0 18 * * mon-fri", "0 0 * * tue-sat", id="until-24"),
        pytest.param("daily 18:00-24:00", "0 18 * * *", "0 0 * * *", id="daily-until-24"),
        pytest.param("Mon-Fri 18:00-00:00", "0 18 * * mon-fri", "0 0 * * tue-sat", id="until-0-means-24"),
        pytest.param("Sat,Sun 00:00-24:00", "0 0 * * sat,sun", "0 0 * * sun,mon", id="whole-days"),
        pytest.param("Mon-Fri 08:15-20:45", "15 8 * * mon-fri", "45 20 * * mon-fri", id="minutes"),
        pytest.param("Mon-Fri 8:00-9:05", "0 8 * * mon-fri", "5 9 * * mon-fri", id="hours-of-one-digit"),
        pytest.param("MON-fri 08:00-20:00", "0 8 * * mon-fri", "0 20 * * mon-fri", id="any-case"),
        pytest.param("DAILY 08:00-20:00", "0 8 * * *", "0 20 * * *", id="daily-in-capitals"),
        pytest.param("  Mon   08:00 - 20:00 ", "0 8 * * mon", "0 20 * * mon", id="spaces"),
    ],
)
def test_hours_become_two_cron_expressions(text: str, start: str, stop: str) -> None:
    assert parse_hours(text) == Window(start, stop)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(
            pytest.param(text, f'"{text}" cannot be read: write days and hours, such as {EXAMPLES}', id=name)
            for name, text in {
                "words": "whenever",
                "nothing": "",
                "no-days": "08:00-20:00",
                "no-hours": "Mon-Fri",
                "whole-hours": "Mon 8-20",
                "seconds": "Mon 08:00:00-20:00:00",
                "a-space-in-the-days": "Mon, Tue 08:00-20:00",
                "a-dash-of-another-kind": "Mon-Fri 08:00\N{EN DASH}20:00",
                "digits-of-another-kind": "Mon \N{ARABIC-INDIC DIGIT EIGHT}:00-20:00",
                "two-spans": "Mon 08:00-12:00 13:00-17:00",
                "a-sign": "Mon -8:00-20:00",
            }.items()
        ),
        *(
            pytest.param(
                f"{days} 08:00-20:00",
                f'"{days}" are not days: write Mon, Tue, Wed, Thu, Fri, Sat, Sun, ranges of them, or daily',
                id=name,
            )
            for name, days in {
                "a-misspelt-day": "Mon-Fry",
                "a-day-in-full": "Monday",
                "a-number": "1-5",
                "a-star": "*",
                "weekdays": "weekdays",
                "a-range-of-three": "Mon-Wed-Fri",
                "a-comma-too-many": "Mon,",
                "a-dash-too-many": "Mon-",
                "daily-in-a-list": "daily,Mon",
            }.items()
        ),
        pytest.param(
            "Fri-fri 08:00-20:00", '"fri-fri" begins and ends on the same day: write Fri', id="a-range-of-one-day"
        ),
        *(
            pytest.param(
                f"Mon {hours}", f'"{wrong}" is not a time of day: write 00:00 to 23:59, or 24:00 as the end', id=name
            )
            for name, hours, wrong in [
                ("no-such-hour-or-minute", "08:00-25:61", "25:61"),
                ("no-such-minute", "08:60-20:00", "08:60"),
                ("no-such-hour", "08:00-25:00", "25:00"),
                ("from-24", "24:00-08:00", "24:00"),
                ("after-24", "08:00-24:01", "24:01"),
            ]
        ),
        *(
            pytest.param(
                text, f'"{text}" begins and ends at the same time: for whole days write 00:00-24:00', id=f"equal-{text}"
            )
            for text in ("Mon 08:00-08:00", "daily 00:00-00:00", "Mon-Fri 8:00-08:00")
        ),
        *(
            pytest.param(text, f'"{text}" never ends: write `state: running` instead of windows', id=f"always-{text}")
            for text in (
                "daily 00:00-24:00",
                "Mon-Sun 00:00-24:00",
                "Thu-Wed 00:00-24:00",
                "Sat,Sun,Mon-Fri 0:00-24:00",
            )
        ),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".+") as e:
        parse_hours(text)
    assert str(e.value) == message


@pytest.mark.parametrize(
    ("days", "next_days"),
    [("mon-sat", "tue-sun"), ("fri-mon,sun-tue", "sat-tue,mon-wed"), ("mon,mon,mon", "tue,tue,tue")],
)
def test_less_than_seven_whole_days_end(days: str, next_days: str) -> None:
    assert parse_hours(f"{days} 00:00-24:00") == Window(f"0 0 * * {days}", f"0 0 * * {next_days}")


@pytest.mark.parametrize(("start", "end"), [(8, 20), (22, 6), (0, 24), (18, 0), (20, 24), (0, 1)])
def test_runs_in_every_range_of_days_just_when_it_says(start: int, end: int) -> None:
    ends_after = end if end > start else end + 24
    for first in range(7):
        for length in range(2, 7):
            days = {(first + n) % 7 for n in range(length)}
            window = parse_hours(f"{DAYS[first]}-{DAYS[(first + length - 1) % 7]} {start:02}:00-{end:02}:00")
            running = {(day * 24 + hour) % 168 for day in days for hour in range(start, ends_after)}
            assert _running_hours(window) == (running, running), window


def _running_hours(window: Window) -> Tuple[Set[int], Set[int]]:
    """Return the hours of the week, counted from Monday, in whose first and in whose last second the cluster runs."""
    cluster = Cluster("dev", ClusterId("a"), Timing("UTC", windows=(window,)))

    def running(second: int) -> Set[int]:
        times = ((hour, MONDAY + timedelta(hours=hour, seconds=second)) for hour in range(168))
        return {hour for hour, at in times if desired_state(cluster, at).state is State.RUNNING}

    return running(0), running(3599)
