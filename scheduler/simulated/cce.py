"""The CCE calls: what their parameters mean, and how their answers and refusals look.

Each function takes the cloud and one call and returns an answer or raises `ApiError`.
https://support.huaweicloud.com/intl/en-us/api-cce/cce_02_0344.html lists the API.
"""

import json
import re
from typing import Dict, List, Mapping, Optional, Sequence

from scheduler.simulated.calls import Answer, Call, cce_error
from scheduler.simulated.cloud import SimulatedCloud
from scheduler.simulated.clusters import ASLEEP, SimulatedCluster, SimulatedNode, SimulatedPool
from scheduler.simulated.servers import api_time

MOST_TAGS = 20
_EMPTY = Answer(200, "")


def list_clusters(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET /api/v3/projects/{project_id}/clusters``: all of them."""
    _authorize(cloud, call, "cce:cluster:list")
    return _listing("Cluster", [_cluster_entry(c) for c in cloud.clusters.of(call.arguments["project_id"])])


def show_cluster(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET …/clusters/{cluster_id}``."""
    return Answer(200, json.dumps(_cluster_entry(_find(cloud, call, "cce:cluster:get"))))


def list_nodes(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET …/clusters/{cluster_id}/nodes``: a page, or all nodes where the region has no pages."""
    cluster = _find_awake(cloud, call, "cce:node:list")
    if not cloud.clusters.pages_nodes:
        return _listing("List", [_node_entry(node) for node in cluster.nodes])
    limit, start = _limit(call.query, cloud.clusters.page_size), 0
    marker = call.query.get("marker")
    if marker:
        start = next((number for number, node in enumerate(cluster.nodes, 1) if node.node_id == marker), -1)
        if start < 0:
            raise cce_error(400, "CCE.01400001", "Invalid request.", f"marker {marker} is not a node")
    page = cluster.nodes[start : start + limit]
    info: Dict[str, object] = {"currentCount": len(page)}
    if start + limit < len(cluster.nodes):
        info["nextMarker"] = page[-1].node_id
    return _listing("List", [_node_entry(node) for node in page], pageInfo=info)


def list_node_pools(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET …/clusters/{cluster_id}/nodepools``."""
    cluster = _find_awake(cloud, call, "cce:nodepool:list")
    return _listing("List", [_pool_entry(pool, cluster.nodes) for pool in cluster.pools])


def hibernate(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``POST …/clusters/{cluster_id}/operation/hibernate``: it has no body, and neither has the answer."""
    cloud.clusters.hibernate(_find(cloud, call, "cce:cluster:stop"))
    return _EMPTY


def awake(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``POST …/clusters/{cluster_id}/operation/awake``: it has no body, and neither has the answer."""
    cloud.clusters.awake(_find(cloud, call, "cce:cluster:start"))
    return _EMPTY


def create_tags(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``POST …/clusters/{cluster_id}/tags/create``: add tags, or give them other values."""
    cluster = _find(cloud, call, "cce:tag:operate")
    written = {str(tag["key"]): str(tag.get("value") or "") for tag in _tags_of(call)}
    if len({**cluster.tags, **written}) > MOST_TAGS:
        raise cce_error(400, "CCE.01400001", "Invalid request.", f"a cluster has at most {MOST_TAGS} tags")
    cluster.tags.update(written)
    return _EMPTY


def delete_tags(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``POST …/clusters/{cluster_id}/tags/delete``: a key that is not there counts as deleted."""
    cluster = _find(cloud, call, "cce:tag:operate")
    for tag in _tags_of(call):
        cluster.tags.pop(str(tag["key"]), None)
    return _EMPTY


def _find(cloud: SimulatedCloud, call: Call, right: str) -> SimulatedCluster:
    _authorize(cloud, call, right)
    return cloud.clusters.find(call.arguments["project_id"], call.arguments["cluster_id"])


def _find_awake(cloud: SimulatedCloud, call: Call, right: str) -> SimulatedCluster:
    """Return a cluster that answers for its nodes: whether a hibernated one does is not documented."""
    cluster = _find(cloud, call, right)
    if cluster.phase in ASLEEP and not cloud.clusters.answers_asleep:
        raise cce_error(403, "CCE.01403003", "Operation not allowed in this state.", f"cluster is {cluster.phase}")
    return cluster


def _authorize(cloud: SimulatedCloud, call: Call, right: str) -> None:
    if not cloud.is_allowed(call.access_key, call.arguments["project_id"], right):
        raise cce_error(403, "CCE.01403001", "Forbidden.", f"Policy doesn't allow {right} to be performed.")


def _tags_of(call: Call) -> Sequence[Mapping[str, object]]:
    body = call.body if isinstance(call.body, dict) else {}
    tags = body.get("tags")
    if not isinstance(tags, list) or not tags or not all(isinstance(tag, dict) and tag.get("key") for tag in tags):
        raise cce_error(400, "CCE.01400001", "Invalid request.", "tags is empty or malformed")
    return tags


def _limit(query: Mapping[str, str], most: int) -> int:
    text = query.get("limit")
    if not text:
        return most
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise cce_error(400, "CCE.01400001", "Invalid request.", f"limit {text} is out of range")
    return int(text)


def _listing(kind: str, items: List[Dict[str, object]], **more: object) -> Answer:
    return Answer(200, json.dumps({"kind": kind, "apiVersion": "v3", "items": items, **more}))


def _cluster_entry(cluster: SimulatedCluster) -> Dict[str, object]:
    spec: Dict[str, object] = {
        "category": "CCE",
        "type": "VirtualMachine",
        "flavor": "cce.s1.small",
        "version": "v1.31",
        "billingMode": 1 if cluster.is_prepaid else 0,
        "hostNetwork": {"vpc": cluster.cluster_id, "subnet": cluster.cluster_id},
        "containerNetwork": {"mode": "vpc-router", "cidr": "172.16.0.0/16"},
    }
    if cluster.tags:
        spec["clusterTags"] = [{"key": key, "value": value} for key, value in cluster.tags.items()]
    return {
        "kind": "Cluster",
        "apiVersion": "v3",
        "metadata": _metadata(cluster.name, cluster.cluster_id, api_time(cluster.created)),
        "spec": spec,
        "status": {"phase": cluster.phase, "endpoints": [{"url": "https://192.168.0.1:5443", "type": "Internal"}]},
    }


def _node_entry(node: SimulatedNode) -> Dict[str, object]:
    pool = node.pool.pool_id if node.pool is not None else "simulated-1a#s6.large.2#EulerOS 2.9"
    status: Dict[str, object] = {"phase": node.phase, "privateIP": "192.168.0.10"}
    if node.server_id is not None:
        status["serverId"] = node.server_id
    metadata = {**_metadata(node.name, node.node_id), "annotations": {"kubernetes.io/node-pool.id": pool}}
    spec = {"flavor": "s6.large.2", "az": "simulated-1a", "billingMode": 0}
    return {"kind": "Node", "apiVersion": "v3", "metadata": metadata, "spec": spec, "status": status}


def _pool_entry(pool: SimulatedPool, nodes: Sequence[SimulatedNode]) -> Dict[str, object]:
    count = sum(node.pool is pool for node in nodes)
    scaling = {"enable": pool.is_autoscaled, "minNodeCount": 0, "maxNodeCount": 50 if pool.is_autoscaled else 0}
    return {
        "kind": "NodePool",
        "apiVersion": "v3",
        "metadata": _metadata(pool.name, pool.pool_id),
        "spec": {"initialNodeCount": count, "type": "vm", "autoscaling": scaling},
        "status": {"currentNode": count, "phase": ""},
    }


def _metadata(name: str, uid: str, created: Optional[str] = None) -> Dict[str, object]:
    metadata: Dict[str, object] = {"name": name, "uid": uid}
    if created is not None:
        metadata["creationTimestamp"] = created
    return metadata
