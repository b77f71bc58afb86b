"""A run under faults, over HTTP: how many calls it makes, what it leaves to the next run, and that nothing starves."""

from contextlib import closing
from datetime import datetime, timedelta
from math import ceil, log2
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set

import pytest

from scheduler.cloud.huawei import HuaweiCloud
from scheduler.cloud.patience import TRIES
from scheduler.errors import PermanentCloudError, RefusedError, TemporaryCloudError, UnknownOutcomeError
from scheduler.execute import execute
from scheduler.model import (
    Action,
    Clock,
    Cluster,
    ClusterPlan,
    ControlPlane,
    ControlPlaneAction,
    ControlPlanePlan,
    Desired,
    Plan,
    Power,
    Rule,
    Run,
    ServerId,
    State,
    StopType,
    Timing,
    Window,
)
from scheduler.reconcile import run_once
from scheduler.simulated import SimulatedCloud, SimulatedServer, serve
from scheduler.simulated.calls import Call, Fault, Faults, failing, html, reset, truncated
from tests.scenes import (
    BATCH,
    BULKY,
    CLOCK,
    DEV,
    KEYS,
    NOW,
    OTHER_PROJECT,
    PROJECT,
    REGION,
    TEST,
    connector,
    failing_at,
    listings,
    make_cluster,
    make_schedules,
    make_server,
    open_cloud,
    posts,
)

SECOND = timedelta(seconds=1)
THROTTLED = failing(429, "APIGW.0308")
"""The platform's limit, as it mostly comes: without a word of when to return."""


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NOW)


@pytest.fixture
def endpoint(cloud: SimulatedCloud) -> Iterator[str]:
    with serve(cloud) as url:
        yield url


def add(cloud: SimulatedCloud, number: int, cluster_id: str = DEV, **fields: Any) -> List[SimulatedServer]:
    return [cloud.add_server(cluster_id=cluster_id, omit=BULKY, **fields) for _ in range(number)]


def run(endpoint: str, *clusters: Cluster, clock: Clock = CLOCK, at: datetime = NOW) -> Run:
    return run_once(make_schedules(*clusters), at, connector(endpoint), clock)


def lefts(found: Run) -> Dict[str, Set[str]]:
    left: Dict[str, Set[str]] = {}
    for outcome in found.outcomes:
        if outcome.left:
            left.setdefault(outcome.cluster, set()).add(outcome.left)
    return left


# A batch that is refused


