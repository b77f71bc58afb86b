"""Carrying out a plan: batches across clusters, side by side, and what became of every action.

A batch is one POST: servers of one (region, project) and one power, at most `BATCH_SIZE`. Groups are isolated:
what fails for one is reported for it, and the others are carried out.
"""

from typing import Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar

from scheduler.cloud import BATCH_SIZE, Cloud
from scheduler.errors import CloudError
from scheduler.model import Action, Outcome, Plan, Power, StopType

Place = Tuple[str, str]
"""A region and a project id: what one client talks to."""

_THREADS = 4
_In = TypeVar("_In")
_Out = TypeVar("_Out")


class _Batch(NamedTuple):
    place: Place
    power: Power
    actions: Sequence[Tuple[str, Action]]


def execute(plan: Plan, clouds: Mapping[Place, Cloud]) -> List[Outcome]:
    """Send what a plan asks for, its stops only if no guard refuses them; never raises a `CloudError`."""
    refused = [
        Outcome(cluster.cluster.name, action.power, action.server, plan.refusal)
        for cluster in plan.clusters
        for action in cluster.actions
        if plan.refusal and action.power is not Power.START
    ]
    batches = list(_make_batches(plan))
    sent = side_by_side(lambda batch: _send(batch, clouds[batch.place]), batches)
    return [*refused, *(outcome for outcomes in sent for outcome in outcomes)]


def side_by_side(work: Callable[[_In], _Out], items: Sequence[_In]) -> List[_Out]:
    """Apply a function to every item, a few at a time, and return the results in order."""
    if len(items) <= 1:
        return [work(item) for item in items]
    # Imported here: it brings ``logging`` along, and a run in which nothing is managed needs neither.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(_THREADS, len(items))) as pool:
        return list(pool.map(work, items))


def place_of(region: Optional[str], project_id: Optional[str]) -> Place:
    """Return the place of a cluster whose region and project are known."""
    return region or "", project_id or ""


def _make_batches(plan: Plan) -> Iterator[_Batch]:
    groups: Dict[Tuple[Place, Power], List[Tuple[str, Action]]] = {}
    for planned in plan.clusters:
        place = place_of(planned.cluster.region, planned.cluster.project_id)
        for action in planned.actions:
            if plan.refusal is None or action.power is Power.START:
                groups.setdefault((place, action.power), []).append((planned.cluster.name, action))
    for (place, power), actions in groups.items():
        for first in range(0, len(actions), BATCH_SIZE):
            yield _Batch(place, power, actions[first : first + BATCH_SIZE])


def _send(batch: _Batch, cloud: Cloud) -> List[Outcome]:
    server_ids = [action.server.server_id for _, action in batch.actions]
    error: Optional[CloudError] = None
    try:
        if batch.power is Power.START:
            cloud.start(server_ids)
        else:
            cloud.stop(server_ids, StopType.HARD if batch.power is Power.STOP_HARD else StopType.SOFT)
    except CloudError as e:
        error = e
    return [Outcome(cluster, batch.power, action.server, error) for cluster, action in batch.actions]
