"""A rehearsal: the real function, run by run, over a simulated cloud for some days at accelerated time.

Builds a scene from a schedules file, runs the function as its timer would, and counts what came of it. Nothing
here knows of a terminal. The handler reads the file itself and talks to the cloud over HTTP through the real SDK,
so that a rehearsal shows what a deployment will do, bugs included.
"""

import logging
import re
import time
from collections import Counter
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Callable, Collection, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from scheduler.evaluate import desired_state
from scheduler.handler import handle
from scheduler.model import (
    Cluster,
    ControlPlane,
    Desired,
    Hold,
    HoldKind,
    Membership,
    Power,
    Schedules,
    Server,
    ServerId,
    State,
)
from scheduler.plan import Members, decide
from scheduler.reconcile import place_clusters
from scheduler.savings import fill_slots
from scheduler.simulated import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK, SimulatedCloud, SimulatedServer, serve
from scheduler.simulated.calls import Record
from scheduler.simulated.chaos import random_faults
from scheduler.simulated.clusters import AVAILABLE, HIBERNATION, SimulatedCluster
from scheduler.simulated.servers import ACTIVE, DELETED, SHUTOFF

SIMULATED_REGION = "simulated"
"""The region of a cluster for which the file names none."""
SLOT = timedelta(minutes=15)
"""The grain of `ClusterResult.shares`: every zone's hours begin at a multiple of it."""

_PLACE = {"ak": SIMULATED_AK, "sk": SIMULATED_SK, "region": SIMULATED_REGION, "projectId": SIMULATED_PROJECT}
_ALONE = Members({}, {})
"""Of a server that is looked at by itself."""
_REHEARSED = ("dryRun", "logLevel")
"""The settings of the file that a rehearsal heeds; the others say where the real cloud is."""


