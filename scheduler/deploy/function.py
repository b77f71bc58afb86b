"""The deployed function: what exists, what should exist, and the steps between. Pure planning over a thin protocol.

Nothing here knows of an SDK or a terminal. A function is ours if its description begins with `MARK`, a trigger if it
is a timer named `TIMER_NAME`; nothing else is ever changed or removed. Every step is worked out from what the cloud
shows, so a deployment that broke off is finished by the next one.

============  ==========================================================================================
part          what is done where it differs
============  ==========================================================================================
function      created with its code; never recreated: a runtime cannot change
code          sent again where the digest differs
settings      handler, memory, timeout, agency, user data and description, sent as a whole
asynchronous  no retries, and events as old as a period are dropped: the next run does what a lost one did not
instances     at most one, so that runs do not overlap
(dry run)     the function plans in the cloud, and a person looks at it
timer         made, or made active, or deleted and made again where its schedule differs
============  ==========================================================================================
"""

import json
from datetime import datetime
from enum import Enum
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

from scheduler.deploy.sources import HANDLER
from scheduler.errors import InputError, PermanentCloudError
from scheduler.function import SETTINGS, timer_cron
from scheduler.model import Function

MARK = "Made by cce-scheduler"
DESCRIPTION = f"{MARK} from a schedules file: change it there and deploy again."
TIMER_NAME = "cce-scheduler"
INSTANCES = 1
RETRIES = 0


class Trigger(NamedTuple):
    """A trigger of a function; ``created`` is None where the API does not tell."""

    trigger_id: str
    kind: str
    name: str
    schedule: str
    is_active: bool
    created: Optional[datetime] = None

    @property
    def is_ours(self) -> bool:
        """Whether ``deploy`` made it."""
        return self.kind == "TIMER" and self.name == TIMER_NAME


class Found(NamedTuple):
    """A function as the cloud shows it. ``age_s`` and ``retries`` are None where nothing was ever set."""

    urn: str
    description: str
    runtime: str
    handler: str
    memory_mb: int
    timeout_s: int
    agency: str
    user_data: Mapping[str, str]
    digest: str
    max_instances: Optional[int]
    retries: Optional[int]
    age_s: Optional[int]
    triggers: Tuple[Trigger, ...]
    has_vpc: bool = False
    has_secrets: bool = False

    def __repr__(self) -> str:
        return f"Found({self.urn}, ...)"  # the user data of a function that is not ours may have keys in it

    @property
    def is_ours(self) -> bool:
        """Whether ``deploy`` made it."""
        return self.description.startswith(MARK)

    @property
    def timer(self) -> Optional[Trigger]:
        """The timer that ``deploy`` made, if there is one."""
        return next((trigger for trigger in self.triggers if trigger.is_ours), None)


class Wanted(NamedTuple):
    """A function as the file asks for it."""

    name: str
    agency: str
    runtime: str
    memory_mb: int
    timeout_s: int
    user_data: Mapping[str, str]
    digest: str
    schedule: str
    age_s: int


class Part(str, Enum):
    """What is changed by one step, in the order of the steps."""

    FUNCTION = "function"
    CODE = "code"
    SETTINGS = "settings"
    ASYNCHRONOUS = "asynchronous"
    INSTANCES = "instances"
    TIMER = "timer"


class Difference(NamedTuple):
    """One thing that is not as the file asks; None is absent."""

    part: Part
    what: str
    before: Optional[str]
    after: Optional[str]


class Invoked(NamedTuple):
    """What a function answered; ``result`` is its own JSON, None where that cannot be read."""

    has_failed: bool
    result: Optional[Mapping[str, Any]]
    text: str


class Execution(NamedTuple):
    """One run by the timer, as the platform remembers it."""

    at: Optional[datetime]
    status: str
    error: str


