"""One run: what is desired, what is observed, what to do about it, and doing it.

Nothing is kept between runs. A run that was lost, late, doubled or half-failed is healed by the next one.
"""

from datetime import datetime
from typing import Dict, List, Optional, Sequence, Tuple, Union

from scheduler.cloud import Cloud, Connect
from scheduler.cloud.listing import list_members
from scheduler.errors import CloudError, InputError
from scheduler.evaluate import desired_state
from scheduler.execute import Place, execute, place_of, side_by_side
from scheduler.model import (
    Cluster,
    ClusterPlan,
    Desired,
    Hold,
    HoldKind,
    OnExcludedDates,
    Power,
    Run,
    Schedules,
    State,
)
from scheduler.plan import Members, make_plan, plan_cluster
from scheduler.public_holidays import check_end

_Wanted = Tuple[Cluster, Desired]
_KEEP_FROM_STOPPING = (OnExcludedDates.RUNNING, OnExcludedDates.UNMANAGED)


def run_once(schedules: Schedules, at: datetime, connect: Connect, *, dry_run: bool = False) -> Run:
    """Observe, evaluate, plan and, unless ``dry_run``, apply. Raises nothing that a cloud does; see `Run`."""
    wanted = [(cluster, desired_state(cluster, at)) for cluster in schedules.clusters]
    places: Dict[Place, List[_Wanted]] = {}
    for cluster, desired in wanted:
        places.setdefault(place_of(cluster.region, cluster.project_id), []).append((cluster, desired))
    managed = [place for place, group in places.items() if _managed(group)]
    clouds: Dict[Place, Cloud] = {}
    try:
        seen = dict(zip(managed, side_by_side(lambda p: _observe(p, places[p], connect, clouds), managed)))
        plans = [_plan(c, desired, seen.get(place_of(c.region, c.project_id))) for c, desired in wanted]
        warnings, failure = check_end(schedules.calendars_end, at)
        if failure is not None:
            plans = [_spare_on_unknown_dates(planned) for planned in plans]
        plan = make_plan(at, plans, schedules.limits)._replace(warnings=warnings, failure=failure)
        outcomes = () if dry_run else tuple(execute(plan, clouds))
    finally:
        for cloud in clouds.values():
            cloud.close()
    return Run(plan, outcomes, dry_run)


def place_clusters(schedules: Schedules, region: Optional[str], project_id: Optional[str]) -> Schedules:
    """Give clusters without region or project those of the settings. Raises `InputError` where that leaves a gap."""
    placed = [
        c._replace(region=c.region or region or None, project_id=c.project_id or project_id or None)
        for c in schedules.clusters
    ]
    for word, what in (("region", "region"), ("project_id", "project id")):
        lacking = [c.name for c in placed if c.enabled and not getattr(c, word)]
        if lacking:
            names = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")  # noqa: PLR2004
            raise InputError(f"no {what} for {names}: write `{word}:` under `defaults:` or set it in the settings")
    return schedules._replace(clusters=tuple(placed))


def _spare_on_unknown_dates(planned: ClusterPlan) -> ClusterPlan:
    """Hold the stops of a cluster that a holiday would keep from them: after the calendars' end any day may be one."""
    timing = planned.cluster.timing
    if not timing.excluded_dates or timing.on_excluded_dates not in (
        OnExcludedDates.RUNNING,
        OnExcludedDates.UNMANAGED,
    ):
        return planned
    held = [
        Hold(HoldKind.EXCLUDED, action.server, "excluded: whether the date is a holiday is not known")
        for action in planned.actions
        if action.power is not Power.START
    ]
    starts = tuple(action for action in planned.actions if action.power is Power.START)
    return planned._replace(actions=starts, holds=(*planned.holds, *held))


def _managed(group: Sequence[_Wanted]) -> List[Cluster]:
    return [cluster for cluster, desired in group if desired.state is not State.UNMANAGED]


def _observe(
    place: Place, group: Sequence[_Wanted], connect: Connect, clouds: Dict[Place, Cloud]
) -> Union[Members, CloudError]:
    """List one place; a failure is a value, so that it stays with this place."""
    try:
        clouds[place] = cloud = connect(*place)
        return list_members(cloud, [cluster for cluster, _ in group], _managed(group))
    except CloudError as e:
        return e


def _plan(cluster: Cluster, desired: Desired, seen: Union[Members, CloudError, None]) -> ClusterPlan:
    if isinstance(seen, CloudError):
        return ClusterPlan(cluster, desired, error=seen if desired.state is not State.UNMANAGED else None)
    return plan_cluster(cluster, desired, seen or Members({}, {}))
