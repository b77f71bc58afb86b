"""What a schedules file means, and that every problem in it is reported, at once, where it stands.

The files in ``examples/invalid`` each have a text beside them: what a person then reads.
"""

import json
import os
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Dict, List, Optional, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.config import load_config, parse_config, parse_duration
from scheduler.document import MAX_BYTES, load_schema, parse_document
from scheduler.errors import ConfigError
from scheduler.model import (
    AutoscaledPools,
    Cluster,
    ControlPlane,
    Exclude,
    Limits,
    Membership,
    OnExcludedDates,
    Schedules,
    State,
    StopType,
    Window,
)

EXAMPLES = Path(__file__).parent / "examples"
INVALID = sorted((EXAMPLES / "invalid").glob("*.yaml"))
VALID = sorted((EXAMPLES / "valid").glob("*.yaml"))
OFFICE = {"windows": [{"start": "0 8 * * mon-fri", "stop": "0 20 * * mon-fri"}]}
OFFICE_WINDOWS = (Window("0 8 * * mon-fri", "0 20 * * mon-fri"),)
NIGHT_WINDOWS = (Window("0 22 * * *", "0 6 * * *"),)


def parse(document: object) -> Schedules:
    """Read a document that is written as data: JSON is YAML."""
    return parse_config(json.dumps(document).encode(), "f.yaml")


def file_of(*clusters: Dict[str, Any], **top: Any) -> Dict[str, Any]:
    """Return a document with clusters that differ in nothing but what is given."""
    named = [{"name": f"c{n}", "cluster_id": f"id-{n}", **cluster} for n, cluster in enumerate(clusters)]
    return {"version": 1, **top, "clusters": named}


def read_one(cluster: Dict[str, Any], **top: Any) -> Cluster:
    (found,) = parse(file_of(cluster, **top)).clusters
    return found


def messages_of(document: object) -> List[str]:
    with pytest.raises(ConfigError) as e:
        parse(document)
    return [str(problem) for problem in e.value.problems]