@pytest.mark.parametrize("number", [1, 2, 3, 7, 64, 1000])
@pytest.mark.parametrize("position", ["first", "last", "middle"])
def test_one_bad_server_costs_few_calls_and_keeps_no_other(
    cloud: SimulatedCloud, endpoint: str, number: int, position: str
) -> None:
    """It is locked, which this region's listing does not show: only the refusal of each batch it is in does."""
    servers = add(cloud, number)
    bad = servers[{"first": 0, "last": -1, "middle": number // 2}[position]]
    bad.locked, bad.omit = True, frozenset({*BULKY, "locked", "metadata"})
    found = run(endpoint, make_cluster(stop_prepaid=True))
    first = 1 + number // 1000 + 1  # the listing, and the batch that was refused
    further = len(cloud.ledger) - first
    print(f"{further} further calls for one bad server of {number}")  # noqa: T201 - the figure is a promise
    assert further <= 2 * ceil(log2(number)) + 2
    assert [type(o.error) for o in found.outcomes if not o.is_accepted] == [RefusedError]
    assert {o.server.server_id for o in found.outcomes if not o.is_accepted} == {bad.server_id}
    assert {s.name for s in cloud.servers if s.task_state == "powering-off"} == {s.name for s in servers} - {bad.name}


def test_what_a_new_listing_explains_is_left_out_and_the_rest_sent_as_a_whole(
    cloud: SimulatedCloud, endpoint: str
) -> None:
    servers = add(cloud, 8)

    def faults(call: Call) -> Optional[Fault]:
        if call.method == "POST" and not posts(cloud):  # between the listing and the batch
            servers[3].locked = True
            cloud.stop_by_hand(servers[5])
        return None

    cloud.faults = faults
    found = run(endpoint, make_cluster())
    assert [len(ids) for _, ids in posts(cloud)] == [8, 6]
    assert len(listings(cloud)) == 2
    assert not found.has_failed
    assert lefts(found) == {
        "dev": {"it has changed meanwhile: locked", "it has changed meanwhile: powering off"},
    }


def test_what_is_refused_again_after_a_new_listing_is_sent_by_halves(cloud: SimulatedCloud, endpoint: str) -> None:
    """One server has changed meanwhile, which the listing shows, and another is bad, which it does not."""
    servers = add(cloud, 6)
    servers[1].locked, servers[1].omit = True, frozenset({*BULKY, "locked", "metadata"})

    def faults(call: Call) -> Optional[Fault]:
        if call.method == "POST" and not posts(cloud):
            cloud.stop_by_hand(servers[4])
        return None

    cloud.faults = faults
    found = run(endpoint, make_cluster(stop_prepaid=True, stop_type=StopType.HARD))
    assert {(o.server.name, o.power) for o in found.outcomes if o.error} == {(servers[1].name, Power.STOP_HARD)}
    assert all(s.task_state == "powering-off" for s in servers if s is not servers[1])
    assert {o.power for o in found.outcomes} == {Power.STOP_HARD}


def test_a_server_that_vanishes_before_its_batch_is_left_out(cloud: SimulatedCloud, endpoint: str) -> None:
    servers = add(cloud, 4)

    def faults(call: Call) -> Optional[Fault]:
        if call.method == "POST" and not posts(cloud):
            cloud.remove(servers[0])
        return None

    cloud.faults = faults
    found = run(endpoint, make_cluster())
    assert [len(ids) for _, ids in posts(cloud)] == [4, 3]
    assert lefts(found) == {"dev": {"it is not listed any more"}}
    assert not found.has_failed


def test_a_server_that_is_wanted_otherwise_by_then_is_left_out(cloud: SimulatedCloud, endpoint: str) -> None:
    """Somebody begins a SOFT stop that hangs, so that another look asks for another power."""
    first, second = (cloud.add_server(cluster_id=DEV) for _ in range(2))
    cluster = make_cluster(hard_after_s=60)

    def faults(call: Call) -> Optional[Fault]:
        if call.method == "POST" and not posts(cloud):
            cloud.set_status(first, "ACTIVE", "powering-off")
            first.updated = NOW - timedelta(hours=1)
        return None

    cloud.faults = faults
    found = run(endpoint, cluster)
    assert lefts(found) == {"dev": {"it has changed meanwhile: stop HARD"}}
    assert posts(cloud)[1:] == [(Power.STOP_SOFT, (second.server_id,))]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(THROTTLED, id="throttled"),
        pytest.param(failing(401, "APIGW.0301"), id="wrong credentials"),
        pytest.param(failing(403, "EPS.0003"), id="no right"),
        pytest.param(failing(400, "Common.0002"), id="a wrong request"),
        pytest.param(failing(500, "Ecs.0000"), id="a server error"),
        pytest.param(reset(), id="a reset"),
        pytest.param(html(), id="a web page"),
        pytest.param(html(502), id="a web page of a gateway"),
        pytest.param(truncated(), id="half an answer"),
        pytest.param(failing(202, "Common.0024"), id="delayed: 202"),
    ],
)
def test_no_other_failure_is_ever_sent_by_halves(cloud: SimulatedCloud, endpoint: str, fault: Fault) -> None:
    add(cloud, 8)
    cloud.faults = failing_at(fault, method="POST")
    run(endpoint, make_cluster())
    assert [len(ids) for _, ids in posts(cloud)] == [8]


