"""The state of the simulated cloud: servers, keys, jobs, and what was asked of it; clusters and functions hang on it.

Time stands still until `SimulatedCloud.advance_to` moves it, so a month passes in the time that its calls take.
A server obeys a start or stop as the real one does: its task state changes at once, its status when the time is up.

===========  ==========  =======================================  ==========================
asked        from        at once                                  after start_s / stop_s
===========  ==========  =======================================  ==========================
start        SHUTOFF     SHUTOFF, powering-on                     ACTIVE; or SHUTOFF with a fault (start_fails)
stop SOFT    ACTIVE      ACTIVE, powering-off                     SHUTOFF; or nothing, ever (soft_stop_hangs)
stop HARD    ACTIVE      ACTIVE, powering-off, even if it was so  SHUTOFF
===========  ==========  =======================================  ==========================

Which calls exist, and how they look on the wire, is left to ``ecs.py`` and ``http.py``.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from threading import RLock
from typing import Collection, Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple, Union
from uuid import UUID, uuid5

from scheduler.model import CLUSTER_TAG, Power
from scheduler.simulated.calls import ApiError, Faults, Record, service_error
from scheduler.simulated.clusters import NODE_TAG, Clusters
from scheduler.simulated.functions import Functions
from scheduler.simulated.jobs import SUB_JOB_FAILED, Job, SubJob
from scheduler.simulated.servers import (
    ACTIVE,
    DELETED,
    POWERING_OFF,
    POWERING_ON,
    SHUTOFF,
    PowerChange,
    SimulatedServer,
    api_time,
)
from scheduler.simulated.signature import Secrets

SIMULATED_AK = "SIMULATEDACCESSKEY00"
SIMULATED_SK = "simulated-secret-key"
"""The key pair that opens every project with every right, as long as no other credentials are added."""
SIMULATED_PROJECT = "5117a7ed000000000000000000000000"
"""The project of a server that is added without one."""
RIGHTS = (
    *("list", "start", "stop"),
    *("cce:cluster:list", "cce:cluster:get", "cce:cluster:start", "cce:cluster:stop"),
    *("cce:node:list", "cce:nodepool:list", "cce:tag:operate"),
)
"""What a key may be allowed to do: the first three with servers."""

_NAMESPACE = UUID("8c5d9fd0-5ab8-4a2e-bb0c-0f6f4f6a1c11")
_NO_CAPACITY = "No valid host was found. There are not enough hosts available."

ServerOrId = Union[SimulatedServer, str]


class Credentials(NamedTuple):
    """An access key: its secrets, the projects it opens (None is all) and its rights there."""

    secrets: Secrets
    projects: Optional[FrozenSet[str]]
    may: FrozenSet[str]


@dataclass
class _InFlight:
    """A start or stop that is under way; it never ends if ``due`` is None."""

    server: SimulatedServer
    power: Power
    due: Optional[datetime]
    sub_jobs: List[SubJob]


class SimulatedCloud:
    """Huawei's ECS, CCE and FunctionGraph in memory, with scripted time and behaviour.

    The keyword arguments are attributes as well and may change at any time. ``strict_batches``: one bad server
    refuses its whole batch, otherwise it fails alone. ``marker_supported``: without, a listing ignores markers.
    ``key_only_tags``: a tag filter without a value finds any value, otherwise only empty ones.
    ``faults`` is asked about every request. ``latency_s`` is how long every answer takes on the way. Equal scenes with
    equal ``seed`` have equal ids. ``functions`` is its FunctionGraph, ``clusters`` its CCE.
    """

    def __init__(  # noqa: PLR0913  # the switches of a scene
        self,
        now: datetime,
        *,
        start_s: int = 40,
        stop_s: int = 30,
        strict_batches: bool = True,
        marker_supported: bool = True,
        key_only_tags: bool = True,
        faults: Optional[Faults] = None,
        latency_s: float = 0.0,
        seed: str = "simulated",
    ) -> None:
        self.now = _as_utc(now)
        self.start_s = start_s
        self.stop_s = stop_s
        self.strict_batches = strict_batches
        self.marker_supported = marker_supported
        self.key_only_tags = key_only_tags
        self.faults = faults
        self.latency_s = latency_s
        self.lock = RLock()
        self.functions = Functions()
        self.clusters = Clusters(self)
        self._seed = seed
        self._counters: Dict[str, int] = {}
        self._credentials: Dict[str, Credentials] = {}
        self._servers: Dict[str, SimulatedServer] = {}
        self._listings: Dict[str, List[SimulatedServer]] = {}
        self._histories: Dict[str, SimulatedServer] = {}
        self._in_flight: Dict[str, _InFlight] = {}
        self._jobs: Dict[str, Job] = {}
        self._ledger: List[Record] = []

    # Time

    def advance_to(self, instant: datetime) -> None:
        """Move time to ``instant``, not back, and let everything happen that is due by then, in order."""
        with self.lock:
            instant = _as_utc(instant)
            if instant < self.now:
                raise ValueError(f"time does not go back: it is {self.now}, not yet {instant}")
            self._settle(instant)
            self.now = instant

    # The scene

    def add_credentials(
        self,
        ak: str,
        sk: str,
        *,
        security_token: Optional[str] = None,
        projects: Optional[Collection[str]] = None,
        may: Collection[str] = RIGHTS,
    ) -> None:
        """Add a key for ``projects`` (None: all) with the rights ``may``; the default key opens nothing any more."""
        unknown = set(may).difference(RIGHTS)
        if unknown:
            raise ValueError(f"no such right: {', '.join(sorted(unknown))}; there are {', '.join(RIGHTS)}")
        with self.lock:
            opened = None if projects is None else frozenset(projects)
            self._credentials[ak] = Credentials(Secrets(sk, security_token), opened, frozenset(may))

    def add_server(  # noqa: PLR0913  # what a scene may say of a server
        self,
        name: Optional[str] = None,
        *,
        project_id: str = SIMULATED_PROJECT,
        cluster_id: Optional[str] = None,
        status: str = ACTIVE,
        task_state: Optional[str] = None,
        tags: Sequence[str] = (),
        charging_mode: str = "0",
        locked: bool = False,
        frozen: bool = False,
        flavor: str = "s6.large.2",
        created: Optional[datetime] = None,
        sparse: bool = False,
        omit: Collection[str] = (),
        soft_stop_hangs: bool = False,
        start_fails: bool = False,
    ) -> SimulatedServer:
        """Add a server, created now unless told; with ``cluster_id`` it carries the tags of a node of that cluster.

        ``tags`` are ``key=value`` or bare ``key`` texts. ``omit`` names fields, as in the JSON, that its entry lacks.
        """
        with self.lock:
            born = self.now if created is None else _as_utc(created)
            server_id = str(self.new_id("server"))
            server = SimulatedServer(
                server_id=server_id,
                project_id=project_id,
                name=f"server-{self._counters['server']:04d}" if name is None else name,
                created=born,
                updated=born,
                status=status,
                task_state=task_state,
                tags=(*tags, *self._node_tags(cluster_id)),
                charging_mode=charging_mode,
                locked=locked,
                frozen=frozen,
                flavor=flavor,
                sparse=sparse,
                omit=frozenset(omit),
                soft_stop_hangs=soft_stop_hangs,
                start_fails=start_fails,
                history=(PowerChange(self.now, status, task_state),),
            )
            self._servers[server_id] = self._histories[server_id] = server
            self._listings.pop(project_id, None)
            return server

    def _node_tags(self, cluster_id: Optional[str]) -> Tuple[str, ...]:
        if cluster_id is None:
            return ()
        return (f"{CLUSTER_TAG}={cluster_id}", f"{NODE_TAG}={self.new_id('node')}")

    def start_by_hand(self, server: ServerOrId) -> None:
        """Start a server as a person in the console does: refused, and slow, like any start."""
        self._by_hand(server, Power.START)

    def stop_by_hand(self, server: ServerOrId, *, hard: bool = False) -> None:
        """Stop a server as a person in the console does: refused, and slow, like any stop."""
        self._by_hand(server, Power.STOP_HARD if hard else Power.STOP_SOFT)

    def _by_hand(self, server: ServerOrId, power: Power) -> None:
        with self.lock:
            found = self.server(server)
            refusal = self._refusal(found, power)
            if refusal is not None:
                raise refusal
            self._begin(found, power, [])
            self._settle(self.now)

    def set_status(self, server: ServerOrId, status: str, task_state: Optional[str] = None) -> None:
        """Put a server into a status at once, whatever it was doing; a start or stop in flight fails."""
        with self.lock:
            found = self.server(server)
            self._interrupt(found)
            self._change(found, self.now, status, task_state)

    def remove(self, server: ServerOrId, *, at: Optional[datetime] = None) -> None:
        """Delete a server, now unless told; a start or stop in flight fails, its history stays."""
        with self.lock:
            found = self.server(server)
            self._interrupt(found)
            self._change(found, at or self.now, DELETED, None)
            del self._servers[found.server_id]
            self._listings.pop(found.project_id, None)

    # What a test or a report asks

    def server(self, server: ServerOrId) -> SimulatedServer:
        """Return the server with this id; `KeyError` if there is none (any more)."""
        return self._servers[_id_of(server)]

    @property
    def servers(self) -> Tuple[SimulatedServer, ...]:
        """Every server, in the order they were added."""
        with self.lock:
            return tuple(self._servers.values())

    @property
    def ledger(self) -> Tuple[Record, ...]:
        """Every request so far, in order."""
        with self.lock:
            return tuple(self._ledger)

    def clear_ledger(self) -> None:
        """Forget the requests so far, so that the next ones can be counted."""
        with self.lock:
            self._ledger.clear()

    def history(self, server: ServerOrId) -> Tuple[PowerChange, ...]:
        """Return what a server's status became, and when, since it was added; of a removed one too."""
        return self._histories[_id_of(server)].history

    def running_seconds(self, server: ServerOrId, start: datetime, end: datetime) -> float:
        """Return how long a server was running from ``start`` to ``end``, not counting before it was added.

        It runs from the accepted start, and until it is SHUTOFF: the seconds that are paid for.
        """
        changes = self.history(server)
        ends = [change.at for change in changes[1:]] + [_as_utc(end)]
        spans = (
            (min(until, end) - max(change.at, start)).total_seconds()
            for change, until in zip(changes, ends)
            if change.is_running
        )
        return sum(span for span in spans if span > 0)

    # What the API does

    def secrets_of(self, access_key: str) -> Optional[Secrets]:
        """Return what proves that a request comes from the holder of ``access_key``; None if there is no such key."""
        credentials = self._find_credentials(access_key)
        return credentials.secrets if credentials is not None else None

    def is_allowed(self, access_key: str, project_id: str, right: Optional[str] = None) -> bool:
        """Whether a key opens a project and, if asked, has ``right`` there."""
        credentials = self._find_credentials(access_key)
        if credentials is None or (credentials.projects is not None and project_id not in credentials.projects):
            return False
        return right is None or right in credentials.may

    def _find_credentials(self, access_key: str) -> Optional[Credentials]:
        if not self._credentials and access_key == SIMULATED_AK:
            return Credentials(Secrets(SIMULATED_SK), None, frozenset(RIGHTS))
        return self._credentials.get(access_key)

    def servers_of(self, project_id: str) -> Sequence[SimulatedServer]:
        """Return a project's servers as they are listed: the newest first, of equal ones the last added."""
        if project_id not in self._listings:
            members = [server for server in reversed(self._servers.values()) if server.project_id == project_id]
            self._listings[project_id] = sorted(members, key=lambda server: server.created, reverse=True)
        return self._listings[project_id]

    def act(self, project_id: str, power: Power, server_ids: Sequence[str]) -> Job:
        """Accept a start or stop as a job, or raise `ApiError`; an id that is named twice counts once."""
        found = {server_id: self._find(project_id, server_id) for server_id in server_ids}
        refusals = {server_id: self._refusal(server, power) for server_id, server in found.items()}
        first = next((refusal for refusal in refusals.values() if refusal is not None), None)
        if first is not None and self.strict_batches:
            raise first
        self._forget_jobs()
        job = Job(self.new_id("job").hex, project_id, self.now, [])
        self._jobs[job.job_id] = job
        for server_id, server in found.items():
            sub_job = SubJob(self.new_id("job").hex, server_id, self.now)
            job.sub_jobs.append(sub_job)
            refusal = refusals[server_id]
            if refusal is not None:
                sub_job.finish(self.now, refusal.code, refusal.message)
            elif server is not None:
                self._begin(server, power, [sub_job])
        self._settle(self.now)
        return job

    def job(self, project_id: str, job_id: str) -> Optional[Job]:
        """Return a job; None if there is none, or it ended more than a day ago."""
        job = self._jobs.get(job_id)
        if job is None or job.project_id != project_id or job.is_forgotten(self.now):
            return None
        return job

    def record(self, record: Record) -> None:
        """Write a line of the ledger."""
        self._ledger.append(record)

    def new_request_id(self) -> str:
        """Return the id of the next request."""
        return self.new_id("request").hex

    def new_id(self, kind: str) -> UUID:
        """Return the next id of a kind of thing."""
        number = self._counters.get(kind, 0) + 1
        self._counters[kind] = number
        return uuid5(_NAMESPACE, f"{self._seed}/{kind}/{number}")

    # How it happens

    def _find(self, project_id: str, server_id: str) -> Optional[SimulatedServer]:
        server = self._servers.get(server_id)
        return server if server is not None and server.project_id == project_id else None

    @staticmethod
    def _refusal(server: Optional[SimulatedServer], power: Power) -> Optional[ApiError]:
        """Return why a server cannot be started or stopped now. The codes are documented, their order is not."""
        if server is None:
            return service_error(404, "Ecs.0114", "The ECS does not exist.")
        if server.locked:
            return service_error(400, "Ecs.0605", "The ECS is locked.")
        if server.frozen:
            return service_error(400, "Ecs.0030", "The ECS is frozen.")
        if not _is_ready(server, power):
            return service_error(400, "Ecs.0100", "The ECS status does not meet the requirements.")
        return None

    def _begin(self, server: SimulatedServer, power: Power, sub_jobs: List[SubJob]) -> None:
        overtaken = self._in_flight.pop(server.server_id, None)
        waiting = [*sub_jobs, *(overtaken.sub_jobs if overtaken is not None else ())]
        seconds = self.start_s if power is Power.START else self.stop_s
        hangs = power is Power.STOP_SOFT and server.soft_stop_hangs
        due = None if hangs else self.now + timedelta(seconds=seconds)
        self._in_flight[server.server_id] = _InFlight(server, power, due, waiting)
        self._change(server, self.now, server.status, POWERING_ON if power is Power.START else POWERING_OFF)

    def _settle(self, instant: datetime) -> None:
        due = [(flight.due, flight) for flight in self._in_flight.values() if flight.due and flight.due <= instant]
        for at, flight in sorted(due, key=lambda item: item[0]):
            self.clusters.settle(at)
            if self._in_flight.get(flight.server.server_id) is flight:  # or the server is gone
                del self._in_flight[flight.server.server_id]
                self._land(flight, at)
        self.clusters.settle(instant)

    @staticmethod
    def _land(flight: _InFlight, at: datetime) -> None:
        server = flight.server
        failed = flight.power is Power.START and server.start_fails
        status = ACTIVE if flight.power is Power.START and not failed else SHUTOFF
        SimulatedCloud._change(server, at, status, None)
        if failed:
            server.fault = {"code": 500, "created": api_time(at), "message": _NO_CAPACITY}
        for sub_job in flight.sub_jobs:
            sub_job.finish(at, *((SUB_JOB_FAILED, _NO_CAPACITY) if failed else ()))

    def _interrupt(self, server: SimulatedServer) -> None:
        flight = self._in_flight.pop(server.server_id, None)
        for sub_job in flight.sub_jobs if flight is not None else ():
            sub_job.finish(self.now, SUB_JOB_FAILED, "Interrupted by another operation.")

    @staticmethod
    def _change(server: SimulatedServer, at: datetime, status: str, task_state: Optional[str]) -> None:
        server.status, server.task_state, server.updated, server.fault = status, task_state, at, None
        server.history = (*server.history, PowerChange(at, status, task_state))

    def _forget_jobs(self) -> None:
        for job_id, job in list(self._jobs.items()):
            if not job.is_forgotten(self.now):
                break  # in the order of their beginning; one that hangs keeps those after it
            del self._jobs[job_id]


def _is_ready(server: SimulatedServer, power: Power) -> bool:
    if power is Power.START:
        return server.status == SHUTOFF and server.task_state is None
    if power is Power.STOP_HARD and server.task_state == POWERING_OFF:
        return server.status == ACTIVE
    return server.status == ACTIVE and server.task_state is None


def _id_of(server: ServerOrId) -> str:
    return server if isinstance(server, str) else server.server_id


def _as_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError(f"an instant without a zone: {instant}")
    return instant.astimezone(timezone.utc)
