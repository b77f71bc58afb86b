"""The schedules file that ``init`` writes: every cluster that was found, and none of them enabled.

Names come from outside and may be anything; here they become names that the schema takes, quoted where YAML could
read them as something else.
"""

import json
import re
from typing import Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set

from scheduler.model import CceCluster

_LONGEST_NAME = 100
"""As in the schema."""
_PLAIN = re.compile(r"[a-z][a-z0-9-]*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""What some reader of YAML takes for something else than a text."""

_HEAD = """\
# Written by `cce-scheduler init`. Nothing is stopped or started until a cluster says `enabled: true`.
version: 1
timezone: UTC  # of the hours below: an IANA name such as Asia/Bangkok
"""
_SCHEDULES = """\
schedules:
  office-hours:  # any number of schedules; clusters share them by name
    windows:
      - hours: "Mon-Fri 08:00-20:00"  # running in between, stopped at all other times

clusters:
"""
_SETTINGS = """\
    # exclude:
    #   servers: ["bastion-*"]  # never touched: names with * and ?, or ids
    #   tags: ["keep"]
    # stop_type: HARD  # default SOFT: ask the guest to shut down
"""
_TAIL = """\

limits:
  max_stops_per_run: 200  # a run that would stop more servers stops none
"""


class Discovered(NamedTuple):
    """A cluster of the account, where it is, and the name that it gets in the file."""

    name: str
    cluster: CceCluster
    region: str
    project_id: str


def choose_names(names: Iterable[Optional[str]]) -> List[str]:
    """Return a name for each cluster: unique, printable and not too long."""
    chosen: List[str] = []
    taken: Set[str] = set()
    for name in names:
        cleaned = "".join(c if c.isprintable() else "-" for c in name or "").strip()[:_LONGEST_NAME].strip()
        unique, number = cleaned or "cluster", 1
        while unique in taken:
            number += 1
            suffix = f"-{number}"
            unique = f"{(cleaned or 'cluster')[: _LONGEST_NAME - len(suffix)]}{suffix}"
        taken.add(unique)
        chosen.append(unique)
    return chosen


def write_starter(clusters: Sequence[Discovered]) -> str:
    """Return the text of a schedules file."""
    places = {(c.region, c.project_id) for c in clusters}
    return "".join(_parts(clusters, has_one_place=len(places) == 1))


def _parts(clusters: Sequence[Discovered], *, has_one_place: bool) -> Iterator[str]:
    yield _HEAD
    yield "\n"
    if has_one_place:
        yield f"defaults:\n{_place(clusters[0], indent=2)}\n"
    yield _SCHEDULES
    for number, found in enumerate(clusters):
        yield f"  - name: {_text(found.name)}\n    cluster_id: {_text(found.cluster.cluster_id)}\n"
        yield "" if has_one_place else _place(found, indent=4)
        yield "    schedule: office-hours\n    enabled: false\n"
        yield _SETTINGS if number == 0 else ""
    yield _TAIL


def _place(found: Discovered, *, indent: int) -> str:
    space = " " * indent
    return f"{space}region: {_text(found.region)}\n{space}project_id: {_text(found.project_id)}\n"


def _text(text: str) -> str:
    """Write a printable text so that every reader of YAML takes it for that text."""
    return text if _PLAIN.fullmatch(text) and text not in _WORDS else json.dumps(text, ensure_ascii=False)
