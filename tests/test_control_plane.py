"""The table of the control plane, row by row, and the proof that a hibernation asks for."""

from typing import Any, List, Optional, Sequence

import pytest

from scheduler.control_plane import is_as_desired, plan_control_plane, prove_asleep
from scheduler.model import (
    Action,
    CceCluster,
    ClusterId,
    ControlPlaneAction,
    ControlPlanePlan,
    Desired,
    Hold,
    HoldKind,
    Node,
    Power,
    Rule,
    ServerId,
    State,
)
from tests.scenes import DEV, make_server

RUNNING, STOPPED = State.RUNNING, State.STOPPED
AWAKE, HIBERNATE = ControlPlaneAction.AWAKE, ControlPlaneAction.HIBERNATE
PHASES = (
    *("Available", "Unavailable", "ScalingUp", "ScalingDown", "Creating", "Deleting", "Upgrading", "Resizing"),
    *("RollingBack", "RollbackFailed", "Hibernating", "Hibernation", "Awaking", "Empty", "Error", "Freezing", "Frozen"),
    *("SomethingNew", "", None),
)
"""Those of the SDK's documentation, those that others list, and what nobody has heard of."""


def plan(state: State, phase: Optional[str], decisions: Sequence[Any] = (), **fields: Any) -> ControlPlanePlan:
    found = CceCluster(ClusterId(DEV), "dev", phase, **{"is_prepaid": False, **fields})
    return plan_control_plane(Desired(state, "", Rule("state"), None, None), found, decisions)


def off(number: int = 1) -> Hold:
    return Hold(HoldKind.ALREADY, make_server(number, status="SHUTOFF"), "already stopped")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("state", [RUNNING, STOPPED])
def test_one_phase_is_woken_one_is_hibernated_and_no_other(state: State, phase: Optional[str]) -> None:
    expected = {(RUNNING, "Hibernation"): AWAKE, (STOPPED, "Available"): HIBERNATE}
    step = plan(state, phase, [off()])
    assert step.action is expected.get((state, str(phase)))
    assert step.phase == phase
    assert step.reason
    assert not step.is_kept


@pytest.mark.parametrize("phase", PHASES)
def test_a_control_plane_is_as_desired_in_one_phase(phase: Optional[str]) -> None:
    assert is_as_desired(RUNNING, phase) is (phase == "Available")
    assert is_as_desired(STOPPED, phase) is (phase == "Hibernation")


@pytest.mark.parametrize(
    ("decision", "reason"),
    [
        pytest.param(
            Hold(HoldKind.EXCLUDED, make_server(name="bastion"), 'excluded by server "b*"'),
            'kept up by bastion: excluded by server "b*"',
            id="excluded",
        ),
        pytest.param(Hold(HoldKind.PREPAID, make_server(), "prepaid"), "kept up by node-1: prepaid", id="prepaid"),
        pytest.param(
            Action(Power.STOP_SOFT, make_server()), "kept up by node-1: it is stopped first", id="about to stop"
        ),
        pytest.param(
            Hold(HoldKind.STOPPING, make_server(task_state="powering-off"), "powering off"),
            "kept up by node-1: powering off",
            id="stopping",
        ),
        pytest.param(
            Hold(HoldKind.IN_TRANSITION, make_server(status="SHUTOFF", task_state="powering-on"), "powering on"),
            "kept up by node-1: powering on",
            id="starting",
        ),
        pytest.param(
            Hold(HoldKind.NEEDS_PERSON, make_server(status=None), "its status is missing"),
            "kept up by node-1: its status is missing",
            id="unknown",
        ),
        pytest.param(
            Hold(HoldKind.NEEDS_PERSON, make_server(status="ERROR"), "status ERROR"),
            "kept up by node-1: status ERROR",
            id="in error",
        ),
    ],
)
def test_a_server_that_is_up_or_may_be_keeps_it_up_by_name(decision: Any, reason: str) -> None:
    step = plan(STOPPED, "Available", [off(2), decision])
    assert (step.action, step.reason, step.is_kept) == (None, reason, True)


def test_an_excluded_server_that_is_off_does_not_keep_it_up() -> None:
    excluded = Hold(HoldKind.EXCLUDED, make_server(status="SHUTOFF"), "excluded")
    assert plan(STOPPED, "Available", [excluded]).action is HIBERNATE


