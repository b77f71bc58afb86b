"""The chain behind a desired state: its result is the evaluator's, and its links are consistent with it."""

from datetime import datetime
from random import Random
from typing import Iterator, List, Tuple

import pytest

from scheduler.evaluate import desired_state
from scheduler.explain import decide_steps, explain_state
from scheduler.model import Cluster, ClusterId, OnExcludedDates, Override, State, Timing, Window
from tests.oracle_cases import to_cluster, utc
from tests.schedule_strategies import interesting_instants, random_spec

OFFICE = (Window("0 8 * * mon-fri", "0 20 * * mon-fri"),)
KINDS = {"windows": "window"}


def random_questions(seed: int, count: int) -> Iterator[Tuple[Cluster, datetime]]:
    rng = Random(seed)  # noqa: S311 - a reproducible search
    for _ in range(count):
        spec = random_spec(rng)
        for at in interesting_instants(rng, spec, 4):
            yield to_cluster(spec)._replace(enabled=rng.random() < 0.95), at


def test_the_chain_ends_in_the_desired_state_on_random_schedules() -> None:
    seen = set()
    for cluster, at in random_questions(seed=31, count=250):
        found = explain_state(cluster, at)
        deciding = decide_steps(found.steps)
        desired = desired_state(cluster, at)
        assert deciding.asks is desired.state, (cluster, at)
        assert KINDS.get(deciding.kind, deciding.kind) == desired.rule.kind, (cluster, at)
        assert found.desired == desired
        if desired.rule.kind == "override":
            assert deciding.position == desired.rule.position, (cluster, at)
        seen.add(desired.rule.kind)
    assert seen == {"enabled", "override", "excluded_date", "window", "state", "enforce"}


def test_each_window_agrees_with_what_they_come_to_on_random_schedules() -> None:
    for cluster, at in random_questions(seed=32, count=200):
        steps = explain_state(cluster, at).steps
        asked = [step.asks for step in steps if step.kind == "window"]
        joined = next((step.asks for step in steps if step.kind == "windows"), None)
        if joined is None:
            assert not asked
        elif not cluster.timing.is_one_sided:
            assert (State.RUNNING in asked) is (joined is State.RUNNING), (cluster, at)
        elif joined is State.RUNNING:
            assert State.RUNNING in asked, (cluster, at)


def test_the_events_of_a_window_lie_on_either_side_and_explain_its_state_on_random_schedules() -> None:
    for cluster, at in random_questions(seed=33, count=200):
        for step in explain_state(cluster, at).steps:
            part = step.window
            if part is None:
                continue
            assert all(newest is None or newest <= at for newest in (part.newest_start, part.newest_stop))
            assert all(later is None or later > at for later in (part.next_start, part.next_stop))
            if part.newest_start and part.newest_stop and part.newest_start != part.newest_stop:
                assert (part.state is State.RUNNING) is (part.newest_start > part.newest_stop), (cluster, at)
            if part.skipped is not None:
                assert part.skipped.local.date().isoformat() in cluster.timing.excluded_dates
                assert part.newest_start is None or part.skipped.at >= part.newest_start


def texts(timing: Timing, at: str) -> List[Tuple[str, str, str]]:
    found = explain_state(Cluster("dev", ClusterId("a"), timing), utc(at))
    return [(step.kind, step.asks.value if step.asks else "-", step.text) for step in found.steps]


def test_tells_the_whole_chain() -> None:
    override = Override(State.RUNNING, utc("2026-11-23T21:00+00:00"), utc("2026-11-23T22:00+00:00"), "release")
    timing = Timing("UTC", windows=OFFICE, overrides=(override,), enforce_s=3600)
    assert texts(timing, "2026-11-23T21:30+00:00") == [
        ("window", "stopped", "mon-fri 08:00-20:00 UTC"),
        ("windows", "stopped", "no window runs"),
        ("excluded_date", "-", "2026-11-23 is not an excluded date"),
        (
            "override",
            "running",
            'active "release": running from Mon 2026-11-23 21:00 until Mon 2026-11-23 22:00',
        ),
        ("enforce", "-", "1h: not asked while an override or an excluded date decides"),
        ("enabled", "-", "enabled: true"),
    ]
    assert texts(timing, "2026-11-23T22:30+00:00")[3:5] == [
        ("override", "-", 'ended "release": running from Mon 2026-11-23 21:00 until Mon 2026-11-23 22:00'),
        ("enforce", "-", "1h after Mon 2026-11-23 22:00: until Mon 2026-11-23 23:00"),
    ]
    assert texts(timing, "2026-11-23T20:59+00:00")[3][2].startswith("not yet ")
    assert texts(timing, "2026-11-23T23:00+00:00")[4] == (
        "enforce",
        "unmanaged",
        "1h after Mon 2026-11-23 22:00: ended Mon 2026-11-23 23:00",
    )


@pytest.mark.parametrize(
    ("what", "asks", "text"),
    [
        (OnExcludedDates.NO_START, "-", "2026-11-23 is an excluded date (holidays): no window starts on it"),
        (OnExcludedDates.STOPPED, "stopped", "2026-11-23 is an excluded date (holidays): stopped all day"),
        (OnExcludedDates.UNMANAGED, "unmanaged", "2026-11-23 is an excluded date (holidays): unmanaged all day"),
    ],
)
def test_tells_what_an_excluded_date_does(what: OnExcludedDates, asks: str, text: str) -> None:
    timing = Timing("UTC", windows=OFFICE, excluded_dates={"2026-11-23": "holidays"}, on_excluded_dates=what)
    assert ("excluded_date", asks, text) in texts(timing, "2026-11-23T12:00+00:00")


def test_names_the_start_that_an_excluded_date_took() -> None:
    timing = Timing("UTC", windows=OFFICE, excluded_dates={"2026-11-23": ""})
    part = explain_state(Cluster("dev", ClusterId("a"), timing), utc("2026-11-23T12:00+00:00")).steps[0].window
    assert part is not None
    assert part.skipped is not None
    assert part.skipped.at == utc("2026-11-23T08:00+00:00")
    assert part.newest_start == utc("2026-11-20T08:00+00:00")


def test_a_constant_state_has_no_windows() -> None:
    assert texts(Timing("UTC", State.STOPPED, enforce_s=3600), "2026-11-23T12:00+00:00") == [
        ("state", "stopped", "state: stopped"),
        ("excluded_date", "-", "2026-11-23 is not an excluded date"),
        ("enforce", "-", "always: a constant state is"),
        ("enabled", "-", "enabled: true"),
    ]


def test_names_the_windows_that_run() -> None:
    timing = Timing("UTC", windows=(*OFFICE, Window("0 0 * * *", "0 9 * * *"), Window("0 7 * * *", "0 21 * * *")))
    assert texts(timing, "2026-11-23T08:30+00:00")[3] == ("windows", "running", "windows 1, 2, 3 of 3 running")
    assert texts(timing, "2026-11-23T20:30+00:00")[3] == ("windows", "running", "window 3 of 3 running")


def test_a_one_sided_window_that_never_fired_asks_for_nothing() -> None:
    days = dict.fromkeys(("2016-02-29", "2020-02-29", "2024-02-29"), "")
    windows = (Window("0 0 29 2 *", None), Window("0 8 * * *", None))
    timing = Timing("UTC", windows=windows, excluded_dates=days, enforce_s=3600)
    found = explain_state(Cluster("dev", ClusterId("a"), timing), utc("2025-11-23T08:30+00:00"))
    assert [step.asks for step in found.steps[:3]] == [None, State.RUNNING, State.RUNNING]