class TestExamples:
    @pytest.mark.parametrize("file", INVALID, ids=lambda f: f.stem)
    def test_an_invalid_file_says_everything_that_is_wrong(self, file: Path) -> None:
        with pytest.raises(ConfigError) as e:
            parse_config(file.read_bytes(), file.name)
        assert str(e.value) + "\n" == file.with_suffix(".txt").read_text(encoding="utf-8")

    @pytest.mark.parametrize("file", VALID, ids=lambda f: f.stem)
    def test_a_valid_file_is_read(self, file: Path) -> None:
        assert load_config(file).clusters

    def test_every_invalid_file_has_its_text_and_every_text_its_file(self) -> None:
        texts = {file.stem for file in (EXAMPLES / "invalid").glob("*.txt")}
        assert texts == {file.stem for file in INVALID}

    def test_the_example_of_the_repository_is_valid(self) -> None:
        schedules = load_config(EXAMPLES.parent.parent / "schedules.yaml")
        assert [c.name for c in schedules.clusters] == ["dev", "test", "batch"]

    def test_seven_mistakes_are_seven_located_messages(self) -> None:
        content = (EXAMPLES / "invalid" / "seven-mistakes.yaml").read_bytes()
        with pytest.raises(ConfigError) as e:
            parse_config(content, "f.yaml")
        assert [(p.path, p.line, p.column) for p in e.value.problems] == [
            ("timezone", 2, 11),
            ("defaults.stop_type", 4, 14),
            ("schedules.office-hours.windows[0].stop", 9, 15),
            ("clusters[0].schedule", 13, 15),
            ("clusters[1].name", 14, 11),
            ("clusters[1].windows[0].hours", 17, 16),
            ("clusters[1].exlude", 18, 5),
        ]

    def test_messages_are_the_same_without_the_c_parser(self) -> None:
        """Where no wheel brings libyaml, as on PyPy, PyYAML parses by itself and words its errors otherwise."""
        code = """if True:
            import sys, yaml
            if hasattr(yaml, "CSafeLoader"):
                del yaml.CSafeLoader
            sys.path.insert(0, sys.argv[1])
            from pathlib import Path
            from scheduler.config import parse_config
            from scheduler.errors import ConfigError
            for file in sorted((Path(sys.argv[1]) / "tests" / "examples" / "invalid").glob("*.yaml")):
                try:
                    parse_config(file.read_bytes(), file.name)
                except ConfigError as e:
                    print(e)
        """
        command = [sys.executable, "-I", "-X", "utf8", "-c", code, str(EXAMPLES.parent.parent)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603
        expected = "".join(file.with_suffix(".txt").read_text(encoding="utf-8") for file in INVALID)
        assert done.stdout.decode().replace(os.linesep, "\n") == expected


class TestFile:
    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "none.yaml"
        with pytest.raises(ConfigError) as e:
            load_config(file)
        advice = (
            "name another file (--file, in the function the setting schedulesPath), or make one with "
            "`cce-scheduler init`"
        )
        assert str(e.value) == f"{file}: cannot be read (No such file or directory): {advice}"
        assert e.value.file == str(file)

    def test_a_folder_is_not_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as e:
            load_config(str(tmp_path))
        advice = "name another file (--file, in the function the setting schedulesPath)"
        assert str(e.value) == f"{tmp_path}: cannot be read (Is a directory): {advice}"

    def test_a_path_that_cannot_be_one_is_no_bug(self) -> None:
        with pytest.raises(ConfigError, match=r": cannot be read \(embedded null byte\): name another file"):
            load_config("a\0b")

    def test_of_a_huge_file_no_more_is_read_than_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "huge.yaml"
        with file.open("wb") as stream:
            stream.truncate(MAX_BYTES << 20)  # a terabyte of nothing, which takes no room
        with pytest.raises(ConfigError, match=r"the file is larger than 1048576 bytes"):
            load_config(file)

    def test_problems_carry_the_file_and_their_place(self) -> None:
        with pytest.raises(ConfigError) as e:
            parse_config(b"version: 1\nclusters: dev\n", "dir/f.yaml")
        assert e.value.file == "dir/f.yaml"
        assert e.value.problems == (("clusters", 2, 11, 'must be a list, not the text "dev"'),)


class TestDefaults:
    @pytest.mark.parametrize(
        ("key", "default", "own", "attribute", "values"),
        [
            pytest.param("region", "r-1", "r-2", "region", (None, "r-1", "r-2"), id="region"),
            pytest.param("project_id", "p1", "p2", "project_id", (None, "p1", "p2"), id="project"),
            pytest.param(
                "stop_type", "HARD", "SOFT", "stop_type", (StopType.SOFT, StopType.HARD, StopType.SOFT), id="stop-type"
            ),
            pytest.param("stop_prepaid", True, False, "stop_prepaid", (False, True, False), id="prepaid"),
            pytest.param("enabled", False, True, "enabled", (True, False, True), id="enabled"),
            pytest.param("hard_after", "30m", "90s", "hard_after_s", (None, 1800, 90), id="hard-after"),
            pytest.param("overdue_after", "1d", "2h", "overdue_after_s", (1800, 86400, 7200), id="overdue-after"),
            pytest.param(
                "control_plane",
                "hibernate",
                "keep",
                "control_plane",
                (ControlPlane.KEEP, ControlPlane.HIBERNATE, ControlPlane.KEEP),
                id="control-plane",
            ),
            pytest.param(
                "autoscaled_pools",
                "accept",
                "refuse",
                "autoscaled_pools",
                (AutoscaledPools.REFUSE, AutoscaledPools.ACCEPT, AutoscaledPools.REFUSE),
                id="autoscaled-pools",
            ),
            pytest.param(
                "members",
                "nodes",
                "tags",
                "membership",
                (Membership.TAGS, Membership.NODES, Membership.TAGS),
                id="members",
            ),
            pytest.param("enforce", "1h", "always", "timing.enforce_s", (None, 3600, None), id="enforce"),
            pytest.param(
                "on_excluded_dates",
                "stopped",
                "no_start",
                "timing.on_excluded_dates",
                (OnExcludedDates.NO_START, OnExcludedDates.STOPPED, OnExcludedDates.NO_START),
                id="excluded-dates",
            ),
            pytest.param("timezone", "Asia/Tokyo", "UTC", "timing.timezone", ("UTC", "Asia/Tokyo", "UTC"), id="zone"),
        ],
    )
    def test_the_clusters_own_value_wins(
        self, key: str, default: object, own: object, attribute: str, values: Tuple[object, ...]
    ) -> None:
        found: List[object] = [
            read_one(OFFICE),
            read_one(OFFICE, defaults={key: default}),
            read_one({**OFFICE, key: own}, defaults={key: default}),
        ]
        for part in attribute.split("."):
            found = [getattr(value, part) for value in found]
        assert tuple(found) == values
        assert [type(value) for value in found] == [type(value) for value in values]

    def test_exclude_lists_are_joined(self) -> None:
        pools = {"tags": ["keep"], "node_pools": ["ingress"]}
        defaults = {"exclude": {"servers": ["a", "b"], "dates": ["2026-12-05"], **pools}}
        own = {"servers": ["c"], "node_pools": ["db", "ingress"], "dates": ["2026-12-06"]}
        cluster = read_one({"state": "running", "exclude": own}, defaults=defaults)
        assert cluster.exclude == Exclude(("a", "b", "c"), ("keep",), ("ingress", "db", "ingress"))
        assert list(cluster.timing.excluded_dates) == ["2026-12-05", "2026-12-06"]

    def test_an_empty_list_joins_nothing_and_takes_nothing_away(self) -> None:
        defaults = {"exclude": {"servers": ["a"]}}
        assert read_one({"state": "running", "exclude": {"servers": []}}, defaults=defaults).exclude == Exclude(("a",))

    def test_overrides_of_a_cluster_replace_those_of_the_defaults(self) -> None:
        night = {"state": "running", "from": "2026-12-01T18:00", "until": "2026-12-02T02:00"}
        day = {"state": "stopped", "from": "2026-12-01T08:00", "until": "2026-12-01T12:00"}
        defaults = {"overrides": [night]}
        assert [o.state for o in read_one({"state": "stopped"}, defaults=defaults).timing.overrides] == [State.RUNNING]
        own = read_one({"state": "running", "overrides": [day]}, defaults=defaults)
        assert [o.state for o in own.timing.overrides] == [State.STOPPED]
        assert read_one({"state": "running", "overrides": []}, defaults=defaults).timing.overrides == ()

    @pytest.mark.parametrize(
        "default", [{"schedule": "night"}, {"state": "stopped"}, {"windows": [{"hours": "Sat 1:00-2:00"}]}]
    )
    @pytest.mark.parametrize(
        ("own", "state", "windows"),
        [
            pytest.param({"schedule": "office"}, None, OFFICE_WINDOWS, id="schedule"),
            pytest.param({"state": "running"}, State.RUNNING, (), id="state"),
            pytest.param({"windows": OFFICE["windows"]}, None, OFFICE_WINDOWS, id="windows"),
        ],
    )
    def test_what_a_cluster_says_of_its_hours_replaces_the_default(
        self, default: Dict[str, Any], own: Dict[str, Any], state: Optional[State], windows: object
    ) -> None:
        schedules = {"office": OFFICE, "night": {"windows": [{"hours": "daily 22:00-06:00"}]}}
        timing = read_one(own, schedules=schedules, defaults=default).timing
        assert (timing.state, timing.windows) == (state, windows)

    @pytest.mark.parametrize(
        ("default", "state", "windows"),
        [
            pytest.param({"schedule": "night"}, None, NIGHT_WINDOWS, id="schedule"),
            pytest.param({"state": "stopped"}, State.STOPPED, (), id="state"),
            pytest.param({"windows": [{"hours": "daily 22:00-06:00"}]}, None, NIGHT_WINDOWS, id="windows"),
        ],
    )
    def test_a_cluster_that_says_nothing_of_its_hours_has_the_defaults(
        self, default: Dict[str, Any], state: Optional[State], windows: object
    ) -> None:
        night = {"windows": [{"hours": "daily 22:00-06:00"}]}
        timing = read_one({}, schedules={"night": night}, defaults=default).timing
        assert (timing.state, timing.windows) == (state, windows)

    def test_a_wrong_default_is_reported_once_however_many_clusters_have_it(self) -> None:
        windows = [{"start": "0 8 * *", "stop": "0 20 * * *"}]
        document = file_of({}, {}, {"state": "running"}, defaults={"windows": windows, "exclude": {"dates": ["gone"]}})
        assert [m.split(":")[0] for m in messages_of(document)] == [
            "defaults.windows[0].start",
            "defaults.exclude.dates[0]",
        ]


class TestZone:
    ZONES = ("Asia/Tokyo", "Asia/Dubai", "Asia/Kathmandu", "Asia/Bangkok")

    @pytest.mark.parametrize("written", product([True, False], repeat=4), ids=lambda w: "".join("ny"[x] for x in w))
    def test_the_schedules_wins_then_the_clusters_the_defaults_the_files_and_utc(self, written: List[bool]) -> None:
        schedule, cluster, defaults, top = (
            {"timezone": zone} if there else {} for zone, there in zip(self.ZONES, written)
        )
        found = read_one(
            {"schedule": "s", **cluster}, schedules={"s": {**OFFICE, **schedule}}, defaults=defaults, **top
        )
        expected = next((zone for zone, there in zip(self.ZONES, written) if there), "UTC")
        assert found.timing.timezone == expected

    @pytest.mark.parametrize("written", product([True, False], repeat=3), ids=lambda w: "".join("ny"[x] for x in w))
    @pytest.mark.parametrize("inline", ["cluster", "defaults"])
    def test_hours_without_a_schedule_are_in_the_clusters_zone(self, inline: str, written: List[bool]) -> None:
        cluster, defaults, top = ({"timezone": zone} if there else {} for zone, there in zip(self.ZONES, written))
        (cluster if inline == "cluster" else defaults).update(OFFICE)  # type: ignore[arg-type]
        found = read_one(cluster, defaults=defaults, **top)
        assert found.timing.timezone == next((zone for zone, there in zip(self.ZONES, written) if there), "UTC")


class TestTiming:
    def test_equal_timings_are_one_object(self) -> None:
        shared = {"exclude": {"dates": ["holidays", "2026-12-05"]}, "enforce": "1h"}
        clusters: List[Dict[str, Any]] = [
            {**shared, "schedule": "office"},
            {**shared, "windows": [{"hours": "Mon-Fri 08:00-20:00"}], "stop_type": "HARD", "region": "r"},
            {**shared, "schedule": "office", "enforce": "2h"},
            {**shared, "schedule": "office", "exclude": {}},
            {**shared, "schedule": "office", "timezone": "Asia/Tokyo"},
        ]
        document = file_of(*clusters, schedules={"office": OFFICE}, calendars={"holidays": {"dates": ["2026-12-25"]}})
        first, second, *others = (c.timing for c in parse(document).clusters)
        assert first is second
        assert len({id(timing) for timing in (first, *others)}) == 4
        assert [timing == first for timing in others] == [False] * 3

    def test_a_thousand_clusters_of_one_schedule_share_one_timing(self) -> None:
        found = parse(file_of(*[{"schedule": "office"}] * 1000, schedules={"office": OFFICE})).clusters
        assert (len(found), len({id(c.timing) for c in found})) == (1000, 1)

    def test_spaces_between_cron_fields_do_not_count(self) -> None:
        timing = read_one({"windows": [{"start": " 0  8 *\t* mon-fri ", "stop": "0 20 * * mon-fri"}]}).timing
        assert timing.windows == OFFICE_WINDOWS

    def test_windows_keep_their_order(self) -> None:
        hours = ["Mon 10:00-11:00", "Tue 10:00-11:00", "Mon 08:00-09:00"]
        timing = read_one({"windows": [{"hours": text} for text in hours]}).timing
        assert [w.start for w in timing.windows] == ["0 10 * * mon", "0 10 * * tue", "0 8 * * mon"]

    @pytest.mark.parametrize(
        ("windows", "enforce", "seconds"),
        [
            pytest.param([{"hours": "daily 08:00-20:00"}], None, None, id="two-sided-always"),
            pytest.param([{"hours": "daily 08:00-20:00"}], "always", None, id="two-sided-always-written"),
            pytest.param([{"hours": "daily 08:00-20:00"}], "2h", 7200, id="two-sided-two-hours"),
            pytest.param([{"stop": "0 20 * * *"}], None, 3600, id="one-sided-one-hour"),
            pytest.param([{"stop": "0 20 * * *"}, {"start": "0 8 * * *"}], "2h", 7200, id="one-sided-two-hours"),
        ],
    )
    def test_insists_for(self, windows: object, enforce: Optional[str], seconds: Optional[int]) -> None:
        cluster: Dict[str, Any] = {"windows": windows, **({"enforce": enforce} if enforce else {})}
        assert read_one(cluster).timing.enforce_s == seconds

    def test_insists_always_on_a_constant_state(self) -> None:
        constant, windows = parse(file_of({"state": "stopped"}, OFFICE, defaults={"enforce": "10m"})).clusters
        assert (constant.timing.enforce_s, windows.timing.enforce_s) == (None, 600)

    def test_a_default_to_insist_always_is_refused_only_for_one_sided_windows(self) -> None:
        two, one = {"windows": OFFICE["windows"]}, {"windows": [{"stop": "0 20 * * *"}]}
        assert messages_of(file_of(two, one, {**one, "enforce": "1h"}, defaults={"enforce": "always"})) == [
            "defaults.enforce: always cannot go with the one-sided windows of clusters[1]: write a duration such as 1h"
        ]

    @pytest.mark.parametrize(
        ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86_400), ("999999d", 86_399_913_600)]
    )
    def test_reads_durations(self, text: str, seconds: int) -> None:
        assert parse_duration(text) == seconds


