"""``status``: whether what is deployed is what the file asks, and whether it runs."""

from datetime import datetime, timedelta
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from rich.console import RenderableType

from scheduler.cli.deployment import (
    FunctionEndpoint,
    Options,
    Surroundings,
    difference_json,
    open_functions,
    place_function,
    read_old,
    show_differences,
    surroundings,
)
from scheduler.cli.exits import ExitCode
from scheduler.cli.options import DEFAULT_FILE, AsJson, File, Region
from scheduler.cli.output import count, line, show, show_json
from scheduler.deploy.function import (
    Difference,
    Execution,
    Found,
    FunctionCloud,
    find_differences,
    find_warnings,
    make_wanted,
)
from scheduler.deploy.sources import ScheduleFiles, read_schedule_files
from scheduler.deploy.sources import schedule_files as named_files
from scheduler.errors import CloudError, InputError
from scheduler.model import Function
from scheduler.report import write_instant

METRIC_LAG = timedelta(minutes=5)
"""The platform counts runs in steps of this length."""
_FAILED = ("FAIL", "DISCARD")


class Runs(NamedTuple):
    """What the platform knows of the runs of two periods: ``number`` is None where it does not tell.

    ``is_silent``: there should have been one and there was none.
    """

    minutes: int
    number: Optional[int]
    last: Optional[Execution]
    is_silent: bool


class Status(NamedTuple):
    """Everything that ``status`` says. ``unknown`` are things that could not be found out, and why."""

    found: Found
    differences: Tuple[Difference, ...]
    schedules_equal: Optional[bool]
    runs: Runs
    unknown: Tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Whether nothing needs a person."""
        last_failed = self.runs.last is not None and self.runs.last.status in _FAILED
        differs = bool(self.differences) or self.schedules_equal is False or not self.found.is_ours
        return not differs and not last_failed and not self.runs.is_silent


def status(
    *,
    file: File = DEFAULT_FILE,
    as_json: AsJson = False,
    region: Region = None,
    function_endpoint: FunctionEndpoint = None,
) -> int:
    """Show whether what is deployed equals the file, and whether it runs.

    Exits with 1 where it differs, where the last run failed, and where none was seen for two periods.
    """
    options = Options(file, region, function_endpoint=function_endpoint)
    return run_status(options, surroundings(), as_json=as_json)


def run_status(options: Options, outside: Surroundings, *, as_json: bool) -> int:
    """Look and tell."""
    files = read_schedule_files(options.file)
    function = place_function(files.schedules, options, outside.environ)
    with open_functions(function, options, outside.environ) as cloud:
        found = cloud.find(function.name)
        seen = _look(cloud, found, files, function, outside) if found else None
    if as_json:
        show_json(_json(function, seen))
    elif seen is None:
        show(line(f"there is no function {function.name} in {function.region}: `cce-scheduler deploy` makes it"))
    else:
        show(*_lines(seen, function, options))
    return ExitCode.DONE if seen and seen.is_well else ExitCode.FAILED


def _look(
    cloud: FunctionCloud, found: Found, files: ScheduleFiles, function: Function, outside: Surroundings
) -> Status:
    unknown: List[str] = []
    digest = found.digest
    try:
        digest = outside.build(files, function.runtime).digest
    except InputError as e:
        unknown.append(f"whether the code is equal: {e}")
    equal: Optional[bool] = None
    try:
        equal = read_old(cloud, found).files == named_files(files)
    except CloudError as e:
        unknown.append(f"whether the schedules are equal: {e}")
    differences = find_differences(found, make_wanted(function, digest))
    runs = look_for_runs(cloud, found, function.every_s, outside.now)
    if runs.number is None:
        unknown.append("whether it runs: the API does not tell; look at the function's metrics in the console")
    return Status(found, differences, equal, runs, tuple(unknown))


def look_for_runs(cloud: FunctionCloud, found: Found, every_s: int, now: datetime) -> Runs:
    """Return what is known of the runs of the last two periods, and of the time until they are counted."""
    window = timedelta(seconds=2 * every_s) + METRIC_LAG
    minutes = int(window.total_seconds() // 60)
    seen: Sequence[Execution] = ()
    counted: Optional[int] = None
    try:  # a region may keep no list, so an empty one proves nothing
        seen = [execution for execution in cloud.list_executions(found.urn, now - window) if execution.at is not None]
        seen = [execution for execution in seen if execution.at and execution.at >= now - window]
    except CloudError:
        seen = ()
    try:
        counted = cloud.count_executions(found.urn, minutes)
    except CloudError:
        counted = None
    number = max(len(seen), counted or 0) if seen or counted is not None else None
    timer = found.timer
    is_young = timer is not None and timer.created is not None and now - timer.created < window
    return Runs(minutes, number, seen[0] if seen else None, is_silent=number == 0 and not is_young)


def _lines(seen: Status, function: Function, options: Options) -> Iterator[RenderableType]:
    found = seen.found
    yield line(f"{function.name} in {function.region}", "bold")
    if not found.is_ours:
        yield line("! it was not made by cce-scheduler: `deploy --adopt` takes it over", "red", 2)
    same = {True: f"as in {options.file}", False: f"not as in {options.file}: deploy it", None: "unknown"}
    yield line(f"schedules  {same[seen.schedules_equal]}", "red" if seen.schedules_equal is False else "", 2)
    timer = found.timer
    state = (
        "none: nothing runs it" if timer is None else f"{timer.schedule}, {'active' if timer.is_active else 'disabled'}"
    )
    yield line(f"timer      {state}", "" if timer and timer.is_active else "red", 2)
    settings = f"{found.runtime}, {found.memory_mb} MB, {found.timeout_s} s, agency {found.agency or 'none'}"
    yield line(f"settings   {settings}", "", 2)
    yield line(f"runs       {_describe_runs(seen.runs)}", "red" if seen.runs.is_silent else "", 2)
    for what in seen.unknown:
        yield line(f"! unknown {what}", "yellow", 2)
    for warning in find_warnings(found):
        yield line(f"! warning: {warning}", "yellow", 2)
    if seen.differences:
        yield ""
        yield from show_differences("what `deploy` would change", seen.differences)


def _describe_runs(runs: Runs) -> str:
    if runs.number is None:
        return "unknown"
    if runs.number == 0:
        return f"none in the last {runs.minutes} minutes" + (
            ", two periods" if runs.is_silent else "; the timer is new"
        )
    text = f"{count(runs.number, 'run')} in the last {runs.minutes} minutes"
    if runs.last is None:
        return f"{text}; with what result is not known"
    error = f": {' '.join(runs.last.error.split())[:300]}" if runs.last.error else ""
    return f"{text}; the last at {write_instant(runs.last.at)}: {runs.last.status}{error}"


def _json(function: Function, seen: Optional[Status]) -> Dict[str, Any]:
    shown: Dict[str, Any] = {"name": function.name, "region": function.region, "deployed": seen is not None}
    if seen is None:
        return {**shown, "well": False}
    timer, last = seen.found.timer, seen.runs.last
    return {
        **shown,
        "well": seen.is_well,
        "ours": seen.found.is_ours,
        "differences": difference_json(seen.differences),
        "schedules_equal": seen.schedules_equal,
        "timer": {"schedule": timer.schedule, "active": timer.is_active} if timer else None,
        "runs": {"minutes": seen.runs.minutes, "number": seen.runs.number, "silent": seen.runs.is_silent},
        "last_run": {"at": write_instant(last.at), "status": last.status, "error": last.error} if last else None,
        "unknown": list(seen.unknown),
    }
