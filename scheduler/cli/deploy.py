"""``deploy``: makes the function in the cloud as the file asks, step by step, and asks before it changes anything."""

from typing import Annotated, Any, Iterator, List, Mapping, Optional, Sequence

import typer
from rich.console import RenderableType

from scheduler.cli.deployment import (
    FunctionEndpoint,
    Options,
    Surroundings,
    Yes,
    Zip,
    confirm,
    confirm_abandoned,
    open_functions,
    open_servers,
    place_as_deployed,
    place_function,
    read_old,
    show_differences,
    surroundings,
)
from scheduler.cli.diff import show_run
from scheduler.cli.doctor import check_before_deploy
from scheduler.cli.exits import ExitCode
from scheduler.cli.options import DEFAULT_FILE, CceEndpoint, Endpoint, File, Region
from scheduler.cli.output import line, note, show
from scheduler.deploy.deployed import Abandoned, find_abandoned, no_longer_managed
from scheduler.deploy.function import (
    Difference,
    Found,
    FunctionCloud,
    Part,
    Wanted,
    apply_before_timer,
    apply_timer,
    check_possible,
    find_differences,
    find_warnings,
    make_wanted,
    plan_in_cloud,
)
from scheduler.deploy.sources import ScheduleFiles, read_schedule_files
from scheduler.deploy.sources import schedule_files as named_files
from scheduler.errors import CloudError, InputError, UntrustedAnswerError
from scheduler.model import Function, Schedules
from scheduler.public_holidays import refuse_ended
from scheduler.reconcile import run_once

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Adopt = Annotated[
    bool, typer.Option("--adopt", help="Take over a function of that name that cce-scheduler did not make.")
]


def deploy(  # noqa: PLR0913 - one for each option
    *,
    file: File = DEFAULT_FILE,
    yes: Yes = False,
    dry_run: DryRun = False,
    adopt: Adopt = False,
    region: Region = None,
    endpoint: Endpoint = None,
    cce_endpoint: CceEndpoint = None,
    function_endpoint: FunctionEndpoint = None,
) -> int:
    """Create or update the function and its timer.

    Shows what differs and what the next run would do, then asks. The timer is set last, after the function has
    planned in the cloud. Doing it twice changes nothing; a deployment that broke off is finished by the next one.
    """
    options = Options(file, region, endpoint, function_endpoint, yes, dry_run, adopt, cce_endpoint)
    return run_deploy(options, surroundings())


def run_deploy(options: Options, outside: Surroundings) -> int:
    """Deploy as the options say."""
    files = read_schedule_files(options.file)
    refuse_ended(files.schedules.calendars_end, outside.now)
    function = place_function(files.schedules, options, outside.environ)
    make_wanted(function, file=str(options.file))  # refuses what would only show after the zip is built
    with open_functions(function, options, outside.environ) as cloud:
        built = outside.build(files, function.runtime)
        wanted = make_wanted(function, built.digest)
        found = cloud.find(wanted.name)
        check_possible(found, wanted, adopt=options.adopt)
        for warning in find_warnings(found):
            note(f"! warning: {warning}", "yellow")
        todo = find_differences(found, wanted)
        if not todo:
            show(line(f"{wanted.name} is as {options.file} asks: nothing to change"))
            return ExitCode.DONE
        title = f"{wanted.name}: to be {'changed' if found else 'created'}"
        show(*show_differences(title, todo), "")
        deployment = _Deployment(cloud, found, wanted, built, todo)
        if not _look_ahead(deployment, files, function, options, outside):
            return _refused(found)
        if options.dry_run:
            return ExitCode.DONE
        return _carry_out(deployment, options, outside)


class _Deployment:
    """One deployment: what exists, what is wanted, and what is to be done."""

    def __init__(
        self, cloud: FunctionCloud, found: Optional[Found], wanted: Wanted, built: Zip, todo: Sequence[Difference]
    ) -> None:
        self.cloud = cloud
        self.found = found
        self.wanted = wanted
        self.built = built
        self.todo = todo
        self.done: List[Part] = []

    @property
    def sets_timer(self) -> bool:
        """Whether the timer is to be changed."""
        return any(difference.part is Part.TIMER for difference in self.todo)

    @property
    def sends_code(self) -> bool:
        """Whether the code is to be changed."""
        return any(difference.part is Part.CODE for difference in self.todo)


