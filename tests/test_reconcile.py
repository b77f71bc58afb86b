"""One run end to end, over HTTP: places apart from each other, and what many runs come to."""

from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.cloud.huawei import HuaweiCloud
from scheduler.errors import (
    InputError,
    PermanentCloudError,
    StaleCalendarError,
    TemporaryCloudError,
    UnsafePlanError,
    UntrustedAnswerError,
)
from scheduler.model import (
    CalendarsEnd,
    Cluster,
    ControlPlane,
    Exclude,
    HoldKind,
    Membership,
    OnExcludedDates,
    Power,
    Schedules,
    State,
    StopType,
    Timing,
    Window,
)
from scheduler.reconcile import place_clusters, run_once, select_clusters
from scheduler.remote_override import OVERRIDE_TAG, write_override
from scheduler.settings import Credentials
from scheduler.simulated import SIMULATED_AK, SimulatedCloud, SimulatedServer, serve
from scheduler.simulated.calls import failing, html, reset
from tests.scenes import (
    BATCH,
    CLOCK,
    DEV,
    KEYS,
    NOW,
    OTHER_PROJECT,
    PROJECT,
    TEST,
    connector,
    failing_at,
    listings,
    make_cluster,
    make_schedules,
    posts,
    statuses,
)

FIVE_MINUTES = timedelta(minutes=5)
ENDED = CalendarsEnd(NOW.date() - timedelta(days=1), NOW - timedelta(hours=1))


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NOW)


@pytest.fixture
def endpoint(cloud: SimulatedCloud) -> Iterator[str]:
    with serve(cloud) as url:
        yield url


def test_a_run_starts_and_stops_and_the_next_has_nothing_to_do(cloud: SimulatedCloud, endpoint: str) -> None:
    on, off = cloud.add_server("on", cluster_id=DEV), cloud.add_server("off", cluster_id=TEST, status="SHUTOFF")
    schedules = make_schedules(make_cluster(), make_cluster("test", TEST, State.RUNNING))
    run = run_once(schedules, NOW, connector(endpoint), CLOCK)
    assert not run.has_failed
    assert sorted(posts(cloud), key=str) == sorted(
        [(Power.STOP_SOFT, (on.server_id,)), (Power.START, (off.server_id,))], key=str
    )
    cloud.clear_ledger()
    again = run_once(schedules, NOW, connector(endpoint), CLOCK)  # at once: all is on its way
    assert again.plan.is_empty
    cloud.advance_to(NOW + FIVE_MINUTES)
    assert run_once(schedules, cloud.now, connector(endpoint), CLOCK).plan.is_empty
    assert not posts(cloud)
    assert statuses(cloud) == {"on": "SHUTOFF", "off": "ACTIVE"}


def test_a_dry_run_changes_nothing(cloud: SimulatedCloud, endpoint: str) -> None:
    cloud.add_server(cluster_id=DEV)
    run = run_once(make_schedules(make_cluster()), NOW, connector(endpoint), CLOCK, dry_run=True)
    assert (len(run.plan.clusters[0].actions), run.outcomes, run.dry_run) == (1, (), True)
    assert not posts(cloud)


