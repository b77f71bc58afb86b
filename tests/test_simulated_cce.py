"""The simulated CCE: phases in time, nodes that an autoscaler deletes, and refusals as the real one's."""

from datetime import timedelta
from typing import Iterator, List

import pytest
from huaweicloudsdkcce.v3 import (
    CceClient,
    HibernateClusterRequest,
    ListClustersRequest,
    ListNodesRequest,
    ShowClusterRequest,
)
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException

from scheduler.model import CLUSTER_TAG
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, serve
from scheduler.simulated.calls import ApiError, Call, Fault, reset
from scheduler.simulated.clusters import NODE_TAG, SimulatedCluster, SimulatedNode
from tests.scenes import DEV, NOW, OTHER_PROJECT, PROJECT


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NOW)


@pytest.fixture
def dev(cloud: SimulatedCloud) -> SimulatedCluster:
    return cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV)


@pytest.fixture
def sdk(cloud: SimulatedCloud) -> Iterator[CceClient]:
    with serve(cloud) as endpoint:
        credentials = BasicCredentials(SIMULATED_AK, SIMULATED_SK, PROJECT)
        client = CceClient.new_builder().with_credentials(credentials).with_endpoint(endpoint).build()
        yield client
        client.close()


def after(cloud: SimulatedCloud, seconds: float) -> None:
    cloud.advance_to(NOW + timedelta(seconds=seconds))


def phases(cloud: SimulatedCloud, dev: SimulatedCluster, *seconds: int) -> List[str]:
    found = []
    for second in seconds:
        after(cloud, second)
        found.append(dev.phase)
    return found


# Hibernation


def test_a_hibernation_shows_late_and_takes_its_time(cloud: SimulatedCloud, dev: SimulatedCluster) -> None:
    cloud.clusters.hibernate(dev)
    assert phases(cloud, dev, 0, 9, 10, 129, 130, 9999) == [
        *("Available", "Available", "Hibernating", "Hibernating", "Hibernation", "Hibernation")
    ]
    assert [(change.at - NOW).total_seconds() for change in dev.history] == [0, 10, 130]


def test_an_awaking_shows_late_and_takes_its_time(cloud: SimulatedCloud, dev: SimulatedCluster) -> None:
    cloud.clusters.set_phase(dev, "Hibernation")
    cloud.clusters.awake(dev)
    assert phases(cloud, dev, 9, 10, 249, 250) == ["Hibernation", "Awaking", "Awaking", "Available"]


def test_all_that_is_due_happens_in_order_when_time_leaps(cloud: SimulatedCloud, dev: SimulatedCluster) -> None:
    cloud.clusters.hibernate(dev)
    after(cloud, 9999)
    assert [change.phase for change in dev.history] == ["Available", "Hibernating", "Hibernation"]


@pytest.mark.parametrize("phase", ["Hibernating", "Awaking", "Hibernation", "Upgrading", "Error", "Unavailable"])
def test_only_a_running_cluster_hibernates(cloud: SimulatedCloud, dev: SimulatedCluster, phase: str) -> None:
    cloud.clusters.set_phase(dev, phase)
    with pytest.raises(ApiError) as raised:
        cloud.clusters.hibernate(dev)
    assert (raised.value.answer.status, raised.value.code) == (403, "CCE.01403003")
    assert not dev.coming


@pytest.mark.parametrize("phase", ["Available", "Hibernating", "Awaking", "Error"])
def test_only_a_hibernated_cluster_awakes(cloud: SimulatedCloud, dev: SimulatedCluster, phase: str) -> None:
    cloud.clusters.set_phase(dev, phase)
    with pytest.raises(ApiError):
        cloud.clusters.awake(dev)


def test_a_second_hibernation_is_refused_although_the_first_does_not_show_yet(
    cloud: SimulatedCloud, dev: SimulatedCluster
) -> None:
    cloud.clusters.hibernate(dev)
    assert dev.phase == "Available"
    with pytest.raises(ApiError):
        cloud.clusters.hibernate(dev)


def test_a_prepaid_cluster_never_hibernates(cloud: SimulatedCloud) -> None:
    prepaid = cloud.clusters.add("p", project_id=PROJECT, is_prepaid=True)
    with pytest.raises(ApiError) as raised:
        cloud.clusters.hibernate(prepaid)
    assert (raised.value.answer.status, raised.value.code) == (403, "CCE.01403004")


