"""The real cloud: one project in one region through the real SDK.

This is ECS; the calls of CCE are in ``huawei_cce.py``, imported by the first of them. How the SDK is called and what
becomes of its failures is decided in ``sdk.py``. Least privilege for what is called here: ``ecs:cloudServers:list``,
``ecs:cloudServers:start`` and ``ecs:cloudServers:stop``.
"""

from functools import partial
from http import HTTPStatus
from sys import intern
from threading import Lock
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Container, Dict, List, Optional, Sequence, Tuple

from huaweicloudsdkcore.sdk_response import SdkResponse
from huaweicloudsdkecs.v2 import (
    BatchStartServersOption,
    BatchStartServersRequest,
    BatchStartServersRequestBody,
    BatchStopServersOption,
    BatchStopServersRequest,
    BatchStopServersRequestBody,
    EcsClient,
    ListServersDetailsRequest,
)
from huaweicloudsdkecs.v2 import (
    ServerId as SdkServerId,
)

from scheduler.cloud import IDS_SIZE, PAGE_SIZE
from scheduler.cloud.sdk import Channel, Needs, SendsOnce
from scheduler.errors import (
    InputError,
    PermanentCloudError,
    ThrottledCloudError,
    UnknownOutcomeError,
    UntrustedAnswerError,
)
from scheduler.model import CceCluster, ClusterId, JobId, Node, NodePool, Server, ServerId, StopType
from scheduler.settings import Credentials

if TYPE_CHECKING:
    from scheduler.cloud.huawei_cce import HuaweiCce

_Tags = Tuple[str, ...]
_NEEDS = Needs("ecs:cloudServers:list, :start and :stop")


class _Listing(SdkResponse):  # type: ignore[misc]
    """A listing whose entries stay as they were sent; `_server` reads the twelve fields of 53 that we need.

    The SDK's own model of a server takes five times as long as reading the JSON, and one field of an unexpected
    form in it, be it of no use to us, spoils the whole listing.
    """

    openapi_types: ClassVar[Dict[str, str]] = {"servers": "object"}
    attribute_map: ClassVar[Dict[str, str]] = {"servers": "servers"}
    sensitive_list: ClassVar[List[str]] = []

    def __init__(self, servers: object = None) -> None:
        super().__init__()
        self.servers = servers


class _EcsClient(SendsOnce, EcsClient):  # type: ignore[misc]
    """The SDK's client, sending everything once and leaving listings as they are."""

    def _call_api(self, **http_info: Any) -> Any:
        if http_info["response_type"] == "ListServersDetailsResponse":
            http_info["response_type"] = _Listing
        return super()._call_api(**http_info)