@pytest.mark.parametrize(
    ("on_excluded_dates", "stops"),
    [
        pytest.param(OnExcludedDates.RUNNING, 0, id="a holiday would keep it running"),
        pytest.param(OnExcludedDates.UNMANAGED, 0, id="a holiday would leave it alone"),
        pytest.param(OnExcludedDates.NO_START, 1, id="a holiday would not keep it from stopping"),
    ],
)
def test_after_the_end_of_the_holidays_nothing_is_stopped_that_one_might_keep(
    on_excluded_dates: OnExcludedDates, stops: int, cloud: SimulatedCloud, endpoint: str
) -> None:
    cloud.add_server(cluster_id=DEV, created=NOW - timedelta(days=9))
    cloud.add_server(cluster_id=TEST, status="SHUTOFF")
    dated: Dict[str, Any] = {"excluded_dates": {"2026-11-01": "holidays"}, "on_excluded_dates": on_excluded_dates}
    office = (Window("0 4 * * *", "0 6 * * *"),)  # off for six hours by now, which would be overdue
    clusters = (
        make_cluster(timing=Timing("UTC", windows=office, calendars_end=ENDED, **dated)),
        make_cluster("test", TEST, timing=Timing("UTC", State.RUNNING, calendars_end=ENDED, **dated)),
    )
    run = run_once(make_schedules(*clusters), NOW, connector(endpoint), CLOCK)
    assert isinstance(run.plan.failure, StaleCalendarError)
    assert [bool(planned.overdue) for planned in run.plan.clusters] == [bool(stops), False]
    powers = [power for power, _ in posts(cloud)]
    assert (powers.count(Power.STOP_SOFT), powers.count(Power.START)) == (stops, 1)
    assert len(run.plan.clusters[0].holds) == 1 - stops


@pytest.mark.parametrize("end", [None, CalendarsEnd(NOW.date() + timedelta(days=9), NOW + timedelta(days=9))])
def test_the_end_of_one_calendar_keeps_no_cluster_up_that_goes_by_another(
    end: Optional[CalendarsEnd], cloud: SimulatedCloud, endpoint: str
) -> None:
    dated: Dict[str, Any] = {"excluded_dates": {"2026-11-01": ""}, "on_excluded_dates": OnExcludedDates.RUNNING}
    clusters = []
    for cluster_id, ends in ((DEV, end), (TEST, ENDED)):
        cloud.add_server(cluster_id=cluster_id)
        timing = Timing("UTC", State.STOPPED, calendars_end=ends, **dated)
        clusters.append(make_cluster(cluster_id, cluster_id, timing=timing))
    run = run_once(make_schedules(*clusters), NOW, connector(endpoint), CLOCK)
    assert [outcome.cluster for outcome in run.outcomes] == [DEV]
    assert isinstance(run.plan.failure, StaleCalendarError)


def test_after_the_end_of_the_holidays_nothing_is_hibernated_that_one_might_keep_up(
    cloud: SimulatedCloud, endpoint: str
) -> None:
    for cluster_id in (DEV, TEST):
        cce = cloud.clusters.add(cluster_id, project_id=PROJECT, cluster_id=cluster_id)
        node = cloud.clusters.add_node(cce, cluster_id)
        cloud.set_status(node.server_id or "", "SHUTOFF")
    clusters = [
        make_cluster(
            cluster_id,
            cluster_id,
            control_plane=ControlPlane.HIBERNATE,
            timing=Timing("UTC", State.STOPPED, (), {"2026-11-01": ""}, on_excluded_dates, calendars_end=ENDED),
        )
        for cluster_id, on_excluded_dates in ((DEV, OnExcludedDates.RUNNING), (TEST, OnExcludedDates.NO_START))
    ]
    run = run_once(make_schedules(*clusters), NOW, connector(endpoint), CLOCK)
    assert [step.cluster for step in run.control_planes] == [TEST]


@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param(make_cluster(enabled=False), id="enabled: false"),
        pytest.param(make_cluster(enabled=False, region=None, project_id=None), id="of no place"),
    ],
)
def test_a_place_in_which_every_cluster_is_unmanaged_is_not_asked(
    cloud: SimulatedCloud, endpoint: str, cluster: Cluster
) -> None:
    cloud.add_server(cluster_id=DEV)
    run = run_once(make_schedules(cluster), NOW, connector(endpoint), CLOCK)
    assert not run.has_failed
    assert not cloud.ledger


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_run_of_which_nothing_is_asked_says_what_one_says_that_looks_all_the_same(
    cloud: SimulatedCloud,
    endpoint: str,
    dry_run: bool,  # noqa: FBT001
) -> None:
    """The short way is left where remote overrides might ask for something; of these clusters they may not."""
    clusters = (
        make_cluster(enabled=False),
        make_cluster("none", BATCH, enabled=False, region=None, project_id=None),
    )
    schedules = make_schedules(*clusters, max_stops_per_run=0)
    short, long = (
        run_once(schedules._replace(remote_overrides=remote), NOW, connector(endpoint), CLOCK, dry_run=dry_run)
        for remote in (False, True)
    )
    assert short == long
    assert not short.has_failed
    assert not cloud.ledger


