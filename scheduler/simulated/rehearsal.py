"""A rehearsal: the real function, run by run, over a simulated cloud for some days at accelerated time.

Builds a scene from a schedules file, fires the timer as the platform would, and counts what came of it. Nothing
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
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from scheduler.errors import SchedulerError
from scheduler.handler import handle
from scheduler.model import Cluster, Power, Schedules
from scheduler.reconcile import place_clusters
from scheduler.simulated import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK, SimulatedCloud, SimulatedServer, serve
from scheduler.simulated.calls import Record
from scheduler.simulated.servers import SHUTOFF

SIMULATED_REGION = "simulated"
"""The region of a cluster for which the file names none."""
SLOT = timedelta(minutes=15)
"""The grain of `ClusterResult.shares`: every zone's hours begin at a multiple of it."""

_SETTINGS = {"ak": SIMULATED_AK, "sk": SIMULATED_SK, "region": SIMULATED_REGION, "projectId": SIMULATED_PROJECT}


class Script(NamedTuple):
    """What is rehearsed: a run every ``every`` from ``start`` (included) to ``end`` (not)."""

    start: datetime
    end: datetime
    every: timedelta = timedelta(minutes=5)
    nodes: int = 3
    seed: str = "simulated"

    @property
    def runs(self) -> int:
        """How many runs that is."""
        return -((self.start - self.end) // self.every)


class Scene(NamedTuple):
    """A cloud with the servers of each enabled cluster, by its name: nodes, and one that the cluster excludes."""

    cloud: SimulatedCloud
    nodes: Mapping[str, Sequence[SimulatedServer]]
    excluded: Mapping[str, Sequence[SimulatedServer]]


class Progress(NamedTuple):
    """How far a rehearsal has come: after ``done`` runs it is ``at``."""

    done: int
    at: datetime


class ClusterResult(NamedTuple):
    """What a rehearsal did to one cluster.

    ``shares`` are the fractions of its nodes that ran, for each `SLOT` from the script's start; excluded servers
    are not in them. ``on_s`` and ``always_on_s`` are server-seconds, of excluded servers too.
    """

    cluster: Cluster
    nodes: int
    excluded: Tuple[str, ...]
    starts: int
    stops: int
    on_s: float
    always_on_s: float
    shares: Tuple[float, ...]

    @property
    def saved_s(self) -> float:
        """The server-seconds that were not paid for."""
        return self.always_on_s - self.on_s


class Result(NamedTuple):
    """What a rehearsal came to. ``holds`` counts servers over all runs, by reason; ``failures`` runs, by message."""

    script: Script
    runs: int
    listings: int
    start_calls: int
    stop_calls: int
    holds: Mapping[str, int]
    failures: Mapping[str, int]
    clusters: Tuple[ClusterResult, ...]


def build_scene(schedules: Schedules, now: datetime, *, nodes: int = 3, seed: str = "simulated") -> Scene:
    """Build a cloud with running nodes for every enabled cluster and, if it excludes servers, one of those.

    Places that the file leaves open are `SIMULATED_REGION` and `SIMULATED_PROJECT`.
    """
    cloud = SimulatedCloud(now, seed=seed)
    found: Dict[str, List[SimulatedServer]] = {}
    excluded: Dict[str, List[SimulatedServer]] = {}
    for cluster in place_clusters(schedules, SIMULATED_REGION, SIMULATED_PROJECT).clusters:
        if not cluster.enabled:
            continue
        add = partial(cloud.add_server, project_id=cluster.project_id or "", cluster_id=cluster.cluster_id)
        found[cluster.name] = [add(f"{cluster.name}-node-{number}") for number in range(1, nodes + 1)]
        excluded[cluster.name] = [add(name, tags=tags) for name, tags in _excluded_servers(cluster)]
    return Scene(cloud, found, excluded)


def turn_off(scene: Scene) -> None:
    """Turn the first node of every cluster off, so that a plan has something to start or to stop at any time."""
    for servers in scene.nodes.values():
        for server in servers[:1]:
            scene.cloud.set_status(server, SHUTOFF)


def rehearse(
    schedules: Schedules, file: Path, script: Script, on_progress: Callable[[Progress], object] = lambda _: None
) -> Result:
    """Run the function over a scene of ``schedules``, which ``file`` holds; ``on_progress`` hears of every run."""
    scene = build_scene(schedules, script.start, nodes=script.nodes, seed=script.seed)
    cloud = scene.cloud
    holds: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    with serve(cloud) as endpoint:
        context = _Context(
            {**_SETTINGS, "endpoint": endpoint, "cceEndpoint": endpoint, "schedulesPath": str(file.resolve())}
        )
        for done, at in enumerate(_instants(script), 1):
            cloud.advance_to(at)
            try:
                holds.update(_held(_fire(context, at)))
            except SchedulerError as e:
                failures[str(e)] += 1
            on_progress(Progress(done, at))
        cloud.advance_to(script.end)
    ledger = cloud.ledger
    return Result(
        script=script,
        runs=script.runs,
        listings=sum(record.method == "GET" for record in ledger),
        start_calls=sum(record.power is Power.START for record in ledger),
        stop_calls=sum(record.power not in (None, Power.START) for record in ledger),
        holds=dict(holds.most_common()),
        failures=dict(failures.most_common()),
        clusters=tuple(_result(c, scene, script, ledger) for c in schedules.clusters if c.enabled),
    )


class _Context:
    """What the platform hands to the function."""

    def __init__(self, user_data: Mapping[str, str]) -> None:
        self._user_data = user_data
        self._logger = logging.Logger("rehearsal")  # not in logging's tree: nothing is written anywhere
        self._logger.addHandler(logging.NullHandler())

    def getUserData(self, key: str) -> Optional[str]:  # noqa: N802 - the platform's name
        return self._user_data.get(key)

    def getLogger(self) -> logging.Logger:  # noqa: N802 - the platform's name
        return self._logger


def _instants(script: Script) -> Iterator[datetime]:
    return (script.start + number * script.every for number in range(script.runs))


def _fire(context: _Context, at: datetime) -> Mapping[str, Any]:
    """Run the function as its timer does."""
    event = {
        "version": "v1.0",
        "time": at.isoformat(),
        "trigger_type": "TIMER",
        "trigger_name": "rehearsal",
        "user_event": "",
    }
    return handle(event, context, now=at, environ={}, monotonic=time.monotonic, sleep=time.sleep)


def _held(result: Mapping[str, Any]) -> Counter[str]:
    """Count the holds of one run by reason; of many the function itself gives only counts."""
    counts: Counter[str] = Counter()
    for cluster in result["data"]["clusters"]:
        held = cluster["held"]
        counts.update(held if isinstance(held, dict) else [hold["reason"] for hold in held])
    return counts


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
    return ClusterResult(
        cluster=cluster,
        nodes=len(nodes),
        excluded=tuple(server.name for server in excluded),
        starts=done[True],
        stops=done[False],
        on_s=sum(scene.cloud.running_seconds(server, script.start, script.end) for server in servers),
        always_on_s=len(servers) * (script.end - script.start).total_seconds(),
        shares=_shares(scene.cloud, nodes, script),
    )


def _shares(cloud: SimulatedCloud, nodes: Sequence[SimulatedServer], script: Script) -> Tuple[float, ...]:
    """Return for each slot the fraction of the nodes' time that they ran."""
    slots = -((script.start - script.end) // SLOT)
    running = [timedelta()] * slots
    for node in nodes:
        changes = cloud.history(node)
        ends = [change.at for change in changes[1:]] + [script.end]
        for change, end in zip(changes, ends):
            at = max(change.at, script.start)
            while change.is_running and at < end:
                number = (at - script.start) // SLOT
                until = min(end, script.start + (number + 1) * SLOT)
                running[number] += until - at
                at = until
    whole = [min(SLOT, script.end - script.start - n * SLOT) * max(len(nodes), 1) for n in range(slots)]
    return tuple(part / full for part, full in zip(running, whole))


def _excluded_servers(cluster: Cluster) -> Iterator[Tuple[str, Tuple[str, ...]]]:
    """Yield name and tags of one server that a cluster's exclusions match, if it has any."""
    for pattern in cluster.exclude.servers:
        name = _name_for(pattern)
        if fnmatchcase(name, pattern):
            yield name, ()
            return
    for tag in cluster.exclude.tags[:1]:
        yield f"{cluster.name}-{re.sub(r'[^a-z0-9]+', '-', tag.lower()).strip('-')}", (tag,)


def _name_for(pattern: str) -> str:
    """Return a name that a glob matches, in all but strange cases."""
    return re.sub(r"\[(?!!)(.)[^]]*\]|[*?]", lambda found: found[1] or "1", pattern)
