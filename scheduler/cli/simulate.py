"""``simulate``: some days of the real function on a simulated cloud, and what they would save."""

from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence
from zoneinfo import ZoneInfo

import typer
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from scheduler.cli.exits import ExitCode
from scheduler.cli.options import (
    DEFAULT_FILE,
    LONGEST_DAYS,
    AsJson,
    ClusterNames,
    File,
    Span,
    load_selected,
    read_duration,
    read_span,
)
from scheduler.cli.output import count, diagnostics, line, show, show_json, table
from scheduler.cli.picture import Strip, draw, legend, local_hours
from scheduler.config import load_config
from scheduler.describe import describe_duration
from scheduler.report import write_instant
from scheduler.simulated.rehearsal import SLOT, ClusterResult, Result, Script, rehearse

_MOST_NODES = 1000
_HOUR_S = 3600
From = Annotated[
    Optional[str],
    typer.Option("--from", metavar="T", help="The first day or moment, in the first cluster's zone.  [default: today]"),
]
Days = Annotated[int, typer.Option("--days", metavar="N", min=1, max=LONGEST_DAYS, help="How many days.")]
Every = Annotated[str, typer.Option("--every", metavar="DURATION", help="The period of the timer.")]
Nodes = Annotated[int, typer.Option("--nodes", metavar="N", min=1, max=_MOST_NODES, help="Nodes of each cluster.")]
Seed = Annotated[str, typer.Option("--seed", metavar="TEXT", help="Another seed gives other server ids.")]


def simulate(  # noqa: PLR0913 - one for each option
    *,
    file: File = DEFAULT_FILE,
    cluster: ClusterNames = None,
    begin: From = None,
    days: Days = 3,
    every: Every = "5m",
    nodes: Nodes = 3,
    seed: Seed = "simulated",
    as_json: AsJson = False,
) -> int:
    """Run the real function on a simulated cloud for some days.

    Shows what it would do and save. All clusters of the file are simulated; --cluster narrows what is shown.
    """
    period = _read_period(every)
    selected = load_selected(file, cluster)
    span = read_span(begin, days, selected, datetime.now(timezone.utc))
    script = Script(span.start, span.end, period, nodes, seed)
    with _progress() as progress:
        task = progress.add_task("simulating", total=script.runs)
        result = rehearse(load_config(file), file, script, lambda p: progress.update(task, completed=p.done))
    names = {c.name for c in selected.clusters}
    result = result._replace(clusters=tuple(c for c in result.clusters if c.cluster.name in names))
    if as_json:
        show_json(_result_json(result))
    else:
        show(*_picture(result, span))
    return ExitCode.FAILED if result.failures else ExitCode.DONE


def _read_period(text: str) -> timedelta:
    period = read_duration(text, "--every")
    if period < timedelta(minutes=1) or (timedelta(hours=1) % period and timedelta(days=1) % period):
        raise typer.BadParameter(
            f'"{text}" does not divide an hour or a day evenly: write one such as 1m, 5m or 1h', param_hint="--every"
        )
    return period


def _progress() -> Progress:
    """Return a progress bar that is seen on a terminal only, and leaves nothing behind."""
    console = diagnostics()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("runs"))
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _picture(result: Result, span: Span) -> Iterator[RenderableType]:
    script = result.script
    begin, end = (f"{at.astimezone(span.zone):%a %Y-%m-%d %H:%M}" for at in (span.start, span.end))
    yield line(f"From {begin} to {end} {span.zone.key}, a run every {_every(script)}", "bold")
    for found in result.clusters:
        yield ""
        yield line(_heading(found), "bold")
        yield from draw(_strip(found, script), ZoneInfo(found.cluster.timing.timezone))
    yield ""
    yield legend()
    yield ""
    yield _savings(result.clusters)
    yield ""
    yield from _counts(result)


def _every(script: Script) -> str:
    return describe_duration(int(script.every.total_seconds()))


def _heading(found: ClusterResult) -> str:
    excluded = f"; excluded and always on: {', '.join(found.excluded)}" if found.excluded else ""
    return f"{found.cluster.name}: {count(found.nodes, 'node')}{excluded}"


def _strip(found: ClusterResult, script: Script) -> Strip:
    return Strip(script.start, SLOT, found.shares)


class _Sums(NamedTuple):
    """The figures of one row: of a cluster, or of all."""

    servers: int
    starts: int
    stops: int
    on_s: float
    always_on_s: float

    def row(self, name: str) -> List[str]:
        off_s = self.always_on_s - self.on_s
        counts = [f"{number:,}" for number in (self.servers, self.starts, self.stops)]
        hours = [f"{seconds / _HOUR_S:,.1f}" for seconds in (self.on_s, self.always_on_s, off_s)]
        return [name, *counts, *hours, f"{_percent(off_s, self.always_on_s):.0f} %"]


def _savings(clusters: Sequence["ClusterResult"]) -> RenderableType:
    columns = ("CLUSTER", "SERVERS", "STARTS", "STOPS", "HOURS ON", "OF", "HOURS OFF", "SAVED")
    sums = [_Sums(c.nodes + len(c.excluded), c.starts, c.stops, c.on_s, c.always_on_s) for c in clusters]
    rows = [one.row(found.cluster.name) for one, found in zip(sums, clusters)]
    if len(clusters) > 1:
        rows.append(_Sums(*(sum(column) for column in zip(*sums))).row("total"))
    return table(columns, rows, right=columns[1:])


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


def _counts(result: Result) -> Iterator[RenderableType]:
    calls = result.listings + result.start_calls + result.stop_calls
    failed = sum(result.failures.values())
    kinds = ((result.listings, "listing"), (result.start_calls, "start"), (result.stop_calls, "stop"))
    counted = ", ".join(count(number, noun) for number, noun in kinds)
    yield line(f"{count(result.runs, 'run')}, {failed:,} failed; {count(calls, 'API call')}: {counted}")
    held = ", ".join(f"{number:,} {reason}" for reason, number in result.holds.items())
    yield line(f"Servers held, over all runs: {held or 'none'}")
    for message, number in result.failures.items():
        yield line(f"! failed {number:,} times: {message}", "red")


def _result_json(result: Result) -> Dict[str, Any]:
    script = result.script
    return {
        "from": write_instant(script.start),
        "to": write_instant(script.end),
        "every_s": int(script.every.total_seconds()),
        "runs": result.runs,
        "failed_runs": sum(result.failures.values()),
        "failures": dict(result.failures),
        "api_calls": {"list": result.listings, "start": result.start_calls, "stop": result.stop_calls},
        "holds": dict(result.holds),
        "clusters": [_cluster_json(c, script) for c in result.clusters],
    }


def _cluster_json(found: ClusterResult, script: Script) -> Dict[str, Any]:
    zone = found.cluster.timing.timezone
    hours = local_hours(_strip(found, script), ZoneInfo(zone))
    return {
        "name": found.cluster.name,
        "nodes": found.nodes,
        "excluded": list(found.excluded),
        "starts": found.starts,
        "stops": found.stops,
        "server_hours_on": round(found.on_s / _HOUR_S, 2),
        "server_hours_always_on": round(found.always_on_s / _HOUR_S, 2),
        "server_hours_saved": round(found.saved_s / _HOUR_S, 2),
        "hours": [{"from": write_instant(h.begin, zone), "running": round(h.share or 0, 3)} for h in hours],
    }
