"""What time does to a plan: when a stop that hangs becomes a hard one, and when a server is overdue."""

from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, Optional

import pytest

from scheduler.model import (
    Action,
    Cluster,
    Desired,
    Exclude,
    Hold,
    HoldKind,
    Power,
    Rule,
    Server,
    State,
    StopType,
    Timing,
)
from scheduler.plan import ELSEWHEN, Members, Moment, decide, find_overdue, overdue_limit_s
from tests.scenes import DEV, TEST, make_cluster, make_server

RUNNING, STOPPED, UNMANAGED = State.RUNNING, State.STOPPED, State.UNMANAGED
EVENING = datetime(2026, 12, 1, 20, tzinfo=timezone.utc)
"""When the cluster should have stopped."""
HANGING: Dict[str, Any] = {"status": "ACTIVE", "task_state": "powering-off"}
OFF: Dict[str, Any] = {"status": "SHUTOFF"}
ON: Dict[str, Any] = {"status": "ACTIVE"}


def clock(hours: int, minutes: int = 0, seconds: int = 0) -> datetime:
    return EVENING.replace(hour=0) + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def written(at: Optional[datetime]) -> Optional[str]:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else None


def decided(  # noqa: PLR0913 - what a decision hangs on
    cluster: Cluster,
    server: Server,
    now: Optional[datetime],
    *,
    state: State = STOPPED,
    since: Optional[datetime] = EVENING,
    claims: "tuple[str, ...]" = (DEV,),
) -> Any:
    desired = Desired(state, "", Rule("window"), since, None)
    return decide(cluster, desired, server, Members({}, {server.server_id: claims}), Moment(now, 300))


# hard_after


@pytest.mark.parametrize(
    ("now", "updated", "is_hard"),
    [
        pytest.param(clock(20), clock(20), False, id="at the transition itself"),
        pytest.param(clock(20, 29, 59), clock(20), False, id="a second too early"),
        pytest.param(clock(20, 30), clock(20), True, id="just then"),
        pytest.param(clock(20, 30), clock(20, 5), False, id="counted from the server's own change"),
        pytest.param(clock(20, 34, 59), clock(20, 5), False, id="a second too early, from the change"),
        pytest.param(clock(20, 35), clock(20, 5), True, id="just then, from the change"),
        pytest.param(clock(20, 29), clock(19), False, id="a person's stop that hung before the transition"),
        pytest.param(clock(20, 30), clock(19), True, id="a person's stop, from the transition"),
        pytest.param(clock(23, 20), clock(23), False, id="begun at 23:00, long after the transition"),
        pytest.param(clock(23, 30), clock(23), True, id="begun at 23:00, and hanging"),
        pytest.param(clock(23), None, False, id="its change is not known"),
        pytest.param(clock(20, 30), clock(22), False, id="changed in the future: clocks differ"),
        pytest.param(None, clock(19), False, id="a look at another time"),
    ],
)
def test_a_stop_that_hangs_becomes_a_hard_one(
    now: Optional[datetime],
    updated: Optional[datetime],
    is_hard: bool,  # noqa: FBT001
) -> None:
    found = decided(make_cluster(hard_after_s=1800), make_server(**HANGING, updated=written(updated)), now)
    if is_hard:
        assert found == Action(Power.STOP_HARD, found.server)
    else:
        assert (found.kind, found.reason) == (HoldKind.STOPPING, "powering off")


@pytest.mark.parametrize("updated", ["", "yesterday", "2026-13-01T00:00:00Z"])
def test_a_change_that_cannot_be_read_never_cuts_the_power(updated: str) -> None:
    assert isinstance(decided(make_cluster(hard_after_s=60), make_server(**HANGING, updated=updated), clock(23)), Hold)


def test_without_hard_after_a_stop_may_hang_for_ever() -> None:
    server = make_server(**HANGING, updated=written(clock(1)))
    assert isinstance(decided(make_cluster(), server, clock(23)), Hold)
    assert isinstance(decided(make_cluster(stop_type=StopType.HARD), server, clock(23)), Hold)


