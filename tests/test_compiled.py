import json
from datetime import date, datetime
from pathlib import Path
from typing import Any, Dict

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from scheduler.compiled import read_compiled, write_compiled
from scheduler.config import load_config, parse_config
from scheduler.errors import ConfigError
from scheduler.evaluate import desired_state
from scheduler.model import CalendarsEnd, Cluster, Function, Schedules
from tests.oracle_cases import utc
from tests.schedule_strategies import files

_TEXT = b"""
version: 1
timezone: Asia/Bangkok
calendars: {year-end: {dates: [2026-12-28..2027-01-02]}}
schedules:
  office: {windows: [{start: "0 8 * * mon-fri", stop: "0 20 * * mon-fri"}, {hours: "Sat 10:00-16:00"}]}
clusters:
  - name: dev
    cluster_id: 3f1c
    schedule: office
    stop_type: HARD
    exclude: {servers: ["bastion-*"], tags: [keep, owner=platform], dates: [year-end, 2026-12-05]}
    on_excluded_dates: stopped
    overrides: [{state: running, from: 2026-12-01T18:00, until: 2026-12-02T02:00, reason: release night}]
  - {name: test, cluster_id: 8b7e, schedule: office, region: ap-southeast-2, project_id: p1}
  - {name: batch, cluster_id: c05d, schedule: office, enforce: 2h, stop_prepaid: true}
  - {name: night, cluster_id: d16e, windows: [{stop: "0 20 * * *"}]}
  - {name: db, cluster_id: e27f, state: running, enabled: false}
limits: {max_stops_per_run: 5}
"""


def _same(ours: object, theirs: object) -> bool:
    """Whether two values are equal and of the same types all the way down: a text equals the enum member it names."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return _same(tuple(ours.items()), tuple(theirs.items()))
    return ours == theirs and (not isinstance(ours, datetime) or ours.tzinfo is getattr(theirs, "tzinfo", None))


def _read_back(schedules: Schedules) -> Schedules:
    read = read_compiled(write_compiled(schedules, [_TEXT]), [_TEXT])
    assert read is not None
    return read


@settings(max_examples=60)
@given(files(), st.booleans())
def test_what_was_compiled_is_read_back_as_it_was(data: Dict[str, Any], has_holidays: bool) -> None:  # noqa: FBT001
    try:
        schedules = parse_config(json.dumps(data).encode(), "f.yaml")
    except ConfigError as e:
        assert {p.message.partition(",")[0] for p in e.problems} <= {"start and stop are equal"}  # noqa: PT017
        reject()
    if has_holidays:
        end = CalendarsEnd(date(2029, 12, 31), utc("2029-12-31T17:00:00+00:00"))
        clusters = (c._replace(timing=c.timing._replace(calendars_end=end)) for c in schedules.clusters)
        schedules = schedules._replace(clusters=tuple(clusters))
    kept = schedules._replace(function=Function(every_s=schedules.function.every_s), prices=None)
    assert _same(_read_back(schedules), kept)


def test_every_setting_survives_compiling() -> None:
    """The generated files above may leave a setting out; this one has them all, none of them the default."""
    file = Path(__file__).parent / "examples" / "valid" / "every-key.yaml"
    schedules = load_config(file)
    read = _read_back(schedules)
    assert _same(read.clusters, schedules.clusters)
    assert (read.function.every_s, read.remote_overrides, read.prices) == (600, True, None)
    assert all(
        getattr(cluster, field) != default
        for cluster in read.clusters[:1]
        for field, default in Cluster._field_defaults.items()
        if field not in ("stop_type", "stop_prepaid", "enabled")
    )


def test_clusters_on_equal_timings_still_share_one() -> None:
    clusters = _read_back(parse_config(_TEXT, "")).clusters
    assert len({id(c.timing) for c in clusters}) == len({id(c.timing) for c in parse_config(_TEXT, "").clusters})


def test_what_was_compiled_desires_the_same() -> None:
    schedules = parse_config(_TEXT, "")
    read = _read_back(schedules)
    for text in ("2026-12-01T19:00:00+07:00", "2026-12-05T12:00:00+07:00", "2026-12-12T12:00:00+07:00"):
        ours, theirs = ([desired_state(c, utc(text)) for c in s.clusters] for s in (schedules, read))
        assert ours == theirs


def test_equal_files_compile_to_equal_bytes() -> None:
    assert write_compiled(parse_config(_TEXT, "a"), [_TEXT]) == write_compiled(parse_config(_TEXT, "b"), [_TEXT])


@pytest.mark.parametrize(
    ("content", "sources"),
    [
        pytest.param(None, [_TEXT + b" "], id="the file was edited"),
        pytest.param(None, [_TEXT, b"{}"], id="another file joined it"),
        pytest.param(None, [_TEXT[:9], _TEXT[9:]], id="the same bytes in other files"),
        pytest.param(b"", [_TEXT], id="empty"),
        pytest.param(b"[]", [_TEXT], id="not an object"),
        pytest.param(b'{"digest": "x"}', [_TEXT], id="no fields"),
    ],
)
def test_nothing_is_read_of_what_was_compiled_from_something_else(
    content: "bytes | None", sources: "list[bytes]"
) -> None:
    compiled = write_compiled(parse_config(_TEXT, ""), [_TEXT]) if content is None else content
    assert read_compiled(compiled, sources) is None


def test_nothing_is_read_of_what_another_release_compiled() -> None:
    compiled = json.loads(write_compiled(parse_config(_TEXT, ""), [_TEXT]))
    compiled["fields"][3].append("colour")
    assert read_compiled(json.dumps(compiled).encode(), [_TEXT]) is None
