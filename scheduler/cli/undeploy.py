"""``undeploy``: removes the timer and the function that ``deploy`` made, and nothing else."""

from typing import List

from scheduler.cli.deployment import (
    FunctionEndpoint,
    Options,
    Surroundings,
    Yes,
    confirm,
    confirm_abandoned,
    open_functions,
    open_servers,
    place_as_deployed,
    place_function,
    read_old,
    surroundings,
)
from scheduler.cli.exits import ExitCode
from scheduler.cli.options import DEFAULT_FILE, CceEndpoint, Endpoint, File, Region
from scheduler.cli.output import line, note, show
from scheduler.config import load_config
from scheduler.deploy.deployed import Abandoned, find_abandoned, no_longer_managed
from scheduler.deploy.function import Found, FunctionCloud, foreign_triggers, remove
from scheduler.errors import CloudError, InputError, UntrustedAnswerError
from scheduler.model import Function, Schedules


def undeploy(  # noqa: PLR0913 - one for each option
    *,
    file: File = DEFAULT_FILE,
    yes: Yes = False,
    region: Region = None,
    endpoint: Endpoint = None,
    cce_endpoint: CceEndpoint = None,
    function_endpoint: FunctionEndpoint = None,
) -> int:
    """Remove the function and its timer. Servers stay as they are.

    Only what `deploy` made is removed. A function with triggers of other people is kept, without our timer.
    """
    return run_undeploy(
        Options(file, region, endpoint, function_endpoint, yes, cce_endpoint=cce_endpoint), surroundings()
    )


def run_undeploy(options: Options, outside: Surroundings) -> int:
    """Remove as the options say."""
    schedules = load_config(options.file)
    function = place_function(schedules, options, outside.environ)
    with open_functions(function, options, outside.environ) as cloud:
        found = cloud.find(function.name)
        if found is None:
            show(line(f"there is no function {function.name} in {function.region}: nothing to remove"))
            return ExitCode.DONE
        if not found.is_ours:
            raise InputError(
                f"the function {function.name} was not made by cce-scheduler (its description does not say so), so it "
                "is not removed: correct function.name, or remove it in the console"
            )
        _show_what_goes(function, found)
        managed = _read_managed(cloud, found, schedules, options)
        abandoned = _find_abandoned(place_as_deployed(managed, function, found.user_data), function, options, outside)
        agreed = confirm_abandoned(abandoned, options, outside)
        if not agreed or not confirm(options, outside, "Remove it?"):
            note("nothing was removed")
            return ExitCode.FAILED
        try:
            remove(cloud, found)
        except CloudError:
            note(f"! it failed on the way: {_say_what_is_left(cloud, function)}", "yellow")
            raise
    if foreign_triggers(found):
        note("! the function is kept for its other triggers: remove them, then undeploy again", "yellow")
        return ExitCode.FAILED
    show(line(f"{function.name} is removed"))
    return ExitCode.DONE


def _say_what_is_left(cloud: FunctionCloud, function: Function) -> str:
    """Say what the cloud shows after a failure: the call that failed may have been carried out."""
    try:
        left = cloud.find(function.name)
    except CloudError:
        return "what is left of it is not known"
    if left is None:
        return "it is gone"
    is_run = left.timer is not None and left.timer.is_active
    return "its timer is active, and runs what is deployed" if is_run else "no timer runs it, the function is there"


def _show_what_goes(function: Function, found: Found) -> None:
    show(line(f"{function.name} in {function.region}: to be removed", "bold"))
    if found.timer is not None:
        show(line(f"- timer     {found.timer.schedule}", "yellow", 2))
    others = foreign_triggers(found)
    if others:
        names = ", ".join(f"{trigger.kind} {trigger.name or trigger.trigger_id}" for trigger in others)
        show(line(f"= function  kept: it has triggers that are not ours ({names})", "dim", 2))
    else:
        show(line("- function  with its code and every version", "yellow", 2))


def _read_managed(cloud: FunctionCloud, found: Found, schedules: Schedules, options: Options) -> Schedules:
    """Return the deployed schedules; the local ones where those cannot be had."""
    try:
        return read_old(cloud, found).schedules
    except UntrustedAnswerError as e:
        note(f"! the deployed schedules cannot be read ({e}): the clusters of {options.file} are looked at", "yellow")
        return schedules


def _find_abandoned(placed: Schedules, function: Function, options: Options, outside: Surroundings) -> List[Abandoned]:
    """Return the clusters that nothing will start."""
    with open_servers(placed, function, options, outside) as access:
        return find_abandoned(no_longer_managed(placed, None), outside.now, access.connect, access.clock)