class TestExcludedDates:
    @pytest.mark.parametrize(
        ("written", "dates"),
        [
            pytest.param("2026-12-05", ["2026-12-05"], id="one"),
            pytest.param("2026-12-05..2026-12-05", ["2026-12-05"], id="range-of-one"),
            pytest.param(
                "2026-12-30..2027-01-02", ["2026-12-30", "2026-12-31", "2027-01-01", "2027-01-02"], id="range"
            ),
            pytest.param("2028-02-28..2028-03-01", ["2028-02-28", "2028-02-29", "2028-03-01"], id="leap-day"),
            pytest.param("2026-02-28..2026-03-01", ["2026-02-28", "2026-03-01"], id="no-leap-day"),
        ],
    )
    def test_ranges_include_both_ends(self, written: str, dates: List[str]) -> None:
        direct = read_one({"state": "running", "exclude": {"dates": [written]}}).timing.excluded_dates
        assert direct == dict.fromkeys(dates, "")
        calendars = {"days": {"dates": [written]}}
        named = read_one({"state": "running", "exclude": {"dates": ["days"]}}, calendars=calendars)
        assert named.timing.excluded_dates == dict.fromkeys(dates, "days")

    def test_a_range_may_have_just_4000_dates(self) -> None:
        found = read_one({"state": "running", "exclude": {"dates": ["2026-01-01..2036-12-13"]}})
        assert len(found.timing.excluded_dates) == 4000
        assert messages_of(file_of({"state": "running", "exclude": {"dates": ["2026-01-01..2036-12-14"]}})) == [
            'clusters[0].exclude.dates[0]: "2026-01-01..2036-12-14" has 4001 dates: write at most 4000'
        ]

    @pytest.mark.parametrize(
        ("dates", "calendars", "place"),
        [
            pytest.param(
                ["2026-01-01..2036-12-12"] * 2, {}, "clusters[0].exclude.dates", id="ranges, even of one time"
            ),
            pytest.param(["days", "2026-12-05"], {}, "clusters[0].exclude.dates", id="calendars"),
            pytest.param([], {"dates": ["2026-01-01..2036-12-13", "2037-01-01"]}, "calendars.days.dates", id="in one"),
        ],
    )
    def test_a_list_may_have_just_4000_dates(self, dates: List[str], calendars: Dict[str, Any], place: str) -> None:
        named = {"days": calendars or {"dates": ["2026-01-01..2036-12-13"]}}
        assert messages_of(file_of({"state": "running", "exclude": {"dates": dates}}, calendars=named)) == [
            f"{place}: has more than 4000 dates in all: write fewer, or shorter ranges"
        ]

    def test_the_defaults_have_room_of_their_own(self) -> None:
        ranges = {"exclude": {"dates": ["2026-01-01..2036-12-13"]}}
        found = read_one({"state": "running", "exclude": {"dates": ["2037-01-01"]}}, defaults=ranges)
        assert len(found.timing.excluded_dates) == 4001

    def test_clusters_that_exclude_the_same_dates_keep_them_once(self) -> None:
        clusters = [{"state": "running", "exclude": {"dates": ["2026-01-01..2036-12-13"]}}] * 1000
        found = parse(file_of(*clusters)).clusters
        assert (len(found), len({id(c.timing.excluded_dates) for c in found})) == (1000, 1)

    def test_equal_dates_are_one_object_however_they_are_written(self) -> None:
        written = (["2026-12-05", "2026-12-06"], ["2026-12-05..2026-12-06"], ["2026-12-05..2026-12-07"])
        clusters = [{"state": "running", "exclude": {"dates": dates}} for dates in written]
        first, second, third = (c.timing for c in parse(file_of(*clusters)).clusters)
        assert first is second
        assert third != first

    def test_a_file_has_no_room_for_as_many_calendars_as_one_likes(self) -> None:
        calendars = {f"c{n}": {"dates": ["2026-01-01..2036-12-13"]} for n in range(126)}
        assert messages_of(file_of({"state": "running"}, calendars=calendars)) == [
            "calendars.c125: by here the file has more than 500000 dates: let clusters share lists of them"
        ]

    def test_a_file_has_no_room_for_as_many_lists_as_one_likes(self) -> None:
        own = [{"state": "running", "exclude": {"dates": ["days", f"2037-01-{day:02}"]}} for day in range(1, 32)]
        own += [
            {"state": "running", "exclude": {"dates": ["days", f"2037-0{m}-{d:02}"]}}
            for m in (3, 5, 7)
            for d in range(1, 32)
        ]
        calendars = {"days": {"dates": ["2026-01-01..2036-12-11"]}}  # 3998 dates
        assert parse(file_of(*own[:124], calendars=calendars))
        assert messages_of(
            file_of(*own, {**own[0], "exclude": {"dates": ["days", "2038-01-01"]}}, calendars=calendars)
        ) == [
            (
                "clusters[124].exclude.dates: by here the file has more than 500000 dates: "
                "let clusters share lists of them"
            )
        ]

    @pytest.mark.parametrize("pattern", ["[bastion-*", "a[", "[]", "[!]", "x[]y", "[!", "[[", "[a]b[", "[]a"])
    def test_a_bracket_without_its_end_is_refused_since_it_means_itself(self, pattern: str) -> None:
        advice = "write a set of characters such as [ab], or [[] for a ["
        problem = f'exclude.servers[0]: "{pattern}" has a [ without its ]: {advice}'
        exclude = {"servers": [pattern]}
        assert messages_of(file_of({"state": "running", "exclude": exclude})) == [f"clusters[0].{problem}"]
        assert messages_of(file_of({"state": "running"}, defaults={"exclude": exclude})) == [f"defaults.{problem}"]

    @pytest.mark.parametrize(
        ("pattern", "name"),
        [
            *(("[ab]*", "b-1"), ("[!ab]", "c"), ("[[]", "["), ("[]]", "]"), ("[!]]", "["), ("]", "]"), ("a]", "a]")),
            *(("[a][b]", "ab"), ("[]-a]", "^"), ("[!!]", "a"), ("[*?]", "?")),
        ],
    )
    def test_a_set_of_characters_is_a_pattern(self, pattern: str, name: str) -> None:
        assert fnmatchcase(name, pattern)
        assert read_one({"state": "running", "exclude": {"servers": [pattern]}}).exclude.servers == (pattern,)

    @pytest.mark.parametrize("dates", [["days", "2026-12-05"], ["2026-12-05", "days"]])
    def test_a_date_that_a_calendar_names_keeps_the_name(self, dates: List[str]) -> None:
        calendars = {"days": {"dates": ["2026-12-05"]}}
        found = read_one({"state": "running", "exclude": {"dates": dates}}, calendars=calendars)
        assert found.timing.excluded_dates == {"2026-12-05": "days"}

    def test_a_calendar_may_be_called_like_a_date(self) -> None:
        calendars = {"2026": {"dates": ["2026-12-05"]}}
        found = read_one({"state": "running", "exclude": {"dates": ["2026"]}}, calendars=calendars)
        assert found.timing.excluded_dates == {"2026-12-05": "2026"}


