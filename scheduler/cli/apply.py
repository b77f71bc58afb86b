"""``apply``: one run, exactly as the timer does it, and with ``--wait`` what becomes of it."""

import os
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Callable, Iterator, List, NamedTuple, Optional, Set, Tuple

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from scheduler.cli.access import Access, Target, open_access
from scheduler.cli.diff import show_run
from scheduler.cli.exits import ExitCode
from scheduler.cli.options import (
    DEFAULT_FILE,
    AsJson,
    CceEndpoint,
    ClusterNames,
    Endpoint,
    File,
    Region,
    Simulated,
    Verbose,
    load_selected,
    read_duration,
)
from scheduler.cli.output import count, diagnostics, note, show, show_json
from scheduler.control_plane import is_as_desired
from scheduler.describe import join_some
from scheduler.errors import OverdueError, SchedulerError, TemporaryCloudError
from scheduler.model import ClusterPlan, HoldKind, Plan, Power, Run
from scheduler.reconcile import run_once, select_clusters
from scheduler.report import run_errors, run_json

Wait = Annotated[bool, typer.Option("--wait", help="Wait until every server and control plane is as desired.")]
AllowManyStops = Annotated[
    bool, typer.Option("--allow-many-stops", help="Stop however many servers it takes: without max_stops_per_run.")
]
Timeout = Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long --wait waits.")]

_PAUSE_S = 5.0
_ON_THE_WAY = frozenset({HoldKind.STOPPING, HoldKind.IN_TRANSITION, HoldKind.CONTROL_PLANE})

_Step = Tuple[str, str]
"""A cluster, and what is asked of it."""
_START = "start"


