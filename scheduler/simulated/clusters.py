"""The state of the simulated CCE: clusters, their node pools and nodes, and what becomes of a control plane.

===========  ============  =======================  ===============================  ==================================
asked        from          at once                  after lag_s                      after hibernate_s / awake_s more
===========  ============  =======================  ===============================  ==================================
hibernate    Available     nothing that is shown    Hibernating                      Hibernation, or ``fails_into``
awake        Hibernation   nothing that is shown    Awaking                          Available, or ``fails_into``
===========  ============  =======================  ===============================  ==================================

The servers of nodes are not touched by either. The autoscaler of a pool deletes a node, server and all, whose server
was SHUTOFF for 20 minutes under an awake control plane, unless it is protected. How the calls look on the wire is
left to ``cce.py``.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from scheduler.model import CLUSTER_TAG
from scheduler.simulated.calls import cce_error
from scheduler.simulated.servers import SHUTOFF, SimulatedServer

if TYPE_CHECKING:
    from scheduler.simulated.cloud import SimulatedCloud

AVAILABLE = "Available"
HIBERNATING = "Hibernating"
HIBERNATION = "Hibernation"
AWAKING = "Awaking"
ASLEEP = (HIBERNATING, HIBERNATION, AWAKING)
"""The phases in which a control plane does not act."""
NODE_TAG = "CCE-Dynamic-Provisioning-Node"
"""The ECS tag that names the CCE node that a server is."""
SCALED_IN_AFTER = timedelta(minutes=20)
"""How long the autoscaler lets a node be unavailable before it deletes it."""


class PhaseChange(NamedTuple):
    """What a cluster's phase became at an instant."""

    at: datetime
    phase: str


@dataclass
class SimulatedPool:
    """A node pool. Its attributes may be changed at any time."""

    pool_id: str
    name: str
    is_autoscaled: bool = False


@dataclass
class SimulatedNode:
    """A node. ``server_id`` is None while it is made; ``is_protected`` keeps the autoscaler from deleting it."""

    node_id: str
    name: str
    server_id: Optional[str]
    pool: Optional[SimulatedPool] = None
    phase: str = "Active"
    is_protected: bool = False


@dataclass
class SimulatedCluster:
    """A cluster; ``fails_into`` is the phase in which a hibernation or an awaking ends instead of its own."""

    cluster_id: str
    project_id: str
    name: str
    created: datetime
    phase: str = AVAILABLE
    is_prepaid: bool = False
    tags: Dict[str, str] = field(default_factory=dict)
    fails_into: Optional[str] = None
    pools: List[SimulatedPool] = field(default_factory=list)
    nodes: List[SimulatedNode] = field(default_factory=list)
    history: Tuple[PhaseChange, ...] = ()
    coming: List[PhaseChange] = field(default_factory=list)
    """The phases that an accepted hibernation or awaking will bring."""

    def change_phase(self, at: datetime, phase: str) -> None:
        """Put it into a phase."""
        self.phase = phase
        self.history = (*self.history, PhaseChange(at, phase))


