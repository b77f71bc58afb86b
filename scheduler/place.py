"""One place, a region and a project: what is observed there, and what is planned for its clusters.

What fails here is a value, so that it stays with its place, or with its cluster. Joining the places, and doing what is
planned, is ``reconcile.py``, which imports this only for a run of which anything is asked.
"""

from datetime import datetime
from http import HTTPStatus
from threading import Lock
from typing import Callable, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Union

from scheduler.cloud import Cloud
from scheduler.control_plane import ASLEEP, PASSING, UNDER_WORK, is_as_desired, plan_control_plane, prove_asleep
from scheduler.errors import CloudError, InputError, SchedulerError
from scheduler.evaluate import desired_state
from scheduler.execute import ClusterAction
from scheduler.localtime import parse_api_time
from scheduler.model import (
    CLUSTER_TAG,
    EVERY_CLUSTER,
    Action,
    CceCluster,
    Cluster,
    ClusterPlan,
    ControlPlane,
    ControlPlaneAction,
    ControlPlanePlan,
    Desired,
    Hold,
    HoldKind,
    OnExcludedDates,
    Overdue,
    Place,
    Power,
    Server,
    State,
)
from scheduler.observe import Seen, find_clusters, missing, observe, read_nodes, reads_nodes
from scheduler.plan import (
    Moment,
    decide,
    find_members,
    find_overdue,
    hold_instead,
    overdue_limit_s,
    plan_cluster,
)
from scheduler.remote_override import read_override, with_override

Found = Union[Mapping[str, CceCluster], CloudError, None]
"""The CCE clusters of a place by id; a failure where they could not be read, None where nobody asked."""

_EVALUATING = Lock()
"""Places are looked at side by side, and `desired_state` is for one thread."""


class Wanted(NamedTuple):
    """A cluster and what is desired of it; ``doubt`` is why its overrides are not known, so that it is not stopped."""

    cluster: Cluster
    desired: Desired
    doubt: Optional[SchedulerError] = None


class Looked(NamedTuple):
    """What is planned for the clusters of one place, and from what; ``seen`` is None where nothing was listed."""

    plans: Sequence[ClusterPlan]
    seen: Optional[Seen] = None


class Ask(NamedTuple):
    """What is asked of every place."""

    at: datetime
    moment: Moment
    remote_overrides: bool
    open_cloud: Callable[[Place], Cloud]


def look(ask: Ask, place: Place, wanted: Sequence[Wanted]) -> Looked:
    """Observe one place and plan its clusters; a failure is a value, so that it stays with this place."""
    clusters = [w.cluster for w in wanted]
    remote = ask.remote_overrides and any(cluster.enabled for cluster in clusters)
    if not remote and not _managed(wanted):
        return Looked([ClusterPlan(w.cluster, w.desired) for w in wanted])
    try:
        cloud = ask.open_cloud(place)
        found = _find_clusters(cloud) if remote or any(_hibernates(c) for c in _managed(wanted)) else None
        if remote:
            wanted = [_with_remote_override(w, found, ask.at) for w in wanted]
        managed = _managed(wanted)
        if not managed:
            return Looked([ClusterPlan(w.cluster, w.desired, error=w.doubt) for w in wanted])
        seen = observe(cloud, clusters, managed, [c.cluster_id for c in managed if _sleeps(c, found)])
        return Looked([_plan(ask, cloud, w, seen, found) for w in wanted], seen)
    except CloudError as e:
        return Looked(
            [ClusterPlan(w.cluster, w.desired, error=e if _is_asked_for(w, remote=remote) else None) for w in wanted]
        )


def look_again(ask: Ask, place: Looked, actions: Sequence[ClusterAction]) -> "Sequence[Union[Action, Hold, None]]":
    """List a place anew and decide again for the servers of some actions. Raises `CloudError`."""
    if place.seen is None:
        return [None] * len(actions)
    plans = {planned.cluster.name: planned for planned in place.plans}
    clusters = [planned.cluster for planned in place.plans]
    servers = place.seen.list_again()
    members = find_members(clusters, servers, place.seen.members.lists, by_nodes=place.seen.by_nodes)
    owned = {(cluster_id, s.server_id): s for cluster_id, found in members.servers.items() for s in found}
    decisions: List[Union[Action, Hold, None]] = []
    for name, action in actions:
        cluster, desired = plans[name].cluster, plans[name].desired
        server = owned.get((cluster.cluster_id, action.server.server_id))
        decisions.append(None if server is None else decide(cluster, desired, server, members, ask.moment))
    return decisions


def _find_clusters(cloud: Cloud) -> Found:
    try:
        return find_clusters(cloud)
    except CloudError as e:
        return e


