"""The function: from an event of the platform to one run, and its result.

Thin: settings and credentials from the context, one call, a result. `handler` is what the platform calls; it and
the command line are the only readers of the clock and the environment.

A run that a timer began and that failed anywhere finishes its other work, logs, and then raises, so that the
platform's failure count and alarms see it; a run by hand returns the result.
"""

import gc
import json
import os
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Callable, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from scheduler.compiled import load_compiled
from scheduler.errors import InputError, SchedulerError
from scheduler.evaluate import desired_state, transitions
from scheduler.localtime import parse_at, read_instant
from scheduler.model import EVERY_CLUSTER, Clock, Cluster, HoldKind, Schedules, State, Timing
from scheduler.reconcile import place_clusters, run_once, select_clusters
from scheduler.report import Json, error_result, log_lines, one_shot_json, run_json, write_instant
from scheduler.settings import LOG_LEVELS, Credentials, OneShot, Settings, read_settings

if TYPE_CHECKING:
    from scheduler.cloud import Cloud, Connect

_ACTIONS = ("converge", "plan", "start", "stop")
_KEYS = ("action", "clusters", "dry_run", "at")
_MARGIN_S = 2.0
"""Left at the end of a run for its result, before the platform would kill it."""
_OLDEST = timedelta(minutes=10)
_UNDONE_WITHIN = timedelta(days=14)
"""How far ahead is looked for what will undo an action by hand: the time of a run is short."""
_MOST_ERROR_BYTES = 4000
_MOST_LOG_BYTES = 60_000
_MOST_LOG_TEXT = 1500
"""Of a line that would be too long, every text is cut to this many characters and every list to its length."""


class RunFailedError(SchedulerError):
    """A run that a timer began has failed; its work is done as far as it went, and logged."""


class Request(NamedTuple):
    """What an event asks for. ``clusters`` is None for all of them; ``fired`` is what a timer says of itself."""

    action: str = "converge"
    clusters: Optional[Tuple[str, ...]] = None
    dry_run: bool = False
    at: Optional[datetime] = None
    is_explicit: bool = False
    fired: Optional[str] = None


class _Asked(NamedTuple):
    """All that one invocation is given."""

    request: Request
    settings: Settings
    schedules_path: str
    now: datetime
    connect: "Connect"
    clock: Clock


def handler(event: object, context: object) -> Json:
    """Run once, now. The entry point of the function."""
    now = datetime.now(timezone.utc)
    try:
        return handle(event, context, now=now, environ=os.environ, monotonic=time.monotonic, sleep=time.sleep)
    finally:
        gc.enable()  # the entry of the zip disables it for the cold start; an instance may live for more runs


def handle(  # noqa: PLR0913 - the two arguments of the platform, and what it reads otherwise
    event: object,
    context: object,
    *,
    now: datetime,
    environ: Mapping[str, str],
    monotonic: Callable[[], float],
    sleep: Callable[[float], object],
    chance: Optional[Callable[[], float]] = None,
) -> Json:
    """Run once at ``now``. Raises `RunFailedError` where a timer began the run and it failed."""
    begun = monotonic()
    is_timer = isinstance(event, dict) and event.get("trigger_type") == "TIMER"
    lookup = _lookup(context, environ)
    lines: List[Json] = []
    level = "INFO"
    try:
        settings = read_settings(lookup)
        level = settings.log_level
        deadline = begun + settings.timeout_s - _MARGIN_S
        clock = Clock(
            now=lambda: now + timedelta(seconds=monotonic() - begun),
            remaining_s=lambda: deadline - monotonic(),
            sleep=sleep,
            chance=chance or _chance,
        )
        connect = _connector(context, lookup, settings, clock.remaining_s)
        asked = _Asked(read_event(event), settings, _schedules_path(settings, environ), now, connect, clock)
        if settings.one_shot and not asked.request.is_explicit:
            result, lines = _run_one_shot(asked, settings.one_shot)
        else:
            result, lines = _run_schedules(asked)
    except SchedulerError as e:
        action, is_one_shot = _meant(event, lookup)
        result = error_result(e, action, is_one_shot=is_one_shot)
        lines = [{"event": "run", "action": action, "status": "error", "message": str(e)}]
    _log(context, lines, level)
    if is_timer and result["status"] == "error":
        raise RunFailedError(result["message"].encode(errors="replace")[:_MOST_ERROR_BYTES].decode(errors="ignore"))
    return result


