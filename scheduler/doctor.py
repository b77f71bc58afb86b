"""What stands in the way of a schedules file in its account, judged from what was read of it. Pure.

A finding is refused where a run would do harm, or could not do its work; all else that a person should know is a
warning. What each check is called is part of the machine output:

==============  =============================================================  ===================================
check           warning                                                        refused
==============  =============================================================  ===================================
cluster         CCE calls it by quite another name                             CCE knows no such cluster
rights          what cannot be read is of no use to the file                   the file needs it
phase           not one in which all works                                     one that keeps it from hibernating
members         nodes without the tag are never stopped; there are none        servers with the tag are no nodes
pools           whether one is autoscaled is not known                         one is autoscaled
exclusions      one matches nothing, anywhere                                  -
charging        stopping saves nothing                                         -
servers         locked, frozen, claimed twice, or in a status for a person     -
control_plane   it cannot hibernate, or will be kept up                        -
override        a tag that no run obeys                                        one that cannot be read
==============  =============================================================  ===================================

The autoscaler deletes a node that is unavailable for 20 minutes, unless it is protected, which no listing tells.
"""

from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union
from zoneinfo import ZoneInfo

from scheduler.control_plane import ASLEEP, AVAILABLE, UNDER_WORK
from scheduler.describe import describe_duration, join_some
from scheduler.errors import CloudError, InputError
from scheduler.evaluate import transitions
from scheduler.localtime import earliest_date
from scheduler.model import (
    CLUSTER_TAG,
    Action,
    AutoscaledPools,
    CceCluster,
    Cluster,
    ControlPlane,
    Desired,
    Hold,
    HoldKind,
    Membership,
    Node,
    NodePool,
    Rule,
    Schedules,
    Server,
    State,
)
from scheduler.observe import reads_nodes
from scheduler.plan import Exclusion, Members, NodeList, decide, find_matching, find_members, is_pool
from scheduler.remote_override import OVERRIDE_TAG, read_override
from scheduler.savings import billed_when_stopped

_STOPPED = Desired(State.STOPPED, "", Rule("state"), None, None)
_NEEDS_PERSON = {
    HoldKind.LOCKED: "locked, so never touched",
    HoldKind.FROZEN: "frozen, so never touched",
    HoldKind.CLAIMED: "claimed by two clusters, so never touched",
    HoldKind.NEEDS_PERSON: "in a status that needs a person",
}
_SCALED_IN_AFTER_S = 1200
_SLACK_S = 300
"""What a start, a stop or a phase takes besides the periods in between."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
"""A timer fires at whole periods of it."""
_WEEK = timedelta(days=7)


class Verdict(str, Enum):
    """What a finding means, and of many the worst."""

    OK = "ok"
    WARNING = "warning"
    REFUSED = "refused"


class Finding(NamedTuple):
    """One thing that a person should know; ``check`` is a row of the table above."""

    verdict: Verdict
    check: str
    message: str


class Facts(NamedTuple):
    """What was read for one cluster: a `CloudError` where that failed.

    ``servers`` are all of its region and project. ``found`` is None where CCE knows no such cluster; ``nodes`` and
    ``pools`` are None where they were not asked for, or CCE does not tell them while it sleeps.
    """

    servers: Union[Sequence[Server], CloudError]
    found: Union[CceCluster, CloudError, None]
    nodes: Union[Sequence[Node], CloudError, None] = None
    pools: Union[Sequence[NodePool], CloudError, None] = None


class Examined(NamedTuple):
    """A cluster with what was found, and how many servers one stop of it would stop."""

    cluster: Cluster
    findings: Tuple[Finding, ...]
    stops: int = 0

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings."""
        return worst(self.findings)


