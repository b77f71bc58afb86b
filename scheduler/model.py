"""The values that the program passes around: schedules, desired states, servers, plans.

Nothing is decided here. Values are named tuples, not dataclasses: they are as immutable and typed,
and ``import dataclasses`` alone costs a third of what the whole cold start of a run may cost.
Instants are aware datetimes in UTC unless a name says ``local``; durations are whole seconds, ``_s``.
"""

from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Callable, Mapping, NamedTuple, NewType, Optional, Sequence, Tuple

from scheduler.errors import SchedulerError

if TYPE_CHECKING:
    from decimal import Decimal

ClusterId = NewType("ClusterId", str)
ServerId = NewType("ServerId", str)
JobId = NewType("JobId", str)
Place = Tuple[str, str]
"""A region and a project id: what one client talks to."""

CLUSTER_TAG = "CCE-Cluster-ID"
"""The ECS tag that names the CCE cluster of a node; its value is the cluster's uid."""
OFF_TAG = "cce-scheduler"
"""The ECS tag that keeps a server from being touched, whatever its value but ``on``."""
BARE_METAL_TAG = "__type_baremetal"
"""The key of the ECS tag of a physical server, which is billed while it is stopped."""
EVERY_CLUSTER = ClusterId("*")
"""In one-shot mode: the servers of all CCE clusters of the project."""


class State(str, Enum):
    """The power state that a schedule asks for; ``unmanaged`` asks for none."""

    RUNNING = "running"
    STOPPED = "stopped"
    UNMANAGED = "unmanaged"


class StopType(str, Enum):
    """How a server is stopped: SOFT asks the guest to shut down, HARD cuts the power."""

    SOFT = "SOFT"
    HARD = "HARD"


class OnExcludedDates(str, Enum):
    """What an excluded date means: starts do not happen on it, or the whole day has one state."""

    NO_START = "no_start"
    STOPPED = "stopped"
    RUNNING = "running"
    UNMANAGED = "unmanaged"


class ControlPlane(str, Enum):
    """Whether the CCE control plane follows the schedule too."""

    KEEP = "keep"
    HIBERNATE = "hibernate"


class Membership(str, Enum):
    """How the servers of a cluster are found: by their ECS tag, or through CCE's list of nodes."""

    TAGS = "tags"
    NODES = "nodes"


class AutoscaledPools(str, Enum):
    """Whether nodes are stopped although an autoscaler may delete them for it."""

    REFUSE = "refuse"
    ACCEPT = "accept"


class Window(NamedTuple):
    """Two cron expressions in the timing's zone; one of them is None in a one-sided window."""

    start: Optional[str]
    stop: Optional[str]


class Override(NamedTuple):
    """A dated departure from a schedule, from ``start`` (included) to ``end`` (not), in UTC."""

    state: State
    start: datetime
    end: datetime
    reason: str


class CalendarsEnd(NamedTuple):
    """The ``last`` local date for which public holidays are known, and the first instant ``at`` after it."""

    last: date
    at: datetime


class Timing(NamedTuple):
    """When a cluster should be in which state. Clusters with equal timings share one object.

    Either ``state`` is set (constant) or ``windows`` is not empty. ``excluded_dates`` maps local dates,
    ISO ``YYYY-MM-DD``, to the name of what excludes them; ``calendars_end`` is the earliest one of the countries'
    calendars among what excludes them. ``enforce_s`` is None for ``always``, which a constant state is.
    """

    timezone: str
    state: Optional[State] = None
    windows: Tuple[Window, ...] = ()
    excluded_dates: Mapping[str, str] = {}
    on_excluded_dates: OnExcludedDates = OnExcludedDates.NO_START
    overrides: Tuple[Override, ...] = ()
    enforce_s: Optional[int] = None
    calendars_end: Optional[CalendarsEnd] = None

    @property
    def is_one_sided(self) -> bool:
        """Whether the windows have only starts or only stops; they are never mixed with two-sided ones."""
        return bool(self.windows) and (self.windows[0].start is None or self.windows[0].stop is None)


class Exclude(NamedTuple):
    """Which servers of a cluster are never touched: by name (glob) or id, by tag ``key`` or ``key=value``.

    ``node_pools`` are names or ids of CCE node pools.
    """

    servers: Tuple[str, ...] = ()
    tags: Tuple[str, ...] = ()
    node_pools: Tuple[str, ...] = ()


OVERDUE_AFTER_S = 1800
"""How long a server may stay in another state than the desired one, unless the file says otherwise."""


