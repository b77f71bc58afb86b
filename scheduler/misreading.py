"""What in a schedules file is likely to be read as something else than it means: zones, steps, patterns and ids.

Each is allowed, and means one thing; `find_misreadings` says what that is. Part of what ``caution`` collects. Pure.
"""

import re
from typing import Any, Iterator, List, Mapping, Optional, Tuple

from scheduler.config import Checked
from scheduler.document import Path_, quote

_REVERSED = re.compile("Etc/GMT([+-])([1-9][0-9]?)")
_CLOCKLESS = {
    "EST": ("UTC-5", "America/New_York"),
    "MST": ("UTC-7", "America/Denver"),
    "GMT": ("UTC", "Europe/London"),
}
"""Zones named after the winter time of places whose clocks change, although theirs never do; and such a place."""
_PATTERN = re.compile("[*?[]")
_UID = re.compile("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_STEP = re.compile(r"(\*|[0-9]+)/([0-9]+)")
_DAYS = 2
_CYCLES = ((0, 60, "minute", "hour"), (1, 24, "hour", "day"), (3, 12, "month", "year"))
"""The fields of an expression that have as many values each time: where, how many, of what, in what."""

Misreading = Tuple[Path_, str]


def find_misreadings(checked: Checked) -> Iterator[Misreading]:
    """Yield what may be misread, each with the path of its text."""
    data = checked.document.data
    owners = list(_owners(data))
    for path, entry in [((), data), *owners]:
        problem = _zone_problem(entry.get("timezone"))
        if problem:
            yield (*path, "timezone"), problem
    for path, entry in owners:
        yield from _check_tags((*path, "exclude", "tags"), entry.get("exclude", {}).get("tags", ()))
        for number, window in enumerate(entry.get("windows", ())):
            for side in ("start", "stop"):
                for problem in _step_problems(window.get(side, "")):
                    yield (*path, "windows", number, side), problem
    for number, entry in enumerate(data["clusters"]):
        if not _UID.fullmatch(entry["cluster_id"]):
            message = (
                f"{quote(entry['cluster_id'])} is not what ids of clusters look like, such as "
                "3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b: copy the id from the console"
            )
            yield ("clusters", number, "cluster_id"), message


def _owners(data: Mapping[str, Any]) -> Iterator[Tuple[Path_, Mapping[str, Any]]]:
    """Yield whatever may have windows of its own."""
    yield from ((("schedules", name), entry) for name, entry in data.get("schedules", {}).items())
    yield ("defaults",), data.get("defaults", {})
    yield from ((("clusters", number), entry) for number, entry in enumerate(data["clusters"]))


def _zone_problem(name: Optional[str]) -> Optional[str]:
    if name in _CLOCKLESS:
        offset, place = _CLOCKLESS[name]
        return f"{quote(name)} is {offset} all year, its clocks never change: write a place such as {place}"
    found = _REVERSED.fullmatch(name or "")
    if not found:
        return None
    sign, other = ("-", "+") if found[1] == "+" else ("+", "-")
    return (
        f"{quote(name)} means UTC{sign}{found[2]}, in these names the sign is reversed: "
        f"write Etc/GMT{sign}{found[2]} for UTC{other}{found[2]}, or a place such as Asia/Bangkok"
    )


def _check_tags(path: Path_, tags: List[str]) -> Iterator[Misreading]:
    for number, tag in enumerate(tags):
        found = _PATTERN.search(tag)
        if found:
            message = f"{quote(tag)} is compared as it stands, {found[0]} is no pattern in tags: write the tag in full"
            yield (*path, number), message


def _step_problems(expression: str) -> Iterator[str]:
    """Yield the steps of an expression that do not go on evenly where the next hour, day or year begins."""
    fields = expression.split()
    for position, length, unit, whole in _CYCLES if fields else ():
        is_alone = position < _DAYS and fields[position + 1].isdigit()  # what comes after that hour or day is nothing
        for part in fields[position].split(","):
            found = _STEP.fullmatch(part)
            if not found:
                continue
            first, step = (0 if found[1] == "*" else int(found[1]) - (unit == "month")), int(found[2])
            steps = (length - 1 - first) // step
            last = length - steps * step
            if not steps:
                yield f"{quote(part)} comes once in every {whole}, which has {length} {unit}s: write one value"
            elif last != step and not is_alone:
                yield (
                    f"{quote(part)} begins anew with every {whole}, so {last} {unit}s and not {step} are between its "
                    f"last time and the next: write a step that divides {length}, or leave it if that is right"
                )
    for part in fields[_DAYS].split(",") if fields else ():
        found = _STEP.fullmatch(part)
        if found and int(found[2]) > 1:
            first = 1 if found[1] == "*" else int(found[1])
            yield (
                f"{quote(part)} begins anew on day {first} of every month, which has 28 to 31 days: "
                "leave it if that is right"
            )