def test_where_the_new_listing_fails_too_the_refusal_is_told_and_nothing_is_sent(
    cloud: SimulatedCloud, endpoint: str
) -> None:
    add(cloud, 8)
    refused = failing_at(failing(400, "Ecs.0611"), method="POST")
    cloud.faults = either(refused, failing_at(failing(403, "Ecs.0003"), 2))
    found = run(endpoint, make_cluster())
    assert [(type(o.error), o.power) for o in found.outcomes] == [(RefusedError, Power.STOP_SOFT)] * 8
    assert len(posts(cloud)) == 1


def either(*all_faults: Faults) -> Faults:
    def faults(call: Call) -> Optional[Fault]:
        return next((fault for fault in (f(call) for f in all_faults) if fault is not None), None)

    return faults


def test_several_bad_servers_keep_no_other(cloud: SimulatedCloud, endpoint: str) -> None:
    servers = add(cloud, 33)
    bad = servers[::8]
    for server in bad:
        server.locked, server.omit = True, frozenset({*BULKY, "locked", "metadata"})
    found = run(endpoint, make_cluster(stop_prepaid=True))
    assert {o.server.name for o in found.outcomes if o.error} == {s.name for s in bad}
    assert sum(s.task_state == "powering-off" for s in servers) == 33 - len(bad)


# An answer that is lost


@pytest.mark.parametrize("power", [Power.START, Power.STOP_SOFT, Power.STOP_HARD])
@pytest.mark.parametrize("is_carried_out", [True, False], ids=["carried out", "not carried out"])
@pytest.mark.parametrize("lost", [failing(504, "APIGW.0201"), reset(), html(502)], ids=["504", "reset", "HTML"])
def test_after_a_lost_answer_the_listing_tells_what_became_of_it(
    cloud: SimulatedCloud,
    endpoint: str,
    power: Power,
    is_carried_out: bool,  # noqa: FBT001
    lost: Fault,
) -> None:
    add(cloud, 3, status="SHUTOFF" if power is Power.START else "ACTIVE")
    cloud.faults = failing_at(lost._replace(carried_out=is_carried_out), 1, method="POST")
    stop_type = StopType.HARD if power is Power.STOP_HARD else StopType.SOFT
    state = State.RUNNING if power is Power.START else State.STOPPED
    found = run(endpoint, make_cluster(state=state, stop_type=stop_type))
    errors = [type(o.error) for o in found.outcomes]
    assert errors == [type(None) if is_carried_out else UnknownOutcomeError] * 3
    assert [power for power, _ in posts(cloud)] == [power]  # never sent again unseen
    assert len(listings(cloud)) == 2


def test_where_the_listing_fails_too_nobody_knows(cloud: SimulatedCloud, endpoint: str) -> None:
    add(cloud, 2)
    cloud.faults = either(failing_at(reset(carried_out=True), method="POST"), failing_at(failing(403, "Ecs.0003"), 2))
    found = run(endpoint, make_cluster())
    assert [type(o.error) for o in found.outcomes] == [UnknownOutcomeError] * 2


# The platform's limits


@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        pytest.param(THROTTLED, 1, id="without Retry-After: once"),
        pytest.param(failing(429, "APIGW.0308", headers={"Retry-After": "2"}), TRIES, id="Retry-After: as allowed"),
        pytest.param(failing(429, "APIGW.0308", headers={"Retry-After": "56.818"}), 1, id="a pause that is too long"),
        pytest.param(failing(503, "APIGW.0201", headers={"Retry-After": "1"}), TRIES, id="unavailable"),
        pytest.param(failing(500, "Ecs.0000"), TRIES, id="server errors"),
        pytest.param(html(503), TRIES, id="web pages"),
    ],
)
def test_a_storm_costs_no_more_calls_than_the_tries_allow(
    cloud: SimulatedCloud, endpoint: str, fault: Fault, calls: int
) -> None:
    add(cloud, 1)
    cloud.faults = lambda _: fault
    time = Moving(cloud)
    found = run(endpoint, make_cluster(), make_cluster("test", TEST), clock=time.clock())
    print(f"{len(cloud.ledger)} calls in a storm")  # noqa: T201 - the figure is a promise
    assert len(cloud.ledger) == calls
    assert found.has_failed
    assert sum(time.slept) < 60


