"""Holding the evaluator against the oracle: one question, both answers."""

import random
from datetime import datetime, timedelta, timezone
from typing import Iterator, List, NamedTuple, Optional

from scheduler.evaluate import desired_state, transitions
from scheduler.model import Cluster, ClusterId, OnExcludedDates, Override, State, Timing, Window
from tests.oracle import Spec, Timeline, timeline, to_instant
from tests.schedule_strategies import interesting_instants, random_spec

_MARGIN = timedelta(days=70)


class Mismatch(NamedTuple):
    """A question on which the two disagree."""

    spec: Spec
    at: datetime
    what: str
    ours: object
    theirs: object


def to_cluster(spec: Spec) -> Cluster:
    """Write the oracle's spec in the words of the model."""
    return Cluster(
        "oracle",
        ClusterId("oracle"),
        Timing(
            timezone=spec.zone,
            state=State(spec.state) if spec.state else None,
            windows=tuple(Window(start, stop) for start, stop in spec.windows),
            excluded_dates={d.isoformat(): "" for d in spec.excluded},
            on_excluded_dates=OnExcludedDates(spec.on_excluded),
            overrides=tuple(Override(State(state), start, end, "") for state, start, end in spec.overrides),
            enforce_s=spec.enforce_s,
        ),
    )


def compare(spec: Spec, instants: List[datetime]) -> Iterator[Mismatch]:
    """Yield where state, since, until or transitions differ from the oracle's at instants near each other."""
    cluster = to_cluster(spec)
    line = timeline(spec, min(instants) - _MARGIN, max(instants) + _MARGIN)
    for at in instants:
        ours = desired_state(cluster, at, _MARGIN)
        if ours.state.value != line.state_at(at):
            yield Mismatch(spec, at, "state", ours.state.value, line.state_at(at))
        for what, mine, theirs in (("since", ours.since, line.since(at)), ("until", ours.until, line.until(at))):
            # Each looked only so far: a transition counts where both would have seen it.
            seen = [t for t in (mine, theirs) if t is not None and abs(t - at) < _MARGIN]
            if mine != theirs and any(to_instant(line.begin) < t < to_instant(line.end) for t in seen):
                yield Mismatch(spec, at, what, mine, theirs)
    yield from _compare_transitions(spec, cluster, line, instants[0])


def _compare_transitions(spec: Spec, cluster: Cluster, line: Timeline, at: datetime) -> Iterator[Mismatch]:
    end = min(at + timedelta(days=10), to_instant(line.end))
    ours = [(t.at, t.after.value) for t in transitions(cluster, at, end)]
    theirs = []
    moment: Optional[datetime] = line.until(at)
    while moment is not None and moment <= end:
        theirs.append((moment, line.state_at(moment)))
        moment = line.until(moment)
    if ours != theirs:
        yield Mismatch(spec, at, "transitions", ours, theirs)


def search(seed: int, cases: int) -> Iterator[Mismatch]:
    """Compare at least ``cases`` random (schedule, zone, instant) questions."""
    rng = random.Random(seed)  # noqa: S311 - a reproducible search
    asked = 0
    while asked < cases:
        spec = random_spec(rng)
        instants = sorted(interesting_instants(rng, spec, count=40))
        groups: List[List[datetime]] = []
        for at in instants:
            if groups and at - groups[-1][0] < timedelta(days=60):
                groups[-1].append(at)
            else:
                groups.append([at])
        for group in groups:
            yield from compare(spec, group)
        asked += len(instants)


def utc(text: str) -> datetime:
    """Read an instant with offset."""
    return datetime.fromisoformat(text).astimezone(timezone.utc)
