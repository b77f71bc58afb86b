"""What a run says: machine output, the function's result and its log lines. Pure; the names in it are fixed.

Fields may be added, never renamed: other programs read them.
"""

from collections import Counter
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from scheduler.describe import join_some, printable
from scheduler.errors import CloudError, OverdueError, SchedulerError
from scheduler.model import (
    EVERY_CLUSTER,
    Cluster,
    ClusterPlan,
    ControlPlaneAction,
    ControlPlaneOutcome,
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
)

_MOST_LISTED = 100
"""Of more servers than this in one list only counts are given, so that a result and a log line stay small."""
_DRIFTED = frozenset({HoldKind.NEEDS_PERSON, HoldKind.STOPPING, HoldKind.IN_TRANSITION, HoldKind.CONTROL_PLANE})
"""Holds of servers that are not as desired and of which no person said that they are to be left alone."""

_STEPS = (
    (ControlPlaneAction.HIBERNATE, "hibernated", "would hibernate"),
    (ControlPlaneAction.AWAKE, "woke", "would wake"),
)

Json = Dict[str, Any]


def write_instant(at: Optional[datetime], zone: Optional[str] = None) -> Optional[str]:
    """Write an instant as ISO 8601 with offset, in a zone or in UTC."""
    if at is None or not zone:
        return at.astimezone(timezone.utc).isoformat() if at else None
    from zoneinfo import ZoneInfo  # at first use, as everywhere: a run in which nothing is managed asks for no zone

    return at.astimezone(ZoneInfo(zone)).isoformat()


def desired_json(cluster: Cluster, at: datetime, desired: Desired) -> Json:
    """Return one element of ``evaluate --json``."""
    zone = cluster.timing.timezone
    return {
        "cluster": cluster.name,
        "at": write_instant(at, zone),
        "state": desired.state.value,
        "reason": desired.reason,
        "rule": _rule_json(desired.rule),
        "since": write_instant(desired.since, zone),
        "until": write_instant(desired.until, zone),
    }


def plan_json(plan: Plan) -> Json:
    """Return what ``plan --json`` prints."""
    clusters = [_cluster_plan_json(c) for c in plan.clusters]
    return {
        "at": write_instant(plan.at),
        "clusters": clusters,
        "summary": {
            "start": sum(len(c["start"]) for c in clusters),
            "stop": sum(len(c["stop"]) for c in clusters),
            "hold": sum(len(c["hold"]) for c in clusters),
            "hibernate": count_steps(Run(plan, dry_run=True), ControlPlaneAction.HIBERNATE),
            "awake": count_steps(Run(plan, dry_run=True), ControlPlaneAction.AWAKE),
            "errors": sum(e is not None for e in (*(c["error"] for c in clusters), plan.refusal, plan.failure)),
        },
        "refusal": error_json(plan.refusal),
        "failure": error_json(plan.failure),
        "warnings": list(plan.warnings),
    }


def run_json(run: Run, action: str) -> Json:
    """Return the function's result for a run: what was started and stopped, or would be in a dry run."""
    done = [o for o in run.outcomes if o.is_accepted]
    data: Json = {
        "at": write_instant(run.plan.at),
        "dry_run": run.dry_run,
        "clusters": [_cluster_run_json(c, acted, step) for c, acted, step in _by_cluster(run, run.plan.clusters)],
        "server_list": [_server_json(o.server) for o in done],
        "refusal": error_json(run.plan.refusal),
        "warnings": list(run.plan.warnings),
    }
    failures = find_failures(run)
    data.update(next(filter(None, (_api_json(failure.error) for failure in failures)), {}))
    return {
        "status": "error" if failures else "success",
        "message": summarise(run, failures),
        "action": action,
        "data": data,
    }


def one_shot_json(run: Run, action: str) -> Json:
    """Return the result of the one-shot mode, in the shape of the function that it replaces."""
    result = run_json(run, action)
    kept = {"server_list", "error_code", "status_code", "request_id"}
    result["data"] = {k: v for k, v in result["data"].items() if k in kept}
    return result