class Converged(NamedTuple):
    """How a wait ended: of ``total`` servers ``ready`` are as desired; ``missing`` describes the others.

    ``further`` are the runs that it took besides the first.
    """

    ready: int
    total: int
    missing: Tuple[str, ...]
    error: Optional[SchedulerError] = None
    further: Tuple[Run, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to wait for."""
        return not self.missing and self.error is None


def apply(  # noqa: PLR0913 - one for each option
    *,
    file: File = DEFAULT_FILE,
    cluster: ClusterNames = None,
    wait: Wait = False,
    allow_many_stops: AllowManyStops = False,
    timeout: Timeout = "10m",
    verbose: Verbose = False,
    as_json: AsJson = False,
    region: Region = None,
    endpoint: Endpoint = None,
    cce_endpoint: CceEndpoint = None,
    simulated: Simulated = False,
) -> int:
    """Start and stop what the schedules ask for now.

    One run, exactly as the timer does it. It asks nothing: look at the plan first. With --wait, the steps that have
    to wait for a control plane, or for servers that go off, are taken as soon as they can be.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    timeout_s = read_duration(timeout, "--timeout").total_seconds()
    schedules = load_selected(file, cluster)
    if allow_many_stops and schedules.limits.max_stops_per_run is not None:
        note(f"! limits.max_stops_per_run: {schedules.limits.max_stops_per_run} does not count for this run", "yellow")
        schedules = schedules._replace(limits=schedules.limits._replace(max_stops_per_run=None))
    with open_access(
        schedules, Target(region, endpoint, simulated, cce_endpoint), environ=os.environ, now=now
    ) as access:
        run = run_once(access.schedules, now, access.connect, access.clock)
        if not as_json:
            show(*show_run(run, verbose=verbose, is_simulated=simulated))
        failed = _has_failed(run, allow_late=wait)
        converged = _wait(run, access, timeout_s) if wait and not failed else None
    further = converged.further if converged else ()
    if as_json:
        shown = run_json(run, "converge")
        more = [run_json(one, "converge") for one in further]
        show_json(shown if converged is None else {**shown, "converged": converged.is_done, "further": more})
    elif further:
        show(*(part for one in further for part in ("", *show_run(one, verbose=verbose, is_simulated=simulated))))
    if converged and not converged.is_done:
        note(_given_up(converged, timeout), "red")
    return ExitCode.FAILED if failed or (converged and not converged.is_done) else ExitCode.DONE


def _has_failed(run: Run, *, allow_late: bool) -> bool:
    """Whether a run failed; ``allow_late`` where what is overdue is waited for."""
    return any(not (allow_late and isinstance(error, OverdueError)) for error in run_errors(run))


def wait_until_converged(
    run: Run, access: Access, timeout_s: float, on_progress: Callable[[int, int], object]
) -> Converged:
    """List and plan again every few seconds until everything is as ``run`` wanted it, or ``timeout_s`` has passed.

    What a cluster that hibernates could not do before is done by another run of it: a start once its control plane is
    awake, a hibernation once its servers are off. ``on_progress`` is told how many servers are as desired, of how many.
    """
    give_up = access.clock.now() + timedelta(seconds=timeout_s)
    sent = _steps_sent(run)
    further: List[Run] = []
    while True:
        again = run_once(access.schedules, run.plan.at, access.connect, access.clock, dry_run=True)
        seen = _judge(again)._replace(further=tuple(further))
        on_progress(seen.ready, seen.total)
        lasting = seen.error is not None and not isinstance(seen.error, TemporaryCloudError)
        if seen.is_done or lasting or access.clock.now() + timedelta(seconds=_PAUSE_S) > give_up:
            return seen
        due = [planned.cluster.name for planned in again.plan.clusters if _next_steps(planned) - sent]
        if due and seen.error is None:
            chosen = select_clusters(access.schedules, due)
            done = run_once(chosen, run.plan.at, access.connect, access.clock)
            further.append(done)
            sent |= {step for planned in again.plan.clusters for step in _next_steps(planned)}
            if _has_failed(done, allow_late=True):
                return seen._replace(error=run_errors(done)[0], further=tuple(further))
        access.clock.sleep(_PAUSE_S)


def _next_steps(planned: ClusterPlan) -> Set[_Step]:
    """Return what a cluster that hibernates could do now: each at most once while waiting, for answers may lag."""
    step = planned.control_plane
    if step is None:
        return set()
    starts = any(action.power is Power.START for action in planned.actions)
    name = planned.cluster.name
    return {*([(name, step.action.value)] if step.action else []), *([(name, _START)] if starts else [])}


def _steps_sent(run: Run) -> Set[_Step]:
    """Return what a run has sent for clusters that hibernate."""
    sent = {(o.cluster, o.action.value) for o in run.control_planes}
    return sent | {(o.cluster, _START) for o in run.outcomes if o.power is Power.START}


def _judge(again: Run) -> Converged:
    """Say how far a run has come, from a plan for its instant: a transition meanwhile is the next run's matter."""
    errors = run_errors(again)
    missing = _missing(again.plan)
    ready = sum(hold.kind is HoldKind.ALREADY for c in again.plan.clusters for hold in c.holds)
    planes = tuple(name for planned in again.plan.clusters for name in _waking_or_dozing(planned))
    return Converged(ready, ready + len(missing), (*missing, *planes), errors[0] if errors else None)


def _missing(plan: Plan) -> Tuple[str, ...]:
    found: List[str] = []
    for planned in plan.clusters:
        servers = [action.server for action in planned.actions]
        servers += [hold.server for hold in planned.holds if hold.kind in _ON_THE_WAY]
        found += [f"{s.name or s.server_id} ({', '.join(filter(None, (s.status, s.task_state)))})" for s in servers]
    return tuple(found)


def _waking_or_dozing(planned: ClusterPlan) -> Iterator[str]:
    """Yield the control plane of a cluster if it is not as desired, and not kept so on purpose."""
    step = planned.control_plane
    if step is not None and not step.is_kept and not is_as_desired(planned.desired.state, step.phase):
        yield f"the control plane of {planned.cluster.name} ({step.phase})"


def _wait(run: Run, access: Access, timeout_s: float) -> Converged:
    """Wait with a progress bar on a terminal, with lines elsewhere."""
    console = diagnostics()
    told: Set[Tuple[int, int]] = set()
    columns = (TextColumn("as desired"), BarColumn(), TextColumn("{task.completed:.0f} of {task.total:.0f} servers"))
    progress = Progress(*columns, console=console, disable=not console.is_terminal)
    task = progress.add_task("")

    def tell(ready: int, total: int) -> None:
        _update(progress, task, ready, total)
        if not console.is_terminal and (ready, total) not in told:
            told.add((ready, total))
            note(f"{ready} of {count(total, 'server')} as desired")

    try:
        with progress:
            return wait_until_converged(run, access, timeout_s, tell)
    except KeyboardInterrupt:
        note("what was started or stopped goes on in the cloud; `cce-scheduler plan` shows how it stands")
        raise


def _update(progress: Progress, task: TaskID, ready: int, total: int) -> None:
    whole: Any = total
    progress.update(task, completed=ready, total=whole)


def _given_up(seen: Converged, timeout: str) -> str:
    if seen.error:
        return f"stopped waiting: {seen.error}"
    named = join_some(seen.missing)
    return f"gave up after {timeout}: {seen.ready} of {seen.total} servers are as desired; not yet: {named}"