class TestOverrides:
    @pytest.mark.parametrize(
        ("zone", "start", "end", "start_utc", "end_utc"),
        [
            pytest.param(
                "Asia/Bangkok",
                "2026-12-01T18:00",
                "2026-12-02T02:00",
                "2026-12-01T11:00",
                "2026-12-01T19:00",
                id="local",
            ),
            pytest.param(
                "Asia/Bangkok",
                "2026-12-01T18:00Z",
                "2026-12-02T02:00Z",
                "2026-12-01T18:00",
                "2026-12-02T02:00",
                id="utc",
            ),
            pytest.param(
                "Asia/Bangkok",
                "2026-12-01T18:00:30+00:00",
                "2026-12-02T02:00:15+05:45",
                "2026-12-01T18:00:30",
                "2026-12-01T20:15:15",
                id="offsets-and-seconds",
            ),
            pytest.param(
                "America/New_York",
                "2026-03-08T01:59",
                "2026-03-08T03:00",
                "2026-03-08T06:59",
                "2026-03-08T07:00",
                id="around-the-gap",
            ),
            pytest.param(
                "America/New_York",
                "2026-11-01T00:59",
                "2026-11-01T02:00",
                "2026-11-01T04:59",
                "2026-11-01T07:00",
                id="around-the-repeated-hour",
            ),
            pytest.param(
                "America/New_York",
                "2026-11-01T01:30-04:00",
                "2026-11-01T01:30-05:00",
                "2026-11-01T05:30",
                "2026-11-01T06:30",
                id="in-the-repeated-hour-with-offsets",
            ),
        ],
    )
    def test_are_in_the_clusters_zone_unless_they_bring_an_offset(
        self, zone: str, start: str, end: str, start_utc: str, end_utc: str
    ) -> None:
        override = {"state": "unmanaged", "from": start, "until": end, "reason": "why"}
        (found,) = read_one({"state": "running", "timezone": zone, "overrides": [override]}).timing.overrides
        expected = [datetime.fromisoformat(f"{text}+00:00") for text in (start_utc, end_utc)]
        assert found == (State.UNMANAGED, *expected, "why")

    def test_are_in_the_schedules_zone_where_it_has_one(self) -> None:
        override = {"state": "running", "from": "2026-12-01T18:00", "until": "2026-12-02T02:00"}
        cluster = {"schedule": "s", "timezone": "UTC", "overrides": [override]}
        found = read_one(cluster, schedules={"s": {**OFFICE, "timezone": "Asia/Bangkok"}})
        assert found.timing.overrides[0].start == datetime.fromisoformat("2026-12-01T11:00+00:00")

    @pytest.mark.parametrize(
        ("zone", "local", "message"),
        [
            pytest.param(
                "America/New_York",
                "2026-03-08T02:00",
                "does not exist in America/New_York, clocks skip it: write 2026-03-08T03:00-04:00",
                id="first-of-the-gap",
            ),
            pytest.param(
                "Australia/Lord_Howe",
                "2026-10-04T02:29",
                "does not exist in Australia/Lord_Howe, clocks skip it: write 2026-10-04T02:30+11:00",
                id="gap-of-half-an-hour",
            ),
            pytest.param(
                "Pacific/Apia",
                "2011-12-30T12:00",
                "does not exist in Pacific/Apia, clocks skip it: write 2011-12-31T00:00+14:00",
                id="a-skipped-day",
            ),
            pytest.param(
                "Australia/Lord_Howe",
                "2026-04-05T01:30",
                "occurs twice in Australia/Lord_Howe: write 2026-04-05T01:30+11:00 or 2026-04-05T01:30+10:30",
                id="repeated-half-hour",
            ),
            pytest.param("UTC", "1990-12-31T23:59", "is out of range: write a year from 1991 to 2199", id="too-early"),
            pytest.param("UTC", "2200-01-01T00:00", "is out of range: write a year from 1991 to 2199", id="too-late"),
            pytest.param(
                "UTC", "2026-12-01T24:00", "is not a date and time: write one such as 2026-12-01T18:00", id="24"
            ),
        ],
    )
    @pytest.mark.parametrize("side", ["from", "until"])
    def test_refuses_a_local_time_that_is_not_one_instant(self, side: str, zone: str, local: str, message: str) -> None:
        override = {"state": "running", "from": "1991-01-01T00:00", "until": "2199-12-31T00:00", side: local}
        document = file_of({"state": "running", "timezone": zone, "overrides": [override]})
        assert messages_of(document) == [f'clusters[0].overrides[0].{side}: "{local}" {message}']