@pytest.mark.parametrize("is_prepaid", [True, None])
def test_what_is_or_may_be_paid_in_advance_is_not_hibernated(is_prepaid: Optional[bool]) -> None:  # noqa: FBT001
    step = plan(STOPPED, "Available", [off()], is_prepaid=is_prepaid)
    assert (step.action, step.is_kept) == (None, True)
    assert plan(RUNNING, "Hibernation", is_prepaid=is_prepaid).action is AWAKE


STEP = ControlPlanePlan("Available", HIBERNATE, "every server is off")


def node(number: int, server: Optional[int]) -> Node:
    return Node(f"uid-{number}", f"n{number}", None if server is None else ServerId(f"server-{server}"))


@pytest.mark.parametrize(
    ("nodes", "servers", "reason"),
    [
        pytest.param([], [1], "kept up: CCE lists no node at all", id="no node"),
        pytest.param([node(1, None)], [1], "n1 (no server yet)", id="a node that is being made"),
        pytest.param([node(1, 1), node(2, 2)], [1], "n2 (server-2)", id="a node whose server is unknown or foreign"),
    ],
)
def test_a_hibernation_is_proven_by_every_node(nodes: List[Node], servers: List[int], reason: str) -> None:
    step = prove_asleep(STEP, nodes, [make_server(n, status="SHUTOFF") for n in servers])
    assert (step.action, step.is_kept) == (None, True)
    assert reason in step.reason


@pytest.mark.parametrize("seen", [{"status": "ACTIVE"}, {"status": "SHUTOFF", "task_state": "powering-on"}], ids=str)
def test_a_node_that_is_up_disproves_it(seen: Any) -> None:
    assert prove_asleep(STEP, [node(1, 1)], [make_server(1, **seen)]).action is None


def test_with_every_node_off_it_is_proven() -> None:
    servers = [make_server(n, status="SHUTOFF") for n in (1, 2, 3)]
    assert prove_asleep(STEP, [node(1, 1), node(2, 2)], servers) == STEP


@pytest.mark.parametrize(
    ("state", "phase", "reason"),
    [
        pytest.param(RUNNING, "Hibernation", "it is woken before its servers", id="to be woken"),
        pytest.param(RUNNING, "Available", "awake", id="awake"),
        pytest.param(RUNNING, "Awaking", "it is waking up", id="waking up"),
        pytest.param(RUNNING, None, "its phase is missing from the answer", id="to be running, unknown"),
        pytest.param(STOPPED, "Available", "every server is off", id="to be hibernated"),
        pytest.param(STOPPED, "Hibernation", "hibernated", id="hibernated"),
        pytest.param(STOPPED, "Hibernating", "it is going to sleep", id="going to sleep"),
        pytest.param(STOPPED, None, "its phase is missing from the answer", id="to be stopped, unknown"),
        pytest.param(STOPPED, "Error", "in phase Error it is neither hibernated nor woken", id="in error"),
    ],
)
def test_says_why(state: State, phase: Optional[str], reason: str) -> None:
    assert plan(state, phase, [off()]).reason == reason


def test_says_why_it_is_not_hibernated() -> None:
    prepaid = plan(STOPPED, "Available", [off()], is_prepaid=True)
    unknown = plan(STOPPED, "Available", [off()], is_prepaid=None)
    assert prepaid.reason == "kept up: yearly/monthly clusters cannot hibernate"
    assert unknown.reason == "kept up: how the cluster is charged is missing from the answer"
    assert (prepaid.phase, unknown.phase) == ("Available", "Available")
    assert prove_asleep(STEP, [], []).reason == "kept up: CCE lists no node at all"


@pytest.mark.parametrize(
    ("number", "names"),
    [
        (3, "node-1: locked, node-2: locked, node-3: locked"),
        (4, "node-1: locked, node-2: locked, node-3: locked and 1 more"),
        (9, "node-1: locked, node-2: locked, node-3: locked and 6 more"),
    ],
)
def test_names_a_few_of_many(number: int, names: str) -> None:
    up = [Hold(HoldKind.LOCKED, make_server(n), "locked") for n in range(1, number + 1)]
    assert plan(STOPPED, "Available", up).reason == f"kept up by {names}"
