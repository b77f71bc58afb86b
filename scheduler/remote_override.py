"""The override that a person writes as a tag of the CCE cluster, to keep it up tonight without a redeploy.

The tag ``cce-scheduler-override`` has a value such as ``running@2026-11-22T15:00:00Z``: a state and until when. It
always ends by itself. What cannot be read is never taken for anything: the caller stops nothing then.
"""

from datetime import datetime, timedelta, timezone
from typing import Mapping, Optional

from scheduler.errors import InputError
from scheduler.localtime import EARLIEST, read_instant
from scheduler.model import Cluster, Override, State

OVERRIDE_TAG = "cce-scheduler-override"
LONGEST = timedelta(days=7)
"""An override that lies further ahead is taken for a mistake."""
_EXAMPLE = timedelta(hours=3)
REASON = f"tag {OVERRIDE_TAG}"
"""What a remote override gives as its reason: a tag has no room for a person's own."""


def read_override(tags: Optional[Mapping[str, str]], at: datetime) -> Optional[Override]:
    """Return the override of a cluster's tags, None without one; it may have ended. Raises `InputError`."""
    if tags is None:
        raise InputError(f"the cluster's tags are missing from the answer: whether {OVERRIDE_TAG} is set is not known")
    text = tags.get(OVERRIDE_TAG)
    if text is None:
        return None
    state, _, moment = text.partition("@")
    until = read_instant(moment.strip())
    known = {s.value: s for s in State}.get(state.strip().lower())
    if known is None or until is None or until <= EARLIEST:
        raise InputError(
            f"tag {OVERRIDE_TAG}: {text[:60]!a} cannot be read: write a state and until when, such as "
            f"{write_override(State.RUNNING, at.replace(second=0, microsecond=0) + _EXAMPLE)}"
        )
    if until - at > LONGEST:
        raise InputError(f"tag {OVERRIDE_TAG}: {text[:60]!a} lies over 7 days ahead: set one that ends earlier")
    return Override(known, EARLIEST, until, REASON)


def write_override(state: State, until: datetime) -> str:
    """Return the value of the tag."""
    return f"{state.value}@{until.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def with_override(cluster: Cluster, override: Override) -> Cluster:
    """Return a cluster whose last override, the one that wins, is this one."""
    return cluster._replace(timing=cluster.timing._replace(overrides=(*cluster.timing.overrides, override)))
