"""``plan``: what a run would do; changes nothing."""

import os
from datetime import datetime, timedelta, timezone
from typing import Annotated, Dict, Optional, Sequence

import typer

from scheduler.cli.access import Target, open_access
from scheduler.cli.calendar import Html, check_ending, write_beside
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
from scheduler.model import ControlPlaneAction, Plan, Power, Prices
from scheduler.reconcile import run_once
from scheduler.report import plan_json
from scheduler.savings import Savings, describe_savings, find_hours, find_savings

_WEEK = timedelta(days=7)

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
    """Show what a run would start and stop, now or at another time.

    Fails where a run now would: a limit that refuses the stops of another time is only told.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    instant = read_at(at) if at else now
    check_ending(html, "--html")
    schedules = load_selected(file, cluster)
    target = Target(region, endpoint, simulated, cce_endpoint)
    with open_access(schedules, target, environ=os.environ, now=instant) as access:
        run = run_once(access.schedules, instant, access.connect, access.clock, dry_run=True, is_now=at is None)
    saved = _savings_of(run.plan, schedules.prices)
    if html is not None:
        span = read_span(None, _PAGE_DAYS, schedules, instant)
        page = render_page(schedules, span, now, plan=run.plan, money=_money_of(saved))
        write_beside(file, html, page.encode(), "--html")
    if as_json:
        show_json(plan_json(run.plan))
    else:
        show(*show_run(run, verbose=verbose, is_simulated=simulated, notes=_notes_of(saved)))
    refusal = run.plan.refusal
    if run.has_failed or (refusal is not None and at is None):
        return ExitCode.FAILED
    powers = [action.power for planned in run.plan.clusters for action in planned.actions]
    steps = [planned.control_plane.action for planned in run.plan.clusters if planned.control_plane]
    starts = Power.START in powers or ControlPlaneAction.AWAKE in steps
    would_act = starts if refusal else not run.plan.is_empty
    return ExitCode.CHANGES if detailed_exitcode and would_act else ExitCode.DONE


def _savings_of(plan: Plan, prices: Optional[Prices]) -> Sequence[Savings]:
    """Return what each managed cluster saves in the days that follow."""
    found = (find_savings(p, find_hours(p.cluster, plan.at, plan.at + _WEEK), prices) for p in plan.clusters)
    return [one for one in found if one.hours.unmanaged != one.hours.whole]


def _notes_of(saved: Sequence[Savings]) -> Dict[str, str]:
    return {one.cluster.name: f"next {_WEEK.days} days: {describe_savings(one)}" for one in saved}


def _money_of(saved: Sequence[Savings]) -> Dict[str, str]:
    known = (one for one in saved if one.money is not None)
    return {one.cluster.name: f"{one.money:,} {one.currency} a week" for one in known}