class Cluster(NamedTuple):
    """One entry of ``clusters``, defaults applied. ``region`` and ``project_id`` may come from the settings.

    ``hard_after_s`` is None where a SOFT stop that hangs never becomes a HARD one.
    """

    name: str
    cluster_id: ClusterId
    timing: Timing
    region: Optional[str] = None
    project_id: Optional[str] = None
    stop_type: StopType = StopType.SOFT
    exclude: Exclude = Exclude()
    stop_prepaid: bool = False
    hard_after_s: Optional[int] = None
    overdue_after_s: int = OVERDUE_AFTER_S
    control_plane: ControlPlane = ControlPlane.KEEP
    autoscaled_pools: AutoscaledPools = AutoscaledPools.REFUSE
    membership: Membership = Membership.TAGS
    enabled: bool = True

    @property
    def claims_by_nodes(self) -> bool:
        """Whether CCE's list of its nodes alone says which servers are its own, managed at the moment or not."""
        return self.enabled and self.membership is Membership.NODES


class Limits(NamedTuple):
    """Guards over a whole run; None is no limit."""

    max_stops_per_run: Optional[int] = None


class Function(NamedTuple):
    """The function that ``deploy`` makes: the section ``function``. ``settings`` are its user data."""

    name: str = "cce-scheduler"
    region: Optional[str] = None
    project_id: Optional[str] = None
    agency: Optional[str] = None
    runtime: str = "Python3.10"
    memory_mb: int = 256
    timeout_s: int = 60
    every_s: int = 300
    settings: Mapping[str, str] = {}


class Prices(NamedTuple):
    """What an hour costs, in one currency: of a server by its flavor, and of a control plane (None: not said)."""

    currency: str
    per_hour: Mapping[str, "Decimal"]
    control_plane_per_hour: "Optional[Decimal]" = None


class Schedules(NamedTuple):
    """A whole schedules file, checked, or some of its clusters.

    ``bystanders`` are then those of the others that may claim a server by CCE's list of their nodes.
    """

    clusters: Tuple[Cluster, ...]
    limits: Limits = Limits()
    function: Function = Function()
    remote_overrides: bool = False
    prices: Optional[Prices] = None
    bystanders: Tuple[Cluster, ...] = ()

    @property
    def calendars_end(self) -> Optional[CalendarsEnd]:
        """The earliest end of the countries' calendars that enabled clusters exclude dates by."""
        ends = {c.timing.calendars_end for c in self.clusters if c.enabled and c.timing.calendars_end}
        return min(ends, key=lambda end: end.at, default=None)


def place_of(region: Optional[str], project_id: Optional[str]) -> Place:
    """Return the place of a cluster whose region and project are known."""
    return region or "", project_id or ""


class Rule(NamedTuple):
    """What in the file asked for a state: ``kind`` and, where there are several, its position from 0."""

    kind: str
    position: Optional[int] = None


class Desired(NamedTuple):
    """The desired state of one cluster at one instant, and why.

    ``since`` and ``until`` are the neighbouring transitions, None where there is none within ten years, or where so
    many events come before it that the search for it was given up (see ``spans``).
    """

    state: State
    reason: str
    rule: Rule
    since: Optional[datetime]
    until: Optional[datetime]


class Transition(NamedTuple):
    """An instant at which the desired state changes, and why it is then what it is."""

    at: datetime
    before: State
    after: State
    reason: str


class Clock(NamedTuple):
    """The time of one run: the instant it is, how much is left of the run, how to wait, and chance from 0 to 1."""

    now: Callable[[], datetime]
    remaining_s: Callable[[], float]
    sleep: Callable[[float], object]
    chance: Callable[[], float]


class Server(NamedTuple):
    """An ECS server as one listing showed it. Every field but the id may be missing from the answer.

    ``tags`` are ``key=value`` or bare ``key`` texts; ``created`` and ``updated`` are the API's own texts.
    """

    server_id: ServerId
    name: Optional[str] = None
    status: Optional[str] = None
    task_state: Optional[str] = None
    tags: Optional[Tuple[str, ...]] = None
    locked: Optional[bool] = None
    frozen: bool = False
    charging_mode: Optional[str] = None
    created: Optional[str] = None
    updated: Optional[str] = None
    fault: Optional[str] = None
    flavor: Optional[str] = None


class CceCluster(NamedTuple):
    """A CCE cluster as the API shows it. Every field but the id may be missing from the answer.

    ``phase`` is the API's own text, such as ``Available``; ``is_prepaid`` is True for yearly/monthly ones.
    """

    cluster_id: ClusterId
    name: Optional[str] = None
    phase: Optional[str] = None
    is_prepaid: Optional[bool] = None
    tags: Optional[Mapping[str, str]] = None


class Node(NamedTuple):
    """A node as CCE shows it, without its phase, which says nothing of its power.

    ``server_id`` is missing while it is made. ``pool_id`` is None for a node outside of pools, and where the answer
    does not say.
    """

    node_id: str
    name: Optional[str] = None
    server_id: Optional[ServerId] = None
    pool_id: Optional[str] = None
    is_pool_known: bool = True