def test_a_limit_ends_the_actions_of_its_project_and_others_go_on(cloud: SimulatedCloud, endpoint: str) -> None:
    for project_id in (PROJECT, OTHER_PROJECT):
        add(cloud, 2, project_id=project_id)
        add(cloud, 2, TEST, project_id=project_id, status="SHUTOFF")
    cloud.faults = failing_at(THROTTLED, method="POST", project_id=PROJECT)
    clusters = [
        make_cluster(f"{cluster_id}@{project_id}", cluster_id, state, project_id=project_id)
        for project_id in (PROJECT, OTHER_PROJECT)
        for cluster_id, state in ((DEV, State.STOPPED), (TEST, State.RUNNING))
    ]
    found = run(endpoint, *clusters)
    assert not found.has_failed  # left, not failed
    assert lefts(found) == {f"{i}@{PROJECT}": {"the platform's limit is reached"} for i in (DEV, TEST)}
    assert sum(o.is_accepted for o in found.outcomes) == 4
    assert 1 <= sum(PROJECT in r.path for r in cloud.ledger if r.method == "POST") <= 2  # those under way at once


def test_an_action_that_meets_a_limit_is_not_tried_again_whatever_the_answer_says(
    cloud: SimulatedCloud, endpoint: str
) -> None:
    add(cloud, 2)
    cloud.faults = failing_at(failing(429, "APIGW.0308", headers={"Retry-After": "1"}), method="POST")
    found = run(endpoint, make_cluster(), clock=Moving(cloud).clock())
    assert lefts(found) == {"dev": {"the platform's limit is reached"}}
    assert len(posts(cloud)) == 1


def test_after_a_limit_no_control_plane_is_asked_either(cloud: SimulatedCloud, endpoint: str) -> None:
    add(cloud, 2)
    waking = cloud.clusters.add("test", project_id=PROJECT, cluster_id=TEST, phase="Hibernation")
    cloud.clusters.add_node(waking, "test-1")
    cloud.faults = failing_at(THROTTLED, method="POST")
    found = run(
        endpoint, make_cluster(), make_cluster("test", TEST, State.RUNNING, control_plane=ControlPlane.HIBERNATE)
    )
    assert [(s.action, s.left) for s in found.control_planes] == [
        (ControlPlaneAction.AWAKE, "the platform's limit is reached")
    ]
    assert len(posts(cloud)) == 1


@pytest.mark.parametrize("every_m", [1, 5, 10, 30, 60])
def test_no_server_starves_although_only_the_first_batch_is_let_through_in_each_run(
    cloud: SimulatedCloud, endpoint: str, every_m: int
) -> None:
    """None of them ever starts, so that all 3,500 ask again in each run."""
    actions = [act(Power.START, server) for server in add(cloud, 3500, status="SHUTOFF")]
    desired = Desired(State.RUNNING, "", Rule("state"), None, None)
    planned = ClusterPlan(make_cluster(state=State.RUNNING), desired, actions=tuple(actions))
    cloud.faults = lambda _: THROTTLED
    found: Set[str] = set()
    runs = 0
    with closing(open_cloud(endpoint)) as client:
        while len(found) < len(actions) and runs < 12:
            plan = Plan(NOW + runs * timedelta(minutes=every_m), (planned,))
            outcomes, _ = execute(plan, {(REGION, PROJECT): client}, CLOCK, lambda _, asked: [a for _, a in asked])
            assert {o.server.server_id for o in outcomes} == {a.server.server_id for a in actions}
            found.update(o.server.server_id for o in outcomes[:1000])
            runs += 1
    print(f"all 3,500 servers had their turn in {runs} runs, every {every_m} minutes")  # noqa: T201 - a promise
    assert len(found) == len(actions)


