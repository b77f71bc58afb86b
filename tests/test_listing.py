"""All servers of a project, page by page over HTTP, whatever the service makes of markers, filters and pages."""

import math
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

import pytest

from scheduler.cloud.huawei import HuaweiCloud
from scheduler.cloud.listing import list_servers
from scheduler.errors import PermanentCloudError, TemporaryCloudError, UntrustedAnswerError
from scheduler.model import CLUSTER_TAG, EVERY_CLUSTER, Power, State, StopType
from scheduler.observe import observe
from scheduler.reconcile import run_once
from scheduler.simulated import SimulatedCloud, SimulatedServer, serve
from scheduler.simulated.calls import Call, Fault, answering, failing, html
from tests.scenes import (
    BATCH,
    BULKY,
    CLOCK,
    DEV,
    NOW,
    TEST,
    connector,
    failing_at,
    listing_of,
    listings,
    make_cluster,
    make_schedules,
    open_cloud,
    posts,
)


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NOW)


@pytest.fixture
def endpoint(cloud: SimulatedCloud) -> Iterator[str]:
    with serve(cloud) as url:
        yield url


@pytest.fixture
def client(endpoint: str) -> Iterator[HuaweiCloud]:
    found = open_cloud(endpoint)
    yield found
    found.close()


def add(cloud: SimulatedCloud, number: int, **fields: Any) -> List[SimulatedServer]:
    fields = {"cluster_id": DEV, **fields}
    return [cloud.add_server(omit=BULKY, **fields) for _ in range(number)]


def queries(cloud: SimulatedCloud) -> List[Tuple[Optional[str], Optional[str], Optional[str]]]:
    """Return tags, whether a marker was sent, and the page number of every listing."""
    return [(r.query.get("tags"), r.query.get("marker") and "marker", r.query.get("offset")) for r in listings(cloud)]


@pytest.mark.parametrize("marker_supported", [True, False], ids=["markers", "no markers"])
@pytest.mark.parametrize("number", [1, 999, 1000, 2500])
def test_finds_every_server_once(
    cloud: SimulatedCloud,
    client: HuaweiCloud,
    number: int,
    marker_supported: bool,  # noqa: FBT001
) -> None:
    cloud.marker_supported = marker_supported
    servers = add(cloud, number)
    found = list_servers(client)
    assert len(found) == number
    assert {s.server_id for s in found} == {s.server_id for s in servers}
    more = 0 if marker_supported or number < 1000 else 1
    assert len(listings(cloud)) == math.ceil((number + 1) / 1000) + more
    assert {r.query["limit"] for r in listings(cloud)} == {"1000"}


