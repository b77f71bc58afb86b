"""``calendar --against``: what an edit of the schedules file changes in the coming days."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from rich.console import RenderableType

from scheduler.cli.options import Span, read_span
from scheduler.cli.output import count, line, table
from scheduler.compare import (
    Beginning,
    Change,
    ChangeKind,
    Comparison,
    Retarget,
    compare_schedules,
    transitions_in,
)
from scheduler.config import load_config
from scheduler.describe import write_local
from scheduler.model import Transition
from scheduler.reconcile import narrow, select_clusters
from scheduler.report import write_instant

_SIGNS = {ChangeKind.APPEARS: "+ appears", ChangeKind.VANISHES: "- vanishes", ChangeKind.MOVES: "~ moves"}


class Compared(NamedTuple):
    """Two versions of a file, and what differs between them in a span."""

    old_file: Path
    span: Span
    found: Comparison


class When(NamedTuple):
    """The days to compare: as the options name them, seen from ``now``."""

    begin: Optional[str]
    days: int
    now: datetime


def compare_files(old_file: Path, file: Path, names: Optional[List[str]], when: When) -> Compared:
    """Compare two files; ``names`` narrows both, and may name clusters that only one of them has."""
    old, new = load_config(old_file), load_config(file)
    known = {cluster.name for schedules in (old, new) for cluster in schedules.clusters}
    if not set(names or ()) <= known:
        select_clusters(new, names)  # says which is unknown
    if names:
        old, new = narrow(old, names), narrow(new, names)
    span = read_span(when.begin, when.days, new if new.clusters else old, when.now)
    return Compared(old_file, span, compare_schedules(old, new, span.start, span.end))


def describe_comparison(compared: Compared) -> Iterator[RenderableType]:
    """Yield the clusters that come and go, and a row for each transition that an edit changes."""
    span, found = compared.span, compared.found
    begin, end = (write_local(at, span.zone) for at in (span.start, span.end))
    yield line(f"From {begin} to {end} {span.zone.key}, against {compared.old_file}", "bold")
    yield ""
    clusters = list(_texts(found, span))
    yield from map(line, clusters)
    if clusters:
        yield ""
    if found.changes:
        yield table(("CHANGE", "CLUSTER", "BECOMES", "AT", "WAS AT"), [_row(change, span) for change in found.changes])
        yield ""
    yield line(_summary(found), "bold")


def comparison_json(compared: Compared) -> Dict[str, Any]:
    """Return what ``calendar --against --json`` prints."""
    span, found = compared.span, compared.found
    return {
        "from": write_instant(span.start, span.zone.key),
        "to": write_instant(span.end, span.zone.key),
        "added": [begin.cluster.name for begin in found.added],
        "removed": [begin.cluster.name for begin in found.removed],
        "retargeted": [
            {
                "cluster": target.becomes.name,
                "changed": {key: {"was": old, "becomes": new} for key, old, new in _changed_keys(target)},
            }
            for target in found.retargeted
        ],
        "beginnings": [
            {
                "cluster": begin.cluster.name,
                "was": begin.was.value if begin.was else None,
                "becomes": begin.becomes.value if begin.becomes else None,
            }
            for begin in found.beginnings
        ],
        "changes": [_change_json(change) for change in found.changes],
    }


def _texts(found: Comparison, span: Span) -> Iterator[str]:
    for begin in found.added:
        yield f"+ added: {begin.cluster.name}, {_course(begin, span)}"
    for begin in found.removed:
        yield f"- removed: {begin.cluster.name}, was {_course(begin, span)}"
    for target in found.retargeted:
        changed = ", ".join(f"{key} {new or 'none'} (was {old or 'none'})" for key, old, new in _changed_keys(target))
        yield f"! {target.becomes.name} means another cluster: {changed}"
    for begin in found.beginnings:
        was, becomes = (state.value if state else "" for state in (begin.was, begin.becomes))
        yield f"~ {begin.cluster.name} begins {becomes}, was {was}"


def _changed_keys(target: Retarget) -> Iterator[Tuple[str, Optional[str], Optional[str]]]:
    """Yield the keys of the file that say other servers, each with its old and its new value."""
    for key in ("cluster_id", "region", "project_id"):
        old, new = getattr(target.was, key), getattr(target.becomes, key)
        if old != new:
            yield key, old, new


def _course(begin: Beginning, span: Span) -> str:
    state = begin.becomes or begin.was
    number = len(transitions_in(begin.cluster, span.start, span.end))
    return f"{state.value if state else ''} at first, {count(number, 'transition')}"


def _row(change: Change, span: Span) -> Tuple[str, str, str, str, str]:
    at, was_at = (write_local(t.at, span.zone) if t else "" for t in (change.becomes, change.was))
    return _SIGNS[change.kind], change.cluster.name, change.shown.after.value, at, was_at


def _summary(found: Comparison) -> str:
    if found._replace(retargeted=()).is_empty:
        return "No state changes in this time."
    kinds = Counter(change.kind for change in found.changes)
    words = ((ChangeKind.APPEARS, "appear"), (ChangeKind.VANISHES, "vanish"), (ChangeKind.MOVES, "move"))
    return f"Transitions: {', '.join(f'{kinds[kind]:,} {word}' for kind, word in words)}."


def _change_json(change: Change) -> Dict[str, Any]:
    zone = change.cluster.timing.timezone

    def instant(transition: Optional[Transition]) -> Optional[str]:
        return write_instant(transition.at, zone) if transition else None

    return {
        "cluster": change.cluster.name,
        "change": change.kind.value,
        "at": instant(change.becomes),
        "was_at": instant(change.was),
        "from": change.shown.before.value,
        "to": change.shown.after.value,
        "reason": change.shown.reason,
    }
