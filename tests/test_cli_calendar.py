"""``calendar``: the coming transitions as text, JSON and iCalendar."""

from datetime import datetime, timezone
from pathlib import Path
from typing import List, Set, Tuple
from zoneinfo import ZoneInfo

import icalendar
import pytest
from freezegun import freeze_time

from scheduler.cli.calendar import stretches
from scheduler.cli.options import Span
from scheduler.model import Cluster, ClusterId, State, Timing, Window
from tests.cli_runner import GOLDEN, check_golden, isolate, run

YEAR_END = ("--file", "year-end.yaml", "--from", "2026-12-24", "--days", "14")


@pytest.fixture(autouse=True)
def _in_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)


def events(file: Path) -> List[icalendar.Event]:
    calendar = icalendar.Calendar.from_ical(file.read_bytes())
    return [part for part in calendar.walk("VEVENT") if isinstance(part, icalendar.Event)]


def edges(file: Path) -> Set[Tuple[str, str, datetime]]:
    """Return the beginnings and ends of a file's events."""
    found = set()
    for event in events(file):
        name = str(event["summary"]).partition(" ")[0]
        found |= {(name, "begins", event["dtstart"].dt), (name, "ends", event["dtend"].dt)}
    return found


def test_draws_holidays_and_an_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = run("calendar", *YEAR_END)
    assert (ended.code, ended.stderr) == (0, "")
    assert max(len(text) for text in ended.stdout.splitlines()) <= 80
    check_golden("calendar", ended.stdout)


def test_gives_machines_every_transition_in_order() -> None:
    ended = run("calendar", *YEAR_END, "--json")
    assert (ended.code, ended.stderr) == (0, "")
    found = [element for element in ended.json if element["from"]]
    instants = [datetime.fromisoformat(element["at"]) for element in found]
    assert instants == sorted(instants)
    assert found[1] == {
        "cluster": "dev",
        "at": "2026-12-24T08:00:00+07:00",
        "from": "stopped",
        "to": "running",
        "reason": "window 1 (mon-fri 08:00-20:00 Asia/Bangkok), until Thu 20:00",
    }


def test_a_transition_at_the_first_moment_belongs_to_it_and_one_at_the_last_does_not() -> None:
    asked = ("calendar", "--cluster", "dev", "--days", "1", "--json", "--from")
    assert [found["to"] for found in run(*asked, "2026-11-23T08:00").json] == ["running", "stopped"]
    assert "Mon 2026-11-23 08:00  dev" in run(*(word for word in asked if word != "--json"), "2026-11-23T08:00").stdout
    assert [found["to"] for found in run(*asked, "2026-11-23T01:00:01Z").json] == ["running", "stopped", "running"]


def test_gives_machines_the_state_in_which_each_cluster_begins() -> None:
    found = run("calendar", "--days", "1", "--json", "--from", "2026-11-23").json
    begins = [(element["cluster"], element["at"], element["to"]) for element in found if element["from"] is None]
    assert begins == [
        ("dev", "2026-11-23T00:00:00+07:00", "stopped"),
        ("test", "2026-11-23T00:00:00+07:00", "stopped"),
        ("batch", "2026-11-23T00:00:00+07:00", "stopped"),
        ("demo", "2026-11-23T00:00:00+07:00", "running"),
        ("old", "2026-11-23T00:00:00+07:00", "unmanaged"),
    ]
    for name in ("dev", "test", "batch", "demo", "old"):
        own = [element for element in found if element["cluster"] == name]
        assert [element["from"] for element in own] == [None, *(element["to"] for element in own[:-1])]


