"""Bytecode for the zip, compiled by an interpreter of the runtime's own version.

The platform keeps the code in a directory that cannot be written, so without bytecode every cold start compiles
every module again. What is written here is never checked against its source (PEP 552, "unchecked"): mtimes are lost
on the way to the platform, and reading a source to check it costs what was to be saved. Only the entry is checked,
which a person may change in the console: to compile these few lines is a twentieth of a run with nothing to do,
since Python first sets up what its compiler needs.

The compiler is run away from this process, with a fixed hash seed: before 3.11 the order of sets is written as it is.
"""

import marshal
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Collection, Dict, Iterator, Mapping, NamedTuple, Optional

from scheduler.deploy.runtimes import Runtime
from scheduler.errors import SchedulerError

CODE_ROOT = "/opt/function/code"
"""Where the platform unpacks the zip: the path that tracebacks show."""

_MARSHAL_VERSION = 2  # the newest that needs nothing of either interpreter but dicts, texts and bytes
_FOLDER = "__pycache__"
_OWN = "scheduler/"
_ERASER = Path(__file__).with_name("erase.py")
_TIMEOUT_S = 300
_ASK = """
import platform, sys
print(sys.implementation.cache_tag, sys.version_info.releaselevel, platform.python_version())
"""
_COMPILE = """
import importlib.util, marshal, sys

root, version = sys.argv[1], int(sys.argv[2])
sources, checked, own, eraser = marshal.loads(sys.stdin.buffer.read())
erase = {}
exec(compile(eraser, "erase", "exec"), erase)
compiled = {}
for path in sorted(sources):
    try:
        read = erase["erase"](sources[path]) if path.startswith(own) else sources[path]
        code = compile(read, f"{root}/{path}", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        continue  # for another Python; a run that imported it would fail on the platform as well
    flags = b"\\3\\0\\0\\0" if path in checked else b"\\1\\0\\0\\0"
    head = importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(sources[path])
    compiled[path] = head + marshal.dumps(code)
sys.stdout.buffer.write(marshal.dumps(compiled, version))
"""


class Interpreter(NamedTuple):
    """A CPython on this machine, and its full version."""

    path: Path
    version: str


class CompileError(SchedulerError):
    """An interpreter that was found did not compile."""


def find_interpreter(runtime: Runtime, environ: Mapping[str, str]) -> Optional[Interpreter]:
    """Return a CPython of a runtime's minor version on this machine, None if there is none."""
    for path in _candidates(runtime, environ):
        found = _ask(path, runtime, environ)
        if found is not None:
            return found
    return None


def compile_sources(
    interpreter: Interpreter,
    sources: Mapping[str, bytes],
    runtime: Runtime,
    environ: Mapping[str, str],
    checked: Collection[str] = (),
) -> Dict[str, bytes]:
    """Return the bytecode of sources, each under the path at which Python looks for it.

    That of the paths in ``checked`` is not used once the source is another.
    """
    command = [
        str(interpreter.path),
        "-s",
        "-S",
        "-B",
        "-W",
        "ignore",
        "-c",
        _COMPILE,
        CODE_ROOT,
        str(_MARSHAL_VERSION),
    ]
    inherited = {key: value for key, value in environ.items() if not key.startswith("PYTHON")}
    with tempfile.TemporaryDirectory() as empty:  # where Python looks for modules first
        done = subprocess.run(  # noqa: S603 - a Python that was asked for its version
            command,
            input=marshal.dumps((dict(sources), tuple(checked), _OWN, _ERASER.read_bytes()), _MARSHAL_VERSION),
            capture_output=True,
            check=False,
            cwd=empty,
            env={**inherited, "PYTHONHASHSEED": "0"},
            timeout=_TIMEOUT_S,
        )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise CompileError(f"{interpreter.path} cannot compile: {said[-1] if said else done.returncode}")
    compiled: Dict[str, bytes] = marshal.loads(done.stdout)  # noqa: S302 - written by our own lines above
    return {bytecode_path(path, runtime): content for path, content in compiled.items()}


def bytecode_path(source: str, runtime: Runtime) -> str:
    """Return where a runtime looks for the bytecode of a source."""
    folder, _, name = source.rpartition("/")
    file = f"{_FOLDER}/{name[: -len('.py')]}.{_cache_tag(runtime)}.pyc"
    return f"{folder}/{file}" if folder else file


def source_path(path: str) -> str:
    """Return the source that a path is the bytecode of, or the path itself."""
    folder, _, name = path.rpartition("/")
    if folder.rpartition("/")[2] != _FOLDER:
        return path
    parent = folder[: -len(_FOLDER)]
    return f"{parent}{name.partition('.')[0]}.py"


def _candidates(runtime: Runtime, environ: Mapping[str, str]) -> Iterator[Path]:
    yield Path(sys.executable)
    on_path = shutil.which(f"python{runtime.python}", path=environ.get("PATH"))
    if on_path:
        yield Path(on_path)
    pyenv = Path(environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for folder in sorted((pyenv / "versions").glob(f"{runtime.python}.*"), key=_micro, reverse=True):
        yield folder / "bin" / f"python{runtime.python}"


def _micro(folder: Path) -> int:
    micro = folder.name.rpartition(".")[2]
    return int(micro) if micro.isdigit() else -1


def _ask(path: Path, runtime: Runtime, environ: Mapping[str, str]) -> Optional[Interpreter]:
    """Return what an interpreter is, None unless it is a released CPython of the runtime's version that starts."""
    if not os.access(path, os.X_OK):
        return None
    try:
        done = subprocess.run(  # noqa: S603 - an interpreter by its name
            [str(path), "-I", "-S", "-c", _ASK],
            capture_output=True,
            text=True,
            check=False,
            env=dict(environ),
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split()
    if done.returncode or words[:2] != [_cache_tag(runtime), "final"]:
        return None
    return Interpreter(path, words[2])


def _cache_tag(runtime: Runtime) -> str:
    return f"cpython-3{runtime.minor}"
