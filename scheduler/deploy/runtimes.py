"""The Pythons of the platform, and the dependencies that are pinned for each.

A lock has one line for each distribution: its name, its version and the SHA-256 of the one wheel that fits the
runtime. ``make locks`` writes it (see ``lock.py``); pip and `read_lock` read it.
"""

import re
from pathlib import Path
from typing import NamedTuple, Optional, Tuple

_LOCKS = Path(__file__).parent / "locks"
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})")

PLATFORM = "manylinux2014_x86_64"
"""The wheels that the platform can load: it runs on x86_64 Linux and states no newer glibc."""


class Runtime(NamedTuple):
    """One Python of the platform; ``minor`` is the 10 of Python 3.10."""

    minor: int
    is_for_tests: bool = False

    @property
    def name(self) -> str:
        """The platform's name of it."""
        return f"Python3.{self.minor}"

    @property
    def python(self) -> str:
        """Its version, as pip and interpreters write it."""
        return f"3.{self.minor}"

    @property
    def abi(self) -> str:
        """The tag of extension modules that it loads."""
        return f"cp3{self.minor}"

    @property
    def lock(self) -> Path:
        """The file with its pinned dependencies."""
        return _LOCKS / f"{self.name}.txt"


class Pin(NamedTuple):
    """One dependency: the only wheel of it that is accepted."""

    name: str
    version: str
    sha256: str

    @property
    def line(self) -> str:
        """The pin as it stands in a lock, and as pip reads it."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


RUNTIMES = (Runtime(9), Runtime(10), Runtime(12), Runtime(11, is_for_tests=True))
"""Every runtime that has a lock; the platform does not offer the one for tests."""
OFFERED = tuple(runtime.name for runtime in RUNTIMES if not runtime.is_for_tests)


def find_runtime(name: str) -> Optional[Runtime]:
    """Return the runtime of that name, None if there is none."""
    return next((runtime for runtime in RUNTIMES if runtime.name == name), None)


def read_lock(runtime: Runtime) -> Tuple[Pin, ...]:
    """Return what is pinned for a runtime."""
    lines = runtime.lock.read_text(encoding="utf-8").splitlines()
    return tuple(read_pin(line) for line in lines if line and not line.startswith("#"))


def read_pin(line: str) -> Pin:
    """Return what one line of a lock pins."""
    found = _PIN.fullmatch(line)
    if found is None:
        raise ValueError(f"not a line of a lock, write it with `make locks`: {line}")
    return Pin(**found.groupdict())