def error_result(error: SchedulerError, action: str, *, is_one_shot: bool) -> Json:
    """Return the function's result where nothing could be begun; in the one-shot mode it has nothing of clusters."""
    data: Json = {} if is_one_shot else {"clusters": []}
    data.update(server_list=[], **_api_json(error))
    return {"status": "error", "message": str(error), "action": action, "data": data}


def error_json(error: Optional[SchedulerError]) -> Optional[Json]:
    """Return a failure with the API's own code, status and request id where it gave them."""
    return {"message": str(error), **_api_json(error)} if error else None


def run_errors(run: Run) -> List[SchedulerError]:
    """Return every distinct failure of a run, in the order of the file."""
    return [failure.error for failure in find_failures(run)]


class Failure(NamedTuple):
    """A failure, and the clusters that it is of; none where its text names them, or where it is of the whole run."""

    error: SchedulerError
    clusters: Sequence[str] = ()


def find_failures(run: Run) -> List[Failure]:
    """Return every distinct failure of a run, in the order of the file."""
    found = [(c.error, c.cluster.name) for c in run.plan.clusters if c.error]
    found += [(o.error, o.cluster) for o in run.outcomes if o.error]
    found += [(o.error, o.cluster) for o in run.control_planes if o.error]
    names: Dict[int, List[str]] = {}
    for error, name in found:
        of_error = names.setdefault(id(error), [])
        if name not in of_error:
            of_error.append(name)
    distinct = {id(error): Failure(error, () if error is run.plan.refusal else names[id(error)]) for error, _ in found}
    late = [overdue_error(c) for c in run.plan.clusters if c.overdue and not run.dry_run]
    of_run = [None if run.dry_run else run.plan.refusal, run.plan.failure]
    distinct.update((id(e), Failure(e)) for e in (*late, *of_run) if e is not None)
    return list(distinct.values())


def _failure_text(failure: Failure) -> str:
    """Say what failed for whom, with nothing in it that a terminal would obey."""
    names = join_some(failure.clusters)
    text = f"{names}: {failure.error}" if names else str(failure.error)
    return printable(text)


def overdue_error(planned: ClusterPlan) -> Optional[OverdueError]:
    """Return the failure of a cluster that is not as desired for too long; None of one that is, or has time."""
    if not planned.overdue:
        return None
    named = join_some([describe_overdue(overdue) for overdue in planned.overdue])
    return OverdueError(f"{planned.cluster.name} should be {planned.desired.state.value}, but {named}")