@pytest.mark.parametrize(("now", "is_hard"), [(clock(12, 29, 59), False), (clock(12, 30), True)], ids=str)
def test_under_a_constant_state_it_counts_from_the_change(now: datetime, is_hard: bool) -> None:  # noqa: FBT001
    server = make_server(**HANGING, updated=written(clock(12)))
    found = decided(make_cluster(hard_after_s=1800), server, now, since=None)
    assert isinstance(found, Action) is is_hard


@pytest.mark.parametrize("updated", [written(clock(1)), written(clock(23)), None], ids=str)
def test_a_server_that_was_never_asked_is_asked_softly_however_late(updated: Optional[str]) -> None:
    """One started by hand at 23:00 is shut down as if the evening had just come."""
    found = decided(make_cluster(hard_after_s=1800), make_server(**ON, updated=updated), clock(23, 59))
    assert found.power is Power.STOP_SOFT


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        pytest.param({"fields": {"locked": True}}, HoldKind.LOCKED, id="locked"),
        pytest.param({"fields": {"frozen": True}}, HoldKind.FROZEN, id="frozen"),
        pytest.param({"exclude": Exclude(servers=("node-*",))}, HoldKind.EXCLUDED, id="excluded"),
        pytest.param({"fields": {"tags": ["cce-scheduler=off"]}}, HoldKind.EXCLUDED, id="tagged off"),
        pytest.param({"claims": (DEV, TEST)}, HoldKind.CLAIMED, id="claimed by two clusters"),
        pytest.param({"fields": {"charging_mode": "1"}}, HoldKind.STOPPING, id="prepaid"),
        pytest.param({"fields": {"charging_mode": None}}, HoldKind.STOPPING, id="perhaps prepaid"),
        pytest.param({"state": RUNNING}, HoldKind.IN_TRANSITION, id="to be running"),
        pytest.param({"state": UNMANAGED}, HoldKind.UNMANAGED, id="unmanaged"),
        pytest.param({"fields": {"status": "SHUTOFF"}}, HoldKind.IN_TRANSITION, id="off already"),
        pytest.param({"fields": {"task_state": "deleting"}}, HoldKind.IN_TRANSITION, id="being deleted"),
        pytest.param({"fields": {"status": "REBOOT"}}, HoldKind.IN_TRANSITION, id="rebooting"),
        pytest.param({"fields": {"status": "ERROR"}}, HoldKind.NEEDS_PERSON, id="broken"),
    ],
)
def test_cuts_the_power_of_nothing_that_it_would_not_stop(scene: Dict[str, Any], kind: HoldKind) -> None:
    server = make_server(**{**HANGING, "updated": written(clock(19)), **scene.get("fields", {})})
    cluster = make_cluster(hard_after_s=60, exclude=scene.get("exclude", Exclude()))
    more = {key: scene[key] for key in ("state", "claims") if key in scene}
    found = decided(cluster, server, clock(23), **more)
    assert isinstance(found, Hold)
    assert found.kind is kind


def test_with_stop_prepaid_it_cuts_the_power_of_prepaid_ones_too() -> None:
    server = make_server(**HANGING, updated=written(clock(19)), charging_mode="1")
    assert isinstance(decided(make_cluster(hard_after_s=60, stop_prepaid=True), server, clock(23)), Action)


# overdue_after


def overdue(  # noqa: PLR0913 - what a delay hangs on
    cluster: Cluster,
    server: Server,
    now: Optional[datetime],
    *,
    state: State = STOPPED,
    since: Optional[datetime] = EVENING,
    claims: "tuple[str, ...]" = (DEV,),
    every_s: int = 300,
    rule: str = "window",
) -> Optional[int]:
    """Return for how many seconds a server is overdue, None if it is not."""
    desired = Desired(state, "", Rule(rule), since, None)
    found: List[Any] = [decided(cluster, server, now, state=state, since=since, claims=claims)]
    late = list(find_overdue(cluster, desired, found, Moment(now, every_s)))
    assert [o.server for o in late] == [server] * len(late)
    return late[0].for_s if late else None


