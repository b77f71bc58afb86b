"""Public holidays without their library: the lock file, what reads it, and what happens when it runs out."""

import json
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import pytest
from freezegun import freeze_time

from scheduler.config import load_checked, load_config, parse_config
from scheduler.errors import ConfigError, StaleCalendarError
from scheduler.evaluate import desired_state
from scheduler.handler import RunFailedError, handle
from scheduler.model import CalendarsEnd
from scheduler.public_holidays import (
    HolidayCalendar,
    HolidayLock,
    check_end,
    lock_key,
    make_end,
    parse_lock,
    write_lock,
)
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, serve
from tests.cli_runner import Ended, run
from tests.oracle_cases import utc
from tests.scenes import CLOCK, DEV, PROJECT, REGION, TIMER, Context, posts

LOCK = b"""{
  "version": 1,
  "library": "holidays 0.83",
  "digest": "fff5f57dbbf93bc28bface1eebfd0285580bbca6588ff9258e252cfb4fd777e2",
  "calendars": {
    "DE-BY": {
      "first": "2025-01-01",
      "last": "2028-12-31",
      "dates": {
        "2026-01-06": "Epiphany"
      }
    },
    "TH": {
      "first": "2025-01-01",
      "last": "2029-12-31",
      "dates": {
        "2026-12-05": "Father's Day",
        "2026-12-10": "Constitution Day"
      }
    }
  }
}
"""
FILE = f"""\
version: 1
timezone: Asia/Bangkok
calendars:
  public-holidays: {{country: TH, subdivision: null}}
clusters:
  - name: dev
    cluster_id: {DEV}
    windows: [{{hours: "daily 08:00-20:00"}}]
    exclude: {{dates: [public-holidays]}}
"""
END = CalendarsEnd(date(2029, 12, 31), utc("2029-12-31T17:00:00+00:00"))  # midnight in Bangkok
STALE = "public holidays are only known until 2029-12-31: run `cce-scheduler holidays` and redeploy"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a schedules file and the holidays that it needs."""
    (tmp_path / "schedules.yaml").write_text(FILE, encoding="utf-8")
    (tmp_path / "holidays.json").write_bytes(LOCK)
    return tmp_path


def problems(text: str, lock: Optional[bytes]) -> str:
    def read() -> bytes:
        if lock is None:
            raise FileNotFoundError
        return lock

    with pytest.raises(ConfigError) as raised:
        parse_config(text.encode(), "f.yaml", read)
    return str(raised.value)


def damaged(key: str = "TH", **changed: Any) -> bytes:
    """Return the lock file with something else in one calendar."""
    data = json.loads(LOCK)
    data["calendars"][key].update(changed)
    return json.dumps(data).encode()


class TestFormat:
    def test_what_is_written_is_read_back(self) -> None:
        lock = parse_lock(LOCK)
        assert lock.calendars["DE-BY"] == HolidayCalendar(
            date(2025, 1, 1), date(2028, 12, 31), {"2026-01-06": "Epiphany"}
        )
        assert write_lock(lock) == LOCK

    def test_equal_locks_are_equal_bytes_in_whatever_order_they_were_made(self) -> None:
        lock = parse_lock(LOCK)
        turned = {
            key: calendar._replace(dates=dict(reversed(list(calendar.dates.items()))))
            for key, calendar in reversed(list(lock.calendars.items()))
        }
        assert write_lock(HolidayLock(lock.library, turned)) == LOCK

    def test_names_stay_readable(self) -> None:
        calendar = HolidayCalendar(date(2026, 1, 1), date(2026, 12, 31), {"2026-12-25": "Første juledag"})
        written = write_lock(HolidayLock("holidays 0.83", {"NO": calendar}))
        assert '"2026-12-25": "Første juledag"' in written.decode()
        assert parse_lock(written).calendars["NO"] == calendar

    @pytest.mark.parametrize(
        ("country", "subdivision", "key"),
        [
            pytest.param("TH", None, "TH", id="country"),
            pytest.param("DE", "BY", "DE-BY", id="subdivision"),
        ],
    )
    def test_a_place_has_one_key(self, country: str, subdivision: Optional[str], key: str) -> None:
        assert lock_key(country, subdivision) == key

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            pytest.param(b"", "not JSON", id="empty"),
            pytest.param(b"{", "not JSON", id="cut off"),
            pytest.param(b"\xff\xfe\xfd", "not JSON", id="not text"),
            pytest.param(b"[" * 100_000, "not JSON", id="too deep"),
            pytest.param(b"[]", "not of version 1", id="a list"),
            pytest.param(LOCK.replace(b'"version": 1', b'"version": 2'), "not of version 1", id="later version"),
            pytest.param(b'{"version": 1}', "no calendars in it", id="no calendars"),
            pytest.param(b'{"version": 1, "calendars": {"TH": []}}', "no dates for 'TH'", id="calendar is a list"),
            pytest.param(damaged(dates=["2026-12-05"]), "no dates for 'TH'", id="dates are a list"),
            pytest.param(damaged(last=None), "'TH' has None for a date", id="no last"),
            pytest.param(damaged(first="2025-02-29"), "'TH' has '2025-02-29' for a date", id="no such day"),
            pytest.param(damaged(first="20250101"), "'TH' has '20250101' for a date", id="another form"),
            pytest.param(damaged(last="9999-12-31"), "'TH' has '9999-12-31' for a date", id="too late"),
            pytest.param(damaged(last="2024-12-31"), "'TH' ends before it begins", id="backwards"),
            pytest.param(
                damaged(dates={"2030-01-01": "x"}), "'TH' has a wrong entry for 2030-01-01", id="after the last"
            ),
            pytest.param(damaged(dates={"2026-12-05": 1}), "'TH' has a wrong entry for 2026-12-05", id="no name"),
            pytest.param(
                damaged(dates={"2026-12-05": "\x1b[2J"}),
                "'TH' has a wrong entry for 2026-12-05",
                id="steers a terminal",
            ),
            pytest.param(damaged(dates={"\x1b": "x"}), "'TH' has '\\x1b' for a date", id="steers it by a date"),
        ],
    )
    def test_what_is_damaged_is_refused(self, content: bytes, message: str) -> None:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            parse_lock(content)


class TestReading:
    def test_a_country_becomes_excluded_dates_with_their_names(self, folder: Path) -> None:
        (cluster,) = load_config(folder / "schedules.yaml").clusters
        assert cluster.timing.excluded_dates == {
            "2026-12-05": "public-holidays: Father's Day",
            "2026-12-10": "public-holidays: Constitution Day",
        }
        desired = desired_state(cluster, utc("2026-12-05T12:00:00+07:00"))
        assert desired.state.value == "stopped"
        assert desired.reason.startswith("excluded date 2026-12-05 (public-holidays: Father's Day)")

    def test_a_calendar_may_have_a_country_and_dates(self) -> None:
        text = FILE.replace("country: TH", "country: TH, dates: [2026-12-05, 2026-12-24]")
        (cluster,) = parse_config(text.encode(), "f.yaml", lambda: LOCK).clusters
        assert cluster.timing.excluded_dates == {
            "2026-12-05": "public-holidays: Father's Day",
            "2026-12-10": "public-holidays: Constitution Day",
            "2026-12-24": "public-holidays",
        }

    def test_a_subdivision_has_dates_of_its_own(self) -> None:
        text = FILE.replace("country: TH, subdivision: null", "country: DE, subdivision: BY")
        (cluster,) = parse_config(text.encode(), "f.yaml", lambda: LOCK).clusters
        assert cluster.timing.excluded_dates == {"2026-01-06": "public-holidays: Epiphany"}

    def test_a_file_without_a_country_needs_no_lock_file(self) -> None:
        def read() -> bytes:
            raise AssertionError

        text = FILE.replace("country: TH, subdivision: null", "dates: [2026-12-05]")
        assert parse_config(text.encode(), "f.yaml", read).calendars_end is None

    @pytest.mark.parametrize(
        ("lock", "why"),
        [
            pytest.param(None, "holidays.json is missing", id="missing"),
            pytest.param(b"{}", "holidays.json is damaged (not of version 1)", id="damaged"),
            pytest.param(b'{"version": 1, "calendars": {}}', "holidays.json lacks them", id="another file's"),
        ],
    )
    def test_says_at_the_calendar_what_to_run(self, lock: Optional[bytes], why: str) -> None:
        assert problems(FILE, lock) == (
            f"f.yaml:4:30: calendars.public-holidays.country: the public holidays of TH are not known, {why}: "
            "run `cce-scheduler holidays`"
        )

    def test_says_so_of_every_calendar_and_of_all_else(self) -> None:
        text = FILE.replace("clusters:", "  by: {country: DE, subdivision: BY}\nclusters:").replace("TH", "XX")
        text = text.replace("dates: [public", "dates: [publik")
        assert problems(text, LOCK).splitlines() == [
            (
                "f.yaml:4:30: calendars.public-holidays.country: the public holidays of XX are not known, "
                "holidays.json lacks them: run `cce-scheduler holidays`"
            ),
            (
                'f.yaml:10:23: clusters[0].exclude.dates[0]: unknown calendar "publik-holidays": '
                'did you mean "public-holidays"?'
            ),
        ]

    def test_a_lock_file_that_cannot_be_read_is_a_problem(self, tmp_path: Path) -> None:
        (tmp_path / "s.yaml").write_text(FILE, encoding="utf-8")
        (tmp_path / "holidays.json").mkdir()
        with pytest.raises(ConfigError) as raised:
            load_config(tmp_path / "s.yaml")
        assert "are not known, holidays.json cannot be read (" in str(raised.value)

    def test_reads_the_lock_file_without_the_library(self, folder: Path) -> None:
        script = (
            "import sys; sys.modules['holidays'] = None\n"
            "from scheduler.config import load_config\n"
            f"print(len(load_config({str(folder / 'schedules.yaml')!r}).clusters[0].timing.excluded_dates))"
        )
        root = str(Path(__file__).parent.parent)
        done = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, "-c", script], env={"PYTHONPATH": root}, capture_output=True, text=True, check=True
        )
        assert done.stdout == "2\n"


class TestEnd:
    def test_is_the_last_date_of_the_calendar_in_the_zone_of_its_cluster(self, folder: Path) -> None:
        checked = load_checked(folder / "schedules.yaml")
        assert checked.schedules.calendars_end == END
        assert checked.holidays_last == {"public-holidays": date(2029, 12, 31)}

    @pytest.mark.parametrize(
        ("zone", "at"),
        [
            pytest.param("UTC", "2029-12-31T00:00:00+00:00", id="no offset"),
            pytest.param("Pacific/Kiritimati", "2029-12-30T10:00:00+00:00", id="earliest"),
            pytest.param("America/New_York", "2029-12-31T05:00:00+00:00", id="late"),
        ],
    )
    def test_is_the_midnight_after_the_last_date(self, zone: str, at: str) -> None:
        assert make_end(date(2029, 12, 30), zone) == CalendarsEnd(date(2029, 12, 30), utc(at))

    @pytest.mark.parametrize(
        ("changes", "last"),
        [
            pytest.param({"dates: [public-holidays]": "dates: [by, public-holidays]"}, date(2028, 12, 31), id="first"),
            pytest.param({"dates: [public-holidays]": "dates: [by]"}, date(2028, 12, 31), id="only the other"),
            pytest.param({"dates: [public-holidays]": "dates: [2026-12-05]"}, None, id="none used"),
            pytest.param({"    exclude": "    enabled: false\n    exclude"}, None, id="not enabled"),
            pytest.param(
                {"clusters:": "defaults: {exclude: {dates: [by]}}\nclusters:"}, date(2028, 12, 31), id="by defaults"
            ),
        ],
    )
    def test_is_the_earliest_of_those_in_use(self, changes: Dict[str, str], last: Optional[date]) -> None:
        text = FILE.replace("clusters:", "  by: {country: DE, subdivision: BY}\nclusters:")
        for old, new in changes.items():
            text = text.replace(old, new)
        end = parse_config(text.encode(), "f.yaml", lambda: LOCK).calendars_end
        assert (end and end.last) == last

    @pytest.mark.parametrize(
        ("at", "warning", "failure"),
        [
            pytest.param(END.at - timedelta(days=60, seconds=1), (), None, id="a second before 60 days"),
            pytest.param(END.at - timedelta(days=60), (f"{STALE} before that",), None, id="60 days before"),
            pytest.param(END.at - timedelta(seconds=1), (f"{STALE} before that",), None, id="the last second"),
            pytest.param(END.at, (), STALE, id="the end"),
            pytest.param(END.at + timedelta(days=900), (), STALE, id="long after"),
        ],
    )
    def test_is_announced_60_days_before(self, at: Any, warning: Any, failure: Optional[str]) -> None:
        warnings, error = check_end(END, at)
        assert (warnings, error and str(error)) == (warning, failure)
        assert error is None or isinstance(error, StaleCalendarError)

    def test_without_a_country_nothing_ends(self) -> None:
        assert check_end(None, END.at) == ((), None)


class TestCommands:
    """What a person is told who works with the file around the end of what it knows."""

    BEFORE, AFTER = "2029-12-31T16:59:59Z", "2029-12-31T17:00:00Z"
    UNKNOWN = (
        "warning: the dates of public-holidays are not known after 2029-12-31: what is shown for later does without "
        "them, run `cce-scheduler holidays`\n"
    )

    @staticmethod
    def call(folder: Path, now: str, command: str, *options: str) -> Ended:
        with freeze_time(now):
            return run(command, "--file", str(folder / "schedules.yaml"), *options)

    def test_after_the_end_the_file_is_not_valid(self, folder: Path) -> None:
        file = folder / "schedules.yaml"
        place = f"{file}:4:30: "
        before, after = (self.call(folder, now, "validate") for now in (self.BEFORE, self.AFTER))
        assert before.code == 0
        assert f"{place}warning: calendars.public-holidays.country: {STALE} before that\n" in before.stderr
        assert (after.code, after.stdout) == (1, "")
        lines = after.stderr.splitlines()
        assert (lines[0], lines[-1]) == (f"{place}calendars.public-holidays.country: {STALE}", f"{file}: 1 problem")

    def test_after_the_end_machine_output_says_so_too(self, folder: Path) -> None:
        ended = self.call(folder, self.AFTER, "validate", "--json")
        path = "calendars.public-holidays.country"
        assert (ended.code, ended.json["valid"], ended.stderr) == (1, False, "")
        assert ended.json["problems"] == [{"path": path, "line": 4, "column": 30, "message": STALE}]
        assert path not in [warning["path"] for warning in ended.json["warnings"]]

    def test_every_calendar_that_ran_out_is_named(self, folder: Path) -> None:
        more = {
            "\nclusters:": "\n  by: {country: DE, subdivision: BY}\nclusters:",
            "[public-holidays]": "[by, public-holidays]",
        }
        text = FILE
        for old, new in more.items():
            text = text.replace(old, new)
        (folder / "schedules.yaml").write_text(text, encoding="utf-8")
        ended = self.call(folder, self.AFTER, "validate", "--json")
        assert [problem["path"] for problem in ended.json["problems"]] == [
            "calendars.public-holidays.country",
            "calendars.by.country",
        ]

    @pytest.mark.parametrize("owner", ["cluster", "defaults"])
    def test_a_cluster_that_is_not_enabled_needs_no_holidays(self, folder: Path, owner: str) -> None:
        file, exclude = folder / "schedules.yaml", "exclude: {dates: [public-holidays]}\n"
        text = FILE.replace("    exclude", "    enabled: false\n    exclude")
        if owner == "defaults":
            text = text.replace(f"    {exclude}", "").replace("clusters:", f"defaults:\n  {exclude}clusters:")
        file.write_text(text, encoding="utf-8")
        assert self.call(folder, self.AFTER, "validate").code == 0
        assert self.call(folder, self.AFTER, "evaluate").stderr == ""

    def test_after_the_end_nothing_is_packaged(self, folder: Path) -> None:
        output = folder / "function.zip"
        ended = self.call(folder, self.AFTER, "package", "--output", str(output))
        assert (ended.code, ended.stdout, ended.stderr) == (1, "", f"error: {STALE}\n")
        assert not output.exists()

    @pytest.mark.parametrize("output", [(), ("--json",)])
    def test_a_state_after_the_end_is_shown_with_a_warning(self, folder: Path, output: Tuple[str, ...]) -> None:
        now = "2029-06-01T00:00:00Z"
        before = self.call(folder, now, "evaluate", "--at", self.BEFORE, *output)
        after = self.call(folder, now, "evaluate", "--at", self.AFTER, "--at", self.BEFORE, *output)
        assert (before.code, before.stderr) == (0, "")
        assert (after.code, after.stderr) == (0, self.UNKNOWN)
        assert after.stdout

    def test_an_explanation_after_the_end_comes_with_a_warning(self, folder: Path) -> None:
        now = "2029-06-01T00:00:00Z"
        before, after = (self.call(folder, now, "explain", "dev", "--at", at) for at in (self.BEFORE, self.AFTER))
        assert (before.code, before.stderr) == (0, "")
        assert (after.code, after.stderr) == (0, self.UNKNOWN)

    @pytest.mark.parametrize("command", ["calendar", "savings"])
    @pytest.mark.parametrize("output", [(), ("--json",)])
    def test_days_beyond_the_end_are_shown_with_a_warning(
        self, folder: Path, output: Tuple[str, ...], command: str
    ) -> None:
        now = "2029-06-01T00:00:00Z"
        before = self.call(folder, now, command, "--from", "2029-12-31", "--days", "1", *output)
        after = self.call(folder, now, command, "--from", "2029-12-31", "--days", "2", *output)
        assert (before.code, before.stderr) == (0, "")
        assert (after.code, after.stderr) == (0, self.UNKNOWN)

    def test_only_the_calendars_of_the_clusters_that_are_shown_matter(self, folder: Path) -> None:
        file = folder / "schedules.yaml"
        file.write_text(f"{FILE}  - {{name: test, cluster_id: b, state: running}}\n", encoding="utf-8")
        assert self.call(folder, self.AFTER, "evaluate", "--cluster", "test").stderr == ""
        assert self.call(folder, self.AFTER, "evaluate", "--cluster", "dev").stderr == self.UNKNOWN


class TestRun:
    """The real function on a simulated cloud, around the end of what it knows."""

    @pytest.fixture
    def cloud(self) -> SimulatedCloud:
        cloud = SimulatedCloud(END.at)
        cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV)
        return cloud

    def call(self, cloud: SimulatedCloud, folder: Path, at: Any, event: object, context: Context) -> Dict[str, Any]:
        with serve(cloud) as endpoint:
            settings = {"endpoint": endpoint, "cceEndpoint": endpoint, "region": REGION, "projectId": PROJECT}
            context._user_data = {"ak": SIMULATED_AK, "sk": SIMULATED_SK, **settings}
            environ = {"RUNTIME_CODE_ROOT": str(folder)}
            return handle(event, context, now=at, environ=environ, monotonic=lambda: 0.0, sleep=CLOCK.sleep)

    def test_early_enough_a_run_says_nothing(self, cloud: SimulatedCloud, folder: Path) -> None:
        context = Context()
        result = self.call(cloud, folder, END.at - timedelta(days=61), None, context)
        assert (result["status"], result["data"]["warnings"]) == ("success", [])
        assert context.lines[-1]["warnings"] == []

    def test_a_run_warns_in_its_result_and_in_the_line_that_sums_it_up(
        self, cloud: SimulatedCloud, folder: Path
    ) -> None:
        context = Context()
        result = self.call(cloud, folder, END.at - timedelta(days=30), None, context)
        assert (result["status"], result["data"]["warnings"]) == ("success", [f"{STALE} before that"])
        assert (context.levels[-1], context.lines[-1]["event"]) == ("WARNING", "run")
        assert context.lines[-1]["warnings"] == [f"{STALE} before that"]

    def test_after_the_end_a_run_does_its_work_and_fails_by_name(self, cloud: SimulatedCloud, folder: Path) -> None:
        server = cloud.add_server("dev-1", cluster_id=DEV)
        context = Context()
        with pytest.raises(RunFailedError) as raised:
            self.call(cloud, folder, END.at, TIMER, context)
        assert str(raised.value) == f"started 0, stopped 1, held 0; failed: {STALE}"
        assert [ids for _, ids in posts(cloud)] == [(server.server_id,)]
        assert (context.levels[-1], context.lines[-1]["status"]) == ("ERROR", "error")

    def test_a_plan_for_a_time_after_the_end_fails_too(self, cloud: SimulatedCloud, folder: Path) -> None:
        event = {"action": "plan", "at": END.at.isoformat()}
        result = self.call(cloud, folder, END.at - timedelta(days=365), event, Context())
        assert (result["status"], result["message"]) == (
            "error",
            f"would start 0, would stop 0, held 0; failed: {STALE}",
        )

    def test_a_start_by_hand_asks_for_no_holidays(self, cloud: SimulatedCloud, folder: Path) -> None:
        result = self.call(cloud, folder, END.at, {"action": "start", "clusters": ["dev"]}, Context())
        assert (result["status"], result["data"]["warnings"]) == ("success", [])
