"""How a command ends: the exit code, and the last words on stderr.

====  ============================================================================
   0  done
   1  a failure that the program foresees: the file, the cloud, a failed run
   2  with ``plan --detailed-exitcode``: changes are planned
  64  wrong usage
  70  a bug
 130  interrupted
====  ============================================================================
"""

import contextlib
import errno
import os
import platform
import sys
import traceback
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Callable, Sequence, Type

import typer

from scheduler.cli.output import note
from scheduler.cli.problems import show_problems
from scheduler.errors import ConfigError, SchedulerError

_UNWRITABLE = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_PACKAGE = Path(__file__).parents[1]
# typer re-exports only this one; its base is click's UsageError, or the copy of it that later releases bring along.
UsageError: Type[Exception] = typer.BadParameter.__mro__[1]
ClickException: Type[Exception] = typer.BadParameter.__mro__[2]


class ExitCode(IntEnum):
    """What a command tells its caller."""

    DONE = 0
    FAILED = 1
    CHANGES = 2
    USAGE = 64
    BUG = 70
    INTERRUPTED = 130


def finish(command: Callable[[], object], arguments: Sequence[str], names: Sequence[str]) -> int:
    """Run a command and return its exit code; ``arguments`` are its own, ``names`` those of all commands."""
    if sys.stdout is None:  # what it finds could not be told, and its next file would take the place of stdout
        note("error: stdout is closed, so nothing was done: send it to a file, or to /dev/null", "red")
        return ExitCode.FAILED
    try:
        code = command()
        sys.stdout.flush()
    except ConfigError as e:
        show_problems(e.file, e.problems)
        return ExitCode.FAILED
    except SchedulerError as e:
        note(f"error: {e}", "red")
        return ExitCode.FAILED
    except (KeyboardInterrupt, typer.Abort):
        note("interrupted")
        return ExitCode.INTERRUPTED
    except ClickException as e:
        shown: Any = e
        shown.show()
        return ExitCode.USAGE if isinstance(e, UsageError) else ExitCode.FAILED
    except SystemExit as e:  # typer's own end of a closed pipe
        if not isinstance(e.__context__, BrokenPipeError):
            raise
        return _give_up_output(e.__context__)
    except Exception as e:  # noqa: BLE001 - the one place where a bug ends
        if isinstance(e, OSError) and e.errno in _UNWRITABLE and e.filename is None:
            return _give_up_output(e)
        note(_report_of(e, arguments, names), "red")
        return ExitCode.BUG
    return code if isinstance(code, int) else ExitCode.DONE


def program_version() -> str:
    """Return the version of what is installed."""
    try:
        return version("cce-scheduler")
    except PackageNotFoundError:  # a bare checkout
        return "unknown"


def _give_up_output(error: OSError) -> int:
    """Say that the output cannot be written, and let nothing more be written when the process ends."""
    with contextlib.suppress(OSError, ValueError):
        note(f"error: the output cannot be written ({error.strerror})", "red")
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    return ExitCode.FAILED


def _report_of(error: Exception, arguments: Sequence[str], names: Sequence[str]) -> str:
    """Say where a bug shows and what to report; values are left out, since any of them may be a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _PACKAGE in Path(frame.filename).parents]
    places = dict.fromkeys(f"{_place(f.filename)}:{f.lineno} in {f.name}" for f in (*ours[-1:], *frames[-1:]))
    words = [a.partition("=")[0] for a in arguments if a.startswith("--") or a in names]
    return "\n".join(
        (
            f"this is a bug in cce-scheduler: {type(error).__name__} at {', '.join(places)}",
            "please report it with these lines:",
            f"  cce-scheduler {program_version()}, Python {platform.python_version()}, {sys.platform}",
            f"  command: {' '.join(words)}",
        )
    )


def _place(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_PACKAGE.parent)) if _PACKAGE in path.parents else path.name