@pytest.mark.parametrize(
    ("scene", "is_ever"),
    [
        pytest.param({"status": "ERROR"}, True, id="row 5: broken"),
        pytest.param({"status": "SHELVED"}, True, id="row 5: shelved"),
        pytest.param({"status": None}, True, id="row 5: no status"),
        pytest.param(HANGING, True, id="row 6: powering off"),
        pytest.param({**ON, "task_state": "rebooting"}, True, id="row 7: a task"),
        pytest.param({"status": "REBUILD"}, True, id="row 7: a passing status"),
        pytest.param({"state": RUNNING, **OFF}, True, id="row 10: to be started"),
        pytest.param(ON, True, id="row 11: to be stopped"),
        pytest.param({**ON, "frozen": True}, True, id="frozen"),
        pytest.param({"state": UNMANAGED, **ON}, False, id="row 1: unmanaged"),
        pytest.param({**ON, "tags": ["cce-scheduler=off"]}, False, id="row 2: excluded"),
        pytest.param({**ON, "claims": (DEV, TEST)}, False, id="row 3: claimed twice"),
        pytest.param({**ON, "locked": True}, False, id="row 4: locked"),
        pytest.param({"status": "ERROR", "locked": True}, False, id="locked and broken"),
        pytest.param(OFF, False, id="row 8: as desired, off"),
        pytest.param({**OFF, "frozen": True}, False, id="row 4: frozen, and as desired, off"),
        pytest.param({**ON, "frozen": True, "state": RUNNING}, False, id="row 4: frozen, and as desired, on"),
        pytest.param({"state": RUNNING, **ON}, False, id="row 8: as desired, on"),
        pytest.param({**ON, "charging_mode": "1"}, False, id="row 9: prepaid"),
        pytest.param({**ON, "charging_mode": None}, False, id="row 9: perhaps prepaid"),
        pytest.param({**HANGING, "charging_mode": "1"}, False, id="prepaid and powering off"),
        pytest.param({"status": "ERROR", "charging_mode": "1"}, False, id="prepaid and broken, to be stopped"),
        pytest.param(
            {"state": RUNNING, "status": "ERROR", "charging_mode": "1"}, True, id="prepaid and broken, to be running"
        ),
        pytest.param({"state": RUNNING, **OFF, "charging_mode": "1"}, True, id="prepaid, to be started"),
    ],
)
def test_is_overdue_half_an_hour_after_the_transition(scene: Dict[str, Any], is_ever: bool) -> None:  # noqa: FBT001
    scene = dict(scene)
    asked = {key: scene.pop(key) for key in ("state", "claims") if key in scene}
    server = make_server(**scene)
    assert overdue(make_cluster(), server, clock(20, 29, 59), **asked) is None
    assert overdue(make_cluster(), server, clock(20, 30), **asked) == (1800 if is_ever else None)
    assert overdue(make_cluster(), server, clock(23), **asked) == (3 * 3600 if is_ever else None)
    assert overdue(make_cluster(), server, None, **asked) is None


def test_one_that_has_its_reason_hides_no_late_one() -> None:
    desired = Desired(STOPPED, "", Rule("window"), EVENING, None)
    late = make_server(1, **HANGING)
    others = [
        make_server(2, status="ERROR", charging_mode="1"),
        make_server(3, locked=True),
        make_server(5, frozen=True, **OFF),
        make_server(4, created=written(clock(22, 59)), **HANGING),
    ]
    found: List[Any] = [decided(make_cluster(), server, clock(23)) for server in (*others, late)]
    overdue = find_overdue(make_cluster(), desired, found, Moment(clock(23), 300))
    assert [o.server for o in overdue] == [late]


def test_a_frozen_server_is_named_as_such() -> None:
    server = make_server(frozen=True, **ON)
    found: List[Any] = [decided(make_cluster(), server, clock(23))]
    desired = Desired(STOPPED, "", Rule("window"), EVENING, None)
    (late,) = find_overdue(make_cluster(), desired, found, Moment(clock(23), 300))
    assert late.text == "node-1 is ACTIVE, frozen"


