"""What an edit of a schedules file changes: the transitions that appear, vanish or move in a span of time.

Pure. Two files are the same here where every cluster has the same state at every instant of the span; reasons do not
count. Clusters are the same by their names; where a name means another cluster id, region or project, that is told too.
A transition is its instant and the state that it leads to. One that vanished and one that appeared are a move where
they lead to the same state and lie less than half a day apart.
"""

from bisect import bisect_left
from datetime import datetime, timedelta
from enum import Enum
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from scheduler.evaluate import state_at, transitions
from scheduler.model import Cluster, Schedules, State, Transition

_INSTANT = timedelta(microseconds=1)
_FARTHEST = timedelta(hours=12)


class ChangeKind(str, Enum):
    """What happens to a transition."""

    APPEARS = "appears"
    VANISHES = "vanishes"
    MOVES = "moves"


class Change(NamedTuple):
    """A transition of a cluster that is not what it ``was``; one of the two is None unless it moves."""

    cluster: Cluster
    was: Optional[Transition]
    becomes: Optional[Transition]

    @property
    def kind(self) -> ChangeKind:
        """What happens to the transition."""
        if self.was is None:
            return ChangeKind.APPEARS
        return ChangeKind.VANISHES if self.becomes is None else ChangeKind.MOVES

    @property
    def shown(self) -> Transition:
        """The transition as it becomes, or what it was if it vanishes."""
        shown = self.becomes or self.was
        assert shown is not None  # noqa: S101 - one of the two is there
        return shown


class Beginning(NamedTuple):
    """The state of a cluster at the start of the span, None where the file does not have the cluster."""

    cluster: Cluster
    was: Optional[State]
    becomes: Optional[State]


class Retarget(NamedTuple):
    """A cluster whose name now means other servers: its id, region or project is another one."""

    was: Cluster
    becomes: Cluster


class Comparison(NamedTuple):
    """What differs: clusters of one file only, names that mean others, states at the start, transitions in order."""

    added: Tuple[Beginning, ...]
    removed: Tuple[Beginning, ...]
    retargeted: Tuple[Retarget, ...]
    beginnings: Tuple[Beginning, ...]
    changes: Tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not any(self)


def compare_schedules(old: Schedules, new: Schedules, start: datetime, end: datetime) -> Comparison:
    """Compare the states that two files ask for from ``start`` (included) to ``end`` (not).

    The transitions of a cluster that only one file has are no changes: there is nothing to compare them with.
    """
    before = {cluster.name: cluster for cluster in old.clusters}
    after = {cluster.name: cluster for cluster in new.clusters}
    at = start - _INSTANT  # a transition at the start itself is one of the span
    both = [(before[name], cluster) for name, cluster in after.items() if name in before]
    begins = (Beginning(cluster, state_at(was, at), state_at(cluster, at)) for was, cluster in both)
    changes = [change for was, cluster in both for change in _compare(was, cluster, start, end)]
    return Comparison(
        added=tuple(Beginning(c, None, state_at(c, at)) for name, c in after.items() if name not in before),
        removed=tuple(Beginning(c, state_at(c, at), None) for name, c in before.items() if name not in after),
        retargeted=tuple(Retarget(was, cluster) for was, cluster in both if _target(was) != _target(cluster)),
        beginnings=tuple(begin for begin in begins if begin.was is not begin.becomes),
        changes=tuple(sorted(changes, key=lambda change: change.shown.at)),
    )


def _target(cluster: Cluster) -> Tuple[str, Optional[str], Optional[str]]:
    return cluster.cluster_id, cluster.region, cluster.project_id


def transitions_in(cluster: Cluster, start: datetime, end: datetime) -> List[Transition]:
    """Return the transitions of a cluster from ``start`` (included) to ``end`` (not)."""
    return list(transitions(cluster, start - _INSTANT, end - _INSTANT))


def _compare(was: Cluster, cluster: Cluster, start: datetime, end: datetime) -> Iterator[Change]:
    old = {(t.at, t.after): t for t in transitions_in(was, start, end)}
    new = {(t.at, t.after): t for t in transitions_in(cluster, start, end)}
    vanished = [t for key, t in old.items() if key not in new]
    appeared = [t for key, t in new.items() if key not in old]
    moved = _pair(vanished, appeared)
    for number, one in enumerate(vanished):
        partner = moved.get(number)
        yield Change(cluster, one, None if partner is None else appeared[partner])
    for number in set(range(len(appeared))) - set(moved.values()):
        yield Change(cluster, None, appeared[number])


def _pair(vanished: Sequence[Transition], appeared: Sequence[Transition]) -> Dict[int, int]:
    """Pair transitions that lead to the same state, the nearest first."""
    instants = [t.at for t in appeared]
    near: List[Tuple[timedelta, int, int]] = []
    for number, one in enumerate(vanished):
        first, last = bisect_left(instants, one.at - _FARTHEST + _INSTANT), bisect_left(instants, one.at + _FARTHEST)
        candidates = (n for n in range(first, last) if appeared[n].after is one.after)
        near += [(abs(instants[n] - one.at), number, n) for n in candidates]
    paired: Dict[int, int] = {}
    taken: Set[int] = set()
    for _, number, partner in sorted(near):
        if number not in paired and partner not in taken:
            paired[number] = partner
            taken.add(partner)
    return paired
