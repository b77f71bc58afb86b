"""The words of which reasons are made."""

from typing import Optional
from zoneinfo import ZoneInfo

import pytest

from scheduler.describe import describe_duration, describe_moment, describe_window, join_some, write_local
from scheduler.model import Window
from tests.oracle_cases import utc


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, ""), (1, "a"), (3, "a, b, c"), (4, "a, b, c and 1 more"), (9, "a, b, c and 6 more")],
)
def test_names_only_the_first_of_many(number: int, text: str) -> None:
    assert join_some("abcdefghi"[:number], 3) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1s"), (90, "90s"), (60, "1m"), (5400, "90m"), (3600, "1h"), (86400, "1d"), (90000, "25h"), (172800, "2d")],
)
def test_writes_a_duration_in_its_largest_whole_unit(seconds: int, text: str) -> None:
    assert describe_duration(seconds) == text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        pytest.param("2026-12-01T20:00+07:00", "Tue 20:00", id="the-same-day"),
        pytest.param("2026-11-26T00:00+07:00", "Thu 00:00", id="days-before"),
        pytest.param("2026-12-07T11:59+07:00", "Mon 11:59", id="almost-six-days-ahead"),
        pytest.param("2026-12-07T12:00+07:00", "2026-12-07 12:00", id="six-days-ahead"),
        pytest.param("2028-02-29T08:00+07:00", "2028-02-29 08:00", id="years-ahead"),
        pytest.param("2026-12-01T18:30+00:00", "Wed 01:30", id="another-day-in-the-zone"),
    ],
)
def test_writes_an_instant_so_that_it_cannot_be_mistaken(at: str, text: str) -> None:
    assert describe_moment(ZoneInfo("Asia/Bangkok"), utc(at), utc("2026-12-01T12:00+07:00")) == text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        pytest.param("2026-10-25T00:30Z", "Sun 01:30 UTC+01:00", id="the-first-time"),
        pytest.param("2026-10-25T01:30Z", "Sun 01:30 UTC+00:00", id="the-second-time"),
        pytest.param("2026-10-24T23:59Z", "Sun 00:59", id="before"),
        pytest.param("2026-10-25T02:00Z", "Sun 02:00", id="after"),
        pytest.param("2026-03-29T01:00Z", "Sun 02:00", id="the-end-of-a-gap"),
    ],
)
def test_writes_the_offset_of_a_time_that_clocks_show_twice(at: str, text: str) -> None:
    instant, zone = utc(at.replace("Z", "+00:00")), ZoneInfo("Europe/London")
    assert write_local(instant, zone, "%a %H:%M") == text
    assert describe_moment(zone, instant, instant) == text


@pytest.mark.parametrize(
    ("start", "stop", "text"),
    [
        ("0 8 * * mon-fri", "0 20 * * mon-fri", "mon-fri 08:00-20:00"),
        ("30 22 * * mon-fri", "0 6 * * tue-sat", "mon-fri 22:30-06:00"),
        ("0 8 * * mon-fri", "0 0 * * tue-sat", "mon-fri 08:00-00:00"),
        ("0 10 * * SAT,SUN", "0 16 * * sat,sun", "sat,sun 10:00-16:00"),
        ("0 22 * * 1-5", "0 6 * * 2-6", "1-5 22:00-06:00"),
        ("0 9 * * *", "0 18 * * *", "daily 09:00-18:00"),
        ("0 22 * * *", "0 6 * * *", "daily 22:00-06:00"),
        ("0 8 * * *", "0 8 * * *", "daily 08:00 to daily 08:00"),
        ("0 8 * * mon", "0 20 * * fri", "mon 08:00 to fri 20:00"),
        ("0 20 * * mon-fri", "0 8 * * mon-fri", "mon-fri 20:00 to mon-fri 08:00"),
        ("0 8 * * mon-fri", "0 20 * * tue-sat", "mon-fri 08:00 to tue-sat 20:00"),
        ("0 8 * * mon-fri", "0 8 * * tue-sat", "mon-fri 08:00 to tue-sat 08:00"),
        ("*/5 8 * * *", "0 20 1 * *", '"*/5 8 * * *" to "0 20 1 * *"'),
        (None, "0 20 * * mon-fri", "stop at mon-fri 20:00"),
        ("0 8 * * *", None, "start at daily 08:00"),
        (None, "0 20 1 * *", 'stop at "0 20 1 * *"'),
    ],
)
def test_writes_a_window(start: Optional[str], stop: Optional[str], text: str) -> None:
    assert describe_window(Window(start, stop), "Asia/Bangkok") == f"{text} Asia/Bangkok"