@pytest.mark.parametrize("days", [None, -1, 1, 90])
def test_what_is_given_up_is_told_alike_beside_a_managed_cluster(
    cloud: SimulatedCloud, endpoint: str, days: Optional[int]
) -> None:
    window = Window("0 8 * * *", "0 10 * * *")
    end = None if days is None else CalendarsEnd(NOW.date() + timedelta(days=days), NOW + timedelta(days=days))
    timing = Timing("UTC", windows=(window,), enforce_s=60, calendars_end=end)
    given_up = make_cluster("test", TEST, timing=timing, project_id=OTHER_PROJECT)
    cloud.add_server(cluster_id=DEV)
    alone = run_once(make_schedules(given_up), NOW, connector(endpoint), CLOCK)
    assert not cloud.ledger
    both = run_once(make_schedules(given_up, make_cluster()), NOW, connector(endpoint), CLOCK)
    assert alone.plan.clusters == both.plan.clusters[:1]
    assert (alone.plan.warnings, str(alone.plan.failure)) == (both.plan.warnings, str(both.plan.failure))
    assert alone.has_failed is both.has_failed is (days == -1)
    assert [c.desired.state for c in both.plan.clusters] == [State.UNMANAGED, State.STOPPED]


def test_an_unmanaged_cluster_beside_a_managed_one_is_left_alone(cloud: SimulatedCloud, endpoint: str) -> None:
    cloud.add_server("dev", cluster_id=DEV)
    cloud.add_server("test", cluster_id=TEST)
    cloud.add_server("batch", cluster_id=BATCH)
    schedules = make_schedules(
        make_cluster(), make_cluster("test", TEST, enabled=False), make_cluster("batch", BATCH, State.STOPPED)
    )
    run = run_once(schedules, NOW, connector(endpoint), CLOCK)
    assert [hold.kind for hold in run.plan.clusters[1].holds] == [HoldKind.UNMANAGED]
    cloud.advance_to(NOW + FIVE_MINUTES)
    assert statuses(cloud) == {"dev": "SHUTOFF", "test": "ACTIVE", "batch": "SHUTOFF"}


def test_a_server_is_left_alone_that_a_cluster_claims_of_which_nothing_is_asked(
    cloud: SimulatedCloud, endpoint: str
) -> None:
    """Nor does it matter whether that is so because it is unmanaged, or because only others were named."""
    server = cloud.add_server(cluster_id=DEV)
    cloud.clusters.add_node(
        cloud.clusters.add("test", project_id=PROJECT, cluster_id=TEST), "n", server=server, is_tagged=False
    )
    given_up = Timing("UTC", windows=(Window("0 8 * * *", "0 10 * * *"),), enforce_s=60)
    claims = make_cluster("test", TEST, timing=given_up, membership=Membership.NODES)
    both = make_schedules(make_cluster(), claims)
    for schedules in (both, select_clusters(both, ["dev"]), place_clusters(select_clusters(both, ["dev"]), "r", "p")):
        run = run_once(schedules, NOW, connector(endpoint), CLOCK)
        assert [hold.kind for hold in run.plan.clusters[0].holds] == [HoldKind.CLAIMED]
    assert not posts(cloud)


def test_an_entry_that_is_not_enabled_claims_nothing(cloud: SimulatedCloud, endpoint: str) -> None:
    server = cloud.add_server(cluster_id=DEV)
    cloud.clusters.add_node(
        cloud.clusters.add("test", project_id=PROJECT, cluster_id=TEST), "n", server=server, is_tagged=False
    )
    old = make_cluster("test", TEST, enabled=False, membership=Membership.NODES)
    run_once(make_schedules(make_cluster(), old), NOW, connector(endpoint), CLOCK)
    assert [power for power, _ in posts(cloud)] == [Power.STOP_SOFT]