# Time


class Moving:
    """Time that moves by some seconds with each call, and while somebody waits."""

    def __init__(
        self, cloud: SimulatedCloud, call_s: float = 0.0, left_s: float = 60.0, begins: datetime = NOW
    ) -> None:
        self._cloud = cloud
        self._call_s = call_s
        self._left_s = left_s
        self._begins = begins
        self.slept: List[float] = []

    def passed_s(self) -> float:
        return self._call_s * len(self._cloud.ledger) + sum(self.slept)

    def clock(self) -> Clock:
        return Clock(
            now=lambda: self._begins + self.passed_s() * SECOND,
            remaining_s=lambda: self._left_s - self.passed_s(),
            sleep=self.slept.append,
            chance=lambda: 0.0,
        )


UNTIL_1300 = Timing("UTC", windows=(Window("0 13 * * *", "0 18 * * *"),))
ALWAYS = Timing("UTC", State.STOPPED)


@pytest.mark.parametrize(
    ("begins", "call_s", "sent"),
    [
        pytest.param(NOW, 1.0, True, id="an hour before"),
        pytest.param(NOW + timedelta(minutes=59, seconds=58), 1.0, True, id="a second is left"),
        pytest.param(NOW + timedelta(minutes=59, seconds=59), 1.0, False, id="just then"),
        pytest.param(NOW + timedelta(minutes=59, seconds=59), 30.0, False, id="a listing that took its time"),
    ],
)
def test_nothing_is_sent_at_or_after_the_next_transition_of_its_cluster(
    cloud: SimulatedCloud,
    endpoint: str,
    begins: datetime,
    call_s: float,
    sent: bool,  # noqa: FBT001
) -> None:
    soon, later = add(cloud, 2), add(cloud, 2, TEST)
    clock = Moving(cloud, call_s, begins=begins).clock()
    found = run(
        endpoint, make_cluster(timing=UNTIL_1300), make_cluster("test", TEST, timing=ALWAYS), clock=clock, at=begins
    )
    expected = {s.server_id for s in (*soon, *later)} if sent else {s.server_id for s in later}
    assert {i for _, ids in posts(cloud) for i in ids} == expected
    assert lefts(found) == ({} if sent else {"dev": {"its next transition has come"}})
    assert not any(o.error for o in found.outcomes)


@pytest.mark.parametrize("begins", [NOW, NOW + timedelta(minutes=59, seconds=59)], ids=["in time", "too late"])
def test_no_control_plane_is_asked_at_or_after_the_next_transition(
    cloud: SimulatedCloud, endpoint: str, begins: datetime
) -> None:
    waking = cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV, phase="Hibernation")
    cloud.clusters.add_node(waking, "dev-1")
    until_1300 = Timing("UTC", windows=(Window("0 8 * * *", "0 13 * * *"),))
    cluster = make_cluster(timing=until_1300, control_plane=ControlPlane.HIBERNATE)
    found = run(endpoint, cluster, clock=Moving(cloud, 1.0, begins=begins).clock(), at=begins)
    (step,) = found.control_planes
    assert step.left == (None if begins == NOW else "its next transition has come")
    assert len(posts(cloud)) == (1 if begins == NOW else 0)