class TestClusters:
    def test_an_id_is_compared_and_kept_in_lower_case(self) -> None:
        assert read_one({"state": "running", "cluster_id": "3F1C-AB"}).cluster_id == "3f1c-ab"

    @pytest.mark.parametrize(
        ("first", "second", "third", "wrong"),
        [
            pytest.param({}, {}, {}, ["clusters[1]", "clusters[2]"], id="three-enabled"),
            pytest.param({}, {"enabled": False}, {"enabled": False}, [], id="one-enabled"),
            pytest.param({"enabled": False}, {}, {}, ["clusters[2]"], id="two-enabled"),
            pytest.param({"enabled": False}, {"enabled": False}, {"enabled": False}, [], id="none-enabled"),
        ],
    )
    def test_two_enabled_entries_for_one_id_are_refused(
        self, first: Dict[str, Any], second: Dict[str, Any], third: Dict[str, Any], wrong: List[str]
    ) -> None:
        ids = ("abc", "ABC", "aBc")
        clusters = [{"state": "running", "cluster_id": i, **c} for i, c in zip(ids, (first, second, third))]
        problems = messages_of(file_of(*clusters)) if wrong else []
        assert [p.split(".")[0] for p in problems] == wrong
        if not wrong:
            assert len(parse(file_of(*clusters)).clusters) == 3

    def test_entries_that_the_defaults_disable_may_share_an_id(self) -> None:
        clusters = [{"state": "running", "cluster_id": "abc"}] * 2
        assert len(parse(file_of(*clusters, defaults={"enabled": False})).clusters) == 2
        document = file_of(*[{**c, "enabled": True} for c in clusters], defaults={"enabled": False})
        assert len(messages_of(document)) == 1

    def test_a_name_in_another_case_is_another_name(self) -> None:
        clusters = [{"state": "running", "name": "dev"}, {"state": "running", "name": "Dev"}]
        assert [c.name for c in parse(file_of(*clusters)).clusters] == ["dev", "Dev"]

    @pytest.mark.parametrize("most", [None, 0, 200])
    def test_a_limit_of_none_is_not_a_limit_of_nothing(self, most: Optional[int]) -> None:
        limits = {} if most is None else {"max_stops_per_run": most}
        assert parse(file_of({"state": "running"}, limits=limits)).limits == Limits(most)