def read_event(event: object) -> Request:
    """Return what an event asks for. Raises `InputError` for what it does not know."""
    if event is None or event == "":
        return Request()
    if not isinstance(event, dict):
        raise InputError(f'the event is {type(event).__name__}: send an object such as {{"action": "plan"}}')
    if event.get("trigger_type") == "TIMER":
        own = next((key for key in _KEYS if key in event), None)
        if own is not None:
            raise InputError(f"event.{own}: a timer's event only converges: leave out trigger_type to ask by hand")
        return Request(fired=str(event.get("time")))
    unknown = next((str(key) for key in event if key not in _KEYS), None)
    if unknown is not None:
        raise InputError(f'event: unknown key "{unknown}": {_suggest(unknown, _KEYS)}')
    action, dry_run, at = event.get("action", "converge"), event.get("dry_run", False), event.get("at")
    if action not in _ACTIONS:
        raise InputError(f'event.action: "{action}" is not known: {_suggest(str(action), _ACTIONS)}')
    if not isinstance(dry_run, bool):
        raise InputError(f"event.dry_run: {dry_run!r} is not a boolean: write true or false")
    if at is not None and action != "plan":
        raise InputError('event.at: only {"action": "plan"} can look at another time')
    names = _read_names(event.get("clusters"), action)
    return Request(action, names, dry_run, None if at is None else parse_at(str(at)), "action" in event)


def _meant(event: object, lookup: Callable[[str], Optional[str]]) -> Tuple[str, bool]:
    """Return the action of a run that could not begin, as far as it is known, and whether it is a one-shot."""
    by_hand = event.get("action") if isinstance(event, dict) else None
    setting = lookup("action")
    is_one_shot = bool(setting) and not (isinstance(event, dict) and "action" in event)
    asked = setting if is_one_shot else by_hand
    known = ("start", "stop") if is_one_shot else _ACTIONS
    return next((action for action in known if action == asked), _ACTIONS[0]), is_one_shot


def _read_names(names: object, action: str) -> Optional[Tuple[str, ...]]:
    if names is None and action in ("start", "stop"):
        raise InputError(f'event.clusters: name the clusters to {action}, such as ["dev"]')
    if names is not None and not (isinstance(names, list) and names and all(isinstance(n, str) for n in names)):
        raise InputError('event.clusters: write a list of cluster names, such as ["dev"]')
    return tuple(names) if isinstance(names, list) else None


def read_credentials(context: object, lookup: Callable[[str], Optional[str]]) -> Credentials:
    """Return the agency's temporary credentials, else ``ak`` and ``sk`` of the settings; never a mixture."""
    triple = [_ask(context, f"getSecurity{what}") for what in ("AccessKey", "SecretKey", "Token")]
    if triple[0] and triple[1]:
        return Credentials(triple[0], triple[1], triple[2] or None)
    ak, sk = lookup("ak"), lookup("sk")
    if ak and sk:
        return Credentials(ak, sk, lookup("securityToken") or None)
    if any(triple) or ak or sk:
        raise InputError("the credentials are incomplete: an access key needs its secret key; check agency, ak and sk")
    raise InputError("no credentials: give the function an agency, or set both ak and sk")


