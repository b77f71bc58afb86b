"""The calls of CCE: clusters, nodes and pools of one project, through the real SDK.

Imported by the first of them: a run that follows ECS tags alone never pays for it. Least privilege is one action for
each call, named where it is made (https://support.huaweicloud.com/intl/en-us/api-cce/cce_02_0374.html).
"""

import json
from http import HTTPStatus
from typing import Any, Callable, ClassVar, Dict, List, Mapping, Optional, Sequence

from huaweicloudsdkcce.v3 import (
    AwakeClusterRequest,
    BatchCreateClusterTagsRequest,
    BatchCreateClusterTagsRequestBody,
    BatchDeleteClusterTagsRequest,
    BatchDeleteClusterTagsRequestBody,
    CceClient,
    HibernateClusterRequest,
    ListClustersRequest,
    ListNodePoolsRequest,
    ListNodesRequest,
    ResourceDeleteTag,
    ResourceTag,
)
from huaweicloudsdkcore.sdk_response import SdkResponse

from scheduler.cloud.sdk import Channel, Needs, SendsOnce
from scheduler.errors import PermanentCloudError, UnknownOutcomeError, UntrustedAnswerError
from scheduler.model import CceCluster, ClusterId, Node, NodePool, ServerId
from scheduler.settings import Credentials

_POOL_ANNOTATION = "kubernetes.io/node-pool.id"
_OUTSIDE = "#"
"""Instead of a pool's id: ``AZ#flavor#OS`` of a node outside of pools."""
_ACCEPTED = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT)


class _Answer(SdkResponse):  # type: ignore[misc]
    """An answer whose entries stay as they were sent: the SDK's models of them are some hundred modules to import.

    Besides, one field of an unexpected form in them, be it of no use to us, would spoil the whole answer.
    """

    openapi_types: ClassVar[Dict[str, str]] = {"kind": "object", "items": "object", "page_info": "object"}
    attribute_map: ClassVar[Dict[str, str]] = {"kind": "kind", "items": "items", "page_info": "pageInfo"}
    sensitive_list: ClassVar[List[str]] = []

    def __init__(self, kind: object = None, items: object = None, page_info: object = None) -> None:
        super().__init__()
        self.kind = kind
        self.items = items
        self.page_info = page_info


class _CceClient(SendsOnce, CceClient):  # type: ignore[misc]
    """The SDK's client, sending everything once and leaving answers as they are."""

    def _call_api(self, **http_info: Any) -> Any:
        return super()._call_api(**{**http_info, "response_type": _Answer})


class HuaweiCce:
    """The CCE half of `scheduler.cloud.Cloud`. May be shared by threads."""

    def __init__(
        self,
        credentials: Credentials,
        region: str,
        project_id: str,
        *,
        endpoint: Optional[str],
        remaining_s: Callable[[], float],
    ) -> None:
        """``endpoint`` replaces the region's own; ``remaining_s`` tells how much is left of the run."""
        self._channel = Channel(
            _CceClient,
            credentials,
            project_id,
            endpoint=endpoint,
            find_region=lambda: _find_region(region),
            remaining_s=remaining_s,
        )
        self._client = self._channel.client

    def list_clusters(self) -> Sequence[CceCluster]:
        """Return the project's clusters; raises `UntrustedAnswerError` where the answer lacks what it must have."""
        request, needs = ListClustersRequest(), Needs("cce:cluster:list")
        answer = self._channel.call(self._client.list_clusters, request, needs, acts=False)
        return [_cluster(item) for item in _items(answer, "cluster")]

    def list_nodes(self, cluster_id: ClusterId) -> Sequence[Node]:
        """Return a cluster's nodes, page by page where the region has pages.

        Without a limit a page is as large as it can be (2000), and regions without pages are asked as they expect.
        """
        found: Dict[str, Node] = {}
        asked: Dict[str, str] = {"cluster_id": cluster_id}
        needs = Needs("cce:node:list", _the(cluster_id))
        while True:
            answer = self._channel.call(self._client.list_nodes, ListNodesRequest(**asked), needs, acts=False)
            known = len(found)
            found.update((node.node_id, node) for node in map(_node, _items(answer, "node")))
            marker = _text(_object(answer.page_info).get("nextMarker"))
            if len(found) == known and (marker or "marker" in asked):
                raise UntrustedAnswerError("a page of the node listing brings nothing new, though it was announced")
            if not marker:
                return list(found.values())
            asked["marker"] = marker

    def list_node_pools(self, cluster_id: ClusterId) -> Sequence[NodePool]:
        """Return a cluster's node pools."""
        request, needs = ListNodePoolsRequest(cluster_id=cluster_id), Needs("cce:nodepool:list", _the(cluster_id))
        answer = self._channel.call(self._client.list_node_pools, request, needs, acts=False)
        return [_pool(item) for item in _items(answer, "node pool")]

    def hibernate(self, cluster_id: ClusterId) -> None:
        """Ask for a hibernation."""
        request, needs = HibernateClusterRequest(cluster_id=cluster_id), Needs("cce:cluster:stop", _the(cluster_id))
        _accepted(self._channel.call(self._client.hibernate_cluster, request, needs, acts=True))

    def awake(self, cluster_id: ClusterId) -> None:
        """Ask for the end of a hibernation."""
        request, needs = AwakeClusterRequest(cluster_id=cluster_id), Needs("cce:cluster:start", _the(cluster_id))
        _accepted(self._channel.call(self._client.awake_cluster, request, needs, acts=True))

    def write_cluster_tag(self, cluster_id: ClusterId, key: str, value: str) -> None:
        """Write a tag of a cluster; the API overwrites one of the same key."""
        body = BatchCreateClusterTagsRequestBody(tags=[ResourceTag(key=key, value=value)])
        request = BatchCreateClusterTagsRequest(cluster_id=cluster_id, body=body)
        needs = Needs("cce:tag:operate (cce:cluster:addTags)", _the(cluster_id))
        _accepted(self._channel.call(self._client.batch_create_cluster_tags, request, needs, acts=True))

    def remove_cluster_tag(self, cluster_id: ClusterId, key: str) -> None:
        """Remove a tag of a cluster; the API takes a key that is not there for removed."""
        body = BatchDeleteClusterTagsRequestBody(tags=[ResourceDeleteTag(key=key)])
        request = BatchDeleteClusterTagsRequest(cluster_id=cluster_id, body=body)
        needs = Needs("cce:tag:operate (cce:cluster:removeTags)", _the(cluster_id))
        _accepted(self._channel.call(self._client.batch_delete_cluster_tags, request, needs, acts=True))

    def close(self) -> None:
        """Close the connections and the SDK's threads."""
        self._channel.close()


