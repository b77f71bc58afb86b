"""The picture of days and hours, at every width."""

from datetime import datetime, timedelta, timezone
from typing import List
from zoneinfo import ZoneInfo

import pytest

from scheduler.cli.picture import Strip, draw
from tests.cli_runner import isolate, run

MONDAY = datetime(2026, 11, 22, 17, tzinfo=timezone.utc)
BANGKOK = ZoneInfo("Asia/Bangkok")
OFFICE = Strip(MONDAY, timedelta(hours=1), [float(8 <= hour < 20) for hour in range(24)])


@pytest.fixture(autouse=True)
def _in_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)


def lines(width: int) -> List[str]:
    return [text.plain for text in draw(OFFICE, BANGKOK, width)]


def test_has_two_characters_for_an_hour_where_there_is_room() -> None:
    assert lines(72) == [
        "                00    03    06    09    12    15    18    21",
        f"Mon 2026-11-23  {'··' * 8}{'██' * 12}{'··' * 4}  12.0 h",
    ]


def test_has_one_character_for_an_hour_where_there_is_less() -> None:
    assert lines(71) == [
        "                00    06    12    18",
        f"Mon 2026-11-23  {'·' * 8}{'█' * 12}{'·' * 4}  12.0 h",
    ]


def test_leaves_out_the_year_and_the_sums_where_there_is_least() -> None:
    assert lines(47) == ["           00    06    12    18", f"Mon 11-23  {'·' * 8}{'█' * 12}{'·' * 4}"]


@pytest.mark.parametrize("width", [36, 40, 47, 48, 60, 71, 72, 80, 140])
def test_no_line_of_the_calendar_is_longer_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    ended = run("calendar", "--file", "year-end.yaml", "--from", "2026-12-24", "--days", "2")
    assert ended.code == 0
    assert max(len(text) for text in ended.stdout.splitlines()) <= width


def test_an_hour_that_is_partly_unmanaged_is_drawn_as_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop at 20:00 is insisted on for two hours; one that is insisted on for 40 minutes ends within an hour."""
    monkeypatch.setenv("COLUMNS", "80")
    strip = Strip(MONDAY, timedelta(minutes=20), [0.0] * 6, [1.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    _, row = draw(strip, BANGKOK)
    assert row.plain == f"Mon 2026-11-23  --▒▒{'  ' * 22}   0.0 h"
