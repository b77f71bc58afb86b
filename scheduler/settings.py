"""What the function is told from outside: settings and credentials, checked. Pure: looking them up is handed in.

A setting is user data of the function or a variable of its environment; an empty one counts as absent, except
``clusterId`` and ``cluster_ids``: an id that was meant and is empty must not become "every cluster". Nor must one whose
name is misspelt, and a misspelt ``dryRun`` must not become a real run: settings cannot be listed, so likely
misspellings are looked up.
"""

from itertools import product
from typing import Callable, Iterator, NamedTuple, Optional, Tuple

from scheduler.errors import InputError
from scheduler.model import ClusterId, State, StopType

Lookup = Callable[[str], Optional[str]]
"""Returns a setting as text, None where it is not set."""

DEFAULT_TIMEOUT_S = 60
LEAST_TIMEOUT_S = 15
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_NOT_DRY_RUN = (
    "dry_run",
    "DRY_RUN",
    "dryrun",
    "DRYRUN",
    "dry-run",
    "DryRun",
    "Dry_Run",
    "dryRUN",
    "dry run",
    "isDryRun",
)
_CLUSTER = ("cluster", "Cluster", "CLUSTER", "clusters", "Clusters", "CLUSTERS")
_NAMING = (
    *("", "id", "Id", "ID", "ids", "Ids", "IDs", "IDS", "uid", "Uid", "UID", "uids", "Uids", "UIDs", "UIDS"),
    *("name", "Name", "NAME", "names", "Names", "NAMES"),
)


class Credentials:
    """Access key, secret key and, for temporary ones, the security token. Never printed."""

    __slots__ = ("ak", "security_token", "sk")

    def __init__(self, ak: str, sk: str, security_token: Optional[str] = None) -> None:
        self.ak = ak
        self.sk = sk
        self.security_token = security_token

    def __repr__(self) -> str:
        return "Credentials(...)"


class OneShot(NamedTuple):
    """One action for some clusters, or for all of the project: what the setting ``action`` asks for."""

    state: State
    cluster_ids: Optional[Tuple[ClusterId, ...]]
    stop_type: StopType


class Settings(NamedTuple):
    """The settings of one run."""

    region: Optional[str]
    project_id: Optional[str]
    endpoint: Optional[str]
    cce_endpoint: Optional[str]
    schedules_path: str
    dry_run: bool
    log_level: str
    timeout_s: float
    one_shot: Optional[OneShot]


def read_settings(lookup: Lookup) -> Settings:
    """Return the settings. Raises `InputError`, naming the setting and what to write."""
    return Settings(
        region=lookup("region") or None,
        project_id=lookup("projectId") or lookup("RUNTIME_PROJECT_ID") or None,
        endpoint=lookup("endpoint") or None,
        cce_endpoint=lookup("cceEndpoint") or None,
        schedules_path=lookup("schedulesPath") or "schedules.yaml",
        dry_run=_read_dry_run(lookup),
        log_level=_one_of(lookup, "logLevel", ("INFO", *LOG_LEVELS)),
        timeout_s=_read_timeout(lookup),
        one_shot=_read_one_shot(lookup),
    )


def _one_of(lookup: Lookup, key: str, known: Tuple[str, ...]) -> str:
    """Return a setting that has few values, the first of them where it is absent."""
    value = lookup(key) or known[0]
    if value not in known:
        raise InputError(f'setting {key}: "{value}" is not known: write {" or ".join(dict.fromkeys(known))}')
    return value


def _read_dry_run(lookup: Lookup) -> bool:
    wrong = next((name for name in _NOT_DRY_RUN if lookup(name)), None)
    if wrong is not None:
        raise InputError(f"setting {wrong} is not known, so nothing was done: write dryRun")
    return _one_of(lookup, "dryRun", ("false", "true")) == "true"


def _read_timeout(lookup: Lookup) -> float:
    text = lookup("RUNTIME_TIMEOUT")
    try:
        timeout_s = float(text) if text else float(DEFAULT_TIMEOUT_S)
    except ValueError:
        timeout_s = float(DEFAULT_TIMEOUT_S)
    if not timeout_s >= LEAST_TIMEOUT_S:
        raise InputError(
            f"the function's timeout is {text} s, too short for a run: set its execution timeout to "
            f"{DEFAULT_TIMEOUT_S} s (at least {LEAST_TIMEOUT_S} s)"
        )
    return timeout_s


def _read_one_shot(lookup: Lookup) -> Optional[OneShot]:
    if not lookup("action"):
        return None
    action = _one_of(lookup, "action", ("start", "stop"))
    ids = [text for text in (lookup("clusterId"), lookup("cluster_ids")) if text is not None]
    if not ids:
        _refuse_misspelt(lookup)
    found = tuple(ClusterId(part.strip().lower()) for text in ids for part in text.split(","))
    if any(not cluster_id for cluster_id in found):
        raise InputError(
            "setting clusterId: it is set but empty: write a cluster's id, or remove it to mean every CCE cluster"
        )
    return OneShot(
        state=State.RUNNING if action == "start" else State.STOPPED,
        cluster_ids=tuple(dict.fromkeys(found)) or None,
        stop_type=StopType(_one_of(lookup, "type", ("SOFT", "HARD"))),
    )


def _refuse_misspelt(lookup: Lookup) -> None:
    """Raise `InputError` where ids seem to be set by another name: neither of the right ones is."""
    wrong = next((name for name in _misspellings() if lookup(name) is not None), None)
    if wrong is not None:
        raise InputError(
            f"setting {wrong} is not known, so nothing was done: write clusterId, or cluster_ids for several, "
            "or remove it to mean every CCE cluster"
        )


def _misspellings() -> Iterator[str]:
    """Yield what is likely meant to be clusterId or cluster_ids; these, too."""
    for separator, cluster, naming in product(("", "_", "-", ".", " "), _CLUSTER, _NAMING):
        name = f"{cluster}{separator}{naming}" if naming else cluster
        yield from (name, *(f"{prefix}{separator}{name}" for prefix in ("cce", "Cce", "CCE")))
    for name in ("clusterId", "cluster_ids"):
        for n in range(len(name)):
            yield name[:n] + name[n + 1 :]  # a letter is missing
            yield name[: n + 1] + name[n:]  # one is there twice
            yield name[:n] + name[n : n + 2][::-1] + name[n + 2 :]  # two are swapped