class _Case(NamedTuple):
    """One cluster, what was read of it, and what a run would make of that."""

    schedules: Schedules
    cluster: Cluster
    facts: Facts
    members: Members
    now: datetime

    @property
    def servers(self) -> Sequence[Server]:
        return self.members.servers[self.cluster.cluster_id]

    @property
    def found(self) -> Optional[CceCluster]:
        return self.facts.found if isinstance(self.facts.found, CceCluster) else None

    @property
    def hibernates(self) -> bool:
        return self.cluster.control_plane is ControlPlane.HIBERNATE


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict."""
    found = {finding.verdict for finding in findings}
    return next((v for v in (Verdict.REFUSED, Verdict.WARNING) if v in found), Verdict.OK)


def examine(
    schedules: Schedules, facts: Mapping[str, Facts], now: datetime, *, is_simulated: bool = False
) -> List[Examined]:
    """Judge every cluster of which there are facts, by name; what exclusions match in simulated ones says nothing."""
    cases = [_make_case(schedules, c, facts[c.name], now) for c in schedules.clusters if c.name in facts]
    matched = {key for case in cases for key in _matching(case)}
    examined = []
    for case in cases:
        findings = [finding for check in _CHECKS for finding in check(case)]
        findings += _check_exclusions(case, None if is_simulated else matched)
        examined.append(Examined(case.cluster, tuple(findings), sum(isinstance(d, Action) for d in _if_running(case))))
    return examined


def find_refused_stops(schedules: Schedules, examined: Sequence[Examined], now: datetime) -> Iterator[Finding]:
    """Yield the first coming run, within a week, that would stop more servers than `Limits` allows."""
    limit, every = schedules.limits.max_stops_per_run, timedelta(seconds=schedules.function.every_s)
    if limit is None:
        return
    runs: Dict[datetime, List[Examined]] = {}
    for one in examined:
        for transition in transitions(one.cluster, now, now + _WEEK):
            if transition.after is State.STOPPED:
                runs.setdefault(_EPOCH - (_EPOCH - transition.at) // every * every, []).append(one)
    over = [at for at, stopped in sorted(runs.items()) if sum(one.stops for one in stopped) > limit]
    for at in over[:1]:
        zone = runs[at][0].cluster.timing.timezone
        stops, names = sum(one.stops for one in runs[at]), join_some([one.cluster.name for one in runs[at]])
        again = f" (and {len(over) - 1} more within a week)" if len(over) > 1 else ""
        yield Finding(
            Verdict.WARNING,
            "limits",
            f"limits.max_stops_per_run: the run of {at.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M} {zone}{again} "
            f"would stop {stops} servers ({names}), {limit} are allowed, so it would stop none: raise the limit",
        )


def _make_case(schedules: Schedules, cluster: Cluster, facts: Facts, now: datetime) -> _Case:
    """Find the members as a run does."""
    servers: Sequence[Server] = () if isinstance(facts.servers, CloudError) else facts.servers
    nodes: Sequence[Node] = () if facts.nodes is None or isinstance(facts.nodes, CloudError) else facts.nodes
    pools = None if isinstance(facts.pools, CloudError) else facts.pools
    whole: Mapping[str, NodeList] = {cluster.cluster_id: NodeList(nodes, pools)}
    lists = whole if reads_nodes(cluster) else {}
    members = find_members([cluster], servers, lists)
    if not members.servers[cluster.cluster_id]:
        members = find_members([cluster], servers, whole, by_nodes=[cluster.cluster_id])
    return _Case(schedules, cluster, facts, members, now)


def _if_running(case: _Case) -> "List[Union[Action, Hold]]":
    """Return what a stop would do to each member, were all of them up."""
    up = (server._replace(status="ACTIVE", task_state=None) for server in case.servers)
    return [decide(case.cluster, _STOPPED, server, case.members) for server in up]


# Can it be seen?


def _check_cluster(case: _Case) -> Iterator[Finding]:
    cluster = case.cluster
    if case.facts.found is None:
        yield _refused(
            "cluster",
            f"CCE knows no cluster {cluster.cluster_id} in {cluster.region}, project {cluster.project_id}: correct "
            "cluster_id, region or project_id",
        )
    elif case.found is not None and _is_another_name(cluster.name, case.found.name or ""):
        yield _warning("cluster", f'CCE calls this cluster "{case.found.name}": check cluster_id')


def _is_another_name(name: str, found: str) -> bool:
    """Whether two names have nothing in common: neither is part of the other, however their words are joined."""
    ours, theirs = ("".join(c for c in text.casefold() if c.isalnum()) for text in (name, found))
    return ours not in theirs and theirs not in ours


def _check_rights(case: _Case) -> Iterator[Finding]:
    """Refuse what the file needs and cannot be read; a network that fails looks the same from here."""
    cluster, facts = case.cluster, case.facts
    is_refused = cluster.autoscaled_pools is AutoscaledPools.REFUSE
    needs: Tuple[Tuple[object, bool, str], ...] = (
        (facts.servers, True, "its servers cannot be listed"),
        (facts.found, case.hibernates or case.schedules.remote_overrides, "whether CCE knows it is not known"),
        (facts.nodes, case.hibernates or reads_nodes(cluster), "its nodes cannot be listed"),
        (facts.pools, is_refused, "whether it has autoscaled node pools is not known"),
    )
    for fact, is_needed, what in needs:
        if isinstance(fact, CloudError):
            yield Finding(Verdict.REFUSED if is_needed else Verdict.WARNING, "rights", f"{what}: {fact}")


def _check_phase(case: _Case) -> Iterator[Finding]:
    found = case.found
    if found is None or found.phase == AVAILABLE or (case.hibernates and found.phase in ASLEEP):
        return
    phase = found.phase or "unknown"
    if found.phase in ASLEEP:
        yield _warning("phase", f"its control plane is {phase}, and no run wakes it: write `control_plane: hibernate`")
    elif found.phase in UNDER_WORK:
        yield _warning("phase", f"its phase is {phase}, which passes: look again then")
    elif case.hibernates:
        yield _refused("phase", f"its phase is {phase}, in which it can neither hibernate nor wake: repair it in CCE")
    else:
        yield _warning("phase", f"its phase is {phase}: look at it in CCE")


# Who belongs to it?


def _check_members(case: _Case) -> Iterator[Finding]:
    cluster, nodes = case.cluster, case.facts.nodes
    if isinstance(case.facts.servers, CloudError) or case.facts.found is None:
        return
    if not case.servers:
        unread = nodes is None or isinstance(nodes, CloudError)
        where = "by tag, and CCE's list of its nodes was not read" if unread else "by tag or by CCE's list of its nodes"
        yield _warning("members", f"it has no servers, {where}: nothing to start or stop")
    if nodes is None or isinstance(nodes, CloudError):
        if nodes is None:
            yield _warning("members", "its nodes and node pools are not told while its control plane sleeps")
        return
    seen = {server.server_id for server in case.facts.servers}
    gone = [_node_name(node) for node in nodes if node.server_id not in seen]
    if gone:
        yield _warning("members", f"{_nodes(gone)} without a server in ECS: {join_some(gone)}")
    if cluster.membership is Membership.TAGS:
        yield from _check_tags(case, nodes)


def _check_tags(case: _Case, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Compare the ECS tag with CCE's list; an empty one of a sleeping control plane says nothing."""
    if not nodes and case.found is not None and case.found.phase in ASLEEP:
        return
    tag = f"{CLUSTER_TAG}={case.cluster.cluster_id}"
    servers = case.facts.servers if not isinstance(case.facts.servers, CloudError) else ()
    by_tag = find_members([case.cluster._replace(membership=Membership.TAGS)], servers)
    tagged = {server.server_id for server in by_tag.servers[case.cluster.cluster_id]}
    listed = {node.server_id for node in nodes}
    seen = {server.server_id for server in servers}
    untagged = [_node_name(n) for n in nodes if n.server_id in seen and n.server_id not in tagged]
    if untagged and not tagged:
        yield _warning(
            "members", f"no server carries the tag {tag}: its servers are those of CCE's list: write `members: nodes`"
        )
    elif untagged:
        yield _warning(
            "members",
            f"{_nodes(untagged)} without the tag {CLUSTER_TAG}, so never stopped or started: {join_some(untagged)}: "
            "write `members: nodes`",
        )
    actions = (decision for decision in _if_running(case) if isinstance(decision, Action))
    strangers = [
        _server_name(a.server) for a in actions if a.server.server_id not in listed and a.server.server_id in tagged
    ]
    if strangers:
        is_being_made = any(node.server_id is None for node in nodes)
        yield Finding(
            Verdict.WARNING if is_being_made else Verdict.REFUSED,
            "members",
            f"{_servers(strangers)} with the tag {CLUSTER_TAG} that CCE does not list as nodes, and a run would stop: "
            f"{join_some(strangers)}: remove the tag, exclude them, or write `members: nodes`",
        )


