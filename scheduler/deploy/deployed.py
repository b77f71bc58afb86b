"""The schedules that a deployed zip holds, and what a new file would leave behind.

A cluster that is no longer managed stays as it is: if its servers are off, nobody turns them on again, and if its
control plane sleeps, nobody wakes it. The same goes for the control plane of a cluster that no longer hibernates. So
every deployment that lets go of either, and every removal of the function, first looks for such clusters.
"""

import io
import lzma
import struct
import tempfile
import zipfile
import zlib
from datetime import datetime
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from scheduler.cloud import Connect
from scheduler.config import load_config
from scheduler.control_plane import STAYS_ASLEEP, Decision, is_off
from scheduler.document import MAX_BYTES
from scheduler.errors import ConfigError, SchedulerError, UntrustedAnswerError
from scheduler.model import Clock, Cluster, ControlPlane, Hold, HoldKind, Schedules, State, Timing
from scheduler.public_holidays import LOCK_FILE
from scheduler.reconcile import run_once

SCHEDULES_FILE = "schedules.yaml"
_MOST_BYTES = {SCHEDULES_FILE: MAX_BYTES, LOCK_FILE: 8 * MAX_BYTES}
_NEVER_STOPPED = frozenset({HoldKind.EXCLUDED, HoldKind.LOCKED})
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError),
    *(ValueError, OverflowError, RuntimeError, NotImplementedError, LookupError),
)
"""What ``zipfile`` and the decompressors raise for an archive that is none, is damaged or is of another kind."""


class Deployed(NamedTuple):
    """The files of a zip that say what to do, by name, and what they mean."""

    files: Dict[str, bytes]
    schedules: Schedules


class LetGo(NamedTuple):
    """A cluster as it was deployed, that nothing manages any more; or, with ``is_managed``, only its control plane."""

    cluster: Cluster
    is_managed: bool = False


class Abandoned(NamedTuple):
    """A cluster that was let go of, with its servers that are off or powering off; ``error`` where nobody knows.

    ``asleep`` is the phase of its control plane, None if that is awake or was never put to sleep.
    """

    cluster: Cluster
    off: Tuple[str, ...]
    error: Optional[SchedulerError] = None
    asleep: Optional[str] = None


def schedule_files(archive: bytes) -> Dict[str, bytes]:
    """Return the files of a zip that say what to do. Raises `UntrustedAnswerError`."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            present = [member for member in opened.infolist() if member.filename in _MOST_BYTES]
            if any(member.file_size > _MOST_BYTES[member.filename] for member in present):
                raise UntrustedAnswerError("the deployed code holds a schedules file that is too large")
            return {member.filename: opened.read(member) for member in present}
    except _UNREADABLE as e:
        raise UntrustedAnswerError("the deployed code is not a zip that can be read") from e


def read_deployed(archive: bytes) -> Deployed:
    """Return the schedules in a zip. Raises `UntrustedAnswerError` where it holds none that can be read."""
    files = schedule_files(archive)
    if SCHEDULES_FILE not in files:
        raise UntrustedAnswerError(f"the deployed code holds no {SCHEDULES_FILE}")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        try:
            return Deployed(files, load_config(Path(folder) / SCHEDULES_FILE))
        except ConfigError as e:
            first = e.problems[0]
            raise UntrustedAnswerError(f"the deployed {SCHEDULES_FILE} does not validate any more: {first}") from e


def no_longer_managed(before: Schedules, after: Optional[Schedules]) -> List[LetGo]:
    """Return the clusters that were managed and are not any more: removed, not enabled, or not hibernating."""
    managed = {cluster.cluster_id: cluster for cluster in after.clusters if cluster.enabled} if after else {}
    found = []
    for cluster in before.clusters:
        now = managed.get(cluster.cluster_id)
        hibernated = cluster.control_plane is ControlPlane.HIBERNATE
        if cluster.enabled and (now is None or (hibernated and now.control_plane is ControlPlane.KEEP)):
            found.append(LetGo(cluster, is_managed=now is not None))
    return found


def find_abandoned(let_go: List[LetGo], at: datetime, connect: Connect, clock: Clock) -> List[Abandoned]:
    """Return those of the clusters that are off or asleep, or cannot be seen; each needs region and project."""
    if not let_go:
        return []
    # What a run would have to start or wake, were everything to run, is what is off or asleep.
    asked = tuple(c._replace(timing=Timing(c.timing.timezone, State.RUNNING)) for c, _ in let_go)
    plan = run_once(Schedules(asked), at, connect, clock, dry_run=True).plan
    found = []
    for (cluster, is_managed), planned in zip(let_go, plan.clusters):
        names = () if is_managed else tuple(_name_off((*planned.actions, *planned.holds)))
        phase = planned.control_plane.phase if planned.control_plane else None
        asleep = phase if phase in STAYS_ASLEEP else None
        if names or asleep or planned.error:
            found.append(Abandoned(cluster, names, planned.error, asleep))
    return found


def _name_off(decisions: Iterable[Decision]) -> Iterator[str]:
    """Yield the names of the servers that are off or about to be, but for those that no schedule stopped."""
    for decision in decisions:
        server = decision.server
        if isinstance(decision, Hold) and decision.kind in _NEVER_STOPPED:
            continue
        if server.task_state == "powering-off":
            yield f"{server.name or server.server_id} (powering off)"
        elif server.task_state != "powering-on" and is_off(server._replace(task_state=None)):
            yield server.name or server.server_id
