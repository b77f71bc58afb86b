"""``explain``: how the desired state of one cluster comes about, and what a run decides for its servers."""

import os
from datetime import datetime, timezone
from typing import Annotated, Any, Dict, Iterator, List, Optional, Tuple
from zoneinfo import ZoneInfo

import typer
from rich.console import RenderableType

from scheduler.cli.access import Target, open_access
from scheduler.cli.exits import ExitCode
from scheduler.cli.holidays import note_unknown
from scheduler.cli.options import (
    DEFAULT_FILE,
    AsJson,
    At,
    CceEndpoint,
    Endpoint,
    File,
    Region,
    Simulated,
    complete_clusters,
    read_at,
)
from scheduler.cli.output import line, show, show_json, table
from scheduler.config import load_checked
from scheduler.describe import write_local
from scheduler.explain import Explanation, Step, decide_steps, explain_state
from scheduler.model import ClusterPlan, Desired, Power, Schedules, Server
from scheduler.parts import WindowPart
from scheduler.reconcile import run_once, select_clusters
from scheduler.report import desired_json, error_json, write_instant

Name = Annotated[
    str, typer.Argument(metavar="CLUSTER", autocompletion=complete_clusters, help="The cluster's name in the file.")
]
Servers = Annotated[
    bool, typer.Option("--servers", help="Ask the cloud for the cluster's servers, and say what is decided for each.")
]
_WORDS = {"excluded_date": "dates"}
_Decision = Tuple[Server, str, str]


def explain(  # noqa: PLR0913 - one for each option
    *,
    cluster: Name,
    file: File = DEFAULT_FILE,
    at: At = None,
    servers: Servers = False,
    as_json: AsJson = False,
    region: Region = None,
    endpoint: Endpoint = None,
    cce_endpoint: CceEndpoint = None,
    simulated: Simulated = False,
) -> int:
    """Show how the desired state of a cluster comes about.

    From what each of its windows asks for, over dates, overrides and enforce, to the result.
    """
    instant = read_at(at) if at else datetime.now(timezone.utc).replace(microsecond=0)
    target = Target(region, endpoint, simulated, cce_endpoint)
    if not servers and any(target):
        raise typer.BadParameter("they choose a cloud, which only --servers asks", param_hint="--region and the like")
    checked = load_checked(file)
    schedules = select_clusters(checked.schedules, [cluster])
    if not servers:  # a plan knows better
        note_unknown(checked, schedules, instant)
    planned = _plan(schedules, target, instant, is_now=at is None) if servers else None
    # The plan's cluster has the override of its tag too, where the function obeys those.
    found = explain_state(planned.cluster if planned else schedules.clusters[0], instant)
    if as_json:
        show_json(_explanation_json(found, planned))
    else:
        show(*_describe(found, planned))
    return ExitCode.FAILED if planned and planned.error else ExitCode.DONE


def _plan(schedules: Schedules, target: Target, at: datetime, *, is_now: bool) -> ClusterPlan:
    with open_access(schedules, target, environ=os.environ, now=at) as access:
        run = run_once(access.schedules, at, access.connect, access.clock, dry_run=True, is_now=is_now)
        return run.plan.clusters[0]


def _describe(found: Explanation, planned: Optional[ClusterPlan]) -> Iterator[RenderableType]:
    zone, desired = ZoneInfo(found.cluster.timing.timezone), found.desired
    when = write_local(found.at, zone, "%a %Y-%m-%d %H:%M:%S")
    yield line(f"{found.cluster.name}: {desired.state.value} at {when} {zone.key}", "bold")
    yield line(desired.reason, "dim", 2)
    yield line(_bounds(desired, zone), "dim", 2)
    yield ""
    yield table(("STEP", "ASKS FOR", "WHY"), list(_rows(found, zone)))
    if planned is None:
        return
    yield ""
    decisions = _decisions(planned)
    if decisions:
        yield table(
            ("SERVER", "STATUS", "DECISION", "REASON"),
            [(s.name or s.server_id, _status(s), decision, reason) for s, decision, reason in decisions],
        )
    elif not planned.error:
        yield "No server was listed."
    for warning in planned.warnings:
        yield line(f"! warning: {warning}", "yellow")
    if planned.error:
        yield line(f"! error: {planned.error}", "red")


def _bounds(desired: Desired, zone: ZoneInfo) -> str:
    bounds = (("since", desired.since), ("until", desired.until))
    known = [f"{word} {write_local(at, zone)}" for word, at in bounds if at]
    return ", ".join(known) or "no transition in sight"


def _rows(found: Explanation, zone: ZoneInfo) -> Iterator[Tuple[str, str, str]]:
    deciding = decide_steps(found.steps)
    for step in found.steps:
        asks = step.asks.value if step.asks else "-"
        yield _name(step), f"{asks} <" if step is deciding else asks, step.text
        if step.window:
            yield from (("", "", text) for text in _events(step.window, zone))


def _name(step: Step) -> str:
    word = _WORDS.get(step.kind, step.kind)
    return word if step.position is None else f"{word} {step.position + 1}"


def _events(part: WindowPart, zone: ZoneInfo) -> Iterator[str]:
    """Say when a window started and stopped last, and will next."""
    if part.window.start is not None:
        yield f"start {_moment(part.newest_start, zone)}, next {_moment(part.next_start, zone)}"
    if part.skipped is not None:
        yield f"no start {write_local(part.skipped.at, zone)}: {part.skipped.local.date()} is an excluded date"
    if part.window.stop is not None:
        yield f"stop {_moment(part.newest_stop, zone)}, next {_moment(part.next_stop, zone)}"


def _moment(at: Optional[datetime], zone: ZoneInfo) -> str:
    return write_local(at, zone) if at else "never"


def _decisions(planned: ClusterPlan) -> List[_Decision]:
    reason = planned.desired.reason
    acted = [(a.server, "start" if a.power is Power.START else a.power.value, reason) for a in planned.actions]
    return [*acted, *((hold.server, "hold", hold.reason) for hold in planned.holds)]


def _status(server: Server) -> str:
    return ", ".join(filter(None, (server.status, server.task_state))) or "?"


def _explanation_json(found: Explanation, planned: Optional[ClusterPlan]) -> Dict[str, Any]:
    zone = found.cluster.timing.timezone
    deciding = decide_steps(found.steps)
    shown = {
        **desired_json(found.cluster, found.at, found.desired),
        "steps": [_step_json(step, zone, is_deciding=step is deciding) for step in found.steps],
    }
    if planned is not None:
        shown["servers"] = [_decision_json(decision) for decision in _decisions(planned)]
        shown["error"] = error_json(planned.error)
    return shown


def _step_json(step: Step, zone: str, *, is_deciding: bool) -> Dict[str, Any]:
    shown: Dict[str, Any] = {
        "kind": step.kind,
        "index": step.position,
        "asks": step.asks.value if step.asks else None,
        "decides": is_deciding,
        "text": step.text,
    }
    part = step.window
    if part is not None:
        shown.update(
            newest_start=write_instant(part.newest_start, zone),
            newest_stop=write_instant(part.newest_stop, zone),
            next_start=write_instant(part.next_start, zone),
            next_stop=write_instant(part.next_stop, zone),
            skipped_start=write_instant(part.skipped.at, zone) if part.skipped else None,
        )
    return shown


def _decision_json(found: _Decision) -> Dict[str, Any]:
    server, decision, reason = found
    return {
        "server_id": server.server_id,
        "server_name": server.name,
        "status": server.status,
        "task_state": server.task_state,
        "decision": decision,
        "reason": reason,
    }
