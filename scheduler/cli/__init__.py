"""The command line. This module only finds out whether it can run: the function is installed without what it needs."""

import io
import sys

_NEEDED = ("rich", "typer", "werkzeug")


def main() -> None:
    """Run one command and exit. The console script."""
    try:
        from scheduler.cli.application import application
    except ModuleNotFoundError as e:
        name = (e.name or "").partition(".")[0]
        if name not in _NEEDED:
            raise
        sys.stderr.write(f'the command line needs {name}: install the extra "cli"\n')
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal cannot write must not end a command
        sys.stdout.reconfigure(errors="backslashreplace")
    application(prog_name="cce-scheduler")