def _find_region(region: str) -> Any:
    from huaweicloudsdkcce.v3.region.cce_region import CceRegion  # imports yaml, for files that may change its table

    try:
        return CceRegion.value_of(region)
    except KeyError as e:
        raise PermanentCloudError(f'unknown region "{region}" of CCE: correct it, or set the CCE endpoint') from e


def _the(cluster_id: ClusterId) -> str:
    return f"cluster {cluster_id}"


def _items(answer: Any, what: str) -> List[Mapping[str, Any]]:
    """Return the entries of a listing. An empty one may be null, but then says of what kind it is."""
    items, kind = getattr(answer, "items", None), getattr(answer, "kind", None)  # of the answer null nothing is made
    if answer.status_code != HTTPStatus.OK or not (isinstance(items, list) or (items is None and kind)):
        raise UntrustedAnswerError(
            f"the {what} listing is not what the API documents (no `items`): check the CCE endpoint and the proxy",
            status_code=answer.status_code,
        )
    if not all(_text(_part(item, "metadata").get("uid")) for item in items or ()):
        raise UntrustedAnswerError(f"a {what} in the listing has no uid: nothing is decided from it")
    return list(items or ())


def _accepted(answer: Any) -> None:
    """Raise where an action was answered with anything but success, which is empty or JSON."""
    if answer.status_code in _ACCEPTED and _is_json(answer.raw_content):
        return
    raise UnknownOutcomeError(
        "CCE answered an action with something else than its API does: the next listing shows whether it acted",
        status_code=answer.status_code,
    )


def _is_json(content: bytes) -> bool:
    try:
        return not content.strip() or json.loads(content) is not None
    except (ValueError, RecursionError):
        return False


def _cluster(item: Mapping[str, Any]) -> CceCluster:
    """Convert one entry of a listing; everything but the id may be missing."""
    metadata, spec = _part(item, "metadata"), _part(item, "spec")
    mode = spec.get("billingMode")
    return CceCluster(
        cluster_id=ClusterId(metadata["uid"]),
        name=_text(metadata.get("name")),
        phase=_text(_part(item, "status").get("phase")),
        is_prepaid=mode == 1 if isinstance(mode, int) else None,
        tags=_tags(spec.get("clusterTags")) if spec else None,
    )


def _tags(tags: object) -> Optional[Mapping[str, str]]:
    """Return a cluster's tags; a cluster with none may lack the list. None where one of them cannot be read."""
    found = tags if tags is not None else []
    if not isinstance(found, list) or not all(_text(_object(tag).get("key")) for tag in found):
        return None
    return {tag["key"]: _text(tag.get("value")) or "" for tag in found}


def _node(item: Mapping[str, Any]) -> Node:
    """Convert one entry of a listing. It says nothing of scale-in protection."""
    metadata, status = _part(item, "metadata"), _part(item, "status")
    pool = _text(_part(metadata, "annotations").get(_POOL_ANNOTATION))
    server_id = _text(status.get("serverId"))
    return Node(
        node_id=metadata["uid"],
        name=_text(metadata.get("name")),
        server_id=ServerId(server_id) if server_id else None,
        pool_id=pool if pool and _OUTSIDE not in pool else None,
        is_pool_known=bool(pool),
    )


def _pool(item: Mapping[str, Any]) -> NodePool:
    """Convert one entry of a listing."""
    metadata = _part(item, "metadata")
    enable = _part(_part(item, "spec"), "autoscaling").get("enable")
    return NodePool(
        pool_id=metadata["uid"],
        name=_text(metadata.get("name")),
        is_autoscaled=enable if isinstance(enable, bool) else None,
    )


def _part(item: object, name: str) -> Mapping[str, Any]:
    return _object(_object(item).get(name))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> Optional[str]:
    """Return a text that is not empty, None for anything else."""
    return value if isinstance(value, str) and value else None
