"""Carrying out a plan over HTTP: one POST for each group of a thousand, and what became of every action."""

import threading
from typing import Any, Dict, Iterator, List, Optional, Sequence

import pytest

from scheduler.cloud.huawei import HuaweiCloud
from scheduler.errors import (
    PermanentCloudError,
    RefusedError,
    UnknownOutcomeError,
    UnsafePlanError,
)
from scheduler.execute import execute, side_by_side
from scheduler.model import Action, ClusterPlan, Desired, Outcome, Place, Plan, Power, Rule, ServerId, State
from scheduler.simulated import SimulatedCloud, SimulatedServer, serve
from scheduler.simulated.calls import failing, reset
from tests.scenes import (
    CLOCK,
    DEV,
    NOW,
    OTHER_PROJECT,
    PROJECT,
    REGION,
    TEST,
    failing_at,
    make_cluster,
    make_server,
    open_cloud,
    posts,
)

DESIRED = Desired(State.STOPPED, "always", Rule("state"), None, None)


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NOW)


@pytest.fixture
def clouds(cloud: SimulatedCloud) -> "Iterator[Dict[Place, HuaweiCloud]]":
    with serve(cloud) as endpoint:
        opened = {(REGION, project): open_cloud(endpoint, project_id=project) for project in (PROJECT, OTHER_PROJECT)}
        yield opened
        for client in opened.values():
            client.close()


def actions(servers: Sequence[SimulatedServer], power: Power) -> List[Action]:
    return [Action(power, make_server()._replace(server_id=ServerId(s.server_id), name=s.name)) for s in servers]


def planned(name: str, found: Sequence[Action], **settings: Any) -> ClusterPlan:
    return ClusterPlan(make_cluster(name, **settings), DESIRED, actions=tuple(found))


def add(cloud: SimulatedCloud, number: int, status: str = "ACTIVE", project_id: str = PROJECT) -> List[SimulatedServer]:
    return [cloud.add_server(cluster_id=DEV, status=status, project_id=project_id) for _ in range(number)]


def carry_out(plan: Plan, clouds: "Dict[Place, HuaweiCloud]") -> List[Outcome]:
    """Execute a plan, with a second look that shows what the first one did."""
    outcomes, steps = execute(plan, clouds, CLOCK, lambda _, asked: [action for _, action in asked])
    assert not steps
    return outcomes


def failed(outcomes: Sequence[Outcome]) -> "Dict[str, Optional[type]]":
    return {o.server.name or "": type(o.error) if o.error else None for o in outcomes}


def test_one_post_carries_the_servers_of_all_clusters(
    cloud: SimulatedCloud, clouds: "Dict[Place, HuaweiCloud]"
) -> None:
    first, second, off = add(cloud, 2), add(cloud, 3), add(cloud, 1, "SHUTOFF")
    plan = Plan(
        NOW,
        (
            planned("dev", actions(first, Power.STOP_SOFT)),
            planned("test", [*actions(second, Power.STOP_SOFT), *actions(off, Power.START)], cluster_id=TEST),
        ),
    )
    outcomes = carry_out(plan, clouds)
    assert sorted(posts(cloud), key=str) == sorted(
        [
            (Power.STOP_SOFT, tuple(s.server_id for s in (*first, *second))),
            (Power.START, (off[0].server_id,)),
        ],
        key=str,
    )
    assert [(o.cluster, o.power, o.error) for o in outcomes] == [
        *[("dev", Power.STOP_SOFT, None)] * 2,
        *[("test", Power.STOP_SOFT, None)] * 3,
        ("test", Power.START, None),
    ]


def test_every_power_and_every_project_has_a_post_of_its_own(
    cloud: SimulatedCloud, clouds: "Dict[Place, HuaweiCloud]"
) -> None:
    soft, hard, elsewhere = add(cloud, 1), add(cloud, 1), add(cloud, 1, project_id=OTHER_PROJECT)
    plan = Plan(
        NOW,
        (
            planned("soft", actions(soft, Power.STOP_SOFT)),
            planned("hard", actions(hard, Power.STOP_HARD)),
            planned("elsewhere", actions(elsewhere, Power.STOP_SOFT), project_id=OTHER_PROJECT),
        ),
    )
    assert not any(o.error for o in carry_out(plan, clouds))
    assert {(r.path.split("/")[2], r.power, r.server_ids) for r in cloud.ledger} == {
        (PROJECT, Power.STOP_SOFT, (soft[0].server_id,)),
        (PROJECT, Power.STOP_HARD, (hard[0].server_id,)),
        (OTHER_PROJECT, Power.STOP_SOFT, (elsewhere[0].server_id,)),
    }