class HuaweiCloud:
    """Keeps `scheduler.cloud.Cloud` for one project in one region. May be shared by threads."""

    def __init__(  # noqa: PLR0913 - what a client is made of
        self,
        credentials: Credentials,
        region: str,
        project_id: str,
        *,
        endpoint: Optional[str] = None,
        cce_endpoint: Optional[str] = None,
        remaining_s: Callable[[], float],
    ) -> None:
        """``endpoint`` (of ECS) and ``cce_endpoint`` replace the region's own; ``remaining_s`` is left of the run."""
        self._ecs = Channel(
            _EcsClient,
            credentials,
            project_id,
            endpoint=endpoint,
            find_region=lambda: _find_region(region),
            remaining_s=remaining_s,
        )
        self._open_cce = partial(
            _open_cce, credentials, region, project_id, endpoint=cce_endpoint, remaining_s=remaining_s
        )
        self._opened_cce: Optional[HuaweiCce] = None
        self._lock = Lock()

    def list_page(
        self,
        *,
        tag: Optional[str] = None,
        marker: Optional[ServerId] = None,
        page: Optional[int] = None,
        keys: Optional[Container[str]] = None,
    ) -> Sequence[Server]:
        """Return one page; raises `UntrustedAnswerError` where the answer lacks what it must have."""
        asked = {"limit": PAGE_SIZE, "tags": tag, "marker": marker, "offset": page}
        # Only set attributes are sent, and an attribute that is None counts as set.
        return self._list({name: value for name, value in asked.items() if value is not None}, keys)

    def list_by_ids(self, server_ids: Sequence[ServerId]) -> Sequence[Server]:
        """Return the servers of these ids, each once, in groups of at most `IDS_SIZE`."""
        wanted = list(dict.fromkeys(server_ids))
        found: Dict[ServerId, Server] = {}
        for first in range(0, len(wanted), IDS_SIZE):
            group = wanted[first : first + IDS_SIZE]
            listed = self._list({"limit": PAGE_SIZE, "server_id": ",".join(group)})
            found.update((server.server_id, server) for server in listed)
        return [found.get(server_id) or Server(server_id) for server_id in wanted]

    def _list(self, asked: Dict[str, Any], keys: Optional[Container[str]] = None) -> List[Server]:
        request = ListServersDetailsRequest(**asked)
        answer = self._ecs.call(self._ecs.client.list_servers_details, request, _NEEDS, acts=False)
        servers = getattr(answer, "servers", None)
        if answer.status_code != HTTPStatus.OK or not isinstance(servers, list):
            raise UntrustedAnswerError(
                "the server listing is not what the API documents (no `servers`): check the endpoint and the proxy",
                status_code=answer.status_code,
            )
        listed = _servers(servers, keys)
        return [s._replace(fault=self._ecs.shown(s.fault)) if s.fault else s for s in listed]

    def start(self, server_ids: Sequence[ServerId]) -> JobId:
        """Send one batch start."""
        option = BatchStartServersOption(servers=_ids(server_ids))
        request = BatchStartServersRequest(body=BatchStartServersRequestBody(os_start=option))
        return _job(self._ecs.call(self._ecs.client.batch_start_servers, request, _NEEDS, acts=True))

    def stop(self, server_ids: Sequence[ServerId], stop_type: StopType) -> JobId:
        """Send one batch stop."""
        option = BatchStopServersOption(servers=_ids(server_ids), type=stop_type.value)
        request = BatchStopServersRequest(body=BatchStopServersRequestBody(os_stop=option))
        return _job(self._ecs.call(self._ecs.client.batch_stop_servers, request, _NEEDS, acts=True))

    def list_clusters(self) -> Sequence[CceCluster]:
        """Return the project's clusters."""
        return self._cce.list_clusters()

    def list_nodes(self, cluster_id: ClusterId) -> Sequence[Node]:
        """Return a cluster's nodes."""
        return self._cce.list_nodes(cluster_id)

    def list_node_pools(self, cluster_id: ClusterId) -> Sequence[NodePool]:
        """Return a cluster's node pools."""
        return self._cce.list_node_pools(cluster_id)

    def hibernate(self, cluster_id: ClusterId) -> None:
        """Ask for a hibernation."""
        self._cce.hibernate(cluster_id)

    def awake(self, cluster_id: ClusterId) -> None:
        """Ask for the end of a hibernation."""
        self._cce.awake(cluster_id)

    def write_cluster_tag(self, cluster_id: ClusterId, key: str, value: str) -> None:
        """Write a tag of a cluster."""
        self._cce.write_cluster_tag(cluster_id, key, value)

    def remove_cluster_tag(self, cluster_id: ClusterId, key: str) -> None:
        """Remove a tag of a cluster."""
        self._cce.remove_cluster_tag(cluster_id, key)

    def close(self) -> None:
        """Close the connections and the SDK's threads."""
        self._ecs.close()
        if self._opened_cce is not None:
            self._opened_cce.close()

    @property
    def _cce(self) -> "HuaweiCce":
        with self._lock:
            if self._opened_cce is None:
                self._opened_cce = self._open_cce()
            return self._opened_cce


def _open_cce(
    credentials: Credentials,
    region: str,
    project_id: str,
    *,
    endpoint: Optional[str],
    remaining_s: Callable[[], float],
) -> "HuaweiCce":
    from scheduler.cloud.huawei_cce import HuaweiCce  # 400 KB of code, of use to few runs

    return HuaweiCce(credentials, region, project_id, endpoint=endpoint, remaining_s=remaining_s)