class TestWholeFile:
    def test_of_many_problems_no_more_than_200_are_told(self) -> None:
        wrong = [{"state": "running", "timezone": f"Nowhere/{n}"} for n in range(199)]
        assert len(messages_of(file_of(*wrong))) == 199
        found = messages_of(file_of(*wrong, *wrong))
        assert (len(found), found[-1]) == (
            201,
            "200 problems and perhaps more: correct these, then look for the others",
        )
        assert len(messages_of({"version": 1, "clusters": [{}] * 300})) == 201

    def test_a_file_may_have_just_2000_expressions(self) -> None:
        crons = [f"{n % 60} {n // 60 % 24} {n // 1440 + 1} * *" for n in range(2001)]
        clusters = [{"windows": [{"start": one, "stop": other}]} for one, other in zip(crons[::2], crons[1::2])]
        assert parse(file_of(*clusters, *clusters))
        assert messages_of(file_of(*clusters, {"windows": [{"start": crons[0], "stop": crons[2000]}]})) == [
            'clusters[1000].windows[0].stop: "20 9 2 * *" is one of more than 2000: let clusters share schedules'
        ]

    @pytest.mark.parametrize(
        ("key", "most", "entry"),
        [
            pytest.param("windows", 200, {"hours": "daily 08:00-20:00"}, id="windows"),
            pytest.param(
                "overrides",
                200,
                {"state": "running", "from": "2026-12-01T18:00Z", "until": "2026-12-02T02:00Z"},
                id="o",
            ),
        ],
    )
    def test_a_list_has_a_length_that_somebody_can_read(self, key: str, most: int, entry: Dict[str, str]) -> None:
        cluster: Dict[str, Any] = {"schedule": "office"} if key == "overrides" else {}
        schedules = {"office": OFFICE}
        assert parse(file_of({**cluster, key: [entry] * most}, schedules=schedules))
        for document in (
            file_of({**cluster, key: [entry] * (most + 1)}, schedules=schedules),
            file_of(cluster, schedules=schedules, defaults={key: [entry] * (most + 1)}),
        ):
            (message,) = messages_of(document)
            assert message.endswith(f"{key}: has 201 entries: write at most 200")

    @pytest.mark.parametrize(
        ("top", "obeyed"), [({}, False), ({"remote_overrides": False}, False), ({"remote_overrides": True}, True)]
    )
    def test_remote_overrides_are_obeyed_only_where_the_file_says_so(self, top: Dict[str, Any], obeyed: object) -> None:
        assert parse(file_of({"state": "running"}, **top)).remote_overrides is obeyed

    def test_there_are_no_prices_but_those_written(self) -> None:
        assert parse(file_of({"state": "running"})).prices is None
        written = {"currency": "USD", "per_hour": {"a": 0}}
        assert parse(file_of({"state": "running"}, prices=written)).prices == ("USD", {"a": Decimal(0)}, None)

    @pytest.mark.parametrize("text", ["0.1", "0.120", "12", "'0.12'", "0", "123456789.123456789"])
    def test_a_price_is_exactly_what_was_written(self, text: str) -> None:
        prices = f"prices: {{currency: EUR, per_hour: {{s7.large.4: {text}}}, control_plane_per_hour: {text}}}"
        content = f"version: 1\nclusters: [{{name: a, cluster_id: a, state: running}}]\n{prices}\n"
        found = parse_config(content.encode(), "f.yaml").prices
        assert found is not None
        (flavor,) = found.per_hour.values()
        assert (str(flavor), str(found.control_plane_per_hour)) == (text.strip("'"), text.strip("'"))