@pytest.mark.parametrize(
    ("created", "now", "for_s"),
    [
        pytest.param(clock(1), clock(20, 30), 1800, id="an old server"),
        pytest.param(clock(20, 10), clock(20, 39, 59), None, id="made after the transition"),
        pytest.param(clock(20, 10), clock(20, 40), 1800, id="made after the transition, and late"),
        pytest.param(None, clock(20, 30), 1800, id="nobody knows when it was made"),
    ],
)
def test_a_server_that_is_younger_than_the_transition_has_its_time(
    created: Optional[datetime], now: datetime, for_s: Optional[int]
) -> None:
    assert overdue(make_cluster(), make_server(**ON, created=written(created)), now) == for_s


@pytest.mark.parametrize(
    ("updated", "for_s"),
    [
        pytest.param(clock(19, 30, 1), None, id="changed lately"),
        pytest.param(clock(19, 30), 1800, id="changed half an hour ago"),
        pytest.param(None, None, id="nobody knows when it changed"),
    ],
)
def test_under_a_constant_state_the_last_change_counts(updated: Optional[datetime], for_s: Optional[int]) -> None:
    server = make_server(**ON, updated=written(updated), created=written(clock(1)))
    assert overdue(make_cluster(), server, clock(20), since=None) == for_s
    # So it does after an override, which ended long before the server was changed.
    assert overdue(make_cluster(), server, clock(20), since=clock(2), rule="state") == for_s


@pytest.mark.parametrize(
    ("enforce_s", "overdue_after_s", "every_s", "limit_s"),
    [
        pytest.param(None, 1800, 300, 1800, id="always"),
        pytest.param(3600, 1800, 300, 1800, id="longer"),
        pytest.param(1800, 1800, 300, 1500, id="as long: the last run inside reports"),
        pytest.param(900, 1800, 300, 600, id="shorter"),
        pytest.param(600, 1800, 300, 300, id="two runs: the second reports"),
        pytest.param(480, 1800, 300, 300, id="not quite two runs"),
        pytest.param(300, 1800, 300, 300, id="one run: nothing is late at once"),
        pytest.param(3600, 900, 300, 900, id="an own limit that is less"),
        pytest.param(3600, 60, 300, 300, id="an own limit under the period"),
        pytest.param(None, 1800, 3600, 3600, id="a period over the limit"),
    ],
)
def test_enforce_cuts_the_limit(enforce_s: Optional[int], overdue_after_s: int, every_s: int, limit_s: int) -> None:
    cluster = make_cluster(timing=Timing("UTC", enforce_s=enforce_s), overdue_after_s=overdue_after_s)
    assert overdue_limit_s(cluster, every_s) == limit_s


def test_says_what_was_seen() -> None:
    server = make_server(status="SHUTOFF", task_state="powering-on", fault="No valid host", created=written(clock(1)))
    desired = Desired(RUNNING, "", Rule("window"), EVENING, None)
    hold = decided(make_cluster(), server, clock(21), state=RUNNING)
    (late,) = find_overdue(make_cluster(), desired, [hold], Moment(clock(21), 300))
    assert late.text == "node-1 is SHUTOFF (powering-on): No valid host"
    assert late.for_s == 3600


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        pytest.param({"status": None, "name": None}, "server-1 is without a status", id="no status, no name"),
        pytest.param({"status": "ERROR"}, "node-1 is ERROR", id="no task, no fault"),
    ],
)
def test_says_no_more_than_was_seen(fields: Dict[str, Any], text: str) -> None:
    server = make_server(**fields)
    desired = Desired(STOPPED, "", Rule("window"), EVENING, None)
    (late,) = find_overdue(make_cluster(), desired, [decided(make_cluster(), server, clock(21))], Moment(clock(21), 1))
    assert late.text == text


def test_elsewhere_in_time_nothing_is_late() -> None:
    desired = Desired(STOPPED, "", Rule("window"), EVENING, None)
    assert not list(find_overdue(make_cluster(), desired, [Action(Power.STOP_SOFT, make_server())], ELSEWHEN))