def _run_schedules(asked: _Asked) -> Tuple[Json, List[Json]]:
    """Do what a timer or a person asks of the schedules file."""
    request, settings = asked.request, asked.settings
    if settings.one_shot and not os.path.exists(asked.schedules_path):
        raise InputError(
            "event.action: there is no schedules file, only the setting action: send "
            '{"dry_run": true} to see what it would do, or an empty event to do it'
        )
    schedules = select_clusters(_load(asked.schedules_path), request.clusters)
    schedules = written = place_clusters(schedules, settings.region, settings.project_id)
    by_hand = {"start": State.RUNNING, "stop": State.STOPPED}.get(request.action)
    if by_hand is not None:
        forced = tuple(_forced(c, by_hand) for c in written.clusters)
        schedules = written._replace(clusters=forced, remote_overrides=False)
    dry_run = settings.dry_run or request.dry_run or request.action == "plan"
    is_now = request.at is None and request.action in ("converge", "plan")
    run = run_once(schedules, request.at or asked.now, asked.connect, asked.clock, dry_run=dry_run, is_now=is_now)
    result = run_json(run, request.action)
    if by_hand is State.RUNNING:
        waiting = [c.cluster.name for c in run.plan.clusters if any(h.kind is HoldKind.CONTROL_PLANE for h in c.holds)]
        result["message"] += "".join(
            f"; {name} waits for its control plane: ask again once it is awake" for name in waiting
        )
    if by_hand is not None:
        has_tags = written.remote_overrides
        notes = (_undone(c, by_hand, asked.now, has_tags=has_tags) for c in written.clusters)
        result["message"] += "".join(f"; {note}" for note in notes)
    return result, list(log_lines(run, request.action))


def _load(path: str) -> Schedules:
    """Return the schedules as they were compiled when packaged, or read the file if it is another by now."""
    compiled = load_compiled(path)
    if compiled is not None:
        return compiled
    from pathlib import Path

    from scheduler.config import load_config

    return load_config(Path(path))


def _run_one_shot(asked: _Asked, one_shot: OneShot) -> Tuple[Json, List[Json]]:
    """Do the one action of the settings at once, without a schedules file."""
    action = "start" if one_shot.state is State.RUNNING else "stop"
    if asked.request.clusters is not None:
        raise InputError(f"event.clusters: setting action={action} acts on what setting clusterId names: leave it out")
    if os.path.exists(asked.schedules_path):
        name = os.path.basename(asked.schedules_path)
        raise InputError(
            f"setting action={action} and {name} contradict each other, so nothing was done: "
            "remove the setting to follow the file, or leave the file out (`cce-scheduler package --one-shot`)"
        )
    if asked.request.fired is not None:
        _check_age(asked.request.fired, asked.now)
    schedules = place_clusters(_one_shot_schedules(one_shot), asked.settings.region, asked.settings.project_id)
    dry_run = asked.settings.dry_run or asked.request.dry_run
    run = run_once(schedules, asked.now, asked.connect, asked.clock, dry_run=dry_run, is_now=False)
    return one_shot_json(run, action), list(log_lines(run, action))


def _one_shot_schedules(one_shot: OneShot) -> Schedules:
    """Return the action as constant schedules: prepaid servers are included, every other hold holds."""
    timing = Timing("UTC", one_shot.state)
    return Schedules(
        tuple(
            Cluster(
                name="all CCE clusters" if cluster_id == EVERY_CLUSTER else cluster_id,
                cluster_id=cluster_id,
                timing=timing,
                stop_type=one_shot.stop_type,
                stop_prepaid=True,
            )
            for cluster_id in one_shot.cluster_ids or (EVERY_CLUSTER,)
        )
    )


def _check_age(fired: str, now: datetime) -> None:
    """Refuse the event of a timer that was delayed: its one action may be wrong by now; a schedule never is."""
    at = read_instant(fired)
    if at is None:
        raise InputError(f'the timer\'s event has no time that can be read: "{fired}"')
    if now - at > _OLDEST:
        raise InputError(f"the timer's event is of {fired}, over 10 minutes old: nothing was done")


def _forced(cluster: Cluster, state: State) -> Cluster:
    return cluster._replace(timing=Timing(cluster.timing.timezone, state))


