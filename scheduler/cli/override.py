"""``override``: keeps a cluster up, down or unmanaged until a time, by a tag on the CCE cluster; lists and clears.

The tag ends by itself, and the runs only ever read it; what has ended is cleared here.
"""

import contextlib
import os
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union
from zoneinfo import ZoneInfo

import typer
from rich.console import RenderableType

from scheduler.cli.access import Access, Target, open_access
from scheduler.cli.exits import ExitCode
from scheduler.cli.options import DEFAULT_FILE, AsJson, CceEndpoint, File, Region, complete_clusters, read_duration
from scheduler.cli.output import line, note, show, show_json, table
from scheduler.cloud import Cloud
from scheduler.cloud.patience import PatientCloud
from scheduler.config import load_config
from scheduler.describe import describe_duration
from scheduler.document import suggest
from scheduler.errors import CloudError, InputError, SchedulerError
from scheduler.evaluate import desired_state, transitions
from scheduler.localtime import read_local
from scheduler.model import CceCluster, Cluster, Override, Place, Schedules, State, place_of
from scheduler.observe import find_clusters, missing
from scheduler.reconcile import select_clusters
from scheduler.remote_override import LONGEST, OVERRIDE_TAG, read_override, with_override, write_override
from scheduler.report import error_json, write_instant

Named = Annotated[
    Optional[str],
    typer.Argument(metavar="CLUSTER", show_default=False, autocompletion=complete_clusters, help="The cluster's name."),
]
Asked = Annotated[
    Optional[str],
    typer.Argument(
        metavar="STATE",
        show_default=False,
        autocompletion=lambda: [state.value for state in State],
        help="What it is to be: running, stopped or unmanaged.",
    ),
]
Lasting = Annotated[
    Optional[str], typer.Option("--for", metavar="DURATION", help="How long from now: 90m, 3h, at most 7d.")
]
Until = Annotated[
    Optional[str],
    typer.Option("--until", metavar="T", help="Until when: in the cluster's zone, or with an offset."),
]
Listing = Annotated[bool, typer.Option("--list", help="Show the overrides of all clusters.")]
Clear = Annotated[
    Optional[str],
    typer.Option(
        "--clear", metavar="CLUSTER", autocompletion=complete_clusters, help="Remove the override of a cluster."
    ),
]
Reason = Annotated[Optional[str], typer.Option("--reason", hidden=True)]

_SHOWN = 2
"""How many transitions after the end are shown."""

_Found = Union[CceCluster, CloudError]


class _Options(NamedTuple):
    """What is alike for listing, writing and clearing."""

    target: Target
    now: datetime
    as_json: bool


class _Seen(NamedTuple):
    """What a cluster's tag says: ``text`` is None without one, ``error`` why it cannot be read."""

    cluster: Cluster
    text: Optional[str] = None
    override: Optional[Override] = None
    error: Optional[SchedulerError] = None

    def status(self, now: datetime) -> str:
        """Return whether the override counts at an instant."""
        if self.error:
            return "unreadable"
        if self.override is None:
            return "none"
        return "active" if now < self.override.end else "ended"


def override(  # noqa: PLR0913 - one for each option
    *,
    cluster: Named = None,
    state: Asked = None,
    lasting: Lasting = None,
    until: Until = None,
    reason: Reason = None,
    listing: Listing = False,
    clear: Clear = None,
    file: File = DEFAULT_FILE,
    as_json: AsJson = False,
    region: Region = None,
    cce_endpoint: CceEndpoint = None,
) -> int:
    """Keep a cluster running, stopped or unmanaged until a time, without a new deployment.

    Writes one tag on the CCE cluster, which the next run obeys if the deployed file says `remote_overrides: true`. It
    ends by itself, after 7 days at most. A tag has no room for a reason.
    """
    if reason is not None:
        message = "a tag has no room for a reason: leave it out, or write the override into the schedules file"
        raise typer.BadParameter(message, param_hint="--reason")
    now = datetime.now(timezone.utc).replace(microsecond=0)
    # Only CCE is called: with its endpoint given, that of ECS need not be known either.
    options = _Options(Target(region, cce_endpoint, is_simulated=False, cce_endpoint=cce_endpoint), now, as_json)
    schedules = load_config(file)
    asked = cluster is not None or state is not None or lasting is not None or until is not None
    if listing + (clear is not None) + asked != 1:
        raise typer.BadParameter("write CLUSTER and a state, or --list, or --clear CLUSTER", param_hint="arguments")
    if listing:
        return _list(schedules, options)
    if clear is not None:
        return _clear(_only(schedules, clear), options)
    wanted = None if state is None else _read_state(state)
    if cluster is None or wanted is None or (lasting is None) == (until is None):
        message = "write CLUSTER, a state, and one of --for and --until"
        raise typer.BadParameter(message, param_hint="arguments")
    chosen = _only(schedules, cluster)
    _check_obeyed(schedules, chosen, str(file))
    end = _read_end(lasting, until, ZoneInfo(chosen.timing.timezone), now)
    every = timedelta(seconds=schedules.function.every_s)
    if end - now < every:
        raise InputError(
            f"an override of less than {describe_duration(schedules.function.every_s)} may fall between two runs: "
            "let it end later"
        )
    return _write(chosen, wanted, end, options)