class Unreachable(HuaweiCloud):
    """A cloud whose actions never leave, the first times that they are tried."""

    def __init__(self, endpoint: str, times: int) -> None:
        super().__init__(KEYS, REGION, PROJECT, endpoint=endpoint, cce_endpoint=endpoint, remaining_s=lambda: 60.0)
        self.tries: List[str] = []
        self._times = times

    def _try(self, what: str) -> None:
        self.tries.append(what)
        if len(self.tries) <= self._times:
            raise TemporaryCloudError("the cloud was not reached")

    def start(self, server_ids: Sequence[ServerId]) -> Any:
        self._try("start")
        return super().start(server_ids)

    def stop(self, server_ids: Sequence[ServerId], stop_type: StopType) -> Any:
        self._try("stop")
        return super().stop(server_ids, stop_type)

    def awake(self, cluster_id: Any) -> None:
        self._try("awake")
        super().awake(cluster_id)

    def hibernate(self, cluster_id: Any) -> None:
        self._try("hibernate")
        super().hibernate(cluster_id)


UNREACHED: "Dict[str, Callable[[Desired, SimulatedServer], ClusterPlan]]" = {
    "stop": lambda desired, server: ClusterPlan(make_cluster(), desired, actions=(act(Power.STOP_SOFT, server),)),
    "start": lambda desired, server: ClusterPlan(make_cluster(), desired, actions=(act(Power.START, server),)),
    "awake": lambda desired, _: ClusterPlan(make_cluster(), desired, control_plane=step(ControlPlaneAction.AWAKE)),
    "hibernate": lambda desired, _: ClusterPlan(
        make_cluster(), desired, control_plane=step(ControlPlaneAction.HIBERNATE)
    ),
}


def act(power: Power, server: SimulatedServer) -> Action:
    return Action(power, make_server()._replace(server_id=ServerId(server.server_id)))


def step(action: ControlPlaneAction) -> ControlPlanePlan:
    return ControlPlanePlan(None, action, "")


@pytest.mark.parametrize("what", UNREACHED)
@pytest.mark.parametrize(
    ("times", "left_s", "tries"),
    [
        pytest.param(1, None, 2, id="once, no transition ahead"),
        pytest.param(2, 3600.0, 3, id="twice, an hour to go"),
        pytest.param(9, 3600.0, TRIES, id="always"),
        pytest.param(1, 0.6, 2, id="a tenth of a second after the pause"),
        pytest.param(1, 0.5, 1, id="the pause ends at the transition"),
        pytest.param(1, 0.3, 1, id="the pause ends after the transition"),
        pytest.param(9, 1.4, 2, id="the second pause ends after it"),
    ],
)
def test_what_never_left_is_sent_again_but_not_after_the_transition(  # noqa: PLR0913, PLR0917 - a table's columns
    cloud: SimulatedCloud, endpoint: str, what: str, times: int, left_s: Optional[float], tries: int
) -> None:
    server = cloud.add_server(cluster_id=DEV, status="SHUTOFF" if what == "start" else "ACTIVE")
    phase = {"awake": "Hibernation"}.get(what, "Available")
    cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV, phase=phase)
    until = None if left_s is None else NOW + left_s * SECOND
    desired = Desired(State.STOPPED, "", Rule("window"), None, until)
    plan = Plan(NOW, (UNREACHED[what](desired, server),))
    unreachable = Unreachable(endpoint, times)
    outcomes, steps = execute(
        plan, {(REGION, PROJECT): unreachable}, Moving(cloud).clock(), lambda _, a: [None] * len(a)
    )
    unreachable.close()
    results: "List[Any]" = [*outcomes, *steps]
    assert unreachable.tries == [what] * tries
    assert [o.is_accepted for o in results] == [tries > times]
    assert len(posts(cloud)) == int(tries > times)