def _find_region(region: str) -> Any:
    from huaweicloudsdkecs.v2.region.ecs_region import EcsRegion  # imports yaml, for files that may change its table

    try:
        return EcsRegion.value_of(region)
    except KeyError as e:
        raise PermanentCloudError(f'unknown region "{region}": correct it, or set the endpoint') from e


def _ids(server_ids: Sequence[ServerId]) -> List[Any]:
    return [SdkServerId(id=server_id) for server_id in server_ids]


def _job(answer: Any) -> JobId:
    """Return the job of an accepted action; an answer without one tells nothing."""
    if answer.status_code == HTTPStatus.ACCEPTED:
        raise ThrottledCloudError("the API is busy and delayed the action (202): the next run goes on", status_code=202)
    if answer.status_code != HTTPStatus.OK or not answer.job_id:
        raise UnknownOutcomeError(
            "the API answered an action without a job_id: the next listing shows whether it acted",
            status_code=answer.status_code,
        )
    return JobId(answer.job_id)


def _servers(entries: List[Any], keys: Optional[Container[str]]) -> List[Server]:
    """Convert a page of a listing."""
    known: Dict[_Tags, _Tags] = {}
    return [_server(entry, keys, known) for entry in entries]


def _server(entry: Any, keys: Optional[Container[str]], known: Dict[_Tags, _Tags]) -> Server:
    """Convert one entry of a listing; everything but the id may be missing."""
    if not isinstance(entry, dict) or not entry.get("id"):
        raise UntrustedAnswerError("a server in the listing has no id: nothing is decided from it")
    metadata = entry.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise UntrustedAnswerError("a server's metadata, which tells whether it is frozen, cannot be read")
    fault, flavor = _object(entry.get("fault")), _object(entry.get("flavor"))
    locked = entry.get("locked")
    return Server(
        server_id=ServerId(str(entry["id"])),
        name=_text(entry.get("name")),
        status=_shared(entry.get("status")),
        task_state=_text(entry.get("OS-EXT-STS:task_state")) or None,
        tags=_tags(entry.get("tags"), keys, known),
        locked=None if locked is None else bool(locked),
        frozen=metadata.get("EcmResStatus") == "freeze",
        charging_mode=_shared(metadata.get("charging_mode")),
        created=_shared(entry.get("created")),
        updated=_shared(entry.get("updated")),
        fault=_text(fault.get("message")) or None,
        flavor=_shared(flavor.get("id")),
    )


def _tags(value: object, keys: Optional[Container[str]], known: Dict[_Tags, _Tags]) -> Optional[_Tags]:
    """Return the tags of these keys, None where they cannot be read; what nodes have in common is held once."""
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        return None
    tags = tuple([intern(tag) for tag in value if keys is None or tag.partition("=")[0] in keys])
    return known.setdefault(tags, tags)


def _object(value: object) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> Optional[str]:
    return None if value is None else str(value)


def _shared(value: object) -> Optional[str]:
    """Return a text that many servers have in common, held once: there may be 100,000 of them."""
    return None if value is None else intern(str(value))


def read_profile() -> "tuple[Credentials, Optional[str]]":
    """Return key and project of the SDK's profile file, ``~/.huaweicloud/credentials``. Raises `InputError`."""
    from configparser import Error

    from huaweicloudsdkcore.auth.provider import ProfileCredentialProvider
    from huaweicloudsdkcore.exceptions.exceptions import SdkException

    try:
        found = ProfileCredentialProvider.get_basic().get_credentials()
    except Error:  # its text quotes the file, keys and all
        raise InputError("the credentials file is not an INI file with a section [basic]") from None
    except (SdkException, ValueError, TypeError, OSError) as e:
        raise InputError(str(e)) from e
    if not found.ak or not found.sk:
        raise InputError("the section [basic] of the credentials file has no ak and sk")
    return Credentials(found.ak, found.sk, found.security_token or None), found.project_id or None
