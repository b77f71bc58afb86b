"""What a run would do, from desired states and one listing. Pure; making a plan changes nothing.

Every server of a cluster ends in exactly one action or one hold: the first row that applies decides, and a hold
carries its reason. When in doubt nothing is stopped.

     #  condition                                                             becomes
     1  the cluster is unmanaged                                              hold: unmanaged
     2  excluded by server, by tag, by pool or by the tag ``cce-scheduler``;  hold: excluded
        or what the exclusion reads is missing from the answer
     3  claimed by two clusters                                               hold: claimed, for both
     4  locked, or frozen                                                     hold: locked, frozen
     5  status ERROR, UNKNOWN, SHELVED, ..., unlisted or missing              hold: needs a person
     6  desired stopped, ACTIVE and powering off                              hold: stopping; ``hard_after`` past
                                                                              the later of the transition and the
                                                                              server's ``updated``: stop HARD, but
                                                                              none that row 9 would hold
     7  any other task, or a status that passes by itself                     hold: in transition
     8  as desired: running and ACTIVE, stopped and SHUTOFF                   hold: already
     9  desired stopped and prepaid (or how it is charged is not known),      hold: prepaid
        unless ``stop_prepaid``
    10  desired running, SHUTOFF                                              start
    11  desired stopped, ACTIVE                                               stop, as ``stop_type`` says

Overdue is what is in rows 5, 6, 7, 10 or 11, frozen, or waiting for its control plane, ``overdue_after`` past the later
of the transition and the server's ``created``; under a constant state, past its ``updated``. What row 9 would hold
never is: nobody expects it to stop.
"""

from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from scheduler.errors import UnsafePlanError
from scheduler.localtime import parse_api_time
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
    Node,
    NodePool,
    Overdue,
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


_MAY_BE_OVERDUE = frozenset(
    {HoldKind.NEEDS_PERSON, HoldKind.STOPPING, HoldKind.IN_TRANSITION, HoldKind.FROZEN, HoldKind.CONTROL_PLANE}
)

_SETTLED = {State.RUNNING: "ACTIVE", State.STOPPED: "SHUTOFF"}

Decision = Union[Action, Hold]
Exclusion = Tuple[str, str]
"""A list of `Exclude`, and a text in it."""


class NodeList(NamedTuple):
    """What CCE says of a cluster's nodes; ``pools`` is None where they were not asked for."""

    nodes: Sequence[Node]
    pools: Optional[Sequence[NodePool]] = None


class Members(NamedTuple):
    """The servers proven to belong to each cluster id, the ids that claim a server of several, and CCE's lists."""

    servers: Mapping[str, Sequence[Server]]
    claims: Mapping[ServerId, Sequence[str]]
    lists: Mapping[str, NodeList] = {}


class Moment(NamedTuple):
    """When a plan is about: ``now`` is None for a look at another time, in which nothing is late."""

    now: Optional[datetime]
    every_s: int


ELSEWHEN = Moment(None, 0)


def find_members(
    clusters: Iterable[Cluster],
    servers: Iterable[Server],
    lists: Mapping[str, NodeList] = {},
    *,
    by_nodes: Iterable[str] = (),
) -> Members:
    """Sort servers by the clusters that their tags and CCE's lists name, whatever the service was asked to filter by.

    A tag makes a member; for clusters whose membership is by nodes, and those of ``by_nodes``, being listed does.
    """
    clusters = list(clusters)
    wanted = {c.cluster_id for c in clusters}
    by_list = {*by_nodes, *(c.cluster_id for c in clusters if c.claims_by_nodes)}
    found: Dict[str, List[Server]] = {cluster_id: [] for cluster_id in wanted}
    claims: Dict[ServerId, List[str]] = {}
    prefix = f"{CLUSTER_TAG}="
    listed: Dict[str, List[str]] = {}
    for cluster_id, node_list in lists.items():
        for node in node_list.nodes:
            listed.setdefault(node.server_id or "", []).append(cluster_id)
    for server in servers:
        named = {tag[len(prefix) :].lower() for tag in server.tags or () if tag.startswith(prefix)} - {""}
        listing = set(listed.get(server.server_id, ()))
        if EVERY_CLUSTER in wanted:
            named = {EVERY_CLUSTER} if named else named
        for cluster_id in sorted(((named - by_list) | (listing & by_list)) & wanted):
            found[cluster_id].append(server)
        if len(named | listing) > 1:
            claims[server.server_id] = sorted(named | listing)
    return Members(found, claims, lists)


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


