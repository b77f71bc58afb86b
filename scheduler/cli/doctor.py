"""``doctor``: reads everything that a run could read, changes nothing, and says what stands in the way.

The judgement is in ``scheduler/doctor.py``. ``deploy`` asks first, too.
"""

import os
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, TypeVar, Union

from rich.console import RenderableType

from scheduler.caution import find_cautions
from scheduler.cli.access import Access, Target, open_access
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
)
from scheduler.cli.output import count, line, note, show, show_json
from scheduler.cloud import Cloud
from scheduler.cloud.listing import list_servers
from scheduler.cloud.patience import PatientCloud
from scheduler.config import load_checked
from scheduler.control_plane import ASLEEP
from scheduler.doctor import Examined, Facts, Finding, Verdict, examine, find_refused_stops
from scheduler.errors import CloudError, InputError, PermanentCloudError, Problem
from scheduler.model import CceCluster, Cluster, ControlPlane, Place, Schedules, Server, place_of
from scheduler.observe import find_clusters
from scheduler.reconcile import select_clusters
from scheduler.report import error_json, write_instant

_STYLES = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.REFUSED: "red"}
_ACTS = ("ecs:cloudServers:start", "ecs:cloudServers:stop")
_HIBERNATES = ("cce:cluster:start", "cce:cluster:stop")

_Out = TypeVar("_Out")


class _Tried(NamedTuple):
    """A right to read that was tried in a region and project; ``error`` is how it failed."""

    place: Place
    action: str
    error: Optional[CloudError]


class _Report(NamedTuple):
    """All that ``doctor`` says; ``skipped`` are the clusters that it did not look at.

    Of a simulated cloud no right is ``tried``: none of the person's keys was used.
    """

    at: datetime
    examined: Sequence[Examined]
    limits: Sequence[Finding]
    cautions: Sequence[Problem]
    tried: Sequence[_Tried]
    not_tried: Sequence[str]
    skipped: Sequence[str]
    is_simulated: bool

    def number(self, verdict: Verdict) -> int:
        """Return how many clusters have a verdict."""
        return sum(one.verdict is verdict for one in self.examined)


def doctor(  # noqa: PLR0913 - one for each option
    *,
    file: File = DEFAULT_FILE,
    cluster: ClusterNames = None,
    as_json: AsJson = False,
    region: Region = None,
    endpoint: Endpoint = None,
    cce_endpoint: CceEndpoint = None,
    simulated: Simulated = False,
) -> int:
    """Look for what stands in the way of the schedules file in your account.

    Changes nothing. Reads clusters, nodes, node pools and servers with your keys, and judges each cluster: ok, warning
    or refused. Clusters that are not enabled are looked at if they are named.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    checked = load_checked(file)
    schedules = _select(checked.schedules, cluster)
    target = Target(region, endpoint, simulated, cce_endpoint)
    with open_access(schedules, target, environ=os.environ, now=now) as access:
        reader = _Reader(access)
        facts = reader.read()
        placed = access.schedules
    examined = examine(placed, facts, now, is_simulated=simulated)
    report = _Report(
        at=now,
        examined=examined,
        limits=list(find_refused_stops(placed, examined, now)),
        cautions=find_cautions(checked, now),
        tried=() if simulated else reader.tried,
        not_tried=_not_tried(placed),
        skipped=[c.name for c in checked.schedules.clusters if c.name not in facts] if cluster is None else [],
        is_simulated=simulated,
    )
    if as_json:
        show_json(_json(report))
    else:
        show(*_lines(report, str(file)))
    return ExitCode.FAILED if report.number(Verdict.REFUSED) else ExitCode.DONE


def check_before_deploy(access: Access, now: datetime) -> None:
    """Raise `InputError` where a cluster is refused; say that there are warnings."""
    examined = examine(access.schedules, _Reader(access).read(), now)
    refused = [f"{one.cluster.name}: {f.message}" for one in examined for f in one.findings if _is_refused(f)]
    if refused:
        raise InputError(
            "\n".join((f"doctor refuses {count(len(refused), 'thing')}, so nothing is deployed", *refused))
        )
    warnings = sum(len(one.findings) for one in examined)
    if warnings:
        note(f"! doctor has {count(warnings, 'warning')}: see `cce-scheduler doctor`", "yellow")


def _is_refused(finding: Finding) -> bool:
    return finding.verdict is Verdict.REFUSED


def _select(schedules: Schedules, names: Optional[List[str]]) -> Schedules:
    """Return the clusters to look at: those that are named, as if they were enabled, or else the enabled ones."""
    if names:
        chosen = select_clusters(schedules, names)
        return chosen._replace(clusters=tuple(c._replace(enabled=True) for c in chosen.clusters))
    return schedules._replace(clusters=tuple(c for c in schedules.clusters if c.enabled))


def _not_tried(schedules: Schedules) -> Sequence[str]:
    """Return the rights that the file needs and that only acting would show."""
    hibernates = any(c.control_plane is ControlPlane.HIBERNATE for c in schedules.clusters)
    tags = ("cce:tag:operate",) if schedules.remote_overrides else ()
    return (*_ACTS, *(_HIBERNATES if hibernates else ()), *tags)


class _Reader:
    """Reads what there is, each thing once. Keys that are wrong are not tried again: five failures lock them."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._wrong_keys: Optional[CloudError] = None
        self._tried: Dict[Tuple[Place, str], Optional[CloudError]] = {}

    @property
    def tried(self) -> Sequence[_Tried]:
        """Every right that was tried, once for each place; it failed if it ever did."""
        return [_Tried(place, action, error) for (place, action), error in self._tried.items()]

    def read(self) -> Dict[str, Facts]:
        """Return the facts of every cluster by name."""
        places: Dict[Place, List[Cluster]] = {}
        for cluster in self._access.schedules.clusters:
            if cluster.enabled:
                places.setdefault(place_of(cluster.region, cluster.project_id), []).append(cluster)
        found: Dict[str, Facts] = {}
        for place, clusters in places.items():
            found.update(self._read_place(place, clusters))
        return found

    def _read_place(self, place: Place, clusters: Sequence[Cluster]) -> Dict[str, Facts]:
        try:
            cloud = PatientCloud(self._access.connect(*place), self._access.clock)
        except CloudError as e:
            return {cluster.name: Facts(e, e, e, e) for cluster in clusters}
        try:
            servers = self._try(place, "ecs:cloudServers:list", lambda: list_servers(cloud))
            listed = self._try(place, "cce:cluster:list", lambda: find_clusters(cloud))
            return {c.name: self._read_cluster(place, cloud, c, servers, listed) for c in clusters}
        finally:
            cloud.close()

    def _read_cluster(
        self,
        place: Place,
        cloud: Cloud,
        cluster: Cluster,
        servers: Union[Sequence[Server], CloudError],
        listed: Union[Dict[str, CceCluster], CloudError],
    ) -> Facts:
        found = listed if isinstance(listed, CloudError) else listed.get(cluster.cluster_id)
        if found is None:
            return Facts(servers, None)
        is_asleep = isinstance(found, CceCluster) and found.phase in ASLEEP
        cluster_id = cluster.cluster_id
        return Facts(
            servers,
            found,
            self._try(place, "cce:node:list", lambda: _ask(lambda: cloud.list_nodes(cluster_id), is_asleep)),
            self._try(place, "cce:nodepool:list", lambda: _ask(lambda: cloud.list_node_pools(cluster_id), is_asleep)),
        )

    def _try(self, place: Place, action: str, call: Callable[[], _Out]) -> Union[_Out, CloudError]:
        """Call, unless the keys are known to be wrong, and keep how it went."""
        key = (place, action)
        try:
            if self._wrong_keys is not None:
                raise self._wrong_keys
            answer = call()
        except CloudError as e:
            if e.status_code == HTTPStatus.UNAUTHORIZED:
                self._wrong_keys = e
            self._tried[key] = self._tried.get(key) or e
            return e
        self._tried.setdefault(key, None)
        return answer


