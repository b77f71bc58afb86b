"""``init``: looks for the clusters of an account, and writes a schedules file to begin with."""

import contextlib
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import typer
from rich.console import RenderableType

from scheduler.cli.access import CLOCK, Account, open_account
from scheduler.cli.exits import ExitCode
from scheduler.cli.options import DEFAULT_FILE, AsJson, CceEndpoint, File
from scheduler.cli.output import count, line, note, show, show_json, table
from scheduler.cli.starter import Discovered, choose_names, write_starter
from scheduler.cloud.patience import PatientCloud
from scheduler.config import parse_config
from scheduler.errors import CloudError, InputError
from scheduler.model import CceCluster
from scheduler.report import error_json

Regions = Annotated[
    Optional[List[str]], typer.Option("--region", metavar="REGION", help="A region to look in; repeatable.")
]
ProjectIds = Annotated[
    Optional[List[str]],
    typer.Option("--project-id", metavar="ID", help="A project to look in; repeatable. Default: that of the keys."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file if there is one.")]
Simulated = Annotated[bool, typer.Option("--simulated", help="Find the clusters of a simulated cloud.")]

_SIMULATED = ("batch", "dev", "test")


class _Search(NamedTuple):
    """What was found in which region and project, and where nobody could look."""

    clusters: Sequence[Discovered]
    failed: Sequence[Tuple[str, str, CloudError]]


def init(  # noqa: PLR0913 - one for each option
    *,
    region: Regions = None,
    project_id: ProjectIds = None,
    file: File = DEFAULT_FILE,
    force: Force = False,
    as_json: AsJson = False,
    cce_endpoint: CceEndpoint = None,
    simulated: Simulated = False,
) -> int:
    """Find the clusters of your account and write a schedules file to begin with.

    Every cluster gets `enabled: false`, so the file does nothing until you edit it. Needs the right cce:cluster:list.
    """
    if not force and os.path.lexists(file):
        raise InputError(f"{file} exists and is kept: name another with --file, or overwrite it with --force")
    with _open(region, project_id, cce_endpoint, simulated=simulated) as (account, places):
        search = _search(account, places)
    for failed_region, failed_project, error in search.failed:
        note(f"! {failed_region}, project {failed_project}: {error}", "yellow")
    if not search.clusters:
        raise InputError("no cluster was found, so nothing is written: check --region, --project-id and the keys")
    content = write_starter(search.clusters).encode()
    parse_config(content, str(file))
    _write(file, content, force=force)
    if as_json:
        show_json(_json(file, search))
    else:
        show(*_lines(file, search, simulated=simulated))
    return ExitCode.DONE


@contextlib.contextmanager
def _open(
    regions: Optional[List[str]], project_ids: Optional[List[str]], cce_endpoint: Optional[str], *, simulated: bool
) -> Iterator[Tuple[Account, Sequence[Tuple[str, str]]]]:
    """Yield an account and the places to look in. Raises `InputError` where none is named."""
    if simulated:
        if regions or project_ids or cce_endpoint:
            raise typer.BadParameter("it uses no account, region or endpoint", param_hint="--simulated")
        note("simulated cloud: its clusters are made up; yours are not read")
        with _simulated_account() as found:
            yield found
        return
    if not regions:
        raise typer.BadParameter("name the regions to look in, such as ap-southeast-2", param_hint="--region")
    account = open_account(os.environ, cce_endpoint)
    projects = project_ids or ([account.project_id] if account.project_id else [])
    if not projects:
        raise InputError("no project id: give --project-id, or set HUAWEICLOUD_SDK_PROJECT_ID")
    yield account, [(one, project) for one in dict.fromkeys(regions) for project in dict.fromkeys(projects)]


@contextlib.contextmanager
def _simulated_account() -> Iterator[Tuple[Account, Sequence[Tuple[str, str]]]]:
    from scheduler.cli.access import connector
    from scheduler.settings import Credentials
    from scheduler.simulated import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK, SimulatedCloud, serve
    from scheduler.simulated.rehearsal import SIMULATED_REGION

    cloud = SimulatedCloud(datetime.now(timezone.utc))
    for name in _SIMULATED:
        cloud.clusters.add(name, project_id=SIMULATED_PROJECT)
    with serve(cloud) as endpoint:
        connect = connector(Credentials(SIMULATED_AK, SIMULATED_SK), endpoint, endpoint)
        yield Account(connect, CLOCK.get(), SIMULATED_PROJECT), [(SIMULATED_REGION, SIMULATED_PROJECT)]


def _search(account: Account, places: Sequence[Tuple[str, str]]) -> _Search:
    found: Dict[str, Tuple[CceCluster, str, str]] = {}
    failed: List[Tuple[str, str, CloudError]] = []
    for region, project_id in places:
        try:
            listed = _list_clusters(account, region, project_id)
        except CloudError as e:
            failed.append((region, project_id, e))
            continue
        for cluster in sorted(listed, key=lambda c: (c.name or "", c.cluster_id)):
            found.setdefault(cluster.cluster_id.lower(), (cluster, region, project_id))
    names = choose_names(cluster.name for cluster, _, _ in found.values())
    return _Search([Discovered(name, *one) for name, one in zip(names, found.values())], failed)


def _list_clusters(account: Account, region: str, project_id: str) -> Sequence[CceCluster]:
    cloud = PatientCloud(account.connect(region, project_id), account.clock)
    try:
        return cloud.list_clusters()
    finally:
        cloud.close()


def _write(file: Path, content: bytes, *, force: bool) -> None:
    """Write the file; one that came to be meanwhile is kept as well."""
    try:
        with file.open("wb" if force else "xb") as stream:
            stream.write(content)
    except OSError as e:
        raise InputError(f"{file} cannot be written ({e.strerror or type(e).__name__})") from e


def _lines(file: Path, search: _Search, *, simulated: bool) -> Iterator[RenderableType]:
    yield line(f"{file} written: {count(len(search.clusters), 'cluster')}, none of them enabled", "bold")
    rows = [(c.name, c.region, c.cluster.phase or "", c.cluster.cluster_id) for c in search.clusters]
    yield table(("CLUSTER", "REGION", "PHASE", "CLUSTER ID"), rows)
    at = "" if file == DEFAULT_FILE else f" --file {file}"
    yield ""
    yield line("Next:")
    yield line(f"edit {file}: hours, timezone, and where to begin `enabled: true`", indent=2)
    yield line(f"cce-scheduler validate{at}", indent=2)
    yield line(f"cce-scheduler plan{at}{' --simulated' if simulated else ''}", indent=2)
    if not simulated:
        yield line(f"cce-scheduler doctor{at}", indent=2)


def _json(file: Path, search: _Search) -> Dict[str, Any]:
    return {
        "file": str(file),
        "clusters": [
            {
                "name": found.name,
                "cluster_id": found.cluster.cluster_id,
                "cce_name": found.cluster.name,
                "region": found.region,
                "project_id": found.project_id,
                "phase": found.cluster.phase,
                "prepaid": found.cluster.is_prepaid,
            }
            for found in search.clusters
        ],
        "failed": [
            {"region": region, "project_id": project_id, "error": error_json(error)}
            for region, project_id, error in search.failed
        ],
    }