def _managed(wanted: Sequence[Wanted]) -> List[Cluster]:
    return [w.cluster for w in wanted if w.desired.state is not State.UNMANAGED]


def _is_asked_for(wanted: Wanted, *, remote: bool) -> bool:
    """Whether something is asked of a cluster, or may be by an override that is not known."""
    return wanted.desired.state is not State.UNMANAGED or (remote and wanted.cluster.enabled)


def _hibernates(cluster: Cluster) -> bool:
    return cluster.control_plane is ControlPlane.HIBERNATE


def _with_remote_override(wanted: Wanted, found: Found, at: datetime) -> Wanted:
    """Return what is desired of a cluster with the override of its tag; see `Wanted.doubt` where that is not known."""
    cluster = wanted.cluster
    if not cluster.enabled:
        return wanted
    if isinstance(found, CloudError):
        return wanted._replace(doubt=found)
    try:
        override = read_override(found[cluster.cluster_id].tags, at) if found and cluster.cluster_id in found else None
    except InputError as e:
        return wanted._replace(doubt=e)
    if override is None:
        return wanted
    cluster = with_override(cluster, override)
    with _EVALUATING:
        return Wanted(cluster, desired_state(cluster, at))


def _plan(ask: Ask, cloud: Cloud, wanted: Wanted, seen: Seen, found: Found) -> ClusterPlan:
    """Plan one cluster from what was seen of its place."""
    cluster, desired, cluster_id = wanted.cluster, wanted.desired, wanted.cluster.cluster_id
    planned = plan_cluster(cluster, desired, seen.members, ask.moment)._replace(error=wanted.doubt)
    if desired.state is State.UNMANAGED:
        return planned
    if found is not None and not isinstance(found, CloudError) and cluster_id not in found:
        return ClusterPlan(cluster, desired, error=missing(cluster))
    sleeps = _sleeps(cluster, found)
    if cluster_id in seen.failed and reads_nodes(cluster) and not sleeps:
        return ClusterPlan(cluster, desired, error=seen.failed[cluster_id])
    if _hibernates(cluster):
        planned = _with_control_plane(planned, cloud, seen, found)
    if wanted.doubt is not None:
        planned = _spare(planned, f"excluded: its overrides are not known ({wanted.doubt})")
    if _may_be_kept_by_holidays(cluster, ask.at):
        planned = _spare(planned, "excluded: whether the date is a holiday is not known")
    planned = _with_overdue(planned, seen.members.servers[cluster_id], ask.moment)
    return planned if sleeps else _with_members_told(planned, seen, ask.moment)


def _sleeps(cluster: Cluster, found: Found) -> bool:
    """Whether a cluster's control plane is known to sleep, so that CCE need not answer for its nodes.

    Not to see them then is no failure: as long as it should sleep nothing is to be done, and else it is woken first.
    """
    if not _hibernates(cluster) or found is None or isinstance(found, CloudError) or cluster.cluster_id not in found:
        return False
    return found[cluster.cluster_id].phase in ASLEEP


def _with_control_plane(planned: ClusterPlan, cloud: Cloud, seen: Seen, found: Found) -> ClusterPlan:
    cluster, desired = planned.cluster, planned.desired
    if found is None or isinstance(found, CloudError):
        # Its stops wait too: nodes that stay down under a control plane that stays up may be deleted by an autoscaler.
        reason = "whether its control plane is awake is not known"
        return _hold_for_control_plane(planned, Power, reason)._replace(error=planned.error or found)
    step = plan_control_plane(desired, found[cluster.cluster_id], (*planned.actions, *planned.holds))
    if step.action is ControlPlaneAction.HIBERNATE:
        try:
            if cluster.cluster_id in seen.failed:
                raise seen.failed[cluster.cluster_id]
            nodes = seen.members.lists.get(cluster.cluster_id) or read_nodes(cloud, cluster)
        except CloudError as e:
            step = step._replace(action=None, reason="kept up: CCE's list of its nodes cannot be read")
            return planned._replace(control_plane=step, error=planned.error or e)
        step = prove_asleep(step, nodes.nodes, seen.members.servers[cluster.cluster_id])
    if desired.state is State.RUNNING and not is_as_desired(desired.state, step.phase):
        reason = f"waiting for the control plane: {step.phase or 'its phase is not known'}"
        planned = _hold_for_control_plane(planned, (Power.START,), reason)
    return planned._replace(control_plane=step)