def _check_pools(case: _Case) -> Iterator[Finding]:
    """Look for pools whose autoscaler would delete what a run stops."""
    cluster, pools = case.cluster, case.facts.pools
    if pools is None or isinstance(pools, CloudError) or cluster.autoscaled_pools is AutoscaledPools.ACCEPT:
        return
    mine = [p for p in pools if not any(is_pool(text, p.pool_id, p.name) for text in cluster.exclude.node_pools)]
    scaled = [p.name or p.pool_id for p in mine if p.is_autoscaled]
    unknown = [p.name or p.pool_id for p in mine if p.is_autoscaled is None]
    if unknown:
        yield _warning("pools", f"whether these node pools are autoscaled is not known: {join_some(unknown)}")
    why = _why_awake(case)
    sleep = "" if case.hibernates else "write `control_plane: hibernate`, "
    if scaled and why is not None:
        yield _refused(
            "pools",
            f"autoscaled node pools: {join_some(scaled)}: the autoscaler deletes nodes that are off for 20 minutes, "
            f"{why}: turn their autoscaling off, exclude them by `exclude.node_pools`, {sleep}or protect every node "
            "from scale-in and write `autoscaled_pools: accept`",
        )


def _why_awake(case: _Case) -> Optional[str]:
    """Say why the autoscaler would see that servers are off; None if it sleeps by then."""
    if not case.hibernates:
        return "and the control plane is kept awake"
    every_s = case.schedules.function.every_s
    if 2 * every_s + _SLACK_S > _SCALED_IN_AFTER_S:
        return f"and the function runs only every {describe_duration(every_s)}, too late to hibernate before"
    if case.found is None or case.found.is_prepaid is not False:
        return "and whether the cluster can hibernate is not known, or it cannot"
    kept = _kept_up_by(case)
    return f"and {join_some(kept)} will keep the control plane up" if kept else None