@pytest.mark.parametrize("phase", ["Error", "Available", "Unavailable"])
def test_a_hibernation_may_fail(cloud: SimulatedCloud, dev: SimulatedCluster, phase: str) -> None:
    dev.fails_into = phase
    cloud.clusters.hibernate(dev)
    assert phases(cloud, dev, 10, 130) == ["Hibernating", phase]


def test_an_awaking_may_fail_and_be_tried_again(cloud: SimulatedCloud, dev: SimulatedCluster) -> None:
    cloud.clusters.set_phase(dev, "Hibernation")
    dev.fails_into = "Hibernation"
    cloud.clusters.awake(dev)
    assert phases(cloud, dev, 10, 250) == ["Awaking", "Hibernation"]
    dev.fails_into = None
    cloud.clusters.awake(dev)
    assert phases(cloud, dev, 9999) == ["Available"]


def test_servers_are_touched_by_neither(cloud: SimulatedCloud, dev: SimulatedCluster) -> None:
    cloud.clusters.add_node(dev, "n")
    cloud.clusters.hibernate(dev)
    after(cloud, 9999)
    assert [server.status for server in cloud.servers] == ["ACTIVE"]


# Nodes and the autoscaler


def test_a_node_s_server_carries_its_tags_unless_told(cloud: SimulatedCloud, dev: SimulatedCluster) -> None:
    node = cloud.clusters.add_node(dev, "a", tags=["k=v"])
    cloud.clusters.add_node(dev, "b", is_tagged=False)
    tagged, bare = cloud.servers
    assert tagged.tags == ("k=v", f"{CLUSTER_TAG}={DEV}", f"{NODE_TAG}={node.node_id}")
    assert (tagged.name, tagged.project_id, tagged.server_id) == ("a", PROJECT, node.server_id)
    assert bare.tags == ()


def add_scaled_node(cloud: SimulatedCloud, dev: SimulatedCluster, *, is_protected: bool = False) -> SimulatedNode:
    pool = cloud.clusters.add_pool(dev, "scaled", is_autoscaled=True)
    return cloud.clusters.add_node(dev, "n", pool=pool, is_protected=is_protected)


def stop(cloud: SimulatedCloud, node: SimulatedNode) -> None:
    """Stop a node's server; it is off 30 s later."""
    cloud.stop_by_hand(node.server_id or "")


def test_an_autoscaler_deletes_a_node_that_was_off_for_20_minutes(cloud: SimulatedCloud, dev: SimulatedCluster) -> None:
    node = add_scaled_node(cloud, dev)
    stop(cloud, node)
    after(cloud, 30 + 1200 - 1)
    assert (len(dev.nodes), len(cloud.servers)) == (1, 1)
    after(cloud, 30 + 1200)
    assert (len(dev.nodes), len(cloud.servers)) == (0, 0)
    last = cloud.history(node.server_id or "")[-1]
    assert (last.status, last.at) == ("DELETED", NOW + timedelta(seconds=1230))


def test_a_node_that_is_started_in_time_is_not_deleted(cloud: SimulatedCloud, dev: SimulatedCluster) -> None:
    node = add_scaled_node(cloud, dev)
    stop(cloud, node)
    after(cloud, 1000)
    cloud.start_by_hand(node.server_id or "")
    after(cloud, 9999)
    assert len(cloud.servers) == 1


def test_a_node_that_would_be_up_a_moment_too_late_is_deleted(cloud: SimulatedCloud, dev: SimulatedCluster) -> None:
    node = add_scaled_node(cloud, dev)
    stop(cloud, node)
    after(cloud, 1200)
    cloud.start_by_hand(node.server_id or "")  # up at 1240, deleted at 1230
    after(cloud, 9999)
    assert (dev.nodes, cloud.servers) == ([], ())


def test_a_protected_node_and_one_of_another_pool_stay(cloud: SimulatedCloud, dev: SimulatedCluster) -> None:
    plain = cloud.clusters.add_pool(dev, "plain")
    nodes = [
        add_scaled_node(cloud, dev, is_protected=True),
        cloud.clusters.add_node(dev, "p", pool=plain),
        cloud.clusters.add_node(dev, "o"),
    ]
    for node in nodes:
        stop(cloud, node)
    after(cloud, 99_999)
    assert dev.nodes == nodes


def test_no_autoscaler_acts_while_the_control_plane_sleeps_and_it_waits_anew_after_that(
    cloud: SimulatedCloud, dev: SimulatedCluster
) -> None:
    stop(cloud, add_scaled_node(cloud, dev))
    after(cloud, 60)
    cloud.clusters.hibernate(dev)
    after(cloud, 100_000)
    assert len(cloud.servers) == 1
    cloud.clusters.awake(dev)
    after(cloud, 100_000 + 250 + 1199)
    assert len(cloud.servers) == 1
    after(cloud, 100_000 + 250 + 1200)
    assert len(cloud.servers) == 0


