"""What is our own in the zip: the entry, the package, the schema, and the files that say what to do.

Three kinds of files come together in ``package``: those copied from here, those of the dependencies, and those that
are made from both, in `generated_files`.
"""

from pathlib import Path
from typing import Dict, Iterator, NamedTuple, Optional, Tuple

from scheduler.compiled import compiled_name, write_compiled
from scheduler.config import load_config
from scheduler.document import schema_path
from scheduler.errors import InputError
from scheduler.model import Schedules
from scheduler.public_holidays import LOCK_FILE

ENTRY_FILE = "index.py"
HANDLER = "index.handler"
"""What the platform is told to call; it loads the file by its path, so the file can import nothing relatively."""
ENTRY = b'''"""The entry point of the function. Made by `cce-scheduler package`, with everything beside it."""

import gc
import os

# What CPython looks for time zones in, where its build does not say otherwise: to ask the build costs a twentieth of a
# run with nothing to do. A zone that is in none of these comes with the package.
os.environ.setdefault(
    "PYTHONTZPATH", "/usr/share/zoneinfo:/usr/lib/zoneinfo:/usr/share/lib/zoneinfo:/etc/zoneinfo"
)
gc.disable()  # what is imported stays: looking for garbage in it is a tenth of a cold start; the handler enables it

from scheduler.handler import handler

__all__ = ["handler"]
'''

_PACKAGE = Path(__file__).parents[1]
_NOT_IN_THE_FUNCTION = ("cli", "deploy", "simulated")


class ScheduleFiles(NamedTuple):
    """The files that the function is to follow, and what they mean."""

    schedules: Schedules
    content: bytes
    holidays: Optional[bytes]


def read_schedule_files(file: Path) -> ScheduleFiles:
    """Read and check a schedules file and the holidays beside it. Raises `ConfigError` with every problem in it."""
    before = _contents(file)
    schedules = load_config(file)
    content, holidays = _contents(file)
    if content is None or (content, holidays) != before:
        raise InputError(f"{file} was changed while it was read: try again")
    return ScheduleFiles(schedules, content, holidays)


def own_files() -> Dict[str, bytes]:
    """Return the package without what only the command line needs, and the schema."""
    return {**dict(_package_files(_PACKAGE)), "schema/schedules.schema.json": _read_text(schema_path())}


def schedule_files(found: Optional[ScheduleFiles]) -> Dict[str, bytes]:
    """Return the files that say what to do, under the names that the function looks for."""
    if found is None:
        return {}
    return {"schedules.yaml": found.content, **({} if found.holidays is None else {LOCK_FILE: found.holidays})}


def generated_files(
    found: Optional[ScheduleFiles],
) -> Dict[str, bytes]:
    """Return what is made for the zip and not copied: the entry, and the schedules as they were checked here."""
    if found is None:
        return {ENTRY_FILE: ENTRY}
    sources = [found.content, *([] if found.holidays is None else [found.holidays])]
    return {ENTRY_FILE: ENTRY, compiled_name("schedules.yaml"): write_compiled(found.schedules, sources)}


def _package_files(package: Path) -> Iterator[Tuple[str, bytes]]:
    for file in sorted(package.rglob("*.py")):
        path = file.relative_to(package)
        if path.parts[0] not in _NOT_IN_THE_FUNCTION and path.name != "__main__.py":
            yield f"scheduler/{path.as_posix()}", _read_text(file)


def _read_text(file: Path) -> bytes:
    """Return a file with the line ends that it has in the repository, whatever a checkout made of them."""
    return file.read_bytes().replace(b"\r\n", b"\n")


def _contents(file: Path) -> Tuple[Optional[bytes], Optional[bytes]]:
    return _read_if_there(file), _read_if_there(file.parent / LOCK_FILE)


def _read_if_there(file: Path) -> Optional[bytes]:
    try:
        return file.read_bytes()
    except (OSError, ValueError):  # what is wrong with a schedules file, `load_config` says better
        return None
