"""What is seen of one region and project, with as few calls as its clusters need, and what they are planned from.

Called are, in this order: CCE's clusters, once, where one of them hibernates or overrides are read from tags; CCE's
nodes of the clusters whose members or pools they tell, and of those that may claim a server by them; the ECS servers.
Servers of node lists are asked for by id as long as that is one call (`IDS_SIZE`); beyond, one listing of everything
takes fewer. A cluster without any member by tag is looked for in its node list.
"""

from typing import Callable, Collection, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence

from scheduler.cloud import IDS_SIZE, Cloud
from scheduler.cloud.listing import list_servers
from scheduler.errors import CloudError, PermanentCloudError
from scheduler.model import (
    BARE_METAL_TAG,
    CLUSTER_TAG,
    EVERY_CLUSTER,
    OFF_TAG,
    CceCluster,
    Cluster,
    Membership,
    Server,
    ServerId,
)
from scheduler.plan import Members, NodeList, find_members

ListAgain = Callable[[], Sequence[Server]]


class Seen(NamedTuple):
    """The members of the clusters of one place, and for which of them CCE's list could not be read, by cluster id.

    ``by_nodes`` are the ids of those whose members only CCE's list shows. ``list_again`` makes the same listing anew.
    """

    members: Members
    failed: Mapping[str, CloudError]
    by_nodes: Sequence[str]
    list_again: ListAgain


def find_clusters(cloud: Cloud) -> Dict[str, CceCluster]:
    """Return the CCE clusters of a place by id, in one call. Raises `CloudError`."""
    return {c.cluster_id.lower(): c for c in cloud.list_clusters()}


def observe(
    cloud: Cloud, clusters: Sequence[Cluster], managed: Sequence[Cluster], asleep: Collection[str] = ()
) -> Seen:
    """Return what is seen of the clusters of one place; ``managed`` are those that something is asked of.

    Those whose ids are in ``asleep`` are not looked for in CCE's lists of nodes if no tag names a member. Raises
    `CloudError` where servers cannot be listed; CCE's failures stay with their cluster.
    """
    failed: Dict[str, CloudError] = {}
    lists: Dict[str, NodeList] = {}

    def read(cluster: Cluster) -> None:
        try:
            lists[cluster.cluster_id] = read_nodes(cloud, cluster)
        except CloudError as e:
            failed[cluster.cluster_id] = e

    ids = {cluster.cluster_id for cluster in managed}
    for cluster in clusters:  # what another one claims is not touched, be that managed at the moment or not
        if reads_nodes(cluster) if cluster.enabled and cluster.cluster_id in ids else cluster.claims_by_nodes:
            read(cluster)

    keys = tag_keys(clusters)

    def list_all() -> Sequence[Server]:
        return list_servers(cloud, keys=keys)

    list_again = _choose_listing(cloud, managed, lists, keys) or list_all
    servers = list_again()
    members = find_members(clusters, servers, lists)
    empty = [c for c in _without_members(managed, members) if c.membership is Membership.TAGS]
    if not empty:
        return Seen(members, failed, (), list_again)

    # Not every region finds a valued tag by its key, and not every node carries one.
    servers = servers if list_again is list_all else list_all()
    for cluster in _without_members(empty, find_members(clusters, servers, lists)):
        if cluster.cluster_id not in {EVERY_CLUSTER, *asleep, *lists, *failed}:
            read(cluster)
    tagged = find_members(clusters, servers, lists)
    untagged = [c.cluster_id for c in _without_members(empty, tagged)]
    by_nodes = [cluster_id for cluster_id in untagged if cluster_id in lists and lists[cluster_id].nodes]
    return Seen(find_members(clusters, servers, lists, by_nodes=by_nodes), failed, by_nodes, list_all)


def reads_nodes(cluster: Cluster) -> bool:
    """Whether a cluster's members or exclusions are told by CCE's list of its nodes alone."""
    return cluster.membership is Membership.NODES or bool(cluster.exclude.node_pools)


def read_nodes(cloud: Cloud, cluster: Cluster) -> NodeList:
    """Return CCE's list of a cluster's nodes, with its pools where the cluster excludes some. Raises `CloudError`."""
    nodes = cloud.list_nodes(cluster.cluster_id)
    return NodeList(nodes, cloud.list_node_pools(cluster.cluster_id) if cluster.exclude.node_pools else None)


def missing(cluster: Cluster) -> PermanentCloudError:
    """Return the failure of a cluster that CCE does not know."""
    return PermanentCloudError(
        f"CCE knows no cluster {cluster.cluster_id} in this region and project: "
        "correct cluster_id, region or project_id"
    )


def tag_keys(clusters: Iterable[Cluster]) -> FrozenSet[str]:
    """Return the keys of the tags that say whose a server is, whether it is excluded, and whether a stop saves."""
    excluded = {tag.partition("=")[0] for cluster in clusters for tag in cluster.exclude.tags}
    return frozenset({CLUSTER_TAG, OFF_TAG, BARE_METAL_TAG, *excluded})


def _choose_listing(
    cloud: Cloud, managed: Sequence[Cluster], lists: Mapping[str, NodeList], keys: FrozenSet[str]
) -> Optional[ListAgain]:
    """Return the listing that shows every member with the fewest calls; None if that is the one of everything.

    One cluster is listed by its tag, several by the tag's key; untagged nodes by their ids, or with everything.
    """
    tagged = [c for c in managed if c.membership is Membership.TAGS]
    by_node = [c.cluster_id for c in managed if c.membership is Membership.NODES]
    if not by_node:
        only = managed[0].cluster_id if len(managed) == 1 else EVERY_CLUSTER
        tag = CLUSTER_TAG if only == EVERY_CLUSTER else f"{CLUSTER_TAG}={only}"
        return lambda: list_servers(cloud, tag, keys)
    named = [n.server_id for cluster_id in by_node if cluster_id in lists for n in lists[cluster_id].nodes]
    ids: List[ServerId] = list(dict.fromkeys(server_id for server_id in named if server_id is not None))
    if tagged or len(ids) > IDS_SIZE:
        return None
    return lambda: cloud.list_by_ids(ids) if ids else ()


def _without_members(clusters: Sequence[Cluster], members: Members) -> List[Cluster]:
    return [c for c in clusters if not members.servers[c.cluster_id]]
