"""FunctionGraph for one function: runs a packaged zip as the platform does, in a process of its own.

What is alike, as far as it is known: the code lies in a directory that cannot be written; every run is a cold start;
the working directory is the parent of the code; the code stands before the standard library on ``sys.path`` and what
the runtime has bundled behind it; the handler's file is loaded by its path; event and result are JSON. What a
process of the platform does inside is ``runtime.py``::

    with deploy(Path("function.zip"), Settings(user_data={"endpoint": endpoint})) as function:
        outcome = function.invoke({"trigger_type": "TIMER", "time": "2026-12-01T00:00:00Z"})
"""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from threading import Event, Timer
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple
from uuid import uuid4

from scheduler.simulated.cloud import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK

_RUNTIME = Path(__file__).with_name("runtime.py")
_READ_ONLY = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_ENTER = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


class Settings(NamedTuple):
    """How a function is configured. ``keys`` are what its agency gives: access key, secret key and token.

    ``bundled`` stands for the packages that the runtime brings along. ``environ`` is added to the environment, and
    ``wrapper`` is a command that runs the process, such as a profiler.
    """

    user_data: Mapping[str, str] = {}
    interpreter: Path = Path(sys.executable)
    bundled: Optional[Path] = None
    handler: str = "index.handler"
    timeout_s: int = 60
    memory_mb: int = 256
    project_id: str = SIMULATED_PROJECT
    keys: Tuple[str, str, str] = (SIMULATED_AK, SIMULATED_SK, "")
    environ: Mapping[str, str] = {}
    wrapper: Sequence[str] = ()


class LogLine(NamedTuple):
    """What was written through the context's logger."""

    level: str
    message: str


class Outcome(NamedTuple):
    """What came of one invocation.

    ``error`` is the type and message of what was raised, None after a success; a killed run's type is ``Timeout`` or
    ``Killed``. ``output`` is what was printed. ``written`` are paths in the code's directory that the run made or
    changed, which the platform forbids. ``cpu_s`` is of the whole process, ``load_cpu_s`` and ``run_cpu_s`` of
    loading the handler and of calling it. ``modules`` are those loaded at the end, with their files.
    """

    result: Any
    error: Optional[Tuple[str, str]]
    log: Tuple[LogLine, ...]
    output: str
    exit_status: int
    written: Tuple[str, ...]
    peak_memory: int
    cpu_s: float
    load_cpu_s: float
    run_cpu_s: float
    modules: Mapping[str, Optional[str]]


class Function:
    """A deployed function; each invocation is a cold start."""

    def __init__(self, code_root: Path, settings: Settings, runtime: Path = _RUNTIME) -> None:
        self.code_root = code_root
        self.settings = settings
        self._runtime = runtime

    def invoke(self, event: object) -> Outcome:
        """Run the function once with an event and wait for its end."""
        with tempfile.TemporaryDirectory(prefix="invocation-") as directory:
            work = Path(directory)
            asked = {
                "event": event,
                "user_data": dict(self.settings.user_data),
                "keys": self.settings.keys,
                "request_id": str(uuid4()),
                "bundled": str(self.settings.bundled.resolve()) if self.settings.bundled else None,
                "answer": str(work / "answer"),
                "log": str(work / "log"),
            }
            (work / "asked").write_text(json.dumps(asked), encoding="utf-8")
            before = _state(self.code_root)
            status, cpu_s, timed_out = self._run(work)
            after = _state(self.code_root)
            written = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
            return _outcome(work, status, cpu_s, written, timed_out=timed_out)

    def _run(self, work: Path) -> Tuple[int, float, bool]:
        """Run the process; return its exit status, the CPU time it took, and whether its time ran out."""
        settings = self.settings
        command = [*settings.wrapper, str(settings.interpreter), "-I", "-S", str(self._runtime)]
        timed_out = Event()
        with (work / "asked").open("rb") as asked, (work / "output").open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - the interpreter that the caller chose
                command,
                stdin=asked,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.code_root.parent,
                env={**self._environ(), **settings.environ},
            )

            def end() -> None:
                timed_out.set()
                process.kill()

            timer = Timer(settings.timeout_s, end)
            timer.start()
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                raise
            finally:
                timer.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, usage.ru_utime + usage.ru_stime, timed_out.is_set()

    def _environ(self) -> Dict[str, str]:
        settings = self.settings
        return {
            "HOME": "/tmp",  # noqa: S108 - as there
            "LANG": "C.UTF-8",
            "PATH": os.defpath,
            "RUNTIME_CODE_ROOT": str(self.code_root),
            "RUNTIME_CPU": "400",
            "RUNTIME_FUNC_NAME": "cce-scheduler",
            "RUNTIME_FUNC_VERSION": "latest",
            "RUNTIME_HANDLER": settings.handler,
            "RUNTIME_MEMORY": str(settings.memory_mb),
            "RUNTIME_PROJECT_ID": settings.project_id,
            "RUNTIME_TIMEOUT": str(settings.timeout_s),
            "RUNTIME_USERDATA": json.dumps(dict(settings.user_data)),
        }