@pytest.mark.parametrize(
    "timing", [Timing("UTC", State.STOPPED), Timing("UTC", windows=(Window("0 8 * * *", "55 11 * * *"),))]
)
def test_a_cluster_that_cce_does_not_know_is_a_failure_at_once(endpoint: str, timing: Timing) -> None:
    run = run_once(make_schedules(make_cluster(timing=timing)), NOW, connector(endpoint), CLOCK)
    assert "does not exist in this project" in str(run.plan.clusters[0].error)
    assert run.has_failed


def test_members_that_nobody_can_tell_are_a_failure_at_once_under_a_constant_state(
    cloud: SimulatedCloud, endpoint: str
) -> None:
    cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV)
    cloud.faults = failing_at(failing(403, "CCE.01403001"), project_id=f"{DEV}/nodes")
    run = run_once(make_schedules(make_cluster()), NOW, connector(endpoint), CLOCK)
    assert isinstance(run.plan.clusters[0].error, PermanentCloudError)
    assert run.has_failed


def test_every_place_is_listed_once(cloud: SimulatedCloud, endpoint: str) -> None:
    for project_id in (PROJECT, OTHER_PROJECT):
        cloud.add_server(cluster_id=DEV, project_id=project_id)
        cloud.add_server(cluster_id=TEST, project_id=project_id)
    clusters = [
        make_cluster(f"{cluster_id}-{project_id}", cluster_id, project_id=project_id)
        for cluster_id in (DEV, TEST)
        for project_id in (PROJECT, OTHER_PROJECT)
    ]
    run = run_once(make_schedules(*clusters), NOW, connector(endpoint), CLOCK)
    assert not run.has_failed
    assert sorted(r.path.split("/")[2] for r in listings(cloud)) == sorted([PROJECT, OTHER_PROJECT])
    assert [len(ids) for _, ids in posts(cloud)] == [2, 2]


# Places are isolated


def two_places(cloud: SimulatedCloud, *, here: int = 1) -> Tuple[Schedules, List[SimulatedServer]]:
    """Return clusters of two places, and their servers: two clusters in the one that is to fail, and one elsewhere."""
    servers = [cloud.add_server("there", cluster_id=BATCH, project_id=OTHER_PROJECT)]
    for cluster_id in (DEV, TEST):
        servers += [cloud.add_server(cluster_id=cluster_id, sparse=False) for _ in range(here)]
    clusters = [make_cluster("dev", DEV), make_cluster("there", BATCH, project_id=OTHER_PROJECT)]
    return make_schedules(*clusters, make_cluster("test", TEST), make_cluster("off", "off", enabled=False)), servers


def assert_only_there(cloud: SimulatedCloud, run: Any, there: SimulatedServer, error: type) -> None:
    dev, elsewhere, test, disabled = run.plan.clusters
    assert type(dev.error) is error
    assert dev.error is test.error
    assert (elsewhere.error, disabled.error) == (None, None)
    assert (dev.actions, dev.holds, test.actions, test.holds) == ((), (), (), ())
    assert [(o.cluster, o.error) for o in run.outcomes] == [("there", None)]
    assert posts(cloud) == [(Power.STOP_SOFT, (there.server_id,))]
    assert run.has_failed