def _read_state(text: str) -> State:
    try:
        return State(text)
    except ValueError as e:
        known = [state.value for state in State]
        raise typer.BadParameter(f'"{text}" is not a state: {suggest(text, known)}', param_hint="STATE") from e


def _only(schedules: Schedules, name: str) -> Cluster:
    return select_clusters(schedules, [name]).clusters[0]


def _check_obeyed(schedules: Schedules, cluster: Cluster, file: str) -> None:
    """Raise `InputError` where a run would not look at the tag."""
    if not schedules.remote_overrides:
        raise InputError(
            f"{file} does not say `remote_overrides: true`, so no run would obey it: write that and deploy it, or "
            "write the override into the file"
        )
    if not cluster.enabled:
        raise InputError(f"{cluster.name} says `enabled: false`, so no run would obey it")


def _read_end(lasting: Optional[str], until: Optional[str], zone: ZoneInfo, now: datetime) -> datetime:
    """Return when the override ends. Raises `InputError` where that is past or too far ahead."""
    longest = describe_duration(int(LONGEST.total_seconds()))
    if lasting is not None:
        length = read_duration(lasting, "--for")
        if length > LONGEST:
            raise InputError(f"--for {lasting} is too long: an override ends within {longest}")
        return now + length
    end = _read_moment(until or "", zone)
    if end <= now:
        raise InputError(f"--until {until} is past: write a later time")
    if end - now > LONGEST:
        raise InputError(f"--until {until} is too far ahead: an override ends within {longest}")
    return end


def _read_moment(text: str, zone: ZoneInfo) -> datetime:
    """Return the instant of a date and time, with an offset or in a zone."""
    try:
        return read_local(text, zone).replace(microsecond=0)
    except ValueError as e:
        raise typer.BadParameter(f'"{text}" {e}', param_hint="--until") from e


def _write(cluster: Cluster, state: State, end: datetime, options: _Options) -> int:
    text = write_override(state, end)
    with _open_cluster(cluster, options) as (cloud, before):
        cloud.write_cluster_tag(cluster.cluster_id, OVERRIDE_TAG, text)
    seen = _Seen(cluster, text, read_override({OVERRIDE_TAG: text}, options.now))
    if options.as_json:
        show_json(_json(seen, options.now))
        return ExitCode.DONE
    if before.text is not None and before.text != text:
        note(f"it replaces {before.text}")
    show(*_describe_written(seen, end))
    return ExitCode.DONE


def _clear(cluster: Cluster, options: _Options) -> int:
    with _open_cluster(cluster, options) as (cloud, seen):
        is_there = seen.text is not None or seen.error is not None
        if is_there:
            cloud.remove_cluster_tag(cluster.cluster_id, OVERRIDE_TAG)
    if options.as_json:
        show_json(_json(_Seen(cluster), options.now))
        return ExitCode.DONE
    did = f"cleared {seen.text or 'the tag'}" if is_there else "there is no override"
    desired = desired_state(cluster, options.now)
    show(line(f"{cluster.name}: {did}; by the file it is {desired.state.value}: {desired.reason}"))
    return ExitCode.DONE


