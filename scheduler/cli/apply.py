"""``apply``: one run, exactly as the timer does it, and with ``--wait`` what becomes of it."""

import os
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Callable, List, NamedTuple, Optional, Set, Tuple

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
from scheduler.errors import SchedulerError, TemporaryCloudError
from scheduler.model import HoldKind, Plan, Run
from scheduler.reconcile import run_once
from scheduler.report import run_errors, run_json

Wait = Annotated[bool, typer.Option("--wait", help="Wait until every server is as desired.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long --wait waits.")]

_PAUSE_S = 5.0
_ON_THE_WAY = frozenset({HoldKind.STOPPING, HoldKind.IN_TRANSITION})
_MOST_NAMED = 5


class Converged(NamedTuple):
    """How a wait ended: of ``total`` servers ``ready`` are as desired; ``missing`` describes the others."""

    ready: int
    total: int
    missing: Tuple[str, ...]
    error: Optional[SchedulerError] = None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to wait for."""
        return not self.missing and self.error is None


def apply(  # noqa: PLR0913 - one for each option
    *,
    file: File = DEFAULT_FILE,
    cluster: ClusterNames = None,
    wait: Wait = False,
    timeout: Timeout = "10m",
    verbose: Verbose = False,
    as_json: AsJson = False,
    region: Region = None,
    endpoint: Endpoint = None,
    cce_endpoint: CceEndpoint = None,
    simulated: Simulated = False,
) -> int:
    """Start and stop what the schedules ask for now.

    One run, exactly as the timer does it. It asks nothing: look at the plan first.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    timeout_s = read_duration(timeout, "--timeout").total_seconds()
    schedules = load_selected(file, cluster)
    with open_access(
        schedules, Target(region, endpoint, simulated, cce_endpoint), environ=os.environ, now=now
    ) as access:
        run = run_once(access.schedules, now, access.connect, access.clock)
        if not as_json:
            show(*show_run(run, verbose=verbose))
        converged = _wait(run, access, timeout_s) if wait and not run.has_failed else None
    if as_json:
        shown = run_json(run, "converge")
        show_json(shown if converged is None else {**shown, "converged": converged.is_done})
    if converged and not converged.is_done:
        note(_given_up(converged, timeout), "red")
    return ExitCode.FAILED if run.has_failed or (converged and not converged.is_done) else ExitCode.DONE


def wait_until_converged(
    run: Run, access: Access, timeout_s: float, on_progress: Callable[[int, int], object]
) -> Converged:
    """List and plan again every few seconds until every server is as ``run`` wanted it, or ``timeout_s`` has passed.

    ``on_progress`` is told how many servers are as desired, and of how many.
    """
    give_up = access.clock.now() + timedelta(seconds=timeout_s)
    while True:
        seen = _look(run, access)
        on_progress(seen.ready, seen.total)
        lasting = seen.error is not None and not isinstance(seen.error, TemporaryCloudError)
        if seen.is_done or lasting or access.clock.now() + timedelta(seconds=_PAUSE_S) > give_up:
            return seen
        access.clock.sleep(_PAUSE_S)


def _look(run: Run, access: Access) -> Converged:
    """Plan again for the instant of the run: a transition meanwhile is the next run's matter."""
    again = run_once(access.schedules, run.plan.at, access.connect, access.clock, dry_run=True)
    errors = run_errors(again)
    missing = _missing(again.plan)
    ready = sum(hold.kind is HoldKind.ALREADY for c in again.plan.clusters for hold in c.holds)
    return Converged(ready, ready + len(missing), missing, errors[0] if errors else None)


def _missing(plan: Plan) -> Tuple[str, ...]:
    found: List[str] = []
    for planned in plan.clusters:
        servers = [action.server for action in planned.actions]
        servers += [hold.server for hold in planned.holds if hold.kind in _ON_THE_WAY]
        found += [f"{s.name or s.server_id} ({', '.join(filter(None, (s.status, s.task_state)))})" for s in servers]
    return tuple(found)


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
    more = len(seen.missing) - _MOST_NAMED
    named = f"{', '.join(seen.missing[:_MOST_NAMED])}{f' and {more} more' if more > 0 else ''}"
    return f"gave up after {timeout}: {seen.ready} of {seen.total} servers are as desired; not yet: {named}"