def test_wrong_credentials_of_one_place_leave_the_others_done(cloud: SimulatedCloud, endpoint: str) -> None:
    schedules, servers = two_places(cloud)
    wrong = {PROJECT: Credentials(SIMULATED_AK, "wrong")}
    run = run_once(schedules, NOW, connector(endpoint, wrong), CLOCK)
    assert_only_there(cloud, run, servers[0], PermanentCloudError)
    assert len(listings(cloud)) == 2  # 401 is not tried again


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(html(), UntrustedAnswerError, id="HTML"),
        pytest.param(failing(403, "Ecs.0003"), PermanentCloudError, id="403"),
        pytest.param(failing(500, "Ecs.0000"), TemporaryCloudError, id="500"),
    ],
)
def test_a_listing_that_fails_leaves_the_other_places_done(
    cloud: SimulatedCloud, endpoint: str, fault: Any, error: type
) -> None:
    schedules, servers = two_places(cloud)
    cloud.faults = failing_at(fault, project_id=PROJECT)
    assert_only_there(cloud, run_once(schedules, NOW, connector(endpoint), CLOCK), servers[0], error)


def test_a_later_page_that_fails_leaves_its_place_untouched(cloud: SimulatedCloud, endpoint: str) -> None:
    schedules, servers = two_places(cloud, here=501)
    cloud.faults = failing_at(failing(502, "APIGW.0201"), 2, 3, 4, project_id=PROJECT)
    assert_only_there(cloud, run_once(schedules, NOW, connector(endpoint), CLOCK), servers[0], TemporaryCloudError)


def test_a_place_that_cannot_be_opened_leaves_the_others_done(cloud: SimulatedCloud, endpoint: str) -> None:
    schedules, servers = two_places(cloud)
    opened = connector(endpoint)

    def connect(region: str, project_id: str) -> Any:
        if project_id == PROJECT:
            raise PermanentCloudError("unknown region")
        return opened(region, project_id)

    assert_only_there(cloud, run_once(schedules, NOW, connect, CLOCK), servers[0], PermanentCloudError)


def test_what_is_wrong_with_the_settings_is_raised(cloud: SimulatedCloud) -> None:
    def connect(region: str, project_id: str) -> Any:
        raise InputError(f"no credentials for {region} {project_id}")

    with pytest.raises(InputError):
        run_once(two_places(cloud)[0], NOW, connect, CLOCK)


def test_every_connection_is_closed_whatever_happens(cloud: SimulatedCloud, endpoint: str) -> None:
    closed: List[str] = []

    class Watched(HuaweiCloud):
        def __init__(self, region: str, project_id: str) -> None:
            self.project_id = project_id
            super().__init__(KEYS, region, project_id, endpoint=endpoint, remaining_s=lambda: 60.0)

        def close(self) -> None:
            closed.append(self.project_id)
            super().close()

    schedules, _ = two_places(cloud)
    cloud.faults = failing_at(html(), project_id=PROJECT)
    run_once(schedules, NOW, Watched, CLOCK)
    assert sorted(closed) == sorted([PROJECT, OTHER_PROJECT])


# The limit


def test_over_the_limit_no_stop_is_sent_and_starts_happen(cloud: SimulatedCloud, endpoint: str) -> None:
    for project_id, cluster_id in ((PROJECT, DEV), (OTHER_PROJECT, TEST)):
        cloud.add_server(cluster_id=cluster_id, project_id=project_id)
    off = cloud.add_server(cluster_id=BATCH, status="SHUTOFF")
    clusters = [
        make_cluster(),
        make_cluster("test", TEST, project_id=OTHER_PROJECT, stop_type=StopType.HARD),
        make_cluster("batch", BATCH, State.RUNNING),
    ]
    run = run_once(make_schedules(*clusters, max_stops_per_run=1), NOW, connector(endpoint), CLOCK)
    assert posts(cloud) == [(Power.START, (off.server_id,))]
    assert run.has_failed
    assert isinstance(run.plan.refusal, UnsafePlanError)
    assert [(o.cluster, o.error is run.plan.refusal) for o in run.outcomes] == [
        ("dev", True),
        ("test", True),
        ("batch", False),
    ]
    cloud.clear_ledger()
    assert not run_once(make_schedules(*clusters, max_stops_per_run=2), NOW, connector(endpoint), CLOCK).has_failed
    assert len(posts(cloud)) == 2


# Region and project