class Clusters:
    """CCE in memory: the clusters of all projects of one region.

    The attributes may change at any time. ``pages_nodes``: listings of nodes have pages of ``page_size`` at most,
    otherwise they come whole. ``answers_asleep``: nodes and pools are listed while a cluster is hibernated.
    """

    def __init__(self, cloud: "SimulatedCloud") -> None:
        self.lag_s = 10
        self.hibernate_s = 120
        self.awake_s = 240
        self.pages_nodes = True
        self.page_size = 2000
        self.answers_asleep = True
        self._cloud = cloud
        self._clusters: Dict[str, SimulatedCluster] = {}

    # The scene

    def add(  # noqa: PLR0913 - what a scene may say of a cluster
        self,
        name: str,
        *,
        project_id: str,
        cluster_id: Optional[str] = None,
        phase: str = AVAILABLE,
        is_prepaid: bool = False,
        tags: Optional[Mapping[str, str]] = None,
        fails_into: Optional[str] = None,
    ) -> SimulatedCluster:
        """Add a cluster without nodes."""
        with self._cloud.lock:
            cluster = SimulatedCluster(
                cluster_id=cluster_id or str(self._cloud.new_id("cluster")),
                project_id=project_id,
                name=name,
                created=self._cloud.now,
                phase=phase,
                is_prepaid=is_prepaid,
                tags=dict(tags or {}),
                fails_into=fails_into,
                history=(PhaseChange(self._cloud.now, phase),),
            )
            if cluster.cluster_id in self._clusters:
                raise ValueError(f"there is a cluster {cluster.cluster_id} already")
            self._clusters[cluster.cluster_id] = cluster
            return cluster

    def add_pool(self, cluster: SimulatedCluster, name: str, *, is_autoscaled: bool = False) -> SimulatedPool:
        """Add an empty node pool to a cluster."""
        with self._cloud.lock:
            pool = SimulatedPool(str(self._cloud.new_id("pool")), name, is_autoscaled)
            cluster.pools.append(pool)
            return pool

    def add_node(  # noqa: PLR0913 - what a scene may say of a node
        self,
        cluster: SimulatedCluster,
        name: str,
        *,
        pool: Optional[SimulatedPool] = None,
        server: Optional[SimulatedServer] = None,
        has_server: bool = True,
        is_tagged: bool = True,
        is_protected: bool = False,
        tags: Sequence[str] = (),
    ) -> SimulatedNode:
        """Add a node to a cluster, with a running server of its own unless ``server`` is it or ``has_server`` is False.

        The new server carries the ECS tags of a node, unless ``is_tagged`` is False, and ``tags``.
        """
        with self._cloud.lock:
            node_id = str(self._cloud.new_id("node"))
            if server is None and has_server:
                own = (f"{CLUSTER_TAG}={cluster.cluster_id}", f"{NODE_TAG}={node_id}") if is_tagged else ()
                server = self._cloud.add_server(name, project_id=cluster.project_id, tags=(*tags, *own))
            phase = "Active" if server is not None else "Build"
            server_id = server.server_id if server is not None else None
            node = SimulatedNode(node_id, name, server_id, pool, phase, is_protected)
            cluster.nodes.append(node)
            return node

    def remove(self, cluster: SimulatedCluster) -> None:
        """Delete a cluster; the servers of its nodes stay."""
        with self._cloud.lock:
            del self._clusters[cluster.cluster_id]

    def set_phase(self, cluster: SimulatedCluster, phase: str) -> None:
        """Put a cluster into a phase at once, whatever was under way."""
        with self._cloud.lock:
            cluster.coming.clear()
            cluster.change_phase(self._cloud.now, phase)

    # What a test or a report asks, and what the API does

    def __iter__(self) -> Iterator[SimulatedCluster]:
        return iter(tuple(self._clusters.values()))

    def find(self, project_id: str, cluster_id: str) -> SimulatedCluster:
        """Return a project's cluster, or raise `ApiError`."""
        cluster = self._clusters.get(cluster_id)
        if cluster is None or cluster.project_id != project_id:
            raise cce_error(404, "CCE.01404001", "Resource not found.", f"cluster {cluster_id} is not found")
        return cluster

    def of(self, project_id: str) -> Sequence[SimulatedCluster]:
        """Return a project's clusters."""
        return [cluster for cluster in self._clusters.values() if cluster.project_id == project_id]

    def hibernate(self, cluster: SimulatedCluster) -> None:
        """Accept a hibernation, or raise `ApiError`."""
        if cluster.is_prepaid:
            raise cce_error(403, "CCE.01403004", "Operation not allowed.", "a yearly/monthly cluster cannot hibernate")
        self._begin(cluster, AVAILABLE, (HIBERNATING, HIBERNATION), self.hibernate_s)

    def awake(self, cluster: SimulatedCluster) -> None:
        """Accept the end of a hibernation, or raise `ApiError`."""
        self._begin(cluster, HIBERNATION, (AWAKING, AVAILABLE), self.awake_s)

    def _begin(self, cluster: SimulatedCluster, needed: str, phases: Tuple[str, str], seconds: int) -> None:
        if cluster.phase != needed or cluster.coming:
            message = f"cluster {cluster.cluster_id} is {cluster.phase}"
            raise cce_error(403, "CCE.01403003", "Operation not allowed in this state.", message)
        shown = self._cloud.now + timedelta(seconds=self.lag_s)
        ended = PhaseChange(shown + timedelta(seconds=seconds), cluster.fails_into or phases[1])
        cluster.coming = [PhaseChange(shown, phases[0]), ended]
        self.settle(self._cloud.now)

    # Time

    def settle(self, instant: datetime) -> None:
        """Let everything happen that is due by an instant, in order."""
        while True:
            changes = [(c.coming[0].at, c, None) for c in self._clusters.values() if c.coming]
            due = min([*changes, *self._deletions()], key=lambda found: found[0], default=None)
            if due is None or due[0] > instant:
                return
            at, cluster, node = due
            if node is None:
                cluster.change_phase(at, cluster.coming.pop(0).phase)
            else:
                self._scale_in(at, cluster, node)

    def _deletions(self) -> Iterator[Tuple[datetime, SimulatedCluster, Optional[SimulatedNode]]]:
        """Yield what the autoscalers will delete if nothing changes, and when."""
        for cluster in self._clusters.values():
            if cluster.phase != AVAILABLE or not any(pool.is_autoscaled for pool in cluster.pools):
                continue
            awake_since = cluster.history[-1].at
            for node in cluster.nodes:
                off_since = self._off_since(node)
                if off_since is not None:
                    yield max(awake_since, off_since) + SCALED_IN_AFTER, cluster, node

    def _off_since(self, node: SimulatedNode) -> Optional[datetime]:
        """Return since when a node that the autoscaler may delete is off, None for any other."""
        if node.pool is None or not node.pool.is_autoscaled or node.is_protected or node.server_id is None:
            return None
        since: Optional[datetime] = None
        for change in reversed(self._cloud.history(node.server_id)):
            if change.status != SHUTOFF:
                break
            since = change.at
        return since

    def _scale_in(self, at: datetime, cluster: SimulatedCluster, node: SimulatedNode) -> None:
        cluster.nodes.remove(node)
        if node.server_id is not None:
            self._cloud.remove(node.server_id, at=at)