def test_a_batch_has_at_most_a_thousand_servers(cloud: SimulatedCloud, clouds: "Dict[Place, HuaweiCloud]") -> None:
    servers = add(cloud, 1001)
    carry_out(Plan(NOW, (planned("dev", actions(servers, Power.STOP_SOFT)),)), clouds)
    batches = [ids for _, ids in posts(cloud)]
    assert sorted(len(ids) for ids in batches) == [1, 1000]
    assert sorted(server_id for ids in batches for server_id in ids) == sorted(s.server_id for s in servers)


def test_nothing_to_do_is_no_call(cloud: SimulatedCloud, clouds: "Dict[Place, HuaweiCloud]") -> None:
    assert carry_out(Plan(NOW, (planned("dev", []),)), clouds) == []
    assert not cloud.ledger


def test_a_guard_refuses_the_stops_and_nothing_else(cloud: SimulatedCloud, clouds: "Dict[Place, HuaweiCloud]") -> None:
    on, off = add(cloud, 2), add(cloud, 1, "SHUTOFF")
    both = [*actions(on, Power.STOP_SOFT), *actions(off, Power.START)]
    refusal = UnsafePlanError("too many")
    outcomes = carry_out(Plan(NOW, (planned("dev", both),), refusal), clouds)
    assert posts(cloud) == [(Power.START, (off[0].server_id,))]
    assert [(o.power, o.error) for o in outcomes] == [*[(Power.STOP_SOFT, refusal)] * 2, (Power.START, None)]


@pytest.mark.parametrize(
    ("fault", "error", "calls"),
    [
        pytest.param(failing(400, "Ecs.0611"), RefusedError, 3, id="refused"),
        pytest.param(failing(403, "EPS.0003"), PermanentCloudError, 1, id="no right"),
        pytest.param(failing(429, "APIGW.0308"), None, 1, id="throttled"),
        pytest.param(reset(carried_out=True), UnknownOutcomeError, 1, id="answer lost"),
    ],
)
def test_what_fails_for_one_project_is_reported_for_it_and_the_others_are_done(
    cloud: SimulatedCloud, clouds: "Dict[Place, HuaweiCloud]", fault: Any, error: Optional[type], calls: int
) -> None:
    here, there = add(cloud, 2), add(cloud, 1, project_id=OTHER_PROJECT)
    cloud.faults = failing_at(fault, method="POST", project_id=PROJECT)
    plan = Plan(
        NOW,
        (
            planned("here", actions(here, Power.STOP_SOFT)),
            planned("there", actions(there, Power.STOP_SOFT), project_id=OTHER_PROJECT),
        ),
    )
    outcomes = carry_out(plan, clouds)
    assert failed(outcomes) == {here[0].name: error, here[1].name: error, there[0].name: None}
    assert [o.cluster for o in outcomes if o.is_accepted] == ["there"]
    assert len(posts(cloud)) == calls + 1


def test_a_failed_batch_leaves_the_other_batches_of_its_project(
    cloud: SimulatedCloud, clouds: "Dict[Place, HuaweiCloud]"
) -> None:
    on, off = add(cloud, 1), add(cloud, 1, "SHUTOFF")
    cloud.add_server(locked=True)
    on[0].locked = True  # after the listing
    both = [*actions(on, Power.STOP_SOFT), *actions(off, Power.START)]
    outcomes = carry_out(Plan(NOW, (planned("dev", both),)), clouds)
    assert failed(outcomes) == {on[0].name: RefusedError, off[0].name: None}
    assert len(posts(cloud)) == 2


def test_work_is_done_side_by_side_and_returned_in_order() -> None:
    meeting = threading.Barrier(4, timeout=5)

    def work(number: int) -> int:
        meeting.wait()
        return number * 2

    assert side_by_side(work, [1, 2, 3, 4]) == [2, 4, 6, 8]
    assert side_by_side(lambda number: number + 1, range(50)) == list(range(1, 51))


@pytest.mark.parametrize("items", [[], [1]])
def test_a_single_piece_of_work_takes_no_thread(items: List[int]) -> None:
    own = threading.get_ident()
    assert side_by_side(lambda _: threading.get_ident(), items) == [own for _ in items]
