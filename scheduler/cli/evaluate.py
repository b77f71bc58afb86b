"""``evaluate``: the desired state of every cluster, now or at other instants; asks no cloud."""

from datetime import datetime, timezone
from typing import Annotated, List, Optional
from zoneinfo import ZoneInfo

import typer

from scheduler.cli.exits import ExitCode
from scheduler.cli.holidays import note_unknown
from scheduler.cli.options import DEFAULT_FILE, AsJson, ClusterNames, File, read_at
from scheduler.cli.output import line, show, show_json, table
from scheduler.config import load_checked
from scheduler.describe import write_local
from scheduler.evaluate import desired_state
from scheduler.model import Schedules
from scheduler.reconcile import select_clusters
from scheduler.report import desired_json

Ats = Annotated[
    Optional[List[str]],
    typer.Option("--at", metavar="T", help="An instant with its offset instead of now; repeatable."),
]


def evaluate(
    *, file: File = DEFAULT_FILE, cluster: ClusterNames = None, at: Ats = None, as_json: AsJson = False
) -> int:
    """Show the desired state of every cluster, and why."""
    instants = [read_at(text) for text in at or ()] or [datetime.now(timezone.utc).replace(microsecond=0)]
    checked = load_checked(file)
    schedules = select_clusters(checked.schedules, cluster or None)
    note_unknown(checked, schedules, max(instants))
    if as_json:
        show_json([desired_json(c, t, desired_state(c, t)) for t in instants for c in schedules.clusters])
        return ExitCode.DONE
    for number, instant in enumerate(instants):
        if number:
            show("")
        _show_instant(schedules, instant)
    return ExitCode.DONE


def _show_instant(schedules: Schedules, at: datetime) -> None:
    zone = schedules.clusters[0].timing.timezone
    found = [(cluster.name, desired_state(cluster, at)) for cluster in schedules.clusters]
    show(
        line(f"{write_local(at, ZoneInfo(zone), '%a %Y-%m-%d %H:%M:%S')} {zone}", "bold"),
        table(("CLUSTER", "STATE", "REASON"), [(name, d.state.value, d.reason) for name, d in found]),
    )
