"""The schedules that a deployed zip holds, and what a new file would leave behind.

A cluster that is no longer managed stays as it is: if its servers are off, nobody turns them on again. So every
deployment that takes a cluster out, and every removal of the function, first looks for such clusters.
"""

import io
import lzma
import struct
import tempfile
import zipfile
import zlib
from datetime import datetime
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

from scheduler.cloud import Connect
from scheduler.cloud.patience import Clock
from scheduler.config import load_config
from scheduler.document import MAX_BYTES
from scheduler.errors import ConfigError, SchedulerError, UntrustedAnswerError
from scheduler.model import Cluster, Schedules, State, Timing
from scheduler.public_holidays import LOCK_FILE
from scheduler.reconcile import run_once

SCHEDULES_FILE = "schedules.yaml"
_MOST_BYTES = {SCHEDULES_FILE: MAX_BYTES, LOCK_FILE: 8 * MAX_BYTES}
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError),
    *(ValueError, OverflowError, RuntimeError, NotImplementedError, LookupError),
)
"""What ``zipfile`` and the decompressors raise for an archive that is none, is damaged or is of another kind."""


class Deployed(NamedTuple):
    """The files of a zip that say what to do, by name, and what they mean."""

    files: Dict[str, bytes]
    schedules: Schedules


class Abandoned(NamedTuple):
    """A cluster that nothing manages any more, with its servers that are off; ``error`` where nobody knows."""

    cluster: Cluster
    off: Tuple[str, ...]
    error: Optional[SchedulerError] = None


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


def no_longer_managed(before: Schedules, after: Optional[Schedules]) -> List[Cluster]:
    """Return the clusters that were managed and are not any more: removed, or not enabled."""
    managed = {cluster.cluster_id for cluster in after.clusters if cluster.enabled} if after else set()
    return [cluster for cluster in before.clusters if cluster.enabled and cluster.cluster_id not in managed]


def find_abandoned(clusters: List[Cluster], at: datetime, connect: Connect, clock: Clock) -> List[Abandoned]:
    """Return those of the clusters whose servers are off, or cannot be seen; each needs region and project."""
    if not clusters:
        return []
    # What a run would have to start, were everything to run, is what is off.
    asked = tuple(c._replace(timing=Timing(c.timing.timezone, State.RUNNING)) for c in clusters)
    plan = run_once(Schedules(asked), at, connect, clock, dry_run=True).plan
    found = []
    for cluster, planned in zip(clusters, plan.clusters):
        servers = [action.server for action in planned.actions]
        servers += [hold.server for hold in planned.holds if hold.server.status == "SHUTOFF"]
        if servers or planned.error:
            names = tuple(server.name or server.server_id for server in servers)
            found.append(Abandoned(cluster, names, planned.error))
    return found
