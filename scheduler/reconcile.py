"""One run: what is desired, what is observed, what to do about it, and doing it.

Nothing is kept between runs. A run that was lost, late, doubled or half-failed is healed by the next one.
"""

from datetime import datetime
from typing import Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Union

from scheduler.cloud import Cloud, Connect
from scheduler.cloud.patience import Clock, PatientCloud
from scheduler.control_plane import ASLEEP, is_as_desired, plan_control_plane, prove_asleep
from scheduler.errors import CloudError, InputError, SchedulerError
from scheduler.evaluate import desired_state
from scheduler.execute import ClusterAction, Place, execute, place_of, side_by_side
from scheduler.model import (
    CLUSTER_TAG,
    EVERY_CLUSTER,
    Action,
    CceCluster,
    Cluster,
    ClusterPlan,
    ControlPlane,
    ControlPlaneAction,
    Desired,
    Hold,
    HoldKind,
    OnExcludedDates,
    Overdue,
    Power,
    Run,
    Schedules,
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
    make_plan,
    overdue_limit_s,
    parse_api_time,
    plan_cluster,
)
from scheduler.public_holidays import check_end
from scheduler.remote_override import read_override, with_override

Found = Union[Mapping[str, CceCluster], CloudError, None]
"""The CCE clusters of a place by id; a failure where they could not be read, None where nobody asked."""


class _Wanted(NamedTuple):
    """A cluster and what is desired of it; ``doubt`` is why its overrides are not known, so that it is not stopped."""

    cluster: Cluster
    desired: Desired
    doubt: Optional[SchedulerError] = None


class _Place(NamedTuple):
    """What is planned for the clusters of one place, and from what; ``seen`` is None where nothing was listed."""

    plans: Sequence[ClusterPlan]
    seen: Optional[Seen] = None


class _Ask(NamedTuple):
    """What is asked of every place."""

    schedules: Schedules
    at: datetime
    moment: Moment
    open_cloud: Callable[[Place], Cloud]


def run_once(  # noqa: PLR0913 - two of them are switches
    schedules: Schedules, at: datetime, connect: Connect, clock: Clock, *, dry_run: bool = False, is_now: bool = True
) -> Run:
    """Observe, evaluate, plan and, unless ``dry_run``, apply. Raises nothing that a cloud does; see `Run`.

    ``is_now`` is False where nothing can be late: for a look at another time than that of the observation, and for an
    action that nobody asked for until now.
    """
    groups: Dict[Place, List[Cluster]] = {}
    for cluster in schedules.clusters:
        groups.setdefault(place_of(cluster.region, cluster.project_id), []).append(cluster)
    clouds: Dict[Place, Cloud] = {}

    def open_cloud(place: Place) -> Cloud:
        clouds[place] = cloud = PatientCloud(connect(*place), clock)
        return cloud

    ask = _Ask(schedules, at, Moment(at if is_now else None, schedules.function.every_s), open_cloud)
    try:
        places = dict(zip(groups, side_by_side(lambda p: _look(ask, p, groups[p]), list(groups))))
        found = {planned.cluster.name: planned for place in places.values() for planned in place.plans}
        plans = [found[cluster.name] for cluster in schedules.clusters]
        warnings, failure = check_end(schedules.calendars_end, at)
        if failure is not None:
            plans = [_spare_on_unknown_dates(planned) for planned in plans]
        plan = make_plan(at, plans, schedules.limits)._replace(warnings=warnings, failure=failure)
        if dry_run:
            return Run(plan, dry_run=True)
        outcomes, steps = execute(plan, clouds, clock, lambda p, actions: _look_again(ask, places[p], actions))
        return Run(plan, tuple(outcomes), control_planes=tuple(steps))
    finally:
        for cloud in clouds.values():
            cloud.close()


def place_clusters(schedules: Schedules, region: Optional[str], project_id: Optional[str]) -> Schedules:
    """Give clusters without region or project those of the settings. Raises `InputError` where that leaves a gap."""
    placed = [
        c
        if c.region and c.project_id
        else c._replace(region=c.region or region or None, project_id=c.project_id or project_id or None)
        for c in schedules.clusters
    ]
    for word, what in (("region", "region"), ("project_id", "project id")):
        lacking = [c.name for c in placed if c.enabled and not getattr(c, word)]
        if lacking:
            names = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")  # noqa: PLR2004
            raise InputError(f"no {what} for {names}: write `{word}:` under `defaults:` or set it in the settings")
    return schedules._replace(clusters=tuple(placed))


def _look(ask: _Ask, place: Place, clusters: Sequence[Cluster]) -> _Place:
    """Observe one place and plan its clusters; a failure is a value, so that it stays with this place."""
    wanted = [_Wanted(cluster, desired_state(cluster, ask.at)) for cluster in clusters]
    remote = ask.schedules.remote_overrides and any(cluster.enabled for cluster in clusters)
    if not remote and not _managed(wanted):
        return _Place([ClusterPlan(w.cluster, w.desired) for w in wanted])
    try:
        cloud = ask.open_cloud(place)
        found = _find_clusters(cloud) if remote or any(_hibernates(c) for c in _managed(wanted)) else None
        if remote:
            wanted = [_with_remote_override(w, found, ask.at) for w in wanted]
        managed = _managed(wanted)
        if not managed:
            return _Place([ClusterPlan(w.cluster, w.desired, error=w.doubt) for w in wanted])
        seen = observe(cloud, clusters, managed, [c.cluster_id for c in managed if _sleeps(c, found)])
        return _Place([_plan(ask, cloud, w, seen, found) for w in wanted], seen)
    except CloudError as e:
        return _Place(
            [ClusterPlan(w.cluster, w.desired, error=e if _is_asked_for(w, remote=remote) else None) for w in wanted]
        )