def plan_cluster(cluster: Cluster, desired: Desired, members: Members, moment: Moment = ELSEWHEN) -> ClusterPlan:
    """Decide for every server of one cluster."""
    servers = members.servers.get(cluster.cluster_id, ())
    node_list = members.lists.get(cluster.cluster_id)
    planned = ClusterPlan(cluster, desired, pools=node_list.pools if node_list else None)
    return with_decisions(planned, [decide(cluster, desired, server, members, moment) for server in servers])


def with_decisions(planned: ClusterPlan, decisions: Iterable[Decision]) -> ClusterPlan:
    """Return a plan with other decisions."""
    made = list(decisions)
    return planned._replace(
        actions=tuple(d for d in made if isinstance(d, Action)), holds=tuple(d for d in made if isinstance(d, Hold))
    )


def hold_instead(planned: ClusterPlan, hold: Callable[[Action], Optional[Hold]]) -> ClusterPlan:
    """Return a plan in which ``hold`` takes the place of each action that it returns one for."""
    return with_decisions(planned, (*planned.holds, *(hold(action) or action for action in planned.actions)))


def decide(  # noqa: C901, PLR0912 - one branch for each row of the table
    cluster: Cluster, desired: Desired, server: Server, members: Members, moment: Moment = ELSEWHEN
) -> Decision:
    """Apply the table of this module to one server."""
    state, claims = desired.state, members.claims.get(server.server_id, ())
    status = (server.status or "").upper()
    excluded = None if state is State.UNMANAGED else _excluded_by(cluster, server, members)
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
        if _hangs(cluster, desired, server, moment) and not _is_kept_as_prepaid(cluster, server):
            return Action(Power.STOP_HARD, server)
        kind, reason = HoldKind.STOPPING, "powering off"
    elif server.task_state or status in _PASSING:
        kind, reason = HoldKind.IN_TRANSITION, f"{status}{f', {server.task_state}' if server.task_state else ''}"
    elif (state is State.RUNNING) == (status == "ACTIVE"):
        kind, reason = HoldKind.ALREADY, "already running" if state is State.RUNNING else "already stopped"
    elif state is State.RUNNING:
        return Action(Power.START, server)
    elif _is_kept_as_prepaid(cluster, server):
        kind, reason = HoldKind.PREPAID, _charging_text(server)
    else:
        return Action(Power.STOP_HARD if cluster.stop_type is StopType.HARD else Power.STOP_SOFT, server)
    return Hold(kind, server, reason)


def find_overdue(
    cluster: Cluster, desired: Desired, decisions: Iterable[Decision], moment: Moment
) -> Iterator[Overdue]:
    """Yield the servers that should have been as desired for ``overdue_after`` by now."""
    if moment.now is None or desired.state is State.UNMANAGED:
        return
    limit_s = overdue_limit_s(cluster, moment.every_s)
    for decision in decisions:
        if isinstance(decision, Hold) and decision.kind not in _MAY_BE_OVERDUE:
            continue
        server = decision.server
        if desired.state is State.STOPPED and _is_kept_as_prepaid(cluster, server):
            continue
        if (server.status or "").upper() == _SETTLED[desired.state] and not server.task_state:
            continue  # a frozen one that is off all the same
        begun = _begun(desired, server)
        if begun is not None and (moment.now - begun).total_seconds() >= limit_s:
            yield Overdue(_seen_as(server), int((moment.now - begun).total_seconds()), server)


def find_matching(
    exclude: Exclude, servers: Sequence[Server], pools: Optional[Iterable[NodePool]]
) -> Iterator[Exclusion]:
    """Yield the exclusions of a cluster that match one of its servers, or of its node pools."""
    yield from (("servers", text) for text in exclude.servers if any(_is_server(text, s) for s in servers))
    yield from (("tags", text) for text in exclude.tags if any(_is_tag(text, t) for s in servers for t in s.tags or ()))
    for pool in pools or ():
        yield from (("node_pools", text) for text in exclude.node_pools if is_pool(text, pool.pool_id, pool.name))


