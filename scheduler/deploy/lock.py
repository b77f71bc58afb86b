"""Writes the locks: ``make locks``, or ``python -m scheduler.deploy.lock``. For maintainers; needs packaging and pip.

pip chooses the wheels for each runtime, whatever Python it runs on itself, but it answers the environment markers
of a dependency (``; python_version < "3.11"``) for itself. So they are answered again here, for the runtime: what is
missing by them is asked for in another round, and what is not needed is left out.
"""

import hashlib
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from email import message_from_bytes
from importlib.metadata import requires
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scheduler.deploy.runtimes import RUNTIMES, Pin, Runtime
from scheduler.deploy.wheels import pip_download

_HELD = ("python-dateutil<3",)
"""Kept at what the tests run with: the command line's dependencies allow no later one."""


class Choice(NamedTuple):
    """A wheel that pip chose, and what it needs in turn."""

    pin: Pin
    needs: Tuple[Requirement, ...]


def main() -> None:
    """Write the lock of every runtime."""
    wanted = [Requirement(text) for text in requires("cce-scheduler") or ()]
    base = [requirement for requirement in wanted if applies(requirement, RUNTIMES[0])]
    for runtime in RUNTIMES:
        pins = resolve(runtime, base)
        head = f"# What the function needs on {runtime.name}. Written by `make locks`.\n"
        runtime.lock.write_bytes((head + "".join(f"{pin.line}\n" for pin in pins)).encode())
        sys.stdout.write(f"{runtime.lock.name}: {len(pins)} pinned\n")


def resolve(runtime: Runtime, wanted: Sequence[Requirement]) -> List[Pin]:
    """Return the pins of what ``wanted`` needs on a runtime, by name."""
    asked = [str(requirement).partition(";")[0] for requirement in wanted]
    while True:
        choices = _choose(runtime, [*asked, *_HELD])
        needed: Set[str] = set()
        missing: List[str] = []
        for requirement in closure(runtime, wanted, choices):
            name = canonicalize_name(requirement.name)
            needed.add(name)
            if name not in choices:
                missing.append(str(requirement).partition(";")[0])
        if not missing:
            return sorted(choices[name].pin for name in needed)
        asked += missing


def closure(runtime: Runtime, wanted: Sequence[Requirement], choices: Dict[str, Choice]) -> Iterator[Requirement]:
    """Yield everything that ``wanted`` needs, directly or not, each name once."""
    waiting, seen = list(wanted), set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or not applies(requirement, runtime):
            continue
        seen.add(name)
        yield requirement
        waiting += choices[name].needs if name in choices else ()


def applies(requirement: Requirement, runtime: Runtime) -> bool:
    """Whether a runtime on the platform needs a dependency; extras are asked for by nobody."""
    environment = {
        "extra": "",
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{runtime.python}.0",
        "python_version": runtime.python,
        "sys_platform": "linux",
    }
    return requirement.marker is None or requirement.marker.evaluate(environment)


def _choose(runtime: Runtime, asked: Sequence[str]) -> Dict[str, Choice]:
    with tempfile.TemporaryDirectory() as directory:
        command = pip_download(runtime, Path(directory))
        subprocess.run([*command, "--quiet", *asked], check=True)  # noqa: S603 - pip, with our own dependencies
        choices = [read_choice(wheel.read_bytes()) for wheel in Path(directory).iterdir()]
    return {canonicalize_name(choice.pin.name): choice for choice in choices}


def read_choice(wheel: bytes) -> Choice:
    """Return what a wheel says of itself."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as opened:
        name = next(n for n in opened.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
        metadata = message_from_bytes(opened.read(name))
    pin = Pin(canonicalize_name(metadata["Name"]), metadata["Version"], hashlib.sha256(wheel).hexdigest())
    return Choice(pin, tuple(Requirement(text) for text in metadata.get_all("Requires-Dist") or ()))


if __name__ == "__main__":
    main()
