"""Carrying out a plan: batches across clusters, side by side, and what became of every action.

A batch is one POST: servers of one (region, project) and one power, at most `BATCH_SIZE`. Places are isolated: what
fails for one is reported for it, and the others are carried out. What becomes of a batch:

==========================  ============================================================================
answer                      what follows
==========================  ============================================================================
accepted                    nothing: the next run sees what came of it
refused for its servers     list again; those that still need it are sent by halves, in the plan's order
outcome unknown             list again; those that have begun to obey are accepted, the others failed
the platform's own limit    nothing more is sent to this place; the next run goes on
no time left                the rest is left to the next run
anything else               its servers failed
==========================  ============================================================================

No action is sent at or after the next transition of its cluster: the next run decides what is wanted then.
"""

from typing import (
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
    Union,
)

from scheduler.cloud import BATCH_SIZE, Cloud
from scheduler.cloud.patience import patiently
from scheduler.errors import (
    CloudError,
    OutOfTimeError,
    RefusedError,
    SchedulerError,
    TemporaryCloudError,
    ThrottledCloudError,
    UnknownOutcomeError,
)
from scheduler.model import (
    Action,
    Clock,
    ControlPlaneAction,
    ControlPlaneOutcome,
    Hold,
    HoldKind,
    Outcome,
    Place,
    Plan,
    Power,
    StopType,
    place_of,
)

ClusterAction = Tuple[str, Action]
"""An action and the name of its cluster."""
LookAgain = Callable[[Place, Sequence[ClusterAction]], Sequence[Union[Action, Hold, None]]]
"""Lists a place again and decides again for the servers of some actions; None for one that is gone."""

_THREADS = 4
_LIMIT = "the platform's limit is reached"
_OVER = "its next transition has come"
_STEP = 0.6180339887498949
"""Multiples of the golden ratio fall evenly into a circle, whatever the period of the runs."""
_OBEYING = frozenset({HoldKind.ALREADY, HoldKind.STOPPING, HoldKind.IN_TRANSITION})
_In = TypeVar("_In")
_Out = TypeVar("_Out")


class _Batch(NamedTuple):
    place: Place
    power: Power
    actions: Sequence[ClusterAction]


class _Step(NamedTuple):
    """A step of a control plane."""

    place: Place
    cluster: str
    action: ControlPlaneAction


def execute(
    plan: Plan, clouds: Mapping[Place, Cloud], clock: Clock, look_again: LookAgain
) -> Tuple[List[Outcome], List[ControlPlaneOutcome]]:
    """Send what a plan asks for, its stops only if no guard refuses them; never raises a `CloudError`."""
    refused = [
        Outcome(cluster.cluster.name, action.power, action.server, plan.refusal)
        for cluster in plan.clusters
        for action in cluster.actions
        if plan.refusal and action.power is not Power.START
    ]
    sender = _Sender(plan, clouds, clock, look_again)
    sent = side_by_side(sender.send, list(_make_batches(plan)))
    steps = side_by_side(sender.take, list(_make_steps(plan)))
    return [*refused, *(outcome for outcomes in sent for outcome in outcomes)], steps