@pytest.mark.parametrize(
    ("left_s", "calls"),
    [
        pytest.param(2.9, 0, id="none for anything"),
        pytest.param(3.5, 1, id="for the listing alone"),
        pytest.param(4.0, 2, id="for one batch"),
    ],
)
def test_what_has_no_time_is_left_to_the_next_run(
    cloud: SimulatedCloud, endpoint: str, left_s: float, calls: int
) -> None:
    add(cloud, 2)
    time = Moving(cloud, 1.0, left_s=left_s)
    clock = time.clock()

    def connect(region: str, project_id: str) -> HuaweiCloud:
        return HuaweiCloud(KEYS, region, project_id, endpoint=endpoint, remaining_s=clock.remaining_s)

    found = run_once(make_schedules(make_cluster()), NOW, connect, clock)
    assert len(cloud.ledger) == calls
    assert found.has_failed is (calls == 0)  # a run that could not even look has failed
    assert lefts(found) == ({"dev": {"no time was left in the run"}} if calls == 1 else {})


@pytest.mark.parametrize(("action", "limit"), [("hibernate", 0), ("hibernate", None), ("awake", 0)])
def test_over_the_limit_nothing_is_hibernated_either_and_what_wakes_is_woken(
    cloud: SimulatedCloud, endpoint: str, action: str, limit: Optional[int]
) -> None:
    (up,) = add(cloud, 1)
    cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV)
    phase = "Available" if action == "hibernate" else "Hibernation"
    test = cloud.clusters.add("test", project_id=PROJECT, cluster_id=TEST, phase=phase)
    node = cloud.clusters.add_node(test, "test-1")
    cloud.set_status(node.server_id or "", "SHUTOFF")
    state = State.STOPPED if action == "hibernate" else State.RUNNING
    other = make_cluster("test", TEST, state, control_plane=ControlPlane.HIBERNATE)
    found = run_once(make_schedules(make_cluster(), other, max_stops_per_run=limit), NOW, connector(endpoint), CLOCK)
    (step,) = found.control_planes
    is_refused = (action, limit) == ("hibernate", 0)
    assert (found.plan.refusal is None) is (limit is None)
    assert step.error is (found.plan.refusal if is_refused else None)
    assert [r.path.rpartition("/")[2] for r in cloud.ledger if "/operation/" in r.path] == [action] * (not is_refused)
    refused = [(o.cluster, o.power, o.server.server_id) for o in found.outcomes if o.error]
    assert refused == ([] if limit is None else [("dev", Power.STOP_SOFT, up.server_id)])


@pytest.mark.parametrize(
    ("fault", "error", "left"),
    [
        pytest.param(None, None, None, id="accepted"),
        pytest.param(reset(), UnknownOutcomeError, None, id="its answer was lost"),
        pytest.param(failing(500, "CCE.01500001"), UnknownOutcomeError, None, id="a server error"),
        pytest.param(failing(403, "CCE.01403001"), PermanentCloudError, None, id="no right"),
        pytest.param(failing(409, "CCE.01409002", "A conflict."), None, "CCE.01409002 A conflict.", id="a conflict"),
        pytest.param(THROTTLED, None, "the platform's limit is reached", id="throttled"),
    ],
)
def test_what_becomes_of_a_step_of_a_control_plane(
    cloud: SimulatedCloud, endpoint: str, fault: Optional[Fault], error: Optional[type], left: Optional[str]
) -> None:
    for cluster_id in (DEV, TEST):
        cloud.clusters.add(cluster_id, project_id=PROJECT, cluster_id=cluster_id, phase="Hibernation")
    cloud.faults = failing_at(fault, method="POST") if fault else None
    clusters = [make_cluster(i, i, State.RUNNING, control_plane=ControlPlane.HIBERNATE) for i in (DEV, TEST)]
    steps = run(endpoint, *clusters).control_planes
    assert [(s.cluster, s.action) for s in steps] == [(i, ControlPlaneAction.AWAKE) for i in (DEV, TEST)]
    for taken in steps:
        assert type(taken.error) is (error or type(None))
        assert (taken.left is None) if left is None else (taken.left or "").startswith(left)


