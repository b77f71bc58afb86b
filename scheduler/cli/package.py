"""``package``: the zip that is the function, made from the schedules file and checked before anything is written."""

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Dict, Optional

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from scheduler.cli.exits import ExitCode
from scheduler.cli.options import DEFAULT_FILE, AsJson, File
from scheduler.cli.output import count, diagnostics, line, note, show, show_json, table
from scheduler.deploy.package import Package, build_package, check_output, write_package
from scheduler.deploy.runtimes import OFFERED, Runtime, find_runtime
from scheduler.deploy.sources import HANDLER, ScheduleFiles, read_schedule_files
from scheduler.deploy.wheels import cache_dir
from scheduler.document import suggest
from scheduler.model import Function
from scheduler.public_holidays import refuse_ended

_RUNTIME_HELP = f"{', '.join(OFFERED)}.  [default: function.runtime of the file, else {Function().runtime}]"

RuntimeName = Annotated[Optional[str], typer.Option("--runtime", metavar="NAME", help=_RUNTIME_HELP)]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the zip.")]
IsOneShot = Annotated[bool, typer.Option("--one-shot", help="Leave the schedules out: one action, by the settings.")]
IsForTests = Annotated[bool, typer.Option("--for-tests", hidden=True)]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that this command did not make.")]


def package(  # noqa: PLR0913 - one for each option
    *,
    file: File = DEFAULT_FILE,
    runtime: RuntimeName = None,
    output: Output = Path("function.zip"),
    one_shot: IsOneShot = False,
    force: Force = False,
    for_tests: IsForTests = False,
    as_json: AsJson = False,
) -> int:
    """Make the zip that is the function.

    The same input gives the same bytes. Dependencies are pinned, checked by hash and kept in your cache directory.
    """
    found = None if one_shot else read_schedule_files(file)
    if found is not None:
        refuse_ended(found.schedules.calendars_end, datetime.now(timezone.utc))
    chosen = _choose_runtime(runtime, found, for_tests=for_tests)
    check_output(output, None if one_shot else file, force=force)
    with _progress() as progress:
        task = progress.add_task("")
        made = build_package(
            chosen,
            found,
            cache_dir(os.environ),
            os.environ,
            lambda step, done, total: progress.update(task, description=step, completed=done, total=total),
        )
    write_package(made, output)
    if made.bytecode is None:
        note(
            f"no Python {chosen.python} is at hand to compile with: every cold start will compile for itself, "
            f"which takes two to three times the processor; install python{chosen.python} and package again",
            "yellow",
        )
    if as_json:
        show_json(_package_json(made, output, is_one_shot=one_shot))
    else:
        _show_package(made, output, found)
    return ExitCode.DONE


def _choose_runtime(name: Optional[str], found: Optional[ScheduleFiles], *, for_tests: bool) -> Runtime:
    """Return the runtime of ``--runtime``, else the file's, else the default; one for tests only to tests."""
    wanted = name or (found.schedules.function if found else Function()).runtime
    runtime = find_runtime(wanted)
    if runtime is None:
        raise typer.BadParameter(f'"{wanted}" is not known: {suggest(wanted, OFFERED)}', param_hint="--runtime")
    if runtime.is_for_tests and not for_tests:
        message = f"{wanted} is not a runtime of the platform: write {' or '.join(OFFERED)}"
        raise typer.BadParameter(message, param_hint="--runtime")
    return runtime


def _progress() -> Progress:
    """Return a progress bar that is seen on a terminal only, and leaves nothing behind."""
    console = diagnostics()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _show_package(made: Package, output: Path, found: Optional[ScheduleFiles]) -> None:
    columns = ("PACKAGE", "VERSION", "FILES", "UNPACKED", "ZIPPED")
    rows = [(p.name, p.version or "", f"{p.files:,}", _size(p.size), _size(p.zipped)) for p in made.parts]
    whole = sum(part.size for part in made.parts)
    rows.append(("total", "", f"{made.files:,}", _size(whole), _size(len(made.content))))
    clusters = count(len(found.schedules.clusters), "cluster") if found else "the one-shot mode, without schedules"
    compiled = f"bytecode of Python {made.bytecode}" if made.bytecode else "no bytecode"
    show(
        table(columns, rows, right=columns[2:]),
        "",
        line(f"{output}: {len(made.content) / 1e6:.2f} MB for {clusters}", "bold"),
        line(f"runtime {made.runtime.name}, handler {HANDLER}, {compiled}"),
        line(f"sha512 {made.sha512}"),
    )


def _size(size: int) -> str:
    return f"{size / 1e3:,.1f} kB"


def _package_json(made: Package, output: Path, *, is_one_shot: bool) -> Dict[str, Any]:
    return {
        "file": str(output),
        "runtime": made.runtime.name,
        "handler": HANDLER,
        "one_shot": is_one_shot,
        "size": len(made.content),
        "files": made.files,
        "sha512": made.sha512,
        "bytecode": made.bytecode,
        "packages": [part._asdict() for part in made.parts],
    }
