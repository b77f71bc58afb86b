"""``plan``: what a run would do; changes nothing."""

import os
from datetime import datetime, timezone
from typing import Annotated

import typer

from scheduler.cli.access import Target, open_access
from scheduler.cli.calendar import Html, write_beside
from scheduler.cli.diff import show_run
from scheduler.cli.exits import ExitCode
from scheduler.cli.options import (
    DEFAULT_FILE,
    AsJson,
    At,
    CceEndpoint,
    ClusterNames,
    Endpoint,
    File,
    Region,
    Simulated,
    Verbose,
    load_selected,
    read_at,
    read_span,
)
from scheduler.cli.output import show, show_json
from scheduler.cli.page import render_page
from scheduler.reconcile import run_once
from scheduler.report import plan_json

DetailedExitCode = Annotated[
    bool, typer.Option("--detailed-exitcode", help="Exit with 2 when something would be started or stopped.")
]

_PAGE_DAYS = 14


def plan(  # noqa: PLR0913 - one for each option
    *,
    file: File = DEFAULT_FILE,
    cluster: ClusterNames = None,
    at: At = None,
    verbose: Verbose = False,
    as_json: AsJson = False,
    detailed_exitcode: DetailedExitCode = False,
    region: Region = None,
    endpoint: Endpoint = None,
    cce_endpoint: CceEndpoint = None,
    simulated: Simulated = False,
    html: Html = None,
) -> int:
    """Show what a run would start and stop, now or at another time."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    instant = read_at(at) if at else now
    schedules = load_selected(file, cluster)
    target = Target(region, endpoint, simulated, cce_endpoint)
    with open_access(schedules, target, environ=os.environ, now=instant) as access:
        run = run_once(access.schedules, instant, access.connect, access.clock, dry_run=True, is_now=at is None)
    if html is not None:
        span = read_span(None, _PAGE_DAYS, schedules, instant)
        write_beside(file, html, render_page(schedules, span, now, plan=run.plan).encode(), "--html")
    if as_json:
        show_json(plan_json(run.plan))
    else:
        show(*show_run(run, verbose=verbose))
    if run.has_failed:
        return ExitCode.FAILED
    return ExitCode.CHANGES if detailed_exitcode and not run.plan.is_empty else ExitCode.DONE