def test_what_a_cluster_begins_with_is_what_evaluate_says_of_that_instant(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "version: 1\nclusters:\n"
        "  - {name: dev, cluster_id: a, timezone: Asia/Bangkok, state: running}\n"
        "  - {name: test, cluster_id: b, timezone: Europe/Berlin, windows: [{hours: Mon-Fri 07:00-19:00}]}\n"
        "  - {name: rest, cluster_id: c, timezone: Europe/Berlin, windows: [{hours: Mon-Fri 07:00-19:00}],\n"
        "     enforce: 1h}\n",
        encoding="utf-8",
    )
    found = run("calendar", "--file", str(file), "--from", "2026-10-24", "--days", "3", "--json").json
    begins = [(element["cluster"], element["at"], element["to"]) for element in found if element["from"] is None]
    for name, at, state in begins:
        (evaluated,) = run("evaluate", "--file", str(file), "--cluster", name, "--at", at, "--json").json
        assert state == evaluated["state"]
        assert [one["to"] for one in found if (one["cluster"], one["at"]) == (name, at)] == [state]
    assert begins[1] == ("test", "2026-10-23T19:00:00+02:00", "stopped")
    rest = [(element["at"][:16], element["from"], element["to"]) for element in found if element["cluster"] == "rest"]
    assert rest[:2] == [("2026-10-23T19:00", None, "stopped"), ("2026-10-23T20:00", "stopped", "unmanaged")]


def test_shows_which_of_two_equal_times_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "version: 1\ntimezone: Europe/London\nclusters:\n"
        "  - {name: dev, cluster_id: a, windows: [{start: 30 1 * * *, stop: 45 1 * * *}]}\n",
        encoding="utf-8",
    )
    ended = run("calendar", "--file", str(file), "--from", "2026-10-25", "--days", "1")
    assert [text.split("  ")[0] for text in ended.stdout.splitlines()[-4:]] == [
        "Sun 2026-10-25 01:30 UTC+01:00",
        "Sun 2026-10-25 01:45 UTC+01:00",
        "Sun 2026-10-25 01:30 UTC+00:00",
        "Sun 2026-10-25 01:45 UTC+00:00",
    ]
    assert "until Sun 01:45 UTC+01:00" in ended.stdout
    ended = run("evaluate", "--file", str(file), "--at", "2026-10-25T01:30:00Z")
    assert ended.stdout.startswith("Sun 2026-10-25 01:30:00 UTC+00:00 Europe/London\n")


def test_says_that_nothing_happens() -> None:
    ended = run("calendar", "--cluster", "demo", "--cluster", "old", "--days", "1")
    assert ended.code == 0
    assert ended.stdout.endswith("\n\nNo transition in this time.\n")


def test_begins_today_in_the_first_clusters_zone() -> None:
    with freeze_time("2026-11-23T18:30:00Z"):
        ended = run("calendar")
    assert ended.stdout.startswith("From Tue 2026-11-24 00:00 to Tue 2026-12-01 00:00 Asia/Bangkok\n")


def test_events_begin_and_end_at_the_transitions(tmp_path: Path) -> None:
    file = tmp_path / "year-end.ics"
    ended = run("calendar", *YEAR_END, "--json", "--ics", str(file))
    assert (ended.code, ended.stderr) == (0, f"{file} written\n")
    expected = {
        (t["cluster"], word, datetime.fromisoformat(t["at"]).astimezone(timezone.utc))
        for t in ended.json
        for word, side in (("begins", "to"), ("ends", "from"))
        if t[side] == "running" and t["from"]
    }
    # London already runs when the fortnight begins, and still when it ends: its events are whole all the same.
    outside = {
        ("london", "begins", datetime(2026, 12, 23, 9, tzinfo=timezone.utc)),
        ("london", "ends", datetime(2027, 1, 6, 18, tzinfo=timezone.utc)),
    }
    assert edges(file) == expected | outside


def test_events_keep_their_ids_from_one_file_to_the_next(tmp_path: Path) -> None:
    first, second = tmp_path / "1.ics", tmp_path / "2.ics"
    with freeze_time("2026-12-20"):
        run("calendar", *YEAR_END, "--ics", str(first))
    with freeze_time("2026-12-28"):
        run("calendar", "--file", "year-end.yaml", "--days", "3", "--ics", str(second))
    ids = [{str(event["uid"]) for event in events(file)} for file in (first, second)]
    assert ids[1]
    assert ids[1] < ids[0]


def test_a_stretch_ends_where_the_state_does_past_more_events_than_one_search_looks_at() -> None:
    timing = Timing("UTC", windows=(Window("*/5 * * 1-11 *", "*/5 * * * *"),))
    begin, end = (datetime(2026, month, 10, tzinfo=timezone.utc) for month in (11, 12))
    found = list(stretches(Cluster("dev", ClusterId("a"), timing), Span(begin, end, ZoneInfo("UTC"))))
    assert [(stretch.end, stretch.state) for stretch in found[:1]] == [
        (datetime(2026, 12, 1, tzinfo=timezone.utc), State.RUNNING)
    ]
    assert [stretch.state for stretch in found] == [State.RUNNING, State.STOPPED]