def describe_overdue(overdue: Overdue) -> str:
    """Say how something was seen, and for how long it has not been as desired."""
    minutes = max(overdue.for_s // 60, 1)
    long = f"for {minutes // 60}h {minutes % 60:02}m" if minutes >= 60 else f"for {minutes}m"  # noqa: PLR2004
    return f"{overdue.text} ({long})"


def summarise(run: Run, failures: Sequence[Failure]) -> str:
    """Say in a line what a run did, or would do; ``failures`` are those that `find_failures` finds."""
    refused, refusal = count_refused(run), run.plan.refusal
    powers = [o.power for o in run.outcomes if o.is_accepted]
    if run.dry_run:
        powers = [a.power for c in run.plan.clusters for a in c.actions if not refused or a.power is Power.START]
    starts = powers.count(Power.START)
    holds = sum([len(c.holds) for c in run.plan.clusters if c.holds])
    words = ("would start", "would stop") if run.dry_run else ("started", "stopped")
    left = sum(o.left is not None for o in run.outcomes) + sum(s.left is not None for s in run.control_planes)
    text = f"{words[0]} {starts}, {words[1]} {len(powers) - starts}"
    text += f", refused {refused}" if refused else ""
    text += f", held {holds}"
    for action, done, would in _STEPS:
        number = count_steps(run, action)
        text += f", {would if run.dry_run else done} {number}" if number else ""
    text += f", left {left} to the next run" if left else ""
    if any(c.cluster.cluster_id == EVERY_CLUSTER for c in run.plan.clusters):
        text = f"all CCE clusters of the project: {text}"
    text += f"; every stop would be refused: {refusal}" if refusal and run.dry_run else ""
    return f"{text}; failed: {'; '.join(map(_failure_text, failures))}" if failures else text


def count_refused(run: Run) -> int:
    """Return how many stops a limit refuses."""
    if run.plan.refusal is None:
        return 0
    return sum(action.power is not Power.START for planned in run.plan.clusters for action in planned.actions)


def count_steps(run: Run, action: ControlPlaneAction) -> int:
    """Return how many control planes were asked to take a step, or in a dry run would be."""
    if run.dry_run:
        steps = [c.control_plane for c in run.plan.clusters if c.control_plane is not None]
        return sum(step.action is action for step in steps)
    return sum(o.is_accepted and o.action is action for o in run.control_planes)


def log_lines(run: Run, action: str) -> Iterable[Json]:
    """Yield a line for each cluster that acted, drifted or failed, and one that sums the run up."""
    heard = [c for c in run.plan.clusters if c.actions or c.error or c.warnings or c.overdue or _drifts(c)]
    for planned, acted, step in _by_cluster(run, heard):
        held = dict(Counter(h.kind.value for h in planned.holds))
        line = _cluster_run_json(planned, acted, step)
        yield {"event": "cluster", **line, "held": held, "warnings": list(planned.warnings)}
    failures = find_failures(run)
    yield {
        "event": "run",
        "action": action,
        "at": write_instant(run.plan.at),
        "dry_run": run.dry_run,
        "status": "error" if failures else "success",
        "message": summarise(run, failures)[:8000],
        "warnings": list(run.plan.warnings),
    }


def _drifts(planned: ClusterPlan) -> bool:
    """Whether a server or a control plane is not as desired, and nobody asked for that: each run says so, and why."""
    if any(hold.kind in _DRIFTED for hold in planned.holds):
        return True
    if planned.control_plane is None:
        return False
    from scheduler.control_plane import is_as_desired  # only by a run that has looked at one

    return not is_as_desired(planned.desired.state, planned.control_plane.phase)


def hold_counts(holds: Iterable[Hold]) -> Dict[str, int]:
    """Count holds by reason, the most frequent first."""
    return dict(Counter(h.reason for h in holds).most_common())


def _rule_json(rule: Rule) -> Json:
    return {"kind": rule.kind, "index": rule.position}


def _server_json(server: Server) -> Json:
    return {"server_id": server.server_id, "server_name": server.name}


def _stop_type(power: Power) -> str:
    return "HARD" if power is Power.STOP_HARD else "SOFT"


def _hold_json(hold: Hold) -> Json:
    return {**_server_json(hold.server), "status": hold.server.status, "reason": hold.reason}


def _cluster_plan_json(planned: ClusterPlan) -> Json:
    cluster, desired = planned.cluster, planned.desired
    zone = cluster.timing.timezone
    return {
        "name": cluster.name,
        "cluster_id": cluster.cluster_id,
        "region": cluster.region,
        "project_id": cluster.project_id,
        "state": desired.state.value,
        "reason": desired.reason,
        "since": write_instant(desired.since, zone),
        "until": write_instant(desired.until, zone),
        "start": [_server_json(a.server) for a in planned.actions if a.power is Power.START],
        "stop": [
            {**_server_json(a.server), "type": _stop_type(a.power)}
            for a in planned.actions
            if a.power is not Power.START
        ],
        "hold": [_hold_json(h) for h in planned.holds],
        "control_plane": _control_plane_json(planned),
        "overdue": _overdue_json(planned),
        "warnings": list(planned.warnings),
        "error": error_json(planned.error),
    }


def _control_plane_json(planned: ClusterPlan, outcome: Optional[ControlPlaneOutcome] = None) -> Optional[Json]:
    step = planned.control_plane
    if step is None:
        return None
    found: Json = {"phase": step.phase, "action": step.action.value if step.action else None, "reason": step.reason}
    if outcome is not None:
        found.update(error=error_json(outcome.error), left=outcome.left)
    return found


def _overdue_json(planned: ClusterPlan) -> List[Json]:
    return [
        {
            **(_server_json(o.server) if o.server else {"server_id": None, "server_name": None}),
            "status": o.server.status if o.server else None,
            "task_state": o.server.task_state if o.server else None,
            "fault": o.server.fault if o.server else None,
            "for_s": o.for_s,
            "message": o.text,
        }
        for o in planned.overdue
    ]


def _by_cluster(
    run: Run, clusters: Iterable[ClusterPlan]
) -> Iterator[Tuple[ClusterPlan, List[Outcome], Optional[ControlPlaneOutcome]]]:
    """Yield clusters with what was done for them, or in a dry run what would be."""
    steps = {step.cluster: step for step in run.control_planes}
    found: Dict[str, List[Outcome]] = {}
    for outcome in run.outcomes:
        found.setdefault(outcome.cluster, []).append(outcome)
    for planned in clusters:
        name = planned.cluster.name
        yield planned, _foresee(run, planned) if run.dry_run else found.get(name, []), steps.get(name)


def _foresee(run: Run, planned: ClusterPlan) -> List[Outcome]:
    """Return what would come of a cluster's actions, if the cloud refuses none."""
    return [
        Outcome(planned.cluster.name, a.power, a.server, None if a.power is Power.START else run.plan.refusal)
        for a in planned.actions
    ]


def _cluster_run_json(planned: ClusterPlan, outcomes: List[Outcome], step: Optional[ControlPlaneOutcome]) -> Json:
    line: Json = {
        "name": planned.cluster.name,
        "cluster_id": planned.cluster.cluster_id,
        "state": planned.desired.state._value_,  # not `value`, which is a function: there may be thousands of lines
        "reason": planned.desired.reason,
        "started": [],
        "stopped": [],
        "held": [],
        "left": [],
        "overdue": [],
        "control_plane": None,
        "error": None,
    }
    if outcomes or planned.holds or planned.overdue or planned.control_plane or planned.error:
        line.update(_done_json(planned, outcomes, step))
    return line


def _done_json(planned: ClusterPlan, outcomes: List[Outcome], step: Optional[ControlPlaneOutcome]) -> Json:
    acted = [o for o in outcomes if o.is_accepted]
    failed = [o for o in outcomes if o.error]
    left = [{**_server_json(o.server), "reason": o.left} for o in outcomes if o.left]
    error = error_json(planned.error or (failed[0].error if failed else None))
    if error and failed:
        error["servers"] = _shorten([_server_json(o.server) for o in failed])
    stopped = [{**_server_json(o.server), "type": _stop_type(o.power)} for o in acted if o.power is not Power.START]
    many = len(planned.holds) > _MOST_LISTED
    return {
        "started": _shorten([_server_json(o.server) for o in acted if o.power is Power.START]),
        "stopped": _shorten(stopped),
        "held": hold_counts(planned.holds) if many else [_hold_json(h) for h in planned.holds],
        "left": _shorten(left),
        "overdue": _shorten(_overdue_json(planned)),
        "control_plane": _control_plane_json(planned, step),
        "error": error,
    }


def _shorten(servers: List[Json]) -> Any:
    return servers if len(servers) <= _MOST_LISTED else {"count": len(servers)}


def _api_json(error: SchedulerError) -> Json:
    if not isinstance(error, CloudError):
        return {}
    found = {"error_code": error.code, "status_code": error.status_code, "request_id": error.request_id}
    return {k: v for k, v in found.items() if v is not None}