def test_pages_by_marker_and_by_number_where_markers_are_ignored(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    cloud.marker_supported = False
    add(cloud, 2001)
    list_servers(client)
    assert queries(cloud) == [
        (None, None, None),
        (None, "marker", None),
        (None, None, "2"),
        (None, None, "3"),
    ]


def test_drops_a_server_that_two_pages_show(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    cloud.marker_supported = False
    servers = add(cloud, 1500)

    def create_before_page_2(call: Call) -> None:
        if call.query.get("offset") == "2":
            servers.extend(add(cloud, 1))

    cloud.faults = create_before_page_2
    found = list_servers(client)
    assert len(found) == len({s.server_id for s in found}) == 1500
    assert {s.server_id for s in found} == {s.server_id for s in servers[:1500]}


def test_drops_a_server_that_one_page_shows_twice(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    first, second = add(cloud, 2)
    cloud.faults = failing_at(listing_of([first, second, first]))
    assert [s.server_id for s in list_servers(client)] == [first.server_id, second.server_id]


def test_trusts_no_page_by_number_that_brings_nothing_new(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    cloud.faults = failing_at(listing_of(add(cloud, 1000)))
    with pytest.raises(UntrustedAnswerError, match=r"^page 2 of the server listing brings nothing new: try again"):
        list_servers(client)
    assert queries(cloud) == [(None, None, None), (None, "marker", None), (None, None, "2")]


def test_an_empty_page_by_number_is_the_end(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    cloud.marker_supported = False
    add(cloud, 1000)
    assert len(list_servers(client)) == 1000
    assert queries(cloud)[-1] == (None, None, "2")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(failing(500, "Ecs.0000"), TemporaryCloudError, id="server error"),
        pytest.param(failing(400, "Common.0002"), PermanentCloudError, id="marker refused"),
        pytest.param(html(), UntrustedAnswerError, id="HTML"),
        pytest.param(answering(200, '{"count": 0}'), UntrustedAnswerError, id="no servers"),
    ],
)
def test_a_failed_later_page_fails_the_listing(
    cloud: SimulatedCloud, client: HuaweiCloud, fault: Fault, error: "type[Exception]"
) -> None:
    add(cloud, 1001)
    cloud.faults = failing_at(fault, 2)
    with pytest.raises(error):
        list_servers(client)
    assert len(listings(cloud)) == 2


# Members: which listing finds them


def found_for(client: HuaweiCloud, *ids: str, managed: Optional[List[str]] = None) -> "dict[str, int]":
    clusters = [make_cluster(cluster_id, cluster_id) for cluster_id in ids]
    chosen = [c for c in clusters if managed is None or c.cluster_id in managed]
    members = observe(client, clusters, chosen).members
    return {cluster_id: len(servers) for cluster_id, servers in members.servers.items()}


def test_one_managed_cluster_is_listed_by_its_tag(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    add(cloud, 2)
    add(cloud, 3, cluster_id=TEST)
    assert found_for(client, DEV, TEST, managed=[DEV]) == {DEV: 2, TEST: 0}
    assert queries(cloud) == [(f"{CLUSTER_TAG}={DEV}", None, None)]


def test_several_managed_clusters_are_listed_by_the_key_of_their_tag(
    cloud: SimulatedCloud, client: HuaweiCloud
) -> None:
    add(cloud, 2)
    add(cloud, 3, cluster_id=TEST)
    add(cloud, 1, cluster_id=None)
    assert found_for(client, DEV, TEST) == {DEV: 2, TEST: 3}
    assert queries(cloud) == [(CLUSTER_TAG, None, None)]


def test_all_clusters_are_listed_by_the_key_of_their_tag(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    add(cloud, 2)
    add(cloud, 3, cluster_id=TEST)
    add(cloud, 1, cluster_id=None)
    assert found_for(client, EVERY_CLUSTER) == {EVERY_CLUSTER: 5}
    assert queries(cloud) == [(CLUSTER_TAG, None, None)]


def test_lists_without_filter_where_a_key_finds_no_tag_that_has_a_value(
    cloud: SimulatedCloud, client: HuaweiCloud
) -> None:
    cloud.key_only_tags = False
    add(cloud, 2)
    add(cloud, 3, cluster_id=TEST)
    add(cloud, 4, cluster_id=None)
    assert found_for(client, DEV, TEST) == {DEV: 2, TEST: 3}
    assert queries(cloud) == [(CLUSTER_TAG, None, None), (None, None, None)]


def test_lists_without_filter_where_one_cluster_is_left_without_servers(
    cloud: SimulatedCloud, client: HuaweiCloud
) -> None:
    add(cloud, 2)
    assert found_for(client, DEV, TEST, BATCH, managed=[DEV, TEST]) == {DEV: 2, TEST: 0, BATCH: 0}
    assert queries(cloud) == [(CLUSTER_TAG, None, None), (None, None, None)]


def test_an_unmanaged_cluster_without_servers_costs_no_second_listing(
    cloud: SimulatedCloud, client: HuaweiCloud
) -> None:
    add(cloud, 2)
    add(cloud, 2, cluster_id=TEST)
    assert found_for(client, DEV, TEST, BATCH, managed=[DEV, TEST])[BATCH] == 0
    assert len(listings(cloud)) == 1


def test_finds_a_cluster_whose_tag_is_in_capitals(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    add(cloud, 2, cluster_id=DEV.upper())
    assert found_for(client, DEV) == {DEV: 2}


def test_a_service_that_returns_what_was_not_asked_for_is_not_believed(
    cloud: SimulatedCloud, client: HuaweiCloud
) -> None:
    mine = add(cloud, 1)
    foreign = [*add(cloud, 1, cluster_id=TEST), *add(cloud, 1, cluster_id=None), cloud.add_server(sparse=True)]
    cloud.faults = failing_at(listing_of([*foreign, *mine]))
    members = observe(client, [make_cluster()], [make_cluster()]).members
    assert [s.server_id for s in members.servers[make_cluster().cluster_id]] == [mine[0].server_id]


# The calls of a whole run

_KINDS = (
    (State.RUNNING, StopType.SOFT, Power.START),
    (State.STOPPED, StopType.SOFT, Power.STOP_SOFT),
    (State.STOPPED, StopType.HARD, Power.STOP_HARD),
)


@pytest.mark.parametrize(
    ("number", "clusters"),
    [(1, 1), (999, 1), (999, 5), (1000, 1), (1000, 5), (1001, 1), (1001, 5), (2500, 1), (2500, 7), (3000, 5)],
)
def test_a_run_takes_as_many_calls_as_its_servers_need_however_many_clusters_they_are_of(
    cloud: SimulatedCloud, endpoint: str, number: int, clusters: int
) -> None:
    known = []
    expected: Dict[Power, Set[str]] = {power: set() for _, _, power in _KINDS}
    for n in range(min(number, clusters)):
        state, stop_type, power = _KINDS[n % 3]
        cluster_id = f"{n:08}-0000-4000-8000-000000000000"
        known.append(make_cluster(f"c{n}", cluster_id, state, stop_type=stop_type))
        status = "SHUTOFF" if state is State.RUNNING else "ACTIVE"
        own = len(range(n, number, min(number, clusters)))
        expected[power].update(s.server_id for s in add(cloud, own, cluster_id=cluster_id, status=status))

    run = run_once(make_schedules(*known), NOW, connector(endpoint), CLOCK)

    assert not run.has_failed
    assert len(listings(cloud)) <= math.ceil((number + 1) / 1000)
    sent = posts(cloud)
    for power, ids in expected.items():
        batches = [named for asked, named in sent if asked is power]
        assert len(batches) == math.ceil(len(ids) / 1000)
        assert all(len(batch) <= 1000 for batch in batches)
        assert sorted(server_id for batch in batches for server_id in batch) == sorted(ids)


def test_a_run_acts_on_no_server_that_a_listing_should_not_have_shown(cloud: SimulatedCloud, endpoint: str) -> None:
    (mine,) = add(cloud, 1)
    foreign = [*add(cloud, 1, cluster_id=TEST), *add(cloud, 1, cluster_id=None), cloud.add_server(sparse=True)]
    cloud.faults = failing_at(listing_of([*foreign, mine]))
    run_once(make_schedules(make_cluster()), NOW, connector(endpoint), CLOCK)
    assert posts(cloud) == [(Power.STOP_SOFT, (mine.server_id,))]


def test_a_run_leaves_alone_what_a_listing_does_not_show_whole(cloud: SimulatedCloud, endpoint: str) -> None:
    cloud.faults = failing_at(listing_of(add(cloud, 1000)))
    run = run_once(make_schedules(make_cluster()), NOW, connector(endpoint), CLOCK)
    assert isinstance(run.plan.clusters[0].error, UntrustedAnswerError)
    assert not posts(cloud)
