"""What the program needs of a cloud: one project in one region, as a protocol.

``huawei.py`` keeps it with the real SDK, of which nothing else of a run knows. Servers are of ECS, clusters, nodes and
pools of CCE; the first call of CCE costs its import.
"""

from typing import Callable, Container, Optional, Protocol, Sequence

from scheduler.model import CceCluster, ClusterId, JobId, Node, NodePool, Server, ServerId, StopType

PAGE_SIZE = 1000
"""The largest page of a listing that the ECS API grants."""
BATCH_SIZE = 1000
"""The most servers that one batch start or stop may name."""
IDS_SIZE = 100
"""The most ids that one listing by ids should name."""


class Cloud(Protocol):
    """One project in one region. Every method may raise a `scheduler.errors.CloudError`, and nothing else."""

    def list_page(
        self,
        *,
        tag: Optional[str] = None,
        marker: Optional[ServerId] = None,
        page: Optional[int] = None,
        keys: Optional[Container[str]] = None,
    ) -> Sequence[Server]:
        """Return up to `PAGE_SIZE` servers: the first, those after ``marker``, or page number ``page`` (from 1).

        ``tag`` (``key`` or ``key=value``) is a hint for the service; it may return servers without it. The servers
        come with their tags of ``keys`` only, None for all: CCE's own tag of a node is long, unique, and seldom read.
        """
        ...

    def start(self, server_ids: Sequence[ServerId]) -> JobId:
        """Ask for a start of 1 to `BATCH_SIZE` servers. Accepted is not started."""
        ...

    def stop(self, server_ids: Sequence[ServerId], stop_type: StopType) -> JobId:
        """Ask for a stop of 1 to `BATCH_SIZE` servers. Accepted is not stopped."""
        ...

    def list_by_ids(self, server_ids: Sequence[ServerId]) -> Sequence[Server]:
        """Return the servers of these ids, each once and in their order; one that is unknown has no status."""
        ...

    def list_clusters(self) -> Sequence[CceCluster]:
        """Return every cluster of the project, by one call."""
        ...

    def list_nodes(self, cluster_id: ClusterId) -> Sequence[Node]:
        """Return every node of a cluster, each once."""
        ...

    def list_node_pools(self, cluster_id: ClusterId) -> Sequence[NodePool]:
        """Return every node pool of a cluster but the one that stands for nodes outside of pools."""
        ...

    def hibernate(self, cluster_id: ClusterId) -> None:
        """Ask for the hibernation of a running cluster's control plane. Accepted is not asleep."""
        ...

    def awake(self, cluster_id: ClusterId) -> None:
        """Ask for the end of a hibernation. Accepted is not awake."""
        ...

    def write_cluster_tag(self, cluster_id: ClusterId, key: str, value: str) -> None:
        """Add a tag to a cluster, or give the one of this key another value."""
        ...

    def remove_cluster_tag(self, cluster_id: ClusterId, key: str) -> None:
        """Remove a tag of a cluster; one that it does not have is removed already."""
        ...

    def close(self) -> None:
        """Close the connections. Further calls may fail."""
        ...


Connect = Callable[[str, str], Cloud]
"""Opens a `Cloud` for (region, project id); the credentials are the maker's matter."""