def _shuffle(data: Any, random: Random) -> Any:
    """Return equal data whose keys stand in another order."""
    if isinstance(data, dict):
        return {key: _shuffle(data[key], random) for key in random.sample(sorted(data), len(data))}
    return [_shuffle(item, random) for item in data] if isinstance(data, list) else data


def _data_of(file: Path) -> Any:
    return parse_document(file.read_bytes(), load_schema()).data


@settings(max_examples=25)
@given(st.integers(0, 10**9))
def test_the_order_of_keys_does_not_matter(seed: int) -> None:
    data = _data_of(EXAMPLES / "valid" / "every-key.yaml")
    shuffled = _shuffle(data, Random(seed))  # noqa: S311
    assert parse(shuffled) == parse(data)


@pytest.mark.parametrize("name", ["seven-mistakes", "wrong-types", "unknown-zones", "several-in-one-window", "dates"])
def test_the_order_of_keys_hides_no_problem(name: str) -> None:
    data = _data_of(EXAMPLES / "invalid" / f"{name}.yaml")
    for seed in range(5):
        assert sorted(messages_of(_shuffle(data, Random(seed)))) == sorted(messages_of(data))  # noqa: S311


@settings(max_examples=25)
@given(st.data())
def test_comments_and_blank_lines_change_nothing(data: st.DataObject) -> None:
    content = (EXAMPLES / "valid" / "every-key.yaml").read_bytes()
    lines = content.decode().split("\n")
    spread = "\n".join(line for _, line in _spread(lines, data))
    assert parse_config(spread.encode(), "f.yaml") == parse_config(content, "f.yaml")


