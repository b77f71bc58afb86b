"""The program with all its commands, and the one way in which each of them ends."""

import sys
from functools import partial
from typing import Any, Callable, Tuple

import typer
from typer.core import TyperGroup

from scheduler.cli.apply import apply
from scheduler.cli.calendar import calendar
from scheduler.cli.deploy import deploy
from scheduler.cli.doctor import doctor
from scheduler.cli.evaluate import evaluate
from scheduler.cli.exits import ExitCode, finish, program_version
from scheduler.cli.explain import explain
from scheduler.cli.holidays import holidays
from scheduler.cli.init import init
from scheduler.cli.output import note
from scheduler.cli.override import override
from scheduler.cli.package import package
from scheduler.cli.plan import plan
from scheduler.cli.savings import savings
from scheduler.cli.simulate import simulate
from scheduler.cli.status import status
from scheduler.cli.undeploy import undeploy
from scheduler.cli.validate import validate


class Commands(TyperGroup):
    """A group of commands whose outcome becomes an exit code in `finish`, whoever calls it."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run one command and exit; without a command, show the help: releases of typer differ in how that ends."""
        given = args[0] if args else kwargs.pop("args", None)
        arguments = list(sys.argv[1:] if given is None else given)
        kwargs["standalone_mode"] = False
        run = partial(super().main, arguments or ["--help"], *args[1:], **kwargs)
        code = finish(run, arguments, list(self.commands))
        sys.exit(code if arguments else ExitCode.USAGE)

    def invoke(self, ctx: Any) -> Any:
        """Run one command; a release of typer says nothing when it is interrupted, another aborts."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            note("interrupted")
            return ExitCode.INTERRUPTED


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer calls it so
    if value:
        sys.stdout.write(f"cce-scheduler {program_version()}\n")
        raise typer.Exit


def _about(
    *,
    _version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Stop and start the nodes of Huawei Cloud CCE clusters by one schedules.yaml."""


_COMMANDS: Tuple[Tuple[Callable[..., int], Tuple[str, ...]], ...] = (
    (
        init,
        ("init --region ap-southeast-2", "init --region ap-southeast-2 --region ap-southeast-3", "init --simulated"),
    ),
    (doctor, ("doctor", "doctor --cluster dev --json", "doctor --simulated")),
    (validate, ("validate", "validate --file dev/schedules.yaml --json")),
    (evaluate, ("evaluate", "evaluate --cluster dev --at 2026-11-23T08:00:00+07:00")),
    (explain, ("explain dev", "explain dev --servers --at 2026-11-23T21:00:00+07:00")),
    (
        calendar,
        (
            "calendar",
            "calendar --from 2026-12-24 --days 14 --ics clusters.ics",
            "calendar --against old/schedules.yaml",
        ),
    ),
    (savings, ("savings --from 2026-12-01 --days 31", "savings --simulated --json")),
    (holidays, ("holidays", "holidays --years 5", "holidays --check")),
    (plan, ("plan", "plan --cluster dev --verbose", "plan --simulated --at 2026-11-23T22:00:00+07:00")),
    (apply, ("apply", "apply --cluster dev --wait", "apply --simulated --wait")),
    (simulate, ("simulate", "simulate --from 2026-11-27 --days 7 --every 15m --nodes 10")),
    (
        override,
        ("override dev running --for 3h", "override dev stopped --until 2026-11-24T08:00", "override --clear dev"),
    ),
    (package, ("package", "package --runtime Python3.12 --output dev.zip", "package --one-shot")),
    (deploy, ("deploy --dry-run", "deploy", "deploy --yes")),
    (status, ("status", "status --json")),
    (undeploy, ("undeploy",)),
)

application = typer.Typer(
    cls=Commands,
    callback=_about,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 120},
)
for _command, _examples in _COMMANDS:
    _lines = "\n".join(f"  cce-scheduler {example}" for example in _examples)
    application.command(epilog=f"\b\nExamples:\n{_lines}")(_command)