# What does it cost, and what is never touched?


def _check_charging(case: _Case) -> Iterator[Finding]:
    decisions = _if_running(case)
    held = [_server_name(d.server) for d in decisions if isinstance(d, Hold) and d.kind is HoldKind.PREPAID]
    stopped = [d.server for d in decisions if isinstance(d, Action)]
    if held:
        yield _warning(
            "charging",
            f"{_servers(held)} left running, yearly/monthly or not known to be pay-per-use: stopping saves nothing: "
            f"{join_some(held)}",
        )
    prepaid = [_server_name(server) for server in stopped if server.charging_mode == "1"]
    if prepaid:
        yield _warning("charging", f"{_servers(prepaid)} yearly/monthly: stopping saves nothing: {join_some(prepaid)}")
    charged = [f"{_server_name(s)} ({why})" for s, why in ((s, billed_when_stopped(s)) for s in stopped) if why]
    if charged:
        yield _warning("charging", f"{_servers(charged)} stopped for nothing: {join_some(charged)}: exclude them")


def _check_servers(case: _Case) -> Iterator[Finding]:
    holds = [decide(case.cluster, _STOPPED, server, case.members) for server in case.servers]
    for kind, what in _NEEDS_PERSON.items():
        names = [
            f"{_server_name(d.server)}{f' ({d.server.status})' if kind is HoldKind.NEEDS_PERSON else ''}"
            for d in holds
            if isinstance(d, Hold) and d.kind is kind
        ]
        if names:
            yield _warning("servers", f"{_servers(names)} {what}: {join_some(names)}")


def _matching(case: _Case) -> Iterator[Exclusion]:
    """Yield the exclusions of a cluster that match something."""
    pools = case.facts.pools
    return find_matching(case.cluster.exclude, case.servers, None if isinstance(pools, CloudError) else pools)


