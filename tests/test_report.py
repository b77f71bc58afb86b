"""What a run says: names that other programs read, and sizes that the platform takes."""

import json
from datetime import timedelta
from typing import Any, Dict, List, Optional, Tuple

import pytest

from scheduler.errors import InputError, PermanentCloudError, SchedulerError, UnsafePlanError
from scheduler.model import (
    Action,
    ClusterPlan,
    ControlPlaneAction,
    ControlPlaneOutcome,
    ControlPlanePlan,
    Desired,
    Hold,
    HoldKind,
    Outcome,
    Overdue,
    Plan,
    Power,
    Rule,
    Run,
    Server,
    State,
    Timing,
)
from scheduler.report import (
    desired_json,
    error_json,
    error_result,
    find_failures,
    hold_counts,
    log_lines,
    one_shot_json,
    plan_json,
    run_errors,
    run_json,
    summarise,
    write_instant,
)
from tests.scenes import DEV, NOW, PROJECT, REGION, TEST, make_cluster, make_server

DESIRED = Desired(State.STOPPED, "after hours", Rule("windows", 1), NOW, NOW + timedelta(hours=12))
REFUSED = PermanentCloudError("no right", code="EPS.0003", status_code=403, request_id="r-1")
BANGKOK = make_cluster(timing=Timing("Asia/Bangkok", State.STOPPED))
ON, OFF, HELD = make_server(1), make_server(2, status="SHUTOFF"), make_server(3, locked=True)


def make_run(**changes: Any) -> Run:
    """Return a run with a start, a HARD stop that was refused, and a hold."""
    actions = (Action(Power.STOP_HARD, ON), Action(Power.START, OFF))
    planned = ClusterPlan(BANGKOK, DESIRED, actions, (Hold(HoldKind.LOCKED, HELD, "locked"),), ("a warning",))
    outcomes = (Outcome("dev", Power.STOP_HARD, ON, REFUSED), Outcome("dev", Power.START, OFF))
    return Run(Plan(NOW, (planned,)), outcomes)._replace(**changes)


def idle_run() -> Run:
    """Return a run with one cluster of which nothing is asked."""
    return Run(Plan(NOW, (ClusterPlan(BANGKOK, DESIRED),)))


def shown(server: Server, **more: Any) -> Dict[str, Any]:
    return {"server_id": server.server_id, "server_name": server.name, **more}


def subset(found: Dict[str, Any], *names: str) -> List[Any]:
    return [found[name] for name in names]


def test_writes_an_instant_with_its_offset() -> None:
    assert write_instant(NOW) == "2026-12-01T12:00:00+00:00"
    assert write_instant(NOW, "Asia/Bangkok") == "2026-12-01T19:00:00+07:00"
    assert write_instant(None) is None


def test_a_desired_state_is_written_in_the_zone_of_its_schedule() -> None:
    assert desired_json(BANGKOK, NOW, DESIRED) == {
        "cluster": "dev",
        "at": "2026-12-01T19:00:00+07:00",
        "state": "stopped",
        "reason": "after hours",
        "rule": {"kind": "windows", "index": 1},
        "since": "2026-12-01T19:00:00+07:00",
        "until": "2026-12-02T07:00:00+07:00",
    }


def test_a_plan_has_its_names() -> None:
    plan = plan_json(make_run().plan)
    (cluster,) = plan["clusters"]
    assert plan["at"] == "2026-12-01T12:00:00+00:00"
    assert plan["summary"] == {"start": 1, "stop": 1, "hold": 1, "hibernate": 0, "awake": 0, "errors": 0}
    assert plan["refusal"] is None
    assert subset(cluster, "name", "cluster_id", "region", "project_id") == ["dev", DEV, REGION, PROJECT]
    assert subset(cluster, "state", "reason") == ["stopped", "after hours"]
    assert subset(cluster, "since", "until") == ["2026-12-01T19:00:00+07:00", "2026-12-02T07:00:00+07:00"]
    assert cluster["start"] == [shown(OFF)]
    assert cluster["stop"] == [shown(ON, type="HARD")]
    assert cluster["hold"] == [shown(HELD, status="ACTIVE", reason="locked")]
    assert subset(cluster, "control_plane", "error", "warnings") == [None, None, ["a warning"]]


def test_a_plan_counts_failed_clusters_and_a_refusal_as_errors() -> None:
    broken = ClusterPlan(BANGKOK, DESIRED, error=REFUSED)
    plan = plan_json(Plan(NOW, (broken, broken), UnsafePlanError("too many")))
    assert plan["summary"]["errors"] == 3
    assert plan["refusal"] == {"message": "too many"}
    assert plan["clusters"][0]["error"] == {
        "message": "no right",
        "error_code": "EPS.0003",
        "status_code": 403,
        "request_id": "r-1",
    }


