"""Holding the evaluator against the oracle: one question, both answers."""

import random
from datetime import datetime, timedelta, timezone
from typing import Iterator, List, NamedTuple, Optional, Tuple

from scheduler.evaluate import desired_state, transitions
from scheduler.model import Cluster, ClusterId, OnExcludedDates, Override, State, Timing, Window
from tests.oracle import Spec, Timeline, timeline, to_instant
from tests.oracle import Window as OracleWindow
from tests.schedule_strategies import ZONES, interesting_instants, random_spec

_MARGIN = timedelta(days=70)
_FAR_MARGIN = timedelta(days=800)
_STRETCH = timedelta(days=60)


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


def compare(spec: Spec, instants: List[datetime], margin: timedelta = _MARGIN) -> Iterator[Mismatch]:
    """Yield where state, since, until or transitions differ from the oracle's at instants near each other.

    The oracle walks ``margin`` further than the instants: a transition counts where it must have seen it.
    """
    cluster = to_cluster(spec)
    line = timeline(spec, min(instants) - margin, max(instants) + margin)
    first, last = to_instant(line.begin), to_instant(line.end)
    for at in instants:
        ours = desired_state(cluster, at)
        if ours.state.value != line.state_at(at):
            yield Mismatch(spec, at, "state", ours.state.value, line.state_at(at))
        for what, mine, theirs in (("since", ours.since, line.since(at)), ("until", ours.until, line.until(at))):
            if mine != theirs and any(t is not None and first < t < last for t in (mine, theirs)):
                yield Mismatch(spec, at, what, mine, theirs)
    yield from _compare_transitions(spec, cluster, line, instants[0])


def _compare_transitions(spec: Spec, cluster: Cluster, line: Timeline, at: datetime) -> Iterator[Mismatch]:
    end = min(at + timedelta(days=10), to_instant(line.end))
    ours = [(t.at, t.before.value, t.after.value) for t in transitions(cluster, at, end)]
    theirs = []
    before, moment = line.state_at(at), line.until(at)
    while moment is not None and moment <= end:
        theirs.append((moment, before, line.state_at(moment)))
        before, moment = line.state_at(moment), line.until(moment)
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
            if groups and at - groups[-1][0] < _STRETCH:
                groups[-1].append(at)
            else:
                groups.append([at])
        for group in groups:
            yield from compare(spec, group)
        asked += len(instants)


def search_far(seed: int, cases: int) -> Iterator[Mismatch]:
    """Compare schedules that seldom change, if ever, by walks of years."""
    rng = random.Random(seed)  # noqa: S311
    for _ in range(cases):
        spec = seldom_changing_spec(rng)
        yield from compare(spec, interesting_instants(rng, spec, count=1), _FAR_MARGIN)


def seldom_changing_spec(rng: random.Random) -> Spec:
    """Return windows that together leave no gap, but where the clocks change or one of them is slightly off."""
    cuts = sorted(rng.sample(range(0, 24 * 60, 15), rng.randint(2, 4)))
    if rng.random() < 0.6:
        cuts = sorted({*cuts[2:], *rng.sample(range(0, 180, 15), 2)})
    early_by = [rng.choice((0, 0, -15, -30)) for _ in cuts]  # a window begins before the one before it ends
    days = rng.choice(("*", "*", "0-6"))
    pairs = [(a + early, b) for (a, early), b in zip(zip(cuts, early_by), [*cuts[1:], cuts[0]])]
    windows: Tuple[OracleWindow, ...] = tuple(
        (f"{_daily(start)} * * {days}", f"{_daily(stop)} * * {days}") for start, stop in pairs
    )
    base = random_spec(rng)
    some: Optional[int] = rng.choice((None, 3600, 86400, 198_000))
    if rng.random() < 0.2:
        windows = tuple((None, stop) for _, stop in windows)
        some = rng.choice((3600, 86400, 198_000))
    return Spec(
        zone=rng.choice(ZONES),
        windows=windows,
        excluded=base.excluded,
        on_excluded=base.on_excluded,
        overrides=base.overrides[:1],
        enforce_s=some,
    )


def _daily(minute: int) -> str:
    return f"{minute % 60} {minute // 60 % 24}"


def utc(text: str) -> datetime:
    """Read an instant with offset."""
    return datetime.fromisoformat(text).astimezone(timezone.utc)
