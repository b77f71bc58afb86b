"""What ``deploy``, ``status`` and ``undeploy`` share: the file, its zip, the cloud, and how to ask a person."""

import contextlib
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

import typer
from rich.console import RenderableType

from scheduler.cli.access import Access, Target, find_credentials, open_access
from scheduler.cli.output import count, diagnostics, line, note
from scheduler.deploy.deployed import Abandoned, Deployed, read_deployed
from scheduler.deploy.function import Difference, Found, FunctionCloud, Part
from scheduler.deploy.package import build_package
from scheduler.deploy.runtimes import OFFERED, find_runtime
from scheduler.deploy.sources import ScheduleFiles
from scheduler.deploy.wheels import cache_dir
from scheduler.describe import join_some
from scheduler.errors import InputError
from scheduler.model import Function, Schedules
from scheduler.reconcile import place_clusters

FunctionEndpoint = Annotated[
    Optional[str], typer.Option("--function-endpoint", metavar="URL", help="The FunctionGraph endpoint to use.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: every answer is yes.")]

Ask = Callable[[str], bool]
"""Puts a question to a person and returns whether the answer is yes."""

_DIGEST_SHOWN = 12


class Zip(NamedTuple):
    """What is to be deployed; ``digest`` is its SHA-512."""

    content: bytes
    digest: str


Build = Callable[[ScheduleFiles, str], Zip]
"""Makes the zip of checked files for a runtime. Raises `InputError`."""


class Options(NamedTuple):
    """What the person said."""

    file: Path
    region: Optional[str] = None
    endpoint: Optional[str] = None
    function_endpoint: Optional[str] = None
    yes: bool = False
    dry_run: bool = False
    adopt: bool = False
    cce_endpoint: Optional[str] = None


class Surroundings(NamedTuple):
    """What a command needs from outside, for tests to hand in."""

    ask: Ask
    build: Build
    now: datetime
    environ: Mapping[str, str]

    def __repr__(self) -> str:
        return "Surroundings(...)"  # the environment has keys in it