def _with_overdue(planned: ClusterPlan, servers: Iterable[Server], moment: Moment) -> ClusterPlan:
    """Name what should have been as desired by now. A control plane has its time from the last of its servers on.

    Nothing that a tag asks for is: it does not say since when.
    """
    cluster, desired, step = planned.cluster, planned.desired, planned.control_plane
    if desired.since is None and desired.rule.kind == "override":
        return planned
    overdue = list(find_overdue(cluster, desired, (*planned.actions, *planned.holds), moment))
    if step and _is_waited_for(planned, step):
        late_s = _late_s(planned, moment, servers)
        if late_s is not None:
            phase = f"in phase {step.phase}" if step.phase else "in a phase that the answer does not tell"
            overdue.append(Overdue(f"the control plane is {phase}", late_s))
    return planned._replace(overdue=tuple(overdue))


def _is_waited_for(planned: ClusterPlan, step: ControlPlanePlan) -> bool:
    """Whether a control plane keeps a cluster from being as desired: not while people work on it, nor for a reason."""
    desired = planned.desired
    if step.is_kept or step.phase in UNDER_WORK or is_as_desired(desired.state, step.phase):
        return False
    if desired.since is None and step.phase in PASSING:  # a constant state knows no transition from which it is late
        return False
    waits = any(hold.kind is HoldKind.CONTROL_PLANE for hold in planned.holds)
    return desired.state is State.STOPPED or step.phase in ASLEEP or waits


def _with_members_told(planned: ClusterPlan, seen: Seen, moment: Moment) -> ClusterPlan:
    """Warn of a cluster without members, and of one whose members no tag names; fail if neither source can tell.

    At once where CCE knows no such cluster, and under a constant state; else once that is overdue.
    """
    cluster_id = planned.cluster.cluster_id
    tag = f"no server carries the tag {CLUSTER_TAG}={cluster_id}"
    if cluster_id in seen.by_nodes:
        return planned._replace(warnings=(f"{tag}: its servers are those of CCE's list of nodes",))
    if seen.members.servers[cluster_id] or cluster_id == EVERY_CLUSTER:
        return planned
    late_s, error = _late_s(planned, moment), seen.failed.get(cluster_id)
    if error is not None and error.status_code == HTTPStatus.NOT_FOUND:
        return planned._replace(error=planned.error or error)
    where = f"and CCE's list of its nodes cannot be read ({error})" if error else "and CCE lists no node of it"
    warning = f"{tag}, {where}: check cluster_id, region and project_id"
    desired = planned.desired
    if error is not None and desired.since is None and desired.rule.kind != "override":
        # Under a constant state nothing says since when it is late.
        return planned._replace(warnings=(warning,), error=planned.error or error)
    overdue = (Overdue("its servers cannot be found", late_s),) if error and late_s is not None else ()
    return planned._replace(warnings=(warning,), overdue=(*planned.overdue, *overdue))


def _late_s(planned: ClusterPlan, moment: Moment, servers: Iterable[Server] = ()) -> Optional[int]:
    """Return for how long a cluster, whose servers changed before, has been overdue as a whole; None if it is not."""
    changes = [parse_api_time(server.updated) for server in servers]
    begun = max((at for at in (planned.desired.since, *changes) if at is not None), default=None)
    if moment.now is None or begun is None:
        return None
    passed_s = int((moment.now - begun).total_seconds())
    return passed_s if passed_s >= overdue_limit_s(planned.cluster, moment.every_s) else None


def _may_be_kept_by_holidays(cluster: Cluster, at: datetime) -> bool:
    """Whether a holiday would keep a cluster from being stopped: after its calendars' end any day may be one."""
    timing = cluster.timing
    is_unknown = timing.calendars_end is not None and at >= timing.calendars_end.at
    return is_unknown and timing.on_excluded_dates in (OnExcludedDates.RUNNING, OnExcludedDates.UNMANAGED)


def _spare(planned: ClusterPlan, reason: str) -> ClusterPlan:
    """Hold every stop of a cluster, and the hibernation of its control plane."""

    def hold(action: Action) -> Optional[Hold]:
        return None if action.power is Power.START else Hold(HoldKind.EXCLUDED, action.server, reason)

    step = planned.control_plane
    if step is not None and step.action is ControlPlaneAction.HIBERNATE:
        planned = planned._replace(control_plane=step._replace(action=None, reason=f"kept up: {reason}", is_kept=True))
    return hold_instead(planned, hold)


def _hold_for_control_plane(planned: ClusterPlan, powers: Iterable[Power], reason: str) -> ClusterPlan:
    held = frozenset(powers)

    def hold(action: Action) -> Optional[Hold]:
        return Hold(HoldKind.CONTROL_PLANE, action.server, reason) if action.power in held else None

    return hold_instead(planned, hold)