# On the wire


def test_shows_clusters_of_the_project_alone(cloud: SimulatedCloud, sdk: CceClient, dev: SimulatedCluster) -> None:
    other = cloud.clusters.add("other", project_id=OTHER_PROJECT)
    assert [item.metadata.uid for item in sdk.list_clusters(ListClustersRequest()).items] == [dev.cluster_id]
    assert sdk.show_cluster(ShowClusterRequest(cluster_id=DEV)).status.phase == "Available"
    with pytest.raises(ClientRequestException) as raised:
        sdk.show_cluster(ShowClusterRequest(cluster_id=other.cluster_id))
    assert raised.value.status_code == 404


def test_pages_of_nodes_end_without_a_marker(cloud: SimulatedCloud, sdk: CceClient, dev: SimulatedCluster) -> None:
    first, second, third = (cloud.clusters.add_node(dev, name).node_id for name in "abc")
    page = sdk.list_nodes(ListNodesRequest(cluster_id=DEV, limit=2))
    assert [node.metadata.uid for node in page.items] == [first, second]
    assert (page.page_info.current_count, page.page_info.next_marker) == (2, second)
    page = sdk.list_nodes(ListNodesRequest(cluster_id=DEV, limit=2, marker=second))
    assert [node.metadata.uid for node in page.items] == [third]
    assert page.page_info.next_marker is None


@pytest.mark.parametrize("query", [{"limit": 2001}, {"limit": 0}, {"limit": "x"}, {"marker": "unknown"}])
@pytest.mark.usefixtures("dev")
def test_a_page_that_cannot_be_is_refused(sdk: CceClient, query: "dict[str, object]") -> None:
    with pytest.raises(ClientRequestException) as raised:
        sdk.list_nodes(ListNodesRequest(cluster_id=DEV, **query))
    assert raised.value.status_code == 400


def test_nodes_of_a_hibernated_cluster_are_listed_unless_told(
    cloud: SimulatedCloud, sdk: CceClient, dev: SimulatedCluster
) -> None:
    cloud.clusters.add_node(dev, "n")
    cloud.clusters.set_phase(dev, "Hibernation")
    assert len(sdk.list_nodes(ListNodesRequest(cluster_id=DEV)).items) == 1
    cloud.clusters.answers_asleep = False
    with pytest.raises(ClientRequestException) as raised:
        sdk.list_nodes(ListNodesRequest(cluster_id=DEV))
    assert raised.value.status_code == 403


@pytest.mark.usefixtures("dev")
def test_an_error_has_codes_of_both_families(cloud: SimulatedCloud, sdk: CceClient) -> None:
    cloud.add_credentials(SIMULATED_AK, SIMULATED_SK, may=["list"])
    with pytest.raises(ClientRequestException) as raised:
        sdk.hibernate_cluster(HibernateClusterRequest(cluster_id=DEV))
    assert (raised.value.status_code, raised.value.error_code) == (403, "CCE_CM.403")
    assert raised.value.error_msg == "Forbidden., Policy doesn't allow cce:cluster:stop to be performed."


@pytest.mark.usefixtures("dev")
def test_a_cluster_is_shown_to_those_who_may_see_it(cloud: SimulatedCloud, sdk: CceClient) -> None:
    cloud.add_credentials(SIMULATED_AK, SIMULATED_SK, may=["cce:cluster:list"])
    assert sdk.list_clusters(ListClustersRequest()).items
    with pytest.raises(ClientRequestException) as raised:
        sdk.show_cluster(ShowClusterRequest(cluster_id=DEV))
    assert raised.value.status_code == 403


def test_a_fault_may_hide_a_hibernation_that_was_carried_out(
    cloud: SimulatedCloud, sdk: CceClient, dev: SimulatedCluster
) -> None:
    def faults(call: Call) -> Fault:
        assert call.path.endswith("/operation/hibernate")
        return reset(carried_out=True)

    cloud.faults = faults
    with pytest.raises(Exception, match=r"Connection aborted"):
        sdk.hibernate_cluster(HibernateClusterRequest(cluster_id=DEV))
    after(cloud, 10)
    assert dev.phase == "Hibernating"
    (record,) = cloud.ledger
    assert (record.status, record.carried_out, record.power) == (None, True, None)