def overdue_limit_s(cluster: Cluster, every_s: int) -> int:
    """Return after how many seconds a cluster is overdue; cut so that the last run before the hands are off reports.

    The first run after a transition may come a whole period later: what it finds undone is its own to do.
    """
    limit_s, enforce_s = max(cluster.overdue_after_s, every_s), cluster.timing.enforce_s
    return limit_s if enforce_s is None else min(limit_s, max(enforce_s - every_s, every_s))


def _is_kept_as_prepaid(cluster: Cluster, server: Server) -> bool:
    """Whether a server is not stopped because that saves nothing, or because nobody knows whether it does."""
    return not cluster.stop_prepaid and server.charging_mode not in _SAVES_WHEN_STOPPED


def _hangs(cluster: Cluster, desired: Desired, server: Server, moment: Moment) -> bool:
    """Whether a stop has been under way for ``hard_after``: the power is cut only where that is certain."""
    updated = parse_api_time(server.updated)
    if moment.now is None or cluster.hard_after_s is None or updated is None:
        return False
    begun = max(updated, desired.since or updated)
    return moment.now - begun >= timedelta(seconds=cluster.hard_after_s)


def _begun(desired: Desired, server: Server) -> Optional[datetime]:
    """Return since when a server should be as desired; None where that is not known.

    Whatever happened before it, a constant state has no transition of its own.
    """
    if desired.since is None or desired.rule.kind == "state":
        updated = parse_api_time(server.updated)
        return updated and max(updated, desired.since or updated)
    created = parse_api_time(server.created)
    return desired.since if created is None else max(created, desired.since)


def _seen_as(server: Server) -> str:
    """Say how a server was seen: its status, task and fault."""
    seen = f"{server.name or server.server_id} is {server.status or 'without a status'}"
    seen += f" ({server.task_state})" if server.task_state else ""
    seen += ", frozen" if server.frozen else ""
    return f"{seen}: {server.fault}" if server.fault else seen


def _excluded_by(cluster: Cluster, server: Server, members: Members) -> Optional[str]:
    """Say which rule keeps a server from being touched, or what a rule would have to know; None if it may be."""
    exclude = cluster.exclude
    for pattern in exclude.servers:
        if _is_server(pattern, server):
            return f'excluded by server "{pattern}"'
    if server.tags is None:
        return "excluded: its tags are missing from the answer"
    for tag in server.tags:
        key, _, value = tag.partition("=")
        if key == OFF_TAG and value != "on":
            return f'excluded by its tag "{tag}"'
        for wanted in exclude.tags:
            if _is_tag(wanted, tag):
                return f'excluded by tag "{wanted}"'
    if exclude.servers and not server.name:
        return "excluded: its name is missing from the answer"
    return _excluded_by_pool(exclude, server, members.lists.get(cluster.cluster_id)) if exclude.node_pools else None


def _excluded_by_pool(exclude: Exclude, server: Server, node_list: Optional[NodeList]) -> Optional[str]:
    listed = [n for n in node_list.nodes if n.server_id == server.server_id] if node_list else []
    if node_list is None or not listed or not all(node.is_pool_known for node in listed):
        return "excluded: which node pool it is of is not known"
    names = {pool.pool_id: pool.name for pool in node_list.pools or ()}
    for pool_id in filter(None, {node.pool_id for node in listed}):
        name = names.get(pool_id)
        for wanted in exclude.node_pools:
            if is_pool(wanted, pool_id, name):
                return f'excluded by node pool "{wanted}"'
        if not name:
            return "excluded: the name of its node pool is not known"
    return None


def _is_server(pattern: str, server: Server) -> bool:
    return pattern.lower() == server.server_id.lower() or bool(server.name and fnmatchcase(server.name, pattern))


def _is_tag(wanted: str, tag: str) -> bool:
    return wanted in (tag, tag.partition("=")[0], f"{tag}=")


def is_pool(wanted: str, pool_id: str, name: Optional[str]) -> bool:
    """Whether an exclusion means a node pool: by its name as it is written, or by its id."""
    return wanted == name or wanted.lower() == pool_id.lower()


def _status_text(server: Server) -> str:
    if not server.status:
        return "its status is missing from the answer"
    return f"status {server.status}{f': {server.fault}' if server.fault else ''}"


def _charging_text(server: Server) -> str:
    if server.charging_mode == "1":
        return "prepaid: stopping saves nothing"
    return "how it is charged is missing from the answer: it may be prepaid"