def _idle_exclusions(case: _Case, matched: "Set[Exclusion]") -> Iterator[Tuple[str, List[str]]]:
    """Yield the lists of `Exclude` with what matches nothing in them, as far as was listed what they match."""
    lists = {"servers": case.facts.servers, "tags": case.facts.servers, "node_pools": case.facts.pools}
    for key, listed in lists.items():
        is_known = listed is not None and not isinstance(listed, CloudError) and case.facts.found is not None
        texts = [text for text in getattr(case.cluster.exclude, key) if (key, text) not in matched]
        if is_known and texts:
            yield key, texts


def _check_exclusions(case: _Case, matched: "Optional[Set[Exclusion]]") -> Iterator[Finding]:
    """Name what matches nothing: here, nor in another cluster that has it from the same defaults; and past dates."""
    for key, texts in () if matched is None else _idle_exclusions(case, matched):
        yield _warning("exclusions", f"exclude.{key} matches nothing: {join_some(texts)}")
    today = earliest_date(case.now)
    past = [day for day, name in sorted(case.cluster.timing.excluded_dates.items()) if not name and day < today]
    if past:
        yield _warning("exclusions", f"exclude.dates that are past: {join_some(past)}: remove them")


# The control plane, and its tag


def _check_control_plane(case: _Case) -> Iterator[Finding]:
    if not case.hibernates or case.found is None:
        return
    if case.found.is_prepaid is not False:
        what = "is yearly/monthly" if case.found.is_prepaid else "may be yearly/monthly: its answer does not say"
        yield _warning("control_plane", f"it {what}, and such a cluster never hibernates: write `control_plane: keep`")
        return
    kept = _kept_up_by(case)
    if kept:
        yield _warning("control_plane", f"it will not hibernate, since these stay up: {join_some(kept)}")


def _kept_up_by(case: _Case) -> List[str]:
    """Name the servers and nodes that a stop leaves up, or that are not known to be off then."""
    as_it_is = (decide(case.cluster, _STOPPED, server, case.members) for server in case.servers)
    broken = [d for d in as_it_is if isinstance(d, Hold) and d.kind is HoldKind.NEEDS_PERSON]
    held = {d.server.server_id: d for d in (*_if_running(case), *broken) if isinstance(d, Hold)}
    names = [f"{_server_name(d.server)} ({d.reason})" for d in held.values()]
    nodes = case.facts.nodes
    if nodes is not None and not isinstance(nodes, CloudError):
        own = {server.server_id for server in case.servers}
        listed = case.facts.servers if not isinstance(case.facts.servers, CloudError) else ()
        known = {server.server_id for server in listed}
        for node in nodes:
            if node.server_id not in own:
                why = "not known to be its server" if node.server_id in known else "its server is not listed"
                names.append(f"{_node_name(node)} ({why if node.server_id else 'no server yet'})")
    return names


def _check_override(case: _Case) -> Iterator[Finding]:
    found = case.found
    if found is None:
        return
    if not case.schedules.remote_overrides:
        if found.tags and OVERRIDE_TAG in found.tags:
            yield _warning(
                "override",
                f"it has the tag {OVERRIDE_TAG}, and no run obeys it: write `remote_overrides: true`, or clear it by "
                f"`cce-scheduler override --clear {case.cluster.name}`",
            )
        return
    try:
        read_override(found.tags, case.now)
    except InputError as e:
        clear = f"`cce-scheduler override --clear {case.cluster.name}`"
        yield _refused("override", f"{e}; no run stops anything of it: {clear} removes the tag")


_CHECKS = (
    *(_check_cluster, _check_rights, _check_phase, _check_members, _check_pools),
    *(_check_charging, _check_servers, _check_control_plane, _check_override),
)


def _warning(check: str, message: str) -> Finding:
    return Finding(Verdict.WARNING, check, message)


def _refused(check: str, message: str) -> Finding:
    return Finding(Verdict.REFUSED, check, message)


def _server_name(server: Server) -> str:
    return server.name or server.server_id


def _node_name(node: Node) -> str:
    return node.name or node.node_id


def _servers(names: Sequence[str]) -> str:
    return f"{len(names)} server{'' if len(names) == 1 else 's'}"


def _nodes(names: Sequence[str]) -> str:
    return f"{len(names)} node{'' if len(names) == 1 else 's'}"
