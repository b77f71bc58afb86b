"""What a run would do with the control plane of one CCE cluster. Pure; one step a run, and never a guess.

=========  ====================  =====================================================================
desired    phase                 becomes
=========  ====================  =====================================================================
running    Available             nothing: servers may start
running    Hibernation           awake; servers start once it is Available
running    any other             hold; servers wait
stopped    Hibernation           nothing: as desired
stopped    Available             hibernate, if every node of CCE's list is a member seen SHUTOFF; else kept
stopped    any other             hold
=========  ====================  =====================================================================

Hibernating saves the fee of the control plane, and does not stop a single node: a node that is up without one cannot
be managed. https://support.huaweicloud.com/intl/en-us/api-cce/cce_02_0237.html
"""

from typing import Iterable, Optional, Sequence, Union

from scheduler.model import (
    Action,
    CceCluster,
    ControlPlaneAction,
    ControlPlanePlan,
    Desired,
    Hold,
    Node,
    Server,
    State,
)

AVAILABLE = "Available"
HIBERNATED = "Hibernation"
ASLEEP = frozenset({HIBERNATED, "Hibernating", "Awaking"})
"""The phases in which CCE may not answer for a cluster's nodes."""
STAYS_ASLEEP = (HIBERNATED, "Hibernating")
"""The phases that only an awakening ends."""
PASSING = {"Hibernating": "it is going to sleep", "Awaking": "it is waking up"}
UNDER_WORK = frozenset({"Creating", "Deleting", "Upgrading", "Resizing", "ScalingUp", "ScalingDown", "RollingBack"})
"""The phases in which somebody else is at work on the cluster; they pass by themselves."""

Decision = Union[Action, Hold]


def plan_control_plane(desired: Desired, found: CceCluster, decisions: Iterable[Decision]) -> ControlPlanePlan:
    """Return the step to take; a hibernation still has to be proven right by `prove_asleep`.

    ``decisions`` are those for the cluster's servers.
    """
    phase = found.phase
    if desired.state is State.RUNNING:
        if phase == HIBERNATED:
            return ControlPlanePlan(phase, ControlPlaneAction.AWAKE, "it is woken before its servers")
        return ControlPlanePlan(phase, None, "awake" if phase == AVAILABLE else _waiting(phase))
    if phase != AVAILABLE:
        return ControlPlanePlan(phase, None, "hibernated" if phase == HIBERNATED else _waiting(phase))
    kept = _kept_by_charging(found) or _kept_by_servers(decisions)
    if kept is not None:
        return ControlPlanePlan(phase, None, kept, is_kept=True)
    return ControlPlanePlan(phase, ControlPlaneAction.HIBERNATE, "every server is off")


def prove_asleep(step: ControlPlanePlan, nodes: Sequence[Node], servers: Iterable[Server]) -> ControlPlanePlan:
    """Return the step if every node that CCE lists is a server of the cluster and off, else a hold that says why."""
    off = {s.server_id for s in servers if is_off(s)}
    doubtful = [node for node in nodes if node.server_id is None or node.server_id not in off]
    if not nodes:
        return step._replace(action=None, reason="kept up: CCE lists no node at all", is_kept=True)
    if doubtful:
        names = _name_some([f"{n.name or n.node_id} ({n.server_id or 'no server yet'})" for n in doubtful])
        reason = f"kept up: not known to be off, or to be of this cluster: {names}"
        return step._replace(action=None, reason=reason, is_kept=True)
    return step


def is_off(server: Server) -> bool:
    """Whether a server is seen off, with nothing under way."""
    return (server.status or "").upper() == "SHUTOFF" and not server.task_state


def is_as_desired(state: State, phase: Optional[str]) -> bool:
    """Whether a control plane that hibernates is in the phase that goes with a state."""
    return phase == (AVAILABLE if state is State.RUNNING else HIBERNATED)


def _waiting(phase: Optional[str]) -> str:
    if phase is None:
        return "its phase is missing from the answer"
    return PASSING.get(phase) or f"in phase {phase} it is neither hibernated nor woken"


def _kept_by_charging(found: CceCluster) -> Optional[str]:
    if found.is_prepaid is None:
        return "kept up: how the cluster is charged is missing from the answer"
    return "kept up: yearly/monthly clusters cannot hibernate" if found.is_prepaid else None


def _kept_by_servers(decisions: Iterable[Decision]) -> Optional[str]:
    """Name the servers that are up, or may be, and why they are."""
    up = [
        f"{d.server.name or d.server.server_id}: {d.reason if isinstance(d, Hold) else 'it is stopped first'}"
        for d in decisions
        if not is_off(d.server)
    ]
    return f"kept up by {_name_some(up)}" if up else None


def _name_some(names: Sequence[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