def _look_ahead(
    deployment: _Deployment, files: ScheduleFiles, function: Function, options: Options, outside: Surroundings
) -> bool:
    """Show what the next run would do, under the deployed file too if it differs; return whether to go on."""
    placed = place_as_deployed(files.schedules, function, function.settings)
    before = _read_before(deployment, files, function)
    abandoned: List[Abandoned] = []
    with open_servers(placed, function, options, outside) as access:
        check_before_deploy(access, outside.now)
        if before is not None:
            show(line("Plan under the deployed file", "bold"))
            show(
                *show_run(run_once(before, outside.now, access.connect, access.clock, dry_run=True), verbose=False), ""
            )
            abandoned = find_abandoned(no_longer_managed(before, placed), outside.now, access.connect, access.clock)
        show(line(f"Plan under {options.file}", "bold"))
        show(*show_run(run_once(placed, outside.now, access.connect, access.clock, dry_run=True), verbose=False))
    if not confirm_abandoned(abandoned, options, outside):
        return False
    return options.dry_run or confirm(options, outside, f"Deploy {deployment.wanted.name}?")


def _read_before(deployment: _Deployment, files: ScheduleFiles, function: Function) -> Optional[Schedules]:
    """Return the schedules that are deployed, None where there are none, or none that differ, or none to be had."""
    found = deployment.found
    if found is None or not deployment.sends_code:
        return None
    try:
        old = read_old(deployment.cloud, found)
        if old.files == named_files(files):
            return None
        return place_as_deployed(old.schedules, function, found.user_data)
    except (UntrustedAnswerError, InputError) as e:
        note(f"! the deployed schedules cannot be compared: {e}", "yellow")
        return None


def _carry_out(deployment: _Deployment, options: Options, outside: Surroundings) -> int:
    """Do what was agreed to: everything but the timer, then the dry run in the cloud, then the timer."""
    try:
        found = _apply(deployment)
        show("", *_show_cloud_plan(plan_in_cloud(deployment.cloud, found.urn)))
        if deployment.sets_timer:
            question = f"Let the timer run {deployment.wanted.name} by {deployment.wanted.schedule}?"
            if not confirm(options, outside, question):
                return _refused(found)
            apply_timer(deployment.cloud, found, deployment.wanted)
            note(f"done: {Part.TIMER.value}")
    except CloudError:
        _say_where_it_stands(deployment)
        raise
    show(line(f"{deployment.wanted.name} is as {options.file} asks", "bold green"))
    return ExitCode.DONE


def _apply(deployment: _Deployment) -> Found:
    """Carry out every step before the timer's and return what the cloud shows then."""
    steps = apply_before_timer(
        deployment.cloud, deployment.found, deployment.wanted, deployment.built.content, deployment.todo
    )
    for part in steps:
        deployment.done.append(part)
        note(f"done: {part.value}")
    found = deployment.cloud.find(deployment.wanted.name)
    if found is None:
        raise UntrustedAnswerError(
            f"the function {deployment.wanted.name} is not found after it was made: deploy again"
        )
    if found.digest.lower() != deployment.wanted.digest.lower():
        note(
            "! the cloud shows another digest than the zip has: `status` cannot tell whether the code is equal",
            "yellow",
        )
    return found


def _say_where_it_stands(deployment: _Deployment) -> None:
    """Say what was done, and whether a timer runs it as the cloud shows it now: what failed may have been the timer."""
    done = ", ".join(part.value for part in deployment.done) or "nothing"
    try:
        found = deployment.cloud.find(deployment.wanted.name)
    except CloudError:
        runs = "whether a timer runs it is not known: look with `cce-scheduler status`"
    else:
        timer = found.timer if found else None
        runs = "its timer is active, and runs what is deployed" if timer and timer.is_active else "no timer runs it"
    note(f"! done before it failed: {done}; {runs}", "yellow")


def _refused(found: Optional[Found]) -> int:
    if found is None:
        note("nothing was changed")
    elif found.timer is not None and found.timer.is_active:
        note("nothing more is changed; the timer that exists goes on")
    else:
        note("nothing more is changed; no timer runs the function")
    return ExitCode.FAILED


def _show_cloud_plan(result: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what the function itself would do, as its result says."""
    yield line("Plan in the cloud", "bold")
    data = result.get("data")
    for cluster in (data.get("clusters") or []) if isinstance(data, dict) else []:
        counts = ", ".join(f"{_number(cluster.get(key))} {words}" for key, words in _COUNTS)
        yield line(f"{cluster.get('name')}: {cluster.get('state')}, {counts}", indent=2)
    yield line(str(result.get("message")), indent=2)


_COUNTS = (("started", "to start"), ("stopped", "to stop"))


def _number(listed: object) -> object:
    return listed.get("count") if isinstance(listed, dict) else len(listed) if isinstance(listed, list) else 0