def test_a_result_has_its_names() -> None:
    result = run_json(make_run(), "converge")
    assert subset(result, "status", "action") == ["error", "converge"]
    assert result["message"] == "started 1, stopped 0, held 1; failed: dev: no right"
    data = result["data"]
    assert subset(data, "at", "dry_run") == ["2026-12-01T12:00:00+00:00", False]
    assert data["server_list"] == [shown(OFF)]
    assert subset(data, "error_code", "status_code", "request_id") == ["EPS.0003", 403, "r-1"]
    (cluster,) = data["clusters"]
    assert subset(cluster, "name", "cluster_id", "state", "reason") == ["dev", DEV, "stopped", "after hours"]
    assert subset(cluster, "started", "stopped") == [[shown(OFF)], []]
    assert cluster["held"] == [shown(HELD, status="ACTIVE", reason="locked")]
    assert subset(cluster, "overdue", "control_plane") == [[], None]
    assert cluster["error"]["servers"] == [shown(ON)]
    assert cluster["error"]["message"] == "no right"


def test_a_run_without_a_failure_is_a_success_without_error_fields() -> None:
    result = run_json(make_run(outcomes=(Outcome("dev", Power.STOP_SOFT, ON),)), "converge")
    assert result["status"] == "success"
    assert result["data"]["clusters"][0]["stopped"] == [shown(ON, type="SOFT")]
    assert result["data"]["clusters"][0]["error"] is None
    assert not {"error_code", "status_code", "request_id"} & set(result["data"])


def test_a_dry_run_shows_no_stop_that_a_limit_refuses() -> None:
    run = make_run(outcomes=(), dry_run=True)
    run = run._replace(plan=run.plan._replace(refusal=UnsafePlanError("too many")))
    result = run_json(run, "plan")
    message = "would start 1, would stop 0, refused 1, held 1; every stop would be refused: too many"
    assert subset(result, "status", "message") == ["success", message]
    assert result["data"]["refusal"] == {"message": "too many"}
    (cluster,) = result["data"]["clusters"]
    assert subset(cluster, "started", "stopped") == [[shown(OFF)], []]
    assert cluster["error"] == {"message": "too many", "servers": [shown(ON)]}


def test_a_dry_run_shows_what_would_be_done_and_lists_nothing_as_done() -> None:
    result = run_json(make_run(outcomes=(), dry_run=True), "plan")
    assert result["message"] == "would start 1, would stop 1, held 1"
    assert result["data"]["dry_run"] is True
    assert result["data"]["server_list"] == []
    assert result["data"]["clusters"][0]["started"] == [shown(OFF)]
    assert result["data"]["clusters"][0]["stopped"] == [shown(ON, type="HARD")]


def test_a_one_shot_result_has_nothing_but_the_old_names() -> None:
    success = make_run(outcomes=(Outcome("dev", Power.STOP_SOFT, ON), Outcome("dev", Power.START, OFF)))
    assert one_shot_json(success, "stop") == {
        "status": "success",
        "message": "started 1, stopped 1, held 1",
        "action": "stop",
        "data": {"server_list": [shown(ON), shown(OFF)]},
    }


def test_a_one_shot_failure_carries_what_the_api_gave() -> None:
    data = one_shot_json(make_run(), "stop")["data"]
    assert data == {"server_list": [shown(OFF)], "error_code": "EPS.0003", "status_code": 403, "request_id": "r-1"}


def test_a_result_carries_what_the_api_gave_with_whichever_failure_it_was() -> None:
    overdue = ClusterPlan(BANGKOK, DESIRED, overdue=(Overdue("its servers cannot be found", 7200),))
    own = ClusterPlan(make_cluster("test", TEST), DESIRED, error=InputError("wrong"))
    bare = Outcome("dev", Power.STOP_SOFT, OFF, PermanentCloudError("no answer"))
    run = Run(Plan(NOW, (own, overdue)), (bare, Outcome("dev", Power.STOP_SOFT, ON, REFUSED)))
    data = run_json(run, "converge")["data"]
    assert subset(data, "error_code", "status_code", "request_id") == ["EPS.0003", 403, "r-1"]


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (InputError("wrong"), {"server_list": []}),
        (REFUSED, {"server_list": [], "error_code": "EPS.0003", "status_code": 403, "request_id": "r-1"}),
        (PermanentCloudError("no code", status_code=404), {"server_list": [], "status_code": 404}),
    ],
)
def test_what_could_not_be_begun_is_an_error(error: SchedulerError, data: Dict[str, Any]) -> None:
    told = {"status": "error", "message": str(error), "action": "stop"}
    assert error_result(error, "stop", is_one_shot=True) == {**told, "data": data}
    assert error_result(error, "stop", is_one_shot=False) == {**told, "data": {"clusters": [], **data}}


