"""A run, planned or applied, as a person scans it: what starts, what stops, what is left alone and why.

::

    dev: stopped since Fri 2026-11-20 20:00
      outside window 1 (mon-fri 08:00-20:00 Asia/Bangkok), until Mon 08:00
      - stop   dev-node-2  9d3c...  (SOFT)
      = hold   1 already stopped, 1 excluded by server "bastion-*"
      ? exclude.servers: "jump-*" matches no server of this cluster

    Plan: 0 to start, 1 to stop, 2 held, 0 failed.

Where a limit refuses the stops, none of them is counted as one that will happen.
"""

from typing import Dict, Iterator, List, Mapping, Sequence, Set, Tuple
from zoneinfo import ZoneInfo

from rich.console import RenderableType

from scheduler.cli.output import line
from scheduler.describe import write_local
from scheduler.errors import SchedulerError
from scheduler.model import (
    Action,
    ClusterPlan,
    ControlPlaneAction,
    ControlPlaneOutcome,
    Desired,
    Hold,
    Outcome,
    Power,
    Run,
    Server,
    ServerId,
    State,
)
from scheduler.plan import Exclusion, find_matching
from scheduler.report import count_refused, count_steps, describe_overdue, hold_counts

_STATE_STYLES = {State.RUNNING: "bold green", State.STOPPED: "bold yellow", State.UNMANAGED: "bold"}
_INDENT = 2
_WARN, _FAIL = "yellow", "red"
_STEPS = (
    (ControlPlaneAction.HIBERNATE, "hibernated", "to hibernate"),
    (ControlPlaneAction.AWAKE, "woken", "to wake"),
)


def show_run(
    run: Run, *, verbose: bool, is_simulated: bool = False, notes: "Mapping[str, str] | None" = None
) -> Iterator[RenderableType]:
    """Yield the lines of a run; ``notes`` are further lines about clusters, by name.

    Of a simulated cloud exclusions without a server are not told: it has few servers, and all are made up.
    """
    outcomes: Dict[Tuple[str, ServerId], Outcome] = {(o.cluster, o.server.server_id): o for o in run.outcomes}
    steps = {step.cluster: step for step in run.control_planes}
    matched = {exclusion for planned in run.plan.clusters for exclusion in _matching(planned)}
    for planned in run.plan.clusters:
        name = planned.cluster.name
        yield line(_header(name, planned), _STATE_STYLES[planned.desired.state])
        yield line(planned.desired.reason, "dim", _INDENT)
        if notes and name in notes:
            yield line(notes[name], "dim", _INDENT)
        servers = [action.server for action in planned.actions]
        servers += [hold.server for hold in planned.holds if verbose]
        width = max((len(_name(server)) for server in servers), default=0)
        for action in planned.actions:
            outcome = outcomes.get((name, action.server.server_id))
            yield from _action(action, outcome, width, run.plan.refusal)
        yield from _holds(planned.holds, width, verbose=verbose)
        yield from _control_plane(planned, steps.get(name))
        for overdue in planned.overdue:
            yield line(f"! overdue: {describe_overdue(overdue)}", _FAIL, _INDENT)
        for warning in planned.warnings:
            yield line(f"! warning: {warning}", _WARN, _INDENT)
        yield from () if is_simulated else _idle_exclusions(planned, matched)
        if planned.error:
            yield line(f"! error: {planned.error}", _FAIL, _INDENT)
        yield ""
    if run.plan.refusal:
        yield line(f"! every stop is refused: {run.plan.refusal}", _FAIL)
    for warning in run.plan.warnings:
        yield line(f"! warning: {warning}", _WARN)
    if run.plan.failure:
        yield line(f"! error: {run.plan.failure}", _FAIL)
    yield line(_summary(run), "bold")


def _header(name: str, planned: ClusterPlan) -> str:
    zone = planned.cluster.timing.timezone
    return f"{name}: {planned.desired.state.value}{_since(planned.desired, ZoneInfo(zone))}"


def _since(desired: Desired, zone: ZoneInfo) -> str:
    return f" since {write_local(desired.since, zone)}" if desired.since else ""


