"""``simulate``: some days of the real function on a simulated cloud, and what they would save."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence
from zoneinfo import ZoneInfo

import typer
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from scheduler.cli.calendar import check_ending, write_beside
from scheduler.cli.exits import ExitCode
from scheduler.cli.options import (
    DEFAULT_FILE,
    AsJson,
    Begin,
    ClusterNames,
    Days,
    File,
    Span,
    load_selected,
    read_duration,
    read_span,
)
from scheduler.cli.output import count, diagnostics, fits, line, show, show_json, table
from scheduler.cli.picture import Strip, draw, legend, local_hours
from scheduler.config import load_config
from scheduler.describe import describe_duration, write_local
from scheduler.function import period_problem, timer_cron
from scheduler.model import Prices, Schedules
from scheduler.report import write_instant
from scheduler.savings import describe_each, describe_not_included, money_of_each
from scheduler.simulated.rehearsal import SLOT, ClusterResult, Progress, Result, Script, rehearse

_MOST_NODES = 1000
_MOST_MESSAGES = 5
_HOUR_S = 3600
_COLUMNS = ("CLUSTER", "SERVERS", "STARTS", "STOPS", "HOURS ON", "OF", "HOURS OFF", "SAVED")
_FEWER_COLUMNS = ("CLUSTER", "STARTS", "STOPS", "HOURS OFF", "SAVED")
_FEWEST_COLUMNS = ("CLUSTER", "SAVED")
Every = Annotated[
    Optional[str],
    typer.Option("--every", metavar="DURATION", help="The period of the timer.  [default: function.every of the file]"),
]
Nodes = Annotated[int, typer.Option("--nodes", metavar="N", min=1, max=_MOST_NODES, help="Nodes of each cluster.")]
Seed = Annotated[str, typer.Option("--seed", metavar="TEXT", help="Another seed gives other server ids and faults.")]
Faults = Annotated[
    float, typer.Option("--faults", metavar="P", min=0, max=1, help="The share of API calls that go wrong, 0 to 1.")
]

Log = Annotated[
    Optional[Path],
    typer.Option("--log", metavar="FILE.log", help="Write what the function logs, each line behind its time."),
]


def simulate(  # noqa: PLR0913 - one for each option
    *,
    file: File = DEFAULT_FILE,
    cluster: ClusterNames = None,
    begin: Begin = None,
    days: Days = 3,
    every: Every = None,
    nodes: Nodes = 3,
    seed: Seed = "simulated",
    faults: Faults = 0.0,
    log: Log = None,
    as_json: AsJson = False,
) -> int:
    """Run the real function on a simulated cloud for some days.

    Shows what it would do and save, with the period, the timeout, dryRun and logLevel of the section `function`. All
    clusters of the file are simulated; --cluster narrows what is shown and counted. With --faults the cloud fails now
    and then, in all the ways it is known to.
    """
    asked = None if every is None else _read_period(every)
    check_ending(log, "--log")
    selected = load_selected(file, cluster)
    period = asked or timedelta(seconds=selected.function.every_s)
    span = read_span(begin, days, selected, datetime.now(timezone.utc))
    script = Script(span.start, span.end, period, nodes, seed, faults)
    logged: List[str] = []
    with _bar() as bar:
        task = bar.add_task("simulating", total=script.runs)

        def tell(run: Progress) -> None:
            bar.update(task, completed=run.done)
            logged.extend(f"{run.at.isoformat()} {text}\n" for text in run.log)

        result = rehearse(
            load_config(file),
            file,
            script,
            tell,
            only={c.name for c in selected.clusters},
        )
    if log is not None:
        write_beside(file, log, "".join(logged).encode(), "--log")
    if as_json:
        show_json(_result_json(result))
    else:
        show(*_picture(result, span, selected))
    is_astray = not result.is_dry_run and any(c.astray for c in result.clusters)
    has_failed = bool(result.failures) and not script.faults  # with faults, what counts is where the runs end
    return ExitCode.FAILED if is_astray or has_failed else ExitCode.DONE


def _read_period(text: str) -> timedelta:
    period = read_duration(text, "--every")
    if timer_cron(int(period.total_seconds())) is None:
        raise typer.BadParameter(period_problem(text), param_hint="--every")
    return period


def _bar() -> Bar:
    """Return a progress bar that is seen on a terminal only, and leaves nothing behind."""
    console = diagnostics()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("runs"))
    return Bar(*columns, console=console, disable=not console.is_terminal, transient=True)


def _picture(result: Result, span: Span, selected: Schedules) -> Iterator[RenderableType]:
    script = result.script
    begin, end = (f"{at.astimezone(span.zone):%a %Y-%m-%d %H:%M}" for at in (span.start, span.end))
    yield line(f"From {begin} to {end} {span.zone.key}, a run every {_every(script)}", "bold")
    for found in result.clusters:
        yield ""
        yield line(_heading(found), "bold")
        zone = ZoneInfo(found.cluster.timing.timezone)
        yield from draw(Strip(script.start, SLOT, found.shares), zone)
        if found.awake is not None:
            yield line("control plane: awake or asleep", "dim")
            yield from draw(Strip(script.start, SLOT, found.awake), zone)
    left_out = [cluster.name for cluster in selected.clusters if not cluster.enabled]
    if left_out:
        yield ""
        yield from (line(f"{name}: not enabled, so nothing is done") for name in left_out)
    if result.clusters:
        yield ""
        yield legend()
        yield ""
        yield _savings(result.clusters)
        yield from _money(result.clusters, selected.prices)
    yield ""
    yield from _counts(result, span.zone)


def _money(clusters: Sequence[ClusterResult], prices: Optional[Prices]) -> Iterator[RenderableType]:
    """Yield what the hours off are worth, where the file gives prices."""
    if prices is None:
        return
    time_off = timedelta(seconds=sum(found.saved_s for found in clusters))
    each = describe_each(money_of_each(time_off, prices), prices.currency)
    yield line(f"The hours off save, if every server is of that flavor: {each}", "dim")
    yield line(describe_not_included(), "dim")


def _every(script: Script) -> str:
    return describe_duration(int(script.every.total_seconds()))


def _heading(found: ClusterResult) -> str:
    excluded = f"; excluded and always on: {', '.join(found.excluded)}" if found.excluded else ""
    return f"{found.cluster.name}: {count(found.nodes, 'node')}{excluded}"


class _Sums(NamedTuple):
    """The figures of one row: of a cluster, or of all."""

    servers: int
    starts: int
    stops: int
    on_s: float
    always_on_s: float

    def row(self, name: str) -> Dict[str, str]:
        off_s = self.always_on_s - self.on_s
        counts = [f"{number:,}" for number in (self.servers, self.starts, self.stops)]
        hours = [f"{seconds / _HOUR_S:,.1f}" for seconds in (self.on_s, self.always_on_s, off_s)]
        cells = (name, *counts, *hours, f"{_percent(off_s, self.always_on_s):.0f} %")
        return dict(zip(_COLUMNS, cells))


def _savings(clusters: Sequence["ClusterResult"]) -> RenderableType:
    """Return the table of what is saved, with as many columns as the terminal has room for: the last are the point."""
    sums = [_Sums(c.nodes + len(c.excluded), c.starts, c.stops, c.on_s, c.always_on_s) for c in clusters]
    rows = [one.row(found.cluster.name) for one, found in zip(sums, clusters)]
    if len(clusters) > 1:
        rows.append(_Sums(*(sum(column) for column in zip(*sums))).row("total"))
    tables = (
        table(columns, [[row[name] for name in columns] for row in rows], right=columns[1:])
        for columns in (_COLUMNS, _FEWER_COLUMNS, _FEWEST_COLUMNS)
    )
    made = next(tables)
    for narrower in tables:
        if fits(made):
            break
        made = narrower
    return made


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


def _counts(result: Result, zone: ZoneInfo) -> Iterator[RenderableType]:
    calls = result.listings + result.start_calls + result.stop_calls + result.control_plane_calls
    failed = sum(result.failures.values())
    kinds = ((result.listings, "listing"), (result.start_calls, "start"), (result.stop_calls, "stop"))
    counted = ", ".join(count(number, noun) for number, noun in kinds)
    if result.control_plane_calls:
        counted += f", {result.control_plane_calls:,} to hibernate or awake"
    yield line(f"{count(result.runs, 'run')}, {failed:,} failed; {count(calls, 'API call')}: {counted}")
    held = ", ".join(f"{number:,} {reason}" for reason, number in result.holds.items())
    yield line(f"Servers held, over all runs: {held or 'none'}")
    if result.script.faults:
        faults = ", ".join(f"{number:,} {kind}" for kind, number in result.faults.items())
        yield line(f"{count(sum(result.faults.values()), 'fault')}: {faults or 'none'}")
    messages = list(result.failures.items())
    for message, number in messages[:_MOST_MESSAGES]:
        yield line(f"! failed {count(number, 'time')}: {message}", "red")
    if len(messages) > _MOST_MESSAGES:
        rest = sum(number for _, number in messages[_MOST_MESSAGES:])
        others = count(len(messages) - _MOST_MESSAGES, "other message")
        yield line(f"! failed {count(rest, 'time')} with {others}", "red")
    if result.clusters:
        yield _verdict(result, zone)


def _verdict(result: Result, zone: ZoneInfo) -> RenderableType:
    if result.is_dry_run:
        words = "Nothing was started or stopped, nor would a deployment do it"
        return line(f"{words}: function.settings of the file say dryRun.", "yellow")
    after = f"After the last run, of {write_local(result.script.last_run, zone)},"
    astray = [text for found in result.clusters for text in found.astray]
    if not astray:
        return line(f"{after} every server is as the schedules want it.", "green")
    words = "1 is" if len(astray) == 1 else f"{len(astray):,} are"
    return line(f"{after} {words} not as the schedules want: {', '.join(astray)}", "red")


def _result_json(result: Result) -> Dict[str, Any]:
    script = result.script
    return {
        "from": write_instant(script.start),
        "to": write_instant(script.end),
        "every_s": int(script.every.total_seconds()),
        "dry_run": result.is_dry_run,
        "runs": result.runs,
        "failed_runs": sum(result.failures.values()),
        "failures": dict(result.failures),
        "api_calls": {
            "list": result.listings,
            "start": result.start_calls,
            "stop": result.stop_calls,
            "control_plane": result.control_plane_calls,
        },
        "holds": dict(result.holds),
        "faults": dict(result.faults),
        "clusters": [_cluster_json(c, script) for c in result.clusters],
    }


def _cluster_json(found: ClusterResult, script: Script) -> Dict[str, Any]:
    zone = found.cluster.timing.timezone
    return {
        "name": found.cluster.name,
        "nodes": found.nodes,
        "excluded": list(found.excluded),
        "starts": found.starts,
        "stops": found.stops,
        "server_hours_on": round(found.on_s / _HOUR_S, 2),
        "server_hours_always_on": round(found.always_on_s / _HOUR_S, 2),
        "server_hours_saved": round(found.saved_s / _HOUR_S, 2),
        "hours": _hours_json(found.shares, "running", script, zone),
        "control_plane_hours": None if found.awake is None else _hours_json(found.awake, "awake", script, zone),
        "astray": list(found.astray),
    }


def _hours_json(shares: Sequence[float], what: str, script: Script, zone: str) -> List[Dict[str, Any]]:
    hours = local_hours(Strip(script.start, SLOT, shares), ZoneInfo(zone))
    return [{"from": write_instant(hour.begin, zone), what: round(hour.share or 0, 3)} for hour in hours]