def test_no_error_is_null() -> None:
    assert error_json(None) is None


def of_many(number: int, name: str = "n") -> Run:
    servers = [make_server(n, name=f"{name}-{n}") for n in range(number)]
    holds = [
        Hold(HoldKind.LOCKED, s, "locked") if n % 3 else Hold(HoldKind.ALREADY, s, "already stopped")
        for n, s in enumerate(servers)
    ]
    stops = tuple(Action(Power.STOP_SOFT, s) for s in servers)
    planned = ClusterPlan(BANGKOK, DESIRED, stops, tuple(holds))
    return Run(Plan(NOW, (planned,)), tuple(Outcome("dev", Power.STOP_SOFT, s) for s in servers))


@pytest.mark.parametrize("number", [100, 101])
def test_of_more_than_a_hundred_servers_a_cluster_tells_the_number(number: int) -> None:
    result = run_json(of_many(number), "converge")["data"]
    cluster = result["clusters"][0]
    if number == 100:
        assert (len(cluster["held"]), len(cluster["stopped"])) == (100, 100)
    else:
        assert cluster["held"] == {"locked": 67, "already stopped": 34}
        assert list(cluster["held"]) == ["locked", "already stopped"]
        assert cluster["stopped"] == {"count": 101}
    assert len(result["server_list"]) == number  # what the one-shot mode promises


def test_holds_are_counted_by_reason() -> None:
    holds = [Hold(HoldKind.EXCLUDED, ON, reason) for reason in ("b", "a", "b")]
    assert list(hold_counts(holds).items()) == [("b", 2), ("a", 1)]


# Failures


def test_every_failure_is_told_once() -> None:
    other = PermanentCloudError("other")
    plans = (
        ClusterPlan(BANGKOK, DESIRED, error=other),
        ClusterPlan(make_cluster("test", TEST), DESIRED, error=other),
    )
    refusal = UnsafePlanError("too many")
    outcomes = (Outcome("dev", Power.STOP_SOFT, ON, refusal), Outcome("dev", Power.STOP_SOFT, ON, REFUSED))
    run = Run(Plan(NOW, plans, refusal), outcomes)
    assert run_errors(run) == [other, refusal, REFUSED]
    assert summarise(run, find_failures(run)) == (
        "started 0, stopped 0, held 0; failed: dev, test: other; too many; dev: no right"
    )


def test_a_failure_of_many_clusters_names_some_and_sends_nothing_to_a_terminal() -> None:
    error = PermanentCloudError("no\x1b[2J\nright")
    plans = tuple(ClusterPlan(make_cluster(f"c{number}", f"id-{number}"), DESIRED, error=error) for number in range(7))
    run = Run(Plan(NOW, plans))
    assert summarise(run, find_failures(run)).endswith("; failed: c0, c1, c2, c3, c4 and 2 more: no\\x1b[2J\\nright")


STEP = ControlPlanePlan("Available", ControlPlaneAction.HIBERNATE, "every server is off")


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        pytest.param(None, ", would hibernate 1", id="in a dry run"),
        pytest.param(ControlPlaneOutcome("dev", ControlPlaneAction.HIBERNATE), ", hibernated 1", id="done"),
        pytest.param(ControlPlaneOutcome("dev", ControlPlaneAction.HIBERNATE, left="busy"), ", left 1", id="left"),
    ],
)
def test_the_steps_of_control_planes_are_counted(outcome: Optional[ControlPlaneOutcome], text: str) -> None:
    plans = (ClusterPlan(BANGKOK, DESIRED, control_plane=STEP), ClusterPlan(make_cluster("test", TEST), DESIRED))
    run = Run(Plan(NOW, plans), control_planes=(outcome,) if outcome else (), dry_run=outcome is None)
    assert text in summarise(run, find_failures(run))
    assert ("hibernated" in summarise(run, find_failures(run))) is (text == ", hibernated 1")
    assert plan_json(run.plan)["summary"]["hibernate"] == 1


@pytest.mark.parametrize(
    ("phase", "is_told"), [("Available", True), ("Error", True), (None, True), ("Hibernation", False)]
)
def test_a_control_plane_that_is_not_as_desired_is_in_the_log_of_every_run(
    phase: Optional[str],
    is_told: bool,  # noqa: FBT001
) -> None:
    kept = ControlPlanePlan(phase, None, "kept up by bastion: excluded", is_kept=True)
    run = Run(Plan(NOW, (ClusterPlan(BANGKOK, DESIRED, control_plane=kept),)))
    lines = [line["control_plane"]["reason"] for line in log_lines(run, "converge") if line["event"] == "cluster"]
    assert lines == (["kept up by bastion: excluded"] if is_told else [])


