"""The options that several commands share, and what their texts mean."""

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, List, NamedTuple, Optional
from zoneinfo import ZoneInfo

import typer

from scheduler.config import load_config, parse_duration
from scheduler.errors import InputError, SchedulerError
from scheduler.localtime import check_year, instants_of, local_at, parse_at, read_time
from scheduler.model import Schedules
from scheduler.reconcile import select_clusters

DEFAULT_FILE = Path("schedules.yaml")
LONGEST_DAYS = 366


def complete_clusters(ctx: typer.Context, incomplete: str) -> List[str]:
    """Return the names that a shell may complete to, of the file named so far; none where it cannot be read."""
    try:
        clusters = load_config(ctx.params.get("file") or DEFAULT_FILE).clusters
    except SchedulerError:
        return []
    return [cluster.name for cluster in clusters if cluster.name.startswith(incomplete)]


File = Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="The schedules file.")]
ClusterNames = Annotated[
    Optional[List[str]],
    typer.Option("--cluster", metavar="NAME", autocompletion=complete_clusters, help="Only this cluster; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write machine output.")]
At = Annotated[
    Optional[str],
    typer.Option("--at", metavar="T", help="An instant with its offset instead of now."),
]
Begin = Annotated[
    Optional[str],
    typer.Option("--from", metavar="D", help="The first day or moment, in the first cluster's zone.  [default: today]"),
]
Days = Annotated[int, typer.Option("--days", metavar="N", min=1, max=LONGEST_DAYS, help="How many days.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="List every server that is held.")]
Region = Annotated[
    Optional[str],
    typer.Option("--region", metavar="REGION", help="The region of clusters for which the file has none."),
]
Endpoint = Annotated[Optional[str], typer.Option("--endpoint", metavar="URL", help="The ECS endpoint to use.")]
CceEndpoint = Annotated[Optional[str], typer.Option("--cce-endpoint", metavar="URL", help="The CCE endpoint to use.")]
Simulated = Annotated[
    bool, typer.Option("--simulated", help="Use a simulated cloud with some nodes for each cluster; no account needed.")
]


class Span(NamedTuple):
    """Whole days from a local midnight, or from another moment, as a command looks at them."""

    start: datetime
    end: datetime
    zone: ZoneInfo


def load_selected(file: Path, names: Optional[List[str]]) -> Schedules:
    """Read the schedules file and keep the clusters of these names, or all."""
    return select_clusters(load_config(file), names or None)


def read_at(text: str) -> datetime:
    """Return the instant of ``--at``."""
    try:
        return parse_at(text)
    except InputError as e:
        raise typer.BadParameter(str(e)[len("at: ") :], param_hint="--at") from e


def read_duration(text: str, option: str) -> timedelta:
    """Return the duration that an option gives."""
    if not re.fullmatch(r"[1-9][0-9]{0,5}[smhd]", text):
        raise typer.BadParameter(f'"{text}" is not a duration: write one such as 90s, 5m or 1h', param_hint=option)
    return timedelta(seconds=parse_duration(text))


def read_span(begin: Optional[str], days: int, schedules: Schedules, now: datetime) -> Span:
    """Return ``days`` days from ``--from``: a date, or a time, in the zone of the first cluster; today if absent."""
    zone = ZoneInfo(schedules.clusters[0].timing.timezone)
    first = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if begin is not None:
        found = read_time(begin) or read_time(f"{begin}T00:00")
        if found is None:
            message = f'"{begin}" is not a date or time: write one such as 2026-11-23 or 2026-11-23T08:00'
            raise typer.BadParameter(message, param_hint="--from")
        first = found
    try:
        check_year(first)
    except ValueError as e:
        raise typer.BadParameter(f'"{begin}" {e}', param_hint="--from") from e
    start = first.astimezone(timezone.utc) if first.tzinfo else instants_of(zone, first)[0]
    return Span(start, instants_of(zone, local_at(zone, start) + timedelta(days=days))[0], zone)
