"""The schedules as one page for a browser: clusters as rows, time as columns, and why.

The page is a file that needs nothing else: no network, no server, no second file. Here is decided what it says;
``assets`` holds how it looks and what it does. Names and reasons come from outside and never become markup, script or
a control character; what the page may load is nothing at all, by its own policy.
"""

import base64
import hashlib
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from zoneinfo import ZoneInfo

from scheduler.cli.options import Span
from scheduler.describe import describe_moment, printable
from scheduler.errors import InputError
from scheduler.evaluate import desired_state, transitions
from scheduler.localtime import Change, changes_between, date_flips, local_at, offset_at
from scheduler.model import Cluster, ClusterId, Desired, Plan, Rule, Schedules, State, Timing, Window
from scheduler.savings import Hours, find_hours

_ASSETS = Path(__file__).with_name("assets")
_INSTANT = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_STATES = (State.RUNNING, State.STOPPED, State.UNMANAGED)
_RULES = {"excluded_date": "excluded date", "enabled": "enabled: false", "state": "constant state"}


class Piece(NamedTuple):
    """A time, until the next piece begins, of one state for one reason by one rule."""

    start: datetime
    state: State
    reason: str
    rule: str


class Excluded(NamedTuple):
    """A time that belongs to an excluded date, and which one."""

    start: datetime
    end: datetime
    label: str


class Timeline(NamedTuple):
    """What a timing asks for in a span; ``since`` and ``until`` are the transitions around it."""

    since: Optional[datetime]
    until: Optional[datetime]
    pieces: Tuple[Piece, ...]
    excluded: Tuple[Excluded, ...]


class Row(NamedTuple):
    """A cluster on the page: ``number`` is its place in the data, ``money`` what a caller knows of its cost."""

    number: int
    name: str
    hours: Hours
    money: Optional[str]


class Group(NamedTuple):
    """The clusters of one zone, which share days and clock changes."""

    zone: str
    rows: Tuple[Row, ...]
    changes: Tuple[str, ...]


def render_page(
    schedules: Schedules,
    span: Span,
    now: datetime,
    *,
    plan: Optional[Plan] = None,
    money: Optional[Mapping[str, str]] = None,
) -> str:
    """Return the page. ``money`` holds, by name of a cluster, a short text to show beside its hours."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ModuleNotFoundError as e:
        raise InputError('--html needs jinja2: install the extra "cli"') from e

    environment = Environment(
        loader=FileSystemLoader(_ASSETS, encoding="utf-8"),
        autoescape=True,
        finalize=_printable,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    style, script = (_ASSETS.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    timelines = _timelines(schedules.clusters, span)
    one_of_each = {_key(cluster): cluster for cluster in schedules.clusters}
    hours = {key: find_hours(cluster, span.start, span.end) for key, cluster in one_of_each.items()}
    rows = [
        Row(number, cluster.name, hours[_key(cluster)], (money or {}).get(cluster.name))
        for number, cluster in enumerate(schedules.clusters)
    ]
    return environment.get_template("page.html").render(
        data=_data(schedules.clusters, timelines, span, now, plan),
        groups=_groups(schedules.clusters, rows, span),
        has_money=any(row.money is not None for row in rows),
        now=now.astimezone(span.zone),
        plan=plan,
        policy=_policy(style, script),
        script=script,
        span=Span(span.start.astimezone(span.zone), span.end.astimezone(span.zone), span.zone),
        style=style,
        sums=_sum(row.hours for row in rows),
        sums_of=len(rows),
    )


def make_timeline(cluster: Cluster, span: Span) -> Timeline:
    """Return the pieces that touch a span, the first one beginning with it, and the excluded dates in it."""
    zone = ZoneInfo(cluster.timing.timezone)
    cuts = sorted({span.start, *(at for at in _cuts(cluster, span._replace(zone=zone)) if span.start < at < span.end)})
    asked = [desired_state(cluster, at) for at in cuts]
    pieces: List[Piece] = []
    for at, desired in zip(cuts, asked):
        piece = Piece(at, desired.state, _cause(desired, zone, at), _rule_text(desired.rule))
        if not pieces or pieces[-1][1:] != piece[1:]:
            pieces.append(piece)
    excluded = _excluded(cluster.timing, span) if cluster.enabled else ()
    return Timeline(asked[0].since, asked[-1].until, tuple(pieces), tuple(excluded))


def _cuts(cluster: Cluster, span: Span) -> Iterator[datetime]:
    """Yield every instant at which state, reason or rule can change, and some more; the span has the cluster's zone."""
    if not cluster.enabled:
        return
    timing = cluster.timing
    yield from _transitions(cluster, span)
    for override in timing.overrides:
        yield from (override.start, override.end)
    days = _days(timing, span)
    if timing.is_one_sided or len(timing.windows) > 1 or days or timing.overrides:
        for window in timing.windows:
            yield from _window_cuts(window, span)
    for day in days:  # one by one: neighbours differ in their names
        flips = date_flips(span.zone, frozenset((day,)))
        yield from flips
        for window in timing.windows:
            if window.start and flips:  # a start that does not happen may be the cause from then on
                yield from _window_cuts(Window(window.start, None), Span(flips[0], flips[-1], span.zone))


@lru_cache(maxsize=1024)
def _window_cuts(window: Window, span: Span) -> Sequence[datetime]:
    """Return when a window alone begins and ends: there its rule takes over from another, or would have."""
    # One-sided windows are asked for their events, each of which insists for a second.
    is_one_sided = window.start is None or window.stop is None
    timing = Timing(timezone=span.zone.key, windows=(window,), enforce_s=1 if is_one_sided else None)
    return list(_transitions(Cluster("", ClusterId(""), timing), span))


