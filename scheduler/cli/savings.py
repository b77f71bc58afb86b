"""``savings``: what the schedules save in some days against servers that are always on."""

import os
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from typing import Counter as CounterOf

from rich.console import RenderableType

from scheduler.cli.access import NoCredentialsError, Target, open_access
from scheduler.cli.exits import ExitCode
from scheduler.cli.holidays import note_unknown
from scheduler.cli.options import (
    DEFAULT_FILE,
    AsJson,
    Begin,
    CceEndpoint,
    ClusterNames,
    Days,
    Endpoint,
    File,
    Region,
    Simulated,
    Span,
    read_span,
)
from scheduler.cli.output import count, line, show, show_json, table
from scheduler.config import load_checked
from scheduler.describe import write_local
from scheduler.model import Cluster, ClusterPlan, ControlPlane, Schedules, State, Timing
from scheduler.reconcile import run_once, select_clusters
from scheduler.report import error_json, write_instant
from scheduler.savings import (
    NOT_INCLUDED,
    Savings,
    add_money,
    describe_not_included,
    find_hours,
    find_savings,
    write_hours,
)

_HOUR = timedelta(hours=1)
_INSTANT = timedelta(microseconds=1)
_UNKNOWN = "-"


class Found(NamedTuple):
    """The savings of all clusters; ``unread`` is why no servers were read, None if they were."""

    span: Span
    schedules: Schedules
    clusters: Tuple[Savings, ...]
    unread: Optional[str]