def surroundings() -> Surroundings:
    """Return a terminal, the clock and the environment."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    return Surroundings(ask_person, build_zip, now, os.environ)


def ask_person(question: str) -> bool:
    """Ask on the terminal; raises `InputError` where there is nobody to ask."""
    if sys.stdin is None or not sys.stdin.isatty():  # None where it was closed
        raise InputError("nobody can be asked here, so nothing more is changed: look at --dry-run, then add --yes")
    return typer.confirm(question, default=False, err=True)


def confirm(options: Options, outside: Surroundings, question: str) -> bool:
    """Return whether to go on: by ``--yes``, or by what the person answers."""
    return options.yes or outside.ask(question)


def place_function(schedules: Schedules, options: Options, environ: Mapping[str, str]) -> Function:
    """Return the section ``function`` with region and project. Raises `InputError` where one is missing."""
    function = schedules.function
    region = function.region or options.region
    project_id = function.project_id or find_credentials(environ)[1]
    if not region:
        raise InputError("function.region: there is none: write it there or under `defaults:`, or give --region")
    if not project_id:
        raise InputError("function.project_id: there is none: write it there or under `defaults:`")
    return function._replace(region=region, project_id=project_id)


def place_as_deployed(schedules: Schedules, function: Function, user_data: Mapping[str, str]) -> Schedules:
    """Give clusters the region and project that they have in the function."""
    region, project_id = user_data.get("region"), user_data.get("projectId")
    return place_clusters(schedules, region or function.region, project_id or function.project_id)


@contextlib.contextmanager
def open_functions(function: Function, options: Options, environ: Mapping[str, str]) -> Iterator[FunctionCloud]:
    """Yield the functions of the project in which ``function`` belongs."""
    try:
        from scheduler.deploy.functiongraph import FunctionGraph
    except ModuleNotFoundError as e:
        if not (e.name or "").startswith("huaweicloudsdkfunctiongraph"):
            raise
        raise InputError('deploying needs huaweicloudsdkfunctiongraph: install the extra "cli"') from e
    credentials, _ = find_credentials(environ)
    cloud = FunctionGraph(
        credentials, function.region or "", function.project_id or "", endpoint=options.function_endpoint
    )
    try:
        yield cloud
    finally:
        cloud.close()


@contextlib.contextmanager
def open_servers(schedules: Schedules, function: Function, options: Options, outside: Surroundings) -> Iterator[Access]:
    """Yield the way to the servers of placed schedules, through the endpoint that the function will use."""
    endpoint = options.endpoint or function.settings.get("endpoint")
    cce_endpoint = options.cce_endpoint or function.settings.get("cceEndpoint")
    target = Target(options.region, endpoint, is_simulated=False, cce_endpoint=cce_endpoint)
    with open_access(schedules, target, environ=outside.environ, now=outside.now) as access:
        yield access


def read_old(cloud: FunctionCloud, found: Found) -> Deployed:
    """Return what is deployed. Raises `CloudError` where the API does not give it."""
    return read_deployed(cloud.read_code(found.urn))


def show_differences(title: str, differences: Sequence[Difference]) -> Iterator[RenderableType]:
    """Yield a line for each difference: + for what is new, - for what goes, ~ for what changes."""
    yield line(title, "bold")
    width = max(len(_title(difference)) for difference in differences)
    for difference in differences:
        sign, style = {(True, False): ("+", "green"), (False, True): ("-", "yellow")}.get(
            (difference.before is None, difference.after is None), ("~", "yellow")
        )
        values = [_value(difference, text) for text in (difference.before, difference.after) if text is not None]
        yield line(f"{sign} {_title(difference):{width}}  {' -> '.join(values)}", style, 2)


def difference_json(differences: Sequence[Difference]) -> List[Dict[str, Any]]:
    """Return differences for machines."""
    return [{"part": d.part.value, "what": d.what, "before": d.before, "after": d.after} for d in differences]


def describe_abandoned(abandoned: Abandoned) -> str:
    """Say in a line what becomes of a cluster, or of its control plane, that nothing manages any more."""
    name = abandoned.cluster.name
    if abandoned.error:
        return f"{name}: whether it is off is not known ({abandoned.error})"
    said = []
    if abandoned.asleep:
        said.append(f"its control plane is in phase {abandoned.asleep}, and nothing will wake it")
    if abandoned.off:
        said.append(f"{count(len(abandoned.off), 'server')} off, and nothing will start: {join_some(abandoned.off)}")
    return f"{name}: {'; '.join(said)}"


def confirm_abandoned(found: Sequence[Abandoned], options: Options, outside: Surroundings) -> bool:
    """Name every cluster that is left with its servers off or its control plane asleep, and ask for each."""
    for abandoned in found:
        note(f"! no longer managed: {describe_abandoned(abandoned)}", "yellow")
        verb = "start" if abandoned.off or not abandoned.asleep else "wake"
        if not options.dry_run and not confirm(
            options, outside, f"Leave {abandoned.cluster.name} as it is, for people to {verb}?"
        ):
            return False
    return True


def build_zip(files: ScheduleFiles, runtime: str) -> Zip:
    """Build the zip as ``package`` does. Raises `InputError`."""
    chosen = find_runtime(runtime)
    if chosen is None:
        raise InputError(f"function.runtime: {runtime} cannot be packaged: write {' or '.join(OFFERED)}")
    with diagnostics().status("making the zip"):
        made = build_package(chosen, files, cache_dir(os.environ), os.environ)
    if made.bytecode is None:
        note(
            f"! no Python {chosen.python} is at hand to compile with: every run takes more of the processor, and where "
            "there is one the digest is another",
            "yellow",
        )
    return Zip(made.content, made.sha512)


def _title(difference: Difference) -> str:
    if difference.part is Part.SETTINGS:
        return difference.what
    named = difference.part in (Part.FUNCTION, Part.CODE, Part.TIMER)
    return difference.part.value if named else f"{difference.part.value} {difference.what}"


def _value(difference: Difference, text: str) -> str:
    return f"sha512 {text[:_DIGEST_SHOWN]}..." if difference.part is Part.CODE else text
