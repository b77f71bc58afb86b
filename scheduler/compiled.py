"""Schedules that were checked when they were packaged, as JSON: what a run reads instead of the YAML.

Reading YAML, holding it against the schema and checking every expression costs a cold start more than the run
itself. Packaging has done it; its result travels beside the file, with a digest over itself and the bytes it was made
from, and with the local times at which the expressions fire in a week, so that a run need not import croniter either.
Whoever edits either in place, or damages it, breaks the digest, and the file is checked in full again.
"""

import json
import os
from datetime import date, datetime, timezone
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from scheduler.evaluate import know_firings, list_firings
from scheduler.model import (
    AutoscaledPools,
    CalendarsEnd,
    Cluster,
    ClusterId,
    ControlPlane,
    Exclude,
    Function,
    Limits,
    Membership,
    OnExcludedDates,
    Override,
    Schedules,
    State,
    StopType,
    Timing,
    Window,
)

try:  # without the library that ``hashlib`` loads first; and it takes a third of what SHA-256 takes there
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

LOCK_FILE = "holidays.json"
"""The public holidays beside a schedules file; ``public_holidays`` reads them where nothing was compiled."""
_FIELDS = [3, *(list(kind._fields) for kind in (Schedules, Limits, Cluster, Exclude, Timing, Override, Window))]
"""What the form was written for, and its number; of another release's form nothing is read."""
_HEAD = b'{"digest":"%s",'
_HEAD_BYTES = len(_HEAD % bytes(64))


def load_compiled(path: str) -> Optional[Schedules]:
    """Return what was compiled from a schedules file and the holidays beside it, None where that is not at hand."""
    folder, name = os.path.split(path)
    try:
        compiled, sources = _read(folder, compiled_name(name)), [_read(folder, name)]
    except (OSError, ValueError):  # a name with a NUL is a ValueError
        return None
    try:
        sources.append(_read(folder, LOCK_FILE))
    except FileNotFoundError:
        pass
    except OSError:
        return None
    return read_compiled(compiled, sources)


def _read(folder: str, name: str) -> bytes:
    with open(os.path.join(folder, name), "rb") as stream:
        return stream.read()


def compiled_name(name: str) -> str:
    """Return what the compiled form of a schedules file is called."""
    return f"{name}.compiled.json"


def write_compiled(schedules: Schedules, sources: Sequence[bytes]) -> bytes:
    """Return checked schedules as JSON; equal schedules give equal bytes. ``sources`` are the files they came from.

    What no run reads is left out: prices, and of the section ``function`` all but the period.
    """
    timings = list({id(c.timing): c.timing for c in schedules.clusters}.values())
    places = {id(timing): n for n, timing in enumerate(timings)}
    settings: Dict[Any, int] = {}
    rows = [
        [name, cluster_id, settings.setdefault((places[id(timing)], *others), len(settings))]
        for name, cluster_id, timing, *others in schedules.clusters
    ]
    compiled = {
        "fields": _FIELDS,
        "limits": schedules.limits,
        "firings": list_firings(_expressions(timings)),
        "timings": [_timing_json(timing) for timing in timings],
        "settings": list(settings),
        "clusters": rows,
        "every_s": schedules.function.every_s,
        "remote_overrides": schedules.remote_overrides,
    }
    body = json.dumps(compiled, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    return _HEAD % _digest([*sources, body]) + body[1:]


def read_compiled(content: bytes, sources: Sequence[bytes]) -> Optional[Schedules]:
    """Return the schedules, None where they were compiled from other bytes or by another release, or are damaged."""
    body = b"{" + content[_HEAD_BYTES:]
    if content[:_HEAD_BYTES] != _HEAD % _digest([*sources, body]):
        return None
    try:
        compiled: Dict[str, Any] = json.loads(body)
        if compiled["fields"] != _FIELDS:
            return None
        schedules = _make_schedules(compiled)
        know_firings(compiled["firings"])
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return None  # no release of ours writes such
    return schedules


def _make_schedules(compiled: Dict[str, Any]) -> Schedules:
    timings = [_read_timing(entry) for entry in compiled["timings"]]
    settings = [_read_settings(entry, timings) for entry in compiled["settings"]]
    make = Cluster._make  # of thousands of clusters, most share all but name and id: they are read once
    clusters = tuple([make((name, cluster_id, *settings[place])) for name, cluster_id, place in compiled["clusters"]])
    return Schedules(
        clusters,
        Limits._make(compiled["limits"]),
        Function(every_s=compiled["every_s"]),
        compiled["remote_overrides"],
    )


def _digest(parts: Sequence[bytes]) -> bytes:
    whole = blake2b(digest_size=32)
    for part in parts:
        whole.update(b"%d:" % len(part) + part)
    return str(whole.hexdigest()).encode()


def _expressions(timings: Sequence[Timing]) -> Iterator[str]:
    for timing in timings:
        for window in timing.windows:
            yield from (expression for expression in (window.start, window.stop) if expression)


def _timing_json(timing: Timing) -> List[Any]:
    overrides = [[o.state, o.start.isoformat(), o.end.isoformat(), o.reason] for o in timing.overrides]
    end = [part.isoformat() for part in timing.calendars_end or ()]
    return list(timing._replace(overrides=overrides, calendars_end=end))  # type: ignore[arg-type]


def _read_settings(entry: List[Any], timings: Sequence[Timing]) -> Tuple[Any, ...]:
    """Return all fields of a cluster but its name and its id."""
    cluster = Cluster("", ClusterId(""), timings[entry[0]], *entry[1:])
    cluster = cluster._replace(
        stop_type=StopType(cluster.stop_type),
        exclude=Exclude(*map(tuple, cluster.exclude)),
        control_plane=ControlPlane(cluster.control_plane),
        autoscaled_pools=AutoscaledPools(cluster.autoscaled_pools),
        membership=Membership(cluster.membership),
    )
    return cluster[2:]


def _read_timing(entry: List[Any]) -> Timing:
    timing = Timing._make(entry)
    end: Any = timing.calendars_end
    return timing._replace(
        state=None if timing.state is None else State(timing.state),
        windows=tuple(Window._make(window) for window in timing.windows),
        on_excluded_dates=OnExcludedDates(timing.on_excluded_dates),
        overrides=tuple(
            Override(State(state), _read_instant(start), _read_instant(end), reason)
            for state, start, end, reason in timing.overrides
        ),
        calendars_end=CalendarsEnd(date.fromisoformat(end[0]), _read_instant(end[1])) if end else None,
    )


def _read_instant(text: object) -> datetime:
    return datetime.fromisoformat(str(text)).astimezone(timezone.utc)
