"""What a run would do, from desired states and one listing. Pure; making a plan changes nothing.

Every server of a cluster ends in exactly one action or one hold: the first row that applies decides, and a hold
carries its reason. When in doubt nothing is stopped.

     #  condition                                                             becomes
     1  the cluster is unmanaged                                              hold: unmanaged
     2  excluded by server, by tag or by the tag ``cce-scheduler``;           hold: excluded
        or what the exclusion reads is missing from the answer
     3  claimed by two clusters                                               hold: claimed, for both
     4  locked, or frozen                                                     hold: locked, frozen
     5  status ERROR, UNKNOWN, SHELVED, ..., unlisted or missing              hold: needs a person
     6  desired stopped, ACTIVE and powering off                              hold: stopping
     7  any other task, or a status that passes by itself                     hold: in transition
     8  as desired: running and ACTIVE, stopped and SHUTOFF                   hold: already
     9  desired stopped and prepaid (or how it is charged is not known),      hold: prepaid
        unless ``stop_prepaid``
    10  desired running, SHUTOFF                                              start
    11  desired stopped, ACTIVE                                               stop, as ``stop_type`` says
"""

from datetime import datetime
from fnmatch import fnmatchcase
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from scheduler.errors import UnsafePlanError
from scheduler.model import (
    CLUSTER_TAG,
    EVERY_CLUSTER,
    OFF_TAG,
    Action,
    Cluster,
    ClusterPlan,
    Desired,
    Exclude,
    Hold,
    HoldKind,
    Limits,
    Plan,
    Power,
    Server,
    ServerId,
    State,
    StopType,
)

_PASSING = frozenset({"BUILD", "REBOOT", "HARD_REBOOT", "MIGRATING", "RESIZE", "REBUILD", "REVERT_RESIZE"})
"""Statuses that pass by themselves; every other one but ACTIVE and SHUTOFF needs a person."""
_SAVES_WHEN_STOPPED = frozenset({"0", "2"})
"""``charging_mode`` of pay-per-use and spot servers; ``1`` is yearly/monthly."""


class Members(NamedTuple):
    """The servers proven to belong to each cluster id, and the ids that each server is claimed by."""

    servers: Mapping[str, Sequence[Server]]
    claims: Mapping[ServerId, Sequence[str]]


def find_members(clusters: Iterable[Cluster], servers: Iterable[Server]) -> Members:
    """Sort servers by the clusters that their tags name, whatever the service was asked to filter by."""
    wanted = {c.cluster_id for c in clusters}
    found: Dict[str, List[Server]] = {cluster_id: [] for cluster_id in wanted}
    claims: Dict[ServerId, List[str]] = {}
    prefix = f"{CLUSTER_TAG}="
    for server in servers:
        named = {tag[len(prefix) :].lower() for tag in server.tags or () if tag.startswith(prefix)} - {""}
        if EVERY_CLUSTER in wanted:
            named = {EVERY_CLUSTER} if named else named
        for cluster_id in sorted(named & wanted):
            found[cluster_id].append(server)
        claims[server.server_id] = sorted(named)
    return Members(found, claims)


def make_plan(at: datetime, clusters: Sequence[ClusterPlan], limits: Limits) -> Plan:
    """Join the plans of clusters, and hold the whole against the limits."""
    stops = sum(action.power is not Power.START for plan in clusters for action in plan.actions)
    refusal: Optional[UnsafePlanError] = None
    if limits.max_stops_per_run is not None and stops > limits.max_stops_per_run:
        refusal = UnsafePlanError(
            f"limits.max_stops_per_run: this run would stop {stops} servers, {limits.max_stops_per_run} are allowed, "
            "so it stops none: raise the limit if that many is right"
        )
    return Plan(at, tuple(clusters), refusal)


