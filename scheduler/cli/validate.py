"""``validate``: every problem of a schedules file at once, or what it says."""

from datetime import datetime, timezone
from typing import Any, Dict, List

from scheduler.caution import find_cautions, find_stale
from scheduler.cli.exits import ExitCode
from scheduler.cli.options import DEFAULT_FILE, AsJson, File
from scheduler.cli.output import count, note, show, show_json, table
from scheduler.cli.problems import show_problems
from scheduler.config import load_checked
from scheduler.describe import describe_window
from scheduler.errors import ConfigError, Problem
from scheduler.localtime import earliest_date
from scheduler.model import Cluster, OnExcludedDates, Schedules, State, Timing


def validate(*, file: File = DEFAULT_FILE, as_json: AsJson = False) -> int:
    """Check the schedules file and show every problem in it, or else what is likely to be a mistake."""
    problems: List[Problem] = []
    warnings: List[Problem] = []
    clusters: List[Cluster] = []
    try:
        checked = load_checked(file)
        clusters = list(checked.schedules.clusters)
        now = datetime.now(timezone.utc)
        problems, warnings = find_stale(checked, now), find_cautions(checked, now)
    except ConfigError as e:
        problems = list(e.problems)
    if as_json:
        show_json(
            {
                "valid": not problems,
                "problems": [problem._asdict() for problem in problems],
                "warnings": [warning._asdict() for warning in warnings],
                "clusters": [_cluster_json(cluster) for cluster in clusters],
            }
        )
    elif problems:
        show_problems(file, problems)
        note(f"{file}: {count(len(problems), 'problem')}")
    else:
        show_problems(file, warnings, are_warnings=True)
        _show_found(str(file), checked.schedules, now)
    return ExitCode.FAILED if problems else ExitCode.DONE


def _show_found(file: str, schedules: Schedules, now: datetime) -> None:
    found = schedules.clusters
    disabled = sum(not cluster.enabled for cluster in found)
    timings = len({id(cluster.timing) for cluster in found})  # clusters on equal schedules share one
    note_disabled = f", {disabled} of them not enabled" if disabled else ""
    show(
        f"{file} is valid: {count(len(found), 'cluster')} on {count(timings, 'schedule')}{note_disabled}",
        table(("CLUSTER", "RUNS"), [(cluster.name, _when(cluster, now)) for cluster in found]),
    )


def _when(cluster: Cluster, now: datetime) -> str:
    timing = cluster.timing
    if not cluster.enabled:
        return "enabled: false"
    if timing.state is not None:
        return _describe_constant(timing, timing.state, now)
    return "; ".join(describe_window(window, timing.timezone) for window in timing.windows)


def _describe_constant(timing: Timing, state: State, now: datetime) -> str:
    """Say what a constant state is, and what is going to change it for a while."""
    today = earliest_date(now)
    on_dates = timing.on_excluded_dates
    changes = on_dates is not OnExcludedDates.NO_START and on_dates.value != state.value
    dates = sum(day >= today for day in timing.excluded_dates) if changes else 0
    overrides = sum(o.end > now and o.state is not state for o in timing.overrides)
    if not dates and not overrides:
        return f"always {state.value}"
    on = f", but {on_dates.value} on {count(dates, 'excluded date')}" if dates else ""
    during = f", with {count(overrides, 'override')}" if overrides else ""
    return f"{state.value}{on}{during}"


def _cluster_json(cluster: Cluster) -> Dict[str, Any]:
    """Return what a cluster's schedule became: ``hours`` are cron expressions by now."""
    timing = cluster.timing
    return {
        "name": cluster.name,
        "cluster_id": cluster.cluster_id,
        "enabled": cluster.enabled,
        "timezone": timing.timezone,
        "state": timing.state.value if timing.state else None,
        "windows": [window._asdict() for window in timing.windows],
    }