@contextlib.contextmanager
def _open_cluster(cluster: Cluster, options: _Options) -> Iterator[Tuple[Cloud, _Seen]]:
    """Yield the way to a cluster, enabled or not, and what its tag says. Raises `CloudError` where CCE knows none."""
    asked = Schedules((cluster._replace(enabled=True),))  # or its region and project might be missing
    with open_access(asked, options.target, environ=os.environ, now=options.now) as access:
        (placed,) = access.schedules.clusters
        cloud = _open(access, place_of(placed.region, placed.project_id))
        try:
            found = find_clusters(cloud).get(cluster.cluster_id)
            if found is None:
                raise missing(placed)
            yield cloud, _look(cluster, found, options.now)
        finally:
            cloud.close()


def _list(schedules: Schedules, options: _Options) -> int:
    enabled = schedules._replace(clusters=tuple(c for c in schedules.clusters if c.enabled))
    with open_access(enabled, options.target, environ=os.environ, now=options.now) as access:
        seen = list(_look_everywhere(access, options.now))
    if options.as_json:
        show_json([_json(one, options.now) for one in seen])
    else:
        rows = [(one.cluster.name, _describe(one, options.now)) for one in seen]
        show(table(("CLUSTER", "OVERRIDE"), rows))
        if not schedules.remote_overrides:
            note("! no run obeys them: the file does not say `remote_overrides: true`", "yellow")
    return ExitCode.FAILED if any(one.error for one in seen) else ExitCode.DONE


def _look_everywhere(access: Access, now: datetime) -> Iterator[_Seen]:
    """Yield what is seen of each cluster, by one call for each region and project."""
    found: Dict[Place, Union[Dict[str, CceCluster], CloudError]] = {}
    for cluster in access.schedules.clusters:
        place = place_of(cluster.region, cluster.project_id)
        if place not in found:
            found[place] = _try_place(access, place)
        listed = found[place]
        one = listed if isinstance(listed, CloudError) else listed.get(cluster.cluster_id) or missing(cluster)
        yield _look(cluster, one, now)


def _try_place(access: Access, place: Place) -> Union[Dict[str, CceCluster], CloudError]:
    try:
        cloud = _open(access, place)
    except CloudError as e:
        return e
    try:
        return find_clusters(cloud)
    except CloudError as e:
        return e
    finally:
        cloud.close()


def _open(access: Access, place: Place) -> Cloud:
    return PatientCloud(access.connect(*place), access.clock)


def _look(cluster: Cluster, found: _Found, now: datetime) -> _Seen:
    if isinstance(found, CloudError):
        return _Seen(cluster, error=found)
    text = (found.tags or {}).get(OVERRIDE_TAG)
    try:
        return _Seen(cluster, text, read_override(found.tags, now))
    except InputError as e:
        return _Seen(cluster, text, error=e)


def _describe(seen: _Seen, now: datetime) -> str:
    if seen.error:
        return f"! {seen.error}"
    if seen.override is None:
        return "none"
    ended = f"; ended, `override --clear {seen.cluster.name}` removes it" if seen.status(now) == "ended" else ""
    return f"{_say(seen.cluster, seen.override)}{ended}"


def _say(cluster: Cluster, found: Override) -> str:
    return f"{found.state.value} until {_local(cluster, found.end)} {cluster.timing.timezone}"


def _local(cluster: Cluster, at: datetime) -> str:
    return f"{at.astimezone(ZoneInfo(cluster.timing.timezone)):%a %Y-%m-%d %H:%M}"


def _describe_written(seen: _Seen, end: datetime) -> Iterator[RenderableType]:
    """Yield until when a cluster is overridden, and what happens then."""
    cluster, found = seen.cluster, seen.override
    if found is None:
        return
    yield line(f"{cluster.name}: {_say(cluster, found)}", "bold")
    overridden = with_override(cluster, found)
    after = desired_state(overridden, end)
    coming: List[Sequence[str]] = [(_local(cluster, end), after.state.value, after.reason)]
    for transition in transitions(overridden, end, end + timedelta(days=366)):
        coming.append((_local(cluster, transition.at), transition.after.value, transition.reason))
        if len(coming) > _SHOWN:
            break
    yield table(("THEN", "STATE", "REASON"), coming)


def _json(seen: _Seen, now: datetime) -> Dict[str, Any]:
    found, zone = seen.override, seen.cluster.timing.timezone
    return {
        "name": seen.cluster.name,
        "cluster_id": seen.cluster.cluster_id,
        "status": seen.status(now),
        "state": found.state.value if found else None,
        "until": write_instant(found.end, zone) if found else None,
        "tag": seen.text,
        "error": error_json(seen.error),
    }
