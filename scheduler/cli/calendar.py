"""``calendar``: the coming transitions, as a table, a picture, JSON, a page, or events for a calendar program."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple
from zoneinfo import ZoneInfo

import typer
from rich.console import RenderableType

from scheduler.cli.against import When, compare_files, comparison_json, describe_comparison
from scheduler.cli.exits import ExitCode
from scheduler.cli.holidays import note_unknown
from scheduler.cli.options import (
    DEFAULT_FILE,
    AsJson,
    Begin,
    ClusterNames,
    Days,
    File,
    Span,
    read_span,
)
from scheduler.cli.output import line, note, show, show_bytes, show_json, table
from scheduler.cli.page import render_page
from scheduler.cli.picture import Strip, draw, legend
from scheduler.compare import transitions_in
from scheduler.config import load_checked
from scheduler.describe import write_local
from scheduler.errors import InputError
from scheduler.evaluate import desired_state, transitions
from scheduler.model import Cluster, Schedules, State, Transition
from scheduler.reconcile import select_clusters
from scheduler.report import write_instant
from scheduler.savings import (
    describe_each,
    describe_hours,
    describe_not_included,
    fill_slots,
    find_hours,
    money_of_each,
)

Ics = Annotated[
    Optional[Path],
    typer.Option(
        "--ics",
        metavar="FILE.ics",
        help="Write the times of running as events for a calendar program; - is stdout.",
    ),
]
Html = Annotated[
    Optional[Path],
    typer.Option("--html", metavar="FILE.html", help="Write a page for a browser, complete in one file."),
]

Against = Annotated[
    Optional[Path],
    typer.Option("--against", metavar="OLD", help="Show what differs from another version of the file, and only that."),
]

_STDOUT = Path("-")
ENDINGS = {"--html": (".html", ".htm"), "--ics": (".ics",), "--log": (".log", ".txt", ".jsonl")}
"""What the name of a file ends in that an option writes: no slip of a name writes over a file of another kind."""
_INSTANT = timedelta(microseconds=1)
_SLOT = timedelta(minutes=15)


class Stretch(NamedTuple):
    """A time of one desired state, from ``start`` (included) to ``end`` (not)."""

    start: datetime
    end: datetime
    state: State
    reason: str


def calendar(  # noqa: PLR0913 - one for each option
    *,
    file: File = DEFAULT_FILE,
    cluster: ClusterNames = None,
    begin: Begin = None,
    days: Days = 7,
    as_json: AsJson = False,
    ics: Ics = None,
    html: Html = None,
    against: Against = None,
) -> int:
    """Show when clusters will start and stop in the coming days."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    if against is not None:
        if ics is not None or html is not None:
            raise typer.BadParameter("it writes no file: leave --ics and --html out", param_hint="--against")
        compared = compare_files(against, file, cluster, When(begin, days, now))
        if as_json:
            show_json(comparison_json(compared))
        else:
            show(*describe_comparison(compared))
        return ExitCode.DONE
    check_ending(html, "--html")
    check_ending(None if ics == _STDOUT else ics, "--ics")
    checked = load_checked(file)
    schedules = select_clusters(checked.schedules, cluster or None)
    span = read_span(begin, days, schedules, now)
    note_unknown(checked, schedules, span.end - _INSTANT)
    found = coming(schedules, span)
    if ics == _STDOUT:
        if as_json:
            raise typer.BadParameter("stdout cannot take both: name a file", param_hint="--ics - and --json")
        show_bytes(calendar_file(schedules, span, now))
        return ExitCode.DONE
    if ics is not None:
        write_beside(file, ics, calendar_file(schedules, span, now), "--ics")
    if html is not None:
        page = render_page(schedules, span, now, money=_money_of(schedules, span))
        write_beside(file, html, page.encode(), "--html")
    if as_json:
        later = (_transition_json(c, t) for c, t in found if t.at > span.start)
        show_json([*_beginnings_json(schedules, span), *later])
    else:
        show(*_picture(schedules, span, found))
    return ExitCode.DONE


def coming(schedules: Schedules, span: Span) -> List[Tuple[Cluster, Transition]]:
    """Return the transitions of all clusters from a span's start (included) to its end (not), oldest first."""
    found = [
        (cluster, transition)
        for cluster in schedules.clusters
        for transition in transitions_in(cluster, span.start, span.end)
    ]
    return sorted(found, key=lambda item: item[1].at)


def stretches(cluster: Cluster, span: Span) -> Iterator[Stretch]:
    """Yield the states of a cluster that touch a span, in order and uncut but where there is no transition in sight."""
    desired = desired_state(cluster, span.start)
    start = desired.since or span.start
    for transition in transitions(cluster, span.start, span.end - _INSTANT):
        yield Stretch(start, transition.at, desired.state, desired.reason)
        start = transition.at
        desired = desired_state(cluster, start)
    yield Stretch(start, desired.until or span.end, desired.state, desired.reason)