class FunctionCloud(Protocol):
    """The functions of one project in one region. Every method may raise a `scheduler.errors.CloudError`."""

    def find(self, name: str) -> Optional[Found]:
        """Return the function of this name with its triggers, None if there is none."""
        ...

    def create(self, wanted: Wanted, archive: bytes) -> str:
        """Create the function with its code and return its URN."""
        ...

    def update_code(self, urn: str, archive: bytes) -> None:
        """Replace the code."""
        ...

    def update_settings(self, urn: str, wanted: Wanted) -> None:
        """Set what the file says of the configuration, and keep the rest of it."""
        ...

    def update_asynchronous(self, urn: str, *, retries: int, age_s: int) -> None:
        """Set how events are treated that a run did not take."""
        ...

    def update_instances(self, urn: str, number: int) -> None:
        """Set how many runs there may be at a time."""
        ...

    def invoke(self, urn: str, event: Mapping[str, Any]) -> Invoked:
        """Run the function now and wait for it."""
        ...

    def read_code(self, urn: str) -> bytes:
        """Return the zip that is deployed."""
        ...

    def create_timer(self, urn: str, name: str, schedule: str) -> None:
        """Make an active timer."""
        ...

    def activate_trigger(self, urn: str, trigger: Trigger) -> None:
        """Make a trigger active."""
        ...

    def delete_trigger(self, urn: str, trigger: Trigger) -> None:
        """Delete a trigger."""
        ...

    def delete(self, urn: str) -> None:
        """Delete a function with all of its versions and triggers."""
        ...

    def list_executions(self, urn: str, since: datetime) -> Sequence[Execution]:
        """Return the runs by triggers since an instant that the platform remembers, the newest first."""
        ...

    def count_executions(self, urn: str, minutes: int) -> int:
        """Return how many runs the platform counted in the last minutes."""
        ...


def make_wanted(function: Function, digest: str = "", file: str = "the schedules file") -> Wanted:
    """Return what the section ``function`` of a file asks for. Raises `InputError` where it leaves a gap."""
    if not function.agency:
        raise InputError(
            "function.agency: there is none, and the function would have no rights: create an agency in IAM for the "
            f"cloud service FunctionGraph with the policy of docs/security.md, and write its name into {file}:\n"
            "  function:\n"
            "    agency: NAME"
        )
    schedule = timer_cron(function.every_s)
    if schedule is None:
        raise InputError(f"function.every: {function.every_s} s is no period of a timer: write one such as 5m")
    return Wanted(
        name=function.name,
        agency=function.agency,
        runtime=function.runtime,
        memory_mb=function.memory_mb,
        timeout_s=function.timeout_s,
        user_data={"region": function.region or "", **function.settings},
        digest=digest,
        schedule=schedule,
        age_s=function.every_s,
    )


def check_possible(found: Optional[Found], wanted: Wanted, *, adopt: bool) -> None:
    """Raise `InputError` where what exists cannot become what is wanted, or is not ours to change."""
    if found is None:
        return
    if not found.is_ours and not adopt:
        raise InputError(
            f"a function {wanted.name} exists that cce-scheduler did not make (its description does not say so): "
            "write another function.name, or add --adopt to make this one ours and replace its code"
        )
    if found.runtime != wanted.runtime:
        raise InputError(
            f"function.runtime: the function {wanted.name} runs on {found.runtime}, and FunctionGraph cannot change "
            f"that to {wanted.runtime}: write runtime: {found.runtime}, or another function.name, or `undeploy` first"
        )