def _ask(call: Callable[[], _Out], is_asleep: bool) -> Optional[_Out]:  # noqa: FBT001 - it is a fact
    """Return an answer; None where a control plane that sleeps gives none."""
    try:
        return call()
    except PermanentCloudError as e:
        if is_asleep and e.status_code != HTTPStatus.UNAUTHORIZED:
            return None
        raise


def _lines(report: _Report, file: str) -> Iterator[RenderableType]:
    for one in report.examined:
        yield line(f"{one.cluster.name}: {one.verdict.value}", f"bold {_STYLES[one.verdict]}")
        yield from _findings(one.findings)
    if report.skipped:
        yield line(f"not enabled, so not looked at: {', '.join(report.skipped)}", "dim")
    yield ""
    if report.limits or report.cautions:
        yield line("The file", "bold")
        yield from _findings(report.limits)
        for caution in report.cautions:
            yield line(f"! warning: {file}:{caution.line}:{caution.column}: {caution}", "yellow", 2)
        yield ""
    yield from _rights(report)
    yield ""
    counts = ", ".join(f"{report.number(verdict)} {verdict.value}" for verdict in Verdict)
    yield line(f"Clusters: {counts}.", "bold")


def _findings(findings: Sequence[Finding]) -> Iterator[RenderableType]:
    for finding in findings:
        yield line(f"! {finding.verdict.value}: {finding.message}", _STYLES[finding.verdict], 2)


def _rights(report: _Report) -> Iterator[RenderableType]:
    if report.is_simulated:
        yield line("Rights: none was tried, since the cloud is simulated and your keys were not used", "bold")
        return
    yield line("Rights of your keys; those of the function's agency are tried by `deploy`", "bold")
    groups: Dict[Tuple[Place, bool], List[_Tried]] = {}
    for one in report.tried:
        groups.setdefault((one.place, one.error is None), []).append(one)
    for ((region, project_id), has_worked), tried in groups.items():
        names = ", ".join(one.action for one in tried)
        word, style = ("worked", "") if has_worked else ("failed", "red")
        yield line(f"{word} in {region}, project {project_id}: {names}", style, 2)
    yield line(f"not tried, as that would act: {', '.join(report.not_tried)}", "dim", 2)


def _json(report: _Report) -> Dict[str, Any]:
    return {
        "at": write_instant(report.at),
        "clusters": [_examined_json(one) for one in report.examined],
        "skipped": list(report.skipped),
        "file": [
            *(_finding_json(finding) for finding in report.limits),
            *({"verdict": Verdict.WARNING.value, "check": "caution", **c._asdict()} for c in report.cautions),
        ],
        "rights": [
            {"region": t.place[0], "project_id": t.place[1], "action": t.action, "error": error_json(t.error)}
            for t in report.tried
        ],
        "not_tried": list(report.not_tried),
        "simulated": report.is_simulated,
        "summary": {verdict.value: report.number(verdict) for verdict in Verdict},
    }


def _examined_json(one: Examined) -> Dict[str, Any]:
    cluster = one.cluster
    return {
        "name": cluster.name,
        "cluster_id": cluster.cluster_id,
        "region": cluster.region,
        "project_id": cluster.project_id,
        "verdict": one.verdict.value,
        "findings": [_finding_json(finding) for finding in one.findings],
    }


def _finding_json(finding: Finding) -> Dict[str, Any]:
    return {"verdict": finding.verdict.value, "check": finding.check, "message": finding.message}
