"""How a desired state comes about: the chain from each window to the result, for a person to follow.

Pure. Every step's state is the evaluator's own (`evaluate.parts_at`); here it is put in order and into words. The last
step that asks for a state decides, `decide_steps`: that this is what `desired_state` says is a law of the tests.
"""

from datetime import datetime, timedelta
from typing import Iterator, NamedTuple, Optional, Sequence, Tuple
from zoneinfo import ZoneInfo

from scheduler.describe import describe_duration, describe_window, write_local
from scheduler.evaluate import desired_state, parts_at
from scheduler.localtime import EARLIEST
from scheduler.model import Cluster, Desired, OnExcludedDates, Override, State, Timing
from scheduler.parts import Parts, WindowPart


class Step(NamedTuple):
    """One link of the chain. ``asks`` is None where it says nothing at the instant; ``window`` has its events."""

    kind: str
    position: Optional[int]
    asks: Optional[State]
    text: str
    window: Optional[WindowPart] = None


class Explanation(NamedTuple):
    """The chain of one cluster at one instant, from the weakest step to the strongest, and its result."""

    cluster: Cluster
    at: datetime
    steps: Tuple[Step, ...]
    desired: Desired


def explain_state(cluster: Cluster, at: datetime) -> Explanation:
    """Return how the desired state of a cluster at an aware instant comes about."""
    return Explanation(cluster, at, tuple(_steps(cluster, at)), desired_state(cluster, at))


def decide_steps(steps: Sequence[Step]) -> Step:
    """Return the step that decides: the last one that asks for a state. Single windows never do, they are joined."""
    return [step for step in steps if step.asks is not None and step.kind != "window"][-1]


def _steps(cluster: Cluster, at: datetime) -> Iterator[Step]:
    timing, parts = cluster.timing, parts_at(cluster.timing, at)
    for number, part in enumerate(parts.windows):
        text = describe_window(part.window, timing.timezone)
        yield Step("window", number, part.state, text, part)
    if timing.state is None:
        yield Step("windows", None, parts.base, _join_text(timing, parts))
    else:
        yield Step("state", None, timing.state, f"state: {timing.state.value}")
    yield Step("excluded_date", None, parts.forced, _date_text(timing, parts, at))
    for number, override in enumerate(timing.overrides):
        is_active = number in parts.overrides
        yield Step("override", number, override.state if is_active else None, _override_text(override, timing, at))
    yield Step("enforce", None, State.UNMANAGED if parts.is_given_up else None, _enforce_text(timing, parts))
    yield Step(
        "enabled",
        None,
        None if cluster.enabled else State.UNMANAGED,
        "enabled: true" if cluster.enabled else "enabled: false",
    )


def _join_text(timing: Timing, parts: Parts) -> str:
    if timing.is_one_sided:
        return "the newest event of all windows decides"
    running = [number for number, part in enumerate(parts.windows, 1) if part.state is State.RUNNING]
    if not running:
        return "no window runs"
    return f"window{'s' if len(running) > 1 else ''} {', '.join(map(str, running))} of {len(parts.windows)} running"


def _date_text(timing: Timing, parts: Parts, at: datetime) -> str:
    if parts.excluded is None:
        return f"{at.astimezone(ZoneInfo(timing.timezone)).date()} is not an excluded date"
    name = timing.excluded_dates[parts.excluded.isoformat()]
    text = f"{parts.excluded} is an excluded date{f' ({name})' if name else ''}"
    if timing.on_excluded_dates is OnExcludedDates.NO_START:
        return f"{text}: no window starts on it"
    return f"{text}: {timing.on_excluded_dates.value} all day"


def _override_text(override: Override, timing: Timing, at: datetime) -> str:
    zone = ZoneInfo(timing.timezone)
    reason = f' "{override.reason}"' if override.reason else ""
    begin = "" if override.start == EARLIEST else f" from {write_local(override.start, zone)}"  # a tag has no begin
    when = "ended" if override.end <= at else "not yet" if at < override.start else "active"
    return f"{when}{reason}: {override.state.value}{begin} until {write_local(override.end, zone)}"


def _enforce_text(timing: Timing, parts: Parts) -> str:
    if timing.state is not None:
        return "always: a constant state is"
    if timing.enforce_s is None:
        return "always"
    length = describe_duration(timing.enforce_s)
    if parts.overrides or parts.forced is not None:
        return f"{length}: not asked while an override or an excluded date decides"
    if parts.clock is None:
        return f"{length}: there was no transition to insist on"
    zone = ZoneInfo(timing.timezone)
    end = write_local(parts.clock + timedelta(seconds=timing.enforce_s), zone)
    return f"{length} after {write_local(parts.clock, zone)}: {'ended' if parts.is_given_up else 'until'} {end}"