def _undone(cluster: Cluster, state: State, now: datetime, *, has_tags: bool) -> str:
    """Say when the schedule will undo an action by hand; an override tag, which is not read here, may do it before."""
    desired = desired_state(cluster, now)
    unless = ", unless its override tag says otherwise" if has_tags else ""
    if not cluster.enabled:
        return f"{cluster.name} is not managed (enabled: false)"
    if desired.state not in (state, State.UNMANAGED):
        return f"the next run undoes it for {cluster.name}{unless}: {desired.reason}; write an override to keep it"
    opposite = State.STOPPED if state is State.RUNNING else State.RUNNING
    coming = transitions(cluster, now, now + _UNDONE_WITHIN)
    until = write_instant(next((t.at for t in coming if t.after is opposite), None), cluster.timing.timezone)
    if until is None:
        return f"the schedule of {cluster.name} does not undo it within {_UNDONE_WITHIN.days} days{unless}"
    return f"{cluster.name} stays so until {until}{unless}"


def _schedules_path(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the schedules file; the platform's working directory is not the directory of the code."""
    root = environ.get("RUNTIME_CODE_ROOT")
    # Not ``pathlib``: its import alone costs a fourteenth of what a run may cost that has nothing to do.
    return os.path.join(root or os.path.dirname(os.path.dirname(__file__)), settings.schedules_path)


def _lookup(context: object, environ: Mapping[str, str]) -> Callable[[str], Optional[str]]:
    """Return how a setting is found: the function's user data, else the environment, else what the platform knows."""

    def lookup(key: str) -> Optional[str]:
        found = _ask(context, "getUserData", key)
        if not found:
            found = environ.get(key, found)
        if not found and key == "projectId":
            found = _ask(context, "getProjectID")
        return found

    return lookup


def _chance() -> float:
    from random import random

    return random()  # noqa: S311 - it only spreads tries


def _suggest(word: str, known: Sequence[str]) -> str:
    from scheduler.document import suggest

    return suggest(word, known)


def _ask(context: object, method: str, *arguments: str) -> Optional[str]:
    """Call a method of the platform's context; builds of the runtime differ in which they have."""
    found = getattr(context, method, None)
    value = found(*arguments) if callable(found) else None
    return value if isinstance(value, str) else None


def _connector(
    context: object, lookup: Callable[[str], Optional[str]], settings: Settings, remaining_s: Callable[[], float]
) -> "Connect":
    """Return what opens a project; the SDK is imported, and credentials are asked for, by the first that is opened."""

    def connect(region: str, project_id: str) -> "Cloud":
        from scheduler.cloud.huawei import HuaweiCloud
        from scheduler.cloud.regions import known_cce_endpoint, known_endpoint

        credentials = read_credentials(context, lookup)
        endpoint = settings.endpoint or known_endpoint(region)
        return HuaweiCloud(
            credentials,
            region,
            project_id,
            endpoint=endpoint,
            cce_endpoint=settings.cce_endpoint or known_cce_endpoint(region),
            remaining_s=remaining_s,
        )

    return connect


def _log(context: object, lines: Iterable[Json], level: str) -> None:
    """Write each line as JSON through the platform's logger, if there is one."""
    get_logger = getattr(context, "getLogger", None)
    logger = get_logger() if callable(get_logger) else None
    for line in lines if logger else ():
        kind = "ERROR" if line.get("error") or line.get("status") == "error" else "INFO"
        kind = "WARNING" if kind == "INFO" and line.get("warnings") else kind
        if LOG_LEVELS.index(kind) >= LOG_LEVELS.index(level):
            getattr(logger, kind.lower())(_write_line(line))


def _write_line(line: Json) -> str:
    """Write a line as JSON, short enough that the platform does not split it."""
    text = _dump(line)
    return text if len(text.encode()) <= _MOST_LOG_BYTES else _dump(_shorten(line))


def _dump(line: Any) -> str:
    """Return JSON that every logger can write: a text from outside may hold half of a character."""
    return json.dumps(line, ensure_ascii=False).encode(errors="replace").decode()


def _shorten(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shorten(part) for key, part in value.items()}
    if isinstance(value, list):
        return {"count": len(value)}
    return value[:_MOST_LOG_TEXT] if isinstance(value, str) else value