class Script(NamedTuple):
    """What is rehearsed: a run every ``every`` from ``start`` (included) to ``end`` (not)."""

    start: datetime
    end: datetime
    every: timedelta = timedelta(minutes=5)
    nodes: int = 3
    seed: str = "simulated"
    faults: float = 0.0
    """The share of calls that go wrong."""

    @property
    def runs(self) -> int:
        """How many runs that is."""
        return -((self.start - self.end) // self.every)

    @property
    def last_run(self) -> datetime:
        """When the last of them begins."""
        return self.start + (self.runs - 1) * self.every


class Scene(NamedTuple):
    """A cloud with each enabled cluster, by its name: its nodes' servers, those that it excludes, its control plane."""

    cloud: SimulatedCloud
    nodes: Mapping[str, Sequence[SimulatedServer]]
    excluded: Mapping[str, Sequence[SimulatedServer]]
    control_planes: Mapping[str, SimulatedCluster]


class Progress(NamedTuple):
    """How far a rehearsal has come: after ``done`` runs it is ``at``. ``log`` are the lines of the last of them."""

    done: int
    at: datetime
    log: Tuple[str, ...]


class ClusterResult(NamedTuple):
    """What a rehearsal did to one cluster.

    ``shares`` are the fractions of its nodes that ran, for each `SLOT` from the script's start; excluded servers
    are not in them. ``on_s`` and ``always_on_s`` are server-seconds, of excluded servers too. ``awake`` are the
    fractions that its control plane was awake, None where it is not the schedule's matter. ``astray`` names the servers
    that are not as they should be at the end, and how they are.
    """

    cluster: Cluster
    nodes: int
    excluded: Tuple[str, ...]
    starts: int
    stops: int
    on_s: float
    always_on_s: float
    shares: Tuple[float, ...]
    awake: Optional[Tuple[float, ...]]
    astray: Tuple[str, ...]

    @property
    def saved_s(self) -> float:
        """The server-seconds that were not paid for."""
        return self.always_on_s - self.on_s


class Result(NamedTuple):
    """What a rehearsal came to, for the clusters that were asked for.

    ``holds`` counts servers over all runs, by reason; ``failures`` runs, by message, and ``faults`` calls, by kind:
    both of all clusters, as a run is. After a dry run, which the file's settings ask for, nothing was changed.
    """

    script: Script
    runs: int
    listings: int
    start_calls: int
    stop_calls: int
    control_plane_calls: int
    holds: Mapping[str, int]
    failures: Mapping[str, int]
    faults: Mapping[str, int]
    clusters: Tuple[ClusterResult, ...]
    is_dry_run: bool


def build_scene(schedules: Schedules, now: datetime, *, nodes: int = 3, seed: str = "simulated") -> Scene:
    """Build a cloud with every enabled cluster: its nodes, running, and one more for each way that it excludes some.

    Places that the file leaves open are `SIMULATED_REGION` and `SIMULATED_PROJECT`.
    """
    cloud = SimulatedCloud(now, seed=seed)
    found: Dict[str, List[SimulatedServer]] = {}
    excluded: Dict[str, List[SimulatedServer]] = {}
    control_planes: Dict[str, SimulatedCluster] = {}
    for cluster in place_clusters(schedules, SIMULATED_REGION, SIMULATED_PROJECT).clusters:
        if not cluster.enabled:
            continue
        control_plane = cloud.clusters.add(
            cluster.name, project_id=cluster.project_id or SIMULATED_PROJECT, cluster_id=cluster.cluster_id
        )
        add = partial(cloud.clusters.add_node, control_plane, is_tagged=cluster.membership is Membership.TAGS)
        pool = cloud.clusters.add_pool(control_plane, "simulated")
        nodes_of = [add(f"{cluster.name}-node-{number}", pool=pool) for number in range(1, nodes + 1)]
        spared = [add(name, tags=tags, pool=pool) for name, tags in _excluded_servers(cluster)]
        pools = [cloud.clusters.add_pool(control_plane, name) for name in cluster.exclude.node_pools]
        spared += [add(f"{cluster.name}-{_slug(spared_pool.name)}-1", pool=spared_pool) for spared_pool in pools]
        control_planes[cluster.name] = control_plane
        found[cluster.name] = [cloud.server(node.server_id or "") for node in nodes_of]
        excluded[cluster.name] = [cloud.server(node.server_id or "") for node in spared]
    return Scene(cloud, found, excluded, control_planes)


def turn_off(scene: Scene) -> None:
    """Turn the first node of every cluster off, so that a plan has something to start or to stop at any time."""
    for servers in scene.nodes.values():
        for server in servers[:1]:
            scene.cloud.set_status(server, SHUTOFF)


def rehearse(
    schedules: Schedules,
    file: Path,
    script: Script,
    on_progress: Callable[[Progress], object] = lambda _: None,
    *,
    only: Optional[Collection[str]] = None,
) -> Result:
    """Run the function over a scene of ``schedules``, which ``file`` holds; ``on_progress`` hears of every run.

    It has the timeout of the file's section ``function``, and of its settings those that are not about places.
    ``only`` names the clusters that are counted; all of them are run.
    """
    scene = build_scene(schedules, script.start, nodes=script.nodes, seed=script.seed)
    cloud = scene.cloud
    cloud.faults = chaos = random_faults(script.seed, script.faults)
    counted = [c for c in schedules.clusters if c.enabled and (only is None or c.name in only)]
    holds: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    function = schedules.function
    settings = {key: value for key, value in function.settings.items() if key in _REHEARSED}
    with serve(cloud) as endpoint:
        here = {"endpoint": endpoint, "cceEndpoint": endpoint, "schedulesPath": str(file.resolve())}
        context = _Context({**settings, **_PLACE, **here})
        for done, at in enumerate(_instants(script), 1):
            cloud.advance_to(max(at, cloud.now))  # a run with slow answers may have lasted longer than its period
            result = _run(context, cloud, function.timeout_s)
            holds.update(_held(result, {c.name for c in counted}))
            if result["status"] == "error":
                failures[result["message"]] += 1
            on_progress(Progress(done, at, context.take_log()))
        cloud.faults = None
        cloud.advance_to(max(script.end, cloud.now))
    ledger = cloud.ledger
    asked = _concerning(ledger, scene, counted)
    return Result(
        script=script,
        runs=script.runs,
        listings=sum(record.method == "GET" for record in asked),
        start_calls=sum(record.power is Power.START for record in asked),
        stop_calls=sum(record.power not in (None, Power.START) for record in asked),
        control_plane_calls=sum("/operation/" in record.path for record in asked),
        holds=dict(holds.most_common()),
        failures=dict(failures.most_common()),
        faults={kind.value: number for kind, number in chaos.counts.most_common()},
        clusters=tuple(_result(c, scene, script, ledger) for c in counted),
        is_dry_run=settings.get("dryRun") == "true",
    )


class _Context:
    """What the platform hands to the function."""

    def __init__(self, user_data: Mapping[str, str]) -> None:
        self._user_data = user_data
        self._lines: List[str] = []
        self._logger = logging.Logger("rehearsal")  # not in logging's tree: nothing is written anywhere
        self._logger.addHandler(_Collector(self._lines))

    def take_log(self) -> Tuple[str, ...]:
        """Return what was logged since the last time."""
        taken = tuple(self._lines)
        self._lines.clear()
        return taken

    def getUserData(self, key: str) -> Optional[str]:  # noqa: N802 - the platform's name
        return self._user_data.get(key)

    def getLogger(self) -> logging.Logger:  # noqa: N802 - the platform's name
        return self._logger


class _Collector(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, lines: List[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


def _instants(script: Script) -> Iterator[datetime]:
    return (script.start + number * script.every for number in range(script.runs))


def _run(context: _Context, cloud: SimulatedCloud, timeout_s: int) -> Mapping[str, Any]:
    """Run the function as its timer does, but as by hand: what a timer's run raises says nothing of its holds.

    Its time is the real one and what passes in the cloud besides: slow answers, and its own waiting.
    """
    begun = cloud.now

    def monotonic() -> float:
        return time.monotonic() + (cloud.now - begun).total_seconds()

    def sleep(seconds: float) -> None:
        with cloud.lock:
            cloud.advance_to(cloud.now + timedelta(seconds=seconds))

    return handle(
        {"action": "converge"},
        context,
        now=begun,
        environ={"RUNTIME_TIMEOUT": str(timeout_s)},
        monotonic=monotonic,
        sleep=sleep,
        chance=lambda: 0.5,  # a rehearsal is the same every time
    )


def _held(result: Mapping[str, Any], names: Collection[str]) -> Counter[str]:
    """Count the holds of one run by reason; of many the function itself gives only counts."""
    counts: Counter[str] = Counter()
    for cluster in result["data"].get("clusters", ()):
        held = cluster["held"] if cluster["name"] in names else []
        counts.update(held if isinstance(held, dict) else [hold["reason"] for hold in held])
    return counts


def _concerning(ledger: Sequence[Record], scene: Scene, clusters: Sequence[Cluster]) -> Sequence[Record]:
    """Return the calls that were made for some clusters: that named a server of theirs, or listed their project."""
    names = [cluster.name for cluster in clusters]
    ids = {server.server_id for name in names for server in (*scene.nodes[name], *scene.excluded[name])}
    projects = {scene.control_planes[name].project_id for name in names}
    return [
        record
        for record in ledger
        if not ids.isdisjoint(record.server_ids)
        or (record.power is None and any(f"/{project_id}/" in record.path for project_id in projects))
    ]


def _result(cluster: Cluster, scene: Scene, script: Script, ledger: Sequence[Record]) -> ClusterResult:
    nodes, excluded = scene.nodes[cluster.name], scene.excluded[cluster.name]
    servers = [*nodes, *excluded]
    ids = {server.server_id for server in servers}
    done = Counter(
        record.power is Power.START
        for record in ledger
        if record.carried_out and record.power is not None
        for server_id in record.server_ids
        if server_id in ids
    )
    control_plane = scene.control_planes[cluster.name]
    phases = [(change.at, change.phase != HIBERNATION) for change in control_plane.history]
    return ClusterResult(
        cluster=cluster,
        nodes=len(nodes),
        excluded=tuple(server.name for server in excluded),
        starts=done[True],
        stops=done[False],
        on_s=sum(scene.cloud.running_seconds(server, script.start, script.end) for server in servers),
        always_on_s=len(servers) * (script.end - script.start).total_seconds(),
        shares=_shares([[(c.at, c.is_running) for c in scene.cloud.history(node)] for node in nodes], script),
        awake=_shares([phases], script) if cluster.control_plane is ControlPlane.HIBERNATE else None,
        astray=tuple(_astray(cluster, nodes, excluded, script, control_plane.phase)),
    )


def _shares(histories: Sequence[Sequence[Tuple[datetime, bool]]], script: Script) -> Tuple[float, ...]:
    """Return for each slot the fraction of the time that things were on, of which each change is known."""
    slots = -((script.start - script.end) // SLOT)
    running = [timedelta()] * slots
    for changes in histories:
        ends = [at for at, _ in changes[1:]] + [script.end]
        for (since, is_on), end in zip(changes, ends):
            if is_on:
                fill_slots(running, SLOT, script.start, since, min(end, script.end))
    whole = [min(SLOT, script.end - script.start - n * SLOT) * max(len(histories), 1) for n in range(slots)]
    return tuple(part / full for part, full in zip(running, whole))


def _astray(
    cluster: Cluster,
    nodes: Sequence[SimulatedServer],
    excluded: Sequence[SimulatedServer],
    script: Script,
    phase: str,
) -> Iterator[str]:
    """Yield each server that is not as the last run should have left it, and how it is; a sleeping control plane too.

    One that is awake may be kept up for a reason.
    """
    desired = desired_state(cluster, script.last_run)
    state = desired.state
    wanted = {State.RUNNING: ACTIVE, State.STOPPED: SHUTOFF}.get(state)
    managed = [node for node in nodes if not _is_excluded(cluster, desired, node)]
    for server, status in [*((node, wanted) for node in managed), *((server, ACTIVE) for server in excluded)]:
        is_right = server.status == status and server.task_state is None
        if status is not None and not is_right and server.status != DELETED:
            yield f"{server.name} ({server.status}{f', {server.task_state}' if server.task_state else ''})"
    if state is State.RUNNING and phase != AVAILABLE:
        yield f"the control plane of {cluster.name} ({phase})"


def _is_excluded(cluster: Cluster, desired: Desired, node: SimulatedServer) -> bool:
    """Whether a node is left as it is by name, id or tag: the pool of all nodes is none that a file excludes."""
    server = Server(ServerId(node.server_id), node.name, node.status, tags=tuple(node.tags))
    decision = decide(cluster._replace(exclude=cluster.exclude._replace(node_pools=())), desired, server, _ALONE)
    return isinstance(decision, Hold) and decision.kind is HoldKind.EXCLUDED


def _excluded_servers(cluster: Cluster) -> Iterator[Tuple[str, Tuple[str, ...]]]:
    """Yield name and tags of one server that a cluster's exclusions match, if it has any."""
    for pattern in cluster.exclude.servers:
        name = _name_for(pattern)
        if fnmatchcase(name, pattern):
            yield name, ()
            return
    for tag in cluster.exclude.tags[:1]:
        yield f"{cluster.name}-{_slug(tag)}", (tag,)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _name_for(pattern: str) -> str:
    """Return a name that a glob matches, in all but strange cases."""
    return re.sub(r"\[(?!!)(.)[^]]*\]|[*?]", lambda found: found[1] or "1", pattern)