def _look_again(ask: _Ask, place: _Place, actions: Sequence[ClusterAction]) -> "Sequence[Union[Action, Hold, None]]":
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


def _managed(wanted: Sequence[_Wanted]) -> List[Cluster]:
    return [w.cluster for w in wanted if w.desired.state is not State.UNMANAGED]


def _is_asked_for(wanted: _Wanted, *, remote: bool) -> bool:
    """Whether something is asked of a cluster, or may be by an override that is not known."""
    return wanted.desired.state is not State.UNMANAGED or (remote and wanted.cluster.enabled)


def _hibernates(cluster: Cluster) -> bool:
    return cluster.control_plane is ControlPlane.HIBERNATE


def _with_remote_override(wanted: _Wanted, found: Found, at: datetime) -> _Wanted:
    """Return what is desired of a cluster with the override of its tag; see `_Wanted.doubt` where that is not known."""
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
    return _Wanted(cluster, desired_state(cluster, at))


def _plan(ask: _Ask, cloud: Cloud, wanted: _Wanted, seen: Seen, found: Found) -> ClusterPlan:
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
        reason = "whether its control plane is awake is not known"
        return _hold_starts(planned, reason)._replace(error=planned.error or found)
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
        planned = _hold_starts(planned, f"waiting for the control plane: {step.phase or 'its phase is not known'}")
    return planned._replace(control_plane=step)


def _with_overdue(planned: ClusterPlan, servers: Iterable[Server], moment: Moment) -> ClusterPlan:
    """Name what should have been as desired by now. A control plane has its time from the last of its servers on."""
    cluster, desired, step = planned.cluster, planned.desired, planned.control_plane
    overdue = list(find_overdue(cluster, desired, (*planned.actions, *planned.holds), moment))
    late_s = _late_s(planned, moment, servers)
    if step and late_s is not None and not step.is_kept and not is_as_desired(desired.state, step.phase):
        overdue.append(Overdue(f"the control plane is in phase {step.phase}", late_s))
    return planned._replace(overdue=tuple(overdue))


def _with_members_told(planned: ClusterPlan, seen: Seen, moment: Moment) -> ClusterPlan:
    """Warn of a cluster without members, and of one whose members no tag names; fail if neither source can tell."""
    cluster_id = planned.cluster.cluster_id
    tag = f"no server carries the tag {CLUSTER_TAG}={cluster_id}"
    if cluster_id in seen.by_nodes:
        return planned._replace(warnings=(f"{tag}: its servers are those of CCE's list of nodes",))
    if seen.members.servers[cluster_id] or cluster_id == EVERY_CLUSTER:
        return planned
    late_s, error = _late_s(planned, moment), seen.failed.get(cluster_id)
    where = f"and CCE's list of its nodes cannot be read ({error})" if error else "and CCE lists no node of it"
    warning = f"{tag}, {where}: check cluster_id, region and project_id"
    overdue = (Overdue("its servers cannot be found", late_s),) if error and late_s is not None else ()
    return planned._replace(warnings=(warning,), overdue=(*planned.overdue, *overdue))


def _late_s(planned: ClusterPlan, moment: Moment, servers: Iterable[Server] = ()) -> Optional[int]:
    """Return for how long a cluster, whose servers changed before, has been overdue as a whole; None if it is not."""
    if moment.now is None or planned.desired.since is None:
        return None
    changes = filter(None, (parse_api_time(server.updated) for server in servers))
    passed_s = int((moment.now - max([planned.desired.since, *changes])).total_seconds())
    return passed_s if passed_s >= overdue_limit_s(planned.cluster, moment.every_s) else None


def _spare_on_unknown_dates(planned: ClusterPlan) -> ClusterPlan:
    """Hold the stops of a cluster that a holiday would keep from them: after the calendars' end any day may be one."""
    timing = planned.cluster.timing
    may_keep = timing.on_excluded_dates in (OnExcludedDates.RUNNING, OnExcludedDates.UNMANAGED)
    if not timing.excluded_dates or not may_keep:
        return planned
    return _spare(planned, "excluded: whether the date is a holiday is not known")


def _spare(planned: ClusterPlan, reason: str) -> ClusterPlan:
    """Hold every stop of a cluster, and the hibernation of its control plane."""

    def hold(action: Action) -> Optional[Hold]:
        return None if action.power is Power.START else Hold(HoldKind.EXCLUDED, action.server, reason)

    step = planned.control_plane
    if step is not None and step.action is ControlPlaneAction.HIBERNATE:
        planned = planned._replace(control_plane=step._replace(action=None, reason=f"kept up: {reason}", is_kept=True))
    return hold_instead(planned, hold)


def _hold_starts(planned: ClusterPlan, reason: str) -> ClusterPlan:
    def hold(action: Action) -> Optional[Hold]:
        return Hold(HoldKind.CONTROL_PLANE, action.server, reason) if action.power is Power.START else None

    return hold_instead(planned, hold)