@pytest.mark.parametrize(("dry_run", "failed"), [(False, True), (True, False)])
def test_a_refusal_fails_a_run_but_not_a_look_at_it(dry_run: bool, failed: bool) -> None:  # noqa: FBT001
    run = Run(Plan(NOW, (), UnsafePlanError("too many")), dry_run=dry_run)
    assert run.has_failed is failed
    assert bool(run_errors(run)) is failed


# Log lines


def test_the_log_has_a_line_for_each_cluster_that_did_something_and_one_for_the_run() -> None:
    quiet = ClusterPlan(make_cluster("quiet", TEST), DESIRED, holds=(Hold(HoldKind.ALREADY, OFF, "already stopped"),))
    broken = ClusterPlan(make_cluster("broken", "b"), DESIRED, error=REFUSED)
    lonely = ClusterPlan(make_cluster("lonely", "l"), DESIRED, warnings=("no server",))
    acted = make_run().plan.clusters[0]
    run = Run(Plan(NOW, (quiet, acted, broken, lonely)), make_run().outcomes)
    *clusters, summary = log_lines(run, "converge")
    assert [line["name"] for line in clusters] == ["dev", "broken", "lonely"]
    assert {line["event"] for line in clusters} == {"cluster"}
    assert clusters[0]["held"] == {"locked": 1}
    assert clusters[1]["error"]["error_code"] == "EPS.0003"
    assert clusters[2]["warnings"] == ["no server"]
    assert subset(summary, "event", "action", "status", "dry_run") == ["run", "converge", "error", False]
    assert summary["message"] == summarise(run, find_failures(run))


DRIFTED = frozenset({HoldKind.NEEDS_PERSON, HoldKind.STOPPING, HoldKind.IN_TRANSITION, HoldKind.CONTROL_PLANE})


@pytest.mark.parametrize("kind", HoldKind)
def test_the_log_tells_of_servers_that_are_not_as_desired_and_not_of_those_left_alone_on_purpose(
    kind: HoldKind,
) -> None:
    held = ClusterPlan(BANGKOK, DESIRED, holds=(Hold(HoldKind.ALREADY, OFF, "already"), Hold(kind, ON, "why")))
    told = [line["held"] for line in log_lines(Run(Plan(NOW, (held,))), "converge") if line["event"] == "cluster"]
    assert told == ([{"already": 1, kind.value: 1}] if kind in DRIFTED else [])


def test_a_run_with_nothing_to_do_is_one_line() -> None:
    (line,) = log_lines(idle_run(), "converge")
    assert subset(line, "event", "status", "message") == ["run", "success", "started 0, stopped 0, held 0"]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="no cluster"),
        pytest.param({"error": REFUSED}, id="a cluster"),
        pytest.param({"overdue": (Overdue("its servers cannot be found", 7200),)}, id="overdue"),
    ],
)
@pytest.mark.parametrize("failure", [None, REFUSED])
@pytest.mark.parametrize("refusal", [None, UnsafePlanError("too many")])
@pytest.mark.parametrize("outcomes", [(), make_run().outcomes])
def test_what_failed_is_an_error_in_the_result_and_in_the_log(
    dry_run: bool,  # noqa: FBT001
    changes: Dict[str, Any],
    failure: Optional[PermanentCloudError],
    refusal: Optional[UnsafePlanError],
    outcomes: Tuple[Outcome, ...],
) -> None:
    planned = ClusterPlan(BANGKOK, DESIRED)._replace(**changes)
    run = Run(Plan(NOW, (planned,), refusal, failure=failure), outcomes, dry_run=dry_run)
    status = "error" if run.has_failed else "success"
    assert run_json(run, "converge")["status"] == status
    assert list(log_lines(run, "converge"))[-1]["status"] == status


def test_a_cluster_of_which_nothing_is_asked_has_the_fields_of_every_other() -> None:
    idle, busy = (run_json(run, "converge")["data"]["clusters"][0] for run in (idle_run(), make_run()))
    assert list(idle) == list(busy)
    assert [field for field in idle if idle[field]] == ["name", "cluster_id", "state", "reason"]
    assert [idle[field] for field in ("control_plane", "error")] == [None, None]
    assert type(idle["state"]) is str


def test_everything_that_is_said_is_json() -> None:
    for run in (make_run(), idle_run(), of_many(200), make_run(outcomes=(), dry_run=True)):
        for said in (run_json(run, "plan"), one_shot_json(run, "stop"), plan_json(run.plan), *log_lines(run, "plan")):
            assert json.loads(json.dumps(said)) == said
