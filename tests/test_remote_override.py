"""Overrides that are tags: read exactly, or not at all."""

from datetime import datetime, timedelta, timezone
from typing import Dict, Optional

import pytest

from scheduler.errors import InputError
from scheduler.evaluate import desired_state
from scheduler.model import State
from scheduler.remote_override import OVERRIDE_TAG, read_override, with_override, write_override
from tests.scenes import NOW, make_cluster

UNTIL = NOW + timedelta(hours=3)


def tags(value: str) -> Dict[str, str]:
    return {"owner": "platform", OVERRIDE_TAG: value}


@pytest.mark.parametrize("state", list(State))
def test_what_is_written_is_read(state: State) -> None:
    override = read_override(tags(write_override(state, UNTIL)), NOW)
    assert override is not None
    assert (override.state, override.end) == (state, UNTIL)


@pytest.mark.parametrize(
    "value",
    ["running@2026-12-01T15:00:00Z", "running@2026-12-01T22:00:00+07:00", " Running @ 2026-12-01T15:00Z "],
)
def test_reads_what_a_person_writes(value: str) -> None:
    override = read_override(tags(value), NOW)
    assert override is not None
    assert (override.state, override.end) == (State.RUNNING, datetime(2026, 12, 1, 15, tzinfo=timezone.utc))


@pytest.mark.parametrize(
    "value",
    [
        *("", "running", "running@", "@2026-12-01T15:00:00Z", "on@2026-12-01T15:00:00Z", "running@tonight"),
        *("running@2026-12-01", "running@2026-12-01T15:00:00", "running@15:00", "running 2026-12-01T15:00:00Z"),
        *("running@0001-01-01T00:00:00+14:00", "running@2026-12-01T15:00:00Z@"),
        # Before anything that could have been meant; some zones cannot even show it.
        *("running@0001-01-01T00:00:00Z", "running@1989-12-31T23:59:59Z", "running@1990-01-01T00:00:00Z"),
        # What only some versions of Python would read.
        *("running@20261201T150000Z", "running@2026-12-01T15:00:00+0700", "running@2026-12-01T15:00:00+07"),
        *("running@2026-12-01T15:00:00.5Z", "running@2026-W49-2T15:00:00Z", "running@2026-12-01T15:00:00 +07:00"),
    ],
)
def test_refuses_what_cannot_be_read(value: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read: write a state and until when"):
        read_override(tags(value), NOW)


def test_an_example_is_one_that_could_be_written_now_and_nothing_in_it_reaches_a_terminal() -> None:
    with pytest.raises(InputError) as raised:
        read_override(tags("stopped\x1b[2J\n"), NOW)
    assert str(raised.value).isprintable()
    example = read_override(tags(str(raised.value).rpartition(" ")[2]), NOW)
    assert example is not None
    assert example.end == NOW + timedelta(hours=3)


@pytest.mark.parametrize(("days", "refused"), [(7, False), (7.001, True), (8, True), (400, True)])
def test_refuses_what_lies_far_ahead(days: float, refused: bool) -> None:  # noqa: FBT001
    text = write_override(State.RUNNING, NOW + timedelta(days=days))
    if refused:
        with pytest.raises(InputError, match="over 7 days ahead"):
            read_override(tags(text), NOW)
    else:
        assert read_override(tags(text), NOW)


@pytest.mark.parametrize("found", [{}, {"owner": "platform"}])
def test_no_tag_is_no_override(found: Dict[str, str]) -> None:
    assert read_override(found, NOW) is None


def test_tags_that_are_missing_may_hold_one() -> None:
    with pytest.raises(InputError, match="missing from the answer"):
        read_override(None, NOW)


@pytest.mark.parametrize(
    ("at", "expected", "since", "until"),
    [
        pytest.param(NOW, State.RUNNING, None, UNTIL, id="while it lasts"),
        pytest.param(UNTIL - timedelta(seconds=1), State.RUNNING, None, UNTIL, id="to its last second"),
        pytest.param(UNTIL, State.STOPPED, UNTIL, None, id="no longer"),
        pytest.param(UNTIL + timedelta(days=2), State.STOPPED, UNTIL, None, id="after it has ended"),
    ],
)
def test_decides_until_it_ends(
    at: datetime, expected: State, since: Optional[datetime], until: Optional[datetime]
) -> None:
    override = read_override(tags(write_override(State.RUNNING, UNTIL)), NOW)
    assert override is not None
    found = desired_state(with_override(make_cluster(), override), at)
    assert (found.state, found.since, found.until) == (expected, since, until)
