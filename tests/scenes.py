"""Builders that the tests of a run share: clusters, servers as a listing shows them, a context, a way to a cloud."""

import json
import logging
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from scheduler.cloud import Connect
from scheduler.cloud.huawei import HuaweiCloud
from scheduler.model import (
    CLUSTER_TAG,
    Clock,
    Cluster,
    ClusterId,
    Limits,
    Power,
    Schedules,
    Server,
    ServerId,
    State,
    Timing,
)
from scheduler.settings import Credentials
from scheduler.simulated import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK, SimulatedCloud, SimulatedServer
from scheduler.simulated.calls import Call, Fault, Faults, Record, answering

NOW = datetime(2026, 12, 1, 12, tzinfo=timezone.utc)
REGION = "simulated"
PROJECT = SIMULATED_PROJECT
OTHER_PROJECT = "07e4000000000000000000000000c7ed"
DEV = "3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b"
TEST = "8b7e21aa-5c1d-11ef-8f3e-0255ac100b0c"
BATCH = "c05d6b94-7e2f-11ef-a1c4-0255ac10fe21"
KEYS = Credentials(SIMULATED_AK, SIMULATED_SK)
TIMER = {
    "version": "v1.0",
    "time": "2026-12-01T19:00:00+07:00",
    "trigger_type": "TIMER",
    "trigger_name": "cce-scheduler",
    "user_event": "",
}
BULKY = (
    *("tenant_id", "description", "enterprise_project_id", "sys_tags", "created", "flavor", "addresses", "image"),
    *("hostId", "key_name", "progress", "config_drive", "security_groups", "OS-DCF:diskConfig", "updated"),
    *("OS-EXT-AZ:availability_zone", "OS-EXT-SRV-ATTR:hostname", "OS-EXT-SRV-ATTR:instance_name"),
    *("OS-EXT-SRV-ATTR:root_device_name", "OS-EXT-SRV-ATTR:user_data", "OS-SRV-USG:launched_at"),
    *("OS-SRV-USG:terminated_at", "os-extended-volumes:volumes_attached", "OS-EXT-STS:power_state"),
)
"""Fields of a server's entry that a test of a thousand servers can do without."""


CLOCK = Clock(now=lambda: NOW, remaining_s=lambda: 60.0, sleep=lambda _: None, chance=lambda: 0.0)
"""A run for which time stands still."""


def make_cluster(name: str = "dev", cluster_id: str = DEV, state: State = State.STOPPED, **settings: Any) -> Cluster:
    """Return a cluster with a constant state, in the simulated project unless told."""
    chosen = {"region": REGION, "project_id": PROJECT, "timing": Timing("UTC", state), **settings}
    return Cluster(name=name, cluster_id=ClusterId(cluster_id), **chosen)


def make_server(number: int = 1, cluster_id: str = DEV, tags: Sequence[str] = (), **fields: Any) -> Server:
    """Return a running pay-per-use node of a cluster."""
    chosen = {
        "server_id": ServerId(f"server-{number}"),
        "name": f"node-{number}",
        "status": "ACTIVE",
        "tags": (f"{CLUSTER_TAG}={cluster_id}", *tags),
        "locked": False,
        "charging_mode": "0",
        **fields,
    }
    return Server(**chosen)


def make_schedules(*clusters: Cluster, max_stops_per_run: Optional[int] = None) -> Schedules:
    return Schedules(clusters, Limits(max_stops_per_run))


def open_cloud(
    endpoint: str, credentials: Credentials = KEYS, project_id: str = PROJECT, region: str = REGION
) -> HuaweiCloud:
    """Return the real client of one project, with a minute left of its run."""
    return HuaweiCloud(
        credentials, region, project_id, endpoint=endpoint, cce_endpoint=endpoint, remaining_s=lambda: 60.0
    )


def connector(endpoint: str, credentials: Optional[Mapping[str, Credentials]] = None) -> Connect:
    """Return a way to every project; ``credentials`` are those of projects that have their own."""
    own = credentials or {}

    def connect(region: str, project_id: str) -> HuaweiCloud:
        return open_cloud(endpoint, own.get(project_id, KEYS), project_id, region)

    return connect


def posts(cloud: SimulatedCloud) -> List[Tuple[Optional[Power], Tuple[str, ...]]]:
    """Return what every POST asked for, and of which servers."""
    return [(record.power, record.server_ids) for record in cloud.ledger if record.method == "POST"]


def listings(cloud: SimulatedCloud) -> List[Record]:
    """Return the listings of servers."""
    return [record for record in cloud.ledger if record.path.endswith("/cloudservers/detail")]


def statuses(cloud: SimulatedCloud) -> Dict[str, str]:
    return {server.name: server.status for server in cloud.servers}


def listing_of(servers: Iterable[SimulatedServer]) -> Fault:
    """Answer a listing with these servers, whatever was asked for."""
    return answering(200, f'{{"count": 0, "servers": [{", ".join(server.text() for server in servers)}]}}')


def failing_at(fault: Fault, *numbers: int, method: str = "GET", project_id: str = "") -> Faults:
    """Spoil calls of one method (and project): those of these numbers, counted from 1, or all."""
    seen: List[Call] = []

    def faults(call: Call) -> Optional[Fault]:
        if call.method != method or project_id not in call.path:
            return None
        seen.append(call)
        return fault if not numbers or len(seen) in numbers else None

    return faults


class Context:
    """What the platform hands to the function. `lines` are what was logged: the level, and the JSON of the line."""

    def __init__(
        self,
        user_data: Optional[Mapping[str, str]] = None,
        *,
        agency: Tuple[Optional[str], Optional[str], Optional[str]] = (None, None, None),
        project_id: Optional[str] = None,
    ) -> None:
        self._user_data = user_data or {}
        self._agency = agency
        self._project_id = project_id
        self.texts: List[str] = []
        self.levels: List[str] = []
        self._logger = logging.Logger("function")
        self._logger.addHandler(_Keeper(self._keep))

    def _keep(self, record: logging.LogRecord) -> None:
        self.levels.append(record.levelname)
        self.texts.append(record.getMessage())

    @property
    def lines(self) -> List[Dict[str, Any]]:
        return [json.loads(text) for text in self.texts]

    def getUserData(self, key: str) -> Optional[str]:  # noqa: N802 - the platform's names
        return self._user_data.get(key)

    def getProjectID(self) -> Optional[str]:  # noqa: N802
        return self._project_id

    def getSecurityAccessKey(self) -> Optional[str]:  # noqa: N802
        return self._agency[0]

    def getSecuritySecretKey(self) -> Optional[str]:  # noqa: N802
        return self._agency[1]

    def getSecurityToken(self) -> Optional[str]:  # noqa: N802
        return self._agency[2]

    def getLogger(self) -> logging.Logger:  # noqa: N802
        return self._logger


class _Keeper(logging.Handler):
    def __init__(self, keep: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._keep = keep

    def emit(self, record: logging.LogRecord) -> None:
        self._keep(record)