def test_every_event_has_what_calendar_programs_ask_for(tmp_path: Path) -> None:
    file = tmp_path / "a.ics"
    with freeze_time("2026-11-22T12:00:00Z"):
        run("calendar", "--ics", str(file))
    calendar = icalendar.Calendar.from_ical(file.read_bytes())
    assert (calendar["version"], calendar["prodid"]) == ("2.0", "-//cce-scheduler//EN")
    found = events(file)
    assert len({str(event["uid"]) for event in found}) == len(found)
    assert str(found[0]["dtstamp"].to_ical().decode()) == "20261122T120000Z"
    assert b"\r\n" in file.read_bytes()


def test_a_file_that_cannot_be_written_is_a_known_failure(tmp_path: Path) -> None:
    ended = run("calendar", "--ics", str(tmp_path / "none" / "a.ics"))
    assert (ended.code, ended.stdout) == (1, "")
    assert "cannot be written (No such file or directory): name another file" in ended.stderr


def test_the_schedules_file_is_not_overwritten_with_a_calendar(tmp_path: Path) -> None:
    file, link = tmp_path / "schedules.yaml", tmp_path / "link.ics"
    file.write_bytes((GOLDEN / "schedules.yaml").read_bytes())
    link.symlink_to(file)
    ended = run("calendar", "--file", str(file), "--ics", str(link))
    assert ended.code == 1
    assert ended.stderr == f"error: {link} is the schedules file itself: name another file with --ics\n"
    assert file.read_bytes() == (GOLDEN / "schedules.yaml").read_bytes()


@pytest.mark.parametrize(
    ("words", "endings"),
    [
        pytest.param("calendar --html", ".html or .htm", id="a page of the calendar"),
        pytest.param("plan --simulated --html", ".html or .htm", id="a page of the plan"),
        pytest.param("calendar --ics", ".ics", id="events"),
        pytest.param("simulate --days 1 --every 1h --log", ".log or .txt or .jsonl", id="the log"),
    ],
)
def test_a_file_of_another_kind_is_not_overwritten(words: str, endings: str, tmp_path: Path) -> None:
    file = tmp_path / "holidays.json"
    file.write_text("{}", encoding="utf-8")
    ended = run(*words.split(), str(file))
    assert (ended.code, ended.stdout) == (64, "")
    assert f"does not end in {endings}: write a name that does" in " ".join(ended.stderr.split())
    assert file.read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize("name", ["a.html", "a.HTM"])
def test_the_ending_of_a_page_may_be_the_short_one_or_in_capitals(name: str, tmp_path: Path) -> None:
    assert run("calendar", "--html", str(tmp_path / name)).code == 0
    assert (tmp_path / name).exists()


def test_a_dash_writes_the_events_to_stdout_and_nothing_else(tmp_path: Path) -> None:
    with freeze_time("2026-11-22T12:00:00Z"):
        ended = run("calendar", *YEAR_END, "--ics", "-")
        run("calendar", *YEAR_END, "--ics", str(tmp_path / "a.ics"))
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.encode() == (tmp_path / "a.ics").read_bytes()
    assert not Path("-").exists()


def test_stdout_does_not_take_events_and_machine_output() -> None:
    ended = run("calendar", "--ics", "-", "--json")
    assert (ended.code, ended.stdout) == (64, "")
    assert "stdout cannot take both: name a file" in ended.stderr


def test_the_page_shows_what_each_server_saves_by_the_prices_of_the_file(tmp_path: Path) -> None:
    schedules, page = tmp_path / "s.yaml", tmp_path / "a.html"
    text = (GOLDEN / "prices.yaml").read_text(encoding="utf-8")
    schedules.write_text(f"{text}    c7n.xlarge.2: 0.125\n", encoding="utf-8")
    run("calendar", "--file", str(schedules), "--from", "2026-11-23", "--days", "2", "--html", str(page))
    shown = page.read_text(encoding="utf-8")
    # dev is off for 24 of the 48 hours, demo for none of them.
    assert [shown.count(f">{money} USD each<") for money in ("1.20 to 3.00", "0.00")] == [2, 2]