def test_the_file_wins_over_the_settings() -> None:
    own, lacking = make_cluster("own"), make_cluster("lacking", region=None, project_id=None)
    placed = place_clusters(make_schedules(own, lacking), "other-region", "other-project").clusters
    assert [(c.region, c.project_id) for c in placed] == [
        (own.region, own.project_id),
        ("other-region", "other-project"),
    ]


@pytest.mark.parametrize(
    ("region", "project_id", "message"),
    [
        pytest.param(None, "p", "no region for dev, test: write `region:`", id="region"),
        pytest.param("", "p", "no region for dev, test: write `region:`", id="empty region"),
        pytest.param("r", None, "no project id for dev, test: write `project_id:`", id="project"),
    ],
)
def test_a_place_that_nobody_names_is_an_error(region: Optional[str], project_id: Optional[str], message: str) -> None:
    gaps: Dict[str, Any] = {"region": None, "project_id": None}
    schedules = make_schedules(
        make_cluster("dev", **gaps), make_cluster("test", **gaps), make_cluster("off", enabled=False, **gaps)
    )
    with pytest.raises(InputError) as raised:
        place_clusters(schedules, region, project_id)
    assert str(raised.value) == f"{message} under `defaults:` or set it in the settings"


def test_of_many_clusters_without_a_place_some_are_named() -> None:
    schedules = make_schedules(*(make_cluster(f"c{n}", region=None) for n in range(7)))
    with pytest.raises(InputError, match=r"^no region for c0, c1, c2, c3, c4 and 2 more: "):
        place_clusters(schedules, None, None)


# Laws, over many runs

OFFICE = Timing("UTC", windows=(Window("0 8 * * *", "0 20 * * *"),))
_servers = st.lists(
    st.fixed_dictionaries(
        {
            "cluster_id": st.sampled_from([DEV, TEST, BATCH, None]),
            "status": st.sampled_from(["ACTIVE", "SHUTOFF", "ACTIVE", "SHUTOFF", "ERROR", "BUILD"]),
            "tags": st.sampled_from([(), ("keep",), ("cce-scheduler=off",), (f"CCE-Cluster-ID={BATCH}",)]),
            "charging_mode": st.sampled_from(["0", "0", "1"]),
            "locked": st.sampled_from([False, False, True]),
            "frozen": st.sampled_from([False, False, True]),
            "omit": st.sampled_from([(), (), ("locked",), ("metadata",), ("name",), ("tags",), ("status",)]),
        }
    ),
    max_size=10,
)
_states = st.lists(st.sampled_from(State), min_size=3, max_size=3)


@settings(max_examples=30)
@given(servers=_servers, states=_states, stop_type=st.sampled_from(StopType), strict=st.booleans())
def test_after_a_run_has_been_obeyed_the_next_does_nothing(
    servers: Sequence[Dict[str, Any]],
    states: Sequence[State],
    stop_type: StopType,
    strict: bool,  # noqa: FBT001
) -> None:
    cloud = SimulatedCloud(NOW, strict_batches=strict)
    for cluster_id in (DEV, TEST, BATCH):
        cloud.clusters.add(cluster_id, project_id=PROJECT, cluster_id=cluster_id)
    for fields in servers:
        if not (fields["locked"] or fields["frozen"]):  # what an answer does not show, nobody can heed
            cloud.add_server(**fields)
        else:
            cloud.add_server(**{**fields, "omit": ()})
    clusters = [
        make_cluster(cluster_id, cluster_id, state, stop_type=stop_type, exclude=Exclude(tags=("keep",)))
        if state is not State.UNMANAGED
        else make_cluster(cluster_id, cluster_id, enabled=False)
        for cluster_id, state in zip((DEV, TEST, BATCH), states)
    ]
    schedules = make_schedules(*clusters)
    with serve(cloud) as endpoint:
        first = run_once(schedules, NOW, connector(endpoint), CLOCK)
        cloud.advance_to(NOW + FIVE_MINUTES)
        second = run_once(schedules, cloud.now, connector(endpoint), CLOCK)
    assert not first.has_failed  # nothing is asked for that the cloud would refuse
    assert second.plan.is_empty
    assert len(posts(cloud)) == len({action.power for plan in first.plan.clusters for action in plan.actions})


