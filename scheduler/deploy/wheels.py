"""The dependencies: fetched through pip by hash, kept in a cache, and read without installing them.

pip decides where a wheel comes from, by its own configuration; what is accepted is decided by the lock. A wheel in
the cache is known by its SHA-256 and checked at every use.
"""

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from scheduler.deploy.runtimes import PLATFORM, Pin, Runtime
from scheduler.errors import InputError

OnProgress = Callable[[int, int], object]
"""Is told how many of how many are done."""

LEFT_OUT: Tuple[Tuple[str, str], ...] = (
    ("*.dist-info/*", "what pip knows of an installation; nothing asks for it (licences are kept, see _KEPT)"),
    ("*.data/*", "programs, headers and manual pages"),
    ("*/tests/*", "tests of a dependency"),
    ("jsonschema/benchmarks/*", "benchmarks of a dependency"),
    ("*.pyi", "types, for checkers"),
    ("*/py.typed", "types, for checkers"),
    ("*.c", "the source of an extension module"),
    ("*.h", "the source of an extension module"),
    ("*/__main__.py", "a program of a dependency"),
    ("*/cli.py", "a program of a dependency"),
    ("charset_normalizer/cli/*", "a program of a dependency"),
    ("simplejson/tool.py", "a program of a dependency"),
    ("requests/help.py", "a program of a dependency"),
    ("urllib3/contrib/emscripten/*", "for browsers"),
    ("urllib3/contrib/pyopenssl.py", "for Pythons without TLS, and needs pyOpenSSL, which is not here"),
    ("urllib3/contrib/socks.py", "needs PySocks, which is not here"),
    ("requests_toolbelt/adapters/appengine.py", "for another platform"),
    ("pymongo/*", "a database's client: the SDK imports only the bson beside it"),
    ("gridfs/*", "a database's client: the SDK imports only the bson beside it"),
    ("bson/_cbson.*", "speeds up a format of bodies that no call of ours has; bson does without"),
    ("bson/json_util.py", "for programs that use a database"),
    ("dns/*", "only pymongo imports it"),
    ("dateutil/easter.py", "croniter and the SDK use relativedelta, tz and parser"),
    ("dateutil/rrule.py", "croniter and the SDK use relativedelta, tz and parser"),
    ("dateutil/tz/win.py", "for Windows"),
    ("dateutil/tzwin.py", "for Windows"),
    ("dateutil/zoneinfo/*", "a copy of what tzdata has, for names of zones, which croniter is never given"),
)
"""Paths in wheels that a run never reads, each with its reason. ``*`` also spans folders."""
_KEPT = ("*.dist-info/licen[cs]e*", "*.dist-info/copying*", "*.dist-info/notice*", "*.dist-info/authors*")


def cache_dir(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Return where this program may keep what it can fetch again."""
    if platform == "win32":
        parent = environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif platform == "darwin":
        parent = str(Path.home() / "Library" / "Caches")
    else:
        parent = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(parent) / "cce-scheduler"


def pip_download(runtime: Runtime, directory: Path) -> List[str]:
    """Return pip's command to put wheels for a runtime into a directory; what to get is still to be added."""
    target = {"platform": PLATFORM, "python-version": runtime.python, "implementation": "cp", "abi": runtime.abi}
    fixed = [f"--{option}={value}" for option, value in target.items()]
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    pip = [sys.executable, "-m", "pip", "download"]
    return [*pip, *quiet, "--only-binary", ":all:", *fixed, "--dest", str(directory)]


def fetch_wheels(
    runtime: Runtime,
    pins: Sequence[Pin],
    cache: Path,
    environ: Mapping[str, str],
    on_progress: OnProgress = lambda *_: None,
) -> Dict[Pin, bytes]:
    """Return the wheel of every pin, from the cache where it is there. Raises `InputError` where pip cannot get one."""
    folder = cache / "wheels"
    found = {pin: _read_cached(folder, pin) for pin in pins}
    missing = [pin for pin, content in found.items() if content is None]
    if missing:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as directory:
                _run_pip(runtime, missing, Path(directory), environ, on_progress)
                for file in Path(directory).glob("*.whl"):
                    file.replace(_cached(folder, hashlib.sha256(file.read_bytes()).hexdigest()))
        except OSError as e:
            raise InputError(f"the dependencies cannot be kept in {folder} ({e.strerror}): set XDG_CACHE_HOME") from e
        found.update((pin, _read_cached(folder, pin)) for pin in missing)
    wheels = {pin: content for pin, content in found.items() if content is not None}
    lacking = [f"{pin.name} {pin.version}" for pin in pins if pin not in wheels]
    if lacking:
        raise InputError(f"pip brought no wheel with the pinned hash of {', '.join(lacking)}")
    return wheels


def read_wheel(content: bytes) -> Iterator[Tuple[str, bytes]]:
    """Yield path and content of the files of a wheel that a run may need."""
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        for member in wheel.infolist():
            path = _installed_path(member.filename)
            if not member.is_dir() and reason_to_leave_out(path) is None:
                yield path, wheel.read(member)


def reason_to_leave_out(path: str) -> Optional[str]:
    """Return why a file of a wheel does not go into the zip, None if it does."""
    if any(fnmatchcase(path.lower(), pattern) for pattern in _KEPT):
        return None
    return next((reason for pattern, reason in LEFT_OUT if fnmatchcase(path, pattern)), None)


def _installed_path(path: str) -> str:
    """Return where a file of a wheel is installed: some wheels have importable files in a folder of their own."""
    parts = path.split("/")
    if parts[0].endswith(".data") and parts[1:2] in (["purelib"], ["platlib"]):
        return "/".join(parts[2:])
    return path


def _cached(folder: Path, sha256: str) -> Path:
    return folder / f"{sha256}.whl"


def _read_cached(folder: Path, pin: Pin) -> Optional[bytes]:
    try:
        content = _cached(folder, pin.sha256).read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == pin.sha256 else None


def _run_pip(
    runtime: Runtime, pins: Sequence[Pin], directory: Path, environ: Mapping[str, str], on_progress: OnProgress
) -> None:
    """Let pip fetch the pinned wheels, and nothing else."""
    asked = directory / "lock.txt"
    asked.write_text("".join(f"{pin.line}\n" for pin in pins), encoding="utf-8")
    command = [*pip_download(runtime, directory), "--no-deps", "--require-hashes", "--requirement", str(asked)]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(  # noqa: S603
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            env={**environ, "LC_ALL": "C"},
        ) as pip,
    ):
        try:
            _watch(pip.stdout or (), len(pins), on_progress)
            failed = pip.wait() != 0
        except BaseException:
            pip.kill()
            raise
        errors.seek(0)
        said = [line.strip() for line in errors if line.strip() and not line.startswith("WARNING")]
    if failed and any("No module named pip" in line for line in said):
        raise InputError(f"pip is needed to fetch the dependencies: {sys.executable} -m ensurepip")
    if failed:
        raise InputError(f"pip cannot fetch the dependencies: {' '.join(said[-3:]) or 'it does not say why'}")


def _watch(output: Iterable[str], total: int, on_progress: OnProgress) -> None:
    done = 0
    on_progress(done, total)
    for line in output:
        if line.startswith("Collecting ") and done < total:
            on_progress(done, total)
            done += 1
    on_progress(total, total)