def calendar_file(schedules: Schedules, span: Span, now: datetime) -> bytes:
    """Return an iCalendar file with an event for each time of running that touches the span.

    An event keeps its id from one file to the next as long as cluster and start are the same.
    """
    try:
        from icalendar import Calendar, Event
    except ModuleNotFoundError as e:
        raise InputError('--ics needs icalendar: install the extra "cli"') from e

    file = Calendar()
    file.add("prodid", "-//cce-scheduler//EN")
    file.add("version", "2.0")
    file.add("method", "PUBLISH")
    file.add("x-wr-calname", "cce-scheduler")
    for cluster in schedules.clusters:
        for stretch in stretches(cluster, span):
            if stretch.state is not State.RUNNING:
                continue
            event = Event()
            event.add("uid", f"{cluster.cluster_id}-{stretch.start:%Y%m%dT%H%M%SZ}@cce-scheduler")
            event.add("dtstamp", now)
            event.add("dtstart", stretch.start)
            event.add("dtend", stretch.end)
            event.add("summary", f"{cluster.name} running")
            event.add("description", stretch.reason)
            event.add("transp", "TRANSPARENT")
            file.add_component(event)
    content: bytes = file.to_ical()
    return content


def check_ending(path: Optional[Path], option: str) -> None:
    """Refuse a file whose name is not that of what an option writes; asked before anything is done."""
    endings = ENDINGS[option]
    if path is not None and path.suffix.lower() not in endings:
        message = f"{path} does not end in {' or '.join(endings)}: write a name that does"
        raise typer.BadParameter(message, param_hint=option)


def write_beside(file: Path, path: Path, content: bytes, option: str) -> None:
    """Write what an option asks for, and say so; never over the schedules file. Raises `InputError`."""
    try:
        if path.exists() and path.samefile(file):
            raise InputError(f"{path} is the schedules file itself: name another file with {option}")
        path.write_bytes(content)
    except OSError as e:
        raise InputError(f"{path} cannot be written ({e.strerror or type(e).__name__}): name another file") from e
    note(f"{path} written")


def _picture(schedules: Schedules, span: Span, found: Sequence[Tuple[Cluster, Transition]]) -> Iterator[RenderableType]:
    begin, end = (write_local(at, span.zone) for at in (span.start, span.end))
    yield line(f"From {begin} to {end} {span.zone.key}", "bold")
    for cluster in schedules.clusters:
        zone = ZoneInfo(cluster.timing.timezone)
        yield ""
        own_zone = "" if zone == span.zone else f" ({zone.key})"
        hours = find_hours(cluster, span.start, span.end)
        yield line(f"{cluster.name}{own_zone}: {describe_hours(hours)}", "bold")
        if schedules.prices and hours.stopped:
            each = money_of_each(hours.stopped, schedules.prices)
            yield line(f"each server saves {describe_each(each, schedules.prices.currency)}", "dim")
        yield from draw(_strip(cluster, span), zone)
    yield ""
    yield legend(unmanaged=True)
    if schedules.prices:
        yield line(describe_not_included(), "dim")
    yield ""
    if found:
        zones = {cluster.timing.timezone for cluster in schedules.clusters}
        when = "WHEN" if zones == {span.zone.key} else f"WHEN ({span.zone.key})"
        yield table((when, "CLUSTER", "BECOMES", "REASON"), [_row(c, t, span.zone) for c, t in found])
    else:
        yield "No transition in this time."


def _row(cluster: Cluster, transition: Transition, zone: ZoneInfo) -> Tuple[str, str, str, str]:
    return write_local(transition.at, zone), cluster.name, transition.after.value, transition.reason


def _money_of(schedules: Schedules, span: Span) -> Dict[str, str]:
    """Return what each server of a cluster saves, by cluster, over all flavors with a price."""
    if schedules.prices is None:
        return {}
    found: Dict[str, str] = {}
    for cluster in schedules.clusters:
        each = money_of_each(find_hours(cluster, span.start, span.end).stopped, schedules.prices).values()
        least_to_most = dict.fromkeys((min(each, default=0), max(each, default=0)))
        found[cluster.name] = f"{' to '.join(f'{money:,}' for money in least_to_most)} {schedules.prices.currency} each"
    return found


def _strip(cluster: Cluster, span: Span) -> Strip:
    """Return how much of each quarter of an hour a cluster should run, and how much of it is unmanaged."""
    slots = -((span.start - span.end) // _SLOT)
    running, unmanaged = [timedelta()] * slots, [timedelta()] * slots
    for stretch in stretches(cluster, span):
        if stretch.state is not State.STOPPED:
            slots_of_state = running if stretch.state is State.RUNNING else unmanaged
            fill_slots(slots_of_state, _SLOT, span.start, stretch.start, min(stretch.end, span.end))
    return Strip(span.start, _SLOT, [r / _SLOT for r in running], [u / _SLOT for u in unmanaged])


def _beginnings_json(schedules: Schedules, span: Span) -> Iterator[Dict[str, Any]]:
    """Yield the state of each cluster at the first moment of a span, a transition then included: from nowhere."""
    for cluster in schedules.clusters:
        found = desired_state(cluster, span.start)
        yield {
            "cluster": cluster.name,
            "at": write_instant(span.start, cluster.timing.timezone),
            "from": None,
            "to": found.state.value,
            "reason": found.reason,
        }


def _transition_json(cluster: Cluster, transition: Transition) -> Dict[str, Any]:
    return {
        "cluster": cluster.name,
        "at": write_instant(transition.at, cluster.timing.timezone),
        "from": transition.before.value,
        "to": transition.after.value,
        "reason": transition.reason,
    }