@contextlib.contextmanager
def deploy(package: Path, settings: Settings) -> Iterator[Function]:
    """Unpack a zip to where it cannot be written, and yield the function that it is."""
    with tempfile.TemporaryDirectory(prefix="platform-") as directory:
        code_root = Path(directory).resolve() / "function" / "code"
        code_root.mkdir(parents=True)
        with zipfile.ZipFile(package) as opened:
            opened.extractall(code_root)
        _set_writable(code_root, writable=False)
        try:
            yield Function(code_root, settings, _compile_runtime(settings.interpreter, Path(directory)))
        finally:
            _set_writable(code_root, writable=True)
            shutil.rmtree(code_root)


def _compile_runtime(interpreter: Path, folder: Path) -> Path:
    """Return the platform's own part as bytecode: a run is not to pay for what a real platform has ready."""
    compiled = folder / "runtime.pyc"
    script = "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[2], doraise=True)"
    command = [str(interpreter), "-I", "-S", "-c", script, str(_RUNTIME), str(compiled)]
    subprocess.run(command, check=True)  # noqa: S603 - the interpreter that the caller chose
    return compiled


def _set_writable(root: Path, *, writable: bool) -> None:
    for path in (root, *root.rglob("*")):
        write = stat.S_IWUSR if writable else 0
        path.chmod(_READ_ONLY | write | (_ENTER if path.is_dir() else 0))


def _state(root: Path) -> Dict[str, Tuple[int, int]]:
    """Return size and time of everything in a directory, by path."""
    found = ((path, path.stat()) for path in (root, *root.rglob("*")))
    return {str(path.relative_to(root)): (at.st_size, at.st_mtime_ns) for path, at in found}


def _outcome(work: Path, status: int, cpu_s: float, written: Sequence[str], *, timed_out: bool) -> Outcome:
    answer: Dict[str, Any] = {}
    result: Any = None
    with contextlib.suppress(OSError, ValueError):
        text, _, said = (work / "answer").read_text(encoding="utf-8").partition("\n")
        answer = json.loads(said)
        result = json.loads(text) if text else None
    log = work / "log"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return Outcome(
        result=result,
        error=_error(answer, status, timed_out=timed_out),
        log=tuple(LogLine(*json.loads(text)) for text in lines),
        output=(work / "output").read_text(encoding="utf-8", errors="replace"),
        exit_status=status,
        written=tuple(written),
        peak_memory=answer.get("peak_memory", 0),
        cpu_s=cpu_s,
        load_cpu_s=answer.get("load_cpu_s", 0.0),
        run_cpu_s=answer.get("run_cpu_s", 0.0),
        modules=answer.get("modules", {}),
    )


def _error(answer: Mapping[str, Any], status: int, *, timed_out: bool) -> Optional[Tuple[str, str]]:
    if timed_out:
        return "Timeout", "the function did not end in its time"
    if "error" in answer:
        return answer["error"][0], answer["error"][1]
    return None if answer else ("Killed", f"the process ended without an answer, status {status}")
