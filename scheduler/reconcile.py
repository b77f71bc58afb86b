"""One run: what is desired, what is observed, what to do about it, and doing it.

Nothing is kept between runs. A run that was lost, late, doubled or half-failed is healed by the next one.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Container, Dict, Iterable, List, Optional, Tuple

from scheduler.describe import join_some
from scheduler.errors import InputError, SchedulerError
from scheduler.evaluate import desired_state
from scheduler.model import Clock, Cluster, ClusterPlan, Desired, Place, Plan, Rule, Run, Schedules, State, place_of

if TYPE_CHECKING:
    from scheduler.cloud import Cloud, Connect
    from scheduler.place import Wanted

_NOT_ASKED = Desired(State.UNMANAGED, "not asked for", Rule("enabled"), None, None)


def run_once(  # noqa: PLR0913 - two of them are switches
    schedules: Schedules,
    at: datetime,
    connect: "Connect",
    clock: Clock,
    *,
    dry_run: bool = False,
    is_now: bool = True,
) -> Run:
    """Evaluate, observe, plan and, unless ``dry_run``, apply. Raises nothing that a cloud does; see `Run`.

    ``is_now`` is False where nothing can be late: for a look at another time than that of the observation, and for an
    action that nobody asked for until now.
    """
    warnings, failure = _check_calendars(schedules, at)
    desired = [desired_state(cluster, at) for cluster in schedules.clusters]
    if not schedules.remote_overrides and all(d.state is State.UNMANAGED for d in desired):
        # With `enforce` a duration, that is most runs: what looks, plans and sends is not even imported.
        plans = tuple(map(ClusterPlan, schedules.clusters, desired))
        return Run(Plan(at, plans, None, warnings, failure), dry_run=dry_run)

    from scheduler.cloud.patience import PatientCloud
    from scheduler.execute import execute, side_by_side
    from scheduler.place import Ask, Wanted, look, look_again
    from scheduler.plan import Moment, make_plan

    groups: "Dict[Place, List[Wanted]]" = {}
    for wanted in map(Wanted, schedules.clusters, desired):
        groups.setdefault(place_of(wanted.cluster.region, wanted.cluster.project_id), []).append(wanted)
    for cluster in schedules.bystanders:
        place = place_of(cluster.region, cluster.project_id)
        if place in groups:
            groups[place].append(Wanted(cluster, _NOT_ASKED))
    clouds: "Dict[Place, Cloud]" = {}

    def open_cloud(place: Place) -> "Cloud":
        clouds[place] = cloud = PatientCloud(connect(*place), clock)
        return cloud

    moment = Moment(at if is_now else None, schedules.function.every_s)
    ask = Ask(at, moment, schedules.remote_overrides, open_cloud)
    try:
        places = dict(zip(groups, side_by_side(lambda p: look(ask, p, groups[p]), list(groups))))
        found = {planned.cluster.name: planned for place in places.values() for planned in place.plans}
        plans = tuple(found[cluster.name] for cluster in schedules.clusters)
        plan = make_plan(at, plans, schedules.limits)._replace(warnings=warnings, failure=failure)
        if dry_run:
            return Run(plan, dry_run=True)
        outcomes, steps = execute(plan, clouds, clock, lambda p, actions: look_again(ask, places[p], actions))
        return Run(plan, tuple(outcomes), control_planes=tuple(steps))
    finally:
        for cloud in clouds.values():
            cloud.close()


def select_clusters(schedules: Schedules, names: Optional[Iterable[str]]) -> Schedules:
    """Return only the clusters of these names. Raises `InputError` for a name that is not in the file."""
    if names is None:
        return schedules
    wanted = list(names)
    known = [c.name for c in schedules.clusters]
    for name in wanted:
        if name not in known:
            from scheduler.document import suggest

            raise InputError(f'no cluster "{name}" in the file: {suggest(name, known)}')
    return narrow(schedules, wanted)


def narrow(schedules: Schedules, names: Container[str]) -> Schedules:
    """Return only the clusters of these names, some of which may be in another file."""
    others = [c for c in schedules.clusters if c.name not in names]
    return schedules._replace(
        clusters=tuple(c for c in schedules.clusters if c.name in names),
        bystanders=(*schedules.bystanders, *(c for c in others if c.claims_by_nodes)),
    )


def place_clusters(schedules: Schedules, region: Optional[str], project_id: Optional[str]) -> Schedules:
    """Give clusters without region or project those of the settings. Raises `InputError` where that leaves a gap."""
    if all(c.region and c.project_id for c in (*schedules.clusters, *schedules.bystanders)):
        return schedules

    def place(cluster: Cluster) -> Cluster:
        if cluster.region and cluster.project_id:
            return cluster
        return cluster._replace(
            region=cluster.region or region or None, project_id=cluster.project_id or project_id or None
        )

    placed = [place(cluster) for cluster in schedules.clusters]
    for word, what in (("region", "region"), ("project_id", "project id")):
        lacking = [c.name for c in placed if c.enabled and not getattr(c, word)]
        if lacking:
            names = join_some(lacking)
            raise InputError(f"no {what} for {names}: write `{word}:` under `defaults:` or set it in the settings")
    return schedules._replace(clusters=tuple(placed), bystanders=tuple(map(place, schedules.bystanders)))


def _check_calendars(schedules: Schedules, at: datetime) -> Tuple[Tuple[str, ...], Optional[SchedulerError]]:
    """Return the warnings and the failure that the end of the public holidays means at an instant."""
    end = schedules.calendars_end
    if end is None:
        return (), None
    from scheduler.public_holidays import check_end

    return check_end(end, at)