def find_differences(found: Optional[Found], wanted: Wanted) -> Tuple[Difference, ...]:
    """Return everything that is not as the file asks, in the order of the steps; empty where nothing is to be done."""
    before = _describe_found(found) if found else {}
    after = _describe_wanted(wanted)
    keys = {**after, **before}
    differing = [Difference(*key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]
    if found is None:
        differing.append(Difference(Part.FUNCTION, wanted.name, None, wanted.runtime))
    order = list(Part)
    return tuple(sorted(differing, key=lambda difference: order.index(difference.part)))


def find_warnings(found: Optional[Found]) -> Iterator[str]:
    """Yield what a person should know of the function that ``deploy`` leaves as it is."""
    if found is None:
        return
    if found.has_vpc:
        yield "VPC access is on: without a NAT gateway the function reaches no cloud API; turn it off in the console"
    if found.has_secrets:
        yield "it has encrypted variables, which nobody can read: a change of its settings may remove them"
    for trigger in found.triggers:
        if not trigger.is_ours:
            yield f"the {trigger.kind} trigger {trigger.name or trigger.trigger_id} runs it too, and is left as it is"


def apply_before_timer(
    cloud: FunctionCloud, found: Optional[Found], wanted: Wanted, archive: bytes, todo: Sequence[Difference]
) -> Iterator[Part]:
    """Carry out every step but the timer's, yielding each part when it is done."""
    parts = {difference.part for difference in todo}
    if found is None:
        urn = cloud.create(wanted, archive)
        yield Part.FUNCTION
        parts -= {Part.CODE, Part.SETTINGS}
    else:
        urn = found.urn
    if Part.CODE in parts:
        cloud.update_code(urn, archive)
        yield Part.CODE
    if Part.SETTINGS in parts:
        cloud.update_settings(urn, wanted)
        yield Part.SETTINGS
    if Part.ASYNCHRONOUS in parts:
        cloud.update_asynchronous(urn, retries=RETRIES, age_s=wanted.age_s)
        yield Part.ASYNCHRONOUS
    if Part.INSTANCES in parts:
        cloud.update_instances(urn, INSTANCES)
        yield Part.INSTANCES


def plan_in_cloud(cloud: FunctionCloud, urn: str) -> Mapping[str, Any]:
    """Let the deployed function plan, and return its result. Raises `PermanentCloudError` where it fails."""
    invoked = cloud.invoke(urn, {"action": "plan"})
    result = invoked.result
    if result is not None and not invoked.has_failed and result.get("status") == "success":
        return result
    said = str((result or {}).get("message") or (result or {}).get("errorMessage") or invoked.text or "no answer")
    raise PermanentCloudError(
        f"the dry run in the cloud failed: {' '.join(said.split())[:500]} "
        "(an agency that was just made or changed takes up to 10 minutes)"
    )


def apply_timer(cloud: FunctionCloud, found: Found, wanted: Wanted) -> None:
    """Make the one timer as it should be: keep it, make it active, or make it anew."""
    timer = found.timer
    if timer is not None and timer.schedule != wanted.schedule:
        cloud.delete_trigger(found.urn, timer)
        timer = None
    if timer is None:
        cloud.create_timer(found.urn, TIMER_NAME, wanted.schedule)
    elif not timer.is_active:
        cloud.activate_trigger(found.urn, timer)


def remove(cloud: FunctionCloud, found: Found) -> None:
    """Remove the timer, and the function unless it has triggers that are not ours: they would go with it."""
    if found.timer is not None:
        cloud.delete_trigger(found.urn, found.timer)
    if not foreign_triggers(found):
        cloud.delete(found.urn)


def foreign_triggers(found: Found) -> List[Trigger]:
    """Return the triggers that ``deploy`` did not make."""
    return [trigger for trigger in found.triggers if not trigger.is_ours]


def read_user_data(text: Optional[str]) -> Mapping[str, str]:
    """Return the user data of a function; what is no JSON object is kept under its whole text."""
    if not text:
        return {}
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        return {"(unreadable)": text}
    return {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in data.items()}


_Described = Mapping[Tuple[Part, str], str]


def _describe_found(found: Found) -> _Described:
    described = {
        (Part.CODE, "digest"): found.digest.lower(),
        (Part.SETTINGS, "description"): found.description,
        (Part.SETTINGS, "handler"): found.handler,
        (Part.SETTINGS, "memory"): f"{found.memory_mb} MB",
        (Part.SETTINGS, "timeout"): f"{found.timeout_s} s",
    }
    if found.agency:
        described[Part.SETTINGS, "agency"] = found.agency
    described.update(_describe_user_data(found.user_data))
    if found.retries is not None:
        described[Part.ASYNCHRONOUS, "retries"] = str(found.retries)
    if found.age_s is not None:
        described[Part.ASYNCHRONOUS, "age"] = f"{found.age_s} s"
    if found.max_instances is not None:
        described[Part.INSTANCES, "at most"] = _describe_instances(found.max_instances)
    if found.timer is not None:
        described[Part.TIMER, found.timer.name] = _describe_timer(found.timer.schedule, active=found.timer.is_active)
    return described


def _describe_wanted(wanted: Wanted) -> _Described:
    return {
        (Part.CODE, "digest"): wanted.digest.lower(),
        (Part.SETTINGS, "description"): DESCRIPTION,
        (Part.SETTINGS, "handler"): HANDLER,
        (Part.SETTINGS, "memory"): f"{wanted.memory_mb} MB",
        (Part.SETTINGS, "timeout"): f"{wanted.timeout_s} s",
        (Part.SETTINGS, "agency"): wanted.agency,
        **_describe_user_data(wanted.user_data),
        (Part.ASYNCHRONOUS, "retries"): str(RETRIES),
        (Part.ASYNCHRONOUS, "age"): f"{wanted.age_s} s",
        (Part.INSTANCES, "at most"): _describe_instances(INSTANCES),
        (Part.TIMER, TIMER_NAME): _describe_timer(wanted.schedule, active=True),
    }


def _describe_user_data(user_data: Mapping[str, str]) -> _Described:
    """Describe settings; of one that is not ours the value stays unsaid, as it may be a key."""
    return {
        (Part.SETTINGS, f"settings.{key}"): value if key in SETTINGS else "(not shown)"
        for key, value in sorted(user_data.items())
    }


def _describe_instances(number: int) -> str:
    return {-1: "unlimited", 0: "0 (disabled)", 1: "1 instance"}.get(number, f"{number} instances")


def _describe_timer(schedule: str, *, active: bool) -> str:
    return f"{schedule}, {'active' if active else 'disabled'}"
