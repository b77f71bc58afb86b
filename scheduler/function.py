"""The section ``function`` of a schedules file: what it means, and what is refused in it that a schema cannot refuse.

``deploy`` makes the cloud as this section says; a run itself only asks how often it comes. Pure.
"""

import json
from typing import Any, Dict, List, Mapping, Optional, Tuple

from scheduler.document import quote, suggest
from scheduler.model import Function
from scheduler.settings import LOG_LEVELS

MEMORY_MB = (128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096)
"""The sizes that FunctionGraph has everywhere; some regions have larger ones."""
SETTINGS = ("region", "projectId", "endpoint", "cceEndpoint", "dryRun", "logLevel")
"""The settings that a deployed function may be given."""

_MOST_SETTINGS_TEXT = 2048  # characters of JSON; the API's own texts differ, and this is the least of them
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_VALUES = {"dryRun": ("false", "true"), "logLevel": LOG_LEVELS}
_ONE_SHOT = (
    "it belongs to the one-shot mode, which has no schedules: remove it, `deploy` makes a function that follows them"
)
_SECRET = "a key must not stand in a file: remove it and name an agency in function.agency"  # noqa: S105 - advice
_REFUSED = {
    **dict.fromkeys(("action", "clusterId", "cluster_ids", "type"), _ONE_SHOT),
    **dict.fromkeys(("ak", "sk", "securityToken"), _SECRET),
    "schedulesPath": "the package brings its schedules.yaml along: remove it",
}

Problem = Tuple[Tuple[str, ...], str]
"""Where in the section, and what is wrong there and what to write."""


def read_function(found: Mapping[str, Any], every_s: Optional[int]) -> Tuple[Function, List[Problem]]:
    """Return what the section says, and every problem in it.

    ``found`` has what the schema has nothing against; ``every_s`` is the duration ``every``.
    """
    problems: List[Problem] = []
    settings: Dict[str, str] = dict(found.get("settings") or {})
    memory_mb = found.get("memory")
    if memory_mb is not None and memory_mb not in MEMORY_MB:
        sizes = ", ".join(map(str, MEMORY_MB[:-1]))
        problems.append((("memory",), f"{memory_mb} MB is no size of a function: write {sizes} or {MEMORY_MB[-1]}"))
    if every_s is not None and timer_cron(every_s) is None:
        problems.append((("every",), period_problem(str(found.get("every")))))
    problems += [(("settings", key), problem) for key, problem in _setting_problems(settings)]
    if len(json.dumps(settings)) > _MOST_SETTINGS_TEXT:
        problems.append((("settings",), f"the settings are too long: keep them under {_MOST_SETTINGS_TEXT} characters"))
    default = Function()
    function = Function(
        name=found.get("name") or default.name,
        region=found.get("region"),
        project_id=found.get("project_id"),
        agency=found.get("agency"),
        runtime=found.get("runtime") or default.runtime,
        memory_mb=memory_mb or default.memory_mb,
        timeout_s=found.get("timeout") or default.timeout_s,
        every_s=every_s or default.every_s,
        settings=settings,
    )
    return function, problems


def timer_cron(every_s: int) -> Optional[str]:
    """Return the timer's expression, with seconds first, for a period; None if no single one can say it.

    It fires at round times, the same in every zone as long as the period divides an hour.
    """
    minutes, rest = divmod(every_s, _MINUTE_S)
    if rest or every_s < _MINUTE_S or every_s > _DAY_S:
        return None
    if every_s < _HOUR_S:
        return f"0 0/{minutes} * * * *" if _HOUR_S % every_s == 0 else None
    if every_s % _HOUR_S or _DAY_S % every_s:
        return None
    hours = every_s // _HOUR_S
    return {1: "0 0 * * * *", 24: "0 0 0 * * *"}.get(hours, f"0 0 0/{hours} * * *")


def period_problem(text: str) -> str:
    """Say what is wrong with a period that has no expression."""
    return (
        f"{quote(text)} does not divide an hour or a day evenly in whole minutes or hours: "
        "write 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h or 1d"
    )


def _setting_problems(settings: Mapping[str, str]) -> List[Tuple[str, str]]:
    problems = []
    for key, value in settings.items():
        known = _VALUES.get(key)
        if key in _REFUSED:
            problems.append((key, f"{key} is refused: {_REFUSED[key]}"))
        elif key not in SETTINGS:
            problems.append((key, f"unknown setting {quote(key)}: {suggest(key, SETTINGS)}"))
        elif known is not None and value not in known:
            problems.append((key, f"{quote(value)} is not known: {suggest(value, known)}"))
    return problems
