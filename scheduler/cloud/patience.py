"""Trying again, within what is left of a run: which failures, how often, and after how long.

What certainly did not act is tried again: a reading, or an action that never left. An action whose outcome is not
known is never sent again here; the state is listed instead. A service that does not answer in time is asked nothing
more in this run and place. Credentials and rights are never tried twice, and after refused credentials nothing is read
there: after five failures the API locks a key (https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-0001.html).
"""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Callable, Container, Dict, Optional, Sequence, TypeVar

from scheduler.cloud import Cloud
from scheduler.errors import (
    CloudError,
    NoAnswerError,
    OutOfTimeError,
    PermanentCloudError,
    TemporaryCloudError,
    ThrottledCloudError,
    UnknownOutcomeError,
)
from scheduler.model import CceCluster, Clock, ClusterId, JobId, Node, NodePool, Server, ServerId, StopType

TRIES = 3
"""How often a call is tried at most."""
_FIRST_PAUSE_S = 0.5
_RESERVE_S = 10.0
"""A pause leaves at least this much of the run: a try without time for what follows helps nobody."""

_ECS, _CCE = "ECS", "CCE"
_Out = TypeVar("_Out")


class PatientCloud:
    """Keeps `scheduler.cloud.Cloud` by another one, whose readings it tries again.

    An action is sent once: who asks for it knows until when it may be tried again.
    """

    def __init__(self, cloud: Cloud, clock: Clock) -> None:
        self._cloud = cloud
        self._clock = clock
        self._given_up: Dict[str, CloudError] = {}

    def list_page(
        self,
        *,
        tag: Optional[str] = None,
        marker: Optional[ServerId] = None,
        page: Optional[int] = None,
        keys: Optional[Container[str]] = None,
    ) -> Sequence[Server]:
        """Return one page."""
        return self._read(_ECS, lambda: self._cloud.list_page(tag=tag, marker=marker, page=page, keys=keys))

    def start(self, server_ids: Sequence[ServerId]) -> JobId:
        """Send one batch start."""
        return self._cloud.start(server_ids)

    def stop(self, server_ids: Sequence[ServerId], stop_type: StopType) -> JobId:
        """Send one batch stop."""
        return self._cloud.stop(server_ids, stop_type)

    def list_by_ids(self, server_ids: Sequence[ServerId]) -> Sequence[Server]:
        """Return the servers with these ids."""
        return self._read(_ECS, lambda: self._cloud.list_by_ids(server_ids))

    def list_clusters(self) -> Sequence[CceCluster]:
        """Return every CCE cluster."""
        return self._read(_CCE, self._cloud.list_clusters)

    def list_nodes(self, cluster_id: ClusterId) -> Sequence[Node]:
        """Return every node of a CCE cluster."""
        return self._read(_CCE, lambda: self._cloud.list_nodes(cluster_id))

    def list_node_pools(self, cluster_id: ClusterId) -> Sequence[NodePool]:
        """Return every node pool of a CCE cluster."""
        return self._read(_CCE, lambda: self._cloud.list_node_pools(cluster_id))

    def hibernate(self, cluster_id: ClusterId) -> None:
        """Ask for the hibernation of a CCE control plane."""
        self._cloud.hibernate(cluster_id)

    def awake(self, cluster_id: ClusterId) -> None:
        """Ask for the awakening of a CCE control plane."""
        self._cloud.awake(cluster_id)

    def write_cluster_tag(self, cluster_id: ClusterId, key: str, value: str) -> None:
        """Write a tag of a cluster."""
        self._cloud.write_cluster_tag(cluster_id, key, value)

    def remove_cluster_tag(self, cluster_id: ClusterId, key: str) -> None:
        """Remove a tag of a cluster."""
        self._cloud.remove_cluster_tag(cluster_id, key)

    def close(self) -> None:
        """Close the connections."""
        self._cloud.close()

    def _read(self, service: str, call: Callable[[], _Out]) -> _Out:
        if service in self._given_up:
            raise self._given_up[service]
        try:
            return patiently(call, self._clock, acts=False)
        except NoAnswerError as e:
            self._given_up[service] = e
            raise
        except PermanentCloudError as e:
            if e.status_code == HTTPStatus.UNAUTHORIZED:
                self._given_up.update(dict.fromkeys((_ECS, _CCE), e))
            raise


def patiently(call: Callable[[], _Out], clock: Clock, *, acts: bool, until: Optional[datetime] = None) -> _Out:
    """Return what a call returns, tried up to `TRIES` times, not again from ``until`` on. Raises the last failure."""
    for done in range(1, TRIES):
        try:
            return call()
        except TemporaryCloudError as e:
            pause_s = _pause_s(e, done, clock, acts=acts)
            if pause_s is None or pause_s + _RESERVE_S > clock.remaining_s():
                raise
            if until is not None and clock.now() + timedelta(seconds=pause_s) >= until:
                raise
            clock.sleep(pause_s)
    return call()


def _pause_s(error: TemporaryCloudError, done: int, clock: Clock, *, acts: bool) -> Optional[float]:
    """Return how long to wait before the next try; None if there should be none.

    The platform's limits count by the minute: a reading is asked for again only where the API says when, and an
    action not at all, since the next run decides it anew.
    """
    if isinstance(error, (UnknownOutcomeError, OutOfTimeError, NoAnswerError)):
        return None
    if isinstance(error, ThrottledCloudError) and (acts or error.retry_after_s is None):
        return None
    if error.retry_after_s is not None:
        return max(error.retry_after_s, 0.0)
    return _FIRST_PAUSE_S * (1 << done - 1) * (1 + clock.chance())