def _action(
    action: Action, outcome: "Outcome | None", width: int, refusal: "SchedulerError | None"
) -> Iterator[RenderableType]:
    starts = action.power is Power.START
    sign, verb, style = ("+", "start", "green") if starts else ("-", "stop ", "yellow")
    soft = "" if starts else f"  ({action.power.value.split()[1]}{', refused' if refusal else ''})"
    server = f"{_name(action.server):{width}}  {action.server.server_id}"
    yield line(f"{sign} {verb}  {server}{soft}", style, _INDENT)
    if outcome and outcome.error and outcome.error is not refusal:
        yield line(f"! failed: {outcome.error}", _FAIL, _INDENT * 2)
    if outcome and outcome.left:
        yield line(f"left to the next run: {outcome.left}", _WARN, _INDENT * 2)


def _control_plane(planned: ClusterPlan, outcome: "ControlPlaneOutcome | None") -> Iterator[RenderableType]:
    """Yield what becomes of the control plane of a cluster that hibernates."""
    step = planned.control_plane
    if step is None:
        return
    sign, verb, style = {
        None: ("=", "hold  ", "dim"),
        ControlPlaneAction.AWAKE: ("+", "awake ", "green"),
        ControlPlaneAction.HIBERNATE: ("-", "hibernate", "yellow"),
    }[step.action]
    phase = step.phase or "of unknown phase"
    yield line(f"{sign} {verb} control plane, now {phase}: {step.reason}", style, _INDENT)
    if outcome and outcome.error:
        yield line(f"! failed: {outcome.error}", _FAIL, _INDENT * 2)
    if outcome and outcome.left:
        yield line(f"left to the next run: {outcome.left}", _WARN, _INDENT * 2)


def _holds(holds: Sequence[Hold], width: int, *, verbose: bool) -> Iterator[RenderableType]:
    if holds:
        counts = ", ".join(f"{number} {reason}" for reason, number in hold_counts(holds).items())
        yield line(f"= hold   {counts}", "dim", _INDENT)
    for hold in holds if verbose else ():
        yield line(f"{_name(hold.server):{width}}  {hold.server.server_id}  {hold.reason}", "dim", _INDENT * 2)


def _matching(planned: ClusterPlan) -> Iterator[Exclusion]:
    return find_matching(planned.cluster.exclude, _servers(planned), planned.pools)


def _idle_exclusions(planned: ClusterPlan, matched: Set[Exclusion]) -> Iterator[RenderableType]:
    """Yield what should keep servers from being touched, and has none: here, nor in another cluster that has it too."""
    if planned.desired.state is State.UNMANAGED or not _servers(planned):
        return
    for key, texts in zip(planned.cluster.exclude._fields, planned.cluster.exclude):
        what = "node pool" if key == "node_pools" else "server"
        for text in texts if key != "node_pools" or planned.pools is not None else ():
            if (key, text) not in matched:
                yield line(f'? exclude.{key}: "{text}" matches no {what} of this cluster', _WARN, _INDENT)


def _servers(planned: ClusterPlan) -> List[Server]:
    return [*(action.server for action in planned.actions), *(hold.server for hold in planned.holds)]


def _name(server: Server) -> str:
    return server.name or "(no name)"


def _summary(run: Run) -> str:
    clusters = run.plan.clusters
    errors = [*(c.error for c in clusters), *(o.error for o in run.outcomes), run.plan.failure]
    errors += [step.error for step in run.control_planes]
    left = sum(o.left is not None for o in run.outcomes) + sum(s.left is not None for s in run.control_planes)
    failed = sum(error is not None and error is not run.plan.refusal for error in errors)
    refused = count_refused(run)
    powers: List[Power] = [o.power for o in run.outcomes if o.is_accepted]
    words = ("Applied:", "started", "stopped")
    if run.dry_run:
        powers = [a.power for c in clusters for a in c.actions if not refused or a.power is Power.START]
        words = ("Plan:", "to start", "to stop")
    starts, held = powers.count(Power.START), sum(len(c.holds) for c in clusters)
    stops = f"{len(powers) - starts} {words[2]}{f', {refused} refused' if refused else ''}"
    later = f", {left} left to the next run" if left else ""
    moves = "".join(
        f", {number} {would if run.dry_run else done}"
        for action, done, would in _STEPS
        if (number := count_steps(run, action))
    )
    return f"{words[0]} {starts} {words[1]}, {stops}{moves}, {held} held{later}, {failed} failed."
