"""The zip that is the function: equal inputs give equal bytes, so that its digest says whether anything changed.

Order, times, permissions and compression are fixed. Only two things of the machine show: which releases of Python
compiled the bytecode and of zlib the zip; both write the same for years.
"""

import hashlib
import io
import os
import stat
import tempfile
import zipfile
from pathlib import Path
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from scheduler.deploy.bytecode import compile_sources, find_interpreter, source_path
from scheduler.deploy.lean import slim
from scheduler.deploy.runtimes import Pin, Runtime, read_lock
from scheduler.deploy.sources import (
    ENTRY,
    ENTRY_FILE,
    ScheduleFiles,
    generated_files,
    own_files,
    schedule_files,
)
from scheduler.deploy.wheels import fetch_wheels, read_wheel
from scheduler.errors import InputError

MOST_BYTES = 50 * 1024 * 1024 * 3 // 4
"""The largest zip that both ways take: a call has at most 50 MB of base64, and the console takes 40 MB.

https://support.huaweicloud.com/intl/en-us/productdesc-functiongraph/functiongraph_01_0150.html
"""

OWN_PART, FILE_PART = "scheduler", "schedules"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = stat.S_IFREG | 0o644
_UNIX = 3
_LEVEL = 9

OnStep = Callable[[str, int, int], object]
"""Is told what is being done, and how many of how many are done."""


class Part(NamedTuple):
    """What one distribution takes in the zip, bytecode included; ``version`` is None for what is our own."""

    name: str
    version: Optional[str]
    files: int
    size: int
    zipped: int


class Owner(NamedTuple):
    """What a file belongs to: a distribution with its version, or what is our own."""

    name: str
    version: Optional[str]


class Package(NamedTuple):
    """A zip, and what can be said of it. ``bytecode`` is the Python that compiled, None where there was none."""

    runtime: Runtime
    content: bytes
    parts: Tuple[Part, ...]
    bytecode: Optional[str]

    @property
    def files(self) -> int:
        """How many files are in it."""
        return sum(part.files for part in self.parts)

    @property
    def sha512(self) -> str:
        """Its digest as the platform shows it."""
        return hashlib.sha512(self.content).hexdigest()


def build_package(
    runtime: Runtime,
    found: Optional[ScheduleFiles],
    cache: Path,
    environ: Mapping[str, str],
    on_step: OnStep = lambda *_: None,
) -> Package:
    """Build the zip for a runtime; without schedule files it is one for the one-shot mode. Raises `InputError`."""
    wheels = fetch_wheels(
        runtime, read_lock(runtime), cache, environ, lambda done, total: on_step("fetching dependencies", done, total)
    )
    libraries, owners = unpack_wheels(wheels)
    files = {
        **slim(libraries, {pin.name: pin.version for pin in wheels}),
        **own_files(),
        **schedule_files(found),
    }
    files.update(generated_files(found))
    own = (*schedule_files(found), *(path for path in generated_files(found) if path != ENTRY_FILE))
    owners.update((path, Owner(FILE_PART, None)) for path in own)

    on_step("compiling", 0, 1)
    interpreter = find_interpreter(runtime, environ)
    if interpreter is not None:
        files.update(compile_sources(interpreter, _modules(files), runtime, environ, (ENTRY_FILE,)))
    on_step("compressing", 0, 1)
    content = write_zip(files)
    check_size(len(content))
    return Package(runtime, content, _parts(content, owners), interpreter.version if interpreter else None)


def unpack_wheels(wheels: Mapping[Pin, bytes]) -> Tuple[Dict[str, bytes], Dict[str, Owner]]:
    """Return the files of all wheels that a run may need, and which distribution each came with."""
    files: Dict[str, bytes] = {}
    owners: Dict[str, Owner] = {}
    for pin, wheel in wheels.items():
        brought = dict(read_wheel(wheel))
        if all(".dist-info/" in path for path in brought):
            continue  # all of it is left out, and its licence with it
        for path, content in brought.items():
            if files.setdefault(path, content) != content:
                raise InputError(f"{pin.name} and {owners[path].name} both bring {path}: they cannot share a zip")
            owners.setdefault(path, Owner(pin.name, pin.version))
    return files, owners


def check_size(size: int) -> None:
    """Raise `InputError` for a zip that the platform would not take."""
    if size > MOST_BYTES:
        raise InputError(
            f"the zip has {size / 1e6:.1f} MB and the platform takes {MOST_BYTES / 1e6:.1f} MB: "
            "make the schedules file smaller, or report this"
        )


def write_zip(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of files: equal bytes for equal files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(files):
            member = zipfile.ZipInfo(path, _EPOCH)
            member.create_system = _UNIX
            member.external_attr = _MODE << 16
            target.writestr(member, files[path], zipfile.ZIP_DEFLATED, _LEVEL)
    return made.getvalue()


def check_output(output: Path, file: Optional[Path], *, force: bool) -> None:
    """Raise `InputError` where writing to ``output`` would destroy what this program did not make."""
    if not output.parent.is_dir():
        raise InputError(f"{output.parent} is not a directory: make it, or write elsewhere with --output")
    if not output.exists() and not output.is_symlink():
        return
    if not output.is_file():
        raise InputError(f"{output} is not a file: write elsewhere with --output")
    if file is not None and file.exists() and output.samefile(file):
        raise InputError(f"{output} is the schedules file itself: write elsewhere with --output")
    if not force and not is_package(output):
        raise InputError(f"{output} was not made by this command: write elsewhere with --output, or add --force")


def is_package(file: Path) -> bool:
    """Whether a file is a zip that `write_package` wrote, of any release."""
    first_line = ENTRY.splitlines()[0]
    try:
        with zipfile.ZipFile(file) as opened:
            return opened.read(ENTRY_FILE).splitlines()[:1] == [first_line]
    except (OSError, KeyError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return False


def write_package(package: Package, output: Path) -> None:
    """Write the zip, whole or not at all. Raises `InputError`."""
    target = output.resolve()
    temporary: Optional[Path] = None
    try:
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        temporary = Path(name)
        with os.fdopen(number, "wb") as stream:
            stream.write(package.content)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        temporary = None
    except OSError as e:
        raise InputError(f"{output} cannot be written ({e.strerror}): write elsewhere with --output") from e
    finally:
        if temporary is not None:
            temporary.unlink()


def _modules(files: Mapping[str, bytes]) -> Dict[str, bytes]:
    """Return the sources to compile."""
    return {path: content for path, content in files.items() if path.endswith(".py")}


def _parts(content: bytes, owners: Mapping[str, Owner]) -> Tuple[Part, ...]:
    """Return what each distribution takes, the largest first; what came with none is our own."""
    members: Dict[Owner, List[zipfile.ZipInfo]] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        for member in opened.infolist():
            owner = owners.get(source_path(member.filename), Owner(OWN_PART, None))
            members.setdefault(owner, []).append(member)
    parts = [
        Part(*owner, len(found), sum(m.file_size for m in found), sum(m.compress_size for m in found))
        for owner, found in members.items()
    ]
    return tuple(sorted(parts, key=lambda part: (-part.zipped, part.name)))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