@settings(max_examples=50)
@given(st.data())
def test_comments_and_blank_lines_move_only_lines(data: st.DataObject) -> None:
    names = [
        "seven-mistakes",
        "wrong-types",
        "unknown-keys",
        "dates",
        "override-of-several-mistakes",
        "tags",
        "merge-key",
    ]
    file = EXAMPLES / "invalid" / f"{data.draw(st.sampled_from(names))}.yaml"
    spread = _spread(file.read_text(encoding="utf-8").split("\n"), data)
    new_lines = {old: new for new, (old, _) in enumerate(spread, 1) if old}
    with pytest.raises(ConfigError) as before:
        parse_config(file.read_bytes(), "f.yaml")
    with pytest.raises(ConfigError) as after:
        parse_config("\n".join(line for _, line in spread).encode(), "f.yaml")
    assert after.value.problems == tuple(p._replace(line=new_lines[p.line]) for p in before.value.problems)


def _spread(lines: List[str], data: st.DataObject) -> "list[tuple[int, str]]":
    """Return lines with others between them that say nothing: each with its number from 1, or 0 if it is new."""
    spread = []
    for number, line in enumerate(lines, 1):
        new = data.draw(st.lists(st.sampled_from(["", "   ", "# version: 2", "      # - [ {"]), max_size=2))
        spread += [(0, text) for text in new]
        spread.append((number, line))
    return spread