def plan_cluster(cluster: Cluster, desired: Desired, members: Members) -> ClusterPlan:
    """Decide for every server of one cluster."""
    servers = members.servers.get(cluster.cluster_id, ())
    decisions = [decide(cluster, desired.state, s, members.claims.get(s.server_id, ())) for s in servers]
    warnings: Tuple[str, ...] = ()
    if not servers and desired.state is not State.UNMANAGED:
        warnings = (
            f"no server carries the tag {CLUSTER_TAG}={cluster.cluster_id}: check cluster_id, region and project_id",
        )
    return ClusterPlan(
        cluster,
        desired,
        actions=tuple(d for d in decisions if isinstance(d, Action)),
        holds=tuple(d for d in decisions if isinstance(d, Hold)),
        warnings=warnings,
    )


def decide(  # noqa: C901 - one branch for each row of the table
    cluster: Cluster, state: State, server: Server, claims: Sequence[str]
) -> Union[Action, Hold]:
    """Apply the table of this module to one server; ``claims`` are the ids of all clusters that its tags name."""
    status = (server.status or "").upper()
    excluded = None if state is State.UNMANAGED else _excluded_by(cluster.exclude, server)
    kind: HoldKind
    if state is State.UNMANAGED:
        kind, reason = HoldKind.UNMANAGED, "unmanaged"
    elif excluded is not None:
        kind, reason = HoldKind.EXCLUDED, excluded
    elif len(claims) > 1:
        kind, reason = HoldKind.CLAIMED, f"claimed by the clusters {' and '.join(claims)}"
    elif server.locked:
        kind, reason = HoldKind.LOCKED, "locked"
    elif server.frozen:
        kind, reason = HoldKind.FROZEN, "frozen"
    elif status not in _PASSING and status not in ("ACTIVE", "SHUTOFF"):
        kind, reason = HoldKind.NEEDS_PERSON, _status_text(server)
    elif state is State.STOPPED and status == "ACTIVE" and server.task_state == "powering-off":
        kind, reason = HoldKind.STOPPING, "powering off"
    elif server.task_state or status in _PASSING:
        kind, reason = HoldKind.IN_TRANSITION, f"{status}{f', {server.task_state}' if server.task_state else ''}"
    elif (state is State.RUNNING) == (status == "ACTIVE"):
        kind, reason = HoldKind.ALREADY, f"already {state.value}"
    elif state is State.RUNNING:
        return Action(Power.START, server)
    elif not cluster.stop_prepaid and server.charging_mode not in _SAVES_WHEN_STOPPED:
        kind, reason = HoldKind.PREPAID, _charging_text(server)
    else:
        return Action(Power.STOP_HARD if cluster.stop_type is StopType.HARD else Power.STOP_SOFT, server)
    return Hold(kind, server, reason)


def _excluded_by(exclude: Exclude, server: Server) -> Optional[str]:
    """Say which rule keeps a server from being touched, or what a rule would have to know; None if it may be."""
    for pattern in exclude.servers:
        if pattern.lower() == server.server_id.lower() or (server.name and fnmatchcase(server.name, pattern)):
            return f'excluded by server "{pattern}"'
    if server.tags is None:
        return "excluded: its tags are missing from the answer"
    for tag in server.tags:
        key, _, value = tag.partition("=")
        if key == OFF_TAG and value != "on":
            return f'excluded by its tag "{tag}"'
        for wanted in exclude.tags:
            if wanted in (tag, key) or wanted == f"{tag}=":
                return f'excluded by tag "{wanted}"'
    if exclude.servers and server.name is None:
        return "excluded: its name is missing from the answer"
    return None


def _status_text(server: Server) -> str:
    if not server.status:
        return "its status is missing from the answer"
    return f"status {server.status}{f': {server.fault}' if server.fault else ''}"


def _charging_text(server: Server) -> str:
    if server.charging_mode == "1":
        return "prepaid: stopping saves nothing"
    return "how it is charged is missing from the answer: it may be prepaid"
