"""What an edit changes: exactly the transitions that differ, and clusters that come or go."""

from datetime import datetime, timedelta
from random import Random
from typing import List, Optional, Tuple

import pytest

from scheduler.compare import Change, ChangeKind, Comparison, compare_schedules, transitions_in
from scheduler.model import Cluster, ClusterId, OnExcludedDates, Override, Schedules, State, Timing, Window
from tests.oracle_cases import to_cluster, utc
from tests.schedule_strategies import interesting_instants, random_spec

MONDAY = utc("2026-11-23T00:00+00:00")
TUESDAY = MONDAY + timedelta(days=1)
WEEK = timedelta(days=7)
Row = Tuple[str, str, Optional[str], Optional[str]]


def timing(start: str = "0 8 * * mon-fri", stop: str = "0 20 * * mon-fri") -> Timing:
    return Timing("UTC", windows=(Window(start, stop),))


def cluster(name: str = "dev", when: Optional[Timing] = None, *, enabled: bool = True) -> Cluster:
    return Cluster(name, ClusterId(name), when or timing(), enabled=enabled)


def compare(old: Cluster, new: Cluster, start: datetime = MONDAY, end: datetime = TUESDAY) -> Comparison:
    return compare_schedules(Schedules((old,)), Schedules((new,)), start, end)


def rows(found: Comparison) -> List[Row]:
    def at(change: Change, *, was: bool) -> Optional[str]:
        transition = change.was if was else change.becomes
        return f"{transition.at:%H:%M}" if transition else None

    return [(c.kind.value, c.shown.after.value, at(c, was=True), at(c, was=False)) for c in found.changes]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        pytest.param(timing(), [], id="nothing"),
        pytest.param(timing("0 7 * * mon-fri"), [("moves", "running", "08:00", "07:00")], id="an earlier start"),
        pytest.param(timing(stop="0 22 * * *"), [("moves", "stopped", "20:00", "22:00")], id="a later stop"),
        pytest.param(
            timing("0 8 * * tue-fri", "0 20 * * tue-fri"),
            [("vanishes", "running", "08:00", None), ("vanishes", "stopped", "20:00", None)],
            id="a day less",
        ),
        pytest.param(
            timing()._replace(windows=(*timing().windows, Window("0 21 * * *", "0 23 * * *"))),
            [("appears", "running", None, "21:00"), ("appears", "stopped", None, "23:00")],
            id="a window more",
        ),
        pytest.param(
            timing()._replace(windows=(Window("0 8 * * *", "0 12 * * *"), Window("0 13 * * *", "0 20 * * *"))),
            [("appears", "stopped", None, "12:00"), ("appears", "running", None, "13:00")],
            id="a pause",
        ),
        pytest.param(
            timing()._replace(windows=(Window("0 1 * * *", "0 2 * * *"), Window("0 9 * * *", "0 20 * * *"))),
            [
                ("appears", "running", None, "01:00"),
                ("appears", "stopped", None, "02:00"),
                ("moves", "running", "08:00", "09:00"),
            ],
            id="of two starts the nearer one moved",
        ),
        pytest.param(
            timing()._replace(excluded_dates={"2026-11-23": ""}, on_excluded_dates=OnExcludedDates.UNMANAGED),
            [
                ("appears", "unmanaged", None, "00:00"),
                ("vanishes", "running", "08:00", None),
                ("vanishes", "stopped", "20:00", None),
            ],
            id="an excluded date",
        ),
        pytest.param(
            timing("0 20 * * *", "0 8 * * *"),
            [
                ("appears", "stopped", None, "08:00"),
                ("vanishes", "running", "08:00", None),
                ("appears", "running", None, "20:00"),
                ("vanishes", "stopped", "20:00", None),
            ],
            id="half a day is too far for a move",
        ),
    ],
)
def test_tells_exactly_what_an_edit_changes(new: Timing, expected: List[Row]) -> None:
    assert sorted(rows(compare(cluster(), cluster(when=new))), key=repr) == sorted(expected, key=repr)


def test_another_state_at_the_start_is_told_though_there_is_no_transition() -> None:
    found = compare(cluster(when=Timing("UTC", State.RUNNING)), cluster(when=Timing("UTC", State.STOPPED)))
    assert not found.changes
    assert [(b.cluster.name, b.was, b.becomes) for b in found.beginnings] == [("dev", State.RUNNING, State.STOPPED)]
    assert not found.is_empty


def test_a_cluster_that_is_disabled_begins_unmanaged() -> None:
    found = compare(cluster(), cluster(enabled=False))
    assert [b.becomes for b in found.beginnings] == [State.UNMANAGED]
    assert [c.kind for c in found.changes] == [ChangeKind.VANISHES, ChangeKind.VANISHES]


def test_clusters_that_come_and_go_are_named_without_their_transitions() -> None:
    old, new = Schedules((cluster("a"), cluster("b"))), Schedules((cluster("c"), cluster("b")))
    found = compare_schedules(old, new, MONDAY, TUESDAY)
    assert [b.cluster.name for b in found.added] == ["c"]
    assert [b.cluster.name for b in found.removed] == ["a"]
    assert not found.changes
    assert compare_schedules(old, old, MONDAY, TUESDAY).is_empty


def test_the_first_moment_belongs_to_the_span_and_the_last_does_not() -> None:
    start, end = MONDAY + timedelta(hours=8), MONDAY + timedelta(hours=20)
    found = compare(cluster(when=Timing("UTC", State.STOPPED)), cluster(), start, end)
    assert rows(found) == [("appears", "running", None, "08:00")]
    assert not found.beginnings


def test_a_reason_alone_is_no_change() -> None:
    override = Override(State.STOPPED, MONDAY, MONDAY + timedelta(hours=4), "maintenance")
    assert compare(cluster(), cluster(when=timing()._replace(overrides=(override,)))).is_empty


def test_the_changes_turn_the_old_transitions_into_the_new_ones_on_random_schedules() -> None:
    rng = Random(41)  # noqa: S311 - a reproducible search
    kinds = set()
    for _ in range(120):
        spec = random_spec(rng)
        old = to_cluster(spec)
        windows = to_cluster(random_spec(rng)).timing
        new = rng.choice(
            (
                old._replace(timing=old.timing._replace(overrides=())),
                old._replace(timing=old.timing._replace(excluded_dates={})),
                old._replace(timing=old.timing._replace(enforce_s=None if not old.timing.is_one_sided else 7200)),
                old._replace(timing=windows._replace(timezone=spec.zone)),
            )
        )
        start = interesting_instants(rng, spec, 1)[0]
        found = compare(old, new, start, start + WEEK)
        was = {(t.at, t.after) for t in transitions_in(old, start, start + WEEK)}
        becomes = {(t.at, t.after) for t in transitions_in(new, start, start + WEEK)}
        gone = [(c.was.at, c.was.after) for c in found.changes if c.was]
        come = [(c.becomes.at, c.becomes.after) for c in found.changes if c.becomes]
        assert (len(gone), len(come)) == (len(set(gone)), len(set(come)))
        assert (set(gone), set(come)) == (was - becomes, becomes - was), (spec, start)
        for change in found.changes:
            kinds.add(change.kind)
            if change.was and change.becomes:
                assert change.was.after is change.becomes.after
                assert abs(change.was.at - change.becomes.at) < timedelta(hours=12)
    assert kinds == set(ChangeKind)
