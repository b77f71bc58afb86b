"""``holidays``: what it writes for which calendars, with the real library, and what it says about it."""

import json
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import holidays as library
import pytest
from freezegun import freeze_time

from scheduler.cli.holidays import DateChange, UnknownPlaceError, expand, find_changes, make_lock
from scheduler.config import load_config
from scheduler.errors import ConfigError
from scheduler.public_holidays import HolidayCalendar, HolidayLock, parse_lock, write_lock
from tests.cli_runner import Ended, isolate, run

LIBRARY = f"holidays {library.__version__}"
FILE = """\
version: 1
calendars:
  ours: {country: TH, subdivision: null, dates: [2026-12-24]}
  bavaria: {country: DE, subdivision: BY}
  year-end: {dates: [2026-12-28..2027-01-02]}
clusters:
  - name: dev
    cluster_id: a
    windows: [{hours: "daily 08:00-20:00"}]
    exclude: {dates: [ours, bavaria, year-end]}
"""
NO_COUNTRY = """\
version: 1
clusters:
  - {name: dev, cluster_id: a, state: running}
"""


@pytest.fixture(autouse=True)
def _in_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stand in an empty folder with a schedules file."""
    isolate(monkeypatch)
    monkeypatch.chdir(tmp_path)
    write("schedules.yaml", FILE)


def holidays(*options: str, now: str = "2026-11-20T12:00:00Z") -> Ended:
    with freeze_time(now):
        return run("holidays", *options)


def write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


def lock() -> HolidayLock:
    return parse_lock(Path("holidays.json").read_bytes())


def change(key: str, dates: Dict[str, Optional[str]]) -> None:
    """Change the names of dates in the file, as an older release of the library might have had them."""
    old = lock()
    named = {**old.calendars[key].dates, **dates}
    kept = {day: name for day, name in named.items() if name is not None}
    calendars = {**old.calendars, key: old.calendars[key]._replace(dates=kept)}
    Path("holidays.json").write_bytes(write_lock(HolidayLock("holidays 0.1", calendars)))


def rows(ended: Ended) -> "list[list[str]]":
    """Return the cells of the table, without its header."""
    return [re.split(r"  +", text) for text in ended.stdout.splitlines()[2:]]


class TestWriting:
    def test_a_file_that_needs_holidays_is_valid_once_they_are_written(self) -> None:
        ended = run("validate")
        assert ended.code == 1
        assert "the public holidays of TH are not known, holidays.json is missing: run `cce-scheduler holidays`" in (
            ended.stderr
        )
        assert holidays().code == 0
        assert run("validate")[0] == 0
        (cluster,) = load_config("schedules.yaml").clusters
        assert cluster.timing.excluded_dates["2027-01-06"] == "bavaria: Epiphany"
        assert cluster.timing.excluded_dates["2027-01-01"] == "year-end"
        assert cluster.timing.excluded_dates["2026-12-24"] == "ours"

    def test_says_what_it_wrote_and_until_when_it_lasts(self) -> None:
        ended = holidays()
        assert (ended.code, ended.stderr) == (0, "")
        assert ended.stdout.splitlines()[:2] == [
            f"holidays.json written: public holidays of DE-BY, TH until 2029-12-31 ({LIBRARY})",
            "CALENDAR  DATE                    CHANGE",
        ]
        counts = [len(lock().calendars[key].dates) for key in ("DE-BY", "TH")]
        assert rows(ended) == [
            ["DE-BY", "2025-01-01..2029-12-31", f"added: {counts[0]} public holidays"],
            ["TH", "2025-01-01..2029-12-31", f"added: {counts[1]} public holidays"],
        ]
        assert [path.name for path in sorted(Path().iterdir())] == ["holidays.json", "schedules.yaml"]

    def test_writes_the_same_bytes_again_in_any_language(self, monkeypatch: pytest.MonkeyPatch) -> None:
        holidays()
        first = Path("holidays.json").read_bytes()
        Path("holidays.json").unlink()
        monkeypatch.setenv("LANGUAGE", "th")
        monkeypatch.setenv("LANG", "de_DE.UTF-8")
        holidays()
        assert Path("holidays.json").read_bytes() == first

    def test_what_is_up_to_date_is_not_written_again(self) -> None:
        holidays()
        Path("holidays.json").chmod(0o444)
        before = Path("holidays.json").stat()
        assert holidays() == (
            0,
            f"holidays.json is up to date: public holidays of DE-BY, TH until 2029-12-31 ({LIBRARY})\n",
            "",
        )
        after = Path("holidays.json").stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_says_which_dates_were_added_removed_and_renamed(self) -> None:
        holidays()
        change("DE-BY", {"2026-01-06": None, "2026-12-25": "Xmas", "2026-02-30": None, "2026-07-04": "Invented"})
        ended = holidays()
        assert rows(ended) == [
            ["DE-BY", "2026-01-06", "added: Epiphany"],
            ["DE-BY", "2026-07-04", "removed: Invented"],
            ["DE-BY", "2026-12-25", "renamed: Christmas Day, was Xmas"],
        ]
        assert holidays().stdout.startswith("holidays.json is up to date")

    @pytest.mark.parametrize("option", [(), ("--check",)], ids=["write", "check"])
    def test_what_somebody_changed_by_hand_is_not_lost(self, option: Tuple[str, ...]) -> None:
        holidays()
        text = Path("holidays.json").read_text(encoding="utf-8")
        edited = text.replace('        "2026-12-25": "Christmas Day",\n', "", 1)
        assert edited != text
        write("holidays.json", edited)
        assert load_config("schedules.yaml").clusters
        ended = holidays(*option, now="2027-11-20T12:00:00Z")
        assert (ended.code, ended.stdout) == (1, "")
        assert ended.stderr.startswith("error: holidays.json was edited since it was written, and the changes would be")
        assert "DE-BY 2026-12-25" in ended.stderr
        assert Path("holidays.json").read_text(encoding="utf-8") == edited
        Path("holidays.json").unlink()
        assert holidays().code == 0

    def test_a_file_without_a_digest_is_written_anew(self) -> None:
        holidays()
        data = json.loads(Path("holidays.json").read_bytes())
        del data["digest"], data["calendars"]["TH"]["dates"]["2026-12-10"]
        write("holidays.json", json.dumps(data))
        assert holidays().code == 0
        assert "2026-12-10" in lock().calendars["TH"].dates

    def test_a_new_year_is_one_row_for_each_calendar_and_year(self) -> None:
        write("schedules.yaml", FILE.replace("  ours: {country: TH, subdivision: null, dates", "  ours: {dates"))
        holidays()
        ended = holidays(now="2027-01-01T00:00:00Z")
        calendar = lock().calendars["DE-BY"]
        added = sum(day.startswith("2030") for day in calendar.dates)
        assert (calendar.first, calendar.last) == (date(2026, 1, 1), date(2030, 12, 31))
        assert [row[:2] for row in rows(ended)] == [["DE-BY", "2025"], ["DE-BY", "2030"]]
        assert rows(ended)[1][2] == f"added: {added} public holidays"

    def test_years_says_how_far(self) -> None:
        ended = holidays("--years", "1")
        assert ended.stdout.startswith("holidays.json written: public holidays of DE-BY, TH until 2027-12-31 (")
        assert max(lock().calendars["TH"].dates) <= "2027-12-31"

    def test_keeps_only_what_the_calendars_use(self) -> None:
        holidays()
        write("schedules.yaml", FILE.replace("country: TH, subdivision: null, ", ""))
        ended = holidays()
        assert rows(ended) == [["TH", "2025-01-01..2029-12-31", "removed: no calendar names it"]]
        assert list(lock().calendars) == ["DE-BY"]

    def test_a_file_without_a_country_needs_nothing(self) -> None:
        write("schedules.yaml", NO_COUNTRY)
        for options in ((), ("--check",)):
            assert holidays(*options) == (0, "No calendar names a country: there is nothing to write.\n", "")
        assert not Path("holidays.json").exists()

    def test_a_file_that_no_longer_names_a_country_empties_it(self) -> None:
        holidays()
        write("schedules.yaml", NO_COUNTRY)
        assert holidays().stdout.startswith(f"holidays.json written: no calendars ({LIBRARY})\n")
        assert lock().calendars == {}

    def test_lies_beside_the_schedules_file(self, tmp_path: Path) -> None:
        (tmp_path / "dev").mkdir()
        write("dev/s.yaml", FILE)
        assert holidays("--file", "dev/s.yaml").code == 0
        assert (tmp_path / "dev" / "holidays.json").exists()
        assert not (tmp_path / "holidays.json").exists()

    def test_a_damaged_file_is_replaced_with_a_word(self) -> None:
        write("holidays.json", "<<<<<<< HEAD")
        ended = holidays()
        assert (ended.code, ended.stderr) == (0, "holidays.json is damaged (not JSON)\n")
        assert list(lock().calendars) == ["DE-BY", "TH"]

    def test_a_file_that_cannot_be_replaced_is_a_known_failure_and_leaves_nothing(self) -> None:
        Path("holidays.json").mkdir()
        ended = holidays()
        assert (ended.code, ended.stdout) == (1, "")
        assert ended.stderr.startswith("error: holidays.json cannot be read (")
        assert [path.name for path in sorted(Path().iterdir())] == ["holidays.json", "schedules.yaml"]

    def test_machines_get_the_same(self) -> None:
        holidays()
        change("DE-BY", {"2026-01-06": None})
        ended = holidays("--json")
        assert (ended.code, ended.stderr) == (0, "")
        assert ended.json == {
            "file": "holidays.json",
            "changed": True,
            "library": LIBRARY,
            "until": "2029-12-31",
            "added": [],
            "removed": [],
            "changes": [{"calendar": "DE-BY", "day": "2026-01-06", "before": None, "after": "Epiphany"}],
        }


class TestCheck:
    def test_is_content_with_what_would_be_written(self) -> None:
        holidays()
        assert holidays("--check").code == 0

    @pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(lambda: Path("holidays.json").unlink(), id="missing"),
            pytest.param(lambda: write("holidays.json", "{}"), id="damaged"),
            pytest.param(lambda: change("TH", {"2026-05-01": "May Day"}), id="renamed"),
            pytest.param(lambda: change("TH", {}), id="another release"),
            pytest.param(
                lambda: write("holidays.json", json.dumps(json.loads(Path("holidays.json").read_text("utf-8")))),
                id="another form",
            ),
        ],
    )
    def test_fails_where_the_file_differs_and_writes_nothing(self, spoil: Any) -> None:
        holidays()
        spoil()
        before = Path("holidays.json").read_bytes() if Path("holidays.json").exists() else None
        ended = holidays("--check")
        assert ended.code == 1
        assert ended.stderr.endswith(
            "holidays.json is not what would be written: run `cce-scheduler holidays` and commit it\n"
        )
        assert ended.stdout.startswith("holidays.json would change: public holidays of DE-BY, TH until 2029-12-31 (")
        assert (Path("holidays.json").read_bytes() if Path("holidays.json").exists() else None) == before


class TestProblems:
    @pytest.mark.parametrize(
        ("calendar", "message"),
        [
            pytest.param(
                "country: QQ",
                f'3:19: calendars.ours.country: {LIBRARY} knows no country "QQ": known with Q are QA\n',
                id="unknown",
            ),
            pytest.param(
                "country: TQ",
                f'3:19: calendars.ours.country: {LIBRARY} knows no country "TQ": known with T are ',
                id="near others",
            ),
            pytest.param(
                "country: DE, subdivision: Bayern",
                '3:36: calendars.ours.subdivision: DE has no subdivision "Bayern": did you mean "BY"?\n',
                id="its name",
            ),
            pytest.param(
                "country: DE, subdivision: DE-BY",
                '3:36: calendars.ours.subdivision: DE has no subdivision "DE-BY": did you mean "BY"?\n',
                id="with the country",
            ),
            pytest.param(
                "country: DE, subdivision: by",
                '3:36: calendars.ours.subdivision: DE has no subdivision "by": did you mean "BY"?\n',
                id="small letters",
            ),
            pytest.param(
                "country: AU, subdivision: XXX",
                '3:36: calendars.ours.subdivision: AU has no subdivision "XXX": known are ACT, NSW, NT, QLD, SA, ',
                id="unknown subdivision",
            ),
            pytest.param(
                'country: TH, subdivision: "10"',
                "3:36: calendars.ours.subdivision: TH has no subdivisions here: write null, or leave it out\n",
                id="no subdivisions",
            ),
        ],
    )
    def test_an_unknown_place_is_told_with_its_place_in_the_file(self, calendar: str, message: str) -> None:
        write("schedules.yaml", FILE.replace("country: TH, subdivision: null", calendar))
        ended = holidays()
        assert (ended.code, ended.stdout) == (1, "")
        assert ended.stderr.startswith(f"schedules.yaml:{message}")
        assert not Path("holidays.json").exists()

    def test_all_unknown_places_are_told_at_once(self) -> None:
        write("schedules.yaml", FILE.replace("TH", "XQ").replace("BY", "Bayern"))
        assert [line[:19] for line in holidays().stderr.splitlines()[::3]] == [
            "schedules.yaml:3:19",
            "schedules.yaml:4:39",
        ]

    def test_a_file_with_another_problem_changes_nothing(self) -> None:
        write("schedules.yaml", FILE.replace("year-end]", "yearend]"))
        ended = holidays()
        assert (ended.code, ended.stdout) == (1, "")
        assert ended.stderr == (
            'schedules.yaml:10:38: clusters[0].exclude.dates[2]: unknown calendar "yearend": did you mean "year-end"?\n'
            "   10 |     exclude: {dates: [ours, bavaria, yearend]}\n"
            "      |                                      ^\n"
        )
        assert not Path("holidays.json").exists()

    def test_a_file_that_is_no_yaml_is_a_known_failure(self) -> None:
        write("schedules.yaml", "clusters: [")
        ended = holidays()
        assert (ended.code, ended.stdout) == (1, "")
        assert ended.stderr == "schedules.yaml:2:1: the file ends inside brackets: close them\n"

    def test_a_country_that_the_library_knows_no_longer_is_refused(self) -> None:
        with pytest.raises(UnknownPlaceError) as raised:
            expand("LK", None, 2098, 2099)
        assert raised.value.key == "country"
        assert re.fullmatch(f"{LIBRARY} knows those of LK only until 20[2-9][0-9]: write `dates:`", str(raised.value))

    def test_without_the_library_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "holidays", None)
        assert holidays() == (1, "", 'error: the command needs holidays: install the extra "cli"\n')

    @pytest.mark.parametrize("years", ["0", "21", "many"])
    def test_years_are_a_small_number(self, years: str) -> None:
        ended = holidays("--years", years)
        assert (ended.code, ended.stdout) == (64, "")


class TestExpanding:
    def test_names_are_english_where_the_library_has_them(self) -> None:
        calendar = expand("NO", None, 2026, 2026)
        assert (calendar.first, calendar.last) == (date(2026, 1, 1), date(2026, 12, 31))
        days = "01-01 04-02 04-03 04-05 04-06 05-01 05-14 05-17 05-24 05-25 12-25 12-26"
        assert list(calendar.dates) == [f"2026-{day}" for day in days.split()]
        assert calendar.dates["2026-04-03"] == "Good Friday"

    def test_a_subdivision_has_more(self) -> None:
        country, subdivision = (expand("DE", part, 2026, 2026).dates for part in (None, "BY"))
        assert {day: name for day, name in subdivision.items() if day not in country} == {
            "2026-01-06": "Epiphany",
            "2026-06-04": "Corpus Christi",
            "2026-11-01": "All Saints' Day",
        }

    def test_only_public_holidays_count(self) -> None:
        assert "2026-12-24" not in expand("DE", None, 2026, 2026).dates  # a bank holiday
        assert "2026-02-18" not in expand("US", None, 2026, 2026).dates

    def test_is_cut_to_the_years_that_the_library_has(self) -> None:
        known = library.country_holidays("LK")
        calendar = expand("LK", None, known.end_year - 1, known.end_year + 5)
        assert calendar.last == date(known.end_year, 12, 31)

    @pytest.mark.parametrize("country", ["TH", "DE", "US", "GB", "NO", "JP", "AU", "SG", "CN", "IN", "BR", "ZA"])
    def test_every_name_can_be_read_back(self, country: str) -> None:
        calendar = expand(country, None, 2025, 2029)
        assert calendar.dates
        assert parse_lock(write_lock(HolidayLock(LIBRARY, {country: calendar}))).calendars == {country: calendar}

    def test_a_file_gets_one_entry_for_calendars_of_one_place(self) -> None:
        write("schedules.yaml", FILE.replace("country: DE, subdivision: BY", "country: TH"))
        assert list(make_lock(Path("schedules.yaml"), 2026, 3).calendars) == ["TH"]

    def test_nothing_is_made_of_a_file_with_a_problem(self) -> None:
        write("schedules.yaml", FILE.replace("version: 1", "version: 2"))
        with pytest.raises(ConfigError, match="version"):
            make_lock(Path("schedules.yaml"), 2026, 3)


def test_changes_are_told_of_calendars_that_both_files_have() -> None:
    def calendar(**names: str) -> HolidayCalendar:
        return HolidayCalendar(
            date(2026, 1, 1), date(2026, 12, 31), {f"2026-01-{day[1:]}": name for day, name in names.items()}
        )

    before = HolidayLock("a", {"TH": calendar(d01="One", d02="Two", d03="Three"), "NO": calendar(d01="Old")})
    after = HolidayLock("b", {"TH": calendar(d01="One", d03="Third", d04="Four"), "DE": calendar(d01="New")})
    assert list(find_changes(before, after)) == [
        DateChange("TH", "2026-01-02", "Two", None),
        DateChange("TH", "2026-01-03", "Three", "Third"),
        DateChange("TH", "2026-01-04", None, "Four"),
    ]