class NodePool(NamedTuple):
    """A node pool; ``is_autoscaled`` is None where the answer does not say."""

    pool_id: str
    name: Optional[str] = None
    is_autoscaled: Optional[bool] = None


class HoldKind(str, Enum):
    """Why a server is deliberately left alone: the rows of the decision table in ``plan.py``."""

    UNMANAGED = "unmanaged"
    EXCLUDED = "excluded"
    CLAIMED = "claimed by two clusters"
    LOCKED = "locked"
    FROZEN = "frozen"
    NEEDS_PERSON = "needs a person"
    STOPPING = "stopping"
    IN_TRANSITION = "in transition"
    ALREADY = "already"
    PREPAID = "prepaid"
    CONTROL_PLANE = "waiting for the control plane"


class Power(str, Enum):
    """What is asked of the ECS API; one POST carries servers of one of these."""

    START = "start"
    STOP_SOFT = "stop SOFT"
    STOP_HARD = "stop HARD"


class Action(NamedTuple):
    """Start or stop one server."""

    power: Power
    server: Server


class Hold(NamedTuple):
    """Deliberately nothing for one server, with the reason."""

    kind: HoldKind
    server: Server
    reason: str


class ControlPlaneAction(str, Enum):
    """What is asked of the CCE API for one cluster."""

    HIBERNATE = "hibernate"
    AWAKE = "awake"


class ControlPlanePlan(NamedTuple):
    """One step of a cluster's control plane, or deliberately none; ``reason`` says why.

    ``phase`` is the API's own text, None where it is not known. ``is_kept``: it is left awake on purpose, so it is
    never overdue.
    """

    phase: Optional[str]
    action: Optional[ControlPlaneAction]
    reason: str
    is_kept: bool = False


class Overdue(NamedTuple):
    """Something that has not been as desired for ``for_s`` seconds: a server, or what ``text`` names."""

    text: str
    for_s: int
    server: Optional[Server] = None


class ClusterPlan(NamedTuple):
    """What a run would do for one cluster: every server of it is in ``actions`` or in ``holds``, once.

    ``warnings`` are what a person should know; ``error`` is why nothing can be decided for the cluster, or for its
    control plane. Both, and anything ``overdue``, are about now: a look at another time has none of the latter.
    ``pools`` are CCE's node pools of the cluster, None where nobody asked for them.
    """

    cluster: Cluster
    desired: Desired
    actions: Tuple[Action, ...] = ()
    holds: Tuple[Hold, ...] = ()
    warnings: Tuple[str, ...] = ()
    error: Optional[SchedulerError] = None
    control_plane: Optional[ControlPlanePlan] = None
    overdue: Tuple[Overdue, ...] = ()
    pools: Optional[Sequence[NodePool]] = None


class Plan(NamedTuple):
    """What a run would do at ``at``; making it changes nothing."""

    at: datetime
    clusters: Tuple[ClusterPlan, ...]
    refusal: Optional[SchedulerError] = None
    """The guard that refuses every stop of this plan, if one does."""
    warnings: Tuple[str, ...] = ()
    """What a person should know of the whole run."""
    failure: Optional[SchedulerError] = None
    """What makes the run fail although it does all of its work."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to start or stop, and no step of a control plane."""
        return not any(c.actions or (c.control_plane and c.control_plane.action) for c in self.clusters)


class Outcome(NamedTuple):
    """What became of one action on a server. Accepted is not done.

    ``error`` is its failure; ``left`` says why it was not sent, or is not needed any more, and the next run decides.
    """

    cluster: str
    power: Power
    server: Server
    error: Optional[SchedulerError] = None
    left: Optional[str] = None

    @property
    def is_accepted(self) -> bool:
        """Whether the cloud took it."""
        return self.error is None and self.left is None


class ControlPlaneOutcome(NamedTuple):
    """What became of one step of a control plane; ``error`` and ``left`` as in `Outcome`."""

    cluster: str
    action: ControlPlaneAction
    error: Optional[SchedulerError] = None
    left: Optional[str] = None

    @property
    def is_accepted(self) -> bool:
        """Whether the cloud took it."""
        return self.error is None and self.left is None


class Run(NamedTuple):
    """A plan and, unless it was only looked at, what became of its actions."""

    plan: Plan
    outcomes: Tuple[Outcome, ...] = ()
    dry_run: bool = False
    control_planes: Tuple[ControlPlaneOutcome, ...] = ()

    @property
    def has_failed(self) -> bool:
        """Whether anything went wrong anywhere. What is left to the next run has not; a dry run is never overdue."""
        overdue = not self.dry_run and any(c.overdue for c in self.plan.clusters)
        errors = overdue or any(c.error for c in self.plan.clusters) or any(o.error for o in self.outcomes)
        errors = errors or any(o.error for o in self.control_planes)
        return errors or self.plan.failure is not None or (self.plan.refusal is not None and not self.dry_run)