def test_after_a_limit_later_batches_of_the_project_are_not_sent_at_all(cloud: SimulatedCloud, endpoint: str) -> None:
    actions = [act(Power.STOP_SOFT, server) for server in add(cloud, 9500)]
    planned = ClusterPlan(make_cluster(), Desired(State.STOPPED, "", Rule("state"), None, None), actions=tuple(actions))
    cloud.faults = lambda _: THROTTLED
    with closing(open_cloud(endpoint)) as client:
        outcomes, _ = execute(Plan(NOW, (planned,)), {(REGION, PROJECT): client}, CLOCK, lambda _, a: [None] * len(a))
    assert len(posts(cloud)) <= 4  # those under way at once
    assert {o.left for o in outcomes} == {"the platform's limit is reached"}


def test_every_outcome_says_of_which_server_and_power_it_is(cloud: SimulatedCloud, endpoint: str) -> None:
    """Whatever becomes of an action: sent, refused, lost, without a right, throttled, too late, or explained."""
    servers = add(cloud, 3)
    faults = (None, failing(400, "Ecs.0611"), reset(), failing(403, "EPS.0003"), THROTTLED)
    for fault in faults:
        cloud.faults = failing_at(fault, method="POST") if fault else None
        found = run(endpoint, make_cluster(stop_type=StopType.HARD))
        assert {(o.cluster, o.power) for o in found.outcomes} == {("dev", Power.STOP_HARD)}
        assert {o.server.server_id for o in found.outcomes} == {s.server_id for s in servers}
        for server in servers:
            cloud.set_status(server, "ACTIVE")
    late = Moving(cloud, 3600.0).clock()
    found = run(endpoint, make_cluster(timing=UNTIL_1300, stop_type=StopType.HARD), clock=late)
    assert {(o.power, o.left) for o in found.outcomes} == {(Power.STOP_HARD, "its next transition has come")}


def test_a_stop_that_hangs_is_cut_and_all_that_are_late_are_told(cloud: SimulatedCloud, endpoint: str) -> None:
    """Those that are as desired, or never late, stand between those that are."""
    names = ("hangs", "off", "prepaid", "broken")
    made = {name: cloud.add_server(name, cluster_id=DEV, created=NOW - timedelta(days=1)) for name in names}
    cloud.set_status(made["hangs"], "ACTIVE", "powering-off")
    cloud.set_status(made["off"], "SHUTOFF")
    made["prepaid"].charging_mode = "1"
    cloud.set_status(made["broken"], "ERROR")
    cloud.advance_to(NOW + timedelta(hours=1))
    office = Timing("UTC", windows=(Window("0 8 * * *", "0 11 * * *"),))
    for names_first in (names, tuple(reversed(names))):
        for number, name in enumerate(names_first):
            made[name].created = NOW - timedelta(days=1, minutes=number)
        found = run_once(
            make_schedules(make_cluster(timing=office, hard_after_s=1800)),
            cloud.now,
            connector(endpoint),
            CLOCK,
            dry_run=True,
        )
        (planned,) = found.plan.clusters
        assert [(a.power, a.server.name) for a in planned.actions] == [(Power.STOP_HARD, "hangs")]
        assert {o.server.name for o in planned.overdue if o.server} == {"hangs", "broken"}


def test_the_limit_counts_the_stops_of_all_places_before_the_first_is_sent(
    cloud: SimulatedCloud, endpoint: str
) -> None:
    add(cloud, 2)
    add(cloud, 2, TEST, project_id=OTHER_PROJECT)
    add(cloud, 1, BATCH, status="SHUTOFF")
    clusters = (
        make_cluster(),
        make_cluster("test", TEST, project_id=OTHER_PROJECT),
        make_cluster("batch", BATCH, State.RUNNING),
    )
    for limit, powers in ((3, {Power.START}), (4, {Power.STOP_SOFT})):
        cloud.clear_ledger()
        schedules = make_schedules(*clusters, max_stops_per_run=limit)
        assert run_once(schedules, NOW, connector(endpoint), CLOCK).has_failed is (limit == 3)
        assert {power for power, _ in posts(cloud)} == powers
