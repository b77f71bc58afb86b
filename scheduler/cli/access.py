"""How a command reaches the cloud: whose keys, which places, and the simulated one in its stead.

Keys are looked for in the SDK's own places, so that one set of them serves every tool: the environment, then the
profile file. The SDK's further providers ask the network who this machine is; a command never does.
"""

import contextlib
import random
import time
from contextvars import ContextVar
from datetime import datetime, timedelta, timezone
from typing import Callable, Iterator, Mapping, NamedTuple, Optional, Tuple

import typer

from scheduler.cli.output import note
from scheduler.cloud import Cloud, Connect
from scheduler.errors import InputError
from scheduler.model import Clock, Schedules
from scheduler.reconcile import place_clusters
from scheduler.settings import Credentials

_AK, _SK = "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"
_SECURITY_TOKEN, _PROJECT_ID = "HUAWEICLOUD_SDK_SECURITY_TOKEN", "HUAWEICLOUD_SDK_PROJECT_ID"
_NO_DEADLINE_S = 3600.0
"""A person waits for answers as long as it takes; only each call has its limit."""
_PATIENCE_S = 70.0
"""What a person waits in all where the API asks for pauses: a minute, and what ``patience`` keeps for what follows."""
_SHORT_S = 5.0
"""A pause up to this is neither told nor counted."""


CLOCK: ContextVar[Clock] = ContextVar(
    "CLOCK",
    default=Clock(  # noqa: B039 - a tuple never changes
        now=lambda: datetime.now(timezone.utc),
        remaining_s=lambda: _NO_DEADLINE_S,
        sleep=time.sleep,
        chance=random.random,
    ),
)
"""The time of a person's run; whoever calls commands from a program may hand in another."""


class _Patience:
    """How long a command still waits for the cloud; what it waits, it tells."""

    def __init__(self, sleep: Callable[[float], object]) -> None:
        self._sleep = sleep
        self._left_s = _PATIENCE_S

    def remaining_s(self) -> float:
        return self._left_s

    def sleep(self, seconds: float) -> None:
        if seconds > _SHORT_S:
            note(f"the cloud asks for a pause: waiting {seconds:.0f} s")
            self._left_s -= seconds
        self._sleep(seconds)


class NoCredentialsError(InputError):
    """There are no keys in any of the places where they are looked for."""


class Target(NamedTuple):
    """What the options say of the cloud to use."""

    region: Optional[str]
    endpoint: Optional[str]
    is_simulated: bool
    cce_endpoint: Optional[str] = None


class Access(NamedTuple):
    """Schedules with every region and project known, how to open them, and the time that passes there."""

    schedules: Schedules
    connect: Connect
    clock: Clock


class Account(NamedTuple):
    """The way to all that a person's keys open, the time that passes there, and the project to use by default."""

    connect: Connect
    clock: Clock
    project_id: Optional[str]


def open_account(environ: Mapping[str, str], cce_endpoint: Optional[str]) -> Account:
    """Return the way to the CCE of what a person's keys open. Raises `InputError` without credentials."""
    credentials, project_id = find_credentials(environ)
    return Account(connector(credentials, cce_endpoint, cce_endpoint), _patient_clock(), project_id)


@contextlib.contextmanager
def open_access(schedules: Schedules, target: Target, *, environ: Mapping[str, str], now: datetime) -> Iterator[Access]:
    """Yield the way to the cloud that the options name. Raises `InputError` without credentials."""
    if not target.is_simulated:
        yield _real_access(schedules, target, environ)
        return
    if target.endpoint or target.region or target.cce_endpoint:
        raise typer.BadParameter("it uses no account, region or endpoint", param_hint="--simulated")
    note("simulated cloud: its servers are made up from the file; yours are not touched")
    with _simulated_access(schedules, now) as access:
        yield access


def find_credentials(environ: Mapping[str, str]) -> Tuple[Credentials, Optional[str]]:
    """Return the person's keys, and the project to use by default. Raises `InputError`."""
    ak, sk, project_id = environ.get(_AK), environ.get(_SK), environ.get(_PROJECT_ID) or None
    if ak and sk:
        return Credentials(ak, sk, environ.get(_SECURITY_TOKEN) or None), project_id
    if ak or sk:
        raise InputError(f"the credentials are incomplete: set both {_AK} and {_SK}")
    from scheduler.cloud.huawei import read_profile

    try:
        credentials, profile_project_id = read_profile()
    except InputError as e:
        raise NoCredentialsError(f"no credentials: set {_AK} and {_SK}, or write a profile ({e})") from e
    return credentials, project_id or profile_project_id


def _real_access(schedules: Schedules, target: Target, environ: Mapping[str, str]) -> Access:
    credentials, project_id = find_credentials(environ)
    placed = place_clusters(schedules, target.region, project_id)
    return Access(placed, connector(credentials, target.endpoint, target.cce_endpoint), _patient_clock())


def _patient_clock() -> Clock:
    """Return the clock of one command, whose pauses are told and limited."""
    clock = CLOCK.get()
    patience = _Patience(clock.sleep)
    return clock._replace(remaining_s=patience.remaining_s, sleep=patience.sleep)


@contextlib.contextmanager
def _simulated_access(schedules: Schedules, now: datetime) -> Iterator[Access]:
    """Yield a way to a simulated cloud in which time only passes while a command waits."""
    from scheduler.simulated import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK, serve
    from scheduler.simulated.rehearsal import SIMULATED_REGION, build_scene, turn_off

    scene = build_scene(schedules, now)
    turn_off(scene)
    cloud = scene.cloud

    def sleep(seconds: float) -> None:
        cloud.advance_to(cloud.now + timedelta(seconds=seconds))

    with serve(cloud) as endpoint:
        yield Access(
            schedules=place_clusters(schedules, SIMULATED_REGION, SIMULATED_PROJECT),
            connect=connector(Credentials(SIMULATED_AK, SIMULATED_SK), endpoint, endpoint),
            clock=CLOCK.get()._replace(now=lambda: cloud.now, sleep=sleep),
        )


def connector(credentials: Credentials, endpoint: Optional[str], cce_endpoint: Optional[str]) -> Connect:
    """Return what opens a region and project with these keys; an endpoint replaces the regions' own."""

    def connect(region: str, project_id: str) -> Cloud:
        from scheduler.cloud.huawei import HuaweiCloud

        return HuaweiCloud(
            credentials,
            region,
            project_id,
            endpoint=endpoint,
            cce_endpoint=cce_endpoint,
            remaining_s=lambda: _NO_DEADLINE_S,
        )

    return connect