def run_at(instants: Sequence[datetime]) -> Dict[str, str]:
    """Return what servers have become after runs at these instants."""
    cloud = SimulatedCloud(datetime(2026, 12, 1, 7, 30, tzinfo=timezone.utc))
    cloud.add_server("dev", cluster_id=DEV, status="SHUTOFF")
    cloud.add_server("dev-on", cluster_id=DEV)
    cloud.add_server("kept", cluster_id=DEV, tags=["keep"])
    cloud.add_server("test", cluster_id=TEST)
    night = Timing("UTC", windows=(Window("55 19 * * *", "5 8 * * *"),))
    schedules = make_schedules(
        make_cluster(timing=OFFICE, exclude=Exclude(tags=("keep",))), make_cluster("test", TEST, timing=night)
    )
    with serve(cloud) as endpoint:
        for at in instants:
            cloud.advance_to(at)
            run_once(schedules, at, connector(endpoint), CLOCK)
    cloud.advance_to(instants[-1] + FIVE_MINUTES)
    return statuses(cloud)


@pytest.mark.parametrize("hour", [8, 20])
@pytest.mark.parametrize("lost", range(-2, 3))
def test_a_lost_run_leaves_no_trace_after_the_next(hour: int, lost: int) -> None:
    edge = datetime(2026, 12, 1, hour, 2, tzinfo=timezone.utc)
    runs = [edge + number * FIVE_MINUTES for number in range(-2, lost + 2)]
    assert run_at(runs) == run_at(runs[:-2] + runs[-1:])


def test_a_run_that_comes_twice_does_nothing_twice(cloud: SimulatedCloud, endpoint: str) -> None:
    cloud.add_server(cluster_id=DEV)
    schedules = make_schedules(make_cluster())
    for _ in range(2):
        run_once(schedules, NOW, connector(endpoint), CLOCK)
    assert len(posts(cloud)) == 1


def test_an_action_whose_answer_was_lost_is_not_sent_again(cloud: SimulatedCloud, endpoint: str) -> None:
    cloud.add_server("dev", cluster_id=DEV)
    cloud.faults = failing_at(reset(carried_out=True), 1, method="POST")
    schedules = make_schedules(make_cluster())
    first = run_once(schedules, NOW, connector(endpoint), CLOCK)
    assert first.outcomes[0].is_accepted  # a new listing shows it
    assert run_once(schedules, NOW, connector(endpoint), CLOCK).plan.is_empty
    cloud.advance_to(NOW + FIVE_MINUTES)
    assert run_once(schedules, cloud.now, connector(endpoint), CLOCK).plan.is_empty
    assert len(posts(cloud)) == 1
    assert statuses(cloud) == {"dev": "SHUTOFF"}


def test_an_action_that_was_lost_on_its_way_is_sent_by_the_next_run(cloud: SimulatedCloud, endpoint: str) -> None:
    cloud.add_server("dev", cluster_id=DEV)
    cloud.faults = failing_at(reset(), 1, method="POST")
    schedules = make_schedules(make_cluster())
    assert run_once(schedules, NOW, connector(endpoint), CLOCK).has_failed
    assert not run_once(schedules, NOW, connector(endpoint), CLOCK).has_failed
    cloud.advance_to(NOW + FIVE_MINUTES)
    assert statuses(cloud) == {"dev": "SHUTOFF"}


OFFICE_HOURS = Timing("UTC", windows=(Window("0 8 * * *", "0 20 * * *"),))