def side_by_side(work: Callable[[_In], _Out], items: Sequence[_In]) -> List[_Out]:
    """Apply a function to every item, a few at a time, and return the results in order."""
    if len(items) <= 1:
        return [work(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor  # brings ``logging`` along

    with ThreadPoolExecutor(min(_THREADS, len(items))) as pool:
        return list(pool.map(work, items))


def _make_batches(plan: Plan) -> Iterator[_Batch]:
    """Yield the batches. What does not fit into one begins elsewhere in each run, so that no server starves."""
    groups: Dict[Tuple[Place, Power], List[ClusterAction]] = {}
    for planned in plan.clusters:
        place = place_of(planned.cluster.region, planned.cluster.project_id)
        for action in planned.actions:
            if plan.refusal is None or action.power is Power.START:
                groups.setdefault((place, action.power), []).append((planned.cluster.name, action))
    turn = plan.at.timestamp() // 60 * _STEP % 1
    for (place, power), actions in _rotate(list(groups.items()), turn):
        turned = _rotate(actions, turn) if len(actions) > BATCH_SIZE else actions
        for first in range(0, len(turned), BATCH_SIZE):
            yield _Batch(place, power, turned[first : first + BATCH_SIZE])


def _rotate(items: Sequence[_In], turn: float) -> Sequence[_In]:
    """Return the items from another one on; ``turn`` is the part of the circle, from 0 to 1."""
    first = int(turn * len(items))
    return [*items[first:], *items[:first]]


def _make_steps(plan: Plan) -> Iterator[_Step]:
    for planned in plan.clusters:
        action = planned.control_plane.action if planned.control_plane else None
        if action is not None:
            yield _Step(place_of(planned.cluster.region, planned.cluster.project_id), planned.cluster.name, action)


class _Sender:
    """Sends batches; shared by threads. A place that reached the platform's limit is ``halted`` for this run."""

    def __init__(self, plan: Plan, clouds: Mapping[Place, Cloud], clock: Clock, look_again: LookAgain) -> None:
        self._refusal = plan.refusal
        self._ids = {c.cluster.name: c.cluster.cluster_id for c in plan.clusters}
        self._until = {c.cluster.name: c.desired.until for c in plan.clusters}
        self._clouds = clouds
        self._clock = clock
        self._look_again = look_again
        self._halted: Set[Place] = set()

    def send(self, batch: _Batch) -> List[Outcome]:
        """Send one batch, and see to what becomes of it."""
        return self._deliver(batch, self._send_again)

    def _deliver(self, batch: _Batch, if_refused: Callable[[_Batch, RefusedError], List[Outcome]]) -> List[Outcome]:
        late = {name for name, _ in batch.actions if self._is_over(name)}
        found = [_left(batch.power, a, _OVER) for a in batch.actions if a[0] in late]
        batch = batch._replace(actions=[a for a in batch.actions if a[0] not in late])
        if not batch.actions:
            return found
        try:
            self._post(batch)
        except RefusedError as e:
            return found + if_refused(batch, e)
        except UnknownOutcomeError as e:
            return found + self._see(batch, e)
        except (ThrottledCloudError, OutOfTimeError) as e:
            why = self._why_left(batch.place, e)
            return found + [_left(batch.power, action, why) for action in batch.actions]
        except CloudError as e:
            return found + [_outcome(batch.power, action, e) for action in batch.actions]
        return found + [_outcome(batch.power, action) for action in batch.actions]

    def take(self, step: _Step) -> ControlPlaneOutcome:
        """Take one step of a control plane."""
        done = ControlPlaneOutcome(step.cluster, step.action)
        if self._refusal and step.action is ControlPlaneAction.HIBERNATE:
            return done._replace(error=self._refusal)
        if self._is_over(step.cluster):
            return done._replace(left=_OVER)
        try:
            self._ask(step)
        except (ThrottledCloudError, OutOfTimeError) as e:
            return done._replace(left=self._why_left(step.place, e))
        except UnknownOutcomeError as e:
            return done._replace(error=e)
        except (RefusedError, TemporaryCloudError) as e:  # its phase may lag; one that stays so becomes overdue
            return done._replace(left=str(e))
        except CloudError as e:
            return done._replace(error=e)
        return done

    def _ask(self, step: _Step) -> None:
        if step.place in self._halted:
            raise ThrottledCloudError(_LIMIT)
        cloud, cluster_id = self._clouds[step.place], self._ids[step.cluster]
        ask = cloud.hibernate if step.action is ControlPlaneAction.HIBERNATE else cloud.awake
        self._try([step.cluster], lambda: ask(cluster_id))

    def _is_over(self, name: str) -> bool:
        until = self._until[name]
        return until is not None and self._clock.now() >= until

    def _post(self, batch: _Batch) -> None:
        if batch.place in self._halted:
            raise ThrottledCloudError(_LIMIT)
        cloud = self._clouds[batch.place]
        server_ids = [action.server.server_id for _, action in batch.actions]
        names = [name for name, _ in batch.actions]
        if batch.power is Power.START:
            self._try(names, lambda: cloud.start(server_ids))
        else:
            stop_type = StopType.HARD if batch.power is Power.STOP_HARD else StopType.SOFT
            self._try(names, lambda: cloud.stop(server_ids, stop_type))

    def _try(self, names: Iterable[str], call: Callable[[], object]) -> None:
        """Send an action for some clusters; what never left is sent again, before the first of their transitions."""
        ends = [until for until in (self._until[name] for name in names) if until is not None]
        patiently(call, self._clock, acts=True, until=min(ends, default=None))

    def _why_left(self, place: Place, error: CloudError) -> str:
        if isinstance(error, ThrottledCloudError):
            self._halted.add(place)
            return _LIMIT
        return "no time was left in the run"

    def _send_again(self, batch: _Batch, refusal: RefusedError) -> List[Outcome]:
        """Send what still needs it after a batch was refused: as a whole if that is less, else by halves.

        One refused server among n costs at most 2·ceil(log2 n) + 2 further calls, pages of the listing included.
        """
        try:
            decisions = self._look_again(batch.place, batch.actions)
        except CloudError:
            return [_outcome(batch.power, action, refusal) for action in batch.actions]
        found, still = [], []
        for action, decision in zip(batch.actions, decisions):
            if isinstance(decision, Action) and decision.power is batch.power:
                still.append(action)
            else:
                found.append(_left(batch.power, action, _changed(decision)))
        rest = batch._replace(actions=still)
        return found + (self._deliver(rest, self._halve) if found else self._halve(rest, refusal))

    def _halve(self, batch: _Batch, refusal: RefusedError) -> List[Outcome]:
        if len(batch.actions) == 1:
            return [_outcome(batch.power, batch.actions[0], refusal)]
        middle = (len(batch.actions) + 1) // 2
        halves = (batch.actions[:middle], batch.actions[middle:])
        return [o for half in halves for o in self._deliver(batch._replace(actions=half), self._halve)]

    def _see(self, batch: _Batch, unknown: UnknownOutcomeError) -> List[Outcome]:
        """List again after an answer was lost: what has begun to obey was accepted."""
        try:
            decisions: Sequence[Union[Action, Hold, None]] = self._look_again(batch.place, batch.actions)
        except CloudError:
            decisions = [None] * len(batch.actions)
        return [
            _outcome(batch.power, action, None if isinstance(d, Hold) and d.kind in _OBEYING else unknown)
            for action, d in zip(batch.actions, decisions)
        ]


def _outcome(power: Power, action: ClusterAction, error: Optional[SchedulerError] = None) -> Outcome:
    return Outcome(action[0], power, action[1].server, error)


def _left(power: Power, action: ClusterAction, why: str) -> Outcome:
    return Outcome(action[0], power, action[1].server, left=why)


def _changed(decision: Union[Action, Hold, None]) -> str:
    """Say why an action is not needed any more."""
    if decision is None:
        return "it is not listed any more"
    return f"it has changed meanwhile: {decision.reason if isinstance(decision, Hold) else decision.power.value}"