def _transitions(cluster: Cluster, span: Span) -> Iterator[datetime]:
    return (transition.at for transition in transitions(cluster, span.start, span.end - _INSTANT))


def _cause(desired: Desired, zone: ZoneInfo, at: datetime) -> str:
    """Return the reason without its end: the page says until when in the zone that its reader chose."""
    if desired.until is None:
        return desired.reason
    return desired.reason.removesuffix(f", until {describe_moment(zone, desired.until, at)}")


def _rule_text(rule: Rule) -> str:
    kind = _RULES.get(rule.kind, rule.kind)
    return kind if rule.position is None else f"{kind} {rule.position + 1}"


def _days(timing: Timing, span: Span) -> FrozenSet[date]:
    """Return the excluded dates that a span may touch."""
    zone = ZoneInfo(timing.timezone)
    first, last = (local_at(zone, at).date() for at in (span.start - _DAY, span.end + _DAY))
    days = map(date.fromisoformat, timing.excluded_dates)
    return frozenset(day for day in days if first <= day <= last)


def _excluded(timing: Timing, span: Span) -> Iterator[Excluded]:
    zone = ZoneInfo(timing.timezone)
    for day in sorted(_days(timing, span)):
        name = timing.excluded_dates[day.isoformat()]
        flips = date_flips(zone, frozenset((day,)))
        for start, end in zip(flips[::2], flips[1::2]):
            if start < span.end and end > span.start:
                yield Excluded(start, end, f"{day}{f' ({name})' if name else ''}")


def _key(cluster: Cluster) -> Tuple[int, bool]:
    """Return what clusters of one timeline have in common: they share the very object of their timing."""
    return id(cluster.timing), cluster.enabled


def _timelines(clusters: Sequence[Cluster], span: Span) -> Dict[Tuple[int, bool], Timeline]:
    found: Dict[Tuple[int, bool], Timeline] = {}
    for cluster in clusters:
        if _key(cluster) not in found:
            found[_key(cluster)] = make_timeline(cluster, span)
    return found


def _groups(clusters: Sequence[Cluster], rows: Sequence[Row], span: Span) -> List[Group]:
    by_zone: Dict[str, List[Row]] = {}
    for cluster, row in zip(clusters, rows):
        by_zone.setdefault(cluster.timing.timezone, []).append(row)
    return [
        Group(
            zone,
            tuple(found),
            tuple(map(_change_text, changes_between(ZoneInfo(zone), span.start - _INSTANT, span.end))),
        )
        for zone, found in by_zone.items()
    ]


def _change_text(change: Change) -> str:
    before, after = ((change.at + offset).replace(tzinfo=None) for offset in (change.before, change.after))
    hours = 24 - (change.after - change.before) / _HOUR
    return f"{before:%a} {before.day} {before:%b %Y}: {before:%H:%M} becomes {after:%H:%M}, {hours:g} hours that day"


def _sum(each: Iterable[Hours]) -> Hours:
    running, stopped, unmanaged = (sum(column, timedelta()) for column in zip(*each))
    return Hours(running, stopped, unmanaged)


def _data(
    clusters: Sequence[Cluster],
    timelines: Mapping[Tuple[int, bool], Timeline],
    span: Span,
    now: datetime,
    plan: Optional[Plan],
) -> Dict[str, Any]:
    """Return what the script draws: seconds since 1970, and numbers in the place of repeated texts."""
    texts: Dict[str, int] = {}
    numbers = {key: number for number, key in enumerate(timelines)}
    return {
        "start": _seconds(span.start),
        "end": _seconds(span.end),
        "written": _seconds(now),
        "plan": _seconds(plan.at) if plan else None,
        "clusters": [[printable(c.name), c.timing.timezone, numbers[_key(c)]] for c in clusters],
        "timelines": [_timeline_json(timeline, texts) for timeline in timelines.values()],
        "zones": {zone: _offsets(zone, timelines.values()) for zone in {c.timing.timezone for c in clusters}},
        "texts": [printable(text) for text in texts],
    }


def _timeline_json(timeline: Timeline, texts: Dict[str, int]) -> Dict[str, Any]:
    def number(text: str) -> int:
        return texts.setdefault(text, len(texts))

    pieces = [(_seconds(p.start), _STATES.index(p.state), number(p.reason), number(p.rule)) for p in timeline.pieces]
    return {
        "since": _seconds(timeline.since) if timeline.since else None,
        "until": _seconds(timeline.until) if timeline.until else None,
        "pieces": [part for piece in pieces for part in piece],
        "excluded": [(_seconds(e.start), _seconds(e.end), number(e.label)) for e in timeline.excluded],
    }


def _offsets(name: str, timelines: Iterable[Timeline]) -> List[Tuple[int, int]]:
    """Return from when on a zone's clocks are how many seconds ahead of UTC, as far as the page has instants.

    The browser's own knowledge of zones may be older, or newer, than that by which the function acts.
    """
    zone = ZoneInfo(name)
    known = [at for t in timelines for at in (t.since, t.until, t.pieces[0].start, t.pieces[-1].start) if at]
    start, end = min(known) - _DAY, max(known) + 367 * _DAY
    rest = [(_seconds(c.at), int(c.after.total_seconds())) for c in changes_between(zone, start - _INSTANT, end)]
    return [(_seconds(start), int(offset_at(zone, start).total_seconds())), *rest]


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _printable(value: Any) -> Any:
    """Write out what would steer the text of a page; a text that is markup already stays as it is."""
    return printable(value) if type(value) is str else value


def _policy(style: str, script: str) -> str:
    """Return a content security policy: this style and this script, and nothing from anywhere."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    return (
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'".format(
            *hashes
        )
    )