def late_control_plane(cluster: Cluster, now: datetime, phase: str, status: str, since: timedelta) -> List[int]:
    """Return for how long a control plane is overdue, whose one server has been as it is for some time."""
    cloud = SimulatedCloud(now - since)
    dev = cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV, phase=phase)
    node = cloud.clusters.add_node(dev, "node")
    cloud.set_status(node.server_id or "", status)
    cloud.advance_to(now)
    with serve(cloud) as endpoint:
        (planned,) = run_once(make_schedules(cluster), now, connector(endpoint), CLOCK).plan.clusters
    late = [o for o in planned.overdue if o.server is None]
    assert [o.text for o in late] == [f"the control plane is in phase {phase}"] * len(late)
    return [o.for_s for o in late]


@pytest.mark.parametrize(
    ("off_for", "late_s"),
    [
        pytest.param(timedelta(minutes=29), [], id="its servers stopped just now, long after the transition"),
        pytest.param(timedelta(minutes=30), [1800], id="its servers stopped half an hour ago"),
        pytest.param(timedelta(hours=9), [16200], id="its servers stopped before the transition"),
    ],
)
def test_a_control_plane_has_its_time_from_the_last_of_its_servers_on(off_for: timedelta, late_s: List[int]) -> None:
    now = datetime(2026, 12, 2, 0, 30, tzinfo=timezone.utc)
    cluster = make_cluster(timing=OFFICE_HOURS, control_plane=ControlPlane.HIBERNATE)
    assert late_control_plane(cluster, now, "Error", "SHUTOFF", off_for) == late_s


@pytest.mark.parametrize(
    ("hour", "phase", "status", "is_late"),
    [
        pytest.param(14, "Upgrading", "ACTIVE", False, id="an upgrade in the day, the servers up"),
        pytest.param(22, "ScalingDown", "SHUTOFF", False, id="a change of its size in the night"),
        pytest.param(14, "Upgrading", "SHUTOFF", False, id="an upgrade, and a server waits for it"),
        pytest.param(14, "Error", "ACTIVE", False, id="broken in the day, and nobody waits for it"),
        pytest.param(14, "Error", "SHUTOFF", True, id="broken, and a server waits for it"),
        pytest.param(14, "Hibernation", "ACTIVE", True, id="asleep in the day"),
        pytest.param(2, "Resizing", "SHUTOFF", False, id="being resized at night"),
        pytest.param(2, "Error", "SHUTOFF", True, id="broken at night"),
    ],
)
def test_a_control_plane_is_overdue_where_it_is_what_the_cluster_waits_for(
    hour: int,
    phase: str,
    status: str,
    is_late: bool,  # noqa: FBT001
) -> None:
    now = datetime(2026, 12, 2, hour, tzinfo=timezone.utc)
    cluster = make_cluster(timing=OFFICE_HOURS, control_plane=ControlPlane.HIBERNATE)
    assert bool(late_control_plane(cluster, now, phase, status, timedelta(hours=5))) is is_late


@pytest.mark.parametrize(
    ("phase", "late_s"),
    [("Error", [18000]), ("Hibernating", []), ("Hibernation", [])],
    ids=["stuck", "under way", "asleep"],
)
def test_a_control_plane_under_a_constant_state_has_its_time_from_its_servers(phase: str, late_s: List[int]) -> None:
    cluster = make_cluster(state=State.STOPPED, control_plane=ControlPlane.HIBERNATE)
    assert late_control_plane(cluster, NOW, phase, "SHUTOFF", timedelta(hours=5)) == late_s


def test_nothing_that_a_tag_asks_for_is_overdue_as_it_does_not_say_since_when() -> None:
    cloud = SimulatedCloud(NOW - timedelta(days=3))
    dev = cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV)
    cloud.clusters.add_node(dev, "node")
    dev.tags[OVERRIDE_TAG] = write_override(State.STOPPED, NOW + timedelta(hours=2))
    cloud.advance_to(NOW)
    schedules = make_schedules(make_cluster(state=State.RUNNING))._replace(remote_overrides=True)
    with serve(cloud) as endpoint:
        found = run_once(schedules, NOW, connector(endpoint), CLOCK)
    assert [outcome.power for outcome in found.outcomes] == [Power.STOP_SOFT]
    assert not found.has_failed