def savings(  # noqa: PLR0913 - one for each option
    *,
    file: File = DEFAULT_FILE,
    cluster: ClusterNames = None,
    begin: Begin = None,
    days: Days = 30,
    as_json: AsJson = False,
    region: Region = None,
    endpoint: Endpoint = None,
    cce_endpoint: CceEndpoint = None,
    simulated: Simulated = False,
) -> int:
    """Show what the schedules save against servers that are always on.

    Hours come from the schedules alone. Servers are listed where there are credentials; money is counted where the
    file has a price for their flavor.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    checked = load_checked(file)
    schedules = select_clusters(checked.schedules, cluster or None)
    span = read_span(begin, days, schedules, now)
    note_unknown(checked, schedules, span.end - _INSTANT)
    found = find_all(schedules, span, Target(region, endpoint, simulated, cce_endpoint), now=now, environ=os.environ)
    if as_json:
        show_json(_found_json(found))
    else:
        show(*describe_all(found))
    return ExitCode.FAILED if any(one.error for one in found.clusters) else ExitCode.DONE


def find_all(schedules: Schedules, span: Span, target: Target, *, now: datetime, environ: Mapping[str, str]) -> Found:
    """Return what every cluster saves; servers are those of now, and unknown where there are no credentials."""
    hours = {c.name: find_hours(c, span.start, span.end) for c in schedules.clusters}
    try:
        planned = _plan_stops(schedules, target, now, environ)
    except NoCredentialsError as e:
        only_hours = tuple(Savings(c, hours[c.name]) for c in schedules.clusters)
        return Found(span, schedules, only_hours, str(e))
    own = (p._replace(cluster=c) for p, c in zip(planned, schedules.clusters))
    by_cluster = tuple(find_savings(p, hours[p.cluster.name], schedules.prices) for p in own)
    return Found(span, schedules, by_cluster, None)


def _plan_stops(
    schedules: Schedules, target: Target, now: datetime, environ: Mapping[str, str]
) -> Sequence[ClusterPlan]:
    """Plan as if every cluster were to be stopped now: that tells which servers ever are, and reads even idle ones."""
    stopped = schedules._replace(clusters=tuple(map(_always_stopped, schedules.clusters)), remote_overrides=False)
    with open_access(stopped, target, environ=environ, now=now) as access:
        return run_once(access.schedules, now, access.connect, access.clock, dry_run=True, is_now=False).plan.clusters


def _always_stopped(cluster: Cluster) -> Cluster:
    return cluster._replace(timing=Timing(cluster.timing.timezone, State.STOPPED), control_plane=ControlPlane.KEEP)


def describe_all(found: Found) -> Iterator[RenderableType]:
    """Yield the table of what clusters save, and what its figures mean."""
    span = found.span
    begin, end = (write_local(at, span.zone) for at in (span.start, span.end))
    whole = write_hours(span.end - span.start)
    yield line(f"From {begin} to {end} {span.zone.key}: {whole} hours", "bold")
    yield ""
    yield _table(found)
    yield ""
    for text, style in _notes(found):
        yield line(text, style)


def _table(found: Found) -> RenderableType:
    prices = found.schedules.prices
    columns = ["CLUSTER", "ON", "OFF", "OFF %"]
    rows = [_hours_row(one) for one in found.clusters]
    if found.unread is None:
        columns += ["SERVERS", "SAVING", "SERVER HOURS OFF"]
        rows = [[*row, *_servers_row([one])] for row, one in zip(rows, found.clusters)]
        total = ["total", "", "", "", *_servers_row(found.clusters)]
        if prices is not None:
            columns.append(f"SAVED {prices.currency}")
            rows = [[*row, _money([one])] for row, one in zip(rows, found.clusters)]
            total.append(_money(found.clusters))
        if len(rows) > 1:
            rows.append(total)
    return table(columns, rows, right=columns[1:])


def _hours_row(one: Savings) -> List[str]:
    hours = one.hours
    return [one.cluster.name, write_hours(hours.on), write_hours(hours.stopped), f"{hours.off_percent:.0f} %"]


def _servers_row(clusters: Sequence[Savings]) -> List[str]:
    if all(one.servers is None for one in clusters):
        return [_UNKNOWN] * 3
    time_off = sum((one.server_time_off for one in clusters), timedelta())
    counts = (sum(len(one.servers or ()) for one in clusters), sum(len(one.saving) for one in clusters))
    return [*(f"{number:,}" for number in counts), write_hours(time_off)]


def _money(clusters: Sequence[Savings]) -> str:
    money = add_money(clusters)
    return _UNKNOWN if money is None else f"{money:,}"


def _notes(found: Found) -> Iterator[Tuple[str, str]]:
    """Yield what the figures mean and what is missing from them."""
    for one in found.clusters:
        name = one.cluster.name
        if one.hours.unmanaged:
            yield f"{name}: {write_hours(one.hours.unmanaged)} h are unmanaged and count as on", ""
        if one.nothing:
            reasons = ", ".join(f"{number} {reason}" for reason, number in one.nothing.items())
            yield f"{name}: servers that save nothing: {reasons}", ""
        if one.is_hibernated:
            priced = "" if one.control_plane_price is not None else "; its price is not given"
            yield f"{name}: the control plane sleeps {write_hours(one.hours.stopped)} h{priced}", ""
        if one.error:
            yield f"! {name}: its servers are not known: {one.error}", "red"
    unpriced: CounterOf[str] = Counter()
    for one in found.clusters:
        unpriced.update(one.unpriced)
    for flavor, number in unpriced.items():
        yield f"No price is given for {flavor} ({count(number, 'server')}): their hours are counted, no money.", ""
    if found.unread is not None:
        yield f"No servers were read, so there are only hours of clusters: {found.unread}", ""
    elif found.schedules.prices is None:
        yield "The file gives no prices, so there is no money here.", ""
    yield describe_not_included(), "dim"


def _found_json(found: Found) -> Dict[str, Any]:
    span, prices = found.span, found.schedules.prices
    money = add_money(found.clusters)
    return {
        "from": write_instant(span.start, span.zone.key),
        "to": write_instant(span.end, span.zone.key),
        "hours": _hours(span.end - span.start),
        "currency": prices.currency if prices else None,
        "servers_read": found.unread is None,
        "clusters": [_savings_json(one) for one in found.clusters],
        "saved": None if money is None else str(money),
        "not_included": list(NOT_INCLUDED),
    }


def _savings_json(one: Savings) -> Dict[str, Any]:
    is_read = one.servers is not None
    return {
        "name": one.cluster.name,
        "hours_on": _hours(one.hours.on),
        "hours_off": _hours(one.hours.stopped),
        "hours_unmanaged": _hours(one.hours.unmanaged),
        "servers": len(one.servers) if one.servers is not None else None,
        "servers_saving": len(one.saving) if is_read else None,
        "server_hours_off": _hours(one.server_time_off) if is_read else None,
        "control_plane_hours_off": _hours(one.hours.stopped) if one.is_hibernated else 0.0,
        "saved": None if one.money is None else str(one.money),
        "saves_nothing": dict(one.nothing),
        "unpriced": dict(one.unpriced),
        "error": error_json(one.error),
    }


def _hours(time: timedelta) -> float:
    return round(time / _HOUR, 4)
